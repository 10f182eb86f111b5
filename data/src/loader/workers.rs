//! Threads that decode ahead. They park when there is nothing to do, and outcomes are taken in
//! the order of the jobs, whichever worker was faster.

use super::work::{Job, Outcome, Work};
use crate::{Error, Result};
use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

/// Most worker threads.
const MAX_WORKERS: usize = 1024;

/// A bounded line of jobs; the caller bounds it by taking before it pushes more.
#[derive(Debug)]
pub(super) struct Workers {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    /// For jobs that the caller does itself.
    buffer: Vec<u8>,
}

#[derive(Debug)]
struct Shared {
    work: Work,
    line: Mutex<Line>,
    has_job: Condvar,
    has_outcome: Condvar,
}

/// Jobs and outcomes by ticket; tickets count up from the first that was not taken.
#[derive(Debug, Default)]
struct Line {
    jobs: VecDeque<(u64, Job)>,
    outcomes: VecDeque<Option<Outcome>>,
    first: u64,
    is_closed: bool,
}

impl Workers {
    /// Starts `count` threads; with none, jobs are done when their outcome is taken.
    pub(super) fn start(work: Work, count: usize) -> Result<Self> {
        if count > MAX_WORKERS {
            let what = format!("loader: {count} workers; the limit is {MAX_WORKERS}");
            return Err(Error::Unsupported(what));
        }
        let shared = Arc::new(Shared {
            work,
            line: Mutex::new(Line::default()),
            has_job: Condvar::new(),
            has_outcome: Condvar::new(),
        });
        let mut workers = Self { shared, threads: Vec::new(), buffer: Vec::new() };
        for index in 0..count {
            let shared = Arc::clone(&workers.shared);
            let thread = std::thread::Builder::new()
                .name(format!("loader-{index}"))
                .spawn(move || shared.run())
                .map_err(|error| {
                    Error::Unsupported(format!("loader: worker {index} did not start: {error}"))
                })?;
            workers.threads.push(thread);
        }
        Ok(workers)
    }

    /// Jobs whose outcome was not taken yet.
    pub(super) fn outstanding(&self) -> usize {
        self.shared.lock().outcomes.len()
    }

    /// Puts a job at the end of the line.
    pub(super) fn push(&self, job: Job) {
        let mut line = self.shared.lock();
        let ticket = line.first + line.outcomes.len() as u64;
        line.outcomes.push_back(None);
        line.jobs.push_back((ticket, job));
        drop(line);
        self.shared.has_job.notify_one();
    }

    /// Waits for the outcome of the first job in the line, `None` when the line is empty.
    pub(super) fn take(&mut self) -> Option<Outcome> {
        let mut line = self.shared.lock();
        if self.threads.is_empty() {
            let (_, job) = line.jobs.pop_front()?;
            line.outcomes.pop_front();
            line.first += 1;
            drop(line);
            return Some(self.shared.work.run(job, &mut self.buffer));
        }
        loop {
            match line.outcomes.front_mut()?.take() {
                Some(outcome) => {
                    line.outcomes.pop_front();
                    line.first += 1;
                    return Some(outcome);
                }
                None => {
                    line =
                        self.shared.has_outcome.wait(line).unwrap_or_else(PoisonError::into_inner);
                }
            }
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        let mut line = self.shared.lock();
        line.is_closed = true;
        line.jobs.clear();
        drop(line);
        self.shared.has_job.notify_all();
        for thread in self.threads.drain(..) {
            // Panics inside a job are caught there, so the thread has nothing to report.
            let _ = thread.join();
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        let mut buffer = Vec::new();
        while let Some((ticket, job)) = self.wait_for_job() {
            let outcome = self.work.run(job, &mut buffer);
            let mut line = self.lock();
            let slot = (ticket - line.first) as usize;
            line.outcomes[slot] = Some(outcome);
            drop(line);
            self.has_outcome.notify_one();
        }
    }

    fn wait_for_job(&self) -> Option<(u64, Job)> {
        let mut line = self.lock();
        loop {
            if line.is_closed {
                return None;
            }
            if let Some(job) = line.jobs.pop_front() {
                return Some(job);
            }
            line = self.has_job.wait(line).unwrap_or_else(PoisonError::into_inner);
        }
    }
}
