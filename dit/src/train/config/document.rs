//! A configuration's text as a table, with the place of every key, so that an error can point
//! there.

use crate::{Error, Result};
use std::collections::BTreeMap;
use toml::de::{DeTable, DeValue};
use toml::{Spanned, Table, Value};

/// Place of what was changed on the command line.
const COMMAND_LINE: &str = "--set";

/// Longest value that a message repeats in full, characters.
pub(super) const SHOWN: usize = 60;

/// A parsed text and the changes made to it on the command line.
#[derive(Debug)]
pub(super) struct Document {
    name: String,
    table: Table,
    /// `section` and `section.key`, to `file:line` or [`COMMAND_LINE`].
    places: BTreeMap<String, String>,
}

impl Document {
    /// Parses a text; `name` is what errors call it.
    pub(super) fn parse(name: &str, text: &str) -> Result<Self> {
        let line = |at: usize| {
            1 + text.as_bytes()[..at.min(text.len())].iter().filter(|&&b| b == b'\n').count()
        };
        let broken = |error: toml::de::Error| {
            let line = line(error.span().map_or(text.len(), |span| span.start));
            Error::invalid(format!("{name}:{line}: not valid TOML: {}", one_line(error.message())))
        };
        let spans = DeTable::parse(text).map_err(broken)?;
        let mut places = BTreeMap::new();
        let place = |span: std::ops::Range<usize>| format!("{name}:{}", line(span.start));
        for (section, value) in spans.get_ref() {
            places.insert(section.get_ref().to_string(), place(section.span()));
            for (key, _) in entries(value) {
                places
                    .insert(format!("{}.{}", section.get_ref(), key.get_ref()), place(key.span()));
            }
        }
        let table = toml::from_str(text).map_err(broken)?;
        Ok(Self { name: name.to_owned(), table, places })
    }

    /// Applies one `section.key=value`; the value is TOML, or else a text without quotes. `rivals`
    /// are pairs of keys of which only one may be set: the other one gives way.
    pub(super) fn set(&mut self, change: &str, rivals: &[[&str; 2]]) -> Result<()> {
        let wrong = || {
            Error::invalid(format!(
                "--set {}: expected section.key=value, such as optimizer.rate=1e-4",
                show_key(change)
            ))
        };
        let (path, text) = change.split_once('=').ok_or_else(wrong)?;
        let (section, key) = path.trim().split_once('.').ok_or_else(wrong)?;
        if section.is_empty() || key.is_empty() || key.contains('.') {
            return Err(wrong());
        }
        let name = format!("{section}.{key}");
        let entry = self.table.entry(section).or_insert_with(|| Value::Table(Table::new()));
        let Value::Table(table) = entry else { return Err(wrong()) };
        table.insert(key.to_owned(), value_of(text.trim()));
        let rival = rivals.iter().find_map(|&[a, b]| match name.as_str() {
            same if same == a => Some(b),
            same if same == b => Some(a),
            _ => None,
        });
        if let Some(rival) = rival
            && self.place(rival) != COMMAND_LINE
            && let Some((section, key)) = rival.split_once('.')
            && let Some(Value::Table(table)) = self.table.get_mut(section)
        {
            table.remove(key);
        }
        self.places.entry(section.to_owned()).or_insert_with(|| COMMAND_LINE.to_owned());
        self.places.insert(name, COMMAND_LINE.to_owned());
        Ok(())
    }

    /// All sections.
    pub(super) fn table(&self) -> &Table {
        &self.table
    }

    /// Where `section.key` or `section` stands, or failing that what is around it.
    pub(super) fn place(&self, name: &str) -> &str {
        let section = name.split_once('.').map_or(name, |(section, _)| section);
        let found = self.places.get(name).or_else(|| self.places.get(section));
        found.map_or(&self.name, String::as_str)
    }

    /// Whether `section.key` is set.
    pub(super) fn has(&self, section: &str, key: &str) -> bool {
        self.table.get(section).and_then(|section| section.get(key)).is_some()
    }
}

/// A value as a message shows it: one line, cut where it is long.
pub(super) fn show(value: &Value) -> String {
    match value {
        Value::String(text) => cut(format!("{text:?}")),
        Value::Table(_) => "a table".to_owned(),
        other => cut(one_line(&other.to_string())),
    }
}

/// A key as a message shows it: one line, cut where it is long.
pub(super) fn show_key(key: &str) -> String {
    cut(one_line(key))
}

fn cut(text: String) -> String {
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

/// A message without line breaks and other characters that steer a terminal.
pub(super) fn one_line(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.replace(char::is_control, "?")
}

fn value_of(text: &str) -> Value {
    let parsed = toml::from_str::<Table>(&format!("value = {text}"));
    let value = parsed.ok().filter(|table| table.len() == 1).and_then(|mut t| t.remove("value"));
    value.unwrap_or_else(|| Value::String(text.to_owned()))
}

type Entry<'a, 'i> = (&'a Spanned<std::borrow::Cow<'i, str>>, &'a Spanned<DeValue<'i>>);

fn entries<'a, 'i>(value: &'a Spanned<DeValue<'i>>) -> impl Iterator<Item = Entry<'a, 'i>> {
    value.get_ref().as_table().into_iter().flat_map(|table| table.iter())
}
