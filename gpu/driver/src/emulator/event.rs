//! Events: marks in streams. An event counts its recordings, so that a wait means the one that
//! was last asked for when the wait was.

use super::graph::Covered;
use super::queue::{Work, finish_event};
use super::state::{Handle, State, lock};
use super::{Answer, fail, put};
use crate::abi::{Out, Raw};
use crate::result::Code;

/// The event keeps no time.
const DISABLE_TIMING: u32 = 2;
/// All flags that are known.
const FLAGS: u32 = 7;

/// One event.
pub(super) struct Event {
    pub(super) device: usize,
    flags: u32,
    /// Recordings asked for.
    pub(super) recorded: u64,
    /// The last recording that was reached.
    pub(super) done: u64,
    /// When it was, in nanoseconds since the state was made.
    pub(super) nanos: u64,
    /// The capture it was last recorded in, and what a wait for it covers.
    pub(super) captured: Option<(Handle, Covered)>,
    /// True once it is destroyed while a recording is still to come.
    pub(super) is_destroyed: bool,
}

impl State {
    pub(super) fn new_event(&mut self, device: usize, flags: u32) -> Handle {
        let event = Event {
            device,
            flags,
            recorded: 0,
            done: 0,
            nanos: 0,
            captured: None,
            is_destroyed: false,
        };
        let handle = self.new_handle();
        self.events.insert(handle, event);
        handle
    }

    pub(super) fn event_handle(&self, event: Raw) -> Answer<Handle> {
        let handle = event as Handle;
        match self.events.get(&handle) {
            Some(found) if !found.is_destroyed => Ok(handle),
            _ => fail(Code::INVALID_HANDLE, format!("no emulated event {handle:#x}")),
        }
    }

    /// Puts the next recording into a stream's queue.
    pub(super) fn record(&mut self, event: Handle, stream: Handle) {
        if let Some(entry) = self.events.get_mut(&event) {
            entry.recorded += 1;
            entry.captured = None;
            let number = entry.recorded;
            self.queue(stream, Work::Record { event, number });
        }
    }
}

pub(crate) fn create(event: Out<Raw>, flags: u32) -> Answer {
    let mut state = lock();
    let device = state.current()?;
    if flags & !FLAGS != 0 {
        return fail(Code::INVALID_VALUE, format!("event: flags {flags}, at most {FLAGS}"));
    }
    let handle = state.new_event(device, flags);
    put(event, handle as Raw)
}

pub(crate) fn destroy(event: Raw) -> Answer {
    let mut state = lock();
    let handle = state.event_handle(event)?;
    let is_over = state.events[&handle].done >= state.events[&handle].recorded;
    if is_over {
        state.events.remove(&handle);
    } else {
        state.events.entry(handle).and_modify(|event| event.is_destroyed = true);
    }
    Ok(())
}

pub(crate) fn record(event: Raw, stream: Raw) -> Answer {
    let mut state = lock();
    let event = state.event_handle(event)?;
    let stream = state.stream_handle(stream)?;
    let device = state.streams[&stream].device;
    state.check_fault(device)?;
    if state.events[&event].device != device {
        let message = format!("an event of another device is recorded on device {device}");
        return fail(Code::INVALID_HANDLE, message);
    }
    if let Some(capture) = state.streams[&stream].capture {
        return state.capture_event(capture, stream, event);
    }
    if stream == State::default_stream(device) {
        // The mark stands behind what blocking streams do, as other work there does.
        state.push(stream, Work::Wait { event, number: 0 });
    }
    state.record(event, stream);
    Ok(())
}

pub(crate) fn query(event: Raw) -> Answer {
    synchronize(event)
}

pub(crate) fn synchronize(event: Raw) -> Answer {
    let state = lock();
    let handle = state.event_handle(event)?;
    state.check_fault(state.events[&handle].device)?;
    if state.events[&handle].captured.is_some() {
        return fail(Code::CAPTURED_EVENT, "an event of a capture is never reached");
    }
    let number = state.events[&handle].recorded;
    drop(state);
    finish_event(handle, number)
}

pub(crate) fn elapsed(milliseconds: Out<f32>, start: Raw, end: Raw) -> Answer {
    let state = lock();
    let (start, end) = (state.event_handle(start)?, state.event_handle(end)?);
    let (start, end) = (&state.events[&start], &state.events[&end]);
    state.check_fault(start.device)?;
    if (start.flags | end.flags) & DISABLE_TIMING != 0 || start.recorded == 0 || end.recorded == 0 {
        let message = "elapsed time: both events must keep time and be recorded";
        return fail(Code::INVALID_HANDLE, message);
    }
    if start.done < start.recorded || end.done < end.recorded {
        return fail(Code::NOT_READY, "elapsed time: an event is not reached yet");
    }
    put(milliseconds, (end.nanos as f64 - start.nanos as f64) as f32 / 1e6)
}
