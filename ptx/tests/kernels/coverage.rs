//! Which kernels were launched, for ops whose tests choose kernels by themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use vincie_ptx::catalogue::{Entry, kernels};

/// Names launched, and by op the tests that have passed.
static SEEN: Mutex<(BTreeSet<String>, BTreeMap<&str, usize>)> =
    Mutex::new((BTreeSet::new(), BTreeMap::new()));

/// Notes that a kernel runs.
pub(crate) fn launched(entry: &Entry) {
    let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    seen.0.insert(entry.name.clone());
}

/// Notes that one of the `tests` of an op has passed. With the last of them, in whatever order they
/// ran, every kernel of the op must have been launched.
#[track_caller]
pub(crate) fn passed(op: &'static str, tests: usize) {
    let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    let count = seen.1.entry(op).or_default();
    *count += 1;
    assert!(*count <= tests, "more than {tests} tests of {op}; change the number everywhere");
    if *count == tests {
        let all = kernels().iter().filter(|entry| entry.op == op).map(|entry| &entry.name);
        let left: Vec<&String> = all.filter(|name| !seen.0.contains(*name)).collect();
        assert!(left.is_empty(), "never launched: {left:?}");
    }
}
