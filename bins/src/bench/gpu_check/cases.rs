//! Launch files on the device and on the emulator.

use super::bench::Bench;
use super::difference::{Comparison, compare};
use super::form::Forms;
use super::protocol::Answer;
use super::report::{Row, Status};
use std::path::{Path, PathBuf};
use std::time::Instant;
use vincie_ptx::corpus::{Case, Output, Verdict};

/// The end of a launch file's name.
const ENDING: &str = ".launch.toml";

/// Elements of a tensor that are told on the terminal.
const TOLD: usize = 4;

/// A folder of launch files.
pub(super) struct Cases {
    pub(super) name: String,
    paths: Vec<PathBuf>,
    /// Whether outputs are rows of microtests, which name their instructions.
    has_forms: bool,
}

impl Cases {
    /// The launch files of a folder, by name.
    pub(super) fn of(name: &str, folder: &Path, has_forms: bool) -> Result<Self, String> {
        let fail = |error: std::io::Error| format!("{}: {error}", folder.display());
        let mut paths = Vec::new();
        for entry in folder.read_dir().map_err(fail)? {
            let path = entry.map_err(fail)?.path();
            if path.to_string_lossy().ends_with(ENDING) {
                paths.push(path);
            }
        }
        if paths.is_empty() {
            return Err(format!("{}: no file NAME{ENDING} in it", folder.display()));
        }
        paths.sort();
        Ok(Self { name: name.to_owned(), paths, has_forms })
    }

    pub(super) fn len(&self) -> usize {
        self.paths.len()
    }

    /// Name of a case.
    pub(super) fn case(&self, index: usize) -> String {
        let name = self.paths[index].file_name().unwrap_or_default().to_string_lossy();
        name.strip_suffix(ENDING).unwrap_or(&name).to_owned()
    }

    pub(super) fn run(&self, index: usize, bench: &mut Bench) -> Row {
        let path = &self.paths[index];
        let mut row = Row::new(&self.case(index));
        let case = match Case::load(path) {
            Ok(case) => case,
            Err(error) => return row.because(Status::Error, error.to_string()),
        };
        let begun = Instant::now();
        let outcome = match case.run(&bench.options) {
            Ok(outcome) => outcome,
            Err(error) => return row.because(Status::Error, format!("emulator: {error}")),
        };
        row.emulator_seconds = Some(begun.elapsed().as_secs_f64());
        row.detail("warp_instructions", outcome.report.counters.total());
        let findings: Vec<&str> =
            outcome.report.findings.iter().map(|finding| finding.kind.name()).collect();
        row.detail("findings", findings);
        if let Verdict::Fail(reason) = &outcome.verdict {
            return row.because(Status::Fails, format!("emulator: {reason}"));
        }
        if let Some(flaw) = &case.flaw {
            let reason = format!("{flaw} is planted in it: it may hang or fault a GPU");
            return row.because(Status::Skipped, reason);
        }
        match bench.launch(path, &row.name) {
            Ok((Answer::Done(done), outputs)) => {
                let emulated = match bench.emulate(&case) {
                    Ok(outputs) => outputs,
                    Err(reason) => {
                        return row.because(Status::Error, format!("emulator: {reason}"));
                    }
                };
                row.gpu_microseconds = Some(done.microseconds);
                row.detail("gpu_seconds", done.seconds);
                row.detail("registers", done.registers);
                row.detail("local_bytes", done.local_bytes);
                self.judge(row, &case, &done.overrun, &outputs, &emulated)
            }
            Ok((Answer::Skipped(reason), _)) => row.because(Status::Skipped, reason),
            Ok((Answer::Fault(reason), _)) => row.because(Status::Fault, reason),
            Ok((Answer::Error(reason), _)) => row.because(Status::Error, reason),
            Ok((other @ (Answer::Ready(_) | Answer::Told(_)), _)) => {
                row.because(Status::Error, format!("a launch was answered with {other:?}"))
            }
            Err(reason) => row.because(Status::Lost, reason),
        }
    }

    fn judge(
        &self,
        mut row: Row,
        case: &Case,
        overrun: &[String],
        gpu: &[Output],
        emulated: &[Output],
    ) -> Row {
        let forms = if self.has_forms { Forms::read(&case.ptx) } else { Forms::default() };
        let compared = compare(case, &forms, gpu, emulated).and_then(|tensors| {
            let mismatches = case.mismatches(gpu).map_err(|error| error.to_string())?;
            Ok((tensors, mismatches))
        });
        let (tensors, mismatches) = match compared {
            Ok(compared) => compared,
            Err(reason) => return row.because(Status::Error, reason),
        };
        row.notes = tensors.iter().flat_map(notes).collect();
        row.detail("tensors", &tensors);
        row.detail("overrun", overrun);
        let texts: Vec<String> = mismatches.iter().map(ToString::to_string).collect();
        row.detail("mismatches", &texts);
        if let Some(name) = overrun.first() {
            return row.because(Status::Fails, format!("{name}: written behind its end"));
        }
        if !texts.is_empty() {
            return row.because(Status::Fails, texts.join("; "));
        }
        let differing: usize = tensors.iter().map(|tensor| tensor.differing).sum();
        if differing > 0 {
            let elements: usize = tensors.iter().map(|tensor| tensor.elements).sum();
            let reason = format!("{differing} of {elements} elements, all within the tolerance");
            return row.because(Status::Differs, reason);
        }
        row
    }
}

/// Lines about the first elements that differ.
fn notes(comparison: &Comparison) -> Vec<String> {
    let line = |differing: &super::difference::Differing| {
        let form = differing.form.as_ref().map(|form| format!(" ({form})")).unwrap_or_default();
        let expected = differing.expected.as_ref();
        let expected = expected.map(|text| format!(", expected {text}")).unwrap_or_default();
        format!(
            "{}[{}]{form}: gpu {}, emulator {}{expected}",
            comparison.tensor, differing.index, differing.gpu, differing.emulator
        )
    };
    let mut lines: Vec<String> = comparison.kept.iter().take(TOLD).map(line).collect();
    if comparison.differing > lines.len() && !lines.is_empty() {
        let more = comparison.differing - lines.len();
        lines.push(format!("{}: {more} more elements differ", comparison.tensor));
    }
    lines
}
