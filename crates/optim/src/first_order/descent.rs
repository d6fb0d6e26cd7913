//! First-order rules as minimisers of a deterministic objective.

use ad_core::Real;
use hvp_solvers::vector::slice;
use hvp_solvers::{Objective, Quantity};
use ndarray::ArrayView1;
use serde::{Deserialize, Serialize};

use super::{FirstOrder, takes};
use crate::minimize::{Best, Budget, Iterate, MinimizeError, Minimizer, Outcome, StopReason};
use crate::schedule::Schedule;

/// Any [`FirstOrder`] rule under a [`Schedule`], driven by the whole gradient.
///
/// One evaluation of value and gradient per iteration. The values need not decrease,
/// so the state keeps the best point too, and a run that does not converge returns
/// that one. A value, gradient or point that is not finite ends the run, and so does a gradient whose
/// squares overflow, if the rule keeps them.
///
/// ```
/// use hvp_solvers::objective::Quadratic;
/// use ndarray::array;
/// use optim::first_order::{Descent, Sgd};
/// use optim::minimize::{Limits, minimize};
///
/// let mut f = Quadratic::new(array![[2.0, 0.0], [0.0, 1.0]], array![0.0, 0.0])?;
/// let outcome =
///     minimize(&Descent::new(Sgd::default()), &mut f, array![1.0, 1.0].view(), &Limits::default())?;
/// assert!(outcome.stop.is_converged());
/// # Ok::<(), optim::minimize::MinimizeError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Descent<R> {
    /// The update rule.
    pub rule: R,
    /// The learning rate of each iteration; `None` for the rule's own, constant.
    pub schedule: Option<Schedule>,
}

impl<R> Descent<R> {
    /// The rule at its default learning rate.
    pub const fn new(rule: R) -> Self {
        Descent {
            rule,
            schedule: None,
        }
    }

    /// The rule under a schedule.
    pub const fn with_schedule(rule: R, schedule: Schedule) -> Self {
        Descent {
            rule,
            schedule: Some(schedule),
        }
    }
}

/// The state of [`Descent`].
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(bound(serialize = "S: Serialize", deserialize = "S: Deserialize<'de>"))]
pub struct DescentState<T: Real, S> {
    iterate: Iterate<T>,
    rule: S,
    best: Best<T>,
}

impl<T, F, R> Minimizer<T, F> for Descent<R>
where
    T: Real,
    F: Objective<T> + ?Sized,
    R: FirstOrder<T>,
{
    type State = DescentState<T, R::State>;

    fn check(&self, _objective: &F) -> Result<(), MinimizeError> {
        self.rule.check()
    }

    fn init(&self, objective: &mut F, x0: ArrayView1<'_, T>) -> Self::State {
        let iterate = Iterate::start_at(objective, x0);
        DescentState {
            rule: self.rule.init(x0.len()),
            best: Best::new(&iterate),
            iterate,
        }
    }

    fn step(
        &self,
        objective: &mut F,
        state: &mut Self::State,
        _budget: Budget,
    ) -> Option<StopReason> {
        let iterate = &mut state.iterate;
        let rate = match &self.schedule {
            Some(schedule) => schedule.rate(iterate.stats.n_iters),
            None => self.rule.default_learning_rate(),
        };
        let Iterate { x, gradient, .. } = iterate;
        if !takes(&self.rule, slice(gradient)) {
            return Some(StopReason::NonFinite {
                what: Quantity::Gradient,
            });
        }
        self.rule
            .step(&mut state.rule, x.view_mut(), gradient.view(), rate);
        if x.iter().any(|v| !v.is_finite()) {
            return Some(StopReason::NonFinite {
                what: Quantity::Point,
            });
        }
        iterate.value = objective.value_and_grad(x.view(), gradient.view_mut());
        iterate.update_norm();
        iterate.stats.n_iters += 1;
        iterate.stats.n_evals += 1;
        iterate.stats.n_gradients += 1;
        state.best.offer(iterate);
        None
    }

    fn iterate<'a>(&self, state: &'a Self::State) -> &'a Iterate<T> {
        &state.iterate
    }

    fn best(&self, state: &Self::State) -> Outcome<T> {
        state.best.outcome(state.iterate.stats)
    }
}
