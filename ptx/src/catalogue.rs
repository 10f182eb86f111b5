//! The handwritten kernels: what stands under `kernels/`, one folder an op, templates expanded.

use crate::error::Result;
use crate::template::{Template, Variant};
use std::collections::BTreeMap;
use std::sync::OnceLock;

/// Folder of the texts that templates include; it holds no kernels.
const INCLUDED: &str = "include";

/// Folder, file and text of everything under `kernels/`.
static FILES: &[(&str, &str, &str)] = include!(concat!(env!("OUT_DIR"), "/kernels.rs"));

/// One kernel of the catalogue.
#[derive(Debug)]
pub struct Entry {
    /// Name of the kernel's entry, which is unique: `rms_norm_forward_bf16`.
    pub name: String,
    /// The op whose folder it stands in.
    pub op: &'static str,
    /// Its file, from the repository's folder `ptx/kernels`.
    pub file: String,
    /// The first architecture it runs on, from the file's name: `sm_80`.
    pub arch: String,
    /// Values of the template's names.
    pub variant: Variant,
    template: &'static Template,
    text: OnceLock<String>,
}

impl Entry {
    /// The PTX text, with the contract in its header.
    pub fn text(&self) -> &str {
        self.text.get_or_init(|| {
            let expanded = self.template.expand(&self.variant);
            expanded.unwrap_or_else(|e| panic!("the catalogue's tests expand every kernel: {e}"))
        })
    }
}

struct Catalogue {
    entries: Vec<Entry>,
    by_name: BTreeMap<String, usize>,
}

fn catalogue() -> &'static Catalogue {
    static CATALOGUE: OnceLock<Catalogue> = OnceLock::new();
    CATALOGUE.get_or_init(|| {
        let entries =
            read().unwrap_or_else(|e| panic!("the catalogue's tests read every file: {e}"));
        let by_name = entries.iter().enumerate().map(|(i, e)| (e.name.clone(), i)).collect();
        Catalogue { entries, by_name }
    })
}

fn read() -> Result<Vec<Entry>> {
    static TEMPLATES: OnceLock<Vec<(&str, String, Template)>> = OnceLock::new();
    let include = |wanted: &str| {
        let found = FILES.iter().find(|(op, file, _)| *op == INCLUDED && *file == wanted);
        found.map(|(_, _, text)| *text)
    };
    let mut templates = Vec::new();
    for (op, file, text) in FILES.iter().filter(|(op, _, _)| *op != INCLUDED) {
        let path = format!("{op}/{file}");
        let template = Template::new(&path, text, &include)?;
        templates.push((*op, path, template));
    }
    let mut entries = Vec::new();
    for (op, path, template) in TEMPLATES.get_or_init(|| templates) {
        let stem = path.trim_end_matches(".ptx");
        let arch = stem.rsplit_once("_sm").map_or("80", |(_, arch)| arch);
        for variant in template.variants() {
            entries.push(Entry {
                name: template.entry(&variant)?,
                op,
                file: path.clone(),
                arch: format!("sm_{arch}"),
                variant,
                template,
                text: OnceLock::new(),
            });
        }
    }
    Ok(entries)
}

/// All kernels, by op and file.
pub fn kernels() -> &'static [Entry] {
    &catalogue().entries
}

/// The kernel of that name.
pub fn find(name: &str) -> Option<&'static Entry> {
    catalogue().by_name.get(name).map(|at| &catalogue().entries[*at])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Module;
    use crate::contract::Contract;
    use std::collections::BTreeSet;

    #[test]
    fn every_kernel_keeps_its_contract() {
        let mut names = BTreeSet::new();
        for entry in read().expect("every file is read") {
            let text = entry.template.expand(&entry.variant).unwrap_or_else(|e| panic!("{e}"));
            let contract = Contract::parse(&text, &entry.file).unwrap_or_else(|e| panic!("{e}"));
            let module = Module::parse(&text, &entry.file).unwrap_or_else(|e| panic!("{e}"));
            contract.verify(&module).unwrap_or_else(|e| panic!("{e}"));
            assert_eq!(contract.entry, entry.name, "{}", entry.file);
            assert_eq!(module.entries().collect::<Vec<_>>(), [&entry.name], "{}", entry.file);
            assert!(entry.name.starts_with(entry.op), "{} stands in {}", entry.name, entry.op);
            assert!(names.insert(entry.name.clone()), "{} stands twice", entry.name);
        }
        assert!(!names.is_empty());
    }
}
