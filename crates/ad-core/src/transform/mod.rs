//! Transformations of programs into programs.
//!
//! Each one appends instructions to the graph that it is given and returns the new results;
//! because equal instructions merge, what two transformations share is there once. Absent values
//! are structural zeros: nothing is computed for them, and nothing for what they multiply.

mod batch;
mod hoist;
mod jvp;
mod leading;
mod reroll;
mod split;
mod taylor;
mod vjp;

pub(crate) use batch::{batch, batch_within, check_stack};
pub(crate) use hoist::hoist_coefficients;
pub(crate) use jvp::jvp;
pub(crate) use leading::{leading, row_width};
pub(crate) use reroll::reroll;
pub(crate) use split::{LinearProgram, split};
pub(crate) use taylor::directional;
pub(crate) use vjp::vjp;
