//! Sections: lists of cases of one kind, with the share of the time that each may take.

use super::bench::Bench;
use super::cases::Cases;
use super::golden;
use super::jobs::{self, Job, Kind, Pass};
use super::report::{Row, Status};
use super::throughput::{self, Timed};
use super::tools::{self, Tool};
use crate::failure::Failure;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use vincie_dit::verify::Manifest;
use vincie_ptx::catalogue::kernels;
use vincie_tensor::Op;
use vincie_tensor::cases::ONLY_LARGE;

/// Sections beside those of launch files, with how long they may take on a GPU, in seconds.
const SHARES: [(&str, u64); 4] =
    [("kernels", 100), ("parity", 40), ("bench", 260), ("profile", 70)];

/// The same of a section of launch files.
const LAUNCHES: u64 = 25;

/// Longest time of jobs.
const SHORT: Duration = Duration::from_secs(30);
const LONG: Duration = Duration::from_secs(90);

/// A section.
pub(super) struct Section {
    pub(super) name: String,
    /// Its part of the time that is left for all sections that are not done.
    pub(super) share: u64,
    entries: Entries,
}

enum Entries {
    Launches(Cases),
    Jobs(Vec<Entry>),
}

/// One case that is no launch file.
struct Entry {
    name: String,
    work: Work,
    limit: Duration,
}

enum Work {
    /// The process of the device does it.
    Job(Job),
    /// Which kernels the jobs before it launched.
    Coverage,
    /// What PyTorch says of itself.
    Peer,
    /// The same work here and in PyTorch.
    Timed(Timed),
    /// A tool of NVIDIA's, with the folder of its report.
    Tool(Tool, PathBuf),
}

impl Section {
    pub(super) fn launches(cases: Cases) -> Self {
        Self { name: cases.name.clone(), share: LAUNCHES, entries: Entries::Launches(cases) }
    }

    fn jobs(name: &str, entries: Vec<Entry>) -> Self {
        let share = SHARES.iter().find(|(section, _)| *section == name);
        let share = share.map_or(LAUNCHES, |(_, seconds)| *seconds);
        Self { name: name.to_owned(), share, entries: Entries::Jobs(entries) }
    }

    /// Every kernel of the catalogue: compiled, and held to references.
    /// Sizes of a model are for GPUs only: the emulator would take minutes.
    pub(super) fn kernels(is_emulated: bool) -> Self {
        let mut families: Vec<&str> = kernels().iter().map(|entry| entry.op).collect();
        families.dedup();
        let job =
            |name: String, job: Job, limit: Duration| Entry { name, work: Work::Job(job), limit };
        let mut entries: Vec<Entry> = families
            .into_iter()
            .map(|op| job(format!("compile {op}"), Job::Load { op: op.to_owned() }, LONG))
            .collect();
        for op in Op::NAMES {
            for dtype in Kind::ALL {
                for pass in Pass::ALL {
                    let name = format!("{op} {} {}", dtype.name(), pass.name());
                    entries.push(job(name, Job::Op { op: (*op).to_owned(), dtype, pass }, SHORT));
                }
            }
        }
        entries.push(job("optimizer".into(), Job::Optimizer, SHORT));
        for family in jobs::families() {
            let work = Job::Direct { family: family.to_owned() };
            entries.push(job(format!("{family} by contract"), work, SHORT));
        }
        for (index, name) in jobs::large().enumerate().filter(|_| !is_emulated) {
            for dtype in Kind::ALL {
                let name = format!("{name} {}", dtype.name());
                entries.push(job(name, Job::Large { index, dtype }, LONG));
            }
        }
        entries.push(Entry { name: "catalogue".into(), work: Work::Coverage, limit: SHORT });
        Self::jobs("kernels", entries)
    }

    /// The whole model: golden numbers of a folder, or those inside the program, and training.
    /// On an emulated device in f32 only, as the tests of the crates run both there.
    pub(super) fn parity(
        own: Option<&Path>,
        scratch: &Path,
        is_emulated: bool,
    ) -> Result<Self, Failure> {
        let folder = match own {
            Some(folder) => folder.to_owned(),
            None => {
                let folder = scratch.join("golden");
                golden::unpack(&folder)
                    .map_err(|error| Failure::new(format!("{}: {error}", folder.display())))?;
                folder
            }
        };
        let manifest = Manifest::read(&folder)?;
        let entry = |name: String, job: Job| Entry { name, work: Work::Job(job), limit: LONG };
        let mut entries = Vec::new();
        for dtype in Kind::ALL.into_iter().filter(|dtype| !is_emulated || *dtype == Kind::F32) {
            for case in &manifest.cases {
                let (folder, case) = (folder.clone(), case.name.clone());
                let name = format!("golden {case} {}", dtype.name());
                entries.push(entry(name, Job::Golden { folder, case, dtype }));
            }
            let name = format!("training beside the host {}", dtype.name());
            entries.push(entry(name, Job::Training { dtype }));
        }
        Ok(Self::jobs("parity", entries))
    }

    /// Times beside PyTorch.
    pub(super) fn bench(is_emulated: bool) -> Self {
        let peer = Entry { name: "peer".to_owned(), work: Work::Peer, limit: LONG };
        let timed = throughput::list(is_emulated).into_iter();
        let timed = timed.map(|timed| Entry {
            name: timed.work.name(),
            work: Work::Timed(timed),
            limit: LONG,
        });
        Self::jobs("bench", [peer].into_iter().chain(timed).collect())
    }

    /// What NVIDIA's tools say; reports go into the folder.
    pub(super) fn profile(folder: &Path) -> Self {
        let entry = |tool: Tool| Entry {
            name: tool.name(),
            work: Work::Tool(tool, folder.to_owned()),
            limit: LONG,
        };
        Self::jobs("profile", tools::list().into_iter().map(entry).collect())
    }

    pub(super) fn len(&self) -> usize {
        match &self.entries {
            Entries::Launches(cases) => cases.len(),
            Entries::Jobs(entries) => entries.len(),
        }
    }

    /// Name of a case.
    pub(super) fn case(&self, index: usize) -> String {
        match &self.entries {
            Entries::Launches(cases) => cases.case(index),
            Entries::Jobs(entries) => entries[index].name.clone(),
        }
    }

    /// Runs a case, which must end about when the whole check must.
    pub(super) fn run(&self, index: usize, bench: &mut Bench, end: Instant) -> Row {
        let entry = match &self.entries {
            Entries::Launches(cases) => return cases.run(index, bench),
            Entries::Jobs(entries) => &entries[index],
        };
        match &entry.work {
            Work::Coverage => coverage(&entry.name, bench),
            Work::Peer => peer(&entry.name, bench),
            Work::Timed(timed) => timed.run(&entry.name, bench, end),
            Work::Tool(tool, folder) => tool.run(bench, folder, end),
            Work::Job(job) => {
                let left = end.saturating_duration_since(Instant::now());
                bench.job(job, &entry.name, entry.limit.min(left + Duration::from_secs(5)))
            }
        }
    }
}

/// Says which PyTorch there is to compare with.
fn peer(name: &str, bench: &mut Bench) -> Row {
    let mut row = Row::new(name);
    let about = match bench.peer.as_mut() {
        Some(peer) => peer.about(),
        None => Err("not wanted on an emulated device; see --peer-python".to_owned()),
    };
    match about {
        Ok(about) => {
            row.detail("peer", about);
            row
        }
        Err(reason) => {
            // Nothing will answer: nobody needs to wait for it again.
            bench.peer = None;
            row.because(Status::Skipped, reason)
        }
    }
}

/// Says which kernels of the catalogue were never launched.
fn coverage(name: &str, bench: &Bench) -> Row {
    let capability = bench.about.capability;
    let runs = |arch: &str| {
        let number: Option<u32> = arch.trim_start_matches("sm_").trim_end_matches('a').parse().ok();
        let number = number.map(|number| (number / 10, number % 10));
        let exact = arch.ends_with('a');
        number.is_some_and(|number| if exact { number == capability } else { number <= capability })
    };
    let all: Vec<&str> =
        kernels().iter().filter(|entry| runs(&entry.arch)).map(|entry| &entry.name[..]).collect();
    // Rows at a model's sizes run on GPUs only, and with them the kernels of the largest tiles.
    let is_left = |kernel: &str| bench.is_emulated() && ONLY_LARGE.contains(&kernel);
    let never: Vec<&str> = all
        .iter()
        .copied()
        .filter(|kernel| !bench.launched.contains(*kernel) && !is_left(kernel))
        .collect();
    let mut row = Row::new(name);
    row.detail("kernels", all.len());
    let launched = all.iter().filter(|kernel| bench.launched.contains(**kernel)).count();
    row.detail("launched", launched);
    row.detail("never_launched", &never);
    row.detail("left_to_gpus", all.iter().filter(|kernel| is_left(kernel)).collect::<Vec<_>>());
    let Some(first) = never.first() else { return row };
    let reason = format!("{} of {} kernels never launched, first {first}", never.len(), all.len());
    row.because(if bench.is_cut { Status::Skipped } else { Status::Fails }, reason)
}
