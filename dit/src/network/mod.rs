//! The whole trainable network: the transformer, the `words` text encoder, TURN tokens, and the
//! named options that the paper does not have.

mod config;
#[cfg(test)]
mod tests;

pub use config::{AttentionKind, NetworkConfig, Prediction, TurnTokens};

use crate::model::{self, ForwardOptions, KeyValueCache, Linear, Names, Transformer};
use crate::tasks::{Batch, SlotInfo, Task};
use crate::text::Vocabulary;
use crate::{Error, Result};
use vincie_autograd::{Graph, ParameterId, Parameters, Var};
use vincie_tensor::ops::Matmul;
use vincie_tensor::random::{Key, Stream};
use vincie_tensor::{Shape, Tensor};

/// Start of the copy gate's bias: most of a picture is kept before anything is learned.
const GATE_START: f32 = 2.0;

/// The network's structure and where its parameters are.
#[derive(Clone, Debug)]
pub struct Network {
    config: NetworkConfig,
    transformer: Transformer,
    words: ParameterId,
    pooled_text: Option<Linear>,
    copy_gate: Option<Linear>,
}

/// What the text encoder gives the transformer.
pub(crate) struct Text {
    /// `[Nt, text_in]`.
    pub(crate) features: Var,
}

/// Loss of one batch.
pub struct Loss {
    /// The weighted mean, rank 0.
    pub total: Var,
    /// Unweighted mean squared error of every wanted row, f32 `[No]`.
    pub errors: Tensor,
}

/// Mean squared error per task over its slots, with their number, from the errors of all wanted rows.
pub fn errors_per_task(errors: &[f32], slots: &[SlotInfo]) -> [(f64, usize); 3] {
    let mut per_task = [(0.0, 0); 3];
    for slot in slots {
        let at = Task::ALL.iter().position(|&task| task == slot.task).unwrap_or(0);
        let rows = &errors[slot.rows.clone()];
        per_task[at].0 +=
            rows.iter().map(|&e| f64::from(e)).sum::<f64>() / rows.len().max(1) as f64;
        per_task[at].1 += 1;
    }
    for (sum, count) in &mut per_task {
        *sum /= (*count).max(1) as f64;
    }
    per_task
}

/// Names and shapes of the parameters behind the transformer's own.
pub fn extra_parameters(config: &NetworkConfig, words: usize) -> Vec<(String, Shape)> {
    let model = &config.model;
    let mut all = vec![("words.embedding.weight".to_owned(), Shape::from([words, model.text_in]))];
    if config.pooled_text {
        all.push(("pooled_text.proj.weight".into(), Shape::from([model.dim, model.text_in])));
        all.push(("pooled_text.proj.bias".into(), Shape::from([model.dim])));
    }
    if config.copy_gate {
        all.push((
            "copy_gate.proj.weight".into(),
            Shape::from([model.patch * model.patch, model.dim]),
        ));
        all.push(("copy_gate.proj.bias".into(), Shape::from([model.patch * model.patch])));
    }
    all
}

impl Network {
    /// A network with random weights in fresh parameters.
    pub fn new(
        config: NetworkConfig,
        vocabulary: &Vocabulary,
        seed: u64,
    ) -> Result<(Self, Parameters)> {
        config.validate()?;
        let mut parameters = Parameters::new();
        model::initialise(&config.model, &mut parameters, seed)?;
        for (name, shape) in extra_parameters(&config, vocabulary.len()) {
            let deviation = match name.as_str() {
                "words.embedding.weight" => 0.5,
                "copy_gate.proj.weight" => 0.02,
                _ => 1.0 / (shape.last_dim() as f32).sqrt(),
            };
            let mut value =
                Key::new(seed, Stream::Weights, parameters.len() as u64).normal_tensor(shape)?;
            let all = value.as_mut_slice::<f32>().expect("a fresh tensor has one owner");
            match name.as_str() {
                "copy_gate.proj.bias" => all.fill(GATE_START),
                "pooled_text.proj.bias" => all.fill(0.0),
                _ => all.iter_mut().for_each(|x| *x *= deviation),
            }
            parameters.insert(name, value);
        }
        Ok((Self::bind(config, &parameters)?, parameters))
    }

    /// Finds the network's parameters by name.
    pub fn bind(config: NetworkConfig, parameters: &Parameters) -> Result<Self> {
        config.validate()?;
        let transformer = Transformer::bind(config.model.clone(), parameters)?;
        let names = Names { parameters };
        let words = parameters.id("words.embedding.weight");
        let words = words.ok_or_else(|| {
            Error::invalid("network: parameter words.embedding.weight is missing")
        })?;
        let (dim, text_in, area) =
            (config.model.dim, config.model.text_in, config.model.patch * config.model.patch);
        let pooled_text =
            config.pooled_text.then(|| names.linear("pooled_text.proj", [dim, text_in], true));
        let copy_gate = config.copy_gate.then(|| names.linear("copy_gate.proj", [area, dim], true));
        Ok(Self {
            transformer,
            words,
            pooled_text: pooled_text.transpose()?,
            copy_gate: copy_gate.transpose()?,
            config,
        })
    }

    /// Structure and options.
    pub fn config(&self) -> &NetworkConfig {
        &self.config
    }

    /// The transformer inside.
    pub fn transformer(&self) -> &Transformer {
        &self.transformer
    }

    /// Features of tokens: rows of the word table, and of the TURN table behind it.
    pub(crate) fn text(&self, g: &Graph<'_>, tokens: &Var, turns: Option<&Var>) -> Result<Text> {
        let words = g.parameter(self.words);
        let turn_table = self.transformer.turn_table().map(|table| g.parameter(table));
        let features = match (&turn_table, turns, self.config.turn_tokens) {
            (Some(table), _, TurnTokens::Sequence) => {
                g.gather(&g.concat(&[&words, table], 0)?, tokens)?
            }
            (Some(table), Some(turns), TurnTokens::Added) => {
                g.add(&g.gather(&words, tokens)?, &g.gather(table, turns)?)?
            }
            _ => g.gather(&words, tokens)?,
        };
        Ok(Text { features })
    }

    /// What the transformer is conditioned on beside time: pooled text per group, where configured.
    pub(crate) fn conditioning(
        &self,
        g: &Graph<'_>,
        text: &Text,
        pooling: &Var,
    ) -> Result<Option<Var>> {
        if self.pooled_text.is_none() {
            return Ok(None);
        }
        self.pooled(g, &g.apply_one(Matmul::default(), &[pooling, &text.features])?)
    }

    /// Conditioning of pooled text features `[G, text_in]`, where configured.
    pub(crate) fn pooled(&self, g: &Graph<'_>, features: &Var) -> Result<Option<Var>> {
        self.pooled_text.map(|layer| layer.forward_to_f32(g, features)).transpose()
    }

    /// The model's answer for every wanted row, in the parametrisation of the configuration:
    /// velocity, or data with the previous frame copied where the gate says so.
    pub fn predict<'a>(
        &'a self,
        g: &Graph<'a>,
        batch: &'a Batch,
        cache: Option<&mut KeyValueCache>,
        options: ForwardOptions<'_>,
    ) -> Result<Var> {
        let text = self.text(g, &batch.text, batch.turns.as_ref())?;
        let conditioning = self.conditioning(g, &text, &batch.pooling)?;
        let inputs = model::Inputs {
            visual: &batch.visual,
            text: &text.features,
            time: batch.time.value(),
            conditioning: conditioning.as_ref(),
        };
        let features = self.transformer.features(g, &batch.layout, inputs, cache, options)?;
        self.answer(g, &features, &batch.previous, &batch.copies)
    }

    /// Features of wanted rows to the answer. The copy gate takes from `previous` `[No, p p C]` in rows
    /// where `copies` `[No]` is 1; it is 0 for masks, which no frame is a copy of.
    pub(crate) fn answer(
        &self,
        g: &Graph<'_>,
        features: &Var,
        previous: &Var,
        copies: &Var,
    ) -> Result<Var> {
        let output = self.transformer.project_out(g, features)?;
        let Some(gate) = &self.copy_gate else { return Ok(output) };
        let (rows, area) =
            (output.value().shape()[0], self.config.model.patch * self.config.model.patch);
        let channels = self.config.model.visual_out;
        let gate = g.reshape(&g.sigmoid(&gate.forward_to_f32(g, features)?)?, [rows, area, 1])?;
        let gate = g.mul(&gate, &g.reshape(copies, [rows, 1, 1])?)?;
        let output = g.reshape(&output, [rows, area, channels])?;
        let previous = g.reshape(previous, [rows, area, channels])?;
        let kept = g.mul(&gate, &g.sub(&previous, &output)?)?;
        Ok(g.reshape(&g.add(&output, &kept)?, [rows, area * channels])?)
    }

    /// The flow-matching loss of a batch: weighted squared error of velocity (`noise - data`) or data.
    pub fn loss<'a>(
        &'a self,
        g: &Graph<'a>,
        batch: &'a Batch,
        options: ForwardOptions<'_>,
    ) -> Result<Loss> {
        let prediction = self.predict(g, batch, None, options)?;
        let target = match self.config.prediction {
            Prediction::Velocity => g.sub(&batch.noise, &batch.data)?,
            Prediction::Data => batch.data.clone(),
        };
        let (total, errors) = g.mse(&prediction, &target, &batch.weights)?;
        Ok(Loss { total, errors: errors.value().clone() })
    }
}

/// All parameters by name, for saving.
pub fn named(parameters: &Parameters) -> impl Iterator<Item = (String, &Tensor)> {
    parameters.iter().map(|(_, name, value)| (name.to_owned(), value))
}
