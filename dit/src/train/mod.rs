//! Training: its configuration, what a run leaves on disk, and how it goes on from there.

pub mod checkpoint;
pub mod config;
mod crc;
mod device;
#[cfg(test)]
mod device_tests;
pub mod directory;
pub mod examples;
pub mod metrics;
mod plan;
mod run;
#[cfg(test)]
pub(crate) mod scratch;
mod suggest;
pub mod tensorboard;
mod trainer;

pub use directory::RunDirectory;
pub use plan::{Plan, PlanRow};
pub use run::{Event, Run, VOCABULARY, read_vocabulary};
pub use trainer::{Evaluation, StepReport, Trainer, TrainerConfig};
