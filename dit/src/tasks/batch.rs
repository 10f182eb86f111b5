//! From slots to what the transformer computes on: rows, layout, targets and weights.
//!
//! Block-causal: each session is its text and clean pictures in causal order, then a noisy copy of
//! every target, which sees the text and clean pictures before its slot, and itself. All targets of a
//! session are supervised in one pass. Full: one target per session, with the pictures before it in
//! the condition channels; everything sees everything (VINCIE 3B specification, section 6).

use super::{Piece, Slot, Task, Tokens};
use crate::config::{ModelConfig, VisualOffset};
use crate::diffusion;
use crate::layout::{Layout, LayoutBuilder};
use crate::network::{AttentionKind, NetworkConfig, TurnTokens};
use crate::rotary::AnglePrecision;
use crate::text::Vocabulary;
use crate::{Error, Result, model, patch};
use std::ops::Range;
use vincie_autograd::{Graph, Parameters, Var};
use vincie_tensor::random::{Key, Stream};
use vincie_tensor::{Accelerator, Tensor};

/// Difference, in the latents' range of -1 to 1, above which a patch counts as changed.
const CHANGED: f32 = 0.1;

/// Most slots of one session: frames and two masks per transition.
const MAX_SLOTS: u64 = 64;

/// One session with its pictures as latents.
pub struct Example {
    /// Slots in order.
    pub slots: Vec<Slot>,
    /// The slots' pictures `[height, width, channels]`, all of one shape.
    pub latents: Vec<Tensor>,
    /// Number of the sample in the run: all its random numbers follow from it.
    pub sample: u64,
}

/// How targets are drawn and weighed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// The run's seed.
    pub seed: u64,
    /// Location and scale of the logit-normal training times.
    pub time_law: [f32; 2],
    /// Shift of the training times; 1 leaves them.
    pub shift: f32,
    /// A fixed time for every target instead of a drawn one.
    pub fixed_time: Option<f32>,
    /// Whether the changed patches of a picture share half of its weight.
    pub is_balanced: bool,
    /// Weight of each task's slots, in the order of [`Task::ALL`].
    pub task_weights: [f32; 3],
}

impl Default for Options {
    fn default() -> Self {
        Self {
            seed: 0,
            time_law: [0.0, 1.0],
            shift: 1.0,
            fixed_time: None,
            is_balanced: false,
            task_weights: [1.0; 3],
        }
    }
}

/// One supervised slot of a batch.
#[derive(Clone, Debug, PartialEq)]
pub struct SlotInfo {
    /// What it asks for.
    pub task: Task,
    /// Number of its sample.
    pub sample: u64,
    /// Number of its slot in the sample.
    pub slot: usize,
    /// Its timestep.
    pub time: f32,
    /// Its rows among the wanted rows.
    pub rows: Range<usize>,
}

/// Inputs and targets of one forward pass.
pub struct Batch {
    /// Which tokens there are and what they see.
    pub layout: Layout,
    /// Token numbers, i32 `[Nt]`: words, then (TURN tokens in the sequence) rows of the TURN table.
    pub text: Var,
    /// TURN row of every token, i32 `[Nt]`, where the row is added to the token.
    pub turns: Option<Var>,
    /// Patches of all pictures `[Nv, patch_in]`.
    pub visual: Var,
    /// [`model::sinusoid`] of the timestep per modulation group `[G, 256]`.
    pub time: Var,
    /// What is pooled per group `[G, Nt]`: the mean of the turn's instruction plus the announcement.
    pub pooling: Var,
    /// Noisy targets `[No, p p C]`.
    pub noisy: Var,
    /// Clean targets `[No, p p C]`.
    pub data: Var,
    /// Their noise `[No, p p C]`.
    pub noise: Var,
    /// The frame before each target, zeros where there is none, `[No, p p C]`.
    pub previous: Var,
    /// 1 for rows of next images with a frame before them, 0 for others, `[No]`.
    pub copies: Var,
    /// Timestep of each wanted row, `[No, 1]`.
    pub row_times: Var,
    /// Weight of each wanted row, `[No]`; they sum to 1.
    pub weights: Var,
    /// Supervised slots.
    pub slots: Vec<SlotInfo>,
}

impl Batch {
    /// The same batch with its tensors on an accelerator, or with `None` on the host.
    pub fn moved_to(self, place: Option<&Accelerator>) -> Result<Self> {
        self.map(&mut |tensor| Ok(tensor.to_place(place)?))
    }

    /// The same batch with other tensors of the same shapes, in a fixed order.
    pub fn map(&self, to: &mut dyn FnMut(&Tensor) -> Result<Tensor>) -> Result<Self> {
        let layout = self.layout.map(to)?;
        let mut to = |var: &Var| -> Result<Var> { Ok(to(var.value())?.into()) };
        Ok(Self {
            layout,
            text: to(&self.text)?,
            turns: self.turns.as_ref().map(&mut to).transpose()?,
            visual: to(&self.visual)?,
            time: to(&self.time)?,
            pooling: to(&self.pooling)?,
            noisy: to(&self.noisy)?,
            data: to(&self.data)?,
            noise: to(&self.noise)?,
            previous: to(&self.previous)?,
            copies: to(&self.copies)?,
            row_times: to(&self.row_times)?,
            weights: to(&self.weights)?,
            slots: self.slots.clone(),
        })
    }
}

/// Tokens, pictures and targets as they are collected.
struct Collector<'c> {
    config: &'c ModelConfig,
    network: &'c NetworkConfig,
    vocabulary: &'c Vocabulary,
    options: &'c Options,
    size: [usize; 3],
    builder: LayoutBuilder,
    text: Vec<i32>,
    turns: Vec<i32>,
    /// TURN row of the text that comes next.
    turn: usize,
    timesteps: Vec<f32>,
    /// Groups with the text rows of their turn's instruction and of their slot's announcement.
    pooled: Vec<(usize, Range<usize>, usize)>,
    pictures: Vec<f32>,
    targets: Targets,
}

#[derive(Default)]
struct Targets {
    noisy: Vec<f32>,
    data: Vec<f32>,
    noise: Vec<f32>,
    previous: Vec<f32>,
    slots: Vec<SlotInfo>,
    has_previous: Vec<bool>,
}

impl Batch {
    /// Lays out examples whose pictures share one shape. `Err` when they do not, or when there is
    /// nothing to learn.
    pub fn new(
        examples: &[Example],
        network: &NetworkConfig,
        vocabulary: &Vocabulary,
        options: &Options,
    ) -> Result<Self> {
        let first = examples.iter().flat_map(|example| &example.latents).next();
        let shape = first.map(Tensor::shape).ok_or_else(|| Error::invalid("batch: no pictures"))?;
        let config = &network.model;
        let &[height, width, channels] = &*shape else {
            return Err(Error::invalid(format!(
                "batch: latent is {shape}; expected [height, width, channels]"
            )));
        };
        if channels != config.visual_out || height % config.patch != 0 || width % config.patch != 0
        {
            let what = format!(
                "batch: latent is {shape}; expected {} channels and sides that are multiples of {}",
                config.visual_out, config.patch
            );
            return Err(Error::invalid(what));
        }
        for latent in examples.iter().flat_map(|example| &example.latents) {
            if latent.shape() != shape {
                return Err(Error::invalid(format!(
                    "batch: latents {shape} and {} in one batch",
                    latent.shape()
                )));
            }
        }
        let mut collector = Collector {
            config,
            network,
            vocabulary,
            options,
            size: [height, width, channels],
            builder: LayoutBuilder::new(0),
            text: Vec::new(),
            turns: Vec::new(),
            turn: 0,
            timesteps: vec![0.0],
            pooled: Vec::new(),
            pictures: Vec::new(),
            targets: Targets::default(),
        };
        for example in examples {
            collector.turn = 0;
            match network.attention {
                AttentionKind::BlockCausal => collector.block_causal(example)?,
                AttentionKind::Full => collector.full(example)?,
            }
        }
        collector.finish()
    }
}

impl Collector<'_> {
    fn grid(&self) -> [usize; 2] {
        [self.size[0] / self.config.patch, self.size[1] / self.config.patch]
    }

    /// Adds a slot's text; returns its token rows.
    fn push_text(
        &mut self,
        slot: &Slot,
        position: &mut usize,
        group: usize,
    ) -> (Range<u32>, Range<usize>) {
        let (start_row, start_key) = (self.text.len(), self.builder.next_key());
        let turn = self.turn;
        let tokens = Tokens::of(&slot.text, self.network, self.vocabulary, true, turn);
        self.turn = tokens.turn;
        self.builder.text(*position..*position + tokens.ids.len(), group);
        *position += tokens.ids.len();
        self.text.extend(tokens.ids);
        self.turns.extend(tokens.turns);
        (start_key..self.builder.next_key(), start_row..self.text.len())
    }

    /// Adds a picture's input channels: content, condition, mask. Without a condition the channels
    /// are 0.
    fn push_picture(&mut self, content: &[f32], condition: Option<&[f32]>, mask: f32) {
        let channels = self.size[2];
        for (i, pixel) in content.chunks_exact(channels).enumerate() {
            self.pictures.extend_from_slice(pixel);
            match condition {
                Some(condition) => {
                    self.pictures.extend_from_slice(&condition[i * channels..(i + 1) * channels]);
                    self.pictures.push(mask);
                }
                None => self.pictures.extend(std::iter::repeat_n(0.0, channels + 1)),
            }
        }
    }

    /// Draws a target's time and noise and adds it; returns its noisy values.
    fn push_target(
        &mut self,
        example: &Example,
        slot: usize,
        time: f32,
        previous: Option<usize>,
    ) -> Result<Vec<f32>> {
        let data = example.latents[slot].to_f32()?.to_vec::<f32>()?;
        let noise = self.noise(example, slot, data.len())?;
        let mut noisy = vec![0.0; data.len()];
        diffusion::mix(&data, &noise, time, &mut noisy);
        let targets = &mut self.targets;
        let [rows, cols] = [self.size[0] / self.config.patch, self.size[1] / self.config.patch];
        let start = targets.slots.last().map_or(0, |slot| slot.rows.end);
        let task = example.slots[slot].picture.task();
        targets.slots.push(SlotInfo {
            task,
            sample: example.sample,
            slot,
            time,
            rows: start..start + rows * cols,
        });
        match previous {
            Some(previous) => targets
                .previous
                .extend(example.latents[previous].to_f32()?.to_slice::<f32>()?.iter()),
            None => targets.previous.extend(std::iter::repeat_n(0.0, data.len())),
        }
        targets.has_previous.push(previous.is_some());
        targets.noisy.extend_from_slice(&noisy);
        targets.data.extend(data);
        targets.noise.extend(noise);
        Ok(noisy)
    }

    fn noise(&self, example: &Example, slot: usize, count: usize) -> Result<Vec<f32>> {
        let key =
            Key::new(self.options.seed, Stream::Noise, example.sample * MAX_SLOTS + slot as u64);
        Ok(key.normal_tensor([count])?.to_vec::<f32>()?)
    }

    fn time(&self, example: &Example, slot: usize) -> f32 {
        let Options { seed, time_law: [location, scale], shift, fixed_time, .. } = *self.options;
        let key = Key::new(seed, Stream::Timestep, example.sample);
        fixed_time
            .unwrap_or_else(|| diffusion::training_time(key, slot as u64, location, scale, shift))
    }

    /// The frame before a slot that its context shows.
    fn previous_frame(slots: &[Slot], slot: usize) -> Option<usize> {
        (0..slot).rev().find(|&i| slots[i].is_context && slots[i].picture.task() == Task::NextImage)
    }

    fn block_causal(&mut self, example: &Example) -> Result<()> {
        let (start, grid) = (self.builder.next_key(), self.grid());
        let mut position = 0;
        let mut instruction = 0..0;
        let mut noisy_blocks = Vec::new();
        for (i, slot) in example.slots.iter().enumerate() {
            let (text, rows) = self.push_text(slot, &mut position, 0);
            let announcement = rows.end - 1;
            if is_new_turn(&slot.text) {
                instruction = rows.start..announcement;
            }
            let rows = (instruction.clone(), announcement);
            self.builder.sees(text.clone(), start..text.end, 0..0);
            if slot.is_target {
                noisy_blocks.push((i, text.end, rows));
            }
            if slot.is_context {
                let clean = example.latents[i].to_f32()?.to_vec::<f32>()?;
                let frame = self.builder.frame(i, grid, 0, false);
                self.builder.sees(frame.clone(), start..frame.end, 0..0);
                self.push_picture(&clean, Some(&clean), 1.0);
            }
        }
        for (i, visible, (instruction, announcement)) in noisy_blocks {
            let time = self.time(example, i);
            let group = self.timesteps.len();
            self.timesteps.push(time);
            self.pooled.push((group, instruction, announcement));
            let frame = self.builder.frame(i, grid, group, true);
            self.builder.sees(frame.clone(), start..visible, frame);
            let previous = Self::previous_frame(&example.slots, i);
            let noisy = self.push_target(example, i, time, previous)?;
            let condition = match previous {
                Some(previous) if self.network.previous_condition => {
                    Some(example.latents[previous].to_f32()?.to_vec::<f32>()?)
                }
                _ => None,
            };
            self.push_picture(&noisy, condition.as_deref(), 0.0);
        }
        Ok(())
    }

    fn full(&mut self, example: &Example) -> Result<()> {
        let targets: Vec<usize> =
            (0..example.slots.len()).filter(|&i| example.slots[i].is_target).collect();
        if targets.is_empty() {
            return Err(Error::invalid(format!("batch: sample {} has no target", example.sample)));
        }
        let choice = Key::new(self.options.seed, Stream::Dropout, example.sample)
            .below(1 << 20, targets.len() as u32);
        let target = targets[choice as usize];
        let (start, grid, group) = (self.builder.next_key(), self.grid(), self.timesteps.len());
        let time = self.time(example, target);
        self.timesteps.push(time);
        let context = (0..target).filter(|&i| example.slots[i].is_context);
        let config_offset = self.config.visual_offset;
        let mut position = 0;
        let mut instruction = 0..0;
        let mut text_end = start;
        for slot in &example.slots[..=target] {
            let (keys, rows) = self.push_text(slot, &mut position, group);
            text_end = keys.end;
            if is_new_turn(&slot.text) {
                instruction = rows.start..rows.end - 1;
            }
        }
        self.pooled.push((group, instruction, self.text.len() - 1));
        let frames: Vec<usize> = context.chain([target]).collect();
        for (t, &i) in frames.iter().enumerate() {
            let clean = example.latents[i].to_f32()?.to_vec::<f32>()?;
            // Every frame is denoised and supervised, as in the released model; the last one is kept.
            let time_start = match config_offset {
                VisualOffset::TextLength => position,
                VisualOffset::Zero => 0,
            };
            self.builder.frame(time_start + t, grid, group, true);
            let noisy =
                self.push_target(example, i, time, Self::previous_frame(&example.slots, i))?;
            self.push_picture(&noisy, (i != target).then_some(&clean), 1.0);
        }
        let end = self.builder.next_key();
        self.builder.sees(start..text_end, start..end, 0..0);
        self.builder.sees(text_end..end, start..end, 0..0);
        Ok(())
    }

    fn finish(self) -> Result<Batch> {
        let Self { config, options, size: [height, width, channels], targets, .. } = self;
        if targets.slots.is_empty() {
            return Err(Error::invalid("batch: no targets"));
        }
        let parameters = Parameters::new();
        let g = Graph::inference(&parameters);
        let rows = |values: &[f32], channels: usize| -> Result<Var> {
            let frames = values.len() / (height * width * channels);
            let pictures = Tensor::from_slice(values, [frames, height, width, channels])?;
            let rows = patch::to_rows(&g, &pictures.into(), config.patch)?;
            Ok(rows.value().contiguous()?.into())
        };
        let (groups, tokens) = (self.timesteps.len(), self.text.len());
        let mut pooling = vec![0f32; groups * tokens];
        for (group, instruction, announcement) in &self.pooled {
            let row = &mut pooling[group * tokens..][..tokens];
            row[instruction.clone()].fill(1.0 / instruction.len().max(1) as f32);
            row[*announcement] += 1.0;
        }
        let (data, previous) = (rows(&targets.data, channels)?, rows(&targets.previous, channels)?);
        let times: Vec<f32> =
            targets.slots.iter().flat_map(|slot| slot.rows.clone().map(|_| slot.time)).collect();
        let weights = weights(&targets, options, &data, &previous)?;
        let is_copy = |(slot, has_previous): (&SlotInfo, &bool)| {
            let copies = *has_previous && slot.task == Task::NextImage;
            slot.rows.clone().map(move |_| if copies { 1f32 } else { 0.0 })
        };
        let copies: Vec<f32> =
            targets.slots.iter().zip(&targets.has_previous).flat_map(is_copy).collect();
        let index =
            |rows: &[i32]| -> Result<Var> { Ok(Tensor::from_slice(rows, [rows.len()])?.into()) };
        Ok(Batch {
            layout: self.builder.build(config.rotary_dim, AnglePrecision::F32, groups)?,
            text: index(&self.text)?,
            turns: if self.network.turn_tokens == TurnTokens::Added {
                Some(index(&self.turns)?)
            } else {
                None
            },
            visual: rows(&self.pictures, 2 * channels + 1)?,
            time: model::sinusoid(&Tensor::from_slice(&self.timesteps, [groups])?)?.into(),
            pooling: Tensor::from_slice(&pooling, [groups, tokens])?.into(),
            noisy: rows(&targets.noisy, channels)?,
            noise: rows(&targets.noise, channels)?,
            data,
            previous,
            copies: Tensor::from_slice(&copies, [copies.len()])?.into(),
            row_times: Tensor::from_slice(&times, [times.len(), 1])?.into(),
            weights: Tensor::from_slice(&weights, [weights.len()])?.into(),
            slots: targets.slots,
        })
    }
}

/// Whether text begins a turn. Every slot's text ends with its announcement, which is one token.
pub(crate) fn is_new_turn(text: &[Piece]) -> bool {
    text.iter().any(|piece| matches!(piece, Piece::Instruction { .. }))
}

/// Weight of every wanted row: slots by their task's weight, rows of a slot alike, or, where the loss
/// is balanced, its changed and its unchanged rows half each.
fn weights(targets: &Targets, options: &Options, data: &Var, previous: &Var) -> Result<Vec<f32>> {
    let width = data.value().shape().last_dim();
    let (data, previous) = (data.value().to_vec::<f32>()?, previous.value().to_vec::<f32>()?);
    let task_weight = |task: Task| {
        let at = Task::ALL.iter().position(|&t| t == task).unwrap_or(0);
        options.task_weights[at]
    };
    let total: f32 = targets.slots.iter().map(|slot| task_weight(slot.task)).sum();
    if total <= 0.0 {
        return Err(Error::invalid("batch: the task weights of all targets are 0"));
    }
    let mut all = Vec::with_capacity(data.len() / width.max(1));
    for (slot, has_previous) in targets.slots.iter().zip(&targets.has_previous) {
        let share = task_weight(slot.task) / total;
        let is_changed = |row: usize| {
            let range = row * width..(row + 1) * width;
            data[range.clone()].iter().zip(&previous[range]).any(|(a, b)| (a - b).abs() > CHANGED)
        };
        let changed: Vec<bool> = slot.rows.clone().map(is_changed).collect();
        let count = changed.iter().filter(|&&c| c).count();
        let is_split = options.is_balanced
            && *has_previous
            && slot.task == Task::NextImage
            && count > 0
            && count < changed.len();
        all.extend(changed.iter().map(|&changed_row| match (is_split, changed_row) {
            (false, _) => share / changed.len() as f32,
            (true, true) => 0.5 * share / count as f32,
            (true, false) => 0.5 * share / (changed.len() - count) as f32,
        }));
    }
    Ok(all)
}
