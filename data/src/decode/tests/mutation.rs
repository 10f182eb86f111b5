//! Valid files of every container with bytes changed, removed and put in: frames or one line.

use super::mux;
use crate::{Limits, decode::Video};
use proptest::{prelude::*, sample::Index};

/// A change of one place of a file.
#[derive(Clone, Debug)]
enum Change {
    Set(Index, u8),
    /// Numbers at the edges of their range where a length or a count may stand.
    Word(Index, u32, bool),
    Remove(Index, u8),
    Repeat(Index, u8),
    Cut(Index),
}

fn change() -> impl Strategy<Value = Change> {
    let extreme =
        prop::sample::select(vec![0, 1, 7, 8, 12, 255, 0x7fff_ffff, u32::MAX - 7, u32::MAX]);
    prop_oneof![
        4 => (any::<Index>(), any::<u8>()).prop_map(|(at, value)| Change::Set(at, value)),
        4 => (any::<Index>(), extreme, any::<bool>()).prop_map(|(at, v, big)| Change::Word(at, v, big)),
        1 => (any::<Index>(), 1..20_u8).prop_map(|(at, count)| Change::Remove(at, count)),
        1 => (any::<Index>(), 1..20_u8).prop_map(|(at, count)| Change::Repeat(at, count)),
        1 => any::<Index>().prop_map(Change::Cut),
    ]
}

fn apply(bytes: &mut Vec<u8>, change: &Change, reach: usize) {
    let place = |index: &Index, bytes: &[u8]| index.index(bytes.len().min(reach).max(1));
    let span = |at: usize, count: u8, bytes: &[u8]| at..(at + usize::from(count)).min(bytes.len());
    match change {
        Change::Set(at, value) => {
            let at = place(at, bytes);
            bytes.iter_mut().skip(at).take(1).for_each(|byte| *byte = *value);
        }
        Change::Word(at, value, is_big) => {
            let at = place(at, bytes);
            let word = if *is_big { value.to_be_bytes() } else { value.to_le_bytes() };
            bytes.iter_mut().skip(at).zip(word).for_each(|(byte, new)| *byte = new);
        }
        Change::Remove(at, count) => {
            let at = place(at, bytes).min(bytes.len());
            bytes.drain(span(at, *count, bytes));
        }
        Change::Repeat(at, count) => {
            let at = place(at, bytes).min(bytes.len());
            let copy = bytes[span(at, *count, bytes)].to_vec();
            bytes.splice(at..at, copy);
        }
        Change::Cut(at) => bytes.truncate(place(at, bytes)),
    }
}

fn file(kind: u8) -> Vec<u8> {
    let frame = |value| mux::jpeg(16, 8, value);
    match kind {
        0 => mux::y4m("W8 H6 F25:1 C420mpeg2", &[vec![90; 72], vec![120; 72]]),
        1 => mux::y4m("W5 H3 C444alpha XCOLORRANGE=FULL", &[vec![90; 60]]),
        2 => {
            let parts = vec![vec![frame(1), Vec::new()], vec![frame(3)]];
            mux::Avi { parts, has_records: true, ..Default::default() }.file()
        }
        3 => mux::Mov {
            packets: vec![frame(1), frame(2), frame(3)],
            edits: vec![[100, u32::MAX, 1 << 16], [400, 100, 1 << 16]],
            ..Default::default()
        }
        .file(),
        _ => mux::Mov {
            format: *b"mp4v",
            extensions: mux::atom(b"esds", b"\0\0\0\0\x03\x19\0\0\0\x04\x11\x6c\x11\0"),
            packets: vec![[frame(1), frame(2)].concat(); 2],
            size: (16, 16),
            is_movie_last: true,
            is_wide: true,
            ..Default::default()
        }
        .file(),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn changed_files_give_frames_or_one_line(
        kind in 0..5_u8,
        is_header in any::<bool>(),
        changes in prop::collection::vec(change(), 1..6),
    ) {
        let mut bytes = file(kind);
        let reach = if is_header { 700 } else { usize::MAX };
        for change in &changes {
            apply(&mut bytes, change, reach);
        }
        let limits = Limits { side: 512, pixels: 1 << 16, frames: 100, encoded_bytes: 1 << 20 };
        let mut errors = Vec::new();
        match Video::from_bytes(bytes, "clip", &limits) {
            Ok(video) => {
                let size = (video.info().width, video.info().height);
                for frame in video {
                    match frame {
                        Ok(frame) => prop_assert_eq!((frame.image.width, frame.image.height), size),
                        Err(error) => errors.push(error),
                    }
                }
            }
            Err(error) => errors.push(error),
        }
        prop_assert!(errors.len() <= 1);
        for error in errors {
            prop_assert_eq!(error.to_string().lines().count(), 1, "{}", error);
        }
    }
}
