//! Kernels of the catalogue on the machine, with all checks, against plain loops in f64.

mod attention;
mod device;
mod matmul;
