//! Functions: parameters, directives, register ranges, nested scopes with their own registers,
//! labels and variables, and the statements.

use super::Type;
use super::ast::{Function, Guard, Module, Operand, Param, Prototype, Statement, Symbol, Variable};
use super::cursor::{Cursor, describe};
use super::lexer::Token;
use super::module::{declaration, file, space};
use crate::error::Result;
use std::collections::HashMap;

/// Most registers a function may declare.
pub(crate) const MAX_REGISTERS: usize = 1 << 16;
/// Most bytes of parameters a function may have.
pub(crate) const MAX_PARAMS: usize = 32 << 10;

#[derive(Clone, Copy)]
pub(crate) enum Meaning {
    Register(u32),
    Symbol(Symbol),
}

#[derive(Default)]
struct Scope {
    names: HashMap<String, Meaning>,
    /// Prefix, first register, count.
    ranges: Vec<(String, u32, u32)>,
    labels: HashMap<String, usize>,
    /// Label references that this scope or one around it must define: name, label number, line.
    wanted: Vec<(String, usize, u32)>,
}

pub(crate) struct FunctionParser<'c, 'a> {
    pub(crate) cursor: &'c mut Cursor<'a>,
    function: Function,
    scopes: Vec<Scope>,
    loc: Option<(u32, u32, u32)>,
}

impl<'c, 'a> FunctionParser<'c, 'a> {
    pub(crate) fn parse(cursor: &'c mut Cursor<'a>, module: &mut Module) -> Result<Function> {
        let line = cursor.line();
        let is_entry = cursor.advance() == Token::Dot("entry");
        let mut results = Vec::new();
        if cursor.accept('(') {
            results = params(cursor)?;
        }
        let name = cursor.word()?.to_string();
        let params = if cursor.accept('(') { params(cursor)? } else { Vec::new() };
        let function = Function {
            name,
            is_entry,
            line,
            params,
            results,
            registers: Vec::new(),
            variables: Vec::new(),
            body: Vec::new(),
            labels: Vec::new(),
            tables: HashMap::new(),
            prototypes: HashMap::new(),
            directives: HashMap::new(),
            has_body: false,
        };
        let mut outer = Scope::default();
        for (index, variable) in module.variables.iter().enumerate() {
            outer.names.insert(variable.name.clone(), Meaning::Symbol(Symbol::Module(index)));
        }
        for (index, param) in function.params.iter().enumerate() {
            outer.names.insert(param.name.clone(), Meaning::Symbol(Symbol::Param(index)));
        }
        for (index, param) in function.results.iter().enumerate() {
            outer.names.insert(param.name.clone(), Meaning::Symbol(Symbol::Result(index)));
        }
        let mut parser = FunctionParser { cursor, function, scopes: vec![outer], loc: None };
        parser.directives()?;
        if parser.cursor.accept(';') {
            return Ok(parser.function);
        }
        parser.function.has_body = true;
        parser.block(module)?;
        let scope = parser.scopes.pop().unwrap_or_default();
        if let Some((name, _, line)) = scope.wanted.into_iter().min_by_key(|w| w.2) {
            return parser.cursor.error_at(line, format!("label or name `{name}` is not defined"));
        }
        Ok(parser.function)
    }

    fn directives(&mut self) -> Result<()> {
        while let Token::Dot(word) = self.cursor.peek() {
            self.cursor.advance();
            let mut values = Vec::new();
            if word == "pragma" {
                while !matches!(self.cursor.advance(), Token::Sign(';') | Token::End) {}
                continue;
            }
            while let Token::Int(value) = self.cursor.peek() {
                self.cursor.advance();
                values.push(value as u32);
                if !self.cursor.accept(',') {
                    break;
                }
            }
            self.function.directives.insert(word.to_string(), values);
        }
        Ok(())
    }

    pub(crate) fn resolve(&self, word: &str) -> Option<Meaning> {
        let split = word.trim_end_matches(|c: char| c.is_ascii_digit()).len();
        let (prefix, digits) = word.split_at(split);
        let plain = !digits.is_empty() && (digits == "0" || !digits.starts_with('0'));
        let number = if plain { digits.parse::<u32>().ok() } else { None };
        for scope in self.scopes.iter().rev() {
            if let Some(meaning) = scope.names.get(word) {
                return Some(*meaning);
            }
            if let Some(number) = number {
                for (name, first, count) in &scope.ranges {
                    if name == prefix && number < *count {
                        return Some(Meaning::Register(first + number));
                    }
                }
            }
        }
        None
    }

    fn block(&mut self, module: &mut Module) -> Result<()> {
        self.cursor.expect('{')?;
        self.scopes.push(Scope::default());
        while !self.cursor.accept('}') {
            match self.cursor.peek() {
                Token::End => return self.cursor.error("function body has no end"),
                Token::Sign('{') => self.block(module)?,
                Token::Sign(';') => {
                    self.cursor.advance();
                }
                Token::Dot(word) => self.body_directive(word, module)?,
                Token::Word(word) if self.cursor.peek_second() == Token::Sign(':') => {
                    self.cursor.advance();
                    self.cursor.advance();
                    self.define_label(word)?;
                }
                _ => self.statement()?,
            }
        }
        let scope = self.scopes.pop().unwrap_or_default();
        for (name, number, line) in scope.wanted {
            match scope.labels.get(&name) {
                Some(target) => self.function.labels[number] = *target,
                None => self.want(&name, number, line),
            }
        }
        Ok(())
    }

    /// Passes an open label reference to the innermost scope.
    fn want(&mut self, name: &str, number: usize, line: u32) {
        if let Some(scope) = self.scopes.last_mut() {
            scope.wanted.push((name.to_string(), number, line));
        }
    }

    fn define_label(&mut self, name: &str) -> Result<()> {
        let target = self.function.body.len();
        if self.cursor.peek() == Token::Dot("branchtargets") {
            self.cursor.advance();
            let mut targets = Vec::new();
            loop {
                let label = self.cursor.word()?;
                targets.push(self.label(label));
                if !self.cursor.accept(',') {
                    break;
                }
            }
            self.function.tables.insert(name.to_string(), targets);
            return self.cursor.expect(';');
        }
        if self.cursor.peek() == Token::Dot("callprototype") {
            self.cursor.advance();
            let results = if self.cursor.accept('(') { params(self.cursor)? } else { Vec::new() };
            self.cursor.word()?;
            let params = if self.cursor.accept('(') { params(self.cursor)? } else { Vec::new() };
            while !matches!(self.cursor.peek(), Token::Sign(';') | Token::End) {
                self.cursor.advance();
            }
            let sizes = |list: Vec<Param>| list.into_iter().map(|p| p.bytes).collect();
            let prototype = Prototype { params: sizes(params), results: sizes(results) };
            self.function.prototypes.insert(name.to_string(), prototype);
            return self.cursor.expect(';');
        }
        let Some(scope) = self.scopes.last_mut() else { return Ok(()) };
        if scope.labels.insert(name.to_string(), target).is_some() {
            return self.cursor.error(format!("label `{name}` is defined twice in one scope"));
        }
        Ok(())
    }

    /// The number of a label, which the end of a scope resolves.
    fn label(&mut self, name: &str) -> usize {
        let line = self.cursor.line();
        let number = self.function.labels.len();
        self.function.labels.push(usize::MAX);
        self.want(name, number, line);
        number
    }

    fn body_directive(&mut self, word: &str, module: &mut Module) -> Result<()> {
        match word {
            "reg" => self.registers(),
            "loc" => {
                self.cursor.advance();
                let (file, line, column) =
                    (self.cursor.small()?, self.cursor.small()?, self.cursor.small()?);
                self.loc = Some((file, line, column));
                while self.cursor.accept(',') {
                    self.cursor.word()?;
                    if matches!(self.cursor.peek(), Token::Word(_)) {
                        self.cursor.word()?;
                    }
                    if self.cursor.accept('+') {
                        self.cursor.integer()?;
                    }
                    while let Token::Int(_) = self.cursor.peek() {
                        self.cursor.advance();
                    }
                }
                Ok(())
            }
            "file" => {
                let (number, path) = file(self.cursor)?;
                module.files.insert(number, path);
                Ok(())
            }
            "pragma" => {
                while !matches!(self.cursor.advance(), Token::Sign(';') | Token::End) {}
                Ok(())
            }
            _ => {
                let Some(space) = space(word) else {
                    return self.cursor.error(format!("unknown directive .{word} in a body"));
                };
                self.cursor.advance();
                let variables = declaration(self.cursor, space, false)?;
                for variable in variables {
                    self.variable(variable);
                }
                Ok(())
            }
        }
    }

    fn variable(&mut self, variable: Variable) {
        let index = self.function.variables.len();
        if let Some(scope) = self.scopes.last_mut() {
            let symbol = Meaning::Symbol(Symbol::Function(index));
            scope.names.insert(variable.name.clone(), symbol);
        }
        self.function.variables.push(variable);
    }

    fn registers(&mut self) -> Result<()> {
        self.cursor.advance();
        let mut ty = None;
        while let Token::Dot(word) = self.cursor.peek() {
            if word == "v2" || word == "v4" {
                return self.cursor.error("vector registers are not supported");
            }
            ty = Some(self.cursor.data_type()?);
        }
        let Some(ty) = ty else { return self.cursor.error(".reg needs a type") };
        loop {
            let name = self.cursor.word()?.to_string();
            let mut count = 1;
            let is_range = self.cursor.accept('<');
            if is_range {
                count = self.cursor.small()?;
                self.cursor.expect('>')?;
            }
            let first = self.function.registers.len();
            if first + count as usize > MAX_REGISTERS {
                return self.cursor.error(format!("more than {MAX_REGISTERS} registers"));
            }
            self.function.registers.resize(first + count as usize, ty);
            let Some(scope) = self.scopes.last_mut() else { break };
            if is_range {
                scope.ranges.push((name, first as u32, count));
            } else {
                scope.names.insert(name, Meaning::Register(first as u32));
            }
            if !self.cursor.accept(',') {
                break;
            }
        }
        self.cursor.expect(';')
    }

    fn statement(&mut self) -> Result<()> {
        let mut guard = None;
        if self.cursor.accept('@') {
            let negated = self.cursor.accept('!');
            let word = self.cursor.word()?;
            match self.resolve(word) {
                Some(Meaning::Register(register)) => guard = Some(Guard { register, negated }),
                _ => return self.cursor.error(format!("guard `{word}` is not a register")),
            }
        }
        let line = self.cursor.line();
        let opcode = self.cursor.word()?.to_string();
        let mut modifiers = Vec::new();
        while let Token::Dot(word) = self.cursor.peek() {
            self.cursor.advance();
            modifiers.push(word.to_string());
        }
        let mut operands = Vec::new();
        if !self.cursor.accept(';') {
            loop {
                operands.push(self.operand()?);
                if !self.cursor.accept(',') {
                    break;
                }
            }
            if !self.cursor.accept(';') {
                let found = describe(self.cursor.peek());
                return self.cursor.error(format!("expected `,` or `;`, found {found}"));
            }
        }
        if opcode == "bra"
            && let Some(Operand::Name(name)) = operands.first()
        {
            let name = name.clone();
            operands[0] = Operand::Label(self.label(&name));
        }
        let loc = self.loc;
        self.function.body.push(Statement { guard, opcode, modifiers, operands, line, loc });
        Ok(())
    }
}

fn params(cursor: &mut Cursor<'_>) -> Result<Vec<Param>> {
    let mut list: Vec<Param> = Vec::new();
    let mut offset = 0usize;
    while !cursor.accept(')') {
        if !cursor.accept_dot("param") && !cursor.accept_dot("reg") {
            return cursor.error(format!("expected .param, found {}", describe(cursor.peek())));
        }
        let mut align = None;
        let mut ty: Option<Type> = None;
        let mut is_pointer = false;
        while let Token::Dot(word) = cursor.peek() {
            match word {
                "align" => {
                    cursor.advance();
                    let value = cursor.small()? as usize;
                    // Behind `.ptr` the alignment is that of the memory pointed to.
                    if !is_pointer {
                        align = Some(value);
                    }
                }
                "ptr" => {
                    cursor.advance();
                    is_pointer = true;
                }
                "global" | "shared" | "const" | "local" => {
                    cursor.advance();
                }
                _ => ty = Some(cursor.data_type()?),
            }
        }
        let Some(ty) = ty else { return cursor.error("parameter has no type") };
        let name = cursor.word()?.to_string();
        let mut bytes = ty.bytes();
        while cursor.accept('[') {
            if !cursor.accept(']') {
                bytes = bytes.saturating_mul(cursor.small()? as usize);
                cursor.expect(']')?;
            }
        }
        let align = align.unwrap_or(ty.bytes());
        if !align.is_power_of_two() {
            return cursor.error(format!("alignment {align} is not a power of two"));
        }
        offset = offset.next_multiple_of(align);
        list.push(Param { name, offset, bytes, align, ty, is_pointer });
        offset = offset.saturating_add(bytes);
        if offset > MAX_PARAMS {
            return cursor.error(format!("more than {MAX_PARAMS} bytes of parameters"));
        }
        cursor.accept(',');
    }
    Ok(list)
}
