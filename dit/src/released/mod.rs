//! Sessions of the released models, as their authors' code runs them (VINCIE 3B specification,
//! sections 4 to 7; 7B specification, sections 4 to 6).
//!
//! A turn's text holds all prompts so far, its pictures all frames so far; all of them are denoised
//! together, and the last frame is the turn's picture. It passes through 8 bits and is the next
//! turn's context. What the authors' code does wrong is off unless [`Quirks`] ask for it.
//!
//! [`Folder`] finds a model's files, [`Session`] runs turns over them with one of text encoder,
//! autoencoder and transformer in memory at a time. The single steps stand alone, so that each can be
//! checked against golden numbers.

mod denoise;
mod draws;
mod folder;
mod pictures;
mod prompts;
mod run;
mod settings;
mod text;

pub use denoise::{Denoiser, SeeStep, condition, schedule};
pub use draws::Draws;
pub use folder::Folder;
pub use pictures::{PictureCodec, prepared, square, to_picture};
pub use prompts::{Instruction, Makes, prompts_seen, session as session_prompts, turns, worded};
pub use run::{Session, Stage, Turn};
pub use settings::{Family, NEGATIVE_PROMPT, Quirks, Roundings, Settings, TurnRows};
pub use text::joined;
