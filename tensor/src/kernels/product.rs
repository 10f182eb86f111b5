//! The register-blocked micro-kernel behind attention: C = start + A B on small operands that stay
//! in cache, where B and C have their columns in vector lanes and elements of A are broadcast.

use super::simd::Lane;

/// How A lies in memory.
pub(crate) trait Order {
    /// Offset of element (row, step).
    fn offset(row: usize, step: usize, leading: usize) -> usize;
}

/// A\[row, step\] at `row * leading + step`.
pub(crate) struct RowMajor;

/// A\[row, step\] at `step * leading + row`.
pub(crate) struct ColumnMajor;

impl Order for RowMajor {
    #[inline(always)]
    fn offset(row: usize, step: usize, leading: usize) -> usize {
        row * leading + step
    }
}

impl Order for ColumnMajor {
    #[inline(always)]
    fn offset(row: usize, step: usize, leading: usize) -> usize {
        step * leading + row
    }
}

/// Rows that operands are padded to: a multiple of every level's tile.
pub(crate) const ROW_STEP: usize = 8;

/// Columns that operands are padded to: a multiple of every level's vector, and one cache line.
pub(crate) const COLUMN_STEP: usize = 16;

/// Smallest leading dimension for `columns` that is an odd number of cache lines, so that walking
/// down a column visits every set of a cache.
pub(crate) fn leading(columns: usize) -> usize {
    (columns.div_ceil(COLUMN_STEP) | 1) * COLUMN_STEP
}

/// What the sum starts from.
#[derive(Clone, Copy)]
pub(crate) enum Start<'a> {
    /// Nothing; C is written without being read.
    Zero,
    /// The C that is there.
    Add,
    /// The C that is there, each row multiplied by its factor.
    Scaled(&'a [f32]),
}

/// Extent of a product.
#[derive(Clone, Copy)]
pub(crate) struct Size {
    /// Rows of A and C; rounded up to [`ROW_STEP`].
    pub(crate) rows: usize,
    /// Columns of A, rows of B.
    pub(crate) steps: usize,
    /// Columns of B and C; rounded up to whole vectors.
    pub(crate) columns: usize,
}

/// C = start + A B. Each operand is a slice and its leading dimension.
///
/// Rows and columns are rounded up as [`Size`] says; what lies there must exist, is read, and in C
/// overwritten, but never reaches a result inside the bounds. `tops`, where given, is raised to the
/// largest element of each column, and there the rows that round up count as well.
#[inline(always)]
pub(crate) fn product<L: Lane, A: Order>(
    size: Size,
    (a, lda): (&[f32], usize),
    (b, ldb): (&[f32], usize),
    (c, ldc): (&mut [f32], usize),
    start: Start<'_>,
    mut tops: Option<&mut [f32]>,
) {
    let rows = size.rows.next_multiple_of(ROW_STEP);
    let vectors = size.columns.div_ceil(L::WIDTH);
    if rows == 0 || vectors == 0 {
        return;
    }
    assert!(c.len() >= (rows - 1) * ldc + vectors * L::WIDTH, "C is too short");
    if let Some(last) = size.steps.checked_sub(1) {
        assert!(a.len() > A::offset(rows - 1, last, lda), "A is too short");
        assert!(b.len() >= last * ldb + vectors * L::WIDTH, "B is too short");
    }
    if let Start::Scaled(factors) = start {
        assert!(factors.len() >= rows, "a factor for every row");
    }
    if let Some(tops) = &tops {
        assert!(tops.len() >= vectors * L::WIDTH, "a top for every column");
    }

    let mut done = 0;
    while done < vectors {
        let strip = strip_width::<L>(vectors - done);
        let column = done * L::WIDTH;
        let mut row = 0;
        while row < rows {
            // SAFETY: the tile lies within rows x vectors, for which the checks above hold.
            unsafe {
                let tile = Tile {
                    steps: size.steps,
                    a: a.as_ptr().add(A::offset(row, 0, lda)),
                    lda,
                    b: b.as_ptr().add(column),
                    ldb,
                    c: c.as_mut_ptr().add(row * ldc + column),
                    ldc,
                    start: match start {
                        Start::Scaled(factors) => Start::Scaled(&factors[row..]),
                        other => other,
                    },
                    tops: tops.as_mut().map(|tops| tops.as_mut_ptr().add(column)),
                };
                match (L::TILE_ROWS, strip) {
                    (8, 3) => tile.run::<L, A, 8, 3>(),
                    (8, 2) => tile.run::<L, A, 8, 2>(),
                    (8, _) => tile.run::<L, A, 8, 1>(),
                    (_, 2) => tile.run::<L, A, 4, 2>(),
                    (_, _) => tile.run::<L, A, 4, 1>(),
                }
            }
            row += L::TILE_ROWS;
        }
        done += strip;
    }
}

/// Vectors the next strip takes of those that remain. Of four it takes two rather than three, because
/// a single vector a step is bound by loads.
#[inline(always)]
pub(crate) fn strip_width<L: Lane>(remaining: usize) -> usize {
    if remaining == 4 { 2 } else { remaining.min(L::TILE_VECTORS) }
}

/// One register tile of C.
struct Tile<'a> {
    steps: usize,
    a: *const f32,
    lda: usize,
    b: *const f32,
    ldb: usize,
    c: *mut f32,
    ldc: usize,
    start: Start<'a>,
    tops: Option<*mut f32>,
}

impl Tile<'_> {
    /// # Safety
    /// The pointers must be valid for R rows, V vectors and `steps` steps.
    #[inline(always)]
    unsafe fn run<L: Lane, A: Order, const R: usize, const V: usize>(self) {
        let Self { steps, a, lda, b, ldb, c, ldc, start, tops } = self;
        let mut sums = [[L::zero(); V]; R];
        // SAFETY: every offset below stays inside R rows, V vectors and `steps` steps.
        unsafe {
            match start {
                Start::Zero => {}
                Start::Add => {
                    for (r, row) in sums.iter_mut().enumerate() {
                        for (v, sum) in row.iter_mut().enumerate() {
                            *sum = L::load(c.add(r * ldc + v * L::WIDTH));
                        }
                    }
                }
                Start::Scaled(factors) => {
                    for (r, row) in sums.iter_mut().enumerate() {
                        let factor = L::splat(factors[r]);
                        for (v, sum) in row.iter_mut().enumerate() {
                            *sum = L::load(c.add(r * ldc + v * L::WIDTH)) * factor;
                        }
                    }
                }
            }
            for step in 0..steps {
                let mut columns = [L::zero(); V];
                for (v, column) in columns.iter_mut().enumerate() {
                    *column = L::load(b.add(step * ldb + v * L::WIDTH));
                }
                for (r, row) in sums.iter_mut().enumerate() {
                    let x = L::splat(*a.add(A::offset(r, step, lda)));
                    for (sum, &column) in row.iter_mut().zip(&columns) {
                        *sum = column.mul_add(x, *sum);
                    }
                }
            }
            for (r, row) in sums.iter().enumerate() {
                for (v, sum) in row.iter().enumerate() {
                    sum.store(c.add(r * ldc + v * L::WIDTH));
                }
            }
            if let Some(tops) = tops {
                for v in 0..V {
                    let mut top = L::load(tops.add(v * L::WIDTH));
                    for row in &sums {
                        top = row[v].max(top);
                    }
                    top.store(tops.add(v * L::WIDTH));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::simd::{Kernel, Simd};
    use std::marker::PhantomData;

    struct Case<'a, A> {
        size: Size,
        a: (&'a [f32], usize),
        b: (&'a [f32], usize),
        c: (&'a mut [f32], usize),
        start: Start<'a>,
        order: PhantomData<A>,
    }

    impl<A: Order> Kernel for Case<'_, A> {
        type Output = ();

        #[inline(always)]
        fn run<L: Lane>(self) {
            let Self { size, a, b, c, start, order: _ } = self;
            product::<L, A>(size, a, b, c, start, None);
        }
    }

    fn numbers(n: usize, seed: u32) -> Vec<f32> {
        (0..n as u32).map(|i| ((i * 37 + seed * 101) % 17) as f32 / 4.0 - 2.0).collect()
    }

    fn check<A: Order>(rows: usize, steps: usize, columns: usize) {
        let padded = rows.next_multiple_of(ROW_STEP);
        let ldc = leading(columns);
        let lda = leading(padded.max(steps));
        let a = numbers(lda * padded.max(steps), 1);
        let b = numbers(ldc * steps.max(1), 2);
        let before = numbers(ldc * padded, 3);
        let factors = numbers(padded, 4);
        for simd in Simd::available() {
            for start in [Start::Zero, Start::Add, Start::Scaled(&factors)] {
                let mut c = before.clone();
                let size = Size { rows, steps, columns };
                let case = Case {
                    size,
                    a: (&a, lda),
                    b: (&b, ldc),
                    c: (&mut c, ldc),
                    start,
                    order: PhantomData::<A>,
                };
                simd.run(case);
                for r in 0..rows {
                    for j in 0..columns {
                        let old = f64::from(before[r * ldc + j]);
                        let mut sum = match start {
                            Start::Zero => 0.0,
                            Start::Add => old,
                            Start::Scaled(factors) => old * f64::from(factors[r]),
                        };
                        for k in 0..steps {
                            sum += f64::from(a[A::offset(r, k, lda)]) * f64::from(b[k * ldc + j]);
                        }
                        assert_eq!(
                            f64::from(c[r * ldc + j]),
                            sum,
                            "{simd:?} {rows} {steps} {columns}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn products_equal_plain_loops_for_odd_sizes() {
        for (rows, steps, columns) in
            [(1, 1, 1), (8, 5, 16), (13, 7, 48), (9, 0, 17), (16, 33, 65), (3, 2, 130)]
        {
            check::<RowMajor>(rows, steps, columns);
            check::<ColumnMajor>(rows, steps, columns);
        }
    }

    #[test]
    fn leading_dimensions_are_odd_lines() {
        for columns in 1..600 {
            let ld = leading(columns);
            assert!(ld >= columns && ld % 32 == 16 && ld < columns + 32, "{columns} -> {ld}");
        }
    }
}
