//! Codec codes in words, for messages about videos that no built-in reader takes.

/// The codec of a four-character code, with the code.
pub(super) fn codec(code: &[u8; 4]) -> String {
    let name = match &code.map(|byte| byte.to_ascii_lowercase()) {
        b"avc1" | b"avc3" | b"h264" | b"x264" => "H.264",
        b"hvc1" | b"hev1" | b"h265" | b"hevc" => "H.265 (HEVC)",
        b"av01" => "AV1",
        b"vp08" | b"vp80" => "VP8",
        b"vp09" | b"vp90" => "VP9",
        b"mp4v" | b"xvid" | b"divx" | b"dx50" | b"fmp4" => "MPEG-4 part 2",
        b"mp42" | b"mp43" | b"div3" => "MS MPEG-4",
        b"mpg1" | b"mpg2" | b"m2v1" => "MPEG-1 or MPEG-2",
        b"apch" | b"apcn" | b"apcs" | b"apco" | b"ap4h" | b"ap4x" => "ProRes",
        b"avdn" | b"avdh" => "DNxHD",
        b"dvsd" | b"dvc " | b"dvcp" | b"dv5n" | b"dv5p" => "DV",
        b"mjpb" => "motion JPEG B",
        b"ljpg" => "lossless JPEG",
        b"mjp2" | b"mj2c" => "motion JPEG 2000",
        b"png " | b"mpng" => "PNG",
        b"cvid" => "Cinepak",
        b"s263" | b"h263" => "H.263",
        b"wmv1" | b"wmv2" | b"wmv3" | b"wvc1" => "Windows Media",
        b"ffv1" => "FFV1",
        b"hfyu" | b"ffvh" => "HuffYUV",
        b"rle " | b"raw " | b"\0\0\0\0" => "uncompressed RGB",
        b"yuy2" | b"uyvy" | b"2vuy" | b"i420" | b"v210" => "uncompressed YUV",
        _ => "video",
    };
    let code: String = code.iter().map(|&byte| printable(byte)).collect();
    format!("{name} (code \"{code}\")")
}

fn printable(byte: u8) -> char {
    if (32..127).contains(&byte) && byte != b'"' { char::from(byte) } else { '.' }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_named_and_shown_safely() {
        assert_eq!(codec(b"avc1"), "H.264 (code \"avc1\")");
        assert_eq!(codec(b"XVID"), "MPEG-4 part 2 (code \"XVID\")");
        assert_eq!(codec(b"\n\"\xff\0"), "video (code \"....\")");
    }
}
