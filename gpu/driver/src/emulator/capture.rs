//! Capture: the work of a stream, and of streams that wait for it, is noted in a graph instead of
//! being done.

use super::graph::{Capture, Covered, Graph};
use super::queue::Work;
use super::state::{Handle, State, lock};
use super::{Answer, fail, put};
use crate::abi::{Out, Raw};
use crate::result::Code;
use std::collections::BTreeMap;

/// Other threads may do what they like during the capture.
pub(super) const THREAD_LOCAL: i32 = 1;
/// So may this one.
pub(super) const RELAXED: i32 = 2;

impl State {
    /// Notes work of a capturing stream.
    pub(super) fn capture_work(&mut self, capture: Handle, stream: Handle, work: Work) -> Answer {
        let capture = self.open_capture(capture)?;
        capture.nodes.push(work);
        let nodes = capture.nodes.len();
        capture.covered.entry(stream).or_default().insert(stream, nodes);
        Ok(())
    }

    /// Notes an event's recording in a capturing stream.
    pub(super) fn capture_event(
        &mut self,
        capture: Handle,
        stream: Handle,
        event: Handle,
    ) -> Answer {
        let covered = self.open_capture(capture)?.covered.get(&stream).cloned().unwrap_or_default();
        if let Some(event) = self.events.get_mut(&event) {
            event.captured = Some((capture, covered));
        }
        Ok(())
    }

    /// Lets a stream wait for a captured event: it takes part in the capture from now on. Nodes
    /// are done in the order they were noted, so the wait itself only says what it covers.
    pub(super) fn join_capture(
        &mut self,
        stream: Handle,
        capture: Handle,
        covered: &Covered,
    ) -> Answer {
        let held = self.streams[&stream].queue.len();
        match self.streams[&stream].capture {
            Some(other) if other != capture => {
                return fail(Code::STREAM_CAPTURE_MERGE, "a stream would join two captures");
            }
            // What the stream holds already is not part of the graph.
            None if held > 0 && self.captures.contains_key(&capture) => {
                let message = format!("a stream with {held} pieces of work joins a capture");
                return fail(Code::STREAM_CAPTURE_ISOLATION, message);
            }
            _ => {}
        }
        let own = self.open_capture(capture)?.covered.entry(stream).or_default();
        for (other, nodes) in covered {
            let entry = own.entry(*other).or_default();
            *entry = (*entry).max(*nodes);
        }
        self.streams.entry(stream).and_modify(|stream| stream.capture = Some(capture));
        Ok(())
    }

    fn open_capture(&mut self, capture: Handle) -> Answer<&mut Capture> {
        match self.captures.get_mut(&capture) {
            Some(capture) if !capture.is_broken => Ok(capture),
            Some(_) => fail(Code::STREAM_CAPTURE_INVALIDATED, "the capture was broken before"),
            None => fail(Code::CAPTURED_EVENT, "the event is of a capture that ended"),
        }
    }
}

pub(crate) fn begin(stream: Raw, mode: i32) -> Answer {
    let mut state = lock();
    let handle = state.stream_handle(stream)?;
    let device = state.streams[&handle].device;
    state.check_fault(device)?;
    if handle == State::default_stream(device) {
        let message = "a default stream cannot capture";
        return fail(Code::STREAM_CAPTURE_UNSUPPORTED, message);
    }
    if !(0..=RELAXED).contains(&mode) {
        return fail(Code::INVALID_VALUE, format!("capture mode {mode}, expected 0 to 2"));
    }
    if state.streams[&handle].capture.is_some() {
        return fail(Code::ILLEGAL_STATE, "the stream captures already");
    }
    let capture = state.new_handle();
    let started = Capture {
        device,
        origin: handle,
        mode,
        thread: std::thread::current().id(),
        nodes: Vec::new(),
        covered: BTreeMap::new(),
        is_broken: false,
    };
    state.captures.insert(capture, started);
    state.streams.entry(handle).and_modify(|stream| stream.capture = Some(capture));
    Ok(())
}

pub(crate) fn end(stream: Raw, graph: Out<Raw>) -> Answer {
    let mut state = lock();
    let handle = state.stream_handle(stream)?;
    let Some(number) = state.streams[&handle].capture else {
        return fail(Code::ILLEGAL_STATE, "the stream does not capture");
    };
    if state.captures.get(&number).is_some_and(|capture| capture.origin != handle) {
        return fail(Code::STREAM_CAPTURE_UNMATCHED, "the capture began in another stream");
    }
    for stream in state.streams.values_mut().filter(|stream| stream.capture == Some(number)) {
        stream.capture = None;
    }
    let Some(capture) = state.captures.remove(&number) else {
        return fail(Code::STREAM_CAPTURE_INVALIDATED, "the capture is gone with its context");
    };
    graph.put(std::ptr::null_mut());
    if capture.is_broken {
        let message = "a call that is not allowed during it broke the capture";
        return fail(Code::STREAM_CAPTURE_INVALIDATED, message);
    }
    let joined = capture.covered.get(&capture.origin).cloned().unwrap_or_default();
    let is_open = |(stream, covered): &(&Handle, &Covered)| {
        let nodes = covered.get(stream).copied().unwrap_or(0);
        nodes > joined.get(stream).copied().unwrap_or(0)
    };
    let open = capture.covered.iter().filter(is_open).count();
    if open > 0 {
        let message = format!("{open} forked streams were not joined before the capture ended");
        return fail(Code::STREAM_CAPTURE_UNJOINED, message);
    }
    let handle = state.new_handle();
    state.graphs.insert(handle, Graph::new(capture.nodes));
    put(graph, handle as Raw)
}

pub(crate) fn status(stream: Raw, status: Out<i32>) -> Answer {
    let state = lock();
    let handle = state.stream_handle(stream)?;
    let capture = state.streams[&handle].capture.and_then(|c| state.captures.get(&c));
    put(status, capture.map_or(0, |capture| if capture.is_broken { 2 } else { 1 }))
}
