//! Motion JPEG: a packet of a container to a picture.
//!
//! A packet holds one JPEG picture, or two of half the height, the fields of an interlaced frame,
//! which are woven together. Huffman tables that packets leave out are the standard ones.

use super::still::{Header, decode_frame};
use crate::{Error, Image, Limits, Result};
use std::path::Path;

/// How the packets of a stream become pictures; found on its first packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// Columns of a picture.
    pub(super) width: usize,
    /// Rows of a picture, of both fields together.
    pub(super) height: usize,
    fields: Fields,
}

/// Fields of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fields {
    /// One picture.
    Whole,
    /// Two, the one with the top row first.
    TopFirst,
    /// Two, the one with the top row second.
    BottomFirst,
}

impl Layout {
    /// Judges the first packet of a stream whose container states `stated_height` rows.
    pub(super) fn of_packet(
        packet: &[u8],
        stated_height: usize,
        is_bottom_first: bool,
    ) -> Result<Self, String> {
        let header = Header::parse(packet)?;
        // Fields have half the rows; one and a half leaves room for padding.
        let is_half = 4 * header.height <= 3 * stated_height;
        let is_pair = is_half && second_field(packet, &header).is_some();
        let fields = match (is_pair, is_bottom_first) {
            (false, _) => Fields::Whole,
            (true, false) => Fields::TopFirst,
            (true, true) => Fields::BottomFirst,
        };
        let height = if is_pair { 2 * header.height } else { header.height };
        Ok(Self { width: header.width, height, fields })
    }

    /// Decodes the packet of frame `index` of the file `name`. A picture of another size than the
    /// first is decoded as it is.
    pub(super) fn decode(
        self,
        packet: &[u8],
        index: usize,
        name: &Path,
        limits: &Limits,
    ) -> Result<Image> {
        self.decode_fields(packet, name, limits).map_err(|error| match error {
            Error::Format { path, what } => {
                Error::Format { path, what: format!("frame {index}: {what}") }
            }
            Error::Limit { path, what } => {
                Error::Limit { path, what: format!("frame {index}: {what}") }
            }
            other => other,
        })
    }

    fn decode_fields(self, packet: &[u8], name: &Path, limits: &Limits) -> Result<Image> {
        let parse = |bytes| Header::parse(bytes).map_err(|what| Error::format(name, what));
        let header = parse(packet)?;
        let first = decode_frame(packet, &header, name, limits)?;
        if self.fields == Fields::Whole {
            return Ok(first);
        }
        let Some(second) = second_field(packet, &header) else {
            return Err(Error::format(name, "has one field where the first packet has two"));
        };
        let second = decode_frame(second, &parse(second)?, name, limits)?;
        if (first.width, first.height) != (second.width, second.height) {
            return Err(Error::format(name, "has two fields of different sizes"));
        }
        let (height, row) = (2 * first.height, 3 * first.width);
        limits.check_size(first.width, height).map_err(|what| Error::limit(name, what))?;
        let (top, bottom) = match self.fields {
            Fields::BottomFirst => (&second, &first),
            Fields::Whole | Fields::TopFirst => (&first, &second),
        };
        let pairs = top.rgb.chunks_exact(row).zip(bottom.rgb.chunks_exact(row));
        let rgb = pairs.flat_map(|(top, bottom)| [top, bottom]).flatten().copied().collect();
        Ok(Image::new(first.width, height, rgb))
    }
}

/// The picture behind the first one, past padding.
fn second_field<'a>(packet: &'a [u8], first: &Header) -> Option<&'a [u8]> {
    let rest = &packet[first.end?..];
    let start = rest.windows(3).position(|bytes| bytes == [0xff, 0xd8, 0xff])?;
    Some(&rest[start..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::encode_jpeg;

    fn packet(value: u8) -> Vec<u8> {
        encode_jpeg(&Image::filled(16, 8, [value; 3]), 95).unwrap()
    }

    fn decode(packet: &[u8], stated_height: usize, is_bottom_first: bool) -> Image {
        let layout = Layout::of_packet(packet, stated_height, is_bottom_first).unwrap();
        let image = layout.decode(packet, 0, Path::new("clip"), &Limits::default()).unwrap();
        assert_eq!((image.width, image.height), (layout.width, layout.height));
        image
    }

    #[test]
    fn fields_are_woven_in_the_stated_order() {
        let packet = [packet(10), vec![0; 5], packet(200)].concat();
        let image = decode(&packet, 16, false);
        let rows: Vec<_> = (0..4).map(|y| image.pixel(3, y)[0]).collect();
        assert_eq!((image.height, rows), (16, vec![10, 200, 10, 200]));
        assert_eq!(decode(&packet, 16, true).pixel(3, 0)[0], 200);
        // A container that states the height of one picture means one picture.
        assert_eq!(decode(&packet, 8, false), Image::filled(16, 8, [10; 3]));
    }

    #[test]
    fn tables_and_end_may_be_missing() {
        let whole = packet(90);
        let mut bare = Vec::new();
        let mut rest = &whole[..];
        while let Some(at) = rest.windows(2).position(|pair| pair == [0xff, 0xc4]) {
            let length = usize::from(u16::from_be_bytes([rest[at + 2], rest[at + 3]]));
            bare.extend_from_slice(&rest[..at]);
            rest = &rest[at + 2 + length..];
        }
        bare.extend_from_slice(&rest[..rest.len() - 2]);
        assert!(bare.len() + 400 < whole.len());
        assert_eq!(decode(&bare, 8, false), decode(&whole, 8, false));
    }
}
