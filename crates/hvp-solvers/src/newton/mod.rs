//! Newton methods that need only products with the curvature.
//!
//! [`TrustRegionNewton`] is the Hessian-free Newton method: truncated conjugate
//! gradients on products, globalised by a trust region. With
//! [`Curvature::GaussNewton`](crate::Curvature::GaussNewton) the same driver
//! minimises with the Gauss–Newton matrix.

mod checks;
mod forcing;
mod radius;
mod saddle;
mod steps;
mod trust_region;
mod trust_region_steps;
mod walk;

pub use forcing::Forcing;
pub use saddle::StationaryCheck;
pub use trust_region::{
    PreconditionedTrustRegion, Subproblem, TrustRegionNewton, TrustRegionState,
};
pub use walk::{NewtonReport, StepRecord};
