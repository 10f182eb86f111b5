//! The compiled character map of a sentencepiece model: a double-array trie from strings to their
//! normal forms.

/// Bits of a unit of the trie.
const HAS_VALUE: u32 = 1 << 8;
const IS_VALUE: u32 = 1 << 31;

/// Strings and what they are replaced by.
#[derive(Clone, Debug, Default)]
pub(super) struct CharacterMap {
    /// The trie; a unit is a label, an offset to its children, and whether a string ends there.
    units: Vec<u32>,
    /// Normal forms, each ended by a zero.
    forms: String,
}

impl CharacterMap {
    /// Reads a map: the trie's length in bytes, the trie, and the normal forms. One of no bytes changes
    /// nothing.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, String> {
        if bytes.is_empty() {
            return Ok(Self::default());
        }
        let cut = || "character map: shorter than its trie".to_owned();
        let (length, rest) = bytes.split_first_chunk::<4>().ok_or_else(cut)?;
        let length = u32::from_le_bytes(*length) as usize;
        let (trie, forms) = rest.split_at_checked(length).ok_or_else(cut)?;
        let (units, []) = trie.as_chunks::<4>() else {
            return Err(format!("character map: trie of {length} bytes; expected units of 4"));
        };
        let forms = std::str::from_utf8(forms)
            .map_err(|e| format!("character map: normal forms are no UTF-8: {e}"))?;
        let units = units.iter().map(|unit| u32::from_le_bytes(*unit)).collect();
        Ok(Self { units, forms: forms.to_owned() })
    }

    /// The normal form of the shortest string of the map that `text` begins with.
    pub(super) fn shortest(&self, text: &str) -> Option<&str> {
        self.prefixes(text).next().map(|(_, form)| form)
    }

    /// Length and normal form of the longest string of the map that `text` begins with.
    pub(super) fn longest(&self, text: &str) -> Option<(usize, &str)> {
        self.prefixes(text).last()
    }

    /// The strings of the map that `text` begins with, by length, with their normal forms. Places that
    /// do not exist, as in a damaged map, end the walk.
    fn prefixes(&self, text: &str) -> impl Iterator<Item = (usize, &str)> {
        let mut node = self.units.first().map_or(0, |&root| offset(root));
        let mut bytes = text.bytes().enumerate();
        std::iter::from_fn(move || {
            loop {
                let (at, byte) = bytes.next()?;
                node ^= byte as usize;
                let unit = *self.units.get(node).filter(|_| byte != 0)?;
                if unit & (IS_VALUE | 0xff) != u32::from(byte) {
                    // Nothing that is longer can be found.
                    bytes.by_ref().for_each(drop);
                    return None;
                }
                node ^= offset(unit);
                if unit & HAS_VALUE != 0 {
                    let value = self.units.get(node)? & !IS_VALUE;
                    let form = self.forms.get(value as usize..)?;
                    let end = form.find('\0').unwrap_or(form.len());
                    if text.is_char_boundary(at + 1) {
                        return Some((at + 1, &form[..end]));
                    }
                }
            }
        })
        .fuse()
    }
}

/// Distance from a unit to its children.
fn offset(unit: u32) -> usize {
    ((unit >> 10) << ((unit & (1 << 9)) >> 6)) as usize
}
