//! Tables of text with aligned columns, for the terminal and for reports.

use crate::console::printable;
use std::fmt;

/// Space between two columns.
const GAP: &str = "  ";

/// Which side of its column a text keeps to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// Named columns and rows; displays as lines without a line break at the end.
#[derive(Clone, Debug)]
pub(crate) struct Table {
    columns: Vec<(String, Align)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table without rows.
    pub(crate) fn new<'n>(columns: impl IntoIterator<Item = (&'n str, Align)>) -> Self {
        let columns = columns.into_iter().map(|(name, align)| (name.to_owned(), align)).collect();
        Self { columns, rows: Vec::new() }
    }

    /// Adds a row, which has a text for each column.
    pub(crate) fn row<T: Into<String>>(&mut self, cells: impl IntoIterator<Item = T>) {
        let row: Vec<String> = cells.into_iter().map(Into::into).collect();
        assert_eq!(row.len(), self.columns.len(), "a row has a text for each column");
        self.rows.push(row.iter().map(|cell| printable(cell).into_owned()).collect());
    }

    /// Names and alignments.
    pub(crate) fn columns(&self) -> &[(String, Align)] {
        &self.columns
    }

    /// Rows, each with a text for every column.
    pub(crate) fn rows(&self) -> &[Vec<String>] {
        &self.rows
    }

    fn width(&self, column: usize) -> usize {
        let cells = self.rows.iter().map(|row| row[column].chars().count());
        cells.chain([self.columns[column].0.chars().count()]).max().unwrap_or(0)
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let widths: Vec<usize> = (0..self.columns.len()).map(|c| self.width(c)).collect();
        let names: Vec<String> = self.columns.iter().map(|(name, _)| name.clone()).collect();
        for (at, row) in std::iter::once(&names).chain(&self.rows).enumerate() {
            let mut line = String::new();
            for ((cell, &width), (_, align)) in row.iter().zip(&widths).zip(&self.columns) {
                line += &match align {
                    Align::Left => format!("{cell:<width$}{GAP}"),
                    Align::Right => format!("{cell:>width$}{GAP}"),
                };
            }
            let end = if at < self.rows.len() { "\n" } else { "" };
            write!(f, "{}{end}", line.trim_end())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let mut table = Table::new([("name", Align::Left), ("frames", Align::Right)]);
        assert_eq!(table.to_string(), "name  frames");
        table.row(["häuser", "7"]);
        table.row(["a\tb", "1200"]);
        assert_eq!(table.to_string(), "name    frames\nhäuser       7\na\\tb      1200");
    }
}
