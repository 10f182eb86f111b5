//! f32 to bf16 and back. Rounding is to nearest even; NaN stays NaN with its sign, made quiet.

use super::disjoint::Disjoint;
use super::elementwise::CHUNK;
use super::simd::{Kernel, Lane, Simd};
use half::bf16;
use rayon::prelude::*;

/// to = bf16(from).
pub fn to_bf16(simd: Simd, from: &[f32], to: &mut [bf16]) {
    convert(simd, from, to, narrow);
}

/// to = f32(from), which is exact.
pub fn from_bf16(simd: Simd, from: &[bf16], to: &mut [f32]) {
    convert(simd, from, to, |x| f32::from_bits(u32::from(x.to_bits()) << 16));
}

/// Branch-free, so that the loop over it becomes vector code. Denormals round like all others, which
/// the conversion instruction of AVX512-BF16 would not do.
#[inline(always)]
fn narrow(x: f32) -> bf16 {
    let bits = x.to_bits();
    let rounded = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16;
    let quiet = bits >> 16 | 0x40;
    let is_nan = bits & 0x7fff_ffff > 0x7f80_0000;
    bf16::from_bits(if is_nan { quiet } else { rounded } as u16)
}

fn convert<A: Copy + Sync, B: Send>(
    simd: Simd,
    from: &[A],
    to: &mut [B],
    function: impl Fn(A) -> B + Sync + Copy,
) {
    assert_eq!(from.len(), to.len(), "operands differ in length");
    let len = to.len();
    if len <= CHUNK {
        return simd.run(Convert { from, to, function });
    }
    let to = Disjoint::new(to);
    from.par_chunks(CHUNK).enumerate().for_each(|(index, from)| {
        // SAFETY: tasks own disjoint chunks.
        let to = unsafe { to.part(index * CHUNK, from.len()) };
        simd.run(Convert { from, to, function });
    });
}

struct Convert<'a, A, B, F> {
    from: &'a [A],
    to: &'a mut [B],
    function: F,
}

impl<A: Copy, B, F: Fn(A) -> B> Kernel for Convert<'_, A, B, F> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lane>(self) {
        for (to, &from) in self.to.iter_mut().zip(self.from) {
            *to = (self.function)(from);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_equals_the_half_crate_for_all_kinds_of_values() {
        let mut x: Vec<f32> = (0..=u32::from(u16::MAX))
            .flat_map(|high| {
                [0, 1, 0x7fff, 0x8000, 0x8001].map(|low| f32::from_bits(high << 16 | low))
            })
            .collect();
        x.push(f32::MAX);
        for simd in Simd::available() {
            let mut narrow = vec![bf16::ZERO; x.len()];
            to_bf16(simd, &x, &mut narrow);
            for (&x, got) in x.iter().zip(&narrow) {
                assert_eq!(got.to_bits(), bf16::from_f32(x).to_bits(), "{simd:?} {x:e}");
            }
            let mut wide = vec![0.0; x.len()];
            from_bf16(simd, &narrow, &mut wide);
            for (narrow, wide) in narrow.iter().zip(&wide) {
                assert_eq!(narrow.to_f32().to_bits(), wide.to_bits());
            }
            to_bf16(simd, &[], &mut []);
        }
    }
}
