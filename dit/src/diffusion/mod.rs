//! The flow: path, schedule, sampler and guidance (VINCIE 3B specification, section 5).

mod guidance;
mod sampler;
mod schedule;

pub use guidance::{Guidance, guide};
pub use sampler::{euler_step, sample};
pub use schedule::{
    LAST_TIME, Schedule, data_from_velocity, logit_normal, mix, noise_from_velocity, training_time,
    velocity_from_data,
};
