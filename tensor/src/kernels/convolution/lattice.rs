//! Which pixels meet which, forward and backward.

use super::{Direction, Geometry};

/// One tap of a sum: the weights of a place in the kernel, and where its pixel lies from the row's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Term {
    /// Added to the row's place in `from`.
    pub(crate) shift: [i32; 3],
    /// Place in the kernel.
    pub(crate) tap: usize,
}

/// Rows of a product that have the same terms. Row (b, i, j, k) is the pixel
/// `origin + step * (i, j, k)` of clip b of `to`; its term reads the pixel `scale * (i, j, k) + shift`
/// of `from`, zeros where that lies outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Lattice {
    pub(crate) batch: usize,
    /// Rows along each axis.
    pub(crate) size: [usize; 3],
    pub(crate) origin: [usize; 3],
    pub(crate) step: [usize; 3],
    pub(crate) scale: [usize; 3],
    /// Size of what is written and of what is read.
    pub(crate) to: [usize; 3],
    pub(crate) from: [usize; 3],
    /// Frames before the first are the first.
    pub(crate) repeats_first: bool,
    pub(crate) terms: Vec<Term>,
}

impl Lattice {
    /// The lattices that cover all pixels that are written. Those without pixels are left out.
    pub(crate) fn all(geometry: &Geometry, direction: Direction) -> Vec<Self> {
        let mut all = match direction {
            Direction::Forward => vec![Self::forward(geometry)],
            Direction::Backward => Self::backward(geometry),
        };
        all.retain(|lattice| lattice.rows() > 0);
        all
    }

    /// Number of rows.
    pub(crate) fn rows(&self) -> usize {
        self.batch * self.size.iter().product::<usize>()
    }

    fn forward(geometry: &Geometry) -> Self {
        let &Geometry { batch, source, result, kernel, stride, front, before, .. } = geometry;
        let mut terms = Vec::new();
        for (tap, [t, h, w]) in places(kernel).enumerate() {
            let shift = [t - front as i32, h - before[0] as i32, w - before[1] as i32];
            terms.push(Term { shift, tap });
        }
        Self {
            batch,
            size: result,
            origin: [0; 3],
            step: [1; 3],
            scale: stride,
            to: result,
            from: source,
            repeats_first: true,
            terms,
        }
    }

    /// A pixel at the padded place `u` of an axis met the pixel `(u - tap) / stride` of the result by
    /// each tap that leaves no rest. The first frame stands at the places 0..=front.
    fn backward(geometry: &Geometry) -> Vec<Self> {
        let &Geometry { batch, source, result, kernel, stride, front, before, .. } = geometry;
        let rows = axis(source[1], kernel[1], stride[1], before[0], 0);
        let cols = axis(source[2], kernel[2], stride[2], before[1], 0);
        let mut frames = axis(source[0], kernel[0], stride[0], front, 1);
        if source[0] > 0 {
            let met = |u: usize| shifts(u, kernel[0], stride[0]);
            let terms = (0..=front).flat_map(met).filter(|(shift, _)| *shift >= 0).collect();
            frames.push(Axis { origin: 0, size: 1, terms });
        }
        let mut all = Vec::new();
        for t in &frames {
            for h in &rows {
                for w in &cols {
                    let mut terms = Vec::new();
                    for &(dt, kt) in &t.terms {
                        for &(dh, kh) in &h.terms {
                            for &(dw, kw) in &w.terms {
                                let tap = (kt * kernel[1] + kh) * kernel[2] + kw;
                                terms.push(Term { shift: [dt, dh, dw], tap });
                            }
                        }
                    }
                    all.push(Self {
                        batch,
                        size: [t.size, h.size, w.size],
                        origin: [t.origin, h.origin, w.origin],
                        step: stride,
                        scale: [1; 3],
                        to: source,
                        from: result,
                        repeats_first: false,
                        terms,
                    });
                }
            }
        }
        all
    }

    /// Clip and place of a row.
    pub(crate) fn place(&self, row: usize) -> [u32; 4] {
        let [frames, height, width] = self.size;
        let (line, k) = (row / width, row % width);
        let (frame, j) = (line / height, line % height);
        [frame / frames, frame % frames, j, k].map(|i| i as u32)
    }

    /// The pixel that a row is written to.
    pub(crate) fn target(&self, [clip, place @ ..]: [u32; 4]) -> usize {
        let mut pixel = clip as usize;
        for (axis, &i) in place.iter().enumerate() {
            let at = self.origin[axis] + self.step[axis] * i as usize;
            pixel = pixel * self.to[axis] + at;
        }
        pixel
    }

    /// The pixel that a term reads, where there is one.
    pub(crate) fn read(&self, [clip, place @ ..]: [u32; 4], term: &Term) -> Option<usize> {
        let mut pixel = clip as usize;
        for (axis, &i) in place.iter().enumerate() {
            let mut at = i64::from(i) * self.scale[axis] as i64 + i64::from(term.shift[axis]);
            if axis == 0 && self.repeats_first {
                at = at.max(0);
            }
            let at = usize::try_from(at).ok().filter(|&at| at < self.from[axis])?;
            pixel = pixel * self.from[axis] + at;
        }
        Some(pixel)
    }
}

/// Pixels of one axis with the same terms: shift and tap.
struct Axis {
    origin: usize,
    size: usize,
    terms: Vec<(i32, usize)>,
}

/// The phases of an axis from its place `first` on.
fn axis(size: usize, kernel: usize, stride: usize, before: usize, first: usize) -> Vec<Axis> {
    let phase = |origin: usize| Axis {
        origin,
        size: (size - origin).div_ceil(stride),
        terms: shifts(origin + before, kernel, stride).collect(),
    };
    (first..size.min(first + stride)).map(phase).collect()
}

/// For the padded place `u`: the pixels of the result that met it, and by which tap.
fn shifts(u: usize, kernel: usize, stride: usize) -> impl Iterator<Item = (i32, usize)> {
    let taps = (0..kernel).filter(move |tap| (u + kernel * stride - tap).is_multiple_of(stride));
    taps.map(move |tap| ((u as i32 - tap as i32) / stride as i32, tap))
}

/// Places in the kernel, width fastest.
fn places(kernel: [usize; 3]) -> impl Iterator<Item = [i32; 3]> {
    let [frames, height, width] = kernel.map(|size| size as i32);
    (0..frames * height * width).map(move |i| [i / width / height, i / width % height, i % width])
}
