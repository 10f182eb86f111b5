//! The ground and the light.

use super::{GAIN, Look, WAY};
use crate::sprites::render::Canvas;
use crate::sprites::scene::Scene;

/// Mean error of a channel at which the ground scores 0.
const TINT: f64 = 0.15;

/// Error that rounding to bytes may leave.
const ROUNDING: f64 = 0.5 / 255.0;

/// Relative errors of the way to a new ground and of the light that rounding may leave.
const ROUNDED_WAY: f64 = 0.01;
const ROUNDED_GAIN: f64 = 0.02;

/// Share of wrong pixels in the worst square at which the ground scores 0.
const BLOT: f64 = 0.35;

/// Side of that square, in sides of the picture.
const SQUARE: f64 = 7.0 / 32.0;

/// Scores of the pixels that no sprite touches and where none was edited: all together, and their
/// worst spot.
pub(super) fn scores(look: &Look, apart: &[bool]) -> [f64; 2] {
    let side = look.side;
    let mut wrong = vec![0u32; side * side];
    let (mut count, mut bad) = (0u32, 0u32);
    let mut sums = [0f64; 3];
    for at in (0..side * side).filter(|&at| !apart[at]) {
        count += 1;
        wrong[at] = u32::from(look.is_wrong(at, look.ground[at]));
        bad += wrong[at];
        for (sum, (made, due)) in sums.iter_mut().zip(look.picture[at].iter().zip(look.ground[at]))
        {
            *sum += f64::from(made - due);
        }
    }
    let count = f64::from(count.max(1));
    let share = f64::from(bad) / count;
    // A picture of bytes may be off by half of one.
    let tint = sums.iter().map(|sum| (sum / count).abs() - ROUNDING).fold(0.0, f64::max);
    let worst = worst_square(&wrong, side);
    [share.max(tint / TINT), worst / BLOT].map(|part| 10.0 * (1.0 - part))
}

/// Largest share of ones in any square.
fn worst_square(ones: &[u32], side: usize) -> f64 {
    let size = ((SQUARE * side as f64).round() as usize).clamp(1, side);
    // Sums over all rectangles that begin at the origin.
    let mut sums = vec![0u32; (side + 1) * (side + 1)];
    for y in 0..side {
        for x in 0..side {
            sums[(y + 1) * (side + 1) + x + 1] =
                ones[y * side + x] + sums[y * (side + 1) + x + 1] + sums[(y + 1) * (side + 1) + x]
                    - sums[y * (side + 1) + x];
        }
    }
    let sum = |x: usize, y: usize| {
        let at = |x: usize, y: usize| sums[y * (side + 1) + x];
        at(x + size, y + size) + at(x, y) - at(x + size, y) - at(x, y + size)
    };
    let most = (0..=side - size).flat_map(|y| (0..=side - size).map(move |x| (x, y)));
    let most = most.map(|(x, y)| sum(x, y)).max().unwrap_or(0);
    f64::from(most) / (size * size) as f64
}

/// Score of a new ground: how much of the way from the old one to it the picture has gone.
pub(super) fn change(look: &Look, before: &Scene, apart: &[bool]) -> f64 {
    let old = Canvas::ground(before, look.side).pixels;
    let (mut along, mut length) = (0.0, 0.0);
    for at in (0..old.len()).filter(|&at| !apart[at]) {
        for ((from, to), made) in old[at].iter().zip(look.ground[at]).zip(look.picture[at]) {
            let from = from / 255.0;
            along += f64::from((made - from) * (to - from));
            length += f64::from((to - from).powi(2));
        }
    }
    let way = if length > 0.0 { along / length } else { 1.0 };
    10.0 * (1.0 - ((way - 1.0).abs() - ROUNDED_WAY) / WAY)
}

/// Score of the brightness where nothing else was edited: the weighted median of what the picture has
/// of the truth's brightness, pixel by pixel, which a spot does not move.
pub(super) fn light(look: &Look, edited: &[bool]) -> f64 {
    let mut gains: Vec<(f64, f64)> = Vec::new();
    for at in (0..look.truth.len()).filter(|&at| !edited[at]) {
        let sum = |pixel: &[f32; 3]| pixel.iter().map(|&c| f64::from(c)).sum::<f64>();
        let (picture, truth) = (sum(&look.picture[at]), sum(&look.truth[at]));
        if truth > 0.0 {
            gains.push((picture / truth, truth));
        }
    }
    gains.sort_by(|a, b| a.0.total_cmp(&b.0));
    let half = 0.5 * gains.iter().map(|(_, weight)| weight).sum::<f64>();
    let mut passed = 0.0;
    let median = gains.iter().find(|(_, weight)| {
        passed += weight;
        passed >= half
    });
    let gain = median.map_or(1.0, |(gain, _)| *gain);
    10.0 * (1.0 - ((gain - 1.0).abs() - ROUNDED_GAIN) / GAIN)
}
