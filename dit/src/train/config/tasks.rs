//! `[tasks]`: what is asked of the model, and how often context is withheld (VINCIE, section 3.3).

use super::problem::{Problem, require, require_share};
use crate::tasks::TaskConfig;
use serde::{Deserialize, Serialize};

/// What is asked of the model, and how often context is withheld. Shares go from 0 to 1.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TasksSection {
    /// Share of sessions whose masks take part. Default: 0.8.
    pub masks: f64,
    /// Share of turns whose current frame is left out of the context. Default: 0.2.
    pub drop_current_frame: f64,
    /// Share of turns whose current mask is left out of the context. Default: 0.7.
    pub drop_current_mask: f64,
    /// Share of turns whose next mask is left out of the context. Default: 0.7.
    pub drop_next_mask: f64,
    /// Share of sessions without instructions, for guidance. Default: 0.1.
    pub drop_text: f64,
    /// Whether the first frame is a target, too, so that a story can start from text alone.
    /// Default: true.
    pub first_frame: bool,
    /// Weight of next images in the loss, relative to the other tasks. Default: 1.0.
    pub image_weight: f64,
    /// Weight of masks of what will change, relative to the other tasks. Default: 1.0.
    pub current_mask_weight: f64,
    /// Weight of masks of what has changed, relative to the other tasks. Default: 1.0.
    pub next_mask_weight: f64,
}

impl Default for TasksSection {
    fn default() -> Self {
        let TaskConfig {
            masks,
            drop_current_frame,
            drop_current_mask,
            drop_next_mask,
            drop_text,
            first_frame,
        } = TaskConfig::default();
        Self {
            masks,
            drop_current_frame,
            drop_current_mask,
            drop_next_mask,
            drop_text,
            first_frame,
            image_weight: 1.0,
            current_mask_weight: 1.0,
            next_mask_weight: 1.0,
        }
    }
}

impl TasksSection {
    /// The shares of the random choices.
    pub fn choices(&self) -> TaskConfig {
        TaskConfig {
            masks: self.masks,
            drop_current_frame: self.drop_current_frame,
            drop_current_mask: self.drop_current_mask,
            drop_next_mask: self.drop_next_mask,
            drop_text: self.drop_text,
            first_frame: self.first_frame,
        }
    }

    /// The weights in the order of [`crate::tasks::Task::ALL`].
    pub fn weights(&self) -> [f32; 3] {
        [self.image_weight, self.current_mask_weight, self.next_mask_weight].map(|w| w as f32)
    }

    pub(super) fn check(&self) -> Result<(), Problem> {
        require_share("tasks.masks", self.masks)?;
        require_share("tasks.drop_current_frame", self.drop_current_frame)?;
        require_share("tasks.drop_current_mask", self.drop_current_mask)?;
        require_share("tasks.drop_next_mask", self.drop_next_mask)?;
        require_share("tasks.drop_text", self.drop_text)?;
        for (key, weight) in [
            ("tasks.image_weight", self.image_weight),
            ("tasks.current_mask_weight", self.current_mask_weight),
            ("tasks.next_mask_weight", self.next_mask_weight),
        ] {
            require((0.0..=1e6).contains(&weight), key, weight, "a weight from 0 to 1e6")?;
        }
        // Sessions without masks have images only, so masks alone would leave nothing to learn
        // there.
        let image = self.image_weight;
        require(
            image > 0.0,
            "tasks.image_weight",
            image,
            "more than 0: some sessions have no masks",
        )
    }
}
