//! Transformer blocks (VINCIE 3B specification, section 1.8): modulated norm, joint attention over
//! both streams, gated residual, modulated norm, feed-forward, gated residual.

use super::names::{self, Names};
use super::{EPSILON, ForwardOptions, Linear, Modulation};
use crate::Result;
use crate::config::{FeedForward as Kind, ModelConfig};
use crate::layout::Layout;
use vincie_autograd::{Graph, ParameterId, Var};
use vincie_tensor::Tensor;
use vincie_tensor::ops::{QkNormRotary, RmsNorm};

/// One block: weights for text and video apart, or one set for both.
#[derive(Clone, Debug)]
pub(super) struct Block {
    branches: Vec<Branch>,
}

/// One set of weights.
#[derive(Clone, Debug)]
struct Branch {
    qkv: Linear,
    norm_q: ParameterId,
    norm_k: ParameterId,
    proj_out: Linear,
    feed_forward: Option<FeedForward>,
    /// Shift, scale and gate for attention, then for the feed-forward layer.
    modulation: [ParameterId; 6],
}

#[derive(Clone, Copy, Debug)]
enum FeedForward {
    Swiglu { gate: Linear, up: Linear, down: Linear },
    Gelu { up: Linear, down: Linear },
}

/// Keys and values of tokens already seen, per block: `[tokens, heads head_dim]` each.
#[derive(Clone, Debug)]
pub struct KeyValueCache {
    blocks: Vec<Option<(Tensor, Tensor)>>,
    /// Whether new tokens are added by the next forward pass.
    pub is_growing: bool,
}

impl KeyValueCache {
    /// An empty cache for a model of that many blocks.
    pub fn new(layers: usize) -> Self {
        Self { blocks: vec![None; layers], is_growing: true }
    }

    /// Cached tokens.
    pub fn tokens(&self) -> usize {
        self.blocks.first().and_then(Option::as_ref).map_or(0, |(keys, _)| keys.shape()[0])
    }

    /// Bytes of all keys and values.
    pub fn bytes(&self) -> usize {
        self.blocks.iter().flatten().map(|(keys, values)| keys.bytes() + values.bytes()).sum()
    }

    /// Keys and values of a block with the new ones behind them.
    fn extend(
        &mut self,
        g: &Graph<'_>,
        block: usize,
        keys: Var,
        values: Var,
    ) -> Result<(Var, Var)> {
        let (keys, values) = match &self.blocks[block] {
            None => (keys, values),
            Some((old_keys, old_values)) => (
                g.concat(&[&old_keys.clone().into(), &keys], 0)?,
                g.concat(&[&old_values.clone().into(), &values], 0)?,
            ),
        };
        if self.is_growing {
            self.blocks[block] = Some((keys.value().clone(), values.value().clone()));
        }
        Ok((keys, values))
    }
}

/// The residual stream: text and video apart, or all tokens in the order of the attention.
enum State {
    Streams {
        text: Var,
        visual: Var,
    },
    Joint(Var),
    /// The wanted rows alone, behind the last block.
    Output(Var),
}

impl State {
    fn into_vars(self) -> Vec<Var> {
        match self {
            Self::Streams { text, visual } => vec![text, visual],
            Self::Joint(x) | Self::Output(x) => vec![x],
        }
    }
}

/// One stream on its way through a block.
struct Stream<'b> {
    branch: &'b Branch,
    x: Var,
    /// Place of each row in the joint sequence.
    rows: &'b Var,
    groups: &'b Var,
}

/// Everything the blocks of one forward pass share.
struct Pass<'a, 'o> {
    config: &'a ModelConfig,
    layout: &'a Layout,
    options: ForwardOptions<'o>,
}

/// Runs all blocks; returns the wanted rows `[No, dim]`.
#[allow(clippy::too_many_arguments)]
pub(super) fn run<'a>(
    g: &Graph<'a>,
    blocks: &'a [Block],
    config: &'a ModelConfig,
    layout: &'a Layout,
    [text, visual]: [Var; 2],
    modulation: &Modulation,
    mut cache: Option<&mut KeyValueCache>,
    options: ForwardOptions<'_>,
) -> Result<Var> {
    let mut state = State::Streams { text, visual };
    for (i, block) in blocks.iter().enumerate() {
        if let (State::Streams { text, visual }, true) = (&state, block.is_shared()) {
            state = State::Joint(g.gather(&g.concat(&[text, visual], 0)?, &layout.from_streams)?);
        }
        let is_last = i + 1 == blocks.len();
        let pass = Pass { config, layout, options };
        state = if options.recompute_blocks && options.probe.is_none() && cache.is_none() {
            block.checkpointed(g, config, layout, state, modulation, is_last, options.attention)?
        } else {
            block.forward(g, &pass, i, is_last, state, modulation, cache.as_deref_mut())?
        };
        report(g, &pass, i, "out", &state)?;
    }
    match state {
        State::Output(x) => Ok(x),
        State::Joint(x) => Ok(g.gather(&x, &layout.output_rows)?),
        State::Streams { visual, .. } => Ok(g.gather(&visual, &layout.output_visual_rows)?),
    }
}

/// Shows both streams of a state to the probe.
fn report(
    g: &Graph<'_>,
    pass: &Pass<'_, '_>,
    block: usize,
    name: &str,
    state: &State,
) -> Result<()> {
    let Some(probe) = pass.options.probe else { return Ok(()) };
    let (text, visual) = match state {
        State::Streams { text, visual } => (text.clone(), visual.clone()),
        State::Joint(x) => {
            (g.gather(x, &pass.layout.text_rows)?, g.gather(x, &pass.layout.visual_rows)?)
        }
        State::Output(_) => return Ok(()),
    };
    for (stream, value) in [("txt", text), ("vid", visual)] {
        (probe.borrow_mut())(&format!("blocks.{block}.{name}.{stream}"), value.value());
    }
    Ok(())
}

impl Block {
    pub(super) fn bind(names: &Names<'_>, config: &ModelConfig, block: usize) -> Result<Self> {
        let branches = names::branches(config, block);
        Ok(Self {
            branches: branches
                .iter()
                .map(|b| Branch::bind(names, config, block, b))
                .collect::<Result<_>>()?,
        })
    }

    fn is_shared(&self) -> bool {
        self.branches.len() == 1
    }

    fn streams<'b>(&'b self, layout: &'b Layout, state: State) -> Vec<Stream<'b>> {
        match state {
            State::Streams { text, visual } => vec![
                Stream {
                    branch: &self.branches[0],
                    x: text,
                    rows: &layout.text_rows,
                    groups: &layout.text_groups,
                },
                Stream {
                    branch: &self.branches[1],
                    x: visual,
                    rows: &layout.visual_rows,
                    groups: &layout.visual_groups,
                },
            ],
            State::Joint(x) | State::Output(x) => {
                vec![Stream {
                    branch: &self.branches[0],
                    x,
                    rows: &layout.all_rows,
                    groups: &layout.groups,
                }]
            }
        }
    }

    /// The block as a checkpoint of the tape.
    #[allow(clippy::too_many_arguments)]
    fn checkpointed<'a>(
        &'a self,
        g: &Graph<'a>,
        config: &'a ModelConfig,
        layout: &'a Layout,
        state: State,
        modulation: &Modulation,
        is_last: bool,
        attention: Option<vincie_tensor::DType>,
    ) -> Result<State> {
        let is_joint = matches!(state, State::Joint(_));
        let mut inputs = state.into_vars();
        let rows = inputs.len();
        inputs.extend(modulation.0.iter().cloned());
        let function = move |g: &Graph<'a>, inputs: &[Var]| {
            let state = match &inputs[..rows] {
                [text, visual] => State::Streams { text: text.clone(), visual: visual.clone() },
                joint => State::Joint(joint[0].clone()),
            };
            let kinds: [Var; 6] = std::array::from_fn(|i| inputs[rows + i].clone());
            let options = ForwardOptions { attention, ..ForwardOptions::default() };
            let pass = Pass { config, layout, options };
            let result = self.forward(g, &pass, 0, is_last, state, &Modulation(kinds), None);
            result.map(State::into_vars).map_err(tensor_error)
        };
        let mut results = g.checkpoint(&inputs.iter().collect::<Vec<_>>(), function)?;
        let first = results.swap_remove(0);
        Ok(match (is_last, is_joint, results.pop()) {
            (true, ..) => State::Output(first),
            (false, true, _) => State::Joint(first),
            (false, false, Some(visual)) => State::Streams { text: first, visual },
            (false, false, None) => State::Joint(first),
        })
    }

    #[allow(clippy::too_many_arguments)]
    fn forward(
        &self,
        g: &Graph<'_>,
        pass: &Pass<'_, '_>,
        index: usize,
        is_last: bool,
        state: State,
        modulation: &Modulation,
        cache: Option<&mut KeyValueCache>,
    ) -> Result<State> {
        let layout = pass.layout;
        let is_joint = matches!(state, State::Joint(_));
        let streams = self.streams(layout, state);
        let attended = self.attend(g, pass, index, is_last, &streams, modulation, cache)?;
        // Behind the last attention only the wanted rows go on, unless somebody watches the rest.
        if is_last && pass.options.probe.is_none() {
            let stream = &streams[streams.len() - 1];
            let rows = if is_joint { &layout.output_rows } else { &layout.output_visual_rows };
            let residual = g.gather(&stream.x, rows)?;
            let attended = g.gather(&attended, &layout.output_rows)?;
            let x = stream.branch.leave_attention(
                g,
                &attended,
                &residual,
                &layout.output_groups,
                modulation,
            )?;
            return Ok(State::Output(stream.branch.feed_forward(
                g,
                x,
                &layout.output_groups,
                modulation,
            )?));
        }
        let mut outputs = Vec::with_capacity(2);
        for (s, stream) in streams.iter().enumerate() {
            let own = if is_joint { attended.clone() } else { g.gather(&attended, stream.rows)? };
            let name = if is_joint { "all" } else { ["txt", "vid"][s] };
            outputs.push(
                stream.branch.finish(g, pass, index, name, stream, &own, modulation, is_last)?,
            );
        }
        Ok(match (is_joint, outputs.pop(), outputs.pop()) {
            (false, Some(visual), Some(text)) => State::Streams { text, visual },
            (_, Some(x), _) => State::Joint(x),
            (_, None, _) => unreachable!("a block has at least one stream"),
        })
    }

    /// Joint attention over all streams: `[L, heads head_dim]` in the order of the sequence.
    #[allow(clippy::too_many_arguments)]
    fn attend(
        &self,
        g: &Graph<'_>,
        pass: &Pass<'_, '_>,
        index: usize,
        is_last: bool,
        streams: &[Stream<'_>],
        modulation: &Modulation,
        cache: Option<&mut KeyValueCache>,
    ) -> Result<Var> {
        let (config, layout) = (pass.config, pass.layout);
        let mut inputs = Vec::with_capacity(10);
        for (s, stream) in streams.iter().enumerate() {
            let branch = stream.branch;
            let h =
                branch.modulated_norm(g, &stream.x, stream.groups, modulation.attention(), 0)?;
            let qkv = branch.qkv.forward(g, &h)?;
            if let (Some(probe), 2) = (pass.options.probe, streams.len()) {
                let name = ["txt", "vid"][s];
                (probe.borrow_mut())(&format!("blocks.{index}.ada.attn_in.{name}"), h.value());
                (probe.borrow_mut())(&format!("blocks.{index}.qkv.{name}"), qkv.value());
            }
            inputs.extend([
                qkv,
                g.parameter(branch.norm_q),
                g.parameter(branch.norm_k),
                stream.rows.clone(),
            ]);
        }
        inputs.extend([layout.cos.clone(), layout.sin.clone()]);
        let op = QkNormRotary {
            heads: config.heads,
            head_dim: config.head_dim,
            rotated: config.rotated(),
            epsilon: EPSILON,
            streams: streams.len(),
        };
        let mut joined = g.apply(op, &inputs.iter().collect::<Vec<_>>())?.into_iter();
        let mut next = || joined.next().expect("the op has four results");
        let (q, k, v) = (next(), next(), next());
        if let (Some(probe), 2) = (pass.options.probe, streams.len()) {
            for (stream, name) in streams.iter().zip(["txt", "vid"]) {
                for (x, kind) in [(&q, "q"), (&k, "k")] {
                    let own = g.gather(x, stream.rows)?;
                    (probe.borrow_mut())(
                        &format!("blocks.{index}.rope.{name}_{kind}"),
                        own.value(),
                    );
                }
            }
        }
        let (k, v) = match cache {
            Some(cache) => cache.extend(g, index, k, v)?,
            None => (k, v),
        };
        let mask = if is_last && pass.options.probe.is_none() {
            &layout.output_mask
        } else {
            &layout.mask
        };
        let scale = 1.0 / (config.head_dim as f32).sqrt();
        let dtype = q.value().dtype();
        let Some(other) = pass.options.attention.filter(|&other| other != dtype) else {
            return Ok(g.attention(&q, &k, &v, config.heads, scale, mask)?);
        };
        let [q, k, v] = [&q, &k, &v].map(|x| g.cast(x, other));
        Ok(g.cast(&g.attention(&q?, &k?, &v?, config.heads, scale, mask)?, dtype)?)
    }
}

/// The tape's closures speak the tensor crate's errors; blocks only fail with those.
fn tensor_error(error: crate::Error) -> vincie_tensor::Error {
    match error {
        crate::Error::Tensor(error) => error,
        other => vincie_tensor::Error::shape("block", other.to_string()),
    }
}

impl Branch {
    fn bind(names: &Names<'_>, config: &ModelConfig, block: usize, branch: &str) -> Result<Self> {
        let (dim, width, hidden) = (config.dim, config.attention_dim(), config.hidden_dim());
        let attention = format!("blocks.{block}.attn");
        let mlp = format!("blocks.{block}.mlp.{branch}");
        let feed_forward =
            match (names::has_feed_forward(config, block, branch), config.feed_forward) {
                (false, _) => None,
                (true, Kind::Swiglu) => Some(FeedForward::Swiglu {
                    gate: names.linear(&format!("{mlp}.proj_in_gate"), [hidden, dim], false)?,
                    up: names.linear(&format!("{mlp}.proj_in"), [hidden, dim], false)?,
                    down: names.linear(&format!("{mlp}.proj_out"), [dim, hidden], false)?,
                }),
                (true, Kind::Gelu) => Some(FeedForward::Gelu {
                    up: names.linear(&format!("{mlp}.proj_in"), [hidden, dim], true)?,
                    down: names.linear(&format!("{mlp}.proj_out"), [dim, hidden], true)?,
                }),
            };
        let mut modulation = Vec::with_capacity(6);
        for kind in names::MODULATION {
            modulation.push(names.vector(&format!("blocks.{block}.ada.{branch}.{kind}"), dim)?);
        }
        Ok(Self {
            qkv: names.linear(
                &format!("{attention}.proj_qkv.{branch}"),
                [3 * width, dim],
                config.qkv_bias,
            )?,
            norm_q: names
                .vector(&format!("{attention}.norm_q.{branch}.weight"), config.head_dim)?,
            norm_k: names
                .vector(&format!("{attention}.norm_k.{branch}.weight"), config.head_dim)?,
            proj_out: names.linear(
                &format!("{attention}.proj_out.{branch}"),
                [dim, width],
                true,
            )?,
            feed_forward,
            modulation: modulation.try_into().expect("six names give six parameters"),
        })
    }

    /// `in(x, layer)` of the specification; `first` is the layer's shift among the parameters.
    fn modulated_norm(
        &self,
        g: &Graph<'_>,
        x: &Var,
        groups: &Var,
        [shift, scale, _]: [&Var; 3],
        first: usize,
    ) -> Result<Var> {
        let result = Some(self.qkv.dtype(g));
        let op = RmsNorm { epsilon: EPSILON, has_weight: false, is_modulated: true, result };
        let (shift_parameter, scale_parameter) =
            (g.parameter(self.modulation[first]), g.parameter(self.modulation[first + 1]));
        Ok(g.apply_one(op, &[x, scale, shift, &scale_parameter, &shift_parameter, groups])?)
    }

    /// Projection and gated residual behind the attention.
    fn leave_attention(
        &self,
        g: &Graph<'_>,
        attended: &Var,
        residual: &Var,
        groups: &Var,
        modulation: &Modulation,
    ) -> Result<Var> {
        let gate = [modulation.attention()[2], &g.parameter(self.modulation[2])];
        self.proj_out.forward_into(g, attended, gate, residual, groups)
    }

    /// The feed-forward half; the input itself where the branch has none.
    fn feed_forward(
        &self,
        g: &Graph<'_>,
        x: Var,
        groups: &Var,
        modulation: &Modulation,
    ) -> Result<Var> {
        let Some(layer) = &self.feed_forward else { return Ok(x) };
        let h = self.modulated_norm(g, &x, groups, modulation.feed_forward(), 3)?;
        let (hidden, down) = layer.hidden(g, &h)?;
        let gate = [modulation.feed_forward()[2], &g.parameter(self.modulation[5])];
        down.forward_into(g, &hidden, gate, &x, groups)
    }

    /// The second half of the block for one stream, shown to the probe step by step.
    #[allow(clippy::too_many_arguments)]
    fn finish(
        &self,
        g: &Graph<'_>,
        pass: &Pass<'_, '_>,
        index: usize,
        name: &str,
        stream: &Stream<'_>,
        attended: &Var,
        modulation: &Modulation,
        is_last: bool,
    ) -> Result<Var> {
        let x = self.leave_attention(g, attended, &stream.x, stream.groups, modulation)?;
        let Some(probe) = pass.options.probe else {
            return self.feed_forward(g, x, stream.groups, modulation);
        };
        let projected = self.proj_out.forward(g, attended)?;
        if name == "all" {
            report(g, pass, index, "attn_out", &State::Joint(projected))?;
        } else {
            (probe.borrow_mut())(&format!("blocks.{index}.attn_out.{name}"), projected.value());
            (probe.borrow_mut())(&format!("blocks.{index}.ada.attn_res.{name}"), x.value());
            if self.feed_forward.is_some() {
                let h = self.modulated_norm(g, &x, stream.groups, modulation.feed_forward(), 3)?;
                (probe.borrow_mut())(&format!("blocks.{index}.ada.mlp_in.{name}"), h.value());
            }
        }
        let full = self.feed_forward(g, x.clone(), stream.groups, modulation)?;
        if name != "all" {
            (probe.borrow_mut())(&format!("blocks.{index}.ada.mlp_res.{name}"), full.value());
            return Ok(full);
        }
        if !is_last {
            return Ok(full);
        }
        // Text leaves the last block behind the attention; only its video rows take the second half.
        let concat = g.concat(&[&x, &full], 0)?;
        let tokens = pass.layout.tokens() as i32;
        let mut rows: Vec<i32> = (0..tokens).collect();
        for &row in pass.layout.visual_rows.value().to_slice::<i32>()?.iter() {
            rows[row as usize] += tokens;
        }
        Ok(g.gather(&concat, &Tensor::from_slice(&rows, [rows.len()])?.into())?)
    }
}

impl FeedForward {
    /// What is between the layers, and the last of them.
    fn hidden(&self, g: &Graph<'_>, h: &Var) -> Result<(Var, &Linear)> {
        match self {
            Self::Swiglu { gate, up, down } => {
                let [of_gate, of_up] = [gate, up].map(|layer| g.parameter(layer.weight));
                let h = super::as_type(g, h, gate.dtype(g))?;
                Ok((g.linear_swiglu(&h, &of_gate, &of_up)?, down))
            }
            Self::Gelu { up, down } => Ok((g.gelu_tanh(&up.forward(g, h)?)?, down)),
        }
    }
}
