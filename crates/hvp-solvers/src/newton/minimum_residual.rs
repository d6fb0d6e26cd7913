//! Newton's method with minimum residuals.

use ad_core::Real;
use ndarray::ArrayView1;
use serde::{Deserialize, Serialize};

use super::checks;
use super::curve::{Backtracking, Curve};
use super::forcing::{Forcing, Memory};
use super::line_search::{along_gradient, forward, gain_of, orient};
use super::ration::Rationed;
use super::saddle::StationaryCheck;
use super::steps::{Look, leave};
use super::walk::{NewtonReport, Scratch, Walk, natural_length};
use crate::bits;
use crate::error::SolverError;
use crate::linear::{Minres, MinresCurvature, MinresState, MinresStop};
use crate::minimize::{Budget, Iterate, Limits, Minimizer, Outcome, StopReason, minimize};
use crate::vector::dot;
use crate::{Curvature, CurvatureOperator, SecondOrder};

/// Newton-MR (Liu, Yang & Roosta 2022): Newton directions by [`Minres`], which solves `Hp = −g`
/// for a Hessian that may be singular, and sees in its own residual a direction of
/// nonpositive curvature as soon as there is one.
///
/// - *Solution*: `‖g + Hp‖ ≤ η‖g‖`, or `p` minimises that norm. Then `gᵀp < 0`, and the step is
///   found by backtracking (Armijo).
/// - *Nonpositive curvature*: the residual `r` has `rᵀHr ≤ 0` and `gᵀr = −‖r‖²`. The step
///   along it is found by backtracking from the last such length, or by forward tracking:
///   doubling while the value falls.
///
/// A value that is not finite counts as infinite. A search that fails is repeated along `−g`, and
/// a step that has gained nothing in value or gradient is followed by one.
///
/// - **Cost** of an iteration: a product for each step of MINRES (two more where the system has no
///   solution), a value per trial, a linearization.
/// - **Memory**: about fifteen vectors.
///
/// ```
/// use hvp_solvers::{newton::NewtonMr, objective::Quadratic};
/// use ndarray::array;
/// // Singular: constant along (1, −1).
/// let mut f = Quadratic::new(array![[2.0, 2.0], [2.0, 2.0]], array![-4.0, -4.0])?;
/// let found = NewtonMr::default().solve(&mut f, array![3.0, 0.0].view())?;
/// assert!(found.stop.is_converged());
/// assert!((found.x[0] + found.x[1] - 2.0_f64).abs() < 1e-12);
/// # Ok::<(), hvp_solvers::SolverError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct NewtonMr {
    /// At most this many steps of MINRES for a direction; `None`, the default, for `2n + 2`.
    pub max_minres_iters: Option<usize>,
    /// How accurately the Newton systems are solved.
    pub forcing: Forcing,
    /// The share of the promised decrease that a step has to reach, in (0, ½). Default 1e-4.
    pub sufficient_decrease: f64,
    /// Trial points along one line. Default 60.
    pub max_trials: u32,
    /// The length of the first step along nonpositive curvature; `None`, the default, for
    /// `max(1, ‖x₀‖/10)`.
    pub initial_reach: Option<f64>,
    /// Whether to look for negative curvature where the gradient vanishes.
    pub stationary_check: StationaryCheck,
    /// Seed of that check's random vector. Default 0.
    pub seed: u64,
}

impl Default for NewtonMr {
    fn default() -> Self {
        Self {
            max_minres_iters: None,
            forcing: Forcing::default(),
            sufficient_decrease: 1e-4,
            max_trials: 60,
            initial_reach: None,
            stationary_check: StationaryCheck::default(),
            seed: 0,
        }
    }
}

/// The state of [`NewtonMr`]: the point and the length of steps along nonpositive curvature.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct NewtonMrState<T: Real> {
    walk: Walk<T>,
    #[serde(with = "bits::scalar")]
    reach: T,
    forcing: Memory,
    #[serde(skip)]
    d: Vec<T>,
    #[serde(skip)]
    p: Vec<T>,
    #[serde(skip)]
    solve: Scratch<MinresState<T>>,
}

impl<T: Real> NewtonMrState<T> {
    /// Counts of this method, and its last step.
    pub fn report(&self) -> NewtonReport {
        self.walk.report()
    }
}

impl NewtonMr {
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

    fn search(&self) -> Backtracking {
        Backtracking {
            c1: self.sufficient_decrease,
            factor: None,
            max_trials: self.max_trials,
            max_doublings: 0,
        }
    }

    /// Minimum residuals on `Hp = −g`; how they ended.
    fn direction<T: Real, F: SecondOrder<T> + ?Sized>(
        &self,
        objective: &F,
        state: &mut NewtonMrState<T>,
        solve: &mut MinresState<T>,
        budget: Budget,
    ) -> MinresStop {
        let walk = &mut state.walk;
        let norms = (
            walk.iterate.gradient_norm(),
            walk.iterate.gradient_norm_start(),
        );
        let cap = self.max_minres_iters.unwrap_or(2 * walk.dim() + 2);
        let ration = budget.products_up_to(usize::MAX);
        let minres = Minres {
            relative_tolerance: self.forcing.eta(norms.0, norms.1, &mut state.forcing),
            max_iters: Some(ration.min(cap)),
            curvature: MinresCurvature::Stop,
            // The Hessians of hard problems have conditions of 1e15 and more: as far as
            // rounding allows, they are not to count as singular.
            least_squares_tolerance: 0.0,
            ..Minres::default()
        };
        let operator = CurvatureOperator::of(objective, Curvature::Hessian, T::zero());
        // Where the system has no solution, more products than the iterations look for its end.
        let operator = Rationed::new(&operator, ration);
        let b = walk.gradient().iter().map(|&g| -g);
        let stop = minres.solve_unverified(&operator, b, solve);
        walk.count_products(operator.n_products());
        if operator.has_refused() {
            MinresStop::MaxIterations
        } else {
            stop
        }
    }

    /// The next point: along the solution, or a direction of nonpositive curvature.
    fn move_on<T: Real, F: SecondOrder<T> + ?Sized>(
        &self,
        objective: &mut F,
        state: &mut NewtonMrState<T>,
        solve: &MinresState<T>,
        stop: MinresStop,
    ) -> Option<StopReason> {
        let NewtonMrState {
            walk, reach, d, p, ..
        } = state;
        let step = solve.x();
        let down = dot(walk.gradient(), step);
        let at_curvature = stop == MinresStop::NegativeCurvature;
        walk.promise(gain_of(down, at_curvature));
        let taken = if let (true, Some((direction, rayleigh))) = (at_curvature, solve.negative()) {
            walk.n_negative_curvature += 1;
            let t = *reach;
            orient(walk.gradient(), direction, t, d);
            let line = Curve {
                z: &[],
                d,
                slope: dot(walk.gradient(), d),
                bend: t * rayleigh.min(T::zero()) * t,
                is_full: false,
            };
            let taken = forward(self.search()).search(walk, objective, &line, p);
            if let Ok(taken) = taken {
                *reach = t * taken.alpha;
            }
            taken
        } else if down < T::zero() {
            let line = Curve {
                z: &[],
                d: step,
                slope: down,
                bend: T::zero(),
                is_full: true,
            };
            self.search().search(walk, objective, &line, p)
        } else if let MinresStop::NonFinite { what } = stop {
            return Some(StopReason::NonFinite { what });
        } else {
            // The gradient is a null vector of the Hessian, as far as rounding can tell.
            return along_gradient(forward(self.search()), walk, objective, *reach, d, p);
        };
        match taken {
            Ok(taken) => walk.accept(objective, taken.noise),
            Err(_) => along_gradient(self.search(), walk, objective, *reach, d, p),
        }
    }
}

impl<T: Real, F: SecondOrder<T> + ?Sized> Minimizer<T, F> for NewtonMr {
    type State = NewtonMrState<T>;

    fn check(&self, _objective: &F) -> Result<(), SolverError> {
        checks::line_search(self.sufficient_decrease, self.max_trials)?;
        checks::positive_if_any::<T>("initial_reach", self.initial_reach)?;
        self.forcing.check()
    }

    fn init(&self, objective: &mut F, x0: ArrayView1<'_, T>) -> Self::State {
        NewtonMrState {
            walk: Walk::start(objective, x0),
            reach: self.initial_reach.map_or_else(|| natural_length(x0), T::of),
            forcing: Memory::default(),
            d: Vec::new(),
            p: Vec::new(),
            solve: Scratch::default(),
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
        if let Some(stop) = state.walk.begin(budget) {
            return Some(stop);
        }
        if state.walk.needs_a_change() {
            let NewtonMrState {
                walk, reach, d, p, ..
            } = state;
            return along_gradient(forward(self.search()), walk, objective, *reach, d, p);
        }
        let mut solve = state.solve.take(|| Minres::default().memory());
        let stop = self.direction(objective, state, &mut solve, budget);
        let ended = self.move_on(objective, state, &solve, stop);
        state.solve.put(solve);
        ended
    }

    fn leave_stationary(
        &self,
        objective: &mut F,
        state: &mut Self::State,
        budget: Budget,
    ) -> Option<StopReason> {
        let look = Look {
            check: self.stationary_check,
            seed: self.seed,
            reach: state.reach,
            max_reach: T::max_value(),
            curvature: Curvature::Hessian,
            damping: T::zero(),
        };
        match leave(&mut state.walk, objective, &look, budget) {
            Ok(reach) => {
                state.reach = reach;
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
