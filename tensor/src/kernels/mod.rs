//! CPU kernels over plain `f32` slices: no tensors, no allocation in inner loops, and results that
//! do not depend on the number of threads.
//!
//! Every function takes the [`Simd`] level to run at; `Simd::detect()` is the usual answer. Lengths
//! and shapes are the caller's promise: a broken one is a panic that names both sizes.

pub mod attention;
pub mod convert;
pub mod convolution;
mod disjoint;
pub mod elementwise;
pub mod gate_residual;
pub mod group_norm;
pub mod layer_norm;
mod math;
pub mod matmul_bf16;
pub mod modulation;
pub mod mse;
pub mod peak;
mod product;
pub mod qk_norm_rotary;
pub mod rms_norm;
mod runs;
mod scratch;
mod simd;
pub mod softmax;
mod sweep;
pub mod swiglu;
pub mod update;

pub use simd::{Level, SIMD_VARIABLE, Simd};
