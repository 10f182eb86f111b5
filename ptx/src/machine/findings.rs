//! The list of findings of a run: one a class and line, with a limit.

use super::exec::Exec;
use super::warp::Warp;
use crate::checks::{Finding, FindingKind, Party};
use crate::decode::Inst;
use std::collections::HashSet;

#[derive(Debug, Default)]
pub(crate) struct Findings {
    pub(crate) list: Vec<Finding>,
    pub(crate) suppressed: u64,
    seen: HashSet<(FindingKind, u32)>,
}

impl Findings {
    pub(crate) fn push(&mut self, finding: Finding, limit: usize) {
        if !self.seen.insert((finding.kind, finding.line)) {
            self.suppressed += 1;
            return;
        }
        if self.list.len() >= limit {
            self.suppressed += 1;
            return;
        }
        self.list.push(finding);
    }
}

impl Exec<'_> {
    #[allow(clippy::too_many_arguments)]
    #[cold]
    pub(crate) fn report(
        &mut self,
        kind: FindingKind,
        warp: &Warp,
        inst: &Inst,
        lane: Option<u32>,
        address: Option<u64>,
        other: Option<Party>,
        message: String,
    ) {
        let source = inst.loc.map(|(file, line, column)| {
            let name = self.kernel.files.get(&file).cloned().unwrap_or_default();
            (name, line, column)
        });
        let finding = Finding {
            kind,
            kernel: self.kernel.name.clone(),
            line: inst.line,
            source,
            cta: self.ctas[warp.cta].coordinates,
            warp: warp.index,
            lane,
            address,
            other,
            message,
        };
        self.findings.push(finding, self.options.max_findings);
    }
}
