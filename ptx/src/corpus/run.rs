//! Running a case and judging what came out.

use super::case::{Arg, Case, Expect};
use super::compare::{Mismatch, compare, element_bytes};
use crate::checks::FindingKind;
use crate::error::{Error, Result};
use crate::machine::{DevicePtr, Launch, Machine, Options, Report, TensorMap};
use crate::parse::Module;
use safetensors::SafeTensors;
use std::collections::HashMap;

/// What a run came to.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// Findings and counters.
    pub report: Report,
    /// Results that differ from what is expected.
    pub mismatches: Vec<Mismatch>,
    /// Right or wrong, by the rules of the corpus.
    pub verdict: Verdict,
}

/// The judgement on a case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// A correct case gives what is expected and no finding, or a flawed one is found.
    Pass,
    /// Why not.
    Fail(String),
}

/// A tensor of the case in device memory.
struct Placed {
    at: DevicePtr,
    bytes: usize,
}

impl Case {
    /// Runs the case on a fresh machine. An error means the case could not be run at all.
    pub fn run(&self, options: &Options) -> Result<Outcome> {
        self.run_text(&self.ptx, options)
    }

    /// Runs the case with another PTX text in place of its own.
    pub fn run_text(&self, ptx: &str, options: &Options) -> Result<Outcome> {
        let fail = |what: String| Error::Case(format!("{}: {what}", self.name));
        let module = Module::parse(ptx, &self.ptx_name)?;
        let kernel = module.kernel(&self.entry)?;
        let mut machine = Machine::new(1);
        let loaded = machine.load(0, &module)?;
        let tensors = if self.data.is_empty() {
            None
        } else {
            Some(SafeTensors::deserialize(&self.data).map_err(|e| fail(e.to_string()))?)
        };
        let tensor = |name: &str| match &tensors {
            Some(tensors) => tensors.tensor(name).map_err(|e| fail(format!("tensor {name}: {e}"))),
            None => Err(fail(format!("tensor {name}: the case has no data file"))),
        };
        let mut placed: HashMap<String, Placed> = HashMap::new();
        let mut expects: Vec<(String, Expect)> = Vec::new();
        let mut args = vec![0u8; kernel.argument_bytes()];
        if self.args.len() != kernel.params.len() {
            let (have, want) = (self.args.len(), kernel.params.len());
            return Err(fail(format!("{have} arguments, the kernel has {want} parameters")));
        }
        for (arg, param) in self.args.iter().zip(&kernel.params) {
            let bytes: Vec<u8> = match arg {
                Arg::Bytes(bytes) => bytes.clone(),
                Arg::Null => vec![0; 8],
                Arg::Buffer { name, uninit, expect } => {
                    let at = place(&mut machine, &mut placed, name, *uninit, &tensor)?;
                    expects.extend(expect.iter().map(|e| (name.clone(), e.clone())));
                    at.0.to_le_bytes().to_vec()
                }
                Arg::Map { map, expect } => {
                    let at = place(&mut machine, &mut placed, &map.buffer, map.uninit, &tensor)?;
                    expects.extend(expect.iter().map(|e| (map.buffer.clone(), e.clone())));
                    let map = TensorMap {
                        address: at.0,
                        element: map.element,
                        dims: map.dims.clone(),
                        strides: map.strides.clone(),
                        tile: map.tile.clone(),
                        swizzle: map.swizzle,
                    };
                    map.encode()?.to_vec()
                }
            };
            // Scalars may be written wider than a narrow parameter is.
            let used = bytes.len().min(param.bytes);
            args[param.offset..param.offset + used].copy_from_slice(&bytes[..used]);
        }
        let launch = Launch { kernel: &kernel, loaded: &loaded, config: self.config, args: &args };
        let mut report = machine.launch(&launch, options)?;
        report.findings.extend(crate::checks::lint(&module, &kernel));
        let mut mismatches = Vec::new();
        let mut compared = Vec::new();
        for (name, expect) in &expects {
            let want = tensor(&expect.name)?;
            let Some(buffer) = placed.get(name) else { continue };
            compared.push((buffer.at.0, buffer.bytes as u64));
            let got = machine.read(buffer.at, buffer.bytes)?;
            let (rtol, atol) = (expect.rtol, expect.atol);
            mismatches.extend(compare(name, want.dtype(), &got, want.data(), rtol, atol));
        }
        // An undefined value matters where it is compared.
        report.findings.retain(|finding| {
            finding.kind != FindingKind::UndefinedStore
                || finding.address.is_some_and(|address| {
                    compared.iter().any(|(at, bytes)| address >= *at && address < at + bytes)
                })
        });
        let verdict = self.judge(&report, &mismatches);
        Ok(Outcome { report, mismatches, verdict })
    }

    fn judge(&self, report: &Report, mismatches: &[Mismatch]) -> Verdict {
        let names: Vec<&str> = report.findings.iter().map(|f| f.kind.name()).collect();
        if self.flaw.is_some() {
            let found = self.detect.iter().any(|want| {
                names.contains(&want.as_str()) || (want == "wrong-result" && !mismatches.is_empty())
            });
            if found {
                return Verdict::Pass;
            }
            let wanted = self.detect.join(" | ");
            return Verdict::Fail(format!("expected {wanted}, found {}", names.join(", ")));
        }
        if let Some(mismatch) = mismatches.first() {
            return Verdict::Fail(mismatch.to_string());
        }
        let wrong =
            report.findings.iter().find(|f| !self.tolerate.iter().any(|t| t == f.kind.name()));
        match wrong {
            Some(finding) => Verdict::Fail(finding.to_string()),
            None => Verdict::Pass,
        }
    }
}

fn place<'t>(
    machine: &mut Machine,
    placed: &mut HashMap<String, Placed>,
    name: &str,
    uninit: bool,
    tensor: &impl Fn(&str) -> Result<safetensors::tensor::TensorView<'t>>,
) -> Result<DevicePtr> {
    if let Some(buffer) = placed.get(name) {
        return Ok(buffer.at);
    }
    let view = tensor(name)?;
    let data = view.data();
    debug_assert!(data.len().is_multiple_of(element_bytes(view.dtype())));
    let at = machine.allocate(0, data.len(), name)?;
    if uninit {
        machine.write_undefined(at, data)?;
    } else {
        machine.write(at, data)?;
    }
    placed.insert(name.to_string(), Placed { at, bytes: data.len() });
    Ok(at)
}
