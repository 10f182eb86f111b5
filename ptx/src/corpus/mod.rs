//! Runs a corpus case: a PTX file, a launch file that says how to start it, and tensors to
//! compare with. The format is described in `corpus/README.md`.

mod case;
mod compare;
mod mutate;
mod run;

pub use case::{Arg, Case, TensorMapSpec};
pub use compare::Mismatch;
pub use mutate::{Mutant, mutants};
pub use run::{Outcome, Verdict};
