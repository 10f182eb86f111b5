//! The parser's place in the token list, and the small steps every rule is made of.

use super::Type;
use super::lexer::{Placed, Token};
use crate::error::{Error, Result};

pub(crate) struct Cursor<'a> {
    tokens: Vec<Placed<'a>>,
    at: usize,
    module: String,
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(tokens: Vec<Placed<'a>>, module: &str) -> Self {
        Cursor { tokens, at: 0, module: module.to_string() }
    }

    pub(crate) fn peek(&self) -> Token<'a> {
        self.tokens[self.at].token
    }

    pub(crate) fn peek_second(&self) -> Token<'a> {
        self.tokens.get(self.at + 1).map_or(Token::End, |placed| placed.token)
    }

    /// True where the current token follows the one before it without a blank.
    pub(crate) fn touches(&self) -> bool {
        self.tokens[self.at].touches
    }

    pub(crate) fn line(&self) -> u32 {
        self.tokens[self.at].line
    }

    pub(crate) fn advance(&mut self) -> Token<'a> {
        let token = self.peek();
        if self.at + 1 < self.tokens.len() {
            self.at += 1;
        }
        token
    }

    pub(crate) fn error<T>(&self, message: impl Into<String>) -> Result<T> {
        self.error_at(self.line(), message)
    }

    pub(crate) fn error_at<T>(&self, line: u32, message: impl Into<String>) -> Result<T> {
        Err(Error::Parse { module: self.module.clone(), line, message: message.into() })
    }

    pub(crate) fn accept(&mut self, sign: char) -> bool {
        let found = self.peek() == Token::Sign(sign);
        if found {
            self.advance();
        }
        found
    }

    pub(crate) fn accept_dot(&mut self, word: &str) -> bool {
        let found = self.peek() == Token::Dot(word);
        if found {
            self.advance();
        }
        found
    }

    pub(crate) fn expect(&mut self, sign: char) -> Result<()> {
        if self.accept(sign) {
            return Ok(());
        }
        self.error(format!("expected `{sign}`, found {}", describe(self.peek())))
    }

    pub(crate) fn word(&mut self) -> Result<&'a str> {
        match self.peek() {
            Token::Word(word) => {
                self.advance();
                Ok(word)
            }
            other => self.error(format!("expected a name, found {}", describe(other))),
        }
    }

    pub(crate) fn integer(&mut self) -> Result<i128> {
        let negative = self.accept('-');
        match self.peek() {
            Token::Int(value) => {
                self.advance();
                Ok(if negative { -i128::from(value) } else { i128::from(value) })
            }
            other => self.error(format!("expected an integer, found {}", describe(other))),
        }
    }

    pub(crate) fn small(&mut self) -> Result<u32> {
        let value = self.integer()?;
        match u32::try_from(value) {
            Ok(value) => Ok(value),
            Err(_) => self.error(format!("{value} does not fit 32 bits")),
        }
    }

    pub(crate) fn data_type(&mut self) -> Result<Type> {
        match self.peek() {
            Token::Dot(word) if Type::parse(word).is_some() => {
                self.advance();
                Ok(Type::parse(word).unwrap_or(Type::B32))
            }
            other => self.error(format!("expected a type, found {}", describe(other))),
        }
    }
}

pub(crate) fn describe(token: Token<'_>) -> String {
    match token {
        Token::Word(word) | Token::Text(word) => format!("`{word}`"),
        Token::Dot(word) => format!("`.{word}`"),
        Token::Int(value) => format!("{value}"),
        Token::F32(_) | Token::F64(_) => "a float".into(),
        Token::Sign(sign) => format!("`{sign}`"),
        Token::End => "the end of the file".into(),
    }
}
