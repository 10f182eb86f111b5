//! Text to tokens. A dot and the word behind it are one token, so that `.2d`, `.L2::128B` and
//! `.shared::cta` need no special case in the parser.

use crate::error::{Error, Result};

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Token<'a> {
    /// A name, with its leading `%`, `$` or `_`.
    Word(&'a str),
    /// The word behind a dot.
    Dot(&'a str),
    Int(u64),
    F32(u32),
    F64(u64),
    Text(&'a str),
    Sign(char),
    End,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Placed<'a> {
    pub(crate) token: Token<'a>,
    pub(crate) line: u32,
    /// True where no blank stands before the token.
    pub(crate) touches: bool,
}

/// Splits PTX text; the last token is always `End`.
pub(crate) fn tokens<'a>(text: &'a str, module: &str) -> Result<Vec<Placed<'a>>> {
    let mut lexer = Lexer { text, bytes: text.as_bytes(), at: 0, line: 1, module };
    let mut out = Vec::with_capacity(text.len() / 4 + 1);
    loop {
        let before = lexer.at;
        lexer.skip_blanks()?;
        let touches = before == lexer.at;
        let line = lexer.line;
        let token = lexer.next()?;
        out.push(Placed { token, line, touches });
        if token == Token::End {
            return Ok(out);
        }
    }
}

struct Lexer<'a, 'm> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    line: u32,
    module: &'m str,
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$'
}

impl<'a> Lexer<'a, '_> {
    fn error<T>(&self, message: String) -> Result<T> {
        Err(Error::Parse { module: self.module.to_string(), line: self.line, message })
    }

    fn peek(&self, ahead: usize) -> u8 {
        self.bytes.get(self.at + ahead).copied().unwrap_or(0)
    }

    fn skip_blanks(&mut self) -> Result<()> {
        loop {
            match self.peek(0) {
                b'\n' => {
                    self.line += 1;
                    self.at += 1;
                }
                b' ' | b'\t' | b'\r' => self.at += 1,
                b'/' if self.peek(1) == b'/' => {
                    while self.at < self.bytes.len() && self.bytes[self.at] != b'\n' {
                        self.at += 1;
                    }
                }
                b'/' if self.peek(1) == b'*' => {
                    self.at += 2;
                    while !(self.peek(0) == b'*' && self.peek(1) == b'/') {
                        if self.at >= self.bytes.len() {
                            return self.error("comment has no end".into());
                        }
                        if self.peek(0) == b'\n' {
                            self.line += 1;
                        }
                        self.at += 1;
                    }
                    self.at += 2;
                }
                _ => return Ok(()),
            }
        }
    }

    fn take_while(&mut self, accept: impl Fn(u8) -> bool) -> &'a str {
        let start = self.at;
        while self.at < self.bytes.len() && accept(self.bytes[self.at]) {
            self.at += 1;
        }
        &self.text[start..self.at]
    }

    fn next(&mut self) -> Result<Token<'a>> {
        let byte = self.peek(0);
        if self.at >= self.bytes.len() {
            return Ok(Token::End);
        }
        if byte.is_ascii_digit() {
            return self.number();
        }
        if byte == b'.' {
            self.at += 1;
            let start = self.at;
            loop {
                self.take_while(is_word);
                if self.peek(0) == b':' && self.peek(1) == b':' {
                    self.at += 2;
                } else {
                    break;
                }
            }
            if start == self.at {
                return self.error("a dot needs a word behind it".into());
            }
            return Ok(Token::Dot(&self.text[start..self.at]));
        }
        if is_word(byte) || byte == b'%' {
            let start = self.at;
            self.at += 1;
            self.take_while(is_word);
            return Ok(Token::Word(&self.text[start..self.at]));
        }
        if byte == b'"' {
            self.at += 1;
            let text = self.take_while(|b| b != b'"' && b != b'\n');
            if self.peek(0) != b'"' {
                return self.error("string has no end".into());
            }
            self.at += 1;
            return Ok(Token::Text(text));
        }
        if byte.is_ascii_graphic() {
            self.at += 1;
            return Ok(Token::Sign(byte as char));
        }
        self.error(format!("unexpected byte 0x{byte:02x}"))
    }

    fn number(&mut self) -> Result<Token<'a>> {
        let rest = &self.text[self.at..];
        let lower = |n: usize| rest.as_bytes().get(n).map(u8::to_ascii_lowercase);
        if lower(0) == Some(b'0') {
            match lower(1) {
                Some(b'f') => return self.hex_float(8),
                Some(b'd') => return self.hex_float(16),
                Some(b'x') => return self.integer(2, 16),
                Some(b'b') => return self.integer(2, 2),
                _ => {}
            }
        }
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let is_float = (lower(digits) == Some(b'.')
            && rest.as_bytes().get(digits + 1).is_some_and(u8::is_ascii_digit))
            || lower(digits) == Some(b'e');
        if is_float {
            let text = self.take_while(|b| b.is_ascii_alphanumeric() || b == b'.');
            let mut text = text.to_string();
            if text.ends_with(['e', 'E']) {
                text.push(self.peek(0) as char);
                self.at += 1;
                text.push_str(self.take_while(|b| b.is_ascii_digit()));
            }
            return match text.parse::<f64>() {
                Ok(value) => Ok(Token::F64(value.to_bits())),
                Err(_) => self.error(format!("`{text}` is not a number")),
            };
        }
        let radix = if lower(0) == Some(b'0') && digits > 1 { 8 } else { 10 };
        self.integer(0, radix)
    }

    fn hex_float(&mut self, digits: usize) -> Result<Token<'a>> {
        self.at += 2;
        let text = self.take_while(|b| b.is_ascii_alphanumeric());
        match (u64::from_str_radix(text, 16), text.len() == digits) {
            (Ok(bits), true) if digits == 8 => Ok(Token::F32(bits as u32)),
            (Ok(bits), true) => Ok(Token::F64(bits)),
            _ => self.error(format!("`{text}` is not {digits} hexadecimal digits of a float")),
        }
    }

    fn integer(&mut self, prefix: usize, radix: u32) -> Result<Token<'a>> {
        self.at += prefix;
        let text = self.take_while(|b| b.is_ascii_alphanumeric());
        let digits = text.strip_suffix(['u', 'U']).unwrap_or(text);
        match u64::from_str_radix(digits, radix) {
            Ok(value) => Ok(Token::Int(value)),
            Err(_) => self.error(format!("`{text}` is not an integer of base {radix}")),
        }
    }
}
