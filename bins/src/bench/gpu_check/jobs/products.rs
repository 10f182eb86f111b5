//! Every tile and layout of the products, whichever of them a device would choose, and sums of parts.

use super::Wrong;
use super::call::{Call, Held, noise, word};
use super::direct::compare;
use crate::bench::gpu_check::protocol::Deviations;
use vincie_gpu::Device;
use vincie_ptx::catalogue::Entry;
use vincie_tensor::cases::deviation;
use vincie_tensor::reference::Array;

/// The kernel adds the bias.
const BIAS: usize = 1;

pub(super) fn check(
    device: &Device,
    entry: &'static Entry,
    seen: &mut Deviations,
) -> Result<(), Wrong> {
    match (word(entry, "layout"), word(entry, "end")) {
        ("", "") => sum(device, entry, seen),
        ("", end) => gated(device, entry, end == "swiglu", seen),
        (layout, _) => product(device, entry, layout, seen),
    }
}

/// Sizes around those of a tile.
fn shapes(entry: &Entry) -> [(usize, usize, usize); 2] {
    match word(entry, "tile").split_once('x') {
        None => [(67, 71, 37), (3, 130, 200)],
        Some((m, n)) => {
            let [m, n] = [m, n].map(|size| size.parse::<usize>().unwrap_or(64));
            [(m + 16, n + 24, 96), (m - 24, n, 200)]
        }
    }
}

fn product(
    device: &Device,
    entry: &'static Entry,
    layout: &str,
    seen: &mut Deviations,
) -> Result<(), Wrong> {
    // Products of bf16 name the type of their result.
    let kind = !word(entry, "out").is_empty();
    let is_bf16_out = word(entry, "out") == "bf16";
    let (is_a_turned, is_b_turned) = (layout.starts_with('t'), layout.ends_with('t'));
    for (m, n, k) in shapes(entry) {
        let (a, b) = (noise(m * k, 1, kind)?, noise(k * n, 2, kind)?);
        let call = Call::new(device, entry)?;
        let is_bias_bf16 = call.takes_bf16("bias");
        let bias = noise(n, 3, is_bias_bf16)?;
        // Kernels of the tile `any` need nothing of their addresses.
        let offset = usize::from(word(entry, "tile") == "any");
        let (on_a, on_b) = (call.upload(kind, offset, &a)?, call.upload(kind, offset, &b)?);
        let (on_bias, c) =
            (call.upload(is_bias_bf16, 0, &bias)?, call.blank(is_bf16_out, 0, m * n)?);
        let call = call.tensor("a", &on_a).tensor("b", &on_b).tensor("bias", &on_bias);
        let call = call.tensor("c", &c).size("m", m).size("n", n).size("k", k).size("k_last", k);
        let call = call.size("lda", if is_a_turned { m } else { k });
        let call = call.size("ldb", if is_b_turned { k } else { n }).size("ldc", n);
        call.size("epilogue", BIAS).size("batch", 1).run()?;
        let mut want: Vec<f64> = bias.iter().map(|x| f64::from(*x)).cycle().take(m * n).collect();
        for i in 0..m {
            for p in 0..k {
                let left = f64::from(a[if is_a_turned { p * m + i } else { i * k + p }]);
                for (j, want) in want[i * n..(i + 1) * n].iter_mut().enumerate() {
                    *want += left * f64::from(b[if is_b_turned { j * k + p } else { p * n + j }]);
                }
            }
        }
        compare(device, entry, &format!("{m} x {n} x {k}"), &c, &want, seen)?;
    }
    Ok(())
}

/// Products of linear layers that leave as a gated residual, or as a gate's other factor.
fn gated(
    device: &Device,
    entry: &'static Entry,
    is_swiglu: bool,
    seen: &mut Deviations,
) -> Result<(), Wrong> {
    for (m, n, k) in shapes(entry) {
        let offset = usize::from(word(entry, "tile") == "any");
        let (a, b) = (noise(m * k, 1, true)?, noise(n * k, 2, true)?);
        let groups: Vec<usize> = (0..m).map(|row| row / 7 % 3).collect();
        let gate = noise(if is_swiglu { m * n } else { 3 * n }, 3, is_swiglu)?;
        let [parameter, bias] = [noise(n, 4, false)?, noise(n, 5, false)?];
        let residual = noise(m * n, 6, false)?;
        let call = Call::new(device, entry)?;
        let on_a = call.upload(true, offset, &a)?;
        let on_b = call.upload(true, offset, &b)?;
        let on_gate = call.upload(is_swiglu, offset, &gate)?;
        let [on_parameter, on_bias] =
            [call.upload(false, offset, &parameter)?, call.upload(false, offset, &bias)?];
        let on_residual = call.upload(false, offset, &residual)?;
        let on_groups = call.upload_whole("s32", &groups)?;
        let (kept, y) = (call.blank(true, offset, m * n)?, call.blank(is_swiglu, offset, m * n)?);
        let call = call.tensor("a", &on_a).tensor("b", &on_b).tensor("gate", &on_gate);
        let call = match is_swiglu {
            true => call,
            false => {
                let call = call.tensor("parameter", &on_parameter).tensor("bias", &on_bias);
                call.tensor("residual", &on_residual).tensor("groups", &on_groups)
            }
        };
        let call = call.tensor("product", &kept).tensor("y", &y);
        call.size("m", m).size("n", n).size("k", k).size("lda", k).size("ldb", k).run()?;
        let mut product = vec![0.0; m * n];
        let mut want = vec![0.0; m * n];
        for (at, (product, want)) in product.iter_mut().zip(&mut want).enumerate() {
            let (row, col) = (at / n, at % n);
            let (left, right) = (&a[row * k..(row + 1) * k], &b[col * k..(col + 1) * k]);
            let sum: f64 = left.iter().zip(right).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
            (*product, *want) = if is_swiglu {
                let gate = f64::from(gate[at]);
                (sum, sum * gate / (1.0 + (-gate).exp()))
            } else {
                let sum = sum + f64::from(bias[col]);
                let gate = f64::from(gate[groups[row] * n + col]) + f64::from(parameter[col]);
                (sum, f64::from(residual[at]) + sum * gate)
            };
        }
        let what = format!("{m} x {n} x {k}");
        compare(device, entry, &format!("{what}, product"), &kept, &product, seen)?;
        // The result is exact only in as far as the product is, which is bf16.
        let ours = Array::new([want.len()], y.read(device)?);
        let want = Array::new([want.len()], want);
        seen.add(&format!("{} {what}", entry.name), deviation(&ours, &want), 8e-3);
    }
    Ok(())
}

/// Parts of a product that was cut along k, added up.
fn sum(device: &Device, entry: &'static Entry, seen: &mut Deviations) -> Result<(), Wrong> {
    let is_bf16_out = word(entry, "out") == "bf16";
    let (count, m, n) = (3, 5, 300);
    let parts = noise(count * m * n, 1, false)?;
    let call = Call::new(device, entry)?;
    let is_bias_bf16 = call.takes_bf16("bias");
    let bias = noise(n, 2, is_bias_bf16)?;
    let on_parts = call.upload(false, 0, &parts)?;
    let (on_bias, c): (Held, Held) =
        (call.upload(is_bias_bf16, 0, &bias)?, call.blank(is_bf16_out, 0, m * n)?);
    let call = call.tensor("parts", &on_parts).tensor("bias", &on_bias).tensor("c", &c);
    let call = call.size("count", count).size("m", m).size("n", n).size("ldc", n);
    call.size("epilogue", BIAS).run()?;
    let want: Vec<f64> = (0..m * n)
        .map(|i| {
            let parts = (0..count).map(|part| f64::from(parts[part * m * n + i]));
            parts.sum::<f64>() + f64::from(bias[i % n])
        })
        .collect();
    compare(device, entry, &format!("{count} parts"), &c, &want, seen)
}
