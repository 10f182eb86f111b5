//! The vector of `f32` that kernels are written over.

use half::bf16;
use std::ops::{Add, Div, Mul, Sub};

/// A vector of [`Lane::WIDTH`] floats in a register.
pub(crate) trait Lane:
    Copy + Add<Output = Self> + Sub<Output = Self> + Mul<Output = Self> + Div<Output = Self>
{
    /// Floats in a vector, a divisor of 16.
    const WIDTH: usize;
    /// Rows of the register tile of a product, a divisor of 8.
    const TILE_ROWS: usize;
    /// Most vectors in a row of that tile, at most three. With sixteen registers it is two: twelve
    /// sums and four operands leave the compiler no register to move through.
    const TILE_VECTORS: usize;

    /// `value` in every place.
    fn splat(value: f32) -> Self;

    /// Reads `WIDTH` floats.
    ///
    /// # Safety
    /// `from` must be valid for reading `WIDTH` floats; it need not be aligned.
    unsafe fn load(from: *const f32) -> Self;

    /// Writes `WIDTH` floats.
    ///
    /// # Safety
    /// `to` must be valid for writing `WIDTH` floats; it need not be aligned.
    unsafe fn store(self, to: *mut f32);

    /// Reads `from`, which holds at most `WIDTH` floats; missing ones are zero.
    fn read_part(from: &[f32]) -> Self;

    /// Writes the first `to.len()` floats; `to` has room for at most `WIDTH`.
    fn write_part(self, to: &mut [f32]);

    /// `self * factor + addend`, with one rounding where the instruction set has it.
    fn mul_add(self, factor: Self, addend: Self) -> Self;

    /// The larger of each pair; `other` where either is NaN.
    fn max(self, other: Self) -> Self;

    /// The smaller of each pair; `other` where either is NaN.
    fn min(self, other: Self) -> Self;

    /// Square root.
    fn sqrt(self) -> Self;

    /// Nearest integer, ties to even, for magnitudes below 2^22.
    fn round(self) -> Self;

    /// `self * 2^exponent` for integral exponents within [-280, 250].
    fn scale_by_power(self, exponent: Self) -> Self;

    /// Swaps the floats of each pair (2i, 2i + 1).
    fn swap_pairs(self) -> Self;

    /// `then` where `a < b`, else `otherwise`.
    fn where_less(a: Self, b: Self, then: Self, otherwise: Self) -> Self;

    /// Sum of all floats in a fixed order.
    fn sum(self) -> f32;

    /// `WIDTH` pairs of bf16.
    type Pairs: Copy;

    /// Reads `WIDTH` pairs.
    ///
    /// # Safety
    /// `from` must be valid for reading 2 `WIDTH` numbers; it need not be aligned.
    unsafe fn load_pairs(from: *const bf16) -> Self::Pairs;

    /// Reads one pair into every place.
    ///
    /// # Safety
    /// `from` must be valid for reading two numbers; it need not be aligned.
    unsafe fn splat_pair(from: *const bf16) -> Self::Pairs;

    /// `self` plus both products of each two pairs. How the three summands are rounded, and whether
    /// denormals count, is up to the level.
    fn add_products(self, a: Self::Pairs, b: Self::Pairs) -> Self;

    /// Reads the first `WIDTH` floats of `from`.
    #[inline(always)]
    fn read(from: &[f32]) -> Self {
        assert!(from.len() >= Self::WIDTH);
        // SAFETY: the slice holds `WIDTH` floats.
        unsafe { Self::load(from.as_ptr()) }
    }

    /// Writes the first `WIDTH` floats of `to`.
    #[inline(always)]
    fn write(self, to: &mut [f32]) {
        assert!(to.len() >= Self::WIDTH);
        // SAFETY: the slice has room for `WIDTH` floats.
        unsafe { self.store(to.as_mut_ptr()) }
    }

    /// Reads up to `WIDTH` floats of `from`; what is missing is zero.
    #[inline(always)]
    fn read_up_to(from: &[f32]) -> Self {
        if from.len() >= Self::WIDTH { Self::read(from) } else { Self::read_part(from) }
    }

    /// Zero in every place.
    #[inline(always)]
    fn zero() -> Self {
        Self::splat(0.0)
    }
}
