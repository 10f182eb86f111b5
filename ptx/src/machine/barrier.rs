//! Barriers of CTAs and clusters, and lanes of a warp that come together.

use super::exec::{After, Exec};
use super::warp::{State, Warp};
use crate::checks::{FindingKind, Handover};
use crate::decode::{BarKind, Inst, Op, Row};

/// Number of barriers a CTA has.
pub(crate) const BARRIERS: usize = 16;

#[derive(Debug, Clone, Default)]
pub(crate) struct Barrier {
    /// Threads arrived, absent lanes of partial warps included.
    arrived: u32,
    /// Threads awaited; 0 means all.
    expected: u32,
    /// Warps arrived, by bit.
    warps: u32,
    handover: Handover,
    popc: u32,
    all: bool,
    any: bool,
    /// Results of the phase that completed last.
    result: (u32, bool, bool),
    done: Handover,
    /// Phases completed.
    phase: u32,
}

impl Exec<'_> {
    /// Lets lanes wait for others of the warp that `mask` names. True when all are here, in which
    /// case the group `current` holds them all.
    pub(crate) fn converge(
        &mut self,
        warp: &mut Warp,
        current: usize,
        active: u32,
        mask: u32,
    ) -> bool {
        let wanted = mask & warp.live;
        if wanted & !active == 0 {
            return true;
        }
        let mut waiting = warp.groups[current].clone();
        waiting.lanes = active;
        waiting.state = State::Converge;
        let rest = warp.groups[current].lanes & !active;
        if rest == 0 {
            warp.groups[current] = waiting;
        } else {
            warp.groups[current].lanes = rest;
            warp.groups[current].pc += 1;
            warp.groups.push(waiting);
        }
        warp.merge_groups();
        for group in &mut warp.groups {
            if group.state == State::Converge && wanted & !group.lanes == 0 {
                group.state = State::Ready;
            }
        }
        false
    }

    /// Called when no group can run: groups that wait for lanes which cannot come go on without
    /// them, with a finding. False where nothing waits that way.
    pub(crate) fn force_converged<const C: bool>(&mut self, warp: &mut Warp) -> bool {
        let waits =
            |s: State| matches!(s, State::Barrier(_) | State::Cluster(_) | State::Mbarrier { .. });
        let converging: Vec<usize> =
            (0..warp.groups.len()).filter(|i| warp.groups[*i].state == State::Converge).collect();
        if converging.is_empty() {
            return false;
        }
        // Lanes may have exited since; those that remain may be complete now.
        for index in &converging {
            let missing = self.missing_lanes(warp, *index);
            if missing == 0 {
                self.report_left_alone(warp, *index);
                warp.groups[*index].state = State::Ready;
                return true;
            }
        }
        if warp.groups.iter().any(|g| waits(g.state)) {
            return false;
        }
        let Some(first) = converging.into_iter().min_by_key(|i| warp.groups[*i].pc) else {
            return false;
        };
        let missing = self.missing_lanes(warp, first);
        let inst = &self.kernel.code[warp.groups[first].pc as usize];
        let (kind, what) = if matches!(
            inst.op,
            Op::Bar { .. } | Op::ClusterArrive { .. } | Op::ClusterWait { .. }
        ) {
            (FindingKind::BarrierDivergence, "barrier")
        } else {
            (FindingKind::DivergentCollective, "collective")
        };
        if self.options.checks.sync {
            let inst = inst.clone();
            let lane = missing.trailing_zeros();
            let message =
                format!("lanes {missing:#010x} never reach this {what} together with the others");
            self.report(kind, warp, &inst, Some(lane), None, None, message.clone());
            if let Op::Shfl { .. } = inst.op {
                self.report(
                    FindingKind::ShflInactive,
                    warp,
                    &inst,
                    Some(lane),
                    None,
                    None,
                    message,
                );
            }
        }
        warp.groups[first].state = State::Ready;
        warp.forced = true;
        true
    }

    /// A group waited for lanes that then exited instead of coming.
    fn report_left_alone(&mut self, warp: &Warp, index: usize) {
        let inst = self.kernel.code[warp.groups[index].pc as usize].clone();
        let exited = warp.exists & !warp.live;
        if !self.options.checks.sync || exited == 0 {
            return;
        }
        let kind = match inst.op {
            Op::Bar { .. } | Op::ClusterArrive { .. } | Op::ClusterWait { .. } => {
                FindingKind::BarrierDivergence
            }
            _ => FindingKind::DivergentCollective,
        };
        let lane = Some(exited.trailing_zeros());
        let message = format!("lanes {exited:#010x} exited while the others waited for them here");
        self.report(kind, warp, &inst, lane, None, None, message);
    }

    /// Lanes that the instruction of a waiting group still wants.
    fn missing_lanes(&self, warp: &Warp, index: usize) -> u32 {
        let group = &warp.groups[index];
        let inst = &self.kernel.code[group.pc as usize];
        let named = |row: Row| {
            let lane = group.lanes.trailing_zeros() as usize;
            warp.rows[(group.base + row) as usize].0[lane]
        };
        let wanted = match &inst.op {
            Op::Shfl { mask, .. }
            | Op::Vote { mask, .. }
            | Op::Match { mask, .. }
            | Op::Redux { mask, .. }
            | Op::Elect { mask, .. } => named(*mask),
            Op::WarpSync { mask } => {
                let together = warp
                    .groups
                    .iter()
                    .filter(|g| {
                        g.state == State::Converge
                            && matches!(self.kernel.code[g.pc as usize].op, Op::WarpSync { .. })
                    })
                    .fold(0, |lanes, g| lanes | g.lanes);
                named(*mask) & !together
            }
            _ => u32::MAX,
        };
        wanted & warp.live & !group.lanes
    }

    /// `bar.warp.sync`: lanes may come to it at different places.
    pub(crate) fn warp_sync(
        &mut self,
        warp: &mut Warp,
        current: usize,
        inst: &Inst,
        active: u32,
        mask: u32,
    ) -> After {
        if active & !mask != 0 && self.options.checks.sync {
            let lane = (active & !mask).trailing_zeros();
            let message = format!("the lane is not in its own mask {mask:#010x}");
            let kind = FindingKind::DivergentCollective;
            self.report(kind, warp, inst, Some(lane), None, None, message);
        }
        let wanted = mask & warp.live;
        let complete = wanted & !active == 0 || std::mem::take(&mut warp.forced);
        if complete {
            if self.options.checks.race {
                warp.time.synchronize(if wanted == warp.live { u32::MAX } else { wanted | active });
            }
            return After::Next;
        }
        self.converge(warp, current, active, mask);
        let code = &self.kernel.code;
        let at_sync = |pc: u32| matches!(code[pc as usize].op, Op::WarpSync { .. });
        let together = warp
            .groups
            .iter()
            .filter(|g| g.state == State::Converge && at_sync(g.pc))
            .fold(0, |lanes, g| lanes | g.lanes);
        if wanted & !together == 0 {
            if self.options.checks.race {
                warp.time.synchronize(if wanted == warp.live { u32::MAX } else { wanted });
            }
            for group in &mut warp.groups {
                if group.state == State::Converge && at_sync(group.pc) && group.lanes & !wanted == 0
                {
                    group.state = State::Ready;
                    group.pc += 1;
                }
            }
        }
        After::Regroup
    }

    #[allow(clippy::too_many_arguments)]
    pub(crate) fn bar(
        &mut self,
        warp: &mut Warp,
        current: usize,
        inst: &Inst,
        active: u32,
        op: &Op,
    ) -> After {
        let Op::Bar { kind, id, count, p, p_negated, aligned, .. } = *op else {
            return After::Next;
        };
        let lane = active.trailing_zeros() as usize;
        let number = warp.r32(id)[lane];
        let expected = if count == 0 { 0 } else { warp.r32(count)[lane] };
        if warp.groups[current].state == State::Ready
            && aligned
            && !std::mem::take(&mut warp.forced)
            && !self.converge(warp, current, active, u32::MAX)
        {
            return After::Regroup;
        }
        let threads = self.info.config.block.iter().product::<u32>();
        let is_illegal = number as usize >= BARRIERS
            || !expected.is_multiple_of(32)
            || (kind == BarKind::Arrive && expected == 0);
        if is_illegal || expected > threads.next_multiple_of(32) {
            let message = format!("barrier {number} for {expected} threads of a CTA of {threads}");
            self.report(FindingKind::BarrierMisuse, warp, inst, None, None, None, message);
            // A count beyond the CTA's threads is legal to wait for, and never comes.
            if is_illegal {
                return After::Next;
            }
        }
        if self.options.checks.sync && aligned && warp.live != warp.exists {
            let lane = (warp.exists & !warp.live).trailing_zeros();
            let message = "lanes of this warp have exited before the barrier".to_string();
            let kind = FindingKind::BarrierDivergence;
            self.report(kind, warp, inst, Some(lane), None, None, message);
        }
        let arriving = if aligned { 32 } else { active.count_ones() };
        let released = self.options.checks.race.then(|| {
            let lanes = if active == warp.live { u32::MAX } else { active };
            warp.time.release(lanes)
        });
        let barrier = &mut self.ctas[warp.cta].barriers[number as usize];
        if barrier.arrived == 0 {
            barrier.expected = expected;
            (barrier.popc, barrier.all, barrier.any) = (0, true, false);
        } else if barrier.expected != expected {
            let have = barrier.expected;
            let message = format!("barrier {number}: {expected} threads here, {have} elsewhere");
            self.report(FindingKind::BarrierMisuse, warp, inst, None, None, None, message);
        }
        let barrier = &mut self.ctas[warp.cta].barriers[number as usize];
        if barrier.warps >> warp.index & 1 == 1 && aligned {
            let message = format!("the warp arrives twice in one phase of barrier {number}");
            self.report(FindingKind::BarrierMisuse, warp, inst, None, None, None, message);
        }
        let barrier = &mut self.ctas[warp.cta].barriers[number as usize];
        barrier.warps |= 1 << warp.index;
        barrier.arrived += arriving;
        if let Some(handover) = &released {
            barrier.handover.join(handover);
        }
        if p != 0 {
            let mask = if p_negated { !warp.mask(p) } else { warp.mask(p) } & active;
            barrier.popc += mask.count_ones();
            barrier.all &= mask == active;
            barrier.any |= mask != 0;
        }
        self.note_change();
        if kind == BarKind::Arrive {
            self.complete_barrier(warp, number as usize);
            return After::Next;
        }
        let phase = self.ctas[warp.cta].barriers[number as usize].phase;
        let rest = warp.groups[current].lanes & !active;
        let mut waiting = warp.groups[current].clone();
        waiting.lanes = active;
        waiting.state = State::Barrier(number);
        warp.groups[current].lanes = rest;
        warp.groups[current].pc += 1;
        if rest == 0 {
            warp.groups[current] = waiting;
        } else {
            warp.groups.push(waiting);
        }
        self.complete_barrier(warp, number as usize);
        debug_assert!(phase <= self.ctas[warp.cta].barriers[number as usize].phase);
        After::Regroup
    }

    /// Completes a barrier if all threads are there, and sets its waiters free.
    fn complete_barrier(&mut self, warp: &mut Warp, number: usize) {
        let cta = warp.cta;
        let mut absent = 0;
        let total = self.ctas[cta].warps.len() as u32 * 32;
        for (index, other) in self.ctas[cta].warps.iter().enumerate() {
            // The running warp's own slot is empty while it runs.
            if other.is_none() && index as u32 != warp.index {
                absent += 32;
            }
        }
        if warp.is_done() {
            absent += 32;
        }
        let barrier = &self.ctas[cta].barriers[number];
        if barrier.arrived == 0 {
            return;
        }
        let threads = self.info.config.block.iter().product::<u32>();
        let partial = threads.next_multiple_of(32) - threads;
        let is_complete = match barrier.expected {
            0 => {
                barrier.arrived + absent >= total
                    || barrier.arrived + absent + partial >= total
                        && !barrier.arrived.is_multiple_of(32)
            }
            expected => barrier.arrived >= expected,
        };
        if !is_complete {
            return;
        }
        if absent > 0 && barrier.expected == 0 && self.options.checks.sync {
            let pc = self.waiting_pc(warp, number);
            if let Some(pc) = pc {
                let inst = self.kernel.code[pc as usize].clone();
                let message = format!("{absent} threads of the CTA have exited and never reach it");
                let kind = FindingKind::BarrierDivergence;
                self.report(kind, warp, &inst, None, None, None, message);
            }
        }
        let barrier = &mut self.ctas[cta].barriers[number];
        barrier.done = std::mem::take(&mut barrier.handover);
        barrier.result = (barrier.popc, barrier.all, barrier.any);
        barrier.arrived = 0;
        barrier.warps = 0;
        barrier.phase += 1;
        let (done, result) = (barrier.done.clone(), barrier.result);
        self.note_change();
        self.free_waiters(warp, number, &done, result);
        for index in 0..self.ctas[cta].warps.len() {
            if let Some(mut other) = self.ctas[cta].warps[index].take() {
                self.free_waiters(&mut other, number, &done, result);
                self.ctas[cta].warps[index] = Some(other);
            }
        }
    }

    fn waiting_pc(&self, warp: &Warp, number: usize) -> Option<u32> {
        let state = State::Barrier(number as u32);
        let find = |w: &Warp| w.groups.iter().find(|g| g.state == state).map(|g| g.pc);
        let others = self.ctas[warp.cta].warps.iter().flatten();
        find(warp).or_else(|| others.filter_map(|w| find(w)).next())
    }

    fn free_waiters(
        &mut self,
        warp: &mut Warp,
        number: usize,
        done: &Handover,
        result: (u32, bool, bool),
    ) {
        for index in 0..warp.groups.len() {
            if warp.groups[index].state != State::Barrier(number as u32) {
                continue;
            }
            let (pc, lanes) = (warp.groups[index].pc, warp.groups[index].lanes);
            warp.groups[index].state = State::Ready;
            warp.groups[index].pc += 1;
            if self.options.checks.race {
                if lanes == warp.live {
                    warp.time.synchronize(u32::MAX);
                }
                let lanes = if lanes == warp.live { u32::MAX } else { lanes };
                warp.time.acquire(lanes, done);
            }
            if let Op::Bar { kind, d, .. } = self.kernel.code[pc as usize].op {
                let saved = warp.base;
                warp.base = warp.groups[index].base;
                match kind {
                    BarKind::Popc => {
                        for lane in super::warp::Lanes(lanes) {
                            warp.w32(d)[lane] = result.0;
                        }
                    }
                    BarKind::And => warp.set_mask(d, lanes, if result.1 { u32::MAX } else { 0 }),
                    BarKind::Or => warp.set_mask(d, lanes, if result.2 { u32::MAX } else { 0 }),
                    BarKind::Sync | BarKind::Arrive => {}
                }
                if d != 0 {
                    warp.set_defined(d, lanes, u32::MAX, u32::MAX);
                }
                warp.base = saved;
            }
        }
    }

    /// A warp has ended: barriers that wait for all threads may now be complete.
    pub(crate) fn warp_left_barriers(&mut self, warp: &mut Warp) {
        for number in 0..BARRIERS {
            if self.ctas[warp.cta].barriers[number].arrived > 0
                && self.ctas[warp.cta].barriers[number].expected == 0
            {
                self.complete_barrier(warp, number);
            }
        }
        self.complete_cluster(warp);
    }

    /// `barrier.cluster.arrive`.
    pub(crate) fn cluster_arrive(
        &mut self,
        warp: &mut Warp,
        current: usize,
        inst: &Inst,
        active: u32,
        (aligned, release): (bool, bool),
    ) -> After {
        if aligned
            && !std::mem::take(&mut warp.forced)
            && !self.converge(warp, current, active, u32::MAX)
        {
            return After::Regroup;
        }
        if warp.groups[current].cluster_phase == Some(self.cluster_phase)
            && self.options.checks.sync
        {
            let message = "the cluster barrier is arrived at twice in one phase".to_string();
            self.report(FindingKind::BarrierMisuse, warp, inst, None, None, None, message);
        }
        self.cluster_arrived += active.count_ones();
        if self.options.checks.race && release {
            let lanes = if active == warp.live { u32::MAX } else { active };
            let handover = warp.time.release(lanes);
            self.cluster_handover.join(&handover);
        } else if self.options.checks.race {
            // A relaxed arrival hands on what a fence released before it.
            for view in warp.time.views.iter().filter(|v| v.lanes & active != 0) {
                self.cluster_handover.known.join(&view.released[1]);
            }
        }
        let phase = self.cluster_phase;
        let rest = warp.groups[current].lanes & !active;
        if rest != 0 {
            let mut group = warp.groups[current].clone();
            group.lanes = rest;
            group.pc += 1;
            warp.groups.push(group);
            warp.groups[current].lanes = active;
        }
        warp.groups[current].cluster_phase = Some(phase);
        warp.groups[current].pc += 1;
        self.note_change();
        self.complete_cluster(warp);
        After::Regroup
    }

    fn complete_cluster(&mut self, running: &Warp) {
        let mut live = running.live.count_ones();
        for cta in &self.ctas {
            live += cta.warps.iter().flatten().map(|w| w.live.count_ones()).sum::<u32>();
        }
        if self.cluster_arrived == 0 || self.cluster_arrived < live {
            return;
        }
        self.cluster_arrived = 0;
        self.cluster_phase += 1;
        self.cluster_done = std::mem::take(&mut self.cluster_handover);
        self.note_change();
    }

    /// `barrier.cluster.wait`.
    pub(crate) fn cluster_wait(
        &mut self,
        warp: &mut Warp,
        current: usize,
        inst: &Inst,
        active: u32,
        aligned: bool,
    ) -> After {
        if aligned
            && !std::mem::take(&mut warp.forced)
            && !self.converge(warp, current, active, u32::MAX)
        {
            return After::Regroup;
        }
        let Some(phase) = warp.groups[current].cluster_phase else {
            if self.options.checks.sync {
                let message = "a wait without an arrival".to_string();
                self.report(FindingKind::BarrierMisuse, warp, inst, None, None, None, message);
            }
            return After::Next;
        };
        let rest = warp.groups[current].lanes & !active;
        if rest != 0 {
            let mut group = warp.groups[current].clone();
            group.lanes = rest;
            group.pc += 1;
            warp.groups.push(group);
            warp.groups[current].lanes = active;
        }
        if self.cluster_phase != phase {
            warp.groups[current].cluster_phase = None;
            if self.options.checks.race {
                let lanes = if active == warp.live { u32::MAX } else { active };
                let handover = self.cluster_done.clone();
                warp.time.acquire(lanes, &handover);
            }
            warp.groups[current].pc += 1;
        } else {
            warp.groups[current].state = State::Cluster(phase);
        }
        After::Regroup
    }
}
