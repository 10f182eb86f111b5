//! `cvt`: every pair of types as two steps, a read to an exact wide value and a rounding.

use super::class::Class;
use super::context::Decoder;
use super::op::Flow;
use super::row::{RowFn, row};
use crate::error::Result;
use crate::number::{
    BF16, F16, F32, Format, Mode, TF32, flush, from_f64, from_integer, saturate, to_e4m3, to_e5m2,
    to_f32_bf16, to_f32_f16,
};
use crate::parse::Type;

/// A function for each of the four modes.
macro_rules! by_mode {
    ($mode:expr, |$x:ident : $t:ty, $m:ident| -> $r:ty { $body:expr }) => {
        match $mode {
            Mode::Nearest => row!(|$x: $t| -> $r {
                {
                    const $m: Mode = Mode::Nearest;
                    $body
                }
            }),
            Mode::Zero => row!(|$x: $t| -> $r {
                {
                    const $m: Mode = Mode::Zero;
                    $body
                }
            }),
            Mode::Down => row!(|$x: $t| -> $r {
                {
                    const $m: Mode = Mode::Down;
                    $body
                }
            }),
            Mode::Up => row!(|$x: $t| -> $r {
                {
                    const $m: Mode = Mode::Up;
                    $body
                }
            }),
            Mode::NearestAway => {
                row!(|$x: $t| -> $r {
                    {
                        const $m: Mode = Mode::NearestAway;
                        $body
                    }
                })
            }
        }
    };
}

/// An integral value of a double in a mode.
fn integral(x: f64, mode: Mode) -> f64 {
    match mode {
        Mode::Nearest => x.round_ties_even(),
        Mode::Zero => x.trunc(),
        Mode::Down => x.floor(),
        Mode::Up => x.ceil(),
        Mode::NearestAway => x.round(),
    }
}

/// Clamps to the integer type and gives its bits, extended to 64; NaN gives 0.
fn to_integer(x: f64, ty: Type, mode: Mode) -> u64 {
    let x = integral(x, mode);
    match ty {
        Type::U8 => u64::from(x as u8),
        Type::U16 => u64::from(x as u16),
        Type::U32 => u64::from(x as u32),
        Type::U64 => x as u64,
        Type::S8 => i64::from(x as i8) as u64,
        Type::S16 => i64::from(x as i16) as u64,
        Type::S32 => i64::from(x as i32) as u64,
        _ => x as i64 as u64,
    }
}

/// Bits of an integer register as a value of the type.
fn integer_value(bits: u64, ty: Type) -> i128 {
    match ty {
        Type::U8 | Type::B8 => i128::from(bits as u8),
        Type::U16 | Type::B16 => i128::from(bits as u16),
        Type::U32 | Type::B32 => i128::from(bits as u32),
        Type::U64 | Type::B64 => i128::from(bits),
        Type::S8 => i128::from(bits as i8),
        Type::S16 => i128::from(bits as i16),
        Type::S32 => i128::from(bits as i32),
        _ => i128::from(bits as i64),
    }
}

/// Bits of a register of the type as the destination holds them: 32-bit registers hold narrow
/// signed values extended, 16-bit ones hold zeros above.
fn narrow(value: i128, ty: Type, sat: bool) -> u64 {
    let (low, high) = match ty {
        Type::U8 => (0, 0xff),
        Type::U16 => (0, 0xffff),
        Type::U32 => (0, 0xffff_ffff),
        Type::U64 => (0, i128::from(u64::MAX)),
        Type::S8 => (-0x80, 0x7f),
        Type::S16 => (-0x8000, 0x7fff),
        Type::S32 => (-0x8000_0000, 0x7fff_ffff),
        _ => (i128::from(i64::MIN), i128::from(i64::MAX)),
    };
    let value = if sat { value.clamp(low, high) } else { value };
    integer_value(value as u64, ty) as u64
}

impl Decoder<'_> {
    /// `cvt`.
    pub(crate) fn convert_type(&mut self) -> Result<()> {
        let types = self.types();
        let [to, from] = types[..] else { return self.unsupported("two types are needed") };
        if self.has("relu") {
            return self.pack_relu(to, from);
        }
        if self.count() == 3 {
            return self.pack(to, from);
        }
        let mode = self.mode();
        let has_mode = self.statement.modifiers.iter().any(|m| Mode::parse(m).is_some());
        let integral_mode = self
            .statement
            .modifiers
            .iter()
            .any(|m| matches!(m.as_str(), "rni" | "rzi" | "rmi" | "rpi"));
        let (ftz, sat) = (self.has("ftz"), self.has("sat"));
        let float = |ty| matches!(ty, Type::F16 | Type::Bf16 | Type::F32 | Type::F64 | Type::Tf32);
        let f: RowFn = match (float(to), float(from)) {
            (false, false) => match (to, from) {
                (Type::F16x2, Type::E4m3x2) => row!(|a: u32| -> u32 { eight_to_half(a, true) }),
                (Type::F16x2, Type::E5m2x2) => row!(|a: u32| -> u32 { eight_to_half(a, false) }),
                (Type::E4m3x2, Type::F16x2) => row!(|a: u32| -> u32 {
                    to_e4m3(to_f32_f16(a & 0xffff)) | to_e4m3(to_f32_f16(a >> 16)) << 8
                }),
                (Type::E5m2x2, Type::F16x2) => row!(|a: u32| -> u32 {
                    to_e5m2(to_f32_f16(a & 0xffff)) | to_e5m2(to_f32_f16(a >> 16)) << 8
                }),
                _ if to.is_integer() && from.is_integer() => integer_to_integer(to, from, sat),
                _ => return self.unsupported(""),
            },
            (true, false) if from.is_integer() => match integer_to_float(to, from, mode) {
                Some(f) => f,
                None => return self.unsupported(""),
            },
            (false, true) if to.is_integer() => match float_to_integer(to, from, mode, ftz) {
                Some(f) => f,
                None => return self.unsupported(""),
            },
            (true, true) => {
                match float_to_float(to, from, mode, has_mode, integral_mode, ftz, sat) {
                    Some(f) => f,
                    None => return self.unsupported(""),
                }
            }
            _ => return self.unsupported(""),
        };
        let (d_wide, a_wide) = (to.bytes() == 8, from.bytes() == 8);
        let a = self.src_as(1, a_wide, from)?;
        let operand = self.operand(0)?;
        // Signed results extend into wider registers, so the destination type decides.
        let d = self.destination(operand, d_wide)?;
        let op = super::op::Op::Map { f, d, wide: d_wide, src: [a, 0, 0, 0] };
        self.emit_flow(op, Class::Convert, Flow::All);
        Ok(())
    }

    /// Two floats to a packed pair: the first operand goes to the high half.
    fn pack(&mut self, to: Type, from: Type) -> Result<()> {
        if from != Type::F32 {
            return self.unsupported("packs from f32 only");
        }
        let mode = self.mode();
        let sat = self.has("satfinite");
        let f: RowFn = match (to, mode) {
            (Type::Bf16x2, Mode::Nearest) => {
                row!(|a: f32, b: f32| -> u32 { bf16_nearest(a) << 16 | bf16_nearest(b) })
            }
            (Type::Bf16x2, Mode::Zero) => row!(|a: f32, b: f32| -> u32 {
                narrow_float(a, BF16, Mode::Zero) << 16 | narrow_float(b, BF16, Mode::Zero)
            }),
            (Type::F16x2, Mode::Nearest) => row!(|a: f32, b: f32| -> u32 {
                narrow_float(a, F16, Mode::Nearest) << 16 | narrow_float(b, F16, Mode::Nearest)
            }),
            (Type::F16x2, Mode::Zero) => row!(|a: f32, b: f32| -> u32 {
                narrow_float(a, F16, Mode::Zero) << 16 | narrow_float(b, F16, Mode::Zero)
            }),
            (Type::E4m3x2, _) if sat => {
                row!(|a: f32, b: f32| -> u32 { to_e4m3(a) << 8 | to_e4m3(b) })
            }
            (Type::E5m2x2, _) if sat => {
                row!(|a: f32, b: f32| -> u32 { to_e5m2(a) << 8 | to_e5m2(b) })
            }
            _ => return self.unsupported(""),
        };
        let (a, b) = (self.src_as(1, false, from)?, self.src_as(2, false, from)?);
        let d = self.dst(0, false)?;
        let op = super::op::Op::Map { f, d, wide: false, src: [a, b, 0, 0] };
        self.emit_flow(op, Class::Convert, Flow::All);
        Ok(())
    }

    fn pack_relu(&mut self, to: Type, from: Type) -> Result<()> {
        if from != Type::F32 || self.mode() != Mode::Nearest {
            return self.unsupported("");
        }
        if self.count() == 2 {
            let f: RowFn = match to {
                Type::F16 => row!(|a: f32| -> u32 { narrow_float(relu(a), F16, Mode::Nearest) }),
                Type::Bf16 => row!(|a: f32| -> u32 { bf16_nearest(relu(a)) }),
                _ => return self.unsupported(""),
            };
            return self.map(f, &[false; 2], Class::Convert);
        }
        let f: RowFn = match to {
            Type::F16x2 => row!(|a: f32, b: f32| -> u32 {
                narrow_float(relu(a), F16, Mode::Nearest) << 16
                    | narrow_float(relu(b), F16, Mode::Nearest)
            }),
            Type::Bf16x2 => {
                row!(|a: f32, b: f32| -> u32 {
                    bf16_nearest(relu(a)) << 16 | bf16_nearest(relu(b))
                })
            }
            Type::E4m3x2 => {
                row!(|a: f32, b: f32| -> u32 { to_e4m3(relu(a)) << 8 | to_e4m3(relu(b)) })
            }
            Type::E5m2x2 => {
                row!(|a: f32, b: f32| -> u32 { to_e5m2(relu(a)) << 8 | to_e5m2(relu(b)) })
            }
            _ => return self.unsupported(""),
        };
        self.map(f, &[false; 3], Class::Convert)
    }
}

fn relu(x: f32) -> f32 {
    if x.is_nan() || x > 0.0 { x } else { 0.0 }
}

fn bf16_nearest(x: f32) -> u32 {
    if x.is_nan() {
        return 0x7fff;
    }
    let bits = x.to_bits();
    // Adding just under half a last bit, plus one where the kept part is odd, rounds to even.
    (bits.wrapping_add(0x7fff + (bits >> 16 & 1))) >> 16
}

fn narrow_float(x: f32, format: Format, mode: Mode) -> u32 {
    from_f64(f64::from(x), format, mode) as u32
}

/// Two 8-bit floats to two halves; both formats fit f16 exactly.
fn eight_to_half(bits: u32, is_e4m3: bool) -> u32 {
    let one = |x: u32| {
        let sign = (x & 0x80) << 8;
        if !is_e4m3 {
            return sign | (x & 0x7f) << 8;
        }
        if x & 0x7f == 0x7f {
            return sign | 0x7fff;
        }
        let (field, fraction) = (x >> 3 & 0xf, f64::from(x & 7));
        let value = if field == 0 {
            fraction * 2f64.powi(-9)
        } else {
            (1.0 + fraction / 8.0) * 2f64.powi(field as i32 - 7)
        };
        sign | from_f64(value, F16, Mode::Nearest) as u32
    };
    one(bits & 0xff) | one(bits >> 8 & 0xff) << 16
}

fn integer_to_integer(to: Type, from: Type, sat: bool) -> RowFn {
    macro_rules! pairs {
        ($($t:ident),+) => {
            match to {
                $(Type::$t => sources!($t),)+
                Type::B8 => sources!(U8),
                Type::B16 => sources!(U16),
                Type::B32 => sources!(U32),
                _ => sources!(U64),
            }
        };
    }
    macro_rules! sources {
        ($t:ident) => {
            match (from, sat) {
                (Type::U8 | Type::B8, s) => widths!($t, U8, u32, s),
                (Type::S8, s) => widths!($t, S8, u32, s),
                (Type::U16 | Type::B16, s) => widths!($t, U16, u32, s),
                (Type::S16, s) => widths!($t, S16, u32, s),
                (Type::U32 | Type::B32, s) => widths!($t, U32, u32, s),
                (Type::S32, s) => widths!($t, S32, u32, s),
                (Type::S64, s) => widths!($t, S64, u64, s),
                (_, s) => widths!($t, U64, u64, s),
            }
        };
    }
    macro_rules! widths {
        ($t:ident, $f:ident, $in:ty, $s:expr) => {
            match (Type::$t.bytes() == 8, $s) {
                (true, false) => row!(|a: $in| -> u64 {
                    narrow(integer_value(u64::from(a), Type::$f), Type::$t, false)
                }),
                (true, true) => row!(|a: $in| -> u64 {
                    narrow(integer_value(u64::from(a), Type::$f), Type::$t, true)
                }),
                (false, false) => row!(|a: $in| -> u32 {
                    narrow(integer_value(u64::from(a), Type::$f), Type::$t, false) as u32
                }),
                (false, true) => row!(|a: $in| -> u32 {
                    narrow(integer_value(u64::from(a), Type::$f), Type::$t, true) as u32
                }),
            }
        };
    }
    pairs!(U8, S8, U16, S16, U32, S32, U64, S64)
}

fn integer_to_float(to: Type, from: Type, mode: Mode) -> Option<RowFn> {
    macro_rules! source {
        ($in:ty, $f:ident) => {
            match to {
                Type::F32 if mode == Mode::Nearest => {
                    row!(|a: $in| -> f32 { integer_value(u64::from(a), Type::$f) as i64 as f32 })
                }
                Type::F32 => by_mode!(mode, |a: $in, M| -> u32 {
                    from_integer(integer_value(u64::from(a), Type::$f), F32, M) as u32
                }),
                Type::F16 => by_mode!(mode, |a: $in, M| -> u32 {
                    from_integer(integer_value(u64::from(a), Type::$f), F16, M) as u32
                }),
                Type::Bf16 => by_mode!(mode, |a: $in, M| -> u32 {
                    from_integer(integer_value(u64::from(a), Type::$f), BF16, M) as u32
                }),
                Type::F64 => by_mode!(mode, |a: $in, M| -> u64 {
                    from_integer(integer_value(u64::from(a), Type::$f), crate::number::F64, M)
                }),
                _ => return None,
            }
        };
    }
    Some(match from {
        Type::U8 => source!(u32, U8),
        Type::S8 => source!(u32, S8),
        Type::U16 => source!(u32, U16),
        Type::S16 => source!(u32, S16),
        Type::U32 => source!(u32, U32),
        Type::S32 => source!(u32, S32),
        Type::S64 => source!(u64, S64),
        Type::U64 => match to {
            Type::F32 => {
                by_mode!(mode, |a: u64, M| -> u32 { from_integer(i128::from(a), F32, M) as u32 })
            }
            Type::F64 => by_mode!(mode, |a: u64, M| -> u64 {
                from_integer(i128::from(a), crate::number::F64, M)
            }),
            Type::F16 => {
                by_mode!(mode, |a: u64, M| -> u32 { from_integer(i128::from(a), F16, M) as u32 })
            }
            _ => return None,
        },
        _ => return None,
    })
}

fn float_to_integer(to: Type, from: Type, mode: Mode, ftz: bool) -> Option<RowFn> {
    macro_rules! source {
        ($t:ident, $in:ty, |$x:ident| $value:expr) => {
            if Type::$t.bytes() == 8 {
                by_mode!(mode, |$x: $in, M| -> u64 { to_integer($value, Type::$t, M) })
            } else {
                by_mode!(mode, |$x: $in, M| -> u32 { to_integer($value, Type::$t, M) as u32 })
            }
        };
    }
    macro_rules! target {
        ($t:ident) => {
            match (from, ftz) {
                (Type::F32, false) => source!($t, f32, |x| f64::from(x)),
                (Type::F32, true) => source!($t, f32, |x| f64::from(flush(x))),
                (Type::F64, _) => source!($t, f64, |x| x),
                (Type::F16, _) => source!($t, u32, |x| f64::from(to_f32_f16(x & 0xffff))),
                (Type::Bf16, _) => source!($t, u32, |x| f64::from(to_f32_bf16(x & 0xffff))),
                _ => return None,
            }
        };
    }
    Some(match to {
        Type::U8 => target!(U8),
        Type::S8 => target!(S8),
        Type::U16 => target!(U16),
        Type::S16 => target!(S16),
        Type::U32 => target!(U32),
        Type::S32 => target!(S32),
        Type::U64 => target!(U64),
        Type::S64 => target!(S64),
        _ => return None,
    })
}

fn float_to_float(
    to: Type,
    from: Type,
    mode: Mode,
    has_mode: bool,
    integral_mode: bool,
    ftz: bool,
    sat: bool,
) -> Option<RowFn> {
    Some(match (to, from) {
        (Type::F32, Type::F32) if integral_mode => match (ftz, sat) {
            (false, false) => {
                by_mode!(mode, |x: f32, M| -> f32 { integral(f64::from(x), M) as f32 })
            }
            (true, false) => {
                by_mode!(mode, |x: f32, M| -> f32 { integral(f64::from(flush(x)), M) as f32 })
            }
            _ => by_mode!(mode, |x: f32, M| -> f32 { saturate(integral(f64::from(x), M) as f32) }),
        },
        (Type::F32, Type::F32) => match (ftz, sat) {
            (false, false) => row!(|x: f32| -> f32 { x }),
            (true, false) => row!(|x: f32| -> f32 { flush(x) }),
            (false, true) => row!(|x: f32| -> f32 { saturate(x) }),
            (true, true) => row!(|x: f32| -> f32 { saturate(flush(x)) }),
        },
        (Type::F64, Type::F64) if integral_mode => {
            by_mode!(mode, |x: f64, M| -> f64 { integral(x, M) })
        }
        (Type::F64, Type::F64) => row!(|x: f64| -> f64 { x }),
        (Type::F64, Type::F32) => row!(|x: f32| -> f64 { f64::from(x) }),
        (Type::F32, Type::F64) if ftz => {
            by_mode!(mode, |x: f64, M| -> f32 { flush(f32::from_bits(from_f64(x, F32, M) as u32)) })
        }
        (Type::F32, Type::F64) => by_mode!(mode, |x: f64, M| -> u32 { from_f64(x, F32, M) as u32 }),
        (Type::F32, Type::F16) => match (ftz, sat) {
            (_, false) => row!(|x: u32| -> f32 { to_f32_f16(x & 0xffff) }),
            (_, true) => row!(|x: u32| -> f32 { saturate(to_f32_f16(x & 0xffff)) }),
        },
        (Type::F32, Type::Bf16) => row!(|x: u32| -> f32 { to_f32_bf16(x & 0xffff) }),
        (Type::F64, Type::F16) => row!(|x: u32| -> f64 { f64::from(to_f32_f16(x & 0xffff)) }),
        (Type::F64, Type::Bf16) => row!(|x: u32| -> f64 { f64::from(to_f32_bf16(x & 0xffff)) }),
        (Type::F16, Type::F32) if sat => {
            by_mode!(mode, |x: f32, M| -> u32 { narrow_float(saturate(x), F16, M) })
        }
        (Type::F16, Type::F32) => by_mode!(mode, |x: f32, M| -> u32 { narrow_float(x, F16, M) }),
        (Type::Bf16, Type::F32) if mode == Mode::Nearest => {
            row!(|x: f32| -> u32 { bf16_nearest(x) })
        }
        (Type::Bf16, Type::F32) => by_mode!(mode, |x: f32, M| -> u32 { narrow_float(x, BF16, M) }),
        (Type::F16, Type::F64) => by_mode!(mode, |x: f64, M| -> u32 { from_f64(x, F16, M) as u32 }),
        (Type::Bf16, Type::F64) => {
            by_mode!(mode, |x: f64, M| -> u32 { from_f64(x, BF16, M) as u32 })
        }
        (Type::F16, Type::F16) if integral_mode => by_mode!(mode, |x: u32, M| -> u32 {
            from_f64(integral(f64::from(to_f32_f16(x & 0xffff)), M), F16, M) as u32
        }),
        (Type::Bf16, Type::Bf16) if integral_mode => by_mode!(mode, |x: u32, M| -> u32 {
            from_f64(integral(f64::from(to_f32_bf16(x & 0xffff)), M), BF16, M) as u32
        }),
        (Type::F16, Type::F16) | (Type::Bf16, Type::Bf16) => row!(|x: u32| -> u32 { x & 0xffff }),
        // The low 13 bits of the register are not part of a tf32; rounding clears them.
        (Type::Tf32, Type::F32) if has_mode => {
            by_mode!(mode, |x: f32, M| -> u32 { narrow_float(x, TF32, M) << 13 })
        }
        (Type::Bf16, Type::F16) => {
            by_mode!(mode, |x: u32, M| -> u32 { narrow_float(to_f32_f16(x & 0xffff), BF16, M) })
        }
        (Type::F16, Type::Bf16) => {
            by_mode!(mode, |x: u32, M| -> u32 { narrow_float(to_f32_bf16(x & 0xffff), F16, M) })
        }
        _ => return None,
    })
}
