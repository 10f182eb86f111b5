//! The 128-byte tensor map of TMA copies. The encoding is this machine's own, as the device's is
//! opaque; the host side builds one with `TensorMap::encode`.

use crate::error::{Error, Result};
use crate::parse::Type;

/// Marks an encoded map.
const MAGIC: u64 = 0x7061_6d5f_7874_7076;
/// Bytes of an encoded map.
pub const TENSOR_MAP_BYTES: usize = 128;

/// How 16-byte chunks of a tile are permuted in shared memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Swizzle {
    /// Not at all.
    None,
    /// Within 32 bytes.
    B32,
    /// Within 64 bytes.
    B64,
    /// Within 128 bytes.
    B128,
}

impl Swizzle {
    /// Bytes of the span that is permuted.
    pub fn span(self) -> usize {
        match self {
            Swizzle::None => 16,
            Swizzle::B32 => 32,
            Swizzle::B64 => 64,
            Swizzle::B128 => 128,
        }
    }

    /// Moves a shared address: bits 4.. change by bits 7.. above them.
    pub fn apply(self, address: u64) -> u64 {
        let mask = (self.span() as u64 / 16 - 1) & 7;
        address ^ ((address >> 7 & mask) << 4)
    }
}

/// A tensor in device memory and the box that one copy moves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TensorMap {
    /// Start of the tensor, a multiple of 16.
    pub address: u64,
    /// Element type.
    pub element: Type,
    /// Sizes in elements, innermost first; 1 to 5 of them.
    pub dims: Vec<u64>,
    /// Strides in bytes of all dimensions but the innermost, multiples of 16.
    pub strides: Vec<u64>,
    /// Sizes of the box in elements, each 1 to 256.
    pub tile: Vec<u32>,
    /// Permutation of the tile in shared memory.
    pub swizzle: Swizzle,
}

const ELEMENTS: [Type; 12] = [
    Type::U8,
    Type::U16,
    Type::U32,
    Type::S32,
    Type::U64,
    Type::S64,
    Type::F16,
    Type::F32,
    Type::F64,
    Type::Bf16,
    Type::Tf32,
    Type::S8,
];

impl TensorMap {
    /// Checks the map against the rules of the driver.
    pub fn check(&self) -> Result<()> {
        let fail = |what: String| Err(Error::Launch(format!("tensor map: {what}")));
        let rank = self.dims.len();
        if !(1..=5).contains(&rank) {
            return fail(format!("rank {rank}, expected 1 to 5"));
        }
        if self.strides.len() != rank - 1 || self.tile.len() != rank {
            let (strides, boxes) = (self.strides.len(), self.tile.len());
            return fail(format!("rank {rank} with {strides} strides and a box of {boxes}"));
        }
        if !self.address.is_multiple_of(16) {
            return fail(format!("address {:#x} is no multiple of 16", self.address));
        }
        if let Some(dim) = self.dims.iter().find(|d| **d == 0 || **d > 1 << 32) {
            return fail(format!("dimension {dim}, expected 1 to 2^32"));
        }
        if let Some(stride) = self.strides.iter().find(|s| !s.is_multiple_of(16) || **s >= 1 << 40)
        {
            return fail(format!("stride {stride}, expected a multiple of 16 below 2^40"));
        }
        if let Some(size) = self.tile.iter().find(|b| **b == 0 || **b > 256) {
            return fail(format!("box of {size} elements, expected 1 to 256"));
        }
        if !ELEMENTS.contains(&self.element) {
            return fail(format!("element type {:?}", self.element));
        }
        let inner = self.tile[0] as usize * self.element.bytes();
        if !inner.is_multiple_of(16) {
            return fail(format!("inner box of {inner} bytes, expected a multiple of 16"));
        }
        if self.swizzle != Swizzle::None && inner > self.swizzle.span() {
            let span = self.swizzle.span();
            return fail(format!("inner box of {inner} bytes for a swizzle of {span}"));
        }
        Ok(())
    }

    /// The 128 bytes that a kernel parameter holds.
    pub fn encode(&self) -> Result<[u8; TENSOR_MAP_BYTES]> {
        self.check()?;
        let mut out = [0; TENSOR_MAP_BYTES];
        out[..8].copy_from_slice(&MAGIC.to_le_bytes());
        out[8..16].copy_from_slice(&self.address.to_le_bytes());
        let element = ELEMENTS.iter().position(|e| *e == self.element).unwrap_or(0);
        out[16] = element as u8;
        out[17] = self.dims.len() as u8;
        out[18] = match self.swizzle {
            Swizzle::None => 0,
            Swizzle::B32 => 1,
            Swizzle::B64 => 2,
            Swizzle::B128 => 3,
        };
        for (index, dim) in self.dims.iter().enumerate() {
            out[24 + 8 * index..32 + 8 * index].copy_from_slice(&dim.to_le_bytes());
        }
        for (index, stride) in self.strides.iter().enumerate() {
            out[64 + 8 * index..72 + 8 * index].copy_from_slice(&stride.to_le_bytes());
        }
        for (index, size) in self.tile.iter().enumerate() {
            out[96 + 4 * index..100 + 4 * index].copy_from_slice(&size.to_le_bytes());
        }
        Ok(out)
    }

    /// Reads an encoded map; nothing where the bytes are none.
    pub fn decode(bytes: &[u8]) -> Option<TensorMap> {
        let word = |at: usize| Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?));
        if bytes.len() < TENSOR_MAP_BYTES || word(0)? != MAGIC {
            return None;
        }
        let rank = usize::from(bytes[17]).clamp(1, 5);
        let map = TensorMap {
            address: word(8)?,
            element: *ELEMENTS.get(usize::from(bytes[16]))?,
            dims: (0..rank).map(|i| word(24 + 8 * i)).collect::<Option<_>>()?,
            strides: (1..rank).map(|i| word(56 + 8 * i)).collect::<Option<_>>()?,
            tile: (0..rank)
                .map(|i| Some(u32::from_le_bytes(bytes[96 + 4 * i..100 + 4 * i].try_into().ok()?)))
                .collect::<Option<_>>()?,
            swizzle: match bytes[18] {
                0 => Swizzle::None,
                1 => Swizzle::B32,
                2 => Swizzle::B64,
                _ => Swizzle::B128,
            },
        };
        map.check().ok()?;
        Some(map)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_survive_encoding_and_bad_ones_are_refused() {
        let map = TensorMap {
            address: 0x1000,
            element: Type::Bf16,
            dims: vec![320, 64],
            strides: vec![640],
            tile: vec![64, 64],
            swizzle: Swizzle::B128,
        };
        let bytes = map.encode().expect("a legal map");
        assert_eq!(TensorMap::decode(&bytes), Some(map.clone()));
        assert_eq!(TensorMap::decode(&[0; 128]), None);
        assert!(TensorMap { tile: vec![128, 64], ..map.clone() }.encode().is_err());
        assert!(TensorMap { strides: vec![641], ..map }.encode().is_err());
    }

    #[test]
    fn swizzles_permute_chunks_by_rows() {
        assert_eq!(Swizzle::B128.apply(0x80), 0x90);
        assert_eq!(Swizzle::B128.apply(0x380), 0x3f0);
        assert_eq!(Swizzle::B64.apply(0x180), 0x1b0);
        assert_eq!(Swizzle::B32.apply(0x80), 0x90);
        assert_eq!(Swizzle::B32.apply(0x100), 0x100);
        assert_eq!(Swizzle::None.apply(0x380), 0x380);
    }
}
