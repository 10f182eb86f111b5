//! Rows of columns, read page by page.

use super::Parquet;
use super::footer::Leaf;
use super::page::{DataPage, MAX_HEADER_BYTES, PageHeader, PageKind, Present, Values};
use crate::{Error, Result};
use std::sync::Arc;

/// Most entries that a list in one row may have.
const MAX_ROW_ENTRIES: usize = 1 << 16;

/// A value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A whole number.
    Int(i64),
    /// Text or other bytes.
    Bytes(Vec<u8>),
}

/// What a row has in a column: one entry outside lists, else one for every element of its list, `None`
/// where it is null. A list that is null or empty has no entries.
pub type Cell = Vec<Option<Value>>;

/// The rows of some columns; each is one [`Cell`] a column, in the order asked for. After an `Err` there
/// are no more.
#[derive(Debug)]
pub struct Rows {
    parquet: Arc<Parquet>,
    columns: Vec<usize>,
    /// The group that is read next.
    group: usize,
    /// Rows of the open group that are still to come.
    left: u64,
    open: Vec<Column>,
}

impl Rows {
    pub(super) fn new(parquet: Arc<Parquet>, columns: &[usize]) -> Self {
        Self { parquet, columns: columns.to_vec(), group: 0, left: 0, open: Vec::new() }
    }
}

impl Iterator for Rows {
    type Item = Result<Vec<Cell>>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.left == 0 {
            self.left = self.parquet.footer.groups.get(self.group)?.rows;
            let open = |&leaf: &usize| Column::new(&self.parquet, self.group, leaf);
            self.open = self.columns.iter().map(open).collect();
            self.group += 1;
        }
        self.left -= 1;
        let row: Result<Vec<Cell>, _> = self.open.iter_mut().map(Column::next_row).collect();
        Some(row.inspect_err(|_| (self.left, self.group) = (0, usize::MAX)))
    }
}

/// A column in a group of rows.
#[derive(Debug)]
struct Column {
    parquet: Arc<Parquet>,
    /// Number of the column in the file.
    leaf: usize,
    codec: i64,
    /// Where the next page lies, and where the last ends.
    at: u64,
    end: u64,
    /// Entries that no page has brought yet.
    left: u64,
    dictionary: Option<Values>,
    page: Option<DataPage>,
    /// The entry of the page that comes next, and the value.
    entry: usize,
    value: usize,
}

impl Column {
    fn new(parquet: &Arc<Parquet>, group: usize, leaf: usize) -> Self {
        let chunk = &parquet.footer.groups[group].chunks[leaf];
        Self {
            parquet: Arc::clone(parquet),
            leaf,
            codec: chunk.codec,
            at: chunk.start,
            end: chunk.start.saturating_add(chunk.bytes).min(parquet.length),
            left: chunk.values,
            dictionary: None,
            page: None,
            entry: 0,
            value: 0,
        }
    }

    fn leaf(&self) -> &Leaf {
        &self.parquet.footer.leaves[self.leaf]
    }

    fn refuse(&self, what: impl std::fmt::Display) -> Error {
        self.parquet.refuse(format!("column {}: {what}", self.leaf().path.join(".")))
    }

    /// The entries up to the next that begins a row.
    fn next_row(&mut self) -> Result<Cell> {
        let mut cell = Cell::new();
        let mut entries = 0;
        loop {
            if !self.has_entry()? {
                return match entries {
                    0 => Err(self.refuse("has fewer rows than its group")),
                    _ => Ok(cell),
                };
            }
            let page = self.page.as_ref().expect("an entry lies in a page");
            let (definition, repetition) =
                (page.definitions[self.entry], page.repetitions[self.entry]);
            if (entries == 0) != (repetition == 0) {
                return match entries {
                    0 => Err(self.refuse("begins a row in the middle of a list")),
                    _ => Ok(cell),
                };
            }
            if entries == MAX_ROW_ENTRIES {
                return Err(self.refuse(format!("list of more than {MAX_ROW_ENTRIES}")));
            }
            if definition == self.leaf().max_definition {
                cell.push(Some(self.present()?));
                self.value += 1;
            } else if definition >= self.leaf().element_definition {
                cell.push(None);
            }
            self.entry += 1;
            entries += 1;
        }
    }

    /// Whether there is a next entry; opens the page that has it.
    fn has_entry(&mut self) -> Result<bool> {
        while self.page.as_ref().is_none_or(|page| self.entry >= page.definitions.len()) {
            if self.left == 0 {
                return Ok(false);
            }
            self.next_page()?;
        }
        Ok(true)
    }

    fn next_page(&mut self) -> Result<()> {
        // A header states no length: what may hold it is read, and what it took is passed over. Most
        // take few bytes; one with long statistics takes more.
        let mut size = self.end.saturating_sub(self.at).min(256);
        let (header, taken) = loop {
            let mut bytes = vec![0; size as usize];
            self.parquet.read_at(&mut bytes, self.at)?;
            let most = self.end.saturating_sub(self.at).min(MAX_HEADER_BYTES);
            match PageHeader::parse(&bytes) {
                Ok(parsed) => break parsed,
                Err(_) if size < most => size = most,
                Err(what) => return Err(self.refuse(what)),
            }
        };
        self.at += taken as u64;
        if header.packed > self.end - self.at {
            let (packed, left) = (header.packed, self.end - self.at);
            return Err(self.refuse(format!("page of {packed} bytes, of which {left} are there")));
        }
        let mut bytes = vec![0; header.packed as usize];
        self.parquet.read_at(&mut bytes, self.at)?;
        self.at += header.packed;
        match header.kind {
            PageKind::Other => {}
            PageKind::Dictionary => {
                let values = header.dictionary(bytes, self.codec, self.leaf());
                self.dictionary = Some(values.map_err(|what| self.refuse(what))?);
            }
            PageKind::Data | PageKind::DataV2 => {
                if header.values > self.left {
                    let (has, left) = (header.values, self.left);
                    return Err(self.refuse(format!("page of {has} values where {left} are left")));
                }
                let page = header.data(bytes, self.codec, self.leaf());
                self.page = Some(page.map_err(|what| self.refuse(what))?);
                self.left -= header.values;
                (self.entry, self.value) = (0, 0);
            }
        }
        Ok(())
    }

    /// The value that comes next.
    fn present(&self) -> Result<Value> {
        let page = self.page.as_ref().expect("a value lies in a page");
        let (values, index) = match &page.values {
            Present::Plain(values) => (values, self.value),
            Present::Indices(indices) => {
                let Some(dictionary) = &self.dictionary else {
                    return Err(self.refuse("names entries of a dictionary that is not there"));
                };
                (dictionary, indices[self.value] as usize)
            }
        };
        if index >= values.len() {
            let has = values.len();
            return Err(self.refuse(format!("names entry {index} of a dictionary of {has}")));
        }
        Ok(match values {
            Values::Int(values) => Value::Int(values[index]),
            Values::Bytes(bytes, ends) => {
                let start = if index == 0 { 0 } else { ends[index - 1] };
                Value::Bytes(bytes[start..ends[index]].to_vec())
            }
        })
    }
}
