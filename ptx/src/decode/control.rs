//! Branches, calls and the instructions that only steer or hint.

use super::class::Class;
use super::constant::Value;
use super::context::Decoder;
use super::op::{Flow, Op};
use crate::error::Result;
use crate::parse::{Operand, Param, Type};

fn list(operand: Option<&Operand>) -> Vec<Operand> {
    match operand {
        Some(Operand::List(parts)) => parts.clone(),
        _ => Vec::new(),
    }
}

impl Decoder<'_> {
    pub(crate) fn branch(&mut self) -> Result<()> {
        match self.operand(0)? {
            Operand::Label(label) => {
                // The target is a statement index here; `decode` turns it into a place in code.
                let target = self.function.labels[*label] as u32;
                self.emit_flow(Op::Branch { target }, Class::Control, Flow::Own);
                Ok(())
            }
            _ => self.unsupported("only labels are targets"),
        }
    }

    pub(crate) fn branch_index(&mut self) -> Result<()> {
        let Operand::Name(table) = self.operand(1)? else {
            return self.unsupported("the second operand must name a .branchtargets list");
        };
        let Some(labels) = self.function.tables.get(table) else {
            return self.unsupported(&format!("no .branchtargets list `{table}`"));
        };
        let targets = labels.iter().map(|label| self.function.labels[*label] as u32).collect();
        let index = self.src_as(0, false, Type::U32)?;
        self.emit_flow(Op::BranchIndex { targets, index }, Class::Control, Flow::Own);
        Ok(())
    }

    /// A call. Arguments and results are `.param` variables, so local memory.
    pub(crate) fn call(&mut self) -> Result<()> {
        let operands = &self.statement.operands;
        let through = operands.iter().take(2).position(|o| matches!(o, Operand::Register(_)));
        if let Some(at) = through {
            return self.call_register(at);
        }
        let name_at = operands.iter().position(|o| matches!(o, Operand::Name(_)));
        let Some(name_at) = name_at else {
            return self.unsupported("no function and no register to call");
        };
        let Operand::Name(name) = &operands[name_at] else { return self.unsupported("") };
        match name.as_str() {
            // What device-side printing and assertions call; nothing is printed.
            "vprintf" => return self.hint(),
            "__assertfail" => {
                self.emit_flow(Op::Trap, Class::Control, Flow::Own);
                return Ok(());
            }
            _ => {}
        }
        let Some(callee) = self.module.function(name).filter(|f| f.has_body) else {
            return self.unsupported(&format!("function `{name}` has no body in this module"));
        };
        let results = if name_at > 0 { list(operands.first()) } else { Vec::new() };
        let args = list(operands.get(name_at + 1));
        if args.len() != callee.params.len() || results.len() != callee.results.len() {
            return self.unsupported(&format!(
                "{} arguments and {} results, but `{name}` has {} and {}",
                args.len(),
                results.len(),
                callee.params.len(),
                callee.results.len()
            ));
        }
        let sizes = |list: &[Param]| list.iter().map(|p| p.bytes).collect::<Vec<_>>();
        let args = self.places(&args, &sizes(&callee.params))?;
        let results = self.places(&results, &sizes(&callee.results))?;
        let function = match self.callees.iter().position(|c| c == name) {
            Some(index) => index,
            None => {
                self.callees.push(name.clone());
                self.callees.len() - 1
            }
        };
        let op = Op::Call { function: function as u32, args, results };
        self.emit_flow(op, Class::Control, Flow::Own);
        Ok(())
    }

    /// A call of the function whose address a register holds; every function of the module that
    /// has a body may be the one.
    fn call_register(&mut self, at: usize) -> Result<()> {
        let operands = &self.statement.operands;
        let name = operands.iter().find_map(|operand| match operand {
            Operand::Name(name) => Some(name),
            _ => None,
        });
        let Some(prototype) = name.and_then(|name| self.function.prototypes.get(name)) else {
            return self.unsupported("a call through a register needs its .callprototype");
        };
        let results = if at > 0 { list(operands.first()) } else { Vec::new() };
        let args = list(operands.get(at + 1));
        if args.len() != prototype.params.len() || results.len() != prototype.results.len() {
            return self.unsupported("the operands do not fit the .callprototype");
        }
        let target = self.src_as(at, true, Type::U64)?;
        let args = self.places(&args, &prototype.params)?;
        let results = self.places(&results, &prototype.results)?;
        for function in self.module.functions.iter().filter(|f| !f.is_entry && f.has_body) {
            if !self.callees.contains(&function.name) {
                self.callees.push(function.name.clone());
            }
        }
        let op = Op::CallRegister { target, args, results };
        self.emit_flow(op, Class::Control, Flow::Own);
        Ok(())
    }

    /// Local places and sizes of the `.param` variables of a call.
    fn places(&self, operands: &[Operand], sizes: &[usize]) -> Result<Box<[(u32, u32)]>> {
        let mut places = Vec::new();
        for (operand, bytes) in operands.iter().zip(sizes) {
            let value = match operand {
                Operand::Symbol(symbol, offset) => Some(self.symbol(*symbol, *offset)?.0),
                _ => None,
            };
            match value {
                Some(Value::Local(at)) => places.push((at as u32, *bytes as u32)),
                _ => return self.unsupported("arguments must be .param variables"),
            }
        }
        Ok(places.into())
    }

    pub(crate) fn hint(&mut self) -> Result<()> {
        self.emit_flow(Op::Nop, Class::Other, Flow::Own);
        Ok(())
    }

    /// `createpolicy`: the policy only steers caches; any defined value will do.
    pub(crate) fn policy(&mut self) -> Result<()> {
        let d = self.dst(0, true)?;
        let a = self.bits(0x12f0_0000_0000_0000, true);
        self.emit_flow(Op::Move { d, a, wide: true }, Class::Other, Flow::Halves);
        Ok(())
    }
}
