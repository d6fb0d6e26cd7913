//! The configuration of the trust-region Newton method.

use std::ops::ControlFlow;

use ad_core::Real;
use ndarray::ArrayView1;
use serde::{Deserialize, Serialize};

use super::forcing::Forcing;
use super::outcome::{Outcome, Progress};
use super::run::Run;
use super::saddle::StationaryCheck;
use crate::error::{SolverError, check_finite, check_len, check_setting};
use crate::linear::{Identity, Preconditioner};
use crate::{Curvature, SecondOrder};

/// Minimises `f` by Newton steps from truncated conjugate gradients in a trust region.
///
/// At each iterate the model `m(p) = f + gᵀp + ½pᵀBp` with `B = H + λI` (or `G + λI`) is
/// minimised approximately in `‖p‖ ≤ Δ` by [`TruncatedCg`](crate::linear::TruncatedCg);
/// the ratio of actual to predicted decrease decides about the step and the next `Δ`.
/// Negative curvature is followed, not feared, so saddles repel the iteration.
///
/// A rejected step costs one value: the shorter step is cut from the stored path of
/// conjugate gradients, without a product.
///
/// - **Cost** of an iteration: one value; if accepted one linearization; and one product
///   for each step of conjugate gradients.
/// - **Memory**: about ten vectors and `path_memory` more.
/// - **Guarantee**: the outcome's point is finite and no worse than any seen; every loop
///   is bounded.
///
/// References: Steihaug 1983; Conn, Gould & Toint, *Trust-Region Methods* (2000);
/// Nocedal & Wright, *Numerical Optimization*, algorithms 4.1 and 7.2.
///
/// ```
/// use hvp_solvers::{newton::TrustRegionNewton, objective::Quadratic};
/// use ndarray::array;
/// // f(x, y) = x² + 10y².
/// let mut f = Quadratic::new(array![[2.0, 0.0], [0.0, 20.0]], array![0.0, 0.0])?;
/// let found = TrustRegionNewton::default().solve(&mut f, array![1.0, 1.0].view())?;
/// assert!(found.stop.is_converged());
/// assert!(found.gradient_norm < 1e-7);
/// # Ok::<(), hvp_solvers::SolverError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrustRegionNewton {
    /// Which matrix is the curvature. Default the Hessian.
    pub curvature: Curvature,
    /// The constant `λ ≥ 0` added to its diagonal. Default 0.
    pub damping: f64,
    /// Converged at `‖g‖ ≤ gradient_tolerance`. Default `√eps`: 1.5e-8 in double, 3.5e-4
    /// in single precision (see [`for_type`](Self::for_type)).
    pub gradient_tolerance: f64,
    /// … or at `‖g‖ ≤ relative_gradient_tolerance · ‖g₀‖`. Default 0.
    pub relative_gradient_tolerance: f64,
    /// At most this many trial steps. Default 1000.
    pub max_iters: usize,
    /// At most this many products in all; `None`, the default, for no limit.
    pub max_products: Option<usize>,
    /// At most this many products for a step; `None`, the default, for `2n + 2`.
    pub max_cg_iters: Option<usize>,
    /// How accurately the Newton systems are solved.
    pub forcing: Forcing,
    /// `Δ₀`; `None`, the default, for `max(1, ‖x₀‖/10)`.
    pub initial_radius: Option<f64>,
    /// The largest `Δ`; `None`, the default, for `10⁸ · max(1, ‖x₀‖)`.
    pub max_radius: Option<f64>,
    /// A step is accepted if its ratio exceeds this. Default 0.1; in `[0, ¼)`.
    pub accept_ratio: f64,
    /// Directions kept for shortening rejected steps. Default 16.
    pub path_memory: usize,
    /// Whether to look for negative curvature where the gradient vanishes.
    pub stationary_check: StationaryCheck,
    /// Seed of that check's random vector. Default 0.
    pub seed: u64,
    /// Whether the outcome holds a record of every iteration. Default false.
    pub record_history: bool,
}

impl Default for TrustRegionNewton {
    fn default() -> Self {
        Self::for_type::<f64>()
    }
}

impl TrustRegionNewton {
    /// The defaults, with the gradient tolerance `√eps` of the type.
    pub fn for_type<T: Real>() -> Self {
        Self {
            curvature: Curvature::Hessian,
            damping: 0.0,
            gradient_tolerance: T::epsilon().as_f64().sqrt(),
            relative_gradient_tolerance: 0.0,
            max_iters: 1000,
            max_products: None,
            max_cg_iters: None,
            forcing: Forcing::default(),
            initial_radius: None,
            max_radius: None,
            accept_ratio: 0.1,
            path_memory: 16,
            stationary_check: StationaryCheck::default(),
            seed: 0,
            record_history: false,
        }
    }

    /// Minimises from `x0`.
    ///
    /// # Errors
    /// As [`solve_with`](Self::solve_with).
    pub fn solve<T: Real, O: SecondOrder<T> + ?Sized>(
        &self,
        objective: &mut O,
        x0: ArrayView1<'_, T>,
    ) -> Result<Outcome<T>, SolverError> {
        self.solve_with(objective, x0, &Identity, |_| ControlFlow::Continue(()))
    }

    /// Minimises from `x0` with a preconditioner, which also shapes the trust region
    /// (`‖p‖_M ≤ Δ`), and calls `observer` after every iteration; it can end the run.
    ///
    /// # Errors
    /// [`SolverError`] for lengths that do not match, a start that is not finite, settings
    /// out of range, or Gauss–Newton products that the objective does not have. A value
    /// that is not finite is an ending, [`StopReason::NonFinite`](super::StopReason).
    pub fn solve_with<T, O, P, F>(
        &self,
        objective: &mut O,
        x0: ArrayView1<'_, T>,
        preconditioner: &P,
        observer: F,
    ) -> Result<Outcome<T>, SolverError>
    where
        T: Real,
        O: SecondOrder<T> + ?Sized,
        P: Preconditioner<T> + ?Sized,
        F: FnMut(&Progress<'_, T>) -> ControlFlow<()>,
    {
        let n = objective.dim();
        check_len("x0", x0.len(), n)?;
        check_len("preconditioner", preconditioner.dim().unwrap_or(n), n)?;
        check_finite("x0", x0)?;
        self.check()?;
        if self.curvature == Curvature::GaussNewton && !objective.has_gauss_newton() {
            return Err(SolverError::NoGaussNewton);
        }
        Run::new(self, objective, x0, preconditioner).minimise(observer)
    }

    fn check(&self) -> Result<(), SolverError> {
        let at_least_zero = |name, v: f64| {
            check_setting(name, v, v >= 0.0 && v.is_finite(), "finite, at least zero")
        };
        let positive = |name, v: Option<f64>| {
            let v = v.unwrap_or(1.0);
            check_setting(name, v, v > 0.0 && v.is_finite(), "finite, above zero")
        };
        at_least_zero("damping", self.damping)?;
        at_least_zero("gradient_tolerance", self.gradient_tolerance)?;
        at_least_zero(
            "relative_gradient_tolerance",
            self.relative_gradient_tolerance,
        )?;
        positive("initial_radius", self.initial_radius)?;
        positive("max_radius", self.max_radius)?;
        let eta = self.accept_ratio;
        check_setting(
            "accept_ratio",
            eta,
            (0.0..0.25).contains(&eta),
            "in [0, 1/4)",
        )?;
        let forcing = match self.forcing {
            Forcing::Constant(v) | Forcing::Power { cap: v, .. } => v,
        };
        check_setting(
            "forcing",
            forcing,
            self.forcing.is_usable(),
            "in [0, 1), exponent ≥ 0",
        )
    }
}
