//! The work that waits in streams, and doing it: only what a wait needs, in the order that
//! streams and events give.

use super::fault::{Fault, KernelCounters};
use super::launch::LaunchWork;
use super::state::{Handle, State, lock};
use super::{Answer, fail, threads};
use crate::abi::{HostCall, HostRange, Raw};
use crate::result::Code;
use std::sync::{Arc, Condvar, PoisonError};
use std::time::Instant;
use vincie_ptx::{Counters, DevicePtr, Launch};

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

    fn is_recorded(&self, event: Handle, number: u64) -> bool {
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

    fn execute(&mut self, stream: Handle, work: Work) {
        let Some(device) = self.streams.get(&stream).map(|stream| stream.device) else { return };
        let machine = &mut self.machine;
        let result = match work {
            Work::Write { to, bytes } => machine.write(DevicePtr(to), &bytes),
            Work::ReadHost { to, from } => machine.write(DevicePtr(to), &from.read()),
            Work::WriteHost { to, from } => {
                machine.read(DevicePtr(from), to.bytes).map(|bytes| to.write(&bytes))
            }
            Work::Copy { to, from, bytes } => machine.copy(DevicePtr(to), DevicePtr(from), bytes),
            Work::Fill { at, value, width, count } => {
                machine.write(DevicePtr(at), &value[..width].repeat(count))
            }
            Work::Free { at } => {
                for device in &mut self.devices {
                    device.allocations.remove(&at);
                    device.names.remove(&at);
                }
                machine.free(DevicePtr(at))
            }
            Work::Forget { at, bytes } => {
                let undefined = vec![0xcd; bytes];
                machine.write_undefined(DevicePtr(at), &undefined)
            }
            Work::Launch(launch) => {
                self.run(stream, launch);
                Ok(())
            }
            Work::Record { event, number } => {
                self.recorded(event, number);
                Ok(())
            }
            Work::Wait { .. } | Work::Host(_) => Ok(()),
        };
        if let Err(error) = result {
            // Ranges are checked when work is queued, so memory was freed since.
            self.fail_device(device, Fault::of_error("copy", &error));
        }
    }

    /// Marks an event's recording as done, now.
    pub(super) fn recorded(&mut self, event: Handle, number: u64) {
        let now = self.start.elapsed().as_nanos() as u64;
        let Some(entry) = self.events.get_mut(&event) else { return };
        entry.done = entry.done.max(number);
        entry.nanos = now;
        if entry.is_destroyed && entry.done >= entry.recorded {
            self.events.remove(&event);
        }
    }

    /// Runs a kernel, side by side with those at the heads of other devices' streams that talk
    /// to it.
    fn run(&mut self, stream: Handle, first: Arc<LaunchWork>) {
        let mut group = vec![first];
        if group[0].function.talks {
            self.gather_partners(stream, &mut group);
        }
        let loaded: Vec<_> = group.iter().map(|launch| &launch.function).collect();
        let launches: Vec<Launch<'_>> = group
            .iter()
            .zip(loaded)
            .map(|(work, function)| Launch {
                kernel: &function.kernel,
                loaded: &function.loaded,
                config: work.config,
                args: &work.arguments,
            })
            .collect();
        let start = Instant::now();
        let result = threads::apart(|| self.machine.run(&launches, &self.options));
        let seconds = start.elapsed().as_secs_f64();
        match result {
            Ok(reports) => {
                for (work, report) in group.iter().zip(&reports) {
                    let (name, device) = (&work.function.kernel.name, work.function.device);
                    if let Some(mut fault) = Fault::of(name, report, &self.tolerate) {
                        fault.name_buffers(|address| self.name_of(address));
                        self.fail_device(device, fault);
                        continue;
                    }
                    let counters = &mut self.devices[device].counters;
                    let entry = counters.entry(name.clone()).or_insert_with(|| KernelCounters {
                        kernel: name.clone(),
                        launches: 0,
                        seconds: 0.0,
                        counters: Counters::default(),
                    });
                    entry.launches += 1;
                    entry.seconds += seconds / group.len() as f64;
                    entry.counters.add(&report.counters);
                }
            }
            Err(error) => {
                for work in &group {
                    let fault = Fault::of_error(&work.function.kernel.name, &error);
                    self.fail_device(work.function.device, fault);
                }
            }
        }
    }

    /// Takes the kernels of peers that may talk to this one from the heads of their streams.
    fn gather_partners(&mut self, stream: Handle, group: &mut Vec<Arc<LaunchWork>>) {
        let device = group[0].function.device;
        let others: Vec<Handle> = self.streams.keys().copied().filter(|s| *s != stream).collect();
        for other in others {
            let peer = self.streams[&other].device;
            let is_free = group.iter().all(|work| work.function.device != peer);
            let is_peer =
                self.machine.can_reach(device, peer) || self.machine.can_reach(peer, device);
            if !is_free || !is_peer {
                continue;
            }
            loop {
                let ready = match self.streams[&other].queue.front() {
                    _ if self.streams[&other].is_busy => false,
                    None | Some(Work::Host(_)) => false,
                    Some(Work::Wait { event, number }) => self.is_recorded(*event, *number),
                    Some(Work::Launch(work)) => work.function.talks,
                    Some(_) => true,
                };
                if !ready {
                    break;
                }
                match self.streams.get_mut(&other).and_then(|s| s.queue.pop_front()) {
                    Some(Work::Launch(work)) => {
                        group.push(work);
                        break;
                    }
                    Some(work) => self.execute(other, work),
                    None => break,
                }
            }
        }
    }

    /// Keeps the first fault of a device and drops its queued work, whose events count as done.
    fn fail_device(&mut self, device: usize, fault: Fault) {
        self.devices[device].fault.get_or_insert(fault);
        self.drop_work(device);
    }

    fn drop_work(&mut self, device: usize) {
        let mut records = Vec::new();
        for stream in self.streams.values_mut().filter(|stream| stream.device == device) {
            for work in stream.queue.drain(..) {
                if let Work::Record { event, number } = work {
                    records.push((event, number));
                }
            }
        }
        for (event, number) in records {
            self.recorded(event, number);
        }
    }

    /// Destroys a device's context: its memory, work, handles and fault.
    pub(super) fn clear(&mut self, device: usize) {
        self.drop_work(device);
        let default = State::default_stream(device);
        self.streams.retain(|handle, stream| stream.device != device || *handle == default);
        self.events.retain(|_, event| event.device != device);
        self.modules.retain(|_, module| module.loaded.device != device);
        self.functions.retain(|_, function| function.device != device);
        self.captures.retain(|_, capture| capture.device != device);
        let flags = self.devices[device].flags;
        let retained = self.devices[device].retained;
        let allocations: Vec<u64> = self.devices[device].allocations.keys().copied().collect();
        self.devices[device] = super::state::Device { flags, retained, ..Default::default() };
        for peer in 0..self.devices.len() {
            self.machine.disable_peer(device, peer);
        }
        for at in allocations {
            // The device keeps exactly what it allocated, so each of them is there.
            self.machine.free(DevicePtr(at)).expect("a live allocation can be freed");
        }
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
