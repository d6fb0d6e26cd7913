//! Newton's method in a trust region.

use ad_core::Real;
use ndarray::ArrayView1;
use serde::{Deserialize, Serialize};

use super::checks;
use super::forcing::{Forcing, Memory};
use super::saddle::StationaryCheck;
use super::steps::{Look, advance, least_reach, leave};
use super::trust_region_steps::{ByGltr, ByTruncatedCg, InBall, Work};
use super::walk::{NewtonReport, Scratch, Walk, natural_length};
use crate::bits;
use crate::error::{SolverError, check_len, check_setting};
use crate::linear::{Identity, Preconditioner, precondition};
use crate::minimize::{Budget, Iterate, Limits, Minimizer, Outcome, StopReason, minimize};
use crate::vector::{dot, norm2};
use crate::{Curvature, SecondOrder};

/// Minimises `f` by approximate Newton steps in a trust region.
///
/// At each iterate the model `m(p) = f + gᵀp + ½pᵀBp` with `B = H + λI` (or `G + λI`) is
/// minimised approximately in `‖p‖ ≤ Δ`, by the [`Subproblem`] solver of choice; the ratio
/// of actual to predicted decrease decides about the step and the next `Δ`. Negative
/// curvature is followed, not feared, so saddles repel the iteration.
///
/// A rejected step costs one value: the shorter step comes from the stored path of conjugate
/// gradients, or from the stored Krylov space, without a product. An iteration ends
/// with an accepted step.
///
/// - **Cost** of an iteration: one value per trial, one linearization, and one product
///   for each step of conjugate gradients.
/// - **Memory**: about ten vectors and `path_memory` more; with [`Subproblem::Gltr`] as many
///   as its Krylov space.
/// - **Endings** besides the [`Limits`]: [`StopReason::NoiseFloor`] if the value is as low as it
///   can be told, [`StopReason::RadiusCollapsed`] if no step lowers the
///   value, [`StopReason::Stalled`] if rounding prevents progress,
///   [`StopReason::NoDescent`] and [`StopReason::NonFinite`].
/// - **Guarantee**: the outcome's point is finite and no worse than any seen, but for the
///   [`Noise`](crate::minimize::Noise) of the values; every loop is bounded.
///
/// References: Steihaug 1983; Gould, Lucidi, Roma & Toint 1999; Conn, Gould & Toint,
/// *Trust-Region Methods* (2000); Nocedal & Wright, *Numerical Optimization*, algorithms 4.1
/// and 7.2.
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
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TrustRegionNewton {
    /// Which matrix is the curvature. Default the Hessian.
    pub curvature: Curvature,
    /// The constant `λ ≥ 0` added to its diagonal. Default 0.
    pub damping: f64,
    /// How the model is minimised in the region. Default [`Subproblem::TruncatedCg`].
    pub subproblem: Subproblem,
    /// At most this many products for a step; `None`, the default, for `2n + 2`, and at most
    /// 100 with [`Subproblem::Gltr`].
    pub max_cg_iters: Option<usize>,
    /// How accurately the Newton systems are solved.
    pub forcing: Forcing,
    /// `Δ₀`, in the units of `x` or, with a preconditioner, of `‖x‖_M`; `None`, the default, for
    /// `max(1, ‖x₀‖/10)`, which a preconditioner turns into its norm.
    pub initial_radius: Option<f64>,
    /// The largest `Δ`; `None`, the default, for `10⁸ · max(1, ‖x₀‖)`, likewise.
    pub max_radius: Option<f64>,
    /// A step is accepted if its ratio exceeds this. Default 0.1; in `[0, ¼)`.
    pub accept_ratio: f64,
    /// Whether to look for negative curvature where the gradient vanishes.
    pub stationary_check: StationaryCheck,
    /// Seed of that check's random vector. Default 0.
    pub seed: u64,
}

/// How a trust-region step is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Subproblem {
    /// Conjugate gradients up to the boundary (Steihaug 1983, Toint 1981): cheap, and half of
    /// the best decrease when the model is convex.
    TruncatedCg {
        /// Directions kept for shortening rejected steps. Shrinking cuts the path near
        /// its beginning, so a few suffice.
        path_memory: usize,
    },
    /// The minimiser on the boundary too, in the Krylov space
    /// ([`Gltr`](crate::linear::Gltr)): more products per step, fewer steps where the
    /// Hessian is indefinite. Takes no preconditioner. Its coordinates hold nothing of
    /// curvatures below `eps·‖H‖`: where the scales are that far apart, the path of
    /// conjugate gradients gets further.
    Gltr,
}

impl Default for Subproblem {
    /// `TruncatedCg { path_memory: 16 }`.
    fn default() -> Self {
        Self::TruncatedCg { path_memory: 16 }
    }
}

impl Default for TrustRegionNewton {
    fn default() -> Self {
        Self {
            curvature: Curvature::Hessian,
            damping: 0.0,
            subproblem: Subproblem::default(),
            max_cg_iters: None,
            forcing: Forcing::default(),
            initial_radius: None,
            max_radius: None,
            accept_ratio: 0.1,
            stationary_check: StationaryCheck::default(),
            seed: 0,
        }
    }
}

/// The state of [`TrustRegionNewton`]: the point and the radius.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct TrustRegionState<T: Real> {
    walk: Walk<T>,
    #[serde(with = "bits::scalar")]
    radius: T,
    #[serde(with = "bits::scalar")]
    max_radius: T,
    #[serde(with = "bits::scalar")]
    least_radius: T,
    /// What a Euclidean length becomes in the norm of the region, at the start along `M⁻¹g`; one
    /// without a preconditioner.
    #[serde(with = "bits::scalar")]
    metric: T,
    forcing: Memory,
    #[serde(skip)]
    work: Scratch<Work<T>>,
}

impl<T: Real> TrustRegionState<T> {
    /// `Δ`, in which the next step is sought.
    pub fn radius(&self) -> T {
        self.radius
    }

    /// Counts of this method, and its last step.
    pub fn report(&self) -> NewtonReport {
        self.walk.report()
    }
}

impl TrustRegionNewton {
    /// Minimises from `x0` within [`Limits::for_type`].
    ///
    /// # Errors
    /// As [`minimize`].
    pub fn solve<T: Real, F: SecondOrder<T> + ?Sized>(
        &self,
        objective: &mut F,
        x0: ArrayView1<'_, T>,
    ) -> Result<Outcome<T>, SolverError> {
        minimize(self, objective, x0, &Limits::for_type::<T>())
    }

    /// The same method with a preconditioner, which also shapes the trust region to
    /// `‖p‖_M ≤ Δ`. The default radii are such that `cM` with any `c > 0` makes the same steps
    /// as `M`.
    ///
    /// ```
    /// use hvp_solvers::linear::DiagonalPreconditioner;
    /// use hvp_solvers::minimize::{Limits, minimize};
    /// use hvp_solvers::{newton::TrustRegionNewton, objective::Quadratic};
    /// use ndarray::{Array1, Array2, array};
    /// let d = array![1.0, 1e3, 1e6];
    /// let mut f = Quadratic::new(Array2::from_diag(&d), -&d)?;
    /// let m = DiagonalPreconditioner::new(d)?;
    /// let method = TrustRegionNewton { initial_radius: Some(1e4), ..Default::default() };
    /// let x0 = Array1::zeros(3);
    /// let found = minimize(&method.preconditioned(&m), &mut f, x0.view(), &Limits::default())?;
    /// assert_eq!(found.stats.n_products, 1);
    /// # Ok::<(), hvp_solvers::SolverError>(())
    /// ```
    pub fn preconditioned<'a, P: ?Sized>(
        &'a self,
        preconditioner: &'a P,
    ) -> PreconditionedTrustRegion<'a, P> {
        PreconditionedTrustRegion {
            method: self,
            preconditioner,
        }
    }

    fn check_settings<T: Real>(&self) -> Result<(), SolverError> {
        checks::at_least_zero::<T>("damping", self.damping)?;
        checks::positive_if_any::<T>("initial_radius", self.initial_radius)?;
        checks::positive_if_any::<T>("max_radius", self.max_radius)?;
        checks::accept_ratio(self.accept_ratio)?;
        self.forcing.check()
    }

    fn start<T, P>(&self, walk: Walk<T>, preconditioner: &P) -> TrustRegionState<T>
    where
        T: Real,
        P: Preconditioner<T> + ?Sized,
    {
        let x = walk.iterate.x();
        let metric = metric(walk.gradient(), preconditioner);
        let largest = T::of(1e8) * norm2(&x.to_vec()).max(T::one()) * metric;
        let max_radius = self.max_radius.map_or(largest, T::of).min(T::max_value());
        let natural = natural_length(x) * metric;
        let radius = self.initial_radius.map_or(natural, T::of);
        let radius = radius.max(T::min_positive_value()).min(max_radius);
        TrustRegionState {
            walk,
            radius,
            max_radius,
            least_radius: least_reach(radius),
            metric,
            forcing: Memory::default(),
            work: Scratch::default(),
        }
    }

    fn iteration<T, F, P>(
        &self,
        objective: &mut F,
        state: &mut TrustRegionState<T>,
        budget: Budget,
        preconditioner: &P,
    ) -> Option<StopReason>
    where
        T: Real,
        F: SecondOrder<T> + ?Sized,
        P: Preconditioner<T> + ?Sized,
    {
        let walk = &mut state.walk;
        let n = walk.dim();
        let mut work = state.work.take(|| Work::new(self, n));
        let norms = (
            walk.iterate.gradient_norm(),
            walk.iterate.gradient_norm_start(),
        );
        let ball = InBall {
            method: self,
            radius: state.radius,
            max_radius: state.max_radius,
            least_radius: state.least_radius,
            eta: self.forcing.eta(norms.0, norms.1, &mut state.forcing),
            budget,
        };
        let (stop, radius) = match &mut work {
            Work::TruncatedCg(work) => {
                let mut steps = ByTruncatedCg {
                    ball,
                    work,
                    preconditioner,
                };
                let stop = advance(walk, objective, &mut steps, self.accept_ratio, budget);
                (stop, steps.ball.radius)
            }
            Work::Gltr(work) => {
                let mut steps = ByGltr { ball, work };
                let stop = advance(walk, objective, &mut steps, self.accept_ratio, budget);
                (stop, steps.ball.radius)
            }
        };
        state.radius = radius;
        state.work.put(work);
        stop
    }

    fn leave<T: Real, F: SecondOrder<T> + ?Sized>(
        &self,
        objective: &mut F,
        state: &mut TrustRegionState<T>,
        budget: Budget,
    ) -> Option<StopReason> {
        let look = Look {
            check: self.stationary_check,
            seed: self.seed,
            reach: state.radius / state.metric,
            max_reach: state.max_radius / state.metric,
            curvature: self.curvature,
            damping: T::of(self.damping),
        };
        match leave(&mut state.walk, objective, &look, budget) {
            Ok(reach) => {
                state.radius = (reach * state.metric).min(state.max_radius);
                None
            }
            Err(stop) => Some(stop),
        }
    }
}

/// `‖p‖_M / ‖p‖` along `p = M⁻¹g`, which is `√(gᵀp) / ‖p‖`; one if that is no positive number.
fn metric<T: Real, P: Preconditioner<T> + ?Sized>(g: &[T], m: &P) -> T {
    if m.is_identity() {
        return T::one();
    }
    let mut p = vec![T::zero(); g.len()];
    precondition(m, g, &mut p);
    let metric = dot(g, &p).sqrt() / norm2(&p);
    if metric > T::zero() && metric.is_finite() {
        metric
    } else {
        T::one()
    }
}

/// [`TrustRegionNewton`] with a preconditioner; see [`TrustRegionNewton::preconditioned`].
#[derive(Debug)]
pub struct PreconditionedTrustRegion<'a, P: ?Sized> {
    method: &'a TrustRegionNewton,
    preconditioner: &'a P,
}

impl<T, F, P> Minimizer<T, F> for PreconditionedTrustRegion<'_, P>
where
    T: Real,
    F: SecondOrder<T> + ?Sized,
    P: Preconditioner<T> + ?Sized,
{
    type State = TrustRegionState<T>;

    fn check(&self, objective: &F) -> Result<(), SolverError> {
        let n = objective.dim();
        check_len("preconditioner", self.preconditioner.dim().unwrap_or(n), n)?;
        let method = self.method;
        method.check_settings::<T>()?;
        let fits = self.preconditioner.is_identity() || method.subproblem != Subproblem::Gltr;
        let requirement = "the Krylov subproblem takes no preconditioner";
        check_setting("subproblem", 1.0, fits, requirement)?;
        checks::offers(objective, method.curvature)
    }

    fn init(&self, objective: &mut F, x0: ArrayView1<'_, T>) -> Self::State {
        self.method
            .start(Walk::start(objective, x0), self.preconditioner)
    }

    fn prepare(&self, objective: &mut F, state: &Self::State) {
        state.walk.prepare(objective);
    }

    fn step(
        &self,
        objective: &mut F,
        state: &mut Self::State,
        budget: Budget,
    ) -> Option<StopReason> {
        let preconditioner = self.preconditioner;
        self.method
            .iteration(objective, state, budget, preconditioner)
    }

    fn leave_stationary(
        &self,
        objective: &mut F,
        state: &mut Self::State,
        budget: Budget,
    ) -> Option<StopReason> {
        self.method.leave(objective, state, budget)
    }

    fn iterate<'a>(&self, state: &'a Self::State) -> &'a Iterate<T> {
        &state.walk.iterate
    }

    fn best(&self, state: &Self::State) -> Outcome<T> {
        state.walk.best()
    }
}

impl<T: Real, F: SecondOrder<T> + ?Sized> Minimizer<T, F> for TrustRegionNewton {
    type State = TrustRegionState<T>;

    fn check(&self, objective: &F) -> Result<(), SolverError> {
        Minimizer::<T, F>::check(&self.preconditioned(&Identity), objective)
    }

    fn init(&self, objective: &mut F, x0: ArrayView1<'_, T>) -> Self::State {
        self.start(Walk::start(objective, x0), &Identity)
    }

    fn prepare(&self, objective: &mut F, state: &Self::State) {
        state.walk.prepare(objective);
    }

    fn step(
        &self,
        objective: &mut F,
        state: &mut Self::State,
        budget: Budget,
    ) -> Option<StopReason> {
        self.iteration(objective, state, budget, &Identity)
    }

    fn leave_stationary(
        &self,
        objective: &mut F,
        state: &mut Self::State,
        budget: Budget,
    ) -> Option<StopReason> {
        self.leave(objective, state, budget)
    }

    fn iterate<'a>(&self, state: &'a Self::State) -> &'a Iterate<T> {
        &state.walk.iterate
    }

    fn best(&self, state: &Self::State) -> Outcome<T> {
        state.walk.best()
    }
}
