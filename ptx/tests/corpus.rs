//! Every case of the corpus, of our own cases and of the microtests, under several schedules.

use std::path::{Path, PathBuf};
use vincie_ptx::corpus::{Case, Verdict};
use vincie_ptx::{Landing, Options, Schedule};

fn cases(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let entries = std::fs::read_dir(folder).expect("the folder is part of the crate");
    let mut paths: Vec<PathBuf> = entries.map(|e| e.expect("readable").path()).collect();
    paths.retain(|p| p.to_string_lossy().ends_with(".launch.toml"));
    paths.sort();
    paths
}

fn run(path: &Path, schedule: Schedule, landing: Landing) {
    let case = Case::load(path).expect("the case loads");
    let options = Options { schedule, landing, max_instructions: 50_000_000, ..Options::default() };
    let outcome = case.run(&options).expect("the case runs");
    assert_eq!(outcome.verdict, Verdict::Pass, "{} {schedule:?} {landing:?}", case.name);
}

#[test]
fn the_corpus_passes() {
    let paths = cases("corpus");
    assert_eq!(paths.len(), 15);
    for path in paths {
        run(&path, Schedule::InOrder, Landing::Early);
        run(&path, Schedule::Shuffled(3), Landing::Late);
    }
}

#[test]
fn our_own_cases_pass() {
    let paths = cases("cases");
    assert!(paths.len() >= 36, "{}", paths.len());
    for path in paths {
        run(&path, Schedule::InOrder, Landing::Early);
        run(&path, Schedule::Reversed, Landing::Late);
    }
}

#[test]
fn every_microtest_passes() {
    let paths = cases("microtests");
    assert!(paths.len() >= 17, "{}", paths.len());
    for path in paths {
        run(&path, Schedule::InOrder, Landing::Early);
        run(&path, Schedule::Reversed, Landing::Late);
    }
}

#[test]
fn threads_do_not_change_the_result() {
    for name in ["t_gemm_bf16", "c_block_reduce-flaw", "l_matmul_tiled"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("corpus/{name}.launch.toml"));
        let case = Case::load(&path).expect("the case loads");
        let run = |threads| {
            let options = Options { threads, ..Options::default() };
            let report = case.run(&options).expect("the case runs").report;
            (report.findings, report.counters)
        };
        assert_eq!(run(1), run(0), "{name}");
    }
}
