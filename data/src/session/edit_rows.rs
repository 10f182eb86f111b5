//! MagicBrush's edits as they are published: rows of Parquet files, pictures inside.
//!
//! Columns are `img_id`, `turn_index`, `source_img`, `mask_img` (may be null or absent), `instruction`
//! and `target_img`; pictures are structures of `bytes` and a `path` that is not used.

use super::edits::{Picture, Row, conversation, conversations};
use super::{ImportConfig, Session};
use crate::parquet::{Cell, Parquet, Rows, Value};
use crate::{Error, Result};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;

/// Most bytes of pictures whose conversations are not complete yet.
const MAX_HELD_BYTES: usize = 2 << 30;

/// The sessions of some files. The rows of a conversation may lie in any order and in several files:
/// their number is known before any picture is read, and a session comes when its last row has.
pub(super) struct EditRows {
    config: ImportConfig,
    files: std::vec::IntoIter<PathBuf>,
    open: Option<(Arc<Parquet>, Rows)>,
    /// Rows that are still to come, by `img_id`.
    awaited: HashMap<String, usize>,
    /// Rows that have come, of conversations that are not complete.
    held: BTreeMap<String, BTreeMap<u32, Row>>,
    held_bytes: usize,
    ready: VecDeque<Result<Vec<Row>>>,
    last: PathBuf,
}

impl EditRows {
    /// Whether a file has the columns of edits.
    pub(super) fn are_in(parquet: &Parquet) -> bool {
        ["img_id", "turn_index"].iter().all(|name| parquet.column(name, name).is_some())
    }

    pub(super) fn open(files: Vec<PathBuf>, config: &ImportConfig) -> Result<Self> {
        let mut awaited = HashMap::new();
        for file in &files {
            let parquet = Arc::new(Parquet::open(file)?);
            for row in parquet.rows(&[needed(&parquet, "img_id", "img_id")?]) {
                *awaited.entry(text(&parquet, "img_id", &row?[0])?).or_insert(0) += 1;
            }
        }
        Ok(Self {
            config: *config,
            files: files.into_iter(),
            open: None,
            awaited,
            held: BTreeMap::new(),
            held_bytes: 0,
            ready: VecDeque::new(),
            last: PathBuf::new(),
        })
    }

    /// Takes a row in, and its conversation out where it is complete.
    fn take(&mut self, row: Row) -> Result<()> {
        let id = row.img_id.clone();
        let (turn, bytes) = (row.turn_index, bytes(&row));
        self.held_bytes += bytes;
        let turns = self.held.entry(id.clone()).or_default();
        if turns.insert(turn, row).is_some() {
            // The later row has taken the place of the earlier.
            let what = format!("turn {turn} of {id:?} is there twice");
            self.ready.push_back(Err(Error::format(&self.last, what)));
        }
        if self.held_bytes > MAX_HELD_BYTES {
            let what = format!(
                "{} conversations of {} bytes wait for their last rows; the limit is {MAX_HELD_BYTES}",
                self.held.len(),
                self.held_bytes
            );
            (self.held, self.held_bytes, self.open) = (BTreeMap::new(), 0, None);
            self.files = Vec::new().into_iter();
            return Err(Error::limit(&self.last, what));
        }
        let awaited = self.awaited.entry(id.clone()).or_insert(1);
        *awaited = awaited.saturating_sub(1);
        if *awaited == 0
            && let Some(turns) = self.held.remove(&id)
        {
            self.held_bytes -= turns.values().map(self::bytes).sum::<usize>().min(self.held_bytes);
            self.ready.extend(conversations(turns).into_iter().map(Ok));
        }
        Ok(())
    }

    /// The next row of any file, `None` behind the last.
    fn row(&mut self) -> Option<Result<Row>> {
        loop {
            if let Some((parquet, rows)) = &mut self.open {
                if let Some(cells) = rows.next() {
                    return Some(cells.and_then(|cells| edit(parquet, cells)));
                }
                self.open = None;
            }
            self.last = self.files.next()?;
            let opened = Parquet::open(&self.last).and_then(|parquet| {
                let parquet = Arc::new(parquet);
                let mut columns = Vec::new();
                for (name, part) in COLUMNS {
                    columns.push(needed(&parquet, name, part)?);
                }
                columns.extend(parquet.column("mask_img", "bytes"));
                let rows = parquet.rows(&columns);
                Ok((parquet, rows))
            });
            match opened {
                Ok(opened) => self.open = Some(opened),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

/// Columns in the order in which [`edit`] takes them; that of masks comes behind.
const COLUMNS: [(&str, &str); 5] = [
    ("img_id", "img_id"),
    ("turn_index", "turn_index"),
    ("instruction", "instruction"),
    ("source_img", "bytes"),
    ("target_img", "bytes"),
];

impl Iterator for EditRows {
    type Item = Result<Session>;

    fn next(&mut self) -> Option<Result<Session>> {
        loop {
            if let Some(rows) = self.ready.pop_front() {
                return Some(rows.and_then(|rows| conversation(&self.last, &rows, &self.config)));
            }
            match self.row() {
                Some(row) => {
                    if let Err(error) = row.and_then(|row| self.take(row)) {
                        return Some(Err(error));
                    }
                }
                // What is held now has lost rows to an error; the turns that are there are used.
                None => {
                    let (_, turns) = self.held.pop_first()?;
                    self.ready.extend(conversations(turns).into_iter().map(Ok));
                }
            }
        }
    }
}

fn bytes(row: &Row) -> usize {
    let mask = row.mask_img.as_ref().map_or(0, Picture::held);
    row.source_img.held() + row.target_img.held() + mask
}

fn edit(parquet: &Parquet, cells: Vec<Cell>) -> Result<Row> {
    let mut cells = cells.into_iter();
    let mut next = || cells.next().unwrap_or_default();
    let img_id = text(parquet, "img_id", &next())?;
    let turn_index = match next().pop() {
        Some(Some(Value::Int(turn))) if (0..=i64::from(u32::MAX)).contains(&turn) => turn as u32,
        other => {
            let what = format!("turn_index of {img_id:?} is {other:?}; it is a number from 1 on");
            return Err(Error::format(parquet.path(), what));
        }
    };
    let instruction = text(parquet, "instruction", &next())?;
    let mut picture = |name: &str| match next().pop() {
        Some(Some(Value::Bytes(bytes))) => Ok(Picture::Bytes(bytes)),
        _ => {
            let what = format!("{name} of turn {turn_index} of {img_id:?} has no bytes");
            Err(Error::format(parquet.path(), what))
        }
    };
    let (source_img, target_img) = (picture("source_img")?, picture("target_img")?);
    let mask_img = picture("mask_img").ok();
    Ok(Row { img_id, turn_index, source_img, mask_img, instruction, target_img })
}

/// The number of a column that must be there.
pub(super) fn needed(parquet: &Parquet, name: &str, part: &str) -> Result<usize> {
    parquet.column(name, part).ok_or_else(|| {
        let has: Vec<String> = parquet.columns().take(20).collect();
        let what = format!("has no column {name}; its columns are {}", has.join(", "));
        Error::format(parquet.path(), what)
    })
}

/// The text of a cell that must hold one.
pub(super) fn text(parquet: &Parquet, name: &str, cell: &Cell) -> Result<String> {
    match cell.as_slice() {
        [Some(Value::Bytes(bytes))] => String::from_utf8(bytes.clone())
            .map_err(|_| Error::format(parquet.path(), format!("{name} is not UTF-8"))),
        _ => Err(Error::format(parquet.path(), format!("a row has no {name}"))),
    }
}
