//! Whole-stack tests: one target, a module a concern.

mod device_ops; // The same on an emulated device, and its gradients against those of the CPU.
mod ops; // Every op against its f64 reference, and its gradient against central differences.
mod tidy; // Rules of the house that a compiler does not check.
