//! Sampling from synthetic videos: which frames are taken, what is dropped and counted, and that
//! two passes agree.

use super::texture::scenery;
use super::{
    CountSampling, IntervalSampling, Mode, SampleConfig, SampleStatistics, Sampled, sample,
};
use crate::session::Frame;
use crate::{Error, Image, Result};
use std::cell::Cell;

/// One frame of a video at ten frames a second: scenery by shot, with a square that walks.
fn frame(index: usize, seed: u32, square: usize) -> Frame {
    let mut rgb = Vec::with_capacity(3 * 64 * 36);
    for y in 0..36 {
        for x in 0..64 {
            let is_square = (10..20).contains(&y) && (square..square + 8).contains(&x);
            for channel in 0..3 {
                let value = scenery(x as f32 / 64.0, y as f32 / 64.0, seed + channel);
                rgb.push(if is_square { 255 } else { value as u8 });
            }
        }
    }
    Frame { image: Image::new(64, 36, rgb), time: index as f64 / 10.0 }
}

/// 60 frames of one shot, then 40 of another; the square moves all the time.
fn two_shots() -> Vec<Frame> {
    (0..100).map(|i| frame(i, if i < 60 { 1 } else { 70 }, i / 2)).collect()
}

fn config(interval: Option<(f64, usize)>, count: Option<(usize, usize)>) -> SampleConfig {
    SampleConfig {
        interval: interval.map(|(seconds, frames)| IntervalSampling { seconds, frames, phases: 1 }),
        count: count.map(|(frames, windows)| CountSampling { frames, windows }),
        background_samples: 12,
        ..SampleConfig::default()
    }
}

fn run(frames: &[Frame], config: &SampleConfig) -> (Vec<Sampled>, SampleStatistics) {
    let mut found = Vec::new();
    let open = || Ok(frames.iter().cloned().map(Ok));
    let statistics = sample(open, config, |sampled| {
        found.push(sampled);
        Ok(())
    });
    (found, statistics.expect("sampling works"))
}

fn times(sampled: &Sampled) -> Vec<f64> {
    sampled.frames.iter().map(|f| f.time).collect()
}

#[test]
fn interval_sessions_stay_within_shots() {
    let (found, statistics) = run(&two_shots(), &config(Some((1.0, 4)), None));
    let all: Vec<Vec<f64>> = found.iter().map(times).collect();
    let expected = [vec![0.0, 1.0, 2.0, 3.0], vec![4.0, 5.0], vec![6.0, 7.0, 8.0, 9.0]];
    // Sessions leave in the order in which they are complete.
    let mut sorted = all.clone();
    sorted.sort_by(|a, b| a[0].total_cmp(&b[0]));
    assert_eq!(sorted, expected);
    for session in &found {
        assert!(session.links.iter().all(|link| link.boundary.is_none()));
        assert_eq!(session.mode, Mode::Interval);
        assert_eq!(session.shot, Some(usize::from(session.frames[0].time >= 6.0)));
        assert_eq!(session.backgrounds.len(), 1);
        assert_eq!(session.backgrounds[0].len(), 12);
        assert!(session.links.iter().all(|link| link.background == Some(0)));
    }
    assert_eq!((statistics.shots, statistics.cuts, statistics.interval_sessions), (2, 1, 3));
    assert_eq!((statistics.frames, statistics.session_frames), (100, 10));
}

#[test]
fn count_sessions_span_the_video_and_label_the_cut() {
    let (found, statistics) = run(&two_shots(), &config(None, Some((4, 1))));
    assert_eq!(found.len(), 1);
    assert_eq!(times(&found[0]), [0.0, 3.3, 6.6, 9.9]);
    assert_eq!(found[0].numbers, [0, 33, 66, 99]);
    assert_eq!(found[0].shot, None);
    let kinds: Vec<_> = found[0].links.iter().map(|l| l.boundary.map(|b| b.kind.name())).collect();
    assert_eq!(kinds, [None, Some("cut"), None]);
    assert_eq!(found[0].links[1].camera, None);
    let backgrounds: Vec<_> = found[0].links.iter().map(|l| l.background).collect();
    assert_eq!(backgrounds, [Some(0), None, Some(1)]);
    assert_eq!(statistics.count_sessions, 1);
}

#[test]
fn windows_and_phases_give_more_sessions() {
    let (found, _) = run(&two_shots(), &config(None, Some((3, 4))));
    assert_eq!(found.len(), 4);
    assert!(found.iter().all(|s| s.frames.len() == 3));
    let mut both = config(Some((2.0, 20)), Some((3, 2)));
    both.interval = both.interval.map(|i| IntervalSampling { phases: 2, ..i });
    let (found, statistics) = run(&two_shots(), &both);
    assert_eq!((statistics.interval_sessions, statistics.count_sessions), (4, 2));
    assert_eq!(found.len(), 6);
    let numbers: std::collections::BTreeSet<usize> = found.iter().map(|s| s.number).collect();
    assert_eq!(numbers.len(), 6, "every session has its own number");
    let limited = SampleConfig { sessions: 2, ..both };
    let (found, statistics) = run(&two_shots(), &limited);
    assert_eq!((found.len(), statistics.dropped_excess_sessions), (2, 4));
}

#[test]
fn near_duplicates_and_black_frames_are_dropped_and_counted() {
    // The square stands still for three seconds, walks for two, and then it is dark.
    let still: Vec<Frame> = (0..80)
        .map(|i| match i {
            0..30 => frame(i, 1, 0),
            30..50 => frame(i, 1, 2 * (i - 30)),
            _ => Frame { image: Image::filled(64, 36, [1; 3]), time: i as f64 / 10.0 },
        })
        .collect();
    let (found, statistics) = run(&still, &config(Some((0.5, 20)), None));
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].frames[0].time, 0.0);
    assert!(found[0].frames[1].time >= 3.0);
    assert_eq!(statistics.dropped_near_duplicates, 6);
    assert_eq!((statistics.black_frames, statistics.fades), (30, 1));
    let (found, statistics) = run(&still, &config(None, Some((9, 1))));
    assert_eq!(statistics.dropped_mixed, 3);
    assert!(found[0].frames.iter().all(|f| f.time < 5.0));
    let constant: Vec<Frame> = (0..40).map(|i| frame(i, 1, 0)).collect();
    let (found, statistics) = run(&constant, &SampleConfig::default());
    assert!(found.is_empty());
    assert_eq!(statistics.dropped_short_sessions, 2);
}

#[test]
fn sources_without_time_are_spread_by_number() {
    let frames: Vec<Frame> = (0..9).map(|i| Frame { time: 0.0, ..frame(i, 1, 4 * i) }).collect();
    let (found, _) = run(&frames, &config(Some((1.0, 20)), Some((3, 1))));
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].numbers, [0, 4, 8]);
}

#[test]
fn tiny_videos_and_odd_frames_work() {
    for count in 0..3 {
        let (found, statistics) = run(&two_shots()[..count], &SampleConfig::default());
        assert_eq!(statistics.frames, count);
        assert!(found.len() <= 1);
    }
    for (width, height) in [(1, 1), (3, 500), (500, 3)] {
        let odd = |i: usize| Frame {
            image: Image::filled(width, height, [25 * i as u8, 7, 200]),
            time: i as f64,
        };
        let frames: Vec<Frame> = (0..10).map(odd).collect();
        let (found, _) = run(&frames, &SampleConfig::default());
        assert!(!found.is_empty(), "{width} x {height}");
    }
}

#[test]
fn errors_of_the_stream_and_of_the_receiver_end_the_work() {
    let frames = two_shots();
    let broken = || {
        let damage = std::iter::once(Err(Error::Unsupported("cut off".into())));
        Ok(frames[..5].iter().cloned().map(Ok).chain(damage))
    };
    let result = sample(broken, &SampleConfig::default(), |_| Ok(()));
    assert!(result.expect_err("the stream is broken").to_string().contains("cut off"));
    let open = || Ok(frames.iter().cloned().map(Ok));
    let refuse = |_| Err(Error::Unsupported("disk full".into()));
    let result = sample(open, &SampleConfig::default(), refuse);
    assert!(result.expect_err("the receiver refuses").to_string().contains("disk full"));
    // A second pass that sees less than the first must not give half a session.
    let passes = Cell::new(0);
    let shrinking = || {
        passes.set(passes.get() + 1);
        let count = if passes.get() == 1 { 100 } else { 50 };
        let part: Vec<Result<Frame>> = frames[..count].iter().cloned().map(Ok).collect();
        Ok(part)
    };
    let result = sample(shrinking, &config(None, Some((4, 1))), |_| Ok(()));
    let message = result.expect_err("frames are missing").to_string();
    assert!(message.contains("second pass") && message.contains("100 frames"), "{message}");
    let bad = SampleConfig { analysis_side: 0, ..SampleConfig::default() };
    assert!(sample(open, &bad, |_| Ok(())).is_err());
}

#[test]
fn sampling_is_deterministic() {
    let (first, second) =
        (run(&two_shots(), &SampleConfig::default()), run(&two_shots(), &SampleConfig::default()));
    assert_eq!(first.1, second.1);
    for (a, b) in first.0.iter().zip(&second.0) {
        assert!(a.numbers == b.numbers && a.links == b.links && a.frames == b.frames);
        assert!(a.backgrounds == b.backgrounds);
    }
}
