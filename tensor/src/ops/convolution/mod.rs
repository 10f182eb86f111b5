//! Convolution in time, height and width, channels last, causal in time: clips are continued to the
//! front by copies of their first frame (VINCIE 3B specification, section 2.1).

mod cpu;
mod gpu;
pub(crate) mod tables;

use super::{Operation, Spec, arity, float, place_of, result_dtype, shaped};
use crate::accelerator::Accelerator;
use crate::kernels::convolution::Geometry;
use crate::reference::Array;
use crate::{Error, Result, Shape, Tensor};

/// Parameters of the op. Inputs are `x` `[B, T, H, W, channels]`, `weight`
/// `[filters, Kt, Kh, Kw, channels]` and, where `has_bias`, a bias `[filters]`, which has no say in the
/// result's type and is best kept in f32; the result is `[B, T', H', W', filters]`. A picture is a clip of one frame with Kt = 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Convolution {
    /// Steps in time, height and width, at least 1.
    pub stride: [usize; 3],
    /// Copies of the first frame in front of the clip.
    pub front: usize,
    /// Zeros above and below, left and right of each frame.
    pub padding: [[usize; 2]; 2],
    /// A third input is added to every pixel.
    pub has_bias: bool,
}

/// Largest size of an axis, padding included, and largest stride.
const MAX_SIZE: usize = 1 << 30;

impl Convolution {
    fn geometry(&self, x: Shape, weight: Shape) -> Result<Geometry> {
        let fail = |what: String| Err(Error::shape(Self::NAME, what));
        if x.rank() != 5 || weight.rank() != 5 || x[4] != weight[4] {
            return fail(format!(
                "x is {x}, weight is {weight}; expected [B, T, H, W, C] and [filters, Kt, Kh, Kw, C]"
            ));
        }
        let (source, kernel) = ([x[1], x[2], x[3]], [weight[1], weight[2], weight[3]]);
        let around = [[self.front, 0], self.padding[0], self.padding[1]];
        let mut result = [0; 3];
        for axis in 0..3 {
            let (size, stride, [before, after]) = (source[axis], self.stride[axis], around[axis]);
            let padded = size.saturating_add(before).saturating_add(after);
            let is_possible = (1..=MAX_SIZE).contains(&stride)
                && kernel[axis] >= 1
                && (kernel[axis]..=MAX_SIZE).contains(&padded)
                && (axis > 0 || size > 0 || before == 0);
            if !is_possible {
                let name = ["time", "height", "width"][axis];
                return fail(format!(
                    "{name} {size} with {before} in front and {after} behind, kernel {}, stride \
                     {stride}; the kernel must be at least 1 and fit, and the stride at least 1",
                    kernel[axis]
                ));
            }
            result[axis] = (padded - kernel[axis]) / stride + 1;
        }
        Ok(Geometry {
            batch: x[0],
            source,
            result,
            kernel,
            stride: self.stride,
            front: self.front,
            before: [self.padding[0][0], self.padding[1][0]],
            channels: x[4],
            filters: weight[0],
        })
    }

    /// Gradient of `x`, which has this shape, from the weight and the gradient of the result.
    pub fn backward_x(&self, x: Shape, weight: &Tensor, grad: &Tensor) -> Result<Tensor> {
        let geometry = self.geometry(x, weight.shape())?;
        match place_of(&[weight, grad])? {
            Some(place) => gpu::backward_x(place, &geometry, weight, grad),
            None => cpu::backward_x(&geometry, weight, grad),
        }
    }

    /// Gradient of the weight, which has this shape, from `x` and the gradient of the result; f32 from
    /// operands of any type, as its sum goes on over uses and micro-batches.
    pub fn backward_weight(&self, x: &Tensor, weight: Shape, grad: &Tensor) -> Result<Tensor> {
        let geometry = self.geometry(x.shape(), weight)?;
        match place_of(&[x, grad])? {
            Some(place) => gpu::backward_weight(place, &geometry, x, grad),
            None => cpu::backward_weight(&geometry, x, grad),
        }
    }
}

impl Geometry {
    fn x_shape(&self) -> Shape {
        let [t, h, w] = self.source;
        Shape::from([self.batch, t, h, w, self.channels])
    }

    fn weight_shape(&self) -> Shape {
        let [t, h, w] = self.kernel;
        Shape::from([self.filters, t, h, w, self.channels])
    }

    fn result_shape(&self) -> Shape {
        let [t, h, w] = self.result;
        Shape::from([self.batch, t, h, w, self.filters])
    }
}

impl Operation for Convolution {
    const NAME: &'static str = "convolution";

    fn infer(&self, inputs: &[&Tensor]) -> Result<Vec<Spec>> {
        arity(Self::NAME, inputs, if self.has_bias { 3 } else { 2 })?;
        for (argument, input) in ["x", "weight", "bias"].iter().zip(inputs) {
            float(Self::NAME, argument, input)?;
        }
        let geometry = self.geometry(inputs[0].shape(), inputs[1].shape())?;
        if self.has_bias {
            shaped(Self::NAME, "bias", inputs[2], [geometry.filters])?;
        }
        Ok(vec![(geometry.result_shape(), result_dtype(&inputs[..2]))])
    }

    fn flops(&self, inputs: &[&Tensor]) -> u64 {
        match self.geometry(inputs[0].shape(), inputs[1].shape()) {
            Ok(g) => 2 * g.result_rows() as u64 * g.weights() as u64,
            Err(_) => 0,
        }
    }

    fn forward(&self, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        let geometry = self.geometry(inputs[0].shape(), inputs[1].shape())?;
        let bias = self.has_bias.then(|| inputs[2]);
        let result = cpu::forward(&geometry, inputs[0], inputs[1], bias)?;
        Ok(vec![result.into_dtype(result_dtype(&inputs[..2]))?])
    }

    fn forward_on(&self, place: &Accelerator, inputs: &[&Tensor]) -> Result<Vec<Tensor>> {
        let geometry = self.geometry(inputs[0].shape(), inputs[1].shape())?;
        gpu::forward(place, &geometry, inputs)
    }

    fn reference(&self, inputs: &[Array]) -> Vec<Array> {
        let (x, weight) = (&inputs[0], &inputs[1]);
        let g = self.geometry(x.shape, weight.shape).expect("checked shapes");
        let mut result = Array::zeros(g.result_shape());
        let width = g.taps() * g.channels;
        for pixel in 0..g.result_rows() {
            let at = g.result_shape().unravel(pixel * g.filters);
            for f in 0..g.filters {
                let mut sum = if self.has_bias { inputs[2].data[f] } else { 0.0 };
                for tap in 0..g.taps() {
                    let (kt, kh, kw) = (
                        tap / (g.kernel[1] * g.kernel[2]),
                        tap / g.kernel[2] % g.kernel[1],
                        tap % g.kernel[2],
                    );
                    let t = (at[1] * g.stride[0] + kt).saturating_sub(g.front);
                    // Places before the first wrap around to beyond the last.
                    let h = (at[2] * g.stride[1] + kh).wrapping_sub(g.before[0]);
                    let w = (at[3] * g.stride[2] + kw).wrapping_sub(g.before[1]);
                    if h >= g.source[1] || w >= g.source[2] {
                        continue;
                    }
                    let row = ((at[0] * g.source[0] + t) * g.source[1] + h) * g.source[2] + w;
                    let weights = &weight.data[f * width + tap * g.channels..][..g.channels];
                    sum += x.row(row).iter().zip(weights).map(|(x, w)| x * w).sum::<f64>();
                }
                result.data[pixel * g.filters + f] = sum;
            }
        }
        vec![result]
    }
}
