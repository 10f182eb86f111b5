//! The patterns of replacements: characters, each repeated a number of times.

/// A character and how often it stands in a row.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Repeated {
    character: char,
    least: usize,
    most: usize,
}

/// Repeated characters one after another. Neighbours differ, so that taking as many of each as there
/// are finds every match.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Pattern(Vec<Repeated>);

impl Pattern {
    /// The characters of a text, each once.
    pub(super) fn literal(text: &str) -> Result<Self, String> {
        let mut atoms: Vec<Repeated> = Vec::new();
        for character in text.chars() {
            match atoms.last_mut() {
                Some(last) if last.character == character => {
                    (last.least, last.most) = (last.least + 1, last.most + 1);
                }
                _ => atoms.push(Repeated { character, least: 1, most: 1 }),
            }
        }
        if atoms.is_empty() {
            return Err("replacement of an empty text".to_owned());
        }
        Ok(Self(atoms))
    }

    /// A regular expression of characters with or without `+`, `{n}`, `{n,}` or `{n,m}`.
    pub(super) fn regex(text: &str) -> Result<Self, String> {
        let refuse = || {
            format!(
                "pattern {text:?} is not known; expected plain characters, each with or without +, \
                 {{n}}, {{n,}} or {{n,m}}"
            )
        };
        let mut atoms: Vec<Repeated> = Vec::new();
        let mut rest = text;
        while let Some(character) = rest.chars().next() {
            if r"\^$.|?*+()[]{}".contains(character) {
                return Err(refuse());
            }
            rest = &rest[character.len_utf8()..];
            let (mut least, mut most) = (1, 1);
            if let Some(behind) = rest.strip_prefix('+') {
                (most, rest) = (usize::MAX, behind);
            } else if let Some((counts, behind)) =
                rest.strip_prefix('{').and_then(|behind| behind.split_once('}'))
            {
                let (from, to) = counts.split_once(',').unwrap_or((counts, counts));
                least = number(from).ok_or_else(refuse)?;
                most = if to.is_empty() { usize::MAX } else { number(to).ok_or_else(refuse)? };
                rest = behind;
            }
            let is_told_apart = atoms.last().is_none_or(|last| last.character != character);
            if !is_told_apart || least == 0 || least > most || rest.starts_with(['+', '?', '*']) {
                return Err(refuse());
            }
            atoms.push(Repeated { character, least, most });
        }
        if atoms.is_empty() {
            return Err(refuse());
        }
        Ok(Self(atoms))
    }

    /// Length of the match at the start of `text`.
    fn match_at(&self, text: &str) -> Option<usize> {
        let mut at = 0;
        for &Repeated { character, least, most } in &self.0 {
            let found = text[at..].chars().take(most).take_while(|&c| c == character).count();
            if found < least {
                return None;
            }
            at += found * character.len_utf8();
        }
        Some(at)
    }

    /// The text with `content` in place of every match.
    pub(super) fn replace(&self, text: &str, content: &str) -> String {
        let mut result = String::with_capacity(text.len());
        let mut at = 0;
        while let Some(c) = text[at..].chars().next() {
            match self.match_at(&text[at..]) {
                Some(length) => {
                    result.push_str(content);
                    at += length;
                }
                None => {
                    result.push(c);
                    at += c.len_utf8();
                }
            }
        }
        result
    }
}

fn number(text: &str) -> Option<usize> {
    let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_number)
}

#[cfg(test)]
mod tests {
    use super::Pattern;

    #[test]
    fn replaces_repeated_characters() {
        for (pattern, text, expected) in [
            (" {2,}", "a  b c    ", "a_b c_"),
            ("ab+", "abbb a ab", "_ a _"),
            ("x{2,3}", "xxxxx x", "__ x"),
            ("é{2}", "éééé", "__"),
        ] {
            let pattern = Pattern::regex(pattern).unwrap();
            assert_eq!(pattern.replace(text, "_"), expected, "{pattern:?}");
        }
        assert_eq!(Pattern::literal("aab").unwrap().replace("aaabaab", "_"), "a__");
        assert_eq!(Pattern::literal("a+").unwrap().replace("aa+", "_"), "a_");
    }

    #[test]
    fn refuses_other_patterns() {
        for pattern in
            ["", "\\s+", "a*", "a?", "(a)", "a++", "a{2", "a{0,}", "a{3,2}", "a+a", "[ab]"]
        {
            assert!(Pattern::regex(pattern).is_err(), "{pattern}");
        }
        assert!(Pattern::literal("").is_err());
    }
}
