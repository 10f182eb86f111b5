//! `vincie bench attention`: the attention kernel alone.

use super::timing::{Timing, measure};
use super::{Common, Place};
use crate::console::Console;
use crate::failure::Failure;
use crate::table::{Align, Table};
use clap::Args;
use serde::Serialize;
use std::sync::Arc;
use vincie_autograd::{Graph, Parameters};
use vincie_dit::network::AttentionKind;
use vincie_tensor::ops::AttentionMask;
use vincie_tensor::random::{Key, Stream};
use vincie_tensor::{Accelerator, Tensor};

/// Time attention alone, forward and forward with backward.
///
/// One sample of `--frames` frames; block-causal attention lets each frame see itself and the
/// earlier ones. FLOP count two products forward and five backward over the visible pairs.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  vincie bench attention\n  \
                        vincie bench attention --attention full --length 2048 --threads 1")]
pub(super) struct Arguments {
    /// Which tokens see each other
    #[arg(long, value_name = "KIND", default_value = "block-causal")]
    #[arg(value_parser = super::attention_kind())]
    attention: AttentionKind,

    /// Heads
    #[arg(long, value_name = "H", default_value_t = 20)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=1024))]
    heads: u64,

    /// Tokens
    #[arg(long, value_name = "L", default_value_t = 1024)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=1 << 20))]
    length: u64,

    /// Features of a head
    #[arg(long, value_name = "D", default_value_t = 128)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=1024))]
    head_dim: u64,

    /// Frames, which share the tokens evenly
    #[arg(long, value_name = "N", default_value_t = 4)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=1024))]
    frames: u64,

    #[command(flatten)]
    common: Common,
}

#[derive(Serialize)]
struct Answer {
    attention: AttentionKind,
    heads: usize,
    length: usize,
    head_dim: usize,
    frames: usize,
    place: Place,
    passes: Vec<Pass>,
}

#[derive(Serialize)]
struct Pass {
    name: &'static str,
    gflop: f64,
    gflop_per_s: f64,
    timing: Timing,
}

pub(super) fn run(arguments: Arguments, console: &Console) -> Result<(), Failure> {
    let Arguments { attention, common, .. } = arguments;
    let place = common.device.place()?;
    let [heads, length, head_dim, frames] =
        [arguments.heads, arguments.length, arguments.head_dim, arguments.frames]
            .map(|n| n as usize);
    if !length.is_multiple_of(frames) {
        return Err(Failure::usage(format!(
            "--length {length} is no multiple of --frames {frames}"
        )));
    }
    let mask = Arc::new(match attention {
        AttentionKind::Full => AttentionMask::full(length, length),
        AttentionKind::BlockCausal => AttentionMask::block_causal(&vec![length / frames; frames]),
    });
    let draw = |what: u64| -> Result<Tensor, Failure> {
        let x = Key::new(0, Stream::Test, what).normal_tensor([length, heads * head_dim])?;
        Ok(x.to_place(place.as_ref())?)
    };
    let [q, k, v, seed] = [draw(0)?, draw(1)?, draw(2)?, draw(3)?];
    let scale = 1.0 / (head_dim as f32).sqrt();
    let parameters = Parameters::new();
    let attend = |g: &Graph<'_>| -> Result<_, Failure> {
        let inputs = [&q, &k, &v].map(|x| g.input(x.clone()));
        let [q, k, v] = &inputs;
        Ok(g.attention(q, k, v, heads, scale, &mask)?)
    };
    let wait = || place.as_ref().map_or(Ok(()), Accelerator::synchronize);
    let forward = measure(common.budget(), || {
        attend(&Graph::inference(&parameters))?;
        Ok(wait()?)
    })?;
    let both = measure(common.budget(), || {
        let g = Graph::recording(&parameters);
        let output = attend(&g)?;
        g.backward_from(&[(&output, seed.clone())])?;
        Ok(wait()?)
    })?;
    let product = 2e-9 * mask.visible_pairs() as f64 * (heads * head_dim) as f64;
    let pass = |name, products: f64, timing: Timing| {
        let gflop = products * product;
        Pass { name, gflop, gflop_per_s: gflop / timing.best_ms * 1e3, timing }
    };
    let answer = Answer {
        attention,
        heads,
        length,
        head_dim,
        frames,
        place: Place::look(place.as_ref()),
        passes: vec![pass("forward", 2.0, forward), pass("forward + backward", 7.0, both)],
    };
    if common.json {
        return console.json(&answer);
    }
    let right = |name| (name, Align::Right);
    let mut table = Table::new([
        ("pass", Align::Left),
        right("best ms"),
        right("median ms"),
        right("GFLOP"),
        right("GFLOP/s"),
        right("of peak"),
    ]);
    for pass in &answer.passes {
        let peak = answer.place.peak_gflop_per_s;
        let share = peak.map(|peak| format!("{:.0} %", 100.0 * pass.gflop_per_s / peak));
        table.row([
            pass.name.to_owned(),
            format!("{:.2}", pass.timing.best_ms),
            format!("{:.2}", pass.timing.median_ms),
            format!("{:.2}", pass.gflop),
            format!("{:.0}", pass.gflop_per_s),
            share.unwrap_or_else(|| "-".to_owned()),
        ]);
    }
    console.line(table)
}
