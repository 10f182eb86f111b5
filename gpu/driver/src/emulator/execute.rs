//! Doing the work of streams: copies, fills, kernels, and what a kernel's fault leaves behind.

use super::fault::{Fault, KernelCounters};
use super::launch::LaunchWork;
use super::queue::Work;
use super::state::{Device, Handle, State};
use super::threads;
use std::sync::Arc;
use std::time::Instant;
use vincie_ptx::{Counters, DevicePtr, Launch};

impl State {
    /// Does one piece of work of a stream.
    pub(super) fn execute(&mut self, stream: Handle, work: Work) {
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
        self.devices[device] = Device { flags, retained, ..Default::default() };
        for peer in 0..self.devices.len() {
            self.machine.disable_peer(device, peer);
        }
        for at in allocations {
            // The device keeps exactly what it allocated, so each of them is there.
            self.machine.free(DevicePtr(at)).expect("a live allocation can be freed");
        }
    }
}
