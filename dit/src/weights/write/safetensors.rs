//! Safetensors files and shards of them.

use super::{Fill, Plan, fill_whole, publish};
use crate::{Error, Result};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Alignment of the first tensor's bytes.
const ALIGNMENT: usize = 8;

/// Writes one file. Tensors lie in an order of falling element size, then as planned, so that each is
/// aligned for its elements; the header says `format = pt`, which readers of other projects ask for. The
/// same tensors give the same bytes.
pub fn write_safetensors(path: &Path, plans: &[Plan], fill: &mut Fill<'_>) -> Result<()> {
    let mut order: Vec<&Plan> = plans.iter().collect();
    order.sort_by_key(|plan| std::cmp::Reverse(plan.dtype.bitsize()));
    let mut header = Map::new();
    header.insert("__metadata__".to_owned(), json!({ "format": "pt" }));
    let mut at = 0;
    for plan in &order {
        let end = at + plan.bytes();
        let entry = json!({
            "dtype": format!("{:?}", plan.dtype),
            "shape": plan.shape,
            "data_offsets": [at, end],
        });
        if header.insert(plan.name.clone(), entry).is_some() {
            return Err(Error::format(path, format!("would hold {} twice", plan.name)));
        }
        at = end;
    }
    let mut header = Value::Object(header).to_string().into_bytes();
    header.resize(header.len().next_multiple_of(ALIGNMENT), b' ');
    publish(path, |file| {
        let io = |source| Error::io(path, source);
        file.write_all(&(header.len() as u64).to_le_bytes()).map_err(io)?;
        file.write_all(&header).map_err(io)?;
        order.iter().try_for_each(|plan| {
            fill_whole(path, plan, fill, |piece| file.write_all(piece).map_err(io))
        })
    })
}

/// Writes `model.safetensors` into a folder, or where that would be longer than `largest` bytes,
/// `model-00001-of-0000N.safetensors` and so on with `model.safetensors.index.json`, which comes last. A
/// tensor of more than `largest` bytes has a file of its own. Gives the files.
pub fn write_shards(
    folder: &Path,
    plans: &[Plan],
    largest: usize,
    fill: &mut Fill<'_>,
) -> Result<Vec<PathBuf>> {
    let shards = shards(plans, largest);
    if let [all] = shards.as_slice() {
        let path = folder.join("model.safetensors");
        write_safetensors(&path, all, fill)?;
        return Ok(vec![path]);
    }
    let mut weight_map = BTreeMap::new();
    let mut files = Vec::with_capacity(shards.len() + 1);
    for (number, part) in shards.iter().enumerate() {
        let name = format!("model-{:05}-of-{:05}.safetensors", number + 1, shards.len());
        let path = folder.join(&name);
        write_safetensors(&path, part, fill)?;
        weight_map.extend(part.iter().map(|plan| (plan.name.as_str(), name.clone())));
        files.push(path);
    }
    let total: usize = plans.iter().map(Plan::bytes).sum();
    let index = json!({ "metadata": { "total_size": total }, "weight_map": weight_map });
    let path = folder.join("model.safetensors.index.json");
    publish(&path, |file| {
        let text = serde_json::to_string_pretty(&index).unwrap_or_default() + "\n";
        file.write_all(text.as_bytes()).map_err(|source| Error::io(&path, source))
    })?;
    files.push(path);
    Ok(files)
}

/// Plans in runs of at most `largest` bytes.
fn shards(plans: &[Plan], largest: usize) -> Vec<&[Plan]> {
    let mut shards = Vec::new();
    let (mut start, mut bytes) = (0, 0usize);
    for (at, plan) in plans.iter().enumerate() {
        if at > start && bytes + plan.bytes() > largest {
            shards.push(&plans[start..at]);
            (start, bytes) = (at, 0);
        }
        bytes += plan.bytes();
    }
    shards.push(&plans[start..]);
    shards
}
