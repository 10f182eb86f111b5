//! Expansion of kernel templates: where a family needs many near-equal kernels, one handwritten text
//! gives them all. `kernels/README.md` describes the language; `vincie ptx show` prints the result.
//!
//! Lines that start with `#` are directives, `${…}` anywhere is the value of an expression, and
//! every other line is PTX as it stands.

mod expression;

use crate::error::{Error, Result};
use expression::{Names, Value, evaluate, holds, number};
use std::collections::BTreeMap;

/// Most lines that an expansion may read, each time it comes by counted.
const MAX_STEPS: usize = 1_000_000;

/// Deepest nesting of calls and blocks.
const MAX_DEPTH: usize = 32;

/// A template that has been read.
#[derive(Clone, Debug)]
pub struct Template {
    name: String,
    lines: Vec<Line>,
    variants: Vec<(String, Vec<String>)>,
}

/// A line with its place in the file it stands in.
#[derive(Clone, Debug)]
struct Line {
    file: String,
    number: u32,
    text: String,
}

/// Values of a template's variant names.
pub type Variant = BTreeMap<String, String>;

/// A stretch of lines that `#macro` names.
#[derive(Clone, Debug)]
struct Macro {
    parameters: Vec<String>,
    body: std::ops::Range<usize>,
}

impl Line {
    fn fail<T>(&self, message: impl Into<String>) -> Result<T> {
        Err(Error::Parse { module: self.file.clone(), line: self.number, message: message.into() })
    }

    /// The directive and what stands behind it.
    fn directive(&self) -> Option<(&str, &str)> {
        let rest = self.text.trim_start().strip_prefix('#')?;
        let (word, rest) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        Some((word, rest.trim()))
    }
}

impl Template {
    /// Reads a template. `include` gives the texts of the files that `#include` names.
    pub fn new(
        name: &str,
        text: &str,
        include: &dyn Fn(&str) -> Option<&'static str>,
    ) -> Result<Self> {
        let mut template = Self { name: name.to_owned(), lines: Vec::new(), variants: Vec::new() };
        template.read(name, text, include, 0)?;
        Ok(template)
    }

    fn read(
        &mut self,
        file: &str,
        text: &str,
        include: &dyn Fn(&str) -> Option<&'static str>,
        depth: usize,
    ) -> Result<()> {
        for (index, text) in text.lines().enumerate() {
            let number = index as u32 + 1;
            let line = Line { file: file.to_owned(), number, text: text.to_owned() };
            match line.directive() {
                Some(("include", wanted)) if depth < MAX_DEPTH => match include(wanted) {
                    Some(text) => self.read(wanted, text, include, depth + 1)?,
                    None => return line.fail(format!("no file `{wanted}` to include")),
                },
                Some(("include", _)) => return line.fail("files include each other"),
                Some(("variants", rest)) => {
                    for part in rest.split(';') {
                        let Some((name, values)) = part.split_once(':') else {
                            return line.fail(format!("`{part}`; expected `name: value value`"));
                        };
                        let values = values.split_whitespace().map(str::to_owned).collect();
                        self.variants.push((name.trim().to_owned(), values));
                    }
                }
                _ => self.lines.push(line),
            }
        }
        Ok(())
    }

    /// Every combination of the values behind `#variants`, the last name changing fastest; one
    /// empty variant where the template has none.
    pub fn variants(&self) -> Vec<Variant> {
        let mut all = vec![Variant::new()];
        for (name, values) in &self.variants {
            all = all
                .into_iter()
                .flat_map(|variant| {
                    values.iter().map(move |value| {
                        let mut variant = variant.clone();
                        variant.insert(name.clone(), value.clone());
                        variant
                    })
                })
                .collect();
        }
        all
    }

    /// The text of a variant.
    pub fn expand(&self, variant: &Variant) -> Result<String> {
        let mut names = Names::new();
        for (name, value) in variant {
            let value = match value.parse() {
                Ok(number) => Value::Number(number),
                Err(_) => Value::Word(value.clone()),
            };
            names.insert(name.clone(), value);
        }
        let mut expansion = Expansion {
            lines: &self.lines,
            macros: BTreeMap::new(),
            text: String::new(),
            steps: 0,
            calls: 0,
        };
        expansion.block(0..self.lines.len(), &mut names, 0)?;
        Ok(expansion.text)
    }

    /// The name of the kernel, without expanding the rest: what stands before `:` in the first line.
    pub fn entry(&self, variant: &Variant) -> Result<String> {
        let Some(first) = self.lines.first() else {
            return Err(Error::Case(format!("{}: an empty template", self.name)));
        };
        let names = variant.iter().map(|(n, v)| (n.clone(), Value::Word(v.clone()))).collect();
        let text = substitute(first, &first.text, &names)?;
        match text.strip_prefix("//").and_then(|text| text.split_once(':')) {
            Some((entry, _)) => Ok(entry.trim().to_owned()),
            None => first.fail("expected `// entry: what it computes`"),
        }
    }
}

struct Expansion<'t> {
    lines: &'t [Line],
    macros: BTreeMap<String, Macro>,
    text: String,
    steps: usize,
    calls: usize,
}

impl Expansion<'_> {
    fn step(&mut self, line: &Line) -> Result<()> {
        self.steps += 1;
        if self.steps > MAX_STEPS {
            return line.fail(format!("the expansion takes more than {MAX_STEPS} lines"));
        }
        Ok(())
    }

    /// Expands lines. What `#let` names inside lasts to the end of the block.
    fn block(
        &mut self,
        range: std::ops::Range<usize>,
        names: &mut Names,
        depth: usize,
    ) -> Result<()> {
        let lines = self.lines;
        let mut at = range.start;
        while at < range.end {
            let line = &lines[at];
            self.step(line)?;
            if depth > MAX_DEPTH {
                return line.fail(format!("more than {MAX_DEPTH} blocks and calls in each other"));
            }
            let Some((directive, rest)) = line.directive() else {
                let text = substitute(line, &line.text, names)?;
                self.text.push_str(&text);
                self.text.push('\n');
                at += 1;
                continue;
            };
            let rest = &substitute(line, rest, names)?;
            match directive {
                "let" => {
                    let Some((name, value)) = rest.split_once('=') else {
                        return line.fail(format!("`{rest}`; expected `#let name = value`"));
                    };
                    let value = evaluate(value, names).or_else(|what| line.fail(what))?;
                    names.insert(name.trim().to_owned(), value);
                    at += 1;
                }
                "if" => at = self.condition(at, range.end, names, depth)?,
                "for" => {
                    let end = self.end(at, range.end)?;
                    let (name, from, to) = match for_parts(rest) {
                        Some(parts) => parts,
                        None => return line.fail(format!("`{rest}`; expected `name in a..b`")),
                    };
                    let bound = |text| number(text, names).or_else(|what| line.fail(what));
                    let (from, to) = (bound(from)?, bound(to)?);
                    for value in from..to {
                        self.step(line)?;
                        let mut inner = names.clone();
                        inner.insert(name.to_owned(), Value::Number(value));
                        self.block(at + 1..end, &mut inner, depth + 1)?;
                    }
                    at = end + 1;
                }
                "macro" => {
                    let end = self.end(at, range.end)?;
                    let Some((name, parameters)) = call_parts(rest) else {
                        return line.fail(format!("`{rest}`; expected `#macro name(a, b)`"));
                    };
                    let parameters = parameters.into_iter().map(str::to_owned).collect();
                    self.macros.insert(name.to_owned(), Macro { parameters, body: at + 1..end });
                    at = end + 1;
                }
                "call" => {
                    self.call(line, rest, names, depth)?;
                    at += 1;
                }
                // A remark on the template itself.
                "" => at += 1,
                other => return line.fail(format!("#{other} is no directive, or stands alone")),
            }
        }
        Ok(())
    }

    fn call(&mut self, line: &Line, rest: &str, names: &Names, depth: usize) -> Result<()> {
        let Some((name, arguments)) = call_parts(rest) else {
            return line.fail(format!("`{rest}`; expected `#call name(a, b)`"));
        };
        let Some(found) = self.macros.get(name).cloned() else {
            return line.fail(format!("no macro `{name}`"));
        };
        if arguments.len() != found.parameters.len() {
            let (given, wanted) = (arguments.len(), found.parameters.join(", "));
            return line.fail(format!("{given} arguments; expected {name}({wanted})"));
        }
        let mut inner = names.clone();
        for (parameter, argument) in found.parameters.iter().zip(arguments) {
            let value = match argument.parse() {
                Ok(number) => Value::Number(number),
                Err(_) => Value::Word(argument.to_owned()),
            };
            inner.insert(parameter.clone(), value);
        }
        self.calls += 1;
        inner.insert("unique".to_owned(), Value::Number(self.calls as i64));
        self.block(found.body, &mut inner, depth + 1)
    }

    /// Expands the first branch whose condition holds; returns the line behind the `#end`.
    fn condition(
        &mut self,
        start: usize,
        limit: usize,
        names: &mut Names,
        depth: usize,
    ) -> Result<usize> {
        let end = self.end(start, limit)?;
        let lines = self.lines;
        let mut branches = vec![start];
        let mut nesting = 0;
        for (at, line) in lines.iter().enumerate().take(end).skip(start + 1) {
            match line.directive() {
                Some(("if" | "for" | "macro", _)) => nesting += 1,
                Some(("end", _)) => nesting -= 1,
                Some(("elif" | "else", _)) if nesting == 0 => branches.push(at),
                _ => {}
            }
        }
        branches.push(end);
        for pair in branches.windows(2) {
            let line = &lines[pair[0]];
            let is_taken = match line.directive() {
                Some(("else", _)) => true,
                Some((_, rest)) => {
                    let condition = substitute(line, rest, names)?;
                    holds(&condition, names).or_else(|what| line.fail(what))?
                }
                None => false,
            };
            if is_taken {
                // Names that a branch makes stay, as a choice between two values needs.
                self.block(pair[0] + 1..pair[1], names, depth + 1)?;
                break;
            }
        }
        Ok(end + 1)
    }

    /// The `#end` of the block that starts at a line.
    fn end(&self, start: usize, limit: usize) -> Result<usize> {
        let mut nesting = 0;
        for (at, line) in self.lines.iter().enumerate().take(limit).skip(start) {
            match line.directive() {
                Some(("if" | "for" | "macro", _)) => nesting += 1,
                Some(("end", _)) => nesting -= 1,
                _ => {}
            }
            if nesting == 0 {
                return Ok(at);
            }
        }
        self.lines[start].fail("no `#end`")
    }
}

/// `name in a..b`
fn for_parts(text: &str) -> Option<(&str, &str, &str)> {
    let (name, range) = text.split_once(" in ")?;
    let (from, to) = range.split_once("..")?;
    Some((name.trim(), from, to))
}

/// `name(a, b)`; commas within brackets and braces do not part arguments.
fn call_parts(text: &str) -> Option<(&str, Vec<&str>)> {
    let (name, rest) = text.split_once('(')?;
    let list = rest.trim_end().strip_suffix(')')?;
    let (mut depth, mut start, mut parts) = (0i32, 0, Vec::new());
    for (at, c) in list.char_indices() {
        match c {
            '(' | '{' | '[' => depth += 1,
            ')' | '}' | ']' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(list[start..at].trim());
                start = at + 1;
            }
            _ => {}
        }
    }
    if !(list.trim().is_empty() && parts.is_empty()) {
        parts.push(list[start..].trim());
    }
    Some((name.trim(), parts))
}

/// The text with the value of every `${…}`.
fn substitute(line: &Line, text: &str, names: &Names) -> Result<String> {
    let mut result = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        result.push_str(&rest[..start]);
        let Some(length) = rest[start..].find('}') else {
            return line.fail("`${` without `}`");
        };
        let expression = &rest[start + 2..start + length];
        let value = evaluate(expression, names).or_else(|what| line.fail(what))?;
        result.push_str(&value.to_string());
        rest = &rest[start + length + 1..];
    }
    result.push_str(rest);
    Ok(result)
}

#[cfg(test)]
mod tests;
