//! `vincie verify`: golden numbers against this build.

use crate::console::{Console, printable};
use crate::device::DeviceArgument;
use crate::dtype::DTypeArgument;
use crate::failure::Failure;
use clap::Args;
use serde::Serialize;
use std::path::PathBuf;
use vincie_dit::verify::{self, CaseReport, Manifest, Status, TensorReport};

/// Check a folder of golden numbers against this build.
///
/// The folder holds `manifest.json` and safetensors files. Every case is computed anew from its
/// inputs and weights and each expected tensor is compared within the tolerance that the manifest
/// gives; what is computed in bf16 (`--dtype bf16`) may be off by 2 % of a
/// tensor's largest value, gradients by 4 %. One row a case is printed as it is done: its name, kind, number of compared tensors, the
/// error and tolerance of the tensor closest to (or furthest beyond) its tolerance, and `ok`,
/// `FAIL` or `unsupported`. The exit code is 1 when a case fails.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  vincie verify golden/\n  \
                        vincie verify golden/ --case dit_tiny --tensors\n  \
                        vincie verify golden/ --device emulated --dtype bf16")]
pub(crate) struct Arguments {
    /// Folder with manifest.json
    #[arg(value_name = "DIR")]
    folder: PathBuf,

    /// Run only the case of this name
    #[arg(long, value_name = "NAME")]
    case: Option<String>,

    /// List every compared tensor below its case
    #[arg(long)]
    tensors: bool,

    /// Print one JSON object instead of rows
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    numbers: DTypeArgument,

    #[command(flatten)]
    device: DeviceArgument,
}

/// What `--json` prints.
#[derive(Serialize)]
struct Answer<'r> {
    passed: usize,
    failed: usize,
    unsupported: usize,
    cases: &'r [CaseReport],
}

/// Widths of the columns of text.
struct Widths {
    name: usize,
    kind: usize,
}

pub(crate) fn run(arguments: Arguments, console: &Console) -> Result<(), Failure> {
    let place = arguments.device.place()?;
    let manifest = Manifest::read(&arguments.folder)?;
    if manifest.cases.is_empty() {
        let folder = arguments.folder.display();
        return Err(Failure::new(format!("{folder}: manifest.json lists no cases")));
    }
    let width = |of: fn(&verify::Case) -> &str, name: &str| {
        let cells = manifest.cases.iter().map(|case| of(case).chars().count());
        cells.chain([name.len()]).max().unwrap_or(0)
    };
    let widths = Widths { name: width(|c| &c.name, "case"), kind: width(|c| &c.kind, "kind") };
    let titles = row(&widths, ["case", "kind", "tensors", "worst", "tolerance", "result"]);
    let mut titles = Some(titles).filter(|_| !arguments.json);
    let mut printed = Ok(());
    let options =
        verify::Options { only: arguments.case.clone(), place, dtype: arguments.numbers.dtype };
    let report = verify::run(&arguments.folder, &options, |case| {
        if !arguments.json && printed.is_ok() {
            let above = titles.take().map_or(Ok(()), |titles| console.line(titles));
            printed = above.and_then(|()| print_case(case, &widths, arguments.tensors, console));
        }
    })?;
    printed?;
    let (passed, failed, unsupported) =
        (report.count(Status::Ok), report.count(Status::Fail), report.count(Status::Unsupported));
    if arguments.json {
        console.json(&Answer { passed, failed, unsupported, cases: &report.cases })?;
    } else {
        console.line(format!("{passed} passed, {failed} failed, {unsupported} unsupported"))?;
    }
    // The counts are the last line of the output, also where both streams are one.
    if failed == 0 { Ok(()) } else { Err(Failure::Reported) }
}

fn print_case(
    case: &CaseReport,
    widths: &Widths,
    with_tensors: bool,
    console: &Console,
) -> Result<(), Failure> {
    let worst = case.worst();
    let number = |of: fn(&TensorReport) -> f64| worst.map_or("-".to_owned(), |t| error(of(t)));
    let mut result = match case.status {
        Status::Ok => "ok".to_owned(),
        Status::Fail => "FAIL".to_owned(),
        Status::Unsupported => "unsupported".to_owned(),
    };
    if let Some(reason) = &case.reason {
        result += &format!("  {reason}");
    } else if let (Status::Fail, Some(worst)) = (case.status, worst) {
        result += &format!("  {}", worst.name);
    }
    let cells = [
        &case.name,
        &case.kind,
        &case.tensors.len().to_string(),
        &number(|tensor| tensor.error),
        &number(|tensor| tensor.bound),
        &result,
    ];
    console.line(row(widths, cells.map(String::as_str)))?;
    if with_tensors {
        for tensor in &case.tensors {
            let state = if tensor.ok { "ok" } else { "FAIL" };
            let (error, bound) = (error(tensor.error), error(tensor.bound));
            let name = printable(&tensor.name);
            console.line(format!("    {error:>9}  {bound:>9}  {state:<4}  {name}"))?;
        }
    }
    Ok(())
}

fn row(widths: &Widths, cells: [&str; 6]) -> String {
    let [name, kind, tensors, worst, tolerance, result] = cells.map(printable);
    let (name_width, kind_width) = (widths.name, widths.kind);
    format!(
        "{name:<name_width$}  {kind:<kind_width$}  {tensors:>7}  {worst:>9}  {tolerance:>9}  {result}"
    )
}

/// An error or tolerance in three digits.
fn error(value: f64) -> String {
    if value == 0.0 { "0".to_owned() } else { format!("{value:.2e}") }
}
