//! One branch of a block-causal session: cached keys and values of all text and pictures so far.

use super::input::{Pass, copies, mean, rows_of};
use crate::Result;
use crate::layout::{Layout, LayoutBuilder};
use crate::model::{self, ForwardOptions, Inputs, KeyValueCache};
use crate::network::{Network, TurnTokens};
use crate::rotary::AnglePrecision;
use crate::tasks::{Piece, Task, Tokens, is_new_turn};
use crate::text::Vocabulary;
use vincie_autograd::{Graph, Parameters, Var};
use vincie_tensor::Tensor;

/// What has been said and shown.
pub(super) struct CachedBranch {
    cache: KeyValueCache,
    has_text: bool,
    /// Text tokens so far.
    position: usize,
    /// TURN row of the current turn.
    turn: usize,
    /// Mean of the features of the current turn's instruction `[1, text_in]`.
    instruction: Option<Tensor>,
    /// Pooled conditioning of the slot that was announced last `[1, dim]`.
    conditioning: Option<Tensor>,
}

impl CachedBranch {
    pub(super) fn new(layers: usize, has_text: bool) -> Self {
        let cache = KeyValueCache::new(layers);
        Self { cache, has_text, position: 0, turn: 0, instruction: None, conditioning: None }
    }

    pub(super) fn bytes(&self) -> usize {
        self.cache.bytes()
    }

    /// Adds text to the cache.
    pub(super) fn say(
        &mut self,
        network: &Network,
        parameters: &Parameters,
        vocabulary: &Vocabulary,
        text: &[Piece],
    ) -> Result<()> {
        let g = Graph::inference(parameters);
        let tokens = Tokens::of(text, network.config(), vocabulary, self.has_text, self.turn);
        self.turn = tokens.turn;
        let mut builder = LayoutBuilder::new(self.cache.tokens());
        let range = builder.text(self.position..self.position + tokens.ids.len(), 0);
        builder.sees(range.clone(), 0..range.end, 0..0);
        self.position += tokens.ids.len();
        let ids: Var = Tensor::from_slice(&tokens.ids, [tokens.ids.len()])?.into();
        let turns: Option<Var> = match network.config().turn_tokens {
            TurnTokens::Added => {
                Some(Tensor::from_slice(&tokens.turns, [tokens.turns.len()])?.into())
            }
            TurnTokens::Sequence | TurnTokens::None => None,
        };
        let features = network.text(&g, &ids, turns.as_ref())?.features;
        let last = tokens.ids.len() - 1;
        if is_new_turn(text) {
            self.instruction = mean(features.value(), last)?;
        }
        let announcement: Var = features.value().narrow(0, last, 1)?.into();
        let pooled = match &self.instruction {
            Some(instruction) => g.add(&instruction.clone().into(), &announcement)?,
            None => announcement,
        };
        self.conditioning = network.pooled(&g, &pooled)?.map(|pooled| pooled.value().clone());
        let visual = Tensor::full([0, network.config().model.patch_in()], 0f32)?.into();
        self.extend(network, &g, builder, [&features, &visual])
    }

    /// Adds a clean picture to the cache.
    pub(super) fn show(
        &mut self,
        network: &Network,
        parameters: &Parameters,
        latent: &Tensor,
        slot: usize,
    ) -> Result<()> {
        let g = Graph::inference(parameters);
        let model = &network.config().model;
        let &[height, width, channels] = latent.dims() else {
            unreachable!("the editor checks latents")
        };
        let mut builder = LayoutBuilder::new(self.cache.tokens());
        let frame = builder.frame(slot, [height / model.patch, width / model.patch], 0, false);
        builder.sees(frame.clone(), 0..frame.end, 0..0);
        let clean = latent.to_f32()?.to_vec::<f32>()?;
        let mut pixels = Vec::with_capacity(height * width * (2 * channels + 1));
        for pixel in clean.chunks_exact(channels) {
            pixels.extend_from_slice(pixel);
            pixels.extend_from_slice(pixel);
            pixels.push(1.0);
        }
        let picture = Tensor::from_slice(&pixels, [height, width, 2 * channels + 1])?;
        let visual = rows_of(Some(&picture), [height, width], 2 * channels + 1, model.patch)?;
        let text = Tensor::full([0, model.text_in], 0f32)?.into();
        self.extend(network, &g, builder, [&text, &visual])
    }

    /// Runs clean tokens through the model for their keys and values.
    fn extend(
        &mut self,
        network: &Network,
        g: &Graph<'_>,
        builder: LayoutBuilder,
        [text, visual]: [&Var; 2],
    ) -> Result<()> {
        let model = &network.config().model;
        let layout: Layout = builder.build(model.rotary_dim, AnglePrecision::F32, 1)?;
        let time = model::sinusoid(&Tensor::full([1], 0f32)?)?;
        let conditioning = network.pooled(g, &Tensor::full([1, model.text_in], 0f32)?.into())?;
        let inputs = Inputs { visual, text, time: &time, conditioning: conditioning.as_ref() };
        let graph = Graph::inference(g.parameters());
        self.cache.is_growing = true;
        network.transformer().features(
            &graph,
            &layout,
            inputs,
            Some(&mut self.cache),
            ForwardOptions::default(),
        )?;
        Ok(())
    }

    /// The denoising pass of the next picture.
    pub(super) fn pass(
        &self,
        network: &Network,
        slot: usize,
        size: [usize; 2],
        previous: Option<&Tensor>,
        task: Task,
    ) -> Result<Pass> {
        let model = &network.config().model;
        let grid = size.map(|side| side / model.patch);
        let mut builder = LayoutBuilder::new(self.cache.tokens());
        let before = builder.next_key();
        let frame = builder.frame(slot, grid, 1, true);
        builder.sees(frame.clone(), 0..before, frame);
        let layout = builder.build(model.rotary_dim, AnglePrecision::F32, 2)?;
        let conditioning = match &self.conditioning {
            Some(pooled) => {
                let parameters = Parameters::new();
                let g = Graph::inference(&parameters);
                // Group 0 has no tokens here; its row only keeps the groups' numbers.
                Some(g.concat(&[&pooled.clone().into(), &pooled.clone().into()], 0)?)
            }
            None => None,
        };
        let previous_rows = rows_of(previous, size, model.visual_out, model.patch)?;
        let mut condition = vec![0.0; size[0] * size[1] * (model.visual_out + 1)];
        if network.config().previous_condition {
            let values = previous_rows.value().to_vec::<f32>()?;
            let pixels = condition.chunks_exact_mut(model.visual_out + 1);
            for (to, pixel) in pixels.zip(values.chunks_exact(model.visual_out)) {
                to[..model.visual_out].copy_from_slice(pixel);
            }
        }
        let mut cache = self.cache.clone();
        cache.is_growing = false;
        Ok(Pass {
            layout,
            text: Tensor::full([0, model.text_in], 0f32)?.into(),
            conditioning,
            condition,
            previous: previous_rows,
            copies: copies(&[(task, previous.is_some())], grid)?,
            cache: Some(cache),
            channels: model.visual_out,
            has_clean_group: true,
        })
    }
}
