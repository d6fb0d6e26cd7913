//! Linear systems and quadratic models, by Krylov methods.
//!
//! [`Cg`] solves `A x = b` for a positive definite operator, [`Minres`] for any symmetric
//! one, singular or indefinite. [`TruncatedCg`] (the method of Steihaug and Toint)
//! minimises a quadratic model inside a ball and needs no definiteness. All take a
//! [`Preconditioner`].

mod boundary;
mod cg;
mod minres;
mod minres_run;
mod piece;
mod preconditioner;
mod truncated;

pub use cg::{Cg, CgOutcome, CgStats, CgStop};
pub use minres::{Minres, MinresCurvature, MinresOutcome, MinresStats, MinresStop};
pub use preconditioner::{DiagonalPreconditioner, Identity, Preconditioner};
pub use truncated::{
    NegativeCurvature, TruncatedCg, TruncatedOutcome, TruncatedSolution, TruncatedStop,
    TruncatedWorkspace,
};
