//! Strings that become a token wherever they stand in a text.

use serde::Deserialize;

/// Most of them.
const MAX_ADDED: usize = 1 << 16;

/// One such string, as `tokenizer.json` describes it.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Added {
    pub(super) id: u32,
    pub(super) content: String,
    /// Only where no letter, digit or underscore stands beside it.
    #[serde(default)]
    pub(super) single_word: bool,
    /// Blanks before it belong to it.
    #[serde(default)]
    pub(super) lstrip: bool,
    /// Blanks behind it belong to it.
    #[serde(default)]
    pub(super) rstrip: bool,
    /// It is looked for in normalised text.
    #[serde(default)]
    pub(super) normalized: bool,
}

/// A stretch of text, or a token in it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Part<'t> {
    Token(u32),
    Text {
        text: &'t str,
        /// Where it begins in the text that was cut.
        start: usize,
    },
}

/// All such strings, the longest first.
#[derive(Clone, Debug, Default)]
pub(super) struct AddedTokens(Vec<Added>);

impl AddedTokens {
    pub(super) fn new(mut all: Vec<Added>) -> Result<Self, String> {
        if all.len() > MAX_ADDED {
            return Err(format!("{} added tokens; expected at most {MAX_ADDED}", all.len()));
        }
        all.retain(|added| !added.content.is_empty());
        all.sort_by_key(|added| std::cmp::Reverse(added.content.len()));
        Ok(Self(all))
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Added> {
        self.0.iter()
    }

    /// Cuts a text at the leftmost of these strings, of two at one place at the longer one, and so on.
    pub(super) fn cut<'t>(&self, text: &'t str) -> Vec<Part<'t>> {
        let mut parts = Vec::new();
        let (mut start, mut at) = (0, 0);
        let text_part = |start: usize, end: usize| Part::Text { text: &text[start..end], start };
        while let Some(c) = text[at..].chars().next() {
            let Some(added) = self.0.iter().find(|added| text[at..].starts_with(&added.content))
            else {
                at += c.len_utf8();
                continue;
            };
            let mut end = at + added.content.len();
            let stands_alone = !text[..at].chars().next_back().is_some_and(is_word)
                && !text[end..].chars().next().is_some_and(is_word);
            if added.single_word && !stands_alone {
                at = end;
                continue;
            }
            let mut begin = at;
            if added.lstrip {
                begin = start + text[start..at].trim_end().len();
            }
            if added.rstrip {
                end += text[end..].len() - text[end..].trim_start().len();
            }
            if start < begin {
                parts.push(text_part(start, begin));
            }
            parts.push(Part::Token(added.id));
            (start, at) = (end, end);
        }
        if start < text.len() {
            parts.push(text_part(start, text.len()));
        }
        parts
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_at_the_longest_string_with_its_blanks() {
        let added = |id, content: &str| Added {
            id,
            content: content.to_owned(),
            single_word: false,
            lstrip: false,
            rstrip: false,
            normalized: false,
        };
        let stripping = Added { lstrip: true, rstrip: true, ..added(2, "<m>") };
        let whole = Added { single_word: true, ..added(3, "cat") };
        let tokens =
            AddedTokens::new(vec![added(0, "<a"), added(1, "<a>"), stripping, whole]).unwrap();
        let text = |text, start| Part::Text { text, start };
        assert_eq!(
            tokens.cut("x<a><ab <m>  <m> cat cats"),
            [
                text("x", 0),
                Part::Token(1),
                Part::Token(0),
                text("b", 6),
                Part::Token(2),
                Part::Token(2),
                Part::Token(3),
                text(" cats", 20),
            ]
        );
        assert_eq!(tokens.cut(""), []);
    }
}
