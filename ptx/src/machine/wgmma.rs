//! wgmma: products of a warpgroup with operands in shared memory. Each warp computes its own 16
//! rows when it issues the instruction; what remains in flight is remembered until the wait.

use super::exec::Exec;
use super::mma::{Fragment, decode_float, decode_integer, encode, is_integer, position};
use super::tensor_map::Swizzle;
use super::warp::Warp;
use crate::checks::{FindingKind, Kind, Stamp};
use crate::decode::{Inst, Op, Reg, Row, Wgmma, WgmmaA};

/// What a wgmma in flight still uses.
#[derive(Debug, Clone)]
pub(crate) struct Flight {
    /// Commit groups closed when it was issued.
    group: u32,
    /// Rows of the register file: results, and A operands in registers.
    results: Vec<u32>,
    operands: Vec<u32>,
    /// Shared memory: CTA and ranges.
    ranges: Vec<(usize, usize)>,
    /// Shape, by which consecutive products may share accumulators.
    shape: (usize, usize),
}

/// A matrix descriptor.
#[derive(Debug, Clone, Copy)]
struct Descriptor {
    start: u64,
    leading: u64,
    stride: u64,
    swizzle: Swizzle,
}

impl Descriptor {
    fn new(bits: u64) -> Descriptor {
        let field = |at: u32| (bits >> at & 0x3fff) << 4;
        Descriptor {
            start: field(0),
            leading: field(16),
            stride: field(32),
            swizzle: match bits >> 62 {
                1 => Swizzle::B128,
                2 => Swizzle::B64,
                3 => Swizzle::B32,
                _ => Swizzle::None,
            },
        }
    }

    /// Shared address of the element `outer` (row of A, column of B) and `inner` (along k).
    fn address(&self, outer: usize, inner: usize, bytes: usize, is_mn_major: bool) -> u64 {
        let (outer, inner, bytes) = (outer as u64, inner as u64, bytes as u64);
        let span = self.swizzle.span() as u64;
        let at = if is_mn_major {
            // Chunks of 8 elements along the outer dimension, 8 rows of k to a core matrix.
            let (chunk, within) = (outer / 8, outer % 8);
            if self.swizzle == Swizzle::None {
                chunk * self.stride + inner / 8 * self.leading + inner % 8 * 16 + within * bytes
            } else {
                let chunks = span / 16;
                chunk % chunks * 16
                    + chunk / chunks * self.leading
                    + inner % 8 * span
                    + inner / 8 * self.stride
                    + within * bytes
            }
        } else {
            let along = inner * bytes;
            if self.swizzle == Swizzle::None {
                outer / 8 * self.stride + along / 16 * self.leading + outer % 8 * 16 + along % 16
            } else {
                outer / 8 * self.stride + outer % 8 * span + along
            }
        };
        self.swizzle.apply(self.start + at)
    }
}

impl Exec<'_> {
    pub(crate) fn wgmma<const C: bool>(&mut self, warp: &mut Warp, inst: &Inst, op: &Wgmma) {
        let (n, k) = (op.n, op.k);
        self.counters.tensor_flops += 2 * (16 * n * k) as u64;
        if C {
            self.check_wgmma_fence(warp, inst, op);
        }
        let scale = match op.scale_d {
            0 => true,
            row => (warp.mask(row) & 1 == 1) != op.scale_d_negated,
        };
        let mut ranges = Vec::new();
        let warp_row = (warp.index as usize % 4) * 16;
        let integers = is_integer(op.a_type);
        let a_bits = op.a_type.bits();
        let mut a = vec![0f32; 16 * k];
        match &op.a {
            WgmmaA::Descriptor(row) => {
                let descriptor = Descriptor::new(warp.r64(*row)[0]);
                for r in 0..16 {
                    for inner in 0..k {
                        let bytes = a_bits / 8;
                        let at = descriptor.address(warp_row + r, inner, bytes, op.transpose_a);
                        a[r * k + inner] =
                            self.shared_element(warp, inst, at, op.a_type, &mut ranges);
                    }
                }
            }
            WgmmaA::Registers(regs) => {
                let each = 32 / a_bits;
                for lane in 0..32 {
                    for j in 0..regs.len() * each {
                        let (r, inner) = position(Fragment::A, a_bits, 16, lane, j);
                        let word = warp.value(regs[j / each], lane);
                        a[r * k + inner] = if integers {
                            decode_integer(op.a_type, word, j % each) as f32
                        } else {
                            decode_float(op.a_type, word, j % each) as f32
                        };
                    }
                }
            }
        }
        let descriptor = Descriptor::new(warp.r64(op.b)[0]);
        let mut b = vec![0f32; k * n];
        for col in 0..n {
            for inner in 0..k {
                let bytes = op.b_type.bits() / 8;
                let at = descriptor.address(col, inner, bytes, op.transpose_b);
                b[inner * n + col] = self.shared_element(warp, inst, at, op.b_type, &mut ranges);
            }
        }
        let sign = if op.negate_a != op.negate_b { -1.0 } else { 1.0 };
        let mut d = vec![0f64; 16 * n];
        product(&a, &b, &mut d, n, k, sign, integers);
        let packed = op.d_type.bits() == 16;
        for lane in 0..32 {
            for j in 0..n / 2 {
                let (r, c) = position(Fragment::C, 32, 16, lane, j % 4);
                let col = c + 8 * (j / 4);
                let reg = op.d[if packed { j / 2 } else { j }];
                let shift = if packed { 16 * (j % 2) } else { 0 };
                let old = warp.value(reg, lane);
                let before = if scale {
                    decode_float(op.d_type, old, j % if packed { 2 } else { 1 })
                } else {
                    0.0
                };
                let value = encode(op.d_type, before + d[r * n + col], op.saturate);
                let field = if packed { 0xffffu64 << shift } else { 0xffff_ffff };
                warp.set(reg, lane, (old & !field) | (value << shift & field));
            }
        }
        if C {
            self.wgmma_in_flight(warp, inst, op, scale, ranges);
        }
    }

    /// One element of shared memory; the range it lies in is noted by 16-byte chunks.
    fn shared_element(
        &mut self,
        warp: &Warp,
        inst: &Inst,
        at: u64,
        element: crate::decode::Element,
        ranges: &mut Vec<(usize, usize)>,
    ) -> f32 {
        let bytes = element.bits() / 8;
        if !self.is_shared(at, bytes as u64) {
            let message = "a wgmma operand lies outside shared memory".to_string();
            self.bad_access(FindingKind::OobShared, warp, inst, 0, at, message);
            return 0.0;
        }
        let at = at as usize;
        let chunk = at / 16 * 16;
        if !ranges.iter().rev().take(2).any(|r| r.0 == chunk) {
            ranges.push((chunk, 16));
        }
        let mut word = [0u8; 8];
        word[..bytes].copy_from_slice(&self.ctas[warp.cta].shared[at..at + bytes]);
        let word = u64::from_le_bytes(word);
        if is_integer(element) {
            decode_integer(element, word, 0) as f32
        } else {
            decode_float(element, word, 0) as f32
        }
    }

    /// Registers must not have been written since the last wgmma.fence, except by wgmma.
    fn check_wgmma_fence(&mut self, warp: &mut Warp, inst: &Inst, op: &Wgmma) {
        if !self.options.checks.race {
            return;
        }
        let fence = warp.wgmma_fence;
        let written =
            |row: Row| warp.written_at.get((warp.base + row) as usize).copied().unwrap_or(0);
        // Compilers place moves and the packing of operands between the fence and the first
        // product, from where the assembler lifts them above the fence.
        let is_late = |row: Row, is_operand: bool| {
            let when = written(row);
            let is_lifted = when & 2 != 0 && (is_operand || when & 1 != 0);
            when >> 2 > fence && !is_lifted
        };
        let operands: &[Reg] = match &op.a {
            WgmmaA::Registers(regs) => regs,
            WgmmaA::Descriptor(_) => &[],
        };
        let results = op.d.iter().find(|reg| is_late(reg.row, false));
        let late = results.or_else(|| operands.iter().find(|reg| is_late(reg.row, true)));
        warp.wgmma_issued = warp.executed;
        let message = match (fence, late) {
            (0, _) => "no wgmma.fence before the first wgmma.mma_async",
            (_, Some(_)) => "a register of the product was written after the last wgmma.fence",
            _ => return,
        };
        let kind = FindingKind::MissingWgmmaFence;
        self.report(kind, warp, inst, None, None, None, message.to_string());
    }

    fn wgmma_in_flight(
        &mut self,
        warp: &mut Warp,
        inst: &Inst,
        op: &Wgmma,
        scale: bool,
        mut ranges: Vec<(usize, usize)>,
    ) {
        ranges.sort_unstable();
        ranges.dedup();
        let mut joined: Vec<(usize, usize)> = Vec::new();
        for (offset, bytes) in ranges {
            match joined.last_mut() {
                Some(last) if last.0 + last.1 == offset => last.1 += bytes,
                _ => joined.push((offset, bytes)),
            }
        }
        let (cta, kind) = (warp.cta, Some(Kind::WgmmaInFlight));
        self.async_read(warp, inst, u32::MAX, cta, &joined, kind);
        let mut operands = Vec::new();
        let mut known = u32::MAX;
        if let WgmmaA::Registers(regs) = &op.a {
            for reg in regs {
                operands.push(warp.base + reg.row);
                known &= warp.defined(reg.row);
            }
        }
        let all = if known == u32::MAX { u32::MAX } else { 0 };
        for reg in &op.d {
            let before = if scale { warp.defined(reg.row) } else { u32::MAX };
            warp.set_defined(reg.row, u32::MAX, before & all, before & all);
        }
        let results: Vec<u32> = op.d.iter().map(|reg| warp.base + reg.row).collect();
        warp.flights.push(Flight {
            group: warp.wgmma_groups,
            results,
            operands,
            ranges: joined,
            shape: (op.n, op.k),
        });
    }

    pub(crate) fn wgmma_commit(&mut self, warp: &mut Warp) {
        warp.wgmma_groups += 1;
    }

    pub(crate) fn wgmma_wait(&mut self, warp: &mut Warp, pending: u32) {
        let groups = warp.wgmma_groups;
        for flight in std::mem::take(&mut warp.flights) {
            if flight.group + pending >= groups {
                warp.flights.push(flight);
                continue;
            }
            let stamp = Stamp::new(warp.time.warp, u32::MAX, warp.time.epoch, Kind::WgmmaDone);
            for (offset, bytes) in flight.ranges {
                let shadow = &mut self.ctas[warp.cta].shadow;
                shadow.restamp_reads(offset, bytes, Kind::WgmmaInFlight, stamp);
            }
        }
        // A range that a later product reads too is in flight again.
        let flights = std::mem::take(&mut warp.flights);
        for flight in &flights {
            let stamp = Stamp::new(warp.time.warp, u32::MAX, warp.time.epoch, Kind::WgmmaInFlight);
            for (offset, bytes) in &flight.ranges {
                self.ctas[warp.cta].shadow.restamp_reads(*offset, *bytes, Kind::WgmmaDone, stamp);
            }
        }
        warp.flights = flights;
    }

    /// Reports instructions that touch registers of a wgmma in flight.
    #[cold]
    pub(crate) fn check_flights(&mut self, warp: &mut Warp, inst: &Inst) {
        if !self.options.checks.race {
            return;
        }
        let row = |row: &Row| warp.base + row;
        let shape = match &inst.op {
            Op::Wgmma(next) => Some((next.n, next.k)),
            _ => None,
        };
        let mut touched = false;
        let mut copied = Vec::new();
        for (index, flight) in warp.flights.iter().enumerate() {
            for read in inst.reads.iter().map(row) {
                if flight.results.contains(&read) {
                    match inst.op {
                        // A copy only renames the register; what it holds stays in flight.
                        Op::Move { .. } => copied.push(index),
                        _ => touched = true,
                    }
                }
            }
            for write in inst.writes.iter().map(row) {
                let is_result = flight.results.contains(&write);
                let chains = shape == Some(flight.shape) && is_result;
                touched |= (is_result && !chains) || flight.operands.contains(&write);
            }
        }
        if let Op::Move { .. } = inst.op {
            let writes: Vec<u32> = inst.writes.iter().map(row).collect();
            for index in copied {
                warp.flights[index].results.extend(&writes);
            }
        }
        if touched {
            let message = "a register of a wgmma that was not waited for".to_string();
            for kind in [FindingKind::WgmmaRegisterInFlight, FindingKind::MissingWgmmaWait] {
                self.report(kind, warp, inst, None, None, None, message.clone());
            }
        }
    }
}

/// `d += ±a · b` with 16 rows.
fn product(a: &[f32], b: &[f32], d: &mut [f64], n: usize, k: usize, sign: f32, integers: bool) {
    if integers {
        for row in 0..16 {
            for inner in 0..k {
                let x = f64::from(a[row * k + inner]);
                for col in 0..n {
                    d[row * n + col] += x * f64::from(b[inner * n + col]);
                }
            }
        }
        return;
    }
    let mut sum = vec![0f32; n];
    for row in 0..16 {
        sum.fill(0.0);
        for inner in 0..k {
            let x = sign * a[row * k + inner];
            let line = &b[inner * n..inner * n + n];
            for (s, y) in sum.iter_mut().zip(line) {
                *s += x * y;
            }
        }
        for (out, s) in d[row * n..row * n + n].iter_mut().zip(&sum) {
            *out = f64::from(*s);
        }
    }
}
