//! Why the emulated driver fails a call: a code, and a sentence that a real driver lacks.

use crate::abi::Out;
use crate::result::Code;

/// A failed call.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) code: Code,
    pub(crate) message: Option<String>,
}

/// What every call answers; results go through pointers.
pub(crate) type Answer<T = ()> = Result<T, Failure>;

impl From<Code> for Failure {
    fn from(code: Code) -> Self {
        Failure { code, message: None }
    }
}

/// A failure with its sentence.
pub(super) fn fail<T>(code: Code, message: impl Into<String>) -> Answer<T> {
    Err(Failure { code, message: Some(message.into()) })
}

/// Gives a result, which must be wanted.
pub(super) fn put<T>(out: Out<T>, value: T) -> Answer {
    if out.put(value) { Ok(()) } else { fail(Code::INVALID_VALUE, "the result's pointer is null") }
}

/// Answers a call that the emulated driver does not have.
pub(crate) fn refuse(name: &str) -> Answer {
    fail(Code::NOT_SUPPORTED, format!("{name}: the emulated driver does not have this call"))
}
