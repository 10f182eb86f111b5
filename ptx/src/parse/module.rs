//! Module-level declarations: version, target, variables with initialisers, functions, and the
//! debug sections, which are skipped.

use super::Type;
use super::ast::{Function, Module, Param, Variable, VariableSpace};
use super::cursor::{Cursor, describe};
use super::function::FunctionParser;
use super::lexer::{Token, tokens};
use crate::error::Result;
use std::collections::HashMap;

/// Distance between the addresses of functions, which lie below every memory.
const FUNCTION_STEP: u64 = 16;
/// Largest PTX text the parser takes, in bytes.
pub(crate) const MAX_TEXT: usize = 64 << 20;
/// Largest variable a module may declare, in bytes.
pub(crate) const MAX_VARIABLE: usize = 1 << 30;

impl Module {
    /// Parses PTX text; `name` is used in messages.
    pub fn parse(text: &str, name: &str) -> Result<Module> {
        if text.len() > MAX_TEXT {
            return Err(crate::Error::Parse {
                module: name.into(),
                line: 0,
                message: format!("{} bytes of text; limit {MAX_TEXT}", text.len()),
            });
        }
        if let Some(at) = text.find(|c: char| !c.is_ascii()) {
            let line = 1 + text[..at].matches('\n').count() as u32;
            let found = text[at..].chars().next().unwrap_or_default();
            let message = format!("`{found}`: NVIDIA's assembler takes ASCII only, comments too");
            return Err(crate::Error::Parse { module: name.into(), line, message });
        }
        let mut cursor = Cursor::new(tokens(text, name)?, name);
        let mut module = Module {
            name: name.to_string(),
            version: (0, 0),
            target: String::new(),
            variables: Vec::new(),
            functions: Vec::new(),
            files: HashMap::new(),
        };
        while cursor.peek() != Token::End {
            item(&mut cursor, &mut module)?;
        }
        if module.version == (0, 0) {
            return cursor.error("the text has no .version directive, so it is not PTX");
        }
        Ok(module)
    }

    /// Names of the kernels (`.entry`) in the order of the text.
    pub fn entries(&self) -> impl Iterator<Item = &str> {
        self.functions.iter().filter(|f| f.is_entry && f.has_body).map(|f| f.name.as_str())
    }

    /// Parameters of a kernel, with their offsets in the argument bytes.
    pub fn params(&self, entry: &str) -> Option<&[Param]> {
        self.function(entry).filter(|f| f.is_entry).map(|f| f.params.as_slice())
    }

    /// Values of a performance directive of a kernel, for example `maxntid`.
    pub fn directive(&self, entry: &str, name: &str) -> Option<&[u32]> {
        self.function(entry)?.directives.get(name).map(Vec::as_slice)
    }

    pub(crate) fn function(&self, name: &str) -> Option<&Function> {
        self.functions.iter().find(|f| f.name == name)
    }

    /// The number that stands for a function's address.
    pub(crate) fn function_address(&self, name: &str) -> Option<u64> {
        let index = self.functions.iter().position(|f| f.name == name)?;
        Some((index as u64 + 1) * FUNCTION_STEP)
    }
}

fn item(cursor: &mut Cursor<'_>, module: &mut Module) -> Result<()> {
    let Token::Dot(word) = cursor.peek() else {
        return match cursor.peek() {
            Token::Sign(';') => {
                cursor.advance();
                Ok(())
            }
            other => cursor.error(format!("expected a directive, found {}", describe(other))),
        };
    };
    match word {
        "version" => {
            cursor.advance();
            match cursor.advance() {
                Token::F64(bits) => {
                    let tenths = (f64::from_bits(bits) * 10.0).round() as u32;
                    module.version = (tenths / 10, tenths % 10);
                }
                Token::Int(major) => module.version = (major as u32, 0),
                other => return cursor.error(format!("bad .version {}", describe(other))),
            }
        }
        "target" => {
            cursor.advance();
            module.target = cursor.word()?.to_string();
            while cursor.accept(',') {
                cursor.word()?;
            }
        }
        "address_size" => {
            cursor.advance();
            if cursor.integer()? != 64 {
                return cursor.error("address_size must be 64");
            }
        }
        "file" => {
            let (number, path) = file(cursor)?;
            module.files.insert(number, path);
        }
        "section" => section(cursor)?,
        "pragma" | "alias" => while !matches!(cursor.advance(), Token::Sign(';') | Token::End) {},
        _ => linked(cursor, module)?,
    }
    Ok(())
}

pub(crate) fn file(cursor: &mut Cursor<'_>) -> Result<(u32, String)> {
    cursor.advance();
    let number = cursor.small()?;
    let path = match cursor.advance() {
        Token::Text(path) => path.to_string(),
        other => return cursor.error(format!("expected a file name, found {}", describe(other))),
    };
    while cursor.accept(',') {
        cursor.integer()?;
    }
    Ok((number, path))
}

fn section(cursor: &mut Cursor<'_>) -> Result<()> {
    let line = cursor.line();
    while cursor.peek() != Token::Sign('{') {
        if cursor.advance() == Token::End {
            return cursor.error_at(line, "section has no body");
        }
    }
    while cursor.peek() != Token::Sign('}') {
        if cursor.advance() == Token::End {
            return cursor.error_at(line, "section has no end");
        }
    }
    cursor.advance();
    Ok(())
}

fn linked(cursor: &mut Cursor<'_>, module: &mut Module) -> Result<()> {
    let mut is_extern = false;
    loop {
        let Token::Dot(word) = cursor.peek() else {
            return cursor
                .error(format!("expected a declaration, found {}", describe(cursor.peek())));
        };
        match word {
            "visible" | "weak" | "common" => {
                cursor.advance();
            }
            "extern" => {
                cursor.advance();
                is_extern = true;
            }
            "entry" | "func" => {
                let function = FunctionParser::parse(cursor, module)?;
                // A later definition replaces its prototype.
                module.functions.retain(|f| f.name != function.name || f.has_body);
                module.functions.push(function);
                return Ok(());
            }
            _ => {
                let space = space(word);
                let Some(space) = space else {
                    return cursor.error(format!("unknown directive .{word}"));
                };
                cursor.advance();
                let mut variables = declaration(cursor, space, is_extern)?;
                module.variables.append(&mut variables);
                return Ok(());
            }
        }
    }
}

pub(crate) fn space(word: &str) -> Option<VariableSpace> {
    Some(match word {
        "global" => VariableSpace::Global,
        "const" => VariableSpace::Const,
        "shared" => VariableSpace::Shared,
        "local" => VariableSpace::Local,
        "param" => VariableSpace::Param,
        _ => return None,
    })
}

/// One declaration behind its state space: alignment, type, names, sizes and initialisers.
pub(crate) fn declaration(
    cursor: &mut Cursor<'_>,
    space: VariableSpace,
    is_extern: bool,
) -> Result<Vec<Variable>> {
    let mut align = None;
    let mut lanes = 1;
    let ty = loop {
        match cursor.peek() {
            Token::Dot("align") => {
                cursor.advance();
                align = Some(cursor.small()? as usize);
            }
            Token::Dot("v2") => {
                cursor.advance();
                lanes = 2;
            }
            Token::Dot("v4") => {
                cursor.advance();
                lanes = 4;
            }
            Token::Dot("attribute") => {
                cursor.advance();
                while cursor.advance() != Token::Sign(')') {
                    if cursor.peek() == Token::End {
                        return cursor.error("attribute has no end");
                    }
                }
            }
            _ => break cursor.data_type()?,
        }
    };
    let element = ty.bytes() * lanes;
    let align = align.unwrap_or(element);
    if !align.is_power_of_two() || align > 1 << 20 {
        return cursor.error(format!("alignment {align} is not a power of two up to 2^20"));
    }
    let mut variables = Vec::new();
    loop {
        let name = cursor.word()?.to_string();
        let mut dims: Vec<Option<usize>> = Vec::new();
        while cursor.accept('[') {
            if cursor.accept(']') {
                dims.push(None);
            } else {
                dims.push(Some(cursor.small()? as usize));
                cursor.expect(']')?;
            }
        }
        let mut variable = Variable {
            name,
            space,
            align,
            bytes: 0,
            is_extern,
            init: Vec::new(),
            relocations: Vec::new(),
        };
        if cursor.accept('=') {
            initializer(cursor, ty, &mut variable)?;
        }
        let known: Option<usize> = dims.iter().try_fold(element, |n, d| n.checked_mul((*d)?));
        let bytes = known.unwrap_or(if is_extern { 0 } else { variable.init.len() });
        if bytes > MAX_VARIABLE {
            return cursor
                .error(format!("{bytes} bytes of `{}`; limit {MAX_VARIABLE}", variable.name));
        }
        if variable.init.len() > bytes {
            let have = variable.init.len();
            return cursor.error(format!("initialiser of {have} bytes for {bytes} bytes"));
        }
        variable.bytes = bytes;
        variables.push(variable);
        if !cursor.accept(',') {
            break;
        }
    }
    cursor.expect(';')?;
    Ok(variables)
}

fn initializer(cursor: &mut Cursor<'_>, ty: Type, variable: &mut Variable) -> Result<()> {
    let mut depth = 0;
    loop {
        match cursor.peek() {
            Token::Sign('{') => {
                depth += 1;
                cursor.advance();
            }
            Token::Sign('}') => {
                depth -= 1;
                cursor.advance();
            }
            Token::Sign(',') if depth > 0 => {
                cursor.advance();
            }
            Token::Sign(';' | ',') | Token::End => return Ok(()),
            _ => value(cursor, ty, variable)?,
        }
        if depth == 0 && matches!(cursor.peek(), Token::Sign(';' | ',')) {
            return Ok(());
        }
    }
}

fn value(cursor: &mut Cursor<'_>, ty: Type, variable: &mut Variable) -> Result<()> {
    let bytes = ty.bytes();
    let negative = cursor.accept('-');
    let bits: u64 = match cursor.advance() {
        Token::Int(v) if matches!(ty, Type::F32) => u64::from((v as f32).to_bits()),
        Token::Int(v) if matches!(ty, Type::F64) => (v as f64).to_bits(),
        Token::Int(v) => v,
        Token::F32(bits) => u64::from(bits),
        Token::F64(bits) if matches!(ty, Type::F32) => {
            u64::from((f64::from_bits(bits) as f32).to_bits())
        }
        Token::F64(bits) => bits,
        Token::Word(word) => {
            let mut name = word.to_string();
            if word == "generic" {
                cursor.expect('(')?;
                name = cursor.word()?.to_string();
                cursor.expect(')')?;
            }
            let addend = if matches!(cursor.peek(), Token::Sign('+' | '-')) {
                cursor.accept('+');
                cursor.integer()? as i64
            } else {
                0
            };
            variable.relocations.push((variable.init.len(), name, addend, bytes));
            0
        }
        other => return cursor.error(format!("bad initialiser {}", describe(other))),
    };
    let bits = match (negative, ty) {
        (false, _) => bits,
        (true, Type::F32) => bits ^ (1 << 31),
        (true, Type::F64) => bits ^ (1 << 63),
        (true, _) => bits.wrapping_neg(),
    };
    variable.init.extend_from_slice(&bits.to_le_bytes()[..bytes.min(8)]);
    if variable.init.len() > MAX_VARIABLE {
        return cursor.error("initialiser is too long");
    }
    Ok(())
}
