//! Loads, stores, atomics, reductions, fences and address conversions.

use super::class::Class;
use super::context::Decoder;
use super::op::{Atom, AtomOp, FenceKind, Flow, Op, Order, Reg, Scope, Space};
use crate::error::Result;
use crate::parse::{Operand, Type};

impl Decoder<'_> {
    /// The state space among the modifiers; a symbol as base decides where none is written.
    pub(crate) fn space(&self, implied: Option<Space>) -> Space {
        for modifier in &self.statement.modifiers {
            let space = match modifier.as_str() {
                "global" | "const" => Space::Global,
                "shared" | "shared::cta" => Space::Shared,
                "shared::cluster" => Space::Cluster,
                "local" => Space::Local,
                "param" | "param::entry" | "param::func" => match implied {
                    Some(Space::Local) => Space::Local,
                    _ => Space::Param,
                },
                _ => continue,
            };
            return space;
        }
        Space::Generic
    }

    pub(crate) fn order(&self) -> Order {
        let mut order = Order::default();
        for modifier in &self.statement.modifiers {
            match modifier.as_str() {
                "volatile" => {
                    order.strong = true;
                    order.scope = Scope::System;
                }
                "relaxed" | "mmio" => order.strong = true,
                "acquire" => (order.strong, order.acquire) = (true, true),
                "release" => (order.strong, order.release) = (true, true),
                "acq_rel" | "sc" => {
                    (order.strong, order.acquire, order.release) = (true, true, true);
                }
                "cta" => order.scope = Scope::Cta,
                "cluster" => order.scope = Scope::Cluster,
                "gpu" | "gl" => order.scope = Scope::Gpu,
                "sys" => order.scope = Scope::System,
                _ => {}
            }
        }
        order
    }

    fn load_class(space: Space) -> Class {
        match space {
            Space::Shared | Space::Cluster => Class::LoadShared,
            Space::Local | Space::Param => Class::Local,
            Space::Global | Space::Generic => Class::LoadGlobal,
        }
    }

    fn store_class(space: Space) -> Class {
        match space {
            Space::Shared | Space::Cluster => Class::StoreShared,
            Space::Local | Space::Param => Class::Local,
            Space::Global | Space::Generic => Class::StoreGlobal,
        }
    }

    fn parts(operand: &Operand) -> Vec<&Operand> {
        match operand {
            Operand::Vector(parts) => parts.iter().collect(),
            single => vec![single],
        }
    }

    /// A vector width other than the operand's length is a mistake in the text.
    fn check_vector(&self, length: usize) -> Result<()> {
        let want = match () {
            () if self.has("v2") => 2,
            () if self.has("v4") => 4,
            () if self.has("v8") => 8,
            () => 1,
        };
        if want == length {
            return Ok(());
        }
        self.unsupported(&format!("{length} registers for a vector of {want}"))
    }

    /// `ld`, `ldu`.
    pub(crate) fn load(&mut self) -> Result<()> {
        let ty = self.ty()?;
        let (addr, implied) = self.addr(1)?;
        let space = self.space(implied);
        let mut dst = Vec::new();
        let parts = Self::parts(self.operand(0)?);
        self.check_vector(parts.len())?;
        for part in parts {
            let reg = self.destination_any(part, ty.bytes() == 8)?;
            if *part != Operand::Sink {
                self.write(reg.row);
            }
            dst.push(reg);
        }
        let (bytes, signed) = (ty.bytes() as u8, ty.is_signed());
        let order = self.order();
        let op = Op::Load { space, bytes, signed, dst: dst.into(), addr, order };
        self.emit_flow(op, Self::load_class(space), Flow::Own);
        Ok(())
    }

    /// `st`.
    pub(crate) fn store(&mut self) -> Result<()> {
        if self.has("async") {
            return self.store_async();
        }
        let ty = self.ty()?;
        let (addr, implied) = self.addr(0)?;
        let space = self.space(implied);
        let mut src = Vec::new();
        let parts = Self::parts(self.operand(1)?);
        self.check_vector(parts.len())?;
        for part in parts {
            src.push(self.source_any(part, ty.bytes() == 8, ty)?);
        }
        let order = self.order();
        let op = Op::Store { space, bytes: ty.bytes() as u8, src: src.into(), addr, order };
        self.emit_flow(op, Self::store_class(space), Flow::Own);
        Ok(())
    }

    /// `st.async`, and `red.async` where an operation is named.
    fn store_async(&mut self) -> Result<()> {
        let ty = self.ty()?;
        let reduce = match self.statement.modifiers.iter().find_map(|m| atom_op(m)) {
            Some(op) if self.statement.opcode == "red" => Some((op, ty)),
            None if self.statement.opcode == "st" => None,
            _ => return self.unsupported("operation"),
        };
        let addr = self.addr_only(0)?;
        let mbarrier = self.addr_only(2)?;
        let mut src = Vec::new();
        for part in Self::parts(self.operand(1)?) {
            src.push(self.source_any(part, ty.bytes() == 8, ty)?);
        }
        let (src, bytes) = (src.into(), ty.bytes() as u8);
        let op = Op::StoreAsync { addr, src, bytes, mbarrier, reduce };
        self.emit_flow(op, Class::StoreShared, Flow::Own);
        Ok(())
    }

    /// `atom` and `red`.
    pub(crate) fn atomic(&mut self) -> Result<()> {
        if self.has("async") {
            return self.store_async();
        }
        let returns = self.statement.opcode == "atom";
        let ty = self.ty()?;
        let Some(op) = self.statement.modifiers.iter().find_map(|m| atom_op(m)) else {
            return self.unsupported("no operation");
        };
        let known = match op {
            AtomOp::Add | AtomOp::Min | AtomOp::Max => ty != Type::Pred,
            AtomOp::Inc | AtomOp::Dec => ty == Type::U32,
            _ => ty.is_integer(),
        };
        if !known {
            return self.unsupported("");
        }
        let first = usize::from(returns);
        let (addr, implied) = self.addr(first)?;
        let space = self.space(implied);
        let wide = ty.bytes() == 8;
        let mut dst = Vec::new();
        if returns {
            for part in Self::parts(self.operand(0)?) {
                let reg = self.destination_any(part, wide)?;
                if *part != Operand::Sink {
                    self.write(reg.row);
                }
                dst.push(reg);
            }
        }
        let mut src = Vec::new();
        let mut compare = None;
        if op == AtomOp::CompareSwap {
            let operand = self.operand(first + 1)?;
            compare = Some(self.source_any(operand, wide, ty)?);
            let operand = self.operand(first + 2)?;
            src.push(self.source_any(operand, wide, ty)?);
        } else {
            for part in Self::parts(self.operand(first + 1)?) {
                src.push(self.source_any(part, wide, ty)?);
            }
        }
        let mut order = self.order();
        if !self.statement.modifiers.iter().any(|m| matches!(m.as_str(), "cta" | "cluster" | "sys"))
        {
            order.scope = Scope::Gpu;
        }
        order.strong = true;
        let atom = Atom { space, op, ty, dst, addr, src, compare, order };
        self.emit_flow(Op::Atom(Box::new(atom)), Class::Atomic, Flow::Own);
        Ok(())
    }

    /// `fence` and `membar`.
    pub(crate) fn fence(&mut self) -> Result<()> {
        let has = |word: &str| self.has(word);
        let kind = if has("mbarrier_init") {
            FenceKind::MbarrierInit
        } else if has("proxy") {
            if self.statement.modifiers.iter().any(|m| m.starts_with("async")) {
                FenceKind::ProxyAsync
            } else {
                FenceKind::Other
            }
        } else {
            let mut order = self.order();
            if !order.acquire && !order.release {
                (order.acquire, order.release) = (true, true);
            }
            FenceKind::Memory(order)
        };
        self.emit_flow(Op::Fence(kind), Class::Barrier, Flow::Own);
        Ok(())
    }

    /// `cvta`: between a state space and generic addresses.
    pub(crate) fn convert_address(&mut self) -> Result<()> {
        let wide = self.ty()?.bytes() == 8;
        let ty = self.ty()?;
        let source = self.operand(1)?;
        let a = Reg { row: self.source(source, wide, ty)?, wide };
        let d = Reg { row: self.dst(0, wide)?, wide };
        let space = self.space(None);
        let op = if self.has("to") {
            Op::FromGeneric { space, d, a }
        } else {
            Op::ToGeneric { space, d, a }
        };
        self.emit(op, Class::Integer);
        Ok(())
    }

    /// `isspacep`.
    pub(crate) fn is_space(&mut self) -> Result<()> {
        let source = self.operand(1)?;
        let a = self.source_any(source, true, Type::B64)?;
        let operand = self.operand(0)?;
        let (d, _) = self.pred_destination(operand)?;
        let space = self.space(None);
        self.emit(Op::IsSpace { space, d, a }, Class::Predicate);
        Ok(())
    }

    /// `mapa` and `getctarank`.
    pub(crate) fn map_address(&mut self) -> Result<()> {
        let ty = self.ty()?;
        let wide = ty.bytes() == 8;
        let generic = self.space(None) == Space::Generic;
        let operand = self.operand(1)?;
        if self.statement.opcode == "getctarank" {
            let a = Reg { row: self.source(operand, wide, ty)?, wide };
            let d = self.dst(0, false)?;
            self.emit(Op::CtaRank { d, a }, Class::Integer);
            return Ok(());
        }
        let a = Reg { row: self.source(operand, wide, ty)?, wide };
        let rank = self.src_as(2, false, Type::U32)?;
        let d = Reg { row: self.dst(0, wide)?, wide };
        self.emit(Op::Mapa { d, a, rank, generic }, Class::Integer);
        Ok(())
    }
}

pub(crate) fn atom_op(word: &str) -> Option<AtomOp> {
    Some(match word {
        "add" => AtomOp::Add,
        "min" => AtomOp::Min,
        "max" => AtomOp::Max,
        "and" => AtomOp::And,
        "or" => AtomOp::Or,
        "xor" => AtomOp::Xor,
        "inc" => AtomOp::Inc,
        "dec" => AtomOp::Dec,
        "exch" => AtomOp::Exchange,
        "cas" => AtomOp::CompareSwap,
        _ => return None,
    })
}
