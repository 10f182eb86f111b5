//! Tensors of a file, or of several under an index, as text, JSON and a page.

use super::statistics::Values;
use super::{Arguments, name_of};
use crate::console::{Console, printable};
use crate::failure::Failure;
use crate::report::Page;
use crate::table::{Align, Table};
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use vincie_dit::weights::Checkpoint;
use vincie_dit::weights::names::{Known, official};

/// A file of tensors; `--json` prints it as it is.
#[derive(Debug, Serialize)]
pub(super) struct TensorFile {
    pub(super) path: PathBuf,
    kind: &'static str,
    /// Tensors in the file.
    pub(super) count: usize,
    /// Values in all tensors.
    pub(super) values: usize,
    /// The model that names and shapes tell, where it is one that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
    /// Bytes of all values.
    bytes: usize,
    /// Free text of the header.
    metadata: BTreeMap<String, String>,
    /// Tensors by name, as many as were asked for.
    tensors: Vec<TensorEntry>,
}

/// One tensor.
#[derive(Debug, Serialize)]
struct TensorEntry {
    name: String,
    dtype: String,
    shape: Vec<usize>,
    count: usize,
    /// Absent for types that have no numbers to look at.
    #[serde(flatten)]
    values: Option<Values>,
}

pub(super) fn inspect(arguments: &Arguments, console: &Console) -> Result<(), Failure> {
    let file = TensorFile::read(&arguments.path, arguments, console)?;
    if let Some(html) = &arguments.html {
        let page = Page::new(format!("Tensors in {}", name_of(&arguments.path)));
        file.blocks(page).write(html)?;
        console.note(format!("wrote {}", html.display()));
    }
    if arguments.json { console.json(&file) } else { file.print(console) }
}

impl TensorFile {
    /// Opens a file and looks at the values of its first tensors, as many as are asked for.
    pub(super) fn read(
        path: &Path,
        arguments: &Arguments,
        console: &Console,
    ) -> Result<Self, Failure> {
        let checkpoint = Checkpoint::open(path)?;
        let names = checkpoint.names();
        let size = |name: &String| {
            let shape = checkpoint.shape(name).unwrap_or_default();
            shape.iter().product::<usize>()
        };
        let shown = arguments.limit.unwrap_or(names.len()).min(names.len());
        let total: usize = names[..shown].iter().map(size).sum();
        let progress = console.progress("reading", "values", Some(total as u64));
        let mut tensors = Vec::with_capacity(shown);
        for name in &names[..shown] {
            tensors.push(TensorEntry {
                dtype: checkpoint.dtype(name).unwrap_or_default(),
                shape: checkpoint.shape(name).unwrap_or_default().to_vec(),
                count: size(name),
                values: match arguments.no_values {
                    true => None,
                    false => Values::of(&checkpoint, name).ok(),
                },
                name: name.clone(),
            });
            checkpoint.release(name);
            progress.advance(size(name) as u64);
        }
        Ok(Self {
            path: path.to_owned(),
            kind: "tensors",
            count: names.len(),
            values: names.iter().map(size).sum(),
            bytes: names.iter().map(|name| checkpoint.bytes(name)).sum(),
            model: official(checkpoint.clone())
                .and_then(|checkpoint| Known::of(&checkpoint))
                .ok()
                .map(|model| model.to_string()),
            metadata: checkpoint.metadata().clone(),
            tensors,
        })
    }

    /// Values that are not finite in the tensors that were looked at.
    pub(super) fn not_finite(&self) -> usize {
        self.tensors.iter().filter_map(|tensor| tensor.values).map(|v| v.not_finite).sum()
    }

    /// Prints counts, free text and the table.
    pub(super) fn print(&self, console: &Console) -> Result<(), Failure> {
        console.line(self.counts())?;
        if let Some(model) = &self.model {
            console.line(model)?;
        }
        for (key, value) in &self.metadata {
            console.line(printable(&format!("  {key}: {value}")))?;
        }
        if !self.tensors.is_empty() {
            console.line(self.table())?;
        }
        match self.count - self.tensors.len() {
            0 => Ok(()),
            more => console.line(format!("{more} more; a larger --limit shows them")),
        }
    }

    /// The same as blocks of a page.
    pub(super) fn blocks(&self, page: Page) -> Page {
        let metadata = self.metadata.iter().map(|(key, value)| (key.as_str(), value.clone()));
        let model = self.model.iter().map(|model| ("model", model.clone()));
        page.paragraph(&self.counts()).facts(model).facts(metadata).table(&self.table())
    }

    fn counts(&self) -> String {
        let bad = match self.not_finite() {
            0 => String::new(),
            bad => format!(", {bad} of them not finite"),
        };
        let size = crate::number::bytes(self.bytes as u64);
        format!("{} tensors, {} values{bad}, {size}", self.count, self.values)
    }

    fn table(&self) -> Table {
        let columns = [
            ("name", Align::Left),
            ("type", Align::Left),
            ("shape", Align::Left),
            ("values", Align::Right),
            ("min", Align::Right),
            ("max", Align::Right),
            ("mean", Align::Right),
            ("not finite", Align::Right),
        ];
        let mut table = Table::new(columns);
        let number = |value: Option<f64>| value.map_or("-".to_owned(), |v| format!("{v:.4e}"));
        for tensor in &self.tensors {
            let values = tensor.values;
            table.row([
                tensor.name.clone(),
                tensor.dtype.clone(),
                format!("{:?}", tensor.shape),
                tensor.count.to_string(),
                number(values.and_then(|values| values.min)),
                number(values.and_then(|values| values.max)),
                number(values.and_then(|values| values.mean)),
                values.map_or("-".to_owned(), |values| values.not_finite.to_string()),
            ]);
        }
        table
    }
}
