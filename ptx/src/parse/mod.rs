//! PTX text to a syntax tree with resolved names: registers are numbers, labels are instruction
//! indices, variables are places in their tables. Nothing here knows what an opcode does.

mod ast;
mod cursor;
mod function;
mod lexer;
mod module;
mod operand;
mod types;

pub(crate) use ast::{Address, AddressBase, Function, Immediate, Operand, Statement, Symbol};
pub use ast::{Module, Param, Variable, VariableSpace};
pub use types::Type;
