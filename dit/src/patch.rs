//! Pictures to token rows and back (VINCIE 3B specification, section 1.4).

use crate::Result;
use vincie_autograd::{Graph, Var};

/// `[T, H, W, C]` to `[T H/p W/p, p p C]`: features ordered row in patch, column in patch, channel.
/// `H` and `W` must be multiples of `p`.
pub fn to_rows(g: &Graph<'_>, x: &Var, p: usize) -> Result<Var> {
    let shape = x.value().shape();
    let &[t, h, w, c] = &*shape else {
        return Err(vincie_tensor::Error::shape(
            "patch",
            format!("picture is {shape}; expected [T, H, W, C]"),
        )
        .into());
    };
    if h % p != 0 || w % p != 0 {
        let what =
            format!("picture is {shape}; height and width must be multiples of the patch size {p}");
        return Err(vincie_tensor::Error::shape("patch", what).into());
    }
    let split = g.reshape(x, [t, h / p, p, w / p, p, c])?;
    let ordered = g.permute(&split, &[0, 1, 3, 2, 4, 5])?;
    Ok(g.reshape(&ordered, [t * (h / p) * (w / p), p * p * c])?)
}

/// The inverse of [`to_rows`]: `[T H/p W/p, p p C]` to `[T, H, W, C]`.
pub fn from_rows(g: &Graph<'_>, rows: &Var, [t, h, w]: [usize; 3], p: usize) -> Result<Var> {
    let shape = rows.value().shape();
    if shape.rank() != 2
        || h % p != 0
        || w % p != 0
        || shape[0] != t * (h / p) * (w / p)
        || !shape[1].is_multiple_of(p * p)
    {
        let what =
            format!("rows are {shape}; they do not form [{t}, {h}, {w}, C] with patch size {p}");
        return Err(vincie_tensor::Error::shape("unpatch", what).into());
    }
    let c = shape[1] / (p * p);
    let split = g.reshape(rows, [t, h / p, w / p, p, p, c])?;
    let ordered = g.permute(&split, &[0, 1, 3, 2, 4, 5])?;
    Ok(g.reshape(&ordered, [t, h, w, c])?)
}
