//! Tensor copies: boxes of a tensor map as segments; and stores that signal an mbarrier.

use super::access::Place;
use super::bulk::{Segment, bulk_kind};
use super::exec::Exec;
use super::memory::{DEFINED, UNINIT};
use super::tensor_map::{Swizzle, TENSOR_MAP_BYTES, TensorMap};
use super::warp::{Lanes, Warp};
use crate::checks::{Actor, Conflict, FindingKind, Kind, Stamp};
use crate::decode::{Addr, AtomOp, BulkTensor, Inst, Reg, Space};
use crate::parse::Type;

impl Exec<'_> {
    pub(crate) fn bulk_tensor(
        &mut self,
        warp: &mut Warp,
        inst: &Inst,
        active: u32,
        op: &BulkTensor,
    ) {
        for lane in Lanes(active) {
            let Some(map) = self.tensor_map(warp, inst, lane, op.map) else { continue };
            if map.dims.len() != op.coordinates.len() {
                let message = format!(
                    "{} coordinates for a map of rank {}",
                    op.coordinates.len(),
                    map.dims.len()
                );
                self.bad_access(FindingKind::TensorMap, warp, inst, lane, map.address, message);
                continue;
            }
            let at: Vec<i64> =
                op.coordinates.iter().map(|row| i64::from(warp.r32(*row)[lane] as i32)).collect();
            let shared = Self::address(warp, op.shared, lane);
            let align = if op.is_load || map.swizzle != Swizzle::None { 128 } else { 16 };
            if shared % align != 0 {
                let message = format!("a tile must start at a multiple of {align} bytes");
                self.bad_access(FindingKind::Misaligned, warp, inst, lane, shared, message);
                continue;
            }
            let tile_bytes = map.tile.iter().product::<u32>() as usize * map.element.bytes();
            let Some((cta, offset)) = self.shared_range(warp, inst, lane, shared, tile_bytes)
            else {
                continue;
            };
            let pieces = tile_pieces(&map, &at, offset as u64);
            let kind = bulk_kind(op.is_load, op.reduce.is_some());
            let mut is_inside = true;
            for (global, _, bytes) in &pieces {
                if let Some(global) = global {
                    if op.is_load {
                        self.check_global_proxy(warp, inst, lane, *global, *bytes as u64);
                    }
                    is_inside &=
                        self.global_bytes(warp, inst, lane, *global, *bytes, !op.is_load, kind);
                }
                if !is_inside {
                    break;
                }
            }
            if !is_inside {
                continue;
            }
            let targets = self.multicast(warp, lane, op.multicast, cta);
            let segments = targets
                .iter()
                .flat_map(|cta| {
                    pieces.iter().map(|(global, offset, bytes)| Segment {
                        global: *global,
                        cta: *cta,
                        offset: *offset as usize,
                        bytes: *bytes,
                    })
                })
                .collect();
            let reduce = op.reduce.map(|operation| (operation, map.element));
            self.issue(warp, inst, lane, op.is_load, segments, None, reduce, op.mbarrier);
        }
    }

    fn tensor_map(
        &mut self,
        warp: &Warp,
        inst: &Inst,
        lane: usize,
        addr: Addr,
    ) -> Option<TensorMap> {
        let address = Self::address(warp, addr, lane);
        let mut bytes = [0u8; TENSOR_MAP_BYTES];
        for (index, chunk) in bytes.chunks_exact_mut(8).enumerate() {
            let at = address + 8 * index as u64;
            let place = self.resolve(warp, inst, lane, Space::Generic, at, 8, false)?;
            chunk.copy_from_slice(&self.read_place::<false>(warp, place, 8).0.to_le_bytes());
        }
        let map = TensorMap::decode(&bytes);
        if map.is_none() || address % 64 != 0 {
            let message = "no tensor map stands at this address".to_string();
            self.bad_access(FindingKind::TensorMap, warp, inst, lane, address, message);
            return None;
        }
        map
    }

    /// `st.async` and `red.async`: writes that take their bytes off an mbarrier.
    #[allow(clippy::too_many_arguments)]
    pub(crate) fn store_async(
        &mut self,
        warp: &mut Warp,
        inst: &Inst,
        active: u32,
        (addr, mbarrier): (Addr, Addr),
        src: &[Reg],
        bytes: usize,
        reduce: Option<(AtomOp, Type)>,
    ) {
        for lane in Lanes(active) {
            let total = bytes * src.len();
            let address = Self::address(warp, addr, lane);
            let Some(place) = self.resolve(warp, inst, lane, Space::Cluster, address, total, true)
            else {
                continue;
            };
            let Some((home, at)) = self.mbarrier_place(warp, inst, lane, mbarrier, Space::Cluster)
            else {
                continue;
            };
            if !self.mbarrier_exists(warp, inst, lane, home, at) {
                continue;
            }
            let Place::Shared { cta, offset } = place else { continue };
            if self.options.checks.race
                && let Some(mbarrier) = self.ctas[home].mbarriers.get(&at)
            {
                let (agent, epoch) = (mbarrier.agent, mbarrier.epoch());
                let stamp = Stamp::new(agent, u32::MAX, epoch, Kind::Transaction);
                let view = warp.time.view(lane as u32);
                let actor = Actor { stamp, view, is_same_value: false };
                let found = self.ctas[cta].shadow.access(offset, total, true, &actor);
                // Reductions of one phase are atomic among themselves.
                let is_peer = |c: &Conflict| reduce.is_some() && c.stamp == stamp;
                if let Some(conflict) = found.filter(|c| !is_peer(c)) {
                    let lane = Some(lane as u32);
                    self.report_conflict(warp, inst, lane, place, address, true, conflict);
                }
            }
            for (index, reg) in src.iter().enumerate() {
                let part = super::access::advance(place, index * bytes);
                let mut value = warp.value(*reg, lane);
                if let Some((op, ty)) = reduce {
                    let (old, state) = self.read_place::<true>(warp, part, bytes);
                    if state == UNINIT && self.options.checks.init {
                        let message = "a reduction of memory that nobody has written".to_string();
                        let (kind, lane) = (FindingKind::UninitShared, Some(lane as u32));
                        self.report(kind, warp, inst, lane, Some(address), None, message);
                    }
                    value = super::atomic::apply(op, ty, old, value, 0);
                }
                self.write_place::<true>(warp, part, bytes, value, DEFINED);
            }
            self.change_tx(home, at, -(total as i64));
        }
    }
}

/// Device address (none for zeros), shared offset and bytes of each piece of a tile.
fn tile_pieces(map: &TensorMap, at: &[i64], start: u64) -> Vec<(Option<u64>, u64, usize)> {
    let element = map.element.bytes();
    let inner = map.tile[0] as usize;
    let row_bytes = inner * element;
    let rows: usize = map.tile[1..].iter().map(|b| *b as usize).product();
    let mut pieces = Vec::new();
    for row in 0..rows {
        let mut rest = row;
        let mut base = map.address as i64;
        let mut inside = true;
        for (dim, first) in at.iter().enumerate().skip(1) {
            let index = first + (rest % map.tile[dim] as usize) as i64;
            rest /= map.tile[dim] as usize;
            inside &= index >= 0 && (index as u64) < map.dims[dim];
            base += index.wrapping_mul(map.strides[dim - 1] as i64);
        }
        for chunk in 0..row_bytes / 16 {
            let offset = map.swizzle.apply(start + (row * row_bytes + chunk * 16) as u64);
            let first = at[0] + (chunk * 16 / element) as i64;
            let count = (16 / element) as i64;
            let is_valid = |x: i64| inside && x >= 0 && (x as u64) < map.dims[0];
            if is_valid(first) && is_valid(first + count - 1) {
                let address = base + first * element as i64;
                pieces.push((Some(address as u64), offset, 16));
            } else if (first..first + count).any(is_valid) {
                for index in 0..count {
                    let x = first + index;
                    let address = is_valid(x).then(|| (base + x * element as i64) as u64);
                    pieces.push((address, offset + index as u64 * element as u64, element));
                }
            } else {
                pieces.push((None, offset, 16));
            }
        }
    }
    pieces
}
