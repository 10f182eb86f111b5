//! The work that waits in streams, and doing it: only what a wait needs, in the order that
//! streams and events give.

use super::launch::LaunchWork;
use super::state::{Handle, State, lock};
use super::{Answer, fail};
use crate::abi::{HostCall, HostRange, Raw};
use crate::result::Code;
use std::sync::{Arc, Condvar, PoisonError};

/// Told when a function of the host returned.
static HOST_RETURNED: Condvar = Condvar::new();

/// One piece of work.
#[derive(Clone)]
pub(super) enum Work {
    /// Bytes that were taken from the host when the copy was asked for.
    Write { to: u64, bytes: Arc<[u8]> },
    /// Bytes that are taken from the host when the copy is done.
    ReadHost { to: u64, from: HostRange },
    /// A copy to the host.
    WriteHost { to: HostRange, from: u64 },
    /// A copy between allocations.
    Copy { to: u64, from: u64, bytes: usize },
    /// A value of 1, 2 or 4 bytes, `count` times.
    Fill { at: u64, value: [u8; 4], width: usize, count: usize },
    /// Memory that is given back.
    Free { at: u64 },
    /// Memory whose contents no longer count.
    Forget { at: u64, bytes: usize },
    /// A kernel.
    Launch(Arc<LaunchWork>),
    /// The event's recording of this number.
    Record { event: Handle, number: u64 },
    /// Nothing until the event's recording of this number.
    Wait { event: Handle, number: u64 },
    /// A function of the host.
    Host(HostCall),
}

/// What is waited for.
#[derive(Clone, Copy)]
enum Goal {
    /// All work of a stream.
    Stream(Handle),
    /// An event's recording.
    Event(Handle, u64),
}

/// What came of one step.
enum Step {
    /// Nothing is left to wait for.
    Reached,
    Ran,
    /// A function of the host to call without the lock.
    Call(Handle, HostCall),
    /// Another thread runs a function of the host that this waits for.
    Busy,
}

/// Puts work into a stream. What it is may depend on the state, and on whether it is captured.
pub(super) fn submit(
    stream: Raw,
    work: impl FnOnce(&mut State, usize, bool) -> Answer<Work>,
) -> Answer<Submitted> {
    let mut state = lock();
    let handle = state.stream_handle(stream)?;
    let device = state.streams[&handle].device;
    state.check_fault(device)?;
    let capture = state.streams[&handle].capture;
    let work = work(&mut state, device, capture.is_some())?;
    if let Some(capture) = capture {
        state.capture_work(capture, handle, work)?;
        return Ok(Submitted { stream: handle, is_captured: true });
    }
    state.push(handle, work);
    let is_long = state.streams[&handle].queue.len() > State::MAX_QUEUE;
    drop(state);
    if is_long {
        finish_stream(handle)?;
    }
    Ok(Submitted { stream: handle, is_captured: false })
}

/// Where work went.
pub(super) struct Submitted {
    pub(super) stream: Handle,
    pub(super) is_captured: bool,
}

impl Submitted {
    /// Waits for the stream, unless the work was captured.
    pub(super) fn finish(self) -> Answer {
        if self.is_captured { Ok(()) } else { finish_stream(self.stream) }
    }
}

/// Does all work of a stream and what that depends on.
pub(super) fn finish_stream(stream: Handle) -> Answer {
    finish(Goal::Stream(stream))
}

/// Does what comes before an event's recording.
pub(super) fn finish_event(event: Handle, number: u64) -> Answer {
    finish(Goal::Event(event, number))
}

/// Does all work of a device.
pub(super) fn finish_device(device: usize) -> Answer {
    let streams: Vec<Handle> = {
        let state = lock();
        state.check_fault(device)?;
        let mine = state.streams.iter().filter(|(_, stream)| stream.device == device);
        mine.map(|(handle, _)| *handle).collect()
    };
    streams.into_iter().try_for_each(finish_stream)
}

fn finish(goal: Goal) -> Answer {
    let mut state = lock();
    let device = match goal {
        Goal::Stream(stream) => state.streams.get(&stream).map(|stream| stream.device),
        Goal::Event(event, _) => state.events.get(&event).map(|event| event.device),
    };
    loop {
        match state.step(goal) {
            Step::Reached => break,
            Step::Ran => {}
            Step::Call(stream, call) => {
                drop(state);
                call.run();
                state = lock();
                if let Some(stream) = state.streams.get_mut(&stream) {
                    stream.is_busy = false;
                }
                HOST_RETURNED.notify_all();
            }
            Step::Busy => {
                state = HOST_RETURNED.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }
    device.map_or(Ok(()), |device| state.check_fault(device))
}

impl State {
    /// Most pieces of work a stream holds; a longer queue is worked off first.
    pub(super) const MAX_QUEUE: usize = 1024;

    /// Queues work. A default stream comes after the work of all blocking streams of its device,
    /// and they come after its own.
    pub(super) fn push(&mut self, stream: Handle, work: Work) {
        let device = self.streams[&stream].device;
        let default = State::default_stream(device);
        let before: Vec<Handle> = if stream == default {
            let others = self.streams.iter().filter(|(handle, other)| {
                other.device == device && **handle != default && other.is_blocking()
            });
            others.filter(|(_, other)| !other.queue.is_empty()).map(|(h, _)| *h).collect()
        } else if self.streams[&stream].is_blocking() && !self.streams[&default].queue.is_empty() {
            vec![default]
        } else {
            Vec::new()
        };
        for other in before {
            let event = self.new_event(device, 0);
            self.record(event, other);
            self.events.entry(event).and_modify(|event| event.is_destroyed = true);
            self.queue(stream, Work::Wait { event, number: 1 });
        }
        self.queue(stream, work);
    }

    pub(super) fn queue(&mut self, stream: Handle, work: Work) {
        if let Some(stream) = self.streams.get_mut(&stream) {
            stream.queue.push_back(work);
        }
    }

    pub(super) fn is_recorded(&self, event: Handle, number: u64) -> bool {
        // An event is forgotten only after its last recording is done.
        self.events.get(&event).is_none_or(|event| event.done >= number)
    }

    /// The stream whose queue holds an event's recording.
    fn recorder(&self, event: Handle, number: u64) -> Option<Handle> {
        let holds = |work: &Work| matches!(work, Work::Record { event: e, number: n } if *e == event && *n >= number);
        let found = self.streams.iter().find(|(_, stream)| stream.queue.iter().any(holds));
        found.map(|(handle, _)| *handle)
    }

    /// Does one piece of the work that the goal needs.
    fn step(&mut self, goal: Goal) -> Step {
        let mut at = match goal {
            Goal::Stream(stream) => stream,
            Goal::Event(event, number) => {
                if self.is_recorded(event, number) {
                    return Step::Reached;
                }
                match self.recorder(event, number) {
                    Some(stream) => stream,
                    None => return Step::Reached,
                }
            }
        };
        loop {
            let Some(stream) = self.streams.get(&at) else { return Step::Reached };
            if stream.is_busy {
                return Step::Busy;
            }
            match stream.queue.front() {
                None => return Step::Reached,
                Some(Work::Wait { event, number }) if !self.is_recorded(*event, *number) => {
                    match self.recorder(*event, *number) {
                        Some(next) => at = next,
                        // Its stream is gone with a fault; nothing is left to wait for.
                        None => break,
                    }
                }
                Some(_) => break,
            }
        }
        let Some(work) = self.streams.get_mut(&at).and_then(|s| s.queue.pop_front()) else {
            return Step::Reached;
        };
        if let Work::Host(call) = work {
            if let Some(stream) = self.streams.get_mut(&at) {
                stream.is_busy = true;
            }
            return Step::Call(at, call);
        }
        self.execute(at, work);
        Step::Ran
    }

    /// Fails where a stream of this thread's device captures: the call would wait for work that
    /// is not done but noted.
    pub(super) fn refuse_in_capture(&mut self, call: &str) -> Answer {
        let device = self.current()?;
        let thread = std::thread::current().id();
        for capture in self.captures.values_mut() {
            if capture.device == device && capture.forbids(thread) {
                capture.is_broken = true;
                let message = format!("{call} is not allowed while a stream captures");
                return fail(Code::STREAM_CAPTURE_UNSUPPORTED, message);
            }
        }
        Ok(())
    }
}
