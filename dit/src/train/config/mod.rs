//! The training configuration: a TOML file of six sections, changes from the command line, and
//! errors that name file, line and key, and say what would be right.
//!
//! Every key has a default except `data.shards`. [`TrainConfig::TEMPLATE`] shows all keys with
//! their meaning; [`TrainConfig::to_toml`] writes what a run really used.

mod data;
mod diffusion;
mod document;
mod model;
mod optimizer;
mod problem;
mod run;
mod schema;
mod tasks;
#[cfg(test)]
mod template_tests;
#[cfg(test)]
mod tests;

pub use data::{DataSection, SplitBy};
pub use diffusion::DiffusionSection;
pub use model::ModelSection;
pub use optimizer::{DecayKind, OptimizerSection};
pub use run::{Budget, NumberType, RunSection};
pub use tasks::TasksSection;

use super::suggest::nearest;
use crate::tasks::Options;
use crate::{Error, Result};
use document::{Document, one_line, show, show_key};
use problem::Problem;
use schema::{Field, Kind};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::str::FromStr;
use toml::{Table, Value};

/// Longest configuration file, bytes.
const MAX_BYTES: u64 = 1 << 20;

/// Keys of which only one may be set.
const RIVALS: [[&str; 2]; 1] = [["run.steps", "run.minutes"]];

/// Everything a training run is told.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct TrainConfig {
    /// The network.
    pub model: ModelSection,
    /// What is trained on, and in which order.
    pub data: DataSection,
    /// What is asked of the model, and how often context is withheld.
    pub tasks: TasksSection,
    /// The law of the training times, and the loss.
    pub diffusion: DiffusionSection,
    /// AdamW, the learning rate over the run, and the averaged weights.
    pub optimizer: OptimizerSection,
    /// How long, how much at a time, and what is kept.
    pub run: RunSection,
}

impl TrainConfig {
    /// A file with every key, its meaning and its default, to start from.
    pub const TEMPLATE: &str = include_str!("default.toml");

    /// Reads a file, then applies changes such as `optimizer.rate=1e-4`, in order.
    pub fn read(path: &Path, changes: &[String]) -> Result<Self> {
        let mut text = String::new();
        let file = File::open(path).map_err(|source| Error::io(path, source))?;
        let read = file.take(MAX_BYTES + 1).read_to_string(&mut text);
        read.map_err(|source| Error::io(path, source))?;
        if text.len() as u64 > MAX_BYTES {
            let what = format!("longer than {MAX_BYTES} bytes; expected a training configuration");
            return Err(Error::format(path, what));
        }
        Self::parse(&path.display().to_string(), &text, changes)
    }

    /// The same from a text, which errors call `name`.
    pub fn parse(name: &str, text: &str, changes: &[String]) -> Result<Self> {
        let mut document = Document::parse(name, text)?;
        for change in changes {
            document.set(change, &RIVALS)?;
        }
        let at = |problem: Problem| {
            Error::invalid(format!("{}: {problem}", document.place(&problem.key)))
        };
        check_keys(&document)?;
        let mut config = Self {
            model: section(&document, "model").map_err(at)?,
            data: section(&document, "data").map_err(at)?,
            tasks: section(&document, "tasks").map_err(at)?,
            diffusion: section(&document, "diffusion").map_err(at)?,
            optimizer: section(&document, "optimizer").map_err(at)?,
            run: section(&document, "run").map_err(at)?,
        };
        if document.has("run", "minutes") && !document.has("run", "steps") {
            config.run.steps = None;
        }
        config.check().map_err(at)?;
        Ok(config)
    }

    /// `Err` with one line on the first value that is out of range or contradicts another.
    pub fn validate(&self) -> Result<()> {
        self.check().map_err(|problem| Error::invalid(problem.to_string()))
    }

    /// The whole configuration with every key written out. Reading it back gives the same. `Err` on
    /// paths that TOML cannot hold because they are not Unicode.
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string(self)
            .map_err(|error| Error::invalid(format!("configuration: {}", error.to_string().trim())))
    }

    /// How a batch draws its targets and weighs them.
    pub fn batch_options(&self) -> Options {
        Options {
            seed: self.run.seed,
            time_law: [self.diffusion.location as f32, self.diffusion.scale as f32],
            shift: self.diffusion.shift as f32,
            fixed_time: None,
            is_balanced: self.diffusion.balanced_loss,
            task_weights: self.tasks.weights(),
        }
    }

    fn check(&self) -> Result<(), Problem> {
        let network = self.model.network.validate();
        network
            .map_err(|error| Problem::new("model", format!("does not fit together: {error}")))?;
        self.data.check()?;
        self.tasks.check()?;
        self.diffusion.check()?;
        self.optimizer.check()?;
        self.run.check()?;
        let (step, [height, width]) = (self.patch_pixels(), self.data.size);
        if height % step != 0 || width % step != 0 {
            let what = format!(
                "is [{height}, {width}]; expected multiples of {step}, the side of the model's \
                patches"
            );
            return Err(Problem::new("data.size", what));
        }
        if self.run.evaluate_every > 0 && self.data.holdout == 0.0 {
            let what =
                "is 0, so there is nothing to evaluate on; set it, or run.evaluate_every = 0";
            return Err(Problem::new("data.holdout", what));
        }
        match self.run.steps {
            Some(steps) if self.optimizer.warmup > steps => Err(Problem::new(
                "optimizer.warmup",
                format!("is {}, more than run.steps ({steps})", self.optimizer.warmup),
            )),
            _ => Ok(()),
        }
    }

    /// Pixels along the side of a patch: the released autoencoders take 8 (16 channels) or 16 (48
    /// channels) pixels to a latent one.
    fn patch_pixels(&self) -> usize {
        let model = &self.model.network.model;
        let pixels = match model.visual_out {
            16 => 8,
            48 => 16,
            _ => 1,
        };
        model.patch * pixels
    }
}

impl FromStr for TrainConfig {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        Self::parse("config", text, &[])
    }
}

/// The sections with their keys.
fn sections() -> [(&'static str, Vec<Field>); 6] {
    [
        ("model", model::fields()),
        ("data", schema::fields::<DataSection>()),
        ("tasks", schema::fields::<TasksSection>()),
        ("diffusion", schema::fields::<DiffusionSection>()),
        ("optimizer", schema::fields::<OptimizerSection>()),
        ("run", schema::fields::<RunSection>()),
    ]
}

/// `Err` on the first section or key that does not exist, with the one that was probably meant.
fn check_keys(document: &Document) -> Result<()> {
    let sections = sections();
    let has = |fields: &[Field], key: &str| fields.iter().any(|field| field.key == key);
    let home_of = |key: &str| sections.iter().find(|(_, fields)| has(fields, key));
    let names = || sections.iter().map(|(name, _)| *name);
    for (name, value) in document.table() {
        let (place, shown) = (document.place(name), show_key(name));
        let refuse = |what: String| Err(Error::invalid(format!("{place}: {what}")));
        let Some((_, fields)) = sections.iter().find(|(section, _)| section == name) else {
            if let (false, Some((home, _))) = (value.is_table(), home_of(name)) {
                return refuse(format!("key `{shown}` is in no section; it belongs in [{home}]"));
            }
            let meant = match nearest(name, names()) {
                Some(meant) => format!("did you mean [{meant}]?"),
                None => format!("the sections are {}", names().collect::<Vec<_>>().join(", ")),
            };
            return refuse(format!("unknown section [{shown}]; {meant}"));
        };
        let Value::Table(table) = value else {
            return refuse(format!("{name} is {}; expected a section [{name}]", show(value)));
        };
        let Some(key) = table.keys().find(|key| !has(fields, key)) else { continue };
        let keys = || fields.iter().map(|field| field.key);
        let meant = match (home_of(key), nearest(key, keys())) {
            (Some((home, _)), _) => format!("it belongs in [{home}]"),
            (None, Some(meant)) => format!("did you mean `{meant}`?"),
            (None, None) => format!("known are {}", keys().collect::<Vec<_>>().join(", ")),
        };
        return Err(Error::invalid(format!(
            "{}: unknown key `{}` in [{name}]; {meant}",
            document.place(&format!("{name}.{key}")),
            show_key(key)
        )));
    }
    Ok(())
}

/// One section. Where it cannot be read, the first key that alone cannot be read is what is wrong.
fn section<T: DeserializeOwned>(document: &Document, name: &str) -> Result<T, Problem> {
    let empty = Table::new();
    let table = document.table().get(name).and_then(Value::as_table).unwrap_or(&empty);
    let whole = match T::deserialize(table.clone()) {
        Ok(section) => return Ok(section),
        Err(error) => error,
    };
    let refused = |(key, value): (&String, &Value)| {
        let alone = Table::from_iter([(key.clone(), value.clone())]);
        Some((key.clone(), value.clone(), T::deserialize(alone).err()?))
    };
    let Some((key, value, error)) = table.iter().find_map(refused) else {
        return Err(Problem::new(name, one_line(whole.message())));
    };
    let mut fields = sections().into_iter().filter(|(section, _)| *section == name);
    let field = fields.find_map(|(_, fields)| fields.into_iter().find(|field| field.key == key));
    let what = match field.map_or(Kind::Other, |field| field.kind) {
        // A text that is a text is refused for what it says.
        Kind::Text if value.is_str() => one_line(error.message()),
        kind => format!("expected {kind}"),
    };
    Err(Problem::new(format!("{name}.{key}"), format!("is {}; {what}", show(&value))))
}
