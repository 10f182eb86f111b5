//! f16 and bf16 arithmetic, scalar and packed.

use super::class::Class;
use super::context::Decoder;
use super::op::Flow;
use super::row::{RowFn, row};
use crate::error::Result;
use crate::number::{bf16x2 as b, ex2, f16x2 as h, halves, tanh};
use crate::parse::Type;

/// The row function of a scalar one, for the packed type (both halves) or the scalar type.
macro_rules! lift {
    ($packed:expr, |$x:ident| $body:expr) => {
        if $packed {
            row!(|$x: u32| -> u32 { halves($x, 0, 0, |$x, _, _| $body) })
        } else {
            row!(|$x: u32| -> u32 { $body & 0xffff })
        }
    };
    ($packed:expr, |$x:ident, $y:ident| $body:expr) => {
        if $packed {
            row!(|$x: u32, $y: u32| -> u32 { halves($x, $y, 0, |$x, $y, _| $body) })
        } else {
            row!(|$x: u32, $y: u32| -> u32 { $body & 0xffff })
        }
    };
    ($packed:expr, |$x:ident, $y:ident, $z:ident| $body:expr) => {
        if $packed {
            row!(|$x: u32, $y: u32, $z: u32| -> u32 { halves($x, $y, $z, |$x, $y, $z| $body) })
        } else {
            row!(|$x: u32, $y: u32, $z: u32| -> u32 { $body & 0xffff })
        }
    };
}

/// Arithmetic of one format; the modifiers are constant arguments of the closures.
macro_rules! format_ops {
    ($self:expr, $m:ident, $packed:expr) => {{
        let (sat, relu, nan) = ($self.has("sat"), $self.has("relu"), $self.has("NaN"));
        let (ftz, xorsign) = ($self.has("ftz"), $self.has("xorsign"));
        let f: (RowFn, usize) = match ($self.statement.opcode.as_str(), sat, relu, ftz) {
            ("add", false, _, false) => (lift!($packed, |x, y| $m::add(x, y)), 2),
            ("sub", false, _, false) => (lift!($packed, |x, y| $m::sub(x, y)), 2),
            ("mul", false, _, false) => (lift!($packed, |x, y| $m::mul(x, y)), 2),
            ("add", true, _, _) => (lift!($packed, |x, y| $m::saturate($m::add(x, y))), 2),
            ("sub", true, _, _) => (lift!($packed, |x, y| $m::saturate($m::sub(x, y))), 2),
            ("mul", true, _, _) => (lift!($packed, |x, y| $m::saturate($m::mul(x, y))), 2),
            ("add", _, _, true) => {
                (lift!($packed, |x, y| $m::flush($m::add($m::flush(x), $m::flush(y)))), 2)
            }
            ("sub", _, _, true) => {
                (lift!($packed, |x, y| $m::flush($m::sub($m::flush(x), $m::flush(y)))), 2)
            }
            ("mul", _, _, true) => {
                (lift!($packed, |x, y| $m::flush($m::mul($m::flush(x), $m::flush(y)))), 2)
            }
            ("fma", false, false, false) => (lift!($packed, |x, y, z| $m::fma(x, y, z)), 3),
            ("fma", true, _, _) => (lift!($packed, |x, y, z| $m::saturate($m::fma(x, y, z))), 3),
            ("fma", _, true, _) => (lift!($packed, |x, y, z| $m::relu($m::fma(x, y, z))), 3),
            ("fma", _, _, true) => (
                lift!($packed, |x, y, z| {
                    $m::flush($m::fma($m::flush(x), $m::flush(y), $m::flush(z)))
                }),
                3,
            ),
            ("min", ..) if xorsign => (
                lift!($packed, |x, y| {
                    $m::min(x & 0x7fff, y & 0x7fff, false) & 0x7fff | (x ^ y) & 0x8000
                }),
                2,
            ),
            ("max", ..) if xorsign => (
                lift!($packed, |x, y| {
                    $m::max(x & 0x7fff, y & 0x7fff, false) & 0x7fff | (x ^ y) & 0x8000
                }),
                2,
            ),
            ("min", ..) if nan => (lift!($packed, |x, y| $m::min(x, y, true)), 2),
            ("max", ..) if nan => (lift!($packed, |x, y| $m::max(x, y, true)), 2),
            ("min", ..) => (lift!($packed, |x, y| $m::min(x, y, false)), 2),
            ("max", ..) => (lift!($packed, |x, y| $m::max(x, y, false)), 2),
            ("abs", ..) => (lift!($packed, |x| x & 0x7fff), 1),
            ("neg", ..) => (lift!($packed, |x| x ^ 0x8000), 1),
            ("ex2", ..) => (lift!($packed, |x| $m::through(x, ex2)), 1),
            ("tanh", ..) => (lift!($packed, |x| $m::through(x, tanh)), 1),
            _ => return $self.unsupported(""),
        };
        f
    }};
}

impl Decoder<'_> {
    pub(crate) fn half(&mut self) -> Result<()> {
        let ty = self.ty()?;
        let packed = matches!(ty, Type::F16x2 | Type::Bf16x2);
        let (f, sources) = match ty {
            Type::F16 | Type::F16x2 => format_ops!(self, h, packed),
            _ => format_ops!(self, b, packed),
        };
        self.map_flow(f, &[false; 4][..sources + 1], Class::Half, Flow::Halves)
    }
}
