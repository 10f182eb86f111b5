//! Values of tensor elements for people and for JSON, which has no word for NaN and infinities.

use serde_json::Value;
use vincie_ptx::corpus::Dtype;

/// One element of a tensor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Element {
    dtype: Dtype,
    /// Its bits, the rest zero.
    pub(crate) bits: u64,
}

/// Bytes of an element; those of types below a byte are taken together.
pub(crate) fn element_bytes(dtype: Dtype) -> usize {
    dtype.bitsize().div_ceil(8).clamp(1, 8)
}

impl Element {
    /// The element at an index, where the bytes go that far.
    pub(crate) fn at(dtype: Dtype, bytes: &[u8], index: usize) -> Option<Self> {
        let size = element_bytes(dtype);
        let bytes = bytes.get(index * size..(index + 1) * size)?;
        let mut word = [0; 8];
        word[..size].copy_from_slice(bytes);
        Some(Self { dtype, bits: u64::from_le_bytes(word) })
    }

    /// Its value, rounded where it is a whole number beyond 2⁵³.
    pub(crate) fn value(self) -> f64 {
        match self.dtype {
            Dtype::F64 => f64::from_bits(self.bits),
            Dtype::F32 => f64::from(f32::from_bits(self.bits as u32)),
            Dtype::F16 => half::f16::from_bits(self.bits as u16).to_f64(),
            Dtype::BF16 => half::bf16::from_bits(self.bits as u16).to_f64(),
            _ => self.whole() as f64,
        }
    }

    /// True for floats, whose values may be near each other.
    pub(crate) fn is_float(self) -> bool {
        matches!(self.dtype, Dtype::F64 | Dtype::F32 | Dtype::F16 | Dtype::BF16)
    }

    fn whole(self) -> i128 {
        let unused = 64 - 8 * element_bytes(self.dtype) as u32;
        match self.dtype {
            Dtype::I8 | Dtype::I16 | Dtype::I32 | Dtype::I64 => {
                i128::from((self.bits << unused) as i64 >> unused)
            }
            _ => i128::from(self.bits),
        }
    }

    /// Its value as people write it.
    pub(crate) fn text(self) -> String {
        if self.is_float() { self.value().to_string() } else { self.whole().to_string() }
    }

    /// Its bits in hexadecimal, all digits of its size.
    pub(crate) fn hexadecimal(self) -> String {
        format!("{:#0width$x}", self.bits, width = 2 + 2 * element_bytes(self.dtype))
    }
}

/// A number in JSON; NaN and the infinities are texts.
pub(crate) fn number(value: f64) -> Value {
    serde_json::Number::from_f64(value).map_or_else(|| value.to_string().into(), Value::Number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_of_every_kind() {
        let bytes = [0x00, 0xc0, 0xff, 0xff, 0, 0, 0, 0x80];
        let at = |dtype, index| Element::at(dtype, &bytes, index).expect("it is there");
        assert_eq!(at(Dtype::U8, 1).text(), "192");
        assert_eq!(at(Dtype::I32, 0).text(), "-16384");
        assert_eq!(at(Dtype::BF16, 0).text(), "-2");
        assert_eq!(at(Dtype::F32, 1).value().to_bits(), (-0.0f64).to_bits());
        assert_eq!(at(Dtype::F32, 0).text(), "NaN");
        assert_eq!(at(Dtype::F16, 0).hexadecimal(), "0xc000");
        assert_eq!(at(Dtype::U64, 0).text(), 0x8000_0000_ffff_c000u64.to_string());
        assert_eq!(Element::at(Dtype::U64, &bytes, 1), None);
        assert_eq!(number(f64::NAN), "NaN");
        assert_eq!(number(0.5), 0.5);
    }
}
