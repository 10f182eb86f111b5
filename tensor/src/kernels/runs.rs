//! Cuts rows into runs that tasks work on, and adds what they found in a fixed order.
//!
//! Column sums over rows (the gradients of weights and of modulation) are made in two steps: each run
//! leaves one partial row in the workspace, then partial rows are added from the first run to the
//! last. Runs depend on sizes and groups alone, so sums do not depend on the number of threads.

use super::disjoint::Disjoint;
use super::simd::{Kernel, Lane, Simd};
use rayon::prelude::*;
use std::ops::Range;

/// Elements of a run that leaves partial sums.
const RUN: usize = 1 << 16;

/// Consecutive rows of one group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) rows: Range<usize>,
    pub(crate) group: usize,
}

/// Group of each row; all rows are of group 0 where there are no groups.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Groups<'a> {
    of_row: Option<&'a [u32]>,
    count: usize,
}

impl<'a> Groups<'a> {
    /// All rows are one group.
    pub(crate) const ONE: Self = Self { of_row: None, count: 1 };

    /// `of_row` names one of `count` groups for each of `rows` rows.
    pub(crate) fn new(of_row: &'a [u32], rows: usize, count: usize) -> Self {
        assert_eq!(of_row.len(), rows, "a group for every row");
        if let Some(group) = of_row.iter().find(|&&group| group as usize >= count) {
            panic!("a row is of group {group}; there are {count}");
        }
        Self { of_row: Some(of_row), count }
    }

    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Cuts `rows` rows of `cols` elements where the group changes and where a run is long enough.
    pub(crate) fn runs(&self, rows: usize, cols: usize) -> Vec<Run> {
        let limit = (RUN / cols.max(1)).max(1);
        let group = |row: usize| self.of_row.map_or(0, |groups| groups[row] as usize);
        let mut runs = Vec::with_capacity(rows.div_ceil(limit));
        let mut start = 0;
        while start < rows {
            let limit = rows.min(start + limit);
            let end = (start + 1..limit).find(|&row| group(row) != group(start)).unwrap_or(limit);
            runs.push(Run { rows: start..end, group: group(start) });
            start = end;
        }
        runs
    }
}

/// Calls `work` for every index: here where there is one, else on the pool.
pub(crate) fn for_each(count: usize, work: impl Fn(usize) + Send + Sync) {
    if count <= 1 {
        (0..count).for_each(work);
    } else {
        (0..count).into_par_iter().for_each(work);
    }
}

/// Adds the partial rows of each group: `sums[group, col]` becomes the sum over the runs of the group
/// of `partials[run, offset + col]`, where a run has `stride` partial sums.
pub(crate) fn add_runs(
    simd: Simd,
    runs: &[Run],
    partials: &[f32],
    stride: usize,
    offset: usize,
    sums: &mut [f32],
    cols: usize,
) {
    let groups: Vec<usize> = runs.iter().map(|run| run.group).collect();
    let partials = partials.get(offset..).unwrap_or_default();
    add_rows(simd, &groups, partials, stride, sums, cols);
}

/// Adds the rows of a `[rows, cols]` matrix.
pub(crate) fn add_all(simd: Simd, matrix: &[f32], sums: &mut [f32]) {
    let cols = sums.len();
    let groups = vec![0; matrix.len().checked_div(cols).unwrap_or(0)];
    add_rows(simd, &groups, matrix, cols, sums, cols);
}

fn add_rows(
    simd: Simd,
    groups: &[usize],
    from: &[f32],
    stride: usize,
    sums: &mut [f32],
    cols: usize,
) {
    /// Columns of a task.
    const COLS: usize = 512;
    assert!(cols > 0 || sums.is_empty(), "sums of no columns");
    let count = sums.len().checked_div(cols).unwrap_or(0);
    let sums = Disjoint::new(sums);
    for_each(cols.div_ceil(COLS), |index| {
        let cols_here = index * COLS..((index + 1) * COLS).min(cols);
        for group in 0..count {
            // SAFETY: tasks own disjoint columns.
            let row = unsafe { sums.part(group * cols + cols_here.start, cols_here.len()) };
            row.fill(0.0);
        }
        for (i, &group) in groups.iter().enumerate() {
            // SAFETY: as above.
            let to = unsafe { sums.part(group * cols + cols_here.start, cols_here.len()) };
            let from = &from[i * stride..][cols_here.clone()];
            simd.run(AddRow { to, from });
        }
    });
}

struct AddRow<'a> {
    to: &'a mut [f32],
    from: &'a [f32],
}

impl Kernel for AddRow<'_> {
    type Output = ();

    #[inline(always)]
    fn run<L: Lane>(self) {
        for (to, &from) in self.to.iter_mut().zip(self.from) {
            *to += from;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_cover_rows_in_order_and_keep_groups_apart() {
        let of_row: Vec<u32> = [0, 0, 0, 2, 2, 1, 0, 0, 0, 0].to_vec();
        let groups = Groups::new(&of_row, 10, 3);
        let runs = groups.runs(10, RUN / 3);
        let cut: Vec<_> = runs.iter().map(|run| (run.rows.clone(), run.group)).collect();
        assert_eq!(cut, [(0..3, 0), (3..5, 2), (5..6, 1), (6..9, 0), (9..10, 0)]);
        assert_eq!(Groups::ONE.runs(5, 1), [Run { rows: 0..5, group: 0 }]);
        assert_eq!(Groups::ONE.runs(0, 7), []);
        assert_eq!(Groups::ONE.runs(2, 10 * RUN).len(), 2);
    }

    #[test]
    fn partial_rows_are_added_by_group() {
        let run = |start, group| Run { rows: start..start + 1, group };
        let runs = [run(0, 1), run(1, 0), run(2, 1)];
        for simd in Simd::available() {
            for cols in [1, 17, 600] {
                let partials: Vec<f32> = (0..3 * 2 * cols).map(|i| i as f32).collect();
                let mut sums = vec![9.0; 3 * cols];
                add_runs(simd, &runs, &partials, 2 * cols, cols, &mut sums, cols);
                for c in 0..cols {
                    let partial = |run: usize| partials[run * 2 * cols + cols + c];
                    assert_eq!(sums[c], partial(1));
                    assert_eq!(sums[cols + c], partial(0) + partial(2));
                    assert_eq!(sums[2 * cols + c], 0.0);
                }
                let mut all = vec![9.0; cols];
                add_all(simd, &sums, &mut all);
                assert!((0..cols).all(|c| all[c] == sums[c] + sums[cols + c]));
            }
        }
    }
}
