//! RMS norm with an optional weight and with the model's modulation in the same pass (VINCIE 3B
//! specification, section 1.7):
//! y = x / sqrt(mean(x²) + epsilon) * weight * (scale\[g\] + scale_parameter) + shift\[g\] + shift_parameter.

mod backward;
mod forward;
#[cfg(test)]
mod tests;

pub use backward::{Backward, ModulationGradients, NormGradients, backward, backward_workspace};
pub use forward::forward;

use super::runs::Groups;

/// Scale and shift per group of rows.
#[derive(Clone, Copy, Debug)]
pub struct Modulation<'a> {
    /// \[groups, cols\].
    pub scale: &'a [f32],
    /// \[groups, cols\].
    pub shift: &'a [f32],
    /// Added to every row of `scale`, \[cols\].
    pub scale_parameter: Option<&'a [f32]>,
    /// Added to every row of `shift`, \[cols\].
    pub shift_parameter: Option<&'a [f32]>,
    /// Group of each row, \[rows\].
    pub groups: &'a [u32],
}

/// What the norm does, and to which width.
#[derive(Clone, Copy, Debug)]
pub struct Norm<'a> {
    /// Elements of a row.
    pub cols: usize,
    /// Added to the mean square.
    pub epsilon: f32,
    /// Factor per column, \[cols\].
    pub weight: Option<&'a [f32]>,
    /// Scale and shift; none for a plain norm.
    pub modulation: Option<Modulation<'a>>,
}

impl<'a> Norm<'a> {
    /// Number of rows of `x`, after checking every length.
    fn check(&self, x: &[f32], inverse_rms: &[f32]) -> usize {
        let rows = inverse_rms.len();
        assert_eq!(x.len(), rows * self.cols, "rms_norm: x is [{rows}, {}]", self.cols);
        let row = |name: &str, values: Option<&[f32]>| {
            let len = values.map_or(self.cols, <[f32]>::len);
            assert_eq!(len, self.cols, "rms_norm: {name} is [{}]", self.cols);
        };
        row("weight", self.weight);
        if let Some(m) = &self.modulation {
            row("scale_parameter", m.scale_parameter);
            row("shift_parameter", m.shift_parameter);
            assert_eq!(m.scale.len(), m.shift.len(), "rms_norm: scale and shift are of one shape");
            assert!(
                m.scale.len().is_multiple_of(self.cols.max(1)),
                "rms_norm: scale is [groups, cols]"
            );
        }
        rows
    }

    fn groups(&self, rows: usize) -> Groups<'a> {
        self.modulation.as_ref().map_or(Groups::ONE, |m| {
            Groups::new(m.groups, rows, m.scale.len().checked_div(self.cols).unwrap_or(0))
        })
    }

    /// Rows of partial sums that a run leaves: of the normalised rows times the gradient, and, where
    /// there is a shift, of the gradient.
    fn partials(&self) -> usize {
        if self.modulation.is_some() { 2 } else { 1 }
    }

    /// Writes weight * (scale + parameter) and shift + parameter of a group.
    #[inline(always)]
    fn coefficients(&self, group: usize, factor: &mut [f32], shift: &mut [f32]) {
        match self.weight {
            Some(weight) => factor.copy_from_slice(weight),
            None => factor.fill(1.0),
        }
        let Some(m) = &self.modulation else { return };
        let row = group * self.cols..(group + 1) * self.cols;
        let (scale, from) = (&m.scale[row.clone()], &m.shift[row]);
        match m.scale_parameter {
            Some(parameter) => {
                let scales = scale.iter().zip(parameter);
                factor.iter_mut().zip(scales).for_each(|(to, (scale, add))| *to *= scale + add);
            }
            None => factor.iter_mut().zip(scale).for_each(|(to, scale)| *to *= scale),
        }
        shift.copy_from_slice(from);
        if let Some(parameter) = m.shift_parameter {
            shift.iter_mut().zip(parameter).for_each(|(to, add)| *to += add);
        }
    }
}
