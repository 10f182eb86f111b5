//! Pictures and masks brought to another size.
//!
//! Both filters are separable, horizontal first. Results are the same on every machine: bicubic
//! is integer arithmetic, the area filter sums in `f32` in a fixed order.

mod taps;

pub use taps::Filter;

use crate::{Image, Mask};
use taps::{Taps, multiply_add};

/// Fraction bits of bicubic weights; with 8-bit samples and overshoot they still fit in 32 bits.
const WEIGHT_BITS: u32 = 22;
/// Makes the shift that drops the fraction round.
const ONE_HALF: i32 = 1 << (WEIGHT_BITS - 1);

/// A part of a picture, in source pixels; edges may lie inside a pixel.
#[derive(Clone, Copy)]
struct Window {
    x: f64,
    y: f64,
    width: f64,
    height: f64,
}

impl Window {
    fn whole(width: usize, height: usize) -> Self {
        Self { x: 0.0, y: 0.0, width: width as f64, height: height as f64 }
    }

    /// The largest centred part of `from` with the shape of `to` (both width, height).
    fn covering(from: (usize, usize), to: (usize, usize)) -> Self {
        let (from_width, from_height) = (from.0 as f64, from.1 as f64);
        let (to_width, to_height) = (to.0 as f64, to.1 as f64);
        let scale = (from_width / to_width).min(from_height / to_height);
        let (width, height) =
            ((to_width * scale).min(from_width), (to_height * scale).min(from_height));
        Self { x: (from_width - width) / 2.0, y: (from_height - height) / 2.0, width, height }
    }
}

/// The picture at `width` x `height`; its shape may change. Sides must be at least 1.
pub fn resize(image: &Image, width: usize, height: usize, filter: Filter) -> Image {
    assert_sides(image.width, image.height, width, height);
    resize_window(image, Window::whole(image.width, image.height), width, height, filter)
}

/// The mask at `width` x `height`: a pixel that was edited by half or more (area average, rounded,
/// 128 and above) is 255.
pub fn resize_mask(mask: &Mask, width: usize, height: usize) -> Mask {
    assert_sides(mask.width, mask.height, width, height);
    resize_mask_window(mask, Window::whole(mask.width, mask.height), width, height)
}

/// The picture scaled, its shape kept, until it covers `width` x `height`, and cut to that around
/// its centre. Area filter when that makes it smaller, bicubic when it makes it larger.
pub fn fit(image: &Image, width: usize, height: usize) -> Image {
    assert_sides(image.width, image.height, width, height);
    let window = Window::covering((image.width, image.height), (width, height));
    let is_smaller = window.width >= width as f64;
    let filter = if is_smaller { Filter::Area } else { Filter::Bicubic };
    resize_window(image, window, width, height, filter)
}

/// The mask scaled and cut as [`fit`] does to its picture, with the rule of [`resize_mask`].
pub fn fit_mask(mask: &Mask, width: usize, height: usize) -> Mask {
    assert_sides(mask.width, mask.height, width, height);
    let window = Window::covering((mask.width, mask.height), (width, height));
    resize_mask_window(mask, window, width, height)
}

/// The middle `width` x `height` pixels, which the picture must have. Where the margins cannot be
/// equal, the smaller one is rounded half to even, as in the VINCIE 3B specification, section 7.
pub fn centre_crop(image: &Image, width: usize, height: usize) -> Image {
    assert!(
        (1..=image.width).contains(&width) && (1..=image.height).contains(&height),
        "crop of {width} x {height} from a picture of {} x {}",
        image.width,
        image.height
    );
    let margin = |whole: usize, part: usize| ((whole - part) as f64 / 2.0).round_ties_even();
    let left = margin(image.width, width) as usize;
    let top = margin(image.height, height) as usize;
    let rows = image.rgb.chunks_exact(3 * image.width).skip(top).take(height);
    let rgb = rows.flat_map(|row| &row[3 * left..3 * (left + width)]).copied().collect();
    Image::new(width, height, rgb)
}

/// Interleaved RGB numbers at `width` x `height`, with the weights of [`Filter::Bicubic`] and without
/// clamping. The horizontal pass comes first; sums are `f32`, taps in order.
pub(super) fn resize_planes(
    source: &[f32],
    source_width: usize,
    source_height: usize,
    width: usize,
    height: usize,
) -> Vec<f32> {
    assert_sides(source_width, source_height, width, height);
    let (columns, rows) = (Taps::single(source_width, width), Taps::single(source_height, height));
    let add = |sums: &mut [f32], values: &[f32], weight: f32| {
        for (sum, &value) in sums.iter_mut().zip(values) {
            *sum = multiply_add(weight, value, *sum);
        }
    };
    let row_length = 3 * width;
    let mut narrowed = vec![0.0; row_length * source_height];
    for (out, row) in
        narrowed.chunks_exact_mut(row_length).zip(source.chunks_exact(3 * source_width))
    {
        for (sums, (first, weights)) in out.chunks_exact_mut(3).zip(columns.iter()) {
            for (pixel, &weight) in row[3 * first..].chunks_exact(3).zip(weights) {
                add(sums, pixel, weight);
            }
        }
    }
    let mut out = vec![0.0; row_length * height];
    for (sums, (first, weights)) in out.chunks_exact_mut(row_length).zip(rows.iter()) {
        let samples = narrowed[first * row_length..].chunks_exact(row_length);
        for (row, &weight) in samples.zip(weights) {
            add(sums, row, weight);
        }
    }
    out
}

fn assert_sides(from_width: usize, from_height: usize, width: usize, height: usize) {
    assert!(
        from_width > 0 && from_height > 0 && width > 0 && height > 0,
        "resize from {from_width} x {from_height} to {width} x {height}"
    );
}

fn resize_window(image: &Image, part: Window, width: usize, height: usize, f: Filter) -> Image {
    let columns = Taps::new(image.width, part.x, part.width, width, f);
    let rows = Taps::new(image.height, part.y, part.height, height, f);
    let mut rgb = Vec::with_capacity(3 * width * height);
    match f {
        Filter::Area => average::<3>(&image.rgb, image.width, columns, rows, |row| {
            rgb.extend(row.iter().map(|&v| (v + 0.5) as u8));
        }),
        Filter::Bicubic => bicubic(&image.rgb, image.width, columns, rows, &mut rgb),
    }
    Image::new(width, height, rgb)
}

fn resize_mask_window(mask: &Mask, part: Window, width: usize, height: usize) -> Mask {
    let columns = Taps::new(mask.width, part.x, part.width, width, Filter::Area);
    let rows = Taps::new(mask.height, part.y, part.height, height, Filter::Area);
    let mut data = Vec::with_capacity(width * height);
    average::<1>(&mask.data, mask.width, columns, rows, |row| {
        data.extend(row.iter().map(|&v| if (v + 0.5) as u8 >= 128 { 255 } else { 0 }));
    });
    Mask::new(width, height, data)
}

/// Area averages of `C` interleaved channels, handed to `emit` a row at a time.
fn average<const C: usize>(
    source: &[u8],
    source_width: usize,
    columns: Taps<f64>,
    rows: Taps<f64>,
    mut emit: impl FnMut(&[f32]),
) {
    let columns = columns.with_weights(|weight| weight as f32);
    let rows = rows.with_weights(|weight| weight as f32);
    let mut narrowed = vec![0.0_f32; C * columns.outputs()];
    let mut sums = vec![0.0_f32; C * columns.outputs()];
    let mut narrowed_row = None;
    for (first, weights) in rows.iter() {
        sums.fill(0.0);
        for (row, &weight) in (first..).zip(weights) {
            // Neighbouring outputs share the row their border lies in.
            if narrowed_row != Some(row) {
                let samples = &source[C * source_width * row..][..C * source_width];
                average_row::<C>(samples, &columns, &mut narrowed);
                narrowed_row = Some(row);
            }
            for (sum, value) in sums.iter_mut().zip(&narrowed) {
                *sum += weight * value;
            }
        }
        emit(&sums);
    }
}

fn average_row<const C: usize>(samples: &[u8], columns: &Taps<f32>, out: &mut [f32]) {
    for (pixel, (first, weights)) in out.chunks_exact_mut(C).zip(columns.iter()) {
        let mut sums = [0.0_f32; C];
        for (sample, &weight) in samples[C * first..].chunks_exact(C).zip(weights) {
            for (sum, &value) in sums.iter_mut().zip(sample) {
                *sum += weight * f32::from(value);
            }
        }
        pixel.copy_from_slice(&sums);
    }
}

/// Both passes in fixed point; each rounds to 8 bits, weights round half away from zero.
fn bicubic(
    source: &[u8],
    source_width: usize,
    columns: Taps<f64>,
    rows: Taps<f64>,
    out: &mut Vec<u8>,
) {
    let to_fixed = |weight: f64| (weight * f64::from(1 << WEIGHT_BITS)).round() as i32;
    let (columns, rows) = (columns.with_weights(to_fixed), rows.with_weights(to_fixed));
    let to_byte = |sum: i32| (sum >> WEIGHT_BITS).clamp(0, 255) as u8;
    let row_bytes = 3 * columns.outputs();
    let mut narrowed = Vec::with_capacity(source.len() / (3 * source_width) * row_bytes);
    for row in source.chunks_exact(3 * source_width) {
        for (first, weights) in columns.iter() {
            let mut sums = [ONE_HALF; 3];
            for (pixel, weight) in row[3 * first..].chunks_exact(3).zip(weights) {
                for (sum, &value) in sums.iter_mut().zip(pixel) {
                    *sum += weight * i32::from(value);
                }
            }
            narrowed.extend(sums.map(to_byte));
        }
    }
    let mut sums = vec![0; row_bytes];
    for (first, weights) in rows.iter() {
        sums.fill(ONE_HALF);
        for (row, weight) in narrowed[first * row_bytes..].chunks_exact(row_bytes).zip(weights) {
            for (sum, &value) in sums.iter_mut().zip(row) {
                *sum += weight * i32::from(value);
            }
        }
        out.extend(sums.iter().map(|&sum| to_byte(sum)));
    }
}

#[cfg(test)]
mod tests;
