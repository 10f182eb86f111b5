//! Integer arithmetic.

use super::class::Class;
use super::context::Decoder;
use super::op::{Carry, CarryKind, Op};
use super::row::{RowFn, row};
use crate::error::Result;
use crate::parse::Type;

impl Decoder<'_> {
    /// `add`, `sub`, `mul`, `mad`, `div`, `rem`, `min`, `max`, `abs`, `neg`, `sad` and the dot
    /// products, on integers.
    pub(crate) fn integer(&mut self) -> Result<()> {
        let ty = self.ty()?;
        let opcode = self.statement.opcode.as_str();
        if self.has("cc") || matches!(opcode, "addc" | "subc" | "madc") {
            return self.carry(ty);
        }
        let (lo, hi, wide_result) = (self.has("lo"), self.has("hi"), self.has("wide"));
        let sat = self.has("sat");
        let relu = self.has("relu");
        let f: RowFn = match (opcode, ty) {
            ("add", Type::S32) if sat => row!(|a: i32, b: i32| -> i32 { a.saturating_add(b) }),
            ("sub", Type::S32) if sat => row!(|a: i32, b: i32| -> i32 { a.saturating_sub(b) }),
            ("mad", Type::S32) if sat && hi => row!(|a: i32, b: i32, c: i32| -> i32 {
                (((i64::from(a) * i64::from(b)) >> 32) as i32).saturating_add(c)
            }),
            ("add", Type::U32 | Type::S32 | Type::B32) => {
                row!(|a: u32, b: u32| -> u32 { a.wrapping_add(b) })
            }
            ("sub", Type::U32 | Type::S32 | Type::B32) => {
                row!(|a: u32, b: u32| -> u32 { a.wrapping_sub(b) })
            }
            ("add", Type::U64 | Type::S64 | Type::B64) => {
                row!(|a: u64, b: u64| -> u64 { a.wrapping_add(b) })
            }
            ("sub", Type::U64 | Type::S64 | Type::B64) => {
                row!(|a: u64, b: u64| -> u64 { a.wrapping_sub(b) })
            }
            ("add", Type::U16 | Type::S16) => {
                row!(|a: u32, b: u32| -> u32 { a.wrapping_add(b) & 0xffff })
            }
            ("sub", Type::U16 | Type::S16) => {
                row!(|a: u32, b: u32| -> u32 { a.wrapping_sub(b) & 0xffff })
            }
            ("add", Type::U16x2 | Type::S16x2) => {
                row!(|a: u32, b: u32| -> u32 { pair(a, b, |x, y| x.wrapping_add(y)) })
            }
            ("min", Type::U16x2) => row!(|a: u32, b: u32| -> u32 { pair(a, b, u32::min) }),
            ("max", Type::U16x2) => row!(|a: u32, b: u32| -> u32 { pair(a, b, u32::max) }),
            ("min", Type::S16x2) => {
                row!(|a: u32, b: u32| -> u32 { pair(a, b, |x, y| (x as i16).min(y as i16) as u32) })
            }
            ("max", Type::S16x2) => {
                row!(|a: u32, b: u32| -> u32 { pair(a, b, |x, y| (x as i16).max(y as i16) as u32) })
            }
            ("mul", _) => return self.multiply(ty, lo, hi, wide_result, false),
            ("mad", _) => return self.multiply(ty, lo, hi, wide_result, true),
            ("mul24", Type::U32) if lo => {
                row!(|a: u32, b: u32| -> u32 { (a & 0xff_ffff).wrapping_mul(b & 0xff_ffff) })
            }
            ("mul24", Type::S32) if lo => {
                row!(|a: i32, b: i32| -> i32 { ((a << 8) >> 8).wrapping_mul((b << 8) >> 8) })
            }
            ("mad24", Type::U32) if lo => row!(|a: u32, b: u32, c: u32| -> u32 {
                (a & 0xff_ffff).wrapping_mul(b & 0xff_ffff).wrapping_add(c)
            }),
            ("mad24", Type::S32) if lo => row!(|a: i32, b: i32, c: i32| -> i32 {
                ((a << 8) >> 8).wrapping_mul((b << 8) >> 8).wrapping_add(c)
            }),
            // Division by zero gives all ones, as the device does.
            ("div", Type::U32) => {
                row!(|a: u32, b: u32| -> u32 { a.checked_div(b).unwrap_or(u32::MAX) })
            }
            ("div", Type::S32) => {
                row!(|a: i32, b: i32| -> i32 { if b == 0 { -1 } else { a.wrapping_div(b) } })
            }
            ("div", Type::U64) => {
                row!(|a: u64, b: u64| -> u64 { a.checked_div(b).unwrap_or(u64::MAX) })
            }
            ("div", Type::S64) => {
                row!(|a: i64, b: i64| -> i64 { if b == 0 { -1 } else { a.wrapping_div(b) } })
            }
            ("div", Type::U16) => row!(|a: u32, b: u32| -> u32 {
                (a & 0xffff).checked_div(b & 0xffff).unwrap_or(0xffff)
            }),
            ("div", Type::S16) => row!(|a: u32, b: u32| -> u32 {
                if b as i16 == 0 {
                    0xffff
                } else {
                    u32::from((a as i16).wrapping_div(b as i16) as u16)
                }
            }),
            ("rem", Type::U32) => row!(|a: u32, b: u32| -> u32 { a.checked_rem(b).unwrap_or(a) }),
            ("rem", Type::S32) => {
                row!(|a: i32, b: i32| -> i32 { if b == 0 { a } else { a.wrapping_rem(b) } })
            }
            ("rem", Type::U64) => row!(|a: u64, b: u64| -> u64 { a.checked_rem(b).unwrap_or(a) }),
            ("rem", Type::S64) => {
                row!(|a: i64, b: i64| -> i64 { if b == 0 { a } else { a.wrapping_rem(b) } })
            }
            ("rem", Type::U16) => row!(|a: u32, b: u32| -> u32 {
                (a & 0xffff).checked_rem(b & 0xffff).unwrap_or(a & 0xffff)
            }),
            ("rem", Type::S16) => row!(|a: u32, b: u32| -> u32 {
                if b as i16 == 0 {
                    a & 0xffff
                } else {
                    u32::from((a as i16).wrapping_rem(b as i16) as u16)
                }
            }),
            ("min", Type::S32) if relu => row!(|a: i32, b: i32| -> i32 { a.min(b).max(0) }),
            ("max", Type::S32) if relu => row!(|a: i32, b: i32| -> i32 { a.max(b).max(0) }),
            ("min", Type::U32) => row!(|a: u32, b: u32| -> u32 { a.min(b) }),
            ("max", Type::U32) => row!(|a: u32, b: u32| -> u32 { a.max(b) }),
            ("min", Type::S32) => row!(|a: i32, b: i32| -> i32 { a.min(b) }),
            ("max", Type::S32) => row!(|a: i32, b: i32| -> i32 { a.max(b) }),
            ("min", Type::U64) => row!(|a: u64, b: u64| -> u64 { a.min(b) }),
            ("max", Type::U64) => row!(|a: u64, b: u64| -> u64 { a.max(b) }),
            ("min", Type::S64) => row!(|a: i64, b: i64| -> i64 { a.min(b) }),
            ("max", Type::S64) => row!(|a: i64, b: i64| -> i64 { a.max(b) }),
            ("min", Type::U16) => row!(|a: u32, b: u32| -> u32 { (a & 0xffff).min(b & 0xffff) }),
            ("max", Type::U16) => row!(|a: u32, b: u32| -> u32 { (a & 0xffff).max(b & 0xffff) }),
            ("min", Type::S16) => {
                row!(|a: u32, b: u32| -> u32 { u32::from((a as i16).min(b as i16) as u16) })
            }
            ("max", Type::S16) => {
                row!(|a: u32, b: u32| -> u32 { u32::from((a as i16).max(b as i16) as u16) })
            }
            ("abs", Type::S32) => row!(|a: i32| -> i32 { a.wrapping_abs() }),
            ("abs", Type::S64) => row!(|a: i64| -> i64 { a.wrapping_abs() }),
            ("abs", Type::S16) => {
                row!(|a: u32| -> u32 { u32::from((a as i16).wrapping_abs() as u16) })
            }
            ("neg", Type::S32) => row!(|a: i32| -> i32 { a.wrapping_neg() }),
            ("neg", Type::S64) => row!(|a: i64| -> i64 { a.wrapping_neg() }),
            ("neg", Type::S16) => row!(|a: u32| -> u32 { a.wrapping_neg() & 0xffff }),
            ("sad", Type::U32) => {
                row!(|a: u32, b: u32, c: u32| -> u32 { c.wrapping_add(a.abs_diff(b)) })
            }
            ("sad", Type::S32) => {
                row!(|a: i32, b: i32, c: u32| -> u32 { c.wrapping_add(a.abs_diff(b)) })
            }
            ("sad", Type::U64) => {
                row!(|a: u64, b: u64, c: u64| -> u64 { c.wrapping_add(a.abs_diff(b)) })
            }
            ("sad", Type::S64) => {
                row!(|a: i64, b: i64, c: u64| -> u64 { c.wrapping_add(a.abs_diff(b)) })
            }
            ("sad", Type::U16) => row!(|a: u32, b: u32, c: u32| -> u32 {
                c.wrapping_add((a & 0xffff).abs_diff(b & 0xffff)) & 0xffff
            }),
            ("sad", Type::S16) => row!(|a: u32, b: u32, c: u32| -> u32 {
                c.wrapping_add(u32::from((a as i16).abs_diff(b as i16))) & 0xffff
            }),
            _ => return self.unsupported(""),
        };
        let wide = ty.bytes() == 8;
        let operands = if matches!(opcode, "abs" | "neg") {
            2
        } else if matches!(opcode, "sad" | "mad24") || (opcode == "mad" && sat) {
            4
        } else {
            3
        };
        self.map(f, &[wide; 4][..operands], Class::Integer)
    }

    fn multiply(&mut self, ty: Type, lo: bool, hi: bool, wide: bool, add: bool) -> Result<()> {
        let f: RowFn = match (ty, lo, hi, wide, add) {
            (Type::U32 | Type::S32, true, _, _, false) => {
                row!(|a: u32, b: u32| -> u32 { a.wrapping_mul(b) })
            }
            (Type::U32 | Type::S32, true, _, _, true) => {
                row!(|a: u32, b: u32, c: u32| -> u32 { a.wrapping_mul(b).wrapping_add(c) })
            }
            (Type::U64 | Type::S64, true, _, _, false) => {
                row!(|a: u64, b: u64| -> u64 { a.wrapping_mul(b) })
            }
            (Type::U64 | Type::S64, true, _, _, true) => {
                row!(|a: u64, b: u64, c: u64| -> u64 { a.wrapping_mul(b).wrapping_add(c) })
            }
            (Type::U16 | Type::S16, true, _, _, false) => {
                row!(|a: u32, b: u32| -> u32 { a.wrapping_mul(b) & 0xffff })
            }
            (Type::U16 | Type::S16, true, _, _, true) => {
                row!(|a: u32, b: u32, c: u32| -> u32 { a.wrapping_mul(b).wrapping_add(c) & 0xffff })
            }
            (Type::U32, _, true, _, false) => row!(|a: u32, b: u32| -> u32 { high(a, b) }),
            (Type::U32, _, true, _, true) => {
                row!(|a: u32, b: u32, c: u32| -> u32 { high(a, b).wrapping_add(c) })
            }
            (Type::S32, _, true, _, false) => row!(|a: i32, b: i32| -> i32 { high_signed(a, b) }),
            (Type::S32, _, true, _, true) => {
                row!(|a: i32, b: i32, c: i32| -> i32 { high_signed(a, b).wrapping_add(c) })
            }
            (Type::U64, _, true, _, false) => {
                row!(|a: u64, b: u64| -> u64 { ((u128::from(a) * u128::from(b)) >> 64) as u64 })
            }
            (Type::U64, _, true, _, true) => row!(|a: u64, b: u64, c: u64| -> u64 {
                (((u128::from(a) * u128::from(b)) >> 64) as u64).wrapping_add(c)
            }),
            (Type::S64, _, true, _, false) => {
                row!(|a: i64, b: i64| -> i64 { ((i128::from(a) * i128::from(b)) >> 64) as i64 })
            }
            (Type::S64, _, true, _, true) => row!(|a: i64, b: i64, c: i64| -> i64 {
                (((i128::from(a) * i128::from(b)) >> 64) as i64).wrapping_add(c)
            }),
            (Type::U16, _, true, _, false) => {
                row!(|a: u32, b: u32| -> u32 { ((a & 0xffff) * (b & 0xffff)) >> 16 })
            }
            (Type::S16, _, true, _, false) => row!(|a: u32, b: u32| -> u32 {
                ((i32::from(a as i16) * i32::from(b as i16)) >> 16) as u32 & 0xffff
            }),
            (Type::U32, _, _, true, false) => {
                row!(|a: u32, b: u32| -> u64 { u64::from(a) * u64::from(b) })
            }
            (Type::U32, _, _, true, true) => row!(|a: u32, b: u32, c: u64| -> u64 {
                (u64::from(a) * u64::from(b)).wrapping_add(c)
            }),
            (Type::S32, _, _, true, false) => {
                row!(|a: i32, b: i32| -> i64 { i64::from(a) * i64::from(b) })
            }
            (Type::S32, _, _, true, true) => row!(|a: i32, b: i32, c: i64| -> i64 {
                (i64::from(a) * i64::from(b)).wrapping_add(c)
            }),
            (Type::U16, _, _, true, false) => {
                row!(|a: u32, b: u32| -> u32 { (a & 0xffff) * (b & 0xffff) })
            }
            (Type::U16, _, _, true, true) => row!(|a: u32, b: u32, c: u32| -> u32 {
                ((a & 0xffff) * (b & 0xffff)).wrapping_add(c)
            }),
            (Type::S16, _, _, true, false) => {
                row!(|a: u32, b: u32| -> i32 { i32::from(a as i16) * i32::from(b as i16) })
            }
            (Type::S16, _, _, true, true) => row!(|a: u32, b: u32, c: i32| -> i32 {
                (i32::from(a as i16) * i32::from(b as i16)).wrapping_add(c)
            }),
            _ => return self.unsupported(""),
        };
        let source = ty.bytes() == 8;
        let result = source || (wide && ty.bytes() == 4);
        let wides = [result, source, source, result];
        self.map(f, &wides[..if add { 4 } else { 3 }], Class::Integer)
    }

    fn carry(&mut self, ty: Type) -> Result<()> {
        let kind = match (self.statement.opcode.as_str(), self.has("hi")) {
            ("add" | "addc", _) => CarryKind::Add,
            ("sub" | "subc", _) => CarryKind::Sub,
            ("mad" | "madc", false) => CarryKind::MadLow,
            ("mad" | "madc", true) => CarryKind::MadHigh,
            _ => return self.unsupported(""),
        };
        let wide = ty.bytes() == 8;
        let takes = self.statement.opcode.ends_with('c');
        let (a, b) = (self.src(1, wide)?, self.src(2, wide)?);
        let mad = matches!(kind, CarryKind::MadLow | CarryKind::MadHigh);
        let c = if mad { self.src(3, wide)? } else { 0 };
        if takes {
            self.read(super::op::CARRY);
        }
        let d = self.dst(0, wide)?;
        let gives = self.has("cc");
        if gives {
            self.write(super::op::CARRY);
        }
        let signed = ty.is_signed();
        let carry = Carry { kind, wide, signed, takes, gives, d, a, b, c };
        self.emit(Op::Carry(Box::new(carry)), Class::Integer);
        Ok(())
    }

    /// `dp4a` and `dp2a`.
    pub(crate) fn dot_product(&mut self) -> Result<()> {
        let types = self.types();
        let (Some(at), Some(bt)) = (types.first(), types.get(1)) else {
            return self.unsupported("two types are needed");
        };
        let signed = (at.is_signed(), bt.is_signed());
        let f: RowFn = match (self.statement.opcode.as_str(), self.has("hi"), signed) {
            ("dp4a", _, (true, true)) => {
                row!(|a: u32, b: u32, c: u32| -> u32 { dp4(a, b, c, true, true) })
            }
            ("dp4a", _, (true, false)) => {
                row!(|a: u32, b: u32, c: u32| -> u32 { dp4(a, b, c, true, false) })
            }
            ("dp4a", _, (false, true)) => {
                row!(|a: u32, b: u32, c: u32| -> u32 { dp4(a, b, c, false, true) })
            }
            ("dp4a", _, (false, false)) => {
                row!(|a: u32, b: u32, c: u32| -> u32 { dp4(a, b, c, false, false) })
            }
            ("dp2a", false, (true, true)) => {
                row!(|a: u32, b: u32, c: u32| -> u32 { dp2(a, b, c, true, true) })
            }
            ("dp2a", false, (true, false)) => {
                row!(|a: u32, b: u32, c: u32| -> u32 { dp2(a, b, c, true, false) })
            }
            ("dp2a", false, (false, true)) => {
                row!(|a: u32, b: u32, c: u32| -> u32 { dp2(a, b, c, false, true) })
            }
            ("dp2a", false, (false, false)) => {
                row!(|a: u32, b: u32, c: u32| -> u32 { dp2(a, b, c, false, false) })
            }
            ("dp2a", true, (true, true)) => {
                row!(|a: u32, b: u32, c: u32| -> u32 { dp2(a, b >> 16, c, true, true) })
            }
            ("dp2a", true, (true, false)) => {
                row!(|a: u32, b: u32, c: u32| -> u32 { dp2(a, b >> 16, c, true, false) })
            }
            ("dp2a", true, (false, true)) => {
                row!(|a: u32, b: u32, c: u32| -> u32 { dp2(a, b >> 16, c, false, true) })
            }
            ("dp2a", true, (false, false)) => {
                row!(|a: u32, b: u32, c: u32| -> u32 { dp2(a, b >> 16, c, false, false) })
            }
            _ => return self.unsupported(""),
        };
        self.map(f, &[false; 4], Class::Integer)
    }
}

fn pair(a: u32, b: u32, f: impl Fn(u32, u32) -> u32) -> u32 {
    (f(a & 0xffff, b & 0xffff) & 0xffff) | f(a >> 16, b >> 16) << 16
}

fn high(a: u32, b: u32) -> u32 {
    ((u64::from(a) * u64::from(b)) >> 32) as u32
}

fn high_signed(a: i32, b: i32) -> i32 {
    ((i64::from(a) * i64::from(b)) >> 32) as i32
}

fn dp4(a: u32, b: u32, c: u32, a_signed: bool, b_signed: bool) -> u32 {
    let byte = |x: u32, i: u32, signed: bool| {
        let x = (x >> (8 * i)) as u8;
        if signed { i32::from(x as i8) } else { i32::from(x) }
    };
    (0..4).fold(c, |sum, i| sum.wrapping_add((byte(a, i, a_signed) * byte(b, i, b_signed)) as u32))
}

fn dp2(a: u32, b: u32, c: u32, a_signed: bool, b_signed: bool) -> u32 {
    (0..2).fold(c, |sum, i| {
        let x = (a >> (16 * i)) as u16;
        let y = (b >> (8 * i)) as u8;
        let x = if a_signed { i64::from(x as i16) } else { i64::from(x) };
        let y = if b_signed { i64::from(y as i8) } else { i64::from(y) };
        sum.wrapping_add((x * y) as u32)
    })
}
