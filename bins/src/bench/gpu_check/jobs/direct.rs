//! Kernels that no op launches by itself, or only at sizes that depend on the device, launched by
//! their contracts and held to loops in f64.

use super::Wrong;
use super::call::{Call, Held, is_bf16, is_wide, noise, width, word};
use super::{products, strided};
use crate::bench::gpu_check::protocol::{Deviations, Told};
use vincie_gpu::Device;
use vincie_ptx::catalogue::{Entry, kernels};
use vincie_tensor::cases::deviation;
use vincie_tensor::random::{Key, Stream};
use vincie_tensor::reference::Array;

/// Checks one kernel.
type Check = fn(&Device, &'static Entry, &mut Deviations) -> Result<(), Wrong>;

/// Families, by the op whose folder holds them.
const CHECKS: [(&str, Check); 6] = [
    ("binary", strided::check),
    ("cast", strided::check),
    ("copy", strided::check),
    ("flow", flow),
    ("matmul", products::check),
    ("random", random),
];

/// Names of the jobs.
pub(in crate::bench::gpu_check) fn families() -> impl Iterator<Item = &'static str> {
    CHECKS.iter().map(|(name, _)| *name)
}

pub(super) fn run(device: &Device, family: &str) -> Result<Told, Wrong> {
    let Some((_, check)) = CHECKS.iter().find(|(name, _)| *name == family) else {
        return Err(Wrong::Other(format!("no family {family}")));
    };
    let mut seen = Deviations::default();
    for entry in kernels().iter().filter(|entry| entry.op == family) {
        check(device, entry, &mut seen)?;
    }
    Ok(Told::passed().judged(&seen))
}

/// Adds how far a result is from a reference, in the units of its type.
pub(super) fn compare(
    device: &Device,
    entry: &Entry,
    what: &str,
    result: &Held,
    want: &[f64],
    seen: &mut Deviations,
) -> Result<(), Wrong> {
    let ours = Array::new([want.len()], result.read(device)?);
    let want = Array::new([want.len()], want.to_vec());
    let tolerance = if matches!(result, Held::Bf16(_)) { 8e-3 } else { 1e-5 };
    seen.add(&format!("{} {what}", entry.name), deviation(&ours, &want), tolerance);
    Ok(())
}

/// Rows and columns: less than a warp takes, a rest, and as many as a lane keeps.
fn shapes(entry: &Entry) -> [(usize, usize); 3] {
    let width = width(entry);
    match is_wide(entry) {
        true => [(1, width), (9, 33 * width), (40, 384 * width)],
        false => [(1, 1), (9, 33), (5, 1025)],
    }
}

/// The straight path between data and noise, rounded operation by operation: the same bits.
fn flow(device: &Device, entry: &'static Entry, seen: &mut Deviations) -> Result<(), Wrong> {
    let (kind, offset) = (is_bf16(entry), usize::from(!is_wide(entry)));
    for (rows, cols) in shapes(entry) {
        let count = rows * cols;
        let (a, b) = (noise(count, 1, kind)?, noise(count, 2, kind)?);
        let factors: Vec<f32> = noise(rows, 3, false)?.into_iter().map(f32::abs).collect();
        let call = Call::new(device, entry)?;
        let [on_a, on_b] = [call.upload(kind, offset, &a)?, call.upload(kind, offset, &b)?];
        let on_factors = call.upload(false, 0, &factors)?;
        let [first, second] = [call.blank(kind, offset, count)?, call.blank(kind, offset, count)?];
        let call = call.size("rows", rows).size("cols", cols).size("units", cols / width(entry));
        let (call, results) = match (word(entry, "function"), word(entry, "form")) {
            ("", form) => {
                let call = call.tensor("data", &on_a).tensor("noise", &on_b);
                let call = call.tensor("shares", &on_factors).tensor("x", &first);
                match form {
                    "velocity" => (call.tensor("velocity", &second), vec![&first, &second]),
                    _ => (call, vec![&first]),
                }
            }
            _ => {
                let call = call.tensor("a", &on_a).tensor("b", &on_b);
                (call.tensor("factors", &on_factors).tensor("y", &first), vec![&first])
            }
        };
        call.run()?;
        let formula =
            |number: usize, a: f32, b: f32, factor: f32| match (word(entry, "function"), number) {
                ("move", _) => a + factor * b,
                ("velocity", _) => (a - b) * factor,
                (_, 0) => (1.0 - factor) * a + factor * b,
                _ => b - a,
            };
        for (number, result) in results.into_iter().enumerate() {
            let want = (0..count).map(|i| formula(number, a[i], b[i], factors[i / cols]));
            let round = |x: f32| if kind { half::bf16::from_f32(x).to_f32() } else { x };
            let got = result.read(device)?;
            let differ =
                got.iter().zip(want).filter(|(got, want)| **got != f64::from(round(*want)));
            let name = format!("{} result {number} {rows} x {cols}, other bits", entry.name);
            seen.add(&name, differ.count() as f64, 0.5);
        }
    }
    Ok(())
}

/// Random numbers have the bits of the host's.
fn random(device: &Device, entry: &'static Entry, seen: &mut Deviations) -> Result<(), Wrong> {
    let kind = is_bf16(entry);
    let (seed, step, count) = (0x1234_5678_9ABC_DEF0, 77, 4099);
    let key = Key::new(seed, Stream::Test, step);
    let want: Vec<f32> = match &entry.name[..] {
        "random_uniform_f32" => (0..count as u64).map(|i| key.uniform(i)).collect(),
        _ => {
            let values = key.normal_tensor([count])?.to_vec::<f32>()?;
            let round = |x: f32| if kind { half::bf16::from_f32(x).to_f32() } else { x };
            values.into_iter().map(round).collect()
        }
    };
    let call = Call::new(device, entry)?;
    let out = call.blank(kind, 0, count)?;
    let call = call.tensor("out", &out).size("seed", seed as usize);
    let call = call.size("stream", Stream::Test as usize).size("step", step as usize);
    call.size("count", count).run()?;
    let got = out.read(device)?;
    let differ = got.iter().zip(&want).filter(|(got, want)| **got != f64::from(**want)).count();
    seen.add(&format!("{}, other bits", entry.name), differ as f64, 0.5);
    Ok(())
}
