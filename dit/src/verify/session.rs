//! Kind `session`: whole sessions, turn by turn. Turns behind the first get the golden pictures of
//! the turns before them.

use super::case::Checker;
use super::image::picture;
use crate::codec::LatentScale;
use crate::codec::vae::{Autoencoder, Form, GROUPS, Sizes};
use crate::config::ModelConfig;
use crate::diffusion::Guidance;
use crate::model::{Transformer, expected_parameters};
use crate::released::{
    Denoiser, Family, PictureCodec, Roundings, Settings, condition, joined, prepared, prompts_seen,
    schedule, to_picture, turns, worded,
};
use crate::text::{Computation, t5};
use crate::weights::names::{Known, official};
use crate::weights::{Checkpoint, assign};
use crate::{Error, Result};
use serde_json::Value;
use std::collections::HashMap;
use vincie_autograd::Parameters;
use vincie_tensor::{DType, Shape, Tensor};

/// Everything a case says beside its tensors, in either form of configuration.
struct Spec {
    settings: Settings,
    prompts: Vec<String>,
    /// Wording of each turn's prompts, where the case tells it.
    texts: Vec<Vec<String>>,
    groups: usize,
}

impl Spec {
    fn read(config: &Value, family: Family) -> Result<Self> {
        let at = |paths: &[&str]| paths.iter().find_map(|path| config.pointer(path));
        let number = |paths: &[&str]| at(paths).and_then(Value::as_f64);
        let flag = |paths: &[&str]| at(paths).and_then(Value::as_bool);
        let strings = |paths: &[&str]| -> Vec<String> {
            let all = at(paths).and_then(Value::as_array).into_iter().flatten();
            all.filter_map(Value::as_str).map(str::to_owned).collect()
        };
        let mut settings = Settings::official(family);
        settings.roundings = Roundings::default();
        if let Some(resolution) = number(&["/generation/resolution", "/resolution"]) {
            settings.resolution = resolution;
        }
        if let Some(aspect) = at(&["/generation/aspect_ratio"]).and_then(Value::as_str) {
            settings.aspect = aspect.parse().map_err(Error::invalid)?;
        }
        if let Some(is_on) = flag(&["/generation/pad_img_placehoder", "/placeholders"]) {
            settings.placeholders = is_on;
        }
        if let Some(text) = at(&["/negative_prompt", "/negative"]).and_then(Value::as_str) {
            settings.negative = text.to_owned();
        }
        if let Some(is_drawn) = flag(&["/vae/use_sample"]) {
            settings.draws_latents = is_drawn;
        }
        let LatentScale { shift, factor } = settings.scale;
        settings.scale = LatentScale {
            factor: number(&["/vae/scaling_factor", "/scaling_factor"])
                .map_or(factor, |v| v as f32),
            shift: number(&["/vae/shifting_factor", "/shifting_factor"])
                .map_or(shift, |v| v as f32),
        };
        let sampling = "/diffusion/timesteps/sampling";
        let steps = number(&[&format!("{sampling}/steps"), "/steps"]);
        settings.steps = steps.map_or(settings.steps, |steps| steps as usize);
        settings.shift =
            number(&[&format!("{sampling}/shift"), "/shift"]).unwrap_or(settings.shift);
        let Guidance { scale, rescale, partial, .. } = settings.guidance;
        settings.guidance = Guidance {
            scale: number(&["/diffusion/cfg/scale", "/guidance"]).map_or(scale, |v| v as f32),
            rescale: number(&["/diffusion/cfg/rescale", "/rescale"]).map_or(rescale, |v| v as f32),
            partial: number(&["/diffusion/cfg/partial", "/partial"]).map_or(partial, |v| v as f32),
            is_bf16: false,
        };
        let texts = at(&["/templated_prompts_per_turn", "/texts"]).cloned().unwrap_or_default();
        let texts = match texts {
            Value::Null => Vec::new(),
            texts => serde_json::from_value(texts)
                .map_err(|e| Error::invalid(format!("session: texts of the turns: {e}")))?,
        };
        let groups = number(&["/vae/norm_num_groups", "/norm_num_groups"]);
        let groups = groups.map_or(GROUPS, |groups| groups as usize);
        Ok(Self { settings, prompts: strings(&["/prompts"]), texts, groups })
    }

    /// Prompts of a turn as the text encoder gets them. `Err` where the case words them otherwise.
    fn prompts_of(&self, images: usize, turn: usize) -> Result<Vec<String>> {
        let seen = prompts_seen(images, turn, &self.settings).min(self.prompts.len());
        let ours: Vec<String> = self.prompts[..seen]
            .iter()
            .enumerate()
            .map(|(i, prompt)| worded(i, prompt, &self.settings))
            .collect();
        match self.texts.get(turn) {
            Some(golden) if *golden != ours => Err(Error::invalid(format!(
                "session: the prompts of turn {turn} are {ours:?}; the case has {golden:?}"
            ))),
            _ => Ok(ours),
        }
    }
}

/// Where features of prompts come from.
enum Texts {
    /// Features of every wording.
    Given(HashMap<String, Tensor>),
    /// A T5 with its tokenizer, and most tokens of a prompt.
    Encoder { tokenizer: Box<t5::Tokenizer>, model: Box<t5::Model>, limit: usize },
}

impl Texts {
    fn of(checker: &Checker<'_>, io: &Checkpoint) -> Result<Self> {
        let config = checker.config();
        if let Some(names) = config.get("text_tensor_of_prompt").and_then(Value::as_object) {
            let given = names.iter().map(|(prompt, name)| {
                Ok((prompt.clone(), io.tensor(name.as_str().unwrap_or_default())?.to_f32()?))
            });
            return Ok(Self::Given(given.collect::<Result<_>>()?));
        }
        let file = |part: &str| {
            let file = config.pointer(&format!("/weights/{part}/file")).and_then(Value::as_str);
            file.map(|file| checker.beside(file)).ok_or_else(|| {
                Error::invalid(format!("session: neither features of prompts nor weights.{part}"))
            })
        };
        let limit = config.get("max_length").and_then(Value::as_u64);
        let limit = limit.map_or(t5::MAX_TOKENS, |limit| limit as usize);
        let tokenizer = Box::new(t5::Tokenizer::open(&file("tokenizer")?)?);
        let weights = Checkpoint::open(&file("text")?)?;
        let sizes = t5::Config::new(&Value::Null, &weights)?;
        let computation = Computation { place: checker.place().cloned(), dtype: Some(DType::F32) };
        let model = Box::new(t5::Model::new(sizes, weights, computation)?);
        Ok(Self::Encoder { tokenizer, model, limit })
    }

    /// Tokens of every prompt; `None` where features are given.
    fn tokens(&self, prompts: &[String]) -> Result<Option<Vec<Vec<u32>>>> {
        let Self::Encoder { tokenizer, limit, .. } = self else { return Ok(None) };
        let tokens = prompts.iter().map(|prompt| tokenizer.prompt(prompt, *limit));
        tokens.collect::<Result<_>>().map(Some)
    }

    fn features(&self, prompts: &[String]) -> Result<Vec<Tensor>> {
        match self {
            Self::Given(given) => prompts
                .iter()
                .map(|prompt| {
                    given.get(prompt).cloned().ok_or_else(|| {
                        Error::invalid(format!("session: the case has no features of {prompt:?}"))
                    })
                })
                .collect(),
            Self::Encoder { model, .. } => {
                let tokens = self.tokens(prompts)?.unwrap_or_default();
                let rows = model.forward(&tokens, |_, _| Ok(()))?.to_host()?;
                let mut start = 0;
                let own = |tokens: &Vec<u32>| {
                    let own = rows.narrow(0, start, tokens.len())?.contiguous()?;
                    start += tokens.len();
                    Ok(own)
                };
                tokens.iter().map(own).collect()
            }
        }
    }
}

/// A case's tensors and models.
struct Models {
    io: Checkpoint,
    spec: Spec,
    texts: Texts,
    codec: PictureCodec,
    model: Transformer,
    parameters: Parameters,
    inputs: usize,
}

pub(super) fn check(checker: &mut Checker<'_>) -> Result<()> {
    let io = checker.need("io")?;
    let is_given = |name: &str| {
        let is_draw = name.ends_with(".noise") || name.contains(".vae_eps.");
        is_draw || name.starts_with("input.") || name.starts_with("text.")
    };
    checker.expect(io.names().into_iter().filter(|name| !is_given(name)));
    let case = Models::load(checker, io)?;
    if let Some(name) = case.named("timesteps", &[""]) {
        let times = schedule(&case.spec.settings);
        let times = times.times().iter().map(|&t| f64::from(t)).collect();
        checker.values(&case.io, &name, times)?;
    }
    let count = turns(case.inputs, case.spec.prompts.len());
    for turn in 0..count {
        case.turn(checker, turn)?;
    }
    Ok(())
}

/// Weights of one part: from the case's own file under a prefix, or from a file that the configuration
/// names, with single tensors scaled.
fn weights(checker: &Checker<'_>, part: &str) -> Result<(Checkpoint, HashMap<String, f32>)> {
    let spec = checker.config().pointer(&format!("/weights/{part}"));
    if let Some(file) = spec.and_then(|spec| spec.get("file")).and_then(Value::as_str) {
        let factors = spec.and_then(|spec| spec.get("scale")).and_then(Value::as_object);
        let factors = factors
            .into_iter()
            .flatten()
            .filter_map(|(name, factor)| Some((name.clone(), factor.as_f64()? as f32)));
        return Ok((official(Checkpoint::open(&checker.beside(file))?)?, factors.collect()));
    }
    let prefix = format!("{part}.");
    let all = checker.need("weights")?;
    let own = all.renamed(|name| name.strip_prefix(&prefix).map(str::to_owned))?;
    Ok((official(own)?, HashMap::new()))
}

fn scaled(parameters: &mut Parameters, factors: &HashMap<String, f32>) -> Result<()> {
    for (name, factor) in factors {
        let id = parameters.id(name).ok_or_else(|| {
            Error::invalid(format!("session: weights.scale names {name}, which is no weight"))
        })?;
        let value = parameters.value(id).to_f32()?;
        let values: Vec<f32> = value.to_vec::<f32>()?.iter().map(|v| v * factor).collect();
        *parameters.value_mut(id) = Tensor::from_slice(&values, value.shape())?;
    }
    Ok(())
}

impl Models {
    fn load(checker: &Checker<'_>, io: Checkpoint) -> Result<Self> {
        let place = checker.place();
        let (file, factors) = weights(checker, "vae")?;
        let known = Known::of(&file)?;
        let family = match &known {
            Known::Vae8(_) => Family::ThreeB,
            _ => Family::SevenB,
        };
        let spec = Spec::read(checker.config(), family)?;
        let sizes =
            Sizes::of(&known).ok_or_else(|| Error::format(file.path(), "holds no autoencoder"))?;
        let mut parameters = Parameters::new();
        assign(&file, &known.expected(), None, &mut parameters)?;
        scaled(&mut parameters, &factors)?;
        let (network, folded) =
            Autoencoder::load(&parameters, &sizes, spec.groups, Form::Pictures)?;
        let codec = PictureCodec::new(network, folded.to_place(place)?, spec.settings.scale);

        let (file, factors) = weights(checker, "dit")?;
        let shape_of = |name: &str| file.shape(name).map(Shape::new);
        let config = match checker.config().get("dit") {
            Some(table) => ModelConfig {
                turn_rows: shape_of(TURN_TABLE).map_or(0, |table| table[0]),
                ..ModelConfig::from_official(table)?
            },
            None => ModelConfig::infer(shape_of)?,
        };
        let mut parameters = Parameters::new();
        assign(&file, &expected_parameters(&config), None, &mut parameters)?;
        scaled(&mut parameters, &factors)?;
        let parameters = parameters.to_place(place)?;
        let model = Transformer::bind(config, &parameters)?;
        let texts = Texts::of(checker, &io)?;
        let inputs = (0..).take_while(|i| io.shape(&input_name(*i)).is_some()).count();
        Ok(Self { io, spec, texts, codec, model, parameters, inputs })
    }

    /// The golden tensor of a stage under one of its names.
    fn named(&self, prefix: &str, names: &[&str]) -> Option<String> {
        names
            .iter()
            .map(|name| format!("{prefix}{name}"))
            .find(|name| self.io.shape(name).is_some())
    }

    /// Compares numbers with the golden tensor of a stage, where the case has it.
    fn compare(
        &self,
        checker: &mut Checker<'_>,
        turn: usize,
        names: &[&str],
        ours: impl FnOnce() -> Result<Vec<f64>>,
    ) -> Result<()> {
        match self.named(&format!("turn{turn}."), names) {
            Some(name) => checker.values(&self.io, &name, ours()?),
            None => Ok(()),
        }
    }

    fn turn(&self, checker: &mut Checker<'_>, turn: usize) -> Result<()> {
        let context = self.context(checker, turn)?;
        let Context { latents, size } = &context;
        let [height, width, channels] = *size;
        let condition = condition(latents, *size)?;
        self.compare(checker, turn, &["cond"], || numbers(&condition))?;
        let shape = [latents.len() + 1, height, width];
        self.compare(checker, turn, &["vid_shape"], || {
            Ok(shape.iter().map(|&side| side as f64).collect())
        })?;
        let texts = self.text(checker, turn)?;
        let noise = self.io.tensor(&format!("turn{turn}.noise"))?.to_f32()?;
        let denoiser = Denoiser {
            model: &self.model,
            parameters: &self.parameters,
            roundings: self.spec.settings.roundings,
        };
        let (mut states, mut velocities) = (Vec::new(), Vec::new());
        let times = schedule(&self.spec.settings);
        let latents = denoiser.run(
            &noise,
            &condition,
            [&texts[0], &texts[1]],
            &times,
            &self.spec.settings.guidance,
            &mut |_, x, velocity| {
                states.extend(x.iter().map(|&v| f64::from(v)));
                velocities.extend(velocity.iter().map(|&v| f64::from(v)));
                Ok(())
            },
        )?;
        self.compare(checker, turn, &["traj.x", "x"], || Ok(states))?;
        self.compare(checker, turn, &["traj.v", "v"], || Ok(velocities))?;
        self.compare(checker, turn, &["latents", "x_final"], || numbers(&latents))?;
        self.pictures(checker, turn, &latents, [height, width, channels])
    }

    /// The pictures that a turn sees, encoded.
    fn context(&self, checker: &mut Checker<'_>, turn: usize) -> Result<Context> {
        let mut images = Vec::new();
        for i in 0..self.inputs {
            images.push(picture(&self.io, &input_name(i))?);
        }
        for earlier in 0..turn {
            let name = self.named(&format!("turn{earlier}."), &PICTURES).ok_or_else(|| {
                Error::format(self.io.path(), format!("holds no picture of turn {earlier}"))
            })?;
            images.push(picture(&self.io, &name)?);
        }
        let multiple = self.codec.factor() * self.model.config().patch;
        let images = prepared(images, &self.spec.settings, multiple)?;
        self.compare(checker, turn, &["pixels"], || {
            // Channels before frames before pixels.
            let planes = |c: usize| {
                let channel = move |v: &[f32]| f64::from(v[c]);
                images.iter().flat_map(move |image| image.values.chunks_exact(3).map(channel))
            };
            Ok((0..3).flat_map(planes).collect())
        })?;
        let channels = self.codec.channels();
        let mut latents = Vec::with_capacity(images.len());
        for (i, image) in images.iter().enumerate() {
            let size = [image.height, image.width].map(|side| side / self.codec.factor());
            let noise = match self.spec.settings.draws_latents {
                true => Some(self.posterior_noise(turn, i, size)?),
                false => None,
            };
            latents.push(self.codec.encode(image, noise.as_ref())?);
        }
        let side = |of: fn(&Shape) -> usize| latents.first().map_or(0, |first| of(&first.shape()));
        let size = [side(|shape| shape[0]), side(|shape| shape[1]), channels];
        Ok(Context { latents, size })
    }

    /// Given noise `[1, C, 1, h, w]` as `[h, w, C]`.
    fn posterior_noise(&self, turn: usize, i: usize, [h, w]: [usize; 2]) -> Result<Tensor> {
        let name = format!("turn{turn}.vae_eps.{i}");
        let noise = self.io.tensor(&name)?.to_f32()?;
        let channels = self.codec.channels();
        if noise.count() != h * w * channels {
            let what = format!("{name} is {}; expected {channels} x {h} x {w}", noise.shape());
            return Err(Error::format(self.io.path(), what));
        }
        Ok(noise
            .reshape([channels, h * w])?
            .transpose()?
            .contiguous()?
            .reshape([h, w, channels])?)
    }

    /// Text of both branches: `[L, C]` each.
    fn text(&self, checker: &mut Checker<'_>, turn: usize) -> Result<[Tensor; 2]> {
        let prompts = self.spec.prompts_of(self.inputs, turn)?;
        if let Some(tokens) = self.texts.tokens(&prompts)? {
            self.compare(checker, turn, &["token_counts"], || {
                Ok(tokens.iter().map(|tokens| tokens.len() as f64).collect())
            })?;
            self.compare(checker, turn, &["token_ids"], || {
                Ok(tokens.iter().flatten().map(|&token| f64::from(token)).collect())
            })?;
        }
        let table = self.model.turn_table().map(|id| self.parameters.value(id));
        let mut branch = |prompts: &[String], name: &str| -> Result<Tensor> {
            let features = self.texts.features(prompts)?;
            let features: Vec<&Tensor> = features.iter().collect();
            let text = joined(&features, table, self.spec.settings.turn_rows)?;
            let (rows, shape) = (format!("{name}.emb"), format!("{name}.shape"));
            self.compare(checker, turn, &[&rows, name], || numbers(&text))?;
            self.compare(checker, turn, &[&shape, &format!("{name}_shape")], || {
                Ok(vec![text.shape()[0] as f64])
            })?;
            Ok(text)
        };
        let positive = branch(&prompts, "text_pos")?;
        let negative = branch(std::slice::from_ref(&self.spec.settings.negative), "text_neg")?;
        Ok([positive, negative])
    }

    /// Decoded frames, all or the last as the case has them, and the picture.
    fn pictures(
        &self,
        checker: &mut Checker<'_>,
        turn: usize,
        latents: &Tensor,
        size: [usize; 3],
    ) -> Result<()> {
        let frames = latents.shape()[0];
        let decoded = |frame: usize| -> Result<Tensor> {
            self.codec.decode(&latents.narrow(0, frame, 1)?.contiguous()?.reshape(size)?)
        };
        let last = decoded(frames - 1)?;
        let name = format!("turn{turn}.decoded");
        let is_whole = self.io.shape(&name).is_some_and(|shape| shape.len() == 4);
        self.compare(checker, turn, &["decoded"], || {
            let first = if is_whole { 0 } else { frames - 1 };
            let all = (first..frames).map(decoded).collect::<Result<Vec<_>>>()?;
            let mut planes = Vec::new();
            for channel in 0..3 {
                for frame in &all {
                    planes.extend(numbers(frame)?.into_iter().skip(channel).step_by(3));
                }
            }
            Ok(planes)
        })?;
        self.compare(checker, turn, &PICTURES, || {
            Ok(to_picture(&last)?.rgb.iter().map(|&byte| f64::from(byte)).collect())
        })
    }
}

/// Latents of the pictures a turn sees, `[h, w, C]` each, and their size.
struct Context {
    latents: Vec<Tensor>,
    size: [usize; 3],
}

/// Names of a turn's picture.
const PICTURES: [&str; 2] = ["image.rgb", "output.rgb"];

/// Where checkpoints hold the TURN rows.
const TURN_TABLE: &str = "prompt_id_embedding.embedding.weight";

fn input_name(i: usize) -> String {
    format!("input.image{i}.rgb")
}

fn numbers(tensor: &Tensor) -> Result<Vec<f64>> {
    Ok(tensor.to_host()?.to_f32()?.to_vec::<f32>()?.into_iter().map(f64::from).collect())
}
