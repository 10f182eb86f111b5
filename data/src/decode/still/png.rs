//! PNG through the `png` crate: every colour type and depth in, 8-bit RGB and grey out.

use super::super::orientation::exif_orientation;
use crate::{Error, Image, Limits, Mask, Result};
use ::png::{BitDepth, ColorType, Compression, Decoder, Encoder, Filter, Transformations};
use std::{io::Cursor, path::Path};

/// Most memory the decoder may use besides the pixels: row buffers and side chunks.
const WORK_BYTES: usize = 64 << 20;

/// Decodes a PNG file; the first picture of an animated one.
pub(super) fn decode(bytes: &[u8], name: &Path, limits: &Limits) -> Result<Image> {
    let broken = |e: ::png::DecodingError| Error::format(name, format!("PNG: {e}"));
    let budget = ::png::Limits { bytes: WORK_BYTES };
    let mut decoder = Decoder::new_with_limits(Cursor::new(bytes), budget);
    decoder.set_ignore_text_chunk(true);
    decoder.set_ignore_iccp_chunk(true);
    decoder.set_transformations(Transformations::EXPAND);
    let header = decoder.read_header_info().map_err(broken)?;
    let (width, height) = (header.width as usize, header.height as usize);
    limits.check_size(width, height).map_err(|what| Error::limit(name, what))?;

    let mut reader = decoder.read_info().map_err(broken)?;
    let (colour, depth) = reader.output_color_type();
    let layout = Layout { colour, is_wide: depth == BitDepth::Sixteen };
    let mut rgb = Vec::with_capacity(3 * width * height);
    if reader.info().interlaced {
        let size = reader.output_buffer_size().ok_or_else(|| {
            Error::limit(name, format!("PNG of {width} x {height} does not fit in memory"))
        })?;
        let mut pixels = vec![0; size];
        let info = reader.next_frame(&mut pixels).map_err(broken)?;
        for row in pixels.chunks_exact(info.line_size).take(height) {
            layout.append_row(row, &mut rgb);
        }
    } else {
        while rgb.len() < 3 * width * height {
            let Some(row) = reader.next_row().map_err(broken)? else { break };
            layout.append_row(row.data(), &mut rgb);
        }
    }
    // A file whose last chunk is missing is cut, even if the cut spared the pixels.
    reader.finish().map_err(broken)?;
    if rgb.len() != 3 * width * height {
        return Err(Error::format(name, "PNG: rows are missing"));
    }
    let orientation = reader.info().exif_metadata.as_deref().map(exif_orientation);
    Ok(orientation.unwrap_or_default().apply(Image::new(width, height, rgb)))
}

/// How the decoder hands out samples after palettes and depths below 8 are expanded.
struct Layout {
    colour: ColorType,
    is_wide: bool,
}

impl Layout {
    /// Converts one row to 8-bit RGB over white.
    fn append_row(&self, row: &[u8], rgb: &mut Vec<u8>) {
        if self.is_wide {
            // 65535 maps to 255: round(v / 257).
            let narrow = |pair: &[u8]| {
                let value = u32::from(u16::from_be_bytes([pair[0], pair[1]]));
                ((value * 255 + 32_895) >> 16) as u8
            };
            self.append_samples(row.chunks_exact(2).map(narrow), rgb);
        } else {
            self.append_samples(row.iter().copied(), rgb);
        }
    }

    fn append_samples(&self, samples: impl Iterator<Item = u8>, rgb: &mut Vec<u8>) {
        let over_white = |value: u8, alpha: u8| {
            let (value, alpha) = (u32::from(value), u32::from(alpha));
            ((value * alpha + 255 * (255 - alpha) + 127) / 255) as u8
        };
        let mut samples = samples;
        match self.colour {
            ColorType::Grayscale => rgb.extend(samples.flat_map(|v| [v; 3])),
            ColorType::Rgb => rgb.extend(samples),
            ColorType::GrayscaleAlpha => {
                while let (Some(v), Some(a)) = (samples.next(), samples.next()) {
                    rgb.extend([over_white(v, a); 3]);
                }
            }
            ColorType::Rgba => {
                let mut next = || samples.next();
                while let (Some(r), Some(g), Some(b), Some(a)) = (next(), next(), next(), next()) {
                    rgb.extend([over_white(r, a), over_white(g, a), over_white(b, a)]);
                }
            }
            ColorType::Indexed => unreachable!("palettes are expanded to RGB"),
        }
    }
}

/// Encodes a picture as 8-bit RGB PNG. Equal pictures give equal bytes.
pub fn encode_png(image: &Image) -> Vec<u8> {
    // On photographs slower methods take up to 200 times as long and save a quarter at most.
    let method = (Compression::Fast, Filter::Paeth);
    encode(image.width, image.height, ColorType::Rgb, method, &image.rgb)
}

/// Encodes a mask as 8-bit grey PNG, 0 = keep, 255 = edit. Equal masks give equal bytes.
pub fn encode_mask_png(mask: &Mask) -> Vec<u8> {
    // Long runs of one value: half the size of the fast method at half a millisecond.
    let method = (Compression::Balanced, Filter::NoFilter);
    encode(mask.width, mask.height, ColorType::Grayscale, method, &mask.data)
}

fn encode(
    width: usize,
    height: usize,
    colour: ColorType,
    (compression, filter): (Compression, Filter),
    pixels: &[u8],
) -> Vec<u8> {
    let side = |length: usize| {
        let length = u32::try_from(length).ok().filter(|&length| length > 0);
        length.unwrap_or_else(|| panic!("PNG of {width} x {height}: sides are 1 to 2^31 - 1"))
    };
    let mut bytes = Vec::with_capacity(pixels.len() / 2 + 1024);
    let mut encoder = Encoder::new(&mut bytes, side(width), side(height));
    encoder.set_color(colour);
    encoder.set_depth(BitDepth::Eight);
    encoder.set_compression(compression);
    encoder.set_filter(filter);
    encoder
        .write_header()
        .and_then(|mut writer| {
            writer.write_image_data(pixels)?;
            writer.finish()
        })
        .expect("a vector takes every byte, and the pixels fit the size by construction");
    bytes
}
