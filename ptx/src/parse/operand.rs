//! Operands of an instruction: registers, literals, vectors, addresses, tensor coordinates.

use super::ast::{Address, AddressBase, Immediate, Operand};
use super::cursor::describe;
use super::function::{FunctionParser, Meaning};
use super::lexer::Token;
use crate::error::Result;

impl FunctionParser<'_, '_> {
    pub(crate) fn operand(&mut self) -> Result<Operand> {
        match self.cursor.peek() {
            Token::Sign('{') => {
                self.cursor.advance();
                let mut parts = Vec::new();
                if self.cursor.accept('}') {
                    return Ok(Operand::Vector(parts));
                }
                loop {
                    parts.push(self.operand()?);
                    if !self.cursor.accept(',') {
                        break;
                    }
                }
                self.cursor.expect('}')?;
                Ok(Operand::Vector(parts))
            }
            Token::Sign('(') => {
                self.cursor.advance();
                let mut parts = Vec::new();
                if self.cursor.accept(')') {
                    return Ok(Operand::List(parts));
                }
                loop {
                    parts.push(self.operand()?);
                    if !self.cursor.accept(',') {
                        break;
                    }
                }
                self.cursor.expect(')')?;
                Ok(Operand::List(parts))
            }
            Token::Sign('[') => self.bracket(),
            Token::Sign('!') => {
                self.cursor.advance();
                match self.plain()? {
                    Operand::Register(register) => Ok(Operand::Not(register)),
                    _ => self.cursor.error("`!` needs a predicate register"),
                }
            }
            _ => {
                let first = self.plain()?;
                if !self.cursor.accept('|') {
                    return Ok(first);
                }
                let second = self.plain()?;
                let side = |operand: &Operand| match operand {
                    Operand::Register(register) => Some(Some(*register)),
                    Operand::Sink => Some(None),
                    _ => None,
                };
                match (side(&first), side(&second)) {
                    (Some(a), Some(b)) => Ok(Operand::Pair(a, b)),
                    _ => self.cursor.error("`|` needs two registers"),
                }
            }
        }
    }

    fn bracket(&mut self) -> Result<Operand> {
        self.cursor.expect('[')?;
        let address = self.address()?;
        if self.cursor.accept(',') {
            let coordinates = match self.operand()? {
                Operand::Vector(parts) => parts,
                single => vec![single],
            };
            self.cursor.expect(']')?;
            return Ok(Operand::Tensor(address, coordinates));
        }
        self.cursor.expect(']')?;
        Ok(Operand::Address(address))
    }

    fn address(&mut self) -> Result<Address> {
        let (base, mut offset) = match self.plain()? {
            Operand::Register(register) => (AddressBase::Register(register), 0),
            Operand::Symbol(symbol, offset) => (AddressBase::Symbol(symbol), offset),
            Operand::Immediate(Immediate::Int(value)) => (AddressBase::Absolute, value as i64),
            other => return self.cursor.error(format!("{other:?} is not an address")),
        };
        while matches!(self.cursor.peek(), Token::Sign('+' | '-')) {
            self.cursor.accept('+');
            offset = offset.wrapping_add(self.cursor.integer()? as i64);
        }
        Ok(Address { base, offset })
    }

    /// A register, a special register, a literal, a symbol with offset, a label or a name.
    fn plain(&mut self) -> Result<Operand> {
        match self.cursor.peek() {
            Token::Sign('-') => {
                self.cursor.advance();
                Ok(Operand::Immediate(match self.cursor.advance() {
                    Token::Int(value) => Immediate::Int(-i128::from(value)),
                    Token::F32(bits) => Immediate::F32(bits ^ (1 << 31)),
                    Token::F64(bits) => Immediate::F64(bits ^ (1 << 63)),
                    other => {
                        return self
                            .cursor
                            .error(format!("expected a number, found {}", describe(other)));
                    }
                }))
            }
            Token::Int(value) => {
                self.cursor.advance();
                Ok(Operand::Immediate(Immediate::Int(i128::from(value))))
            }
            Token::F32(bits) => {
                self.cursor.advance();
                Ok(Operand::Immediate(Immediate::F32(bits)))
            }
            Token::F64(bits) => {
                self.cursor.advance();
                Ok(Operand::Immediate(Immediate::F64(bits)))
            }
            Token::Word("_") => {
                self.cursor.advance();
                Ok(Operand::Sink)
            }
            Token::Word(word) => {
                self.cursor.advance();
                self.named(word)
            }
            other => self.cursor.error(format!("expected an operand, found {}", describe(other))),
        }
    }

    fn named(&mut self, word: &str) -> Result<Operand> {
        match self.resolve(word) {
            Some(Meaning::Register(register)) => Ok(Operand::Register(register)),
            Some(Meaning::Symbol(symbol)) => {
                let mut offset = 0i64;
                while matches!(self.cursor.peek(), Token::Sign('+' | '-'))
                    && matches!(self.cursor.peek_second(), Token::Int(_))
                {
                    self.cursor.accept('+');
                    offset = offset.wrapping_add(self.cursor.integer()? as i64);
                }
                Ok(Operand::Symbol(symbol, offset))
            }
            None if word == "WARP_SZ" => Ok(Operand::Immediate(Immediate::Int(32))),
            None if word.starts_with('%') => {
                let mut name = word.to_string();
                if let Token::Dot(part) = self.cursor.peek()
                    && self.cursor.touches()
                {
                    self.cursor.advance();
                    name.push('.');
                    name.push_str(part);
                }
                if is_special(&name) {
                    return Ok(Operand::Special(name));
                }
                self.cursor.error(format!("register {name} is not declared"))
            }
            None => Ok(Operand::Name(word.to_string())),
        }
    }
}

/// True for the special registers of the machine.
fn is_special(name: &str) -> bool {
    let base = name.split('.').next().unwrap_or(name);
    matches!(
        base,
        "%tid"
            | "%ntid"
            | "%ctaid"
            | "%nctaid"
            | "%laneid"
            | "%warpid"
            | "%nwarpid"
            | "%smid"
            | "%nsmid"
            | "%gridid"
            | "%lanemask_eq"
            | "%lanemask_le"
            | "%lanemask_lt"
            | "%lanemask_ge"
            | "%lanemask_gt"
            | "%clock"
            | "%clock_hi"
            | "%clock64"
            | "%globaltimer"
            | "%globaltimer_lo"
            | "%globaltimer_hi"
            | "%dynamic_smem_size"
            | "%total_smem_size"
            | "%aggr_smem_size"
            | "%reserved_smem_offset_begin"
            | "%reserved_smem_offset_end"
            | "%is_explicit_cluster"
            | "%clusterid"
            | "%nclusterid"
            | "%cluster_ctaid"
            | "%cluster_nctaid"
            | "%cluster_ctarank"
            | "%cluster_nctarank"
    )
}
