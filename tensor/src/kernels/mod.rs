//! CPU kernels over plain `f32` slices: no tensors, no allocation in inner loops, and results that
//! do not depend on the number of threads.

pub mod attention;
mod disjoint;
mod math;
mod product;
mod scratch;
mod simd;

pub use simd::{Level, SIMD_VARIABLE, Simd};
