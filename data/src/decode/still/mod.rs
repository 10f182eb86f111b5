//! Still pictures: PNG and JPEG in, told apart by content, and the same two out.
//!
//! Every pixel becomes 8-bit RGB. Grey is repeated, palettes are looked up, 16-bit samples are
//! rounded to 8, transparent pixels are laid over white, CMYK is converted as its encoder meant
//! it, and an EXIF orientation is applied. Colour profiles and gamma are ignored: samples are
//! taken as sRGB, which is what training pictures are. Sizes are checked against [`Limits`] from
//! the header alone, before anything is allocated for pixels.

mod header;
mod jpeg;
mod png;
mod tables;

pub(super) use self::header::Header;
pub(super) use self::jpeg::decode_frame;
pub use self::jpeg::encode_jpeg;
pub use self::png::{encode_mask_png, encode_png};

use super::publish::publish;
use crate::{Error, Image, Limits, Mask, Result};
use std::{fs, path::Path};

/// First bytes of a PNG file.
pub(super) const PNG_SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";
/// First bytes of a JPEG file: start of image, then the next marker.
pub(super) const JPEG_SIGNATURE: &[u8] = b"\xff\xd8\xff";

/// Reads a PNG or JPEG file.
pub fn read_image(path: impl AsRef<Path>, limits: &Limits) -> Result<Image> {
    let path = path.as_ref();
    decode_image(&read_bytes(path, limits)?, path, limits)
}

/// Decodes a PNG or JPEG file held in memory; `name` is what errors call it.
pub fn decode_image(bytes: &[u8], name: impl AsRef<Path>, limits: &Limits) -> Result<Image> {
    let name = name.as_ref();
    if bytes.len() > limits.encoded_bytes {
        return Err(too_many_bytes(name, bytes.len() as u64, limits));
    }
    if bytes.is_empty() {
        return Err(Error::format(name, "is empty (0 bytes); expected a PNG or JPEG picture"));
    }
    if bytes.starts_with(PNG_SIGNATURE) {
        png::decode(bytes, name, limits)
    } else if bytes.starts_with(JPEG_SIGNATURE) {
        jpeg::decode(bytes, name, limits)
    } else {
        Err(Error::format(name, "is neither PNG nor JPEG by its first bytes"))
    }
}

/// Reads a PNG or JPEG file as a mask, as [`decode_mask`] does.
pub fn read_mask(path: impl AsRef<Path>, limits: &Limits) -> Result<Mask> {
    let path = path.as_ref();
    decode_mask(&read_bytes(path, limits)?, path, limits)
}

/// Decodes a PNG or JPEG file as a mask: pixels whose channels average 128 or more become 255
/// (edit), others 0 (keep). Transparent pixels count as white, so masks that mark the region by
/// transparency are read rightly too.
pub fn decode_mask(bytes: &[u8], name: impl AsRef<Path>, limits: &Limits) -> Result<Mask> {
    let Image { width, height, rgb } = decode_image(bytes, name, limits)?;
    let sum = |p: &[u8]| p.iter().map(|&v| u16::from(v)).sum::<u16>();
    let data = rgb.chunks_exact(3).map(|p| if sum(p) >= 3 * 128 { 255 } else { 0 }).collect();
    Ok(Mask::new(width, height, data))
}

/// Writes a picture as PNG. The file appears whole or not at all.
pub fn write_png(path: impl AsRef<Path>, image: &Image) -> Result<()> {
    publish(path.as_ref(), &encode_png(image))
}

/// Writes a mask as 8-bit grey PNG. The file appears whole or not at all.
pub fn write_mask_png(path: impl AsRef<Path>, mask: &Mask) -> Result<()> {
    publish(path.as_ref(), &encode_mask_png(mask))
}

/// Writes a picture as JPEG of a `quality` from 1 to 100. The file appears whole or not at all.
pub fn write_jpeg(path: impl AsRef<Path>, image: &Image, quality: u8) -> Result<()> {
    publish(path.as_ref(), &encode_jpeg(image, quality)?)
}

/// The whole file, if it is no longer than the limit.
fn read_bytes(path: &Path, limits: &Limits) -> Result<Vec<u8>> {
    let length = fs::metadata(path).map_err(|e| Error::io(path, e))?.len();
    if length > limits.encoded_bytes as u64 {
        return Err(too_many_bytes(path, length, limits));
    }
    fs::read(path).map_err(|e| Error::io(path, e))
}

fn too_many_bytes(name: &Path, length: u64, limits: &Limits) -> Error {
    Error::limit(name, format!("picture of {length} bytes; the limit is {}", limits.encoded_bytes))
}
