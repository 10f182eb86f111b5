//! A session from its pictures and instructions to the picture of every turn. Text encoder,
//! autoencoder and transformer are in memory one after another, never together.

use super::{
    Denoiser, Draws, Folder, Instruction, Makes, PictureCodec, Settings, condition, joined,
    prepared, prompts_seen, schedule, session_prompts, square, to_picture,
};
use crate::codec::vae::{Autoencoder, Form, GROUPS};
use crate::text::TextEncoder;
use crate::{Error, Result};
use vincie_data::Image;
use vincie_tensor::{Accelerator, Tensor};

/// What a session is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Encoding prompts: done, of all.
    Text(usize, usize),
    /// Encoding context pictures of a turn: done, of all.
    Encode(usize, usize),
    /// Denoising: steps done, of all of the turn.
    Denoise(usize, usize),
    /// Decoding a turn's picture.
    Decode,
}

/// What a turn made.
#[derive(Clone, Debug)]
pub struct Turn {
    /// Its last prompt as the text encoder got it.
    pub prompt: String,
    /// What it was asked to make.
    pub makes: Makes,
    /// Its picture; a mask is black and white.
    pub image: Image,
}

/// A session over a released model.
pub struct Session<'f> {
    folder: &'f Folder,
    settings: Settings,
    place: Option<Accelerator>,
    draws: Draws,
    /// Pictures at the start.
    sources: usize,
    context: Vec<Image>,
    prompts: Vec<String>,
    /// What each turn makes; turns beyond the list make pictures.
    makes: Vec<Makes>,
    features: Vec<Tensor>,
    negative: Tensor,
    turn: usize,
}

impl<'f> Session<'f> {
    /// Encodes all prompts of the session, and the negative one, at once; the text encoder is gone
    /// afterwards. `images` are the sources, `instructions` one a turn, unless prompts are taken as
    /// they are: then sources behind the first have a prompt each before them.
    pub fn begin(
        folder: &'f Folder,
        images: Vec<Image>,
        instructions: &[Instruction],
        settings: Settings,
        seed: u64,
        place: Option<&Accelerator>,
        see: &mut dyn FnMut(Stage),
    ) -> Result<Self> {
        let prompts = session_prompts(images.len(), instructions, &settings);
        let turns = super::turns(images.len(), prompts.len());
        let rows = folder.config.turn_rows;
        if turns == 0 {
            return Err(Error::invalid(format!(
                "session: {} prompts for {} pictures; expected at least one for each",
                prompts.len(),
                images.len()
            )));
        }
        if rows > 0 && prompts.len() > rows {
            return Err(Error::invalid(format!(
                "session: {} prompts; the model knows at most {rows}",
                prompts.len()
            )));
        }
        // Sizes are refused before the text encoder is read.
        prepared(images.iter().take(1).cloned().collect(), &settings, folder.multiple())?;
        let (features, negative) = {
            let encoder = folder.text_encoder(place)?;
            encode_all(encoder.as_ref(), folder, &prompts, &settings.negative, see)?
        };
        Ok(Self {
            folder,
            settings,
            place: place.cloned(),
            draws: Draws::new(seed),
            sources: images.len(),
            context: images,
            prompts,
            makes: instructions.iter().map(|step| step.makes).collect(),
            features,
            negative,
            turn: 0,
        })
    }

    /// Turns of the whole session.
    pub fn turns(&self) -> usize {
        super::turns(self.sources, self.prompts.len())
    }

    /// The next turn's picture, which is context from then on.
    pub fn next(&mut self, see: &mut dyn FnMut(Stage)) -> Result<Turn> {
        if self.turn >= self.turns() {
            return Err(Error::invalid(format!("session: all {} turns are done", self.turns())));
        }
        let seen = prompts_seen(self.sources, self.turn, &self.settings).min(self.prompts.len());
        let (latents, size) = self.encode(see)?;
        let condition = condition(&latents, size)?;
        drop(latents);
        let latent = self.denoise(&condition, seen, see)?;
        see(Stage::Decode);
        let mut image = to_picture(&self.codec()?.decode(&latent)?)?;
        // Prompts without placeholders may stand before the first instruction.
        let before = self.makes.len().saturating_sub(self.turns());
        let makes = self.makes.get(before + self.turn).copied().unwrap_or_default();
        if makes != Makes::Picture {
            image = black_and_white(&image);
        }
        self.context.push(image.clone());
        self.turn += 1;
        Ok(Turn { prompt: self.prompts[seen - 1].clone(), makes, image })
    }

    /// The autoencoder, folded from its mapped file.
    fn codec(&self) -> Result<PictureCodec> {
        let official = self.folder.autoencoder_weights()?;
        let (network, weights) =
            Autoencoder::load(&official, &self.folder.sizes, GROUPS, Form::Pictures)?;
        let weights = weights.to_place(self.place.as_ref())?;
        Ok(PictureCodec::new(network, weights, self.settings.scale))
    }

    /// Latents of the context, `[h, w, C]` each, and their size.
    fn encode(&self, see: &mut dyn FnMut(Stage)) -> Result<(Vec<Tensor>, [usize; 3])> {
        let (factor, channels) = (self.folder.sizes.factor(), self.folder.sizes.latent());
        let multiple = self.folder.multiple();
        let images = prepared(self.context.clone(), &self.settings, multiple)?;
        let Some(first) = images.first() else {
            let [width, height] = square(&self.settings, multiple)?;
            return Ok((Vec::new(), [height / factor, width / factor, channels]));
        };
        let size = [first.height / factor, first.width / factor, channels];
        let codec = self.codec()?;
        let mut latents = Vec::with_capacity(images.len());
        for (i, image) in images.iter().enumerate() {
            see(Stage::Encode(i, images.len()));
            let noise = match self.settings.draws_latents {
                true => Some(self.draws.latent(self.turn, i, size)?),
                false => None,
            };
            latents.push(codec.encode(image, noise.as_ref())?);
        }
        Ok((latents, size))
    }

    /// The latent `[h, w, C]` of the turn's picture.
    fn denoise(
        &self,
        condition: &Tensor,
        prompts: usize,
        see: &mut dyn FnMut(Stage),
    ) -> Result<Tensor> {
        let (model, parameters) = self.folder.transformer()?;
        let parameters = parameters.to_place(self.place.as_ref())?;
        let table = model.turn_table().map(|id| parameters.value(id));
        let features: Vec<&Tensor> = self.features[..prompts].iter().collect();
        let positive = joined(&features, table, self.settings.turn_rows)?;
        let negative = joined(&[&self.negative], table, self.settings.turn_rows)?;
        let shape = condition.shape();
        let (frames, channels) = (shape[0], self.folder.config.visual_out);
        let noise = self.draws.noise([frames, shape[1], shape[2], channels])?;
        let schedule = schedule(&self.settings);
        let steps = schedule.times().len();
        see(Stage::Denoise(0, steps));
        let denoiser =
            Denoiser { model: &model, parameters: &parameters, roundings: self.settings.roundings };
        let latents = denoiser.run(
            &noise,
            condition,
            [&positive, &negative],
            &schedule,
            &self.settings.guidance,
            &mut |step, _, _| {
                see(Stage::Denoise(step + 1, steps));
                Ok(())
            },
        )?;
        let last = latents.narrow(0, frames - 1, 1)?.contiguous()?;
        Ok(last.reshape([shape[1], shape[2], channels])?)
    }
}

/// A picture of a mask as masks are shown to the model: white where its channels' mean is bright.
fn black_and_white(image: &Image) -> Image {
    let pixels = image.rgb.chunks_exact(3);
    let is_white = |p: &[u8]| p.iter().map(|&v| u32::from(v)).sum::<u32>() >= 3 * 128;
    let rgb = pixels.flat_map(|p| [if is_white(p) { 255 } else { 0 }; 3]).collect();
    Image::new(image.width, image.height, rgb)
}

/// Features of the prompts and of the negative one.
fn encode_all(
    encoder: &dyn TextEncoder,
    folder: &Folder,
    prompts: &[String],
    negative: &str,
    see: &mut dyn FnMut(Stage),
) -> Result<(Vec<Tensor>, Tensor)> {
    if encoder.dim() != folder.config.text_in {
        let what = format!(
            "does not fit together: the text encoder answers {} features, the transformer takes {}",
            encoder.dim(),
            folder.config.text_in
        );
        return Err(Error::format(&folder.path, what));
    }
    let all: Vec<&str> = prompts.iter().map(String::as_str).chain([negative]).collect();
    let mut features = encoder.encode(&all, &mut |done, of| see(Stage::Text(done, of)))?;
    let negative = features.pop().ok_or_else(|| Error::invalid("session: no text features"))?;
    Ok((features, negative))
}
