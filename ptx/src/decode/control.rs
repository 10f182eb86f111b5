//! Branches, calls and the instructions that only steer or hint.

use super::class::Class;
use super::context::Decoder;
use super::op::{Flow, Op};
use crate::error::Result;
use crate::parse::{Operand, Type};

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

    /// A direct call. Arguments and results are `.param` variables, so local memory.
    pub(crate) fn call(&mut self) -> Result<()> {
        let operands = &self.statement.operands;
        let name_at = operands.iter().position(|o| matches!(o, Operand::Name(_)));
        let Some(name_at) = name_at else {
            return self.unsupported("only direct calls are known");
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
        let list = |operand: Option<&'_ Operand>| match operand {
            Some(Operand::List(parts)) => parts.clone(),
            _ => Vec::new(),
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
        let place = |decoder: &Self, operand: &Operand| match operand {
            Operand::Symbol(symbol, offset) => match decoder.symbol(*symbol, *offset)?.0 {
                super::constant::Value::Local(at) => Ok(at as u32),
                _ => decoder.unsupported("arguments must be .param variables"),
            },
            _ => decoder.unsupported("arguments must be .param variables"),
        };
        let mut arg_places = Vec::new();
        for operand in &args {
            arg_places.push(place(self, operand)?);
        }
        let mut result_places = Vec::new();
        for operand in &results {
            result_places.push(place(self, operand)?);
        }
        let function = match self.callees.iter().position(|c| c == name) {
            Some(index) => index,
            None => {
                self.callees.push(name.clone());
                self.callees.len() - 1
            }
        };
        let sized = |places: Vec<u32>, params: &[crate::parse::Param]| {
            places.into_iter().zip(params).map(|(at, p)| (at, p.bytes as u32)).collect()
        };
        let op = Op::Call {
            function: function as u32,
            args: sized(arg_places, &callee.params),
            results: sized(result_places, &callee.results),
        };
        self.emit_flow(op, Class::Control, Flow::Own);
        Ok(())
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
