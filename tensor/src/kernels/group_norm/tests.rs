//! Every level against f64, far from zero, and on other numbers of threads.

use super::*;
use crate::kernels::Simd;

fn numbers(n: usize, seed: usize, shift: f32) -> Vec<f32> {
    (0..n).map(|i| ((i * 37 + seed * 101) % 23) as f32 / 8.0 - 1.4 + shift).collect()
}

#[test]
fn statistics_keep_their_digits_far_from_zero() {
    let (pixels, channels, groups) = (700, 24, 4);
    let x = numbers(2 * pixels * channels, 1, 1000.0);
    let (weight, bias) = (numbers(channels, 2, 1.0), numbers(channels, 3, 0.0));
    let norm = Norm {
        frames: 2,
        pixels,
        channels,
        groups,
        epsilon: 1e-6,
        silu: true,
        weight: &weight,
        bias: &bias,
    };
    let each = channels / groups;
    for simd in Simd::available() {
        let (mut y, mut statistics) = (vec![0.0; x.len()], vec![0.0; 2 * groups * 2]);
        forward(simd, norm, &x, &mut y, &mut statistics);
        for f in 0..2 {
            for g in 0..groups {
                let at = |p: usize, c: usize| (f * pixels + p) * channels + g * each + c;
                let all = (0..pixels).flat_map(|p| (0..each).map(move |c| (p, c)));
                let values: Vec<f64> = all.clone().map(|(p, c)| f64::from(x[at(p, c)])).collect();
                let mean = values.iter().sum::<f64>() / values.len() as f64;
                let square = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>();
                let inverse = 1.0 / (square / values.len() as f64 + 1e-6).sqrt();
                let ours = f64::from(statistics[(f * groups + g) * 2 + 1]);
                assert!((ours / inverse - 1.0).abs() < 1e-6, "{simd:?}: {ours}, {inverse}");
                for (p, c) in all {
                    let z = (f64::from(x[at(p, c)]) - mean) * inverse;
                    let channel = g * each + c;
                    let z = z * f64::from(weight[channel]) + f64::from(bias[channel]);
                    let expected = z / (1.0 + (-z).exp());
                    let error = (f64::from(y[at(p, c)]) - expected).abs();
                    // The rounding of x itself, a thousand times as large as its deviation.
                    assert!(error < 1e-3, "{simd:?}: {} {expected}", y[at(p, c)]);
                }
            }
        }
    }
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let (pixels, channels) = (3000, 32);
    let (x, dy) = (numbers(pixels * channels, 1, 0.0), numbers(pixels * channels, 2, 0.0));
    let (weight, bias) = (numbers(channels, 3, 1.0), numbers(channels, 4, 0.0));
    let (weight, bias) = (&weight[..], &bias[..]);
    let norm =
        Norm { frames: 1, pixels, channels, groups: 8, epsilon: 1e-6, silu: true, weight, bias };
    for simd in Simd::available() {
        let run = || {
            let mut all = [vec![0.0; x.len()], vec![0.0; 16], vec![0.0; x.len()]];
            let (mut d_weight, mut d_bias) = (vec![0.0; channels], vec![0.0; channels]);
            let [y, statistics, dx] = &mut all;
            forward(simd, norm, &x, y, statistics);
            let (d_weight, d_bias) = (&mut d_weight[..], &mut d_bias[..]);
            backward(simd, norm, Backward { x: &x, statistics, dy: &dy, dx, d_weight, d_bias });
            (d_weight.to_vec(), d_bias.to_vec(), all)
        };
        let [one, three] = [1, 3].map(|threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            pool.expect("threads can be started").install(run)
        });
        assert!(one == three, "{simd:?}");
    }
}
