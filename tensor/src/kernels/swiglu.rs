//! silu(gate) * up, the activation of a SwiGLU feed-forward layer.

use super::elementwise::map;
use super::math;
use super::simd::{Lane, Simd};
use super::sweep::Function;

struct Forward;

impl Function<2, 1> for Forward {
    #[inline(always)]
    fn apply<L: Lane>(&self, [gate, up]: [L; 2], _: [L; 1]) -> [L; 1] {
        [math::silu(gate) * up]
    }
}

struct Backward;

impl Function<3, 2> for Backward {
    #[inline(always)]
    fn apply<L: Lane>(&self, [gate, up, dy]: [L; 3], _: [L; 2]) -> [L; 2] {
        let (s, rest) = math::sigmoids(gate);
        let slope = s * rest.mul_add(gate, L::splat(1.0));
        [dy * up * slope, dy * (gate * s)]
    }
}

/// y = silu(gate) * up.
pub fn forward(simd: Simd, gate: &[f32], up: &[f32], y: &mut [f32]) {
    map(simd, Forward, [gate, up], [y]);
}

/// Gradients of `gate` and `up` from that of y.
pub fn backward(
    simd: Simd,
    gate: &[f32],
    up: &[f32],
    dy: &[f32],
    d_gate: &mut [f32],
    d_up: &mut [f32],
) {
    map(simd, Backward, [gate, up, dy], [d_gate, d_up]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn value_and_gradients_equal_plain_ones() {
        for simd in Simd::available() {
            for n in [0usize, 1, 17, 1000] {
                let data = |step: usize| (0..n).map(move |i| ((i * step) % 97) as f32 / 9.0 - 5.0);
                let [gate, up, dy]: [Vec<f32>; 3] = [7, 11, 13].map(|step| data(step).collect());
                let [mut y, mut d_gate, mut d_up] = [vec![9.0; n], vec![9.0; n], vec![9.0; n]];
                forward(simd, &gate, &up, &mut y);
                backward(simd, &gate, &up, &dy, &mut d_gate, &mut d_up);
                for i in 0..n {
                    let [g, u, d] = [gate[i], up[i], dy[i]].map(f64::from);
                    let s = 1.0 / (1.0 + (-g).exp());
                    for (got, exact) in [
                        (y[i], g * s * u),
                        (d_gate[i], d * u * s * (1.0 + g * (1.0 - s))),
                        (d_up[i], d * g * s),
                    ] {
                        assert!((f64::from(got) - exact).abs() < 1e-5, "{simd:?} {got} {exact}");
                    }
                }
            }
        }
    }
}
