//! What can be said of a kernel without running it: mistakes that an assembler only notes.

use super::finding::{Finding, FindingKind};
use crate::decode::{Inst, Kernel, Op};
use crate::parse::Module;

/// Registers of one multiprocessor, 4 bytes each.
const REGISTER_FILE: u32 = 65536;

/// Mistakes in the text of a kernel.
pub(crate) fn lint(module: &Module, kernel: &Kernel) -> Vec<Finding> {
    let mut list = Vec::new();
    let mut push = |inst: &Inst, message: String| {
        list.push(Finding {
            kind: FindingKind::Static,
            kernel: kernel.name.clone(),
            line: inst.line,
            source: None,
            cta: [0; 3],
            warp: 0,
            lane: None,
            address: None,
            other: None,
            message,
        });
    };
    let bound = ["maxntid", "reqntid"].iter().find_map(|d| kernel.directive(d));
    // The assembler heeds setmaxnreg only where it knows how many registers a thread starts with.
    let is_count_known = kernel.directive("maxnreg").is_some()
        || bound.is_some() && kernel.directive("minnctapersm").is_some();
    let number: u32 =
        module.target.chars().filter(char::is_ascii_digit).collect::<String>().parse().unwrap_or(0);
    let is_specific = module.target.ends_with('a');
    for inst in &kernel.code {
        match &inst.op {
            Op::SetMaxRegisters { .. } if !is_count_known => {
                push(
                    inst,
                    "setmaxnreg is ignored without .maxnreg, or .maxntid (.reqntid) and \
                     .minnctapersm: the register count at entry is unknown"
                        .into(),
                );
            }
            Op::SetMaxRegisters { count, .. }
                if !count.is_multiple_of(8) || !(24..=256).contains(count) =>
            {
                push(inst, format!("{count} registers, expected a multiple of 8 from 24 to 256"));
            }
            Op::SetMaxRegisters { .. } | Op::Wgmma(_) | Op::WgmmaFence if !is_specific => {
                push(
                    inst,
                    format!("target {} has no such instruction; sm_90a does", module.target),
                );
            }
            Op::Bulk(_) | Op::BulkTensor(_) | Op::ClusterArrive { .. } if number < 90 => {
                push(inst, format!("target {} has no such instruction; sm_90 does", module.target));
            }
            _ => {}
        }
    }
    let threads: u32 = bound.map_or(0, |b| b.iter().product());
    let most = kernel.code.iter().filter_map(|inst| match inst.op {
        Op::SetMaxRegisters { count, increase: false } => Some((inst, count)),
        _ => None,
    });
    // Warpgroups that give nothing up keep what the launch gave them, so only a sum over all of
    // them can be too much; it is known where each of them sets its own count.
    let sets: Vec<(&Inst, u32)> = kernel
        .code
        .iter()
        .filter_map(|inst| match inst.op {
            Op::SetMaxRegisters { count, increase: true } => Some((inst, count)),
            _ => None,
        })
        .collect();
    let least = most.map(|m| m.1).min().unwrap_or(24);
    if let Some((inst, count)) = sets.iter().max_by_key(|s| s.1)
        && threads >= 256
        && sets.len() == 1
    {
        let total = count * 128 + least * 128;
        if total > REGISTER_FILE {
            push(
                inst,
                format!("{total} registers asked for; a multiprocessor has {REGISTER_FILE}"),
            );
        }
    }
    list
}
