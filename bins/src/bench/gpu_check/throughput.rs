//! The section of times: which work, what it should reach, and what its rows say beside the measured
//! bandwidth of copies, the device's peak and the peer.

use super::bench::Bench;
use super::jobs::Job;
use super::jobs::timing::{Kind, Layout, Rows, Work};
use super::report::Row;
use serde::Serialize;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// What work should reach on an H200.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Target {
    /// So many 10^12 operations a second.
    TflopPerSecond(f64),
    /// That share of the bandwidth of copies.
    ShareOfCopy(f64),
    /// That share of the peak of bf16 products.
    ShareOfPeak(f64),
}

/// Work with its target.
pub(super) struct Timed {
    pub(super) work: Work,
    target: Option<Target>,
    /// Longest time, and that of the peer.
    limits: [Duration; 2],
}

/// Dense bf16 products on tensor cores, in 10^12 operations a second, by a part of the device's name:
/// NVIDIA's data sheets, without sparsity.
const PEAKS: [(&str, f64); 4] =
    [("H200", 989.0), ("H100", 989.0), ("B200", 2250.0), ("A100", 312.0)];

fn timed(work: Work, target: Option<Target>) -> Timed {
    let limits = match &work {
        Work::Step { .. } | Work::Edit { .. } => [100, 100],
        _ => [20, 40],
    };
    Timed { work, target, limits: limits.map(Duration::from_secs) }
}

/// What is timed, the most telling first: later work is left out where time runs out.
pub(super) fn list(is_emulated: bool) -> Vec<Timed> {
    if is_emulated { tiny() } else { full() }
}

fn square(layout: Layout, dtype: Kind, n: usize) -> Work {
    Work::Product { layout, dtype, m: n, n, k: n }
}

fn attention(length: usize, frames: usize, back: bool) -> Work {
    Work::Attention { dtype: Kind::Bf16, heads: 20, dim: 128, length, frames, back }
}

fn rows(what: Rows, dtype: Kind) -> Work {
    Work::Rows { what, dtype, rows: 32_768, cols: 2560 }
}

fn step(preset: &str, layers: Option<usize>, dtype: Kind) -> Work {
    Work::Step { preset: preset.to_owned(), layers, dtype, is_block_causal: true }
}

fn full() -> Vec<Timed> {
    use Target::{ShareOfCopy, ShareOfPeak, TflopPerSecond};
    const ROWS: [Rows; 5] =
        [Rows::RmsNorm, Rows::RmsNormBackward, Rows::Modulated, Rows::GateResidual, Rows::Swiglu];
    let mut all = vec![timed(Work::Copy { bytes: 1 << 31 }, None)];
    for layout in [Layout::Nn, Layout::Nt, Layout::Tn] {
        all.push(timed(square(layout, Kind::Bf16, 8192), Some(TflopPerSecond(400.0))));
    }
    for frames in [1, 4] {
        for (back, target) in [(false, 300.0), (true, 200.0)] {
            all.push(timed(attention(4096, frames, back), Some(TflopPerSecond(target))));
        }
    }
    for what in ROWS {
        all.push(timed(rows(what, Kind::Bf16), Some(ShareOfCopy(0.75))));
    }
    all.push(timed(Work::AdamW { tensors: 16, elements: 1 << 24 }, Some(ShareOfCopy(0.75))));
    // Two blocks of the 3b preset say which kernels its step waits for.
    all.push(timed(step("3b", Some(2), Kind::Bf16), None));
    for preset in ["small", "base", "3b"] {
        all.push(timed(step(preset, None, Kind::Bf16), Some(ShareOfPeak(0.25))));
    }
    all.push(timed(
        Work::Edit { preset: "3b".to_owned(), layers: None, dtype: Kind::Bf16, turns: 2, steps: 8 },
        None,
    ));
    for preset in ["small", "base", "3b"] {
        all.push(timed(step(preset, None, Kind::F32), None));
    }
    // A block of the 3b preset over its 1,424 tokens: the first layer of its feed-forward, and the
    // gradient of its weights.
    let block = [(Layout::Nt, 1424, 6912, 2560), (Layout::Tn, 6912, 2560, 1424)];
    for (layout, m, n, k) in block {
        all.push(timed(Work::Product { layout, dtype: Kind::Bf16, m, n, k }, None));
    }
    for n in [4096, 2048, 1024] {
        all.push(timed(square(Layout::Nt, Kind::Bf16, n), None));
    }
    for n in [4096, 2048] {
        all.push(timed(square(Layout::Nt, Kind::F32, n), None));
    }
    for length in [1024, 2048, 8192, 16_384] {
        for frames in [1, 4] {
            for back in [false, true] {
                all.push(timed(attention(length, frames, back), None));
            }
        }
    }
    for what in ROWS {
        all.push(timed(rows(what, Kind::F32), Some(ShareOfCopy(0.75))));
    }
    all
}

/// The same kinds of work at sizes that the emulator does in a moment.
fn tiny() -> Vec<Timed> {
    let mut all = vec![timed(Work::Copy { bytes: 1 << 20 }, None)];
    for layout in [Layout::Nn, Layout::Nt, Layout::Tn] {
        all.push(timed(square(layout, Kind::Bf16, 64), None));
    }
    all.push(timed(square(Layout::Nt, Kind::F32, 64), None));
    for frames in [1, 4] {
        for back in [false, true] {
            let dtype = Kind::Bf16;
            let work = Work::Attention { dtype, heads: 1, dim: 128, length: 128, frames, back };
            all.push(timed(work, None));
        }
    }
    for what in
        [Rows::RmsNorm, Rows::RmsNormBackward, Rows::Modulated, Rows::GateResidual, Rows::Swiglu]
    {
        all.push(timed(Work::Rows { what, dtype: Kind::Bf16, rows: 16, cols: 256 }, None));
    }
    all.push(timed(Work::AdamW { tensors: 2, elements: 1000 }, None));
    all.push(timed(step("tiny", None, Kind::F32), None));
    all.push(timed(step("tiny", Some(1), Kind::Bf16), None));
    let preset = "tiny".to_owned();
    let edit = Work::Edit { preset, layers: None, dtype: Kind::Bf16, turns: 2, steps: 2 };
    all.push(timed(edit, None));
    all
}

impl Timed {
    /// Times ours, then the peer's.
    pub(super) fn run(&self, name: &str, bench: &mut Bench, end: Instant) -> Row {
        let left = |end: Instant| end.saturating_duration_since(Instant::now());
        let job = Job::Timing { work: self.work.clone(), is_single: false };
        let limit = self.limits[0].min(left(end) + Duration::from_secs(5));
        let mut row = bench.job(&job, name, limit);
        let number = |row: &Row, key: &str| row.details.get(key).and_then(Value::as_f64);
        if let Work::Copy { .. } = self.work {
            bench.copy_gb_per_s = number(&row, "gb_per_s");
        }
        if let Some(kernels) = row.details.get("kernels").and_then(Value::as_array) {
            bench.note_slow(&self.work, kernels);
        }
        let share = |value: Option<f64>, whole: Option<f64>| Some(value? / whole?);
        let of_copy = share(number(&row, "gb_per_s"), bench.copy_gb_per_s);
        let is_bound_by_memory = matches!(self.work, Work::Rows { .. } | Work::AdamW { .. });
        let of_copy = of_copy.filter(|_| is_bound_by_memory);
        let peak = PEAKS.iter().find(|(part, _)| bench.about.name.contains(part));
        let of_peak = share(number(&row, "tflop_per_s"), peak.map(|(_, peak)| *peak));
        for (key, value) in [("share_of_copy", of_copy), ("share_of_peak", of_peak)] {
            if let Some(value) = value {
                row.detail(key, value);
            }
        }
        if let Some(target) = self.target {
            let (reached, wanted) = match target {
                Target::TflopPerSecond(wanted) => (number(&row, "tflop_per_s"), wanted),
                Target::ShareOfCopy(wanted) => (of_copy, wanted),
                Target::ShareOfPeak(wanted) => (of_peak, wanted),
            };
            row.detail("target", target);
            if let Some(reached) = reached {
                row.detail("meets_target", reached >= wanted);
            }
        }
        let limit = self.limits[1].min(left(end));
        let mut work = self.work.clone();
        if let (Work::Step { layers, .. } | Work::Edit { layers, .. }, Some(fit)) =
            (&mut work, row.details.get("layers").and_then(Value::as_u64))
        {
            *layers = Some(fit as usize);
        }
        let Some(peer) = bench.peer.as_mut() else { return row };
        match peer.ask(&work, limit) {
            Ok(answer) => {
                if let (Some(ours), Some(theirs)) = (number(&row, "ms"), answer["ms"].as_f64()) {
                    // Above 1: we take longer.
                    row.detail("ratio", ours / theirs);
                }
                row.detail("peer", answer);
            }
            Err(reason) => row.detail("peer", json!({ "error": reason })),
        }
        row
    }
}
