//! The header line: space-separated fields, each a letter and a value.

use super::super::video;
use super::planes::{PixelFormat, Siting};

/// A parsed header line.
#[derive(Debug)]
pub(super) struct Header {
    pub(super) width: usize,
    pub(super) height: usize,
    /// Frames per second, where the header states one.
    pub(super) rate: Option<(u32, u32)>,
    /// Value of the `C` field.
    pub(super) format_name: String,
    /// `None` for formats that cannot be read here, such as more than 8 bits.
    pub(super) format: Option<PixelFormat>,
    pub(super) is_full_range: bool,
}

impl Header {
    /// Parses the line without its end. `Err` is one line without the file's name.
    pub(super) fn parse(line: &[u8]) -> Result<Self, String> {
        let line = std::str::from_utf8(line).map_err(|_| "Y4M header line is not text")?;
        let mut fields = line.split(' ').filter(|field| !field.is_empty());
        if fields.next() != Some("YUV4MPEG2") {
            return Err("Y4M header line does not start with \"YUV4MPEG2 \"".to_owned());
        }
        let (mut width, mut height, mut rate) = (None, None, None);
        let (mut name, mut is_full_range) = ("420jpeg", false);
        for field in fields {
            let (letter, value) = split_letter(field);
            match letter {
                'W' => width = Some(side(field, value)?),
                'H' => height = Some(side(field, value)?),
                'F' => rate = parse_rate(value)?,
                'C' => name = value,
                'X' if value == "COLORRANGE=FULL" => is_full_range = true,
                // Interlacing, pixel aspect and comments change nothing about the samples.
                _ => {}
            }
        }
        let (Some(width), Some(height)) = (width, height) else {
            return Err("Y4M header states no width or no height".to_owned());
        };
        let format = format(name);
        Ok(Self { width, height, rate, format_name: name.to_owned(), format, is_full_range })
    }
}

fn split_letter(field: &str) -> (char, &str) {
    let mut rest = field.chars();
    (rest.next().unwrap_or(' '), rest.as_str())
}

fn side(field: &str, value: &str) -> Result<usize, String> {
    // A side above 2^31 fits no limit; refusing it here keeps products in range.
    let side = value.parse::<u32>().ok().filter(|&side| side <= i32::MAX as u32);
    side.map(|side| side as usize).ok_or_else(|| format!("Y4M field \"{field}\" is no size"))
}

/// `30000:1001`; `0:0` means unknown.
fn parse_rate(value: &str) -> Result<Option<(u32, u32)>, String> {
    let parts = value.split_once(':');
    let parts = parts.and_then(|(a, b)| Some((a.parse::<u32>().ok()?, b.parse::<u32>().ok()?)));
    let (a, b) =
        parts.ok_or_else(|| format!("Y4M frame rate \"{value}\" is not like 30000:1001"))?;
    Ok(video::rate(a.into(), b.into()))
}

fn format(name: &str) -> Option<PixelFormat> {
    let chroma = |horizontal, vertical| PixelFormat::Chroma { horizontal, vertical };
    Some(match name {
        "420" | "420jpeg" => chroma(Siting::HalfCentred, Siting::HalfCentred),
        // PAL DV puts Cb and Cr on alternate lines; their mean position is the centre.
        "420mpeg2" | "420paldv" => chroma(Siting::HalfOnSample, Siting::HalfCentred),
        "411" => chroma(Siting::QuarterOnSample, Siting::Full),
        "422" => chroma(Siting::HalfOnSample, Siting::Full),
        "444" => chroma(Siting::Full, Siting::Full),
        "444alpha" => PixelFormat::Alpha,
        "mono" => PixelFormat::Mono,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_in_any_order() {
        let header =
            Header::parse(b"YUV4MPEG2 F30000:1001  H3 Ip A1:1 W5 C422 XYSCSS=422").unwrap();
        assert_eq!((header.width, header.height), (5, 3));
        assert_eq!(header.rate, Some((30_000, 1001)));
        assert!(header.format.is_some() && !header.is_full_range);
        let header = Header::parse(b"YUV4MPEG2 W5 H3 F0:0 C420p10 XCOLORRANGE=FULL").unwrap();
        assert!(header.format.is_none() && header.is_full_range && header.rate.is_none());
        assert_eq!(header.format_name, "420p10");
    }

    #[test]
    fn bad_lines_are_refused() {
        let lines: [&[u8]; 7] = [
            b"YUV4MPEG2 W5",
            b"YUV4MPEG2 W5 H-3",
            b"YUV4MPEG2 W5 H99999999999",
            b"YUV4MPEG2 W5 H3 F25",
            b"YUV4MPEG2 W5 H\xff",
            b"YUV4MPEG W5 H3",
            b"",
        ];
        for line in lines {
            let message = Header::parse(line).unwrap_err();
            assert_eq!(message.lines().count(), 1, "{message}");
        }
    }
}
