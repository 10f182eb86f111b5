//! Where what a GPU left in memory differs, bit by bit, from what the emulator left, and how far
//! both are from what is expected.

use super::form::Forms;
use crate::ptx::element::{Element, element_bytes, number};
use serde::Serialize;
use vincie_ptx::corpus::{Case, Output};

/// Most differing elements that are kept of one tensor.
const MAX_KEPT: usize = 64;
/// Most of them that one instruction stored.
const MAX_OF_FORM: usize = 2;

/// A tensor of both, compared.
#[derive(Debug, Serialize)]
pub(super) struct Comparison {
    pub(super) tensor: String,
    dtype: String,
    pub(super) elements: usize,
    /// Elements whose bits differ between GPU and emulator.
    pub(super) differing: usize,
    /// Those of them where both are NaN.
    both_nan: usize,
    /// Largest distance between GPU and emulator.
    largest: Distance,
    /// Largest distance between GPU and expected values, where there are any.
    largest_to_expected: Option<Distance>,
    /// Some of the differing elements.
    pub(super) kept: Vec<Differing>,
}

/// The largest absolute and relative difference; infinite where only one value is a number.
#[derive(Debug, Default, Serialize)]
struct Distance {
    #[serde(serialize_with = "plain")]
    absolute: f64,
    #[serde(serialize_with = "plain")]
    relative: f64,
}

/// An element, with texts for values that JSON cannot hold.
#[derive(Debug, Serialize)]
pub(super) struct Differing {
    pub(super) index: usize,
    pub(super) gpu: String,
    pub(super) emulator: String,
    pub(super) expected: Option<String>,
    gpu_bits: String,
    emulator_bits: String,
    /// Line of the PTX that stored it, where that is known.
    line: Option<usize>,
    /// The instruction whose result it is, where that is known.
    pub(super) form: Option<String>,
}

fn plain<S: serde::Serializer>(value: &f64, serializer: S) -> Result<S::Ok, S::Error> {
    number(*value).serialize(serializer)
}

impl Distance {
    fn add(&mut self, a: f64, b: f64) {
        if a == b || (a.is_nan() && b.is_nan()) {
            return;
        }
        let distance = (a - b).abs();
        let distance = if distance.is_finite() { distance } else { f64::INFINITY };
        let relative = if b == 0.0 { f64::INFINITY } else { distance / b.abs() };
        self.absolute = self.absolute.max(distance);
        self.relative = self.relative.max(if relative.is_nan() { f64::INFINITY } else { relative });
    }
}

/// Compares every tensor of a case; what is expected comes from the case itself.
pub(super) fn compare(
    case: &Case,
    forms: &Forms,
    gpu: &[Output],
    emulator: &[Output],
) -> Result<Vec<Comparison>, String> {
    gpu.iter()
        .map(|output| {
            let other = emulator.iter().find(|other| other.name == output.name);
            let other = other.ok_or(format!("{}: the emulator has no such tensor", output.name))?;
            let expected = case.expected(&output.name).map_err(|error| error.to_string())?;
            let expected = expected.map(|expected| (expected.dtype, expected.bytes));
            Ok(tensor(output, &other.bytes, expected, forms))
        })
        .collect()
}

fn tensor(
    gpu: &Output,
    emulator: &[u8],
    expected: Option<(vincie_ptx::corpus::Dtype, &[u8])>,
    forms: &Forms,
) -> Comparison {
    let dtype = expected.map_or(gpu.dtype, |(dtype, _)| dtype);
    let size = element_bytes(dtype);
    let mut comparison = Comparison {
        tensor: gpu.name.clone(),
        dtype: dtype.to_string(),
        elements: gpu.bytes.len() / size,
        differing: 0,
        both_nan: 0,
        largest: Distance::default(),
        largest_to_expected: expected.map(|_| Distance::default()),
        kept: Vec::new(),
    };
    let mut of_line = (None, 0);
    for index in 0..comparison.elements {
        let (Some(a), Some(b)) =
            (Element::at(dtype, &gpu.bytes, index), Element::at(dtype, emulator, index))
        else {
            break;
        };
        let want = expected.and_then(|(dtype, bytes)| Element::at(dtype, bytes, index));
        if let (Some(distance), Some(want)) = (&mut comparison.largest_to_expected, want) {
            distance.add(a.value(), want.value());
        }
        if a.bits == b.bits {
            continue;
        }
        comparison.differing += 1;
        comparison.largest.add(a.value(), b.value());
        if a.is_float() && a.value().is_nan() && b.value().is_nan() {
            comparison.both_nan += 1;
        }
        let form = forms.at(&gpu.name, index * size);
        let line = form.map(|form| form.line);
        of_line =
            if line.is_some() && line == of_line.0 { (line, of_line.1 + 1) } else { (line, 1) };
        let is_new = line.is_none() || of_line.1 <= MAX_OF_FORM;
        if is_new && comparison.kept.len() < MAX_KEPT {
            comparison.kept.push(Differing {
                index,
                gpu: a.text(),
                emulator: b.text(),
                expected: want.map(Element::text),
                gpu_bits: a.hexadecimal(),
                emulator_bits: b.hexadecimal(),
                line,
                form: form.map(|form| form.text.clone()),
            });
        }
    }
    comparison
}

#[cfg(test)]
mod tests {
    use super::*;
    use vincie_ptx::corpus::Dtype;

    fn floats(values: &[f32]) -> Output {
        let bytes = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Output { name: "out".into(), dtype: Dtype::F32, bytes }
    }

    #[test]
    fn bits_that_differ_are_counted_and_kept() {
        let other_nan = f32::from_bits(0x7fc0_0001);
        let gpu = floats(&[1.0, 0.0, f32::NAN, 4.0, f32::NAN]);
        let emulator = floats(&[1.0, -0.0, other_nan, 4.5, 1.0]);
        let expected = floats(&[1.0, 0.0, 0.0, 4.0, 1.0]);
        let expected = Some((Dtype::F32, expected.bytes.as_slice()));
        let found = tensor(&gpu, &emulator.bytes, expected, &Forms::default());
        assert_eq!((found.elements, found.differing, found.both_nan), (5, 4, 1));
        assert_eq!((found.kept.len(), found.kept[0].index), (4, 1));
        assert_eq!(found.kept[0].emulator_bits, "0x80000000");
        assert_eq!((found.kept[2].gpu.as_str(), found.kept[2].emulator.as_str()), ("4", "4.5"));
        assert_eq!(found.largest.absolute, f64::INFINITY);
        let json = serde_json::to_value(&found).expect("it has string keys");
        assert_eq!(json["largest"]["absolute"], "inf");
    }

    #[test]
    fn equal_tensors_have_nothing_to_tell() {
        let gpu = floats(&[1.0, f32::NAN]);
        let found = tensor(&gpu, &gpu.bytes, None, &Forms::default());
        assert_eq!((found.differing, found.kept.len()), (0, 0));
        assert_eq!((found.largest.absolute, found.largest.relative), (0.0, 0.0));
        assert!(found.largest_to_expected.is_none());
    }
}
