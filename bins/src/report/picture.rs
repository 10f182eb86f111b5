//! Pictures that travel inside a page.

use super::escape::Escaped;
use crate::failure::Failure;
use std::fmt;
use vincie_data::Image;
use vincie_data::decode::{Filter, encode_jpeg, encode_png, resize};

/// Longest side of an inlined picture, pixels.
const LONGEST_SIDE: usize = 320;

/// JPEG quality of inlined pictures.
const QUALITY: u8 = 85;

/// Pictures up to this width are shown enlarged, with visible pixels.
const SMALL: usize = 128;

/// One picture with a short label beneath it.
#[derive(Clone, Debug)]
pub(crate) struct Picture {
    url: String,
    width: usize,
    height: usize,
    label: String,
}

/// Pictures that belong together, with a caption and a smaller note.
#[derive(Clone, Debug)]
pub(crate) struct Figure {
    /// Side by side, in this order.
    pub(crate) pictures: Vec<Picture>,
    /// What is seen, for instance the instruction.
    pub(crate) caption: String,
    /// Numbers about it; may be empty.
    pub(crate) note: String,
}

impl Picture {
    /// The picture with at most 320 pixels a side: JPEG, or PNG where it is so small that single
    /// pixels matter.
    pub(crate) fn new(image: &Image, label: impl Into<String>) -> Result<Self, Failure> {
        let (width, height) = shrunk_size(image.width, image.height);
        let url = if width.max(height) <= SMALL {
            data_url("image/png", &encode_png(image))
        } else {
            let small = resize(image, width, height, Filter::Area);
            data_url("image/jpeg", &encode_jpeg(&small, QUALITY)?)
        };
        Ok(Self { url, width, height, label: label.into() })
    }
}

impl fmt::Display for Picture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let label = Escaped(&self.label);
        let class = if self.width.max(self.height) <= SMALL { " class=\"small\"" } else { "" };
        let (url, width, height) = (&self.url, self.width, self.height);
        write!(f, "<span class=\"picture\"><img{class} src=\"{url}\" alt=\"{label}\" ")?;
        write!(f, "width=\"{width}\" height=\"{height}\" loading=\"lazy\">")?;
        match self.label.is_empty() {
            true => write!(f, "</span>"),
            false => write!(f, "<small>{label}</small></span>"),
        }
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<figure><div class=\"pictures\">")?;
        for picture in &self.pictures {
            write!(f, "{picture}")?;
        }
        write!(f, "</div><figcaption>{}", Escaped(&self.caption))?;
        if !self.note.is_empty() {
            write!(f, "<small>{}</small>", Escaped(&self.note))?;
        }
        writeln!(f, "</figcaption></figure>")
    }
}

/// The size of a picture in a page: its longest side within bounds, its shape kept.
pub(super) fn shrunk_size(width: usize, height: usize) -> (usize, usize) {
    let longest = width.max(height);
    if longest <= LONGEST_SIDE {
        return (width, height);
    }
    let side = |side: usize| ((side * LONGEST_SIDE + longest / 2) / longest).max(1);
    (side(width), side(height))
}

/// Bytes as an address that holds them (RFC 2397), in base 64 (RFC 4648, section 4).
fn data_url(kind: &str, bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut url = format!("data:{kind};base64,");
    url.reserve(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let three = [chunk[0], *chunk.get(1).unwrap_or(&0), *chunk.get(2).unwrap_or(&0)];
        let bits = three.iter().fold(0u32, |bits, &byte| bits << 8 | u32::from(byte));
        for digit in 0..4 {
            let index = (bits >> (18 - 6 * digit)) & 63;
            let is_padding = digit > chunk.len();
            url.push(if is_padding { '=' } else { char::from(DIGITS[index as usize]) });
        }
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_64_as_in_rfc_4648() {
        for (bytes, text) in [
            (&b""[..], ""),
            (b"f", "Zg=="),
            (b"fo", "Zm8="),
            (b"foo", "Zm9v"),
            (b"foob", "Zm9vYg=="),
            (b"\xff\xfe\xfd", "//79"),
        ] {
            assert_eq!(data_url("a/b", bytes), format!("data:a/b;base64,{text}"));
        }
    }

    #[test]
    fn sizes_keep_their_shape() {
        assert_eq!(shrunk_size(320, 7), (320, 7));
        assert_eq!(shrunk_size(1280, 720), (320, 180));
        assert_eq!(shrunk_size(1, 60_000), (1, 320));
    }

    #[test]
    fn labels_are_escaped() {
        let image = Image::filled(200, 2, [1, 2, 3]);
        let picture = Picture::new(&image, "\"><b>").expect("a picture can be encoded");
        let figure =
            Figure { pictures: vec![picture], caption: "<i>".to_owned(), note: "&".to_owned() };
        let html = figure.to_string();
        assert!(!html.contains("<b>") && !html.contains("<i>"), "{html}");
        assert!(html.contains("&lt;i&gt;") && html.contains("<small>&amp;</small>"), "{html}");
    }
}
