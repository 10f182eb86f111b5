//! The seam between prompts and the transformer's text input.

use crate::Result;
use std::fmt;
use vincie_tensor::Tensor;

/// Sees how far the work is, as (done, of all). What is counted is the encoder's choice.
pub type Progress<'p> = &'p mut dyn FnMut(usize, usize);

/// Prompts to features.
///
/// Every prompt is encoded on its own: it sees no other prompt, so its features depend on the encoder
/// and its text alone, and can be kept. A session's text is laid out from them by the caller (VINCIE
/// 3B specification, section 4).
pub trait TextEncoder {
    /// Length of a token's features.
    fn dim(&self) -> usize;

    /// Stands for everything besides the text that features depend on.
    fn fingerprint(&self) -> Fingerprint;

    /// Numbers of a prompt's tokens as the encoder sees them: cut to its limit, end tokens included.
    fn tokens(&self, prompt: &str) -> Result<Vec<u32>>;

    /// Features of every prompt, f32 `[tokens, dim]` on the host, in the order of the prompts. Encoders
    /// with large weights go through them once for all prompts of a call.
    fn encode(&self, prompts: &[&str], progress: Progress<'_>) -> Result<Vec<Tensor>>;
}

impl<E: TextEncoder + ?Sized> TextEncoder for Box<E> {
    fn dim(&self) -> usize {
        (**self).dim()
    }

    fn fingerprint(&self) -> Fingerprint {
        (**self).fingerprint()
    }

    fn tokens(&self, prompt: &str) -> Result<Vec<u32>> {
        (**self).tokens(prompt)
    }

    fn encode(&self, prompts: &[&str], progress: Progress<'_>) -> Result<Vec<Tensor>> {
        (**self).encode(prompts, progress)
    }
}

/// A SHA-256 hash, written as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// The hash of parts; where one ends and the next begins is part of what is hashed.
    pub fn of<'p>(parts: impl IntoIterator<Item = &'p [u8]>) -> Self {
        use sha2::{Digest, Sha256};
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        Self(hash.finalize().into())
    }

    /// The hash's bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}
