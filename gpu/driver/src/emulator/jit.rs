//! Options of a module's load: only the log buffers matter here.

use super::{Answer, fail};
use crate::abi::{In, Out};
use crate::result::Code;

const INFO_LOG: i32 = 3;
const INFO_LOG_BYTES: i32 = 4;
const ERROR_LOG: i32 = 5;
const ERROR_LOG_BYTES: i32 = 6;

/// Most options of one call.
const MAX_OPTIONS: u32 = 64;

/// A buffer for text of the compiler.
#[derive(Clone, Copy)]
pub(super) struct Log {
    text: Out<u8>,
    room: usize,
    /// Where the option gave the room, the driver leaves what it used.
    used: Option<Out<usize>>,
}

impl Log {
    const NONE: Log = Log { text: Out::NONE, room: 0, used: None };

    /// Writes the text with its zero byte, as much as there is room for.
    pub(super) fn write(self, text: &str) {
        let mut bytes = text.as_bytes().to_vec();
        bytes.truncate(self.room.saturating_sub(1));
        if self.room > 0 {
            let used = bytes.len();
            bytes.push(0);
            self.text.put_all(&bytes);
            if let Some(place) = self.used {
                place.put(used);
            }
        }
    }
}

/// The two logs of a load.
pub(super) struct Logs {
    pub(super) info: Log,
    pub(super) error: Log,
}

impl Logs {
    pub(super) const NONE: Logs = Logs { info: Log::NONE, error: Log::NONE };

    pub(super) fn read(count: u32, options: In<i32>, values: Out<usize>) -> Answer<Logs> {
        let mut logs = Logs::NONE;
        if count > MAX_OPTIONS {
            let message = format!("{count} options of a load; at most {MAX_OPTIONS}");
            return fail(Code::INVALID_VALUE, message);
        }
        for index in 0..count as usize {
            let place = values.offset(index);
            let (Some(option), Some(value)) = (options.get(index), place.get()) else {
                return fail(Code::INVALID_VALUE, "options of a load are null");
            };
            match option {
                INFO_LOG => logs.info.text = Out::at(value as *mut u8),
                INFO_LOG_BYTES => (logs.info.room, logs.info.used) = (value, Some(place)),
                ERROR_LOG => logs.error.text = Out::at(value as *mut u8),
                ERROR_LOG_BYTES => (logs.error.room, logs.error.used) = (value, Some(place)),
                // Registers, optimisation and the like: there is nothing to compile.
                _ => {}
            }
        }
        Ok(logs)
    }
}
