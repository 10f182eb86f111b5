//! Atomic operations, in memory and in bulk reductions.

use super::access::{advance, place_key};
use super::exec::{After, Exec};
use super::memory::{DEFINED, UNDEFINED, UNINIT};
use super::warp::{Lanes, Warp};
use crate::checks::{FindingKind, Kind};
use crate::decode::{Atom, AtomOp, Inst};
use crate::number::{bf16x2, f16x2, halves};
use crate::parse::Type;

/// The new value of a place that holds `old`.
pub(crate) fn apply(op: AtomOp, ty: Type, old: u64, b: u64, compare: u64) -> u64 {
    let mask = if ty.bytes() >= 8 { u64::MAX } else { (1 << (8 * ty.bytes())) - 1 };
    let (old, b) = (old & mask, b & mask);
    let single = |bits: u64| f32::from_bits(bits as u32);
    let new = match (op, ty) {
        (AtomOp::Exchange, _) => b,
        (AtomOp::CompareSwap, _) => {
            if old == compare & mask {
                b
            } else {
                old
            }
        }
        (AtomOp::And, _) => old & b,
        (AtomOp::Or, _) => old | b,
        (AtomOp::Xor, _) => old ^ b,
        (AtomOp::Inc, _) => {
            if old >= b {
                0
            } else {
                old + 1
            }
        }
        (AtomOp::Dec, _) => {
            if old == 0 || old > b {
                b
            } else {
                old - 1
            }
        }
        (AtomOp::Add, Type::F32) => u64::from((single(old) + single(b)).to_bits()),
        (AtomOp::Min, Type::F32) => {
            u64::from(crate::number::min_f32(single(old), single(b)).to_bits())
        }
        (AtomOp::Max, Type::F32) => {
            u64::from(crate::number::max_f32(single(old), single(b)).to_bits())
        }
        (AtomOp::Add, Type::F64) => (f64::from_bits(old) + f64::from_bits(b)).to_bits(),
        (AtomOp::Add, Type::F16 | Type::F16x2) => {
            u64::from(halves(old as u32, b as u32, 0, |x, y, _| f16x2::add(x, y)))
        }
        (AtomOp::Min, Type::F16 | Type::F16x2) => {
            u64::from(halves(old as u32, b as u32, 0, |x, y, _| f16x2::min(x, y, false)))
        }
        (AtomOp::Max, Type::F16 | Type::F16x2) => {
            u64::from(halves(old as u32, b as u32, 0, |x, y, _| f16x2::max(x, y, false)))
        }
        (AtomOp::Add, Type::Bf16 | Type::Bf16x2) => {
            u64::from(halves(old as u32, b as u32, 0, |x, y, _| bf16x2::add(x, y)))
        }
        (AtomOp::Min, Type::Bf16 | Type::Bf16x2) => {
            u64::from(halves(old as u32, b as u32, 0, |x, y, _| bf16x2::min(x, y, false)))
        }
        (AtomOp::Max, Type::Bf16 | Type::Bf16x2) => {
            u64::from(halves(old as u32, b as u32, 0, |x, y, _| bf16x2::max(x, y, false)))
        }
        (AtomOp::Add, _) => old.wrapping_add(b),
        (AtomOp::Min, Type::S32) => u64::from((old as i32).min(b as i32) as u32),
        (AtomOp::Max, Type::S32) => u64::from((old as i32).max(b as i32) as u32),
        (AtomOp::Min, Type::S64) => (old as i64).min(b as i64) as u64,
        (AtomOp::Max, Type::S64) => (old as i64).max(b as i64) as u64,
        (AtomOp::Min, _) => old.min(b),
        (AtomOp::Max, _) => old.max(b),
    };
    new & mask
}

impl Exec<'_> {
    pub(crate) fn atom<const C: bool>(
        &mut self,
        warp: &mut Warp,
        inst: &Inst,
        active: u32,
        atom: &Atom,
    ) -> After {
        let bytes = atom.ty.bytes();
        let total = bytes * atom.src.len();
        if C {
            self.check_address(warp, inst, atom.addr.base, active);
        }
        let mut signature = 0u64;
        let mut changed = false;
        let mut addresses = [0u64; 32];
        for lane in Lanes(active) {
            let address = Self::address(warp, atom.addr, lane);
            addresses[lane] = address;
            let Some(place) = self.resolve(warp, inst, lane, atom.space, address, total, true)
            else {
                continue;
            };
            if C && self.options.checks.race {
                let key = place_key(place, address);
                let mut order = atom.order;
                self.subscribe(warp, lane, key, order);
                self.race(warp, inst, lane, place, address, total, true, Kind::Strong, false);
                order.acquire = false;
                self.publish(warp, lane, key, order);
            }
            for (index, source) in atom.src.iter().enumerate() {
                let part = advance(place, index * bytes);
                let (old, state) = self.read_place::<C>(warp, part, bytes);
                if C && state == UNINIT && self.options.checks.init {
                    let kind = match place {
                        super::access::Place::Shared { .. } => FindingKind::UninitShared,
                        _ => FindingKind::UninitGlobal,
                    };
                    let message = "an atomic operation on memory that nobody has written".into();
                    self.report(kind, warp, inst, Some(lane as u32), Some(address), None, message);
                }
                let compare = atom.compare.map_or(0, |reg| warp.value(reg, lane));
                let value = warp.value(*source, lane);
                let new = apply(atom.op, atom.ty, old, value, compare);
                let known = !C || warp.defined(source.row) >> lane & 1 == 1;
                let state = if known && state != UNDEFINED { DEFINED } else { UNDEFINED };
                self.write_place::<C>(warp, part, bytes, new, state);
                changed |= new != old;
                signature = (signature ^ old ^ address).wrapping_mul(0x0100_0000_01b3);
                if let Some(reg) = atom.dst.get(index) {
                    warp.set(*reg, lane, old);
                    warp.set_defined(reg.row, 1 << lane, u32::MAX, u32::MAX);
                }
            }
        }
        self.count_access(atom.space, &addresses, active, total, true);
        if changed {
            self.note_change();
        }
        if self.poll(warp, inst, signature) && !changed {
            return After::Yield;
        }
        After::Next
    }
}
