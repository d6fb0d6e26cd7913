//! Linear systems and quadratic models, by Krylov methods.
//!
//! [`Cg`] solves `A x = b` for a positive definite operator, [`Minres`] for any symmetric
//! one, singular or indefinite. [`TruncatedCg`] (the method of Steihaug and Toint)
//! minimises a quadratic model inside a ball and needs no definiteness. These take a
//! [`Preconditioner`]. [`Gltr`] minimises the same model to any accuracy, and for many
//! radii at once.

mod boundary;
mod cg;
mod checks;
mod gltr;
mod minres;
mod minres_run;
mod piece;
mod preconditioner;
pub(crate) mod secular;
mod truncated;

pub use cg::{Cg, CgOutcome, CgStats, CgStop};
pub use gltr::{Gltr, GltrOutcome, GltrPlace, GltrSolution, GltrStop, GltrStorage, GltrWorkspace};
pub use minres::{Minres, MinresCurvature, MinresOutcome, MinresStats, MinresStop};
pub(crate) use preconditioner::precondition;
pub use preconditioner::{DiagonalPreconditioner, Identity, Preconditioner};
pub use truncated::{
    NegativeCurvature, TruncatedCg, TruncatedOutcome, TruncatedSolution, TruncatedStop,
    TruncatedWorkspace,
};
