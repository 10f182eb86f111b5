//! f32 and f64 arithmetic: rounding modes, flushing, saturation, and the approximate functions.

use super::class::Class;
use super::context::Decoder;
use super::row::{RowFn, row};
use crate::error::Result;
use crate::number::{
    Mode, add_f32, add_f64, cosine, div_f32, div_f64, ex2, flush, fma_f32, fma_f64, lg2, max_f32,
    max_f64, max_nan_f32, min_f32, min_f64, min_nan_f32, mul_f32, mul_f64, rsqrt, saturate,
    saturate_f64, sine, sqrt_f32, sqrt_f64, tanh, xorsign_abs,
};
use crate::parse::Type;

/// One function for each combination of flushing and saturation, so that none costs a branch.
macro_rules! variants {
    ($ftz:expr, $sat:expr, |$($x:ident),+| $body:expr) => {
        match ($ftz, $sat) {
            (false, false) => row!(|$($x: f32),+| -> f32 { $body }),
            (true, false) => row!(|$($x: f32),+| -> f32 { { $(let $x = flush($x);)+ flush($body) } }),
            (false, true) => row!(|$($x: f32),+| -> f32 { saturate($body) }),
            (true, true) => row!(|$($x: f32),+| -> f32 { { $(let $x = flush($x);)+ saturate(flush($body)) } }),
        }
    };
}

/// The same for the four rounding modes.
macro_rules! rounded {
    ($mode:expr, $ftz:expr, $sat:expr, |$($x:ident),+| $near:expr, $f:path) => {
        match $mode {
            Mode::Nearest | Mode::NearestAway => variants!($ftz, $sat, |$($x),+| $near),
            Mode::Zero => variants!($ftz, $sat, |$($x),+| $f($($x),+, Mode::Zero)),
            Mode::Down => variants!($ftz, $sat, |$($x),+| $f($($x),+, Mode::Down)),
            Mode::Up => variants!($ftz, $sat, |$($x),+| $f($($x),+, Mode::Up)),
        }
    };
}

macro_rules! rounded_double {
    ($mode:expr, |$($x:ident),+| $near:expr, $f:path) => {
        match $mode {
            Mode::Nearest | Mode::NearestAway => row!(|$($x: f64),+| -> f64 { $near }),
            Mode::Zero => row!(|$($x: f64),+| -> f64 { $f($($x),+, Mode::Zero) }),
            Mode::Down => row!(|$($x: f64),+| -> f64 { $f($($x),+, Mode::Down) }),
            Mode::Up => row!(|$($x: f64),+| -> f64 { $f($($x),+, Mode::Up) }),
        }
    };
}

fn sub_f32(a: f32, b: f32, mode: Mode) -> f32 {
    add_f32(a, -b, mode)
}

fn sub_f64(a: f64, b: f64, mode: Mode) -> f64 {
    add_f64(a, -b, mode)
}

fn reciprocal_f32(a: f32, mode: Mode) -> f32 {
    div_f32(1.0, a, mode)
}

fn reciprocal_f64(a: f64, mode: Mode) -> f64 {
    div_f64(1.0, a, mode)
}

impl Decoder<'_> {
    /// Arithmetic of the type; half types have their own function.
    pub(crate) fn float(&mut self) -> Result<()> {
        match self.ty()? {
            Type::F32 => self.single(),
            Type::F64 => self.double(),
            Type::F16 | Type::F16x2 | Type::Bf16 | Type::Bf16x2 => self.half(),
            _ => self.unsupported(""),
        }
    }

    pub(crate) fn mode(&self) -> Mode {
        let mut modes = self.statement.modifiers.iter().rev().filter_map(|m| Mode::parse(m));
        modes.next().unwrap_or(Mode::Nearest)
    }

    fn single(&mut self) -> Result<()> {
        let (ftz, sat) = (self.has("ftz"), self.has("sat"));
        let nan = self.has("NaN");
        let xorsign = self.has("xorsign");
        let mode = self.mode();
        let mut class = Class::Float32;
        let (f, sources): (RowFn, usize) = match self.statement.opcode.as_str() {
            "add" => (rounded!(mode, ftz, sat, |a, b| a + b, add_f32), 2),
            "sub" => (rounded!(mode, ftz, sat, |a, b| a - b, sub_f32), 2),
            "mul" => (rounded!(mode, ftz, sat, |a, b| a * b, mul_f32), 2),
            "fma" | "mad" => (rounded!(mode, ftz, sat, |a, b, c| a.mul_add(b, c), fma_f32), 3),
            "div" => (rounded!(mode, ftz, sat, |a, b| a / b, div_f32), 2),
            "sqrt" => (rounded!(mode, ftz, sat, |a| a.sqrt(), sqrt_f32), 1),
            "rcp" => (rounded!(mode, ftz, sat, |a| 1.0 / a, reciprocal_f32), 1),
            "min" if xorsign && nan => {
                (variants!(ftz, false, |a, b| xorsign_abs(a, b, min_nan_f32)), 2)
            }
            "max" if xorsign && nan => {
                (variants!(ftz, false, |a, b| xorsign_abs(a, b, max_nan_f32)), 2)
            }
            "min" if xorsign => (variants!(ftz, false, |a, b| xorsign_abs(a, b, min_f32)), 2),
            "max" if xorsign => (variants!(ftz, false, |a, b| xorsign_abs(a, b, max_f32)), 2),
            "min" if self.count() == 4 => match nan {
                false => (variants!(ftz, false, |a, b, c| min_f32(min_f32(a, b), c)), 3),
                true => (variants!(ftz, false, |a, b, c| min_nan_f32(min_nan_f32(a, b), c)), 3),
            },
            "max" if self.count() == 4 => match nan {
                false => (variants!(ftz, false, |a, b, c| max_f32(max_f32(a, b), c)), 3),
                true => (variants!(ftz, false, |a, b, c| max_nan_f32(max_nan_f32(a, b), c)), 3),
            },
            "min" if nan => (variants!(ftz, false, |a, b| min_nan_f32(a, b)), 2),
            "max" if nan => (variants!(ftz, false, |a, b| max_nan_f32(a, b)), 2),
            "min" => (variants!(ftz, false, |a, b| min_f32(a, b)), 2),
            "max" => (variants!(ftz, false, |a, b| max_f32(a, b)), 2),
            "abs" => (variants!(ftz, false, |a| a.abs()), 1),
            "neg" => (variants!(ftz, false, |a| -a), 1),
            "copysign" => (row!(|a: u32, b: u32| -> u32 { (a & 1 << 31) | (b & !(1 << 31)) }), 2),
            special => {
                class = Class::Special;
                let f = match special {
                    "ex2" => variants!(ftz, sat, |a| ex2(a)),
                    "lg2" => variants!(ftz, sat, |a| lg2(a)),
                    "sin" => variants!(ftz, sat, |a| sine(a)),
                    "cos" => variants!(ftz, sat, |a| cosine(a)),
                    "tanh" => variants!(ftz, sat, |a| tanh(a)),
                    "rsqrt" => variants!(ftz, sat, |a| rsqrt(a)),
                    _ => return self.unsupported(""),
                };
                (f, 1)
            }
        };
        if matches!(self.statement.opcode.as_str(), "div" | "sqrt" | "rcp") {
            class = Class::Special;
        }
        self.map(f, &[false; 4][..sources + 1], class)
    }

    fn double(&mut self) -> Result<()> {
        let mode = self.mode();
        let sat = self.has("sat");
        let (f, sources): (RowFn, usize) = match self.statement.opcode.as_str() {
            "add" if sat => (row!(|a: f64, b: f64| -> f64 { saturate_f64(a + b) }), 2),
            "mul" if sat => (row!(|a: f64, b: f64| -> f64 { saturate_f64(a * b) }), 2),
            "add" => (rounded_double!(mode, |a, b| a + b, add_f64), 2),
            "sub" => (rounded_double!(mode, |a, b| a - b, sub_f64), 2),
            "mul" => (rounded_double!(mode, |a, b| a * b, mul_f64), 2),
            "fma" | "mad" => (rounded_double!(mode, |a, b, c| a.mul_add(b, c), fma_f64), 3),
            "div" => (rounded_double!(mode, |a, b| a / b, div_f64), 2),
            "sqrt" => (rounded_double!(mode, |a| a.sqrt(), sqrt_f64), 1),
            "rcp" => (rounded_double!(mode, |a| 1.0 / a, reciprocal_f64), 1),
            "rsqrt" => (row!(|a: f64| -> f64 { 1.0 / a.sqrt() }), 1),
            "min" => (row!(|a: f64, b: f64| -> f64 { min_f64(a, b) }), 2),
            "max" => (row!(|a: f64, b: f64| -> f64 { max_f64(a, b) }), 2),
            "abs" => (row!(|a: f64| -> f64 { a.abs() }), 1),
            "neg" => (row!(|a: f64| -> f64 { -a }), 1),
            "copysign" => (row!(|a: u64, b: u64| -> u64 { (a & 1 << 63) | (b & !(1 << 63)) }), 2),
            _ => return self.unsupported(""),
        };
        self.map(f, &[true; 4][..sources + 1], Class::Float64)
    }

    /// `testp`: a property of a float, as a predicate.
    pub(crate) fn test_property(&mut self) -> Result<()> {
        use super::row::{PredFn, pred_row};
        let ty = self.ty()?;
        let word = self.statement.modifiers.first().map_or("", String::as_str);
        let f: PredFn = match (word, ty) {
            ("finite", Type::F32) => pred_row!(|a: f32| a.is_finite()),
            ("infinite", Type::F32) => pred_row!(|a: f32| a.is_infinite()),
            ("number", Type::F32) => pred_row!(|a: f32| !a.is_nan()),
            ("notanumber", Type::F32) => pred_row!(|a: f32| a.is_nan()),
            ("normal", Type::F32) => pred_row!(|a: f32| a.is_normal()),
            ("subnormal", Type::F32) => pred_row!(|a: f32| a.is_subnormal()),
            ("finite", Type::F64) => pred_row!(|a: f64| a.is_finite()),
            ("infinite", Type::F64) => pred_row!(|a: f64| a.is_infinite()),
            ("number", Type::F64) => pred_row!(|a: f64| !a.is_nan()),
            ("notanumber", Type::F64) => pred_row!(|a: f64| a.is_nan()),
            ("normal", Type::F64) => pred_row!(|a: f64| a.is_normal()),
            ("subnormal", Type::F64) => pred_row!(|a: f64| a.is_subnormal()),
            _ => return self.unsupported(""),
        };
        let a = self.src(1, ty == Type::F64)?;
        self.emit_compare(f, [a, 0, 0, 0])
    }
}
