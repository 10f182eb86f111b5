//! How a launch is shaped, scheduled, checked and limited, and what it reports.

use crate::checks::Finding;
use crate::counters::Counters;

/// Shape of a launch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LaunchConfig {
    /// CTAs along x, y, z.
    pub grid: [u32; 3],
    /// Threads of a CTA along x, y, z.
    pub block: [u32; 3],
    /// CTAs of a cluster along x, y, z; ones where there are no clusters.
    pub cluster: [u32; 3],
    /// Bytes of dynamic shared memory.
    pub dynamic_shared: usize,
    /// True where CTAs wait for each other, so that all must be resident.
    pub cooperative: bool,
}

impl Default for LaunchConfig {
    fn default() -> Self {
        LaunchConfig {
            grid: [1; 3],
            block: [32, 1, 1],
            cluster: [1; 3],
            dynamic_shared: 0,
            cooperative: false,
        }
    }
}

/// Which checks run. Bounds and alignment always stop an access; with `bounds` off they end the
/// launch with a fault instead of a finding, as a device does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checks {
    /// Report accesses out of bounds or misaligned, and go on.
    pub bounds: bool,
    /// Track definedness of registers and memory.
    pub init: bool,
    /// Track the order of accesses: races, missing waits and fences.
    pub race: bool,
    /// Barrier divergence and misuse, collectives without all their lanes.
    pub sync: bool,
    /// Copies or matrix operations left open when a CTA ends.
    pub leaks: bool,
}

impl Checks {
    /// Every check.
    pub const ALL: Checks =
        Checks { bounds: true, init: true, race: true, sync: true, leaks: true };
    /// No check.
    pub const NONE: Checks =
        Checks { bounds: false, init: false, race: false, sync: false, leaks: false };

    pub(crate) fn any(self) -> bool {
        self.init || self.race || self.sync || self.leaks
    }
}

/// The order in which warps and CTAs take turns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schedule {
    /// By number.
    InOrder,
    /// From the last to the first.
    Reversed,
    /// Shuffled by a seed, with turns of random length.
    Shuffled(u64),
}

/// When asynchronous copies land.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Landing {
    /// At once.
    Early,
    /// When something waits for them or nothing else can run.
    Late,
}

/// Everything about a run that is not the launch itself.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Which checks run.
    pub checks: Checks,
    /// Order of turns.
    pub schedule: Schedule,
    /// When asynchronous copies land.
    pub landing: Landing,
    /// Host threads; 0 takes what rayon has. CTAs that may communicate share one thread.
    pub threads: usize,
    /// Most warp instructions the launch may take.
    pub max_instructions: u64,
    /// Polls without any change in memory after which a warp counts as spinning.
    pub max_polls: u64,
    /// Count bank conflicts and sectors, which costs some time.
    pub memory_counters: bool,
    /// Most findings kept; further ones are counted.
    pub max_findings: usize,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            checks: Checks::ALL,
            schedule: Schedule::InOrder,
            landing: Landing::Early,
            threads: 0,
            max_instructions: 1 << 36,
            max_polls: 20_000,
            memory_counters: true,
            max_findings: 64,
        }
    }
}

/// What a launch did.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// What the checks found, in the order of CTAs.
    pub findings: Vec<Finding>,
    /// Findings beyond the limit.
    pub suppressed: u64,
    /// What was executed.
    pub counters: Counters,
}
