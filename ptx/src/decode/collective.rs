//! Warp collectives and barriers.

use super::class::Class;
use super::context::Decoder;
use super::memory::atom_op;
use super::op::{BarKind, Flow, Op, Reg, ShflMode, VoteMode};
use crate::error::Result;
use crate::parse::{Immediate, Operand, Type};

impl Decoder<'_> {
    pub(crate) fn shuffle(&mut self) -> Result<()> {
        if !self.has("sync") {
            return self.unsupported("only the .sync form exists on this target");
        }
        let mode = match () {
            () if self.has("up") => ShflMode::Up,
            () if self.has("down") => ShflMode::Down,
            () if self.has("bfly") => ShflMode::Butterfly,
            () if self.has("idx") => ShflMode::Index,
            () => return self.unsupported(""),
        };
        let a = self.src(1, false)?;
        let b = self.src_as(2, false, Type::U32)?;
        let c = self.src_as(3, false, Type::U32)?;
        let mask = self.src_as(4, false, Type::B32)?;
        let d = self.dst(0, false)?;
        let p = self.pair_pred(0)?;
        let op = Op::Shfl { mode, d, p, a, b, c, mask };
        self.emit_flow(op, Class::Collective, Flow::Own);
        Ok(())
    }

    pub(crate) fn vote(&mut self) -> Result<()> {
        let mode = match () {
            () if self.has("all") => VoteMode::All,
            () if self.has("any") => VoteMode::Any,
            () if self.has("uni") => VoteMode::Uniform,
            () if self.has("ballot") => VoteMode::Ballot,
            () => return self.unsupported(""),
        };
        let operand = self.operand(1)?;
        let (a, negated) = self.pred(operand)?;
        let mask = self.src_as(2, false, Type::B32)?;
        let operand = self.operand(0)?;
        let d = if mode == VoteMode::Ballot {
            self.dst(0, false)?
        } else {
            self.pred_destination(operand)?.0
        };
        self.emit_flow(Op::Vote { mode, d, a, negated, mask }, Class::Collective, Flow::Own);
        Ok(())
    }

    pub(crate) fn match_lanes(&mut self) -> Result<()> {
        let wide = self.ty()?.bytes() == 8;
        let a = Reg { row: self.src(1, wide)?, wide };
        let mask = self.src_as(2, false, Type::B32)?;
        let d = self.dst(0, false)?;
        let p = self.pair_pred(0)?;
        let op = Op::Match { all: self.has("all"), d, p, a, mask };
        self.emit_flow(op, Class::Collective, Flow::Own);
        Ok(())
    }

    pub(crate) fn redux(&mut self) -> Result<()> {
        let ty = self.ty()?;
        let op = self.statement.modifiers.iter().find_map(|m| atom_op(m));
        let (Some(op), true) = (op, ty.is_integer()) else { return self.unsupported("") };
        let a = self.src(1, false)?;
        let mask = self.src_as(2, false, Type::B32)?;
        let d = self.dst(0, false)?;
        let op = Op::Redux { op, signed: ty.is_signed(), d, a, mask };
        self.emit_flow(op, Class::Collective, Flow::Own);
        Ok(())
    }

    pub(crate) fn active_mask(&mut self) -> Result<()> {
        let d = self.dst(0, false)?;
        self.emit(Op::ActiveMask { d }, Class::Collective);
        Ok(())
    }

    pub(crate) fn elect(&mut self) -> Result<()> {
        let mask = self.src_as(1, false, Type::B32)?;
        let d = self.dst(0, false)?;
        let p = self.pair_pred(0)?;
        self.emit_flow(Op::Elect { d, p, mask }, Class::Collective, Flow::Own);
        Ok(())
    }

    /// `bar` and `barrier`, of warps, CTAs and clusters.
    pub(crate) fn barrier(&mut self) -> Result<()> {
        if self.has("warp") {
            let mask = self.src_as(0, false, Type::B32)?;
            self.emit_flow(Op::WarpSync { mask }, Class::Barrier, Flow::Own);
            return Ok(());
        }
        if self.has("cluster") {
            let aligned = self.has("aligned");
            let op = if self.has("arrive") {
                // Without a qualifier the arrival releases and the wait acquires.
                Op::ClusterArrive { aligned, release: !self.has("relaxed") }
            } else {
                Op::ClusterWait { aligned }
            };
            self.emit_flow(op, Class::Barrier, Flow::Own);
            return Ok(());
        }
        let aligned = self.statement.opcode == "bar" || self.has("aligned");
        let mut first = 0;
        let (mut d, mut p, mut p_negated) = (0, 0, false);
        let kind = match () {
            () if self.has("sync") => BarKind::Sync,
            () if self.has("arrive") => BarKind::Arrive,
            () if self.has("popc") => BarKind::Popc,
            () if self.has("and") => BarKind::And,
            () if self.has("or") => BarKind::Or,
            () => return self.unsupported(""),
        };
        let mut last = self.count();
        if !matches!(kind, BarKind::Sync | BarKind::Arrive) {
            first = 1;
            last -= 1;
            let operand = self.operand(last)?;
            (p, p_negated) = self.pred(operand)?;
            d = if kind == BarKind::Popc {
                self.dst(0, false)?
            } else {
                let operand = self.operand(0)?;
                self.pred_destination(operand)?.0
            };
        }
        let id = self.src_as(first, false, Type::U32)?;
        let count = if first + 1 < last { self.src_as(first + 1, false, Type::U32)? } else { 0 };
        let op = Op::Bar { kind, id, count, d, p, p_negated, aligned };
        self.emit_flow(op, Class::Barrier, Flow::Own);
        Ok(())
    }

    /// A literal that must be known when the kernel is decoded.
    pub(crate) fn literal(&self, index: usize) -> Result<i64> {
        match self.operand(index)? {
            Operand::Immediate(Immediate::Int(value)) => Ok(*value as i64),
            _ => self.unsupported(&format!("operand {} must be a literal", index + 1)),
        }
    }

    pub(crate) fn set_max_registers(&mut self) -> Result<()> {
        let count = self.literal(0)? as u32;
        if !(24..=256).contains(&count) || !count.is_multiple_of(8) {
            return self.unsupported("the count must be a multiple of 8 from 24 to 256");
        }
        let op = Op::SetMaxRegisters { count, increase: self.has("inc") };
        self.emit_flow(op, Class::Control, Flow::Own);
        Ok(())
    }
}
