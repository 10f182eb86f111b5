//! The brightness and contrast change between two pictures of one scene: a robust line through
//! the grey values of each channel, so that a moving thing does not count as a change of light.

use crate::sample::plane::{Plane, median};
use serde::Serialize;

/// Rounds of reweighting.
const ROUNDS: usize = 6;
/// Weight, in pixels' worth, of the belief that nothing changed.
const PRIOR: f64 = 0.02;
/// Gains outside of this range are not a change of light.
const GAIN: (f64, f64) = (0.4, 2.5);
/// At most this many pixels are looked at.
const SAMPLES: usize = 6000;

/// `second = gain * first + offset`, per channel.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Exposure {
    /// Contrast, R G B.
    pub(crate) gain: [f32; 3],
    /// Grey levels, R G B.
    pub(crate) offset: [f32; 3],
}

impl Exposure {
    /// No change.
    pub(crate) const SAME: Self = Self { gain: [1.0; 3], offset: [0.0; 3] };

    /// Fits the change from `first` to `second`; pixels with `use_pixel` false do not count.
    pub(crate) fn between(
        first: &[Plane; 3],
        second: &[Plane; 3],
        use_pixel: impl Fn(usize) -> bool,
    ) -> Self {
        let count = first[0].data.len();
        let stride = count.div_ceil(SAMPLES).max(1);
        let picked: Vec<usize> = (0..count).step_by(stride).filter(|&i| use_pixel(i)).collect();
        if picked.is_empty() {
            return Self::SAME;
        }
        let mut exposure = Self::SAME;
        for channel in 0..3 {
            let pairs: Vec<(f32, f32)> =
                picked.iter().map(|&i| (first[channel].data[i], second[channel].data[i])).collect();
            (exposure.gain[channel], exposure.offset[channel]) = line(&pairs);
        }
        exposure
    }

    /// The planes as they would look under this change.
    pub(crate) fn applied(&self, planes: &[Plane; 3]) -> [Plane; 3] {
        [0, 1, 2].map(|c| {
            let (gain, offset) = (self.gain[c], self.offset[c]);
            let data = planes[c].data.iter().map(|v| gain * v + offset).collect();
            Plane::new(planes[c].width, planes[c].height, data)
        })
    }
}

/// Robust line through pairs of values: the first round takes the median offset for granted.
fn line(pairs: &[(f32, f32)]) -> (f32, f32) {
    let mut offsets: Vec<f32> = pairs.iter().map(|(a, b)| b - a).collect();
    let (mut gain, mut offset) = (1.0f64, f64::from(median(&mut offsets)));
    for _ in 0..ROUNDS {
        let residual = |a: f32, b: f32| f64::from(b) - gain * f64::from(a) - offset;
        let mut sizes: Vec<f32> = pairs.iter().map(|&(a, b)| residual(a, b).abs() as f32).collect();
        let cutoff = f64::from(4.685 * 1.4826 * median(&mut sizes)).max(6.0);
        let mut sums = [0.0f64; 5];
        for &(a, b) in pairs {
            let ratio = residual(a, b) / cutoff;
            if ratio.abs() >= 1.0 {
                continue;
            }
            let weight = (1.0 - ratio * ratio).powi(2);
            let (a, b) = (f64::from(a), f64::from(b));
            for (sum, value) in sums.iter_mut().zip([1.0, a, b, a * a, b * b]) {
                *sum += weight * value;
            }
        }
        let [n, a, b, aa, bb] = sums;
        if n <= 0.0 {
            break;
        }
        // Both pictures are noisy, so the gain is the ratio of their spreads; a regression of one
        // on the other would take noise for lost contrast. The prior pulls the gain to 1, which
        // decides where a channel has no contrast.
        let prior = PRIOR * n * 100.0;
        let spread = |sum: f64, squares: f64| (squares - sum * sum / n).max(0.0) + prior;
        gain = (spread(b, bb) / spread(a, aa)).sqrt().clamp(GAIN.0, GAIN.1);
        offset = (b - gain * a) / n;
    }
    (gain as f32, offset as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn planes(values: impl Fn(usize) -> f32) -> [Plane; 3] {
        let plane = Plane::new(40, 30, (0..1200).map(values).collect());
        [plane.clone(), plane.clone(), plane]
    }

    #[test]
    fn finds_a_change_of_light_behind_a_moving_thing() {
        let first = planes(|i| (i * 7 % 200) as f32);
        let second =
            planes(|i| if i % 40 < 12 { 250.0 } else { 0.8 * (i * 7 % 200) as f32 + 25.0 });
        let found = Exposure::between(&first, &second, |_| true);
        assert!((found.gain[0] - 0.8).abs() < 0.01, "{found:?}");
        assert!((found.offset[0] - 25.0).abs() < 1.0, "{found:?}");
    }

    #[test]
    fn flat_pictures_shift_and_keep_their_gain() {
        let found = Exposure::between(&planes(|_| 100.0), &planes(|_| 140.0), |_| true);
        assert!((found.gain[0] - 1.0).abs() < 1e-3, "{found:?}");
        assert!((found.offset[0] - 40.0).abs() < 0.2, "{found:?}");
        assert_eq!(
            Exposure::between(&planes(|_| 1.0), &planes(|_| 9.0), |_| false),
            Exposure::SAME
        );
    }
}
