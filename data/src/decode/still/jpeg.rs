//! JPEG through `zune-jpeg` and `jpeg-encoder`, behind checks of structure, size and end.

use super::{header::Header, tables::write_standard_tables};
use crate::{Error, Image, Limits, Result};
use jpeg_encoder::{ChromaSubsamplingMethod, ColorType, Encoder};
use std::{
    borrow::Cow,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};
use zune_jpeg::{
    JpegDecoder,
    zune_core::{bytestream::ZCursor, colorspace::ColorSpace, options::DecoderOptions},
};

/// Most scans of a progressive picture; encoders write about ten, and each costs a pass.
const SCANS: usize = 64;

/// Decodes a JPEG file: complete, within `limits`, turned as its EXIF block says.
pub(super) fn decode(bytes: &[u8], name: &Path, limits: &Limits) -> Result<Image> {
    let header = Header::parse(bytes).map_err(|what| Error::format(name, what))?;
    if header.end.is_none() {
        let what = format!("JPEG is cut: {} bytes and no end marker", bytes.len());
        return Err(Error::format(name, what));
    }
    Ok(header.orientation.apply(decode_frame(bytes, &header, name, limits)?))
}

/// Decodes the JPEG picture at the start of `bytes`, whose structure is `header`, as one frame of
/// motion JPEG: a missing end marker and missing Huffman tables are put in, EXIF is ignored.
pub(in super::super) fn decode_frame(
    bytes: &[u8],
    header: &Header,
    name: &Path,
    limits: &Limits,
) -> Result<Image> {
    let (width, height) = (header.width, header.height);
    limits.check_size(width, height).map_err(|what| Error::limit(name, what))?;
    let complete = complete(bytes, header);
    // Strict mode turns data that runs out inside a scan into an error instead of grey.
    let options = DecoderOptions::default()
        .set_strict_mode(true)
        .set_max_width(width)
        .set_max_height(height)
        .jpeg_set_max_scans(SCANS)
        .jpeg_set_out_colorspace(ColorSpace::RGB);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(&complete[..]), options);
    let mut rgb = vec![0; 3 * width * height];
    // The decoder is other people's code, fed bytes from anywhere: a panic in it costs this
    // picture, not the process. Neither it nor the buffer is used afterwards.
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        decoder.decode_headers().map_err(|e| one_line(&e))?;
        if decoder.output_buffer_size() != Some(rgb.len()) {
            return Err("frame header and decoder disagree about the size".to_owned());
        }
        decoder.decode_into(&mut rgb).map_err(|e| one_line(&e))
    }));
    outcome
        .unwrap_or_else(|_| Err("the decoder gave up on malformed data".to_owned()))
        .map_err(|what| Error::format(name, format!("JPEG: {what}")))?;
    Ok(Image::new(width, height, rgb))
}

/// Encodes a picture as baseline JPEG of a `quality` from 1 to 100. Below 90 the chroma is
/// averaged over 2 x 2 pixels (4:2:0), from 90 on it is kept whole. Equal input gives equal bytes.
pub fn encode_jpeg(image: &Image, quality: u8) -> Result<Vec<u8>> {
    if !(1..=100).contains(&quality) {
        let what = format!("JPEG quality {quality} is out of range; it has to be 1 to 100");
        return Err(Error::Unsupported(what));
    }
    let refusal = || {
        let (width, height) = (image.width, image.height);
        Error::Unsupported(format!("{width} x {height} does not fit in JPEG: sides are 1 to 65535"))
    };
    let side = |length: usize| u16::try_from(length).ok().filter(|&l| l > 0).ok_or_else(refusal);
    let (width, height) = (side(image.width)?, side(image.height)?);
    let mut bytes = Vec::with_capacity(image.rgb.len() / 8 + 1024);
    let mut encoder = Encoder::new(&mut bytes, quality);
    encoder.set_chroma_subsampling_method(ChromaSubsamplingMethod::Average);
    encoder
        .encode(&image.rgb, width, height, ColorType::Rgb)
        .map_err(|e| Error::Unsupported(format!("JPEG encoder: {e}")))?;
    Ok(bytes)
}

/// The picture's own bytes, with the tables and the end marker it lacks.
fn complete<'a>(bytes: &'a [u8], header: &Header) -> Cow<'a, [u8]> {
    let own = &bytes[..header.end.unwrap_or(bytes.len())];
    if header.missing_tables_at.is_none() && header.end.is_some() {
        return Cow::Borrowed(own);
    }
    let mut whole = Vec::with_capacity(own.len() + 512);
    let (before, after) = own.split_at(header.missing_tables_at.unwrap_or(0));
    whole.extend_from_slice(before);
    if header.missing_tables_at.is_some() {
        write_standard_tables(&mut whole);
    }
    whole.extend_from_slice(after);
    if header.end.is_none() {
        whole.extend_from_slice(&[0xff, 0xd9]);
    }
    Cow::Owned(whole)
}

/// The decoder's messages may hold line breaks.
fn one_line(error: &impl std::fmt::Display) -> String {
    error.to_string().split_whitespace().collect::<Vec<_>>().join(" ")
}
