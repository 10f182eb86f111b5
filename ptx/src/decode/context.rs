//! The state of decoding one function: rows of registers, constants, and the helpers that the
//! instruction families use to name their operands.

use super::class::Class;
use super::constant::{Special, Value};
use super::layout::Layout;
use super::op::{Addr, FIRST_ROW, Flow, Inst, Op, Reg, Row, SINK, Space};
use super::row::{PredFn, RowFn, row};
use crate::error::{Error, Result};
use crate::parse::{
    Address, AddressBase, Function, Immediate, Module, Operand, Statement, Symbol, Type,
    VariableSpace,
};
use std::collections::HashMap;

/// A conversion that follows the statement, from a temporary to a register of another width.
struct Widening {
    from: Reg,
    to: Reg,
    signed: bool,
}

pub(crate) struct Decoder<'a> {
    pub(crate) module: &'a Module,
    pub(crate) function: &'a Function,
    pub(crate) statement: &'a Statement,
    pub(crate) layout: &'a Layout,
    /// Names of the functions called, in the order of their numbers.
    pub(crate) callees: &'a mut Vec<String>,
    pub(crate) code: Vec<Inst>,
    pub(crate) constants: Vec<(Row, bool, Value)>,
    constant_rows: HashMap<(Value, bool), Row>,
    register_rows: Vec<Row>,
    pub(crate) next_row: Row,
    reads: Vec<Row>,
    writes: Vec<Row>,
    after: Vec<Widening>,
}

impl<'a> Decoder<'a> {
    pub(crate) fn new(
        module: &'a Module,
        function: &'a Function,
        layout: &'a Layout,
        callees: &'a mut Vec<String>,
        statement: &'a Statement,
    ) -> Self {
        Decoder {
            module,
            function,
            statement,
            layout,
            callees,
            code: Vec::new(),
            constants: Vec::new(),
            constant_rows: HashMap::new(),
            register_rows: vec![0; function.registers.len()],
            next_row: FIRST_ROW,
            reads: Vec::new(),
            writes: Vec::new(),
            after: Vec::new(),
        }
    }

    /// The error that names this statement.
    pub(crate) fn unsupported<T>(&self, why: &str) -> Result<T> {
        let mut opcode = self.statement.full_name();
        if !why.is_empty() {
            opcode = format!("{opcode}: {why}");
        }
        Err(Error::Unsupported {
            module: self.module.name.clone(),
            line: self.statement.line,
            opcode,
        })
    }

    pub(crate) fn has(&self, modifier: &str) -> bool {
        self.statement.has(modifier)
    }

    /// The types among the modifiers, in order.
    pub(crate) fn types(&self) -> Vec<Type> {
        self.statement.modifiers.iter().filter_map(|m| Type::parse(m)).collect()
    }

    /// The instruction type: the last type among the modifiers.
    pub(crate) fn ty(&self) -> Result<Type> {
        match self.types().last() {
            Some(ty) => Ok(*ty),
            None => self.unsupported("no type"),
        }
    }

    pub(crate) fn operand(&self, index: usize) -> Result<&'a Operand> {
        match self.statement.operands.get(index) {
            Some(operand) => Ok(operand),
            None => self.unsupported(&format!("operand {} is missing", index + 1)),
        }
    }

    pub(crate) fn count(&self) -> usize {
        self.statement.operands.len()
    }

    fn allocate(&mut self, wide: bool) -> Row {
        let row = self.next_row;
        self.next_row += if wide { 2 } else { 1 };
        row
    }

    /// The rows of a register, and whether it has 8 bytes.
    pub(crate) fn register(&mut self, register: u32) -> Result<Reg> {
        let ty = self.function.registers[register as usize];
        if ty == Type::B128 {
            return self.unsupported("128-bit registers");
        }
        let wide = ty.bytes() == 8;
        if self.register_rows[register as usize] == 0 {
            self.register_rows[register as usize] = self.allocate(wide);
        }
        Ok(Reg { row: self.register_rows[register as usize], wide })
    }

    fn is_pred(&self, register: u32) -> bool {
        self.function.registers[register as usize] == Type::Pred
    }

    pub(crate) fn constant(&mut self, value: Value, wide: bool) -> Row {
        if let Some(row) = self.constant_rows.get(&(value, wide)) {
            return *row;
        }
        let row = self.allocate(wide);
        self.constants.push((row, wide, value));
        self.constant_rows.insert((value, wide), row);
        row
    }

    pub(crate) fn bits(&mut self, bits: u64, wide: bool) -> Row {
        self.constant(Value::Bits(bits), wide)
    }

    /// Address of a symbol in its own state space.
    pub(crate) fn symbol(&self, symbol: Symbol, offset: i64) -> Result<(Value, Space)> {
        let variable = match symbol {
            Symbol::Param(index) if self.function.is_entry => {
                let at = self.function.params[index].offset as i64 + offset;
                return Ok((Value::Bits(at as u64), Space::Param));
            }
            Symbol::Param(index) => {
                let at = self.layout.local_param(&self.function.name, false, index);
                return Ok((Value::Local(at + offset), Space::Local));
            }
            Symbol::Result(index) => {
                let at = self.layout.local_param(&self.function.name, true, index);
                return Ok((Value::Local(at + offset), Space::Local));
            }
            Symbol::Module(index) => &self.module.variables[index],
            Symbol::Function(index) => &self.function.variables[index],
        };
        match variable.space {
            VariableSpace::Global | VariableSpace::Const => match symbol {
                Symbol::Module(index) => Ok((Value::Variable(index, offset), Space::Global)),
                _ => self.unsupported("a global variable inside a function"),
            },
            VariableSpace::Shared => {
                let at = self.layout.shared(&self.function.name, symbol);
                Ok((Value::Bits((at as i64 + offset) as u64), Space::Shared))
            }
            VariableSpace::Local | VariableSpace::Param => {
                let at = self.layout.local_variable(&self.function.name, symbol);
                Ok((Value::Local(at + offset), Space::Local))
            }
        }
    }

    /// A source of 4 or 8 bytes; `ty` says how literals and narrower registers are read.
    pub(crate) fn source(&mut self, operand: &Operand, wide: bool, ty: Type) -> Result<Row> {
        let reg = self.source_any(operand, wide, ty)?;
        if reg.wide == wide {
            return Ok(reg.row);
        }
        let temporary = Reg { row: self.allocate(wide), wide };
        self.convert(reg, temporary, ty.is_signed());
        Ok(temporary.row)
    }

    /// A source in the width it has; literals and symbols take `wide`.
    pub(crate) fn source_any(&mut self, operand: &Operand, wide: bool, ty: Type) -> Result<Reg> {
        let row = match operand {
            Operand::Register(register) => {
                if self.is_pred(*register) {
                    return self.unsupported("a predicate where a value is expected");
                }
                let reg = self.register(*register)?;
                self.read(reg.row);
                return Ok(reg);
            }
            Operand::Immediate(immediate) => {
                let bits = immediate_bits(*immediate, ty);
                self.bits(if wide { bits } else { bits & 0xffff_ffff }, wide)
            }
            Operand::Special(name) => match Special::parse(name) {
                Some(special) => self.constant(Value::Special(special), wide),
                None => return self.unsupported(&format!("{name} as an operand")),
            },
            Operand::Symbol(symbol, offset) => {
                let (value, _) = self.symbol(*symbol, *offset)?;
                self.constant(value, wide)
            }
            Operand::Name(name) => {
                let Some(address) = self.module.function_address(name) else {
                    return self.unsupported(&format!("`{name}` is not declared as a value"));
                };
                self.bits(address, wide)
            }
            Operand::Sink => SINK,
            other => return self.unsupported(&format!("{other:?} as a source")),
        };
        Ok(Reg { row, wide })
    }

    fn convert(&mut self, from: Reg, to: Reg, signed: bool) {
        let f: RowFn = match (from.wide, to.wide, signed) {
            (true, false, _) => row!(|a: u64| -> u32 { a as u32 }),
            (false, true, true) => row!(|a: i32| -> i64 { i64::from(a) }),
            (false, true, false) => row!(|a: u32| -> u64 { u64::from(a) }),
            _ => row!(|a: u32| -> u32 { a }),
        };
        let op = Op::Map { f, d: to.row, wide: to.wide, src: [from.row, 0, 0, 0] };
        let (reads, writes) = (vec![from.row], vec![to.row]);
        let inst = self.instruction(op, Class::Move, Flow::All, reads, writes);
        self.code.push(Inst { guard: 0, ..inst });
    }

    pub(crate) fn src(&mut self, index: usize, wide: bool) -> Result<Row> {
        let ty = self.ty().unwrap_or(Type::B32);
        self.src_as(index, wide, ty)
    }

    pub(crate) fn src_as(&mut self, index: usize, wide: bool, ty: Type) -> Result<Row> {
        let operand = self.operand(index)?;
        self.source(operand, wide, ty)
    }

    /// The destination of 4 or 8 bytes; a register of the other width is converted to afterwards.
    pub(crate) fn dst(&mut self, index: usize, wide: bool) -> Result<Row> {
        let operand = self.operand(index)?;
        self.destination(operand, wide)
    }

    pub(crate) fn destination(&mut self, operand: &Operand, wide: bool) -> Result<Row> {
        let reg = self.destination_any(operand, wide)?;
        if reg.wide == wide {
            self.write(reg.row);
            return Ok(reg.row);
        }
        let temporary = Reg { row: self.allocate(wide), wide };
        let signed = self.ty().is_ok_and(Type::is_signed);
        self.after.push(Widening { from: temporary, to: reg, signed });
        self.write(temporary.row);
        Ok(temporary.row)
    }

    /// The destination in the width it has; the caller extends.
    pub(crate) fn destination_any(&mut self, operand: &Operand, wide: bool) -> Result<Reg> {
        match operand {
            Operand::Register(register) if !self.is_pred(*register) => self.register(*register),
            Operand::Pair(Some(register), _) if !self.is_pred(*register) => {
                self.register(*register)
            }
            Operand::Sink | Operand::Pair(None, _) => Ok(Reg { row: SINK, wide }),
            other => self.unsupported(&format!("{other:?} as a destination")),
        }
    }

    pub(crate) fn pred_destination(&mut self, operand: &Operand) -> Result<(Row, Row)> {
        let (first, second) = match operand {
            Operand::Register(register) => (Some(*register), None),
            Operand::Pair(first, second) => (*first, *second),
            Operand::Sink => (None, None),
            other => return self.unsupported(&format!("{other:?} as a predicate")),
        };
        let mut rows = [0; 2];
        for (row, register) in rows.iter_mut().zip([first, second]) {
            if let Some(register) = register {
                if !self.is_pred(register) {
                    return self.unsupported("a value where a predicate is expected");
                }
                *row = self.register(register)?.row;
                self.write(*row);
            }
        }
        Ok((rows[0], rows[1]))
    }

    /// A predicate source and whether it is negated.
    pub(crate) fn pred(&mut self, operand: &Operand) -> Result<(Row, bool)> {
        match operand {
            Operand::Register(register) | Operand::Not(register) if self.is_pred(*register) => {
                let row = self.register(*register)?.row;
                self.read(row);
                Ok((row, matches!(operand, Operand::Not(_))))
            }
            Operand::Immediate(Immediate::Int(value)) => {
                let mask = if *value != 0 { u32::MAX } else { 0 };
                Ok((self.constant(Value::Mask(mask), false), false))
            }
            Operand::Special(name) if name == "%is_explicit_cluster" => {
                Ok((self.constant(Value::ExplicitCluster, false), false))
            }
            other => self.unsupported(&format!("{other:?} as a predicate")),
        }
    }

    /// The second register of `d|p`, a predicate.
    pub(crate) fn pair_pred(&mut self, index: usize) -> Result<Row> {
        match self.operand(index)? {
            Operand::Pair(_, Some(register)) => {
                let row = self.register(*register)?.row;
                self.write(row);
                Ok(row)
            }
            _ => Ok(0),
        }
    }

    pub(crate) fn read(&mut self, row: Row) {
        self.reads.push(row);
    }

    pub(crate) fn write(&mut self, row: Row) {
        self.writes.push(row);
    }

    /// An address operand; a symbol as base becomes a constant row and decides its space.
    pub(crate) fn address(&mut self, address: Address) -> Result<(Addr, Option<Space>)> {
        match address.base {
            AddressBase::Register(register) => {
                let base = self.register(register)?;
                self.read(base.row);
                Ok((Addr { base, offset: address.offset }, None))
            }
            AddressBase::Symbol(symbol) => {
                let (value, space) = self.symbol(symbol, address.offset)?;
                let row = self.constant(value, true);
                Ok((Addr { base: Reg { row, wide: true }, offset: 0 }, Some(space)))
            }
            AddressBase::Absolute => {
                let row = self.bits(address.offset as u64, true);
                Ok((Addr { base: Reg { row, wide: true }, offset: 0 }, None))
            }
        }
    }

    pub(crate) fn addr(&mut self, index: usize) -> Result<(Addr, Option<Space>)> {
        match self.operand(index)? {
            Operand::Address(address) => self.address(*address),
            other => self.unsupported(&format!("{other:?} as an address")),
        }
    }

    /// An address where the operand may also be a bare register, as mbarrier operands may be.
    pub(crate) fn addr_only(&mut self, index: usize) -> Result<Addr> {
        Ok(self.addr(index)?.0)
    }

    fn instruction(
        &mut self,
        op: Op,
        class: Class,
        flow: Flow,
        reads: Vec<Row>,
        writes: Vec<Row>,
    ) -> Inst {
        Inst {
            op,
            guard: 0,
            guard_negated: false,
            class,
            flow,
            line: self.statement.line,
            loc: self.statement.loc,
            reads: reads.into(),
            writes: writes.into(),
        }
    }

    pub(crate) fn emit_flow(&mut self, op: Op, class: Class, flow: Flow) {
        let reads = std::mem::take(&mut self.reads);
        let writes = std::mem::take(&mut self.writes);
        let mut inst = self.instruction(op, class, flow, reads, writes);
        if let Some(guard) = self.statement.guard {
            // A guard was checked to be a register by the parser; rows exist for all of them.
            if let Ok(reg) = self.register(guard.register) {
                inst.guard = reg.row;
                inst.guard_negated = guard.negated;
            }
        }
        let (guard, guard_negated) = (inst.guard, inst.guard_negated);
        self.code.push(inst);
        for widening in std::mem::take(&mut self.after) {
            self.convert(widening.from, widening.to, widening.signed);
            if let Some(last) = self.code.last_mut() {
                last.guard = guard;
                last.guard_negated = guard_negated;
            }
        }
    }

    pub(crate) fn emit(&mut self, op: Op, class: Class) {
        self.emit_flow(op, class, Flow::All);
    }

    /// A row function over operands 1.. into operand 0; `wides` gives destination, then sources.
    pub(crate) fn map(&mut self, f: RowFn, wides: &[bool], class: Class) -> Result<()> {
        self.map_flow(f, wides, class, Flow::All)
    }

    pub(crate) fn map_flow(
        &mut self,
        f: RowFn,
        wides: &[bool],
        class: Class,
        flow: Flow,
    ) -> Result<()> {
        if self.count() != wides.len() {
            let (have, want) = (self.count(), wides.len());
            return self.unsupported(&format!("{have} operands, expected {want}"));
        }
        let mut src = [0; 4];
        for (index, wide) in wides.iter().enumerate().skip(1) {
            src[index - 1] = self.src(index, *wide)?;
        }
        let d = self.dst(0, wides[0])?;
        self.emit_flow(Op::Map { f, d, wide: wides[0], src }, class, flow);
        Ok(())
    }

    /// A comparison of two operands from `first` on.
    pub(crate) fn compare_sources(&mut self, first: usize, wide: bool) -> Result<[Row; 4]> {
        Ok([self.src(first, wide)?, self.src(first + 1, wide)?, 0, 0])
    }

    pub(crate) fn emit_compare(&mut self, f: PredFn, src: [Row; 4]) -> Result<()> {
        let operand = self.operand(0)?;
        let (d, d_not) = self.pred_destination(operand)?;
        let op = Op::Compare { f, d, d_not, src, combine: 0, c: 0, c_negated: false };
        self.emit(op, Class::Predicate);
        Ok(())
    }
}

/// Bits of a literal as an instruction of the type reads it.
pub(crate) fn immediate_bits(immediate: Immediate, ty: Type) -> u64 {
    match (immediate, ty) {
        (Immediate::Int(value), Type::F32) => u64::from((value as f32).to_bits()),
        (Immediate::Int(value), Type::F64) => (value as f64).to_bits(),
        (Immediate::Int(value), _) if ty.bytes() == 2 => value as u64 & 0xffff,
        (Immediate::Int(value), _) => value as u64,
        (Immediate::F32(bits), Type::F64) => f64::from(f32::from_bits(bits)).to_bits(),
        (Immediate::F32(bits), _) => u64::from(bits),
        (Immediate::F64(bits), Type::F32) => u64::from((f64::from_bits(bits) as f32).to_bits()),
        (Immediate::F64(bits), _) => bits,
    }
}
