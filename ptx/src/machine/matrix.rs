//! Matrix loads and stores of a warp, and the dispatch of everything a whole warp does together.

use super::access::Place;
use super::exec::Exec;
use super::memory::{DEFINED, UNDEFINED, UNINIT};
use super::warp::{Lanes, Warp};
use crate::checks::{FindingKind, Kind};
use crate::decode::{Addr, Inst, Op, Reg, Row, Space, WmmaMemory, WmmaPart};

impl Exec<'_> {
    pub(crate) fn matrix_step<const C: bool>(&mut self, warp: &mut Warp, inst: &Inst, active: u32) {
        match &inst.op {
            Op::LdMatrix { d, addr, transposed, .. } => {
                self.load_matrix::<C>(warp, inst, d, *addr, *transposed);
            }
            Op::StMatrix { s, addr, transposed } => {
                self.store_matrix::<C>(warp, inst, s, *addr, *transposed);
            }
            Op::MovMatrix { d, a } => {
                let source = *warp.r32(*a);
                let [low, high] = warp.halves(*a);
                let (mut known_low, mut known_high) = (0, 0);
                for lane in Lanes(active) {
                    let mut value = 0;
                    for e in 0..2 {
                        // Element [row][col] of the result is [col][row] of the source.
                        let (row, col) = (lane % 4 * 2 + e, lane / 4);
                        let from = row * 4 + col / 2;
                        let half = source[from] >> (16 * (col % 2)) & 0xffff;
                        value |= half << (16 * e);
                        let known = if col % 2 == 0 { low } else { high } >> from & 1;
                        if e == 0 {
                            known_low |= known << lane;
                        } else {
                            known_high |= known << lane;
                        }
                    }
                    warp.w32(*d)[lane] = value;
                }
                warp.set_defined(*d, active, known_low, known_high);
            }
            Op::Mma(mma) => self.mma::<C>(warp, mma),
            Op::Wmma(memory) => self.wmma_memory::<C>(warp, inst, memory),
            Op::WgmmaFence => warp.wgmma_fence = warp.executed,
            Op::WgmmaCommit => self.wgmma_commit(warp),
            Op::WgmmaWait { pending } => self.wgmma_wait(warp, *pending),
            Op::Wgmma(wgmma) => self.wgmma::<C>(warp, inst, wgmma),
            _ => {}
        }
    }

    fn load_matrix<const C: bool>(
        &mut self,
        warp: &mut Warp,
        inst: &Inst,
        d: &[Row],
        addr: Addr,
        transposed: bool,
    ) {
        let lanes = d.len() * 8;
        let active = if lanes == 32 { u32::MAX } else { (1 << lanes) - 1 };
        if C {
            self.check_address(warp, inst, addr.base, active);
        }
        let mut addresses = [0u64; 32];
        for (matrix, target) in d.iter().enumerate() {
            let mut rows = [[0u16; 8]; 8];
            let mut known = [[true; 8]; 8];
            for (row, cells) in rows.iter_mut().enumerate() {
                let lane = matrix * 8 + row;
                let address = Self::address(warp, addr, lane);
                addresses[lane] = address;
                let place = self.resolve(
                    warp,
                    inst,
                    lane,
                    Space::Generic.min_shared(address),
                    address,
                    16,
                    false,
                );
                let Some(place) = place else { continue };
                let Place::Shared { cta, offset } = place else { continue };
                if C && self.options.checks.race {
                    self.race(warp, inst, lane, place, address, 16, false, Kind::Plain, false);
                }
                let shared = &self.ctas[cta].shared[offset..offset + 16];
                for (cell, bytes) in cells.iter_mut().zip(shared.as_chunks::<2>().0) {
                    *cell = u16::from_le_bytes(*bytes);
                }
                if C && !self.ctas[cta].shared_state.is_empty() {
                    let states = &self.ctas[cta].shared_state[offset..offset + 16];
                    let is_uninit = states.contains(&UNINIT);
                    for (col, known) in known[row].iter_mut().enumerate() {
                        *known = states[2 * col] != UNDEFINED && states[2 * col + 1] != UNDEFINED;
                    }
                    if is_uninit && self.options.checks.init {
                        let message = "read of shared memory that nobody has written".to_string();
                        let (kind, lane) = (FindingKind::UninitShared, Some(lane as u32));
                        self.report(kind, warp, inst, lane, Some(address), None, message);
                    }
                }
            }
            let (mut low, mut high) = (0, 0);
            let out = warp.w32(*target);
            for (lane, value) in out.iter_mut().enumerate() {
                let (r, c) = (lane / 4, lane % 4 * 2);
                let at = |e: usize| if transposed { (c + e, r) } else { (r, c + e) };
                let (first, second) = (at(0), at(1));
                *value =
                    u32::from(rows[first.0][first.1]) | u32::from(rows[second.0][second.1]) << 16;
                low |= u32::from(known[first.0][first.1]) << lane;
                high |= u32::from(known[second.0][second.1]) << lane;
            }
            warp.set_defined(*target, u32::MAX, low, high);
        }
        self.count_access(Space::Shared, &addresses, active, 16, false);
    }

    fn store_matrix<const C: bool>(
        &mut self,
        warp: &mut Warp,
        inst: &Inst,
        s: &[Row],
        addr: Addr,
        transposed: bool,
    ) {
        let lanes = s.len() * 8;
        let active = if lanes == 32 { u32::MAX } else { (1 << lanes) - 1 };
        if C {
            self.check_address(warp, inst, addr.base, active);
        }
        let mut addresses = [0u64; 32];
        for (matrix, source) in s.iter().enumerate() {
            let values = *warp.r32(*source);
            let [low, high] = warp.halves(*source);
            let mut rows = [[0u16; 8]; 8];
            let mut known = [[true; 8]; 8];
            for (lane, value) in values.iter().enumerate() {
                let (r, c) = (lane / 4, lane % 4 * 2);
                for e in 0..2 {
                    let (row, col) = if transposed { (c + e, r) } else { (r, c + e) };
                    rows[row][col] = (value >> (16 * e)) as u16;
                    known[row][col] = if e == 0 { low } else { high } >> lane & 1 == 1;
                }
            }
            for row in 0..8 {
                let lane = matrix * 8 + row;
                let address = Self::address(warp, addr, lane);
                addresses[lane] = address;
                let space = Space::Generic.min_shared(address);
                let place = self.resolve(warp, inst, lane, space, address, 16, true);
                let Some(place) = place else { continue };
                let Place::Shared { cta, offset } = place else { continue };
                if C && self.options.checks.race {
                    self.race(warp, inst, lane, place, address, 16, true, Kind::Plain, false);
                }
                for col in 0..8 {
                    let at = offset + 2 * col;
                    self.ctas[cta].shared[at..at + 2]
                        .copy_from_slice(&rows[row][col].to_le_bytes());
                    if C && !self.ctas[cta].shared_state.is_empty() {
                        let state = if known[row][col] { DEFINED } else { UNDEFINED };
                        self.ctas[cta].shared_state[at..at + 2].fill(state);
                    }
                }
            }
        }
        self.count_access(Space::Shared, &addresses, active, 16, true);
    }

    /// Loads or stores a WMMA fragment. The order of elements in a fragment is this machine's
    /// own: lane by lane in row-major order of the matrix.
    fn wmma_memory<const C: bool>(&mut self, warp: &mut Warp, inst: &Inst, op: &WmmaMemory) {
        let (rows, cols) = match op.part {
            WmmaPart::A => (op.shape.m, op.shape.k),
            WmmaPart::B => (op.shape.k, op.shape.n),
            WmmaPart::C => (op.shape.m, op.shape.n),
        };
        // Elements of less than a byte move 32 bits at a time, as they are packed along k.
        let pack = if op.element.bits() < 8 { 32 / op.element.bits() } else { 1 };
        let (rows, cols) = match op.part {
            WmmaPart::A => (rows, cols / pack),
            WmmaPart::B => (rows / pack, cols),
            WmmaPart::C => (rows, cols),
        };
        let bits = op.element.bits() * pack;
        let bytes = bits / 8;
        let each = rows * cols / 32;
        let a_register = 32 / bits.min(32);
        let packed = if op.is_column { rows } else { cols };
        if C {
            self.check_address(warp, inst, op.addr.base, u32::MAX);
        }
        let base = Self::address(warp, op.addr, 0);
        let stride = if op.stride == 0 { packed } else { warp.r32(op.stride)[0] as usize / pack };
        for lane in 0..32 {
            for j in 0..each {
                let index = lane * each + j;
                let (row, col) = match op.part {
                    WmmaPart::B => (index % rows, index / rows),
                    _ => (index / cols, index % cols),
                };
                let linear = if op.is_column { col * stride + row } else { row * stride + col };
                let address = base.wrapping_add((linear * bytes) as u64);
                let Some(place) =
                    self.resolve(warp, inst, lane, op.space, address, bytes, op.is_store)
                else {
                    continue;
                };
                if C && self.options.checks.race {
                    let kind = Kind::Plain;
                    self.race(warp, inst, lane, place, address, bytes, op.is_store, kind, false);
                }
                let Some(reg) = op.registers.get(j / a_register).copied() else { continue };
                let shift = bits * (j % a_register);
                if op.is_store {
                    let value = warp.value(reg, lane) >> shift;
                    let known = warp.defined(reg.row) >> lane & 1 == 1;
                    let state = if known { DEFINED } else { UNDEFINED };
                    self.write_place::<C>(warp, place, bytes, value, state);
                    continue;
                }
                let (value, state) = self.read_place::<C>(warp, place, bytes);
                if C && state == UNINIT && self.options.checks.init {
                    let kind = match place {
                        Place::Shared { .. } => FindingKind::UninitShared,
                        _ => FindingKind::UninitGlobal,
                    };
                    let message = "read of memory that nobody has written".to_string();
                    self.report(kind, warp, inst, Some(lane as u32), Some(address), None, message);
                }
                let field = if bits >= 32 { u64::MAX } else { ((1u64 << bits) - 1) << shift };
                let old = warp.value(reg, lane);
                warp.set(reg, lane, (old & !field) | (value << shift & field));
                let known = if state == UNDEFINED { 0 } else { u32::MAX };
                warp.set_defined(reg.row, 1 << lane, known, known);
            }
        }
        // Fragments with more registers than elements hold copies in the rest.
        if !op.is_store {
            let used = each.div_ceil(a_register);
            for at in used..op.registers.len() {
                let (from, to): (Reg, Reg) = (op.registers[at % used], op.registers[at]);
                let values = *warp.r32(from.row);
                *warp.w32(to.row) = values;
                let [low, high] = warp.halves(from.row);
                warp.set_defined(to.row, u32::MAX, low, high);
            }
        }
    }
}

impl Space {
    /// The space of a matrix row: shared, whether its address is generic or not.
    fn min_shared(self, address: u64) -> Space {
        if address < super::access::WINDOW { Space::Cluster } else { self }
    }
}
