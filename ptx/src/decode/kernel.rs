//! A kernel ready to launch: its code, the frames of the functions it calls, and its limits.

use super::class::{CLASS_NAMES, Class};
use super::constant::Value;
use super::context::Decoder;
use super::layout::Layout;
use super::op::{Flow, Inst, Op, Row};
use crate::checks::Finding;
use crate::error::{Error, Result};
use crate::parse::{Function, Module, Param, Statement};
use std::collections::HashMap;

/// What a call needs to know of a function.
#[derive(Debug, Clone)]
pub(crate) struct Frame {
    pub(crate) entry: u32,
    pub(crate) rows: Row,
    pub(crate) constants: Vec<(Row, bool, Value)>,
    pub(crate) local_bytes: usize,
    /// Local places of parameters and results.
    pub(crate) params: Vec<u32>,
    pub(crate) results: Vec<u32>,
}

/// A decoded kernel.
#[derive(Debug, Clone)]
pub struct Kernel {
    /// Name of the entry.
    pub name: String,
    /// Name of the module, for messages.
    pub module: String,
    /// `.target` of the module.
    pub target: String,
    /// Parameters with offsets in the argument bytes.
    pub params: Vec<Param>,
    /// Bytes of static shared memory.
    pub static_shared: usize,
    /// Registers of 4 bytes that the text names; the compiler may need more or fewer.
    pub virtual_registers: usize,
    pub(crate) code: Vec<Inst>,
    /// The entry first, then every function called.
    pub(crate) frames: Vec<Frame>,
    pub(crate) dynamic_start: u64,
    /// Address, size and name of static shared variables.
    pub(crate) statics: Vec<(u64, u64, String)>,
    pub(crate) directives: HashMap<String, Vec<u32>>,
    pub(crate) files: HashMap<u32, String>,
    /// True where CTAs may talk to each other through memory.
    pub(crate) communicates: bool,
    pub(crate) uses_wgmma: bool,
    /// Address of each function of the module, and its frame.
    pub(crate) entry_points: Vec<(u64, u32)>,
}

impl Module {
    /// Decodes a kernel; an instruction the machine does not know is an error with its line.
    pub fn kernel(&self, name: &str) -> Result<Kernel> {
        let entry = self.function(name).filter(|f| f.is_entry && f.has_body);
        let Some(entry) = entry else {
            let have: Vec<&str> = self.entries().collect();
            return Err(Error::Launch(format!(
                "module {} has no kernel `{name}`; it has {}",
                self.name,
                have.join(", ")
            )));
        };
        let functions = reachable(self, entry);
        let layout = Layout::new(self, &functions);
        let mut callees = vec![entry.name.clone()];
        let mut code = Vec::new();
        let mut frames = Vec::new();
        let mut virtual_registers = 0;
        while frames.len() < callees.len() {
            let name = callees[frames.len()].clone();
            let Some(function) = self.function(&name) else { break };
            virtual_registers += function.registers.iter().filter(|t| t.bytes() >= 2).count();
            frames.push(decode_function(self, function, &layout, &mut callees, &mut code)?);
        }
        let address = |name: &String| self.function_address(name);
        let numbered = callees.iter().zip(0..);
        let entry_points = numbered.filter_map(|(name, at)| Some((address(name)?, at))).collect();
        let communicates = code.iter().any(|inst: &Inst| match &inst.op {
            Op::Atom(_) => true,
            Op::Load { order, .. } | Op::Store { order, .. } => order.strong,
            Op::Fence(super::op::FenceKind::Memory(_)) => true,
            Op::Bulk(bulk) => bulk.reduce.is_some(),
            Op::BulkTensor(tensor) => tensor.reduce.is_some(),
            _ => false,
        });
        let uses_wgmma = code.iter().any(|inst| matches!(inst.op, Op::Wgmma(_)));
        Ok(Kernel {
            name: name.to_string(),
            module: self.name.clone(),
            target: self.target.clone(),
            params: entry.params.clone(),
            static_shared: layout.static_bytes as usize,
            virtual_registers,
            code,
            frames,
            dynamic_start: layout.dynamic_start,
            statics: layout.statics,
            directives: entry.directives.clone(),
            files: self.files.clone(),
            communicates,
            uses_wgmma,
            entry_points,
        })
    }
}

impl Kernel {
    /// Bytes of arguments a launch must give.
    pub fn argument_bytes(&self) -> usize {
        self.params.last().map_or(0, |p| p.offset + p.bytes)
    }

    /// Number of decoded instructions, those of called functions included.
    pub fn instructions(&self) -> usize {
        self.code.len()
    }

    /// Classes that occur in the text, with their instructions.
    pub fn instructions_by_class(&self) -> Vec<(&'static str, usize)> {
        let count = |class| self.code.iter().filter(|inst| inst.class as usize == class).count();
        let all = CLASS_NAMES.iter().enumerate().map(|(class, name)| (*name, count(class)));
        all.filter(|(_, count)| *count > 0).collect()
    }

    /// Mistakes that can be seen without running the kernel.
    pub fn lint(&self, module: &Module) -> Vec<Finding> {
        crate::checks::lint(module, self)
    }

    /// Values of a directive such as `reqntid`.
    pub fn directive(&self, name: &str) -> Option<&[u32]> {
        self.directives.get(name).map(Vec::as_slice)
    }
}

/// The entry and every function that a chain of calls can reach.
fn reachable<'m>(module: &'m Module, entry: &'m Function) -> Vec<&'m Function> {
    let mut list = vec![entry];
    let mut at = 0;
    while at < list.len() {
        for statement in list[at].body.iter().filter(|s| s.opcode == "call") {
            if statement.operands.iter().any(|o| matches!(o, crate::parse::Operand::Register(_))) {
                let any = module.functions.iter().filter(|f| !f.is_entry && f.has_body);
                for function in any {
                    if !list.iter().any(|f| f.name == function.name) {
                        list.push(function);
                    }
                }
            }
            for operand in &statement.operands {
                if let crate::parse::Operand::Name(name) = operand
                    && let Some(function) = module.function(name)
                    && !list.iter().any(|f| f.name == function.name)
                {
                    list.push(function);
                }
            }
        }
        at += 1;
    }
    list
}

fn decode_function(
    module: &Module,
    function: &Function,
    layout: &Layout,
    callees: &mut Vec<String>,
    code: &mut Vec<Inst>,
) -> Result<Frame> {
    // Falling off the end of a body returns.
    let end = Statement {
        guard: None,
        opcode: "ret".into(),
        modifiers: Vec::new(),
        operands: Vec::new(),
        line: function.body.last().map_or(function.line, |s| s.line),
        loc: None,
    };
    let mut decoder = Decoder::new(module, function, layout, callees, &end);
    let mut starts = Vec::with_capacity(function.body.len() + 1);
    for statement in function.body.iter().chain([&end]) {
        starts.push(decoder.code.len() as u32);
        decoder.statement = statement;
        decoder.instruction_of_statement()?;
    }
    let base = code.len() as u32;
    let place = |target: &mut u32| {
        *target = base + starts.get(*target as usize).copied().unwrap_or(u32::MAX - base);
    };
    for mut inst in decoder.code {
        match &mut inst.op {
            Op::Branch { target } => place(target),
            Op::BranchIndex { targets, .. } => targets.iter_mut().for_each(place),
            _ => {}
        }
        code.push(inst);
    }
    let params = |count: usize, is_result| {
        (0..count).map(|i| layout.local_param(&function.name, is_result, i) as u32).collect()
    };
    Ok(Frame {
        entry: base,
        rows: decoder.next_row,
        constants: decoder.constants,
        local_bytes: layout.local_bytes.get(&function.name).copied().unwrap_or(0),
        params: params(function.params.len(), false),
        results: params(function.results.len(), true),
    })
}

impl Decoder<'_> {
    fn instruction_of_statement(&mut self) -> Result<()> {
        let statement = self.statement;
        let opcode = statement.opcode.as_str();
        let float = self.types().last().is_some_and(|ty| !ty.is_integer());
        match opcode {
            "add" | "sub" | "mul" | "div" | "min" | "max" | "abs" | "neg" | "mad" if float => {
                self.float()
            }
            "fma" | "sqrt" | "rcp" | "rsqrt" | "ex2" | "lg2" | "sin" | "cos" | "tanh"
            | "copysign" => self.float(),
            "add" | "sub" | "mul" | "mad" | "div" | "rem" | "min" | "max" | "abs" | "neg"
            | "sad" | "mul24" | "mad24" | "addc" | "subc" | "madc" => self.integer(),
            "dp4a" | "dp2a" => self.dot_product(),
            "and" | "or" | "xor" | "not" | "cnot" | "shl" | "shr" | "shf" | "lop3" | "prmt"
            | "bfe" | "bfi" | "popc" | "clz" | "brev" | "bfind" | "bmsk" | "szext" => {
                self.bitwise()
            }
            "testp" => self.test_property(),
            "setp" => self.set_predicate(),
            "set" => self.set_value(),
            "selp" => self.select(),
            "slct" => self.select_by_sign(),
            "mov" => self.mov(),
            "cvt" => self.convert_type(),
            "ld" | "ldu" => self.load(),
            "st" => self.store(),
            "atom" | "red" => self.atomic(),
            "fence" | "membar" => self.fence(),
            "cvta" => self.convert_address(),
            "isspacep" => self.is_space(),
            "mapa" | "getctarank" => self.map_address(),
            "bra" => self.branch(),
            "brx" => self.branch_index(),
            "call" => self.call(),
            "ret" => self.simple(Op::Return),
            "exit" => self.simple(Op::Exit),
            "trap" => self.simple(Op::Trap),
            "nanosleep" => self.simple(Op::Sleep),
            "brkpt" | "prefetch" | "prefetchu" | "griddepcontrol" | "discard" | "applypriority"
            | "pmevent" => self.hint(),
            "createpolicy" => self.policy(),
            "shfl" => self.shuffle(),
            "vote" => self.vote(),
            "match" => self.match_lanes(),
            "redux" => self.redux(),
            "activemask" => self.active_mask(),
            "elect" => self.elect(),
            "bar" | "barrier" => self.barrier(),
            "setmaxnreg" => self.set_max_registers(),
            "cp" => self.copy(),
            "mbarrier" => self.mbarrier(),
            "ldmatrix" => self.load_matrix(),
            "stmatrix" => self.store_matrix(),
            "movmatrix" => self.move_matrix(),
            "mma" => self.mma(),
            "wmma" => self.wmma(),
            "wgmma" => self.wgmma(),
            _ => self.unsupported(""),
        }
    }

    fn simple(&mut self, op: Op) -> Result<()> {
        self.emit_flow(op, Class::Control, Flow::Own);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_corpus_kernel_decodes() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/corpus");
        let mut seen = 0;
        for entry in std::fs::read_dir(folder).expect("the corpus folder is part of the crate") {
            let path = entry.expect("readable entry").path();
            if path.extension().is_some_and(|e| e == "ptx") {
                let text = std::fs::read_to_string(&path).expect("readable file");
                let module = Module::parse(&text, &path.to_string_lossy()).expect("parses");
                for name in module.entries().map(str::to_string).collect::<Vec<_>>() {
                    module.kernel(&name).expect("decodes");
                    seen += 1;
                }
            }
        }
        assert!(seen >= 15, "{seen}");
    }
}
