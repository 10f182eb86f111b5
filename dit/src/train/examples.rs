//! Sessions to examples.

use crate::Result;
use crate::codec::Codec;
use crate::tasks::{Draws, Example, Picture, TaskConfig, compose};
use vincie_data::session::Session;
use vincie_tensor::Tensor;

/// Slots and latents of a session, whose pictures have the model's size already. A session of more
/// than `frames` frames is cut to a window of so many; 0 takes it whole.
pub fn example(
    session: Session,
    frames: usize,
    choices: &TaskConfig,
    seed: u64,
    sample: u64,
) -> Result<Example> {
    let draws = Draws::new(seed, sample);
    let session = match session.frames.len() {
        all if frames > 0 && all > frames => session.window(draws.window(all, frames), frames),
        _ => session,
    };
    let slots = compose(&session, choices, &draws);
    let latent = |picture: Picture| -> Result<Tensor> {
        let codec = Codec::Pixels;
        let mask = |mask: &Option<vincie_data::Mask>| match mask {
            Some(mask) => codec.encode_mask(mask),
            None => unreachable!("slots show masks that the session has"),
        };
        match picture {
            Picture::Frame(i) => codec.encode(&session.frames[i].image),
            Picture::CurrentMask(i) => mask(&session.transitions[i].current_mask),
            Picture::NextMask(i) => mask(&session.transitions[i].next_mask),
        }
    };
    let latents = slots.iter().map(|slot| latent(slot.picture)).collect::<Result<_>>()?;
    Ok(Example { slots, latents, sample })
}
