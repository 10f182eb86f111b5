//! The network's options; the paper's choices are the defaults.

use crate::config::{ModelConfig, VisualOffset};
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// Which tokens see which.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AttentionKind {
    /// All tokens of a sample see each other; one target a pass (the released models).
    Full,
    /// Blocks see what came before, clean; all targets in one pass, past turns cached when editing.
    #[default]
    BlockCausal,
}

/// What the network's output means.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Prediction {
    /// Noise minus data (the paper).
    #[default]
    Velocity,
    /// The data.
    Data,
}

/// How a prompt carries the number of its turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TurnTokens {
    /// One learned token in front (`seq_concat`, the released models).
    #[default]
    Sequence,
    /// A learned row added to every token (`dim_add`).
    Added,
    /// Not at all.
    None,
}

/// Structure and options of a [`super::Network`]; what a checkpoint's `config.json` holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkConfig {
    /// Sizes of the transformer.
    pub model: ModelConfig,
    /// Which tokens see which.
    #[serde(default)]
    pub attention: AttentionKind,
    /// What the output means.
    #[serde(default)]
    pub prediction: Prediction,
    /// How prompts carry their turn's number.
    #[serde(default)]
    pub turn_tokens: TurnTokens,
    /// Whether each pixel of a next image is mixed with the previous frame by a learned gate; not in
    /// the paper.
    #[serde(default)]
    pub copy_gate: bool,
    /// Whether the pooled text of a slot (the mean of its turn's instruction, plus its announcement) is
    /// added to its time embedding; not in the paper.
    #[serde(default)]
    pub pooled_text: bool,
    /// Whether a noisy picture carries the frame before it in its condition channels, with the mask
    /// channel at 0, so that a patch need not look for what stands at its own place; for block-causal
    /// attention, not in the paper.
    #[serde(default)]
    pub previous_condition: bool,
}

impl NetworkConfig {
    /// The paper's choices for a model.
    pub fn new(model: ModelConfig, attention: AttentionKind) -> Self {
        let mut config = Self {
            model,
            attention,
            prediction: Prediction::default(),
            turn_tokens: TurnTokens::default(),
            copy_gate: false,
            pooled_text: false,
            previous_condition: false,
        };
        if attention == AttentionKind::BlockCausal {
            // Cached positions must not depend on later text.
            config.model.visual_offset = VisualOffset::Zero;
        }
        config
    }

    /// `Err` with one line on options that contradict each other.
    pub fn validate(&self) -> Result<()> {
        self.model.validate()?;
        if self.attention == AttentionKind::BlockCausal
            && self.model.visual_offset != VisualOffset::Zero
        {
            return Err(Error::invalid(
                "network: block-causal attention needs visual_offset = \"zero\", so that cached positions do not depend on later text",
            ));
        }
        if self.copy_gate && self.prediction != Prediction::Data {
            return Err(Error::invalid(
                "network: copy_gate mixes pictures and needs prediction = \"data\"",
            ));
        }
        if self.previous_condition && self.attention == AttentionKind::Full {
            return Err(Error::invalid(
                "network: previous_condition needs attention = \"block-causal\"; with full attention the condition channels hold the context",
            ));
        }
        if self.turn_tokens != TurnTokens::None && self.model.turn_rows == 0 {
            return Err(Error::invalid("network: TURN tokens need turn_rows above 0"));
        }
        if self.model.visual_in != 2 * self.model.visual_out + 1 {
            let what = format!(
                "network: visual_in is {}; expected {} (content, condition and mask channels)",
                self.model.visual_in,
                2 * self.model.visual_out + 1
            );
            return Err(Error::invalid(what));
        }
        Ok(())
    }
}
