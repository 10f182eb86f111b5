//! What the kernels of the catalogue take, as NVIDIA's assembler counts it: the committed table
//! `kernels/resources.txt`. Registers and shared memory may get fewer, never more.

use crate::assembler::Resources;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::OnceLock;

/// The architectures that the table has columns for.
pub const TARGETS: [&str; 3] = ["sm_80", "sm_90a", "sm_100a"];

/// The committed text.
const TEXT: &str = include_str!("../kernels/resources.txt");

/// First words of the line that names the assembler.
const MADE_BY: &str = "# ptxas ";

/// Registers and shared memory by kernel.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Table {
    /// Release of the assembler that counted: `13.0`.
    pub release: String,
    rows: BTreeMap<String, Row>,
}

/// One kernel.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Row {
    /// Registers of a thread by target; none where the kernel does not run.
    registers: [Option<u32>; TARGETS.len()],
    /// Static shared memory of a CTA, bytes.
    shared_bytes: u32,
}

impl Table {
    /// An empty table of what an assembler of that release counts.
    pub fn new(release: String) -> Table {
        Table { release, rows: BTreeMap::new() }
    }

    /// The committed table.
    pub fn committed() -> &'static Table {
        static TABLE: OnceLock<Table> = OnceLock::new();
        TABLE.get_or_init(|| {
            Table::parse(TEXT).unwrap_or_else(|line| panic!("a test reads every line: {line}"))
        })
    }

    /// Reads a table; `Err` is the line that is none.
    pub fn parse(text: &str) -> Result<Table, String> {
        let mut table = Table::default();
        for line in text.lines() {
            if let Some(release) = line.strip_prefix(MADE_BY) {
                table.release = release.split_whitespace().next().unwrap_or_default().to_owned();
            }
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let (name, row) = Row::parse(line).ok_or_else(|| line.to_owned())?;
            table.rows.insert(name, row);
        }
        Ok(table)
    }

    /// Names of its kernels, in order.
    pub fn kernels(&self) -> impl Iterator<Item = &str> {
        self.rows.keys().map(String::as_str)
    }

    /// Registers of a thread of a kernel that runs on that target.
    pub fn registers(&self, kernel: &str, target: &str) -> Option<u32> {
        let column = TARGETS.iter().position(|known| *known == target)?;
        self.rows.get(kernel)?.registers[column]
    }

    /// Adds what the assembler counted for a target; others are left out.
    pub fn insert(&mut self, target: &str, found: &Resources) {
        let Some(column) = TARGETS.iter().position(|known| *known == target) else { return };
        let row = self.rows.entry(found.entry.clone()).or_default();
        row.registers[column] = Some(found.registers);
        row.shared_bytes = row.shared_bytes.max(found.shared_bytes);
    }

    /// What is worse than the table says, or not in it, in one line.
    pub fn complaint(&self, target: &str, found: &Resources) -> Option<String> {
        let Resources { entry, registers, shared_bytes, .. } = found;
        let Some(most) = self.registers(entry, target) else {
            return Some(format!("{entry} is not in the table of resources for {target}"));
        };
        if *registers > most {
            return Some(format!("{entry}: {registers} registers; the table has {most}"));
        }
        let most = self.rows[entry].shared_bytes;
        (*shared_bytes > most).then(|| {
            format!("{entry}: {shared_bytes} bytes of shared memory; the table has {most}")
        })
    }
}

impl Row {
    fn parse(line: &str) -> Option<(String, Row)> {
        let mut words = line.split_whitespace();
        let name = words.next()?.to_owned();
        let mut row = Row::default();
        for registers in &mut row.registers {
            let word = words.next()?;
            *registers = if word == "-" { None } else { Some(word.parse().ok()?) };
        }
        row.shared_bytes = words.next()?.parse().ok()?;
        words.next().is_none().then_some((name, row))
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "# Registers of a thread by architecture, and static shared memory in bytes.")?;
        writeln!(f, "# They may get fewer: `vincie ptx check` compares, `--write-table` writes.")?;
        writeln!(f, "{MADE_BY}{}", self.release)?;
        let [a, b, c] = TARGETS;
        writeln!(f, "# {:<46} {a:>7} {b:>7} {c:>7} {:>7}", "kernel", "shared")?;
        for (name, row) in &self.rows {
            write!(f, "{name:<48}")?;
            for registers in row.registers {
                let word = registers.map_or("-".to_owned(), |registers| registers.to_string());
                write!(f, " {word:>7}")?;
            }
            writeln!(f, " {:>7}", row.shared_bytes)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue;

    fn found(registers: u32, shared_bytes: u32) -> Resources {
        Resources { entry: "scale".into(), registers, shared_bytes, ..Resources::default() }
    }

    #[test]
    fn a_table_is_read_as_it_is_written() {
        let mut table = Table::new("13.0".into());
        table.insert("sm_80", &found(17, 64));
        table.insert("sm_90a", &found(18, 64));
        table.insert("sm_75", &found(99, 64));
        assert_eq!(Table::parse(&table.to_string()), Ok(table.clone()));
        assert_eq!(table.registers("scale", "sm_90a"), Some(18));
        assert_eq!(table.registers("scale", "sm_100a"), None);
        for bad in ["scale 1 2", "scale 1 2 x 4", "scale 1 2 3 4 5"] {
            assert_eq!(Table::parse(bad), Err(bad.to_owned()));
        }
    }

    #[test]
    fn only_more_is_a_complaint() {
        let mut table = Table::default();
        table.insert("sm_80", &found(17, 64));
        assert_eq!(table.complaint("sm_80", &found(17, 64)), None);
        assert_eq!(table.complaint("sm_80", &found(12, 0)), None);
        assert!(table.complaint("sm_80", &found(18, 64)).is_some_and(|line| line.contains("18")));
        assert!(table.complaint("sm_80", &found(17, 65)).is_some_and(|line| line.contains("65")));
        assert!(table.complaint("sm_90a", &found(1, 1)).is_some());
    }

    #[test]
    fn the_committed_table_is_of_kernels_of_the_catalogue() {
        let table = Table::committed();
        assert!(!table.release.is_empty() && table.kernels().count() > 0);
        for name in table.kernels() {
            let rewrite = "vincie ptx check --write-table ptx/kernels/resources.txt";
            assert!(catalogue::find(name).is_some(), "{name} is no kernel any more: {rewrite}");
        }
    }
}
