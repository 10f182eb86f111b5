//! One algorithm text, several instruction sets: a kernel is written over [`Lane`], and
//! [`Simd::run`] compiles and calls it for AVX-512, AVX2 with FMA, or plain Rust.
//!
//! Invariant: the vector types are named nowhere but here, and [`Simd`] holds only a level that
//! this machine has. So whoever has an `L: Lane` may use its instructions.

mod lane;
mod portable;
#[cfg(target_arch = "x86_64")]
mod x86;

pub(crate) use lane::Lane;

use half::bf16;
use std::sync::OnceLock;

/// Environment variable that lowers the level: `avx512bf16`, `avx512`, `avx2` or `portable`.
pub const SIMD_VARIABLE: &str = "VINCIE_SIMD";

/// An instruction set a kernel can be compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Plain Rust, vectorised by the compiler for the target's baseline.
    Portable,
    /// AVX2 with FMA, 8 floats a vector.
    Avx2,
    /// AVX-512 F, VL, BW and DQ, 16 floats a vector.
    Avx512,
    /// The same with AVX512-BF16, the dot product of bf16 pairs.
    Avx512Bf16,
}

impl Level {
    /// Every level, lowest first.
    pub const ALL: [Self; 4] = [Self::Portable, Self::Avx2, Self::Avx512, Self::Avx512Bf16];

    /// Name of the level in [`SIMD_VARIABLE`].
    pub fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
            Self::Avx512Bf16 => "avx512bf16",
        }
    }

    fn is_supported(self) -> bool {
        match self {
            Self::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => x86::has_avx2(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => x86::has_avx512(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Bf16 => x86::has_avx512_bf16(),
            #[cfg(not(target_arch = "x86_64"))]
            Self::Avx2 | Self::Avx512 | Self::Avx512Bf16 => false,
        }
    }
}

/// A level that this machine supports. Results of different levels differ by rounding only.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Simd(Level);

impl Simd {
    /// The best level of this machine, or a lower one that [`SIMD_VARIABLE`] names. A name that is
    /// unknown or not supported here is ignored. The answer is found once per process.
    pub fn detect() -> Self {
        static DETECTED: OnceLock<Simd> = OnceLock::new();
        *DETECTED.get_or_init(|| {
            let asked = std::env::var(SIMD_VARIABLE).ok();
            let named = asked.and_then(|name| Self::available().find(|s| s.0.name() == name));
            named.or_else(|| Self::available().last()).unwrap_or(Self(Level::Portable))
        })
    }

    /// The levels this machine supports, lowest first.
    pub fn available() -> impl Iterator<Item = Self> {
        Level::ALL.into_iter().filter(|level| level.is_supported()).map(Self)
    }

    /// Which instruction set this is.
    pub fn level(self) -> Level {
        self.0
    }

    /// Calls the kernel, compiled for this level.
    #[inline]
    pub(crate) fn run<K: Kernel>(self, kernel: K) -> K::Output {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `self` exists, so the CPU has the features of its level.
            Level::Avx512 | Level::Avx512Bf16 => unsafe { x86::run_avx512(kernel) },
            #[cfg(target_arch = "x86_64")]
            // SAFETY: as above.
            Level::Avx2 => unsafe { x86::run_avx2(kernel) },
            _ => kernel.run::<portable::Portable>(),
        }
    }

    /// As [`Simd::run`], for kernels that multiply bf16 pairs. A method of its own, so that all
    /// others are compiled for one form of AVX-512.
    #[inline]
    pub(crate) fn run_with_bf16<K: Kernel>(self, kernel: K) -> K::Output {
        match self.0 {
            #[cfg(target_arch = "x86_64")]
            // SAFETY: `self` exists, so the CPU has the features of its level.
            Level::Avx512Bf16 => unsafe { x86::run_avx512_bf16(kernel) },
            _ => self.run(kernel),
        }
    }
}

/// Asks for the cache line at `place` to be brought into the second-level cache; any address will do.
#[inline(always)]
pub(crate) fn prefetch(place: *const f32) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch is a hint that never faults, and SSE is in the baseline of x86-64.
    unsafe {
        std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T1 }>(place.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = place;
}

/// Asks for all lines of a slice.
#[inline(always)]
pub(crate) fn prefetch_all(slice: &[f32]) {
    const LINE: usize = 16;
    for line in slice.chunks(LINE) {
        prefetch(line.as_ptr());
    }
}

/// Side of the block that [`transpose_block`] moves.
pub(crate) const BLOCK: usize = 4;

/// Writes the transposed [`BLOCK`] x [`BLOCK`] block at `from`, times `factor`, to `to`, where rows
/// lie `from_leading` and `to_leading` floats apart.
///
/// # Safety
/// `from` must be valid for reading the block and `to` for writing it.
#[inline(always)]
pub(crate) unsafe fn transpose_block(
    from: *const f32,
    from_leading: usize,
    factor: f32,
    to: *mut f32,
    to_leading: usize,
) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: SSE is in the baseline of x86-64; the caller answers for the memory.
    unsafe {
        x86::transpose_block(from, from_leading, factor, to, to_leading);
    }
    #[cfg(not(target_arch = "x86_64"))]
    for i in 0..BLOCK {
        for j in 0..BLOCK {
            // SAFETY: the caller answers for the memory of both blocks.
            unsafe { *to.add(j * to_leading + i) = *from.add(i * from_leading + j) * factor };
        }
    }
}

/// Writes the transposed block of [`BLOCK`] x [`BLOCK`] pairs at `from` to `to`, where rows lie
/// `from_leading` numbers and `to_leading` pairs apart.
///
/// # Safety
/// `from` must be valid for reading the block and `to` for writing it.
#[inline(always)]
pub(crate) unsafe fn transpose_pairs(
    from: *const bf16,
    from_leading: usize,
    to: *mut bf16,
    to_leading: usize,
) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: SSE is in the baseline of x86-64; the caller answers for the memory.
    unsafe {
        x86::transpose_pairs(from, from_leading, to, to_leading);
    }
    #[cfg(not(target_arch = "x86_64"))]
    for i in 0..BLOCK {
        for j in 0..BLOCK {
            // SAFETY: the caller answers for the memory of both blocks.
            unsafe {
                let pair = from.add(i * from_leading + 2 * j).cast::<u32>().read_unaligned();
                to.add(2 * (j * to_leading + i)).cast::<u32>().write_unaligned(pair);
            }
        }
    }
}

/// A computation that is generic over the vector type. `run` must be `#[inline(always)]`, and so
/// must be everything in it that handles vectors: only what is inlined into the entry point of a
/// level is compiled with its instructions.
pub(crate) trait Kernel {
    type Output;

    fn run<L: Lane>(self) -> Self::Output;
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Probe;

    impl Kernel for Probe {
        type Output = usize;

        #[inline(always)]
        fn run<L: Lane>(self) -> usize {
            let numbers: Vec<f32> = (0..L::WIDTH).map(|i| i as f32 + 1.0).collect();
            let x = L::read(&numbers);
            let mut out = vec![0.0; L::WIDTH];

            x.swap_pairs().write(&mut out);
            for i in 0..L::WIDTH {
                assert_eq!(out[i], numbers[i ^ 1]);
            }
            assert_eq!(x.sum(), (L::WIDTH * (L::WIDTH + 1) / 2) as f32);
            for n in 0..=L::WIDTH {
                let part = L::read_part(&numbers[..n]);
                part.write(&mut out);
                let expected: Vec<f32> =
                    (0..L::WIDTH).map(|i| if i < n { numbers[i] } else { 0.0 }).collect();
                assert_eq!(out, expected, "read_part of {n}");
                let mut short = vec![-1.0; L::WIDTH];
                x.write_part(&mut short[..n]);
                for i in 0..L::WIDTH {
                    assert_eq!(short[i], if i < n { numbers[i] } else { -1.0 });
                }
            }
            let nan = L::splat(f32::NAN);
            L::splat(1.0).max(nan).write(&mut out);
            assert!(out[0].is_nan(), "the second operand of max wins where either is NaN");
            L::where_less(x, L::splat(2.0), L::splat(-1.0), L::splat(1.0)).write(&mut out);
            assert_eq!(&out[..3], &[-1.0, 1.0, 1.0]);
            for (value, rounded) in [(2.5f32, 2.0f32), (3.5, 4.0), (-0.4, 0.0), (-1.6, -2.0)] {
                L::splat(value).round().write(&mut out);
                assert_eq!(out[0], rounded);
            }
            for (value, exponent) in [(1.5, 0.0), (1.5, 127.0), (1.25, -140.0), (1.0, -149.0)] {
                L::splat(value).scale_by_power(L::splat(exponent)).write(&mut out);
                let expected = f64::from(value) * f64::from(exponent).exp2();
                assert_eq!(f64::from(out[0]), expected, "{value} * 2^{exponent}");
            }
            L::WIDTH
        }
    }

    #[test]
    fn every_level_computes_the_same_primitives() {
        let widths: Vec<usize> = Simd::available().map(|simd| simd.run(Probe)).collect();
        assert_eq!(widths[..], [4, 8, 16, 16][..widths.len()]);
    }

    #[test]
    fn blocks_are_transposed_and_scaled() {
        let from: Vec<f32> = (0..7 * BLOCK as u16).map(f32::from).collect();
        let mut to = vec![-1.0; 5 * BLOCK];
        // SAFETY: four rows of four floats, 7 and 5 apart, lie inside the vectors.
        unsafe { transpose_block(from.as_ptr(), 7, 0.5, to.as_mut_ptr(), 5) };
        for j in 0..BLOCK {
            for i in 0..BLOCK {
                assert_eq!(to[j * 5 + i], from[i * 7 + j] * 0.5);
            }
            assert_eq!(to[j * 5 + BLOCK], -1.0);
        }
    }

    #[test]
    fn detection_answers_with_an_available_level() {
        assert!(Simd::available().any(|simd| simd == Simd::detect()));
    }
}
