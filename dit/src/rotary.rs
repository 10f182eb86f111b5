//! Rotary tables: cosines and sines of position times frequency on the axes time, height, width
//! (VINCIE 3B specification, section 1.6; 7B specification, section 1.4).

use crate::Result;
use half::bf16;
use vincie_tensor::Tensor;

/// Precision of the angles. The official 7B run rounds frequencies, positions and products to bf16.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AnglePrecision {
    /// f32 throughout.
    #[default]
    F32,
    /// Frequency, position and their product each rounded to bf16; cosine and sine in f32.
    Bf16,
}

/// Frequencies of one axis: `10000^(-2i/d)` for `d = rotary_dim / 3` and `i` below `d / 2`, with the
/// official model's roundings: exponent, power and reciprocal are each f32. At position 300 a
/// frequency that is one unit off already turns a vector visibly.
pub fn frequencies(rotary_dim: usize) -> Vec<f32> {
    let axis = rotary_dim / 3;
    let power = |i: usize| 10_000f64.powf(f64::from(2.0 * i as f32 / axis as f32)) as f32;
    (0..axis / 2).map(|i| 1.0 / power(i)).collect()
}

/// Angles of one position, a pair of features each: first time, then height, then width.
pub fn angles(
    position: [f32; 3],
    frequencies: &[f32],
    precision: AnglePrecision,
) -> impl Iterator<Item = f32> + '_ {
    let round = move |x: f32| match precision {
        AnglePrecision::F32 => x,
        AnglePrecision::Bf16 => bf16::from_f32(x).to_f32(),
    };
    position
        .into_iter()
        .flat_map(move |p| frequencies.iter().map(move |&f| round(round(p) * round(f))))
}

/// Cosines and sines `[tokens, 3 d/2]` for one position `[time, height, width]` per token.
pub fn tables(
    positions: &[[f32; 3]],
    rotary_dim: usize,
    precision: AnglePrecision,
) -> Result<(Tensor, Tensor)> {
    let frequencies = frequencies(rotary_dim);
    let shape = [positions.len(), 3 * frequencies.len()];
    let all: Vec<f32> =
        positions.iter().flat_map(|&p| angles(p, &frequencies, precision)).collect();
    let table = |function: fn(f64) -> f64| {
        let values: Vec<f32> = all.iter().map(|&angle| function(f64::from(angle)) as f32).collect();
        Tensor::from_slice(&values, shape)
    };
    Ok((table(f64::cos)?, table(f64::sin)?))
}
