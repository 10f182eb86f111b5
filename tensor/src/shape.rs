//! Sizes along axes, held inline so that making a view allocates nothing.

use std::fmt;
use std::ops::Deref;

/// Most axes a tensor may have.
pub const MAX_RANK: usize = 6;

/// Sizes of a tensor's axes, outermost first. Rank 0 is a scalar with one element.
#[derive(Clone, Copy, Eq)]
pub struct Shape {
    /// Those past the rank are 0.
    dims: [usize; MAX_RANK],
    rank: usize,
}

impl Shape {
    /// A shape over at most [`MAX_RANK`] sizes.
    pub fn new(dims: &[usize]) -> Self {
        assert!(dims.len() <= MAX_RANK, "shape {dims:?} has more than {MAX_RANK} axes");
        let mut all = [0; MAX_RANK];
        all[..dims.len()].copy_from_slice(dims);
        Self { dims: all, rank: dims.len() }
    }

    /// Number of axes.
    pub fn rank(&self) -> usize {
        self.rank
    }

    /// Number of elements; 1 for a scalar.
    pub fn count(&self) -> usize {
        self.iter().product()
    }

    /// Size of the innermost axis; 1 for a scalar.
    pub fn last_dim(&self) -> usize {
        self.last().copied().unwrap_or(1)
    }

    /// Product of all sizes but the innermost.
    pub fn rows(&self) -> usize {
        self[..self.rank().saturating_sub(1)].iter().product()
    }

    /// Strides, in elements, of a row-major layout.
    pub fn row_major_strides(&self) -> Strides {
        let mut strides = [0; MAX_RANK];
        let mut step = 1;
        for axis in (0..self.rank()).rev() {
            strides[axis] = step;
            step *= self.dims[axis];
        }
        Strides { steps: strides, rank: self.rank }
    }

    /// This shape with the size of `axis` replaced.
    pub fn with_dim(mut self, axis: usize, size: usize) -> Self {
        assert!(axis < self.rank(), "axis {axis} of {self}");
        self.dims[axis] = size;
        self
    }

    /// The coordinates of row-major position `index`.
    pub fn unravel(&self, mut index: usize) -> Vec<usize> {
        let mut at = vec![0; self.rank()];
        for axis in (0..self.rank()).rev() {
            at[axis] = index % self.dims[axis].max(1);
            index /= self.dims[axis].max(1);
        }
        at
    }

    /// The shape two operands broadcast to (aligned at the innermost axis, size 1 repeats), if any.
    pub fn broadcast(&self, other: &Self) -> Option<Self> {
        if self == other {
            return Some(*self);
        }
        let rank = self.rank().max(other.rank());
        let mut dims = [1; MAX_RANK];
        for back in 1..=rank {
            let a = if back <= self.rank() { self[self.rank() - back] } else { 1 };
            let b = if back <= other.rank() { other[other.rank() - back] } else { 1 };
            dims[rank - back] = match (a, b) {
                (a, b) if a == b => a,
                (1, b) => b,
                (a, 1) => a,
                _ => return None,
            };
        }
        Some(Self::new(&dims[..rank]))
    }
}

impl PartialEq for Shape {
    /// A loop over a few numbers beats a call that compares memory: every op compares shapes.
    #[inline]
    fn eq(&self, other: &Self) -> bool {
        self.rank == other.rank && (0..self.rank).all(|axis| self.dims[axis] == other.dims[axis])
    }
}

impl Deref for Shape {
    type Target = [usize];

    fn deref(&self) -> &[usize] {
        &self.dims[..self.rank]
    }
}

impl<const N: usize> From<[usize; N]> for Shape {
    fn from(dims: [usize; N]) -> Self {
        Self::new(&dims)
    }
}

impl From<&[usize]> for Shape {
    fn from(dims: &[usize]) -> Self {
        Self::new(dims)
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &**self)
    }
}

impl fmt::Debug for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Distance in elements between neighbours along each axis; 0 repeats one element.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Strides {
    steps: [usize; MAX_RANK],
    rank: usize,
}

impl Strides {
    /// Strides over at most [`MAX_RANK`] steps.
    pub fn new(steps: &[usize]) -> Self {
        let mut all = [0; MAX_RANK];
        all[..steps.len()].copy_from_slice(steps);
        Self { steps: all, rank: steps.len() }
    }
}

impl Deref for Strides {
    type Target = [usize];

    fn deref(&self) -> &[usize] {
        &self.steps[..self.rank]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_strides() {
        let shape = Shape::from([2, 3, 4]);
        assert_eq!((shape.count(), shape.rows(), shape.last_dim()), (24, 6, 4));
        assert_eq!(&*shape.row_major_strides(), &[12, 4, 1]);
        assert_eq!(Shape::from([]).count(), 1);
        assert_eq!(Shape::from([2, 0]).count(), 0);
        assert_eq!(shape.unravel(23), [1, 2, 3]);
    }

    #[test]
    fn broadcasts_like_the_field() {
        let a = Shape::from([4, 1, 3]);
        assert_eq!(a.broadcast(&Shape::from([2, 3])), Some(Shape::from([4, 2, 3])));
        assert_eq!(a.broadcast(&Shape::from([])), Some(a));
        assert_eq!(a.broadcast(&Shape::from([4])), None);
        assert_eq!(Shape::from([0, 3]).broadcast(&Shape::from([1, 3])), Some(Shape::from([0, 3])));
    }
}
