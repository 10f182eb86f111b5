//! `[model]`: a preset, and whatever differs from it.

use super::schema::{self, Field};
use crate::config::ModelConfig;
use crate::network::{AttentionKind, NetworkConfig, Prediction, TurnTokens};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use toml::{Table, Value};

/// Key of the preset's name.
const PRESET: &str = "preset";

/// Key of the sizes inside [`NetworkConfig`]; in the file they stand in the section itself.
const SIZES: &str = "model";

/// The network to train. In the file, the keys of [`NetworkConfig`] and [`ModelConfig`] stand
/// beside
/// `preset` and change what the preset says.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelSection {
    /// Where the sizes start from: nano, small, base, 3b or 7b. Default: "nano".
    pub preset: String,
    /// Structure and sizes, all of them.
    pub network: NetworkConfig,
}

impl Default for ModelSection {
    fn default() -> Self {
        let preset = "nano";
        let sizes = ModelConfig::preset(preset).expect("the preset table has nano");
        let network = NetworkConfig::new(sizes, AttentionKind::default());
        Self { preset: preset.to_owned(), network }
    }
}

/// The section's keys.
pub(super) fn fields() -> Vec<Field> {
    let preset = Field { key: PRESET, kind: schema::Kind::Text };
    let options = schema::fields::<NetworkConfig>().into_iter().filter(|field| field.key != SIZES);
    [preset].into_iter().chain(options).chain(schema::fields::<ModelConfig>()).collect()
}

impl<'de> Deserialize<'de> for ModelSection {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut options = Table::deserialize(deserializer)?;
        let preset = match options.remove(PRESET) {
            Some(preset) => String::deserialize(preset).map_err(message)?,
            None => Self::default().preset,
        };
        let attention = match options.get("attention") {
            Some(attention) => AttentionKind::deserialize(attention.clone()).map_err(message)?,
            None => AttentionKind::default(),
        };
        let sizes = ModelConfig::preset(&preset).map_err(D::Error::custom)?;
        // The positions that the attention needs are chosen here, so that only a contradicting key
        // is wrong.
        let base = NetworkConfig::new(sizes, attention);
        let mut network = Table::try_from(base).map_err(D::Error::custom)?;
        let sizes = schema::fields::<ModelConfig>();
        for (key, value) in options {
            match network.get_mut(SIZES) {
                Some(Value::Table(model)) if sizes.iter().any(|field| field.key == key) => {
                    model.insert(key, value);
                }
                _ => {
                    network.insert(key, value);
                }
            }
        }
        Ok(Self { preset, network: NetworkConfig::deserialize(network).map_err(message)? })
    }
}

fn message<E: serde::de::Error>(error: toml::de::Error) -> E {
    E::custom(error.message())
}

impl Serialize for ModelSection {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Flat<'s> {
            preset: &'s str,
            attention: AttentionKind,
            prediction: Prediction,
            turn_tokens: TurnTokens,
            copy_gate: bool,
            pooled_text: bool,
            previous_condition: bool,
            #[serde(flatten)]
            sizes: &'s ModelConfig,
        }
        // Named in full, so that an option added to the network is not forgotten here.
        let NetworkConfig {
            model,
            attention,
            prediction,
            turn_tokens,
            copy_gate,
            pooled_text,
            previous_condition,
        } = &self.network;
        Flat {
            preset: &self.preset,
            attention: *attention,
            prediction: *prediction,
            turn_tokens: *turn_tokens,
            copy_gate: *copy_gate,
            pooled_text: *pooled_text,
            previous_condition: *previous_condition,
            sizes: model,
        }
        .serialize(serializer)
    }
}
