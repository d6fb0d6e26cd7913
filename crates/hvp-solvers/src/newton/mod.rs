//! Newton methods that need only products with the curvature.
//!
//! | method | step | globalised by |
//! |---|---|---|
//! | [`TrustRegionNewton`] | truncated conjugate gradients, or GLTR | a trust region |
//! | [`LineSearchNewton`] | conjugate gradients, negative curvature | backtracking, curvilinear |
//! | [`NewtonMr`] | minimum residuals, nonpositive curvature | backtracking, forward tracking |
//! | [`CubicNewton`] | the cubic model in a Krylov space | its coefficient |
//! | [`SaddleFreeNewton`] | `−(abs(H) + λI)⁻¹g` in a Krylov space | a bound on the step |
//! | [`HessianFree`] | Martens': warm conjugate gradients on Gauss–Newton products | damping, line search |
//!
//! All are [`Minimizer`](crate::minimize::Minimizer)s: limits, observers, checkpoints and endings
//! are those of [`minimize`](mod@crate::minimize), and `solve` on each is the short way.
//!
//! The trust-region method is the one to begin with: few products, and it takes a preconditioner.
//! Its subproblem by GLTR, and the cubic method, follow the model further where the Hessian is
//! indefinite. A rejected step of these three, and of the saddle-free one, costs a value and no
//! product. Newton-MR needs no definiteness anywhere, and is made for singular Hessians.
//! Martens' method is for networks and sums over many cases: products may refer to a part of
//! them.
//!
//! Where the gradient vanishes all but the last look for negative curvature by a few Lanczos
//! steps ([`StationaryCheck`]): by default at the start only.

mod absolute;
mod checks;
mod cubic;
mod curve;
mod forcing;
mod hessian_free;
mod line_search;
mod minimum_residual;
mod radius;
mod ration;
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
