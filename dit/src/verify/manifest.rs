//! The folder's `manifest.json`.

use crate::{Error, Result};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// The list of cases.
#[derive(Debug, Deserialize)]
pub struct Manifest {
    /// In order.
    pub cases: Vec<Case>,
}

/// One case.
#[derive(Debug, Deserialize)]
pub struct Case {
    /// Unique in its folder.
    pub name: String,
    /// What is computed.
    pub kind: String,
    /// The computation's sizes and options.
    #[serde(default)]
    pub config: Value,
    /// Files by role.
    pub files: BTreeMap<String, String>,
    /// Rules; the first whose pattern matches a tensor's name applies.
    pub tolerances: Vec<Tolerance>,
}

/// How far a tensor may be off.
#[derive(Clone, Debug, Deserialize)]
pub struct Tolerance {
    /// Pattern over tensor names; `*` stands for any text.
    pub tensors: String,
    /// The rule.
    #[serde(flatten)]
    pub rule: Rule,
}

/// `a` is ours, `b` golden.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(tag = "rule", rename_all = "snake_case")]
pub enum Rule {
    /// Equal.
    Exact,
    /// `max |a - b| <= value`.
    MaxAbs {
        /// Bound.
        value: f64,
    },
    /// `max |a - b| <= value max |b| + abs`.
    MaxRel {
        /// Relative bound.
        value: f64,
        /// Absolute bound on top.
        #[serde(default)]
        abs: f64,
    },
    /// `rms(a - b) <= value rms(b)`.
    RmsRel {
        /// Relative bound.
        value: f64,
    },
    /// `|a - b| <= value` everywhere and `a != b` on at most `share` of the values.
    Levels {
        /// Bound.
        value: f64,
        /// Share that may differ, 0 to 1.
        share: f64,
    },
    /// Within `value` units in the last place of bf16.
    Bf16Ulp {
        /// Units.
        value: f64,
    },
}

impl Manifest {
    /// Reads `folder/manifest.json`.
    pub fn read(folder: &Path) -> Result<Self> {
        let path = folder.join("manifest.json");
        let text = fs::read_to_string(&path).map_err(|source| Error::io(&path, source))?;
        serde_json::from_str(&text).map_err(|e| Error::format(&path, e.to_string()))
    }
}

impl Case {
    /// The rule for a tensor. Rows and the norm of a gradient are held to the gradient's own.
    pub fn rule(&self, tensor: &str) -> Result<Rule> {
        let parts = ["grad_rows.", "grad_norm."];
        let part = parts.iter().find_map(|part| tensor.strip_prefix(part));
        let whole = part.map(|rest| format!("grad.{rest}"));
        let name = whole.as_deref().unwrap_or(tensor);
        let found = self.tolerances.iter().find(|tolerance| matches(&tolerance.tensors, name));
        found
            .map(|tolerance| tolerance.rule)
            .ok_or_else(|| Error::invalid(format!("{}: no tolerance covers {tensor}", self.name)))
    }
}

/// Whether `text` is of the form `pattern`, in which `*` stands for any text.
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((before, after)) => text.strip_prefix(before).is_some_and(|rest| {
            (0..=rest.len())
                .filter(|&at| rest.is_char_boundary(at))
                .any(|at| matches(after, &rest[at..]))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, text, expected) in [
            ("*", "", true),
            ("*", "a.b", true),
            ("expect.*", "expect.out", true),
            ("expect.*", "mid.expect.", false),
            ("*_bf16*", "timesteps_bf16.steps", true),
            ("*angles", "hd.txt_angles", true),
            ("*angles", "hd.txt_angles_bf16", false),
            ("a*b*c", "a__b_b_c", true),
            ("a", "ab", false),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }

    #[test]
    fn reads_rules() {
        let t: Tolerance =
            serde_json::from_str(r#"{"tensors": "*", "rule": "max_rel", "value": 2e-4, "abs": 0}"#)
                .unwrap();
        assert_eq!(t.rule, Rule::MaxRel { value: 2e-4, abs: 0.0 });
        let t: Tolerance = serde_json::from_str(r#"{"tensors": "x", "rule": "exact"}"#).unwrap();
        assert_eq!(t.rule, Rule::Exact);
    }
}
