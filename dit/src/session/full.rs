//! One branch of a full-attention session: every step computes all text and all frames.

use super::Shown;
use super::input::{Pass, announced, copies, mean, rows_of};
use crate::Result;
use crate::config::VisualOffset;
use crate::layout::LayoutBuilder;
use crate::network::{Network, TurnTokens};
use crate::rotary::AnglePrecision;
use crate::tasks::{Piece, Task, Tokens, is_new_turn};
use crate::text::Vocabulary;
use vincie_autograd::{Graph, Parameters, Var};
use vincie_tensor::Tensor;

/// The denoising pass of the slot behind `shown`, whose own text is `text`.
pub(super) fn pass(
    network: &Network,
    parameters: &Parameters,
    vocabulary: &Vocabulary,
    shown: &[Shown],
    text: &[Piece],
    has_text: bool,
    size: [usize; 2],
) -> Result<Pass> {
    let model = &network.config().model;
    let grid = size.map(|side| side / model.patch);
    let (mut ids, mut turns, mut turn) = (Vec::new(), Vec::new(), 0);
    let mut instruction = 0..0;
    for pieces in shown.iter().map(|shown| shown.text.as_slice()).chain([text]) {
        let start = ids.len();
        let tokens = Tokens::of(pieces, network.config(), vocabulary, has_text, turn);
        turn = tokens.turn;
        ids.extend(tokens.ids);
        turns.extend(tokens.turns);
        if is_new_turn(pieces) {
            instruction = start..ids.len() - 1;
        }
    }
    let mut builder = LayoutBuilder::new(0);
    let words = builder.text(0..ids.len(), 0);
    let first = match model.visual_offset {
        VisualOffset::TextLength => ids.len(),
        VisualOffset::Zero => 0,
    };
    for t in 0..=shown.len() {
        builder.frame(first + t, grid, 0, true);
    }
    let end = builder.next_key();
    builder.sees(words.clone(), 0..end, 0..0);
    builder.sees(words.end..end, 0..end, 0..0);

    let g = Graph::inference(parameters);
    let id_rows: Var = Tensor::from_slice(&ids, [ids.len()])?.into();
    let turn_rows: Option<Var> = match network.config().turn_tokens {
        TurnTokens::Added => Some(Tensor::from_slice(&turns, [turns.len()])?.into()),
        TurnTokens::Sequence | TurnTokens::None => None,
    };
    let features = network.text(&g, &id_rows, turn_rows.as_ref())?.features;
    let announcement: Var = features.value().narrow(0, ids.len() - 1, 1)?.into();
    let instruction = features.value().narrow(0, instruction.start, instruction.len())?;
    let pooled = match mean(&instruction, instruction.dims()[0])? {
        Some(instruction) => g.add(&instruction.into(), &announcement)?,
        None => announcement,
    };
    let conditioning = network.pooled(&g, &pooled)?;

    let (channels, p) = (model.visual_out, model.patch);
    let task = |i: usize| shown.get(i).map_or_else(|| announced(text), |shown| shown.task);
    let (mut condition, mut previous, mut slots) = (Vec::new(), Vec::new(), Vec::new());
    for i in 0..=shown.len() {
        let own = shown.get(i).map(|shown| &shown.latent);
        let rows = rows_of(own, size, channels, p)?;
        for pixel in rows.value().to_slice::<f32>()?.chunks_exact(channels) {
            condition.extend_from_slice(pixel);
            condition.push(if own.is_some() { 1.0 } else { 0.0 });
        }
        let before = shown[..i].iter().rev().find(|shown| shown.task == Task::NextImage);
        slots.push((task(i), before.is_some()));
        previous.push(rows_of(before.map(|shown| &shown.latent), size, channels, p)?);
    }
    Ok(Pass {
        layout: builder.build(model.rotary_dim, AnglePrecision::F32, 1)?,
        text: features,
        conditioning,
        condition,
        previous: g.concat(&previous.iter().collect::<Vec<_>>(), 0)?,
        copies: copies(&slots, grid)?,
        cache: None,
        channels,
        has_clean_group: false,
    })
}
