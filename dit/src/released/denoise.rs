//! Denoising of one turn: all frames of a session at once, of which the last is new (VINCIE 3B
//! specification, sections 5 and 6).

use super::{Roundings, Settings};
use crate::diffusion::{self, Guidance, Schedule};
use crate::layout::{Layout, SampleShape};
use crate::model::{self, ForwardOptions, Inputs, Transformer};
use crate::rotary::AnglePrecision;
use crate::{Error, Result, patch};
use half::bf16;
use vincie_autograd::{Graph, Parameters, Var};
use vincie_tensor::Tensor;

/// Sampling times of a session.
pub fn schedule(settings: &Settings) -> Schedule {
    let steps = settings.steps;
    if !settings.quirks.extra_step {
        return Schedule::new(steps, settings.shift);
    }
    // The official range from 1 towards 0 in steps of 1 / N has as many entries as this rounds up to.
    let step = 1.0 / steps as f64;
    let entries = (1.0 / step).ceil() as usize;
    Schedule::at((0..entries).map(|i| 1.0 - i as f64 * step), settings.shift)
}

/// Latents of context pictures `[h, w, C]` as the condition of `T + 1` frames, `[T + 1, h, w, C + 1]`:
/// each with its mask 1, then a frame of zeros for the picture to make.
pub fn condition(latents: &[Tensor], [height, width, channels]: [usize; 3]) -> Result<Tensor> {
    let mut all = Vec::with_capacity((latents.len() + 1) * height * width * (channels + 1));
    for latent in latents {
        if *latent.shape() != [height, width, channels] {
            return Err(Error::invalid(format!(
                "session: a latent is {}; expected [{height}, {width}, {channels}]",
                latent.shape()
            )));
        }
        for pixel in latent.to_host()?.to_f32()?.to_slice::<f32>()?.chunks_exact(channels.max(1)) {
            all.extend_from_slice(pixel);
            all.push(1.0);
        }
    }
    all.resize(all.len() + height * width * (channels + 1), 0.0);
    Ok(Tensor::from_slice(&all, [latents.len() + 1, height, width, channels + 1])?)
}

/// A transformer with its weights, ready to denoise.
#[derive(Clone, Copy)]
pub struct Denoiser<'m> {
    /// The network.
    pub model: &'m Transformer,
    /// Its weights.
    pub parameters: &'m Parameters,
    /// Roundings of its inputs.
    pub roundings: Roundings,
}

/// Sees a step's number, the state before it and the guided velocity, both `[T + 1, h, w, C]`.
pub type SeeStep<'s> = &'s mut dyn FnMut(usize, &[f32], &[f32]) -> Result<()>;

impl Denoiser<'_> {
    /// Walks `noise` `[T + 1, h, w, C]` to latents of the same shape. `condition` is
    /// `[T + 1, h, w, C + 1]`; `positive` and `negative` are features of the turn's text and of the
    /// negative prompt, `[L, text_in]`. Without guidance `negative` is not looked at.
    pub fn run(
        &self,
        noise: &Tensor,
        condition: &Tensor,
        [positive, negative]: [&Tensor; 2],
        schedule: &Schedule,
        guidance: &Guidance,
        see: SeeStep<'_>,
    ) -> Result<Tensor> {
        let size = self.sizes(noise, condition)?;
        let branch = |text: &Tensor| Branch::new(self, text, condition, size);
        let positive = branch(positive)?;
        let negative = if guidance.scale == 1.0 { None } else { Some(branch(negative)?) };
        let mut x = noise.to_host()?.to_f32()?.to_vec::<f32>()?;
        let steps = schedule.times().len();
        diffusion::sample(&mut x, schedule, |step, time, x| {
            let scale = guidance.scale_at(step, steps);
            let mut velocity = positive.velocity(x, time)?;
            if let Some(negative) = negative.as_ref().filter(|_| scale != 1.0) {
                let other = negative.velocity(x, time)?;
                let (channels, rescale) = (size[3], guidance.rescale);
                diffusion::guide(&mut velocity, &other, channels, scale, rescale, guidance.is_bf16);
            }
            see(step, x, &velocity)?;
            Ok(velocity)
        })?;
        Ok(Tensor::from_slice(&x, noise.shape())?)
    }

    /// `Err` unless noise and condition fit each other and the model.
    fn sizes(&self, noise: &Tensor, condition: &Tensor) -> Result<[usize; 4]> {
        let config = self.model.config();
        let channels = config.visual_out;
        let refuse = || {
            Error::invalid(format!(
                "session: noise is {} and condition {}; expected [frames, h, w, {channels}] and \
                 [frames, h, w, {}] with sides in multiples of {}",
                noise.shape(),
                condition.shape(),
                channels + 1,
                config.patch
            ))
        };
        let &[frames, height, width, c] = noise.dims() else { return Err(refuse()) };
        let fits = c == channels
            && frames > 0
            && [height, width].iter().all(|&side| side > 0 && side % config.patch == 0)
            && *condition.shape() == [frames, height, width, channels + 1]
            && config.visual_in == 2 * channels + 1;
        if fits { Ok([frames, height, width, channels]) } else { Err(refuse()) }
    }
}

/// The network over one text.
struct Branch<'d> {
    denoiser: &'d Denoiser<'d>,
    layout: Layout,
    text: Var,
    condition: Vec<f32>,
    size: [usize; 4],
}

impl<'d> Branch<'d> {
    fn new(
        denoiser: &'d Denoiser<'d>,
        text: &Tensor,
        condition: &Tensor,
        size: [usize; 4],
    ) -> Result<Self> {
        let config = denoiser.model.config();
        let shape = text.shape();
        if shape.rank() != 2 || shape[1] != config.text_in {
            return Err(Error::invalid(format!(
                "session: text features are {shape}; expected [tokens, {}]",
                config.text_in
            )));
        }
        let [frames, height, width, _] = size;
        let grid = [frames, height / config.patch, width / config.patch];
        let precision = match denoiser.roundings.rotary {
            true => AnglePrecision::Bf16,
            false => AnglePrecision::F32,
        };
        let place = denoiser.parameters.accelerator();
        let sample = SampleShape { text: shape[0], grid };
        let layout = Layout::full(&[sample], config, precision)?.moved_to(place)?;
        let mut text = text.to_host()?.to_f32()?.to_vec::<f32>()?;
        let mut condition = condition.to_host()?.to_f32()?.to_vec::<f32>()?;
        if denoiser.roundings.inputs {
            text.iter_mut().chain(&mut condition).for_each(|v| *v = round(*v));
        }
        let text = Tensor::from_slice(&text, shape)?.to_place(place)?.into();
        Ok(Self { denoiser, layout, text, condition, size })
    }

    fn velocity(&self, x: &[f32], time: f32) -> Result<Vec<f32>> {
        let [frames, height, width, channels] = self.size;
        let Denoiser { model, parameters, roundings } = *self.denoiser;
        let place = parameters.accelerator();
        let round = |v: f32| if roundings.inputs { round(v) } else { v };
        let features = 2 * channels + 1;
        let input = Tensor::build([frames, height, width, features], |all: &mut [f32]| {
            let pixels = x.chunks_exact(channels).zip(self.condition.chunks_exact(channels + 1));
            for (to, (noisy, condition)) in all.chunks_exact_mut(features).zip(pixels) {
                to.iter_mut().zip(noisy).for_each(|(to, &v)| *to = round(v));
                to[channels..].copy_from_slice(condition);
            }
        })?;
        let g = Graph::inference(parameters);
        let p = model.config().patch;
        let visual = patch::to_rows(&g, &input.to_place(place)?.into(), p)?;
        let time = if roundings.timestep { self::round(time) } else { time };
        let time = model::sinusoid(&Tensor::from_slice(&[time], [1])?)?.to_place(place)?;
        let inputs = Inputs { visual: &visual, text: &self.text, time: &time, conditioning: None };
        let rows = model.forward(&g, &self.layout, inputs, None, ForwardOptions::default())?;
        let answer = patch::from_rows(&g, &rows, [frames, height, width], p)?;
        Ok(answer.value().to_host()?.to_f32()?.to_vec::<f32>()?)
    }
}

fn round(x: f32) -> f32 {
    bf16::from_f32(x).to_f32()
}

#[cfg(test)]
mod tests {
    use super::super::{Family, Quirks};
    use super::*;

    #[test]
    fn the_official_range_has_a_step_too_many_for_some_counts() {
        let quirks = Quirks { extra_step: true, ..Quirks::default() };
        let settings = Settings { quirks, ..Settings::official(Family::ThreeB) };
        let times = |steps, settings: &Settings| {
            schedule(&Settings { steps, ..settings.clone() }).times().to_vec()
        };
        let quirky = (1..=1000).filter(|&steps| times(steps, &settings).len() == steps + 1).count();
        assert_eq!(quirky, 58);
        assert_eq!(times(50, &settings), times(50, &Settings::official(Family::ThreeB)));
        assert!(times(49, &settings)[49] < 1e-9);
    }

    #[test]
    fn the_picture_to_make_has_no_condition() {
        let latent = Tensor::full([1, 2, 3], 0.5f32).unwrap();
        let both = condition(&[latent.clone(), latent], [1, 2, 3]).unwrap();
        let expected = [[0.5, 0.5, 0.5, 1.0].repeat(4), vec![0.0; 8]].concat();
        assert_eq!(both.dims(), [3, 1, 2, 4]);
        assert_eq!(both.to_vec::<f32>().unwrap(), expected);
        let other = Tensor::full([2, 2, 3], 0.5f32).unwrap();
        assert!(condition(&[other], [1, 2, 3]).unwrap_err().to_string().contains("[2, 2, 3]"));
    }
}
