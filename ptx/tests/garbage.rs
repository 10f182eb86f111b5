//! Outside data never brings the machine down: garbage and mutated PTX, launch files and tensors
//! give a result or one line of error.

use proptest::prelude::*;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use vincie_ptx::corpus::Case;
use vincie_ptx::{Error, Landing, Module, Options, Schedule};

/// Every case of the corpus and of our own.
fn cases() -> &'static [(PathBuf, Case)] {
    static CASES: OnceLock<Vec<(PathBuf, Case)>> = OnceLock::new();
    CASES.get_or_init(|| {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut paths: Vec<PathBuf> = ["corpus", "cases"]
            .into_iter()
            .flat_map(|folder| std::fs::read_dir(root.join(folder)).expect("part of the crate"))
            .map(|entry| entry.expect("readable").path())
            .filter(|path| path.to_string_lossy().ends_with(".launch.toml"))
            .collect();
        paths.sort();
        let load = |path: PathBuf| (path.clone(), Case::load(&path).expect("the case loads"));
        paths.into_iter().map(load).collect()
    })
}

/// One change of a text: where, what, and a number to choose with.
type Edit = (prop::sample::Index, u8, prop::sample::Index);

fn edits() -> impl Strategy<Value = Vec<Edit>> {
    prop::collection::vec(
        (any::<prop::sample::Index>(), 0u8..8, any::<prop::sample::Index>()),
        1..4,
    )
}

const NUMBERS: [&str; 10] =
    ["0", "1", "-1", "7", "64", "1000000", "4294967295", "0x7fffffffffffffff", "0f7FC00000", "3.5"];

/// Words of a text with what stands between them.
fn words(text: &str) -> Vec<&str> {
    text.split_inclusive([' ', '\t', '\n', ',', ';', '.', '[', ']', '{', '}', '+']).collect()
}

/// Deletes, doubles, swaps and replaces words and lines.
fn edited(text: &str, edits: &[Edit]) -> String {
    let mut text = text.to_string();
    for (at, what, other) in edits {
        if *what < 3 {
            let mut lines: Vec<&str> = text.lines().collect();
            if lines.is_empty() {
                return text;
            }
            let (a, b) = (at.index(lines.len()), other.index(lines.len()));
            match what {
                0 => drop(lines.remove(a)),
                1 => lines.swap(a, b),
                _ => lines.insert(a, lines[b]),
            }
            text = lines.join("\n");
            continue;
        }
        let mut list = words(&text);
        if list.is_empty() {
            return text;
        }
        let (a, b) = (at.index(list.len()), other.index(list.len()));
        let number = format!("{} ", NUMBERS[other.index(NUMBERS.len())]);
        match what {
            3 => drop(list.remove(a)),
            4 => list.swap(a, b),
            5 => list[a] = list[b],
            // Near words are often of the same kind: operands change places.
            6 => {
                let near = (a + 1 + b % 4).min(list.len() - 1);
                list.swap(a, near);
            }
            _ => list[a] = &number,
        }
        text = list.concat();
    }
    text
}

fn parse(text: &str) {
    match Module::parse(text, "garbage.ptx") {
        Ok(module) => {
            let names: Vec<String> = module.entries().map(str::to_string).collect();
            for name in names {
                if let Err(error) = module.kernel(&name) {
                    assert!(!error.to_string().contains('\n'), "{error}");
                }
            }
        }
        Err(error) => {
            assert!(matches!(error, Error::Parse { .. }), "{error}");
            assert!(!error.to_string().contains('\n'), "{error}");
        }
    }
}

fn options() -> Options {
    Options { max_instructions: 100_000, max_polls: 50, threads: 1, ..Options::default() }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn bytes_are_no_module(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        parse(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn tokens_are_no_module(tokens in prop::collection::vec(prop::sample::select(vec![
        ".version", ".target", "sm_90a", ".visible", ".entry", "k", "(", ")", "{", "}", ".reg",
        ".b32", ".pred", "%r<4>", ";", "mov", ".u32", "%r0", ",", "1", "[", "]", "+", "-", ".param",
        "@", "!", "|", ":", ".shared", ".align", "16", "<", ">", "=", "0f3F800000", "$L", "bra",
        ".callprototype", ".branchtargets", "call", "_", "//", "/*", "*/", "\"", "\n",
    ]), 0..80)) {
        parse(&tokens.join(" "));
    }

    #[test]
    fn cut_texts_name_a_line(which in any::<prop::sample::Index>(), end in any::<prop::sample::Index>()) {
        let text = &cases()[which.index(cases().len())].1.ptx;
        let cut: String = text.chars().take(end.index(text.len() + 1)).collect();
        parse(&cut);
    }

    #[test]
    fn mutated_kernels_run_to_an_end(
        which in any::<prop::sample::Index>(),
        edits in edits(),
        late in any::<bool>(),
        checked in any::<bool>(),
    ) {
        let case = &cases()[which.index(cases().len())].1;
        let mut options = options();
        if late {
            (options.schedule, options.landing) = (Schedule::Shuffled(5), Landing::Late);
        }
        if !checked {
            options.checks = vincie_ptx::Checks::NONE;
        }
        if let Err(error) = case.run_text(&edited(&case.ptx, &edits), &options) {
            prop_assert!(!error.to_string().contains('\n'), "{}", error);
        }
    }

    #[test]
    fn mutated_launch_files_give_an_error_or_run(
        which in any::<prop::sample::Index>(),
        edits in edits(),
        data_at in any::<prop::sample::Index>(),
        data_bit in 0u32..16,
    ) {
        let (path, case) = &cases()[which.index(cases().len())];
        let text = std::fs::read_to_string(path).expect("the case has a launch file");
        let folder = std::env::temp_dir().join(format!("vincie-ptx-garbage-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a temporary folder");
        // The PTX and the data stand under the names that the launch file most likely still has.
        let mut data = case.data.clone();
        if data_bit < 8 && !data.is_empty() {
            let at = data_at.index(data.len().min(400));
            data[at] ^= 1 << data_bit;
        }
        std::fs::write(folder.join(&case.ptx_name), &case.ptx).expect("a temporary file");
        std::fs::write(folder.join("data.safetensors"), data).expect("a temporary file");
        let line = text.lines().find(|l| l.starts_with("data = ")).unwrap_or("data = \"\"");
        let text = edited(&text.replace(line, "data = \"data.safetensors\""), &edits);
        let launch = folder.join("garbage.launch.toml");
        std::fs::write(&launch, text).expect("a temporary file");
        let outcome = Case::load(&launch).and_then(|case| case.run(&options()));
        if let Err(error) = outcome {
            prop_assert!(error.to_string().lines().count() == 1, "{}", error);
        }
        std::fs::remove_dir_all(&folder).expect("the folder is ours");
    }
}
