//! Order of accesses to device memory: a shadow of the pages touched, and the places through
//! which threads synchronise.

use crate::checks::{Actor, Clock, Conflict, Shadow};
use std::collections::{BTreeMap, HashMap};

/// Bytes of a shadow page.
const PAGE: u64 = 4096;

/// What one cluster touched of a word: who read it and who wrote it, by CTA.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Touch {
    pub(crate) reads: bool,
    pub(crate) writes: bool,
    pub(crate) line: u32,
    pub(crate) warp: u32,
    pub(crate) cta: u32,
}

#[derive(Debug, Default)]
pub(crate) struct GlobalChecks {
    pages: HashMap<u64, Shadow>,
    /// Clocks behind addresses: of one CTA (with its number), and of the device (`u32::MAX`).
    pub(crate) places: HashMap<(u64, u32), Clock>,
    /// Words touched, kept where clusters run apart and are compared afterwards.
    pub(crate) touched: Option<BTreeMap<u64, Touch>>,
}

impl GlobalChecks {
    pub(crate) fn access(
        &mut self,
        address: u64,
        bytes: usize,
        is_write: bool,
        actor: &Actor<'_>,
    ) -> Option<Conflict> {
        let mut at = address;
        let end = address + bytes as u64;
        let mut conflict = None;
        while at < end {
            let page = at / PAGE;
            let next = ((page + 1) * PAGE).min(end);
            let shadow = self.pages.entry(page).or_insert_with(|| Shadow::new(PAGE as usize));
            let found = shadow.access((at % PAGE) as usize, (next - at) as usize, is_write, actor);
            conflict = conflict.or(found);
            at = next;
        }
        conflict
    }

    /// Remembers bytes for the comparison of clusters, by word and byte.
    pub(crate) fn touch(&mut self, address: u64, bytes: usize, touch: Touch) {
        let Some(touched) = &mut self.touched else { return };
        for at in address..address + bytes as u64 {
            let entry = touched.entry(at).or_insert(touch);
            entry.reads |= touch.reads;
            if touch.writes && !entry.writes {
                *entry = Touch { reads: entry.reads, ..touch };
            }
        }
    }
}
