//! The defaults and the commented template are what the documentation in the sources says.

use super::tests::{defaults, parse};
use super::*;
use std::collections::BTreeMap;
use std::fs;

/// Sources whose documentation is what users read: the sections' own and the network's.
const SOURCES: [(&str, &str); 8] = [
    ("model", include_str!("model.rs")),
    ("data", include_str!("data.rs")),
    ("tasks", include_str!("tasks.rs")),
    ("diffusion", include_str!("diffusion.rs")),
    ("optimizer", include_str!("optimizer.rs")),
    ("run", include_str!("run.rs")),
    ("model", include_str!("../../network/config.rs")),
    ("model", include_str!("../../config.rs")),
];

/// Texts of the fields of all structs in [`SOURCES`], without their default, and the default.
fn documentation() -> BTreeMap<(&'static str, String), (String, Option<String>)> {
    let mut all = BTreeMap::new();
    for (section, source) in SOURCES {
        let mut is_struct = false;
        let mut text = String::new();
        for line in source.lines().map(str::trim) {
            if let Some(more) = line.strip_prefix("/// ") {
                text = format!("{text} {more}").trim().to_owned();
                continue;
            }
            is_struct = (is_struct && line != "}") || line.starts_with("pub struct");
            let field = line.strip_prefix("pub ").and_then(|field| field.split_once(": "));
            if let (true, Some((key, _))) = (is_struct, field) {
                let (about, default) = match text.split_once(" Default: ") {
                    Some((about, default)) => (about, default.strip_suffix('.')),
                    None => (text.as_str(), None),
                };
                let entry = (about.to_owned(), default.map(str::to_owned));
                let replaced = all.insert((section, key.to_owned()), entry);
                assert_eq!(replaced, None, "two keys of [{section}] are called {key}");
            }
            if !line.starts_with("#[") {
                text.clear();
            }
        }
    }
    all
}

/// Every key with its default as TOML, in the order of the sections; `None` where there is no
/// value.
fn default_values() -> Vec<(&'static str, &'static str, Option<String>)> {
    let table = Table::try_from(TrainConfig::default()).expect("TOML can hold the defaults");
    let mut all = Vec::new();
    for (name, fields) in sections() {
        for field in fields {
            let value = table[name].get(field.key).map(Value::to_string);
            all.push((name, field.key, value));
        }
    }
    all
}

#[test]
fn every_default_is_the_documented_one() {
    let documentation = documentation();
    let ours = default_values()
        .into_iter()
        .filter(|(section, key, _)| (*section, *key) == ("model", "preset") || *section != "model");
    let mut count = 0;
    for (section, key, value) in ours {
        let (about, default) =
            documentation.get(&(section, key.to_owned())).expect("every key is documented");
        let default = default.as_deref().expect("every default is documented");
        assert!(about.ends_with('.'), "{section}.{key}: {about}");
        match value {
            None => assert_eq!(default, "none", "{section}.{key}"),
            Some(value) => {
                let documented = toml::from_str::<Table>(&format!("{key} = {default}"));
                let actual = toml::from_str::<Table>(&format!("{key} = {value}"));
                assert_eq!(documented, actual, "{section}.{key}");
            }
        }
        count += 1;
    }
    assert_eq!(count, 1 + 11 + 9 + 4 + 10 + 16);
}

/// `default.toml` as the documentation in the sources says it.
fn template() -> String {
    let documentation = documentation();
    let mut text = "# Every key of a training configuration with its default. Keys that are left \
    out have that value.\n"
        .to_owned();
    let mut last = "";
    let kinds: Vec<schema::Kind> =
        sections().into_iter().flat_map(|(_, fields)| fields).map(|field| field.kind).collect();
    for ((section, key, value), kind) in default_values().into_iter().zip(kinds) {
        if section != last {
            text += &format!("\n[{section}]\n");
            last = section;
        }
        let (about, _) =
            documentation.get(&(section, key.to_owned())).expect("every key is documented");
        let is_size = schema::fields::<crate::config::ModelConfig>().iter().any(|f| f.key == key);
        let own = if is_size && section == "model" { " Default: the preset's." } else { "" };
        let choices = match kind {
            schema::Kind::Choice(_) => format!(" One of {kind}."),
            _ => String::new(),
        };
        text += &format!("# {about}{choices}{own}\n");
        text += &match value {
            Some(value) if own.is_empty() => format!("{key} = {value}\n"),
            Some(value) => format!("# {key} = {value}\n"),
            None => format!("# {key} =\n"),
        };
    }
    text
}

/// With `UPDATE_GOLDEN=1` the file is written anew.
#[test]
fn the_template_shows_every_key() {
    let expected = template();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/train/config/default.toml");
        fs::write(path, &expected).expect("the sources are writable");
    } else {
        let message = "the documentation has changed: run the test once with UPDATE_GOLDEN=1";
        assert!(TrainConfig::TEMPLATE == expected, "{message}");
    }
    let config = parse(&expected, &["data.shards=[\"a.tar\"]"]).expect("the template is valid");
    assert_eq!(config, defaults());
}
