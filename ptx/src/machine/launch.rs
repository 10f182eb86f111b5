//! Launches: checks of their shape, the making of clusters, and the turns they take. Clusters
//! that cannot communicate run on several host threads and are compared afterwards.

use super::exec::{Exec, LaunchInfo, Turn, order};
use super::findings::Findings;
use super::global::{GlobalChecks, Touch};
use super::memory::{DevicePtr, Machine};
use super::options::{LaunchConfig, Options, Report, Schedule};
use crate::checks::{Finding, FindingKind, Party};
use crate::decode::Kernel;
use crate::error::{Error, Result};
use crate::parse::{Module, VariableSpace};
use rayon::prelude::*;
use std::cell::Cell;
use std::collections::BTreeMap;

/// Most threads of a CTA.
pub const MAX_THREADS: u32 = 1024;
/// Most CTAs of a launch that this machine takes on.
const MAX_CTAS: u64 = 1 << 24;
/// Most CTAs of a cluster.
pub const MAX_CLUSTER: u32 = 16;
/// Most bytes of shared memory a CTA may have, as on sm_90.
pub const MAX_SHARED: usize = 227 << 10;
/// Clusters that take turns at a time, where not all must.
const RESIDENT: usize = 64;
/// Clusters whose results are kept before they are merged.
const BATCH: usize = 256;
/// Times that waits with a time limit are let go before a deadlock is called one.
const TIMEOUTS: u32 = 4;

/// Addresses of a module's variables on one device.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// Device that holds them.
    pub device: usize,
    addresses: Vec<u64>,
    names: Vec<(String, usize)>,
}

impl Loaded {
    /// Address and size of a module variable.
    pub fn symbol(&self, name: &str) -> Option<(DevicePtr, usize)> {
        let index = self.names.iter().position(|n| n.0 == name && n.1 > 0)?;
        Some((DevicePtr(self.addresses[index]), self.names[index].1))
    }

    /// Addresses of everything that loading allocated.
    pub fn allocations(&self) -> impl Iterator<Item = DevicePtr> + '_ {
        self.addresses.iter().filter(|a| **a != 0).map(|a| DevicePtr(*a))
    }
}

/// One kernel launch.
#[derive(Debug, Clone, Copy)]
pub struct Launch<'a> {
    /// The kernel.
    pub kernel: &'a Kernel,
    /// Its module's variables; the launch runs on their device.
    pub loaded: &'a Loaded,
    /// Shape.
    pub config: LaunchConfig,
    /// Argument bytes, laid out as `Kernel::params` says.
    pub args: &'a [u8],
}

impl Machine {
    /// Places a module's variables in the memory of a device.
    pub fn load(&mut self, device: usize, module: &Module) -> Result<Loaded> {
        let mut addresses = vec![0; module.variables.len()];
        let mut names = Vec::new();
        for (index, variable) in module.variables.iter().enumerate() {
            let lives = matches!(variable.space, VariableSpace::Global | VariableSpace::Const);
            names.push((variable.name.clone(), if lives { variable.bytes } else { 0 }));
            if lives {
                addresses[index] = self.allocate(device, variable.bytes, &variable.name)?.0;
            }
        }
        for (index, variable) in module.variables.iter().enumerate() {
            if addresses[index] == 0 {
                continue;
            }
            let mut bytes = variable.init.clone();
            bytes.resize(variable.bytes, 0);
            for (offset, name, addend, size) in &variable.relocations {
                let target = module.variables.iter().position(|v| v.name == *name);
                let target = target.map(|t| addresses[t]).filter(|address| *address != 0);
                let Some(target) = target.or_else(|| module.function_address(name)) else {
                    return Err(Error::Launch(format!(
                        "{}: initialiser names `{name}`, which has no address",
                        module.name
                    )));
                };
                let value = target.wrapping_add(*addend as u64).to_le_bytes();
                bytes[*offset..*offset + size].copy_from_slice(&value[..*size]);
            }
            self.write(DevicePtr(addresses[index]), &bytes)?;
        }
        Ok(Loaded { device, addresses, names })
    }

    /// Runs one kernel to its end.
    pub fn launch(&self, launch: &Launch<'_>, options: &Options) -> Result<Report> {
        let mut reports = self.run(std::slice::from_ref(launch), options)?;
        Ok(reports.pop().unwrap_or_default())
    }

    /// Runs kernels side by side, on one device or several, to their ends.
    pub fn run(&self, launches: &[Launch<'_>], options: &Options) -> Result<Vec<Report>> {
        let mut infos = Vec::new();
        for launch in launches {
            check(launch)?;
            infos.push(LaunchInfo {
                config: launch.config,
                args: launch.args.to_vec(),
                variables: launch.loaded.addresses.clone(),
                device: launch.loaded.device,
                shared_bytes: launch.kernel.dynamic_start as usize + launch.config.dynamic_shared,
            });
        }
        let apart = launches.len() == 1
            && !launches[0].kernel.communicates
            && !launches[0].config.cooperative;
        if apart {
            return Ok(vec![self.run_apart(launches[0].kernel, &infos[0], options)?]);
        }
        self.run_together(launches, &infos, options)
    }

    /// Clusters one by one or on several threads; the result is the same.
    fn run_apart(&self, kernel: &Kernel, info: &LaunchInfo, options: &Options) -> Result<Report> {
        let count = clusters(&info.config);
        let mut seed = seed(options);
        let turns = order(count, options.schedule, &mut seed);
        let one = |cluster: &usize| {
            let changes = Cell::new(0);
            let mut exec = Exec::new(self, kernel, info, options, &changes, *cluster);
            if options.checks.race && count > 1 {
                exec.global.touched = Some(BTreeMap::new());
            }
            let mut timeouts = 0;
            loop {
                match exec.turn() {
                    Turn::Done => break,
                    Turn::Ran => timeouts = 0,
                    Turn::Spins | Turn::Blocked if timeouts < TIMEOUTS && exec.time_out() => {
                        timeouts += 1;
                    }
                    Turn::Spins | Turn::Blocked => {
                        exec.report_deadlock();
                        break;
                    }
                }
                if exec.is_over_limit() {
                    break;
                }
            }
            let touched = exec.global.touched.take().unwrap_or_default();
            (exec.findings, exec.counters, touched, exec.fault, exec.executed)
        };
        let mut report = Report::default();
        let mut findings = Findings::default();
        let mut all: BTreeMap<u64, Touch> = BTreeMap::new();
        let mut total = 0u64;
        for batch in turns.chunks(BATCH) {
            // A launch of many clusters ends when all of them together are over the limit.
            if total > options.max_instructions {
                let changes = Cell::new(0);
                let mut last = Exec::new(self, kernel, info, options, &changes, batch[0]);
                last.executed = total;
                last.is_over_limit();
                for finding in last.findings.list {
                    findings.push(finding, options.max_findings);
                }
                break;
            }
            let results: Vec<_> = if options.threads == 1 || count == 1 {
                batch.iter().map(one).collect()
            } else {
                batch.par_iter().map(one).collect()
            };
            for (found, counters, touched, fault, executed) in results {
                total = total.saturating_add(executed);
                if let Some(fault) = fault {
                    return Err(fault);
                }
                report.counters.add(&counters);
                findings.suppressed += found.suppressed;
                for finding in found.list {
                    findings.push(finding, options.max_findings);
                }
                merge(kernel, info, &mut all, touched, &mut findings, options);
            }
        }
        report.findings = findings.list;
        report.suppressed = findings.suppressed;
        Ok(report)
    }

    /// All launches on this thread, in turns, with one record of who saw what.
    fn run_together(
        &self,
        launches: &[Launch<'_>],
        infos: &[LaunchInfo],
        options: &Options,
    ) -> Result<Vec<Report>> {
        let changes = Cell::new(0);
        let mut reports = vec![Report::default(); launches.len()];
        let mut findings: Vec<Findings> = launches.iter().map(|_| Findings::default()).collect();
        let mut seed = seed(options);
        let mut waiting: Vec<std::collections::VecDeque<usize>> = infos
            .iter()
            .map(|info| order(clusters(&info.config), options.schedule, &mut seed).into())
            .collect();
        let mut resident: Vec<(usize, Exec<'_>)> = Vec::new();
        let mut global = GlobalChecks::default();
        let mut timeouts = 0;
        let mut total = 0u64;
        loop {
            for (index, launch) in launches.iter().enumerate() {
                loop {
                    let here = resident.iter().filter(|r| r.0 == index).count();
                    if here >= RESIDENT && !launch.config.cooperative {
                        break;
                    }
                    let Some(cluster) = waiting[index].pop_front() else { break };
                    let info = &infos[index];
                    let mut exec = Exec::new(self, launch.kernel, info, options, &changes, cluster);
                    exec.changes_matter = true;
                    if launches.len() > 1 {
                        // Warps of different launches must not share numbers.
                        exec.renumber(index as u32);
                    }
                    resident.push((index, exec));
                }
            }
            if resident.is_empty() {
                break;
            }
            let mut ran = false;
            let mut done = Vec::new();
            let turns = order(resident.len(), options.schedule, &mut seed);
            for at in turns {
                let exec = &mut resident[at].1;
                std::mem::swap(&mut exec.global, &mut global);
                let before = exec.executed;
                let turn = exec.turn();
                total += exec.executed - before;
                std::mem::swap(&mut exec.global, &mut global);
                match turn {
                    Turn::Done => {
                        ran = true;
                        done.push(at);
                    }
                    Turn::Ran => ran = true,
                    Turn::Spins | Turn::Blocked => {}
                }
            }
            let gives_up = timeouts >= TIMEOUTS;
            let stuck = !ran && (gives_up || !resident.iter_mut().any(|r| r.1.time_out()));
            timeouts = if ran { 0 } else { timeouts + 1 };
            let over = total > options.max_instructions;
            if stuck || over {
                for (_, exec) in &mut resident {
                    if stuck {
                        exec.report_deadlock();
                    } else {
                        exec.executed = u64::MAX;
                        exec.is_over_limit();
                    }
                }
                done = (0..resident.len()).collect();
                waiting.iter_mut().for_each(|w| w.clear());
            }
            done.sort_unstable();
            for at in done.into_iter().rev() {
                let (index, exec) = resident.remove(at);
                if let Some(fault) = exec.fault {
                    return Err(fault);
                }
                reports[index].counters.add(&exec.counters);
                findings[index].suppressed += exec.findings.suppressed;
                for finding in exec.findings.list {
                    findings[index].push(finding, options.max_findings);
                }
            }
        }
        for (report, mut found) in reports.iter_mut().zip(findings) {
            found.list.sort_by_key(|f| (f.cta[2], f.cta[1], f.cta[0], f.warp, f.line));
            report.findings = found.list;
            report.suppressed = found.suppressed;
        }
        Ok(reports)
    }
}

pub(crate) fn seed(options: &Options) -> u64 {
    match options.schedule {
        Schedule::Shuffled(seed) => seed,
        _ => 0,
    }
}

fn clusters(config: &LaunchConfig) -> usize {
    let ctas: usize = config.grid.iter().map(|g| *g as usize).product();
    ctas / config.cluster.iter().map(|c| *c as usize).product::<usize>()
}

/// Refuses a launch that a driver would refuse.
fn check(launch: &Launch<'_>) -> Result<()> {
    let (kernel, config) = (launch.kernel, &launch.config);
    let fail = |what: String| Err(Error::Launch(format!("{}: {what}", kernel.name)));
    let threads = config.block.iter().map(|b| u64::from(*b)).product::<u64>();
    if threads == 0 || threads > u64::from(MAX_THREADS) {
        return fail(format!("block {:?} has {threads} threads; 1 to {MAX_THREADS}", config.block));
    }
    let limits = [i32::MAX as u32, 65535, 65535];
    if config.grid.iter().zip(limits).any(|(g, limit)| *g == 0 || *g > limit) {
        return fail(format!("grid {:?}, limits {limits:?}", config.grid));
    }
    let ctas: u64 = config.grid.iter().map(|g| u64::from(*g)).product();
    if ctas > MAX_CTAS {
        return fail(format!(
            "grid {:?} has {ctas} CTAs; the machine takes {MAX_CTAS}",
            config.grid
        ));
    }
    let cluster = config.cluster;
    let ranks = cluster.iter().map(|c| u64::from(*c)).product::<u64>();
    let fits = config.grid.iter().zip(cluster).all(|(g, c)| c > 0 && g % c == 0);
    if !fits || ranks > u64::from(MAX_CLUSTER) {
        return fail(format!("cluster {cluster:?} for grid {:?}", config.grid));
    }
    let padded = |list: &[u32]| [0, 1, 2].map(|i| list.get(i).copied().unwrap_or(1));
    if let Some(want) = kernel.directive("reqntid")
        && padded(want) != config.block
    {
        return fail(format!("block {:?}, the kernel requires {want:?}", config.block));
    }
    if let Some(most) = kernel.directive("maxntid")
        && threads > padded(most).iter().map(|b| u64::from(*b)).product()
    {
        return fail(format!("block {:?}, the kernel allows {most:?}", config.block));
    }
    if let Some(want) = kernel.directive("reqnctapercluster")
        && padded(want) != cluster
    {
        return fail(format!("cluster {cluster:?}, the kernel requires {want:?}"));
    }
    let shared = kernel.static_shared + config.dynamic_shared;
    if shared > MAX_SHARED {
        return fail(format!("{shared} bytes of shared memory; limit {MAX_SHARED}"));
    }
    let want = kernel.argument_bytes();
    if launch.args.len() != want {
        return fail(format!("{} bytes of arguments, expected {want}", launch.args.len()));
    }
    Ok(())
}

/// Adds what one cluster touched, and reports words that another one touched too.
fn merge(
    kernel: &Kernel,
    info: &LaunchInfo,
    all: &mut BTreeMap<u64, Touch>,
    touched: BTreeMap<u64, Touch>,
    findings: &mut Findings,
    options: &Options,
) {
    for (address, touch) in touched {
        let Some(old) = all.get_mut(&address) else {
            all.insert(address, touch);
            continue;
        };
        if touch.writes || old.writes {
            let [gx, gy, _] = info.config.grid;
            let at = touch.cta;
            let access = if old.writes { "write" } else { "read" };
            let verb = if touch.writes { "write" } else { "read" };
            let finding = Finding {
                kind: FindingKind::GlobalRace,
                kernel: kernel.name.clone(),
                line: touch.line,
                source: None,
                cta: [at % gx, at / gx % gy, at / gx / gy],
                warp: touch.warp,
                lane: None,
                address: Some(address),
                other: Some(Party { cta: old.cta, warp: old.warp, lane: None, access }),
                message: format!(
                    "{verb} of memory that another CTA accesses; CTAs are not ordered"
                ),
            };
            findings.push(finding, options.max_findings);
        }
        old.reads |= touch.reads;
        if touch.writes && !old.writes {
            *old = Touch { reads: old.reads, ..touch };
        }
    }
}
