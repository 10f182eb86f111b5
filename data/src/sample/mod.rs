//! From a video's frames to the frames of sessions: a first pass surveys the stream (shots,
//! camera, near-duplicates, black frames), a plan names frames, a second pass picks them up
//! together with the background samples that annotation needs. Memory does not grow with the
//! video beyond 1.8 kB a frame.

mod config;
mod fingerprint;
mod gather;
pub mod motion;
mod plan;
pub mod plane;
mod shots;
mod survey;
#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) mod texture;
mod thumbnail;

pub use config::{CountSampling, IntervalSampling, SampleConfig, SampleStatistics};
pub use gather::{Link, Sampled, gather, sample};
pub use plan::{BackgroundPlan, Mode, SessionPlan, plan};
pub use shots::{Boundary, BoundaryKind, Shots};
pub use survey::Survey;
pub use thumbnail::{area_resized, thumbnail};
