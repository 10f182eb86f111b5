//! What a file's footer says: columns, and where their pages lie in each group of rows.

use super::thrift::{Kind, Reader, Result};

/// Most columns of values in a file.
const MAX_LEAVES: usize = 10_000;

/// Deepest nesting of columns.
const MAX_DEPTH: usize = 32;

/// The part of `FileMetaData` that reading needs.
#[derive(Debug, Default)]
pub(super) struct Footer {
    pub(super) leaves: Vec<Leaf>,
    pub(super) groups: Vec<Group>,
}

/// A column that holds values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Leaf {
    /// Names from the top down.
    pub(super) path: Vec<String>,
    pub(super) kind: ValueKind,
    /// Level of definition of a value that is there.
    pub(super) max_definition: u32,
    /// Levels of repetition, 0 outside lists.
    pub(super) max_repetition: u32,
    /// Level of definition from which the innermost list has an element, 0 outside lists.
    pub(super) element_definition: u32,
}

/// Physical types.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ValueKind {
    Int32,
    Int64,
    Bytes,
    /// One that is not read; what it is called.
    Other(&'static str),
}

/// A group of rows.
#[derive(Debug, Default)]
pub(super) struct Group {
    pub(super) rows: u64,
    /// As many as there are leaves.
    pub(super) chunks: Vec<Chunk>,
}

/// The pages of a column in a group.
#[derive(Clone, Debug, Default)]
pub(super) struct Chunk {
    pub(super) codec: i64,
    /// Values, with those that are null.
    pub(super) values: u64,
    /// Where the first page lies, of the dictionary if there is one.
    pub(super) start: u64,
    /// Bytes of all pages.
    pub(super) bytes: u64,
    is_elsewhere: bool,
}

/// An entry of the schema, which is a tree written from the top down.
#[derive(Debug, Default)]
struct Element {
    kind: Option<i64>,
    repetition: i64,
    name: String,
    children: u64,
}

impl Footer {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self> {
        let mut elements = Vec::new();
        let mut groups = Vec::new();
        Reader::new(bytes).fields(|number, kind, reader| {
            match (number, kind) {
                (2, Kind::List) => reader.list(|reader| {
                    elements.push(element(reader)?);
                    Ok(())
                })?,
                (4, Kind::List) => reader.list(|reader| {
                    groups.push(group(reader)?);
                    Ok(())
                })?,
                // A file whose columns are encrypted names the algorithm here.
                (8, _) => return Err("is encrypted, which is not read".to_owned()),
                _ => return Ok(false),
            }
            Ok(true)
        })?;
        let mut leaves = Vec::new();
        let mut elements = elements.into_iter();
        let root = elements.next().ok_or("footer has no schema")?;
        for _ in 0..root.children {
            descend(&mut elements, &Leaf::top(), &mut leaves)?;
        }
        for group in &groups {
            if group.chunks.len() != leaves.len() {
                let (has, needs) = (group.chunks.len(), leaves.len());
                return Err(format!("a group of rows has {has} columns, the schema {needs}"));
            }
            if group.chunks.iter().any(|chunk| chunk.is_elsewhere) {
                return Err("columns lie in another file, which is not read".to_owned());
            }
        }
        Ok(Self { leaves, groups })
    }
}

impl Leaf {
    /// What columns at the top start from.
    fn top() -> Self {
        Self {
            path: Vec::new(),
            kind: ValueKind::Bytes,
            max_definition: 0,
            max_repetition: 0,
            element_definition: 0,
        }
    }
}

/// Takes a column and all inside it off the list of elements.
fn descend(
    elements: &mut impl Iterator<Item = Element>,
    above: &Leaf,
    leaves: &mut Vec<Leaf>,
) -> Result<()> {
    let element = elements.next().ok_or("schema is cut short")?;
    let mut leaf = above.clone();
    leaf.path.push(element.name);
    if leaf.path.len() > MAX_DEPTH {
        return Err(format!("columns are nested deeper than {MAX_DEPTH}"));
    }
    match element.repetition {
        0 => {}
        1 => leaf.max_definition += 1,
        2 => {
            leaf.max_definition += 1;
            leaf.max_repetition += 1;
            leaf.element_definition = leaf.max_definition;
        }
        other => return Err(format!("schema has a repetition {other}; it is 0 to 2")),
    }
    if element.children > 0 {
        for _ in 0..element.children {
            descend(elements, &leaf, leaves)?;
        }
        return Ok(());
    }
    leaf.kind = match element.kind {
        Some(0) => ValueKind::Other("booleans"),
        Some(1) => ValueKind::Int32,
        Some(2) => ValueKind::Int64,
        Some(3) => ValueKind::Other("96-bit numbers"),
        Some(4) => ValueKind::Other("32-bit floats"),
        Some(5) => ValueKind::Other("64-bit floats"),
        Some(6) => ValueKind::Bytes,
        Some(7) => ValueKind::Other("bytes of fixed length"),
        Some(other) => return Err(format!("schema has a type {other}; it is 0 to 7")),
        // A group without columns holds nothing.
        None => return Ok(()),
    };
    if leaves.len() >= MAX_LEAVES {
        return Err(format!("more than {MAX_LEAVES} columns"));
    }
    leaves.push(leaf);
    Ok(())
}

fn element(reader: &mut Reader<'_>) -> Result<Element> {
    let mut element = Element::default();
    reader.fields(|number, kind, reader| {
        match (number, kind) {
            (1, Kind::Int) => element.kind = Some(reader.int()?),
            (3, Kind::Int) => element.repetition = reader.int()?,
            (4, Kind::Binary) => element.name = reader.text()?,
            (5, Kind::Int) => element.children = reader.count()?,
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    Ok(element)
}

fn group(reader: &mut Reader<'_>) -> Result<Group> {
    let mut group = Group::default();
    reader.fields(|number, kind, reader| {
        match (number, kind) {
            (1, Kind::List) => reader.list(|reader| {
                group.chunks.push(chunk(reader)?);
                Ok(())
            })?,
            (3, Kind::Int) => group.rows = reader.count()?,
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    Ok(group)
}

fn chunk(reader: &mut Reader<'_>) -> Result<Chunk> {
    let mut chunk = Chunk::default();
    reader.fields(|number, kind, reader| {
        match (number, kind) {
            (1, Kind::Binary) => chunk.is_elsewhere = !reader.binary()?.is_empty(),
            (3, Kind::Struct) => details(reader, &mut chunk)?,
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    Ok(chunk)
}

/// Reads `ColumnMetaData`.
fn details(reader: &mut Reader<'_>, chunk: &mut Chunk) -> Result<()> {
    let (mut data, mut dictionary) = (0, None);
    reader.fields(|number, kind, reader| {
        match (number, kind) {
            (4, Kind::Int) => chunk.codec = reader.int()?,
            (5, Kind::Int) => chunk.values = reader.count()?,
            (7, Kind::Int) => chunk.bytes = reader.count()?,
            (9, Kind::Int) => data = reader.count()?,
            (11, Kind::Int) => dictionary = Some(reader.count()?),
            _ => return Ok(false),
        }
        Ok(true)
    })?;
    // Writers that have no dictionary may still write its place as 0, where no page can lie.
    chunk.start = dictionary.filter(|&at| at > 0).map_or(data, |at| at.min(data));
    Ok(())
}
