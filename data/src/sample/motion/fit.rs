//! Direct fit of a similarity between two pictures: Gauss-Newton on grey values over a pyramid,
//! with an unknown gain and offset, and Tukey weights so that moving things do not count.

use super::similarity::Similarity;
use crate::sample::plane::{Plane, median};

/// Unknowns of one step: four of the motion, gain and offset of the grey values.
const UNKNOWNS: usize = 6;
/// Levels stop before a side falls below this many pixels.
const SMALLEST_SIDE: usize = 20;
/// Gauss-Newton steps on each level.
const STEPS: usize = 8;
/// A fit that zooms by more than this factor is taken for a failure.
pub(crate) const LARGEST_ZOOM: f32 = 2.0;

/// Reach of the local contrast normalisation, pixels.
const NEIGHBOURHOOD: f32 = 4.0;
/// Grey levels added to the local contrast, so that noise is not blown up to texture.
const CONTRAST_FLOOR: f32 = 2.0;
/// Normalised values are scaled by this, which makes them comparable to grey levels.
const CONTRAST_UNIT: f32 = 32.0;

/// A luma plane and, at full, half, quarter ... size, its locally normalised copies with the
/// gradients that a fit needs. Normalising lets a faint road count as much as a bright car.
#[derive(Clone, Debug)]
pub(crate) struct Pyramid {
    luma: Plane,
    levels: Vec<Level>,
}

#[derive(Clone, Debug)]
struct Level {
    values: Plane,
    across: Plane,
    down: Plane,
}

impl Pyramid {
    /// The pyramid of a luma plane.
    pub(crate) fn new(luma: &Plane) -> Self {
        let luma = luma.blurred(0.7);
        let mut levels = Vec::new();
        let mut next = luma.clone();
        loop {
            let values = normalised(&next);
            let (across, down) = values.gradients();
            levels.push(Level { values, across, down });
            if next.width.min(next.height) < 2 * SMALLEST_SIDE {
                return Self { luma, levels };
            }
            next = next.halved();
        }
    }

    /// Height / width.
    pub(crate) fn aspect(&self) -> f32 {
        self.luma.height as f32 / self.luma.width as f32
    }

    /// The luma plane, slightly smoothed.
    pub(crate) fn luma(&self) -> &Plane {
        &self.luma
    }
}

/// The plane less its local mean, divided by its local contrast.
fn normalised(plane: &Plane) -> Plane {
    let mean = plane.blurred(NEIGHBOURHOOD);
    let mut centred = plane.clone();
    for (value, mean) in centred.data.iter_mut().zip(&mean.data) {
        *value -= mean;
    }
    let squares = centred.data.iter().map(|v| v * v).collect();
    let power = Plane::new(plane.width, plane.height, squares).blurred(NEIGHBOURHOOD);
    for (value, power) in centred.data.iter_mut().zip(&power.data) {
        *value *= CONTRAST_UNIT / (power.sqrt() + CONTRAST_FLOOR);
    }
    centred
}

/// The motion from `first` to `second` nearest to `start`, coarse to fine. A step that leaves the
/// plausible range ends the search; the last plausible motion is returned.
pub(crate) fn fit(first: &Pyramid, second: &Pyramid, start: Similarity) -> Similarity {
    let mut motion = start;
    for (a, b) in first.levels.iter().zip(&second.levels).rev() {
        // At least two pixels in each direction are needed for a gradient to mean anything.
        if a.values.width < 4 || a.values.height < 4 {
            continue;
        }
        let mut residuals = Vec::with_capacity(a.values.data.len());
        // The first look only measures the residuals: what already fits must not be dragged along
        // by what does not.
        step(a, &b.values, &motion, f32::INFINITY, &mut residuals);
        for _ in 0..STEPS {
            let cutoff = 4.685 * (1.4826 * median(&mut residuals)).max(2.0);
            let Some(step) = step(a, &b.values, &motion, cutoff, &mut residuals) else { break };
            let next = motion.after(&step.inverse());
            if !next.is_plausible(LARGEST_ZOOM) {
                break;
            }
            motion = next;
            if step.displacement(first.aspect()) * (a.values.width as f32) < 0.01 {
                break;
            }
        }
    }
    motion
}

/// One Gauss-Newton step: the small motion that brings `first` onto `second` read through
/// `motion`. Absolute residuals are left in `residuals` for the next step's weights.
fn step(
    first: &Level,
    second: &Plane,
    motion: &Similarity,
    cutoff: f32,
    residuals: &mut Vec<f32>,
) -> Option<Similarity> {
    let (width, height) = (first.values.width, first.values.height);
    let unit = width as f32;
    let (centre_x, centre_y) = (0.5 * (width - 1) as f32, 0.5 * (height - 1) as f32);
    let mut normal = [[0.0f64; UNKNOWNS]; UNKNOWNS];
    let mut right = [0.0f64; UNKNOWNS];
    residuals.clear();
    for y in 0..height {
        let v = (y as f32 - centre_y) / unit;
        let mut row_normal = [[0.0f32; UNKNOWNS]; UNKNOWNS];
        let mut row_right = [0.0f32; UNKNOWNS];
        for x in 0..width {
            let at = y * width + x;
            let u = (x as f32 - centre_x) / unit;
            let (tu, tv) = motion.apply(u, v);
            let (tx, ty) = (tu * unit + centre_x, tv * unit + centre_y);
            if tx < 0.0 || ty < 0.0 || tx > (width - 1) as f32 || ty > (height - 1) as f32 {
                continue;
            }
            let grey = first.values.data[at];
            let residual = second.bilinear(tx, ty) - grey;
            let (gx, gy) = (first.across.data[at] * unit, first.down.data[at] * unit);
            if gx.abs() + gy.abs() > unit {
                residuals.push(residual.abs());
            }
            let ratio = residual / cutoff;
            if ratio.abs() >= 1.0 {
                continue;
            }
            let weight = (1.0 - ratio * ratio).powi(2);
            let row = [gx * u + gy * v, gy * u - gx * v, gx, gy, grey / 128.0, 1.0];
            for i in 0..UNKNOWNS {
                let scaled = weight * row[i];
                for j in i..UNKNOWNS {
                    row_normal[i][j] += scaled * row[j];
                }
                row_right[i] += scaled * residual;
            }
        }
        for i in 0..UNKNOWNS {
            for j in i..UNKNOWNS {
                normal[i][j] += f64::from(row_normal[i][j]);
            }
            right[i] += f64::from(row_right[i]);
        }
    }
    let solution = solve(normal, right)?;
    let gain = (1.0 + solution[4] / 128.0).clamp(0.3, 3.0);
    let [s, r, x, y] = [0, 1, 2, 3].map(|i| (solution[i] / gain) as f32);
    let step = Similarity { a: 1.0 + s, b: r, x, y };
    step.is_plausible(LARGEST_ZOOM).then_some(step)
}

/// Solves the symmetric system whose upper triangle is given, by Cholesky's method with a small
/// ridge; none when it is singular or not finite.
fn solve(upper: [[f64; UNKNOWNS]; UNKNOWNS], right: [f64; UNKNOWNS]) -> Option<[f64; UNKNOWNS]> {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
    let mut factor = [[0.0f64; UNKNOWNS]; UNKNOWNS];
    for i in 0..UNKNOWNS {
        for j in 0..i {
            let sum = upper[j][i] - dot(&factor[i][..j], &factor[j][..j]);
            factor[i][j] = sum / factor[j][j];
        }
        let pivot = upper[i][i] * (1.0 + 1e-6) + 1e-3 - dot(&factor[i][..i], &factor[i][..i]);
        if pivot.is_nan() || pivot <= 0.0 {
            return None;
        }
        factor[i][i] = pivot.sqrt();
    }
    let mut solution = right;
    for i in 0..UNKNOWNS {
        solution[i] = (solution[i] - dot(&factor[i][..i], &solution[..i])) / factor[i][i];
    }
    for i in (0..UNKNOWNS).rev() {
        let below: f64 = (i + 1..UNKNOWNS).map(|k| factor[k][i] * solution[k]).sum();
        solution[i] = (solution[i] - below) / factor[i][i];
    }
    solution.iter().all(|v| v.is_finite()).then_some(solution)
}
