//! The straight path between data and noise, and the times at which it is walked.

use vincie_tensor::random::Key;

/// Time of pure noise; data is at 0.
pub const LAST_TIME: f32 = 1000.0;

/// Sampling times: trailing steps, shifted towards noise.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    times: Vec<f32>,
}

impl Schedule {
    /// `t_i = 1000 s u / (1 + (s - 1) u)` with `u = 1 - i / steps` for `i` in `0..steps`; the step after
    /// the last time leads to 0. Exactly `steps` times, where the official arithmetic gives one more
    /// for some counts.
    pub fn new(steps: usize, shift: f64) -> Self {
        Self::at((0..steps).map(|i| 1.0 - i as f64 / steps as f64), shift)
    }

    /// The times of fractions `u`, which fall from 1.
    pub fn at(fractions: impl Iterator<Item = f64>, shift: f64) -> Self {
        let time = |u: f64| (f64::from(LAST_TIME) * shift * u / (1.0 + (shift - 1.0) * u)) as f32;
        Self { times: fractions.map(time).collect() }
    }

    /// The times, falling.
    pub fn times(&self) -> &[f32] {
        &self.times
    }

    /// Pairs of a time and the one its step leads to.
    pub fn steps(&self) -> impl Iterator<Item = (f32, f32)> + '_ {
        let next = self.times[1.min(self.times.len())..].iter().copied().chain([0.0]);
        self.times.iter().copied().zip(next)
    }
}

/// A training time: `1000 sigmoid(location + scale z)` for a standard normal `z`, in f32 as the official
/// model computes it, then shifted like the sampling times (`shift` 1 leaves it as it is).
pub fn logit_normal(normal: f32, location: f32, scale: f32, shift: f32) -> f32 {
    let u = 1.0 / (1.0 + (-(location + scale * normal)).exp());
    if shift == 1.0 { LAST_TIME * u } else { LAST_TIME * shift * u / (1.0 + (shift - 1.0) * u) }
}

/// The training time of draw `index`.
pub fn training_time(key: Key, index: u64, location: f32, scale: f32, shift: f32) -> f32 {
    logit_normal(key.normal(index), location, scale, shift)
}

/// `x_t = (1 - t/T) x_0 + (t/T) noise`, element by element.
pub fn mix(data: &[f32], noise: &[f32], time: f32, to: &mut [f32]) {
    let share = time / LAST_TIME;
    for ((to, &data), &noise) in to.iter_mut().zip(data).zip(noise) {
        *to = (1.0 - share) * data + share * noise;
    }
}

/// `x_0 = x_t - (t/T) v`.
pub fn data_from_velocity(x: f32, velocity: f32, time: f32) -> f32 {
    x - time / LAST_TIME * velocity
}

/// `noise = x_t + (1 - t/T) v`.
pub fn noise_from_velocity(x: f32, velocity: f32, time: f32) -> f32 {
    x + (1.0 - time / LAST_TIME) * velocity
}

/// `v = (x_t - x_0) T / t`, for a model that predicts the data; `t` above 0.
pub fn velocity_from_data(x: f32, data: f32, time: f32) -> f32 {
    (x - data) * (LAST_TIME / time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_the_official_times() {
        let times = Schedule::new(50, 12.0);
        let expected = [1000.0, 998.302_2, 996.539_8, 994.709, 992.805_8];
        for (a, b) in times.times().iter().zip(expected) {
            assert!((a - b).abs() < 1e-3, "{a} {b}");
        }
        assert!((times.times()[49] - 196.7213).abs() < 1e-3);
        assert_eq!(times.steps().last().map(|(_, next)| next), Some(0.0));
    }

    #[test]
    fn never_has_a_step_too_many() {
        for steps in [1, 2, 49, 98, 103, 107, 196, 197, 1000] {
            assert_eq!(Schedule::new(steps, 12.0).steps().count(), steps);
        }
        assert_eq!(Schedule::new(0, 12.0).steps().count(), 0);
    }

    #[test]
    fn conversions_undo_each_other() {
        let (data, noise, t) = (0.3f32, -1.2f32, 700.0);
        let mut x = [0.0];
        mix(&[data], &[noise], t, &mut x);
        let v = noise - data;
        assert!((data_from_velocity(x[0], v, t) - data).abs() < 1e-6);
        assert!((noise_from_velocity(x[0], v, t) - noise).abs() < 1e-6);
        assert!((velocity_from_data(x[0], data, t) - v).abs() < 1e-5);
    }
}
