use crate::{
    Error, Limits,
    decode::{Video, tests::mux},
};

const ONE: u32 = 1 << 16;

fn open(bytes: Vec<u8>) -> crate::Result<Video> {
    Video::from_bytes(bytes, "clip.mov", &Limits::default())
}

fn packets() -> Vec<Vec<u8>> {
    [10, 60, 110, 160, 210].map(|value| mux::jpeg(16, 8, value)).to_vec()
}

fn sample() -> mux::Mov {
    mux::Mov { packets: packets(), ..Default::default() }
}

/// Greys and times of all frames; panics on an error.
fn seen(file: Vec<u8>) -> Vec<(u8, f64)> {
    let frames = open(file).unwrap().map(|frame| frame.unwrap());
    frames.map(|frame| (frame.image.pixel(3, 3)[1], frame.time)).collect()
}

#[test]
fn frames_come_with_their_times() {
    for is_movie_last in [false, true] {
        for is_wide in [false, true] {
            for per_chunk in [1, 2, 3, 9] {
                let file = mux::Mov { is_movie_last, is_wide, per_chunk, ..sample() }.file();
                let seen = seen(file);
                let values: Vec<u8> = seen.iter().map(|frame| frame.0).collect();
                assert_eq!(values, [10, 60, 110, 160, 210]);
                assert!(seen.iter().zip(0..).all(|(f, i)| (f.1 - f64::from(i) / 6.0).abs() < 1e-9));
            }
        }
    }
    let video = open(sample().file()).unwrap();
    let info = video.info();
    assert_eq!((info.rate, info.frames, info.stream), (Some((6, 1)), Some(5), 1));
    assert_eq!((info.width, info.height, info.rotation), (16, 8, 0));
}

#[test]
fn the_track_matrix_turns_frames() {
    let one = 1 << 16;
    let file = mux::Mov { matrix: [0, one, -one, 0], ..sample() }.file();
    let mut video = open(file).unwrap();
    assert_eq!((video.info().width, video.info().height, video.info().rotation), (8, 16, 90));
    let image = video.next_frame().unwrap().unwrap().image;
    assert_eq!((image.width, image.height), (8, 16));
    let line = open(mux::Mov { matrix: [one, one, -one, one], ..sample() }.file());
    assert!(line.err().unwrap().to_string().contains("a skewed track matrix"));
}

#[test]
fn edit_lists_delay_and_cut() {
    // Half a second of nothing, then two sixths of a second from the second frame on.
    let edits = vec![[300, u32::MAX, ONE], [200, 100, ONE]];
    let seen = seen(mux::Mov { edits, ..sample() }.file());
    let expected = [(60, 0.5), (110, 0.5 + 1.0 / 6.0)];
    assert_eq!(seen.len(), 2);
    assert!(seen.iter().zip(expected).all(|(a, b)| a.0 == b.0 && (a.1 - b.1).abs() < 1e-9));
    let several = mux::Mov { edits: vec![[100, 0, ONE], [100, 300, ONE]], ..sample() };
    let line = open(several.file()).err().unwrap().to_string();
    assert!(line.contains("an edit list of 2 parts"), "{line}");
}

#[test]
fn fields_follow_the_field_box() {
    let packet = [mux::jpeg(16, 8, 10), mux::jpeg(16, 8, 250)].concat();
    for (detail, top) in [(1, 10), (9, 10), (6, 250), (14, 250)] {
        let extensions = mux::atom(b"fiel", &[2, detail]);
        let mov = mux::Mov {
            format: *b"mjpa",
            size: (16, 16),
            packets: vec![packet.clone()],
            extensions,
            ..Default::default()
        };
        let image = open(mov.file()).unwrap().next_frame().unwrap().unwrap().image;
        assert_eq!((image.height, image.pixel(0, 0)[0]), (16, top), "fiel {detail}");
    }
}

#[test]
fn codecs_are_told_by_format_and_object_type() {
    for format in [b"avc1", b"mjpb", b"mp4v", b"png "] {
        let error = open(mux::Mov { format: *format, ..sample() }.file()).err().unwrap();
        assert!(matches!(error, Error::Unsupported(_)));
        let code = format!("(code \"{}\") in MP4 or MOV", String::from_utf8_lossy(format));
        assert!(error.to_string().contains(&code), "{error}");
    }
    let descriptor = b"\0\0\0\0\x03\x19\0\0\0\x04\x11\x6c\x11\0\0\0\0\0\0\0\0\0\0\0\0";
    let extensions = mux::atom(b"esds", descriptor);
    assert_eq!(seen(mux::Mov { format: *b"mp4v", extensions, ..sample() }.file()).len(), 5);
}

#[test]
fn fragments_are_left_to_ffmpeg() {
    let mut file = sample().file();
    file.extend(mux::atom(b"moof", &[0; 8]));
    let line = open(file).err().unwrap().to_string();
    assert!(line.contains("movie fragments"), "{line}");
}

#[test]
fn a_cut_file_delivers_what_is_whole() {
    let file = sample().file();
    let sizes: Vec<usize> = packets().iter().map(Vec::len).collect();
    let start = file.len() - sizes.iter().sum::<usize>();
    for end in 0..file.len() {
        let mut left = end.saturating_sub(start);
        let whole = sizes.iter().take_while(|&&size| {
            let fits = size <= left;
            left = left.saturating_sub(size);
            fits
        });
        let whole = whole.count();
        let (mut frames, mut errors) = (0, Vec::new());
        match open(file[..end].to_vec()) {
            Ok(video) => video.for_each(|frame| match frame {
                Ok(_) => frames += 1,
                Err(error) => errors.push(error.to_string()),
            }),
            Err(error) => errors.push(error.to_string()),
        }
        assert_eq!((frames, errors.len()), (whole, 1), "cut at {end}: {errors:?}");
        assert!(errors[0].starts_with("clip.mov: ") && errors[0].lines().count() == 1);
        if end >= start {
            assert!(errors[0].contains(&format!("cut in frame {whole}")), "{errors:?}");
        }
    }
}

#[test]
fn a_movie_box_at_the_end_is_missed_when_cut() {
    let mut file = mux::Mov { is_movie_last: true, ..sample() }.file();
    file.truncate(file.len() - 1);
    let line = open(file).err().unwrap().to_string();
    assert!(line.contains("cut in its movie box"), "{line}");
}

#[test]
fn limits_hold() {
    let limits = Limits::default();
    let refusal = |limits: Limits| match Video::from_bytes(sample().file(), "clip", &limits) {
        Ok(mut video) => video.find_map(Result::err).unwrap(),
        Err(error) => error,
    };
    for limits in [
        Limits { side: 15, ..limits },
        Limits { pixels: 127, ..limits },
        Limits { frames: 4, ..limits },
        Limits { encoded_bytes: 99, ..limits },
    ] {
        let error = refusal(limits);
        assert!(matches!(error, Error::Limit { .. }), "{error}");
    }
}
