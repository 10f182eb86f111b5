//! Device memory: allocations with guard space in one address range a device, the state of every
//! byte where it matters, and who may reach whom.

use crate::error::{Error, Result};
use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering::Relaxed};

/// First address of device 0; each device has its own range of this size.
pub const DEVICE_SPAN: u64 = 1 << 42;
/// Unused bytes behind every allocation.
pub const GUARD: u64 = 4096;
/// Alignment of every allocation.
pub(crate) const ALLOCATION_ALIGN: u64 = 512;
/// Most bytes one allocation may have.
pub const MAX_ALLOCATION: usize = 1 << 36;

/// The byte was never written since an allocation without contents.
pub(crate) const UNINIT: u8 = 0;
/// The byte holds a value.
pub(crate) const DEFINED: u8 = 1;
/// The byte was written with an undefined value.
pub(crate) const UNDEFINED: u8 = 2;

/// An address in device memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DevicePtr(pub u64);

/// One allocation. Bytes are atomic cells, so that CTAs on several host threads may touch them;
/// relaxed accesses cost what plain ones do.
pub(crate) struct Allocation {
    pub(crate) base: u64,
    pub(crate) bytes: usize,
    data: Box<[AtomicU64]>,
    /// One state a byte; absent where all bytes are defined.
    states: Option<Box<[AtomicU8]>>,
    pub(crate) label: String,
}

impl Allocation {
    fn pointer(&self, offset: usize, bytes: usize) -> *const u8 {
        assert!(offset + bytes <= self.data.len() * 8, "{offset}+{bytes} of {}", self.bytes);
        // SAFETY: the sum was checked against the length of the buffer.
        unsafe { self.data.as_ptr().cast::<u8>().add(offset) }
    }

    /// Reads up to 8 bytes at an offset that is a multiple of their number.
    #[inline]
    pub(crate) fn load(&self, offset: usize, bytes: usize) -> u64 {
        let at = self.pointer(offset, bytes);
        debug_assert!(offset.is_multiple_of(bytes));
        // SAFETY: in bounds by `pointer`, aligned because the buffer is 8-byte aligned and the
        // offset a multiple of the size; all access to the buffer is atomic.
        unsafe {
            match bytes {
                1 => u64::from((*at.cast::<AtomicU8>()).load(Relaxed)),
                2 => u64::from((*at.cast::<AtomicU16>()).load(Relaxed)),
                4 => u64::from((*at.cast::<AtomicU32>()).load(Relaxed)),
                _ => (*at.cast::<AtomicU64>()).load(Relaxed),
            }
        }
    }

    /// Writes up to 8 bytes at an offset that is a multiple of their number.
    #[inline]
    pub(crate) fn store(&self, offset: usize, bytes: usize, value: u64) {
        let at = self.pointer(offset, bytes);
        debug_assert!(offset.is_multiple_of(bytes));
        // SAFETY: as in `load`.
        unsafe {
            match bytes {
                1 => (*at.cast::<AtomicU8>()).store(value as u8, Relaxed),
                2 => (*at.cast::<AtomicU16>()).store(value as u16, Relaxed),
                4 => (*at.cast::<AtomicU32>()).store(value as u32, Relaxed),
                _ => (*at.cast::<AtomicU64>()).store(value, Relaxed),
            }
        }
    }

    /// Writes any number of bytes at any offset, by words of 8 where they fit.
    fn write_bytes(&self, offset: usize, bytes: &[u8]) {
        let head = offset.wrapping_neg() % WORD;
        let (head, rest) = bytes.split_at(head.min(bytes.len()));
        let (words, tail) = rest.as_chunks::<WORD>();
        let mut at = offset;
        let single = |at: &mut usize, bytes: &[u8]| {
            for &byte in bytes {
                self.store(*at, 1, u64::from(byte));
                *at += 1;
            }
        };
        single(&mut at, head);
        for &word in words {
            self.store(at, WORD, u64::from_le_bytes(word));
            at += WORD;
        }
        single(&mut at, tail);
    }

    /// Reads any number of bytes at any offset, by words of 8 where they fit.
    fn read_bytes(&self, offset: usize, bytes: usize) -> Vec<u8> {
        let end = offset + bytes;
        let mut all = Vec::with_capacity(bytes);
        let mut at = offset;
        while at < end {
            if at.is_multiple_of(WORD) && end - at >= WORD {
                all.extend_from_slice(&self.load(at, WORD).to_le_bytes());
                at += WORD;
            } else {
                all.push(self.load(at, 1) as u8);
                at += 1;
            }
        }
        all
    }

    /// The worst state of a range of bytes.
    pub(crate) fn state(&self, offset: usize, bytes: usize) -> u8 {
        let Some(states) = &self.states else { return DEFINED };
        let mut worst = DEFINED;
        for state in &states[offset..offset + bytes] {
            match state.load(Relaxed) {
                UNINIT => return UNINIT,
                UNDEFINED => worst = UNDEFINED,
                _ => {}
            }
        }
        worst
    }

    pub(crate) fn set_state(&self, offset: usize, bytes: usize, state: u8) {
        if let Some(states) = &self.states {
            for cell in &states[offset..offset + bytes] {
                cell.store(state, Relaxed);
            }
        }
    }
}

/// Bytes of the largest access.
const WORD: usize = 8;

/// The memory of all devices, and the rights between them.
#[derive(Default)]
pub struct Machine {
    pub(crate) allocations: Vec<Vec<Allocation>>,
    next: Vec<u64>,
    peers: Vec<u64>,
    pub(crate) multiprocessors: u32,
}

impl Machine {
    /// A machine with `devices` devices, at most 64, none of which can reach another.
    pub fn new(devices: usize) -> Machine {
        let devices = devices.clamp(1, 64);
        Machine {
            allocations: (0..devices).map(|_| Vec::new()).collect(),
            next: (0..devices as u64).map(|d| (d + 1) * DEVICE_SPAN).collect(),
            peers: (0..devices).map(|d| 1 << d).collect(),
            multiprocessors: 132,
        }
    }

    /// Number of devices.
    pub fn devices(&self) -> usize {
        self.allocations.len()
    }

    /// Lets kernels on `from` access memory of `to`.
    pub fn enable_peer(&mut self, from: usize, to: usize) {
        self.peers[from] |= 1 << to;
    }

    /// Takes that right back.
    pub fn disable_peer(&mut self, from: usize, to: usize) {
        if from != to {
            self.peers[from] &= !(1 << to);
        }
    }

    /// True where kernels on `from` may access memory of `to`.
    pub fn can_reach(&self, from: usize, to: usize) -> bool {
        self.peers[from] >> to & 1 == 1
    }

    /// Allocates memory whose contents are undefined until written.
    pub fn allocate(&mut self, device: usize, bytes: usize, label: &str) -> Result<DevicePtr> {
        if bytes > MAX_ALLOCATION {
            return Err(Error::Launch(format!("{bytes} bytes asked for; limit {MAX_ALLOCATION}")));
        }
        let base = self.next[device];
        let span = (bytes.max(1) as u64).next_multiple_of(ALLOCATION_ALIGN) + GUARD;
        if base + span > (device as u64 + 2) * DEVICE_SPAN {
            return Err(Error::Launch(format!("device {device} has no addresses left")));
        }
        self.next[device] = (base + span).next_multiple_of(ALLOCATION_ALIGN);
        let data = (0..bytes.div_ceil(8) + 1).map(|_| AtomicU64::new(0)).collect();
        let states = (0..bytes).map(|_| AtomicU8::new(UNINIT)).collect();
        self.allocations[device].push(Allocation {
            base,
            bytes,
            data,
            states: Some(states),
            label: label.to_string(),
        });
        Ok(DevicePtr(base))
    }

    /// Frees an allocation by its start; the address is not used again.
    pub fn free(&mut self, at: DevicePtr) -> Result<()> {
        for list in &mut self.allocations {
            if let Some(index) = list.iter().position(|a| a.base == at.0) {
                list.remove(index);
                return Ok(());
            }
        }
        Err(Error::Launch(format!("free: no allocation starts at {:#x}", at.0)))
    }

    /// Start and size of the allocation that holds an address.
    pub fn range(&self, at: DevicePtr) -> Option<(DevicePtr, usize)> {
        let (device, index) = self.find(at.0)?;
        let allocation = &self.allocations[device][index];
        Some((DevicePtr(allocation.base), allocation.bytes))
    }

    /// Bytes in use on a device.
    pub fn used(&self, device: usize) -> usize {
        self.allocations[device].iter().map(|a| a.bytes).sum()
    }

    /// Device and index of the allocation that holds an address.
    pub(crate) fn find(&self, at: u64) -> Option<(usize, usize)> {
        let device = (at / DEVICE_SPAN).checked_sub(1)? as usize;
        let list = self.allocations.get(device)?;
        let index = list.partition_point(|a| a.base <= at).checked_sub(1)?;
        (at - list[index].base < list[index].bytes as u64).then_some((device, index))
    }

    fn span(&self, at: DevicePtr, bytes: usize, what: &str) -> Result<(&Allocation, usize)> {
        let fail =
            || Error::Launch(format!("{what}: {bytes} bytes at {:#x} are not allocated", at.0));
        let (device, index) = self.find(at.0).ok_or_else(fail)?;
        let allocation = &self.allocations[device][index];
        let offset = (at.0 - allocation.base) as usize;
        if bytes > allocation.bytes - offset {
            return Err(fail());
        }
        Ok((allocation, offset))
    }

    /// Copies bytes from the host.
    pub fn write(&self, at: DevicePtr, bytes: &[u8]) -> Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let (allocation, offset) = self.span(at, bytes.len(), "write")?;
        allocation.write_bytes(offset, bytes);
        allocation.set_state(offset, bytes.len(), DEFINED);
        Ok(())
    }

    /// Writes bytes but leaves them undefined: what stands in fresh memory.
    pub fn write_undefined(&self, at: DevicePtr, bytes: &[u8]) -> Result<()> {
        self.write(at, bytes)?;
        if !bytes.is_empty() {
            let (allocation, offset) = self.span(at, bytes.len(), "write")?;
            allocation.set_state(offset, bytes.len(), UNINIT);
        }
        Ok(())
    }

    /// Copies bytes to the host, undefined ones included.
    pub fn read(&self, at: DevicePtr, bytes: usize) -> Result<Vec<u8>> {
        if bytes == 0 {
            return Ok(Vec::new());
        }
        let (allocation, offset) = self.span(at, bytes, "read")?;
        Ok(allocation.read_bytes(offset, bytes))
    }

    /// True where every byte of the range was written with a defined value.
    pub fn is_defined(&self, at: DevicePtr, bytes: usize) -> Result<bool> {
        if bytes == 0 {
            return Ok(true);
        }
        let (allocation, offset) = self.span(at, bytes, "query")?;
        Ok(allocation.state(offset, bytes) == DEFINED)
    }

    /// Copies between allocations, of one device or two, with the states of the bytes.
    pub fn copy(&self, to: DevicePtr, from: DevicePtr, bytes: usize) -> Result<()> {
        if bytes == 0 {
            return Ok(());
        }
        let data = self.read(from, bytes)?;
        let (source, source_at) = self.span(from, bytes, "copy")?;
        let (target, target_at) = self.span(to, bytes, "copy")?;
        let states: Vec<u8> = (0..bytes).map(|i| source.state(source_at + i, 1)).collect();
        target.write_bytes(target_at, &data);
        for (index, state) in states.into_iter().enumerate() {
            target.set_state(target_at + index, 1, state);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_of_any_place_and_number_come_back() {
        let mut machine = Machine::new(1);
        let at = machine.allocate(0, 64, "x").expect("there is room");
        let all: Vec<u8> = (0..64).map(|i| i * 3 + 1).collect();
        for start in 0..20 {
            for bytes in 0..=(64 - start) {
                machine.write(at, &[0; 64]).expect("it fits");
                let place = DevicePtr(at.0 + start as u64);
                machine.write(place, &all[start..start + bytes]).expect("it fits");
                let mut expected = vec![0; 64];
                expected[start..start + bytes].copy_from_slice(&all[start..start + bytes]);
                assert_eq!(machine.read(at, 64), Ok(expected), "{bytes} bytes at {start}");
                let part = machine.read(place, bytes);
                assert_eq!(part, Ok(all[start..start + bytes].to_vec()), "{bytes} at {start}");
            }
        }
    }

    #[test]
    fn copies_take_the_states_along() {
        let mut machine = Machine::new(1);
        let from = machine.allocate(0, 24, "from").expect("there is room");
        let to = machine.allocate(0, 24, "to").expect("there is room");
        machine.write(DevicePtr(from.0 + 3), &[7; 10]).expect("it fits");
        machine.copy(DevicePtr(to.0 + 1), from, 20).expect("it fits");
        assert_eq!(machine.is_defined(DevicePtr(to.0 + 4), 10), Ok(true));
        assert_eq!(machine.is_defined(DevicePtr(to.0 + 3), 2), Ok(false));
        assert_eq!(machine.read(DevicePtr(to.0 + 4), 10), Ok(vec![7; 10]));
    }
}
