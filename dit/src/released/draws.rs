//! Random numbers of a session. The official generators are those of one GPU and cannot be matched
//! elsewhere; these are functions of seed, turn and place.

use crate::Result;
use vincie_tensor::Tensor;
use vincie_tensor::random::{Key, Stream};

/// Draws of a session, all from one seed.
#[derive(Clone, Copy, Debug)]
pub struct Draws {
    seed: u64,
}

impl Draws {
    /// The draws of a seed.
    pub fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// Where denoising starts, `[frames, h, w, C]`. As in the official code every turn gets the same
    /// seed, so that frames at the same place of two turns begin with the same noise.
    pub fn noise(&self, shape: [usize; 4]) -> Result<Tensor> {
        Ok(Key::new(self.seed, Stream::Sample, 0).normal_tensor(shape)?)
    }

    /// Noise of the latent of context picture `picture` in turn `turn`, `[h, w, C]`.
    pub fn latent(&self, turn: usize, picture: usize, shape: [usize; 3]) -> Result<Tensor> {
        let step = (turn as u64) << 32 | picture as u64;
        Ok(Key::new(self.seed, Stream::Noise, step).normal_tensor(shape)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_begin_alike_in_every_turn_and_latents_do_not() {
        let draws = Draws::new(3);
        let two = draws.noise([2, 4, 4, 3]).unwrap().to_vec::<f32>().unwrap();
        let three = draws.noise([3, 4, 4, 3]).unwrap().to_vec::<f32>().unwrap();
        assert_eq!(two, three[..two.len()]);
        let latent = |turn, i| draws.latent(turn, i, [4, 4, 3]).unwrap().to_vec::<f32>().unwrap();
        assert_ne!(latent(0, 0), latent(1, 0));
        assert_ne!(latent(0, 0), latent(0, 1));
        assert_eq!(latent(1, 1), latent(1, 1));
    }
}
