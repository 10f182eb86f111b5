//! Against plain loops in f64, and against themselves on other numbers of threads.

use super::*;
use crate::kernels::Simd;

fn numbers(n: usize, seed: usize) -> Vec<f32> {
    (0..n).map(|i| ((i * 37 + seed * 101) % 19) as f32 / 8.0 - 1.0).collect()
}

/// Calls `visit` with the elements of source, weight and result that meet.
fn meetings(g: &Geometry, mut visit: impl FnMut(usize, usize, usize)) {
    for row in 0..g.result_rows() {
        let (line, w) = (row / g.result[2], row % g.result[2]);
        let (frame, h) = (line / g.result[1], line % g.result[1]);
        let (clip, t) = (frame / g.result[0], frame % g.result[0]);
        for tap in 0..g.taps() {
            let (kw, kh) = (tap % g.kernel[2], tap / g.kernel[2] % g.kernel[1]);
            let kt = tap / g.kernel[2] / g.kernel[1];
            let at = (t * g.stride[0] + kt).saturating_sub(g.front);
            let y = (h * g.stride[1] + kh).wrapping_sub(g.before[0]);
            let x = (w * g.stride[2] + kw).wrapping_sub(g.before[1]);
            if y >= g.source[1] || x >= g.source[2] {
                continue;
            }
            let pixel = ((clip * g.source[0] + at) * g.source[1] + y) * g.source[2] + x;
            for f in 0..g.filters {
                for c in 0..g.channels {
                    let weight = (f * g.taps() + tap) * g.channels + c;
                    visit(pixel * g.channels + c, weight, row * g.filters + f);
                }
            }
        }
    }
}

fn geometries() -> Vec<Geometry> {
    let base = Geometry {
        batch: 1,
        source: [1, 5, 6],
        result: [1, 5, 6],
        kernel: [1, 3, 3],
        stride: [1; 3],
        front: 0,
        before: [1, 1],
        channels: 5,
        filters: 3,
    };
    vec![
        base,
        Geometry { channels: 130, filters: 70, ..base },
        Geometry { kernel: [1; 3], before: [0; 2], channels: 16, filters: 200, ..base },
        Geometry {
            batch: 2,
            source: [3, 7, 9],
            result: [2, 4, 5],
            kernel: [3; 3],
            stride: [2; 3],
            front: 2,
            ..base
        },
        Geometry {
            source: [4, 6, 5],
            result: [4, 3, 2],
            kernel: [3, 4, 4],
            stride: [1, 2, 2],
            front: 2,
            ..base
        },
        Geometry {
            source: [2, 4, 8],
            result: [2, 2, 4],
            kernel: [1, 1, 2],
            stride: [1, 2, 2],
            before: [0; 2],
            ..base
        },
        Geometry { source: [1, 20, 17], result: [1, 20, 17], filters: 33, ..base },
        // Winograd's way, with rests of tiles, of channels and of what lies around the picture.
        Geometry {
            batch: 3,
            source: [1, 27, 26],
            result: [1, 26, 25],
            before: [1, 0],
            channels: 69,
            filters: 66,
            ..base
        },
    ]
}

/// The result, and the gradients of source and weight for a gradient of the result.
fn run(simd: Simd, g: &Geometry) -> [Vec<f32>; 3] {
    let source = numbers(g.source_rows() * g.channels, 1);
    let (weight, bias) = (numbers(g.weights(), 2), numbers(g.filters, 3));
    let gradient = numbers(g.result_rows() * g.filters, 4);
    let mut all = [vec![9.0; gradient.len()], vec![9.0; source.len()], vec![9.0; weight.len()]];
    let [result, d_source, d_weight] = &mut all;
    for (direction, from, to) in [
        (Direction::Forward, &source, &mut *result),
        (Direction::Backward, &gradient, &mut *d_source),
    ] {
        let bias = (direction == Direction::Forward).then_some(&bias[..]);
        let mut memory = vec![f32::NAN; workspace(g, direction)];
        let workspace = &mut memory[..];
        gather(simd, Gather { geometry: g, direction, from, weight: &weight, bias, to, workspace });
    }
    let args = Weight { geometry: g, source: &source, gradient: &gradient, to: d_weight };
    weight_gradient(simd, args);
    all
}

#[test]
fn results_and_gradients_equal_plain_loops() {
    for g in geometries() {
        let source = numbers(g.source_rows() * g.channels, 1);
        let (weight, bias) = (numbers(g.weights(), 2), numbers(g.filters, 3));
        let gradient = numbers(g.result_rows() * g.filters, 4);
        let mut expected =
            [vec![0f64; gradient.len()], vec![0.0; source.len()], vec![0.0; weight.len()]];
        for (i, to) in expected[0].iter_mut().enumerate() {
            *to = f64::from(bias[i % g.filters]);
        }
        meetings(&g, |x, w, y| {
            expected[0][y] += f64::from(source[x]) * f64::from(weight[w]);
            expected[1][x] += f64::from(gradient[y]) * f64::from(weight[w]);
            expected[2][w] += f64::from(gradient[y]) * f64::from(source[x]);
        });
        for simd in Simd::available() {
            for (which, (ours, expected)) in run(simd, &g).iter().zip(&expected).enumerate() {
                let is_direct = which == 2 || g.channels.min(g.filters) < 64;
                let tolerance = if is_direct { 1e-6 } else { 1e-5 };
                let largest = expected.iter().fold(0f64, |most, v| most.max(v.abs()));
                for (at, (a, b)) in ours.iter().zip(expected).enumerate() {
                    let error = (f64::from(*a) - b).abs();
                    assert!(error <= tolerance * largest, "{simd:?} {g:?} {which} {at}: {a}, {b}");
                }
            }
        }
    }
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    for g in geometries() {
        for simd in Simd::available() {
            let [one, three] = [1, 3].map(|threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
                pool.expect("threads can be started").install(|| run(simd, &g))
            });
            assert!(one == three, "{simd:?} {g:?}");
        }
    }
}
