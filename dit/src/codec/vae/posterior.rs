//! The distribution that an encoder answers with.

use crate::{Error, Result};
use vincie_autograd::{Graph, Var};
use vincie_tensor::Tensor;
use vincie_tensor::ops::Unary;

/// Bounds of the logarithm of the variance.
const LOG_VARIANCE: [f32; 2] = [-30.0, 20.0];

/// A normal distribution for every latent value, each `[B, T, H, W, latent]`.
#[derive(Clone, Debug)]
pub struct Posterior {
    /// Means.
    pub mean: Var,
    /// Logarithms of the variances, -30 to 20.
    pub log_variance: Var,
}

impl Posterior {
    /// Splits moments `[B, T, H, W, 2 latent]`: means, then logarithms of variances.
    pub fn of(g: &Graph<'_>, moments: &Var) -> Result<Self> {
        let shape = moments.value().shape();
        if shape.rank() != 5 || !shape[4].is_multiple_of(2) {
            return Err(Error::invalid(format!(
                "posterior: moments are {shape}; expected [B, T, H, W, 2 C]"
            )));
        }
        let latent = shape[4] / 2;
        let mean = g.narrow(moments, 4, 0, latent)?;
        let log_variance = clamped(g, &g.narrow(moments, 4, latent, latent)?)?;
        Ok(Self { mean, log_variance })
    }

    /// `mean + exp(log_variance / 2) noise`, for standard normal noise of the same shape.
    pub fn sample(&self, g: &Graph<'_>, noise: &Var) -> Result<Var> {
        let deviation = g.apply_one(Unary::Exp, &[&g.affine(&self.log_variance, 0.5, 0.0)?])?;
        Ok(g.add(&self.mean, &g.mul(&deviation, noise)?)?)
    }

    /// `(mean^2 + variance - 1 - log_variance) / 2`, the divergence from the standard normal
    /// distribution value by value.
    pub fn divergence(&self, g: &Graph<'_>) -> Result<Var> {
        let square = g.apply_one(Unary::Square, &[&self.mean])?;
        let variance = g.apply_one(Unary::Exp, &[&self.log_variance])?;
        let sum = g.sub(&g.add(&square, &variance)?, &self.log_variance)?;
        Ok(g.affine(&sum, 0.5, -0.5)?)
    }
}

/// `x` within the bounds; what lies outside gets no gradient.
fn clamped(g: &Graph<'_>, x: &Var) -> Result<Var> {
    let [low, high] = LOG_VARIANCE;
    let values = x.value().to_f32()?.to_vec::<f32>()?;
    let is_inside = |v: f32| (low..=high).contains(&v) || v.is_nan();
    if values.iter().all(|&v| is_inside(v)) {
        return Ok(x.clone());
    }
    let shape = x.value().shape();
    let inside: Vec<f32> = values.iter().map(|&v| if is_inside(v) { 1.0 } else { 0.0 }).collect();
    let bounds: Vec<f32> =
        values.iter().map(|&v| if is_inside(v) { 0.0 } else { v.clamp(low, high) }).collect();
    let inside = Tensor::from_slice(&inside, shape)?.into();
    let bounds = Tensor::from_slice(&bounds, shape)?.into();
    Ok(g.add(&g.mul(x, &inside)?, &bounds)?)
}
