//! Primary contexts, one a device; which one is current in a thread; and peer access.

use super::state::{context_device, context_handle, current_device, lock, with_current};
use super::{Answer, fail, put, queue};
use crate::abi::{Out, Raw};
use crate::result::Code;

pub(crate) fn retain(context: Out<Raw>, device: i32) -> Answer {
    let mut state = lock();
    let device = state.device_index(device)?;
    state.devices[device].retained += 1;
    put(context, context_handle(device))
}

pub(crate) fn release(device: i32) -> Answer {
    let mut state = lock();
    let device = state.device_index(device)?;
    match state.devices[device].retained.checked_sub(1) {
        Some(left) => {
            state.devices[device].retained = left;
            if left == 0 {
                state.clear(device);
            }
            Ok(())
        }
        None => fail(Code::INVALID_CONTEXT, "the primary context is not retained"),
    }
}

pub(crate) fn reset(device: i32) -> Answer {
    let mut state = lock();
    let device = state.device_index(device)?;
    state.clear(device);
    Ok(())
}

pub(crate) fn set_flags(device: i32, flags: u32) -> Answer {
    let mut state = lock();
    let device = state.device_index(device)?;
    state.devices[device].flags = flags;
    Ok(())
}

pub(crate) fn state(device: i32, flags: Out<u32>, active: Out<i32>) -> Answer {
    let state = lock();
    let device = &state.devices[state.device_index(device)?];
    put(flags, device.flags)?;
    put(active, i32::from(device.retained > 0))
}

pub(crate) fn set_current(context: Raw) -> Answer {
    let device = device_or_none(context)?;
    with_current(|stack| {
        stack.pop();
        stack.push(device);
    });
    Ok(())
}

pub(crate) fn get_current(context: Out<Raw>) -> Answer {
    let device = with_current(|stack| stack.last().copied().flatten());
    put(context, device.map_or(std::ptr::null_mut(), context_handle))
}

pub(crate) fn push(context: Raw) -> Answer {
    let device = device_or_none(context)?;
    with_current(|stack| stack.push(device));
    Ok(())
}

pub(crate) fn pop(context: Out<Raw>) -> Answer {
    let Some(device) = with_current(Vec::pop).flatten() else {
        return fail(Code::INVALID_CONTEXT, "this thread has no context to pop");
    };
    context.put(context_handle(device));
    Ok(())
}

pub(crate) fn device(device: Out<i32>) -> Answer {
    put(device, current_device()? as i32)
}

pub(crate) fn flags(flags: Out<u32>) -> Answer {
    let device = current_device()?;
    put(flags, lock().devices[device].flags)
}

pub(crate) fn api_version(context: Raw, version: Out<u32>) -> Answer {
    context_device(&lock(), context)?;
    put(version, 3020)
}

pub(crate) fn synchronize() -> Answer {
    let mut state = lock();
    let device = state.current()?;
    state.refuse_in_capture("cuCtxSynchronize")?;
    drop(state);
    queue::finish_device(device)
}

pub(crate) fn priorities(least: Out<i32>, greatest: Out<i32>) -> Answer {
    current_device()?;
    // Either may be null.
    least.put(0);
    greatest.put(-5);
    Ok(())
}

pub(crate) fn enable_peer(peer: Raw, flags: u32) -> Answer {
    let mut state = lock();
    let (from, to) = (state.current()?, context_device(&state, peer)?);
    if flags != 0 {
        return fail(Code::INVALID_VALUE, format!("peer access: flags {flags}, expected 0"));
    }
    if from == to {
        return fail(Code::INVALID_DEVICE, format!("device {from} cannot be its own peer"));
    }
    if state.machine.can_reach(from, to) {
        let message = format!("device {from} already has access to device {to}");
        return fail(Code::PEER_ACCESS_ALREADY_ENABLED, message);
    }
    state.machine.enable_peer(from, to);
    Ok(())
}

pub(crate) fn disable_peer(peer: Raw) -> Answer {
    let state = lock();
    let (from, to) = (state.current()?, context_device(&state, peer)?);
    drop(state);
    queue::finish_device(from)?;
    let mut state = lock();
    if from == to || !state.machine.can_reach(from, to) {
        let message = format!("device {from} has no access to device {to}");
        return fail(Code::PEER_ACCESS_NOT_ENABLED, message);
    }
    state.machine.disable_peer(from, to);
    Ok(())
}

fn device_or_none(context: Raw) -> Answer<Option<usize>> {
    if context.is_null() { Ok(None) } else { Ok(Some(context_device(&lock(), context)?)) }
}
