//! What every Newton method carries from one iteration to the next.

use ad_core::Real;
use ndarray::{ArrayView1, ArrayViewMut1};
use serde::{Deserialize, Serialize};

use super::radius::{Verdict, judge};
use crate::bits;
use crate::error::Quantity;
use crate::minimize::{Budget, Iterate, Outcome, Progress, Stats, StopReason};
use crate::vector::{all_finite, norm2, slice, slice_mut};
use crate::{Objective, SecondOrder};

/// What a Newton method has met on its way, beyond the [`Stats`] of every minimiser.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct NewtonReport {
    /// Trial points that were not taken.
    pub n_rejected: u64,
    /// Trial steps after a rejection that took no product.
    pub n_free_steps: u64,
    /// Trial steps along a direction of nonpositive curvature.
    pub n_negative_curvature: u64,
    /// The smallest Ritz value of the last stationary check, if there was one.
    pub smallest_curvature: Option<f64>,
    /// The last trial step, if this run has made one.
    pub last_step: Option<StepRecord>,
}

/// A trial step, as numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepRecord {
    /// `‖p‖`, in the norm of the trust region if there is one.
    pub norm: f64,
    /// The decrease that the model promised, positive.
    pub predicted: f64,
    /// Actual over predicted decrease; `None` if the trial value was not finite.
    pub ratio: Option<f64>,
    /// Whether the step was taken.
    pub accepted: bool,
}

/// Buffers that carry nothing from one iteration to the next: a copy or a deserialised
/// state starts without them.
#[derive(Debug)]
pub(crate) struct Scratch<W>(Option<W>);

impl<W> Default for Scratch<W> {
    fn default() -> Self {
        Self(None)
    }
}

impl<W> Clone for Scratch<W> {
    fn clone(&self) -> Self {
        Self(None)
    }
}

impl<W> Scratch<W> {
    /// The buffers, made on first use. Goes back by [`put`](Self::put).
    pub(crate) fn take(&mut self, make: impl FnOnce() -> W) -> W {
        self.0.take().unwrap_or_else(make)
    }

    pub(crate) fn put(&mut self, buffers: W) {
        self.0 = Some(buffers);
    }
}

/// A point on the way down, how far that way has led, and what may still be spent.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(bound = "")]
pub(crate) struct Walk<T: Real> {
    pub(crate) iterate: Iterate<T>,
    progress: Progress<T>,
    pub(crate) n_rejected: u64,
    pub(crate) n_free_steps: u64,
    pub(crate) n_negative_curvature: u64,
    /// NaN before the first check.
    #[serde(with = "bits::scalar")]
    pub(crate) smallest_curvature: T,
    #[serde(skip)]
    last_step: Option<StepRecord>,
    #[serde(skip)]
    trial: Vec<T>,
    /// Evaluations left to this iteration, the linearization at its end included.
    #[serde(skip)]
    values_left: u64,
    #[serde(skip)]
    is_out_of_values: bool,
}

/// A value at a trial point.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Trial<T> {
    /// NaN where the point itself is not finite.
    pub(crate) value: T,
    /// Whether the point differs from the current one.
    pub(crate) moved: bool,
}

impl<T: Real> Walk<T> {
    /// Linearizes at `x0`.
    pub(crate) fn start<F>(objective: &mut F, x0: ArrayView1<'_, T>) -> Self
    where
        F: SecondOrder<T> + ?Sized,
    {
        let mut iterate = Iterate::start(x0, |x, grad| objective.linearize(x, grad.view_mut()));
        iterate.stats.n_linearizations = 1;
        Self {
            progress: Progress::new(&iterate),
            iterate,
            n_rejected: 0,
            n_free_steps: 0,
            n_negative_curvature: 0,
            smallest_curvature: T::nan(),
            last_step: None,
            trial: Vec::new(),
            values_left: 0,
            is_out_of_values: false,
        }
    }

    /// Moves the objective's point of linearization here, for a state from elsewhere.
    pub(crate) fn prepare<F: SecondOrder<T> + ?Sized>(&self, objective: &mut F) {
        let mut gradient = self.iterate.gradient.clone();
        objective.linearize(self.iterate.x(), gradient.view_mut());
    }

    pub(crate) fn dim(&self) -> usize {
        self.iterate.x.len()
    }

    pub(crate) fn gradient(&self) -> &[T] {
        slice(&self.iterate.gradient)
    }

    /// Products so far.
    pub(crate) fn count_products(&mut self, n: usize) {
        self.iterate.stats.n_products += n as u64;
    }

    pub(crate) fn stats(&self) -> Stats {
        self.iterate.stats
    }

    /// Begins an iteration; or says why there is none: a stall that earlier ones have led to, or
    /// too few evaluations for a trial and the linearization that follows it.
    pub(crate) fn begin(&mut self, budget: Budget) -> Option<StopReason> {
        if let Some(stop) = self.progress.stall(self.iterate.value) {
            return Some(stop);
        }
        self.values_left = budget.values_left();
        self.is_out_of_values = self.values_left < 2;
        if self.is_out_of_values {
            return Some(StopReason::EvaluationBudget);
        }
        self.iterate.stats.n_iters += 1;
        None
    }

    /// Whether the last step has gained nothing, so that another kind is due.
    pub(crate) fn needs_a_change(&self) -> bool {
        self.progress.needs_a_change()
    }

    /// Whether a value was asked for that the budget does not allow.
    pub(crate) fn is_out_of_values(&self) -> bool {
        self.is_out_of_values
    }

    /// Takes so many evaluations from the budget; false if that leaves none for a linearization.
    pub(crate) fn spend_values(&mut self, n: u64) -> bool {
        let fits = self.values_left > n;
        if fits {
            self.values_left -= n;
            self.iterate.stats.n_evals += n;
        } else {
            self.is_out_of_values = true;
        }
        fits
    }

    /// `f(x + p)`.
    pub(crate) fn try_step<F>(&mut self, objective: &mut F, p: &[T]) -> Trial<T>
    where
        F: Objective<T> + ?Sized,
    {
        let moved = self.set_trial(p);
        let value = self.value_at_trial(objective);
        Trial { value, moved }
    }

    /// NaN where the point is not finite, or the budget is spent.
    fn value_at_trial<F: Objective<T> + ?Sized>(&mut self, objective: &mut F) -> T {
        if all_finite(&self.trial) && self.spend_values(1) {
            objective.value(ArrayView1::from(&self.trial))
        } else {
            T::nan()
        }
    }

    /// Tells of the step `p`, which failed at the last trial. True if more noise than was known
    /// was found on the way there: the trial, still the last one, deserves a second judgement.
    pub(crate) fn doubt<F>(
        &mut self,
        objective: &mut F,
        p: &[T],
        trial: Trial<T>,
        promised: T,
    ) -> bool
    where
        F: Objective<T> + ?Sized,
    {
        if !trial.moved {
            return false;
        }
        let Self {
            progress,
            iterate,
            trial: point,
            values_left,
            ..
        } = self;
        let (value, left) = (iterate.value, *values_left);
        let found = progress.doubt(value, trial.value, promised, left, |t| {
            point.clear();
            point.extend(slice(&iterate.x).iter().zip(p).map(|(&x, &p)| x + t * p));
            iterate.stats.n_evals += 1;
            *values_left -= 1;
            objective.value(ArrayView1::from(&*point))
        });
        self.set_trial(p);
        found
    }

    /// Makes `x + p` the trial point; whether it differs from the current one.
    pub(crate) fn set_trial(&mut self, p: &[T]) -> bool {
        let x = slice(&self.iterate.x);
        self.trial.clear();
        self.trial.extend(x.iter().zip(p).map(|(&x, &p)| x + p));
        self.trial.iter().zip(x).any(|(t, x)| t != x)
    }

    /// Compares a trial value with the decrease that was promised.
    pub(crate) fn judge(&mut self, trial: Trial<T>, norm: T, predicted: T) -> Verdict<T> {
        let value = self.iterate.value;
        let noise = self.progress.allowance(value, trial.value, predicted);
        let verdict = judge(value, trial.value, predicted, noise);
        self.last_step = Some(StepRecord {
            norm: norm.as_f64(),
            predicted: predicted.as_f64(),
            ratio: verdict.ratio.is_finite().then(|| verdict.ratio.as_f64()),
            accepted: false,
        });
        verdict
    }

    /// Whether a value is no worse than the best, up to the rounding of values.
    pub(crate) fn is_no_worse(&self, value: T, noise: T) -> bool {
        self.progress.is_no_worse(value, noise)
    }

    /// By how much a value may differ from the current one through rounding alone.
    pub(crate) fn noise(&self, value: T) -> T {
        self.progress.noise(self.iterate.value, value)
    }

    /// Tells what a step without a bound on its length would gain by the model: positive.
    pub(crate) fn promise(&mut self, gain: T) {
        self.progress.promise(gain);
    }

    /// Tells of the trial that this step led to.
    pub(crate) fn check_promise(&mut self, trial: Trial<T>) {
        self.progress.check_promise(self.iterate.value, trial.value);
    }

    /// Moves to the last trial point and linearizes there; ends if that is not finite.
    pub(crate) fn accept<F>(&mut self, objective: &mut F, noise: T) -> Option<StopReason>
    where
        F: SecondOrder<T> + ?Sized,
    {
        let iterate = &mut self.iterate;
        slice_mut(&mut iterate.x).swap_with_slice(&mut self.trial);
        let gradient = ArrayViewMut1::from(slice_mut(&mut iterate.gradient));
        iterate.value = objective.linearize(iterate.x.view(), gradient);
        iterate.update_norm();
        iterate.stats.n_evals += 1;
        iterate.stats.n_gradients += 1;
        iterate.stats.n_linearizations += 1;
        self.values_left = self.values_left.saturating_sub(1);
        if let Some(step) = &mut self.last_step {
            step.accepted = true;
        }
        if let Some(what) = iterate.non_finite() {
            return Some(StopReason::NonFinite { what });
        }
        let promised = self
            .last_step
            .map_or(T::infinity(), |step| T::of(step.predicted));
        self.progress.accept(iterate, noise, promised);
        None
    }

    /// What it means that no step, however short, was good enough.
    pub(crate) fn exhausted(&self, last: Trial<T>, otherwise: StopReason) -> StopReason {
        if self.is_out_of_values {
            StopReason::EvaluationBudget
        } else if last.value.is_finite() {
            self.at_rest(otherwise)
        } else {
            StopReason::NonFinite {
                what: Quantity::Value,
            }
        }
    }

    /// How a run ends that cannot go on from here.
    pub(crate) fn at_rest(&self, otherwise: StopReason) -> StopReason {
        self.progress.at_rest(self.iterate.value, otherwise)
    }

    /// A step of this length no longer changes the point.
    pub(crate) fn negligible(&self) -> T {
        T::epsilon() * norm2(slice(&self.iterate.x))
    }

    pub(crate) fn best(&self) -> Outcome<T> {
        self.progress.outcome(self.iterate.stats)
    }

    pub(crate) fn report(&self) -> NewtonReport {
        let curvature = self.smallest_curvature.as_f64();
        NewtonReport {
            n_rejected: self.n_rejected,
            n_free_steps: self.n_free_steps,
            n_negative_curvature: self.n_negative_curvature,
            smallest_curvature: (!curvature.is_nan()).then_some(curvature),
            last_step: self.last_step,
        }
    }
}

/// `max(1, ‖x‖/10)`: a length that means something at `x`, for first steps. The 1 has the units
/// of `x`: who measures `x` in others sets the first length.
pub(crate) fn natural_length<T: Real>(x: ArrayView1<'_, T>) -> T {
    (T::of(0.1) * norm2(&x.to_vec())).max(T::one())
}
