//! Warp collectives that exchange values: shuffles, votes, matches, reductions, elections.

use super::exec::{After, Exec};
use super::warp::{Lanes, Warp};
use crate::checks::FindingKind;
use crate::decode::{AtomOp, Inst, Op, Row, ShflMode, VoteMode};
use crate::parse::Type;

impl Exec<'_> {
    pub(crate) fn collective<const C: bool>(
        &mut self,
        warp: &mut Warp,
        current: usize,
        inst: &Inst,
        active: u32,
    ) -> After {
        let row = match &inst.op {
            Op::Shfl { mask, .. }
            | Op::Vote { mask, .. }
            | Op::Match { mask, .. }
            | Op::Redux { mask, .. }
            | Op::Elect { mask, .. } => *mask,
            _ => return After::Next,
        };
        let masks = *warp.r32(row);
        let union = Lanes(active).fold(0, |all, lane| all | masks[lane]);
        if self.options.checks.sync
            && let Some(lane) = Lanes(active).find(|lane| masks[*lane] >> lane & 1 == 0)
        {
            let message = format!("the lane is not in its own mask {:#010x}", masks[lane]);
            let kind = FindingKind::DivergentCollective;
            self.report(kind, warp, inst, Some(lane as u32), None, None, message);
        }
        if !std::mem::take(&mut warp.forced) && !self.converge(warp, current, active, union) {
            return After::Regroup;
        }
        // Tiles of a warp name masks of their own and do not see each other.
        let mut rest = active;
        while rest != 0 {
            let mask = masks[rest.trailing_zeros() as usize];
            let tile = Lanes(rest).filter(|lane| masks[*lane] == mask).fold(0, |m, l| m | 1 << l);
            self.exchange::<C>(warp, inst, tile, mask);
            rest &= !tile;
        }
        After::Next
    }

    /// What the lanes of one mask do together.
    fn exchange<const C: bool>(&mut self, warp: &mut Warp, inst: &Inst, active: u32, mask: u32) {
        match &inst.op {
            Op::Shfl { mode, d, p, a, b, c, .. } => {
                self.shuffle::<C>(warp, inst, active, (*mode, *d, *p), (*a, *b, *c), mask);
            }
            Op::Vote { mode, d, a, negated, .. } => {
                let value = if *negated { !warp.mask(*a) } else { warp.mask(*a) };
                let known = warp.defined(*a) & active == active;
                let members = active & mask;
                let votes = value & members;
                let known = if known { u32::MAX } else { 0 };
                match mode {
                    VoteMode::Ballot => {
                        for lane in Lanes(active) {
                            warp.w32(*d)[lane] = votes;
                        }
                    }
                    VoteMode::All => warp.set_mask(*d, active, all(votes == members)),
                    VoteMode::Any => warp.set_mask(*d, active, all(votes != 0)),
                    VoteMode::Uniform => {
                        warp.set_mask(*d, active, all(votes == 0 || votes == members));
                    }
                }
                warp.set_defined(*d, active, known, known);
            }
            Op::Match { all: is_all, d, p, a, .. } => {
                let members = active & mask;
                let mut equal = [0u32; 32];
                for lane in Lanes(members) {
                    let value = warp.value(*a, lane);
                    for other in Lanes(members) {
                        equal[lane] |= u32::from(warp.value(*a, other) == value) << other;
                    }
                }
                let mut same = 0;
                for lane in Lanes(active) {
                    if *is_all {
                        let everyone = equal[lane] == members;
                        same |= u32::from(everyone) << lane;
                        equal[lane] = if everyone { members } else { 0 };
                    }
                    warp.w32(*d)[lane] = equal[lane];
                }
                warp.set_mask(*p, active, same);
                let known = if warp.defined(a.row) & active == active { u32::MAX } else { 0 };
                warp.set_defined(*d, active, known, known);
                warp.set_defined(*p, active, known, known);
            }
            Op::Redux { op, signed, d, a, .. } => {
                let members = active & mask;
                let ty = if *signed { Type::S32 } else { Type::U32 };
                let mut values = Lanes(members).map(|lane| u64::from(warp.r32(*a)[lane]));
                let first = values.next().unwrap_or(0);
                let sum = values.fold(first, |x, y| reduce(*op, ty, x, y)) as u32;
                for lane in Lanes(active) {
                    warp.w32(*d)[lane] = sum;
                }
                let known = if warp.defined(*a) & active == active { u32::MAX } else { 0 };
                warp.set_defined(*d, active, known, known);
            }
            Op::Elect { d, p, .. } => {
                let leader = (active & mask).trailing_zeros() & 31;
                for lane in Lanes(active) {
                    warp.w32(*d)[lane] = leader;
                }
                warp.set_mask(*p, active, 1 << leader);
                warp.set_defined(*d, active, u32::MAX, u32::MAX);
                warp.set_defined(*p, active, u32::MAX, u32::MAX);
            }
            _ => {}
        }
    }

    fn shuffle<const C: bool>(
        &mut self,
        warp: &mut Warp,
        inst: &Inst,
        active: u32,
        (mode, d, p): (ShflMode, Row, Row),
        (a, b, c): (Row, Row, Row),
        mask: u32,
    ) {
        let source = *warp.r32(a);
        let [low, high] = warp.halves(a);
        let (mut result, mut valid) = ([0u32; 32], 0u32);
        let (mut known_low, mut known_high) = (0u32, 0u32);
        let members = active & mask;
        for lane in Lanes(active) {
            let amount = warp.r32(b)[lane] & 0x1f;
            let control = warp.r32(c)[lane];
            let segment = control >> 8 & 0x1f;
            let clamp = control & 0x1f;
            let lane_index = lane as u32;
            let max_lane = (lane_index & segment) | (clamp & !segment);
            let min_lane = lane_index & segment;
            let (from, inside) = match mode {
                // For `up` the clamp bounds from below.
                ShflMode::Up => {
                    let from = lane_index as i32 - amount as i32;
                    (from, from >= max_lane as i32)
                }
                ShflMode::Down => {
                    let from = (lane_index + amount) as i32;
                    (from, from <= max_lane as i32)
                }
                ShflMode::Butterfly => {
                    let from = (lane_index ^ amount) as i32;
                    (from, from <= max_lane as i32)
                }
                ShflMode::Index => {
                    let from = (min_lane | (amount & !segment)) as i32;
                    (from, from <= max_lane as i32)
                }
            };
            let from = if inside { from as usize & 31 } else { lane };
            valid |= u32::from(inside) << lane;
            result[lane] = source[from];
            if members >> from & 1 == 0 && from != lane {
                if self.options.checks.sync {
                    let message = format!("reads lane {from}, which does not take part");
                    let kind = FindingKind::ShflInactive;
                    self.report(kind, warp, inst, Some(lane_index), None, None, message);
                }
                continue;
            }
            known_low |= (low >> from & 1) << lane;
            known_high |= (high >> from & 1) << lane;
        }
        let target = warp.w32(d);
        for lane in Lanes(active) {
            target[lane] = result[lane];
        }
        warp.set_mask(p, active, valid);
        if C {
            warp.set_defined(d, active, known_low, known_high);
            if p != 0 {
                warp.set_defined(p, active, u32::MAX, u32::MAX);
            }
        }
    }
}

fn all(claim: bool) -> u32 {
    if claim { u32::MAX } else { 0 }
}

fn reduce(op: AtomOp, ty: Type, x: u64, y: u64) -> u64 {
    super::atomic::apply(op, ty, x, y, 0)
}
