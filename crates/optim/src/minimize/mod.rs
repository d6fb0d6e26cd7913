//! One driver for every minimiser: budgets, observers, outcomes, resuming.
//!
//! A [`Minimizer`] is an immutable record of settings that makes one iteration at a
//! time on a state; [`minimize`] owns the loop. Not converging is an outcome, with
//! its reason and the best point so far. An error means that the call made no sense.
//!
//! ```
//! use std::ops::ControlFlow;
//! use hvp_solvers::objective::Quadratic;
//! use ndarray::array;
//! use optim::lbfgs::Lbfgs;
//! use optim::minimize::{Limits, minimize_observed};
//!
//! let mut f = Quadratic::new(array![[6.0, 2.0], [2.0, 2.0]], array![0.0, 0.0])?;
//! let mut values = Vec::new();
//! let outcome = minimize_observed(
//!     &Lbfgs::default(),
//!     &mut f,
//!     array![1.0, -3.0].view(),
//!     &Limits::default(),
//!     |iterate, _state| {
//!         values.push(iterate.value());
//!         ControlFlow::Continue(())
//!     },
//! )?;
//! assert!(outcome.stop.is_converged());
//! assert!(values.windows(2).all(|pair| pair[1] <= pair[0]));
//! # Ok::<(), optim::minimize::MinimizeError>(())
//! ```

mod iterate;
mod outcome;

pub(crate) use iterate::slice;
pub use iterate::{Iterate, Stats};
pub use outcome::{MinimizeError, Outcome, StopReason};

use std::fmt::Debug;
use std::ops::ControlFlow;

use ad_core::Real;
use hvp_solvers::{Objective, SolverError};
use ndarray::ArrayView1;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::settings::{finite_vector, non_negative};

/// When to stop, beside what the method itself decides.
///
/// Converged means ‖∇f(x)‖₂ ≤ max(`gradient_tol`, `gradient_tol_relative`·‖∇f(x₀)‖₂).
/// Limits are tested between iterations, so an iteration that began within
/// `max_evals` may pass it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// Absolute bound on the gradient norm. Default 1e-6.
    pub gradient_tol: f64,
    /// Bound relative to the norm at the starting point. Default 0.
    pub gradient_tol_relative: f64,
    /// Iterations, over all resumed runs. Default 1000.
    pub max_iters: u64,
    /// Evaluations of the value, with or without gradient. Default 100,000.
    pub max_evals: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            gradient_tol: 1e-6,
            gradient_tol_relative: 0.0,
            max_iters: 1000,
            max_evals: 100_000,
        }
    }
}

impl Limits {
    fn check(&self) -> Result<(), SolverError> {
        non_negative("gradient_tol", self.gradient_tol)?;
        non_negative("gradient_tol_relative", self.gradient_tol_relative)
    }

    fn reached<T: Real>(&self, iterate: &Iterate<T>) -> Option<StopReason> {
        let relative = self.gradient_tol_relative * iterate.gradient_norm_start().as_f64();
        if iterate.gradient_norm().as_f64() <= self.gradient_tol.max(relative) {
            Some(StopReason::GradientTolerance)
        } else if iterate.stats().n_iters >= self.max_iters {
            Some(StopReason::MaxIterations)
        } else if iterate.stats().n_evals >= self.max_evals {
            Some(StopReason::EvaluationBudget)
        } else {
            None
        }
    }
}

/// A method that improves a point of an objective `F` iteration by iteration.
pub trait Minimizer<T: Real, F: Objective<T> + ?Sized> {
    /// Everything that one iteration hands to the next. Serialising it and resuming
    /// is exact to the last bit.
    type State: Clone + Debug + Serialize + DeserializeOwned;

    /// Checks the settings, and whether a problem of dimension `dim` can be taken on.
    ///
    /// # Errors
    /// A setting out of range, or too little memory allowed for `dim`.
    fn check(&self, dim: usize) -> Result<(), MinimizeError>;

    /// The state at `x0`. Evaluates value and gradient once.
    fn init(&self, objective: &mut F, x0: ArrayView1<'_, T>) -> Self::State;

    /// Called once before a run goes on from a state that may come from elsewhere:
    /// whatever the objective has to remember for the next step is set here.
    fn prepare(&self, objective: &mut F, state: &Self::State) {
        let _ = (objective, state);
    }

    /// One iteration. `Some` if the method cannot go on from here; the state then
    /// holds the point at which it gave up.
    fn step(&self, objective: &mut F, state: &mut Self::State) -> Option<StopReason>;

    /// The current point of a state.
    fn iterate<'a>(&self, state: &'a Self::State) -> &'a Iterate<T>;

    /// The point to return if the run ends without convergence. The current one
    /// unless the method is not monotone.
    fn best(&self, state: &Self::State) -> Outcome<T> {
        self.iterate(state).outcome()
    }
}

/// Minimises `objective` from `x0` (length `dim`).
///
/// # Errors
/// Unusable settings, or an `x0` of the wrong length or not finite.
pub fn minimize<T, F, M>(
    method: &M,
    objective: &mut F,
    x0: ArrayView1<'_, T>,
    limits: &Limits,
) -> Result<Outcome<T>, MinimizeError>
where
    T: Real,
    F: Objective<T> + ?Sized,
    M: Minimizer<T, F>,
{
    minimize_observed(method, objective, x0, limits, |_, _| {
        ControlFlow::Continue(())
    })
}

/// [`minimize`], calling `observe` with the point and the state before the first
/// iteration and after each; `Break` ends the run with [`StopReason::Interrupted`].
///
/// A copy of the state is a checkpoint for [`resume`].
///
/// # Errors
/// As [`minimize`].
pub fn minimize_observed<T, F, M>(
    method: &M,
    objective: &mut F,
    x0: ArrayView1<'_, T>,
    limits: &Limits,
    observe: impl FnMut(&Iterate<T>, &M::State) -> ControlFlow<()>,
) -> Result<Outcome<T>, MinimizeError>
where
    T: Real,
    F: Objective<T> + ?Sized,
    M: Minimizer<T, F>,
{
    limits.check()?;
    method.check(objective.dim())?;
    finite_vector("x0", x0, objective.dim())?;
    let mut state = method.init(objective, x0);
    Ok(run(method, objective, &mut state, limits, observe))
}

/// Goes on from a state, which is left where the run ended.
///
/// The iterations are, bit for bit, those that an uninterrupted run makes.
///
/// # Errors
/// As [`minimize`], for the point of the state.
pub fn resume<T, F, M>(
    method: &M,
    objective: &mut F,
    state: &mut M::State,
    limits: &Limits,
    observe: impl FnMut(&Iterate<T>, &M::State) -> ControlFlow<()>,
) -> Result<Outcome<T>, MinimizeError>
where
    T: Real,
    F: Objective<T> + ?Sized,
    M: Minimizer<T, F>,
{
    limits.check()?;
    method.check(objective.dim())?;
    finite_vector("the state's x", method.iterate(state).x(), objective.dim())?;
    method.prepare(objective, state);
    Ok(run(method, objective, state, limits, observe))
}

fn run<T, F, M>(
    method: &M,
    objective: &mut F,
    state: &mut M::State,
    limits: &Limits,
    mut observe: impl FnMut(&Iterate<T>, &M::State) -> ControlFlow<()>,
) -> Outcome<T>
where
    T: Real,
    F: Objective<T> + ?Sized,
    M: Minimizer<T, F>,
{
    loop {
        let iterate = method.iterate(state);
        if let Some(quantity) = iterate.non_finite() {
            return Outcome {
                stop: StopReason::NonFinite { what: quantity },
                ..method.best(state)
            };
        }
        let seen = observe(iterate, state);
        match limits.reached(iterate) {
            // The current point, even if another had a value lower by rounding.
            Some(StopReason::GradientTolerance) => return iterate.outcome(),
            Some(stop) => {
                return Outcome {
                    stop,
                    ..method.best(state)
                };
            }
            None => {}
        }
        if seen.is_break() {
            return Outcome {
                stop: StopReason::Interrupted,
                ..method.best(state)
            };
        }
        if let Some(stop) = method.step(objective, state) {
            return Outcome {
                stop,
                ..method.best(state)
            };
        }
    }
}
