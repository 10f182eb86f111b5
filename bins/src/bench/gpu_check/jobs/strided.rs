//! Kernels that walk views of up to six axes at steps of their own: copies, casts, arithmetic. Values
//! are small whole numbers, which every type holds, so that results must be equal.

use super::Wrong;
use super::call::{Call, Held, word};
use crate::bench::gpu_check::protocol::Deviations;
use vincie_gpu::Device;
use vincie_ptx::catalogue::Entry;

/// Sizes of the axes, innermost last; kernels of fewer axes take the last ones.
const SIZES: [usize; 6] = [3, 2, 5, 4, 2, 11];

/// Sizes and steps of a walk, and the place of each of its elements, in row-major order.
struct Walk {
    sizes: Vec<usize>,
    steps: Vec<usize>,
}

impl Walk {
    /// Axes without gaps; the last one outermost in memory where `is_turned`.
    fn new(rank: usize, is_turned: bool) -> Self {
        let sizes = SIZES[6 - rank..].to_vec();
        let mut steps = vec![0; rank];
        let mut step = 1;
        let inner_first: Vec<usize> =
            if is_turned { (0..rank).collect() } else { (0..rank).rev().collect() };
        for axis in inner_first {
            steps[axis] = step;
            step *= sizes[axis];
        }
        Self { sizes, steps }
    }

    /// One value along the innermost axis, repeated along the others.
    fn repeated(rank: usize) -> Self {
        let mut walk = Self::new(rank, false);
        walk.steps[..rank - 1].fill(0);
        walk
    }

    fn places(&self) -> Vec<usize> {
        self.sizes.iter().zip(&self.steps).fold(vec![0], |places, (&size, &step)| {
            places.iter().flat_map(|at| (0..size).map(move |i| at + i * step)).collect()
        })
    }
}

pub(super) fn check(
    device: &Device,
    entry: &'static Entry,
    seen: &mut Deviations,
) -> Result<(), Wrong> {
    let Ok(rank) = word(entry, "rank").parse::<usize>() else { return Ok(()) };
    let (own, turned, repeated) =
        (Walk::new(rank, false), Walk::new(rank, true), Walk::repeated(rank));
    let count: usize = own.sizes.iter().product();
    let call = Call::new(device, entry)?;
    let sized = |call: Call, names: [(&str, &Walk); 2]| {
        (0..rank).fold(call.size("count", count), |call, axis| {
            let call = call.size(&format!("n{axis}"), own.sizes[axis]);
            names.iter().fold(call, |call, (name, walk)| {
                call.size(&format!("{name}_s{axis}"), walk.steps[axis])
            })
        })
    };
    let (want, result): (Vec<f64>, Held) = match entry.op {
        "copy" => {
            let unit = word(entry, "unit");
            // The largest units are several words, which move together.
            let words = match unit {
                "b64" => 2,
                "b128" => 4,
                _ => 1,
            };
            let element = if words > 1 { "b32" } else { unit };
            let values: Vec<usize> = (0..count * words).map(|i| i * 37 % 251).collect();
            let from = call.upload_whole(element, &values)?;
            let to = call.upload_whole(element, &vec![255; count * words])?;
            let call = call.tensor("from", &from).tensor("to", &to);
            sized(call, [("to", &own), ("from", &turned)]).run()?;
            let words = |at: usize| at * words..(at + 1) * words;
            let want = turned.places().into_iter().flat_map(words);
            (want.map(|at| values[at] as f64).collect(), to)
        }
        "cast" => {
            let values: Vec<usize> = (0..count).map(|i| i * 37 % 251).collect();
            let x = call.upload_whole(word(entry, "from"), &values)?;
            let out = call.upload_whole(word(entry, "to"), &vec![255; count])?;
            let call = call.tensor("x", &x).tensor("out", &out);
            sized(call, [("x", &turned), ("x", &turned)]).run()?;
            (turned.places().into_iter().map(|at| values[at] as f64).collect(), out)
        }
        "binary" => {
            let dtype = word(entry, "dtype");
            let values: Vec<usize> = (0..count).map(|i| i * 7 % 13).collect();
            let (a, b) = (call.upload_whole(dtype, &values)?, call.upload_whole(dtype, &values)?);
            let y = call.upload_whole(dtype, &vec![255; count])?;
            let call = call.tensor("a", &a).tensor("b", &b).tensor("y", &y);
            sized(call, [("a", &turned), ("b", &repeated)]).run()?;
            let pairs = turned.places().into_iter().zip(repeated.places());
            let combine = |(a, b): (usize, usize)| {
                let (a, b) = (values[a] as f64, values[b] as f64);
                match word(entry, "op") {
                    "add" => a + b,
                    "sub" => a - b,
                    _ => a * b,
                }
            };
            (pairs.map(combine).collect(), y)
        }
        other => return Err(Wrong::Other(format!("{}: no reference of {other}", entry.name))),
    };
    let got = result.read(device)?;
    let differ = got.iter().zip(&want).filter(|(got, want)| got != want).count();
    seen.add(&format!("{}, other values", entry.name), differ as f64, 0.5);
    Ok(())
}
