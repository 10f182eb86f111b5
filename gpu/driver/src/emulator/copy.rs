//! Copies. As on a GPU, memory of the host that is not pinned is done with when the call returns,
//! and pinned memory is touched when the copy's turn comes.

use super::queue::{Submitted, Work, submit};
use super::state::{context_device, lock};
use super::{Answer, fail};
use crate::abi::{HostRange, In, MemcpyRows, Out, Raw};
use crate::result::Code;

pub(crate) fn to_device(to: u64, from: In<u8>, bytes: usize) -> Answer {
    lock().refuse_in_capture("cuMemcpyHtoD")?;
    queue_to_device(to, from, bytes, std::ptr::null_mut())?.finish()
}

pub(crate) fn to_device_async(to: u64, from: In<u8>, bytes: usize, stream: Raw) -> Answer {
    queue_to_device(to, from, bytes, stream).map(drop)
}

fn queue_to_device(to: u64, from: In<u8>, bytes: usize, stream: Raw) -> Answer<Submitted> {
    let range = host_range(from.address(), bytes)?;
    submit(stream, |state, device, is_captured| {
        state.check_range(device, to, bytes, "copy to the device")?;
        // A graph reads its source at every replay, whatever memory it is.
        if is_captured || state.is_pinned(range.address, bytes) {
            Ok(Work::ReadHost { to, from: range })
        } else {
            Ok(Work::Write { to, bytes: range.read().into() })
        }
    })
}

pub(crate) fn to_host(to: Out<u8>, from: u64, bytes: usize) -> Answer {
    lock().refuse_in_capture("cuMemcpyDtoH")?;
    queue_to_host(to, from, bytes, std::ptr::null_mut())?.finish()
}

pub(crate) fn to_host_async(to: Out<u8>, from: u64, bytes: usize, stream: Raw) -> Answer {
    let submitted = queue_to_host(to, from, bytes, stream)?;
    let is_pinned = lock().is_pinned(to.address(), bytes);
    if is_pinned { Ok(()) } else { submitted.finish() }
}

fn queue_to_host(to: Out<u8>, from: u64, bytes: usize, stream: Raw) -> Answer<Submitted> {
    let to = host_range(to.address(), bytes)?;
    submit(stream, |state, device, _| {
        state.check_range(device, from, bytes, "copy to the host")?;
        Ok(if bytes == 0 {
            Work::Copy { to: from, from, bytes: 0 }
        } else {
            Work::WriteHost { to, from }
        })
    })
}

fn host_range(address: usize, bytes: usize) -> Answer<HostRange> {
    if address == 0 && bytes > 0 {
        return fail(Code::INVALID_VALUE, format!("copy of {bytes} bytes with a null pointer"));
    }
    Ok(HostRange { address, bytes })
}

pub(crate) fn on_device(to: u64, from: u64, bytes: usize) -> Answer {
    lock().refuse_in_capture("cuMemcpyDtoD")?;
    queue_on_device(to, from, bytes, std::ptr::null_mut())?.finish()
}

pub(crate) fn on_device_async(to: u64, from: u64, bytes: usize, stream: Raw) -> Answer {
    queue_on_device(to, from, bytes, stream).map(drop)
}

pub(crate) fn peer(to: u64, to_context: Raw, from: u64, from_context: Raw, bytes: usize) -> Answer {
    check_contexts(to_context, from_context)?;
    on_device(to, from, bytes)
}

pub(crate) fn peer_async(
    to: u64,
    to_context: Raw,
    from: u64,
    from_context: Raw,
    bytes: usize,
    stream: Raw,
) -> Answer {
    check_contexts(to_context, from_context)?;
    on_device_async(to, from, bytes, stream)
}

fn check_contexts(to: Raw, from: Raw) -> Answer {
    let state = lock();
    context_device(&state, to)?;
    context_device(&state, from).map(drop)
}

fn queue_on_device(to: u64, from: u64, bytes: usize, stream: Raw) -> Answer<Submitted> {
    submit(stream, |state, device, _| {
        state.check_range(device, to, bytes, "copy target")?;
        state.check_range(device, from, bytes, "copy source")?;
        Ok(Work::Copy { to, from, bytes })
    })
}

/// A copy of rows, done row by row.
pub(crate) fn rows(copy: In<MemcpyRows>) -> Answer {
    const HOST: u32 = 1;
    const DEVICE: u32 = 2;
    let Some(copy) = copy.get(0) else {
        return fail(Code::INVALID_VALUE, "cuMemcpy2D: no description");
    };
    let (source, target) = (copy.source, copy.target);
    for row in 0..copy.rows {
        let at = |side: crate::abi::RowsPlace| side.x_bytes + (side.y + row) * side.pitch;
        let bytes = copy.row_bytes;
        match (source.memory, target.memory) {
            (HOST, DEVICE) => {
                let from = In::<u8>::at(source.host + at(source));
                to_device(target.device + at(target) as u64, from, bytes)?;
            }
            (DEVICE, HOST) => {
                let to = Out::<u8>::at((target.host + at(target)) as *mut u8);
                to_host(to, source.device + at(source) as u64, bytes)?;
            }
            (DEVICE, DEVICE) => {
                let to = target.device + at(target) as u64;
                on_device(to, source.device + at(source) as u64, bytes)?;
            }
            (from, to) => {
                let message = format!("cuMemcpy2D from memory type {from} to {to}");
                return fail(Code::NOT_SUPPORTED, message);
            }
        }
    }
    Ok(())
}
