//! Asynchronous copies and mbarriers.

use super::class::Class;
use super::context::Decoder;
use super::memory::atom_op;
use super::op::{Bulk, BulkKind, BulkTensor, Flow, MbarrierArrive, MbarrierWait, Op, Row};
use crate::error::Result;
use crate::parse::{Operand, Type};

impl Decoder<'_> {
    /// `cp.async` and all below it, and `cp.reduce.async`.
    pub(crate) fn copy(&mut self) -> Result<()> {
        let words: Vec<&str> = self.statement.modifiers.iter().map(String::as_str).collect();
        match words[..] {
            ["async", "commit_group"] => {
                self.emit_flow(Op::CpAsyncCommit, Class::AsyncCopy, Flow::Own);
            }
            ["async", "wait_all"] => {
                let op = Op::CpAsyncWait { pending: 0, all: true };
                self.emit_flow(op, Class::AsyncCopy, Flow::Own);
            }
            ["async", "wait_group"] => {
                let pending = self.literal(0)? as u32;
                let op = Op::CpAsyncWait { pending, all: false };
                self.emit_flow(op, Class::AsyncCopy, Flow::Own);
            }
            ["async", "mbarrier", "arrive", ..] => {
                let addr = self.addr_only(0)?;
                let op = Op::CpAsyncArrive { addr, noinc: self.has("noinc") };
                self.emit_flow(op, Class::AsyncCopy, Flow::Own);
            }
            ["async", "bulk", "commit_group"] => {
                self.emit_flow(Op::BulkCommit, Class::AsyncCopy, Flow::Own);
            }
            ["async", "bulk", "wait_group", ..] => {
                let pending = self.literal(0)? as u32;
                let op = Op::BulkWait { pending, is_read: self.has("read") };
                self.emit_flow(op, Class::AsyncCopy, Flow::Own);
            }
            ["async", "bulk", "prefetch", ..] => return self.hint(),
            ["async", "bulk", "tensor", ..] | ["reduce", "async", "bulk", "tensor", ..] => {
                return self.bulk_tensor();
            }
            ["async", "bulk", ..] | ["reduce", "async", "bulk", ..] => return self.bulk(),
            ["async", "ca" | "cg", ..] => return self.cp_async(),
            _ => return self.unsupported(""),
        }
        Ok(())
    }

    fn cp_async(&mut self) -> Result<()> {
        let dst = self.addr_only(0)?;
        let src = self.addr_only(1)?;
        let bytes = self.literal(2)?;
        let allowed: &[i64] = if self.has("cg") { &[16] } else { &[4, 8, 16] };
        if !allowed.contains(&bytes) {
            return self.unsupported(&format!("size {bytes}, expected one of {allowed:?}"));
        }
        let (mut src_bytes, mut ignore, mut ignore_negated): (Row, Row, bool) = (0, 0, false);
        let extra = self.count() - usize::from(self.has("L2::cache_hint"));
        if extra > 3 {
            let operand = self.operand(3)?;
            match operand {
                Operand::Not(_) => (ignore, ignore_negated) = self.pred(operand)?,
                Operand::Register(register)
                    if self.function.registers[*register as usize] == Type::Pred =>
                {
                    (ignore, ignore_negated) = self.pred(operand)?;
                }
                _ => src_bytes = self.src_as(3, false, Type::U32)?,
            }
        }
        let bytes = bytes as u32;
        let op = Op::CpAsync { dst, src, bytes, src_bytes, ignore, ignore_negated };
        self.emit_flow(op, Class::AsyncCopy, Flow::Own);
        Ok(())
    }

    fn bulk(&mut self) -> Result<()> {
        let words: Vec<&str> = self.statement.modifiers.iter().map(String::as_str).collect();
        let spaces: Vec<&str> = words
            .iter()
            .copied()
            .filter(|w| matches!(*w, "global" | "shared::cta" | "shared::cluster"))
            .collect();
        let kind = match spaces[..] {
            ["shared::cluster" | "shared::cta", "global"] => BulkKind::Load,
            ["global", "shared::cta"] => BulkKind::Store,
            ["shared::cluster", "shared::cta"] => BulkKind::SharedToCluster,
            _ => return self.unsupported("direction"),
        };
        let mut reduce = None;
        if words[0] == "reduce" {
            let Some(op) = words.iter().find_map(|w| atom_op(w)) else {
                return self.unsupported("no operation");
            };
            reduce = Some((op, self.ty()?));
        }
        let dst = self.addr_only(0)?;
        let src = self.addr_only(1)?;
        let bytes = self.src_as(2, false, Type::U32)?;
        let mut mbarrier = None;
        let mut multicast = 0;
        if kind != BulkKind::Store {
            mbarrier = Some(self.addr_only(3)?);
            if self.has("multicast::cluster") {
                multicast = self.src_as(4, false, Type::U16)?;
            }
        }
        let bulk = Bulk { kind, dst, src, bytes, mbarrier, multicast, reduce };
        self.emit_flow(Op::Bulk(Box::new(bulk)), Class::AsyncCopy, Flow::Own);
        Ok(())
    }

    fn bulk_tensor(&mut self) -> Result<()> {
        if self
            .statement
            .modifiers
            .iter()
            .any(|m| m.starts_with("im2col") || m.starts_with("tile::"))
        {
            return self.unsupported("only plain tiles are known");
        }
        let dims = (1..=5).find(|d| self.has(&format!("{d}d")));
        let Some(dims) = dims else { return self.unsupported("no dimension") };
        let reduce = if self.statement.modifiers[0] == "reduce" {
            match self.statement.modifiers.iter().find_map(|m| atom_op(m)) {
                Some(op) => Some(op),
                None => return self.unsupported("no operation"),
            }
        } else {
            None
        };
        let is_load = self.has("mbarrier::complete_tx::bytes");
        let (tensor_at, shared_at) = if is_load { (1, 0) } else { (0, 1) };
        let Operand::Tensor(map, coordinates) = self.operand(tensor_at)? else {
            return self.unsupported("needs [map, {coordinates}]");
        };
        if coordinates.len() != dims {
            let have = coordinates.len();
            return self.unsupported(&format!("{have} coordinates, expected {dims}"));
        }
        let (map, _) = self.address(*map)?;
        let mut rows = Vec::new();
        for operand in coordinates {
            rows.push(self.source(operand, false, Type::S32)?);
        }
        let shared = self.addr_only(shared_at)?;
        let (mut mbarrier, mut multicast) = (None, 0);
        if is_load {
            mbarrier = Some(self.addr_only(2)?);
            if self.has("multicast::cluster") {
                multicast = self.src_as(3, false, Type::U16)?;
            }
        }
        let tensor =
            BulkTensor { is_load, map, coordinates: rows, shared, mbarrier, multicast, reduce };
        self.emit_flow(Op::BulkTensor(Box::new(tensor)), Class::AsyncCopy, Flow::Own);
        Ok(())
    }

    /// `mbarrier`.
    pub(crate) fn mbarrier(&mut self) -> Result<()> {
        let word = self.statement.modifiers.first().map_or("", String::as_str);
        match word {
            "init" => {
                let addr = self.addr_only(0)?;
                let count = self.src_as(1, false, Type::U32)?;
                self.emit_flow(Op::MbarrierInit { addr, count }, Class::Barrier, Flow::Own);
            }
            "inval" => {
                let addr = self.addr_only(0)?;
                self.emit_flow(Op::MbarrierInval { addr }, Class::Barrier, Flow::Own);
            }
            "arrive" | "arrive_drop" => {
                // The state result is optional in the cluster form.
                let has_state = !matches!(self.operand(0)?, Operand::Address(_));
                let at = usize::from(has_state);
                let addr = self.addr_only(at)?;
                let space = self.space(None);
                let (mut count, mut expect) = (0, 0);
                if at + 1 < self.count() {
                    let row = self.src_as(at + 1, false, Type::U32)?;
                    if self.has("expect_tx") { expect = row } else { count = row }
                }
                let mut state = 0;
                if has_state && *self.operand(0)? != Operand::Sink {
                    state = self.dst(0, true)?;
                }
                let arrive = MbarrierArrive {
                    addr,
                    space,
                    count,
                    expect,
                    drops: word == "arrive_drop",
                    expect_only: false,
                    completes: false,
                    may_not_complete: self.has("noComplete"),
                    state,
                    is_release: !self.has("relaxed"),
                };
                self.emit_flow(Op::MbarrierArrive(Box::new(arrive)), Class::Barrier, Flow::Own);
            }
            "expect_tx" | "complete_tx" => {
                let addr = self.addr_only(0)?;
                let expect = self.src_as(1, false, Type::U32)?;
                let arrive = MbarrierArrive {
                    addr,
                    space: self.space(None),
                    count: 0,
                    expect,
                    drops: false,
                    expect_only: true,
                    completes: word == "complete_tx",
                    may_not_complete: false,
                    state: 0,
                    is_release: false,
                };
                self.emit_flow(Op::MbarrierArrive(Box::new(arrive)), Class::Barrier, Flow::Own);
            }
            "test_wait" | "try_wait" => {
                let addr = self.addr_only(1)?;
                let is_parity = self.has("parity");
                let phase = if is_parity {
                    self.src_as(2, false, Type::U32)?
                } else {
                    self.src_as(2, true, Type::B64)?
                };
                let operand = self.operand(0)?;
                let (result, _) = self.pred_destination(operand)?;
                let wait = MbarrierWait {
                    addr,
                    phase,
                    is_parity,
                    is_try: word == "try_wait",
                    is_acquire: !self.has("relaxed"),
                    result,
                };
                self.emit_flow(Op::MbarrierWait(Box::new(wait)), Class::Barrier, Flow::Own);
            }
            "pending_count" => {
                let state = self.src_as(1, true, Type::B64)?;
                let d = self.dst(0, false)?;
                self.emit_flow(Op::MbarrierPending { d, state }, Class::Barrier, Flow::All);
            }
            _ => return self.unsupported(""),
        }
        Ok(())
    }
}
