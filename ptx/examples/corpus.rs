//! Runs every case of a folder and prints one line for each: `corpus [--all] FOLDER...`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;
use vincie_ptx::corpus::{Case, Verdict};
use vincie_ptx::{Landing, Options, Schedule};

fn main() -> ExitCode {
    let mut folders: Vec<PathBuf> = std::env::args().skip(1).map(PathBuf::from).collect();
    let all = folders.iter().any(|f| f.as_os_str() == "--all");
    folders.retain(|f| f.as_os_str() != "--all");
    let mut failed = 0;
    for folder in folders {
        let Ok(entries) = std::fs::read_dir(&folder) else {
            eprintln!("{}: not a folder", folder.display());
            return ExitCode::from(1);
        };
        let mut paths: Vec<PathBuf> = entries.flatten().map(|e| e.path()).collect();
        paths.retain(|p| p.to_string_lossy().ends_with(".launch.toml"));
        paths.sort();
        for path in paths {
            failed += usize::from(!run(&path, all));
        }
    }
    ExitCode::from(u8::from(failed > 0))
}

fn run(path: &std::path::Path, all: bool) -> bool {
    let case = match Case::load(path) {
        Ok(case) => case,
        Err(error) => {
            println!("FAIL {error}");
            return false;
        }
    };
    let mut good = true;
    let schedules = [Schedule::InOrder, Schedule::Reversed, Schedule::Shuffled(7)];
    for schedule in &schedules[..if all { 3 } else { 1 }] {
        for landing in &[Landing::Early, Landing::Late][..if all { 2 } else { 1 }] {
            let options = Options {
                schedule: *schedule,
                landing: *landing,
                max_instructions: 200_000_000,
                ..Options::default()
            };
            let start = Instant::now();
            let outcome = case.run(&options);
            let time = start.elapsed().as_secs_f64() * 1e3;
            match outcome {
                Err(error) => {
                    println!("FAIL {} {schedule:?} {landing:?}: {error}", case.name);
                    good = false;
                }
                Ok(outcome) => {
                    if let Verdict::Fail(why) = &outcome.verdict {
                        println!("FAIL {} {schedule:?} {landing:?} {time:.0} ms: {why}", case.name);
                        good = false;
                    } else {
                        println!("ok   {} {time:.0} ms", case.name);
                    }
                    if std::env::var_os("FINDINGS").is_some() {
                        outcome.report.findings.iter().for_each(|f| println!("     {f}"));
                        outcome.mismatches.iter().for_each(|m| println!("     {m}"));
                    }
                }
            }
        }
    }
    good
}
