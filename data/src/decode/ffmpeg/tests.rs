use super::Programs;
use crate::{
    Image, Limits,
    decode::{
        DecodedFrame, DecoderChoice, Video, VideoOptions, ffmpeg_version,
        tests::{self, mux},
    },
};
use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// The programs, or a line that says why the test does nothing.
fn programs(test: &str) -> Option<&'static Programs> {
    let found = super::installed();
    if found.is_none() {
        println!("skipped: {test}: ffmpeg and ffprobe are not on the PATH");
    }
    found
}

/// Makes a file with ffmpeg; `false` and a line where this ffmpeg lacks an encoder.
fn make(test: &str, programs: &Programs, arguments: &[&str], file: &Path) -> bool {
    let mut command = Command::new(&programs.ffmpeg);
    command.args(["-v", "error", "-nostdin", "-y"]).args(arguments).arg(file);
    let is_made = command.status().is_ok_and(|status| status.success());
    if !is_made {
        println!("skipped: {test}: this ffmpeg does not run {arguments:?}");
    }
    is_made
}

fn open(file: &Path, decoder: DecoderChoice) -> crate::Result<Video> {
    Video::open_with(file, &VideoOptions { decoder, ..VideoOptions::default() })
}

fn frames(file: &Path, decoder: DecoderChoice) -> Vec<DecodedFrame> {
    open(file, decoder).unwrap().map(|frame| frame.unwrap()).collect()
}

/// Largest and mean difference of two pictures.
fn difference(a: &Image, b: &Image) -> (u8, f64) {
    assert_eq!((a.width, a.height), (b.width, b.height));
    let all = a.rgb.iter().zip(&b.rgb).map(|(a, b)| a.abs_diff(*b));
    let sum: f64 = all.clone().map(f64::from).sum();
    (all.max().unwrap_or(0), sum / a.rgb.len() as f64)
}

/// Moving test picture of ffmpeg.
const SOURCE: [&str; 4] = ["-f", "lavfi", "-i", "testsrc2=size=160x90:rate=25:duration=1"];

#[test]
fn variable_rates_keep_their_times() {
    let Some(programs) = programs("variable_rates_keep_their_times") else { return };
    let folder = tests::folder("variable");
    let file = folder.join("clip.mkv");
    // Frames 0 to 9, then every second one.
    let select = ["-vf", "select='lt(n,10)+not(mod(n,2))'", "-fps_mode", "vfr", "-c:v", "ffv1"];
    if !make("variable_rates", programs, &[&SOURCE[..], &select].concat(), &file) {
        return;
    }
    let video = open(&file, DecoderChoice::Auto).unwrap();
    assert!(video.info().decoder.starts_with("ffmpeg "), "{:?}", video.info());
    assert_eq!((video.info().width, video.info().height), (160, 90));
    let times: Vec<f64> = video.map(|frame| frame.unwrap().time).collect();
    let expected = (0..25).filter(|n| *n < 10 || n % 2 == 0).map(|n| f64::from(n) / 25.0);
    let expected: Vec<f64> = expected.collect();
    assert_eq!(times.len(), expected.len());
    for (time, expected) in times.iter().zip(&expected) {
        // Matroska counts milliseconds.
        assert!((time - expected).abs() < 1e-3, "{times:?}");
    }
}

#[test]
fn built_in_readers_agree_with_ffmpeg() {
    let Some(programs) = programs("built_in_readers_agree_with_ffmpeg") else { return };
    let folder = tests::folder("agree");
    // A soft picture: chroma edges are where decoders may differ by design.
    let soft = "nullsrc=size=160x90:rate=5:duration=1,\
        geq=r='40+X':g='200-Y-8*T':b='128+80*sin(X/20+T)',format=rgb24";
    let soft = ["-f", "lavfi", "-i", soft];
    let jpeg = |pixels: &'static str| vec!["-c:v", "mjpeg", "-q:v", "2", "-pix_fmt", pixels];
    let raw = |pixels: &'static str| vec!["-pix_fmt", pixels];
    let cases = [
        ("420.avi", jpeg("yuvj420p")),
        ("422.avi", jpeg("yuvj422p")),
        ("444.avi", jpeg("yuvj444p")),
        ("420.mov", jpeg("yuvj420p")),
        ("420.mp4", jpeg("yuvj420p")),
        ("420.y4m", raw("yuv420p")),
        ("422.y4m", raw("yuv422p")),
        ("411.y4m", raw("yuv411p")),
        ("444.y4m", raw("yuv444p")),
        ("mono.y4m", raw("gray")),
    ];
    for (name, arguments) in cases {
        let file = folder.join(name);
        if !make("built_in_readers", programs, &[&soft[..], &arguments].concat(), &file) {
            continue;
        }
        let ours = frames(&file, DecoderChoice::Builtin);
        let theirs = frames(&file, DecoderChoice::Ffmpeg);
        assert_eq!((ours.len(), theirs.len()), (5, 5), "{name}");
        for (ours, theirs) in ours.iter().zip(&theirs) {
            assert!((ours.time - theirs.time).abs() < 1e-9, "{name}");
            let (largest, mean) = difference(&ours.image, &theirs.image);
            assert!(largest <= 8 && mean < 2.0, "{name}: {largest}, {mean}");
        }
    }
}

#[test]
fn turned_videos_come_upright() {
    let Some(programs) = programs("turned_videos_come_upright") else { return };
    let folder = tests::folder("turned");
    let (flat, turned) = (folder.join("flat.mov"), folder.join("turned.mov"));
    let jpeg = ["-c:v", "mjpeg", "-q:v", "2", "-pix_fmt", "yuvj444p"];
    if !make("turned", programs, &[&SOURCE[..], &jpeg].concat(), &flat) {
        return;
    }
    let copy = ["-i", flat.to_str().unwrap(), "-c", "copy", "-metadata:s:v", "rotate=90"];
    if !make("turned", programs, &copy, &turned) {
        return;
    }
    let theirs = open(&turned, DecoderChoice::Ffmpeg).unwrap();
    if theirs.info().rotation == 0 {
        println!("skipped: turned_videos_come_upright: this ffmpeg does not write rotations so");
        return;
    }
    let ours = open(&turned, DecoderChoice::Builtin).unwrap();
    assert_eq!(ours.info().rotation, theirs.info().rotation);
    for (ours, theirs) in ours.zip(theirs) {
        let (ours, theirs) = (ours.unwrap().image, theirs.unwrap().image);
        assert_eq!((ours.width, ours.height), (90, 160));
        assert!(difference(&ours, &theirs).1 < 3.0);
    }
}

#[test]
fn a_cut_file_delivers_its_beginning_and_says_so() {
    let Some(programs) = programs("a_cut_file_delivers_its_beginning") else { return };
    let folder = tests::folder("cut");
    let file = folder.join("whole.mp4");
    let encode = ["-c:v", "mpeg4", "-g", "5", "-movflags", "faststart"];
    if !make("a_cut_file", programs, &[&SOURCE[..], &encode].concat(), &file) {
        return;
    }
    assert_eq!(frames(&file, DecoderChoice::Auto).len(), 25);
    let bytes = std::fs::read(&file).unwrap();
    let cut = folder.join("cut.mp4");
    std::fs::write(&cut, &bytes[..bytes.len() * 2 / 3]).unwrap();
    let outcomes: Vec<_> = open(&cut, DecoderChoice::Auto).unwrap().collect();
    let good = outcomes.iter().take_while(|outcome| outcome.is_ok()).count();
    assert!((5..25).contains(&good), "{good} frames");
    assert_eq!(outcomes.len(), good + 1);
    let line = outcomes[good].as_ref().unwrap_err().to_string();
    assert!(line.contains(&format!("{good} of 25 frames")), "{line}");
    assert_eq!(line.lines().count(), 1);

    std::fs::write(&cut, &bytes[..40]).unwrap();
    for decoder in [DecoderChoice::Auto, DecoderChoice::Ffmpeg] {
        let line = open(&cut, decoder).err().unwrap().to_string();
        assert!(line.contains("cut.mp4: ") && line.lines().count() == 1, "{line}");
    }
}

#[test]
fn what_is_no_video_is_said_in_one_line() {
    let folder = tests::folder("no-video");
    let cases: [(&str, &[u8], &str); 4] = [
        ("empty.mp4", b"", "is empty (0 bytes)"),
        ("text.mp4", b"#EXTM3U\nfile:///etc/passwd\n", "is a text file"),
        ("junk.mp4", &[2; 5000], "ffmpeg"),
        ("sound.wav", b"RIFF\x24\0\0\0WAVEfmt \x10\0\0\0\x01\0\x01\0", "ffmpeg"),
    ];
    for (name, bytes, words) in cases {
        let file = folder.join(name);
        std::fs::write(&file, bytes).unwrap();
        let line = open(&file, DecoderChoice::Auto).err().unwrap().to_string();
        assert!(line.contains(name) && line.contains(words), "{line}");
        assert_eq!(line.lines().count(), 1, "{line}");
    }
    let line = open(&folder.join("missing.mp4"), DecoderChoice::Auto).err().unwrap().to_string();
    assert!(line.contains("missing.mp4: "), "{line}");
}

#[test]
fn without_ffmpeg_the_line_says_what_to_do() {
    let folder = tests::folder("without");
    let file = folder.join("clip.mp4");
    let packets = vec![mux::jpeg(16, 8, 1)];
    let foreign = mux::Mov { format: *b"avc1", packets, ..Default::default() }.file();
    std::fs::write(&file, foreign).unwrap();
    let without = |decoder| {
        let options = VideoOptions { decoder, ..VideoOptions::default() };
        Video::open_with_programs(&file, &options, None).err().unwrap().to_string()
    };
    let line = without(DecoderChoice::Auto);
    for words in
        ["H.264 (code \"avc1\")", "install ffmpeg", "ffmpeg -i '", "-c:v mjpeg", "clip.avi'"]
    {
        assert!(line.contains(words), "{line}");
    }
    assert_eq!(line.lines().count(), 1);
    assert!(without(DecoderChoice::Builtin).contains("no built-in reader"));
    assert!(without(DecoderChoice::Ffmpeg).contains("not on the PATH"));
}

#[test]
fn limits_hold_and_names_are_only_names() {
    let Some(programs) = programs("limits_hold_and_names_are_only_names") else { return };
    let file = tests::folder("names").join("-i %03d it's: a;name.mkv");
    if !make("names", programs, &[&SOURCE[..], &["-c:v", "ffv1"]].concat(), &file) {
        return;
    }
    assert_eq!(frames(&file, DecoderChoice::Auto).len(), 25);
    let refusal = |limits| match Video::open(&file, &limits) {
        Ok(mut video) => video.find_map(Result::err).unwrap().to_string(),
        Err(error) => error.to_string(),
    };
    let limits = Limits::default();
    assert!(refusal(Limits { side: 100, ..limits }).contains("160 x 90"));
    assert!(refusal(Limits { frames: 7, ..limits }).contains("limit of 7"));
    // A smaller pixel limit is also given to ffmpeg itself, which may be the first to refuse.
    assert_eq!(refusal(Limits { pixels: 14_399, ..limits }).lines().count(), 1);
}

#[test]
fn an_abandoned_video_ends_its_process() {
    let Some(programs) = programs("an_abandoned_video_ends_its_process") else { return };
    let folder = tests::folder("abandoned");
    let file = folder.join("clip.mkv");
    if !make("abandoned", programs, &[&SOURCE[..], &["-c:v", "ffv1"]].concat(), &file) {
        return;
    }
    for taken in [0, 1, 24, 25] {
        let mut video = open(&file, DecoderChoice::Ffmpeg).unwrap();
        for _ in 0..taken {
            video.next_frame().unwrap().unwrap();
        }
        // Dropping waits for the process and its two threads; a leak would block here.
        drop(video);
    }
}

/// Shell scripts in place of ffmpeg, which does none of this on request.
#[cfg(unix)]
mod broken_programs {
    use super::{super::Programs, *};
    use std::{fs, io::Write, process::Stdio, time::Duration};

    /// What comes of a 1 x 1 video of 9 stated frames when ffmpeg is a script of these lines.
    fn outcome(name: &str, lines: &str) -> (usize, String) {
        let folder = tests::folder(name);
        let script = |name: &str, text: &str| {
            let path = folder.join(name);
            // Written by another process: a file this one ever had open for writing may be busy
            // when it is run, because a test beside this one was starting a program.
            let mut shell = Command::new("sh");
            shell.args(["-c", "cat > \"$0\" && chmod 755 \"$0\""]).arg(&path);
            let mut writer = shell.stdin(Stdio::piped()).spawn().unwrap();
            let mut input = writer.stdin.take().unwrap();
            input.write_all(format!("#!/bin/sh\n{text}\n").as_bytes()).unwrap();
            drop(input);
            assert!(writer.wait().unwrap().success());
            path
        };
        let answer = r#"{"streams": [{"index": 0, "width": 1, "height": 1, "time_base": "1/10",
            "avg_frame_rate": "10/1", "nb_frames": "9"}]}"#;
        let programs = Programs {
            ffprobe: script("ffprobe", &format!("echo '{answer}'")),
            ffmpeg: script("ffmpeg", lines),
            version: "0".to_owned(),
            frame_timeout: Duration::from_millis(300),
        };
        let file = folder.join("clip.mkv");
        fs::write(&file, b"\x1a\x45\xdf\xa3").unwrap();
        let options = VideoOptions::default();
        let video = Video::open_with_programs(&file, &options, Some(&programs)).unwrap();
        let outcomes: Vec<_> = video.collect();
        let frames = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
        let line = outcomes.last().and_then(|last| last.as_ref().err().map(ToString::to_string));
        (frames, line.unwrap_or_default())
    }

    const FRAME: &str = "echo '[Parsed_showinfo_1 @ 0x5] [info] n: 0 pts: 3 pts_time:0' >&2\n\
        printf abc";

    #[test]
    fn whole_output_is_a_video() {
        assert_eq!(outcome("script-whole", FRAME), (1, String::new()));
    }

    #[test]
    fn a_failed_exit_is_told_with_its_cause() {
        let lines = format!("{FRAME}\necho '[x @ 0x5] [error] out of luck' >&2\nexit 3");
        let (frames, line) = outcome("script-exit", &lines);
        assert_eq!(frames, 1);
        assert!(line.contains("(exit status: 3) after 1 of 9 frames: out of luck"), "{line}");
        let (frames, line) = outcome("script-none", "echo '[fatal] no' >&2\nexit 1");
        assert_eq!(frames, 0);
        assert!(line.ends_with("ffmpeg cannot read it: no"), "{line}");
    }

    #[test]
    fn a_complaint_and_missing_frames_are_damage() {
        let lines = format!("{FRAME}\necho '[x @ 0x5] [error] bad block' >&2");
        let (frames, line) = outcome("script-damage", &lines);
        assert_eq!(frames, 1);
        assert!(
            line.contains("damaged or cut: ffmpeg delivered 1 of 9 frames: bad block"),
            "{line}"
        );
    }

    #[test]
    fn part_of_a_frame_is_an_error() {
        let (frames, line) = outcome("script-part", &format!("{FRAME}\nprintf de"));
        assert_eq!(frames, 1);
        assert!(line.contains("after 1 of 9 frames"), "{line}");
    }

    #[test]
    fn a_stuck_program_is_ended() {
        // Before a frame, without its time, and after the output is closed.
        let sleep = "exec sleep 600";
        for (name, lines, count) in [
            ("script-stuck", format!("{FRAME}\n{sleep}"), 1),
            ("script-silent", format!("printf abc\n{sleep}"), 0),
            ("script-closed", format!("{FRAME}\nexec >&-\n{sleep}"), 1),
        ] {
            let (frames, line) = outcome(name, &lines);
            assert_eq!(frames, count, "{name}");
            let words = ["no progress for 0.3 s", "no time stamp"];
            assert!(words.iter().any(|words| line.contains(words)), "{name}: {line}");
        }
    }
}

/// The real videos of the project's data folder, where the environment names it.
#[test]
fn real_videos_decode_fully() {
    let Some(folder) = std::env::var_os("VINCIE_VIDEOS").map(PathBuf::from) else {
        println!("skipped: real_videos_decode_fully: VINCIE_VIDEOS names no folder of videos");
        return;
    };
    if programs("real_videos_decode_fully").is_none() {
        return;
    }
    // Name, frames, size, rate, time of the last frame in frames.
    let expected = [
        ("dog_fetch", 289, (1280, 720), (30_000, 1001)),
        ("cups_shuffle", 300, (1280, 720), (30_000, 1001)),
        ("ball_juggle", 247, (1280, 720), (24, 1)),
        ("parking_cars", 377, (768, 432), (25, 2)),
        ("people_one_by_one", 1394, (768, 432), (10, 1)),
        ("highway_drive", 221, (960, 540), (25, 1)),
        ("flower_bloom", 150, (960, 540), (30_000, 1001)),
        ("telescope_shots", 390, (480, 270), (30_000, 1001)),
    ];
    for (name, count, size, rate) in expected {
        let start = std::time::Instant::now();
        let mut video = open(&folder.join(format!("{name}.mp4")), DecoderChoice::Auto).unwrap();
        let info = video.info().clone();
        assert_eq!(((info.width, info.height), info.rate), (size, Some(rate)), "{name}");
        let mut frames = 0;
        while let Some(frame) = video.next_frame().unwrap() {
            let time = f64::from(frames) * f64::from(rate.1) / f64::from(rate.0);
            assert!((frame.time - time).abs() < 2e-4, "{name}: frame {frames} at {}", frame.time);
            frames += 1;
        }
        assert_eq!(frames, count, "{name}");
        let seconds = start.elapsed().as_secs_f64();
        let speed = f64::from(frames) / seconds;
        println!("{name}: {frames} frames in {seconds:.2} s, {speed:.0} a second, {info:?}");
        assert!(video.warnings().is_empty(), "{:?}", video.warnings());
    }
    assert!(ffmpeg_version().is_some());
}
