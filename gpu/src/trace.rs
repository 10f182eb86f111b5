//! Traces: when kernels ran on their devices and what the host did meanwhile, for a person to look
//! at in Perfetto or Chrome, and as a table of times by kernel.

use crate::device::{Device, lock};
use crate::error::{Error, Result};
use crate::event::Event;
use crate::ring::LaunchRecord;
use crate::stream::Stream;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Most launches and host spans that a trace keeps of each device; later ones are counted.
const MAX_ENTRIES: usize = 1 << 18;
/// The process that host spans have in the file.
const HOST: u32 = 0;

/// A trace that runs from its start until it is dropped. A device has one at a time.
///
/// Launches in a graph are not timed one by one: the graph stands as a host span.
pub struct Trace {
    devices: Vec<(Device, Arc<Recorder>)>,
}

/// What the launches of one kernel took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelTime {
    /// The kernel.
    pub kernel: String,
    /// How often it was launched.
    pub launches: u64,
    /// All of its time.
    pub total: Duration,
    /// Its shortest launch.
    pub shortest: Duration,
    /// Its longest launch.
    pub longest: Duration,
}

/// A piece of host work, which ends when this is dropped.
#[must_use = "a span ends when it is dropped"]
pub struct Span {
    recorder: Arc<Recorder>,
    name: String,
    start: Instant,
}

/// What a device notes while its trace runs.
pub(crate) struct Recorder {
    start: Instant,
    /// Reached when the trace starts.
    base: Event,
    entries: Mutex<Entries>,
}

#[derive(Default)]
struct Entries {
    launches: Vec<Timing>,
    spans: Vec<HostSpan>,
    dropped: u64,
}

/// One launch between two events.
pub(crate) struct Timing {
    record: LaunchRecord,
    before: Event,
    after: Option<Event>,
}

struct HostSpan {
    name: String,
    start: Duration,
    length: Duration,
    thread: u64,
}

impl Trace {
    /// Starts to trace devices; they are waited for first, so that nothing earlier is in it.
    pub fn start(devices: &[&Device]) -> Result<Trace> {
        let mut trace = Trace { devices: Vec::new() };
        for device in devices {
            if device.0.tracing().is_some() {
                let message = format!("trace: {} has one already", device.spec());
                return Err(Error::argument(message));
            }
            device.synchronize()?;
            let base = device.stream()?.record()?;
            base.synchronize()?;
            let entries = Mutex::new(Entries::default());
            let recorder = Arc::new(Recorder { start: Instant::now(), base, entries });
            *lock(&device.0.recorder) = Some(Arc::clone(&recorder));
            trace.devices.push(((*device).clone(), recorder));
        }
        Ok(trace)
    }

    /// Times a piece of host work under a name of its own, until the span is dropped.
    pub fn span(&self, name: &str) -> Option<Span> {
        let (_, recorder) = self.devices.first()?;
        Some(recorder.span(name))
    }

    /// Times of kernels by name, longest total first. Waits for the launches so far.
    pub fn kernels(&self) -> Result<Vec<KernelTime>> {
        let mut table: BTreeMap<String, KernelTime> = BTreeMap::new();
        for (_, recorder) in &self.devices {
            recorder.each_launch(|record, _, length| {
                let entry = table.entry(record.kernel.to_string()).or_insert_with(|| KernelTime {
                    kernel: record.kernel.to_string(),
                    launches: 0,
                    total: Duration::ZERO,
                    shortest: length,
                    longest: length,
                });
                entry.launches += 1;
                entry.total += length;
                entry.shortest = entry.shortest.min(length);
                entry.longest = entry.longest.max(length);
            })?;
        }
        let mut list: Vec<KernelTime> = table.into_values().collect();
        list.sort_by_key(|time| std::cmp::Reverse(time.total));
        Ok(list)
    }

    /// The trace as JSON in the Trace Event Format: a process for the host with its threads, and
    /// one for each device with its streams. Waits for the launches so far.
    pub fn json(&self) -> Result<String> {
        let mut events = vec![process(HOST, "host")];
        let mut dropped = 0;
        let first = self.devices.iter().map(|(_, recorder)| recorder.start).min();
        for (index, (device, recorder)) in self.devices.iter().enumerate() {
            let pid = index as u32 + 1;
            events.push(process(pid, &format!("{} {}", device.spec(), device.name())));
            // Devices start one after the other; the file has one zero for all.
            let shift = first.map_or(Duration::ZERO, |first| recorder.start - first);
            recorder.each_launch(|record, start, length| {
                let LaunchRecord { grid, block, cluster, shapes, .. } = record;
                let details = json!({
                    "number": record.number, "grid": grid, "block": block, "cluster": cluster,
                    "shared": record.shared_bytes, "shapes": shapes,
                });
                let thread = u64::from(record.stream);
                let (start, name) = (start + shift, &record.kernel);
                events.push(complete(name, "kernel", pid, thread, start, length, details));
            })?;
            let entries = lock(&recorder.entries);
            dropped += entries.dropped;
            for HostSpan { name, start, length, thread } in &entries.spans {
                let start = *start + shift;
                events.push(complete(name, "host", HOST, *thread, start, *length, json!({})));
            }
        }
        let file = json!({
            "traceEvents": events,
            "displayTimeUnit": "ns",
            "otherData": {"dropped": dropped},
        });
        Ok(file.to_string())
    }

    /// Writes [`json`](Trace::json) to a file, under its name only once it is whole.
    pub fn write(&self, path: &Path) -> Result<()> {
        let text = self.json()?;
        let mut partial = path.as_os_str().to_owned();
        partial.push(format!(".partial-{}", std::process::id()));
        let written = std::fs::write(&partial, text).and_then(|()| std::fs::rename(&partial, path));
        written.map_err(|error| {
            // Nothing partial stays; where even that fails, the first error says why.
            let _ = std::fs::remove_file(&partial);
            Error::argument(format!("trace {}: {error}", path.display()))
        })
    }
}

impl Drop for Trace {
    fn drop(&mut self) {
        for (device, _) in &self.devices {
            *lock(&device.0.recorder) = None;
        }
    }
}

impl Recorder {
    pub(crate) fn span(self: &Arc<Self>, name: &str) -> Span {
        Span { recorder: Arc::clone(self), name: name.to_owned(), start: Instant::now() }
    }

    /// Marks the place before a launch. A launch that cannot be timed is counted.
    pub(crate) fn begin(&self, record: &LaunchRecord, stream: &Stream) -> Option<Timing> {
        let is_full = lock(&self.entries).launches.len() >= MAX_ENTRIES;
        let before = if is_full { None } else { stream.record().ok() };
        if before.is_none() {
            lock(&self.entries).dropped += 1;
        }
        Some(Timing { record: record.clone(), before: before?, after: None })
    }

    /// Marks the place behind it.
    pub(crate) fn end(&self, mut timing: Timing, stream: &Stream) {
        timing.after = stream.record().ok();
        lock(&self.entries).launches.push(timing);
    }

    fn each_launch(&self, mut each: impl FnMut(&LaunchRecord, Duration, Duration)) -> Result<()> {
        for timing in &lock(&self.entries).launches {
            let Some(after) = &timing.after else { continue };
            let start = timing.before.since(&self.base)?;
            each(&timing.record, start, after.since(&timing.before)?);
        }
        Ok(())
    }
}

impl Drop for Span {
    fn drop(&mut self) {
        let mut entries = lock(&self.recorder.entries);
        if entries.spans.len() >= MAX_ENTRIES {
            entries.dropped += 1;
            return;
        }
        entries.spans.push(HostSpan {
            name: std::mem::take(&mut self.name),
            start: self.start.saturating_duration_since(self.recorder.start),
            length: self.start.elapsed(),
            thread: thread_number(),
        });
    }
}

/// Numbers of threads in the order they first traced something.
fn thread_number() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(0);
    thread_local! {
        static NUMBER: u64 = NEXT.fetch_add(1, Ordering::Relaxed);
    }
    NUMBER.with(|number| *number)
}

fn process(pid: u32, name: &str) -> Value {
    json!({"name": "process_name", "ph": "M", "pid": pid, "tid": 0, "args": {"name": name}})
}

fn complete(
    name: &str,
    category: &str,
    pid: u32,
    thread: u64,
    start: Duration,
    length: Duration,
    details: Value,
) -> Value {
    let microseconds = |time: Duration| time.as_nanos() as f64 / 1e3;
    json!({
        "name": name, "cat": category, "ph": "X", "pid": pid, "tid": thread,
        "ts": microseconds(start), "dur": microseconds(length), "args": details,
    })
}
