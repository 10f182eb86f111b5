//! Matrix instructions: ldmatrix, stmatrix, movmatrix, mma, wmma and wgmma.

use super::class::Class;
use super::context::Decoder;
use super::op::{
    Element, Flow, Mma, Op, Reg, Row, Shape, Space, Wgmma, WgmmaA, WmmaMemory, WmmaPart,
};
use crate::error::Result;
use crate::parse::{Operand, Type};

fn element(word: &str) -> Option<Element> {
    Some(match word {
        "f16" => Element::F16,
        "bf16" => Element::Bf16,
        "tf32" => Element::Tf32,
        "f32" => Element::F32,
        "f64" => Element::F64,
        "s8" => Element::S8,
        "u8" => Element::U8,
        "s4" => Element::S4,
        "u4" => Element::U4,
        "b1" => Element::B1,
        "s32" => Element::S32,
        "e4m3" => Element::E4m3,
        "e5m2" => Element::E5m2,
        _ => return None,
    })
}

/// The shapes WMMA has for an element type of A and B.
fn is_wmma_shape(shape: Shape, element: Element) -> bool {
    let tall = [(16, 16), (32, 8), (8, 32)].contains(&(shape.m, shape.n));
    let small = (shape.m, shape.n) == (8, 8);
    match element {
        Element::F16 | Element::Bf16 | Element::S8 | Element::U8 => tall && shape.k == 16,
        Element::Tf32 => (shape.m, shape.n, shape.k) == (16, 16, 8),
        Element::F64 => small && shape.k == 4,
        Element::S4 | Element::U4 => small && shape.k == 32,
        Element::B1 => small && shape.k == 128,
        _ => false,
    }
}

/// `m16n8k16`.
fn shape(word: &str) -> Option<Shape> {
    let (m, rest) = word.strip_prefix('m')?.split_once('n')?;
    let (n, k) = rest.split_once('k')?;
    Some(Shape { m: m.parse().ok()?, n: n.parse().ok()?, k: k.parse().ok()? })
}

impl Element {
    /// Bits an element takes in a fragment.
    pub(crate) fn bits(self) -> usize {
        match self {
            Element::B1 => 1,
            Element::S4 | Element::U4 => 4,
            Element::S8 | Element::U8 | Element::E4m3 | Element::E5m2 => 8,
            Element::F16 | Element::Bf16 => 16,
            Element::Tf32 | Element::F32 | Element::S32 => 32,
            Element::F64 => 64,
        }
    }
}

impl Decoder<'_> {
    fn elements(&self) -> Vec<Element> {
        self.statement.modifiers.iter().filter_map(|m| element(m)).collect()
    }

    fn shape(&self) -> Result<Shape> {
        match self.statement.modifiers.iter().find_map(|m| shape(m)) {
            Some(shape) => Ok(shape),
            None => self.unsupported("no shape"),
        }
    }

    fn vector_sources(&mut self, index: usize, wide: bool, ty: Type) -> Result<Vec<Reg>> {
        let mut list = Vec::new();
        let operand = self.operand(index)?;
        let parts = match operand {
            Operand::Vector(parts) => parts.iter().collect(),
            single => vec![single],
        };
        for part in parts {
            list.push(Reg { row: self.source(part, wide, ty)?, wide });
        }
        Ok(list)
    }

    fn vector_destinations(&mut self, index: usize, wide: bool) -> Result<Vec<Reg>> {
        let mut list = Vec::new();
        let operand = self.operand(index)?;
        let parts = match operand {
            Operand::Vector(parts) => parts.iter().collect(),
            single => vec![single],
        };
        for part in parts {
            list.push(Reg { row: self.destination(part, wide)?, wide });
        }
        Ok(list)
    }

    fn matrices(&self) -> Result<usize> {
        for (word, count) in [("x1", 1), ("x2", 2), ("x4", 4)] {
            if self.has(word) {
                return Ok(count);
            }
        }
        self.unsupported("needs .x1, .x2 or .x4")
    }

    pub(crate) fn load_matrix(&mut self) -> Result<()> {
        if !self.has("m8n8") || !self.has("b16") {
            return self.unsupported("");
        }
        let count = self.matrices()?;
        let addr = self.addr_only(1)?;
        let d: Vec<Row> = self.vector_destinations(0, false)?.iter().map(|r| r.row).collect();
        if d.len() != count {
            return self.unsupported("registers do not match the count");
        }
        let op = Op::LdMatrix { d: d.into(), addr, transposed: self.has("trans") };
        self.emit_flow(op, Class::Matrix, Flow::Own);
        Ok(())
    }

    pub(crate) fn store_matrix(&mut self) -> Result<()> {
        if !self.has("m8n8") || !self.has("b16") {
            return self.unsupported("");
        }
        let count = self.matrices()?;
        let addr = self.addr_only(0)?;
        let s: Vec<Row> = self.vector_sources(1, false, Type::B32)?.iter().map(|r| r.row).collect();
        if s.len() != count {
            return self.unsupported("registers do not match the count");
        }
        let op = Op::StMatrix { s: s.into(), addr, transposed: self.has("trans") };
        self.emit_flow(op, Class::Matrix, Flow::Own);
        Ok(())
    }

    pub(crate) fn move_matrix(&mut self) -> Result<()> {
        let a = self.src(1, false)?;
        let d = self.dst(0, false)?;
        self.emit_flow(Op::MovMatrix { d, a }, Class::Matrix, Flow::Own);
        Ok(())
    }

    /// `mma.sync`.
    pub(crate) fn mma(&mut self) -> Result<()> {
        let shape = self.shape()?;
        let [d_type, a_type, b_type, c_type] = self.elements()[..] else {
            return self.unsupported("needs four element types");
        };
        let row_column = self.has("row") && self.has("col");
        let odd = ["sp", "sp::ordered_metadata", "kind::f8f6f4", "kind::mxf8f6f4"];
        if !row_column || self.statement.modifiers.iter().any(|m| odd.contains(&m.as_str())) {
            return self.unsupported("");
        }
        let wide = d_type == Element::F64;
        let a = self.vector_sources(1, wide, Type::B32)?;
        let b = self.vector_sources(2, wide, Type::B32)?;
        let c = self.vector_sources(3, wide, Type::B32)?;
        let d = self.vector_destinations(0, wide)?;
        let registers = |rows: usize, cols: usize, e: Element| {
            (rows * cols * e.bits()).div_ceil(32 * if wide { 64 } else { 32 })
        };
        let want = [
            registers(shape.m, shape.k, a_type),
            registers(shape.k, shape.n, b_type),
            registers(shape.m, shape.n, c_type),
            registers(shape.m, shape.n, d_type),
        ];
        if [a.len(), b.len(), c.len(), d.len()] != want || shape.m != 16 && shape.m != 8 {
            return self.unsupported("shape, types and register counts do not fit");
        }
        let m8_ok = shape.m == 16
            || (a_type == Element::F64 && shape.k == 4)
            || (matches!(a_type, Element::S8 | Element::U8) && shape.k == 16)
            || (matches!(a_type, Element::S4 | Element::U4) && shape.k == 32)
            || (a_type == Element::B1 && shape.k == 128);
        if shape.n != 8 || !m8_ok {
            return self.unsupported("");
        }
        let mma = Mma {
            shape,
            a_type,
            b_type,
            c_type,
            d_type,
            saturate: self.has("satfinite"),
            is_xor: self.has("xor"),
            a,
            b,
            c,
            d,
            is_wmma: false,
        };
        self.emit_flow(Op::Mma(Box::new(mma)), Class::Tensor, Flow::Own);
        Ok(())
    }

    /// `wmma.load`, `wmma.store` and `wmma.mma`.
    pub(crate) fn wmma(&mut self) -> Result<()> {
        let shape = self.shape()?;
        let elements = self.elements();
        if self.has("mma") {
            let (a_type, b_type, d_type, c_type) = match elements[..] {
                [d, c] => (Element::F16, Element::F16, d, c),
                [d, a, b, c] => (a, b, d, c),
                _ => return self.unsupported("element types"),
            };
            let wide = a_type == Element::F64;
            let a = self.vector_sources(1, wide, Type::B32)?;
            let b = self.vector_sources(2, wide, Type::B32)?;
            let c = self.vector_sources(3, wide, Type::B32)?;
            let d = self.vector_destinations(0, wide)?;
            let fits = |list: &[Reg], rows: usize, cols: usize, e: Element| {
                list.len() * 32 * if wide { 64 } else { 32 } >= rows * cols * e.bits()
            };
            let all = fits(&a, shape.m, shape.k, a_type)
                && fits(&b, shape.k, shape.n, b_type)
                && fits(&c, shape.m, shape.n, c_type)
                && fits(&d, shape.m, shape.n, d_type);
            if !all || !is_wmma_shape(shape, a_type) {
                return self.unsupported("shape, types and register counts do not fit");
            }
            let mma = Mma {
                shape,
                a_type,
                b_type,
                c_type,
                d_type,
                saturate: self.has("satfinite"),
                is_xor: self.has("xor"),
                a,
                b,
                c,
                d,
                is_wmma: true,
            };
            self.emit_flow(Op::Mma(Box::new(mma)), Class::Tensor, Flow::Own);
            return Ok(());
        }
        let Some(element) = elements.last().copied() else {
            return self.unsupported("no element type");
        };
        let part = match self.statement.modifiers.get(1).map(String::as_str) {
            Some("a") => WmmaPart::A,
            Some("b") => WmmaPart::B,
            Some("c" | "d") => WmmaPart::C,
            _ => return self.unsupported(""),
        };
        let known = [
            Element::F16,
            Element::Bf16,
            Element::Tf32,
            Element::F64,
            Element::S8,
            Element::U8,
            Element::S4,
            Element::U4,
            Element::B1,
        ];
        if !known.iter().any(|e| is_wmma_shape(shape, *e)) {
            return self.unsupported("shape");
        }
        let is_store = self.has("store");
        let wide = element == Element::F64;
        let (address_at, registers_at) = if is_store { (0, 1) } else { (1, 0) };
        let (addr, implied) = self.addr(address_at)?;
        let registers = if is_store {
            self.vector_sources(registers_at, wide, Type::B32)?
        } else {
            self.vector_destinations(registers_at, wide)?
        };
        let stride = if self.count() > 2 { self.src_as(2, false, Type::U32)? } else { 0 };
        let space = match self.space(implied) {
            Space::Cluster => Space::Shared,
            other => other,
        };
        let memory = WmmaMemory {
            part,
            is_store,
            is_column: self.has("col"),
            element,
            shape,
            space,
            addr,
            stride,
            registers,
        };
        self.emit_flow(Op::Wmma(Box::new(memory)), Class::Matrix, Flow::Own);
        Ok(())
    }

    /// `wgmma.fence`, `.commit_group`, `.wait_group` and `.mma_async`.
    pub(crate) fn wgmma(&mut self) -> Result<()> {
        match self.statement.modifiers.first().map(String::as_str) {
            Some("fence") => {
                self.emit_flow(Op::WgmmaFence, Class::Barrier, Flow::Own);
                return Ok(());
            }
            Some("commit_group") => {
                self.emit_flow(Op::WgmmaCommit, Class::Barrier, Flow::Own);
                return Ok(());
            }
            Some("wait_group") => {
                let pending = self.literal(0)? as u32;
                self.emit_flow(Op::WgmmaWait { pending }, Class::Barrier, Flow::Own);
                return Ok(());
            }
            Some("mma_async") if !self.has("sp") => {}
            _ => return self.unsupported(""),
        }
        let shape = self.shape()?;
        let [d_type, a_type, b_type] = self.elements()[..] else {
            return self.unsupported("needs three element types");
        };
        if shape.m != 64 || shape.n % 8 != 0 || !(8..=256).contains(&shape.n) {
            return self.unsupported("shape");
        }
        if shape.k * a_type.bits() != 256 {
            return self.unsupported("k must be 32 bytes of the element type");
        }
        let d_operand = self.operand(0)?;
        let d = self.vector_destinations(0, false)?;
        let want = shape.n / 2 / (32 / d_type.bits().min(32));
        if d.len() != want {
            return self.unsupported(&format!("{} accumulators, expected {want}", d.len()));
        }
        // Accumulators are read as well, which matters for waits and fences, not for definedness.
        debug_assert!(matches!(d_operand, Operand::Vector(_)));
        let a = match self.operand(1)? {
            Operand::Vector(_) => WgmmaA::Registers(self.vector_sources(1, false, Type::B32)?),
            _ => WgmmaA::Descriptor(self.src_as(1, true, Type::B64)?),
        };
        let b = self.src_as(2, true, Type::B64)?;
        let (mut scale_d, mut scale_d_negated) = (0, false);
        let mut next = 3;
        if next < self.count() {
            let operand = self.operand(next)?;
            (scale_d, scale_d_negated) = self.pred(operand)?;
            next += 1;
        }
        let mut flags = Vec::new();
        while next < self.count() {
            flags.push(self.literal(next)?);
            next += 1;
        }
        let transposes = matches!(a_type, Element::F16 | Element::Bf16);
        let transpose = |at: usize| transposes && flags.get(at).is_some_and(|f| *f == 1);
        let from_registers = matches!(a, WgmmaA::Registers(_));
        let (transpose_a, transpose_b) =
            if from_registers { (false, transpose(2)) } else { (transpose(2), transpose(3)) };
        let wgmma = Wgmma {
            n: shape.n,
            k: shape.k,
            a_type,
            b_type,
            d_type,
            d,
            a,
            b,
            scale_d,
            scale_d_negated,
            negate_a: flags.first().is_some_and(|f| *f == -1),
            negate_b: flags.get(1).is_some_and(|f| *f == -1),
            transpose_a,
            transpose_b,
            saturate: self.has("satfinite"),
        };
        self.emit_flow(Op::Wgmma(Box::new(wgmma)), Class::Tensor, Flow::Own);
        Ok(())
    }
}
