//! The transformer of the VINCIE specification, section 1: separate and shared blocks over text and
//! video, joint attention, one modulation for all blocks.
//!
//! With bf16 weights the residual stream, the modulation and all vectors stay f32. Norms round their
//! result for the products behind them; what lies between a norm and the gated residual is bf16.

mod block;
mod embedding;
mod flops;
mod init;
mod names;

use crate::Result;
use crate::config::{ModelConfig, TextProjection};
use crate::layout::Layout;
use block::Block;
use std::cell::RefCell;
use vincie_autograd::{Graph, ParameterId, Parameters, Var};
use vincie_tensor::ops::RmsNorm;
use vincie_tensor::{DType, Tensor};

pub use block::KeyValueCache;
pub(crate) use embedding::TimeEmbedding;
pub use embedding::sinusoid;
pub use flops::forward_flops;
pub use init::initialise;
pub(crate) use init::{Start, start_of};
pub(crate) use names::Names;
pub use names::{Need, expected_parameters};

/// Added to every mean square.
pub const EPSILON: f32 = 1e-5;

/// A linear layer's parameters.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Linear {
    pub(crate) weight: ParameterId,
    pub(crate) bias: Option<ParameterId>,
}

impl Linear {
    /// A product in the type of the weights, which the input becomes.
    pub(crate) fn forward(&self, g: &Graph<'_>, x: &Var) -> Result<Var> {
        let bias = self.bias.map(|bias| g.parameter(bias));
        let weight = g.parameter(self.weight);
        Ok(g.linear(&as_type(g, x, weight.value().dtype())?, &weight, bias.as_ref())?)
    }

    /// A product that leaves into a residual, by way of a gate whose parts are those of the row's group and
    /// of all rows.
    pub(crate) fn forward_into(
        &self,
        g: &Graph<'_>,
        x: &Var,
        [gate, parameter]: [&Var; 2],
        residual: &Var,
        groups: &Var,
    ) -> Result<Var> {
        let bias = self.bias.map(|bias| g.parameter(bias));
        let weight = g.parameter(self.weight);
        let x = as_type(g, x, weight.value().dtype())?;
        let bias = bias.as_ref();
        Ok(g.linear_gate_residual(&x, &weight, bias, gate, parameter, residual, groups)?)
    }

    /// [`Self::forward`] with its sums as they are, in f32: what enters or leaves the residual stream.
    pub(crate) fn forward_to_f32(&self, g: &Graph<'_>, x: &Var) -> Result<Var> {
        let bias = self.bias.map(|bias| g.parameter(bias));
        let weight = g.parameter(self.weight);
        Ok(g.linear_to_f32(&as_type(g, x, weight.value().dtype())?, &weight, bias.as_ref())?)
    }

    /// The type that inputs become.
    pub(crate) fn dtype(&self, g: &Graph<'_>) -> DType {
        g.parameters().value(self.weight).dtype()
    }
}

/// The value in another type, itself where it has that type.
fn as_type(g: &Graph<'_>, x: &Var, dtype: DType) -> Result<Var> {
    if x.value().dtype() == dtype { Ok(x.clone()) } else { Ok(g.cast(x, dtype)?) }
}

/// How text features reach the width of the model.
#[derive(Clone, Debug)]
enum TextIn {
    Identity,
    Linear(Linear),
    Mlp { first: Linear, second: Linear, norm: ParameterId },
}

/// The network: its sizes and where its parameters are.
#[derive(Clone, Debug)]
pub struct Transformer {
    config: ModelConfig,
    visual_in: Linear,
    text_in: TextIn,
    time: TimeEmbedding,
    blocks: Vec<Block>,
    output_norm: Option<OutputNorm>,
    visual_out: Linear,
    turn_table: Option<ParameterId>,
}

#[derive(Clone, Copy, Debug)]
struct OutputNorm {
    weight: ParameterId,
    shift: ParameterId,
    scale: ParameterId,
}

/// Sees named intermediate values.
pub type Probe<'p> = RefCell<dyn FnMut(&str, &Tensor) + 'p>;

/// What a forward pass may be asked beside its result.
#[derive(Clone, Copy, Default)]
pub struct ForwardOptions<'p> {
    /// Keep each block's input only and compute the block again for its gradient.
    pub recompute_blocks: bool,
    /// Type that q, k and v take for the attention, whose result is then rounded back; without it,
    /// the one they have.
    pub attention: Option<DType>,
    /// Sees intermediate values. Text rows then go through all of the last block, too.
    pub probe: Option<&'p Probe<'p>>,
}

/// What the network computes on.
#[derive(Clone, Copy)]
pub struct Inputs<'v> {
    /// Patches of the visual stream `[Nv, patch_in]`.
    pub visual: &'v Var,
    /// Features of the text stream `[Nt, text_in]`, TURN rows included.
    pub text: &'v Var,
    /// [`sinusoid`] of the timestep of each modulation group, `[G, 256]`.
    pub time: &'v Tensor,
    /// Added to the time embedding's hidden layer, `[G, dim]`.
    pub conditioning: Option<&'v Var>,
}

/// The six modulation vectors of every group, each `[G, dim]`: shift, scale and gate for attention,
/// then for the feed-forward layer.
#[derive(Clone)]
pub(crate) struct Modulation([Var; 6]);

impl Modulation {
    fn attention(&self) -> [&Var; 3] {
        [&self.0[0], &self.0[1], &self.0[2]]
    }

    fn feed_forward(&self) -> [&Var; 3] {
        [&self.0[3], &self.0[4], &self.0[5]]
    }
}

impl Transformer {
    /// Finds the network's parameters by their official names. `Err` is one line that names what is
    /// missing or has another shape.
    pub fn bind(config: ModelConfig, parameters: &Parameters) -> Result<Self> {
        config.validate()?;
        let names = Names { parameters };
        let patch_layer = if config.image_projection_names { "img_proj" } else { "proj" };
        let (dim, hidden) = (config.dim, config.dim);
        let text_in = match config.text_projection {
            TextProjection::Identity => TextIn::Identity,
            TextProjection::Linear => {
                TextIn::Linear(names.linear("txt_in", [dim, config.text_in], true)?)
            }
            TextProjection::Mlp => TextIn::Mlp {
                first: names.linear("txt_in.0.0.0", [config.text_in, config.text_in], true)?,
                second: names.linear("txt_in.0.0.2", [dim, config.text_in], true)?,
                norm: names.vector("txt_in.0.1.weight", dim)?,
            },
        };
        let output_norm = if config.output_norm {
            Some(OutputNorm {
                weight: names.vector("vid_out_norm.weight", dim)?,
                shift: names.vector("vid_out_ada.out_shift", dim)?,
                scale: names.vector("vid_out_ada.out_scale", dim)?,
            })
        } else {
            None
        };
        let turn_table = match config.turn_rows {
            0 => None,
            rows => {
                Some(names.get("prompt_id_embedding.embedding.weight", &[rows, config.text_in])?)
            }
        };
        Ok(Self {
            visual_in: names.linear(
                &format!("vid_in.{patch_layer}"),
                [dim, config.patch_in()],
                true,
            )?,
            text_in,
            time: TimeEmbedding::bind(&names, hidden, 6 * dim)?,
            blocks: (0..config.layers)
                .map(|i| Block::bind(&names, &config, i))
                .collect::<Result<_>>()?,
            output_norm,
            visual_out: names.linear(
                &format!("vid_out.{patch_layer}"),
                [config.patch_out(), dim],
                true,
            )?,
            turn_table,
            config,
        })
    }

    /// Sizes and options.
    pub fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// The TURN table `[turn_rows, text_in]`, where the model has one.
    pub fn turn_table(&self) -> Option<ParameterId> {
        self.turn_table
    }

    /// Features for the wanted rows of the layout: normalised and modulated, `[No, dim]`. With a
    /// cache, keys and values of the cached tokens are seen, too, and those of the new tokens are
    /// kept where the cache asks for them.
    pub fn features<'a>(
        &'a self,
        g: &Graph<'a>,
        layout: &'a Layout,
        inputs: Inputs<'_>,
        cache: Option<&mut KeyValueCache>,
        options: ForwardOptions<'_>,
    ) -> Result<Var> {
        let see = |name: &str, value: &Var| {
            if let Some(probe) = options.probe {
                (probe.borrow_mut())(name, value.value());
            }
        };
        let embedding = self.time.forward(g, inputs.time, inputs.conditioning)?;
        see("emb_in", &embedding);
        let modulation = self.modulation(g, &embedding)?;
        let visual = self.visual_in.forward_to_f32(g, inputs.visual)?;
        see("vid_in", &visual);
        let text = self.text_features(g, inputs.text, &see)?;
        see("txt_in", &text);
        let output = block::run(
            g,
            &self.blocks,
            &self.config,
            layout,
            [text, visual],
            &modulation,
            cache,
            options,
        )?;
        let Some(norm) = self.output_norm else { return Ok(output) };
        let [shift, scale, _] = modulation.attention();
        let result = Some(self.visual_out.dtype(g));
        let op = RmsNorm { epsilon: EPSILON, has_weight: true, is_modulated: true, result };
        let parameters = [norm.weight, norm.scale, norm.shift].map(|id| g.parameter(id));
        let [weight, scale_parameter, shift_parameter] = &parameters;
        let groups = &layout.output_groups;
        let features = g.apply_one(
            op,
            &[&output, weight, scale, shift, scale_parameter, shift_parameter, groups],
        )?;
        see("vid_out_ada", &features);
        Ok(features)
    }

    /// The network's answer for the wanted rows, `[No, patch_out]`.
    pub fn forward<'a>(
        &'a self,
        g: &Graph<'a>,
        layout: &'a Layout,
        inputs: Inputs<'_>,
        cache: Option<&mut KeyValueCache>,
        options: ForwardOptions<'_>,
    ) -> Result<Var> {
        let features = self.features(g, layout, inputs, cache, options)?;
        self.project_out(g, &features)
    }

    /// From features `[No, dim]` to patches `[No, patch_out]`.
    pub fn project_out(&self, g: &Graph<'_>, features: &Var) -> Result<Var> {
        self.visual_out.forward_to_f32(g, features)
    }

    fn text_features(&self, g: &Graph<'_>, text: &Var, see: &dyn Fn(&str, &Var)) -> Result<Var> {
        match &self.text_in {
            TextIn::Identity => as_type(g, text, DType::F32),
            TextIn::Linear(linear) => linear.forward_to_f32(g, text),
            TextIn::Mlp { first, second, norm } => {
                let hidden = g.gelu_tanh(&first.forward(g, text)?)?;
                let projected = second.forward_to_f32(g, &hidden)?;
                see("txt_in.proj", &projected);
                let op = RmsNorm {
                    epsilon: EPSILON,
                    has_weight: true,
                    is_modulated: false,
                    result: None,
                };
                Ok(g.apply_one(op, &[&projected, &g.parameter(*norm)])?)
            }
        }
    }

    /// Splits the embedding `[G, 6 dim]`, whose order is channel, layer, kind, into six vectors.
    fn modulation(&self, g: &Graph<'_>, embedding: &Var) -> Result<Modulation> {
        let (groups, dim) = (embedding.value().shape()[0], self.config.dim);
        let split = g.reshape(embedding, [groups, dim, 6])?;
        let by_kind = g.permute(&split, &[2, 0, 1])?;
        let rows = g.reshape(&by_kind, [6, groups * dim])?;
        let vector =
            |i: usize| -> Result<Var> { Ok(g.reshape(&g.narrow(&rows, 0, i, 1)?, [groups, dim])?) };
        Ok(Modulation([vector(0)?, vector(1)?, vector(2)?, vector(3)?, vector(4)?, vector(5)?]))
    }
}
