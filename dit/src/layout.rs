//! Which tokens the transformer sees, where they stand, and which of them see each other.
//!
//! Text and video come as two streams of rows. A layout gives every row its place in the joint
//! sequence of the attention, its rotary position, its modulation group (rows of a group share a
//! timestep), and every query block its keys: a prefix and a range of its own. Keys may lie before
//! the sequence, in a cache of earlier tokens.

use crate::Result;
use crate::config::{ModelConfig, VisualOffset};
use crate::rotary::{self, AnglePrecision};
use std::ops::Range;
use std::sync::Arc;
use vincie_autograd::Var;
use vincie_tensor::ops::{AttentionMask, QueryBlock};
use vincie_tensor::{Accelerator, Tensor};

/// A finished layout of `L` new tokens, of which `Nt` are text and `Nv` video.
#[derive(Clone, Debug)]
pub struct Layout {
    /// Place of each text row in the joint sequence, i32 `[Nt]`.
    pub text_rows: Var,
    /// Place of each visual row in the joint sequence, i32 `[Nv]`.
    pub visual_rows: Var,
    /// For each place, its row in the text stream followed by the visual stream, i32 `[L]`.
    pub from_streams: Var,
    /// `0..L`, i32.
    pub all_rows: Var,
    /// Places whose result is wanted, i32 `[No]`.
    pub output_rows: Var,
    /// The same rows counted in the visual stream, i32 `[No]`.
    pub output_visual_rows: Var,
    /// Modulation group of each text row, i32 `[Nt]`.
    pub text_groups: Var,
    /// Modulation group of each visual row, i32 `[Nv]`.
    pub visual_groups: Var,
    /// Modulation group of each place, i32 `[L]`.
    pub groups: Var,
    /// Modulation group of each wanted row, i32 `[No]`.
    pub output_groups: Var,
    /// Number of modulation groups.
    pub group_count: usize,
    /// Rotary cosines `[L, rotated / 2]`.
    pub cos: Var,
    /// Rotary sines `[L, rotated / 2]`.
    pub sin: Var,
    /// Keys of every query; key `i` is cached token `i`, or new token `i - cached`.
    pub mask: Arc<AttentionMask>,
    /// The same with the queries that lead to a wanted row only, for the last block.
    pub output_mask: Arc<AttentionMask>,
    /// Tokens before the sequence whose keys and values are cached.
    pub cached: usize,
}

/// Sizes of one sample: text tokens and the patched video's frames, height and width.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SampleShape {
    /// Text tokens.
    pub text: usize,
    /// Frames, rows and columns of patches.
    pub grid: [usize; 3],
}

/// Collects tokens in the order of the joint sequence.
pub struct LayoutBuilder {
    positions: Vec<[f32; 3]>,
    is_visual: Vec<bool>,
    groups: Vec<i32>,
    is_output: Vec<bool>,
    blocks: Vec<QueryBlock>,
    cached: usize,
}

impl LayoutBuilder {
    /// An empty sequence behind `cached` tokens.
    pub fn new(cached: usize) -> Self {
        let (positions, is_visual, groups, is_output) = Default::default();
        Self { positions, is_visual, groups, is_output, blocks: Vec::new(), cached }
    }

    /// Key index of the next token.
    pub fn next_key(&self) -> u32 {
        (self.cached + self.positions.len()) as u32
    }

    /// Adds text tokens at positions `(j, j, j)`; returns their key indices.
    pub fn text(&mut self, positions: Range<usize>, group: usize) -> Range<u32> {
        let start = self.next_key();
        for j in positions {
            self.token([j as f32; 3], false, group, false);
        }
        start..self.next_key()
    }

    /// Adds one frame of `height x width` patches at time `time`; returns its key indices.
    pub fn frame(
        &mut self,
        time: usize,
        [height, width]: [usize; 2],
        group: usize,
        is_output: bool,
    ) -> Range<u32> {
        let start = self.next_key();
        for h in 0..height {
            for w in 0..width {
                self.token([time as f32, h as f32, w as f32], true, group, is_output);
            }
        }
        start..self.next_key()
    }

    fn token(&mut self, position: [f32; 3], is_visual: bool, group: usize, is_output: bool) {
        self.positions.push(position);
        self.is_visual.push(is_visual);
        self.groups.push(group as i32);
        self.is_output.push(is_output);
    }

    /// Lets tokens `queries` see the keys in `prefix` and `own`. All ranges are key indices.
    pub fn sees(&mut self, queries: Range<u32>, prefix: Range<u32>, own: Range<u32>) {
        let cached = self.cached as u32;
        let queries = queries.start - cached..queries.end - cached;
        self.blocks.push(QueryBlock { queries, prefix, own });
    }

    /// The layout with `group_count` modulation groups.
    pub fn build(
        self,
        rotary_dim: usize,
        precision: AnglePrecision,
        group_count: usize,
    ) -> Result<Layout> {
        let rows_where = |keep: &dyn Fn(usize) -> bool| -> Vec<i32> {
            (0..self.positions.len()).filter(|&i| keep(i)).map(|i| i as i32).collect()
        };
        let text = rows_where(&|i| !self.is_visual[i]);
        let visual = rows_where(&|i| self.is_visual[i]);
        let output = rows_where(&|i| self.is_output[i]);
        let mut from_streams = vec![0; self.positions.len()];
        for (stream_row, &place) in text.iter().chain(&visual).enumerate() {
            from_streams[place as usize] = stream_row as i32;
        }
        let in_visual: Vec<i32> =
            output.iter().map(|&place| from_streams[place as usize] - text.len() as i32).collect();
        let groups_of = |rows: &[i32]| -> Vec<i32> {
            rows.iter().map(|&row| self.groups[row as usize]).collect()
        };
        let index =
            |rows: &[i32]| -> Result<Var> { Ok(Tensor::from_slice(rows, [rows.len()])?.into()) };
        let (cos, sin) = rotary::tables(&self.positions, rotary_dim, precision)?;
        let output_blocks = self
            .blocks
            .iter()
            .filter(|b| b.queries.clone().any(|q| self.is_output[q as usize]))
            .cloned();
        let output_mask = Arc::new(AttentionMask::new(output_blocks.collect())?);
        Ok(Layout {
            text_rows: index(&text)?,
            visual_rows: index(&visual)?,
            from_streams: index(&from_streams)?,
            all_rows: index(&rows_where(&|_| true))?,
            output_rows: index(&output)?,
            output_visual_rows: index(&in_visual)?,
            text_groups: index(&groups_of(&text))?,
            visual_groups: index(&groups_of(&visual))?,
            groups: index(&self.groups)?,
            output_groups: index(&groups_of(&output))?,
            group_count,
            cos: cos.into(),
            sin: sin.into(),
            output_mask,
            mask: Arc::new(AttentionMask::new(self.blocks)?),
            cached: self.cached,
        })
    }
}

impl Layout {
    /// Full attention: every token of a sample sees every other, samples are apart; group `i` is
    /// sample `i`. Streams hold the samples one after another; all visual rows are wanted.
    pub fn full(
        samples: &[SampleShape],
        config: &ModelConfig,
        precision: AnglePrecision,
    ) -> Result<Self> {
        let mut builder = LayoutBuilder::new(0);
        for (group, sample) in samples.iter().enumerate() {
            let [frames, height, width] = sample.grid;
            let start = builder.next_key();
            let time = first_time(config, sample.text);
            for t in 0..frames {
                builder.frame(time + t, [height, width], group, true);
            }
            let middle = builder.next_key();
            builder.text(0..sample.text, group);
            let end = builder.next_key();
            builder.sees(start..middle, start..end, 0..0);
            builder.sees(middle..end, start..end, 0..0);
        }
        builder.build(config.rotary_dim, precision, samples.len())
    }

    /// Block-causal attention over turns without noisy copies: turn `i` is `text / turns` text tokens
    /// and one frame, and sees itself and earlier turns. One sample, one group.
    pub fn turns(sample: SampleShape, config: &ModelConfig) -> Result<Self> {
        let mut builder = LayoutBuilder::new(0);
        let [turns, height, width] = sample.grid;
        let (time, words) = (first_time(config, sample.text), sample.text / turns.max(1));
        for turn in 0..turns {
            let text = builder.text(turn * words..(turn + 1) * words, 0);
            let frame = builder.frame(time + turn, [height, width], 0, true);
            builder.sees(text, 0..frame.end, 0..0);
            builder.sees(frame.clone(), 0..frame.end, 0..0);
        }
        builder.build(config.rotary_dim, AnglePrecision::F32, 1)
    }

    /// The same layout with its tensors on an accelerator, or with `None` on the host.
    pub fn moved_to(self, place: Option<&Accelerator>) -> Result<Self> {
        self.map(&mut |tensor| Ok(tensor.to_place(place)?))
    }

    /// The same layout with other tensors of the same shapes, in a fixed order.
    pub fn map(&self, to: &mut dyn FnMut(&Tensor) -> Result<Tensor>) -> Result<Self> {
        let mut to = |var: &Var| -> Result<Var> { Ok(to(var.value())?.into()) };
        Ok(Self {
            text_rows: to(&self.text_rows)?,
            visual_rows: to(&self.visual_rows)?,
            from_streams: to(&self.from_streams)?,
            all_rows: to(&self.all_rows)?,
            output_rows: to(&self.output_rows)?,
            output_visual_rows: to(&self.output_visual_rows)?,
            text_groups: to(&self.text_groups)?,
            visual_groups: to(&self.visual_groups)?,
            groups: to(&self.groups)?,
            output_groups: to(&self.output_groups)?,
            cos: to(&self.cos)?,
            sin: to(&self.sin)?,
            group_count: self.group_count,
            mask: Arc::clone(&self.mask),
            output_mask: Arc::clone(&self.output_mask),
            cached: self.cached,
        })
    }

    /// Tokens of the sequence, cached ones apart.
    pub fn tokens(&self) -> usize {
        self.all_rows.value().count()
    }
}

/// Time position of a sample's first frame.
fn first_time(config: &ModelConfig, text: usize) -> usize {
    match config.visual_offset {
        VisualOffset::TextLength => text,
        VisualOffset::Zero => 0,
    }
}
