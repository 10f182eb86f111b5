//! What stays in a shot: for every pixel the colour that most of many samples agree on. With
//! agreement instead of a plain median, people who take turns in one place do not become
//! background even when the place is rarely empty.

use super::exposure::Exposure;
use crate::Image;
use crate::sample::motion::{Prepared, Similarity, follow, warped};
use crate::sample::plane::{Plane, median};
use crate::sample::thumbnail;
use std::sync::Arc;

/// Fewest samples that say more than the pair itself.
const FEWEST: usize = 3;
/// Samples agree on a pixel when no channel differs by more, grey levels.
const AGREEMENT: u8 = 14;
/// Longer side of the pictures on which samples are aligned, pixels.
pub(crate) const ALIGNING_SIDE: usize = 160;
/// A sample is used when the fitted motion explains this much of it...
const EXPLAINED: f32 = 0.5;
/// ...and moves its corners by no more than this, picture widths.
const FARTHEST: f32 = 0.1;

/// The background of a shot, in the position and light of one of its samples.
#[derive(Clone, Debug)]
pub(crate) struct Background {
    /// Colour, R G B planes at analysis size.
    pub(crate) channels: [Plane; 3],
    /// Mean absolute deviation of the samples that agree, largest over the channels.
    pub(crate) spread: Plane,
    /// Prepared for motion estimates.
    pub(crate) prepared: Prepared,
    /// Samples used.
    pub(crate) samples: usize,
}

impl Background {
    /// The background behind the samples; none when too few of them fit together, as when the
    /// camera moves.
    pub(crate) fn of(samples: &[Arc<Image>]) -> Option<Self> {
        let reference = reference(samples)?;
        let (width, height) = (samples[reference].width, samples[reference].height);
        let base = Plane::channels(&samples[reference]);
        let prepare = |image: &Image| Prepared::new(&Plane::luma(&thumbnail(image, ALIGNING_SIDE)));
        let prepared = prepare(&samples[reference]);
        let mut aligned: Vec<Vec<u8>> = Vec::new();
        for (i, sample) in samples.iter().enumerate() {
            if (sample.width, sample.height) != (width, height) {
                continue;
            }
            if i == reference {
                aligned.push(planar(&base));
                continue;
            }
            let motion = follow(&prepared, &prepare(sample), Similarity::IDENTITY);
            let distance = motion.similarity.displacement(prepared.aspect());
            let is_textured = motion.blocks > 0;
            if is_textured && (motion.explained < EXPLAINED || distance > FARTHEST) {
                continue;
            }
            let planes = if distance * width as f32 > 0.2 {
                read_through(&Plane::channels(sample), &motion.similarity).0
            } else {
                Plane::channels(sample)
            };
            let light = Exposure::between(&planes, &base, |_| true);
            aligned.push(planar(&light.applied(&planes)));
        }
        // Most samples must fit, else the camera is on its way and nothing stays.
        if aligned.len() < FEWEST || 2 * aligned.len() < samples.len() {
            return None;
        }
        let (channels, spread) = agreement(&aligned, width, height);
        Some(Self { channels, spread, prepared, samples: aligned.len() })
    }
}

/// The sample of median brightness, the first of equals.
fn reference(samples: &[Arc<Image>]) -> Option<usize> {
    if samples.len() < FEWEST {
        return None;
    }
    let mean = |image: &Image| {
        let sum: u64 = image.rgb.iter().map(|&v| u64::from(v)).sum();
        sum as f32 / image.rgb.len().max(1) as f32
    };
    let means: Vec<f32> = samples.iter().map(|s| mean(s)).collect();
    let middle = median(&mut means.clone());
    (0..samples.len())
        .min_by(|&a, &b| (means[a] - middle).abs().total_cmp(&(means[b] - middle).abs()))
}

/// Three planes read through a motion, and the pixels that stay inside the picture.
pub(crate) fn read_through(planes: &[Plane; 3], motion: &Similarity) -> ([Plane; 3], Vec<bool>) {
    let (red, covered) = warped(&planes[0], motion);
    ([red, warped(&planes[1], motion).0, warped(&planes[2], motion).0], covered)
}

/// `[3, pixels]` bytes.
fn planar(planes: &[Plane; 3]) -> Vec<u8> {
    planes.iter().flat_map(|p| p.data.iter().map(|&v| (v + 0.5).clamp(0.0, 255.0) as u8)).collect()
}

/// Per pixel: the mean of the samples that agree with the sample most others agree with.
fn agreement(samples: &[Vec<u8>], width: usize, height: usize) -> ([Plane; 3], Plane) {
    let pixels = width * height;
    let mut votes = vec![vec![0u16; pixels]; samples.len()];
    for first in 0..samples.len() {
        for second in first + 1..samples.len() {
            let (low, high) = votes.split_at_mut(second);
            count_agreement(&samples[first], &samples[second], &mut low[first], &mut high[0]);
        }
    }
    let mut channels = [0, 1, 2].map(|_| Plane::filled(width, height, 0.0));
    let mut spread = Plane::filled(width, height, 0.0);
    for at in 0..pixels {
        let winner = (0..samples.len()).rev().max_by_key(|&s| votes[s][at]).unwrap_or(0);
        let colour = |s: usize| [0, 1, 2].map(|c| samples[s][c * pixels + at]);
        let centre = colour(winner);
        let (mut sums, mut count) = ([0.0f32; 3], 0.0f32);
        let mut deviations = [0.0f32; 3];
        for s in 0..samples.len() {
            let values = colour(s);
            if (0..3).all(|c| values[c].abs_diff(centre[c]) <= AGREEMENT) {
                for c in 0..3 {
                    sums[c] += f32::from(values[c]);
                    deviations[c] += f32::from(values[c].abs_diff(centre[c]));
                }
                count += 1.0;
            }
        }
        for c in 0..3 {
            channels[c].data[at] = sums[c] / count;
        }
        spread.data[at] = deviations.iter().fold(0.0f32, |m, &d| m.max(d / count));
    }
    (channels, spread)
}

/// Adds one vote to both samples wherever they agree.
fn count_agreement(first: &[u8], second: &[u8], votes: &mut [u16], others: &mut [u16]) {
    let pixels = votes.len();
    let (r1, rest) = first.split_at(pixels);
    let (g1, b1) = rest.split_at(pixels);
    let (r2, rest) = second.split_at(pixels);
    let (g2, b2) = rest.split_at(pixels);
    for i in 0..pixels {
        let worst = r1[i].abs_diff(r2[i]).max(g1[i].abs_diff(g2[i])).max(b1[i].abs_diff(b2[i]));
        let vote = u16::from(worst <= AGREEMENT);
        votes[i] += vote;
        others[i] += vote;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::texture::{scenery, uniform};

    /// Scenery seen from (`dx`, `dy`), with grain, and a square of some colour in its middle.
    fn sample(number: u32, (dx, dy): (f32, f32), square: Option<[u8; 3]>) -> Arc<Image> {
        let mut rgb = Vec::new();
        for y in 0..90 {
            for x in 0..160 {
                let is_square = (60..100).contains(&x) && (30..70).contains(&y);
                for channel in 0..3 {
                    let (u, v) = ((x as f32 - dx) / 160.0, (y as f32 - dy) / 160.0);
                    let grain = 4.0 * uniform(x, y, number * 3 + channel as u32);
                    let value = 0.6 * scenery(u, v, 5 + channel as u32) + grain;
                    rgb.push(match square {
                        Some(colour) if is_square => colour[channel],
                        _ => value as u8,
                    });
                }
            }
        }
        Arc::new(Image::new(160, 90, rgb))
    }

    fn error(background: &Background, truth: &Image) -> f32 {
        let planes = Plane::channels(truth);
        let sum: f32 = (0..3)
            .flat_map(|c| background.channels[c].data.iter().zip(&planes[c].data))
            .map(|(a, b)| (a - b).abs())
            .sum();
        sum / (3.0 * 160.0 * 90.0)
    }

    #[test]
    fn those_who_take_turns_are_no_background() {
        // The place is empty in 6 of 20 samples only; a median would show one of the others.
        let colours = [[250, 0, 0], [0, 250, 0], [0, 0, 250], [250, 250, 0], [0, 250, 250]];
        let samples: Vec<_> = (0..20)
            .map(|i| sample(i, (0.0, 0.0), (i > 5).then(|| colours[i as usize % 5])))
            .collect();
        let background = Background::of(&samples).expect("the camera stands still");
        assert_eq!(background.samples, 20);
        let worst = error(&background, &sample(99, (0.0, 0.0), None));
        assert!(worst < 3.0, "{worst}");
    }

    #[test]
    fn a_shaking_camera_is_aligned_and_a_travelling_one_has_no_background() {
        let shaking: Vec<_> = (0..12)
            .map(|i| {
                sample(i, (uniform(i as i32, 0, 1) * 3.0, uniform(i as i32, 1, 1) * 3.0), None)
            })
            .collect();
        let background = Background::of(&shaking).expect("a shake is undone");
        assert_eq!(background.samples, 12);
        let spread =
            background.spread.data.iter().sum::<f32>() / background.spread.data.len() as f32;
        assert!(spread < 3.0, "{spread}");
        let travelling: Vec<_> = (0..12).map(|i| sample(i, (40.0 * i as f32, 0.0), None)).collect();
        assert!(Background::of(&travelling).is_none());
        assert!(Background::of(&shaking[..2]).is_none(), "two samples agree on nothing");
        assert!(Background::of(&[]).is_none());
    }
}
