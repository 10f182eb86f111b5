//! Bulk copies of the async proxy and what they have in common with tensor copies: the check of
//! both sides, the landing, and the waits.

use super::access::Place;
use super::exec::Exec;
use super::memory::{DEFINED, UNINIT};
use super::options::Landing;
use super::warp::{Lanes, Warp};
use crate::checks::{Actor, FindingKind, Kind, Stamp};
use crate::decode::{Addr, AtomOp, Bulk, BulkKind, Inst, Space};
use crate::parse::Type;

/// Shared memory that a bulk copy of a lane reads.
#[derive(Debug, Clone)]
pub(crate) struct BulkRead {
    pub(crate) lane: usize,
    group: u32,
    offset: usize,
    bytes: usize,
}

/// Device memory that a bulk copy of a lane writes.
#[derive(Debug, Clone)]
pub(crate) struct BulkWrite {
    lane: usize,
    group: u32,
    address: u64,
    bytes: u64,
}

/// A piece of a copy: shared bytes of a CTA and device bytes, or none for zeros.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Segment {
    pub(crate) global: Option<u64>,
    pub(crate) cta: usize,
    pub(crate) offset: usize,
    pub(crate) bytes: usize,
}

/// A copy by the async proxy that has not landed.
#[derive(Debug, Clone)]
pub(crate) struct Pending {
    segments: Vec<Segment>,
    is_load: bool,
    /// Shared source of a copy between CTAs.
    from_shared: Option<(usize, usize)>,
    reduce: Option<(AtomOp, Type)>,
    /// CTA, address and bytes to take off an mbarrier, for each destination.
    complete: Vec<(usize, u64, i64)>,
    /// Warp in the cluster, lane and group of a store.
    owner: (usize, u32, usize, u32),
}

impl Exec<'_> {
    pub(crate) fn bulk(&mut self, warp: &mut Warp, inst: &Inst, active: u32, op: &Bulk) {
        for lane in Lanes(active) {
            let bytes = warp.r32(op.bytes)[lane] as usize;
            let to = Self::address(warp, op.dst, lane);
            let from = Self::address(warp, op.src, lane);
            if !bytes.is_multiple_of(16) || to % 16 != 0 || from % 16 != 0 {
                let message = format!(
                    "bulk copy of {bytes} bytes from {from:#x} to {to:#x}: all must be multiples of 16"
                );
                self.bad_access(FindingKind::Misaligned, warp, inst, lane, to, message);
                continue;
            }
            let (shared, global) = match op.kind {
                BulkKind::Load => (to, Some(from)),
                BulkKind::Store => (from, Some(to)),
                BulkKind::SharedToCluster => (to, None),
            };
            if bytes == 0 {
                continue;
            }
            let Some((cta, offset)) = self.shared_range(warp, inst, lane, shared, bytes) else {
                continue;
            };
            let is_load = op.kind != BulkKind::Store;
            let kind = bulk_kind(is_load, op.reduce.is_some());
            if let Some(global) = global.filter(|_| is_load) {
                self.check_global_proxy(warp, inst, lane, global, bytes as u64);
            }
            if let Some(global) = global
                && !self.global_bytes(warp, inst, lane, global, bytes, !is_load, kind)
            {
                continue;
            }
            let mut from_shared = None;
            if op.kind == BulkKind::SharedToCluster {
                let Some(source) = self.shared_range(warp, inst, lane, from, bytes) else {
                    continue;
                };
                self.async_read(warp, inst, 1 << lane, source.0, &[(source.1, bytes)], None);
                from_shared = Some(source);
            }
            let targets = self.multicast(warp, lane, op.multicast, cta);
            let segments: Vec<Segment> =
                targets.iter().map(|cta| Segment { global, cta: *cta, offset, bytes }).collect();
            self.issue(warp, inst, lane, is_load, segments, from_shared, op.reduce, op.mbarrier);
        }
    }

    /// The CTAs that receive a copy: those of the multicast mask, or the one addressed.
    pub(crate) fn multicast(&self, warp: &Warp, lane: usize, mask: u32, cta: usize) -> Vec<usize> {
        if mask == 0 {
            return vec![cta];
        }
        let mask = warp.r32(mask)[lane] & 0xffff;
        Lanes(mask).filter(|rank| *rank < self.ctas.len()).collect()
    }

    pub(crate) fn shared_range(
        &mut self,
        warp: &Warp,
        inst: &Inst,
        lane: usize,
        address: u64,
        bytes: usize,
    ) -> Option<(usize, usize)> {
        let first = self.resolve(warp, inst, lane, Space::Cluster, address, 1, true)?;
        let Place::Shared { cta, offset } = first else { return None };
        if !self.is_shared(offset as u64, bytes as u64) {
            let message = format!("a copy of {bytes} bytes leaves shared memory");
            self.bad_access(FindingKind::OobShared, warp, inst, lane, address, message);
            return None;
        }
        Some((cta, offset))
    }

    /// Checks a copy against what else touches its shared bytes, then lands or queues it.
    #[allow(clippy::too_many_arguments)]
    pub(crate) fn issue(
        &mut self,
        warp: &mut Warp,
        inst: &Inst,
        lane: usize,
        is_load: bool,
        segments: Vec<Segment>,
        from_shared: Option<(usize, usize)>,
        reduce: Option<(AtomOp, Type)>,
        mbarrier: Option<Addr>,
    ) {
        let mut complete: Vec<(usize, u64, i64)> = Vec::new();
        if is_load {
            let Some(addr) = mbarrier else { return };
            let Some((home, at)) = self.mbarrier_place(warp, inst, lane, addr, Space::Cluster)
            else {
                return;
            };
            let several = segments.iter().any(|s| s.cta != segments[0].cta);
            for segment in &segments {
                let cta = if several || from_shared.is_some() { segment.cta } else { home };
                match complete.iter_mut().find(|c| c.0 == cta) {
                    Some(entry) => entry.2 += segment.bytes as i64,
                    None => {
                        if !self.mbarrier_exists(warp, inst, lane, cta, at) {
                            return;
                        }
                        complete.push((cta, at, segment.bytes as i64));
                    }
                }
            }
            if self.options.checks.race {
                for segment in &segments {
                    let cta = if several { segment.cta } else { complete[0].0 };
                    let Some(mbarrier) = self.ctas[cta].mbarriers.get(&at) else { continue };
                    let (agent, epoch) = (mbarrier.agent, mbarrier.epoch());
                    let stamp = Stamp::new(agent, u32::MAX, epoch, Kind::Transaction);
                    let view = warp.time.view(lane as u32);
                    let actor = Actor { stamp, view, is_same_value: false };
                    let shadow = &mut self.ctas[segment.cta].shadow;
                    let found = shadow.access(segment.offset, segment.bytes, true, &actor);
                    if let Some(conflict) = found {
                        let own = conflict.stamp.warp() == warp.time.warp
                            && conflict.stamp.lanes == 1 << lane
                            && !matches!(
                                conflict.stamp.kind(),
                                Kind::BulkInFlight | Kind::WgmmaInFlight
                            );
                        if !own {
                            let place = Place::Shared { cta: segment.cta, offset: segment.offset };
                            let at = segment.offset as u64;
                            let lane = Some(lane as u32);
                            self.report_conflict(warp, inst, lane, place, at, true, conflict);
                        }
                    }
                }
            }
        } else {
            let ranges: Vec<(usize, usize)> =
                segments.iter().map(|s| (s.offset, s.bytes)).collect();
            let group = warp.bulk_groups[lane];
            self.async_read(
                warp,
                inst,
                1 << lane,
                segments[0].cta,
                &ranges,
                Some(Kind::BulkInFlight),
            );
            for (offset, bytes) in ranges {
                warp.bulk_reads.push(BulkRead { lane, group, offset, bytes });
            }
            if self.options.checks.race && reduce.is_none() {
                let written = segments.iter().filter_map(|s| Some((s.global?, s.bytes as u64)));
                let note = |(address, bytes)| BulkWrite { lane, group, address, bytes };
                warp.bulk_writes.extend(written.map(note));
            }
        }
        for segment in &segments {
            let bytes = segment.bytes as u64;
            if is_load {
                self.counters.shared_written += bytes;
                self.counters.global_read += bytes;
            } else {
                self.counters.shared_read += bytes;
                self.counters.global_written += bytes;
            }
        }
        let owner = (warp.cta, warp.index, lane, warp.bulk_groups[lane]);
        let job = Pending { segments, is_load, from_shared, reduce, complete, owner };
        match self.options.landing {
            Landing::Early => self.land(job),
            Landing::Late => self.pending.push(job),
        }
    }

    /// Shared memory read by the async proxy for some lanes of a warp: contents, order, fences.
    pub(crate) fn async_read(
        &mut self,
        warp: &Warp,
        inst: &Inst,
        lanes: u32,
        cta: usize,
        ranges: &[(usize, usize)],
        in_flight: Option<Kind>,
    ) {
        let lane = (lanes.count_ones() == 1).then(|| lanes.trailing_zeros());
        for (offset, bytes) in ranges {
            let at = Some(*offset as u64);
            let states = &self.ctas[cta].shared_state;
            if !states.is_empty()
                && self.options.checks.init
                && states[*offset..*offset + *bytes].contains(&UNINIT)
            {
                let message = "the async proxy reads shared memory that nobody has written".into();
                self.report(FindingKind::UninitShared, warp, inst, lane, at, None, message);
            }
            if !self.options.checks.race {
                continue;
            }
            let view = warp.time.view(lanes.trailing_zeros());
            let unfenced = self.ctas[cta].shadow.writers(*offset, *bytes).into_iter().find(|s| {
                matches!(s.kind(), Kind::Plain | Kind::Strong)
                    && !view.fenced.covers(s.warp(), s.lanes, s.epoch)
            });
            let kind = in_flight.unwrap_or(Kind::Plain);
            let stamp = Stamp::new(warp.time.warp, lanes, warp.time.epoch, kind);
            let actor = Actor { stamp, view, is_same_value: false };
            let conflict = self.ctas[cta].shadow.access(*offset, *bytes, false, &actor);
            if let Some(stamp) = unfenced {
                let message = format!(
                    "shared memory written by warp {} is read through the async proxy without fence.proxy.async in between",
                    stamp.warp() % 32
                );
                self.report(FindingKind::MissingProxyFence, warp, inst, lane, at, None, message);
            }
            if let Some(conflict) = conflict {
                let own = conflict.stamp.warp() == warp.time.warp
                    && matches!(conflict.stamp.kind(), Kind::Plain | Kind::Strong | Kind::CopyDone)
                    && conflict.stamp.lanes & !lanes == 0;
                if !own {
                    let place = Place::Shared { cta, offset: *offset };
                    let address = *offset as u64;
                    self.report_conflict(warp, inst, lane, place, address, false, conflict);
                }
            }
        }
    }

    /// Moves the bytes of a copy and tells its mbarriers.
    fn land(&mut self, job: Pending) {
        for segment in &job.segments {
            let Segment { global, cta, offset, bytes } = *segment;
            if job.is_load {
                for index in 0..bytes {
                    let byte = match (job.from_shared, global) {
                        (Some((source, at)), _) => self.ctas[source].shared[at + index],
                        (None, Some(address)) => self.global_byte(address + index as u64),
                        (None, None) => 0,
                    };
                    self.ctas[cta].shared[offset + index] = byte;
                }
                self.define_shared(cta, offset, bytes);
            } else if let Some(address) = global {
                self.store_segment(cta, offset, address, bytes, job.reduce);
            }
        }
        for (cta, at, bytes) in job.complete {
            self.change_tx(cta, at, -bytes);
        }
        self.note_change();
    }

    fn store_segment(
        &mut self,
        cta: usize,
        offset: usize,
        address: u64,
        bytes: usize,
        reduce: Option<(AtomOp, Type)>,
    ) {
        let Some((device, allocation)) = self.machine.find(address) else { return };
        let target = &self.machine.allocations[device][allocation];
        let start = (address - target.base) as usize;
        let step = reduce.map_or(1, |(_, ty)| ty.bytes());
        for index in (0..bytes).step_by(step) {
            let mut word = [0u8; 8];
            word[..step]
                .copy_from_slice(&self.ctas[cta].shared[offset + index..offset + index + step]);
            let value = u64::from_le_bytes(word);
            let new = match reduce {
                Some((op, ty)) => {
                    super::atomic::apply(op, ty, target.load(start + index, step), value, 0)
                }
                None => value,
            };
            target.store(start + index, step, new);
        }
        target.set_state(start, bytes, DEFINED);
    }

    /// Lands the copy that waits longest.
    pub(crate) fn land_oldest(&mut self) {
        if !self.pending.is_empty() {
            let job = self.pending.remove(0);
            self.land(job);
        }
    }

    pub(crate) fn bulk_wait(&mut self, warp: &mut Warp, active: u32, pending: u32, is_read: bool) {
        let groups = warp.bulk_groups;
        let is_over =
            |lane: usize, group: u32| active >> lane & 1 == 1 && group + pending < groups[lane];
        let mut at = 0;
        while at < self.pending.len() {
            let (cta, index, lane, group) = self.pending[at].owner;
            let mine = cta == warp.cta && index == warp.index && !self.pending[at].is_load;
            if mine && is_over(lane, group) {
                let job = self.pending.remove(at);
                self.land(job);
            } else {
                at += 1;
            }
        }
        if !is_read {
            for write in std::mem::take(&mut warp.bulk_writes) {
                if !is_over(write.lane, write.group) {
                    warp.bulk_writes.push(write);
                    continue;
                }
                let (lanes, epoch) = (1 << write.lane, warp.time.epoch);
                let stamp = Stamp::new(warp.time.warp, lanes, epoch, Kind::CopyDone);
                let from = Kind::BulkInFlight;
                self.global.restamp_writes(write.address, write.bytes, from, stamp);
            }
        }
        for read in std::mem::take(&mut warp.bulk_reads) {
            if !is_over(read.lane, read.group) {
                warp.bulk_reads.push(read);
                continue;
            }
            let stamp = Stamp::new(warp.time.warp, 1 << read.lane, warp.time.epoch, Kind::Plain);
            let shadow = &mut self.ctas[warp.cta].shadow;
            shadow.restamp_reads(read.offset, read.bytes, Kind::BulkInFlight, stamp);
        }
    }

    /// The async proxy reads device memory: what this launch wrote there must be fenced.
    pub(crate) fn check_global_proxy(
        &mut self,
        warp: &Warp,
        inst: &Inst,
        lane: usize,
        address: u64,
        bytes: u64,
    ) {
        if !self.options.checks.race {
            return;
        }
        let view = warp.time.view(lane as u32);
        let unfenced = self.global.writers(address, bytes).into_iter().find(|stamp| {
            matches!(stamp.kind(), Kind::Plain | Kind::Strong)
                && !view.fenced.covers(stamp.warp(), stamp.lanes, stamp.epoch)
        });
        if let Some(stamp) = unfenced {
            let message = format!(
                "device memory written by warp {} is read through the async proxy without fence.proxy.async in between",
                stamp.warp() % 32
            );
            let (kind, lane) = (FindingKind::MissingProxyFence, Some(lane as u32));
            self.report(kind, warp, inst, lane, Some(address), None, message);
        }
    }
}

/// How the device bytes of a bulk copy are recorded: reductions are atomic by element, and stores
/// are in flight until a wait that is not only for the sources.
pub(crate) fn bulk_kind(is_load: bool, is_reduction: bool) -> Kind {
    match (is_load, is_reduction) {
        (true, _) => Kind::Plain,
        (false, true) => Kind::Strong,
        (false, false) => Kind::BulkInFlight,
    }
}
