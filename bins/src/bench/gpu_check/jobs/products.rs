//! Every tile and layout of the products, whichever of them a device would choose, and sums of parts.

use super::Wrong;
use super::call::{Call, Held, noise, word};
use super::direct::compare;
use crate::bench::gpu_check::protocol::Deviations;
use vincie_gpu::Device;
use vincie_ptx::catalogue::Entry;

/// The kernel adds the bias.
const BIAS: usize = 1;

pub(super) fn check(
    device: &Device,
    entry: &'static Entry,
    seen: &mut Deviations,
) -> Result<(), Wrong> {
    let layout = word(entry, "layout");
    match layout.is_empty() {
        true => sum(device, entry, seen),
        false => product(device, entry, layout, seen),
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
    let tile = word(entry, "tile");
    let (is_a_turned, is_b_turned) = (layout.starts_with('t'), layout.ends_with('t'));
    let shapes = match tile.split_once('x') {
        None => [(67, 71, 37), (3, 130, 200)],
        Some((m, n)) => {
            let [m, n] = [m, n].map(|size| size.parse::<usize>().unwrap_or(64));
            [(m + 16, n + 24, 96), (m - 24, n, 200)]
        }
    };
    for (m, n, k) in shapes {
        let (a, b) = (noise(m * k, 1, kind)?, noise(k * n, 2, kind)?);
        let call = Call::new(device, entry)?;
        let is_bias_bf16 = call.takes_bf16("bias");
        let bias = noise(n, 3, is_bias_bf16)?;
        // Kernels of the tile `any` need nothing of their addresses.
        let offset = usize::from(tile == "any");
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
