//! In-place arithmetic that no tape records: accumulation, the optimizer's step, averages.

use crate::kernels::{Simd, update};
use crate::{Result, Tensor};

pub use crate::accelerator::{AdamWState, adamw_on, add_on, clip_on, ema_on};
pub use crate::kernels::update::AdamW;

impl AdamW {
    /// One step of a parameter `values` with its gradient and moments, all of one length.
    pub fn apply(&self, values: &mut [f32], gradient: &[f32], m: &mut [f32], v: &mut [f32]) {
        update::adamw(Simd::detect(), self, update::Parameters { values, gradient, m, v });
    }

    /// The constants of the step as kernels of a device read them, `[8]`, on the host.
    pub fn constants(&self) -> Result<Tensor> {
        let constants = self.constants_of_step();
        Tensor::from_slice(&constants, [constants.len()])
    }
}

/// `y += x`.
pub fn add_assign(y: &mut [f32], x: &[f32]) {
    update::add_assign(Simd::detect(), y, x);
}

/// `average = decay average + (1 - decay) x`.
pub fn ema(average: &mut [f32], x: &[f32], decay: f32) {
    update::ema(Simd::detect(), average, x, decay);
}

/// Sum of squares in a fixed order, in f64.
pub fn sum_of_squares(x: &[f32]) -> f64 {
    update::sum_of_squares(Simd::detect(), x)
}
