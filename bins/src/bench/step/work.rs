//! The measured step: a model, its optimizer and random data, on the host or as a graph of a device.

use super::TIME;
use crate::failure::Failure;
use vincie_autograd::optimizer::{AdamW, AdamWConfig, Clip};
use vincie_autograd::{GradientSums, Graph, Parameters, Var};
use vincie_dit::config::ModelConfig;
use vincie_dit::layout::{Layout, SampleShape};
use vincie_dit::model::{self, ForwardOptions, Transformer};
use vincie_dit::network::AttentionKind;
use vincie_dit::patch;
use vincie_dit::rotary::AnglePrecision;
use vincie_dit::train::Plan;
use vincie_tensor::ops::watch;
use vincie_tensor::random::{Key, Stream};
use vincie_tensor::{Accelerator, DType, Inputs, Replay, Tensor, pool};

/// Learning rate of every step.
const RATE: f32 = 1e-4;

/// What a step may be besides its sizes.
#[derive(Clone, Copy)]
pub(in crate::bench) struct Choice {
    pub(in crate::bench) attention: AttentionKind,
    pub(in crate::bench) recompute: bool,
    pub(in crate::bench) dtype: DType,
}

/// A model, its optimizer and the data of every step.
pub(in crate::bench) struct Work {
    transformer: Transformer,
    parameters: Parameters,
    optimizer: AdamW,
    data: Data,
    options: ForwardOptions<'static>,
    sums: GradientSums,
    /// The step as a device does it again.
    noted: Option<Replay<Inputs>>,
}

/// What a step reads. On a device it lies in [`Inputs`], behind the optimizer's constants.
struct Data {
    /// Gradient of the loss: 1.
    seed: Tensor,
    layout: Layout,
    frames: Tensor,
    noise: Tensor,
    condition: Tensor,
    text: Tensor,
    time: Tensor,
    weights: Tensor,
}

impl Data {
    /// The same data in other tensors of the same shapes, in a fixed order.
    fn map(
        &self,
        to: &mut dyn FnMut(&Tensor) -> vincie_dit::Result<Tensor>,
    ) -> vincie_dit::Result<Self> {
        Ok(Self {
            seed: to(&self.seed)?,
            layout: self.layout.map(to)?,
            frames: to(&self.frames)?,
            noise: to(&self.noise)?,
            condition: to(&self.condition)?,
            text: to(&self.text)?,
            time: to(&self.time)?,
            weights: to(&self.weights)?,
        })
    }

    fn tensors(&self) -> Result<Vec<Tensor>, Failure> {
        let mut all = Vec::new();
        self.map(&mut |tensor| {
            all.push(tensor.clone());
            Ok(tensor.clone())
        })?;
        Ok(all)
    }

    fn placed(&self, inputs: &Inputs) -> Result<Self, Failure> {
        let mut tensors = inputs.tensors().skip(1).cloned();
        Ok(self.map(&mut |_| Ok(tensors.next().expect("inputs hold all of the data")))?)
    }
}

impl Work {
    pub(in crate::bench) fn new(
        config: ModelConfig,
        [side, frames, words]: [usize; 3],
        choice: Choice,
    ) -> Result<Self, Failure> {
        let Choice { attention, recompute: recompute_blocks, dtype } = choice;
        let mut parameters = Parameters::new();
        model::initialise(&config, &mut parameters, 0)?;
        let grid = [frames, side / config.patch, side / config.patch];
        let sample = SampleShape { text: frames * words, grid };
        let layout = match attention {
            AttentionKind::Full => Layout::full(&[sample], &config, AnglePrecision::F32)?,
            AttentionKind::BlockCausal => Layout::turns(sample, &config)?,
        };
        let draw = |what: u64, shape: &[usize]| -> Result<Tensor, Failure> {
            Ok(Key::new(0, Stream::Test, what).normal_tensor(shape)?)
        };
        let pictures = [frames, side, side, config.visual_out];
        let rows = grid.iter().product::<usize>();
        let condition = [frames, side, side, config.visual_in - config.visual_out];
        let data = Data {
            seed: Tensor::scalar(1.0)?,
            layout,
            frames: draw(0, &pictures)?,
            noise: draw(1, &pictures)?,
            condition: draw(2, &condition)?,
            text: draw(3, &[sample.text, config.text_in])?,
            time: model::sinusoid(&Tensor::full([1], TIME)?)?,
            weights: Tensor::full([rows], 1.0 / rows as f32)?,
        };
        let exact = parameters;
        let parameters = exact.to_dtype(dtype)?;
        Ok(Self {
            optimizer: AdamW::with_masters(&parameters, &exact, AdamWConfig::default())?,
            transformer: Transformer::bind(config.clone(), &parameters)?,
            data,
            options: ForwardOptions { recompute_blocks, ..ForwardOptions::default() },
            sums: GradientSums::new(&parameters),
            parameters,
            noted: None,
        })
    }

    /// Operations of a step: three times those of its products and attention forward.
    pub(in crate::bench) fn flops(&self) -> f64 {
        3.0 * model::forward_flops(self.transformer.config(), &self.data.layout) as f64
    }

    pub(in crate::bench) fn layers(&self) -> usize {
        self.transformer.config().layers
    }

    pub(in crate::bench) fn parameters(&self) -> usize {
        self.parameters.count()
    }

    pub(super) fn tokens(&self) -> usize {
        self.data.layout.tokens()
    }

    /// Moves weights and optimizer to a device and notes the step there.
    pub(in crate::bench) fn move_to(&mut self, place: &Accelerator) -> Result<(), Failure> {
        self.parameters = self.parameters.to_place(Some(place))?;
        self.optimizer.place(Some(place))?;
        self.sums = GradientSums::planned(&self.parameters, place)?;
        let values = self.values()?;
        let need = place.measure(|| self.step_on(&place.inputs(&values)?))?;
        let workspace = place.workspace(need)?;
        let noted = place.capture(
            &workspace,
            || Ok::<_, Failure>(place.inputs(&values)?),
            |inputs| self.step_on(inputs),
        )?;
        self.noted = Some(noted);
        Ok(())
    }

    /// All that goes to the device before a step.
    fn values(&self) -> Result<Vec<Tensor>, Failure> {
        let mut values = vec![self.optimizer.next_constants(RATE)?];
        values.extend(self.data.tensors()?);
        Ok(values)
    }

    /// One step; of a device, which is waited for, from the upload of its data on.
    pub(in crate::bench) fn step(&mut self) -> Result<(), Failure> {
        let Some(noted) = self.noted.take() else { return self.step_on_host() };
        let taken = self.step_again(&noted);
        self.noted = Some(noted);
        taken
    }

    fn step_again(&mut self, noted: &Replay<Inputs>) -> Result<(), Failure> {
        noted.held().write(&self.values()?)?;
        if watch::is_on() {
            self.step_on(noted.held())?;
        } else {
            noted.start()?;
        }
        self.optimizer.count_step();
        if let Some(place) = self.parameters.accelerator() {
            place.synchronize()?;
        }
        Ok(())
    }

    /// Forward and backward pass; the gradients are added to `sums`.
    fn pass(
        &self,
        parameters: &Parameters,
        data: &Data,
        sums: &mut GradientSums,
    ) -> Result<(), Failure> {
        let g = Graph::recording(parameters);
        let share = TIME / 1000.0;
        let (frames, noise) =
            (Var::constant(data.frames.clone()), Var::constant(data.noise.clone()));
        let noisy = g.add(&g.affine(&frames, 1.0 - share, 0.0)?, &g.affine(&noise, share, 0.0)?)?;
        let side = self.transformer.config().patch;
        let condition = data.condition.clone().into();
        let visual = patch::to_rows(&g, &g.concat(&[&noisy, &condition], 3)?, side)?;
        let target = patch::to_rows(&g, &g.sub(&noise, &frames)?, side)?;
        let text = data.text.clone().into();
        let inputs =
            model::Inputs { visual: &visual, text: &text, time: &data.time, conditioning: None };
        let velocity = self.transformer.forward(&g, &data.layout, inputs, None, self.options)?;
        let (loss, _) = g.mse(&velocity, &target, &data.weights.clone().into())?;
        Ok(g.backward_into(sums, &[(&loss, data.seed.clone())])?)
    }

    fn step_on_host(&mut self) -> Result<(), Failure> {
        let mut sums = GradientSums::new(&self.parameters);
        self.pass(&self.parameters, &self.data, &mut sums)?;
        let clip = Clip::new(sums.values(), f32::MAX)?;
        Ok(self.optimizer.step(&mut self.parameters, sums.values(), RATE, &clip)?)
    }

    fn step_on(&mut self, inputs: &Inputs) -> Result<(), Failure> {
        let data = self.data.placed(inputs)?;
        let mut sums = std::mem::replace(&mut self.sums, GradientSums::new(&self.parameters));
        sums.clear();
        let passed = self.pass(&self.parameters, &data, &mut sums);
        self.sums = sums;
        passed?;
        let clip = Clip::new(self.sums.values(), f32::MAX)?;
        let constants = inputs.tensors().next().expect("the constants are the first input");
        Ok(self.optimizer.step_on(&self.parameters, self.sums.values(), constants, &clip)?)
    }

    /// What memory steps take, of a device or of the host, where a pass forward and backward is done
    /// to find out.
    pub(super) fn plan(&self, place: Option<&Accelerator>) -> Result<Plan, Failure> {
        let mut plan = Plan::default();
        let weights: Vec<&Tensor> = self.parameters.iter().map(|(_, _, value)| value).collect();
        let (first, second, masters) = self.optimizer.state();
        let mut add = |what, tensors: &[&Tensor]| -> Result<(), Failure> {
            let specs = tensors.iter().map(|t| (t.shape(), t.dtype()));
            match place {
                Some(_) => plan.add(what, Accelerator::arena_bytes(specs)?, 1),
                None => plan.add(what, tensors.iter().map(|t| t.bytes()).sum(), tensors.len()),
            }
            Ok(())
        };
        let (first, second) = (first.iter().collect::<Vec<_>>(), second.iter().collect::<Vec<_>>());
        add("parameters", &weights)?;
        if place.is_some() {
            // Sums of gradients are f32, as the moments are.
            add("gradients", &first)?;
        }
        add("first moments", &first)?;
        add("second moments", &second)?;
        add("master weights", &masters.iter().flatten().collect::<Vec<_>>())?;
        let values = self.values()?;
        let Some(place) = place else {
            plan.add("batch", values.iter().map(Tensor::bytes).sum(), values.len());
            pool::reset_peak();
            let before = pool::statistics().live;
            let mut sums = GradientSums::new(&self.parameters);
            self.pass(&self.parameters, &self.data, &mut sums)?;
            plan.add("activations, gradients", pool::statistics().peak - before, 0);
            return Ok(plan);
        };
        let fixed = place.measure(|| -> Result<(), Failure> {
            Ok(GradientSums::shells(&self.parameters, place).map(drop)?)
        })?;
        let mut batch = 0;
        let all = place.measure(|| -> Result<(), Failure> {
            let (parameters, mut sums) = GradientSums::shells(&self.parameters, place)?;
            let inputs = place.inputs(&values)?;
            batch = inputs.bytes();
            self.pass(&parameters, &self.data.placed(&inputs)?, &mut sums)
        })?;
        plan.add("batch", batch, 0);
        plan.add("activations", all - fixed - batch, 1);
        plan.free = Some(place.device().free_memory().map_err(vincie_tensor::Error::from)?);
        Ok(plan)
    }
}
