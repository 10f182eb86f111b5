//! Deletes one barrier, fence, wait or bound check at a time from each good corpus kernel, and
//! counts how many of these mutants a check or a comparison finds.

use std::path::Path;
use vincie_ptx::corpus::{Case, mutants};
use vincie_ptx::{Error, Landing, Options, Schedule};

/// Share of mutants that must be found. The rest are deletions that change nothing: barriers that
/// another one makes redundant, guards that are always true, fences nothing depends on.
const SHARE: f64 = 0.75;

#[test]
fn most_deletions_are_found() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let (mut found, mut total) = (0, 0);
    let mut entries: Vec<_> = std::fs::read_dir(folder)
        .expect("the corpus is part of the crate")
        .map(|e| e.expect("readable").path())
        .filter(|p| p.to_string_lossy().ends_with(".launch.toml"))
        .collect();
    entries.sort();
    for path in entries {
        let case = Case::load(&path).expect("the case loads");
        if case.flaw.is_some() {
            continue;
        }
        for mutant in mutants(&case.ptx) {
            total += 1;
            let is_found =
                [(Schedule::InOrder, Landing::Early), (Schedule::Reversed, Landing::Late)]
                    .into_iter()
                    .any(|(schedule, landing)| {
                        let options = Options {
                            schedule,
                            landing,
                            max_instructions: 2_000_000,
                            max_polls: 500,
                            ..Options::default()
                        };
                        match case.run_text(&mutant.text, &options) {
                            Ok(outcome) => {
                                !outcome.report.findings.is_empty()
                                    || !outcome.mismatches.is_empty()
                            }
                            // A text that no longer parses is no mutant.
                            Err(Error::Parse { .. }) => panic!("{}: {}", case.name, mutant.removed),
                            Err(_) => true,
                        }
                    });
            found += usize::from(is_found);
            if !is_found {
                println!("not found: {} line {}: {}", case.name, mutant.line, mutant.removed);
            }
        }
    }
    println!("found {found} of {total} mutants");
    assert!(total > 60, "{total}");
    assert!(found as f64 >= SHARE * total as f64, "found {found} of {total}");
}
