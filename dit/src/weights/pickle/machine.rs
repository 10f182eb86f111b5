//! The stack machine of pickles, protocols 2 to 5, without the power to run anything: a name that tensors
//! do not need is refused, and a call of an allowed one becomes data. (Python's `pickletools` describes
//! the opcodes.)

use super::build;
use super::value::{Arena, Global, Id, Value};
use std::collections::HashMap;

/// Most values on the stack or in the memo.
const MAX_STACK: usize = 1 << 22;

/// Longest text, bytes.
const MAX_TEXT: usize = 1 << 20;

/// Most bytes in all texts.
const MAX_TEXTS: usize = 1 << 26;

pub(super) struct Machine<'b> {
    bytes: &'b [u8],
    at: usize,
    stack: Vec<Id>,
    /// Heights of the stack where marks stand.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
    /// Text bytes so far.
    texts: usize,
    pub(super) arena: Arena,
}

type Outcome<T = ()> = Result<T, String>;

impl<'b> Machine<'b> {
    pub(super) fn new(bytes: &'b [u8]) -> Self {
        let (stack, marks, memo, arena) = Default::default();
        Self { bytes, at: 0, stack, marks, memo, texts: 0, arena }
    }

    /// Runs to the end; the value that is left.
    pub(super) fn run(&mut self) -> Outcome<Id> {
        loop {
            let place = self.at;
            let opcode = self.byte()?;
            if opcode == b'.' {
                return self.pop();
            }
            self.step(opcode).map_err(|what| format!("{what} (byte {place} of the pickle)"))?;
            if self.stack.len() > MAX_STACK || self.memo.len() > MAX_STACK {
                return Err(format!("holds more than {MAX_STACK} values at a time"));
            }
        }
    }

    fn step(&mut self, opcode: u8) -> Outcome {
        match opcode {
            // Protocol and frame.
            0x80 => match self.byte()? {
                2..=5 => Ok(()),
                other => Err(format!("is of protocol {other}; expected 2 to 5")),
            },
            0x95 => self.take(8).map(|_| ()),
            // Constants.
            b'N' => self.push(Value::None),
            0x88 => self.push(Value::Bool(true)),
            0x89 => self.push(Value::Bool(false)),
            b'J' => {
                let value = i64::from(i32::from_le_bytes(self.array()?));
                self.push(Value::Int(value))
            }
            b'K' => {
                let value = i64::from(self.byte()?);
                self.push(Value::Int(value))
            }
            b'M' => {
                let value = i64::from(u16::from_le_bytes(self.array()?));
                self.push(Value::Int(value))
            }
            0x8a => {
                let length = usize::from(self.byte()?);
                self.long(length)
            }
            0x8b => {
                let length = self.length_32()?;
                self.long(length)
            }
            b'G' => {
                let value = f64::from_be_bytes(self.array()?);
                self.push(Value::Float(value))
            }
            // Texts and bytes.
            b'X' => {
                let length = self.length_32()?;
                self.text(length)
            }
            0x8c | b'U' => {
                let length = usize::from(self.byte()?);
                self.text(length)
            }
            b'T' => {
                let length = self.length_32()?;
                self.text(length)
            }
            0x8d => {
                let length = self.length_64()?;
                self.text(length)
            }
            b'B' => {
                let length = self.length_32()?;
                self.skip(length)
            }
            b'C' => {
                let length = usize::from(self.byte()?);
                self.skip(length)
            }
            0x8e | 0x96 => {
                let length = self.length_64()?;
                self.skip(length)
            }
            // Containers.
            b')' => self.push(Value::Tuple(Vec::new())),
            b']' => self.push(Value::List(Vec::new())),
            b'}' => self.push(Value::Dict(Vec::new())),
            0x8f => self.push(Value::Opaque),
            b'(' => {
                self.marks.push(self.stack.len());
                match self.marks.len() > MAX_STACK {
                    true => Err(format!("holds more than {MAX_STACK} marks")),
                    false => Ok(()),
                }
            }
            b't' => {
                let items = self.pop_to_mark()?;
                self.push(Value::Tuple(items))
            }
            0x85..=0x87 => {
                let count = usize::from(opcode - 0x84);
                let from = self.height(count)?;
                let items = self.stack.split_off(from);
                self.push(Value::Tuple(items))
            }
            b'l' => {
                let items = self.pop_to_mark()?;
                self.push(Value::List(items))
            }
            b'd' => {
                let items = self.pop_to_mark()?;
                let pairs = pairs(&items)?;
                self.push(Value::Dict(pairs))
            }
            0x91 => {
                self.pop_to_mark()?;
                self.push(Value::Opaque)
            }
            b'a' => {
                let item = self.pop()?;
                self.append(vec![item])
            }
            b'e' => {
                let items = self.pop_to_mark()?;
                self.append(items)
            }
            0x90 => {
                self.pop_to_mark()?;
                self.append(Vec::new())
            }
            b's' => {
                let from = self.height(2)?;
                let items = self.stack.split_off(from);
                self.set(&items)
            }
            b'u' => {
                let items = self.pop_to_mark()?;
                self.set(&items)
            }
            // Stack and memo.
            b'0' => self.pop().map(|_| ()),
            b'1' => self.pop_to_mark().map(|_| ()),
            b'2' => {
                let top = self.top()?;
                self.stack.push(top);
                Ok(())
            }
            b'q' => {
                let key = u32::from(self.byte()?);
                self.keep(key)
            }
            b'r' => {
                let key = u32::from_le_bytes(self.array()?);
                self.keep(key)
            }
            0x94 => self.keep(self.memo.len() as u32),
            b'h' => {
                let key = u32::from(self.byte()?);
                self.recall(key)
            }
            b'j' => {
                let key = u32::from_le_bytes(self.array()?);
                self.recall(key)
            }
            // Names and calls.
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.global(&module, &name)
            }
            0x93 => {
                let (name, module) = (self.pop()?, self.pop()?);
                let (Value::Text(module), Value::Text(name)) =
                    (self.arena.get(module), self.arena.get(name))
                else {
                    return Err("names something without texts".to_owned());
                };
                let (module, name) = (module.clone(), name.clone());
                self.global(&module, &name)
            }
            b'Q' => {
                let id = self.pop()?;
                let storage = build::storage(&self.arena, id)?;
                self.push(Value::Storage(storage))
            }
            b'R' | 0x81 => {
                let (arguments, callee) = (self.pop()?, self.pop()?);
                let value = build::call(&self.arena, callee, arguments)?;
                self.push(value)
            }
            b'b' => {
                // The state of a dictionary or parameter (versions, hooks) means nothing here.
                self.pop()?;
                let target = self.top()?;
                match self.arena.get(target) {
                    Value::Dict(_) | Value::Opaque | Value::Tensor(_) => Ok(()),
                    _ => Err("sets the state of something that has none".to_owned()),
                }
            }
            other => Err(format!(
                "uses opcode {}, which files of tensors do not need",
                char::from(other).escape_default()
            )),
        }
    }

    fn global(&mut self, module: &str, name: &str) -> Outcome {
        let meaning = Global::named(module, name).ok_or_else(|| {
            let full: String = format!("{module}.{name}").chars().take(80).collect();
            format!(
                "asks for {}, which no file of tensors needs; nothing of it was run",
                full.escape_default()
            )
        })?;
        self.push(Value::Global(meaning))
    }

    fn push(&mut self, value: Value) -> Outcome {
        let id = self.arena.add(value)?;
        self.stack.push(id);
        Ok(())
    }

    /// Height of the stack below its `count` topmost values, which stand above the last mark.
    fn height(&self, count: usize) -> Outcome<usize> {
        let floor = self.marks.last().copied().unwrap_or(0);
        self.stack
            .len()
            .checked_sub(count)
            .filter(|&height| height >= floor)
            .ok_or_else(|| "takes more from its stack than there is".to_owned())
    }

    fn top(&self) -> Outcome<Id> {
        Ok(self.stack[self.height(1)?])
    }

    fn pop(&mut self) -> Outcome<Id> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    fn pop_to_mark(&mut self) -> Outcome<Vec<Id>> {
        let mark = self.marks.pop().ok_or("goes back to a mark that was not set")?;
        Ok(self.stack.split_off(mark))
    }

    fn append(&mut self, items: Vec<Id>) -> Outcome {
        let target = self.top()?;
        match self.arena.get_mut(target) {
            Value::List(list) => list.extend(items),
            Value::Opaque => {}
            _ => return Err("appends to something that is no list".to_owned()),
        }
        Ok(())
    }

    fn set(&mut self, items: &[Id]) -> Outcome {
        let pairs = pairs(items)?;
        let target = self.top()?;
        match self.arena.get_mut(target) {
            Value::Dict(all) => all.extend(pairs),
            Value::Opaque => {}
            _ => return Err("sets an entry of something that is no dictionary".to_owned()),
        }
        Ok(())
    }

    fn keep(&mut self, key: u32) -> Outcome {
        let top = self.top()?;
        self.memo.insert(key, top);
        Ok(())
    }

    fn recall(&mut self, key: u32) -> Outcome {
        let id = self.memo.get(&key).ok_or_else(|| format!("recalls {key}, which was not kept"))?;
        self.stack.push(*id);
        Ok(())
    }

    fn byte(&mut self) -> Outcome<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn array<const N: usize>(&mut self) -> Outcome<[u8; N]> {
        let mut all = [0; N];
        all.copy_from_slice(self.take(N)?);
        Ok(all)
    }

    fn take(&mut self, length: usize) -> Outcome<&'b [u8]> {
        let end = self.at.checked_add(length).filter(|&end| end <= self.bytes.len());
        let end = end.ok_or_else(|| format!("ends at byte {} unfinished", self.bytes.len()))?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    fn line(&mut self) -> Outcome<String> {
        let rest = &self.bytes[self.at..];
        let end = rest.iter().take(MAX_TEXT).position(|&byte| byte == b'\n');
        let end = end.ok_or_else(|| format!("ends at byte {} unfinished", self.bytes.len()))?;
        self.at += end + 1;
        Ok(String::from_utf8_lossy(&rest[..end]).into_owned())
    }

    fn length_32(&mut self) -> Outcome<usize> {
        Ok(u32::from_le_bytes(self.array()?) as usize)
    }

    fn length_64(&mut self) -> Outcome<usize> {
        let length = u64::from_le_bytes(self.array()?);
        usize::try_from(length).map_err(|_| format!("names a length of {length}"))
    }

    fn text(&mut self, length: usize) -> Outcome {
        let bytes = self.take(length)?;
        self.texts = self.texts.saturating_add(length);
        if length > MAX_TEXT || self.texts > MAX_TEXTS {
            return Err(format!("holds {} bytes of text", self.texts));
        }
        self.push(Value::Text(String::from_utf8_lossy(bytes).into_owned()))
    }

    /// Bytes, which mean nothing here.
    fn skip(&mut self, length: usize) -> Outcome {
        self.take(length)?;
        self.push(Value::Opaque)
    }

    /// A whole number of any length; one of more than 64 bits means nothing here.
    fn long(&mut self, length: usize) -> Outcome {
        let bytes = self.take(length)?;
        let is_negative = bytes.last().is_some_and(|last| last & 0x80 != 0);
        let mut wide = [if is_negative { 0xff } else { 0 }; 8];
        if length > wide.len() {
            return self.push(Value::Opaque);
        }
        wide[..length].copy_from_slice(bytes);
        self.push(Value::Int(i64::from_le_bytes(wide)))
    }
}

/// Keys and values in turn as pairs.
fn pairs(items: &[Id]) -> Outcome<Vec<(Id, Id)>> {
    match items.len() % 2 {
        0 => Ok(items.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect()),
        _ => Err("has a key without a value".to_owned()),
    }
}
