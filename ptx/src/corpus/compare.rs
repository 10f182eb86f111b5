//! Comparison of a result with an expected tensor.

use safetensors::Dtype;
use std::fmt;

/// The first element that is off, and how many are.
#[derive(Debug, Clone, PartialEq)]
pub struct Mismatch {
    /// Buffer name.
    pub buffer: String,
    /// Number of elements that differ, and of all.
    pub count: (usize, usize),
    /// Index of the first one.
    pub index: usize,
    /// Value got.
    pub got: f64,
    /// Value expected.
    pub want: f64,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            out,
            "{}: {} of {} elements differ, first [{}]: got {}, expected {}",
            self.buffer, self.count.0, self.count.1, self.index, self.got, self.want
        )
    }
}

/// Value of an element, and whether it is compared exactly.
fn value(dtype: Dtype, bytes: &[u8]) -> (f64, Option<i128>) {
    let mut word = [0u8; 8];
    word[..bytes.len()].copy_from_slice(bytes);
    let bits = u64::from_le_bytes(word);
    let shift = 64 - 8 * bytes.len() as u32;
    let signed = i128::from((bits << shift) as i64 >> shift);
    match dtype {
        Dtype::F64 => (f64::from_bits(bits), None),
        Dtype::F32 => (f64::from(f32::from_bits(bits as u32)), None),
        Dtype::F16 => (f64::from(half::f16::from_bits(bits as u16)), None),
        Dtype::BF16 => (f64::from(half::bf16::from_bits(bits as u16)), None),
        Dtype::I8 | Dtype::I16 | Dtype::I32 | Dtype::I64 => (signed as f64, Some(signed)),
        _ => (bits as f64, Some(i128::from(bits))),
    }
}

/// Bytes of one element.
pub(crate) fn element_bytes(dtype: Dtype) -> usize {
    match dtype {
        Dtype::F64 | Dtype::I64 | Dtype::U64 => 8,
        Dtype::F32 | Dtype::I32 | Dtype::U32 => 4,
        Dtype::F16 | Dtype::BF16 | Dtype::I16 | Dtype::U16 => 2,
        _ => 1,
    }
}

/// Compares element by element as the corpus README says.
pub(crate) fn compare(
    buffer: &str,
    dtype: Dtype,
    got: &[u8],
    want: &[u8],
    rtol: f64,
    atol: f64,
) -> Option<Mismatch> {
    let bytes = element_bytes(dtype);
    let total = want.len() / bytes;
    let mut first = None;
    let mut count = 0;
    for index in 0..total {
        let range = index * bytes..(index + 1) * bytes;
        let (w, exact_w) = value(dtype, &want[range.clone()]);
        let (g, exact_g) = got.get(range).map_or((f64::NAN, None), |g| value(dtype, g));
        let is_equal = match (exact_g, exact_w) {
            (Some(g), Some(w)) => g == w,
            _ if w.is_nan() => g.is_nan(),
            _ if w.is_infinite() || g.is_infinite() => g == w,
            _ => (g - w).abs() <= atol + rtol * w.abs(),
        };
        if !is_equal {
            count += 1;
            first.get_or_insert((index, g, w));
        }
    }
    first.map(|(index, got, want)| Mismatch {
        buffer: buffer.to_string(),
        count: (count, total),
        index,
        got,
        want,
    })
}
