//! Checkpoints as a whole: what goes in and comes back, what stops half way, what is damaged.

mod damage;
mod publishing;
mod restoring;

use super::*;
use crate::train::config::DataSection;
use crate::train::scratch::Scratch;
use std::io;
use vincie_autograd::optimizer::{AdamWConfig, Clip};
use vincie_data::loader::LoaderPosition;
use vincie_tensor::DType;
use vincie_tensor::random::{Key, Stream};

/// A stand-in for a training run: every step follows from the ones before and from nothing else.
struct Toy {
    parameters: Parameters,
    ema: Ema,
    optimizer: AdamW,
    step: u64,
}

fn draw(step: u64, dims: &[usize], dtype: DType) -> Tensor {
    let normal = Key::new(5, Stream::Test, step).normal_tensor(dims);
    normal.and_then(|t| t.to_dtype(dtype)).expect("memory has room")
}

impl Toy {
    /// With a large matrix of `wide` columns, parameters of both types, and an empty one.
    fn new(wide: usize) -> Self {
        let mut parameters = Parameters::new();
        parameters.insert("blocks.0.weight", draw(100, &[3, wide], DType::F32));
        parameters.insert("blocks.1.weight", draw(101, &[4, 6], DType::BF16));
        parameters.insert("blocks.1.bias", draw(102, &[7], DType::F32));
        parameters.insert("blocks.2.empty", draw(103, &[0, 3], DType::F32));
        let ema = Ema::new(&parameters, 0.9).expect("memory has room");
        let optimizer = AdamW::new(&parameters, AdamWConfig::default()).expect("memory has room");
        Self { parameters, ema, optimizer, step: 0 }
    }

    fn at(wide: usize, step: u64) -> Self {
        let mut toy = Self::new(wide);
        (0..step).for_each(|_| toy.step());
        toy
    }

    fn step(&mut self) {
        self.step += 1;
        let gradients: Vec<Option<Tensor>> = self
            .parameters
            .iter()
            .map(|(id, _, value)| {
                Some(draw(self.step << 8 | id.index() as u64, value.dims(), DType::F32))
            })
            .collect();
        let clip = Clip::new(&gradients, f32::MAX).expect("gradients have a norm");
        self.optimizer.step(&mut self.parameters, &gradients, 1e-2, &clip).expect("shapes agree");
        self.ema.update(self.optimizer.exact(&self.parameters)).expect("shapes agree");
    }

    fn progress(&self) -> Progress {
        Progress {
            step: self.step,
            samples: 8 * self.step,
            loader: Some(LoaderPosition {
                format: 1,
                drawn: 8 * self.step,
                seed: u64::MAX,
                sessions: 1000,
                fingerprint: "abc".to_owned(),
            }),
            seed: u64::MAX,
            seconds: 0.1 * self.step as f64,
            metrics_bytes: 400 * self.step,
            best: Some(BestEvaluation { step: 1, loss: 0.3 }),
        }
    }

    fn save(&self, run: &RunDirectory, disk: &Disk<'_>) -> Result<PathBuf> {
        let progress = self.progress();
        let snapshot = Snapshot {
            progress: &progress,
            config: &config(),
            parameters: &self.parameters,
            ema: Some(&self.ema),
            optimizer: &self.optimizer,
            extra: &[("vocabulary.txt", b"red\ngreen\n"), ("empty", b"")],
        };
        save::save(run, &snapshot, disk)
    }

    fn resumed(wide: usize, checkpoint: &Checkpoint) -> Self {
        let mut toy = Self::new(wide);
        checkpoint
            .restore(&mut toy.parameters, Some(&mut toy.ema), &mut toy.optimizer)
            .expect("the tensors are the same");
        toy.step = checkpoint.progress().step;
        assert_eq!(*checkpoint.progress(), toy.progress());
        toy
    }

    /// Every bit of the state.
    fn bits(&self) -> Vec<u32> {
        let (first, second, masters) = self.optimizer.state();
        let values = self.parameters.iter().map(|(_, _, value)| value);
        let all = values.chain(self.ema.values()).chain(first).chain(second);
        let bits = |tensor: &Tensor| -> Vec<u32> {
            let f32s = tensor.to_f32().and_then(|t| t.to_vec::<f32>()).expect("memory has room");
            f32s.into_iter().map(f32::to_bits).collect()
        };
        let mut bits: Vec<u32> = all.chain(masters.iter().flatten()).flat_map(bits).collect();
        bits.push(self.optimizer.steps() as u32);
        bits
    }
}

fn config() -> TrainConfig {
    let data = DataSection { shards: vec!["a.tar".into()], ..DataSection::default() };
    TrainConfig { data, ..TrainConfig::default() }
}

fn open(scratch: &Scratch) -> RunDirectory {
    RunDirectory::open(scratch.path()).expect("nobody else holds it")
}

/// Files and folders in the folder of checkpoints.
fn listing(run: &Path) -> Vec<String> {
    let entries = fs::read_dir(directory::checkpoints(run)).expect("the folder is there");
    let name = |entry: io::Result<fs::DirEntry>| {
        entry.expect("it can be listed").file_name().into_string().expect("our names are ASCII")
    };
    let mut names: Vec<String> = entries.map(name).collect();
    names.sort();
    names
}
