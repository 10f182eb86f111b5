//! Kinds `vae8` and `vae16`: encoding, decoding, values in the middle and gradients. Kind
//! `vae16_inflate`: kernels of two dimensions in layers of three.

use super::case::Checker;
use crate::codec::vae::{
    Autoencoder, Form, GROUPS, Posterior, Sizes, nearest_neighbour, official_order,
};
use crate::model::Probe;
use crate::weights::names::{Vae8Sizes, Vae16Sizes, official};
use crate::weights::{Checkpoint, assign, fitted};
use crate::{Error, Result};
use std::cell::RefCell;
use std::collections::BTreeMap;
use vincie_autograd::{Graph, Parameters, Var};
use vincie_tensor::ops::Unary;
use vincie_tensor::{Accelerator, Shape, Tensor};

/// Weight of the divergence in the golden loss.
const DIVERGENCE: f32 = 1e-3;

/// The clip that golden gradients are of.
const TRAINED: &str = "enc_video";

/// A network where the case is computed.
struct Placed {
    network: Autoencoder,
    parameters: Parameters,
}

/// One case's files.
struct Case {
    io: Checkpoint,
    place: Option<Accelerator>,
}

/// Kind `vae8` where `is_eight`, else `vae16`.
pub(super) fn check(checker: &mut Checker<'_>, is_eight: bool) -> Result<()> {
    let io = checker.need("io")?;
    let is_result = |name: &String| name.contains(".out.") || name.starts_with("mid.");
    checker.expect(io.names().into_iter().filter(is_result));
    let (clips, pictures) = networks(checker, is_eight)?;
    let case = Case { io, place: checker.place().cloned() };
    let prefixes = |half: &str, input: &str| -> Vec<String> {
        let names = case.io.names();
        let prefix = |name: &String| name.strip_suffix(input).map(str::to_owned);
        names.iter().filter(|name| name.starts_with(half)).filter_map(prefix).collect()
    };
    for prefix in prefixes("enc_", ".in.pixels") {
        case.encode(checker, &clips, &pictures, &prefix)?;
    }
    for prefix in prefixes("dec_", ".in.latent") {
        case.decode(checker, &clips, &pictures, &prefix)?;
    }
    match checker.open("grads")? {
        Some(golden) => case.gradients(checker, &clips, &golden),
        None => Ok(()),
    }
}

/// The case's network for clips and, from the same weights, for single pictures.
fn networks(checker: &Checker<'_>, is_eight: bool) -> Result<(Placed, Placed)> {
    let weights = official(checker.need("weights")?)?;
    let shape_of = |name: &str| weights.shape(name).map(Shape::new);
    let (sizes, expected) = if is_eight {
        let sizes = Vae8Sizes::infer(shape_of)?;
        (Sizes::Eight(sizes.clone()), sizes.expected())
    } else {
        let sizes = Vae16Sizes::infer(shape_of)?;
        (Sizes::Sixteen(sizes.clone()), sizes.expected())
    };
    let mut parameters = Parameters::new();
    assign(&weights, &expected, None, &mut parameters)?;
    let groups = checker.config().get("norm_num_groups").and_then(|groups| groups.as_u64());
    let groups = groups.map_or(GROUPS, |groups| groups as usize);
    let placed = |form: Form| -> Result<Placed> {
        let (network, weights) = Autoencoder::load(&parameters, &sizes, groups, form)?;
        Ok(Placed { network, parameters: weights.to_place(checker.place())? })
    };
    Ok((placed(Form::Clips)?, placed(Form::Pictures)?))
}

/// `[B, C, H, W]` or `[B, C, T, H, W]` to `[B, T, H, W, C]`.
fn channels_last(x: &Tensor) -> Result<Tensor> {
    let x = match *x.dims() {
        [batch, channels, height, width] => x.reshape([batch, channels, 1, height, width])?,
        [_, _, _, _, _] => x.clone(),
        _ => {
            let what = format!("autoencoder: input is {}; expected 4 or 5 axes", x.shape());
            return Err(Error::invalid(what));
        }
    };
    Ok(x.permute(&[0, 2, 3, 4, 1])?.contiguous()?)
}

/// `[B, T, H, W, C]` in the order of a golden tensor of that rank: frames are a batch where it has 4
/// axes, and channels stand before time where it has 5.
fn channels_first(x: &Tensor, rank: usize) -> Result<Tensor> {
    let order = if rank == 4 { [0, 1, 4, 2, 3] } else { [0, 4, 1, 2, 3] };
    Ok(x.to_host()?.permute(&order)?.contiguous()?)
}

impl Case {
    fn input(&self, name: &str) -> Result<Var> {
        let input = channels_last(&self.io.tensor(name)?.to_f32()?)?;
        Ok(input.to_place(self.place.as_ref())?.into())
    }

    /// Compares a clip with the golden tensor of that name, where there is one.
    fn compare(&self, checker: &mut Checker<'_>, name: &str, ours: &Tensor) -> Result<()> {
        match self.io.shape(name).map(<[usize]>::len) {
            Some(rank) => checker.tensor(&self.io, name, &channels_first(ours, rank)?),
            None => Ok(()),
        }
    }

    /// The networks that a clip of so many frames goes through: the one for clips, and for a single
    /// picture the folded one as well.
    fn of_frames<'n>(
        clips: &'n Placed,
        pictures: &'n Placed,
        x: &Var,
    ) -> impl Iterator<Item = &'n Placed> {
        let is_picture = x.value().shape()[1] == 1;
        [Some(clips), is_picture.then_some(pictures)].into_iter().flatten()
    }

    fn encode(
        &self,
        checker: &mut Checker<'_>,
        clips: &Placed,
        pictures: &Placed,
        prefix: &str,
    ) -> Result<()> {
        let pixels = self.input(&format!("{prefix}.in.pixels"))?;
        for placed in Self::of_frames(clips, pictures, &pixels) {
            let g = Graph::inference(&placed.parameters);
            let moments = placed.network.encode(&g, &pixels, None)?;
            let posterior = Posterior::of(&g, &moments)?;
            let mut results =
                vec![("mean", posterior.mean.clone()), ("logvar", posterior.log_variance.clone())];
            let noise = format!("{prefix}.in.eps");
            if self.io.shape(&noise).is_some() {
                results.push(("sample", posterior.sample(&g, &self.input(&noise)?)?));
            }
            for (result, value) in results {
                self.compare(checker, &format!("{prefix}.out.{result}"), value.value())?;
            }
        }
        let name = prefix.trim_start_matches("enc_");
        self.middle(checker, name, "encoder.", |probe| {
            let g = Graph::inference(&clips.parameters);
            clips.network.encode(&g, &pixels, Some(probe))
        })?;
        let sliced = clips.network.encode_slices(&clips.parameters, pixels.value(), 1)?;
        let g = Graph::inference(&clips.parameters);
        let sliced = Posterior::of(&g, &sliced.into())?;
        self.compare(checker, &format!("{prefix}.out.mean"), sliced.mean.value())
    }

    fn decode(
        &self,
        checker: &mut Checker<'_>,
        clips: &Placed,
        pictures: &Placed,
        prefix: &str,
    ) -> Result<()> {
        let latents = self.input(&format!("{prefix}.in.latent"))?;
        for placed in Self::of_frames(clips, pictures, &latents) {
            let g = Graph::inference(&placed.parameters);
            let pixels = placed.network.decode(&g, &latents, None)?;
            self.compare(checker, &format!("{prefix}.out.pixels"), pixels.value())?;
        }
        let name = prefix.trim_start_matches("dec_");
        self.middle(checker, name, "decoder.", |probe| {
            let g = Graph::inference(&clips.parameters);
            clips.network.decode(&g, &latents, Some(probe))
        })?;
        let sliced = clips.network.decode_slices(&clips.parameters, latents.value(), 1)?;
        self.compare(checker, &format!("{prefix}.out.pixels"), &sliced)
    }

    /// Values in the middle of a half that the case names.
    fn middle(
        &self,
        checker: &mut Checker<'_>,
        clip: &str,
        half: &str,
        run: impl for<'p> Fn(&'p Probe<'p>) -> Result<Var>,
    ) -> Result<()> {
        let prefix = format!("mid.{clip}.");
        let is_wanted =
            |name: &String| name.strip_prefix(&prefix).is_some_and(|layer| layer.starts_with(half));
        if !self.io.names().iter().any(is_wanted) {
            return Ok(());
        }
        let mut seen: BTreeMap<String, Tensor> = BTreeMap::new();
        {
            let probe = RefCell::new(|layer: &str, value: &Tensor| {
                let name = format!("{prefix}{layer}");
                if checker.wants(&name) {
                    seen.insert(name, value.clone());
                }
            });
            run(&probe)?;
        }
        for (name, value) in seen {
            self.compare(checker, &name, &value)?;
        }
        Ok(())
    }

    /// Loss and gradients of a step of training.
    fn gradients(
        &self,
        checker: &mut Checker<'_>,
        clips: &Placed,
        golden: &Checkpoint,
    ) -> Result<()> {
        checker.expect(golden.names());
        let Placed { network, parameters } = clips;
        let g = Graph::recording(parameters);
        let pixels = g.input(self.input(&format!("{TRAINED}.in.pixels"))?.value().clone());
        let posterior = Posterior::of(&g, &network.encode(&g, &pixels, None)?)?;
        let noise = self.input(&format!("{TRAINED}.in.eps"))?;
        let latents = posterior.sample(&g, &noise)?;
        let reconstruction = network.decode(&g, &latents, None)?;
        let mean = |x: &Var| g.mean(&g.reshape(x, [1, x.value().count()])?, 1);
        let difference = g.sub(&reconstruction, &pixels)?;
        let error = mean(&g.apply_one(Unary::Square, &[&difference])?)?;
        let divergence = mean(&posterior.divergence(&g)?)?;
        let loss = g.add(&error, &g.affine(&divergence, DIVERGENCE, 0.0)?)?;
        let name = "expect.reconstruction";
        if let Some(rank) = golden.shape(name).map(<[usize]>::len) {
            checker.tensor(golden, name, &channels_first(reconstruction.value(), rank)?)?;
        }
        checker.tensor(golden, "expect.loss", &loss.value().to_host()?)?;
        let gradients = g.backward(&loss)?;
        let name = "grad.input.pixels";
        if let (Some(gradient), Some(shape)) = (gradients.of(&pixels), golden.shape(name)) {
            checker.tensor(golden, name, &channels_first(gradient, shape.len())?)?;
        }
        for (id, name, _) in parameters.iter() {
            if let Some(gradient) = gradients.parameter(id) {
                let gradient = official_order(&gradient.to_host()?)?;
                compare_gradient(checker, golden, name, &gradient)?;
            }
        }
        Ok(())
    }
}

/// A weight's gradient against what the case holds of it: all, its first rows, its norm.
fn compare_gradient(
    checker: &mut Checker<'_>,
    golden: &Checkpoint,
    weight: &str,
    gradient: &Tensor,
) -> Result<()> {
    let whole = format!("grad.weight.{weight}");
    if checker.wants(&whole) {
        checker.tensor(golden, &whole, gradient)?;
    }
    let rows = format!("grad_rows.weight.{weight}");
    if let Some(count) = golden.shape(&rows).and_then(|shape| shape.first().copied()) {
        checker.tensor(golden, &rows, &gradient.narrow(0, 0, count)?)?;
    }
    let norm = format!("grad_norm.weight.{weight}");
    if checker.wants(&norm) {
        let square = |sum: f64, &v: &f32| sum + f64::from(v) * f64::from(v);
        let sum = gradient.to_vec::<f32>()?.iter().fold(0.0, square);
        checker.values(golden, &norm, vec![sum.sqrt()])?;
    }
    Ok(())
}

/// Kernels of two dimensions on the last temporal tap of layers of three.
pub(super) fn check_inflation(checker: &mut Checker<'_>) -> Result<()> {
    let io = checker.need("io")?;
    let is_result = |name: &String| name.ends_with("_3d") || name.ends_with(".identity_init");
    checker.expect(io.names().into_iter().filter(is_result));
    for name in io.names() {
        if let Some(layer) = name.strip_suffix("_2d") {
            let wanted = format!("{layer}_3d");
            if let Some(shape) = io.shape(&wanted).map(Shape::new) {
                // Only rows of the upscaling layer are repeated.
                let official = layer.replacen("upscale.", "upsampler.upscale_conv.", 1);
                let inflated = fitted(&official, shape, &io.tensor(&name)?)?;
                checker.tensor(&io, &wanted, &inflated)?;
            }
        } else if name.ends_with(".identity_init")
            && let Some(shape) = io.shape(&name).map(Shape::new)
        {
            checker.tensor(&io, &name, &nearest_neighbour(shape)?)?;
        }
    }
    Ok(())
}
