//! One cluster in execution: its CTAs, the turns of their warps, and the loop that runs a warp.

use super::barrier::Barrier;
use super::bulk::Pending;
use super::findings::Findings;
use super::global::GlobalChecks;
use super::mbarrier::Mbarrier;
use super::memory::Machine;
use super::options::{LaunchConfig, Options, Schedule};
use super::warp::{Group, State, Warp};
use crate::checks::{FindingKind, Handover, Shadow};
use crate::counters::Counters;
use crate::decode::{Flow, Inst, Kernel, Op};
use crate::error::Error;
use std::cell::Cell;
use std::collections::BTreeMap;

/// Instructions a warp runs before the next one gets its turn.
const QUANTUM: u64 = 2048;
/// Instructions a group of lanes runs while others of its warp wait.
const GROUP_QUANTUM: u64 = 4096;

/// What all CTAs of a launch share.
pub(crate) struct LaunchInfo {
    pub(crate) config: LaunchConfig,
    pub(crate) args: Vec<u8>,
    /// Addresses of module variables, by index.
    pub(crate) variables: Vec<u64>,
    pub(crate) device: usize,
    pub(crate) shared_bytes: usize,
}

pub(crate) struct Cta {
    pub(crate) coordinates: [u32; 3],
    pub(crate) linear: u32,
    pub(crate) shared: Vec<u8>,
    /// State of each shared byte; empty without the check.
    pub(crate) shared_state: Vec<u8>,
    pub(crate) shadow: Shadow,
    pub(crate) warps: Vec<Option<Box<Warp>>>,
    pub(crate) barriers: Vec<Barrier>,
    pub(crate) mbarriers: BTreeMap<u64, Mbarrier>,
    /// All its warps have ended while others of the cluster go on.
    pub(crate) is_gone: bool,
}

/// What a turn of a cluster came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    Done,
    /// Something ran and may go on.
    Ran,
    /// Everything that can run only polls.
    Spins,
    /// Nothing can run.
    Blocked,
}

/// How execution goes on after an instruction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum After {
    Next,
    Jump(u32),
    /// The groups of the warp were rearranged.
    Regroup,
    /// As `Next`, and the turn ends: the warp only polls.
    Yield,
}

pub(crate) struct Exec<'a> {
    pub(crate) kernel: &'a Kernel,
    pub(crate) machine: &'a Machine,
    pub(crate) info: &'a LaunchInfo,
    pub(crate) options: &'a Options,
    pub(crate) ctas: Vec<Cta>,
    pub(crate) cluster_id: [u32; 3],
    pub(crate) cluster_phase: u32,
    pub(crate) cluster_arrived: u32,
    pub(crate) cluster_handover: Handover,
    pub(crate) cluster_done: Handover,
    pub(crate) pending: Vec<Pending>,
    pub(crate) counters: Counters,
    pub(crate) findings: Findings,
    pub(crate) global: GlobalChecks,
    pub(crate) fault: Option<Error>,
    pub(crate) executed: u64,
    /// Counts changes in memory and barriers, for all clusters that run together.
    pub(crate) changes: &'a Cell<u64>,
    pub(crate) random: u64,
    pub(crate) next_mbarrier: u32,
    /// Every store counts as a change: several clusters take turns.
    pub(crate) changes_matter: bool,
}

pub(crate) fn random(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The order of `count` turns under a schedule.
pub(crate) fn order(count: usize, schedule: Schedule, state: &mut u64) -> Vec<usize> {
    let mut list: Vec<usize> = (0..count).collect();
    match schedule {
        Schedule::InOrder => {}
        Schedule::Reversed => list.reverse(),
        Schedule::Shuffled(_) => {
            for at in (1..count).rev() {
                list.swap(at, (random(state) % (at as u64 + 1)) as usize);
            }
        }
    }
    list
}

impl<'a> Exec<'a> {
    pub(crate) fn note_change(&self) {
        self.changes.set(self.changes.get() + 1);
    }

    /// Lets every warp of the cluster have one turn.
    pub(crate) fn turn(&mut self) -> Turn {
        let warps_of = self.ctas[0].warps.len();
        let count = self.ctas.len() * warps_of;
        let mut state = self.random;
        let turns = order(count, self.options.schedule, &mut state);
        self.random = state;
        let (mut ran, mut polled, mut spins, mut live) = (false, false, false, false);
        for index in turns {
            let (cta, warp) = (index / warps_of, index % warps_of);
            let Some(mut warp_box) = self.ctas[cta].warps[warp].take() else { continue };
            let before = warp_box.executed;
            let quantum = match self.options.schedule {
                Schedule::Shuffled(_) => 1 + random(&mut self.random) % 256,
                _ => QUANTUM,
            };
            if self.options.checks.any() {
                self.run_warp::<true>(&mut warp_box, quantum);
            } else {
                self.run_warp::<false>(&mut warp_box, quantum);
            }
            let executed = warp_box.executed - before;
            self.executed += executed;
            if executed > 0 {
                if warp_box.poll_count >= self.options.max_polls {
                    spins = true;
                } else if warp_box.poll_count > 0 {
                    polled = true;
                } else {
                    ran = true;
                }
            }
            if warp_box.is_done() {
                ran = true;
                self.warp_exited(&mut warp_box);
            } else {
                live = true;
            }
            let done = warp_box.is_done();
            self.ctas[cta].warps[warp] = if done { None } else { Some(warp_box) };
            self.ctas[cta].is_gone = self.ctas[cta].warps.iter().all(Option::is_none);
            if self.fault.is_some() {
                return Turn::Done;
            }
        }
        if !live && self.pending.is_empty() {
            self.finish();
            return Turn::Done;
        }
        if ran {
            return Turn::Ran;
        }
        if !self.pending.is_empty() {
            self.land_oldest();
            return Turn::Ran;
        }
        match (polled, spins) {
            (true, _) => Turn::Ran,
            (false, true) => Turn::Spins,
            (false, false) => Turn::Blocked,
        }
    }

    /// Runs a warp until it blocks, ends, polls or its quantum is over.
    #[inline(never)]
    fn run_warp<const C: bool>(&mut self, warp: &mut Warp, quantum: u64) {
        let end = warp.executed + quantum;
        let kernel = self.kernel;
        let code: &[Inst] = &kernel.code;
        self.wake(warp);
        'groups: loop {
            warp.merge_groups();
            let current = match warp.choose() {
                Some(current) => current,
                None => {
                    if !self.force_converged::<C>(warp) {
                        return;
                    }
                    continue 'groups;
                }
            };
            let group = &warp.groups[current];
            let (mut pc, lanes) = (group.pc, group.lanes);
            let depth = group.frames.len();
            warp.base = group.base;
            warp.local_base = group.local;
            warp.function = group.function;
            let rotating = warp.rotate > 0;
            let mut stop = u32::MAX;
            let mut others = false;
            for (index, other) in warp.groups.iter().enumerate() {
                if index != current && other.state == State::Ready {
                    others = true;
                    if other.frames.len() == depth && !rotating {
                        stop = stop.min(other.pc);
                    }
                }
            }
            let group_end = warp.executed + GROUP_QUANTUM;
            let start = pc;
            loop {
                if pc >= stop && pc != start {
                    warp.groups[current].pc = pc;
                    continue 'groups;
                }
                if warp.executed >= end {
                    warp.groups[current].pc = pc;
                    return;
                }
                if others && warp.executed >= group_end {
                    warp.groups[current].pc = pc;
                    warp.rotate += 1;
                    continue 'groups;
                }
                let Some(inst) = code.get(pc as usize) else {
                    self.fault = Some(Error::Fault(format!("{}: ran off the code", kernel.name)));
                    return;
                };
                warp.executed += 1;
                let mut active = lanes;
                if inst.guard != 0 {
                    let mask = warp.mask(inst.guard);
                    active &= if inst.guard_negated { !mask } else { mask };
                    if C && lanes & !warp.defined(inst.guard) != 0 {
                        self.undefined_guard(warp, inst, lanes);
                    }
                }
                self.counters.instructions[inst.class as usize] += 1;
                self.counters.thread_instructions += u64::from(active.count_ones());
                if active == 0 {
                    pc += 1;
                    continue;
                }
                if C && !warp.flights.is_empty() {
                    self.check_flights(warp, inst);
                }
                let after = match &inst.op {
                    Op::Map { f, d, wide, src } => {
                        map(warp, *f, *d, *wide, *src, active);
                        After::Next
                    }
                    Op::Branch { target } => {
                        if active == lanes {
                            After::Jump(*target)
                        } else {
                            let mut taken: Group = warp.groups[current].clone();
                            taken.lanes = active;
                            taken.pc = *target;
                            warp.groups[current].lanes = lanes & !active;
                            warp.groups[current].pc = pc + 1;
                            warp.groups.push(taken);
                            After::Regroup
                        }
                    }
                    _ => {
                        warp.groups[current].pc = pc;
                        self.step::<C>(warp, current, inst, active)
                    }
                };
                if C {
                    if inst.flow != Flow::Own {
                        flow(warp, inst, active);
                    }
                    if !warp.written_at.is_empty() && !matches!(inst.op, Op::Wgmma(_)) {
                        let when = warp.write_time(matches!(inst.op, Op::Move { .. }));
                        for row in &inst.writes {
                            let at = (warp.base + row) as usize;
                            warp.written_at[at] = when;
                        }
                    }
                }
                match after {
                    After::Next => pc += 1,
                    After::Jump(target) => pc = target,
                    After::Yield => {
                        warp.groups[current].pc = pc + 1;
                        // Lanes that poll let the others of their warp go first.
                        warp.rotate += usize::from(others);
                        return;
                    }
                    After::Regroup => {
                        warp.rotate = 0;
                        if self.fault.is_some() {
                            return;
                        }
                        continue 'groups;
                    }
                }
            }
        }
    }

    fn undefined_guard(&mut self, warp: &Warp, inst: &Inst, lanes: u32) {
        if self.options.checks.init {
            let lane = (lanes & !warp.defined(inst.guard)).trailing_zeros();
            let message = "the guard predicate is undefined".to_string();
            self.report(FindingKind::UndefinedBranch, warp, inst, Some(lane), None, None, message);
        }
    }

    /// Sets groups ready whose wait is over.
    fn wake(&mut self, warp: &mut Warp) {
        for index in 0..warp.groups.len() {
            match warp.groups[index].state {
                State::Mbarrier { cta, address, parity } => {
                    let phase = self.ctas[cta].mbarriers.get(&address).map(|m| m.parity());
                    if phase != Some(parity) {
                        // The wait instruction runs again and now succeeds.
                        warp.groups[index].state = State::Ready;
                    }
                }
                State::Cluster(phase) if self.cluster_phase != phase => {
                    let group = &mut warp.groups[index];
                    group.state = State::Ready;
                    group.cluster_phase = None;
                    group.pc += 1;
                    let lanes = group.lanes;
                    if self.options.checks.race {
                        let handover = self.cluster_done.clone();
                        warp.time.acquire(lanes, &handover);
                    }
                }
                _ => {}
            }
        }
    }

    /// Ends lanes of a group.
    pub(crate) fn exit_lanes(&mut self, warp: &mut Warp, current: usize, lanes: u32) -> After {
        warp.live &= !lanes;
        let group = &mut warp.groups[current];
        group.lanes &= !lanes;
        group.pc += 1;
        if group.lanes == 0 {
            warp.groups.swap_remove(current);
        }
        self.note_change();
        After::Regroup
    }

    /// Checks at the end of a warp.
    fn warp_exited(&mut self, warp: &mut Warp) {
        self.check_leaks(warp);
        self.warp_left_barriers(warp);
    }

    /// Checks at the end of the cluster.
    fn finish(&mut self) {
        for cta in &mut self.ctas {
            cta.is_gone = true;
        }
    }
}

/// Runs a row function and stores its result in the active lanes.
#[inline(always)]
fn map(
    warp: &mut Warp,
    f: crate::decode::row::RowFn,
    d: u32,
    wide: bool,
    src: [u32; 4],
    active: u32,
) {
    #[repr(align(64))]
    struct Scratch([u32; 64]);
    let mut out = Scratch([0; 64]);
    let base = warp.base as usize;
    let needed = src.iter().copied().max().unwrap_or(0) as usize + 2;
    assert!(base + needed <= warp.rows.len(), "row {needed} of {}", warp.rows.len());
    let start = warp.rows.as_ptr();
    // SAFETY: every source row and the one behind it, which a wide source takes, are inside the
    // file by the assertion; the scratch buffer holds a wide row and overlaps nothing.
    unsafe {
        let at = |row: u32| start.add(base + row as usize).cast::<u32>();
        f(out.0.as_mut_ptr(), [at(src[0]), at(src[1]), at(src[2]), at(src[3])]);
    }
    if wide {
        let (low, _) = out.0.as_chunks::<2>();
        let target = warp.w64(d);
        for lane in 0..32 {
            if active >> lane & 1 == 1 {
                target[lane] = u64::from(low[lane][0]) | u64::from(low[lane][1]) << 32;
            }
        }
    } else if active == u32::MAX {
        warp.w32(d).copy_from_slice(&out.0[..32]);
    } else {
        let target = warp.w32(d);
        for (lane, (old, new)) in target.iter_mut().zip(out.0).enumerate() {
            *old = if active >> lane & 1 == 1 { new } else { *old };
        }
    }
}

/// Moves definedness from sources to results.
#[inline(always)]
fn flow(warp: &mut Warp, inst: &Inst, active: u32) {
    if warp.defined.is_empty() {
        return;
    }
    let (mut low, mut high) = (u32::MAX, u32::MAX);
    for row in &inst.reads {
        let [l, h] = warp.halves(*row);
        low &= l;
        high &= h;
    }
    if inst.flow == Flow::All {
        (low, high) = (low & high, low & high);
    }
    for row in &inst.writes {
        warp.set_defined(*row, active, low, high);
    }
}
