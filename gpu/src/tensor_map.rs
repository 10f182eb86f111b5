//! Tensor maps: what a kernel needs to copy tiles of a tensor with one instruction.

use crate::buffer::{Buffer, Memory};
use crate::element::Element;
use crate::error::{Error, Result};
use std::fmt;
use std::sync::Arc;
use vincie_driver::{In, Out, TENSOR_MAP_BYTES, call};
use vincie_ptx::Swizzle;
use vincie_ptx::parse::Type;

/// Element types with the driver's number. A copy does not care for the sign of a byte.
const ELEMENTS: [(Type, i32); 12] = [
    (Type::U8, 0),
    (Type::S8, 0),
    (Type::U16, 1),
    (Type::U32, 2),
    (Type::S32, 3),
    (Type::U64, 4),
    (Type::S64, 5),
    (Type::F16, 6),
    (Type::F32, 7),
    (Type::F64, 8),
    (Type::Bf16, 9),
    (Type::Tf32, 11),
];

/// The tensor and the tile that one copy moves. All lists start with the innermost dimension.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TileLayout {
    /// Sizes in elements, 1 to 5 of them.
    pub dims: Vec<u64>,
    /// Distances in bytes between neighbours along every dimension but the innermost, each a
    /// multiple of 16.
    pub strides: Vec<u64>,
    /// Sizes of the tile in elements, each 1 to 256.
    pub tile: Vec<u32>,
    /// How 16-byte chunks of the tile are permuted in shared memory.
    pub swizzle: Swizzle,
}

/// A tensor map over a buffer, which it keeps alive.
#[derive(Clone)]
pub struct TensorMap {
    pub(crate) encoded: vincie_driver::TensorMap,
    pub(crate) memory: Arc<Memory>,
    layout: TileLayout,
}

impl TensorMap {
    /// Makes the map; the tensor lies inside the buffer and starts at its first value.
    pub fn new<T: Element>(buffer: &Buffer<T>, layout: &TileLayout) -> Result<TensorMap> {
        let element = Type::parse(T::NAME).expect("elements have the names of PTX types");
        Self::encode(buffer, element, layout)
    }

    /// Makes the map of elements of any type over a buffer of bytes.
    pub fn of_bytes(buffer: &Buffer<u8>, element: Type, layout: &TileLayout) -> Result<TensorMap> {
        Self::encode(buffer, element, layout)
    }

    fn encode<T>(buffer: &Buffer<T>, element: Type, layout: &TileLayout) -> Result<TensorMap> {
        let tag = buffer.tag();
        let fail = |what: String| Err(Error::argument(format!("tensor map of `{tag}`: {what}")));
        let TileLayout { dims, strides, tile, swizzle } = layout;
        let rank = dims.len();
        if !(1..=5).contains(&rank) || strides.len() + 1 != rank || tile.len() != rank {
            let (strides, tile) = (strides.len(), tile.len());
            return fail(format!(
                "{rank} dimensions, {strides} strides and a tile of {tile}; \
                 expected n of 1 to 5, n - 1 and n"
            ));
        }
        let Some((_, number)) = ELEMENTS.iter().find(|(known, _)| *known == element) else {
            let known = ELEMENTS.map(|(known, _)| known);
            return fail(format!("elements of {element:?}; expected one of {known:?}"));
        };
        let needed = extent(layout, element.bytes());
        if needed.is_none_or(|needed| needed > buffer.bytes() as u64) {
            let have = buffer.bytes();
            return fail(format!("{dims:?} with strides {strides:?} does not fit {have} bytes"));
        }
        let device = &buffer.memory.home_device();
        device.enter()?;
        let swizzle = match swizzle {
            Swizzle::None => 0,
            Swizzle::B32 => 1,
            Swizzle::B64 => 2,
            Swizzle::B128 => 3,
        };
        let steps = vec![1u32; rank];
        let mut encoded = vincie_driver::TensorMap([0; TENSOR_MAP_BYTES]);
        /// Whole 128-byte lines go to the level 2 cache.
        const PROMOTION: i32 = 2;
        // SAFETY: every list has as many values as the rank asks for, and the result has room.
        let code = unsafe {
            call::cuTensorMapEncodeTiled(
                Out::to(&mut encoded),
                *number,
                rank as u32,
                buffer.address(),
                In::from(dims),
                In::from(strides),
                In::from(tile),
                In::from(&steps),
                0,
                swizzle,
                PROMOTION,
                0,
            )
        };
        device.check("cuTensorMapEncodeTiled", code)?;
        Ok(TensorMap { encoded, memory: Arc::clone(&buffer.memory), layout: layout.clone() })
    }

    /// What it was made from.
    pub fn layout(&self) -> &TileLayout {
        &self.layout
    }
}

/// Bytes from the first to behind the last element.
fn extent(layout: &TileLayout, element_bytes: usize) -> Option<u64> {
    let inner = layout.dims.first()?.checked_mul(element_bytes as u64)?;
    layout.dims[1..].iter().zip(&layout.strides).try_fold(inner, |bytes, (dim, stride)| {
        bytes.checked_add(dim.checked_sub(1)?.checked_mul(*stride)?)
    })
}

impl fmt::Debug for TensorMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TensorMap({:?})", self.layout)
    }
}
