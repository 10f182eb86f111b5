//! Classifier-free guidance.

use half::bf16;

/// How strongly, and for how long, the prompt is preferred over the negative prompt.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Guidance {
    /// `v = negative + scale (positive - negative)`; 1 needs no negative branch.
    pub scale: f32,
    /// Share by which the result's deviation per token is brought back to the positive branch's.
    pub rescale: f32,
    /// Share of the steps, from the start, that are guided.
    pub partial: f32,
    /// Whether the combination is rounded to bf16 after every operation, as the official 7B run does.
    pub is_bf16: bool,
}

impl Default for Guidance {
    fn default() -> Self {
        Self { scale: 1.0, rescale: 0.0, partial: 1.0, is_bf16: false }
    }
}

impl Guidance {
    /// The scale of step `step` of `steps`, counted from 0: 1 once `(step + 1) / steps` passes `partial`.
    pub fn scale_at(&self, step: usize, steps: usize) -> f32 {
        if (step + 1) as f32 / steps as f32 > self.partial { 1.0 } else { self.scale }
    }
}

/// Combines both branches, rows of `width` channels, into `positive`.
pub fn guide(
    positive: &mut [f32],
    negative: &[f32],
    width: usize,
    scale: f32,
    rescale: f32,
    is_bf16: bool,
) {
    let round = |x: f32| if is_bf16 { bf16::from_f32(x).to_f32() } else { x };
    for (row, negative) in positive.chunks_exact_mut(width).zip(negative.chunks_exact(width)) {
        let before = deviation(row);
        for (p, &n) in row.iter_mut().zip(negative) {
            *p = round(n + round(scale * round(*p - n)));
        }
        if rescale > 0.0 {
            let factor = rescale * (before / deviation(row)) + (1.0 - rescale);
            row.iter_mut().for_each(|p| *p *= factor);
        }
    }
}

/// Unbiased standard deviation over the channels of one token.
fn deviation(row: &[f32]) -> f32 {
    let n = row.len() as f64;
    let mean = row.iter().map(|&x| f64::from(x)).sum::<f64>() / n;
    let sum: f64 = row.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum();
    (sum / (n - 1.0)).sqrt() as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partial_guidance_ends_on_time() {
        let half = Guidance { scale: 7.5, partial: 0.5, ..Guidance::default() };
        let scales: Vec<f32> = (0..4).map(|i| half.scale_at(i, 4)).collect();
        assert_eq!(scales, [7.5, 7.5, 1.0, 1.0]);
    }

    #[test]
    fn full_rescale_restores_the_deviation() {
        let mut positive = [1.0, 2.0, 4.0, -1.0];
        let before = deviation(&positive);
        guide(&mut positive, &[0.0, 1.0, -2.0, 0.5], 4, 5.0, 1.0, false);
        assert!((deviation(&positive) - before).abs() < 1e-5);
    }
}
