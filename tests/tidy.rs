//! The rules of the house that a compiler does not check: size of files, words that do not stay,
//! reasons beside unsafe code and dependencies, floors, and the four places of every op.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Most lines of a file of code.
const MAX_LINES: usize = 600;

/// Lines above an unsafe block, function or implementation within which its reason stands.
const REASON_LINES: usize = 12;

/// Crates from the top floor to the bottom one; those of one floor stand together. A crate uses
/// only what stands below it.
const FLOORS: [&[&str]; 7] =
    [&["bins"], &["dit"], &["data", "autograd"], &["tensor"], &["gpu"], &["gpu/driver"], &["ptx"]];

/// Crates that may hold unsafe code; the others forbid it.
const UNSAFE: [&str; 3] = ["ptx", "gpu", "tensor"];

/// A text file of the repository.
struct Source {
    /// Path from the root, with slashes.
    name: String,
    text: String,
}

fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("this crate stands in the repository").to_owned()
}

/// Every file with one of the extensions, outside hidden folders and what builds leave.
fn sources(extensions: &[&str]) -> Vec<Source> {
    let mut sources = Vec::new();
    collect(&root(), "", extensions, &mut sources);
    assert!(sources.len() > 50 || extensions != ["rs"], "only {} files found", sources.len());
    sources
}

fn collect(folder: &Path, prefix: &str, extensions: &[&str], sources: &mut Vec<Source>) {
    let entries = fs::read_dir(folder).expect("a folder of the repository can be read");
    let mut paths: Vec<PathBuf> =
        entries.map(|entry| entry.expect("an entry can be read").path()).collect();
    paths.sort();
    for path in paths {
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let name = format!("{prefix}{file}");
        if path.is_dir() {
            let is_ours = !file.starts_with('.') && file != "target";
            if is_ours {
                collect(&path, &format!("{name}/"), extensions, sources);
            }
            continue;
        }
        let extension = path.extension().and_then(|extension| extension.to_str());
        if extension.is_some_and(|extension| extensions.contains(&extension)) {
            let text = fs::read_to_string(&path).unwrap_or_else(|e| panic!("{name}: {e}"));
            sources.push(Source { name, text });
        }
    }
}

/// Fails with all complaints at once.
#[track_caller]
fn check(complaints: Vec<String>) {
    assert!(complaints.is_empty(), "{} complaints:\n{}", complaints.len(), complaints.join("\n"));
}

/// Whether `word` stands in `text` with neither letter, digit nor underscore beside it.
fn has_word(text: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + word.len()..].chars().next();
        !before.is_some_and(is_part) && !after.is_some_and(is_part)
    })
}

#[test]
fn files_are_short() {
    let long = |source: &Source| {
        let lines = source.text.lines().count();
        (lines > MAX_LINES).then(|| format!("{}: {lines} lines; {MAX_LINES} at most", source.name))
    };
    // PTX outside of the kernels is input of tests, such as what other compilers wrote.
    let is_code = |source: &&Source| {
        !source.name.ends_with(".ptx") || source.name.starts_with("ptx/kernels/")
    };
    check(sources(&["rs", "ptx"]).iter().filter(is_code).filter_map(long).collect());
}

#[test]
fn nothing_is_left_for_later() {
    // Put together here, so that this file does not name them.
    let words =
        [["TO", "DO"], ["FIX", "ME"], ["XX", "X"], ["HA", "CK"]].map(|parts| parts.concat());
    let calls = [["to", "do!"], ["unimple", "mented!"], ["#[ig", "nore"], ["#[should_", "panic"]]
        .map(|parts| parts.concat());
    let mut complaints = Vec::new();
    for Source { name, text } in sources(&["rs", "ptx", "toml", "css", "md"]) {
        for (number, line) in text.lines().enumerate() {
            let found = words.iter().filter(|word| has_word(line, word));
            let found = found.chain(calls.iter().filter(|call| line.contains(call.as_str())));
            complaints.extend(found.map(|word| format!("{name}:{}: {word}", number + 1)));
        }
    }
    check(complaints);
}

#[test]
fn no_path_of_a_machine_stands_in_the_code() {
    let places = ["work", "home", "root", "Users", "tmp"].map(|place| format!("/{place}/"));
    let places = places.into_iter().chain([["../sha", "red"].concat()]);
    let places: Vec<String> = places.collect();
    let mut complaints = Vec::new();
    for Source { name, text } in sources(&["rs", "ptx", "toml"]) {
        for (number, line) in text.lines().enumerate() {
            // A folder of our own may have such a name: only the start of a path is meant.
            let is_start = |at: usize| {
                line[..at]
                    .chars()
                    .next_back()
                    .is_none_or(|c| !c.is_alphanumeric() && !"_-./}".contains(c))
            };
            let found = places
                .iter()
                .filter(|place| line.match_indices(place.as_str()).any(|(at, _)| is_start(at)));
            complaints.extend(found.map(|place| format!("{name}:{}: {place}", number + 1)));
        }
    }
    check(complaints);
}

#[test]
fn unsafe_code_has_reasons_and_stays_on_its_floors() {
    let word = ["un", "safe"].concat();
    let mut complaints = Vec::new();
    for Source { name, text } in sources(&["rs"]) {
        let (folder, _) = name.split_once('/').unwrap_or((&name, ""));
        let lines: Vec<&str> = text.lines().collect();
        for (number, line) in lines.iter().enumerate() {
            let code = line.split("//").next().unwrap_or_default();
            // Lints are named with it too: `unsafe_code`, `#[unsafe(...)]` is an attribute.
            if !has_word(code, &word) || code.contains('"') {
                continue;
            }
            if !UNSAFE.contains(&folder) {
                complaints.push(format!("{name}:{}: {word} code above its floors", number + 1));
                continue;
            }
            // What a function of a trait asks for stands at the trait; here its body says why it
            // may rely on it.
            let is_function = code.contains(&format!("{word} fn "));
            let end = if is_function { (number + 3).min(lines.len()) } else { number + 1 };
            let near = &lines[number.saturating_sub(REASON_LINES)..end];
            let has_reason =
                near.iter().any(|line| line.contains("SAFETY:") || line.contains("# Safety"));
            // A pointer type or trait bound promises nothing by itself.
            let is_type =
                code.contains(&format!("{word} fn(")) || code.contains(&format!("{word} extern"));
            if !has_reason && !is_type {
                complaints.push(format!("{name}:{}: {word} without its SAFETY", number + 1));
            }
        }
    }
    for floor in FLOORS.iter().flat_map(|floor| floor.iter()) {
        if floor.split('/').next().is_some_and(|folder| UNSAFE.contains(&folder)) {
            continue;
        }
        let file = if *floor == "bins" { "main.rs" } else { "lib.rs" };
        let name = format!("{floor}/src/{file}");
        let text = fs::read_to_string(root().join(&name)).expect("every crate has a root file");
        if !text.contains(&format!("#![forbid({word}_code)]")) {
            complaints.push(format!("{name}: does not forbid {word} code"));
        }
    }
    check(complaints);
}

#[test]
fn crates_use_only_what_stands_below_them() {
    let mut complaints = Vec::new();
    for (level, floor) in FLOORS.iter().enumerate() {
        // A crate is named after the last part of its folder.
        let crates = |floors: &'static [&[&'static str]]| -> BTreeSet<&str> {
            let folders = floors.iter().flat_map(|floor| floor.iter());
            folders.map(|folder| folder.rsplit('/').next().unwrap_or(folder)).collect()
        };
        let below = crates(&FLOORS[level + 1..]);
        for name in *floor {
            let path = root().join(name).join("Cargo.toml");
            let text = fs::read_to_string(&path).expect("every crate has a manifest");
            let uses = text.lines().filter_map(|line| line.trim().strip_prefix("vincie-"));
            let uses = uses.filter_map(|rest| rest.split(['.', ' ', '=']).next());
            for used in uses.filter(|used| crates(&FLOORS).contains(used)) {
                if !below.contains(used) {
                    complaints.push(format!("{name} uses {used}, which does not stand below it"));
                }
            }
        }
    }
    check(complaints);
}

#[test]
fn every_dependency_stands_once_with_its_reason() {
    let text = fs::read_to_string(root().join("Cargo.toml")).expect("the workspace has a manifest");
    let (_, dependencies) =
        text.split_once("[workspace.dependencies]\n").expect("dependencies stand in the workspace");
    let listed = dependencies.lines().take_while(|line| !line.starts_with('['));
    let listed: Vec<&str> = listed.filter(|line| line.contains('=')).collect();
    assert!(listed.len() > 10, "only {} dependencies found", listed.len());
    let mut complaints: Vec<String> = listed
        .iter()
        .filter(|line| !line.contains("path =") && !line.contains(" # "))
        .map(|line| format!("Cargo.toml: no reason: {line}"))
        .collect();
    for Source { name, text } in sources(&["toml"]) {
        let is_member = name.ends_with("/Cargo.toml") && !name.contains("/fuzz/");
        if is_member && text.lines().any(|line| line.contains("version = \"") && line.contains('{'))
        {
            complaints.push(format!("{name}: names a version; versions stand in the workspace"));
        }
    }
    check(complaints);
}

#[test]
fn every_op_has_its_places() {
    let mut ops = Vec::new();
    for entry in fs::read_dir(root().join("tensor/src/ops")).expect("ops are folders there") {
        let path = entry.expect("an entry can be read").path();
        if path.is_dir() {
            let name = path.file_name().expect("an entry has a name");
            ops.push(name.to_string_lossy().into_owned());
        }
    }
    ops.sort();
    assert!(ops.len() > 5, "only {ops:?} found");
    let mut cases = Vec::new();
    collect(&root().join("tensor/src/cases"), "", &["rs"], &mut cases);
    let code = |source: &Source| -> String {
        source.text.lines().map(|line| line.split("//").next().unwrap_or_default()).collect()
    };
    let cases: String = cases.iter().map(code).collect();
    let mut complaints = Vec::new();
    for op in &ops {
        let rule = root().join("autograd/src/rules");
        if !rule.join(format!("{op}.rs")).is_file() && !rule.join(op).is_dir() {
            complaints.push(format!("{op}: no rule in autograd/src/rules"));
        }
        if !has_word(&cases, op) && !has_word(&cases, &camel(op)) {
            complaints.push(format!("{op}: no row in the table of tensor/src/cases"));
        }
    }
    check(complaints);
}

/// `rms_norm` as `RmsNorm`.
fn camel(op: &str) -> String {
    let word = |word: &str| {
        let mut letters = word.chars();
        letters
            .next()
            .map_or(String::new(), |first| first.to_uppercase().chain(letters).collect::<String>())
    };
    op.split('_').map(word).collect()
}

#[test]
fn words_and_names_are_told_apart() {
    assert!(has_word("a rms_norm b", "rms_norm") && !has_word("qk_rms_norm", "rms_norm"));
    assert!(has_word("Op::Matmul(", "Matmul") && !has_word("Matmuls", "Matmul"));
    assert_eq!(camel("qk_norm_rotary"), "QkNormRotary");
}
