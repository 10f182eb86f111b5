//! A running ffmpeg: pixels from its standard output, times and complaints from its log.

use super::{
    PROTOCOLS, file_argument,
    probe::Stream,
    programs::{Programs, Running, complaint, shorten},
};
use crate::{Error, Image, Limits, Result, decode::video::Frames};
use std::{
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, channel, sync_channel},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

/// Frames decoded ahead of the consumer.
const FRAMES_AHEAD: usize = 2;
/// Complaints kept; damaged files print thousands.
const COMPLAINTS: usize = 20;
/// Longest log line kept, bytes.
const LINE_BYTES: u64 = 4096;

/// A decoding process. Dropping it kills the process.
pub(super) struct Pipe {
    path: PathBuf,
    stream: Stream,
    running: Running,
    pixels: Option<Receiver<Vec<u8>>>,
    ticks: Receiver<Option<i64>>,
    complaints: Arc<Mutex<Vec<String>>>,
    /// Longest wait for the next frame.
    timeout: Duration,
    threads: Vec<JoinHandle<()>>,
    delivered: usize,
    /// Time of the last frame, seconds.
    time: f64,
}

impl Pipe {
    /// Starts decoding one stream of a file. Its size must be within limits.
    pub(super) fn start(
        path: &Path,
        programs: &Programs,
        stream: &Stream,
        limits: &Limits,
    ) -> Result<Self> {
        let mut command = command(path, programs, stream, limits);
        let child = command.spawn().map_err(|e| Error::io(&programs.ffmpeg, e))?;
        let mut running = Running(child);
        let (pixels_in, pixels) = sync_channel(FRAMES_AHEAD);
        let (ticks_in, ticks) = channel();
        let complaints = Arc::default();
        let output = running.0.stdout.take();
        let log = running.0.stderr.take();
        let bytes = 3 * stream.width * stream.height;
        let kept = Arc::clone(&complaints);
        let threads = vec![
            thread::spawn(move || {
                output.into_iter().for_each(|o| cut_frames(o, bytes, &pixels_in))
            }),
            thread::spawn(move || log.into_iter().for_each(|log| read_log(log, &ticks_in, &kept))),
        ];
        Ok(Self {
            path: path.to_owned(),
            stream: stream.clone(),
            running,
            pixels: Some(pixels),
            ticks,
            complaints,
            timeout: programs.frame_timeout,
            threads,
            delivered: 0,
            time: 0.0,
        })
    }

    /// The time of the frame just received. ffmpeg logs a frame before it writes it.
    fn frame_time(&self) -> Result<f64> {
        let ticks = self.ticks.recv_timeout(self.timeout).map_err(|_| {
            let what = format!("ffmpeg gave no time stamp for frame {}", self.delivered);
            Error::format(&self.path, what)
        })?;
        let (numerator, denominator) = self.stream.time_base;
        Ok(match ticks {
            Some(ticks) => ticks as f64 * f64::from(numerator) / f64::from(denominator),
            // Raw streams have no clock; frames then follow each other at the stated rate.
            None if self.delivered == 0 => 0.0,
            None => self.time + self.seconds_per_frame(),
        })
    }

    fn seconds_per_frame(&self) -> f64 {
        self.stream.rate.map_or(1.0, |(a, b)| f64::from(b) / f64::from(a))
    }

    /// What the end of the output means: all frames were delivered, or an error says how many.
    fn finish(&mut self, left_over: usize) -> Result<Option<(Image, f64)>> {
        // The log ends with the process. A process that closed its output and lives on is stuck.
        loop {
            match self.ticks.recv_timeout(self.timeout) {
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => return Err(self.stalled()),
            }
        }
        let status = self.running.0.wait().map_err(|e| Error::io(&self.path, e))?;
        self.join();
        let complaints = self.complaints.lock().unwrap_or_else(PoisonError::into_inner);
        let last = complaints.last();
        if !status.success() && self.delivered == 0 {
            let message = last.cloned().unwrap_or_else(|| format!("it ended with {status}"));
            return Err(complaint(&self.path, &message));
        }
        let count = match self.stream.frames {
            Some(frames) => format!("{} of {frames} frames", self.delivered),
            None => format!("{} frames", self.delivered),
        };
        let because = last.map_or_else(String::new, |line| format!(": {line}"));
        if !status.success() || left_over > 0 {
            let what = format!("ffmpeg stopped ({status}) after {count}{because}");
            return Err(Error::format(&self.path, what));
        }
        // Decoders complain about much that does no harm; a complaint and missing frames together
        // are damage.
        if !complaints.is_empty() && self.is_short() {
            let what = format!("damaged or cut: ffmpeg delivered {count}{because}");
            return Err(Error::format(&self.path, what));
        }
        Ok(None)
    }

    fn stalled(&self) -> Error {
        let (seconds, count) = (self.timeout.as_secs_f64(), self.delivered);
        let what = format!("ffmpeg made no progress for {seconds} s after {count} frames");
        Error::format(&self.path, what)
    }

    fn is_short(&self) -> bool {
        if let Some(frames) = self.stream.frames {
            return self.delivered < frames;
        }
        // Containers without a frame count state a length, rounded and often that of the sound.
        let end = self.time + self.seconds_per_frame();
        self.stream.duration.is_some_and(|duration| end + 0.5 < 0.98 * duration)
    }

    fn join(&mut self) {
        // A sender blocked on a full channel goes on when the receiver is gone.
        self.pixels = None;
        for thread in self.threads.drain(..) {
            // The threads do not panic; if one did, its channel has reported the end.
            let _ = thread.join();
        }
    }
}

impl Frames for Pipe {
    fn next_picture(&mut self) -> Result<Option<(Image, f64)>> {
        let Some(pixels) = &self.pixels else { return Ok(None) };
        let bytes = match pixels.recv_timeout(self.timeout) {
            Ok(bytes) => bytes,
            Err(RecvTimeoutError::Disconnected) => return self.finish(0),
            Err(RecvTimeoutError::Timeout) => return Err(self.stalled()),
        };
        if bytes.len() != 3 * self.stream.width * self.stream.height {
            return self.finish(bytes.len());
        }
        self.time = self.frame_time()?;
        self.delivered += 1;
        let image = Image::new(self.stream.width, self.stream.height, bytes);
        Ok(Some((image, self.time)))
    }

    fn warnings(&self) -> Vec<String> {
        self.complaints.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        self.pixels = None;
        // Ends the process, and with it the pipes the threads read.
        let _ = self.running.0.kill();
        let _ = self.running.0.wait();
        self.join();
    }
}

fn command(path: &Path, programs: &Programs, stream: &Stream, limits: &Limits) -> Command {
    let (numerator, denominator) = stream.time_base;
    // The time base is fixed so that logged ticks mean what the probe said. Checksums of every
    // frame cost time and can be left out since version 4.4. The size is stated so that a stream
    // that changes it cannot shift the pixels of later frames. Conversion to RGB without these
    // flags takes a third of the time and darkens pictures by one to two levels.
    let checksum = if programs.is_at_least(4, 4) { "=checksum=0" } else { "" };
    let filter = format!(
        "settb={numerator}/{denominator},showinfo{checksum},scale={}:{}:\
         flags=bilinear+accurate_rnd+full_chroma_int+bitexact,format=rgb24",
        stream.width, stream.height
    );
    let pass_all: [&str; 2] =
        if programs.is_at_least(5, 1) { ["-fps_mode", "passthrough"] } else { ["-vsync", "0"] };
    let mut command = Command::new(&programs.ffmpeg);
    command.args(["-hide_banner", "-nostdin", "-nostats", "-v", "repeat+level+info"]);
    command.args(["-max_pixels", &limits.pixels.min(i32::MAX as usize).to_string()]);
    command.args(PROTOCOLS).arg("-i").arg(file_argument(path));
    command.args(["-map", &format!("0:{}", stream.index), "-vf", &filter]).args(pass_all);
    command.args(["-c:v", "rawvideo", "-pix_fmt", "rgb24", "-f", "rawvideo", "pipe:1"]);
    command.env("AV_LOG_FORCE_NOCOLOR", "1");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Cuts the output into frames of `bytes` bytes; the last one is short where the output is.
fn cut_frames(mut output: impl Read, bytes: usize, frames: &SyncSender<Vec<u8>>) {
    loop {
        let mut frame = vec![0; bytes];
        let mut filled = 0;
        while filled < bytes {
            match output.read(&mut frame[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        frame.truncate(filled);
        // A frame nobody takes means the consumer is gone.
        if filled == 0 || frames.send(frame).is_err() || filled < bytes {
            return;
        }
    }
}

/// Reads the log line by line: time stamps go to `ticks`, errors are kept.
fn read_log(log: impl Read, ticks: &Sender<Option<i64>>, complaints: &Mutex<Vec<String>>) {
    let mut log = BufReader::new(log);
    let mut line = Vec::new();
    loop {
        line.clear();
        match log.by_ref().take(LINE_BYTES).read_until(b'\n', &mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let text = String::from_utf8_lossy(&line);
        if let Some(tick) = logged_tick(&text) {
            // Without a consumer the log is still drained, so that ffmpeg can end.
            let _ = ticks.send(tick);
        } else if let Some(message) = logged_error(&text) {
            let mut kept = complaints.lock().unwrap_or_else(PoisonError::into_inner);
            if kept.len() == COMPLAINTS {
                kept.pop();
            }
            kept.push(message);
        }
    }
}

/// Tick of a frame in a line of the `showinfo` filter, `Some(None)` for a frame without one.
fn logged_tick(line: &str) -> Option<Option<i64>> {
    let (_, line) = line.split_once("[Parsed_showinfo_")?;
    let (_, line) = line.split_once("] n:")?;
    let (number, rest) = line.split_once("pts:")?;
    number.trim().parse::<u64>().ok()?;
    Some(rest.split_whitespace().next()?.parse().ok())
}

/// Message of a line of level error or worse, without the module in front.
fn logged_error(line: &str) -> Option<String> {
    let levels = ["[error] ", "[fatal] ", "[panic] "];
    let message = levels.iter().find_map(|level| line.split_once(level))?.1;
    Some(shorten(message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_lines_of_several_versions() {
        let tick = |line| logged_tick(line);
        let line = "[Parsed_showinfo_1 @ 0x55] [info] n:   0 pts:      0 pts_time:0       pos:  48";
        assert_eq!(tick(line), Some(Some(0)));
        let line =
            "[Parsed_showinfo_1 @ 0x55] [info] n: 12 pts: -1024 pts_time:-0.08 duration: 512";
        assert_eq!(tick(line), Some(Some(-1024)));
        let line = "[Parsed_showinfo_1 @ 0x55] [info] n:   3 pts: NOPTS pts_time:NOPTS";
        assert_eq!(tick(line), Some(None));
        assert_eq!(tick("[Parsed_showinfo_1 @ 0x55] [info] config in time_base: 1/30000"), None);
        assert_eq!(tick("[info]   title : n: 3 pts: 5"), None);
        let line = "[h264 @ 0x55] [error] error while decoding MB 5 3\n";
        assert_eq!(logged_error(line).as_deref(), Some("error while decoding MB 5 3"));
        assert_eq!(logged_error("[h264 @ 0x55] [warning] odd"), None);
    }

    #[test]
    fn output_is_cut_into_frames() {
        let (sender, receiver) = sync_channel(9);
        cut_frames(&[1, 2, 3, 4, 5, 6, 7, 8][..], 3, &sender);
        drop(sender);
        let frames: Vec<_> = receiver.iter().collect();
        assert_eq!(frames, [vec![1, 2, 3], vec![4, 5, 6], vec![7, 8]]);
    }
}
