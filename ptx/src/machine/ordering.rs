//! The order of accesses: what is recorded, what strong accesses hand on, and how a conflict is
//! named.

use super::access::{Place, place_key};
use super::exec::Exec;
use super::global::Touch;
use super::warp::Warp;
use crate::checks::{Actor, Conflict, FindingKind, Kind, Party, Stamp};
use crate::decode::{Inst, Op, Order, Scope};

impl Exec<'_> {
    #[allow(clippy::too_many_arguments)]
    pub(crate) fn order_store(
        &mut self,
        warp: &mut Warp,
        inst: &Inst,
        lane: usize,
        place: Place,
        address: u64,
        bytes: usize,
        order: Order,
        same: bool,
    ) {
        if !self.options.checks.race {
            return;
        }
        let kind = if order.strong { Kind::Strong } else { Kind::Plain };
        if order.strong {
            self.publish(warp, lane, place_key(place, address), order);
        }
        self.race(warp, inst, lane, place, address, bytes, true, kind, same);
    }

    #[allow(clippy::too_many_arguments)]
    #[inline]
    pub(crate) fn order_access(
        &mut self,
        warp: &mut Warp,
        inst: &Inst,
        lane: usize,
        place: Place,
        address: u64,
        bytes: usize,
        is_write: bool,
        order: Order,
    ) {
        if !self.options.checks.race || matches!(place, Place::Local { .. } | Place::Param { .. }) {
            return;
        }
        let kind = if order.strong { Kind::Strong } else { Kind::Plain };
        if order.strong && !is_write {
            self.subscribe(warp, lane, place_key(place, address), order);
        }
        self.race(warp, inst, lane, place, address, bytes, is_write, kind, false);
    }

    /// A strong write hands on what its thread released.
    pub(crate) fn publish(&mut self, warp: &mut Warp, lane: usize, key: u64, order: Order) {
        let cta = self.ctas[warp.cta].linear;
        let wide = order.scope > Scope::Cta;
        if order.release {
            let handover = warp.time.release(1 << lane);
            self.global.places.entry((key, cta)).or_default().join(&handover.known);
            if wide {
                self.global.places.entry((key, u32::MAX)).or_default().join(&handover.known);
            }
            return;
        }
        let released = warp.time.view(lane as u32).released.clone();
        self.global.places.entry((key, cta)).or_default().join(&released[0]);
        if wide {
            self.global.places.entry((key, u32::MAX)).or_default().join(&released[1]);
        }
    }

    /// A strong read takes it over, at once or behind the next fence.
    pub(crate) fn subscribe(&mut self, warp: &mut Warp, lane: usize, key: u64, order: Order) {
        let cta = self.ctas[warp.cta].linear;
        let near = self.global.places.get(&(key, cta)).cloned().unwrap_or_default();
        let wide = order.scope > Scope::Cta;
        let far = self.global.places.get(&(key, u32::MAX)).filter(|_| wide).cloned();
        warp.time.subscribe(lane as u32, &near, far.as_ref(), order.acquire);
    }

    #[allow(clippy::too_many_arguments)]
    pub(crate) fn race(
        &mut self,
        warp: &Warp,
        inst: &Inst,
        lane: usize,
        place: Place,
        address: u64,
        bytes: usize,
        is_write: bool,
        kind: Kind,
        same: bool,
    ) {
        let stamp = Stamp::new(warp.time.warp, 1 << lane, warp.time.epoch, kind);
        let view = warp.time.view(lane as u32);
        let actor = Actor { stamp, view, is_same_value: same };
        let conflict = match place {
            Place::Shared { cta, offset } => {
                self.ctas[cta].shadow.access(offset, bytes, is_write, &actor)
            }
            Place::Global { .. } => {
                let touch = Touch {
                    reads: !is_write,
                    writes: is_write,
                    line: inst.line,
                    warp: warp.index,
                    cta: self.ctas[warp.cta].linear,
                };
                self.global.touch(address, bytes, touch);
                self.global.access(address, bytes, is_write, &actor)
            }
            Place::Local { .. } | Place::Param { .. } => None,
        };
        if let Some(conflict) = conflict {
            self.report_conflict(warp, inst, Some(lane as u32), place, address, is_write, conflict);
        }
    }

    #[allow(clippy::too_many_arguments)]
    #[cold]
    pub(crate) fn report_conflict(
        &mut self,
        warp: &Warp,
        inst: &Inst,
        lane: Option<u32>,
        place: Place,
        address: u64,
        is_write: bool,
        conflict: Conflict,
    ) {
        // A copy that an mbarrier announces overwrites what others still use.
        let by_mbarrier = is_write
            && match &inst.op {
                Op::Bulk(bulk) => bulk.mbarrier.is_some(),
                Op::BulkTensor(tensor) => tensor.is_load,
                _ => false,
            };
        let stamp = conflict.stamp;
        let other_cta = stamp.warp() / 32;
        let own_cta = self.ctas[warp.cta].linear;
        let crosses = match place {
            Place::Shared { cta, .. } => {
                self.ctas[cta].linear != own_cta
                    || (stamp.kind() != Kind::Transaction && other_cta != own_cta)
            }
            _ => false,
        };
        let race = match place {
            Place::Global { .. } => FindingKind::GlobalRace,
            _ if crosses => FindingKind::ClusterRace,
            _ => FindingKind::SharedRace,
        };
        let verb = if is_write { "write" } else { "read" };
        let access = match (stamp.kind(), conflict.wrote) {
            (Kind::CopyInFlight, _) => "cp.async in flight",
            (Kind::Transaction, _) => "copy that an mbarrier announces",
            (Kind::BulkInFlight, _) => "read of a bulk copy in flight",
            (Kind::WgmmaInFlight, _) => "read of a wgmma in flight",
            (Kind::WgmmaDone, _) => "read of a wgmma that was waited for later",
            (Kind::CopyDone, _) => "cp.async that was waited for later",
            (Kind::Strong, true) => "atomic write",
            (Kind::Strong, false) => "atomic read",
            (_, true) => "write",
            (_, false) => "read",
        };
        let only = stamp.lanes.count_ones() == 1 && stamp.kind() != Kind::Transaction;
        let other = Party {
            cta: if stamp.kind() == Kind::Transaction { own_cta } else { other_cta },
            warp: if stamp.kind() == Kind::Transaction { warp.index } else { stamp.warp() % 32 },
            lane: only.then(|| stamp.lanes.trailing_zeros()),
            access,
        };
        let message = format!("{verb} that nothing orders after the other access");
        let mut kinds = vec![race];
        match stamp.kind() {
            Kind::CopyInFlight => kinds = vec![FindingKind::CpAsyncWait],
            Kind::Transaction => kinds.insert(0, FindingKind::MissingMbarrierWait),
            Kind::BulkInFlight => kinds.insert(0, FindingKind::CpAsyncWait),
            // A copy or product that its own thread waited for only after it let others go on.
            Kind::CopyDone => kinds.push(FindingKind::CpAsyncWait),
            Kind::WgmmaInFlight | Kind::WgmmaDone => kinds.insert(0, FindingKind::MissingWgmmaWait),
            _ => {}
        }
        // A phase of some mbarrier hands this write on, and the access did not wait for it.
        let is_handed_on = conflict.wrote
            && self.ctas.iter().flat_map(|cta| cta.mbarriers.values()).any(|m| m.hands_on(stamp));
        if is_handed_on && !kinds.contains(&FindingKind::MissingMbarrierWait) {
            kinds.push(FindingKind::MissingMbarrierWait);
        }
        if by_mbarrier && stamp.kind() != Kind::Transaction {
            kinds.push(FindingKind::MissingMbarrierWait);
        }
        for kind in kinds {
            let (other, message) = (Some(other.clone()), message.clone());
            self.report(kind, warp, inst, lane, Some(address), other, message);
        }
    }
}
