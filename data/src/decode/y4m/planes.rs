//! Planes of luma and subsampled chroma to RGB.

use crate::Image;

/// How chroma samples lie along one axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Siting {
    /// One chroma sample a pixel.
    Full,
    /// One for two pixels, between them.
    HalfCentred,
    /// One for two pixels, on the first.
    HalfOnSample,
    /// One for four pixels, on the first.
    QuarterOnSample,
}

/// Planes of a frame, in file order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PixelFormat {
    /// Y, Cb, Cr.
    Chroma {
        /// Along a row.
        horizontal: Siting,
        /// Down a column.
        vertical: Siting,
    },
    /// Y, Cb, Cr and alpha, all at full size.
    Alpha,
    /// Y.
    Mono,
}

/// Where along one axis the chroma of a pixel comes from: a sample, the next one, and the share of
/// the next in eighths.
#[derive(Clone, Copy)]
struct Source {
    first: usize,
    second: usize,
    eighths: i32,
}

/// Turns frames of one size and format into pictures.
pub(super) struct Converter {
    width: usize,
    height: usize,
    format: PixelFormat,
    matrix: Matrix,
    chroma_width: usize,
    chroma_height: usize,
    columns: Vec<Source>,
    rows: Vec<Source>,
}

impl Converter {
    /// `width` and `height` are at least 1 and within limits.
    pub(super) fn new(
        width: usize,
        height: usize,
        format: PixelFormat,
        is_full_range: bool,
    ) -> Self {
        let (horizontal, vertical) = match format {
            PixelFormat::Chroma { horizontal, vertical } => (horizontal, vertical),
            PixelFormat::Alpha | PixelFormat::Mono => (Siting::Full, Siting::Full),
        };
        let (chroma_width, columns) = sources(width, horizontal);
        let (chroma_height, rows) = sources(height, vertical);
        let matrix = if is_full_range { Matrix::FULL } else { Matrix::LIMITED };
        Self { width, height, format, matrix, chroma_width, chroma_height, columns, rows }
    }

    /// Bytes of one frame.
    pub(super) fn frame_bytes(&self) -> usize {
        let (luma, chroma) = (self.width * self.height, self.chroma_width * self.chroma_height);
        match self.format {
            PixelFormat::Chroma { .. } => luma + 2 * chroma,
            PixelFormat::Alpha => 4 * luma,
            PixelFormat::Mono => luma,
        }
    }

    /// Converts one frame of [`frame_bytes`](Self::frame_bytes) bytes.
    pub(super) fn convert(&self, planes: &[u8]) -> Image {
        let (luma, rest) = planes.split_at(self.width * self.height);
        let mut rgb = vec![0; 3 * luma.len()];
        let rows = rgb.chunks_exact_mut(3 * self.width).zip(luma.chunks_exact(self.width));
        if self.format == PixelFormat::Mono {
            let neutral = vec![0; self.width];
            rows.for_each(|(rgb, luma)| self.matrix.convert(luma, &neutral, &neutral, rgb));
            return Image::new(self.width, self.height, rgb);
        }
        let size = self.chroma_width * self.chroma_height;
        let (cb, rest) = rest.split_at(size);
        let (cr, alpha) = rest.split_at(size);
        let mut blended = vec![0; self.chroma_width];
        let (mut wide_cb, mut wide_cr) = (vec![0; self.width], vec![0; self.width]);
        for ((rgb, luma), from) in rows.zip(&self.rows) {
            self.chroma_row(cb, *from, &mut blended, &mut wide_cb);
            self.chroma_row(cr, *from, &mut blended, &mut wide_cr);
            self.matrix.convert(luma, &wide_cb, &wide_cr, rgb);
        }
        if self.format == PixelFormat::Alpha {
            lay_over_white(&mut rgb, alpha);
        }
        Image::new(self.width, self.height, rgb)
    }

    /// One chroma component of one picture row at full width, less 128.
    fn chroma_row(&self, plane: &[u8], from: Source, blended: &mut [i32], wide: &mut [i32]) {
        let row = |index: usize| &plane[index * self.chroma_width..][..self.chroma_width];
        for ((out, &first), &second) in
            blended.iter_mut().zip(row(from.first)).zip(row(from.second))
        {
            *out = i32::from(first) * (8 - from.eighths) + i32::from(second) * from.eighths;
        }
        for (out, at) in wide.iter_mut().zip(&self.columns) {
            let sum = blended[at.first] * (8 - at.eighths) + blended[at.second] * at.eighths;
            *out = ((sum + 32) >> 6) - 128;
        }
    }
}

/// ITU-R BT.601 in 16-bit fixed point.
struct Matrix {
    /// Luma of black.
    black: i32,
    luma: i32,
    red_of_cr: i32,
    green_of_cb: i32,
    green_of_cr: i32,
    blue_of_cb: i32,
}

impl Matrix {
    const LIMITED: Self = Self {
        black: 16,
        luma: 76_309,
        red_of_cr: 104_597,
        green_of_cb: -25_675,
        green_of_cr: -53_279,
        blue_of_cb: 132_201,
    };
    const FULL: Self = Self {
        black: 0,
        luma: 65_536,
        red_of_cr: 91_881,
        green_of_cb: -22_554,
        green_of_cr: -46_802,
        blue_of_cb: 116_130,
    };

    /// Converts a row; chroma is given less 128.
    fn convert(&self, luma: &[u8], cb: &[i32], cr: &[i32], rgb: &mut [u8]) {
        let to_byte = |value: i32| (value >> 16).clamp(0, 255) as u8;
        for (((pixel, &y), &cb), &cr) in rgb.chunks_exact_mut(3).zip(luma).zip(cb).zip(cr) {
            let y = (i32::from(y) - self.black) * self.luma + (1 << 15);
            pixel[0] = to_byte(y + self.red_of_cr * cr);
            pixel[1] = to_byte(y + self.green_of_cb * cb + self.green_of_cr * cr);
            pixel[2] = to_byte(y + self.blue_of_cb * cb);
        }
    }
}

fn lay_over_white(rgb: &mut [u8], alpha: &[u8]) {
    for (pixel, &alpha) in rgb.chunks_exact_mut(3).zip(alpha) {
        let alpha = u32::from(alpha);
        for value in pixel {
            *value = ((u32::from(*value) * alpha + 255 * (255 - alpha) + 127) / 255) as u8;
        }
    }
}

/// Number of chroma samples for `length` pixels, and where each pixel's chroma comes from.
fn sources(length: usize, siting: Siting) -> (usize, Vec<Source>) {
    let factor = match siting {
        Siting::Full => 1,
        Siting::HalfCentred | Siting::HalfOnSample => 2,
        Siting::QuarterOnSample => 4,
    };
    let count = length.div_ceil(factor);
    let place = |pixel: usize| {
        // Position among the chroma samples in eighths, moved up by one sample to stay positive.
        let eighths = 8 * pixel / factor + 8 - if siting == Siting::HalfCentred { 2 } else { 0 };
        let (sample, eighths) = ((eighths / 8) as isize - 1, eighths % 8);
        let clamp = |sample: isize| sample.clamp(0, count as isize - 1) as usize;
        Source { first: clamp(sample), second: clamp(sample + 1), eighths: eighths as i32 }
    };
    (count, (0..length).map(place).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chroma_positions() {
        let list = |siting| {
            let (count, sources) = sources(5, siting);
            let places = sources.iter().map(|s| (s.first, s.second, s.eighths)).collect::<Vec<_>>();
            (count, places)
        };
        let full = (0..5).map(|i: usize| (i, (i + 1).min(4), 0)).collect();
        assert_eq!(list(Siting::Full), (5, full));
        let centred = vec![(0, 0, 6), (0, 1, 2), (0, 1, 6), (1, 2, 2), (1, 2, 6)];
        assert_eq!(list(Siting::HalfCentred), (3, centred));
        let on_sample = vec![(0, 1, 0), (0, 1, 4), (1, 2, 0), (1, 2, 4), (2, 2, 0)];
        assert_eq!(list(Siting::HalfOnSample), (3, on_sample));
        let quarter = vec![(0, 1, 0), (0, 1, 2), (0, 1, 4), (0, 1, 6), (1, 1, 0)];
        assert_eq!(list(Siting::QuarterOnSample), (2, quarter));
    }

    #[test]
    fn primaries_of_bt_601() {
        let convert = |planes: &[u8], is_full_range| {
            let format = PixelFormat::Chroma { horizontal: Siting::Full, vertical: Siting::Full };
            Converter::new(1, 1, format, is_full_range).convert(planes).pixel(0, 0)
        };
        assert_eq!(convert(&[16, 128, 128], false), [0, 0, 0]);
        assert_eq!(convert(&[235, 128, 128], false), [255, 255, 255]);
        assert_eq!(convert(&[81, 90, 240], false), [254, 0, 0]);
        assert_eq!(convert(&[145, 54, 34], false), [0, 255, 1]);
        assert_eq!(convert(&[41, 240, 110], false), [0, 0, 255]);
        assert_eq!(convert(&[76, 85, 255], true), [254, 0, 0]);
        assert_eq!(convert(&[255, 128, 128], true), [255, 255, 255]);
    }

    #[test]
    fn transparent_pixels_are_white() {
        let converter = Converter::new(2, 1, PixelFormat::Alpha, false);
        let image = converter.convert(&[16, 16, 128, 128, 128, 128, 255, 0]);
        assert_eq!(image.rgb, [0, 0, 0, 255, 255, 255]);
    }
}
