//! Step lengths along a descent direction.
//!
//! A search sees the function φ(t) = f(x + t·d) and its slope φ′(t) alone, through a
//! closure; it knows nothing of vectors.

mod cubic;
mod interval;
mod outcome;
mod wolfe;

pub use outcome::{SearchOutcome, SearchStop, Trial};
pub use wolfe::StrongWolfe;
