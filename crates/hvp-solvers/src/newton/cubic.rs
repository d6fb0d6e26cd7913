//! Newton's method with cubic regularisation.

use ad_core::Real;
use ndarray::ArrayView1;
use serde::{Deserialize, Serialize};

use super::checks;
use super::forcing::{Forcing, Memory};
use super::saddle::StationaryCheck;
use super::steps::{Look, Step, Steps, advance, least_reach, leave};
use super::trust_region_steps::gain;
use super::walk::{NewtonReport, Scratch, Walk, natural_length};
use crate::bits;
use crate::error::SolverError;
use crate::linear::{Gltr, GltrOutcome, GltrStop, GltrWorkspace};
use crate::minimize::{Budget, Iterate, Limits, Minimizer, Outcome, StopReason, minimize};
use crate::{Curvature, CurvatureOperator, SecondOrder};

/// Adaptive cubic regularisation (Cartis, Gould & Toint 2011): the step minimises
///
/// `m(p) = f + gᵀp + ½pᵀHp + ⅓σ‖p‖³`
///
/// in the Krylov space of `g`, where `(H + λI)p = −g` with `λ = σ‖p‖` is tridiagonal. Instead
/// of a region, `σ` adapts: a quarter of it after a ratio of actual to predicted decrease
/// above 0.9; after a rejection what makes the step half as long, from the
/// same Krylov space, without a product.
///
/// With exact steps the method needs at most `O(ε^{−3/2})` iterations to `‖g‖ ≤ ε`, the
/// best possible order for second-order methods; and it leaves saddles.
///
/// - **Cost** of an iteration: a product for each Krylov vector, a value per trial, a linearization.
/// - **Memory**: `max_krylov` vectors and a few more.
///
/// ```
/// use hvp_solvers::{newton::CubicNewton, objective::Quadratic};
/// use ndarray::array;
/// let mut f = Quadratic::new(array![[2.0, 0.0], [0.0, 20.0]], array![0.0, 0.0])?;
/// let found = CubicNewton::default().solve(&mut f, array![1.0, 1.0].view())?;
/// assert!(found.stop.is_converged());
/// # Ok::<(), hvp_solvers::SolverError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CubicNewton {
    /// Which matrix is the curvature. Default the Hessian.
    pub curvature: Curvature,
    /// `σ₀`, in units of `f/x³`; `None`, the default, for `‖g₀‖/Δ²` with `Δ = max(1, ‖x₀‖/10)`:
    /// where the model is flat the first step has that length.
    pub initial_sigma: Option<f64>,
    /// At most this many products for a step, and as many vectors. Default 100.
    pub max_krylov: usize,
    /// How accurately the model is minimised: `‖∇m‖ ≤ η‖g‖`.
    pub forcing: Forcing,
    /// A step is accepted if its ratio exceeds this. Default 0.1; in `[0, ¼)`.
    pub accept_ratio: f64,
    /// Whether to look for negative curvature where the gradient vanishes.
    pub stationary_check: StationaryCheck,
    /// Seed of that check's random vector. Default 0.
    pub seed: u64,
}

impl Default for CubicNewton {
    fn default() -> Self {
        Self {
            curvature: Curvature::Hessian,
            initial_sigma: None,
            max_krylov: 100,
            forcing: Forcing::default(),
            accept_ratio: 0.1,
            stationary_check: StationaryCheck::default(),
            seed: 0,
        }
    }
}

/// The state of [`CubicNewton`]: the point and `σ`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct CubicState<T: Real> {
    walk: Walk<T>,
    #[serde(with = "bits::scalar")]
    sigma: T,
    #[serde(with = "bits::scalar")]
    least_sigma: T,
    #[serde(with = "bits::scalar")]
    least_reach: T,
    forcing: Memory,
    #[serde(skip)]
    work: Scratch<GltrWorkspace<T>>,
}

impl<T: Real> CubicState<T> {
    /// `σ`, with which the next iteration starts.
    pub fn sigma(&self) -> T {
        self.sigma
    }

    /// Counts of this method, and its last step.
    pub fn report(&self) -> NewtonReport {
        self.walk.report()
    }
}

impl CubicNewton {
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

    fn workspace<T: Real>(&self, n: usize) -> GltrWorkspace<T> {
        let gltr = Gltr {
            max_iters: Some(self.max_krylov.min(n)),
            seed: self.seed,
            ..Gltr::default()
        };
        gltr.workspace(n).expect("the default tolerance is usable")
    }
}

/// Steps in one Krylov space, for a growing `σ`.
struct Regularised<'a, T> {
    method: &'a CubicNewton,
    work: &'a mut GltrWorkspace<T>,
    sigma: T,
    least_sigma: T,
    least_reach: T,
    eta: f64,
    budget: Budget,
    /// The length of the last step, and how long the next one may be.
    norm: T,
    reach: T,
}

impl<T: Real> Regularised<'_, T> {
    fn step(&mut self, found: GltrOutcome<T>) -> Result<Step<T>, StopReason> {
        self.norm = found.step_norm;
        let norm = found.step_norm;
        let cube = self.sigma * norm * norm * norm;
        let model = found.model + cube / T::of(3.0);
        let is_indefinite = self.work.leftmost() < T::zero();
        // Where the cubic term hardly matters, the step is Newton's.
        let is_bounded = is_indefinite || cube > T::of(-0.1) * model;
        match found.stop {
            _ if model < T::zero() => Ok(Step {
                model,
                norm,
                on_boundary: true,
                is_negative: is_indefinite,
                gain: gain(model, is_bounded),
            }),
            GltrStop::NonFinite { what } => Err(StopReason::NonFinite { what }),
            _ => Err(StopReason::NoDescent),
        }
    }
}

impl<T: Real, F: SecondOrder<T> + ?Sized> Steps<T, F> for Regularised<'_, T> {
    fn next(
        &mut self,
        walk: &mut Walk<T>,
        objective: &F,
        first: bool,
    ) -> Result<Step<T>, StopReason> {
        let operator = CurvatureOperator::of(objective, self.method.curvature, T::zero());
        if first {
            let products = self.budget.products_up_to(self.method.max_krylov);
            self.work.restrict(self.eta, products);
            self.work.begin(ArrayView1::from(walk.gradient()));
            // In units of the workspace ‖p‖³ is unit³ and the model unit².
            let sigma = self.sigma * self.work.unit();
            let found = self.work.solve_by(&operator, &mut |t| t.regularise(sigma));
            walk.count_products(found.n_products);
            return self.step(found);
        }
        walk.n_free_steps += 1;
        // The step of half the length minimises the model with σ = λ/‖p‖.
        let shorter = self.reach / self.work.unit();
        let found = self
            .work
            .resolve_by(&operator, &mut |t| t.minimise(shorter));
        self.sigma = self.sigma.max(found.lambda / found.step_norm);
        self.step(found)
    }

    fn vector(&self) -> &[T] {
        self.work.step_slice()
    }

    fn learn(&mut self, _: &Step<T>, ratio: T) {
        if ratio > T::of(0.9) {
            self.sigma = (self.sigma * T::of(0.25)).max(self.least_sigma);
        }
        self.reach = self.norm * T::of(0.5);
    }

    fn reach(&self) -> T {
        self.reach
    }

    fn least_reach(&self) -> T {
        self.least_reach
    }
}

impl<T: Real, F: SecondOrder<T> + ?Sized> Minimizer<T, F> for CubicNewton {
    type State = CubicState<T>;

    fn check(&self, objective: &F) -> Result<(), SolverError> {
        checks::positive_if_any::<T>("initial_sigma", self.initial_sigma)?;
        checks::at_least_one("max_krylov", self.max_krylov)?;
        checks::accept_ratio(self.accept_ratio)?;
        self.forcing.check()?;
        checks::offers(objective, self.curvature)
    }

    fn init(&self, objective: &mut F, x0: ArrayView1<'_, T>) -> Self::State {
        let walk = Walk::start(objective, x0);
        let length = natural_length(x0);
        let natural = walk.iterate.gradient_norm() / length / length;
        let sigma = self.initial_sigma.map_or(natural, T::of);
        let sigma = sigma.max(T::min_positive_value()).min(T::max_value());
        CubicState {
            walk,
            sigma,
            least_sigma: (T::epsilon() * sigma).max(T::min_positive_value()),
            least_reach: least_reach(length),
            forcing: Memory::default(),
            work: Scratch::default(),
        }
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
        let walk = &mut state.walk;
        let n = walk.dim();
        let mut work = state.work.take(|| self.workspace(n));
        let norms = (
            walk.iterate.gradient_norm(),
            walk.iterate.gradient_norm_start(),
        );
        let mut steps = Regularised {
            method: self,
            work: &mut work,
            sigma: state.sigma,
            least_sigma: state.least_sigma,
            least_reach: state.least_reach,
            eta: self.forcing.eta(norms.0, norms.1, &mut state.forcing),
            budget,
            norm: T::zero(),
            reach: T::zero(),
        };
        let stop = advance(walk, objective, &mut steps, self.accept_ratio, budget);
        state.sigma = steps.sigma;
        state.work.put(work);
        stop
    }

    fn leave_stationary(
        &self,
        objective: &mut F,
        state: &mut Self::State,
        budget: Budget,
    ) -> Option<StopReason> {
        let reach = natural_length(state.walk.iterate.x());
        let look = Look {
            check: self.stationary_check,
            seed: self.seed,
            reach,
            max_reach: T::max_value(),
            curvature: self.curvature,
            damping: T::zero(),
        };
        let curved = leave(&mut state.walk, objective, &look, budget);
        match curved {
            Ok(reach) => {
                // The σ whose step along this curvature has the length that was good.
                let curvature = state.walk.smallest_curvature.abs();
                state.sigma = state.sigma.max(curvature / reach);
                None
            }
            Err(stop) => Some(stop),
        }
    }

    fn iterate<'a>(&self, state: &'a Self::State) -> &'a Iterate<T> {
        &state.walk.iterate
    }

    fn best(&self, state: &Self::State) -> Outcome<T> {
        state.walk.best()
    }
}
