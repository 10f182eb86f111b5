//! Random values of a tensor, a function of the seed, the part and the tensor's place in its list.

use super::Part;
use crate::model::{Start, start_of};
use crate::weights::Dtype;
use crate::weights::convert::encode;
use crate::weights::names::{Expected, Known};
use crate::weights::write::{Plan, Sink};
use crate::{Error, Result};
use rayon::prelude::*;
use std::collections::HashMap;
use vincie_tensor::Shape;
use vincie_tensor::random::{Key, Stream};

/// Values of a piece: what is in memory at a time, in f32.
const PIECE: usize = 1 << 22;

/// Values that one thread draws at a time; a whole number of draws of four.
const STRIP: usize = 1 << 14;

/// Gives the values of one part's tensors.
pub(super) struct Values<'m> {
    seed: u64,
    part: Part,
    model: &'m Known,
    /// Places in the list.
    numbers: HashMap<String, u64>,
    floats: Vec<f32>,
    bytes: Vec<u8>,
}

impl<'m> Values<'m> {
    pub(super) fn new(seed: u64, part: Part, model: &'m Known) -> Self {
        let expected: Expected = model.expected();
        let numbers = expected.into_iter().map(|(name, ..)| name).zip(0..).collect();
        Self { seed, part, model, numbers, floats: Vec::new(), bytes: Vec::new() }
    }

    /// Gives a tensor's bytes, piece by piece.
    pub(super) fn give(&mut self, plan: &Plan, sink: &mut Sink<'_>) -> Result<()> {
        if plan.name.ends_with(".rope.freqs") {
            let frequencies = self.frequencies(plan);
            return self.give_all(&frequencies, plan.dtype, sink);
        }
        let start = self.start(plan);
        let number = self.numbers.get(&plan.name).copied().unwrap_or(0);
        // Parts draw from ranges of numbers that do not meet.
        let key = Key::new(self.seed, Stream::Weights, (self.part as u64) << 32 | number);
        let count = plan.count();
        for from in (0..count).step_by(PIECE) {
            let mut floats = std::mem::take(&mut self.floats);
            floats.resize(PIECE.min(count - from), 0.0);
            draw(&key, from, start, &mut floats);
            let given = self.give_all(&floats, plan.dtype, sink);
            self.floats = floats;
            given?;
        }
        Ok(())
    }

    fn give_all(&mut self, values: &[f32], dtype: Dtype, sink: &mut Sink<'_>) -> Result<()> {
        encode(values, dtype, &mut self.bytes)
            .map_err(|value| Error::invalid(format!("{value} does not fit {dtype:?}")))?;
        sink(&self.bytes)
    }

    /// The rotary frequencies: 10000^(-2i/d) with a third of the rotated width as d (VINCIE 3B
    /// specification, section 1.6).
    fn frequencies(&self, plan: &Plan) -> Vec<f32> {
        let width = match self.model {
            Known::Transformer(config) => config.rotary_dim / 3,
            _ => 1,
        };
        let frequency = |i: usize| 10_000f64.powf(-2.0 * i as f64 / width as f64) as f32;
        (0..plan.count()).map(frequency).collect()
    }

    /// How a tensor starts: as training does where it is the transformer's; elsewhere norms at one, biases
    /// at zero, word and position tables and layers normal with a deviation that keeps values near one.
    fn start(&self, plan: &Plan) -> Start {
        let name = plan.name.as_str();
        if let Known::Transformer(config) = self.model {
            return start_of(config, name, Shape::new(&plan.shape));
        }
        let is_norm = ["norm", ".ln_"].iter().any(|part| name.contains(part));
        let inputs: usize = plan.shape[1..].iter().product();
        match name {
            _ if name.ends_with(".bias") => Start::Zero,
            _ if is_norm => Start::One,
            "transformer.wte.weight" | "shared.weight" => Start::Normal(1.0),
            // Scores of a T5 are not divided by the root of the head's width.
            _ if name.ends_with("SelfAttention.q.weight") => {
                Start::Normal(0.06 / (inputs as f32).sqrt())
            }
            _ => Start::Normal(1.0 / (inputs.max(1) as f32).sqrt()),
        }
    }
}

/// Values `from` and on of a tensor, by all threads.
fn draw(key: &Key, from: usize, start: Start, floats: &mut [f32]) {
    let (deviation, mean) = match start {
        Start::Normal(deviation) => (deviation, 0.0),
        Start::AroundOne(deviation) => (deviation, 1.0),
        Start::One => return floats.fill(1.0),
        Start::Zero => return floats.fill(0.0),
    };
    floats.par_chunks_mut(STRIP).enumerate().for_each(|(strip, values)| {
        let first = from + strip * STRIP;
        key.fill_normal(first as u64 / 4, values);
        values.iter_mut().for_each(|value| *value = value.mul_add(deviation, mean));
    });
}
