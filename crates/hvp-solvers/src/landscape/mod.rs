//! What the curvature says about a point: its kind, and how sharp it is.
//!
//! [`Classifier`] tells minima, maxima and saddles apart, by all eigenvalues or the extreme ones.
//! [`SharpnessProbe`] measures how flat a minimum is, and [`box_sharpness`] what a bounded
//! step costs.

mod box_sharpness;
mod classify;
mod sharpness;

pub use box_sharpness::{BoxSharpness, BoxSharpnessStop, box_sharpness};
pub use classify::{Classifier, Evidence, Inertia, PointReport};
pub use sharpness::{Sharpness, SharpnessProbe};
