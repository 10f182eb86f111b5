//! Runs a corpus case: a PTX file, a launch file that says how to start it, and tensors to
//! compare with. The format is described in `corpus/README.md`.

mod case;
mod compare;
mod embedded;
mod mutate;
mod output;
mod run;

pub use case::{Arg, Case, TensorMapSpec};
pub use compare::Mismatch;
pub use embedded::{CORPUS, EmbeddedSet, MICROTESTS};
pub use mutate::{Mutant, mutants};
pub use output::{Dtype, Input, Output};
pub use run::{Outcome, Verdict};
