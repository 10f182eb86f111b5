//! Still pictures of every kind, whole, cut and mutated.

use crate::{Image, Limits, Mask, decode::*};
use png::{BitDepth, ColorType};
use proptest::prelude::*;

/// A PNG of raw samples, as any encoder may write it.
fn png_file(
    (width, height): (u32, u32),
    colour: ColorType,
    depth: BitDepth,
    palette: &[u8],
    transparency: &[u8],
    data: &[u8],
) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(colour);
    encoder.set_depth(depth);
    if !palette.is_empty() {
        encoder.set_palette(palette);
    }
    if !transparency.is_empty() {
        encoder.set_trns(transparency);
    }
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(data).unwrap();
    writer.finish().unwrap();
    bytes
}

fn decode(bytes: &[u8]) -> crate::Result<Image> {
    decode_image(bytes, "picture", &Limits::default())
}

fn gradient(width: usize, height: usize) -> Image {
    let pixel = |i: usize| [(i * 5) as u8, (i / width * 9) as u8, (i % width * 7) as u8];
    Image::new(width, height, (0..width * height).flat_map(pixel).collect())
}

#[test]
fn every_png_colour_type_becomes_rgb() {
    use BitDepth::{Eight, One, Sixteen};
    use ColorType::{Grayscale, GrayscaleAlpha, Indexed, Rgb, Rgba};
    type Case<'a> = (ColorType, BitDepth, &'a [u8], &'a [u8], &'a [u8], [u8; 6]);
    let cases: [Case; 9] = [
        (Grayscale, One, &[], &[], &[0b0100_0000], [0, 0, 0, 255, 255, 255]),
        (Grayscale, Eight, &[], &[], &[3, 200], [3, 3, 3, 200, 200, 200]),
        // 0x0180 is 384 / 257 = 1.49, 0x7f80 is 127.0.
        (Grayscale, Sixteen, &[], &[], &[1, 0x80, 0x7f, 0x80], [1, 1, 1, 127, 127, 127]),
        (GrayscaleAlpha, Eight, &[], &[], &[9, 255, 100, 0], [9, 9, 9, 255, 255, 255]),
        (Rgb, Eight, &[], &[], &[1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5, 6]),
        (Rgb, Eight, &[], &[0, 1, 0, 2, 0, 3], &[1, 2, 3, 4, 5, 6], [255, 255, 255, 4, 5, 6]),
        (Rgba, Eight, &[], &[], &[0, 100, 255, 128, 1, 2, 3, 255], [127, 177, 255, 1, 2, 3]),
        (Indexed, One, &[9, 8, 7, 6, 5, 4], &[], &[0b1000_0000], [6, 5, 4, 9, 8, 7]),
        (Indexed, Eight, &[9, 8, 7, 6, 5, 4], &[255, 0], &[0, 1], [9, 8, 7, 255, 255, 255]),
    ];
    for (colour, depth, palette, transparency, data, expected) in cases {
        let file = png_file((2, 1), colour, depth, palette, transparency, data);
        let image = decode(&file).unwrap();
        assert_eq!(image.rgb, expected, "{colour:?} {depth:?}");
    }
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, &byte| {
        let shift = |c: u32, _| c >> 1 ^ (0xedb8_8320 & 0_u32.wrapping_sub(c & 1));
        (0..8).fold(crc ^ u32::from(byte), shift)
    })
}

#[test]
fn interlaced_png_is_put_together() {
    // Rows of the Adam7 passes of a 5 x 3 grey picture whose pixel (x, y) is 16 y + x.
    let passes: [&[u8]; 7] = [
        &[0x00],
        &[0x04],
        &[0x02],
        &[0x20, 0x22, 0x24],
        &[0x01, 0x03],
        &[0x21, 0x23],
        &[0x10, 0x11, 0x12, 0x13, 0x14],
    ];
    let rows: Vec<u8> = passes.iter().flat_map(|row| [&[0], *row].concat()).collect();
    let (a, b) = rows.iter().fold((1, 0), |(a, b), &byte| {
        let a = (a + u32::from(byte)) % 65_521;
        (a, (a + b) % 65_521)
    });
    // A zlib stream of one stored block.
    let length = rows.len() as u16;
    let head = [&[0x78, 1, 1][..], &length.to_le_bytes(), &(!length).to_le_bytes()].concat();
    let data = [head, rows, (b << 16 | a).to_be_bytes().to_vec()].concat();
    let chunk = |kind: &[u8; 4], payload: &[u8]| {
        let body = [&kind[..], payload].concat();
        [&(payload.len() as u32).to_be_bytes()[..], &body, &crc32(&body).to_be_bytes()].concat()
    };
    let header = [0, 0, 0, 5, 0, 0, 0, 3, 8, 0, 0, 0, 1];
    let file = [
        b"\x89PNG\r\n\x1a\n".to_vec(),
        chunk(b"IHDR", &header),
        chunk(b"IDAT", &data),
        chunk(b"IEND", &[]),
    ];
    let image = decode(&file.concat()).unwrap();
    let expected: Vec<u8> = (0..15).flat_map(|i| [16 * (i / 5) + i % 5; 3]).collect();
    assert_eq!(image.rgb, expected);
}

#[test]
fn png_round_trips_and_repeats() {
    let image = gradient(37, 23);
    let bytes = encode_png(&image);
    assert_eq!(bytes, encode_png(&image.clone()));
    assert_eq!(decode(&bytes).unwrap(), image);
    let data = (0..91).map(|i| if i % 3 == 0 { 255 } else { 0 }).collect();
    let mask = Mask::new(13, 7, data);
    let read = decode_mask(&encode_mask_png(&mask), "mask", &Limits::default());
    assert_eq!(read.unwrap(), mask);
}

#[test]
fn jpeg_is_close_at_every_sampling_and_size() {
    for (width, height) in [(1, 1), (7, 9), (16, 16), (33, 50)] {
        let image = gradient(width, height);
        let flat = Image::filled(width, height, [200, 40, 90]);
        for quality in [89, 95] {
            let exact = decode(&encode_jpeg(&flat, quality).unwrap()).unwrap();
            let far = exact.rgb.iter().zip(&flat.rgb).map(|(a, b)| a.abs_diff(*b)).max();
            assert!(far.unwrap() <= 3, "{width} x {height} at {quality}: {far:?}");
            let read = decode(&encode_jpeg(&image, quality).unwrap()).unwrap();
            assert_eq!((read.width, read.height), (width, height));
        }
    }
    assert!(encode_jpeg(&gradient(2, 2), 0).is_err());
    assert!(encode_jpeg(&gradient(2, 2), 101).is_err());
    assert!(encode_jpeg(&Image::filled(65_536, 1, [0; 3]), 90).is_err());
}

#[test]
fn grey_and_cmyk_jpeg_become_rgb() {
    use jpeg_encoder::{ColorType as Jpeg, Encoder};
    let encode = |data: &[u8], colour| {
        let mut bytes = Vec::new();
        Encoder::new(&mut bytes, 95).encode(data, 16, 8, colour).unwrap();
        decode(&bytes).unwrap().pixel(5, 5)
    };
    assert_eq!(encode(&[77; 128], Jpeg::Luma), [77; 3]);
    // No ink is white, whichever way round the file stores it, and full cyan has no red.
    let near = |found: [u8; 3], wanted: [u8; 3]| {
        let far = found.iter().zip(wanted).map(|(a, b)| a.abs_diff(b)).max();
        assert!(far.unwrap() <= 4, "{found:?} for {wanted:?}");
    };
    for colour in [Jpeg::Cmyk, Jpeg::CmykAsYcck] {
        near(encode(&[0; 512], colour), [255; 3]);
        near(encode(&[255, 0, 0, 0].repeat(128), colour), [0, 255, 255]);
    }
}

#[test]
fn exif_turns_pictures() {
    let image = Image::filled(24, 8, [50; 3]);
    let mut bytes = Vec::new();
    let mut encoder = jpeg_encoder::Encoder::new(&mut bytes, 90);
    let tiff = b"MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
    encoder.add_exif_metadata(tiff).unwrap();
    encoder.encode(&image.rgb, 24, 8, jpeg_encoder::ColorType::Rgb).unwrap();
    let read = decode(&bytes).unwrap();
    assert_eq!((read.width, read.height), (8, 24));
}

#[test]
fn limits_hold_before_pixels_are_made() {
    let one_line = |error: crate::Error, words: &str| {
        let line = error.to_string();
        assert!(line.contains(words) && line.lines().count() == 1, "{line}");
    };
    // Headers alone: the pixels they promise are not there.
    let mut wide = encode_png(&Image::filled(1, 1, [0; 3]));
    wide[16..20].copy_from_slice(&60_000_u32.to_be_bytes());
    let checksum = crc32(&wide[12..29]);
    wide[29..33].copy_from_slice(&checksum.to_be_bytes());
    one_line(decode(&wide).unwrap_err(), "picture is 60000 x 1; the limit is 16384");

    let mut tall = encode_jpeg(&Image::filled(8, 8, [0; 3]), 90).unwrap();
    let frame = tall.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    tall[frame + 5..frame + 9].copy_from_slice(&[0xff, 0xff, 0xff, 0xff]);
    one_line(decode(&tall).unwrap_err(), "picture is 65535 x 65535");

    let small = Limits { encoded_bytes: 99, ..Limits::default() };
    one_line(decode_image(&tall, "p", &small).unwrap_err(), "the limit is 99");
    let folder = super::folder("still");
    let path = folder.join("picture");
    std::fs::write(&path, &tall).unwrap();
    one_line(read_image(path, &small).unwrap_err(), "the limit is 99");
}

#[test]
fn what_is_no_picture_is_said_in_one_line() {
    for (bytes, words) in [(&b""[..], "is empty"), (b"GIF89a", "neither PNG nor JPEG")] {
        let line = decode(bytes).unwrap_err().to_string();
        assert!(line.starts_with("picture: ") && line.contains(words), "{line}");
    }
}

#[test]
fn every_cut_is_an_error() {
    let progressive = {
        let mut bytes = Vec::new();
        let mut encoder = jpeg_encoder::Encoder::new(&mut bytes, 80);
        encoder.set_progressive(true);
        let image = gradient(20, 12);
        encoder.encode(&image.rgb, 20, 12, jpeg_encoder::ColorType::Rgb).unwrap();
        bytes
    };
    let image = gradient(20, 12);
    for file in [encode_png(&image), encode_jpeg(&image, 80).unwrap(), progressive] {
        assert!(decode(&file).is_ok());
        for end in 0..file.len() {
            let line = decode(&file[..end]).unwrap_err().to_string();
            assert_eq!(line.lines().count(), 1, "{end} bytes: {line}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn mutated_pictures_never_panic(
        kind in 0..4_usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        let image = gradient(20, 12);
        let mut bytes = match kind {
            0 => encode_png(&image),
            1 => encode_jpeg(&image, 80).unwrap(),
            2 => encode_jpeg(&image, 95).unwrap(),
            _ => png_file((20, 12), ColorType::Grayscale, BitDepth::Eight, &[], &[], &[7; 240]),
        };
        for (index, value) in changes {
            let at = index.index(bytes.len());
            bytes[at] = value;
        }
        let limits = Limits { side: 512, pixels: 1 << 16, ..Limits::default() };
        if let Err(error) = decode_image(&bytes, "picture", &limits) {
            prop_assert_eq!(error.to_string().lines().count(), 1);
        }
    }
}
