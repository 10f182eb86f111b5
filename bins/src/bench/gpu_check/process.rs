//! A second process that is spoken to in lines, and replaced when it does not answer.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

/// How long a process that was told to end may take.
const FAREWELL: Duration = Duration::from_secs(5);

/// See the module. Its input ends when this is dropped; if it then does not end, it is killed.
pub(super) struct Process {
    child: Child,
    requests: Option<ChildStdin>,
    answers: Receiver<String>,
    /// False once it did not answer in time: it will not see that its input ended.
    is_responsive: bool,
}

impl Process {
    pub(super) fn start(mut command: Command) -> Result<Self, String> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let program = command.get_program().to_string_lossy().into_owned();
        let mut child = command.spawn().map_err(|error| format!("{program}: {error}"))?;
        let requests = child.stdin.take();
        let output = child.stdout.take().expect("its output is piped");
        let (sender, answers) = channel();
        thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Ok(Self { child, requests, answers, is_responsive: true })
    }

    /// Sends a line. A process that has gone is noticed when its answer is waited for.
    pub(super) fn say(&mut self, line: &str) {
        let requests = self.requests.as_mut().expect("it is there until the end");
        let _ = writeln!(requests, "{line}").and_then(|()| requests.flush());
    }

    /// Its next line; an error says how it was lost.
    pub(super) fn hear(&mut self, limit: Duration) -> Result<String, String> {
        match self.answers.recv_timeout(limit) {
            Ok(line) => Ok(line),
            Err(RecvTimeoutError::Timeout) => {
                self.is_responsive = false;
                // As many digits as say something.
                Err(format!("no answer within {} s", (limit.as_secs_f64() * 1e3).round() / 1e3))
            }
            Err(RecvTimeoutError::Disconnected) => Err(match self.child.wait() {
                Ok(status) => format!("the process of the device ended: {status}"),
                Err(error) => format!("the process of the device ended: {error}"),
            }),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.requests.take());
        let end = Instant::now() + FAREWELL;
        let mut has_ended = false;
        while self.is_responsive && !has_ended && Instant::now() < end {
            has_ended = self.child.try_wait().is_ok_and(|status| status.is_some());
            thread::sleep(Duration::from_millis(2));
        }
        if !has_ended {
            // Both fail only where there is no such process any more.
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
