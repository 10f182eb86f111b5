//! The machine's f32 arithmetic peak, measured: what utilisation is a share of.

use super::simd::{Kernel, Lane, Simd};
use rayon::prelude::*;
use std::time::Instant;

/// Chains of multiply-adds that run beside each other: enough to hide their latency.
const CHAINS: usize = 12;

/// Links of a chain in one measurement; about a millisecond.
const LINKS: usize = 60_000;

/// Measurements, of which the best counts.
const REPEATS: usize = 5;

struct Chains;

impl Kernel for Chains {
    /// Operations done, and a value that depends on them all.
    type Output = (u64, f32);

    #[inline(always)]
    fn run<L: Lane>(self) -> (u64, f32) {
        let (factor, summand) =
            (L::splat(std::hint::black_box(0.999_9)), L::splat(std::hint::black_box(1e-4)));
        let mut chains = [L::splat(1.0); CHAINS];
        for _ in 0..LINKS {
            for chain in &mut chains {
                *chain = chain.mul_add(factor, summand);
            }
        }
        let sum = chains.into_iter().fold(0.0, |sum, chain| sum + chain.sum());
        ((2 * CHAINS * LINKS * L::WIDTH) as u64, sum)
    }
}

/// FLOP/s of all threads of the current pool together. Takes a few milliseconds.
pub fn flops() -> f64 {
    let threads = rayon::current_num_threads();
    let simd = Simd::detect();
    let once = || {
        let begin = Instant::now();
        let results: Vec<(u64, f32)> =
            (0..threads).into_par_iter().map(|_| simd.run(Chains)).collect();
        let done: u64 = results
            .iter()
            .map(|(operations, sum)| std::hint::black_box(*sum).is_finite() as u64 * operations)
            .sum();
        done as f64 / begin.elapsed().as_secs_f64()
    };
    (0..REPEATS).map(|_| once()).fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_machine_reaches_a_hundred_megaflops() {
        assert!(flops() > 1e8);
    }
}
