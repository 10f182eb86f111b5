//! The tensors of a case for whatever device runs it: what memory holds before the launch, and
//! whether what it holds afterwards is what the case expects.

use super::case::{Arg, Case, Expect};
use super::compare::{Mismatch, compare};
use crate::error::{Error, Result};
pub use safetensors::Dtype;
use safetensors::SafeTensors;
use safetensors::tensor::TensorView;

/// A tensor that a case puts into memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Input<'c> {
    /// Name of the buffer.
    pub name: &'c str,
    /// Type of its elements.
    pub dtype: Dtype,
    /// Its bytes, also where its contents are undefined before the launch.
    pub bytes: &'c [u8],
}

/// What a buffer holds after the launch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Name of the buffer.
    pub name: String,
    /// Type of its elements.
    pub dtype: Dtype,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

impl Case {
    /// Tensors that the arguments name, each once, in the order of their first use.
    pub fn inputs(&self) -> Result<Vec<Input<'_>>> {
        let mut inputs: Vec<Input<'_>> = Vec::new();
        for arg in &self.args {
            let name = match arg {
                Arg::Buffer { name, .. } => name,
                Arg::Map { map, .. } => &map.buffer,
                Arg::Bytes(_) | Arg::Null => continue,
            };
            if inputs.iter().all(|input| input.name != name) {
                let view = self.tensor(name)?;
                inputs.push(Input { name, dtype: view.dtype(), bytes: view.data() });
            }
        }
        Ok(inputs)
    }

    /// Refuses a case whose tensors are missing, or expected to be larger than their buffers.
    pub fn check_tensors(&self) -> Result<()> {
        let inputs = self.inputs()?;
        for (buffer, expect) in self.expects() {
            let want = self.tensor(&expect.name)?.data().len();
            let have = inputs.iter().find(|input| input.name == buffer);
            let have = have.map_or(0, |input| input.bytes.len());
            if want > have {
                let (case, expected) = (&self.name, &expect.name);
                return Err(Error::Case(format!(
                    "{case}: {expected} has {want} bytes, but buffer {buffer} only {have}"
                )));
            }
        }
        Ok(())
    }

    /// What a buffer must hold after the launch, where the case says so.
    pub fn expected(&self, buffer: &str) -> Result<Option<Input<'_>>> {
        let Some(expect) = self.expects().find(|(name, _)| *name == buffer) else {
            return Ok(None);
        };
        let view = self.tensor(&expect.1.name)?;
        let name = &expect.1.name;
        Ok(Some(Input { name, dtype: view.dtype(), bytes: view.data() }))
    }

    /// Where outputs are not what the case expects, within its tolerances.
    pub fn mismatches(&self, outputs: &[Output]) -> Result<Vec<Mismatch>> {
        let mut mismatches = Vec::new();
        for (buffer, expect) in self.expects() {
            let want = self.tensor(&expect.name)?;
            // A buffer without an output differs in all of its elements.
            let got = outputs.iter().find(|output| output.name == buffer);
            let got = got.map_or(&[][..], |output| &output.bytes);
            let (rtol, atol) = (expect.rtol, expect.atol);
            mismatches.extend(compare(buffer, want.dtype(), got, want.data(), rtol, atol));
        }
        Ok(mismatches)
    }

    fn expects(&self) -> impl Iterator<Item = (&str, &Expect)> {
        self.args.iter().filter_map(|arg| match arg {
            Arg::Buffer { name, expect, .. } => Some((name.as_str(), expect.as_ref()?)),
            Arg::Map { map, expect } => Some((map.buffer.as_str(), expect.as_ref()?)),
            Arg::Bytes(_) | Arg::Null => None,
        })
    }

    fn tensor(&self, name: &str) -> Result<TensorView<'_>> {
        let fail = |what: String| Error::Case(format!("{}: tensor {name}: {what}", self.name));
        if self.data.is_empty() {
            return Err(fail("the case has no data file".into()));
        }
        let tensors = SafeTensors::deserialize(&self.data)
            .map_err(|e| fail(format!("the data file is no safetensors file: {e}")))?;
        tensors.tensor(name).map_err(|e| fail(e.to_string()))
    }
}

impl Output {
    /// The bytes of a safetensors file with these outputs, as flat tensors.
    pub fn serialize(outputs: &[Output]) -> Result<Vec<u8>> {
        let fail = |e: safetensors::SafeTensorError| Error::Case(format!("outputs: {e}"));
        let mut views = Vec::new();
        for output in outputs {
            let elements = output.bytes.len() * 8 / output.dtype.bitsize();
            let view = TensorView::new(output.dtype, vec![elements], &output.bytes);
            views.push((output.name.as_str(), view.map_err(fail)?));
        }
        safetensors::serialize(views, None).map_err(fail)
    }

    /// Outputs from the bytes of such a file, sorted by name.
    pub fn deserialize(bytes: &[u8]) -> Result<Vec<Output>> {
        let fail = |e: safetensors::SafeTensorError| Error::Case(format!("outputs: {e}"));
        let tensors = SafeTensors::deserialize(bytes).map_err(fail)?;
        let mut outputs: Vec<Output> = tensors
            .iter()
            .map(|(name, view)| Output {
                name: name.to_owned(),
                dtype: view.dtype(),
                bytes: view.data().to_vec(),
            })
            .collect();
        outputs.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(outputs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    fn case(name: &str) -> Case {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
        Case::load(&folder.join(format!("{name}.launch.toml"))).expect("the case loads")
    }

    #[test]
    fn expected_tensors_match_themselves_and_nothing_else() {
        let case = case("c_collatz");
        let mut outputs = Vec::new();
        for input in case.inputs().expect("the tensors are there") {
            let want = case.expected(input.name).expect("the tensors are there").unwrap_or(input);
            let (name, bytes) = (input.name.to_owned(), want.bytes.to_vec());
            outputs.push(Output { name, dtype: want.dtype, bytes });
        }
        assert_eq!(case.mismatches(&outputs), Ok(Vec::new()));
        let untouched = case.mismatches(&[]).expect("the tensors are there");
        assert!(!untouched.is_empty());
        assert_eq!(untouched[0].count.0, untouched[0].count.1);
        let file = Output::serialize(&outputs).expect("they can be written");
        outputs.sort_by(|a, b| a.name.cmp(&b.name));
        assert_eq!(Output::deserialize(&file), Ok(outputs));
        assert!(Output::deserialize(&file[..9]).is_err());
    }

    #[test]
    fn a_tensor_that_is_not_there_is_named() {
        let mut case = case("c_collatz");
        case.args.push(Arg::Buffer { name: "ghost".into(), uninit: false, expect: None });
        let error = case.inputs().expect_err("there is none").to_string();
        assert!(error.contains("c_collatz: tensor ghost"), "{error}");
        case.args.pop();
        assert_eq!(case.check_tensors(), Ok(()));
        let expect = case.args.iter_mut().find_map(|arg| match arg {
            Arg::Buffer { expect, .. } => expect.as_mut(),
            _ => None,
        });
        expect.expect("something is compared").name = "ghost".into();
        let error = case.check_tensors().expect_err("there is none").to_string();
        assert!(error.contains("c_collatz: tensor ghost"), "{error}");
        case.data.clear();
        let error = case.inputs().expect_err("there is none").to_string();
        assert!(error.contains("no data file"), "{error}");
    }
}
