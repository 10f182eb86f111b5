//! Products of small integers, which are exact in every order, in every layout.

use super::block::BLOCK_PAIRS;
use super::*;
use crate::kernels::simd::Simd;

/// Small integers, whose products and sums bf16 and f32 hold exactly.
fn numbers(n: usize, seed: usize) -> Vec<bf16> {
    (0..n).map(|i| bf16::from_f32(((i * 7919 + seed * 31) % 17) as f32 - 8.0)).collect()
}

/// The layouts of one operand: row-major, column-major, and neither.
fn layouts(data: &[bf16], rows: usize, cols: usize) -> [(Vec<bf16>, usize, usize); 3] {
    let place = |row_step: usize, col_step: usize| {
        let mut out = vec![bf16::NAN; rows * row_step + cols * col_step];
        for r in 0..rows {
            for c in 0..cols {
                out[r * row_step + c * col_step] = data[r * cols + c];
            }
        }
        (out, row_step, col_step)
    };
    [place(cols + 1, 1), place(1, rows + 2), place(2 * cols + 3, 2)]
}

fn run(simd: Simd, size: Size, a: Matrix<'_>, b: Matrix<'_>, before: Option<&[f32]>) -> Vec<f32> {
    let mut c = before.map_or_else(|| vec![f32::NAN; size.rows * size.cols], <[f32]>::to_vec);
    let mut memory = vec![bf16::NAN; workspace(size)];
    let accumulates = before.is_some();
    matmul(simd, Matmul { size, a, b, c: &mut c, accumulates, workspace: &mut memory });
    c
}

#[test]
fn products_equal_plain_loops_in_every_layout() {
    for (rows, cols, depth) in [
        (0, 3, 4),
        (3, 0, 4),
        (5, 3, 0),
        (1, 1, 1),
        (7, 5, 3),
        (9, 49, 20),
        (4, 100, 33),
        (130, 210, 65),
        (40, 30, 2 * BLOCK_PAIRS + 7),
    ] {
        let size = Size { rows, cols, depth };
        let (a, b) = (numbers(rows * depth, 1), numbers(depth * cols, 2));
        let before: Vec<f32> = (0..rows * cols).map(|i| (i % 5) as f32).collect();
        let mut exact = vec![0.0; rows * cols];
        for r in 0..rows {
            for c in 0..cols {
                let pairs =
                    (0..depth).map(|k| a[r * depth + k].to_f32() * b[k * cols + c].to_f32());
                exact[r * cols + c] = pairs.sum();
            }
        }
        let added: Vec<f32> = exact.iter().zip(&before).map(|(x, y)| x + y).collect();
        for simd in Simd::available() {
            for (a, a_row, a_col) in &layouts(&a, rows, depth) {
                for (b, b_row, b_col) in &layouts(&b, depth, cols) {
                    let a = Matrix { data: a, row_step: *a_row, col_step: *a_col };
                    let b = Matrix { data: b, row_step: *b_row, col_step: *b_col };
                    assert_eq!(run(simd, size, a, b, None), exact, "{simd:?} {size:?}");
                    assert_eq!(run(simd, size, a, b, Some(&before)), added, "{simd:?} {size:?}");
                }
            }
        }
    }
}

#[test]
fn levels_agree_but_for_rounding_and_threads_change_nothing() {
    let size = Size { rows: 150, cols: 200, depth: 300 };
    let noise = |n: usize, step: usize| -> Vec<bf16> {
        (0..n).map(|i| bf16::from_f32((i * step % 1009) as f32 / 504.0 - 1.0)).collect()
    };
    let (a, b) = (noise(150 * 300, 7919), noise(300 * 200, 104_729));
    let (a, b) = (Matrix::row_major(&a, 300), Matrix::row_major(&b, 200));
    let mut first: Option<Vec<f32>> = None;
    for simd in Simd::available() {
        let [one, two] = [1, 2].map(|threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            pool.expect("threads can be started").install(|| run(simd, size, a, b, None))
        });
        assert!(one == two, "{simd:?}");
        let first = first.get_or_insert(one);
        for (x, y) in first.iter().zip(&two) {
            assert!((x - y).abs() < 1e-4, "{simd:?} {x} {y}");
        }
    }
}
