//! From frames to annotated sessions: what changes between two frames, an instruction that says
//! so, and masks of what goes and what has come (VINCIE, section on data construction; its model
//! based steps are the three seams of this module).
//!
//! [`annotate_session`] drives a session through an [`Annotator`], which holds a [`Describer`], a
//! [`Grounder`] and a [`Segmenter`]. [`builtin`] serves all three without a model.

pub mod builtin;
mod checks;
mod config;
mod font;
#[cfg(test)]
mod scenes;
mod seams;
mod session;
mod sheet;
#[cfg(test)]
mod tests;

pub use builtin::vocabulary;
pub use config::{AnnotateConfig, AnnotateStatistics, EmptyMask, Unchanged};
pub use seams::{
    Annotator, Context, Describer, Description, Grounder, Grounding, Pair, Region, Scope,
    Segmentation, Segmenter, Side,
};
pub use session::{annotate_session, session_key};
pub use sheet::{SheetConfig, contact_sheet, tinted};
