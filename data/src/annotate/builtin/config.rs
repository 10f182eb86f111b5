//! Settings of the builtin backend.

use super::regions::RegionConfig;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};

/// Settings of the builtin backend; all of them are recorded in the provenance.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BuiltinConfig {
    /// Longer side of the pictures that are compared, pixels. Background samples must have been
    /// made with the same value; others are not used.
    pub analysis_side: usize,
    /// Thresholds of the regions.
    pub regions: RegionConfig,
}

impl Default for BuiltinConfig {
    fn default() -> Self {
        Self { analysis_side: 320, regions: RegionConfig::default() }
    }
}

impl BuiltinConfig {
    /// `Err` with one line when a value is out of its range.
    pub fn check(&self) -> Result<()> {
        if !(16..=4096).contains(&self.analysis_side) {
            return Err(Error::Unsupported(format!(
                "annotation: analysis side of {} pixels; 16 to 4096 are possible",
                self.analysis_side
            )));
        }
        let regions = &self.regions;
        let ranges = [
            ("blur", regions.blur, 0.0, 0.05),
            ("least_difference", regions.least_difference, 1.0, 255.0),
            ("deviations", regions.deviations, 0.0, 100.0),
            ("closing", regions.closing, 0.0, 0.1),
            ("least_area", regions.least_area, 0.0, 1.0),
            ("largest_hole", regions.largest_hole, 0.0, 1.0),
            ("whole", regions.whole, 0.0, 1.0),
            ("growth", regions.growth, 0.0, 0.2),
            ("palette", regions.palette, 0.0, 0.2),
        ];
        for (name, value, low, high) in ranges {
            if !(low..=high).contains(&value) {
                return Err(Error::Unsupported(format!(
                    "annotation: {name} of {value}; {low} to {high} are possible"
                )));
            }
        }
        Ok(())
    }
}
