//! Newton methods that need only products with the curvature.
//!
//! [`TrustRegionNewton`] is the Hessian-free Newton method: truncated conjugate
//! gradients on products, globalised by a trust region. With
//! [`Curvature::GaussNewton`](crate::Curvature::GaussNewton) the same driver
//! minimises with the Gauss–Newton matrix.

mod forcing;
mod outcome;
mod radius;
mod run;
mod saddle;
mod trust_region;

pub use forcing::Forcing;
pub use outcome::{IterationRecord, Outcome, Progress, Stats, StopReason};
pub use saddle::StationaryCheck;
pub use trust_region::TrustRegionNewton;
