//! How a released model runs a session: its authors' defaults, and by name what their code does that
//! it should not.

use crate::codec::LatentScale;
use crate::diffusion::Guidance;
use vincie_data::decode::Aspect;

/// The negative prompt of both released models.
pub const NEGATIVE_PROMPT: &str = "Worst quality, Normal quality, Low quality, Low res, Blurry, \
    Jpeg artifacts, Grainy, text, logo, watermark, banner, extra digits, signature, subtitling, \
    Bad anatomy, Bad proportions, Deformed, Disconnected limbs, Disfigured, Extra arms, Extra limbs, \
    Extra hands, Fused fingers, Gross proportions, Long neck, Malformed limbs, Mutated, Mutated hands, \
    Mutated limbs, Missing arms, Missing fingers, Poorly drawn hands, Poorly drawn face, Nsfw, \
    Uncensored, Cleavage, Nude, Nipples, Overexposed, Plain background, Grainy, Underexposed, \
    Deformed structures";

/// Which released model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// VINCIE-3B: autoencoder 8 x 16, Qwen-14B.
    ThreeB,
    /// VINCIE-7B: autoencoder 16 x 48, Flan-UL2.
    SevenB,
}

/// What the official code does wrong. Nothing of it happens unless it is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quirks {
    /// Sessions of several source pictures see one prompt too few from their second turn on: `k + 1`
    /// instead of one for each picture before the turn (3B specification, section 6).
    pub few_prompts: bool,
    /// Some numbers of steps, 49 the first, become one more, whose time is about 0: the length of a
    /// range of floating numbers is rounded up (3B specification, section 5).
    pub extra_step: bool,
}

/// Roundings to bf16 of the official 7B run that its pictures depend on (7B specification, section 6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Roundings {
    /// Noisy latents, condition and text features.
    pub inputs: bool,
    /// The time that the network is told; the sampler keeps the exact one.
    pub timestep: bool,
    /// Rotary frequencies, positions and angles.
    pub rotary: bool,
}

impl Roundings {
    /// All three.
    pub const ALL: Self = Self { inputs: true, timestep: true, rotary: true };
}

/// Where the rows of the TURN table go (3B specification, section 4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TurnRows {
    /// One token before each prompt (`seq_concat`).
    #[default]
    InFront,
    /// Added to every token of its prompt (`dim_add`).
    Added,
    /// Nowhere (`none`).
    Absent,
}

/// All options of a session.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Side of the square whose area pictures have, pixels.
    pub resolution: f64,
    /// Shape that pictures are cut to.
    pub aspect: Aspect,
    /// Whether prompts are put into the words that models were trained on; else they are taken as they
    /// are.
    pub placeholders: bool,
    /// Stands before every prompt.
    pub prefix: String,
    /// What guidance leads away from.
    pub negative: String,
    /// Where the rows of the TURN table go.
    pub turn_rows: TurnRows,
    /// Whether latents of context pictures are drawn from the encoder's answer; else they are its mean.
    pub draws_latents: bool,
    /// Between the autoencoder's latents and the transformer's.
    pub scale: LatentScale,
    /// Euler steps.
    pub steps: usize,
    /// Shift of the sampling times towards noise.
    pub shift: f64,
    /// Preference for the prompt.
    pub guidance: Guidance,
    /// Roundings of the official run.
    pub roundings: Roundings,
    /// Errors of the official code.
    pub quirks: Quirks,
}

impl Settings {
    /// The authors' defaults (3B specification, sections 2.5, 5 and 6; 7B specification, sections 0, 5
    /// and 6).
    pub fn official(family: Family) -> Self {
        let guided = |scale| Guidance { scale, ..Guidance::default() };
        let (resolution, scale, shift, guidance, roundings) = match family {
            Family::ThreeB => (256.0, LatentScale::VAE8, 12.0, guided(7.5), Roundings::default()),
            Family::SevenB => {
                let resolution = f64::from(640 * 480).sqrt();
                (resolution, LatentScale::VAE16, 10.0, guided(10.0), Roundings::ALL)
            }
        };
        Self {
            resolution,
            aspect: Aspect::Keep,
            placeholders: true,
            prefix: String::new(),
            negative: NEGATIVE_PROMPT.to_owned(),
            turn_rows: TurnRows::InFront,
            draws_latents: true,
            scale,
            steps: 50,
            shift,
            guidance,
            roundings,
            quirks: Quirks::default(),
        }
    }
}
