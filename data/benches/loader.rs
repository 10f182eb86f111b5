//! Sessions a second, of five frames of 256 x 256 with both masks at every transition: encoding
//! for a shard, and loading from one with different numbers of workers.

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use std::path::{Path, PathBuf};
use vincie_data::loader::{DatasetConfig, Loader, LoaderConfig};
use vincie_data::session::{Frame, Session, Source, Transition};
use vincie_data::shard::{FrameFormat, PackedSession, ShardWriter, WriterConfig};
use vincie_data::{Image, Mask};

const SIDE: usize = 256;
const FRAMES: usize = 5;
const SESSIONS: u32 = 64;

/// Shapes on a ground with grain, about as hard to compress as a photograph.
fn session(seed: u32) -> Session {
    let frame = |index: usize| {
        let mut noise = u64::from(seed) << 8 | index as u64 | 1;
        let mut rgb = Vec::with_capacity(3 * SIDE * SIDE);
        for y in 0..SIDE {
            for x in 0..SIDE {
                noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let grain = (noise >> 60) as u8;
                let is_inside = x.abs_diff(64 + 20 * index) + y.abs_diff(128) < 48;
                let base = if is_inside { [200, 80, 40] } else { [x as u8 / 2, y as u8 / 2, 90] };
                rgb.extend(base.map(|value: u8| value.saturating_add(grain)));
            }
        }
        Frame { image: Image::new(SIDE, SIDE, rgb), time: index as f64 }
    };
    let mask = |index: usize| {
        let is_inside =
            |at: usize| (at % SIDE).abs_diff(64 + 20 * index) + (at / SIDE).abs_diff(128) < 48;
        let data = (0..SIDE * SIDE).map(|at| if is_inside(at) { 255 } else { 0 }).collect();
        Some(Mask::new(SIDE, SIDE, data))
    };
    let transition = |index: usize| Transition {
        instruction: "move the orange diamond to the right".to_owned(),
        current_mask: mask(index),
        next_mask: mask(index + 1),
        facts: serde_json::json!({"event": "move", "pixels": 20}),
        provenance: Vec::new(),
    };
    Session {
        key: format!("bench-{seed:06}"),
        frames: (0..FRAMES).map(frame).collect(),
        transitions: (0..FRAMES - 1).map(transition).collect(),
        source: Source::default(),
    }
}

fn formats() -> [(&'static str, FrameFormat); 2] {
    [("jpeg", FrameFormat::default()), ("png", FrameFormat::Png)]
}

fn write(folder: &Path, frames: FrameFormat) {
    let config = WriterConfig { frames, ..WriterConfig::default() };
    let mut writer = ShardWriter::create(folder, config).expect("the folder is new");
    for seed in 0..SESSIONS {
        writer.write(&session(seed)).expect("the session is valid");
    }
    writer.finish().expect("the disk takes it");
}

fn pack(criterion: &mut Criterion) {
    let session = session(1);
    let mut group = criterion.benchmark_group("pack");
    group.throughput(Throughput::Elements(1));
    for (name, format) in formats() {
        let size = PackedSession::new(&session, format).expect("the session is valid").size();
        group.bench_function(BenchmarkId::new(name, size), |bencher| {
            bencher.iter(|| PackedSession::new(&session, format).expect("the session is valid"));
        });
    }
    group.finish();
}

fn load(criterion: &mut Criterion) {
    let folder: PathBuf = std::env::temp_dir().join(format!("vincie-bench-{}", std::process::id()));
    let mut group = criterion.benchmark_group("load");
    group.sample_size(20).throughput(Throughput::Elements(u64::from(SESSIONS)));
    for (name, format) in formats() {
        let folder = folder.join(name);
        write(&folder, format);
        for workers in [0, 1, 2, 4] {
            let config = LoaderConfig {
                datasets: vec![DatasetConfig::new(&folder)],
                workers,
                prefetch: 16,
                ..LoaderConfig::default()
            };
            let mut loader = Loader::open(config).expect("it was just written");
            group.bench_function(BenchmarkId::new(name, workers), |bencher| {
                bencher.iter(|| {
                    for session in loader.by_ref().take(SESSIONS as usize) {
                        session.expect("all sessions are good");
                    }
                });
            });
        }
    }
    group.finish();
    std::fs::remove_dir_all(&folder).expect("the folder is ours");
}

criterion_group!(benches, pack, load);
criterion_main!(benches);
