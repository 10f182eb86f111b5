//! Comparisons, selections and predicate logic.
// With a NaN, "not less" and "greater or equal" differ, and so do "not equal" and "less or greater".
#![allow(clippy::neg_cmp_op_on_partial_ord, clippy::double_comparisons)]

use super::class::Class;
use super::context::Decoder;
use super::op::{Flow, Op, Row};
use super::row::{PredFn, RowFn, pred_row, row};
use crate::error::Result;
use crate::number::{flush, to_f32_bf16, to_f32_f16};
use crate::parse::{Operand, Type};

/// One comparison function for a type, by the name of the comparison.
macro_rules! ordered {
    ($word:expr, |$a:ident : $t:ty, $b:ident| $x:expr, $y:expr) => {
        match $word {
            "eq" => Some(pred_row!(|$a: $t, $b: $t| $x == $y)),
            "ne" => Some(pred_row!(|$a: $t, $b: $t| $x != $y)),
            "lt" | "lo" => Some(pred_row!(|$a: $t, $b: $t| $x < $y)),
            "le" | "ls" => Some(pred_row!(|$a: $t, $b: $t| $x <= $y)),
            "gt" | "hi" => Some(pred_row!(|$a: $t, $b: $t| $x > $y)),
            "ge" | "hs" => Some(pred_row!(|$a: $t, $b: $t| $x >= $y)),
            _ => None,
        }
    };
}

/// The same for floats: ordered comparisons are false with a NaN, the `u` forms true.
macro_rules! floating {
    ($word:expr, |$a:ident : $t:ty, $b:ident| $x:expr, $y:expr) => {
        match $word {
            "eq" => Some(pred_row!(|$a: $t, $b: $t| $x == $y)),
            "ne" => Some(pred_row!(|$a: $t, $b: $t| $x < $y || $x > $y)),
            "lt" => Some(pred_row!(|$a: $t, $b: $t| $x < $y)),
            "le" => Some(pred_row!(|$a: $t, $b: $t| $x <= $y)),
            "gt" => Some(pred_row!(|$a: $t, $b: $t| $x > $y)),
            "ge" => Some(pred_row!(|$a: $t, $b: $t| $x >= $y)),
            "equ" => Some(pred_row!(|$a: $t, $b: $t| !($x < $y || $x > $y))),
            "neu" => Some(pred_row!(|$a: $t, $b: $t| $x != $y)),
            "ltu" => Some(pred_row!(|$a: $t, $b: $t| !($x >= $y))),
            "leu" => Some(pred_row!(|$a: $t, $b: $t| !($x > $y))),
            "gtu" => Some(pred_row!(|$a: $t, $b: $t| !($x <= $y))),
            "geu" => Some(pred_row!(|$a: $t, $b: $t| !($x < $y))),
            "num" => Some(pred_row!(|$a: $t, $b: $t| !$x.is_nan() && !$y.is_nan())),
            "nan" => Some(pred_row!(|$a: $t, $b: $t| $x.is_nan() || $y.is_nan())),
            _ => None,
        }
    };
}

/// The comparison of a type, and for packed types of the low or the high halves.
fn comparison(word: &str, ty: Type, ftz: bool, upper: bool) -> Option<PredFn> {
    match ty {
        Type::U8 | Type::U16 | Type::B16 => ordered!(word, |a: u32, b| (a & 0xffff), (b & 0xffff)),
        Type::S16 => ordered!(word, |a: u32, b| (a as i16), (b as i16)),
        Type::U32 | Type::B32 => ordered!(word, |a: u32, b| a, b),
        Type::S32 => ordered!(word, |a: i32, b| a, b),
        Type::U64 | Type::B64 => ordered!(word, |a: u64, b| a, b),
        Type::S64 => ordered!(word, |a: i64, b| a, b),
        Type::F32 if ftz => floating!(word, |a: f32, b| flush(a), flush(b)),
        Type::F32 => floating!(word, |a: f32, b| a, b),
        Type::F64 => floating!(word, |a: f64, b| a, b),
        Type::F16x2 if upper => {
            floating!(word, |a: u32, b| to_f32_f16(a >> 16), to_f32_f16(b >> 16))
        }
        Type::F16 | Type::F16x2 => {
            floating!(word, |a: u32, b| to_f32_f16(a & 0xffff), to_f32_f16(b & 0xffff))
        }
        Type::Bf16x2 if upper => {
            floating!(word, |a: u32, b| to_f32_bf16(a >> 16), to_f32_bf16(b >> 16))
        }
        Type::Bf16 | Type::Bf16x2 => {
            floating!(word, |a: u32, b| to_f32_bf16(a & 0xffff), to_f32_bf16(b & 0xffff))
        }
        _ => None,
    }
}

impl Decoder<'_> {
    /// `setp`, with an optional boolean combination.
    pub(crate) fn set_predicate(&mut self) -> Result<()> {
        let ty = self.ty()?;
        let ftz = self.has("ftz");
        let word = self.statement.modifiers.first().map_or("", String::as_str);
        let Some(f) = comparison(word, ty, ftz, false) else { return self.unsupported("") };
        let src = self.compare_sources(1, ty.bytes() == 8)?;
        let (mut combine, mut c, mut c_negated) = (0, 0, false);
        for (code, name) in [(1, "and"), (2, "or"), (3, "xor")] {
            if self.has(name) {
                let operand = self.operand(3)?;
                (c, c_negated) = self.pred(operand)?;
                combine = code;
            }
        }
        let operand = self.operand(0)?;
        let (d, d_not) = self.pred_destination(operand)?;
        if matches!(ty, Type::F16x2 | Type::Bf16x2) {
            // The packed form gives the low comparison in the first predicate, the high in the second.
            let Some(high) = comparison(word, ty, ftz, true) else { return self.unsupported("") };
            let op = Op::Compare { f, d, d_not: 0, src, combine, c, c_negated };
            self.emit(op, Class::Predicate);
            src.iter().filter(|row| **row != 0).for_each(|row| self.read(*row));
            if d_not != 0 {
                self.write(d_not);
                let op = Op::Compare { f: high, d: d_not, d_not: 0, src, combine, c, c_negated };
                self.emit(op, Class::Predicate);
            }
            return Ok(());
        }
        self.emit(Op::Compare { f, d, d_not, src, combine, c, c_negated }, Class::Predicate);
        Ok(())
    }

    /// `set`: the result is a value, all ones, 1.0 or zero.
    pub(crate) fn set_value(&mut self) -> Result<()> {
        let types = self.types();
        let [to, from] = types[..] else { return self.unsupported("two types are needed") };
        let word = self.statement.modifiers.first().map_or("", String::as_str);
        let ftz = self.has("ftz");
        if self.count() != 3 {
            return self.unsupported("boolean combination");
        }
        let Some(f) = comparison(word, from, ftz, false) else { return self.unsupported("") };
        let wide = from.bytes() == 8;
        let src = [self.src_as(1, wide, from)?, self.src_as(2, wide, from)?, 0, 0];
        let value = match to {
            Type::F32 => 1f32.to_bits(),
            Type::U32 | Type::S32 => u32::MAX,
            Type::F16 | Type::F16x2 => 0x3c00,
            Type::Bf16 | Type::Bf16x2 => 0x3f80,
            Type::U16 | Type::S16 => 0xffff,
            _ => return self.unsupported(""),
        };
        let d = self.dst(0, false)?;
        if matches!(from, Type::F16x2 | Type::Bf16x2) {
            let Some(high) = comparison(word, from, ftz, true) else { return self.unsupported("") };
            let one =
                if to.bytes() == 2 || value == 0x3c00 || value == 0x3f80 { value } else { 0xffff };
            let low_row = self.next_row;
            self.next_row += 2;
            self.write(low_row);
            self.emit(Op::CompareSet { f, d: low_row, src, value: one }, Class::Half);
            src.iter().filter(|row| **row != 0).for_each(|row| self.read(*row));
            self.write(low_row + 1);
            let op = Op::CompareSet { f: high, d: low_row + 1, src, value: one };
            self.emit(op, Class::Half);
            self.read(low_row);
            self.read(low_row + 1);
            self.write(d);
            let join: RowFn = row!(|a: u32, b: u32| -> u32 { a | b << 16 });
            let op = Op::Map { f: join, d, wide: false, src: [low_row, low_row + 1, 0, 0] };
            self.emit(op, Class::Half);
            return Ok(());
        }
        self.emit(Op::CompareSet { f, d, src, value }, Class::Integer);
        Ok(())
    }

    /// `selp`.
    pub(crate) fn select(&mut self) -> Result<()> {
        let wide = self.ty()?.bytes() == 8;
        let (a, b) = (self.src(1, wide)?, self.src(2, wide)?);
        let operand = self.operand(3)?;
        let (p, negated) = self.pred(operand)?;
        let d = self.dst(0, wide)?;
        self.emit_flow(Op::Select { d, a, b, p, negated, wide }, Class::Move, Flow::Own);
        Ok(())
    }

    /// `slct`: the first value where the third operand is not negative.
    pub(crate) fn select_by_sign(&mut self) -> Result<()> {
        let types = self.types();
        let [ty, by] = types[..] else { return self.unsupported("two types are needed") };
        let f: RowFn = match (ty.bytes() == 8, by) {
            (false, Type::S32) => {
                row!(|a: u32, b: u32, c: i32| -> u32 { if c >= 0 { a } else { b } })
            }
            (true, Type::S32) => {
                row!(|a: u64, b: u64, c: i32| -> u64 { if c >= 0 { a } else { b } })
            }
            (false, Type::F32) => {
                row!(|a: u32, b: u32, c: f32| -> u32 { if c >= 0.0 { a } else { b } })
            }
            (true, Type::F32) => {
                row!(|a: u64, b: u64, c: f32| -> u64 { if c >= 0.0 { a } else { b } })
            }
            _ => return self.unsupported(""),
        };
        let wide = ty.bytes() == 8;
        self.map(f, &[wide, wide, wide, false], Class::Move)
    }

    /// `and.pred` and friends.
    pub(crate) fn pred_logic(&mut self) -> Result<()> {
        let f: fn(u32, u32) -> u32 = match self.statement.opcode.as_str() {
            "and" => |a, b| a & b,
            "or" => |a, b| a | b,
            "xor" => |a, b| a ^ b,
            "not" => |a, _| !a,
            _ => return self.unsupported(""),
        };
        let first = self.operand(1)?;
        let (a, a_negated) = self.pred(first)?;
        let (mut b, mut b_negated): (Row, bool) = (a, a_negated);
        if self.statement.opcode != "not" {
            let second = self.operand(2)?;
            (b, b_negated) = self.pred(second)?;
        }
        let operand = self.operand(0)?;
        let (d, _) = self.pred_destination(operand)?;
        let op = Op::PredLogic { f, d, a, b, a_negated, b_negated };
        self.emit_flow(op, Class::Predicate, Flow::Own);
        Ok(())
    }

    /// `mov` in all its forms: plain, packing, unpacking, predicates, clocks, addresses.
    pub(crate) fn mov(&mut self) -> Result<()> {
        let ty = self.ty()?;
        let wide = ty.bytes() == 8;
        let (to, from) = (self.operand(0)?, self.operand(1)?);
        if ty == Type::Pred {
            let (a, negated) = self.pred(from)?;
            let (d, _) = self.pred_destination(to)?;
            self.emit_flow(Op::PredMove { d, a, negated }, Class::Predicate, Flow::Own);
            return Ok(());
        }
        match (to, from) {
            (Operand::Vector(parts), _) => {
                let bits = (ty.bytes() * 8 / parts.len().max(1)) as u32;
                let a = self.source(from, wide, ty)?;
                let mut list = Vec::new();
                for part in parts {
                    let reg = self.destination_any(part, bits == 64)?;
                    if *part != Operand::Sink {
                        self.write(reg.row);
                    }
                    list.push(reg);
                }
                let op = Op::Unpack { parts: list.into(), bits, a, wide };
                self.emit_flow(op, Class::Move, Flow::Own);
            }
            (_, Operand::Vector(parts)) => {
                let bits = (ty.bytes() * 8 / parts.len().max(1)) as u32;
                let mut list = Vec::new();
                for part in parts {
                    let kind = if bits == 16 { Type::B16 } else { Type::B32 };
                    list.push(self.source_any(part, bits == 64, kind)?);
                }
                let d = self.dst(0, wide)?;
                let op = Op::Pack { d, wide, parts: list.into(), bits };
                self.emit_flow(op, Class::Move, Flow::Own);
            }
            (_, Operand::Special(name))
                if name.starts_with("%clock") || name.starts_with("%globaltimer") =>
            {
                let d = self.dst(0, wide)?;
                self.emit(Op::Clock { d, wide }, Class::Other);
            }
            _ => {
                let a = self.src(1, wide)?;
                let d = self.dst(0, wide)?;
                self.emit_flow(Op::Move { d, a, wide }, Class::Move, Flow::Halves);
            }
        }
        Ok(())
    }
}
