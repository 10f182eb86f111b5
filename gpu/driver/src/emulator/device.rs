//! What the emulated devices say of themselves: an sm_90 of 132 multiprocessors.

use super::state::lock;
use super::{Answer, fail, put};
use crate::abi::Out;
use crate::result::Code;

/// The version whose calls are emulated: CUDA 12.4.
const DRIVER_VERSION: i32 = 12_040;

/// Most bytes of shared memory a CTA may have.
pub(super) const MAX_SHARED: i32 = vincie_ptx::MAX_SHARED as i32;

/// Bytes of shared memory a CTA has without asking for more.
pub(super) const DEFAULT_SHARED: i32 = 48 << 10;

/// Attributes by the driver's number, in rising order; sizes in bytes, clocks in kHz.
const ATTRIBUTES: &[(i32, i32, &str)] = &[
    (1, 1024, "threads of a CTA"),
    (2, 1024, "threads along x"),
    (3, 1024, "threads along y"),
    (4, 64, "threads along z"),
    (5, i32::MAX, "CTAs along x"),
    (6, 65_535, "CTAs along y"),
    (7, 65_535, "CTAs along z"),
    (8, DEFAULT_SHARED, "shared memory of a CTA"),
    (9, 64 << 10, "constant memory"),
    (10, 32, "lanes of a warp"),
    (11, i32::MAX, "pitch of a copy"),
    (12, 65_536, "registers of a CTA"),
    (13, 1_830_000, "clock"),
    (14, 512, "alignment of textures"),
    (15, 0, "copies beside kernels"),
    (16, 132, "multiprocessors"),
    (17, 0, "time limit of kernels"),
    (18, 0, "is integrated"),
    (19, 0, "maps host memory"),
    (20, 0, "compute mode"),
    (31, 1, "concurrent kernels"),
    (32, 0, "error correction"),
    (33, 0, "PCI bus"),
    (34, 0, "PCI device"),
    (35, 0, "TCC driver"),
    (36, 2_619_000, "memory clock"),
    (37, 5_120, "bits of the memory bus"),
    (38, 50 << 20, "level 2 cache"),
    (39, 2_048, "threads of a multiprocessor"),
    (40, 0, "copy engines"),
    (41, 1, "unified addresses"),
    (50, 0, "PCI domain"),
    (75, 9, "major compute capability"),
    (76, 0, "minor compute capability"),
    (78, 1, "stream priorities"),
    (81, 228 << 10, "shared memory of a multiprocessor"),
    (82, 65_536, "registers of a multiprocessor"),
    (83, 0, "managed memory"),
    (88, 0, "pageable memory access"),
    (89, 0, "concurrent managed access"),
    (95, 1, "cooperative launch"),
    (97, MAX_SHARED, "shared memory of a CTA that asks for more"),
    (106, 32, "CTAs of a multiprocessor"),
    (111, 1 << 10, "shared memory that the system takes of a CTA's"),
    (115, 1, "stream-ordered allocation"),
    (120, 1, "clusters"),
    (127, 1, "tensor maps"),
    (132, 0, "multicast objects"),
];

pub(crate) fn initialise(flags: u32) -> Answer {
    if flags != 0 {
        return fail(Code::INVALID_VALUE, format!("cuInit: flags {flags}, expected 0"));
    }
    drop(lock());
    Ok(())
}

pub(crate) fn driver_version(version: Out<i32>) -> Answer {
    put(version, DRIVER_VERSION)
}

pub(crate) fn count(count: Out<i32>) -> Answer {
    put(count, lock().devices.len() as i32)
}

pub(crate) fn get(device: Out<i32>, ordinal: i32) -> Answer {
    lock().device_index(ordinal)?;
    put(device, ordinal)
}

pub(crate) fn name(name: Out<u8>, bytes: i32, device: i32) -> Answer {
    lock().device_index(device)?;
    let mut text = b"emulated sm_90".to_vec();
    text.truncate(usize::try_from(bytes).unwrap_or(0).saturating_sub(1));
    text.push(0);
    if bytes < 1 || name.is_null() {
        return fail(Code::INVALID_VALUE, "cuDeviceGetName: no room for the name");
    }
    name.put_all(&text);
    Ok(())
}

pub(crate) fn total_memory(bytes: Out<usize>, device: i32) -> Answer {
    let state = lock();
    state.device_index(device)?;
    put(bytes, state.memory_bytes)
}

pub(crate) fn attribute(value: Out<i32>, attribute: i32, device: i32) -> Answer {
    lock().device_index(device)?;
    match ATTRIBUTES.binary_search_by_key(&attribute, |entry| entry.0) {
        Ok(index) => put(value, ATTRIBUTES[index].1),
        Err(_) => {
            let message = format!("device attribute {attribute} is not emulated");
            fail(Code::INVALID_VALUE, message)
        }
    }
}

pub(crate) fn uuid(uuid: Out<[u8; 16]>, device: i32) -> Answer {
    let index = lock().device_index(device)?;
    let mut bytes = *b"vincie-emulated\0";
    bytes[15] = index as u8;
    put(uuid, bytes)
}

pub(crate) fn can_access_peer(can: Out<i32>, device: i32, peer: i32) -> Answer {
    let state = lock();
    let (device, peer) = (state.device_index(device)?, state.device_index(peer)?);
    put(can, i32::from(device != peer))
}

#[cfg(test)]
mod tests {
    use super::ATTRIBUTES;

    #[test]
    fn attributes_are_in_order() {
        assert!(ATTRIBUTES.is_sorted_by_key(|entry| entry.0));
    }
}
