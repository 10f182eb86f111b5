//! Fills of device memory with one value.

use super::queue::{Submitted, Work, submit};
use super::state::lock;
use super::{Answer, fail};
use crate::abi::Raw;
use crate::result::Code;

pub(crate) fn bytes(at: u64, value: u8, count: usize) -> Answer {
    now("cuMemsetD8", at, &value.to_le_bytes(), count)
}

pub(crate) fn halves(at: u64, value: u16, count: usize) -> Answer {
    now("cuMemsetD16", at, &value.to_le_bytes(), count)
}

pub(crate) fn words(at: u64, value: u32, count: usize) -> Answer {
    now("cuMemsetD32", at, &value.to_le_bytes(), count)
}

pub(crate) fn bytes_async(at: u64, value: u8, count: usize, stream: Raw) -> Answer {
    queue(at, &value.to_le_bytes(), count, stream).map(drop)
}

pub(crate) fn halves_async(at: u64, value: u16, count: usize, stream: Raw) -> Answer {
    queue(at, &value.to_le_bytes(), count, stream).map(drop)
}

pub(crate) fn words_async(at: u64, value: u32, count: usize, stream: Raw) -> Answer {
    queue(at, &value.to_le_bytes(), count, stream).map(drop)
}

fn now(call: &str, at: u64, value: &[u8], count: usize) -> Answer {
    lock().refuse_in_capture(call)?;
    queue(at, value, count, std::ptr::null_mut())?.finish()
}

fn queue(at: u64, value: &[u8], count: usize, stream: Raw) -> Answer<Submitted> {
    let width = value.len();
    let mut word = [0; 4];
    word[..width].copy_from_slice(value);
    submit(stream, |state, device, _| {
        let Some(bytes) = count.checked_mul(width) else {
            return fail(Code::INVALID_VALUE, format!("fill of {count} values"));
        };
        if !at.is_multiple_of(width as u64) {
            let message = format!("fill at {at:#x}, which is no multiple of {width}");
            return fail(Code::INVALID_VALUE, message);
        }
        state.check_range(device, at, bytes, "fill")?;
        Ok(Work::Fill { at, value: word, width, count })
    })
}
