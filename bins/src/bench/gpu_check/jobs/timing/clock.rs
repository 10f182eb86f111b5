//! Repeated measurements on the device, between events: of graphs where the work can be captured, so
//! that the host's time does not count, else of loops.

use super::super::Wrong;
use crate::bench::gpu_check::protocol::Told;
use crate::ptx::driver::is_emulated;
use std::time::{Duration, Instant};
use vincie_gpu::ErrorKind;
use vincie_tensor::Accelerator;

/// Time that a graph should take, so that its start does not count.
const GRAPH: Duration = Duration::from_millis(10);

/// Most repetitions in a graph: each has results of its own.
const MOST_INSIDE: usize = 16;

/// How long to repeat.
const BUDGET: Duration = Duration::from_millis(400);

/// Fewest and most measurements.
const FEWEST: usize = 5;
const MOST: usize = 100;

/// Times work on an accelerator.
pub(super) struct Clock<'p> {
    pub(super) place: &'p Accelerator,
    /// Few repetitions, and no graph.
    is_single: bool,
}

/// What repetitions took, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measured {
    pub(super) best_ms: f64,
    pub(super) median_ms: f64,
    repeats: usize,
    /// Repetitions between two events, and whether they were in a graph.
    inside: usize,
    is_graph: bool,
}

impl<'p> Clock<'p> {
    pub(super) fn new(place: &'p Accelerator, is_single: bool) -> Self {
        // The emulator's time says nothing of a GPU's.
        Self { place, is_single: is_single || is_emulated(place.device()) }
    }

    /// True where times mean something.
    pub(super) fn is_real(&self) -> bool {
        !is_emulated(self.place.device())
    }

    /// Times work that only puts launches into the accelerator's stream.
    pub(super) fn measure(
        &self,
        mut work: impl FnMut() -> vincie_tensor::Result<()>,
    ) -> Result<Measured, Wrong> {
        let stream = self.place.stream();
        // The first run compiles and fills the pool, the second finds both done.
        work()?;
        self.place.synchronize()?;
        let first = self.between(|| Ok(work()?))?;
        if self.is_single {
            return Ok(Measured::of(vec![first], 1, false));
        }
        let inside = (GRAPH.as_secs_f64() * 1e3 / first.max(1e-3)) as usize;
        let inside = inside.clamp(1, MOST_INSIDE);
        let mut failure = None;
        let graph = stream.capture(|_| {
            for _ in 0..inside {
                if let Err(error) = work() {
                    failure = Some(error);
                    break;
                }
            }
            Ok(())
        });
        let graph = match (graph, failure) {
            (Ok(graph), None) => Some(graph),
            (Err(error), _) if error.kind == ErrorKind::Fault => return Err(error.into()),
            // What a capture does not take is measured in a loop.
            _ => None,
        };
        let mut times = Vec::new();
        let begun = Instant::now();
        while times.len() < FEWEST || (begun.elapsed() < BUDGET && times.len() < MOST) {
            let time = self.between(|| match &graph {
                Some(graph) => Ok(graph.launch(stream)?),
                None => Ok((0..inside).try_for_each(|_| work())?),
            })?;
            times.push(time / inside as f64);
        }
        // The first graph is uploaded when it is launched.
        times.remove(0);
        Ok(Measured::of(times, inside, graph.is_some()))
    }

    /// Times work that waits for the device, by the host's clock.
    pub(super) fn measure_whole(
        &self,
        fewest: usize,
        budget: Duration,
        mut work: impl FnMut() -> Result<(), Wrong>,
    ) -> Result<Measured, Wrong> {
        let fewest = if self.is_single { 1 } else { fewest };
        let mut times = Vec::new();
        if !self.is_single {
            work()?;
            work()?;
        }
        let begun = Instant::now();
        while times.len() < fewest || (!self.is_single && begun.elapsed() < budget) {
            self.place.synchronize()?;
            let start = Instant::now();
            work()?;
            self.place.synchronize()?;
            times.push(start.elapsed().as_secs_f64() * 1e3);
        }
        Ok(Measured::of(times, 1, false))
    }

    /// Milliseconds between events before and behind what `work` puts into the stream.
    fn between(&self, work: impl FnOnce() -> Result<(), Wrong>) -> Result<f64, Wrong> {
        let stream = self.place.stream();
        let before = stream.record()?;
        work()?;
        let after = stream.record()?;
        Ok(after.since(&before)?.as_secs_f64() * 1e3)
    }

    /// A row about work of so many operations and bytes. An emulated device gives no figures.
    pub(super) fn told(&self, measured: Measured, flops: f64, bytes: f64) -> Told {
        let mut told = Told::passed();
        told.detail("flops", flops);
        told.detail("bytes", bytes);
        if !self.is_real() {
            told.detail("emulated", true);
            return told;
        }
        told.microseconds = Some(measured.median_ms * 1e3);
        told.detail("ms", measured.median_ms);
        told.detail("best_ms", measured.best_ms);
        told.detail("repeats", measured.repeats);
        told.detail("inside", measured.inside);
        told.detail("is_graph", measured.is_graph);
        if flops > 0.0 {
            told.detail("tflop_per_s", flops / measured.median_ms / 1e9);
        }
        told.detail("gb_per_s", bytes / measured.median_ms / 1e6);
        told
    }
}

impl Measured {
    fn of(mut times: Vec<f64>, inside: usize, is_graph: bool) -> Self {
        times.sort_by(f64::total_cmp);
        let (best_ms, median_ms) = (times[0], times[times.len() / 2]);
        Self { best_ms, median_ms, repeats: times.len(), inside, is_graph }
    }
}
