//! Reports: pages of HTML that need nothing beside themselves. Pictures are inlined as data URLs,
//! curves as SVG, styles stand in the page, and everything that comes from outside is escaped.

mod escape;
mod losses;
mod overlay;
mod page;
mod picture;
mod plot;

pub(crate) use losses::{course, losses};
pub(crate) use overlay::{CURRENT_COLOUR, NEXT_COLOUR, overlaid};
pub(crate) use page::Page;
pub(crate) use picture::{Figure, Picture};
pub(crate) use plot::{Axis, Curve, Plot};
