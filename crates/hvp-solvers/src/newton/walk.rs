//! What every Newton method carries from one iteration to the next.

use ad_core::Real;
use ndarray::{ArrayView1, ArrayViewMut1};
use serde::{Deserialize, Serialize};

use super::radius::{Verdict, judge};
use crate::bits;
use crate::error::Quantity;
use crate::minimize::{Best, Iterate, Outcome, Stats, StopReason};
use crate::vector::{all_finite, norm2, slice, slice_mut};
use crate::{Objective, SecondOrder};

/// Accepted steps in a row that improve neither value nor gradient before it is a stall.
const STALL_LIMIT: u32 = 5;

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

/// A point on the way down, the best point so far, and the signs of a stall.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(bound = "")]
pub(crate) struct Walk<T: Real> {
    pub(crate) iterate: Iterate<T>,
    best: Best<T>,
    #[serde(with = "bits::scalar")]
    lowest_gradient: T,
    idle: u32,
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
            best: Best::new(&iterate),
            iterate,
            lowest_gradient: T::infinity(),
            idle: 0,
            n_rejected: 0,
            n_free_steps: 0,
            n_negative_curvature: 0,
            smallest_curvature: T::nan(),
            last_step: None,
            trial: Vec::new(),
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

    /// Begins an iteration; the stall that earlier ones have led to, if they have.
    pub(crate) fn begin(&mut self) -> Option<StopReason> {
        if self.idle >= STALL_LIMIT {
            return Some(StopReason::Stalled);
        }
        self.iterate.stats.n_iters += 1;
        None
    }

    /// Whether the last step has gained nothing, in value or gradient.
    pub(crate) fn is_idle(&self) -> bool {
        self.idle > 0
    }

    /// `f(x + p)`.
    pub(crate) fn try_step<F>(&mut self, objective: &mut F, p: &[T]) -> Trial<T>
    where
        F: Objective<T> + ?Sized,
    {
        let moved = self.set_trial(p);
        let value = if all_finite(&self.trial) {
            self.iterate.stats.n_evals += 1;
            objective.value(ArrayView1::from(&self.trial))
        } else {
            T::nan()
        };
        Trial { value, moved }
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
        let verdict = judge(self.iterate.value, trial.value, predicted);
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
        value <= self.best.value() + noise
    }

    /// Moves to the last trial point and linearizes there; ends if that is not finite.
    pub(crate) fn accept<F>(&mut self, objective: &mut F, noise: T) -> Option<StopReason>
    where
        F: SecondOrder<T> + ?Sized,
    {
        let lowest = self.best.value();
        let iterate = &mut self.iterate;
        slice_mut(&mut iterate.x).swap_with_slice(&mut self.trial);
        let gradient = ArrayViewMut1::from(slice_mut(&mut iterate.gradient));
        iterate.value = objective.linearize(iterate.x.view(), gradient);
        iterate.update_norm();
        iterate.stats.n_evals += 1;
        iterate.stats.n_gradients += 1;
        iterate.stats.n_linearizations += 1;
        if let Some(step) = &mut self.last_step {
            step.accepted = true;
        }
        if let Some(what) = iterate.non_finite() {
            return Some(StopReason::NonFinite { what });
        }
        let norm = iterate.gradient_norm();
        let better = iterate.value < lowest - noise || norm < T::of(0.9) * self.lowest_gradient;
        self.lowest_gradient = self.lowest_gradient.min(norm);
        self.idle = if better { 0 } else { self.idle + 1 };
        self.best.offer(iterate);
        None
    }

    /// What it means that no step, however short, was good enough.
    pub(crate) fn exhausted(&self, last: Trial<T>, otherwise: StopReason) -> StopReason {
        if last.value.is_finite() {
            otherwise
        } else {
            StopReason::NonFinite {
                what: Quantity::Value,
            }
        }
    }

    /// A step of this length no longer changes the point.
    pub(crate) fn negligible(&self) -> T {
        T::epsilon() * norm2(slice(&self.iterate.x))
    }

    pub(crate) fn best(&self) -> Outcome<T> {
        self.best.outcome(self.iterate.stats)
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

/// `max(1, ‖x‖/10)`: a length that means something at `x`, for first steps.
pub(crate) fn natural_length<T: Real>(x: ArrayView1<'_, T>) -> T {
    (T::of(0.1) * norm2(&x.to_vec())).max(T::one())
}
