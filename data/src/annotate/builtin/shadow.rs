//! Shadows: where a frame shows the background with less light. A shadow keeps the colour and
//! adds no sharp edge; a part of a thing that happens to look so is told by its neighbours, as it
//! lies inside of the thing and a shadow lies beside it.

use super::bitmap::Bitmap;
use crate::sample::plane::Plane;

/// A shadow keeps between these shares of the brightness...
const KEPT: (f32, f32) = (0.35, 0.95);
/// ...changes no channel by more than this beside that, in shares of the brightness...
const TINT: f32 = 0.06;
/// ...and adds no edge above this, grey levels a pixel.
const EDGE: f32 = 7.0;
/// Share of a shadow's border that touches open background.
const OPEN: f32 = 0.3;

/// The set without the shadows in it.
pub(crate) fn without_shadows(
    set: &Bitmap,
    frame: &[Plane; 3],
    back: &[Plane; 3],
    sigma: f32,
) -> Bitmap {
    let candidates = darkened(frame, back, sigma).and(set).opened(1);
    let mut kept = set.clone();
    for part in candidates.components() {
        if open_border(&part.pixels, &candidates, set) >= OPEN {
            for &i in &part.pixels {
                kept.data[i] = false;
            }
        }
    }
    kept
}

/// Pixels that are the background, only darker.
fn darkened(frame: &[Plane; 3], back: &[Plane; 3], sigma: f32) -> Bitmap {
    let (width, height) = (frame[0].width, frame[0].height);
    let smooth = |planes: &[Plane; 3]| [0, 1, 2].map(|c| planes[c].blurred(sigma));
    let (frame, back) = (smooth(frame), smooth(back));
    let level = |planes: &[Plane; 3], i: usize| planes.iter().map(|p| p.data[i]).sum::<f32>() / 3.0;
    // A grey level on both sides keeps black from dividing by black.
    let ratios = (0..width * height).map(|i| (level(&frame, i) + 1.0) / (level(&back, i) + 1.0));
    let ratio = Plane::new(width, height, ratios.collect());
    let (across, down) = ratio.gradients();
    Bitmap::of(width, height, |i| {
        let (kept, light) = (ratio.data[i], level(&back, i));
        let is_tinted = (0..3)
            .any(|c| (frame[c].data[i] - kept * back[c].data[i]).abs() > TINT * light.max(20.0));
        let edge = across.data[i].hypot(down.data[i]) * light;
        (KEPT.0..KEPT.1).contains(&kept) && !is_tinted && edge < EDGE
    })
}

/// Share of a part's outer border that lies outside of the set.
fn open_border(pixels: &[usize], parts: &Bitmap, set: &Bitmap) -> f32 {
    let (width, height) = (set.width, set.height);
    let (mut open, mut border) = (0usize, 0usize);
    for &at in pixels {
        let (x, y) = (at % width, at / width);
        let neighbours = [
            (x > 0).then(|| at - 1),
            (x + 1 < width).then(|| at + 1),
            (y > 0).then(|| at - width),
            (y + 1 < height).then(|| at + width),
        ];
        for next in neighbours.into_iter().flatten().filter(|&n| !parts.data[n]) {
            border += 1;
            open += usize::from(!set.data[next]);
        }
    }
    open as f32 / border.max(1) as f32
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::texture::scenery;

    fn ground() -> [Plane; 3] {
        [3, 4, 5].map(|seed| {
            let at = |i: usize| ((i % 160) as f32 / 160.0, (i / 160) as f32 / 160.0);
            let data = (0..160 * 90).map(|i| 0.5 * scenery(at(i).0, at(i).1, seed) + 60.0);
            Plane::new(160, 90, data.collect())
        })
    }

    #[test]
    fn soft_shadows_go_and_grey_things_stay() {
        let back = ground();
        // A disc of shade with a soft border on the left, a grey box on the right.
        let shade = |i: usize| {
            let distance = ((i % 160) as f32 - 40.0).hypot((i / 160) as f32 - 45.0);
            1.0 - 0.45 * ((30.0 - distance) / 12.0).clamp(0.0, 1.0)
        };
        let is_box = |i: usize| (110..140).contains(&(i % 160)) && (20..70).contains(&(i / 160));
        let frame = back.clone().map(|plane| {
            let value = |(i, &v): (usize, &f32)| if is_box(i) { 60.0 } else { v * shade(i) };
            Plane::new(160, 90, plane.data.iter().enumerate().map(value).collect())
        });
        let set = Bitmap::of(160, 90, |i| is_box(i) || shade(i) < 0.85);
        let kept = without_shadows(&set, &frame, &back, 1.0);
        let in_box = (0..160 * 90).filter(|&i| is_box(i) && kept.data[i]).count();
        let in_shade = (0..160 * 90).filter(|&i| !is_box(i) && kept.data[i]).count();
        let shaded = set.count() - 30 * 50;
        assert!(in_box > 1400, "{in_box} of 1500 pixels of the box are kept");
        assert!(10 * in_shade < shaded, "{in_shade} of {shaded} pixels of shade are kept");
    }
}
