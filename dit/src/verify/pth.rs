//! Kind `pth`: files of `torch.save` against the same tensors in safetensors.

use super::case::Checker;
use crate::{Error, Result};

/// Compares every tensor of every file in a role that begins with `pth`: names, shapes and values. The
/// golden file holds whole numbers as 64 bits and wide or half floats as f32.
pub(super) fn check(checker: &mut Checker<'_>) -> Result<()> {
    let io = checker.need("io")?;
    let roles: Vec<String> = checker.roles().filter(|role| role.starts_with("pth")).collect();
    if roles.is_empty() {
        return Err(Error::invalid("pth: the case has no file in a role that begins with pth"));
    }
    for role in roles {
        checker.expect(io.names());
        let file = checker.need(&role)?;
        for name in file.names() {
            if io.shape(&name) != file.shape(&name) {
                let what = format!(
                    "{name} has shape {:?}; expected {:?}",
                    file.shape(&name),
                    io.shape(&name)
                );
                return Err(Error::format(file.path(), what));
            }
            checker.values(&io, &name, super::case::numbers(&file, &name)?)?;
        }
        checker.expect_done(&role)?;
    }
    Ok(())
}
