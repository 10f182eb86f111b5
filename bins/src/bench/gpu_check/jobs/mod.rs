//! Work that the process of the device does and judges itself: kernels against references, golden
//! numbers, training beside the host.

mod call;
mod direct;
mod large;
mod load;
mod ops;
mod parity;
mod products;
mod strided;
pub(super) mod timing;

use super::protocol::{Answer, Told};
use super::report::Status;
use serde::{Deserialize, Serialize};
use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Instant;
use vincie_gpu::{Device, ErrorKind};
use vincie_tensor::{Accelerator, DType, Tensor};

pub(super) use direct::families;
pub(super) use large::names as large;

/// One job.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Job {
    /// Compile every kernel of an op with the driver.
    Load { op: String },
    /// Rows of the table of cases of one op.
    Op { op: String, dtype: Kind, pass: Pass },
    /// The optimizer, averages and clipping.
    Optimizer,
    /// An op at a size that the emulator is too slow for.
    Large { index: usize, dtype: Kind },
    /// Kernels that no op launches.
    Direct { family: String },
    /// A case of a folder of golden numbers.
    Golden { folder: PathBuf, case: String, dtype: Kind },
    /// A short training run.
    Training { dtype: Kind },
    /// How long something takes; once and plainly with `is_single`, for profilers.
    Timing { work: timing::Work, is_single: bool },
}

/// Type of the inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    F32,
    Bf16,
}

/// What of an op is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Pass {
    Forward,
    Gradients,
}

impl Kind {
    pub(super) const ALL: [Self; 2] = [Self::F32, Self::Bf16];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
        }
    }

    fn dtype(self) -> DType {
        match self {
            Self::F32 => DType::F32,
            Self::Bf16 => DType::BF16,
        }
    }
}

impl Pass {
    pub(super) const ALL: [Self; 2] = [Self::Forward, Self::Gradients];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Forward => "forward",
            Self::Gradients => "gradients",
        }
    }
}

/// The device as jobs use it.
pub(super) struct Bed<'d> {
    pub(super) device: &'d Device,
    place: OnceCell<Accelerator>,
    /// Kernels launched so far.
    seen: BTreeSet<String>,
}

impl<'d> Bed<'d> {
    pub(super) fn new(device: &'d Device) -> Self {
        Self { device, place: OnceCell::new(), seen: BTreeSet::new() }
    }

    /// The accelerator, with its stream; opened at its first use.
    pub(super) fn place(&self) -> Result<Accelerator, Wrong> {
        if let Some(place) = self.place.get() {
            return Ok(place.clone());
        }
        let place = Accelerator::new(self.device.clone())?;
        Ok(self.place.get_or_init(|| place).clone())
    }

    /// Does a job.
    pub(super) fn run(&mut self, job: &Job) -> Answer {
        let begun = Instant::now();
        let outcome = self.place().and_then(|place| match job {
            Job::Load { op } => Ok(load::run(self.device, op)),
            Job::Op { op, dtype, pass } => ops::run(&place, op, *dtype, *pass),
            Job::Optimizer => ops::optimizer(&place),
            Job::Large { index, dtype } => large::run(&place, *index, *dtype),
            Job::Direct { family } => direct::run(self.device, family),
            Job::Golden { folder, case, dtype } => parity::golden(&place, folder, case, *dtype),
            Job::Training { dtype } => parity::training(&place, *dtype),
            Job::Timing { work, is_single } => timing::run(self, work, *is_single),
        });
        // What a kernel did wrong may show only here.
        let outcome = outcome.and_then(|told| Ok(self.device.synchronize().map(|()| told)?));
        let mut told = match outcome {
            Ok(told) => told,
            Err(Wrong::Fault(text)) => return Answer::Fault(text),
            Err(Wrong::Memory(text)) => Told::passed().because(Status::Skipped, text),
            // An error that came through other crates does not say that the device has failed.
            Err(Wrong::Other(text)) => {
                return match self.device.synchronize() {
                    Err(error) if error.kind == ErrorKind::Fault => {
                        Answer::Fault(error.to_string())
                    }
                    _ => Answer::Error(text),
                };
            }
        };
        told.detail("seconds", (begun.elapsed().as_secs_f64() * 1e3).round() / 1e3);
        let launched = self.device.launches().into_keys().map(|name| name.to_string());
        told.launched = launched.filter(|name| self.seen.insert(name.clone())).collect();
        Answer::Told(told)
    }
}

/// Why a job has no result.
#[derive(Debug)]
pub(super) enum Wrong {
    /// The device fails every later call.
    Fault(String),
    /// The device has too little memory.
    Memory(String),
    Other(String),
}

impl From<vincie_gpu::Error> for Wrong {
    fn from(error: vincie_gpu::Error) -> Self {
        match error.kind {
            ErrorKind::Fault => Self::Fault(error.to_string()),
            ErrorKind::OutOfMemory => Self::Memory(error.to_string()),
            _ => Self::Other(error.to_string()),
        }
    }
}

impl From<vincie_tensor::Error> for Wrong {
    fn from(error: vincie_tensor::Error) -> Self {
        match error {
            vincie_tensor::Error::Gpu(error) => error.into(),
            other => Self::Other(other.to_string()),
        }
    }
}

impl From<vincie_dit::Error> for Wrong {
    fn from(error: vincie_dit::Error) -> Self {
        match error {
            vincie_dit::Error::Tensor(error) => error.into(),
            other => Self::Other(other.to_string()),
        }
    }
}

/// Where a tensor begins on the device, and in which order its elements stand there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lie {
    /// As it is uploaded: aligned and contiguous.
    Plain,
    /// One element behind an aligned address, where kernels cannot read 16 bytes at a time.
    Shifted,
    /// The first axis innermost: a view that is not contiguous.
    Turned,
}

impl Lie {
    const ALL: [Self; 3] = [Self::Plain, Self::Shifted, Self::Turned];

    fn name(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Shifted => ", unaligned",
            Self::Turned => ", views",
        }
    }

    /// The tensor on the device. Tables of indices always lie plain.
    fn put(self, place: &Accelerator, tensor: &Tensor) -> vincie_tensor::Result<Tensor> {
        let at = Some(place);
        let (count, rank, dtype) = (tensor.count(), tensor.shape().rank(), tensor.dtype());
        if count == 0 || !dtype.is_float() {
            return tensor.to_place(at);
        }
        match self {
            Self::Plain => tensor.to_place(at),
            Self::Shifted => {
                let view = place.zeros([count + 1], dtype)?.narrow(0, 1, count)?;
                let view = view.reshape(tensor.shape())?;
                place.write(&view, tensor)?;
                Ok(view)
            }
            Self::Turned if rank < 2 => tensor.to_place(at),
            Self::Turned => {
                let order: Vec<usize> = (1..rank).chain([0]).collect();
                let back: Vec<usize> = [rank - 1].into_iter().chain(0..rank - 1).collect();
                tensor.permute(&order)?.to_place(at)?.permute(&back)
            }
        }
    }
}
