//! Addresses of shared and local variables for one kernel and the functions it calls.

use crate::parse::{Function, Module, Symbol, Variable, VariableSpace};
use std::collections::HashMap;

/// First address of shared memory; below it lies what the device reserves, so that a null
/// pointer is never a variable.
pub(crate) const SHARED_START: u64 = 1024;
/// Unused bytes behind every static shared variable, so that running past its end is seen.
const RED_ZONE: u64 = 64;
/// Alignment of dynamic shared memory, as swizzled tiles want it.
const DYNAMIC_ALIGN: u64 = 1024;

/// Where every variable lies.
#[derive(Debug, Clone, Default)]
pub(crate) struct Layout {
    /// By function (empty for module scope) and variable index.
    shared: HashMap<(String, usize), u64>,
    local: HashMap<(String, usize), i64>,
    params: HashMap<(String, bool, usize), i64>,
    /// Bytes of local memory a frame of each function takes.
    pub(crate) local_bytes: HashMap<String, usize>,
    /// Address and size of each static shared variable.
    pub(crate) statics: Vec<(u64, u64, String)>,
    pub(crate) static_bytes: u64,
    pub(crate) dynamic_start: u64,
}

fn align(at: u64, align: usize) -> u64 {
    at.next_multiple_of(align.max(1) as u64)
}

impl Layout {
    pub(crate) fn new(module: &Module, functions: &[&Function]) -> Layout {
        let mut layout = Layout::default();
        let mut at = SHARED_START;
        let mut dynamic_align = DYNAMIC_ALIGN;
        for (index, variable) in module.variables.iter().enumerate() {
            if variable.space == VariableSpace::Shared {
                if variable.bytes == 0 {
                    dynamic_align = dynamic_align.max(variable.align as u64);
                    layout.shared.insert((String::new(), index), u64::MAX);
                } else {
                    layout.place(&mut at, String::new(), index, variable);
                }
            }
        }
        for function in functions {
            for (index, variable) in function.variables.iter().enumerate() {
                if variable.space == VariableSpace::Shared {
                    layout.place(&mut at, function.name.clone(), index, variable);
                }
            }
            layout.locals(function);
        }
        layout.dynamic_start = align(at, dynamic_align as usize);
        let start = layout.dynamic_start;
        for address in layout.shared.values_mut().filter(|address| **address == u64::MAX) {
            *address = start;
        }
        layout
    }

    fn place(&mut self, at: &mut u64, function: String, index: usize, variable: &Variable) {
        *at = align(*at, variable.align);
        self.statics.push((*at, variable.bytes as u64, variable.name.clone()));
        self.shared.insert((function, index), *at);
        self.static_bytes += variable.bytes as u64;
        *at += variable.bytes as u64 + RED_ZONE;
    }

    fn locals(&mut self, function: &Function) {
        let mut at = 0;
        if !function.is_entry {
            for (is_result, list) in [(false, &function.params), (true, &function.results)] {
                for (index, param) in list.iter().enumerate() {
                    at = align(at, param.align.max(8));
                    self.params.insert((function.name.clone(), is_result, index), at as i64);
                    at += param.bytes as u64;
                }
            }
        }
        for (index, variable) in function.variables.iter().enumerate() {
            if matches!(variable.space, VariableSpace::Local | VariableSpace::Param) {
                at = align(at, variable.align.max(8));
                self.local.insert((function.name.clone(), index), at as i64);
                at += variable.bytes as u64;
            }
        }
        self.local_bytes.insert(function.name.clone(), align(at, 16) as usize);
    }

    pub(crate) fn shared(&self, function: &str, symbol: Symbol) -> u64 {
        let key = match symbol {
            Symbol::Module(index) => (String::new(), index),
            Symbol::Function(index) | Symbol::Param(index) | Symbol::Result(index) => {
                (function.to_string(), index)
            }
        };
        self.shared.get(&key).copied().unwrap_or(0)
    }

    pub(crate) fn local_variable(&self, function: &str, symbol: Symbol) -> i64 {
        match symbol {
            Symbol::Function(index) => {
                self.local.get(&(function.to_string(), index)).copied().unwrap_or(0)
            }
            _ => 0,
        }
    }

    pub(crate) fn local_param(&self, function: &str, is_result: bool, index: usize) -> i64 {
        self.params.get(&(function.to_string(), is_result, index)).copied().unwrap_or(0)
    }
}
