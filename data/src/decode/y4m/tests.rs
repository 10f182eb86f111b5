use crate::{
    Limits,
    decode::{Video, tests::mux},
};

fn open(bytes: Vec<u8>) -> crate::Result<Video> {
    Video::from_bytes(bytes, "clip.y4m", &Limits::default())
}

#[test]
fn every_layout_is_read() {
    // Format, bytes of a 5 x 3 frame, and the grey of luma 126 in limited range.
    let layouts = [
        ("420jpeg", 15 + 2 * 6),
        ("420mpeg2", 15 + 2 * 6),
        ("420paldv", 15 + 2 * 6),
        ("411", 15 + 2 * 6),
        ("422", 15 + 2 * 9),
        ("444", 45),
        ("mono", 15),
    ];
    for (format, size) in layouts {
        let mut frame = vec![126; 15];
        frame.resize(size, 128);
        let bytes = mux::y4m(&format!("W5 H3 F25:2 C{format}"), &[frame.clone(), frame]);
        let video = open(bytes).unwrap();
        let info = video.info().clone();
        assert_eq!((info.width, info.height, info.frames), (5, 3, Some(2)), "{format}");
        assert_eq!((info.rate, info.duration), (Some((25, 2)), Some(0.16)));
        let frames: Vec<_> = video.map(|frame| frame.unwrap()).collect();
        assert_eq!((frames.len(), frames[1].time, frames[1].index), (2, 0.08, 1));
        for frame in frames {
            assert!(frame.image.rgb.iter().all(|&v| v == 128), "{format}: {:?}", frame.image);
        }
    }
}

#[test]
fn more_than_eight_bits_is_refused_by_name() {
    for format in ["420p10", "mono16", "444p12", "what"] {
        let line = open(mux::y4m(&format!("W4 H4 C{format}"), &[])).err().unwrap().to_string();
        assert!(line.contains(&format!("pixel format \"{format}\"")), "{line}");
    }
}

#[test]
fn sizes_are_checked_before_frames_are_touched() {
    for size in ["W60000 H1", "W1 H60000", "W16384 H16384", "W0 H5", "W2147483647 H2147483647"] {
        let line = open(mux::y4m(size, &[])).err().unwrap().to_string();
        assert!(line.contains("picture is"), "{line}");
    }
}

#[test]
fn a_cut_file_delivers_what_is_whole() {
    let bytes = mux::y4m("W4 H4 Cmono", &[vec![50; 16], vec![200; 16]]);
    let header = bytes.len() - 2 * 22;
    for end in 0..bytes.len() {
        let mut frames = 0;
        let mut errors = 0;
        match open(bytes[..end].to_vec()) {
            Ok(video) => video.for_each(|frame| match frame {
                Ok(_) => frames += 1,
                Err(error) => {
                    errors += 1;
                    assert_eq!(error.to_string().lines().count(), 1);
                }
            }),
            Err(_) => errors += 1,
        }
        let whole = end.saturating_sub(header) / 22;
        let is_clean = end >= header && (end - header).is_multiple_of(22);
        assert_eq!((frames, errors), (whole, usize::from(!is_clean)), "cut at {end}");
    }
}
