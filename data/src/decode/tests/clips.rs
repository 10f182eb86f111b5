//! The clips that ship with the crate, through the built-in reader.

use crate::{
    Limits,
    decode::{DecoderChoice, Filter, Video, VideoOptions, resize, sha256_file},
};
use std::path::{Path, PathBuf};

struct Clip {
    name: &'static str,
    sha256: &'static str,
    frames: usize,
    rate: (u32, u32),
    /// A frame's number, and its averages over 4 x 2 areas as ffmpeg 5.1 decodes it.
    pictures: [(usize, [u8; 24]); 2],
}

#[rustfmt::skip]
const CLIPS: [Clip; 2] = [
    Clip {
        name: "parking_cars.avi",
        sha256: "f16c5427444cd6fe5f1a3b4a918fde82e8d5cd455592b68e73e04637df90c346",
        frames: 189,
        rate: (25, 4),
        pictures: [
            (0, [116, 115, 116, 123, 122, 123, 121, 121, 123, 127, 128, 132, 101, 101, 99, 107, 107, 106, 110, 110, 111, 114, 114, 116]),
            (38, [69, 69, 68, 101, 101, 101, 83, 84, 84, 80, 80, 81, 56, 55, 53, 88, 89, 90, 86, 87, 90, 68, 68, 70]),
        ],
    },
    Clip {
        name: "flower_bloom.avi",
        sha256: "100a8e4d2d7cc2b55eddc0b734c96107aaf1cfded34d4e8c85817c5def16be0f",
        frames: 50,
        rate: (10, 1),
        pictures: [
            (0, [100, 88, 46, 115, 82, 51, 128, 122, 78, 131, 119, 77, 106, 92, 64, 125, 98, 85, 118, 100, 60, 92, 86, 45]),
            (49, [103, 90, 48, 156, 77, 51, 165, 107, 78, 119, 108, 64, 117, 110, 65, 148, 88, 70, 125, 90, 52, 97, 90, 50]),
        ],
    },
];

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clips").join(name)
}

#[test]
fn clips_decode_to_what_ffmpeg_sees() {
    for clip in CLIPS {
        let path = path(clip.name);
        assert_eq!(sha256_file(&path).unwrap(), clip.sha256, "{}", clip.name);
        let mut video = Video::open(&path, &Limits::default()).unwrap();
        let info = video.info().clone();
        assert_eq!((info.width, info.height), (384, 216));
        assert_eq!((info.rate, info.frames), (Some(clip.rate), Some(clip.frames)));
        assert!(info.decoder.starts_with("vincie "), "{}", info.decoder);
        let mut count = 0;
        while let Some(frame) = video.next_frame().unwrap() {
            let seconds = count as f64 * f64::from(clip.rate.1) / f64::from(clip.rate.0);
            assert_eq!((frame.index, frame.time), (count, seconds));
            count += 1;
            let Some((_, expected)) = clip.pictures.iter().find(|p| p.0 == frame.index) else {
                continue;
            };
            let areas = resize(&frame.image, 4, 2, Filter::Area).rgb;
            let far = areas.iter().zip(expected).map(|(a, b)| a.abs_diff(*b)).max();
            assert!(far <= Some(1), "{} frame {}: {areas:?}", clip.name, frame.index);
        }
        assert_eq!(count, clip.frames);
    }
}

#[test]
fn clips_match_an_installed_ffmpeg() {
    if crate::decode::ffmpeg_version().is_none() {
        println!("skipped: clips_match_an_installed_ffmpeg: ffmpeg is not on the PATH");
        return;
    }
    for clip in CLIPS {
        let open = |decoder| {
            let options = VideoOptions { decoder, ..VideoOptions::default() };
            Video::open_with(path(clip.name), &options).unwrap()
        };
        let (mut largest, mut sum, mut samples) = (0, 0_u64, 0_u64);
        let pairs = open(DecoderChoice::Builtin).zip(open(DecoderChoice::Ffmpeg));
        let mut frames = 0;
        for (ours, theirs) in pairs {
            let (ours, theirs) = (ours.unwrap(), theirs.unwrap());
            assert!((ours.time - theirs.time).abs() < 1e-9);
            for (a, b) in ours.image.rgb.iter().zip(&theirs.image.rgb) {
                let far = a.abs_diff(*b);
                largest = largest.max(far);
                sum += u64::from(far);
            }
            samples += ours.image.rgb.len() as u64;
            frames += 1;
        }
        let mean = sum as f64 / samples as f64;
        println!("{}: {frames} frames, largest difference {largest}, mean {mean:.3}", clip.name);
        assert_eq!(frames, clip.frames);
        assert!(mean < 1.0, "{}: {mean}", clip.name);
    }
}
