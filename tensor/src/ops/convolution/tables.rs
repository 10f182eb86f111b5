//! Lattices as the kernels of `ptx/kernels/include/gather.ptx` read them, kept on the accelerator.

use crate::Result;
use crate::accelerator::Accelerator;
use crate::kernels::convolution::{Direction, Geometry, Lattice};
use std::sync::Arc;
use vincie_gpu::Buffer;

/// Words before the terms.
const HEADER: usize = 32;

/// A lattice, there and here.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    pub(crate) lattice: Lattice,
    pub(crate) words: Buffer<i32>,
}

/// What tables depend on.
pub(crate) type Key = (Geometry, Direction);

/// The lattices of a convolution, uploaded at its first use.
pub(crate) fn tables(
    place: &Accelerator,
    geometry: &Geometry,
    direction: Direction,
) -> Result<Arc<[Table]>> {
    place.lattices((*geometry, direction), || {
        let upload = |lattice: Lattice| {
            let words = place.stream().upload(&words(&lattice), "convolution")?;
            Ok(Table { lattice, words })
        };
        Lattice::all(geometry, direction).into_iter().map(upload).collect()
    })
}

fn words(lattice: &Lattice) -> Vec<i32> {
    let triples =
        [lattice.size, lattice.origin, lattice.step, lattice.scale, lattice.to, lattice.from];
    let mut words: Vec<i32> = triples.iter().flatten().map(|&word| word as i32).collect();
    words.extend([i32::from(lattice.repeats_first), 0]);
    for size in lattice.size.into_iter().rev() {
        words.extend(divisor(size as u32).map(u32::cast_signed));
    }
    words.resize(HEADER, 0);
    for term in &lattice.terms {
        words.extend(term.shift);
        words.push(term.tap as i32);
    }
    words
}

/// Multiplier and shift with `x / size = x * multiplier >> shift` for all x below 2^31.
fn divisor(size: u32) -> [u32; 2] {
    let shift = 31 + size.next_power_of_two().trailing_zeros();
    let multiplier = (1u64 << shift).div_ceil(u64::from(size));
    [multiplier as u32, shift]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn multipliers_divide_exactly() {
        for size in (1..2000).chain([4095, 4097, 65_535, 1 << 20, (1 << 30) - 1, 1 << 30]) {
            let [multiplier, shift] = divisor(size);
            let most = (1u32 << 31) - 1;
            let places =
                (0..50).flat_map(|i| [i, i * size.min(1 << 20), i * size.min(1 << 20) + 1]);
            let last = most / size * size;
            for x in places.chain([most, last, last - 1]).filter(|&x| x <= most) {
                let quotient = (u64::from(x) * u64::from(multiplier)) >> shift;
                assert_eq!(quotient, u64::from(x / size), "{x} / {size}");
            }
        }
    }
}
