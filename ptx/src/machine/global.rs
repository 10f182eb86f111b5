//! Order of accesses to device memory: a shadow of the pages touched, and the places through
//! which threads synchronise.

use crate::checks::{Actor, Clock, Conflict, Kind, Shadow, Stamp};
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

    /// Who wrote bytes of a range last, in this launch.
    pub(crate) fn writers(&self, address: u64, bytes: u64) -> Vec<Stamp> {
        let mut list = Vec::new();
        each_page(address, bytes, |page, offset, bytes| {
            list.extend(self.pages.get(&page).map_or(Vec::new(), |s| s.writers(offset, bytes)));
        });
        list
    }

    /// Replaces write stamps of one kind, as a wait does.
    pub(crate) fn restamp_writes(&mut self, address: u64, bytes: u64, from: Kind, to: Stamp) {
        each_page(address, bytes, |page, offset, bytes| {
            if let Some(shadow) = self.pages.get_mut(&page) {
                shadow.restamp_writes(offset, bytes, from, to);
            }
        });
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

/// Calls with page, offset and bytes for each page of a range.
fn each_page(address: u64, bytes: u64, mut f: impl FnMut(u64, usize, usize)) {
    let (mut at, end) = (address, address + bytes);
    while at < end {
        let page = at / PAGE;
        let next = ((page + 1) * PAGE).min(end);
        f(page, (at % PAGE) as usize, (next - at) as usize);
        at = next;
    }
}
