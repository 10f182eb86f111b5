//! Kernels of the catalogue on the machine, with all checks, against plain loops in f64.

mod attention;
mod convolution;
mod coverage;
mod device;
mod elementwise;
mod expect;
mod families;
mod flow;
mod gated;
mod group_norm;
mod matmul;
mod norm;
mod normalise;
mod parts;
mod random;
mod rows;
mod strided;
mod update;
