//! Dispatch: one instruction of one group of lanes.

use super::access::{LOCAL_WINDOW, PARAM_WINDOW, SHARED_WINDOW, WINDOW};
use super::exec::{After, Exec};
use super::options::Schedule;
use super::warp::{Lanes, Warp};
use crate::checks::FindingKind;
use crate::decode::{Carry, CarryKind, FenceKind, Inst, Op, Reg, Scope, Space};
use crate::error::Error;

impl Exec<'_> {
    pub(crate) fn step<const C: bool>(
        &mut self,
        warp: &mut Warp,
        current: usize,
        inst: &Inst,
        active: u32,
    ) -> After {
        match &inst.op {
            Op::Map { .. } | Op::Branch { .. } | Op::Nop => {}
            Op::Compare { f, d, d_not, src, combine, c, c_negated } => {
                // SAFETY: `sources` points into the register file, whose rows the decoder gave.
                let mut mask = unsafe { f(sources(warp, *src)) };
                let mut inverse = !mask;
                if *combine != 0 {
                    let other = if *c_negated { !warp.mask(*c) } else { warp.mask(*c) };
                    for value in [&mut mask, &mut inverse] {
                        *value = match combine {
                            1 => *value & other,
                            2 => *value | other,
                            _ => *value ^ other,
                        };
                    }
                }
                warp.set_mask(*d, active, mask);
                warp.set_mask(*d_not, active, inverse);
            }
            Op::CompareSet { f, d, src, value } => {
                // SAFETY: as above.
                let mask = unsafe { f(sources(warp, *src)) };
                let target = warp.w32(*d);
                for lane in Lanes(active) {
                    target[lane] = if mask >> lane & 1 == 1 { *value } else { 0 };
                }
            }
            Op::Move { d, a, wide } => {
                if *wide {
                    let source = *warp.r64(*a);
                    let target = warp.w64(*d);
                    for lane in Lanes(active) {
                        target[lane] = source[lane];
                    }
                } else {
                    let source = *warp.r32(*a);
                    let target = warp.w32(*d);
                    if active == u32::MAX {
                        *target = source;
                    } else {
                        for lane in Lanes(active) {
                            target[lane] = source[lane];
                        }
                    }
                }
            }
            Op::PredMove { d, a, negated } => {
                let value = if *negated { !warp.mask(*a) } else { warp.mask(*a) };
                warp.set_mask(*d, active, value);
                let known = warp.defined(*a);
                warp.set_defined(*d, active, known, known);
            }
            Op::PredLogic { f, d, a, b, a_negated, b_negated } => {
                let left = if *a_negated { !warp.mask(*a) } else { warp.mask(*a) };
                let right = if *b_negated { !warp.mask(*b) } else { warp.mask(*b) };
                warp.set_mask(*d, active, f(left, right));
                if C {
                    let (known_a, known_b) = (warp.defined(*a), warp.defined(*b));
                    // A result that does not change with the unknown side is known.
                    let decided_a = known_a & !(f(left, 0) ^ f(left, u32::MAX));
                    let decided_b = known_b & !(f(0, right) ^ f(u32::MAX, right));
                    let known = (known_a & known_b) | decided_a | decided_b;
                    warp.set_defined(*d, active, known, known);
                }
            }
            Op::Select { d, a, b, p, negated, wide } => {
                let mask = if *negated { !warp.mask(*p) } else { warp.mask(*p) };
                if *wide {
                    let (x, y) = (*warp.r64(*a), *warp.r64(*b));
                    let target = warp.w64(*d);
                    for lane in Lanes(active) {
                        target[lane] = if mask >> lane & 1 == 1 { x[lane] } else { y[lane] };
                    }
                } else {
                    let (x, y) = (*warp.r32(*a), *warp.r32(*b));
                    let target = warp.w32(*d);
                    for lane in Lanes(active) {
                        target[lane] = if mask >> lane & 1 == 1 { x[lane] } else { y[lane] };
                    }
                }
                if C {
                    let known = warp.defined(*p);
                    let (x, y) = (warp.halves(*a), warp.halves(*b));
                    let pick = |i: usize| known & ((mask & x[i]) | (!mask & y[i]));
                    warp.set_defined(*d, active, pick(0), pick(1));
                }
            }
            Op::Pack { d, wide, parts, bits } => {
                self.pack::<C>(warp, active, *d, *wide, parts, *bits)
            }
            Op::Unpack { parts, bits, a, wide } => {
                self.unpack::<C>(warp, active, parts, *bits, *a, *wide);
            }
            Op::Carry(carry) => carry_arithmetic(warp, active, carry),
            Op::Clock { d, wide } => {
                let now = (self.executed + warp.executed) * 4;
                let reg = Reg { row: *d, wide: *wide };
                for lane in Lanes(active) {
                    warp.set(reg, lane, now);
                }
            }
            Op::Load { .. } => return self.load::<C>(warp, inst, active),
            Op::Store { .. } => self.store::<C>(warp, inst, active),
            Op::Atom(atom) => return self.atom::<C>(warp, inst, active, atom),
            Op::ToGeneric { space, d, a } => {
                let window = window(*space);
                for lane in Lanes(active) {
                    let value = warp.value(*a, lane);
                    warp.set(*d, lane, window | value);
                }
            }
            Op::FromGeneric { space, d, a } => {
                let inside = *space != Space::Global;
                for lane in Lanes(active) {
                    let value = warp.value(*a, lane);
                    warp.set(*d, lane, if inside { value & (WINDOW - 1) } else { value });
                }
            }
            Op::IsSpace { space, d, a } => {
                let mut mask = 0;
                for lane in Lanes(active) {
                    let value = warp.value(*a, lane);
                    let is = match space {
                        Space::Global => self.machine.find(value).is_some(),
                        Space::Shared => {
                            value & !(WINDOW - 1) == SHARED_WINDOW && value & 0xff00_0000 == 0
                        }
                        other => value & !(WINDOW - 1) == window(*other),
                    };
                    mask |= u32::from(is) << lane;
                }
                warp.set_mask(*d, active, mask);
            }
            Op::Mapa { d, a, rank, generic } => {
                for lane in Lanes(active) {
                    let target = u64::from(warp.r32(*rank)[lane]);
                    let value = warp.value(*a, lane);
                    if target as usize >= self.ctas.len() {
                        let message = format!("rank {target} in a cluster of {}", self.ctas.len());
                        let lane = Some(lane as u32);
                        self.report(FindingKind::OobShared, warp, inst, lane, None, None, message);
                        continue;
                    }
                    let mapped = (value & 0x00ff_ffff) | (target + 1) << 24;
                    warp.set(*d, lane, if *generic { SHARED_WINDOW | mapped } else { mapped });
                }
            }
            Op::CtaRank { d, a } => {
                for lane in Lanes(active) {
                    let high = warp.value(*a, lane) >> 24 & 0xff;
                    let own = warp.cta as u64;
                    let rank = if high == 0 { own } else { high - 1 };
                    warp.w32(*d)[lane] = rank as u32;
                }
            }
            Op::BranchIndex { targets, index } => {
                return self.branch_index(warp, current, inst, active, targets, *index);
            }
            Op::Call { function, args, results: _ } => {
                return self.call(warp, current, &[(active, *function)], args);
            }
            Op::CallRegister { target, args, .. } => {
                let mut calls: Vec<(u32, u32)> = Vec::new();
                for lane in Lanes(active) {
                    let address = warp.r64(*target)[lane];
                    let found = self.kernel.entry_points.iter().find(|e| e.0 == address);
                    let Some((_, function)) = found.filter(|e| e.1 > 0) else {
                        let message = format!(
                            "{} line {}: {address:#x} is the address of no function",
                            self.kernel.name, inst.line
                        );
                        self.fault = Some(Error::Fault(message));
                        return After::Regroup;
                    };
                    match calls.iter_mut().find(|call| call.1 == *function) {
                        Some(call) => call.0 |= 1 << lane,
                        None => calls.push((1 << lane, *function)),
                    }
                }
                return self.call(warp, current, &calls, args);
            }
            Op::Return => return self.leave(warp, current, active),
            Op::Exit => return self.exit_lanes(warp, current, active),
            Op::Trap => {
                let lane = active.trailing_zeros();
                let message = "the kernel executed trap".to_string();
                self.report(FindingKind::Trap, warp, inst, Some(lane), None, None, message);
                if !self.options.checks.any() {
                    self.fault = Some(Error::Fault(format!("{}: trap", self.kernel.name)));
                }
                return self.exit_lanes(warp, current, active);
            }
            Op::Sleep => return After::Yield,
            Op::Shfl { .. }
            | Op::Vote { .. }
            | Op::Match { .. }
            | Op::Redux { .. }
            | Op::Elect { .. } => return self.collective::<C>(warp, current, inst, active),
            Op::ActiveMask { d } => {
                for lane in Lanes(active) {
                    warp.w32(*d)[lane] = active;
                }
            }
            Op::WarpSync { mask } => {
                let mask = warp.r32(*mask)[active.trailing_zeros() as usize];
                return self.warp_sync(warp, current, inst, active, mask);
            }
            Op::Bar { .. } => return self.bar(warp, current, inst, active, &inst.op),
            Op::ClusterArrive { aligned, release } => {
                return self.cluster_arrive(warp, current, inst, active, (*aligned, *release));
            }
            Op::ClusterWait { aligned } => {
                return self.cluster_wait(warp, current, inst, active, *aligned);
            }
            Op::Fence(kind) => {
                if self.options.checks.race {
                    match kind {
                        FenceKind::Memory(order) => {
                            warp.time.fence(active, order.scope > Scope::Cta);
                        }
                        FenceKind::ProxyAsync => warp.time.proxy_fence(active),
                        FenceKind::MbarrierInit => warp.time.fence(active, true),
                        FenceKind::Other => {}
                    }
                }
            }
            Op::CpAsync { .. } => self.cp_async(warp, inst, active),
            Op::CpAsyncCommit => {
                for lane in Lanes(active) {
                    warp.copy_groups[lane] += 1;
                }
            }
            Op::CpAsyncWait { pending, all } => self.cp_async_wait(warp, active, *pending, *all),
            Op::CpAsyncArrive { addr, noinc } => {
                self.cp_async_arrive(warp, inst, active, *addr, *noinc);
            }
            Op::Bulk(bulk) => self.bulk(warp, inst, active, bulk),
            Op::BulkTensor(tensor) => self.bulk_tensor(warp, inst, active, tensor),
            Op::BulkCommit => {
                for lane in Lanes(active) {
                    warp.bulk_groups[lane] += 1;
                }
            }
            Op::BulkWait { pending, is_read } => {
                self.bulk_wait(warp, active, *pending, *is_read);
            }
            Op::MbarrierInit { addr, count } => {
                self.mbarrier_init(warp, inst, active, *addr, *count)
            }
            Op::MbarrierInval { addr } => self.mbarrier_inval(warp, inst, active, *addr),
            Op::MbarrierArrive(arrive) => {
                self.mbarrier_arrive(warp, inst, active, arrive);
                // In order, warps keep pace with each other at mbarriers; in other schedules a
                // warp may run ahead.
                if self.options.schedule == Schedule::InOrder {
                    return After::Yield;
                }
            }
            Op::MbarrierWait(wait) => {
                return self.mbarrier_wait(warp, current, inst, active, wait);
            }
            Op::MbarrierPending { d, state } => {
                for lane in Lanes(active) {
                    let value = warp.r64(*state)[lane];
                    warp.w32(*d)[lane] = (value >> 1) as u32 & 0xf_ffff;
                }
            }
            Op::StoreAsync { addr, src, bytes, mbarrier, reduce } => {
                let places = (*addr, *mbarrier);
                self.store_async(warp, inst, active, places, src, *bytes as usize, *reduce);
            }
            Op::LdMatrix { .. }
            | Op::StMatrix { .. }
            | Op::MovMatrix { .. }
            | Op::Mma(_)
            | Op::Wmma(_)
            | Op::WgmmaFence
            | Op::WgmmaCommit
            | Op::WgmmaWait { .. }
            | Op::Wgmma(_)
            | Op::SetMaxRegisters { .. } => {
                let forced = std::mem::take(&mut warp.forced);
                if !forced && !self.converge(warp, current, active, u32::MAX) {
                    return After::Regroup;
                }
                self.matrix_step::<C>(warp, inst, active);
            }
        }
        After::Next
    }

    fn pack<const C: bool>(
        &mut self,
        warp: &mut Warp,
        active: u32,
        d: u32,
        wide: bool,
        parts: &[Reg],
        bits: u32,
    ) {
        let field = if bits == 64 { u64::MAX } else { (1 << bits) - 1 };
        for lane in Lanes(active) {
            let mut value = 0;
            for (index, part) in parts.iter().enumerate() {
                value |= (warp.value(*part, lane) & field) << (bits * index as u32);
            }
            warp.set(Reg { row: d, wide }, lane, value);
        }
        if C {
            let mut known = [u32::MAX; 2];
            for (index, part) in parts.iter().enumerate() {
                known[index * 2 / parts.len()] &= warp.defined(part.row);
            }
            warp.set_defined(d, active, known[0], known[1]);
        }
    }

    fn unpack<const C: bool>(
        &mut self,
        warp: &mut Warp,
        active: u32,
        parts: &[Reg],
        bits: u32,
        a: u32,
        wide: bool,
    ) {
        let field = if bits == 64 { u64::MAX } else { (1 << bits) - 1 };
        let known = warp.halves(a);
        for lane in Lanes(active) {
            let value = warp.value(Reg { row: a, wide }, lane);
            for (index, part) in parts.iter().enumerate() {
                warp.set(*part, lane, value >> (bits * index as u32) & field);
            }
        }
        if C {
            for (index, part) in parts.iter().enumerate() {
                let half = known[index * 2 / parts.len()];
                warp.set_defined(part.row, active, half, half);
            }
        }
    }

    fn branch_index(
        &mut self,
        warp: &mut Warp,
        current: usize,
        inst: &Inst,
        active: u32,
        targets: &[u32],
        index: u32,
    ) -> After {
        let pc = warp.groups[current].pc;
        let mut rest = active;
        let mut fresh = Vec::new();
        while rest != 0 {
            let lane = rest.trailing_zeros() as usize;
            let value = warp.r32(index)[lane];
            let lanes =
                Lanes(rest).filter(|l| warp.r32(index)[*l] == value).fold(0, |m, l| m | 1 << l);
            rest &= !lanes;
            let Some(target) = targets.get(value as usize) else {
                let message = format!("index {value} in a table of {} targets", targets.len());
                let kind = FindingKind::OobRead;
                self.report(kind, warp, inst, Some(lane as u32), None, None, message);
                continue;
            };
            fresh.push((lanes, *target));
        }
        let group = warp.groups[current].clone();
        warp.groups[current].lanes &= !active;
        warp.groups[current].pc = pc + 1;
        if warp.groups[current].lanes == 0 {
            warp.groups.swap_remove(current);
        }
        for (lanes, target) in fresh {
            let mut copy = group.clone();
            (copy.lanes, copy.pc) = (lanes, target);
            warp.groups.push(copy);
        }
        After::Regroup
    }
}

fn window(space: Space) -> u64 {
    match space {
        Space::Shared | Space::Cluster => SHARED_WINDOW,
        Space::Local => LOCAL_WINDOW,
        Space::Param => PARAM_WINDOW,
        Space::Global | Space::Generic => 0,
    }
}

/// Pointers to source rows; each row and the one behind it lie inside the file.
fn sources(warp: &Warp, src: [u32; 4]) -> [*const u32; 4] {
    src.map(|row| {
        let at = (warp.base + row) as usize;
        warp.rows[at..at + 2].as_ptr().cast::<u32>()
    })
}

fn carry_arithmetic(warp: &mut Warp, active: u32, op: &Carry) {
    let carry_row = crate::decode::CARRY;
    let carries = warp.mask(carry_row);
    let mut out = carries;
    let bits = if op.wide { 64 } else { 32 };
    let limit = 1u128 << bits;
    for lane in Lanes(active) {
        let value = |row: u32| u128::from(warp.value(Reg { row, wide: op.wide }, lane));
        let carry = u128::from(op.takes && carries >> lane & 1 == 1);
        let (a, b) = (value(op.a), value(op.b));
        let product = if op.signed {
            let extend = |x: u128| ((x << (128 - bits)) as i128) >> (128 - bits);
            extend(a).wrapping_mul(extend(b)) as u128
        } else {
            a.wrapping_mul(b)
        };
        let (sum, carried) = match op.kind {
            CarryKind::Add => (a + b + carry, a + b + carry >= limit),
            // The flag is a borrow.
            CarryKind::Sub => (a.wrapping_sub(b + carry), a < b + carry),
            CarryKind::MadLow => {
                let sum = product % limit + value(op.c) + carry;
                (sum, sum >= limit)
            }
            CarryKind::MadHigh => {
                let sum = (product >> bits) % limit + value(op.c) + carry;
                (sum, sum >= limit)
            }
        };
        if op.gives {
            out = (out & !(1 << lane)) | u32::from(carried) << lane;
        }
        warp.set(Reg { row: op.d, wide: op.wide }, lane, (sum % limit) as u64);
    }
    warp.set_mask(carry_row, active, out);
}
