//! One case on its way from files to a report.

use super::compare::compare;
use super::manifest::{Case, Rule};
use super::{BF16_GRADIENT_TOLERANCE, BF16_TOLERANCE, Options};
use crate::weights::Checkpoint;
use crate::{Error, Result};
use serde::Serialize;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use vincie_tensor::{Accelerator, DType, Tensor};

/// How a case ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Every expected tensor is within its tolerance.
    Ok,
    /// At least one is not, or could not be computed.
    Fail,
    /// There is no checker for the kind.
    Unsupported,
}

/// One compared tensor.
#[derive(Clone, Debug, Serialize)]
pub struct TensorReport {
    /// Name in the golden file.
    pub name: String,
    /// Error in the rule's measure.
    pub error: f64,
    /// Largest error allowed.
    pub bound: f64,
    /// Whether it is within.
    pub ok: bool,
}

/// One case.
#[derive(Clone, Debug, Serialize)]
pub struct CaseReport {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: String,
    /// How it ended.
    pub status: Status,
    /// Compared tensors.
    pub tensors: Vec<TensorReport>,
    /// Why it failed, where that is not a tensor's error.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl CaseReport {
    /// The tensor that comes closest to its bound, or passes it furthest.
    pub fn worst(&self) -> Option<&TensorReport> {
        let share = |t: &TensorReport| match (t.ok, t.bound > 0.0) {
            (true, true) => t.error / t.bound,
            (true, false) => 0.0,
            (false, _) if t.error.is_nan() => f64::INFINITY,
            (false, true) => t.error / t.bound,
            (false, false) => f64::MAX,
        };
        self.tensors.iter().max_by(|a, b| share(a).total_cmp(&share(b)))
    }
}

/// Reads a case's files and collects comparisons.
pub(super) struct Checker<'c> {
    folder: PathBuf,
    case: &'c Case,
    tensors: Vec<TensorReport>,
    expected: BTreeSet<String>,
    place: Option<Accelerator>,
    dtype: DType,
}

impl<'c> Checker<'c> {
    pub(super) fn new(folder: &Path, case: &'c Case, options: &Options) -> Self {
        let (tensors, expected) = Default::default();
        let (place, dtype) = (options.place.clone(), options.dtype);
        Self { folder: folder.to_owned(), case, tensors, expected, place, dtype }
    }

    /// Where the case is computed.
    pub(super) fn place(&self) -> Option<&Accelerator> {
        self.place.as_ref()
    }

    /// The type that weights and activations are stored in.
    pub(super) fn dtype(&self) -> DType {
        self.dtype
    }

    /// An input of the computation, in that type.
    pub(super) fn input(&self, file: &Checkpoint, name: &str) -> Result<Tensor> {
        let input = file.tensor(name)?.to_f32()?.to_dtype(self.dtype)?;
        Ok(input.to_place(self.place.as_ref())?)
    }

    pub(super) fn config(&self) -> &'c serde_json::Value {
        &self.case.config
    }

    /// The file of a role; `None` where the case has none.
    pub(super) fn path(&self, role: &str) -> Option<PathBuf> {
        self.case.files.get(role).map(|file| self.folder.join(file))
    }

    /// Opens the file of a role; `None` where the case has none.
    pub(super) fn open(&self, role: &str) -> Result<Option<Checkpoint>> {
        self.case.files.get(role).map(|file| Checkpoint::open(&self.folder.join(file))).transpose()
    }

    /// Opens the file of a role that the kind needs.
    pub(super) fn need(&self, role: &str) -> Result<Checkpoint> {
        self.open(role)?.ok_or_else(|| {
            Error::invalid(format!("{}: the case has no file in the role {role}", self.case.name))
        })
    }

    /// Roles in which the case has files.
    pub(super) fn roles(&self) -> impl Iterator<Item = String> {
        self.case.files.keys().cloned()
    }

    /// Says which tensors must all have been compared in the end.
    pub(super) fn expect(&mut self, names: impl IntoIterator<Item = String>) {
        self.expected.extend(names);
    }

    /// `Err` when an expected tensor has not been compared by now; for cases that expect the same names
    /// several times.
    pub(super) fn expect_done(&self, part: &str) -> Result<()> {
        let names: Vec<&str> = self.expected.iter().map(String::as_str).collect();
        match names.is_empty() {
            true => Ok(()),
            false => {
                let what = format!("{}: {part} lacks {}", self.case.name, names.join(", "));
                Err(Error::invalid(what))
            }
        }
    }

    /// Whether the case asks for this tensor.
    pub(super) fn wants(&self, name: &str) -> bool {
        self.expected.contains(name)
    }

    /// Compares what was computed in [`Self::dtype`] with the golden tensor of that name. In bf16
    /// every element may be off by a share of the largest.
    pub(super) fn computed(
        &mut self,
        golden: &Checkpoint,
        name: &str,
        ours: &Tensor,
    ) -> Result<()> {
        let rule = match self.dtype {
            DType::BF16 if name.starts_with("grad.") => {
                Rule::MaxRel { value: BF16_GRADIENT_TOLERANCE, abs: 0.0 }
            }
            DType::BF16 => Rule::MaxRel { value: BF16_TOLERANCE, abs: 0.0 },
            _ => self.case.rule(name)?,
        };
        let ours = ours.to_f32()?.to_vec::<f32>()?;
        let ours = ours.into_iter().map(f64::from).collect();
        self.compare(name, ours, numbers(golden, name)?, rule)
    }

    /// Compares ours with the golden tensor of that name under the manifest's rule.
    pub(super) fn tensor(&mut self, golden: &Checkpoint, name: &str, ours: &Tensor) -> Result<()> {
        let ours = ours.to_f32()?.to_vec::<f32>()?;
        self.values(golden, name, ours.into_iter().map(f64::from).collect())
    }

    /// Compares a list of numbers with the golden tensor of that name.
    pub(super) fn values(&mut self, golden: &Checkpoint, name: &str, ours: Vec<f64>) -> Result<()> {
        self.lists(name, ours, numbers(golden, name)?)
    }

    /// Compares a list of numbers with the golden one of that name.
    pub(super) fn lists(&mut self, name: &str, ours: Vec<f64>, theirs: Vec<f64>) -> Result<()> {
        let rule = self.case.rule(name)?;
        self.compare(name, ours, theirs, rule)
    }

    fn compare(&mut self, name: &str, ours: Vec<f64>, theirs: Vec<f64>, rule: Rule) -> Result<()> {
        if ours.len() != theirs.len() {
            let what = format!(
                "{}: {name} has {} values, ours {}",
                self.case.name,
                theirs.len(),
                ours.len()
            );
            return Err(Error::invalid(what));
        }
        let outcome = compare(rule, &ours, &theirs);
        self.expected.remove(name);
        self.tensors.push(TensorReport {
            name: name.to_owned(),
            error: outcome.error,
            bound: outcome.bound,
            ok: outcome.is_within,
        });
        Ok(())
    }

    /// A file beside the manifest.
    pub(super) fn beside(&self, file: &str) -> PathBuf {
        self.folder.join(file)
    }

    pub(super) fn unsupported(self) -> CaseReport {
        self.report(Status::Unsupported, None)
    }

    pub(super) fn finish(self, outcome: Result<()>) -> CaseReport {
        let reason = match outcome {
            Err(error) => Some(error.to_string()),
            Ok(()) if !self.expected.is_empty() => {
                let names: Vec<&str> = self.expected.iter().map(String::as_str).collect();
                Some(format!("not computed: {}", names.join(", ")))
            }
            Ok(()) if self.tensors.is_empty() => Some("the case expects nothing".to_owned()),
            Ok(()) => None,
        };
        let is_ok = reason.is_none() && self.tensors.iter().all(|tensor| tensor.ok);
        self.report(if is_ok { Status::Ok } else { Status::Fail }, reason)
    }

    fn report(self, status: Status, reason: Option<String>) -> CaseReport {
        let (name, kind) = (self.case.name.clone(), self.case.kind.clone());
        CaseReport { name, kind, status, tensors: self.tensors, reason }
    }
}

/// The numbers of a golden tensor of any type.
pub(super) fn numbers(golden: &Checkpoint, name: &str) -> Result<Vec<f64>> {
    let is_whole = |dtype: String| dtype.starts_with(['I', 'U']) || dtype == "BOOL";
    if golden.dtype(name).is_some_and(is_whole) {
        return Ok(golden.integers(name)?.into_iter().map(|v| v as f64).collect());
    }
    Ok(golden.tensor(name)?.to_f32()?.to_vec::<f32>()?.into_iter().map(f64::from).collect())
}

/// Rows of three or one sizes from an integer tensor.
pub(super) fn sizes<const N: usize>(golden: &Checkpoint, name: &str) -> Result<Vec<[usize; N]>> {
    let all = golden.integers(name)?;
    let row = |row: &[i64]| -> Option<[usize; N]> {
        let mut sizes = [0; N];
        for (to, &from) in sizes.iter_mut().zip(row) {
            *to = usize::try_from(from).ok().filter(|&size| size <= 1 << 24)?;
        }
        Some(sizes)
    };
    let rows: Option<Vec<[usize; N]>> = all.chunks_exact(N).map(row).collect();
    rows.filter(|rows| rows.len() * N == all.len())
        .ok_or_else(|| Error::format(golden.path(), format!("{name} holds no rows of {N} sizes")))
}
