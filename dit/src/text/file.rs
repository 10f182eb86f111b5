//! Reading the files of a text model.

use crate::{Error, Result};
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Most bytes of a prompt: a hundred times what any encoder looks at.
const MAX_PROMPT: usize = 1 << 16;

/// A whole file of at most `most` bytes.
pub(super) fn read(path: &Path, most: u64) -> Result<Vec<u8>> {
    let io = |source| Error::io(path, source);
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(io)?;
    file.take(most + 1).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() as u64 > most {
        return Err(Error::format(path, format!("is longer than {most} bytes")));
    }
    Ok(bytes)
}

/// `Err` for a text that is no prompt any more.
pub(super) fn check_prompt(text: &str) -> Result<()> {
    if text.len() > MAX_PROMPT {
        let what = format!("prompt: {} bytes; expected at most {MAX_PROMPT}", text.len());
        return Err(Error::invalid(what));
    }
    Ok(())
}
