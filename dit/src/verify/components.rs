//! Kinds `modulation`, `time_embedding`, `patch` and `swiglu`: single parts of the transformer.

use super::case::{Checker, sizes};
use crate::model::{EPSILON, Linear, Names, TimeEmbedding, sinusoid};
use crate::weights::Checkpoint;
use crate::{Result, patch};
use vincie_autograd::{Graph, Parameters, Var};
use vincie_tensor::Tensor;
use vincie_tensor::ops::RmsNorm;

/// All `weight.*` tensors of a file under their names without the prefix.
fn weights(io: &Checkpoint, checker: &Checker<'_>) -> Result<Parameters> {
    let mut parameters = Parameters::new();
    for name in io.names() {
        if let Some(short) = name.strip_prefix("weight.") {
            parameters.insert(short, io.tensor(&name)?.to_f32()?);
        }
    }
    Ok(parameters.to_dtype(checker.dtype())?.to_place(checker.place())?)
}

fn expect_prefixes(checker: &mut Checker<'_>, io: &Checkpoint, prefixes: &[&str]) {
    checker.expect(
        io.names()
            .into_iter()
            .filter(|name| prefixes.iter().any(|prefix| name.starts_with(prefix))),
    );
}

/// A linear layer `name` whose sizes the file gives.
fn linear(parameters: &Parameters, name: &str) -> Result<Linear> {
    let dims = parameters.id(&format!("{name}.weight")).map(|id| parameters.value(id).shape());
    let sizes = dims.filter(|shape| shape.rank() == 2).map_or([0, 0], |shape| [shape[0], shape[1]]);
    Names { parameters }.linear(name, sizes, parameters.id(&format!("{name}.bias")).is_some())
}

/// Norm with scale and shift, and gated residual, per stream and layer.
pub(super) fn modulation(checker: &mut Checker<'_>) -> Result<()> {
    let io = checker.need("io")?;
    expect_prefixes(checker, &io, &["out."]);
    let parameters = weights(&io, checker)?;
    let g = Graph::inference(&parameters);
    let embedding = io.tensor("in.emb")?.to_f32()?;
    let layers: Vec<&str> = checker.config()["layers"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|v| v.as_str())
        .collect();
    let (groups, dim) =
        (embedding.dims()[0], embedding.shape().last_dim() / (3 * layers.len().max(1)));
    let by_kind = embedding.reshape([groups, dim, layers.len(), 3])?.permute(&[2, 3, 0, 1])?;
    for stream in ["vid", "txt"] {
        let rows: Vec<usize> = if stream == "vid" {
            sizes::<3>(&io, "vid_shape")?.iter().map(|s| s.iter().product()).collect()
        } else {
            sizes::<1>(&io, "txt_shape")?.iter().map(|s| s[0]).collect()
        };
        let group_of: Vec<i32> =
            rows.iter().enumerate().flat_map(|(i, &n)| std::iter::repeat_n(i as i32, n)).collect();
        let group_of: Var = Tensor::from_slice(&group_of, [group_of.len()])?.into();
        let x: Var = io.tensor(&format!("in.{stream}"))?.to_f32()?.into();
        // A norm reads the residual stream, a gate what a product made.
        let made: Var = checker.input(&io, &format!("in.{stream}"))?.into();
        let residual: Var = io.tensor(&format!("in.{stream}_residual"))?.to_f32()?.into();
        for (l, layer) in layers.iter().enumerate() {
            let vector = |kind: usize| -> Result<Var> {
                Ok(by_kind.narrow(0, l, 1)?.narrow(1, kind, 1)?.reshape([groups, dim])?.into())
            };
            let names = Names { parameters: &parameters };
            let learned = |kind: &str| -> Result<Var> {
                Ok(g.parameter(names.vector(&format!("{layer}_{kind}"), dim)?))
            };
            let result = Some(checker.dtype());
            let op = RmsNorm { epsilon: EPSILON, has_weight: false, is_modulated: true, result };
            let inputs =
                [&x, &vector(1)?, &vector(0)?, &learned("scale")?, &learned("shift")?, &group_of];
            checker.computed(
                &io,
                &format!("out.{stream}.{layer}.in"),
                g.apply_one(op, &inputs)?.value(),
            )?;
            let out =
                g.gate_residual(&made, &vector(2)?, &learned("gate")?, &residual, &group_of)?;
            checker.computed(&io, &format!("out.{stream}.{layer}.out"), out.value())?;
        }
    }
    Ok(())
}

/// Sinusoid and the layers behind it.
pub(super) fn time_embedding(checker: &mut Checker<'_>) -> Result<()> {
    let io = checker.need("io")?;
    expect_prefixes(checker, &io, &["out."]);
    let parameters = weights(&io, checker)?;
    let timesteps = io.tensor("in.timestep")?;
    checker.tensor(&io, "out.sinusoid", &sinusoid(&timesteps)?)?;
    let rows = |name: &str| io.shape(name).and_then(|shape| shape.first().copied()).unwrap_or(0);
    let (hidden, output) =
        (rows("weight.emb_in.proj_hid.weight"), rows("weight.emb_in.proj_out.weight"));
    let layers = TimeEmbedding::bind(&Names { parameters: &parameters }, hidden, output)?;
    let time = sinusoid(&timesteps)?;
    let embedding = layers.forward(&Graph::inference(&parameters), &time, None)?;
    checker.computed(&io, "out.emb", embedding.value())
}

/// Patches of every sample, one after another: `[sum T H W, C]` to `[sum tokens, p p C]`.
pub(super) fn samples_to_rows(
    g: &Graph<'_>,
    x: &Var,
    samples: &[[usize; 3]],
    p: usize,
) -> Result<Var> {
    let channels = x.value().shape().last_dim();
    let mut parts = Vec::with_capacity(samples.len());
    let mut start = 0;
    for &[t, h, w] in samples {
        let sample = g.reshape(&g.narrow(x, 0, start, t * h * w)?, [t, h, w, channels])?;
        parts.push(patch::to_rows(g, &sample, p)?);
        start += t * h * w;
    }
    Ok(g.concat(&parts.iter().collect::<Vec<_>>(), 0)?)
}

/// The inverse of [`samples_to_rows`]; `samples` are in pixels.
pub(super) fn rows_to_samples(
    g: &Graph<'_>,
    rows: &Var,
    samples: &[[usize; 3]],
    p: usize,
) -> Result<Var> {
    let mut parts = Vec::with_capacity(samples.len());
    let mut start = 0;
    for &[t, h, w] in samples {
        let tokens = t * (h / p) * (w / p);
        let sample = patch::from_rows(g, &g.narrow(rows, 0, start, tokens)?, [t, h, w], p)?;
        let channels = sample.value().shape().last_dim();
        parts.push(g.reshape(&sample, [t * h * w, channels])?);
        start += tokens;
    }
    Ok(g.concat(&parts.iter().collect::<Vec<_>>(), 0)?)
}

/// Patch in, patch out, and the order of pixels in a patch.
pub(super) fn patch(checker: &mut Checker<'_>) -> Result<()> {
    let io = checker.need("io")?;
    expect_prefixes(checker, &io, &["out.", "index.out"]);
    let parameters = weights(&io, checker)?;
    let g = Graph::inference(&parameters);
    let samples = sizes::<3>(&io, "vid_shape")?;
    let (patch_in, patch_out) =
        (linear(&parameters, "vid_in.proj")?, linear(&parameters, "vid_out.proj")?);
    let video: Var = checker.input(&io, "in.vid")?.into();
    let features = parameters.value(patch_in.weight).shape().last_dim();
    let p = (features / video.value().shape().last_dim().max(1)).isqrt();
    let tokens = patch_in.forward(&g, &samples_to_rows(&g, &video, &samples, p)?)?;
    checker.computed(&io, "out.tokens", tokens.value())?;
    let shapes = samples.iter().flat_map(|&[t, h, w]| [t, h / p, w / p]);
    checker.values(&io, "out.token_shape", shapes.map(|size| size as f64).collect())?;
    let back = rows_to_samples(&g, &patch_out.forward(&g, &tokens)?, &samples, p)?;
    checker.computed(&io, "out.vid", back.value())?;
    let numbers: Var = io.tensor("index.in")?.to_f32()?.into();
    checker.tensor(&io, "index.out", samples_to_rows(&g, &numbers, &samples, p)?.value())
}

/// The feed-forward layer and its gradients.
pub(super) fn swiglu(checker: &mut Checker<'_>) -> Result<()> {
    let io = checker.need("io")?;
    expect_prefixes(checker, &io, &["out.", "grad."]);
    let parameters = weights(&io, checker)?;
    let g = Graph::recording(&parameters);
    let x = g.input(checker.input(&io, "in.x")?);
    let [gate, up, down] =
        ["proj_in_gate", "proj_in", "proj_out"].map(|name| linear(&parameters, name));
    let hidden = g.swiglu(&gate?.forward(&g, &x)?, &up?.forward(&g, &x)?)?;
    let y = down?.forward(&g, &hidden)?;
    checker.computed(&io, "out.y", y.value())?;
    let gradients = g.backward_from(&[(&y, io.tensor("in.cotangent")?.to_f32()?)])?;
    if let Some(gradient) = gradients.of(&x) {
        checker.computed(&io, "grad.x", gradient)?;
    }
    for (id, name, _) in parameters.iter() {
        if let Some(gradient) = gradients.parameter(id) {
            checker.computed(&io, &format!("grad.weight.{name}"), gradient)?;
        }
    }
    Ok(())
}
