//! Linear systems and quadratic models, by conjugate gradients.
//!
//! [`Cg`] solves `A x = b` for a positive definite operator. [`TruncatedCg`] (the
//! method of Steihaug and Toint) minimises a quadratic model inside a ball and
//! needs no definiteness. Both take a [`Preconditioner`].

mod boundary;
mod cg;
mod piece;
mod preconditioner;
mod truncated;

pub use cg::{Cg, CgOutcome, CgStats, CgStop};
pub use preconditioner::{DiagonalPreconditioner, Identity, Preconditioner};
pub use truncated::{
    NegativeCurvature, TruncatedCg, TruncatedOutcome, TruncatedSolution, TruncatedStop,
    TruncatedWorkspace,
};
