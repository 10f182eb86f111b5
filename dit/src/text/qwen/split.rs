//! Where the Qwen tokenizer cuts a text before it merges bytes.
//!
//! The published pattern is
//! `(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+`;
//! its alternatives are tried in this order at each place, and every character fits one of them.

use unicode_normalization::char::is_combining_mark;

/// The first piece of a text; the whole text where that is one piece.
pub(super) fn first(text: &str) -> &str {
    &text[..first_length(text)]
}

fn first_length(text: &str) -> usize {
    let mut chars = text.chars();
    let Some(start) = chars.next() else { return 0 };
    let next = chars.next();
    if start == '\''
        && let Some(length) = contraction(&text[1..])
    {
        return 1 + length;
    }
    // Letters, with at most one character before them that is no letter, number or line end.
    if is_letter(start) {
        return run(text, is_letter);
    }
    let leads = !is_line_end(start) && !start.is_numeric();
    if leads && next.is_some_and(is_letter) {
        return start.len_utf8() + run(&text[start.len_utf8()..], is_letter);
    }
    if start.is_numeric() {
        return start.len_utf8();
    }
    // Other signs, with at most one blank before and all line ends behind them.
    if is_sign(start) || start == ' ' && next.is_some_and(is_sign) {
        let signs = start.len_utf8() + run(&text[start.len_utf8()..], is_sign);
        return signs + run(&text[signs..], is_line_end);
    }
    // Blanks: to the last line end among them; else to the last blank that another one or the end of
    // the text follows; else the single blank.
    let blanks = &text[..run(text, char::is_whitespace)];
    if let Some(last) = blanks.rfind(is_line_end) {
        return last + 1;
    }
    match blanks.char_indices().next_back() {
        Some((last, _)) if blanks.len() < text.len() && last > 0 => last,
        _ => blanks.len(),
    }
}

/// Length of the start of `text` whose characters are all of a class.
fn run(text: &str, class: impl Fn(char) -> bool) -> usize {
    text.find(|c| !class(c)).unwrap_or(text.len())
}

/// Length of what may follow an apostrophe, in any case. The long s is an s in another case.
fn contraction(rest: &str) -> Option<usize> {
    let mut lower = rest.chars().map(|c| if c == 'ſ' { 's' } else { c.to_ascii_lowercase() });
    let length = match (lower.next()?, lower.next()) {
        ('s' | 't' | 'm' | 'd', _) => return rest.chars().next().map(char::len_utf8),
        ('r' | 'v', Some('e')) | ('l', Some('l')) => 2,
        _ => return None,
    };
    Some(length)
}

fn is_line_end(c: char) -> bool {
    matches!(c, '\r' | '\n')
}

/// Neither blank, letter nor number.
fn is_sign(c: char) -> bool {
    !c.is_whitespace() && !is_letter(c) && !c.is_numeric()
}

/// Unicode's general category L. The standard library knows the property Alphabetic, which is L with
/// letter-like numbers, some marks, and the circled and squared letters among the symbols.
fn is_letter(c: char) -> bool {
    let is_symbol = || {
        matches!(c, '\u{24b6}'..='\u{24e9}' | '\u{1f130}'..='\u{1f149}' | '\u{1f150}'..='\u{1f169}'
            | '\u{1f170}'..='\u{1f189}')
    };
    c.is_alphabetic() && !c.is_numeric() && !is_combining_mark(c) && !is_symbol()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(mut text: &str) -> Vec<&str> {
        let mut pieces = Vec::new();
        while !text.is_empty() {
            let piece = first(text);
            assert!(!piece.is_empty(), "{text:?}");
            pieces.push(piece);
            text = &text[piece.len()..];
        }
        pieces
    }

    #[test]
    fn cuts_as_the_pattern_does() {
        for (text, expected) in [
            ("don't they'LL I'ſ it'x", &["don", "'t", " they", "'LL", " I", "'ſ", " it", "'x"][..]),
            ("a  b", &["a", " ", " b"]),
            ("a   ", &["a", "   "]),
            ("  \u{a0}b", &["  ", "\u{a0}b"]),
            ("a \n\n  b", &["a", " \n\n", " ", " b"]),
            ("x!!\r\n\ny", &["x", "!!\r\n\n", "y"]),
            (" 12", &[" ", "1", "2"]),
            ("(one) <IMG0>:", &["(one", ")", " <", "IMG", "0", ">:"]),
            ("\tTab\n1", &["\tTab", "\n", "1"]),
            ("naïve 日本語。ⅷⒶ", &["naïve", " 日本語", "。", "ⅷ", "Ⓐ"]),
            // A mark is no letter, but one of them may stand before letters.
            ("e\u{301}e", &["e", "\u{301}e"]),
        ] {
            assert_eq!(pieces(text), expected, "{text:?}");
        }
    }
}
