//! `vincie bench convolution`: the layers of the 3B model's image decoder, each alone.

use super::timing::{Timing, measure};
use super::{Common, Place};
use crate::console::Console;
use crate::failure::Failure;
use crate::table::{Align, Table};
use clap::Args;
use serde::Serialize;
use vincie_autograd::{Graph, Parameters};
use vincie_tensor::ops::{Convolution, GroupNorm};
use vincie_tensor::random::{Key, Stream};
use vincie_tensor::{Accelerator, DType, Op, Shape, Tensor};

/// Time convolutions and group norms of the image decoder.
///
/// Every layer of the 3B model's decoder as it runs on one picture: convolutions with their kernels
/// summed over time, and group norms with the SiLU behind them. The total counts each as often as the
/// decoder has it; attention and what joins the layers are left out.
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  vincie bench convolution\n  \
                        vincie bench convolution --size 128 --backward --threads 1")]
pub(super) struct Arguments {
    /// Side of the decoded picture in pixels, a multiple of 8
    #[arg(long, value_name = "PX", default_value_t = 256)]
    #[arg(value_parser = clap::value_parser!(u64).range(8..=4096))]
    size: u64,

    /// Forward with backward
    #[arg(long)]
    backward: bool,

    /// Values in bf16
    #[arg(long)]
    bf16: bool,

    #[command(flatten)]
    common: Common,
}

/// A layer: what of the picture's side its input has, channels in and out, side of its kernel, and how
/// often the decoder has it. A kernel of 0 is a group norm.
type Layer = (usize, usize, usize, usize, usize);

/// The decoder, from the latent to the picture.
const LAYERS: [Layer; 21] = [
    (8, 16, 512, 3, 1),
    (8, 512, 512, 3, 10),
    (8, 512, 512, 0, 11),
    (8, 512, 2048, 1, 1),
    (4, 512, 512, 3, 7),
    (4, 512, 512, 0, 6),
    (4, 512, 2048, 1, 1),
    (2, 512, 512, 3, 1),
    (2, 512, 512, 0, 1),
    (2, 512, 256, 3, 1),
    (2, 512, 256, 1, 1),
    (2, 256, 256, 0, 5),
    (2, 256, 256, 3, 5),
    (2, 256, 1024, 1, 1),
    (1, 256, 256, 3, 1),
    (1, 256, 256, 0, 1),
    (1, 256, 128, 3, 1),
    (1, 256, 128, 1, 1),
    (1, 128, 128, 0, 6),
    (1, 128, 128, 3, 5),
    (1, 128, 3, 3, 1),
];

#[derive(Serialize)]
struct Answer {
    size: usize,
    backward: bool,
    dtype: String,
    place: Place,
    layers: Vec<Row>,
    /// Best times of all layers, as often as the decoder has them.
    total_ms: f64,
    gflop: f64,
}

#[derive(Serialize)]
struct Row {
    name: String,
    count: usize,
    gflop: f64,
    gflop_per_s: f64,
    timing: Timing,
}

pub(super) fn run(arguments: Arguments, console: &Console) -> Result<(), Failure> {
    let Arguments { backward, bf16, common, .. } = arguments;
    let size = arguments.size as usize;
    if !size.is_multiple_of(8) {
        return Err(Failure::usage(format!("--size {size} is no multiple of 8")));
    }
    let place = common.device.place()?;
    let dtype = if bf16 { DType::BF16 } else { DType::F32 };
    let mut layers = Vec::new();
    for layer in LAYERS {
        layers.push(time(layer, size, dtype, place.as_ref(), backward, common)?);
    }
    let sum = |of: fn(&Row) -> f64| layers.iter().map(|row| row.count as f64 * of(row)).sum();
    let answer = Answer {
        size,
        backward,
        dtype: dtype.to_string(),
        place: Place::look(place.as_ref()),
        total_ms: sum(|row| row.timing.best_ms),
        gflop: sum(|row| row.gflop),
        layers,
    };
    if common.json {
        return console.json(&answer);
    }
    print(&answer, console)
}

fn time(
    (part, from, to, kernel, count): Layer,
    size: usize,
    dtype: DType,
    place: Option<&Accelerator>,
    backward: bool,
    common: Common,
) -> Result<Row, Failure> {
    let side = size / part;
    let draw = |what: u64, shape: &[usize]| -> Result<Tensor, Failure> {
        let x = Key::new(0, Stream::Test, what).normal_tensor(Shape::new(shape))?;
        Ok(x.to_dtype(dtype)?.to_place(place)?)
    };
    let (op, inputs, name): (Op, Vec<Tensor>, String) = if kernel == 0 {
        let inputs = vec![draw(0, &[1, side * side, from])?, draw(1, &[from])?, draw(2, &[from])?];
        let op = GroupNorm { groups: 32, epsilon: 1e-6, silu: true };
        (op.into(), inputs, format!("{side} x {side} norm {from}"))
    } else {
        let weight = [to, 1, kernel, kernel, from];
        let inputs = vec![draw(0, &[1, 1, side, side, from])?, draw(1, &weight)?, draw(2, &[to])?];
        let padding = [[kernel / 2; 2]; 2];
        let op = Convolution { stride: [1; 3], front: 0, padding, has_bias: true };
        (op.into(), inputs, format!("{side} x {side} {kernel} x {kernel} {from} -> {to}"))
    };
    let flops = op.cost(&inputs.iter().collect::<Vec<_>>())?.flops as f64;
    let result = op.infer(&inputs.iter().collect::<Vec<_>>())?[0].0;
    let seed = draw(3, &result)?;
    let parameters = Parameters::new();
    let timing = measure(common.budget() / LAYERS.len() as u32, || {
        let graph = match backward {
            true => Graph::recording(&parameters),
            false => Graph::inference(&parameters),
        };
        let inputs: Vec<_> = inputs.iter().map(|input| graph.input(input.clone())).collect();
        let results = graph.apply(op.clone(), &inputs.iter().collect::<Vec<_>>())?;
        if backward {
            graph.backward_from(&[(&results[0], seed.clone())])?;
        }
        Ok(place.map_or(Ok(()), Accelerator::synchronize)?)
    })?;
    let gflop = 1e-9 * flops * if backward { 3.0 } else { 1.0 };
    Ok(Row { name, count, gflop, gflop_per_s: gflop / timing.best_ms * 1e3, timing })
}

fn print(answer: &Answer, console: &Console) -> Result<(), Failure> {
    let right = |name| (name, Align::Right);
    let mut table = Table::new([
        ("layer", Align::Left),
        right("times"),
        right("best ms"),
        right("median ms"),
        right("GFLOP/s"),
        right("of peak"),
    ]);
    let share = |gflop_per_s: f64| {
        let peak = answer.place.peak_gflop_per_s;
        let share = peak.map(|peak| format!("{:.0} %", 100.0 * gflop_per_s / peak));
        share.unwrap_or_else(|| "-".to_owned())
    };
    for row in &answer.layers {
        table.row([
            row.name.clone(),
            row.count.to_string(),
            format!("{:.2}", row.timing.best_ms),
            format!("{:.2}", row.timing.median_ms),
            format!("{:.0}", row.gflop_per_s),
            share(row.gflop_per_s),
        ]);
    }
    let gflop_per_s = answer.gflop / answer.total_ms * 1e3;
    table.row([
        "all".to_owned(),
        String::new(),
        format!("{:.2}", answer.total_ms),
        String::new(),
        format!("{gflop_per_s:.0}"),
        share(gflop_per_s),
    ]);
    console.line(table)
}
