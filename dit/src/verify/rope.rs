//! Kind `rope`: frequencies, angles and rotated vectors of both position rules.

use super::case::{Checker, sizes};
use crate::rotary::{self, AnglePrecision};
use crate::weights::Checkpoint;
use crate::{Error, Result};

/// One combination of rotary and head width.
struct Variant {
    prefix: String,
    rotary_dim: usize,
    /// Whether video time starts at the text length.
    is_offset: bool,
}

pub(super) fn check(checker: &mut Checker<'_>) -> Result<()> {
    let io = checker.need("io")?;
    let is_result =
        |name: &&String| ["freqs", "angles", ".out."].iter().any(|part| name.contains(part));
    checker.expect(io.names().iter().filter(is_result).cloned());
    let (text, video) = (sizes::<1>(&io, "txt_shape")?, sizes::<3>(&io, "vid_shape")?);
    for variant in variants(checker.config())? {
        let mut text_positions = Vec::new();
        let mut video_positions = Vec::new();
        for (&[length], &[frames, height, width]) in text.iter().zip(&video) {
            text_positions.extend((0..length).map(|j| [j as f32; 3]));
            let start = if variant.is_offset { length } else { 0 };
            for t in 0..frames {
                for h in 0..height {
                    video_positions
                        .extend((0..width).map(|w| [(start + t) as f32, h as f32, w as f32]));
                }
            }
        }
        let frequencies = rotary::frequencies(variant.rotary_dim);
        let prefix = &variant.prefix;
        checker.values(
            &io,
            &format!("{prefix}.freqs"),
            frequencies.iter().map(|&f| f64::from(f)).collect(),
        )?;
        for (stream, positions) in [("txt", &text_positions), ("vid", &video_positions)] {
            check_stream(checker, &io, &variant, stream, positions, &frequencies)?;
        }
    }
    Ok(())
}

fn variants(config: &serde_json::Value) -> Result<Vec<Variant>> {
    let numbers = |value: &serde_json::Value| -> Vec<usize> {
        value
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|v| v.as_u64())
            .map(|v| v as usize)
            .collect()
    };
    if let Some(dims) = config.get("head_dims") {
        let variant =
            |rotary_dim| Variant { prefix: format!("hd{rotary_dim}"), rotary_dim, is_offset: true };
        return Ok(numbers(dims).into_iter().map(variant).collect());
    }
    let pairs = config.get("rope_dims_and_head_dims").and_then(|v| v.as_array());
    let pairs = pairs.ok_or_else(|| {
        Error::invalid("rope: the configuration has neither head_dims nor rope_dims_and_head_dims")
    })?;
    let variant = |pair: &serde_json::Value| -> Option<Variant> {
        let rotary_dim = *numbers(pair).first()?;
        Some(Variant { prefix: format!("rope_dim{rotary_dim}"), rotary_dim, is_offset: false })
    };
    Ok(pairs.iter().filter_map(variant).collect())
}

fn check_stream(
    checker: &mut Checker<'_>,
    io: &Checkpoint,
    variant: &Variant,
    stream: &str,
    positions: &[[f32; 3]],
    frequencies: &[f32],
) -> Result<()> {
    let prefix = &variant.prefix;
    let rows = match io.shape(&format!("{stream}_rows")) {
        Some(_) => {
            io.integers(&format!("{stream}_rows"))?.into_iter().map(|row| row as usize).collect()
        }
        None => (0..positions.len()).collect::<Vec<usize>>(),
    };
    if let Some(row) = rows.iter().find(|&&row| row >= positions.len()) {
        return Err(Error::format(
            io.path(),
            format!("{stream}_rows names row {row} of {}", positions.len()),
        ));
    }
    for (precision, angles_suffix, out_suffix) in
        [(AnglePrecision::F32, "", ""), (AnglePrecision::Bf16, "_bf16", "_bf16rope")]
    {
        let angles = format!("{prefix}.{stream}_angles{angles_suffix}");
        if checker.wants(&angles) {
            let repeats = io.shape(&angles).map_or(1, |shape| {
                shape.last().copied().unwrap_or(0) / (3 * frequencies.len()).max(1)
            });
            let values = positions.iter().flat_map(|&p| rotary::angles(p, frequencies, precision));
            checker.values(
                io,
                &angles,
                values.flat_map(|a| std::iter::repeat_n(f64::from(a), repeats)).collect(),
            )?;
        }
        let out = format!("{prefix}.out.{stream}_q{out_suffix}");
        if checker.wants(&out) {
            let input = io.tensor(&format!("{prefix}.in.{stream}_q"))?;
            let chosen: Vec<[f32; 3]> = rows.iter().map(|&row| positions[row]).collect();
            let rotated = rotate(
                &input.to_f32()?.to_vec::<f32>()?,
                input.dims(),
                &chosen,
                variant.rotary_dim,
                precision,
            )?;
            checker.values(io, &out, rotated)?;
        }
    }
    Ok(())
}

/// Rotates `x` `[tokens, heads, head_dim]` by the tables that the attention uses.
fn rotate(
    x: &[f32],
    dims: &[usize],
    positions: &[[f32; 3]],
    rotary_dim: usize,
    precision: AnglePrecision,
) -> Result<Vec<f64>> {
    let &[tokens, heads, head_dim] = dims else {
        return Err(Error::invalid(format!(
            "rope: q is {dims:?}; expected [tokens, heads, head_dim]"
        )));
    };
    let (cos, sin) = rotary::tables(positions, rotary_dim, precision)?;
    let pairs = cos.dims()[1];
    if positions.len() != tokens || 2 * pairs > head_dim {
        return Err(Error::invalid(format!(
            "rope: q is {dims:?} for {} positions and {pairs} pairs",
            positions.len()
        )));
    }
    let (cos, sin) = (cos.to_vec::<f32>()?, sin.to_vec::<f32>()?);
    let mut out: Vec<f64> = x.iter().map(|&v| f64::from(v)).collect();
    for (row, values) in out.chunks_exact_mut(head_dim).enumerate() {
        let token = row / heads;
        for i in 0..pairs {
            let (c, s) = (f64::from(cos[token * pairs + i]), f64::from(sin[token * pairs + i]));
            let (a, b) = (values[2 * i], values[2 * i + 1]);
            (values[2 * i], values[2 * i + 1]) = (a * c - b * s, b * c + a * s);
        }
    }
    Ok(out)
}
