//! Streams: queues of work in order.

use super::queue::{Work, finish_stream, submit};
use super::state::{Handle, State, current_device, lock};
use super::{Answer, fail, put};
use crate::abi::{HostCall, HostFunction, Out, Raw};
use crate::result::Code;
use std::collections::VecDeque;

/// The stream does not wait for the default stream, nor that for it.
const NON_BLOCKING: u32 = 1;

/// One stream.
pub(super) struct Stream {
    pub(super) device: usize,
    pub(super) flags: u32,
    pub(super) priority: i32,
    pub(super) queue: VecDeque<Work>,
    /// The capture that takes the stream's work.
    pub(super) capture: Option<Handle>,
    /// True while a function of the host runs for it.
    pub(super) is_busy: bool,
}

impl Stream {
    pub(super) fn new(device: usize, flags: u32, priority: i32) -> Self {
        let queue = VecDeque::new();
        Stream { device, flags, priority, queue, capture: None, is_busy: false }
    }

    pub(super) fn is_blocking(&self) -> bool {
        self.flags & NON_BLOCKING == 0
    }
}

pub(crate) fn create(stream: Out<Raw>, flags: u32) -> Answer {
    create_with_priority(stream, flags, 0)
}

pub(crate) fn create_with_priority(stream: Out<Raw>, flags: u32, priority: i32) -> Answer {
    let mut state = lock();
    let device = state.current()?;
    if flags & !NON_BLOCKING != 0 {
        return fail(Code::INVALID_VALUE, format!("stream: flags {flags}, expected 0 or 1"));
    }
    let handle = state.new_handle();
    state.streams.insert(handle, Stream::new(device, flags, priority));
    put(stream, handle as Raw)
}

pub(crate) fn destroy(stream: Raw) -> Answer {
    let handle = own_handle(&lock(), stream)?;
    // The driver does what is queued after the stream's end; here it is done before.
    let result = finish_stream(handle);
    lock().streams.remove(&handle);
    result
}

/// A stream that was created, not a default one.
fn own_handle(state: &State, stream: Raw) -> Answer<Handle> {
    let handle = state.stream_handle(stream)?;
    if handle == State::default_stream(state.streams[&handle].device) {
        return fail(Code::INVALID_HANDLE, "a default stream is not destroyed");
    }
    Ok(handle)
}

pub(crate) fn flags(stream: Raw, flags: Out<u32>) -> Answer {
    let state = lock();
    put(flags, state.streams[&state.stream_handle(stream)?].flags)
}

pub(crate) fn priority(stream: Raw, priority: Out<i32>) -> Answer {
    let state = lock();
    put(priority, state.streams[&state.stream_handle(stream)?].priority)
}

pub(crate) fn synchronize(stream: Raw) -> Answer {
    finish_stream(outside_capture(stream, "cuStreamSynchronize")?)
}

pub(crate) fn query(stream: Raw) -> Answer {
    // A query is where a program polls, so it must make progress.
    finish_stream(outside_capture(stream, "cuStreamQuery")?)
}

fn outside_capture(stream: Raw, call: &str) -> Answer<Handle> {
    let mut state = lock();
    let handle = state.stream_handle(stream)?;
    state.check_fault(state.streams[&handle].device)?;
    let capture = state.streams[&handle].capture;
    if let Some(capture) = capture.and_then(|capture| state.captures.get_mut(&capture)) {
        capture.is_broken = true;
        let message = format!("{call}: the stream captures; what it holds is not done");
        return fail(Code::STREAM_CAPTURE_UNSUPPORTED, message);
    }
    Ok(handle)
}

pub(crate) fn wait_event(stream: Raw, event: Raw, _flags: u32) -> Answer {
    let mut state = lock();
    let handle = state.stream_handle(stream)?;
    state.check_fault(state.streams[&handle].device)?;
    let event = state.event_handle(event)?;
    if let Some((capture, covered)) = state.events[&event].captured.clone() {
        return state.join_capture(handle, capture, &covered);
    }
    if state.streams[&handle].capture.is_some() {
        let message = "a captured stream waits for an event recorded outside of its capture";
        return fail(Code::STREAM_CAPTURE_ISOLATION, message);
    }
    let number = state.events[&event].recorded;
    if number > 0 {
        state.push(handle, Work::Wait { event, number });
    }
    Ok(())
}

pub(crate) fn host_function(stream: Raw, function: Option<HostFunction>, data: Raw) -> Answer {
    let Some(function) = function else {
        return fail(Code::INVALID_VALUE, "cuLaunchHostFunc: the function is null");
    };
    current_device()?;
    let call = HostCall { function, data: data as usize };
    submit(stream, |_, _, _| Ok(Work::Host(call))).map(drop)
}
