//! Exact arithmetic in the formats and rounding modes of the ISA.

mod approx;
mod directed;
mod half;
mod round;

pub(crate) use self::half::{bf16x2, f16x2, halves, to_f32_bf16, to_f32_f16};
pub(crate) use approx::*;
pub(crate) use directed::*;
pub(crate) use round::{
    BF16, F16, F32, F64, Format, Mode, TF32, from_f64, from_integer, to_e4m3, to_e5m2,
};
