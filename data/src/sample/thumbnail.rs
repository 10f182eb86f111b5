//! Small pictures for analysis: exact area averages, so that noise falls and nothing aliases.

use crate::Image;

/// The picture reduced so that its longer side is at most `side` pixels, by area averaging. A
/// picture that is small enough is returned as it is; the shorter side never falls below 1.
pub fn thumbnail(image: &Image, side: usize) -> Image {
    let longest = image.width.max(image.height);
    if longest <= side.max(1) {
        return image.clone();
    }
    let scaled = |length: usize| ((length * side + longest / 2) / longest).max(1);
    area_resized(image, scaled(image.width), scaled(image.height))
}

/// The picture averaged into `width` x `height` cells of equal area. Neither side may grow.
pub fn area_resized(image: &Image, width: usize, height: usize) -> Image {
    assert!(
        0 < width && width <= image.width && 0 < height && height <= image.height,
        "area average from {} x {} to {width} x {height}: sides must shrink and not vanish",
        image.width,
        image.height
    );
    let columns = spans(image.width, width);
    let stride = 3 * image.width;
    let mut sums = vec![0.0f32; stride];
    let mut rgb = Vec::with_capacity(3 * width * height);
    for row_span in spans(image.height, height) {
        sums.fill(0.0);
        for (y, weight) in row_span.weights() {
            let row = &image.rgb[y * stride..(y + 1) * stride];
            for (sum, &value) in sums.iter_mut().zip(row) {
                *sum += weight * f32::from(value);
            }
        }
        for column_span in &columns {
            let mut cell = [0.0f32; 3];
            for (x, weight) in column_span.weights() {
                for (channel, value) in cell.iter_mut().enumerate() {
                    *value += weight * sums[3 * x + channel];
                }
            }
            let area = row_span.length * column_span.length;
            rgb.extend(cell.map(|v| (v / area + 0.5) as u8));
        }
    }
    Image::new(width, height, rgb)
}

/// The source pixels under one cell: the first and last are covered in part.
struct Span {
    first: usize,
    last: usize,
    first_weight: f32,
    last_weight: f32,
    length: f32,
}

impl Span {
    /// Pixel and covered share, for each pixel under the cell.
    fn weights(&self) -> impl Iterator<Item = (usize, f32)> + '_ {
        (self.first..=self.last).map(|at| {
            let weight = match at {
                _ if at == self.first => self.first_weight,
                _ if at == self.last => self.last_weight,
                _ => 1.0,
            };
            (at, weight)
        })
    }
}

fn spans(from: usize, to: usize) -> Vec<Span> {
    let length = from as f64 / to as f64;
    (0..to)
        .map(|cell| {
            let (start, end) = (cell as f64 * length, (cell + 1) as f64 * length);
            let first = start as usize;
            let last = ((end.ceil() as usize).max(first + 1) - 1).min(from - 1);
            let first_weight = (end.min((first + 1) as f64) - start) as f32;
            let last_weight = (end - last as f64) as f32;
            Span { first, last, first_weight, last_weight, length: length as f32 }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn averages_are_exact() {
        let image = Image::new(4, 1, vec![0, 0, 0, 100, 0, 0, 200, 30, 0, 100, 10, 0]);
        assert_eq!(area_resized(&image, 2, 1).rgb, [50, 0, 0, 150, 20, 0]);
        // Cells of 4/3 pixels: 0 * 1 + 100 / 3, and so on.
        assert_eq!(area_resized(&image, 3, 1).rgb[0], 25);
        assert_eq!(area_resized(&image, 1, 1).rgb, [100, 10, 0]);
    }

    #[test]
    fn constants_stay_and_odd_sizes_work() {
        for (width, height) in [(1, 1), (3, 500), (1280, 7), (97, 61)] {
            let small = thumbnail(&Image::filled(width, height, [200, 17, 3]), 32);
            assert!(small.width.max(small.height) <= 32 && small.width.min(small.height) >= 1);
            assert!(small.rgb.chunks_exact(3).all(|p| p == [200, 17, 3]), "{width} x {height}");
        }
        let image = Image::filled(20, 10, [1, 2, 3]);
        assert_eq!(thumbnail(&image, 20), image);
    }
}
