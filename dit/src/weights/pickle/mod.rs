//! The pickle in a file of `torch.save`, read as data: tensors by name, and plain values beside them.
//!
//! Nothing is executed. The few names that tensors need are allowed and become data; every other one
//! is refused, with itself in the message.

mod build;
mod machine;
mod value;

use build::short;
use machine::Machine;
use value::{Arena, Id, Value};

pub(super) use value::{Storage, View};

/// Largest pickle, bytes.
const MAX_BYTES: usize = 64 << 20;

/// Deepest dictionary that is looked into.
const MAX_DEPTH: usize = 32;

/// Most values that are looked at, each as often as it is met.
const MAX_VISITS: usize = 1 << 20;

/// Most axes of a tensor that are looked at.
const MAX_AXES: usize = 64;

/// Most plain values that are kept.
const MAX_NOTES: usize = 256;

/// Dictionaries that hold a model's tensors, beside those of an optimizer, in the order in which they
/// are preferred.
const STATE_NAMES: [&str; 6] = ["state_dict", "model", "module", "state", "ema", "params"];

/// What a pickle holds.
#[derive(Debug, Default)]
pub(super) struct Contents {
    /// Tensors in their order; nested names are joined by dots.
    pub(super) tensors: Vec<(String, View)>,
    /// Numbers, texts and truth values.
    pub(super) notes: Vec<(String, String)>,
}

/// Reads a pickle. `Err` is one line without the file's name.
pub(super) fn read(bytes: &[u8]) -> Result<Contents, String> {
    if bytes.len() > MAX_BYTES {
        return Err(format!("is {} bytes long; {MAX_BYTES} at most", bytes.len()));
    }
    let mut machine = Machine::new(bytes);
    let root = machine.run()?;
    let mut walk = Walk { arena: &machine.arena, contents: Contents::default(), visits: 0 };
    let (state, within) = walk.state(root)?;
    walk.collect(state, "", 0)?;
    // Plain values that stand beside the state, such as the step.
    for dictionary in within {
        walk.notes(dictionary);
    }
    Ok(walk.contents)
}

struct Walk<'a> {
    arena: &'a Arena,
    contents: Contents,
    visits: usize,
}

impl Walk<'_> {
    /// The dictionary whose tensors are meant, and those around it: the outermost one that holds a
    /// tensor, or where several stand side by side, the one whose name is known.
    fn state(&mut self, root: Id) -> Result<(Id, Vec<Id>), String> {
        let (mut state, mut within) = (root, Vec::new());
        for _ in 0..MAX_DEPTH {
            let Value::Dict(pairs) = self.arena.get(state) else { break };
            let is_tensor =
                |&(_, value): &(Id, Id)| matches!(self.arena.get(value), Value::Tensor(_));
            if pairs.iter().any(is_tensor) {
                break;
            }
            let inner: Vec<(&str, Id)> = pairs
                .iter()
                .filter(|(_, value)| matches!(self.arena.get(*value), Value::Dict(_)))
                .filter_map(|&(key, value)| match self.arena.get(key) {
                    Value::Text(key) => Some((key.as_str(), value)),
                    _ => None,
                })
                .collect();
            let known =
                STATE_NAMES.iter().find_map(|name| inner.iter().find(|(key, _)| key == name));
            let only = inner.first().filter(|_| inner.len() == 1);
            let Some(&(_, next)) = known.or(only) else { break };
            within.push(state);
            state = next;
        }
        match self.arena.get(state) {
            Value::Dict(_) => Ok((state, within)),
            Value::Tensor(_) => {
                Err("holds a single tensor without a name; expected a dictionary of them".into())
            }
            _ => Err("holds no dictionary of tensors".to_owned()),
        }
    }

    /// Takes all tensors of a dictionary and of those in it.
    fn collect(&mut self, dictionary: Id, prefix: &str, depth: usize) -> Result<(), String> {
        if depth >= MAX_DEPTH {
            return Err(format!("nests dictionaries more than {MAX_DEPTH} deep"));
        }
        let Value::Dict(pairs) = self.arena.get(dictionary) else { return Ok(()) };
        for &(key, value) in pairs {
            self.visits += 1;
            if self.visits > MAX_VISITS {
                return Err(format!("shows more than {MAX_VISITS} values"));
            }
            let name = match self.arena.get(key) {
                Value::Text(key) if prefix.is_empty() => key.clone(),
                Value::Text(key) => format!("{prefix}.{key}"),
                Value::Int(key) if prefix.is_empty() => key.to_string(),
                Value::Int(key) => format!("{prefix}.{key}"),
                _ => continue,
            };
            match self.arena.get(value) {
                Value::Tensor(view) if view.shape.len() > MAX_AXES => {
                    return Err(format!("has {} with {} axes", short(&name), view.shape.len()));
                }
                Value::Tensor(view) => self.contents.tensors.push((name, view.clone())),
                Value::Dict(_) => self.collect(value, &name, depth + 1)?,
                plain => self.note(name, plain),
            }
        }
        Ok(())
    }

    /// Takes the plain values of one dictionary.
    fn notes(&mut self, dictionary: Id) {
        let Value::Dict(pairs) = self.arena.get(dictionary) else { return };
        for &(key, value) in pairs {
            if let Value::Text(key) = self.arena.get(key) {
                self.note(key.clone(), self.arena.get(value));
            }
        }
    }

    fn note(&mut self, name: String, value: &Value) {
        let text = match value {
            Value::Bool(value) => value.to_string(),
            Value::Int(value) => value.to_string(),
            Value::Float(value) => value.to_string(),
            Value::Text(value) => short(value),
            _ => return,
        };
        if self.contents.notes.len() < MAX_NOTES {
            self.contents.notes.push((name, text));
        }
    }
}
