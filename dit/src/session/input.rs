//! The fixed part of the denoising steps of one slot, and the step itself.

use super::to_velocity;
use crate::Result;
use crate::layout::Layout;
use crate::model::{self, ForwardOptions, Inputs, KeyValueCache};
use crate::network::Network;
use crate::tasks::{Piece, Task};
use vincie_autograd::{Graph, Parameters, Var};
use vincie_tensor::ops::{Op, Reduce, Reduction};
use vincie_tensor::{Accelerator, Tensor};

/// One branch's forward pass, ready to be run at any time and state.
pub(super) struct Pass {
    pub(super) layout: Layout,
    /// Text features `[Nt, text_in]`.
    pub(super) text: Var,
    /// Pooled conditioning `[G, dim]`.
    pub(super) conditioning: Option<Var>,
    /// Condition and mask channels of every wanted row, `[No, p p, C + 1]` in row order.
    pub(super) condition: Vec<f32>,
    /// The frame before, `[No, p p C]`.
    pub(super) previous: Var,
    /// 1 for rows that the frame before may be copied to, 0 for others, `[No]`.
    pub(super) copies: Var,
    /// Keys and values of what came before.
    pub(super) cache: Option<KeyValueCache>,
    /// Channels of a latent pixel.
    pub(super) channels: usize,
    /// Whether group 0 belongs to clean tokens (time 0), the last group to the noisy ones.
    pub(super) has_clean_group: bool,
}

impl Pass {
    /// The same pass with its tensors on an accelerator, or with `None` on the host.
    pub(super) fn moved_to(self, place: Option<&Accelerator>) -> Result<Self> {
        let to = |var: &Var| -> Result<Var> { Ok(var.value().to_place(place)?.into()) };
        Ok(Self {
            layout: self.layout.moved_to(place)?,
            text: to(&self.text)?,
            conditioning: self.conditioning.as_ref().map(to).transpose()?,
            previous: to(&self.previous)?,
            copies: to(&self.copies)?,
            ..self
        })
    }

    /// Velocity of every wanted row at state `x` `[No, p p C]`.
    pub(super) fn velocity(
        &mut self,
        network: &Network,
        parameters: &Parameters,
        x: &[f32],
        time: f32,
    ) -> Result<Vec<f32>> {
        let g = Graph::inference(parameters);
        let c = self.channels;
        let pixels = x.len() / c;
        let mut visual = Vec::with_capacity(pixels * (2 * c + 1));
        for (content, condition) in x.chunks_exact(c).zip(self.condition.chunks_exact(c + 1)) {
            visual.extend_from_slice(content);
            visual.extend_from_slice(condition);
        }
        let rows = self.previous.value().shape()[0];
        let visual: Var = Tensor::from_slice(&visual, [rows, visual.len() / rows.max(1)])?.into();
        let times = if self.has_clean_group { vec![0.0, time] } else { vec![time] };
        let time_features = model::sinusoid(&Tensor::from_slice(&times, [times.len()])?)?;
        let inputs = Inputs {
            visual: &visual,
            text: &self.text,
            time: &time_features,
            conditioning: self.conditioning.as_ref(),
        };
        let transformer = network.transformer();
        let features = transformer.features(
            &g,
            &self.layout,
            inputs,
            self.cache.as_mut(),
            ForwardOptions::default(),
        )?;
        let answer = network.answer(&g, &features, &self.previous, &self.copies)?;
        Ok(to_velocity(network.config().prediction, answer.value().to_vec::<f32>()?, x, time))
    }
}

/// Rows `[tokens, p p C]` of a latent `[height, width, C]`, zeros where there is none.
pub(super) fn rows_of(
    latent: Option<&Tensor>,
    [height, width]: [usize; 2],
    channels: usize,
    p: usize,
) -> Result<Var> {
    let parameters = Parameters::new();
    let g = Graph::inference(&parameters);
    let latent = match latent {
        Some(latent) => latent.to_f32()?,
        None => Tensor::full([height, width, channels], 0f32)?,
    };
    let picture: Var = latent.reshape([1, height, width, channels])?.into();
    let rows = crate::patch::to_rows(&g, &picture, p)?;
    Ok(rows.value().contiguous()?.into())
}

/// The task that a slot's text ends with.
pub(super) fn announced(text: &[Piece]) -> Task {
    match text.last() {
        Some(Piece::Announcement(task)) => *task,
        _ => Task::NextImage,
    }
}

/// [`Pass::copies`] of slots, each with its task and whether a frame is before it.
pub(super) fn copies(slots: &[(Task, bool)], [height, width]: [usize; 2]) -> Result<Var> {
    let rows = height * width;
    let is_copy = |(task, has_previous): (Task, bool)| has_previous && task == Task::NextImage;
    let all: Vec<f32> = slots
        .iter()
        .flat_map(|&slot| std::iter::repeat_n(if is_copy(slot) { 1.0 } else { 0.0 }, rows))
        .collect();
    Ok(Tensor::from_slice(&all, [all.len()])?.into())
}

/// Mean of the first `count` rows `[1, C]`; none of no rows.
pub(super) fn mean(rows: &Tensor, count: usize) -> Result<Option<Tensor>> {
    if count == 0 {
        return Ok(None);
    }
    let op = Op::from(Reduce { reduction: Reduction::Mean, axis: 0 });
    Ok(Some(op.forward(&[&rows.narrow(0, 0, count)?])?.swap_remove(0)))
}
