//! The Euler sampler.

use super::{LAST_TIME, Schedule};
use crate::Result;

/// `x <- x + (next - time) / T * velocity`.
pub fn euler_step(x: &mut [f32], velocity: &[f32], time: f32, next: f32) {
    let factor = (next - time) / LAST_TIME;
    for (x, &v) in x.iter_mut().zip(velocity) {
        *x += factor * v;
    }
}

/// Walks `x` from noise to data. `velocity` gets the step's number, its time and `x`.
pub fn sample(
    x: &mut [f32],
    schedule: &Schedule,
    mut velocity: impl FnMut(usize, f32, &[f32]) -> Result<Vec<f32>>,
) -> Result<()> {
    for (step, (time, next)) in schedule.steps().enumerate() {
        let v = velocity(step, time, x)?;
        euler_step(x, &v, time, next);
    }
    Ok(())
}
