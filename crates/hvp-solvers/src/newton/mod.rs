//! Newton methods that need only products with the curvature.
//!
//! [`TrustRegionNewton`] is the Hessian-free Newton method: truncated conjugate
//! gradients on products, globalised by a trust region. With
//! [`Curvature::GaussNewton`](crate::Curvature::GaussNewton) the same driver
//! minimises with the Gauss–Newton matrix.

mod absolute;
mod checks;
mod cubic;
mod curve;
mod forcing;
mod hessian_free;
mod line_search;
mod minimum_residual;
mod radius;
mod saddle;
mod saddle_free;
mod steps;
mod trust_region;
mod trust_region_steps;
mod walk;

pub use cubic::{CubicNewton, CubicState};
pub use forcing::Forcing;
pub use hessian_free::{HessianFree, HessianFreeState};
pub use line_search::{LineSearchNewton, LineSearchState};
pub use minimum_residual::{NewtonMr, NewtonMrState};
pub use saddle::StationaryCheck;
pub use saddle_free::{SaddleFreeNewton, SaddleFreeState};
pub use trust_region::{
    PreconditionedTrustRegion, Subproblem, TrustRegionNewton, TrustRegionState,
};
pub use walk::{NewtonReport, StepRecord};
