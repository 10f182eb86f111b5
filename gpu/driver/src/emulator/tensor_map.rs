//! The making of tensor maps. What they hold is the machine's own encoding, as hardware's is
//! opaque.

use super::{Answer, fail, put};
use crate::abi::{In, Out, TensorMap};
use crate::result::Code;
use vincie_ptx::parse::Type;
use vincie_ptx::{Swizzle, TensorMap as Map};

/// Element types by the driver's number.
const ELEMENTS: [Option<Type>; 13] = [
    Some(Type::U8),
    Some(Type::U16),
    Some(Type::U32),
    Some(Type::S32),
    Some(Type::U64),
    Some(Type::S64),
    Some(Type::F16),
    Some(Type::F32),
    Some(Type::F64),
    Some(Type::Bf16),
    // Flushing subnormal numbers changes sums only, and there are none in a plain copy.
    Some(Type::F32),
    Some(Type::Tf32),
    None,
];

/// Permutations by the driver's number.
const SWIZZLES: [Swizzle; 4] = [Swizzle::None, Swizzle::B32, Swizzle::B64, Swizzle::B128];

#[allow(clippy::too_many_arguments, reason = "these are the driver's")]
pub(crate) fn encode(
    map: Out<TensorMap>,
    element: i32,
    rank: u32,
    at: u64,
    dims: In<u64>,
    strides: In<u64>,
    tile: In<u32>,
    element_strides: In<u32>,
    interleave: i32,
    swizzle: i32,
    promotion: i32,
    fill: i32,
) -> Answer {
    let wrong = |what: String| fail(Code::INVALID_VALUE, format!("tensor map: {what}"));
    if !map.address().is_multiple_of(64) {
        return wrong(format!("stands at {:#x}, no multiple of 64", map.address()));
    }
    if !(1..=5).contains(&rank) {
        return wrong(format!("rank {rank}, expected 1 to 5"));
    }
    let rank = rank as usize;
    let index = |number: i32| usize::try_from(number).unwrap_or(usize::MAX);
    let Some(element) = ELEMENTS.get(index(element)).copied().flatten() else {
        return wrong(format!("element type {element} is not emulated"));
    };
    let Some(swizzle) = SWIZZLES.get(index(swizzle)).copied() else {
        return wrong(format!("swizzle {swizzle} is not emulated"));
    };
    if interleave != 0 || fill != 0 || !(0..=3).contains(&promotion) {
        let rest = format!("interleave {interleave}, promotion {promotion}, fill {fill}");
        return wrong(format!("{rest}; only 0, 0 to 3 and 0 are emulated"));
    }
    let (Some(dims), Some(strides), Some(tile)) = (
        dims.all(rank),
        if rank == 1 { Some(Vec::new()) } else { strides.all(rank - 1) },
        tile.all(rank),
    ) else {
        return wrong("dimensions, strides or box are null".into());
    };
    if let Some(steps) = element_strides.all(rank)
        && steps.iter().any(|step| *step != 1)
    {
        return wrong(format!("element strides {steps:?}; only 1 is emulated"));
    }
    match (Map { address: at, element, dims, strides, tile, swizzle }).encode() {
        Ok(bytes) => put(map, TensorMap(bytes)),
        Err(error) => fail(Code::INVALID_VALUE, error.to_string()),
    }
}
