use crate::{
    Error, Limits,
    decode::{Video, tests::mux},
};

fn open(bytes: Vec<u8>) -> crate::Result<Video> {
    Video::from_bytes(bytes, "clip.avi", &Limits::default())
}

/// Greys and times of all frames; panics on an error.
fn seen(bytes: Vec<u8>) -> Vec<(u8, f64)> {
    let frames = open(bytes).unwrap().map(|frame| frame.unwrap());
    frames.map(|frame| (frame.image.pixel(9, 3)[1], frame.time)).collect()
}

fn frame(value: u8) -> Vec<u8> {
    mux::jpeg(16, 8, value)
}

#[test]
fn frames_come_in_file_order() {
    for has_index in [false, true] {
        for has_records in [false, true] {
            let parts = vec![vec![frame(10), frame(90)], vec![frame(170)], vec![frame(250)]];
            let file = mux::Avi { parts, has_index, has_records, ..Default::default() }.file();
            let expected = [(10, 0.0), (90, 0.4), (170, 0.8), (250, 1.2)];
            assert_eq!(seen(file.clone()), expected);
            let mut video = open(file).unwrap();
            let info = video.info();
            assert_eq!((info.width, info.height, info.stream), (16, 8, 1));
            assert_eq!((info.rate, info.frames, info.duration), (Some((5, 2)), Some(4), Some(1.6)));
            assert_eq!(info.codec, "motion JPEG in AVI");
            video.by_ref().for_each(drop);
            assert!(video.warnings().is_empty());
        }
    }
}

#[test]
fn dropped_frames_take_their_time() {
    let parts = vec![vec![Vec::new(), frame(10), Vec::new(), frame(90)]];
    let file = mux::Avi { parts, ..Default::default() }.file();
    assert_eq!(seen(file), [(10, 0.4), (90, 1.2)]);
}

#[test]
fn lists_without_a_length_run_to_the_end() {
    let parts = vec![vec![frame(10), frame(90)]];
    let mut file = mux::Avi { parts, has_index: false, ..Default::default() }.file();
    let movie = file.windows(4).position(|id| id == b"movi").unwrap();
    for length in [0, u32::MAX] {
        file[4..8].copy_from_slice(&length.to_le_bytes());
        file[movie - 4..movie].copy_from_slice(&length.to_le_bytes());
        assert_eq!(seen(file.clone()), [(10, 0.0), (90, 0.4)]);
    }
    file.extend([0; 100]);
    let mut video = open(file).unwrap();
    assert!(video.nth(1).unwrap().is_ok());
    let line = video.next_frame().unwrap_err().to_string();
    assert!(line.contains("no AVI chunk begins at byte"), "{line}");
}

#[test]
fn two_fields_make_a_frame() {
    let parts = vec![vec![[mux::jpeg(16, 8, 10), mux::jpeg(16, 8, 250)].concat()]];
    let file = mux::Avi { parts, size: (16, 16), ..Default::default() }.file();
    let image = open(file).unwrap().next_frame().unwrap().unwrap().image;
    assert_eq!((image.height, image.pixel(0, 0)[0], image.pixel(0, 1)[0]), (16, 10, 250));
}

#[test]
fn other_codecs_are_named() {
    let parts = vec![vec![frame(1)]];
    let file = mux::Avi { codec: *b"XVID", parts, ..Default::default() }.file();
    let error = open(file).err().unwrap();
    assert!(matches!(error, Error::Unsupported(_)));
    assert!(error.to_string().contains("MPEG-4 part 2 (code \"XVID\") in AVI"), "{error}");
}

#[test]
fn a_change_of_size_ends_the_video() {
    let parts = vec![vec![frame(1), mux::jpeg(24, 8, 2), frame(3)]];
    let mut video = open(mux::Avi { parts, ..Default::default() }.file()).unwrap();
    assert!(video.next_frame().unwrap().is_some());
    let line = video.next_frame().unwrap_err().to_string();
    assert!(line.contains("frame 1 is 24 x 8, the video began with 16 x 8"), "{line}");
    assert!(video.next_frame().unwrap().is_none());
}

#[test]
fn limits_hold() {
    let parts = vec![vec![frame(1), frame(2), frame(3)]];
    let file = mux::Avi { parts, ..Default::default() }.file();
    let refusal = |limits: Limits| {
        let outcome = Video::from_bytes(file.clone(), "clip", &limits);
        let error = match outcome {
            Ok(mut video) => video.find_map(Result::err).unwrap(),
            Err(error) => error,
        };
        assert!(matches!(error, Error::Limit { .. }), "{error}");
        error.to_string()
    };
    let limits = Limits::default();
    assert!(refusal(Limits { side: 15, ..limits }).contains("picture is 16 x 8"));
    assert!(refusal(Limits { pixels: 127, ..limits }).contains("127"));
    assert!(refusal(Limits { frames: 2, ..limits }).contains("3 frames; the limit is 2"));
    assert!(refusal(Limits { encoded_bytes: 99, ..limits }).contains("the limit is 99"));
}

#[test]
fn a_cut_file_delivers_what_is_whole() {
    let parts = vec![vec![frame(10), frame(90)], vec![frame(170)]];
    let file = mux::Avi { parts, ..Default::default() }.file();
    let ends: Vec<usize> = file
        .windows(4)
        .enumerate()
        .filter(|(_, id)| id == b"01dc")
        .map(|(at, _)| {
            at + 8 + u32::from_le_bytes(file[at + 4..at + 8].try_into().unwrap()) as usize
        })
        .collect();
    assert_eq!(ends.len(), 3);
    for end in 0..file.len() {
        let whole = ends.iter().filter(|&&frame_end| frame_end <= end).count();
        let (mut frames, mut errors) = (0, 0);
        let mut check = |error: Error| {
            errors += 1;
            let line = error.to_string();
            assert!(line.starts_with("clip.avi: ") && line.lines().count() == 1, "{line}");
        };
        match open(file[..end].to_vec()) {
            Ok(video) => video.for_each(|frame| match frame {
                Ok(_) => frames += 1,
                Err(error) => check(error),
            }),
            Err(error) => check(error),
        }
        assert_eq!(frames, whole, "cut at {end}");
        // Between the parts and behind the frames a cut costs nothing but the index.
        assert!(errors == 1 || errors == 0 && whole >= 2, "cut at {end}: {errors} errors");
    }
}
