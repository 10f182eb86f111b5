//! Kinds `text_qwen` and `text_t5`: token numbers to features.

use super::case::Checker;
use crate::text::{Computation, qwen, t5};
use crate::weights::Checkpoint;
use crate::{Error, Result};
use serde_json::Value;
use vincie_tensor::{DType, Tensor};

/// Ending of the names of results in bf16.
const BF16: &str = "_bf16";

/// The marked tokens of every row of `ids` `[rows, length]`.
fn prompts(io: &Checkpoint, ids: &str, mask: &str) -> Result<Vec<Vec<u32>>> {
    let length = io.shape(ids).and_then(|shape| shape.last().copied()).unwrap_or(0).max(1);
    let (ids, mask) = (io.integers(ids)?, io.integers(mask)?);
    let row = |(ids, mask): (&[i64], &[i64])| {
        let marked = ids.iter().zip(mask).filter(|&(_, &mask)| mask != 0);
        let token = |(&id, _): (&i64, &i64)| {
            u32::try_from(id).map_err(|_| Error::invalid(format!("token {id} is negative")))
        };
        marked.map(token).collect()
    };
    ids.chunks(length).zip(mask.chunks(length)).map(row).collect()
}

fn expect(checker: &mut Checker<'_>, io: &Checkpoint) {
    let is_result = |name: &String| name.starts_with("expect.") || name.starts_with("mid.");
    checker.expect(io.names().into_iter().filter(is_result));
}

/// Where and in which type a pass computes.
fn computation(checker: &Checker<'_>, dtype: DType) -> Computation {
    Computation { place: checker.place().cloned(), dtype: Some(dtype) }
}

/// The end-token rule, block outputs and last hidden states.
pub(super) fn qwen(checker: &mut Checker<'_>) -> Result<()> {
    let io = checker.need("io")?;
    expect(checker, &io);
    let prompts = prompts(&io, "input.ids", "input.mask")?;
    if io.shape("input.ids_raw").is_some() {
        check_end_rule(checker, &io)?;
    }
    let lengths = prompts.iter().map(|prompt| prompt.len() as f64).collect();
    checker.values(&io, "expect.lengths", lengths)?;
    for (dtype, suffix) in [(DType::F32, ""), (DType::BF16, BF16)] {
        let name = format!("expect.flat{suffix}");
        if !checker.wants(&name) {
            continue;
        }
        let weights = checker.need("weights")?;
        let config = qwen::Config::new(checker.config(), &weights)?;
        let model = qwen::Model::new(config, weights, computation(checker, dtype))?;
        let features = model.forward(&prompts, |layer, x| {
            let name = format!("mid.h.{layer}{suffix}");
            if checker.wants(&name) { checker.tensor(&io, &name, x) } else { Ok(()) }
        })?;
        checker.tensor(&io, &name, &features)?;
    }
    Ok(())
}

/// Rows of tokens as they come from the tokenizer get their end token.
fn check_end_rule(checker: &mut Checker<'_>, io: &Checkpoint) -> Result<()> {
    let number = |key: &str| checker.config().get(key).and_then(Value::as_u64);
    let (Some(limit), Some(end)) = (number("max_length"), number("pad_id")) else {
        return Err(Error::invalid("the case's configuration has no max_length and pad_id"));
    };
    let mut ours = Vec::new();
    for raw in prompts(io, "input.ids_raw", "input.mask_raw")? {
        let mut row = qwen::with_end(raw, end as u32, limit.max(1) as usize);
        row.resize(row.len().max(limit as usize), end as u32);
        ours.extend(row.into_iter().map(f64::from));
    }
    checker.values(io, "input.ids", ours)
}

/// Classes of distances, their biases, the residual stream and the last hidden states.
pub(super) fn t5(checker: &mut Checker<'_>) -> Result<()> {
    let io = checker.need("io")?;
    expect(checker, &io);
    let prompts = prompts(&io, "input.ids", "input.mask")?;
    let config = |weights: &Checkpoint| t5::Config::new(checker.config(), weights);
    let config = config(&checker.need("weights")?)?;
    if checker.wants("expect.bucket") {
        let distances = io.integers("expect.relative_position")?;
        let buckets = distances.iter().map(|&distance| config.bucket(distance) as f64).collect();
        checker.values(&io, "expect.bucket", buckets)?;
        let distances = distances.into_iter().map(|distance| distance as f64).collect();
        checker.values(&io, "expect.relative_position", distances)?;
    }
    for (dtype, suffix) in [(DType::F32, ""), (DType::BF16, BF16)] {
        let name = format!("expect.features{suffix}");
        if !checker.wants(&name) {
            continue;
        }
        let weights = checker.need("weights")?;
        let model = t5::Model::new(config.clone(), weights, computation(checker, dtype))?;
        let bias = format!("mid.position_bias_rows_0_mid_last{suffix}");
        if checker.wants(&bias) {
            let length = io.shape(&bias).and_then(|shape| shape.last().copied()).unwrap_or(0);
            checker.tensor(&io, &bias, &three_rows(&model.position_bias(length)?)?)?;
        }
        let features = model.forward(&prompts, |layer, x| {
            let name = format!("mid.hidden.{layer}{suffix}");
            if !checker.wants(&name) {
                return Ok(());
            }
            // The second prompt's rows.
            let lengths: Vec<usize> = prompts.iter().map(Vec::len).collect();
            let &[first, second, ..] = lengths.as_slice() else {
                return Err(Error::invalid(format!("{name} is of the second prompt of one")));
            };
            checker.tensor(&io, &name, &x.narrow(0, first, second)?)
        })?;
        checker.tensor(&io, &name, &features)?;
    }
    Ok(())
}

/// The first, middle and last row of every head's biases `[heads, length, length]`.
fn three_rows(bias: &Tensor) -> Result<Tensor> {
    let bias = bias.to_host()?.to_f32()?;
    let &[heads, length, _] = bias.dims() else {
        return Err(Error::invalid(format!("biases are {}", bias.shape())));
    };
    let mut rows = Vec::with_capacity(heads * 3 * length);
    for head in 0..heads {
        for row in [0, length / 2, length.saturating_sub(1)] {
            rows.extend(bias.narrow(0, head, 1)?.narrow(1, row, 1)?.to_vec::<f32>()?);
        }
    }
    Ok(Tensor::from_slice(&rows, [heads, 3, length])?)
}
