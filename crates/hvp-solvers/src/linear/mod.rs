//! Linear systems and quadratic models, by Krylov methods.
//!
//! | method | problem | `A` |
//! |---|---|---|
//! | [`Cg`] | `A x = b` | positive definite |
//! | [`BlockCg`] | `A xⱼ = bⱼ`, several at once | positive definite |
//! | [`MultiShiftCg`] | `(A + σⱼI) xⱼ = b`, many shifts | positive definite with its shift |
//! | [`Minres`] | `A x = b`, `min ‖b − Ax‖` | any symmetric, singular or indefinite |
//! | [`Lsmr`] | `min ‖b − Ax‖² + λ²‖x‖²` | any, rectangular |
//! | [`TruncatedCg`] | `min gᵀz + ½zᵀAz` in a ball, roughly (Steihaug, Toint) | any symmetric |
//! | [`Gltr`] | the same to any accuracy, for many radii | any symmetric |
//!
//! Conjugate gradients, MINRES and [`TruncatedCg`] take a [`Preconditioner`].

mod block_cg;
mod block_cg_state;
mod block_residual;
mod block_system;
mod boundary;
mod cg;
mod cg_state;
mod checks;
mod gltr;
mod lsmr;
mod lsmr_factors;
mod lsmr_state;
mod minres;
mod minres_state;
mod minres_step;
mod minres_verify;
mod multi_shift;
mod multi_shift_state;
mod piece;
mod preconditioner;
pub(crate) mod secular;
mod several;
mod small;
mod truncated;

pub use block_cg::BlockCg;
pub use block_cg_state::BlockCgState;
pub use cg::{Cg, CgOutcome, CgStats, CgStop};
pub use cg_state::CgState;
pub use gltr::{Gltr, GltrOutcome, GltrPlace, GltrSolution, GltrStop, GltrStorage, GltrWorkspace};
pub use lsmr::{Lsmr, LsmrOutcome, LsmrStats, LsmrStop};
pub use lsmr_state::LsmrState;
pub use minres::{Minres, MinresCurvature, MinresOutcome, MinresStats, MinresStop};
pub use minres_state::MinresState;
pub use multi_shift::MultiShiftCg;
pub use multi_shift_state::MultiShiftState;
pub(crate) use preconditioner::precondition;
pub use preconditioner::{
    DiagonalPreconditioner, Identity, LimitedMemory, Nystrom, NystromOutcome,
    NystromPreconditioner, NystromStop, PairChoice, Preconditioner,
};
pub use several::{SeveralOutcome, SystemOutcome};
pub use truncated::{
    NegativeCurvature, TruncatedCg, TruncatedOutcome, TruncatedSolution, TruncatedStop,
    TruncatedWorkspace,
};
