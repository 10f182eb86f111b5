//! The syntax tree: a module, its variables and functions, and statements with resolved operands.

use super::Type;
use std::collections::HashMap;

/// A parsed PTX file.
#[derive(Debug, Clone)]
pub struct Module {
    /// Name for messages, usually the file name.
    pub name: String,
    /// `.version`, major and minor.
    pub version: (u32, u32),
    /// `.target`, for example `sm_90a`.
    pub target: String,
    /// Module-scope variables in `.global`, `.const` and `.shared`.
    pub variables: Vec<Variable>,
    pub(crate) functions: Vec<Function>,
    /// Source files by their number in `.file`.
    pub(crate) files: HashMap<u32, String>,
}

/// Where a variable lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum VariableSpace {
    /// Device memory, shared by all launches.
    Global,
    /// Device memory that kernels only read.
    Const,
    /// One copy a CTA.
    Shared,
    /// One copy a thread.
    Local,
    /// Call arguments and results inside a function body.
    Param,
}

/// A declared variable.
#[derive(Debug, Clone)]
pub struct Variable {
    /// Its name; unique in its scope only.
    pub name: String,
    /// State space.
    pub space: VariableSpace,
    /// Alignment in bytes.
    pub align: usize,
    /// Size in bytes; 0 for an `extern` array without a size (dynamic shared memory).
    pub bytes: usize,
    /// True where the declaration says `.extern`.
    pub is_extern: bool,
    /// Initial bytes; empty means zero.
    pub init: Vec<u8>,
    /// Addresses of other variables inside `init`: (offset, name, addend, bytes).
    pub(crate) relocations: Vec<(usize, String, i64, usize)>,
}

/// A parameter of a kernel or a device function.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Param {
    /// Its name.
    pub name: String,
    /// Offset in the argument bytes.
    pub offset: usize,
    /// Size in bytes.
    pub bytes: usize,
    /// Alignment in bytes.
    pub align: usize,
    /// Element type; arrays have `bytes` larger than the type.
    pub ty: Type,
    /// True where the declaration marks a pointer (`.ptr`).
    pub is_pointer: bool,
}

/// A kernel or a device function.
#[derive(Debug, Clone)]
pub(crate) struct Function {
    pub(crate) name: String,
    pub(crate) is_entry: bool,
    pub(crate) line: u32,
    pub(crate) params: Vec<Param>,
    pub(crate) results: Vec<Param>,
    /// Type of each register, by number.
    pub(crate) registers: Vec<Type>,
    pub(crate) variables: Vec<Variable>,
    pub(crate) body: Vec<Statement>,
    /// Targets of label operands, by label number.
    pub(crate) labels: Vec<usize>,
    /// Tables for `brx.idx`, by label number of the table.
    pub(crate) tables: HashMap<String, Vec<usize>>,
    /// `.callprototype` declarations of calls through a register.
    pub(crate) prototypes: HashMap<String, Prototype>,
    /// `.reqntid`, `.maxntid`, `.reqnctapercluster` and friends.
    pub(crate) directives: HashMap<String, Vec<u32>>,
    pub(crate) has_body: bool,
}

/// Sizes in bytes of what a function reached through a register takes and gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Prototype {
    pub(crate) params: Vec<usize>,
    pub(crate) results: Vec<usize>,
}

/// `@%p` or `@!%p`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Guard {
    pub(crate) register: u32,
    pub(crate) negated: bool,
}

/// One instruction.
#[derive(Debug, Clone)]
pub(crate) struct Statement {
    pub(crate) guard: Option<Guard>,
    /// The first word, `ld`.
    pub(crate) opcode: String,
    /// The words after it, `global`, `v4`, `f32`.
    pub(crate) modifiers: Vec<String>,
    pub(crate) operands: Vec<Operand>,
    pub(crate) line: u32,
    /// File number, line and column of the last `.loc`.
    pub(crate) loc: Option<(u32, u32, u32)>,
}

impl Statement {
    pub(crate) fn full_name(&self) -> String {
        let mut name = self.opcode.clone();
        for modifier in &self.modifiers {
            name.push('.');
            name.push_str(modifier);
        }
        name
    }

    pub(crate) fn has(&self, modifier: &str) -> bool {
        self.modifiers.iter().any(|m| m == modifier)
    }
}

/// A literal; its meaning depends on the instruction type.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Immediate {
    Int(i128),
    F32(u32),
    F64(u64),
}

/// A name that stands for an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Symbol {
    /// Index into `Module::variables`.
    Module(usize),
    /// Index into `Function::variables`.
    Function(usize),
    /// Index into `Function::params`.
    Param(usize),
    /// Index into `Function::results`.
    Result(usize),
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum AddressBase {
    Register(u32),
    Symbol(Symbol),
    Absolute,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Address {
    pub(crate) base: AddressBase,
    pub(crate) offset: i64,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Operand {
    Register(u32),
    /// `!%p`.
    Not(u32),
    /// `%d|%p`; either side may be `_`.
    Pair(Option<u32>, Option<u32>),
    Immediate(Immediate),
    /// `%tid.x` and friends, by full name.
    Special(String),
    Symbol(Symbol, i64),
    Address(Address),
    /// `[map, {x, y}]`, with the base first.
    Tensor(Address, Vec<Operand>),
    Vector(Vec<Operand>),
    /// `(a, b)` of a call.
    List(Vec<Operand>),
    Label(usize),
    /// A function or a table.
    Name(String),
    /// `_`.
    Sink,
}
