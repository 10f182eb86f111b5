//! Loads and stores: from an address to a place in some memory, with bounds, alignment,
//! definedness, order and the cost counters.

use super::exec::{After, Exec};
use super::memory::{DEFINED, UNDEFINED, UNINIT};
use super::warp::{Lanes, Warp};
use crate::checks::FindingKind;
use crate::decode::{Addr, Inst, Op, Reg, SHARED_START, Space};
use crate::error::Error;

/// Size of a window of generic addresses; device memory starts above all of them.
pub(crate) const WINDOW: u64 = 1 << 40;
pub(crate) const SHARED_WINDOW: u64 = WINDOW;
pub(crate) const LOCAL_WINDOW: u64 = 2 * WINDOW;
pub(crate) const PARAM_WINDOW: u64 = 3 * WINDOW;

/// Where an access lands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Global { device: usize, allocation: usize, offset: usize },
    Shared { cta: usize, offset: usize },
    Local { offset: usize },
    Param { offset: usize },
}

impl Exec<'_> {
    /// The address an operand names in a lane.
    #[inline(always)]
    pub(crate) fn address(warp: &Warp, addr: Addr, lane: usize) -> u64 {
        if addr.base.wide {
            warp.r64(addr.base.row)[lane].wrapping_add(addr.offset as u64)
        } else {
            u64::from(warp.r32(addr.base.row)[lane].wrapping_add(addr.offset as u32))
        }
    }

    /// Finds the place of an access or reports why there is none.
    #[allow(clippy::too_many_arguments)]
    #[inline]
    pub(crate) fn resolve(
        &mut self,
        warp: &Warp,
        inst: &Inst,
        lane: usize,
        space: Space,
        address: u64,
        bytes: usize,
        is_write: bool,
    ) -> Option<Place> {
        if address & (bytes as u64 - 1) != 0 {
            let message =
                format!("access of {bytes} bytes at an address that is no multiple of it");
            self.bad_access(FindingKind::Misaligned, warp, inst, lane, address, message);
            return None;
        }
        match space {
            Space::Global => self.resolve_global(warp, inst, lane, address, bytes, is_write),
            Space::Shared => {
                self.resolve_shared(warp, inst, lane, address & 0xffff_ffff, bytes, false)
            }
            Space::Cluster => {
                self.resolve_shared(warp, inst, lane, address & 0xffff_ffff, bytes, true)
            }
            Space::Local => {
                let offset = address as usize;
                let end = self.local_end(warp);
                if offset.saturating_add(bytes) > end {
                    let message = format!("local memory of the thread ends at {end:#x}");
                    self.bad_access(FindingKind::OobLocal, warp, inst, lane, address, message);
                    return None;
                }
                Some(Place::Local { offset: lane * warp.local_stride + offset })
            }
            Space::Param => {
                let offset = address as usize;
                if offset.saturating_add(bytes) > self.info.args.len() {
                    let message = format!("parameters end at {:#x}", self.info.args.len());
                    self.bad_access(FindingKind::OobLocal, warp, inst, lane, address, message);
                    return None;
                }
                Some(Place::Param { offset })
            }
            Space::Generic => {
                let inner = address & (WINDOW - 1);
                let space = match address & !(WINDOW - 1) {
                    SHARED_WINDOW => Space::Cluster,
                    LOCAL_WINDOW => Space::Local,
                    PARAM_WINDOW => Space::Param,
                    _ => {
                        return self.resolve_global(warp, inst, lane, address, bytes, is_write);
                    }
                };
                self.resolve(warp, inst, lane, space, inner, bytes, is_write)
            }
        }
    }

    fn local_end(&self, warp: &Warp) -> usize {
        warp.local_base as usize + self.kernel.frames[warp.function as usize].local_bytes
    }

    #[inline]
    fn resolve_global(
        &mut self,
        warp: &Warp,
        inst: &Inst,
        lane: usize,
        address: u64,
        bytes: usize,
        is_write: bool,
    ) -> Option<Place> {
        let kind = if is_write { FindingKind::OobWrite } else { FindingKind::OobRead };
        let Some((device, allocation)) = self.machine.find(address) else {
            let message = self.describe_outside(address, bytes, is_write);
            self.bad_access(kind, warp, inst, lane, address, message);
            return None;
        };
        let target = &self.machine.allocations[device][allocation];
        let offset = (address - target.base) as usize;
        if offset + bytes > target.bytes {
            let message = self.describe_outside(address, bytes, is_write);
            self.bad_access(kind, warp, inst, lane, address, message);
            return None;
        }
        if !self.machine.can_reach(self.info.device, device) {
            let from = self.info.device;
            let message = format!("device {from} has no access to memory of device {device}");
            self.bad_access(FindingKind::PeerAccess, warp, inst, lane, address, message);
            return None;
        }
        Some(Place::Global { device, allocation, offset })
    }

    fn describe_outside(&self, address: u64, bytes: usize, is_write: bool) -> String {
        let verb = if is_write { "write" } else { "read" };
        let below = self.machine.allocations.iter().flatten().filter(|a| a.base <= address);
        match below.max_by_key(|a| a.base) {
            Some(near) => format!(
                "{verb} of {bytes} bytes at offset {} of `{}`, which has {} bytes",
                address - near.base,
                near.label,
                near.bytes
            ),
            None => format!("{verb} of {bytes} bytes at an address that is not allocated"),
        }
    }

    #[inline]
    fn resolve_shared(
        &mut self,
        warp: &Warp,
        inst: &Inst,
        lane: usize,
        address: u64,
        bytes: usize,
        is_cluster: bool,
    ) -> Option<Place> {
        let rank = (address >> 24) as usize;
        let offset = (address & 0xff_ffff) as usize;
        let cta = if rank == 0 { warp.cta } else { rank - 1 };
        let fits = cta < self.ctas.len() && (is_cluster || cta == warp.cta);
        if !fits || !self.is_shared(offset as u64, bytes as u64) {
            let message = self.describe_shared(offset as u64, bytes);
            self.bad_access(FindingKind::OobShared, warp, inst, lane, address, message);
            return None;
        }
        if self.ctas[cta].is_gone {
            let message = format!("CTA {cta} of the cluster has exited");
            self.bad_access(FindingKind::ClusterRace, warp, inst, lane, address, message);
            return None;
        }
        Some(Place::Shared { cta, offset })
    }

    /// True where a range lies in one variable or in dynamic shared memory.
    pub(crate) fn is_shared(&self, offset: u64, bytes: u64) -> bool {
        let start = self.kernel.dynamic_start;
        let end = start + self.info.config.dynamic_shared as u64;
        if offset >= start {
            return offset + bytes <= end;
        }
        self.kernel.statics.iter().any(|(at, size, _)| offset >= *at && offset + bytes <= at + size)
    }

    fn describe_shared(&self, offset: u64, bytes: usize) -> String {
        let near = self.kernel.statics.iter().filter(|s| s.0 <= offset).max_by_key(|s| s.0);
        let start = self.kernel.dynamic_start;
        if offset >= start {
            let size = self.info.config.dynamic_shared;
            let at = offset - start;
            return format!(
                "{bytes} bytes at offset {at} of dynamic shared memory of {size} bytes"
            );
        }
        match near {
            Some((at, size, name)) => {
                format!("{bytes} bytes at offset {} of `{name}`, which has {size}", offset - at)
            }
            None => format!("{bytes} bytes below {SHARED_START:#x}, where shared memory starts"),
        }
    }

    #[cold]
    pub(crate) fn bad_access(
        &mut self,
        kind: FindingKind,
        warp: &Warp,
        inst: &Inst,
        lane: usize,
        address: u64,
        message: String,
    ) {
        if self.options.checks.bounds {
            self.report(kind, warp, inst, Some(lane as u32), Some(address), None, message);
        } else if self.fault.is_none() {
            self.fault = Some(Error::Fault(format!(
                "{}: {} line {}: {message}",
                kind.name(),
                self.kernel.name,
                inst.line
            )));
        }
    }

    /// Reads up to 8 bytes and their state.
    #[inline(always)]
    pub(crate) fn read_place<const C: bool>(
        &self,
        warp: &Warp,
        place: Place,
        bytes: usize,
    ) -> (u64, u8) {
        match place {
            Place::Global { device, allocation, offset } => {
                let target = &self.machine.allocations[device][allocation];
                let state = if C { target.state(offset, bytes) } else { DEFINED };
                (target.load(offset, bytes), state)
            }
            Place::Shared { cta, offset } => {
                let cta = &self.ctas[cta];
                let mut state = DEFINED;
                if C && !cta.shared_state.is_empty() {
                    for s in &cta.shared_state[offset..offset + bytes] {
                        state = match (*s, state) {
                            (UNINIT, _) | (_, UNINIT) => UNINIT,
                            (UNDEFINED, _) | (_, UNDEFINED) => UNDEFINED,
                            _ => DEFINED,
                        };
                    }
                }
                (bytes_of(&cta.shared, offset, bytes), state)
            }
            Place::Local { offset } => (bytes_of(&warp.local, offset, bytes), DEFINED),
            Place::Param { offset } => (bytes_of(&self.info.args, offset, bytes), DEFINED),
        }
    }

    #[inline(always)]
    pub(crate) fn write_place<const C: bool>(
        &mut self,
        warp: &mut Warp,
        place: Place,
        bytes: usize,
        value: u64,
        state: u8,
    ) {
        match place {
            Place::Global { device, allocation, offset } => {
                let target = &self.machine.allocations[device][allocation];
                target.store(offset, bytes, value);
                if C {
                    target.set_state(offset, bytes, state);
                }
            }
            Place::Shared { cta, offset } => {
                let cta = &mut self.ctas[cta];
                cta.shared[offset..offset + bytes].copy_from_slice(&value.to_le_bytes()[..bytes]);
                if C && !cta.shared_state.is_empty() {
                    cta.shared_state[offset..offset + bytes].fill(state);
                }
            }
            Place::Local { offset } => {
                warp.local[offset..offset + bytes].copy_from_slice(&value.to_le_bytes()[..bytes]);
            }
            Place::Param { .. } => {}
        }
    }

    pub(crate) fn load<const C: bool>(
        &mut self,
        warp: &mut Warp,
        inst: &Inst,
        active: u32,
    ) -> After {
        let Op::Load { space, bytes, signed, dst, addr, order } = &inst.op else {
            return After::Next;
        };
        let (bytes, total) = (*bytes as usize, *bytes as usize * dst.len());
        if C {
            self.check_address(warp, inst, addr.base, active);
        }
        let mut signature = 0u64;
        let polls = order.strong || warp.executed > 1 << 20;
        let mut addresses = [0u64; 32];
        for lane in Lanes(active) {
            let address = Self::address(warp, *addr, lane);
            addresses[lane] = address;
            let Some(place) = self.resolve(warp, inst, lane, *space, address, total, false) else {
                for reg in dst {
                    warp.set(*reg, lane, 0);
                    warp.set_defined(reg.row, 1 << lane, u32::MAX, u32::MAX);
                }
                continue;
            };
            if C {
                self.order_access(warp, inst, lane, place, address, total, false, *order);
            }
            for (index, reg) in dst.iter().enumerate() {
                let part = advance(place, index * bytes);
                let (mut value, state) = self.read_place::<C>(warp, part, bytes);
                if *signed && bytes < 8 {
                    let shift = 64 - 8 * bytes as u32;
                    value = ((value << shift) as i64 >> shift) as u64;
                }
                if polls {
                    signature = (signature ^ value ^ address).wrapping_mul(0x0100_0000_01b3);
                }
                warp.set(*reg, lane, value);
                if C {
                    if state == UNINIT {
                        self.uninit_read(warp, inst, lane, place, address);
                    }
                    // What was never written is reported once, here; what was written with an
                    // undefined value stays undefined.
                    let known = if state == UNDEFINED { 0 } else { u32::MAX };
                    warp.set_defined(reg.row, 1 << lane, known, known);
                }
            }
        }
        self.count_access(*space, &addresses, active, total, false);
        if polls && self.poll(warp, inst, signature) {
            return After::Yield;
        }
        After::Next
    }

    /// Notes a poll; true where the warp should give up its turn.
    pub(crate) fn poll(&mut self, warp: &mut Warp, inst: &Inst, signature: u64) -> bool {
        let signature = signature ^ self.changes.get().wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let poll = &mut warp.polls[inst.line as usize % 8];
        if poll.line == inst.line && poll.signature == signature {
            poll.count += 1;
            warp.poll_count = poll.count;
            return poll.count > 1;
        }
        *poll = super::warp::Poll { line: inst.line, signature, count: 0 };
        warp.poll_count = 0;
        false
    }

    fn uninit_read(&mut self, warp: &Warp, inst: &Inst, lane: usize, place: Place, address: u64) {
        if !self.options.checks.init {
            return;
        }
        let (kind, what) = match place {
            Place::Shared { .. } => (FindingKind::UninitShared, "shared memory"),
            _ => (FindingKind::UninitGlobal, "device memory"),
        };
        let message = format!("read of {what} that nobody has written");
        self.report(kind, warp, inst, Some(lane as u32), Some(address), None, message);
    }

    pub(crate) fn check_address(&mut self, warp: &Warp, inst: &Inst, base: Reg, active: u32) {
        let unknown = active & !warp.defined(base.row);
        if unknown != 0 && self.options.checks.init {
            let lane = unknown.trailing_zeros();
            let message = "the address is undefined".to_string();
            self.report(FindingKind::UndefinedAddress, warp, inst, Some(lane), None, None, message);
        }
    }

    pub(crate) fn store<const C: bool>(&mut self, warp: &mut Warp, inst: &Inst, active: u32) {
        let Op::Store { space, bytes, src, addr, order } = &inst.op else { return };
        let (bytes, total) = (*bytes as usize, *bytes as usize * src.len());
        if C {
            self.check_address(warp, inst, addr.base, active);
        }
        let mut addresses = [0u64; 32];
        for lane in Lanes(active) {
            let address = Self::address(warp, *addr, lane);
            addresses[lane] = address;
            let Some(place) = self.resolve(warp, inst, lane, *space, address, total, true) else {
                continue;
            };
            if C {
                let same = matches!(place, Place::Shared { .. } | Place::Global { .. })
                    && src.iter().enumerate().all(|(index, reg)| {
                        let part = advance(place, index * bytes);
                        let mask = if bytes == 8 { u64::MAX } else { (1 << (8 * bytes)) - 1 };
                        self.read_place::<false>(warp, part, bytes).0
                            == warp.value(*reg, lane) & mask
                    });
                self.order_store(warp, inst, lane, place, address, total, *order, same);
            }
            for (index, reg) in src.iter().enumerate() {
                let part = advance(place, index * bytes);
                let mut state = DEFINED;
                if C {
                    let [low, high] = warp.halves(reg.row);
                    // Narrow stores take the low half only.
                    let narrow = bytes <= 2 || (reg.wide && bytes <= 4);
                    let known = if narrow { low } else { low & high };
                    if known >> lane & 1 == 0 {
                        state = UNDEFINED;
                        if self.options.checks.init && matches!(place, Place::Global { .. }) {
                            let message = "an undefined value is stored".to_string();
                            let at = Some(address + (index * bytes) as u64);
                            let kind = FindingKind::UndefinedStore;
                            self.report(kind, warp, inst, Some(lane as u32), at, None, message);
                        }
                    }
                }
                let value = warp.value(*reg, lane);
                let is_watched = warp.poll_count > 0 || order.strong;
                if is_watched && self.read_place::<false>(warp, part, bytes).0 != value {
                    self.note_change();
                }
                self.write_place::<C>(warp, part, bytes, value, state);
            }
        }
        if self.changes_matter {
            self.note_change();
        }
        self.count_access(*space, &addresses, active, total, true);
    }
}

/// The key of a synchronising place: shared addresses of different CTAs stay apart.
pub(crate) fn place_key(place: Place, address: u64) -> u64 {
    match place {
        Place::Shared { cta, offset } => SHARED_WINDOW | (cta as u64 + 1) << 24 | offset as u64,
        _ => address,
    }
}

pub(crate) fn advance(place: Place, bytes: usize) -> Place {
    match place {
        Place::Global { device, allocation, offset } => {
            Place::Global { device, allocation, offset: offset + bytes }
        }
        Place::Shared { cta, offset } => Place::Shared { cta, offset: offset + bytes },
        Place::Local { offset } => Place::Local { offset: offset + bytes },
        Place::Param { offset } => Place::Param { offset: offset + bytes },
    }
}

#[inline(always)]
fn bytes_of(data: &[u8], offset: usize, bytes: usize) -> u64 {
    let mut word = [0u8; 8];
    match bytes {
        4 => word[..4].copy_from_slice(&data[offset..offset + 4]),
        8 => word.copy_from_slice(&data[offset..offset + 8]),
        _ => word[..bytes].copy_from_slice(&data[offset..offset + bytes]),
    }
    u64::from_le_bytes(word)
}
