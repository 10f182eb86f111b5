//! Copies by thread, cp.async: issued, landed and waited for; and what a warp leaves open at its
//! end.

use super::access::Place;
use super::exec::Exec;
use super::memory::{DEFINED, UNINIT};
use super::options::Landing;
use super::warp::{Lanes, Warp};
use crate::checks::{FindingKind, Kind, Stamp};
use crate::decode::{Addr, Inst, Op, Space};

/// A cp.async that its thread has not waited for.
#[derive(Debug, Clone)]
pub(crate) struct CopyInFlight {
    lane: usize,
    group: u32,
    offset: usize,
    bytes: usize,
    /// Data, or the place to take it from when it lands late.
    source: Option<(u64, usize)>,
}

impl Exec<'_> {
    pub(crate) fn cp_async(&mut self, warp: &mut Warp, inst: &Inst, active: u32) {
        let Op::CpAsync { dst, src, bytes, src_bytes, ignore, ignore_negated } = inst.op else {
            return;
        };
        let bytes = bytes as usize;
        let ignored = match ignore {
            0 => 0,
            row if ignore_negated => !warp.mask(row),
            row => warp.mask(row),
        };
        self.check_address(warp, inst, dst.base, active);
        let (mut sources, mut targets) = ([0u64; 32], [0u64; 32]);
        for lane in Lanes(active) {
            let take = match src_bytes {
                _ if ignored >> lane & 1 == 1 => 0,
                0 => bytes,
                row => (warp.r32(row)[lane] as usize).min(bytes),
            };
            let to = Self::address(warp, dst, lane);
            let from = Self::address(warp, src, lane);
            (sources[lane], targets[lane]) = (from, to);
            let Some(target) = self.resolve(warp, inst, lane, Space::Shared, to, bytes, true)
            else {
                continue;
            };
            let Place::Shared { cta, offset } = target else { continue };
            if take > 0 {
                // The source must be aligned to the whole size but only `take` bytes are read.
                if from % bytes as u64 != 0 {
                    let message = format!("source of {bytes} bytes at an address not its multiple");
                    self.bad_access(FindingKind::Misaligned, warp, inst, lane, from, message);
                    continue;
                }
                if !self.global_bytes(warp, inst, lane, from, take, false, Kind::Plain) {
                    continue;
                }
            }
            if self.options.checks.race {
                let kind = Kind::CopyInFlight;
                self.race(warp, inst, lane, target, to, bytes, true, kind, false);
            }
            let late = self.options.landing == Landing::Late;
            if !late {
                self.land_cp_async(cta, offset, bytes, from, take);
            }
            if late || self.options.checks.race {
                warp.copies.push(CopyInFlight {
                    lane,
                    group: warp.copy_groups[lane],
                    offset,
                    bytes,
                    source: late.then_some((from, take)),
                });
            }
        }
        self.count_access(Space::Global, &sources, active, bytes, false);
        self.count_access(Space::Shared, &targets, active, bytes, true);
    }

    /// Checks a range of device memory for bounds, contents and order.
    #[allow(clippy::too_many_arguments)]
    pub(crate) fn global_bytes(
        &mut self,
        warp: &mut Warp,
        inst: &Inst,
        lane: usize,
        address: u64,
        bytes: usize,
        is_write: bool,
        kind: Kind,
    ) -> bool {
        let mut at = address;
        let end = address + bytes as u64;
        while at < end {
            // The largest aligned piece at this address that does not pass the end.
            let piece = (1u64 << at.trailing_zeros().min(3)).min(end - at);
            let piece = 1 << piece.ilog2();
            let place = self.resolve(warp, inst, lane, Space::Global, at, piece as usize, is_write);
            let Some(place) = place else { return false };
            if self.options.checks.any() {
                if !is_write && self.read_place::<true>(warp, place, piece as usize).1 == UNINIT {
                    let message = "a copy of device memory that nobody has written".to_string();
                    let kind = FindingKind::UninitGlobal;
                    let lane = Some(lane as u32);
                    if self.options.checks.init {
                        self.report(kind, warp, inst, lane, Some(at), None, message);
                    }
                }
                if self.options.checks.race {
                    self.race(warp, inst, lane, place, at, piece as usize, is_write, kind, false);
                }
            }
            at += piece;
        }
        true
    }

    fn land_cp_async(&mut self, cta: usize, offset: usize, bytes: usize, from: u64, take: usize) {
        for index in 0..bytes {
            let byte = if index < take { self.global_byte(from + index as u64) } else { 0 };
            self.ctas[cta].shared[offset + index] = byte;
        }
        self.define_shared(cta, offset, bytes);
    }

    pub(crate) fn define_shared(&mut self, cta: usize, offset: usize, bytes: usize) {
        let states = &mut self.ctas[cta].shared_state;
        if !states.is_empty() {
            states[offset..offset + bytes].fill(DEFINED);
        }
    }

    pub(crate) fn global_byte(&self, address: u64) -> u8 {
        let Some((device, allocation)) = self.machine.find(address) else { return 0 };
        let target = &self.machine.allocations[device][allocation];
        target.load((address - target.base) as usize, 1) as u8
    }

    pub(crate) fn cp_async_wait(&mut self, warp: &mut Warp, active: u32, pending: u32, all: bool) {
        let groups = warp.copy_groups;
        let is_over = |copy: &CopyInFlight| {
            active >> copy.lane & 1 == 1 && (all || copy.group + pending < groups[copy.lane])
        };
        self.finish_copies(warp, is_over);
    }

    fn finish_copies(&mut self, warp: &mut Warp, is_over: impl Fn(&CopyInFlight) -> bool) {
        let copies = std::mem::take(&mut warp.copies);
        for copy in copies {
            if !is_over(&copy) {
                warp.copies.push(copy);
                continue;
            }
            if let Some((from, take)) = copy.source {
                self.land_cp_async(warp.cta, copy.offset, copy.bytes, from, take);
            }
            let stamp = Stamp::new(warp.time.warp, 1 << copy.lane, warp.time.epoch, Kind::CopyDone);
            let shadow = &mut self.ctas[warp.cta].shadow;
            shadow.restamp_writes(copy.offset, copy.bytes, Kind::CopyInFlight, stamp);
        }
    }

    pub(crate) fn cp_async_arrive(
        &mut self,
        warp: &mut Warp,
        inst: &Inst,
        active: u32,
        addr: Addr,
        noinc: bool,
    ) {
        self.finish_copies(warp, |copy| active >> copy.lane & 1 == 1);
        for lane in Lanes(active) {
            let Some((cta, at)) = self.mbarrier_place(warp, inst, lane, addr, Space::Shared) else {
                continue;
            };
            if !self.mbarrier_exists(warp, inst, lane, cta, at) {
                continue;
            }
            if !noinc {
                self.expect_arrival(cta, at);
            }
            let released = self.options.checks.race.then(|| warp.time.release(1 << lane));
            if !self.arrive(cta, at, 1, 0, false, released.as_ref()) {
                let message = "an arrival of copies that the phase does not await".to_string();
                let kind = FindingKind::MbarrierMisuse;
                self.report(kind, warp, inst, Some(lane as u32), Some(at), None, message);
            }
        }
    }

    /// Copies and matrix operations left open by a warp that ends.
    pub(crate) fn check_leaks(&mut self, warp: &mut Warp) {
        if !self.options.checks.leaks {
            return;
        }
        let last = self.kernel.code.iter().rev().find(|i| matches!(i.op, Op::Return | Op::Exit));
        let Some(last) = last.cloned() else { return };
        if !warp.flights.is_empty() {
            let message = "the warp ends with a wgmma that was not waited for".to_string();
            let kind = FindingKind::MissingWgmmaWait;
            self.report(kind, warp, &last, None, None, None, message);
        }
        if !warp.bulk_reads.is_empty() {
            let lane = Some(warp.bulk_reads[0].lane as u32);
            let message =
                "the thread ends while a bulk copy may still read shared memory".to_string();
            self.report(FindingKind::Leak, warp, &last, lane, None, None, message);
        }
    }
}
