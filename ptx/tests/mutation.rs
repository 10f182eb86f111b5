//! Deletes one barrier, fence, wait or bound check at a time from each good kernel, and wants every
//! such mutant found by a check or a comparison, but for those that are known to change nothing.

use std::path::Path;
use vincie_ptx::corpus::{Case, mutants};
use vincie_ptx::{Error, Landing, Options, Schedule};

/// Mutants that do what the original does: case, lines, and why.
const EQUIVALENT: [(&str, &[usize], &str); 24] = [
    ("c_bulk_ring_sm90", &[50], INIT),
    ("c_bulk_ring_sm90", &[269, 348], NOT_REACHED),
    ("c_last_block", &[137], "the thread that goes on wrote the sum itself"),
    ("h_wgmma_tma_sm90a", &[26, 27], INIT),
    ("t_attn_causal", &[88, 95, 102, 109, 973, 976, 979, 982], ALWAYS_TRUE),
    ("t_attn_causal", &[872], "every copy was waited for in the loop"),
    ("t_attn_causal", &[873], "another barrier stands before shared memory is used again"),
    ("t_attn_causal", &[1141], "other warps store the same values to the same places"),
    ("t_gemm_bf16", &[92], "the copies on its two sides go to different stages"),
    ("t_gemm_bf16", &[331], ALWAYS_TRUE),
    ("t_softmax", &[49, 136], ALWAYS_TRUE),
    ("c_multicast_bulk_sm90", &[56], INIT),
    ("c_multicast_bulk_sm90", &[142], "nobody waits for the last phase that it leads to"),
    ("c_named_barriers", &[49, 59, 84], "an arrival at a barrier orders memory by itself"),
    ("c_named_barriers", &[205], NOT_REACHED),
    ("c_st_async_sm90", &[46], INIT),
    ("c_tma_3d_reduce_sm90", &[46], INIT),
    ("c_tma_swizzle_sm90", &[45], INIT),
    ("c_wgmma_pipeline_sm90a", &[62], INIT),
    ("c_wgmma_pipeline_sm90a", &[313], "only products of one shape touched the accumulators"),
    ("c_wgmma_pipeline_sm90a", &[396, 399, 460], NOT_REACHED),
    ("t_tma_scale_sm90", &[58, 62], "one thread does all of it"),
    ("t_tma_scale_sm90", &[69, 111], "the wait before it, or the end behind it, orders enough"),
    ("t_tma_scale_sm90", &[98], "every thread writes what it alone has read"),
];

/// A barrier of the CTA or cluster follows the initialisation, and compilers (Triton 3.6) count on
/// that alone, so a check must not ask for more.
const INIT: &str = "a barrier follows the initialisation of the mbarriers";
const NOT_REACHED: &str = "the remainder of an unrolled loop, which this launch does not reach";
const ALWAYS_TRUE: &str = "the guard is true in every lane of this launch";

fn is_found(case: &Case, text: &str) -> bool {
    let runs = [
        (Schedule::InOrder, Landing::Early),
        (Schedule::Reversed, Landing::Late),
        (Schedule::Shuffled(7), Landing::Late),
    ];
    runs.into_iter().any(|(schedule, landing)| {
        let options = Options {
            schedule,
            landing,
            max_instructions: 2_000_000,
            max_polls: 500,
            ..Options::default()
        };
        match case.run_text(text, &options) {
            Ok(outcome) => !outcome.report.findings.is_empty() || !outcome.mismatches.is_empty(),
            // A text that no longer parses is no mutant.
            Err(Error::Parse { .. }) => panic!("{}: a mutant does not parse", case.name),
            Err(_) => true,
        }
    })
}

fn check(folder: &str, least: usize) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut entries: Vec<_> = std::fs::read_dir(folder)
        .expect("the folder is part of the crate")
        .map(|e| e.expect("readable").path())
        .filter(|p| p.to_string_lossy().ends_with(".launch.toml"))
        .collect();
    entries.sort();
    let (mut total, mut wrong) = (0, Vec::new());
    for path in entries {
        let case = Case::load(&path).expect("the case loads");
        if case.flaw.is_some() {
            continue;
        }
        for mutant in mutants(&case.ptx) {
            total += 1;
            let known = EQUIVALENT
                .iter()
                .any(|(name, lines, _)| *name == case.name && lines.contains(&mutant.line));
            if is_found(&case, &mutant.text) == known {
                let what = if known { "found after all" } else { "not found" };
                wrong.push(format!("{}:{}: {what}: {}", case.name, mutant.line, mutant.removed));
            }
        }
    }
    assert!(total >= least, "{total} mutants");
    assert!(wrong.is_empty(), "{} of {total} mutants:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn deletions_in_the_corpus_are_found() {
    check("corpus", 90);
}

#[test]
fn deletions_in_our_own_cases_are_found() {
    check("cases", 80);
}
