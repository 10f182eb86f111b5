//! Vector clocks over warps with lanes. A warp counts epochs; a release ends one. What a thread
//! knows of another warp is "all lanes up to this epoch, and these lanes up to that one", which
//! may say a little too much after joins, never too little: no false race comes from it.

/// What is known of one warp.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Entry {
    /// Every lane's accesses up to this epoch are known.
    pub(crate) all: u32,
    /// These lanes are known up to `at`.
    pub(crate) lanes: u32,
    pub(crate) at: u32,
}

impl Entry {
    fn covers(self, lanes: u32, epoch: u32) -> bool {
        epoch <= self.all || (lanes & !self.lanes == 0 && epoch <= self.at)
    }

    fn join(self, other: Entry) -> Entry {
        let (low, high) = if self.at <= other.at { (self, other) } else { (other, self) };
        let all = self.all.max(other.all);
        let mut lanes = high.lanes;
        if low.at > all {
            lanes |= low.lanes;
        }
        Entry { all, lanes, at: high.at }
    }
}

/// Knowledge of warps by their number in the grid, sorted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Clock(Vec<(u32, Entry)>);

impl Clock {
    /// True where accesses of these lanes of a warp, up to the epoch, happen before.
    #[inline]
    pub(crate) fn covers(&self, warp: u32, lanes: u32, epoch: u32) -> bool {
        match self.0.binary_search_by_key(&warp, |e| e.0) {
            Ok(at) => self.0[at].1.covers(lanes, epoch),
            Err(_) => false,
        }
    }

    pub(crate) fn add(&mut self, warp: u32, entry: Entry) {
        match self.0.binary_search_by_key(&warp, |e| e.0) {
            Ok(at) => self.0[at].1 = self.0[at].1.join(entry),
            Err(at) => self.0.insert(at, (warp, entry)),
        }
    }

    pub(crate) fn join(&mut self, other: &Clock) {
        if other.0.is_empty() {
            return;
        }
        if self.0.is_empty() {
            self.0.clone_from(&other.0);
            return;
        }
        let same =
            self.0.len() == other.0.len() && self.0.iter().zip(&other.0).all(|(a, b)| a.0 == b.0);
        if same {
            for (mine, theirs) in self.0.iter_mut().zip(&other.0) {
                mine.1 = mine.1.join(theirs.1);
            }
        } else {
            for (warp, entry) in &other.0 {
                self.add(*warp, *entry);
            }
        }
    }
}

/// What some lanes of a warp know in common.
#[derive(Debug, Clone, Default)]
pub(crate) struct View {
    pub(crate) lanes: u32,
    /// What happens before their next access.
    pub(crate) known: Clock,
    /// The part of it that a proxy fence made visible to the async proxy.
    pub(crate) fenced: Clock,
    /// Released by their last fence: at CTA scope, at wider scope.
    pub(crate) released: [Clock; 2],
    /// Read from synchronising places but not yet behind a fence: at CTA scope, at wider scope.
    pub(crate) acquired: [Clock; 2],
}

impl View {
    pub(crate) fn join(&mut self, other: &View) {
        self.lanes |= other.lanes;
        self.known.join(&other.known);
        self.fenced.join(&other.fenced);
        for scope in 0..2 {
            self.released[scope].join(&other.released[scope]);
            self.acquired[scope].join(&other.acquired[scope]);
        }
    }
}

/// What a synchronising object hands on.
#[derive(Debug, Clone, Default)]
pub(crate) struct Handover {
    pub(crate) known: Clock,
    pub(crate) fenced: Clock,
}

impl Handover {
    pub(crate) fn join(&mut self, other: &Handover) {
        self.known.join(&other.known);
        self.fenced.join(&other.fenced);
    }
}

/// The time of one warp.
#[derive(Debug, Clone)]
pub(crate) struct WarpTime {
    /// Number of the warp in the grid, counting 32 a CTA.
    pub(crate) warp: u32,
    pub(crate) epoch: u32,
    pub(crate) views: Vec<View>,
}

impl WarpTime {
    pub(crate) fn new(warp: u32) -> Self {
        WarpTime { warp, epoch: 1, views: vec![View { lanes: u32::MAX, ..View::default() }] }
    }

    pub(crate) fn view(&self, lane: u32) -> &View {
        let found = self.views.iter().find(|v| v.lanes >> lane & 1 == 1);
        found.unwrap_or(&self.views[0])
    }

    /// What these lanes hand over if they release now. Ends the epoch.
    pub(crate) fn release(&mut self, lanes: u32) -> Handover {
        let mut out = Handover::default();
        for view in self.views.iter().filter(|v| v.lanes & lanes != 0) {
            out.known.join(&view.known);
            out.fenced.join(&view.fenced);
        }
        out.known.add(self.warp, self.own(lanes));
        self.epoch += 1;
        out
    }

    fn own(&self, lanes: u32) -> Entry {
        let all = if lanes == u32::MAX { self.epoch } else { 0 };
        Entry { all, lanes, at: self.epoch }
    }

    /// Lanes that learn something leave the views they shared with others.
    fn split(&mut self, lanes: u32) -> Vec<usize> {
        let mut touched = Vec::new();
        for index in 0..self.views.len() {
            let inside = self.views[index].lanes & lanes;
            if inside == 0 {
                continue;
            }
            if inside == self.views[index].lanes {
                touched.push(index);
            } else {
                let mut view = self.views[index].clone();
                view.lanes = inside;
                self.views[index].lanes &= !inside;
                self.views.push(view);
                touched.push(self.views.len() - 1);
            }
        }
        touched
    }

    pub(crate) fn acquire(&mut self, lanes: u32, from: &Handover) {
        for index in self.split(lanes) {
            self.views[index].known.join(&from.known);
            self.views[index].fenced.join(&from.fenced);
        }
    }

    /// A strong read took something over: known at once if it acquires, else behind a fence.
    pub(crate) fn subscribe(
        &mut self,
        lane: u32,
        near: &Clock,
        far: Option<&Clock>,
        acquires: bool,
    ) {
        if near.0.is_empty() && far.is_none_or(|far| far.0.is_empty()) {
            return;
        }
        for index in self.split(1 << lane) {
            let view = &mut self.views[index];
            if acquires {
                view.known.join(near);
                if let Some(far) = far {
                    view.known.join(far);
                }
            } else {
                view.acquired[0].join(near);
                if let Some(far) = far {
                    view.acquired[1].join(far);
                }
            }
        }
    }

    /// Merges views that know the same, as after a wait by every lane.
    pub(crate) fn unify(&mut self) {
        let mut at = 0;
        while at < self.views.len() {
            let mut other = at + 1;
            while other < self.views.len() {
                let (a, b) = (&self.views[at], &self.views[other]);
                let same = a.known == b.known
                    && a.fenced == b.fenced
                    && a.released == b.released
                    && a.acquired == b.acquired;
                if same {
                    let lanes = self.views.swap_remove(other).lanes;
                    self.views[at].lanes |= lanes;
                } else {
                    other += 1;
                }
            }
            at += 1;
        }
    }

    /// Lanes that synchronise among themselves.
    pub(crate) fn synchronize(&mut self, lanes: u32) {
        let mut merged = View::default();
        for index in self.split(lanes) {
            merged.join(&self.views[index]);
        }
        merged.known.add(self.warp, self.own(lanes));
        merged.lanes = lanes;
        self.views.retain(|v| v.lanes & lanes == 0);
        self.views.push(merged);
        self.epoch += 1;
    }

    /// A memory fence: what was read becomes known, what is known becomes releasable.
    pub(crate) fn fence(&mut self, lanes: u32, is_wide: bool) {
        let scopes = if is_wide { 2 } else { 1 };
        let own = self.own(lanes);
        let warp = self.warp;
        for index in self.split(lanes) {
            let view = &mut self.views[index];
            for scope in 0..scopes {
                let acquired = std::mem::take(&mut view.acquired[scope]);
                view.known.join(&acquired);
            }
            for scope in 0..scopes {
                view.released[scope] = view.known.clone();
                view.released[scope].add(warp, own);
            }
        }
        self.epoch += 1;
    }

    /// A proxy fence: what is known now is visible to the async proxy.
    pub(crate) fn proxy_fence(&mut self, lanes: u32) {
        let own = self.own(lanes);
        let warp = self.warp;
        for index in self.split(lanes) {
            let view = &mut self.views[index];
            let known = view.known.clone();
            view.fenced.join(&known);
            view.fenced.add(warp, own);
        }
        self.epoch += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_release_covers_only_the_lanes_that_made_it() {
        let mut writer = WarpTime::new(0);
        let mut reader = WarpTime::new(1);
        let epoch = writer.epoch;
        let handed = writer.release(1);
        reader.acquire(u32::MAX, &handed);
        assert!(reader.view(3).known.covers(0, 1, epoch));
        assert!(!reader.view(3).known.covers(0, 2, epoch));
        assert!(!reader.view(3).known.covers(0, 1, writer.epoch));
    }

    #[test]
    fn only_lanes_that_acquire_know() {
        let mut writer = WarpTime::new(0);
        let mut reader = WarpTime::new(1);
        let handed = writer.release(u32::MAX);
        reader.acquire(1, &handed);
        assert!(reader.view(0).known.covers(0, u32::MAX, 1));
        assert!(!reader.view(1).known.covers(0, u32::MAX, 1));
        reader.synchronize(u32::MAX);
        assert!(reader.view(1).known.covers(0, u32::MAX, 1));
        assert_eq!(reader.views.len(), 1);
    }

    #[test]
    fn fences_hand_over_through_relaxed_places() {
        let mut writer = WarpTime::new(0);
        writer.fence(1, true);
        let place = writer.view(0).released[1].clone();
        let mut reader = WarpTime::new(40);
        reader.views[0].acquired[1].join(&place);
        assert!(!reader.view(0).known.covers(0, 1, 1));
        reader.fence(u32::MAX, false);
        assert!(!reader.view(0).known.covers(0, 1, 1), "a CTA fence is too narrow");
        reader.fence(u32::MAX, true);
        assert!(reader.view(0).known.covers(0, 1, 1));
    }
}
