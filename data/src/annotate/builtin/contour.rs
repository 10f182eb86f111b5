//! Whose is a changed part? A thing has an outline: its inside differs from what surrounds it.
//! Where the thing is absent, inside and outside are one. So of two pictures the one with the
//! stronger step along the part's outline is the one that shows the thing.

use super::bitmap::{Bitmap, Component};
use crate::sample::plane::Plane;

/// The frame that shows a thing in a changed part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    /// The first picture.
    First,
    /// The second picture.
    Second,
    /// No clear answer, as when something changes in place.
    Unclear,
}

/// Distance from the outline at which colours are read, pixels of the analysis grid.
const REACH: i64 = 3;
/// Steps below this are no outline, grey levels.
const FAINT: f32 = 8.0;
/// Fewest places on the outline that decide.
const FEWEST: usize = 6;

/// Decides by the mean colour step along the outline, which must be `ratio` times stronger in one
/// picture than in the other. Only the outline towards pixels outside of `surroundings` counts:
/// towards other changed parts neither picture need show a step.
pub(crate) fn owner(
    part: &Component,
    surroundings: &Bitmap,
    first: &[Plane; 3],
    second: &[Plane; 3],
    ratio: f32,
) -> Owner {
    let Some((a, b)) = steps(part, surroundings, first, second) else { return Owner::Unclear };
    if a > FAINT && a > ratio * b {
        Owner::First
    } else if b > FAINT && b > ratio * a {
        Owner::Second
    } else {
        Owner::Unclear
    }
}

/// Mean colour step along the outline in both pictures, grey levels; none where the part has
/// almost no free outline.
fn steps(
    part: &Component,
    surroundings: &Bitmap,
    first: &[Plane; 3],
    second: &[Plane; 3],
) -> Option<(f32, f32)> {
    let (width, height) = (surroundings.width as i64, surroundings.height as i64);
    let [left, top, right, bottom] = part.bounds.map(|v| v as i64);
    let box_width = right - left;
    let mut inside = vec![false; (box_width * (bottom - top)) as usize];
    for &at in &part.pixels {
        let (x, y) = (at as i64 % width - left, at as i64 / width - top);
        inside[(y * box_width + x) as usize] = true;
    }
    let is_in = |x: i64, y: i64| {
        (left..right).contains(&x)
            && (top..bottom).contains(&y)
            && inside[((y - top) * box_width + x - left) as usize]
    };
    let is_seen = |x: i64, y: i64| (0..width).contains(&x) && (0..height).contains(&y);
    let (mut sums, mut count) = ([0.0f32; 2], 0usize);
    for &at in &part.pixels {
        let (x, y) = (at as i64 % width, at as i64 / width);
        for (dx, dy) in [(1, 0), (-1, 0), (0, 1), (0, -1)] {
            if is_in(x + dx, y + dy) {
                continue;
            }
            let (ox, oy) = (x + REACH * dx, y + REACH * dy);
            // Thin parts are read on their outline.
            let back = (0..=REACH).rev().find(|&r| is_in(x - r * dx, y - r * dy)).unwrap_or(0);
            let (ix, iy) = (x - back * dx, y - back * dy);
            if !is_seen(ox, oy) || is_in(ox, oy) {
                continue;
            }
            let (outer, inner) = ((oy * width + ox) as usize, (iy * width + ix) as usize);
            if surroundings.data[outer] {
                continue;
            }
            for (sum, planes) in sums.iter_mut().zip([first, second]) {
                let step = planes.iter().map(|p| (p.data[inner] - p.data[outer]).abs());
                *sum += step.fold(0.0, f32::max);
            }
            count += 1;
        }
    }
    (count >= FEWEST).then(|| (sums[0] / count as f32, sums[1] / count as f32))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_picture_with_the_outline_owns_the_part() {
        let square = |i: usize| (10..20).contains(&(i % 40)) && (8..20).contains(&(i / 40));
        let planes = |colour: f32| {
            let data = (0..40 * 30).map(|i| if square(i) { colour } else { 100.0 }).collect();
            let plane = Plane::new(40, 30, data);
            [plane.clone(), plane.clone(), plane]
        };
        let set = Bitmap::of(40, 30, square);
        let part = &set.components()[0];
        let decide = |a, b| owner(part, &set, &planes(a), &planes(b), 1.6);
        assert_eq!(decide(200.0, 100.0), Owner::First);
        assert_eq!(decide(100.0, 30.0), Owner::Second);
        assert_eq!(decide(200.0, 20.0), Owner::Unclear);
        assert_eq!(decide(104.0, 100.0), Owner::Unclear, "too faint");
        let full = Bitmap::of(40, 30, |_| true);
        let all = &full.components()[0];
        assert_eq!(owner(all, &full, &planes(9.0), &planes(1.0), 1.6), Owner::Unclear);
    }
}
