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
    is_full_range: bool,
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
        Self { width, height, format, is_full_range, chroma_width, chroma_height, columns, rows }
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
        let chroma = self.chroma_width * self.chroma_height;
        let mut rgb = Vec::with_capacity(3 * luma.len());
        if self.format == PixelFormat::Mono {
            rgb.extend(luma.iter().flat_map(|&y| self.rgb(y, 128, 128)));
            return Image::new(self.width, self.height, rgb);
        }
        let (cb, rest) = rest.split_at(chroma);
        let (cr, alpha) = rest.split_at(chroma);
        let mut blended = vec![[0; 2]; self.chroma_width];
        for (luma, rows) in luma.chunks_exact(self.width).zip(&self.rows) {
            self.blend_rows(cb, cr, *rows, &mut blended);
            for (&y, at) in luma.iter().zip(&self.columns) {
                let (first, second) = (blended[at.first], blended[at.second]);
                let mix = |c: usize| {
                    let sum = first[c] * (8 - at.eighths) + second[c] * at.eighths;
                    (sum + 32) >> 6
                };
                rgb.extend(self.rgb(y, mix(0), mix(1)));
            }
        }
        if self.format == PixelFormat::Alpha {
            for (pixel, &alpha) in rgb.chunks_exact_mut(3).zip(alpha) {
                let alpha = u32::from(alpha);
                for value in pixel {
                    *value = ((u32::from(*value) * alpha + 255 * (255 - alpha) + 127) / 255) as u8;
                }
            }
        }
        Image::new(self.width, self.height, rgb)
    }

    /// Cb and Cr of one picture row at chroma resolution, times 8.
    fn blend_rows(&self, cb: &[u8], cr: &[u8], rows: Source, out: &mut [[i32; 2]]) {
        let row = |index: usize| index * self.chroma_width..(index + 1) * self.chroma_width;
        let (first, second) = (row(rows.first), row(rows.second));
        let top = cb[first.clone()].iter().zip(&cr[first]);
        let bottom = cb[second.clone()].iter().zip(&cr[second]);
        for ((out, top), bottom) in out.iter_mut().zip(top).zip(bottom) {
            let mix = |top: &u8, bottom: &u8| {
                i32::from(*top) * (8 - rows.eighths) + i32::from(*bottom) * rows.eighths
            };
            *out = [mix(top.0, bottom.0), mix(top.1, bottom.1)];
        }
    }

    /// ITU-R BT.601 in 16-bit fixed point.
    fn rgb(&self, y: u8, cb: i32, cr: i32) -> [u8; 3] {
        let (y, cb, cr) = (i32::from(y), cb - 128, cr - 128);
        let (y, red, green, blue) = if self.is_full_range {
            (y << 16, 91_881 * cr, -22_554 * cb - 46_802 * cr, 116_130 * cb)
        } else {
            (76_309 * (y - 16), 104_597 * cr, -25_675 * cb - 53_279 * cr, 132_201 * cb)
        };
        [red, green, blue].map(|part| ((y + part + (1 << 15)) >> 16).clamp(0, 255) as u8)
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
