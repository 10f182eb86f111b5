//! From gradients to the next weights: clipping, AdamW, the averaged copy, learning-rate schedules.

mod adamw;
mod clip;
mod ema;
mod schedule;

pub use adamw::{AdamW, AdamWConfig};
pub use clip::{Clip, global_norm};
pub use ema::Ema;
pub use schedule::{Decay, Schedule};
