//! What kind of file this is, by its first bytes. Names and extensions say nothing.

use super::{
    input::Input,
    still::{JPEG_SIGNATURE, PNG_SIGNATURE},
};
use crate::Result;

/// Containers as far as the choice of a reader needs them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Container {
    /// YUV4MPEG2 raw video.
    Y4m,
    /// RIFF AVI.
    Avi,
    /// QuickTime and the ISO media files made after it (MP4, M4V, 3GP).
    Mov,
    /// Something only the ffmpeg program reads, in words.
    Other(&'static str),
}

impl Container {
    /// In words, for messages.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Y4m => "Y4M video",
            Self::Avi => "AVI video",
            Self::Mov => "MP4 or QuickTime video",
            Self::Other(name) => name,
        }
    }
}

/// Bytes looked at.
const PREFIX: usize = 1024;

/// Signatures of formats without a built-in reader: offset, bytes, name.
const SIGNATURES: [(usize, &[u8], &str); 17] = [
    (0, b"\x1a\x45\xdf\xa3", "Matroska or WebM video"),
    (0, b"FLV\x01", "Flash video"),
    (0, b"OggS", "Ogg video"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "Windows Media (ASF) video"),
    (0, b"\0\0\x01\xba", "MPEG program stream"),
    (0, b"\0\0\x01\xb3", "MPEG video stream"),
    (0, b"\0\0\0\x01", "raw H.264 or H.265 stream"),
    (0, b"\x06\x0e\x2b\x34", "MXF video"),
    (0, b".RMF", "RealMedia video"),
    (0, b"DKIF", "IVF video"),
    (0, b"GIF8", "GIF picture"),
    (0, PNG_SIGNATURE, "a single PNG picture (give a folder of pictures instead)"),
    (0, JPEG_SIGNATURE, "a JPEG picture or raw motion JPEG (give a folder of pictures instead)"),
    (8, b"WEBP", "WebP picture"),
    (8, b"WAVE", "WAVE sound"),
    (0, b"BM", "BMP picture"),
    (0, b"ID3", "MP3 sound"),
];

/// Judges the content. `Err` for files that cannot be a video: empty ones and plain text.
pub(super) fn container(input: &mut Input) -> Result<Container> {
    let mut prefix = [0; PREFIX];
    let count = input.read_at(0, &mut prefix)?;
    let prefix = &prefix[..count];
    let has = |at: usize, bytes: &[u8]| prefix.get(at..).is_some_and(|p| p.starts_with(bytes));
    if prefix.is_empty() {
        return Err(input.format("is empty (0 bytes); expected a video"));
    }
    if has(0, b"YUV4MPEG2") {
        return Ok(Container::Y4m);
    }
    if has(0, b"RIFF") && has(8, b"AVI ") {
        return Ok(Container::Avi);
    }
    let boxes: [&[u8]; 7] = [b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"];
    if boxes.iter().any(|name| has(4, name)) {
        return Ok(Container::Mov);
    }
    if let Some((_, _, name)) = SIGNATURES.iter().find(|(at, bytes, _)| has(*at, bytes)) {
        return Ok(Container::Other(name));
    }
    let is_packet_start = |at: usize| prefix.get(at) == Some(&0x47);
    if is_packet_start(0) && is_packet_start(188) && is_packet_start(376) {
        return Ok(Container::Other("MPEG transport stream"));
    }
    if is_text(prefix) {
        return Err(input.format("is a text file, not a video"));
    }
    Ok(Container::Other("a format without a known signature"))
}

/// No byte that text does not have; bytes above 127 are letters of some encoding.
fn is_text(bytes: &[u8]) -> bool {
    bytes.iter().all(|&byte| byte >= 32 && byte != 127 || matches!(byte, 9 | 10 | 12 | 13 | 27))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn judge(bytes: &[u8]) -> Result<Container> {
        container(&mut Input::from_bytes(bytes.to_vec(), Path::new("clip.mp4")))
    }

    #[test]
    fn content_decides() {
        assert_eq!(judge(b"YUV4MPEG2 W4 H4\n").unwrap(), Container::Y4m);
        assert_eq!(judge(b"RIFF\x10\0\0\0AVI LIST").unwrap(), Container::Avi);
        assert_eq!(judge(b"\0\0\0\x18ftypisom").unwrap(), Container::Mov);
        assert_eq!(judge(b"\0\0\0\x01moov").unwrap(), Container::Mov);
        let matroska = judge(b"\x1a\x45\xdf\xa3\x01").unwrap();
        assert_eq!(matroska.name(), "Matroska or WebM video");
        let mut transport = [0; 400];
        transport[0] = 0x47;
        transport[188] = 0x47;
        transport[376] = 0x47;
        assert_eq!(judge(&transport).unwrap().name(), "MPEG transport stream");
        assert!(matches!(judge(&[0, 1, 2, 3]).unwrap(), Container::Other(_)));
    }

    #[test]
    fn empty_and_text_files_are_refused_in_one_line() {
        for (bytes, words) in [(&b""[..], "is empty (0 bytes)"), (b"hello\n", "is a text file")] {
            let line = judge(bytes).unwrap_err().to_string();
            assert!(line.starts_with("clip.mp4: ") && line.contains(words), "{line}");
            assert_eq!(line.lines().count(), 1);
        }
    }
}
