//! Matrix products of a warp: fragments to plain matrices, a product, and back.

use super::exec::Exec;
use super::warp::Warp;
use crate::decode::{Element, Mma, Reg};
use crate::number::{to_f32_bf16, to_f32_f16};

/// Rows and columns of a fragment's element: lane and index within the lane's elements.
#[derive(Clone, Copy)]
pub(crate) enum Fragment {
    A,
    B,
    /// Accumulator or result.
    C,
}

/// Where element `j` of a lane stands in the matrix, for `mma.sync` and wgmma fragments.
#[inline(always)]
pub(crate) fn position(
    fragment: Fragment,
    bits: usize,
    rows: usize,
    lane: usize,
    j: usize,
) -> (usize, usize) {
    let (group, thread) = (lane / 4, lane % 4);
    match fragment {
        Fragment::A => {
            let each = 32 / bits.min(32);
            let (register, e) = (j / each, j % each);
            if rows == 8 {
                return (group, thread * each + e + 4 * each * register);
            }
            (group + 8 * (register & 1), thread * each + e + 4 * each * (register >> 1))
        }
        Fragment::B => {
            let each = 32 / bits.min(32);
            let (register, e) = (j / each, j % each);
            (thread * each + e + 4 * each * register, group)
        }
        Fragment::C => {
            let row = if rows == 8 { group } else { group + 8 * (j >> 1 & 1) };
            let col = if rows == 8 { j } else { j & 1 };
            (row, thread * 2 + col)
        }
    }
}

/// Value of element `e` of a register.
#[inline(always)]
pub(crate) fn decode_float(element: Element, word: u64, e: usize) -> f64 {
    match element {
        Element::F16 => f64::from(to_f32_f16((word >> (16 * e)) as u32 & 0xffff)),
        Element::Bf16 => f64::from(to_f32_bf16((word >> (16 * e)) as u32 & 0xffff)),
        // The low bits of a tf32 operand are ignored.
        Element::Tf32 => f64::from(f32::from_bits(word as u32 & 0xffff_e000)),
        Element::F32 => f64::from(f32::from_bits(word as u32)),
        Element::F64 => f64::from_bits(word),
        Element::E4m3 => f64::from(eight((word >> (8 * e)) as u8, true)),
        Element::E5m2 => f64::from(eight((word >> (8 * e)) as u8, false)),
        other => f64::from(decode_integer(other, word, e)),
    }
}

pub(crate) fn eight(bits: u8, is_e4m3: bool) -> f32 {
    if !is_e4m3 {
        return to_f32_f16(u32::from(bits) << 8);
    }
    let sign = if bits & 0x80 != 0 { -1.0 } else { 1.0 };
    let (field, fraction) = (bits >> 3 & 0xf, f32::from(bits & 7));
    match (field, bits & 0x7f) {
        (_, 0x7f) => f32::NAN,
        (0, _) => sign * fraction / 512.0,
        _ => sign * (1.0 + fraction / 8.0) * 2f32.powi(i32::from(field) - 7),
    }
}

#[inline(always)]
pub(crate) fn decode_integer(element: Element, word: u64, e: usize) -> i32 {
    match element {
        Element::S8 => i32::from((word >> (8 * e)) as i8),
        Element::U8 => i32::from((word >> (8 * e)) as u8),
        Element::S4 => i32::from(((word >> (4 * e)) as i8) << 4 >> 4),
        Element::U4 => (word >> (4 * e)) as i32 & 0xf,
        Element::B1 => (word >> e) as i32 & 1,
        _ => word as i32,
    }
}

pub(crate) fn is_integer(element: Element) -> bool {
    matches!(
        element,
        Element::S8 | Element::U8 | Element::S4 | Element::U4 | Element::B1 | Element::S32
    )
}

impl Exec<'_> {
    pub(crate) fn mma<const C: bool>(&mut self, warp: &mut Warp, op: &Mma) {
        let shape = op.shape;
        let operations = 2 * (shape.m * shape.n * shape.k) as u64;
        self.counters.tensor_flops += operations;
        let half_inputs = matches!(op.a_type, Element::F16 | Element::Bf16);
        let plain = half_inputs && op.c_type == Element::F32 && op.d_type == Element::F32;
        if plain && !op.is_wmma && shape.m == 16 {
            mma_half(warp, op);
        } else {
            mma_any(warp, op);
        }
        if C {
            mma_defined(warp, op);
        }
    }
}

/// Registers of the common case: 16-bit inputs, f32 accumulators, m16n8k8 or m16n8k16.
struct HalfProduct {
    a: [[u32; 32]; 4],
    b: [[u32; 32]; 2],
    c: [[u32; 32]; 4],
    depth: usize,
}

/// Rows of A that are multiplied together, so that their sums do not wait for each other.
const BLOCK: usize = 4;

impl HalfProduct {
    #[inline(always)]
    fn run(&mut self, unpack: impl Fn(u32) -> (f32, f32)) {
        let mut a = [[0f32; 16]; 16];
        let mut b = [[0f32; 8]; 16];
        for (index, words) in self.a[..self.depth / 4].iter().enumerate() {
            let (down, right) = (8 * (index & 1), 8 * (index >> 1));
            for group in 0..8 {
                for thread in 0..4 {
                    let (low, high) = unpack(words[group * 4 + thread]);
                    a[group + down][right + 2 * thread] = low;
                    a[group + down][right + 2 * thread + 1] = high;
                }
            }
        }
        for (index, words) in self.b[..self.depth / 8].iter().enumerate() {
            for thread in 0..4 {
                for group in 0..8 {
                    let (low, high) = unpack(words[group * 4 + thread]);
                    b[8 * index + 2 * thread][group] = low;
                    b[8 * index + 2 * thread + 1][group] = high;
                }
            }
        }
        for first in (0..16).step_by(BLOCK) {
            let mut sums = [[0f32; 8]; BLOCK];
            let half = first / 8 * 2;
            for (row, sum) in sums.iter_mut().enumerate() {
                let group = (first + row) % 8;
                for (col, value) in sum.iter_mut().enumerate() {
                    *value = f32::from_bits(self.c[half + col % 2][group * 4 + col / 2]);
                }
            }
            for (k, line) in b[..self.depth].iter().enumerate() {
                for (row, sum) in sums.iter_mut().enumerate() {
                    // Products of 16-bit values are exact in f32.
                    let x = a[first + row][k];
                    for col in 0..8 {
                        sum[col] += x * line[col];
                    }
                }
            }
            for (row, sum) in sums.iter().enumerate() {
                let group = (first + row) % 8;
                for (col, value) in sum.iter().enumerate() {
                    self.c[half + col % 2][group * 4 + col / 2] = value.to_bits();
                }
            }
        }
    }

    #[inline(always)]
    fn run_as(&mut self, element: Element) {
        match element {
            Element::Bf16 => {
                self.run(|w| (f32::from_bits(w << 16), f32::from_bits(w & 0xffff_0000)));
            }
            _ => self.run(|w| (to_f32_f16(w & 0xffff), to_f32_f16(w >> 16))),
        }
    }

    #[cfg(target_arch = "x86_64")]
    /// # Safety
    /// The host must have AVX2.
    #[target_feature(enable = "avx2")]
    unsafe fn run_fast(&mut self, element: Element) {
        self.run_as(element);
    }
}

fn mma_half(warp: &mut Warp, op: &Mma) {
    let mut product =
        HalfProduct { a: [[0; 32]; 4], b: [[0; 32]; 2], c: [[0; 32]; 4], depth: op.shape.k };
    for (words, reg) in product.a.iter_mut().zip(&op.a) {
        *words = *warp.r32(reg.row);
    }
    for (words, reg) in product.b.iter_mut().zip(&op.b) {
        *words = *warp.r32(reg.row);
    }
    for (words, reg) in product.c.iter_mut().zip(&op.c) {
        *words = *warp.r32(reg.row);
    }
    #[cfg(target_arch = "x86_64")]
    if crate::decode::row::is_fast_host() {
        // SAFETY: the host has the feature.
        unsafe { product.run_fast(op.a_type) };
    } else {
        product.run_as(op.a_type);
    }
    #[cfg(not(target_arch = "x86_64"))]
    product.run_as(op.a_type);
    for (words, reg) in product.c.iter().zip(&op.d) {
        *warp.w32(reg.row) = *words;
    }
}

/// Position of element `j` of a lane in any fragment of the product.
fn place(op: &Mma, fragment: Fragment, bits: usize, lane: usize, j: usize) -> (usize, usize) {
    if !op.is_wmma {
        return position(fragment, bits, op.shape.m, lane, j);
    }
    let (rows, cols) = match fragment {
        Fragment::A => (op.shape.m, op.shape.k),
        Fragment::B => (op.shape.k, op.shape.n),
        Fragment::C => (op.shape.m, op.shape.n),
    };
    let index = lane * (rows * cols / 32) + j;
    match fragment {
        // Down the columns, so that elements of less than a byte stay packed along k.
        Fragment::B => (index % rows, index / rows),
        _ => (index / cols, index % cols),
    }
}

fn gather(warp: &Warp, op: &Mma, fragment: Fragment, regs: &[Reg], element: Element) -> Vec<f64> {
    let (rows, cols) = match fragment {
        Fragment::A => (op.shape.m, op.shape.k),
        Fragment::B => (op.shape.k, op.shape.n),
        Fragment::C => (op.shape.m, op.shape.n),
    };
    let bits = element.bits();
    let each = (32 / bits.min(32)).max(1);
    let mut out = vec![0.0; rows * cols];
    for lane in 0..32 {
        for j in 0..rows * cols / 32 {
            let (row, col) = if each > 1 && matches!(fragment, Fragment::C) && !op.is_wmma {
                // Packed accumulators: register `r` holds two columns of one row.
                (lane / 4 + 8 * (j / 2), lane % 4 * 2 + j % 2)
            } else {
                place(op, fragment, bits, lane, j)
            };
            let word = warp.value(regs[j / each], lane);
            out[row * cols + col] = decode_float(element, word, j % each);
        }
    }
    out
}

fn mma_any(warp: &mut Warp, op: &Mma) {
    let (m, n, k) = (op.shape.m, op.shape.n, op.shape.k);
    let a = gather(warp, op, Fragment::A, &op.a, op.a_type);
    let b = gather(warp, op, Fragment::B, &op.b, op.b_type);
    let mut c = gather(warp, op, Fragment::C, &op.c, op.c_type);
    let integers = is_integer(op.a_type);
    for row in 0..m {
        for col in 0..n {
            let mut sum = c[row * n + col];
            for inner in 0..k {
                if op.is_xor {
                    sum += (a[row * k + inner] - b[inner * n + col]).abs();
                    continue;
                }
                sum = a[row * k + inner].mul_add(b[inner * n + col], sum);
                if !integers && op.d_type != Element::F64 {
                    // Accumulation keeps the precision of f32.
                    sum = f64::from(sum as f32);
                }
            }
            c[row * n + col] = sum;
        }
    }
    scatter(warp, op, &c);
}

fn scatter(warp: &mut Warp, op: &Mma, c: &[f64]) {
    let n = op.shape.n;
    let bits = op.d_type.bits();
    let each = (32 / bits.min(32)).max(1);
    for lane in 0..32 {
        for j in 0..op.shape.m * n / 32 {
            let (row, col) = if each > 1 && !op.is_wmma {
                (lane / 4 + 8 * (j / 2), lane % 4 * 2 + j % 2)
            } else {
                place(op, Fragment::C, bits, lane, j)
            };
            let value = c[row * n + col];
            let reg = op.d[j / each];
            let word = encode(op.d_type, value, op.saturate);
            if each == 1 {
                warp.set(reg, lane, word);
            } else {
                let shift = bits * (j % each);
                let field = ((1u64 << bits) - 1) << shift;
                let old = warp.value(reg, lane);
                warp.set(reg, lane, (old & !field) | word << shift);
            }
        }
    }
}

/// Bits of a result element.
pub(crate) fn encode(element: Element, value: f64, saturate: bool) -> u64 {
    match element {
        Element::F16 => {
            crate::number::from_f64(value, crate::number::F16, crate::number::Mode::Nearest)
        }
        Element::F64 => value.to_bits(),
        Element::S32 if saturate => u64::from(value as i32 as u32),
        Element::S32 => u64::from(value as i64 as u32),
        _ => u64::from((value as f32).to_bits()),
    }
}

/// A result element is defined where its row of A, its column of B and its accumulator are.
fn mma_defined(warp: &mut Warp, op: &Mma) {
    if warp.defined.is_empty() {
        return;
    }
    let whole =
        |warp: &Warp, regs: &[Reg]| regs.iter().all(|reg| warp.halves(reg.row) == [u32::MAX; 2]);
    if whole(warp, &op.a) && whole(warp, &op.b) && whole(warp, &op.c) {
        for reg in &op.d {
            warp.set_defined(reg.row, u32::MAX, u32::MAX, u32::MAX);
        }
        return;
    }
    let (mut bad_rows, mut bad_cols) = ([false; 32], [false; 32]);
    for lane in 0..32 {
        for (fragment, regs, element) in
            [(Fragment::A, &op.a, op.a_type), (Fragment::B, &op.b, op.b_type)]
        {
            let each = (32 / element.bits().min(32)).max(1);
            for (index, reg) in regs.iter().enumerate() {
                if warp.defined(reg.row) >> lane & 1 == 1 {
                    continue;
                }
                for e in 0..each {
                    let (row, col) = place(op, fragment, element.bits(), lane, index * each + e);
                    match fragment {
                        Fragment::A => bad_rows[row % 32] = true,
                        _ => bad_cols[col % 32] = true,
                    }
                }
            }
        }
    }
    let each = (32 / op.d_type.bits().min(32)).max(1);
    for (index, reg) in op.d.iter().enumerate() {
        let mut known = 0u32;
        let c_known = op.c.get(index).map_or(u32::MAX, |c| warp.defined(c.row));
        for lane in 0..32 {
            let mut good = c_known >> lane & 1 == 1;
            for e in 0..each {
                let j = index * each + e;
                let (row, col) = if each > 1 && !op.is_wmma {
                    (lane / 4 + 8 * (j / 2), lane % 4 * 2 + j % 2)
                } else {
                    place(op, Fragment::C, op.d_type.bits(), lane, j)
                };
                good &= !bad_rows[row % 32] && !bad_cols[col % 32];
            }
            known |= u32::from(good) << lane;
        }
        warp.set_defined(reg.row, u32::MAX, known, known);
    }
}
