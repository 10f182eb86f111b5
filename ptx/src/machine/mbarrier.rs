//! mbarriers: phases that complete when all arrivals and all announced bytes are in.

use super::access::Place;
use super::exec::{After, Exec};
use super::memory::DEFINED;
use super::options::Landing;
use super::warp::{Lanes, State, Warp};
use crate::checks::{Clock, Entry, FindingKind, Handover, Kind, Stamp};
use crate::decode::{Addr, Inst, MbarrierArrive, MbarrierWait, Space};

/// Numbers of mbarriers in clocks start here, above all warps.
const AGENTS: u32 = 1 << 27;
/// Largest arrival count.
const MAX_COUNT: u32 = (1 << 20) - 1;

#[derive(Debug, Clone)]
pub(crate) struct Mbarrier {
    /// Arrivals a phase takes.
    count: u32,
    pending: u32,
    /// Bytes announced and not yet landed.
    tx: i64,
    phase: u32,
    /// Its number in clocks.
    pub(crate) agent: u32,
    handover: Handover,
    done: Handover,
}

impl Mbarrier {
    /// Parity of the phase in progress.
    pub(crate) fn parity(&self) -> bool {
        self.phase & 1 == 1
    }

    /// The epoch under which writes announced to this phase are recorded.
    pub(crate) fn epoch(&self) -> u32 {
        self.phase + 1
    }

    /// True where an access recorded in shared memory is among what the phases hand on.
    pub(crate) fn hands_on(&self, stamp: Stamp) -> bool {
        let covers = |clock: &Clock| clock.covers(stamp.warp(), stamp.lanes, stamp.epoch);
        covers(&self.handover.known) || covers(&self.done.known)
    }

    fn complete(&mut self) -> bool {
        if self.pending != 0 || self.tx != 0 {
            return false;
        }
        let entry = Entry { all: self.epoch(), lanes: u32::MAX, at: self.epoch() };
        self.done.join(&std::mem::take(&mut self.handover));
        self.done.known.add(self.agent, entry);
        self.done.fenced.add(self.agent, entry);
        self.phase += 1;
        self.pending = self.count;
        true
    }
}

impl Exec<'_> {
    /// The CTA and offset of an mbarrier operand.
    pub(crate) fn mbarrier_place(
        &mut self,
        warp: &Warp,
        inst: &Inst,
        lane: usize,
        addr: Addr,
        space: Space,
    ) -> Option<(usize, u64)> {
        let address = Self::address(warp, addr, lane);
        let space = if space == Space::Generic { Space::Generic } else { Space::Cluster };
        // Addresses without a window are shared ones, as the PTX of mbarriers writes them.
        let space = if address < super::access::WINDOW { Space::Cluster } else { space };
        match self.resolve(warp, inst, lane, space, address, 8, true)? {
            Place::Shared { cta, offset } => Some((cta, offset as u64)),
            _ => {
                let message = "an mbarrier must lie in shared memory".to_string();
                let kind = FindingKind::MbarrierMisuse;
                self.report(kind, warp, inst, Some(lane as u32), Some(address), None, message);
                None
            }
        }
    }

    fn misuse(&mut self, warp: &Warp, inst: &Inst, lane: usize, at: u64, message: String) {
        let kind = FindingKind::MbarrierMisuse;
        self.report(kind, warp, inst, Some(lane as u32), Some(at), None, message);
    }

    pub(crate) fn mbarrier_init(
        &mut self,
        warp: &mut Warp,
        inst: &Inst,
        active: u32,
        addr: Addr,
        count: u32,
    ) {
        for lane in Lanes(active) {
            let Some((cta, at)) = self.mbarrier_place(warp, inst, lane, addr, Space::Shared) else {
                continue;
            };
            let count = warp.r32(count)[lane];
            if count == 0 || count > MAX_COUNT {
                let message = format!("an arrival count of {count}, expected 1 to {MAX_COUNT}");
                self.misuse(warp, inst, lane, at, message);
                continue;
            }
            let place = Place::Shared { cta, offset: at as usize };
            if self.options.checks.race {
                self.race(warp, inst, lane, place, at, 8, true, Kind::Plain, false);
            }
            self.write_place::<true>(warp, place, 8, 0, DEFINED);
            self.next_mbarrier += 1;
            let mbarrier = Mbarrier {
                count,
                pending: count,
                tx: 0,
                phase: 0,
                agent: AGENTS + self.next_mbarrier,
                handover: Handover::default(),
                done: Handover::default(),
            };
            self.ctas[cta].mbarriers.insert(at, mbarrier);
            self.note_change();
        }
    }

    pub(crate) fn mbarrier_inval(&mut self, warp: &mut Warp, inst: &Inst, active: u32, addr: Addr) {
        for lane in Lanes(active) {
            let Some((cta, at)) = self.mbarrier_place(warp, inst, lane, addr, Space::Shared) else {
                continue;
            };
            if self.ctas[cta].mbarriers.remove(&at).is_none() {
                self.misuse(warp, inst, lane, at, "no mbarrier was initialised here".into());
            }
            if self.options.checks.race {
                let place = Place::Shared { cta, offset: at as usize };
                self.race(warp, inst, lane, place, at, 8, true, Kind::Plain, false);
            }
        }
    }

    /// True where an mbarrier lives there; its initialisation must happen before this access.
    pub(crate) fn mbarrier_exists(
        &mut self,
        warp: &Warp,
        inst: &Inst,
        lane: usize,
        cta: usize,
        at: u64,
    ) -> bool {
        if !self.ctas[cta].mbarriers.contains_key(&at) {
            self.misuse(warp, inst, lane, at, "no mbarrier was initialised here".into());
            return false;
        }
        if self.options.checks.race {
            let mine = Stamp::new(warp.time.warp, 1 << lane, warp.time.epoch, Kind::Strong);
            let view = warp.time.view(lane as u32);
            for stamp in self.ctas[cta].shadow.writers(at as usize, 8) {
                let own = stamp.warp() == mine.warp() && stamp.lanes == mine.lanes;
                if !own && !view.known.covers(stamp.warp(), stamp.lanes, stamp.epoch) {
                    let place = Place::Shared { cta, offset: at as usize };
                    let conflict = crate::checks::Conflict { stamp, wrote: true };
                    let lane = Some(lane as u32);
                    self.report_conflict(warp, inst, lane, place, at, true, conflict);
                    break;
                }
            }
        }
        true
    }

    pub(crate) fn mbarrier_arrive(
        &mut self,
        warp: &mut Warp,
        inst: &Inst,
        active: u32,
        op: &MbarrierArrive,
    ) {
        for lane in Lanes(active) {
            let Some((cta, at)) = self.mbarrier_place(warp, inst, lane, op.addr, op.space) else {
                continue;
            };
            if !self.mbarrier_exists(warp, inst, lane, cta, at) {
                continue;
            }
            let bytes = if op.expect == 0 { 0 } else { i64::from(warp.r32(op.expect)[lane]) };
            if op.expect_only {
                let delta = if op.completes { -bytes } else { bytes };
                self.change_tx(cta, at, delta);
                continue;
            }
            let count = if op.count == 0 { 1 } else { warp.r32(op.count)[lane] };
            let released =
                (self.options.checks.race && op.is_release).then(|| warp.time.release(1 << lane));
            let state = self.ctas[cta].mbarriers.get(&at).map_or(0, |m| {
                u64::from(m.phase) << 32 | u64::from(m.pending) << 1 | u64::from(m.phase & 1)
            });
            let pending = self.ctas[cta].mbarriers.get(&at).map_or(0, |m| m.pending);
            if op.may_not_complete && pending <= count {
                let message = format!("noComplete, but the phase awaits {pending} arrivals");
                self.misuse(warp, inst, lane, at, message);
            }
            if op.state != 0 {
                warp.w64(op.state)[lane] = state;
                warp.set_defined(op.state, 1 << lane, u32::MAX, u32::MAX);
            }
            if !self.arrive(cta, at, count, bytes, op.drops, released.as_ref()) {
                let message = format!("{count} arrivals, but the phase awaits no more");
                self.misuse(warp, inst, lane, at, message);
            }
        }
    }

    /// One arrival with announced bytes; false where the phase awaits none.
    pub(crate) fn arrive(
        &mut self,
        cta: usize,
        at: u64,
        count: u32,
        bytes: i64,
        drops: bool,
        released: Option<&Handover>,
    ) -> bool {
        self.note_change();
        let Some(mbarrier) = self.ctas[cta].mbarriers.get_mut(&at) else { return false };
        if let Some(handover) = released {
            mbarrier.handover.join(handover);
        }
        mbarrier.tx += bytes;
        let fits = mbarrier.pending >= count;
        mbarrier.pending = mbarrier.pending.saturating_sub(count);
        if drops {
            mbarrier.count = mbarrier.count.saturating_sub(count);
        }
        mbarrier.complete();
        fits
    }

    /// Announces bytes, or takes landed ones off.
    pub(crate) fn change_tx(&mut self, cta: usize, at: u64, delta: i64) {
        if let Some(mbarrier) = self.ctas[cta].mbarriers.get_mut(&at) {
            mbarrier.tx += delta;
            if delta < 0 {
                mbarrier.complete();
            }
        }
        self.note_change();
    }

    /// Adds an arrival to the phase in progress, for `cp.async.mbarrier.arrive` without `noinc`.
    pub(crate) fn expect_arrival(&mut self, cta: usize, at: u64) {
        if let Some(mbarrier) = self.ctas[cta].mbarriers.get_mut(&at) {
            mbarrier.pending += 1;
        }
    }

    pub(crate) fn mbarrier_wait(
        &mut self,
        warp: &mut Warp,
        current: usize,
        inst: &Inst,
        active: u32,
        op: &MbarrierWait,
    ) -> After {
        let mut done = 0;
        let mut blocked = None;
        for lane in Lanes(active) {
            let Some((cta, at)) = self.mbarrier_place(warp, inst, lane, op.addr, Space::Shared)
            else {
                done |= 1 << lane;
                continue;
            };
            if !self.mbarrier_exists(warp, inst, lane, cta, at) {
                done |= 1 << lane;
                continue;
            }
            let mbarrier = &self.ctas[cta].mbarriers[&at];
            let is_over = if op.is_parity {
                mbarrier.parity() != (warp.r32(op.phase)[lane] & 1 == 1)
            } else {
                mbarrier.phase != (warp.r64(op.phase)[lane] >> 32) as u32
            };
            if is_over {
                done |= 1 << lane;
                if self.options.checks.race && op.is_acquire {
                    let handover = mbarrier.done.clone();
                    warp.time.acquire(1 << lane, &handover);
                }
            } else {
                blocked = Some((cta, at, mbarrier.parity()));
            }
        }
        if self.options.checks.race && done == warp.live && warp.time.views.len() > 1 {
            warp.time.unify();
        }
        let mut times_out = std::mem::take(&mut warp.times_out);
        // A try_wait may give up at any time; late landing makes it do so once at each place.
        if blocked.is_some() && self.options.landing == Landing::Late && warp.gave_up != inst.line {
            warp.gave_up = inst.line;
            times_out = true;
        }
        if blocked.is_none() {
            warp.gave_up = 0;
        }
        if let Some((cta, address, parity)) = blocked {
            if op.is_try && done == 0 && active == warp.groups[current].lanes && !times_out {
                warp.groups[current].state = State::Mbarrier { cta, address, parity };
                return After::Regroup;
            }
            warp.set_mask(op.result, active, done);
            warp.set_defined(op.result, active, u32::MAX, u32::MAX);
            self.poll(warp, inst, u64::from(done));
            return After::Yield;
        }
        warp.set_mask(op.result, active, done);
        warp.set_defined(op.result, active, u32::MAX, u32::MAX);
        warp.poll_count = 0;
        After::Next
    }
}
