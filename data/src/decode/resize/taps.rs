//! Which source samples make one output sample, and with what weights, along one axis.

/// Kernel of [`resize`](super::resize).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// Exact average over the area an output pixel covers in the source. Never overshoots; the
    /// right choice for making pictures smaller and for masks.
    Area,
    /// Cubic convolution with a = -1/2 (Keys 1981), widened by the scale when making pictures
    /// smaller. Bit for bit what `Image.resize` of Pillow up to version 12 gives with its default
    /// filter (VINCIE 3B specification, section 7); version 13 may run the vertical pass first,
    /// which rounds differently.
    Bicubic,
}

/// Weights along one axis: output `i` is made of the samples from `first[i]` on.
pub(super) struct Taps<W> {
    first: Vec<usize>,
    /// `count[i]` weights of each output, at `i * stride`; they sum to 1.
    weights: Vec<W>,
    count: Vec<usize>,
    stride: usize,
}

impl Taps<f64> {
    /// Taps that map the interval `[start, start + extent)` of `source` samples onto `outputs`
    /// samples.
    pub(super) fn new(source: usize, start: f64, extent: f64, outputs: usize, f: Filter) -> Self {
        let scale = extent / outputs as f64;
        let reach = match f {
            Filter::Area => scale / 2.0,
            Filter::Bicubic => 2.0 * scale.max(1.0),
        };
        let stride = 2 * reach.ceil() as usize + 2;
        let mut taps = Self {
            first: Vec::with_capacity(outputs),
            weights: vec![0.0; stride * outputs],
            count: Vec::with_capacity(outputs),
            stride,
        };
        for (output, weights) in taps.weights.chunks_exact_mut(stride).enumerate() {
            let centre = start + (output as f64 + 0.5) * scale;
            let (low, high) = match f {
                Filter::Area => ((centre - reach).floor(), (centre + reach).ceil()),
                Filter::Bicubic => ((centre - reach + 0.5).trunc(), (centre + reach + 0.5).trunc()),
            };
            // The last interval may end a rounding error behind the last sample.
            let first = (low.max(0.0) as usize).min(source - 1);
            let end = (high.max(0.0) as usize).clamp(first + 1, source).min(first + stride);
            for (sample, weight) in (first..end).zip(weights.iter_mut()) {
                let sample = sample as f64;
                *weight = match f {
                    Filter::Area => (sample + 1.0).min(centre + reach) - sample.max(centre - reach),
                    Filter::Bicubic => cubic((sample - centre + 0.5) * (1.0 / scale.max(1.0))),
                };
            }
            let weights = &mut weights[..end - first];
            let sum: f64 = weights.iter().sum();
            assert!(sum > 0.0, "no weight for output {output} of {outputs} from {source} samples");
            weights.iter_mut().for_each(|weight| *weight /= sum);
            taps.first.push(first);
            taps.count.push(end - first);
        }
        taps
    }

    /// The same taps with weights of another type.
    pub(super) fn with_weights<W>(self, convert: impl Fn(f64) -> W) -> Taps<W> {
        let weights = self.weights.into_iter().map(convert).collect();
        Taps { first: self.first, weights, count: self.count, stride: self.stride }
    }
}

impl Taps<f32> {
    /// Taps of [`Filter::Bicubic`] over whole axes in single precision, with the roundings of
    /// `torch.nn.functional.interpolate(mode="bicubic", antialias=True)`: centre, argument, weight and
    /// sum are each `f32`, and products are added without being rounded before.
    pub(super) fn single(source: usize, outputs: usize) -> Self {
        let scale = source as f32 / outputs as f32;
        let reach = 2.0 * scale.max(1.0);
        let inverse = if scale >= 1.0 { 1.0 / scale } else { 1.0 };
        let stride = 2 * reach.ceil() as usize + 2;
        let mut taps = Self {
            first: Vec::with_capacity(outputs),
            weights: vec![0.0; stride * outputs],
            count: Vec::with_capacity(outputs),
            stride,
        };
        for (output, weights) in taps.weights.chunks_exact_mut(stride).enumerate() {
            let centre = (f64::from(scale) * (output as f64 + 0.5)) as f32;
            let end = f64::from(centre + reach) + 0.5;
            let low = f64::from(centre - reach) + 0.5;
            let first = (low.max(0.0) as usize).min(source - 1);
            let end = (end.max(0.0) as usize).clamp(first + 1, source).min(first + stride);
            let mut sum = 0.0_f32;
            for (sample, weight) in (first..end).zip(weights.iter_mut()) {
                let distance = f64::from(sample as f32 - centre) + 0.5;
                *weight = cubic_single((distance * f64::from(inverse)) as f32);
                sum += *weight;
            }
            weights[..end - first].iter_mut().for_each(|weight| *weight /= sum);
            taps.first.push(first);
            taps.count.push(end - first);
        }
        taps
    }
}

impl<W> Taps<W> {
    /// Number of outputs.
    pub(super) fn outputs(&self) -> usize {
        self.first.len()
    }

    /// First source sample and weights of each output, in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &[W])> {
        let weights = self.weights.chunks_exact(self.stride);
        let taps = self.first.iter().zip(&self.count).zip(weights);
        taps.map(|((&first, &count), weights)| (first, &weights[..count]))
    }
}

/// Keys' kernel with a = -1/2.
fn cubic(x: f64) -> f64 {
    const A: f64 = -0.5;
    let x = x.abs();
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}

/// `a b + c`, rounded once to `f64` and once to `f32`.
pub(super) fn multiply_add(a: f32, b: f32, c: f32) -> f32 {
    (f64::from(a) * f64::from(b) + f64::from(c)) as f32
}

/// [`cubic`] in single precision.
fn cubic_single(x: f32) -> f32 {
    const A: f32 = -0.5;
    let x = x.abs();
    if x < 1.0 {
        multiply_add(multiply_add(A + 2.0, x, -(A + 3.0)) * x, x, 1.0)
    } else if x < 2.0 {
        multiply_add(multiply_add(x - 5.0, x, 8.0), x, -4.0) * A
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_sum_to_one_and_stay_inside() {
        for filter in [Filter::Area, Filter::Bicubic] {
            for source in [1, 2, 3, 7, 64, 1001] {
                for outputs in [1, 2, 5, 64, 333] {
                    for (start, share) in [(0.0, 1.0), (0.125, 0.5), (0.3, 0.7)] {
                        let whole = source as f64;
                        let taps = Taps::new(source, start * whole, share * whole, outputs, filter);
                        assert_eq!(taps.outputs(), outputs);
                        for (first, weights) in taps.iter() {
                            let sum: f64 = weights.iter().sum();
                            assert!((sum - 1.0).abs() < 1e-9, "{filter:?} {source} {outputs}");
                            assert!(first + weights.len() <= source);
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn single_precision_has_the_same_taps_but_for_rounding() {
        for (source, outputs) in [(72, 55), (30, 55), (7, 7), (1, 5), (9, 1)] {
            let wide = Taps::new(source, 0.0, source as f64, outputs, Filter::Bicubic);
            let single = Taps::single(source, outputs);
            // Rounding may take in a tap at the very end of the kernel, whose weight is about 0.
            for ((first, weights), (first_single, single)) in wide.iter().zip(single.iter()) {
                let mut difference = vec![0.0; source];
                weights.iter().enumerate().for_each(|(i, w)| difference[first + i] += w);
                for (i, &weight) in single.iter().enumerate() {
                    difference[first_single + i] -= f64::from(weight);
                }
                let worst = difference.iter().fold(0.0, |worst: f64, d| worst.max(d.abs()));
                assert!(worst < 5e-6, "{source} to {outputs}: {worst}");
            }
        }
    }

    #[test]
    fn an_area_is_covered_exactly() {
        let taps = Taps::new(5, 0.0, 5.0, 2, Filter::Area);
        let expected = [(0, &[0.4, 0.4, 0.2][..]), (2, &[0.2, 0.4, 0.4][..])];
        assert!(taps.iter().eq(expected));
    }
}
