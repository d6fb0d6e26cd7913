//! One driver for every minimiser: budgets, observers, outcomes, resuming.
//!
//! A [`Minimizer`] is an immutable record of settings that makes one iteration at a
//! time on a state; [`minimize`] owns the loop. Not converging is an outcome, with
//! its reason and the best point so far. An error means that the call made no sense.
//!
//! ```
//! use std::ops::ControlFlow;
//! use hvp_solvers::minimize::{Limits, minimize_observed};
//! use hvp_solvers::newton::TrustRegionNewton;
//! use hvp_solvers::objective::Quadratic;
//! use ndarray::array;
//!
//! let mut f = Quadratic::new(array![[6.0, 2.0], [2.0, 2.0]], array![0.0, 0.0])?;
//! let mut values = Vec::new();
//! let outcome = minimize_observed(
//!     &TrustRegionNewton::default(),
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
//! # Ok::<(), hvp_solvers::SolverError>(())
//! ```

mod iterate;
mod limits;
mod noise;
mod outcome;
mod progress;

pub use iterate::{Best, Iterate, Stats};
pub use limits::{Budget, Limits};
pub use noise::Noise;
pub use outcome::{Outcome, StopReason};
pub use progress::Progress;

use std::fmt::Debug;
use std::ops::ControlFlow;
use std::time::Instant;

use ad_core::Real;
use ndarray::ArrayView1;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{check_finite, check_len, check_setting};
use crate::{Objective, SolverError};

/// The error of a call that made no sense.
pub type MinimizeError = SolverError;

/// A method that improves a point of an objective `F` iteration by iteration.
pub trait Minimizer<T: Real, F: Objective<T> + ?Sized> {
    /// Everything that one iteration hands to the next. Serialising it and resuming
    /// is exact to the last bit.
    type State: Clone + Debug + Serialize + DeserializeOwned;

    /// Checks the settings, and whether this objective can be taken on.
    ///
    /// # Errors
    /// A setting out of range, too little memory allowed for the dimension, products
    /// that the objective does not offer.
    fn check(&self, objective: &F) -> Result<(), SolverError>;

    /// The state at `x0`. Evaluates value and gradient once.
    fn init(&self, objective: &mut F, x0: ArrayView1<'_, T>) -> Self::State;

    /// Called once before a run goes on from a state that may come from elsewhere:
    /// whatever the objective has to remember for the next step is set here.
    fn prepare(&self, objective: &mut F, state: &Self::State) {
        let _ = (objective, state);
    }

    /// One iteration. `Some` if the method cannot go on from here, or not within the budget,
    /// which it never exceeds; the state then holds the point at which it gave up.
    fn step(
        &self,
        objective: &mut F,
        state: &mut Self::State,
        budget: Budget,
    ) -> Option<StopReason>;

    /// One iteration from a point whose gradient is within tolerance, for methods that
    /// can tell a saddle from a minimum. The default ends the run as converged.
    fn leave_stationary(
        &self,
        objective: &mut F,
        state: &mut Self::State,
        budget: Budget,
    ) -> Option<StopReason> {
        let _ = (objective, state, budget);
        Some(StopReason::GradientTolerance)
    }

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
) -> Result<Outcome<T>, SolverError>
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
) -> Result<Outcome<T>, SolverError>
where
    T: Real,
    F: Objective<T> + ?Sized,
    M: Minimizer<T, F>,
{
    limits.check()?;
    // The start itself takes one.
    let max_evals = limits.max_evals;
    check_setting("max_evals", max_evals as f64, max_evals > 0, "at least 1")?;
    let mut state = start(method, objective, x0)?;
    Ok(run(method, objective, &mut state, limits, observe))
}

/// The state at `x0`, for [`resume`]: so the caller keeps the state, and can ask it what
/// the method knows beyond the [`Outcome`].
///
/// # Errors
/// As [`minimize`].
pub fn start<T, F, M>(
    method: &M,
    objective: &mut F,
    x0: ArrayView1<'_, T>,
) -> Result<M::State, SolverError>
where
    T: Real,
    F: Objective<T> + ?Sized,
    M: Minimizer<T, F>,
{
    method.check(objective)?;
    check_len("x0", x0.len(), objective.dim())?;
    check_finite("x0", x0)?;
    Ok(method.init(objective, x0))
}

/// Goes on from a state, which is left where the run ended.
///
/// The iterations are, bit for bit, those that an uninterrupted run makes. Where the objective
/// has to be told again where it is, that is one evaluation that nobody counts.
///
/// # Errors
/// As [`minimize`], for the point of the state.
pub fn resume<T, F, M>(
    method: &M,
    objective: &mut F,
    state: &mut M::State,
    limits: &Limits,
    observe: impl FnMut(&Iterate<T>, &M::State) -> ControlFlow<()>,
) -> Result<Outcome<T>, SolverError>
where
    T: Real,
    F: Objective<T> + ?Sized,
    M: Minimizer<T, F>,
{
    limits.check()?;
    method.check(objective)?;
    let x = method.iterate(state).x();
    check_len("the state's x", x.len(), objective.dim())?;
    check_finite("the state's x", x)?;
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
    let begin = Instant::now();
    let stop = loop {
        let iterate = method.iterate(state);
        if let Some(what) = iterate.non_finite() {
            break StopReason::NonFinite { what };
        }
        let seen = observe(iterate, state);
        let budget = limits.budget(&iterate.stats);
        let ending = match limits.reached(iterate, begin) {
            Some(StopReason::GradientTolerance)
                if seen.is_continue() && iterate.stats.n_iters < limits.max_iters =>
            {
                method.leave_stationary(objective, state, budget)
            }
            None if seen.is_break() => Some(StopReason::Interrupted),
            None => method.step(objective, state, budget),
            reached => reached,
        };
        if let Some(stop) = ending {
            break stop;
        }
    };
    // Converged is the current point, even if another had a value lower by rounding.
    let point = if stop.is_converged() {
        method.iterate(state).outcome()
    } else {
        method.best(state)
    };
    Outcome { stop, ..point }
}
