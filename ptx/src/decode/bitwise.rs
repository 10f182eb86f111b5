//! Logic, shifts, fields and permutations of bits.

use super::class::Class;
use super::context::Decoder;
use super::op::Flow;
use super::row::{RowFn, row};
use crate::error::Result;
use crate::parse::Type;

impl Decoder<'_> {
    /// `and`, `or`, `xor`, `not`, `shl`, `shr`, `shf`, `lop3`, `prmt`, `bfe`, `bfi`, `popc`,
    /// `clz`, `brev`, `bfind`, `bmsk`, `szext`, `fns`.
    pub(crate) fn bitwise(&mut self) -> Result<()> {
        let ty = self.ty()?;
        let wide = ty.bytes() == 8;
        let half = ty.bytes() == 2;
        if ty == Type::Pred {
            return self.pred_logic();
        }
        let opcode = self.statement.opcode.as_str();
        let shiftamt = self.has("shiftamt");
        let (left, wrap, clamp) = (self.has("l"), self.has("wrap"), self.has("clamp"));
        let (f, wides, flow): (RowFn, Vec<bool>, Flow) = match (opcode, wide) {
            ("and", false) => {
                (row!(|a: u32, b: u32| -> u32 { a & b }), vec![false; 3], Flow::Halves)
            }
            ("and", true) => (row!(|a: u64, b: u64| -> u64 { a & b }), vec![true; 3], Flow::Halves),
            ("or", false) => {
                (row!(|a: u32, b: u32| -> u32 { a | b }), vec![false; 3], Flow::Halves)
            }
            ("or", true) => (row!(|a: u64, b: u64| -> u64 { a | b }), vec![true; 3], Flow::Halves),
            ("xor", false) => {
                (row!(|a: u32, b: u32| -> u32 { a ^ b }), vec![false; 3], Flow::Halves)
            }
            ("xor", true) => (row!(|a: u64, b: u64| -> u64 { a ^ b }), vec![true; 3], Flow::Halves),
            ("not", false) if half => {
                (row!(|a: u32| -> u32 { !a & 0xffff }), vec![false; 2], Flow::Halves)
            }
            ("not", false) => (row!(|a: u32| -> u32 { !a }), vec![false; 2], Flow::Halves),
            ("not", true) => (row!(|a: u64| -> u64 { !a }), vec![true; 2], Flow::Halves),
            ("cnot", false) => {
                (row!(|a: u32| -> u32 { u32::from(a == 0) }), vec![false; 2], Flow::All)
            }
            ("cnot", true) => {
                (row!(|a: u64| -> u64 { u64::from(a == 0) }), vec![true; 2], Flow::All)
            }
            ("shl", false) if half => (
                row!(|a: u32, n: u32| -> u32 { if n > 15 { 0 } else { (a << n) & 0xffff } }),
                vec![false; 3],
                Flow::All,
            ),
            ("shl", false) => (
                row!(|a: u32, n: u32| -> u32 { a.checked_shl(n).unwrap_or(0) }),
                vec![false; 3],
                Flow::All,
            ),
            ("shl", true) => (
                row!(|a: u64, n: u32| -> u64 { a.checked_shl(n).unwrap_or(0) }),
                vec![true, true, false],
                Flow::All,
            ),
            ("shr", false) if half && ty == Type::S16 => (
                row!(|a: u32, n: u32| -> u32 { u32::from((a as i16 >> n.min(15)) as u16) }),
                vec![false; 3],
                Flow::All,
            ),
            ("shr", false) if half => (
                row!(|a: u32, n: u32| -> u32 { (a & 0xffff).checked_shr(n).unwrap_or(0) }),
                vec![false; 3],
                Flow::All,
            ),
            ("shr", false) if ty == Type::S32 => {
                (row!(|a: i32, n: u32| -> i32 { a >> n.min(31) }), vec![false; 3], Flow::All)
            }
            ("shr", false) => (
                row!(|a: u32, n: u32| -> u32 { a.checked_shr(n).unwrap_or(0) }),
                vec![false; 3],
                Flow::All,
            ),
            ("shr", true) if ty == Type::S64 => (
                row!(|a: i64, n: u32| -> i64 { a >> n.min(63) }),
                vec![true, true, false],
                Flow::All,
            ),
            ("shr", true) => (
                row!(|a: u64, n: u32| -> u64 { a.checked_shr(n).unwrap_or(0) }),
                vec![true, true, false],
                Flow::All,
            ),
            ("shf", false) => {
                let f: RowFn = match (left, wrap, clamp) {
                    (true, true, _) => {
                        row!(|a: u32, b: u32, n: u32| -> u32 { funnel_left(a, b, n & 31) })
                    }
                    (true, _, true) => {
                        row!(|a: u32, b: u32, n: u32| -> u32 { funnel_left(a, b, n.min(32)) })
                    }
                    (false, true, _) => {
                        row!(|a: u32, b: u32, n: u32| -> u32 { funnel_right(a, b, n & 31) })
                    }
                    (false, _, true) => {
                        row!(|a: u32, b: u32, n: u32| -> u32 { funnel_right(a, b, n.min(32)) })
                    }
                    _ => return self.unsupported("needs .wrap or .clamp"),
                };
                (f, vec![false; 4], Flow::All)
            }
            ("bfe", false) if ty == Type::U32 => (
                row!(|a: u32, b: u32, c: u32| -> u32 {
                    extract(u64::from(a), b, c, 32, false) as u32
                }),
                vec![false; 4],
                Flow::All,
            ),
            ("bfe", false) => (
                row!(|a: i32, b: u32, c: u32| -> u32 {
                    extract(i64::from(a) as u64, b, c, 32, true) as u32
                }),
                vec![false; 4],
                Flow::All,
            ),
            ("bfe", true) if ty == Type::U64 => (
                row!(|a: u64, b: u32, c: u32| -> u64 { extract(a, b, c, 64, false) }),
                vec![true, true, false, false],
                Flow::All,
            ),
            ("bfe", true) => (
                row!(|a: u64, b: u32, c: u32| -> u64 { extract(a, b, c, 64, true) }),
                vec![true, true, false, false],
                Flow::All,
            ),
            ("bfi", false) => (
                row!(|a: u32, b: u32, c: u32, d: u32| -> u32 {
                    insert(u64::from(a), u64::from(b), c, d, 32) as u32
                }),
                vec![false; 5],
                Flow::All,
            ),
            ("bfi", true) => (
                row!(|a: u64, b: u64, c: u32, d: u32| -> u64 { insert(a, b, c, d, 64) }),
                vec![true, true, true, false, false],
                Flow::All,
            ),
            ("popc", false) => {
                (row!(|a: u32| -> u32 { a.count_ones() }), vec![false; 2], Flow::All)
            }
            ("popc", true) => {
                (row!(|a: u64| -> u32 { a.count_ones() }), vec![false, true], Flow::All)
            }
            ("clz", false) => {
                (row!(|a: u32| -> u32 { a.leading_zeros() }), vec![false; 2], Flow::All)
            }
            ("clz", true) => {
                (row!(|a: u64| -> u32 { a.leading_zeros() }), vec![false, true], Flow::All)
            }
            ("brev", false) => {
                (row!(|a: u32| -> u32 { a.reverse_bits() }), vec![false; 2], Flow::All)
            }
            ("brev", true) => {
                (row!(|a: u64| -> u64 { a.reverse_bits() }), vec![true; 2], Flow::All)
            }
            ("bfind", _) => {
                let f: RowFn = match (ty, shiftamt) {
                    (Type::U32, false) => row!(|a: u32| -> u32 { find(u64::from(a), 32, false) }),
                    (Type::U32, true) => row!(|a: u32| -> u32 { find(u64::from(a), 32, true) }),
                    (Type::S32, false) => {
                        row!(|a: i32| -> u32 { find(u64::from((a ^ (a >> 31)) as u32), 32, false) })
                    }
                    (Type::S32, true) => {
                        row!(|a: i32| -> u32 { find(u64::from((a ^ (a >> 31)) as u32), 32, true) })
                    }
                    (Type::U64, false) => row!(|a: u64| -> u32 { find(a, 64, false) }),
                    (Type::U64, true) => row!(|a: u64| -> u32 { find(a, 64, true) }),
                    (Type::S64, false) => {
                        row!(|a: i64| -> u32 { find((a ^ (a >> 63)) as u64, 64, false) })
                    }
                    (Type::S64, true) => {
                        row!(|a: i64| -> u32 { find((a ^ (a >> 63)) as u64, 64, true) })
                    }
                    _ => return self.unsupported(""),
                };
                (f, vec![false, wide], Flow::All)
            }
            ("bmsk", false) if clamp => (
                row!(|a: u32, b: u32| -> u32 { ones(b.min(32)).checked_shl(a).unwrap_or(0) }),
                vec![false; 3],
                Flow::All,
            ),
            ("bmsk", false) => (
                row!(|a: u32, b: u32| -> u32 { ones(b & 31) << (a & 31) }),
                vec![false; 3],
                Flow::All,
            ),
            ("szext", false) => {
                let f: RowFn = match (ty.is_signed(), clamp) {
                    (false, true) => row!(|a: u32, n: u32| -> u32 { a & ones(n.min(32)) }),
                    (false, false) => row!(|a: u32, n: u32| -> u32 { a & ones(n & 31) }),
                    (true, true) => row!(|a: u32, n: u32| -> u32 { sign_from(a, n.min(32)) }),
                    (true, false) => row!(|a: u32, n: u32| -> u32 { sign_from(a, n & 31) }),
                };
                (f, vec![false; 3], Flow::All)
            }
            ("lop3", false) => return self.lop3(),
            ("prmt", false) => return self.prmt(),
            _ => return self.unsupported(""),
        };
        self.map_flow(f, &wides, Class::Integer, flow)
    }

    fn lop3(&mut self) -> Result<()> {
        if self.count() != 5 {
            return self.unsupported("only the form with five operands is known");
        }
        let f: RowFn =
            row!(|a: u32, b: u32, c: u32, table: u32| -> u32 { lookup3(a, b, c, table) });
        self.map_flow(f, &[false; 5], Class::Integer, Flow::Halves)
    }

    fn prmt(&mut self) -> Result<()> {
        let mode = self.statement.modifiers.iter().find(|m| Type::parse(m).is_none());
        let f: RowFn = match mode.map(String::as_str) {
            None => row!(|a: u32, b: u32, c: u32| -> u32 { permute(a, b, c) }),
            Some("f4e") => row!(|a: u32, b: u32, c: u32| -> u32 {
                permute(a, b, [0x3210, 0x4321, 0x5432, 0x6543][c as usize & 3])
            }),
            Some("b4e") => row!(|a: u32, b: u32, c: u32| -> u32 {
                permute(a, b, [0x5670, 0x6701, 0x7012, 0x0123][c as usize & 3])
            }),
            Some("rc8") => {
                row!(|a: u32, b: u32, c: u32| -> u32 { permute(a, b, (c & 3) * 0x1111) })
            }
            Some("ecl") => row!(|a: u32, b: u32, c: u32| -> u32 {
                permute(a, b, [0x3210, 0x3211, 0x3222, 0x3333][c as usize & 3])
            }),
            Some("ecr") => row!(|a: u32, b: u32, c: u32| -> u32 {
                permute(a, b, [0x0000, 0x1110, 0x2210, 0x3210][c as usize & 3])
            }),
            Some("rc16") => row!(|a: u32, b: u32, c: u32| -> u32 {
                permute(a, b, [0x1010, 0x3232, 0x1010, 0x3232][c as usize & 3])
            }),
            _ => return self.unsupported(""),
        };
        self.map(f, &[false; 4], Class::Integer)
    }
}

fn funnel_left(a: u32, b: u32, n: u32) -> u32 {
    let joined = u64::from(b) << 32 | u64::from(a);
    ((joined << n) >> 32) as u32
}

fn funnel_right(a: u32, b: u32, n: u32) -> u32 {
    let joined = u64::from(b) << 32 | u64::from(a);
    (joined >> n) as u32
}

/// `bfe`: position and length are taken modulo 256; bits beyond the top repeat the sign.
fn extract(a: u64, position: u32, length: u32, width: u32, signed: bool) -> u64 {
    let (position, length) = (position & 0xff, length & 0xff);
    let top = (position + length).saturating_sub(1).min(width - 1);
    let sign = signed && length > 0 && (a >> top) & 1 == 1;
    let mut out = 0;
    let available = if position >= width { 0 } else { length.min(width - position) };
    if available > 0 {
        out = (a >> position) & (u64::MAX >> (64 - available));
    }
    if sign && available < width {
        out |= u64::MAX << available;
    }
    if width == 32 { out & 0xffff_ffff } else { out }
}

fn insert(a: u64, b: u64, position: u32, length: u32, width: u32) -> u64 {
    let (position, length) = (position & 0xff, length & 0xff);
    if position >= width || length == 0 {
        return b;
    }
    let length = length.min(width - position);
    let mask = (u64::MAX >> (64 - length)) << position;
    (b & !mask) | ((a << position) & mask)
}

fn find(a: u64, width: u32, shiftamt: bool) -> u32 {
    if a == 0 {
        return u32::MAX;
    }
    let top = 63 - a.leading_zeros();
    if shiftamt { width - 1 - top } else { top }
}

fn ones(n: u32) -> u32 {
    if n >= 32 { u32::MAX } else { (1 << n) - 1 }
}

fn sign_from(a: u32, n: u32) -> u32 {
    match n {
        0 => 0,
        n if n >= 32 => a,
        n => (((a << (32 - n)) as i32) >> (32 - n)) as u32,
    }
}

fn lookup3(a: u32, b: u32, c: u32, table: u32) -> u32 {
    let mut out = 0;
    for term in 0..8 {
        if table >> term & 1 == 1 {
            let pick = |x: u32, bit: u32| if term >> bit & 1 == 1 { x } else { !x };
            out |= pick(a, 2) & pick(b, 1) & pick(c, 0);
        }
    }
    out
}

fn permute(a: u32, b: u32, selector: u32) -> u32 {
    let joined = u64::from(b) << 32 | u64::from(a);
    let mut out = 0;
    for i in 0..4 {
        let pick = selector >> (4 * i) & 0xf;
        let byte = (joined >> (8 * (pick & 7))) as u8;
        let byte = if pick & 8 != 0 { ((byte as i8) >> 7) as u8 } else { byte };
        out |= u32::from(byte) << (8 * i);
    }
    out
}
