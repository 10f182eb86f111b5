//! Pictures and masks of a session as bytes of JPEG and PNG files, within limits.

use crate::{Image, Limits, Mask};
use jpeg_encoder::ColorType as JpegColor;
use png::{BitDepth, ColorType, Transformations};
use std::io::Cursor;
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::{
    bytestream::ZCursor, colorspace::ColorSpace, options::DecoderOptions,
};

/// Decodes a JPEG or PNG file, told apart by its first bytes.
pub(crate) fn decode_picture(bytes: &[u8], limits: &Limits) -> Result<Image, String> {
    check_encoded(bytes, limits)?;
    if bytes.starts_with(&[0xff, 0xd8]) {
        return decode_jpeg(bytes, limits);
    }
    let (width, height, color, pixels) = decode_png(bytes, limits)?;
    let rgb = match color {
        ColorType::Rgb => pixels,
        ColorType::Rgba => pixels.chunks_exact(4).flat_map(|p| [p[0], p[1], p[2]]).collect(),
        ColorType::Grayscale => pixels.iter().flat_map(|&v| [v; 3]).collect(),
        ColorType::GrayscaleAlpha => pixels.chunks_exact(2).flat_map(|p| [p[0]; 3]).collect(),
        ColorType::Indexed => return Err("PNG palette was not expanded".to_owned()),
    };
    Ok(Image { width, height, rgb })
}

/// Decodes a mask from PNG of any depth and colour: bright (128 and above) is 255, dark is 0.
pub(crate) fn decode_mask(bytes: &[u8], limits: &Limits) -> Result<Mask, String> {
    check_encoded(bytes, limits)?;
    let (width, height, color, mut pixels) = decode_png(bytes, limits)?;
    let samples = color.samples();
    for pixel in 0..width * height {
        pixels[pixel] = if pixels[pixel * samples] >= 128 { 255 } else { 0 };
    }
    pixels.truncate(width * height);
    Ok(Mask { width, height, data: pixels })
}

/// Encodes a frame as JPEG of a quality from 1 to 100; the colour is not subsampled from 90 on.
pub(crate) fn encode_jpeg(image: &Image, quality: u8) -> Result<Vec<u8>, String> {
    let side = |value: usize| {
        u16::try_from(value).map_err(|_| format!("JPEG side of {value}; the limit is 65535"))
    };
    let (width, height) = (side(image.width)?, side(image.height)?);
    let mut bytes = Vec::with_capacity(image.rgb.len() / 4 + 1024);
    jpeg_encoder::Encoder::new(&mut bytes, quality)
        .encode(&image.rgb, width, height, JpegColor::Rgb)
        .map_err(|error| error.to_string())?;
    Ok(bytes)
}

/// Encodes a frame as 8-bit RGB PNG.
pub(crate) fn encode_png(image: &Image) -> Result<Vec<u8>, String> {
    write_png(image.width, image.height, ColorType::Rgb, &image.rgb)
}

/// Encodes a mask as 8-bit grey PNG.
pub(crate) fn encode_mask(mask: &Mask) -> Result<Vec<u8>, String> {
    write_png(mask.width, mask.height, ColorType::Grayscale, &mask.data)
}

fn check_encoded(bytes: &[u8], limits: &Limits) -> Result<(), String> {
    if bytes.len() > limits.encoded_bytes {
        return Err(format!("{} bytes; the limit is {}", bytes.len(), limits.encoded_bytes));
    }
    Ok(())
}

fn decode_jpeg(bytes: &[u8], limits: &Limits) -> Result<Image, String> {
    let options = DecoderOptions::default()
        .jpeg_set_out_colorspace(ColorSpace::RGB)
        .set_strict_mode(true)
        .set_max_width(limits.side)
        .set_max_height(limits.side);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(|error| one_line(&error))?;
    let info = decoder.info().ok_or("JPEG without a frame header")?;
    let (width, height) = (usize::from(info.width), usize::from(info.height));
    limits.check_size(width, height)?;
    let rgb = decoder.decode().map_err(|error| one_line(&error))?;
    if rgb.len() != 3 * width * height {
        return Err(format!("JPEG of {width} x {height} gave {} bytes", rgb.len()));
    }
    Ok(Image { width, height, rgb })
}

fn decode_png(bytes: &[u8], limits: &Limits) -> Result<(usize, usize, ColorType, Vec<u8>), String> {
    let memory = png::Limits { bytes: limits.pixels.saturating_mul(8).saturating_add(1 << 20) };
    let mut decoder = png::Decoder::new_with_limits(Cursor::new(bytes), memory);
    decoder.set_transformations(Transformations::normalize_to_color8());
    let header = decoder.read_header_info().map_err(|error| one_line(&error))?;
    limits.check_size(header.width as usize, header.height as usize)?;
    let mut reader = decoder.read_info().map_err(|error| one_line(&error))?;
    let size = reader.output_buffer_size().ok_or("PNG whose size does not fit in memory")?;
    let mut pixels = vec![0; size];
    let info = reader.next_frame(&mut pixels).map_err(|error| one_line(&error))?;
    if info.bit_depth != BitDepth::Eight {
        return Err(format!("PNG decoded to depth {:?}", info.bit_depth));
    }
    pixels.truncate(info.buffer_size());
    Ok((info.width as usize, info.height as usize, info.color_type, pixels))
}

fn write_png(
    width: usize,
    height: usize,
    color: ColorType,
    data: &[u8],
) -> Result<Vec<u8>, String> {
    let side = |value: usize| u32::try_from(value).map_err(|_| format!("PNG side of {value}"));
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, side(width)?, side(height)?);
    encoder.set_color(color);
    encoder.set_depth(BitDepth::Eight);
    let mut writer = encoder.write_header().map_err(|error| one_line(&error))?;
    writer.write_image_data(data).map_err(|error| one_line(&error))?;
    writer.finish().map_err(|error| one_line(&error))?;
    Ok(bytes)
}

/// A decoder's message without line breaks: it becomes part of a one-line error.
fn one_line(error: &dyn std::fmt::Display) -> String {
    error.to_string().replace(['\n', '\r'], " ")
}
