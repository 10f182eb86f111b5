//! A trained model as it is loaded for editing.

use crate::codec::Codec;
use crate::network::{Network, extra_parameters};
use crate::text::Vocabulary;
use crate::train::checkpoint::Checkpoint;
use crate::train::read_vocabulary;
use crate::{Error, Result, model};
use std::path::Path;
use vincie_autograd::Parameters;
use vincie_tensor::{Accelerator, DType};

/// Network, averaged weights and vocabulary of a checkpoint.
pub struct TrainedModel {
    /// Structure and options.
    pub network: Network,
    /// The averaged weights, or those as trained where none are kept.
    pub parameters: Parameters,
    /// Words of the text encoder.
    pub vocabulary: Vocabulary,
    /// Height and width that it was trained at.
    pub size: [usize; 2],
    /// What its latents are.
    pub codec: Codec,
    /// Optimizer steps that it was trained for.
    pub steps: u64,
}

impl TrainedModel {
    /// Moves the weights to an accelerator, where all pictures are then made, or with `None` to the
    /// host.
    pub fn move_to(&mut self, place: Option<&Accelerator>) -> Result<()> {
        self.parameters = self.parameters.to_place(place)?;
        Ok(())
    }

    /// Stores the weights in another type, f32 or bf16, in which pictures are then made.
    pub fn store_as(&mut self, dtype: DType) -> Result<()> {
        self.parameters = self.parameters.to_dtype(dtype)?;
        Ok(())
    }

    /// Loads a checkpoint's folder, or the latest checkpoint of a run's folder.
    pub fn load(folder: &Path) -> Result<Self> {
        if !folder.is_dir() {
            return Err(Error::format(folder, "is no folder of a checkpoint or a run"));
        }
        let checkpoint = match Checkpoint::latest(folder)? {
            Some(latest) => latest,
            None => Checkpoint::load(folder)?,
        };
        let (config, vocabulary) = (checkpoint.config()?, read_vocabulary(&checkpoint)?);
        let network = config.model.network.clone();
        let mut expected = model::expected_parameters(&network.model);
        let extra = extra_parameters(&network, vocabulary.len());
        expected.extend(extra.into_iter().map(|(name, shape)| (name, shape, model::Need::Used)));
        let mut parameters = Parameters::new();
        crate::weights::assign(&checkpoint.weights()?, &expected, None, &mut parameters)?;
        Ok(Self {
            network: Network::bind(network, &parameters)?,
            parameters,
            vocabulary,
            size: config.data.size,
            codec: Codec::Pixels,
            steps: checkpoint.progress().step,
        })
    }
}
