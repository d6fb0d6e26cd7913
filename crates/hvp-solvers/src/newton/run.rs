//! One minimisation by the trust-region Newton method.

use std::ops::ControlFlow;

use ad_core::Real;
use ndarray::{Array1, ArrayView1, ArrayViewMut1};

use super::outcome::{IterationRecord, Outcome, Progress, Stats, StopReason};
use super::radius::{judge, next_radius};
use super::saddle::lowest;
use super::trust_region::TrustRegionNewton;
use crate::error::{Quantity, SolverError};
use crate::linear::{
    Preconditioner, TruncatedCg, TruncatedOutcome, TruncatedStop, TruncatedWorkspace,
};
use crate::vector::{all_finite, norm2};
use crate::{CurvatureOperator, SecondOrder};

/// Accepted steps in a row that improve neither value nor gradient before it is a stall.
const STALL_LIMIT: usize = 5;

/// A Lanczos check with fewer products would say nothing.
const MIN_CHECK: usize = 4;

/// A point with its value and gradient norm.
struct Point<T> {
    x: Vec<T>,
    value: T,
    gradient_norm: T,
}

pub(super) struct Run<'a, T, O: ?Sized, P: ?Sized> {
    config: &'a TrustRegionNewton,
    objective: &'a mut O,
    preconditioner: &'a P,
    current: Point<T>,
    best: Point<T>,
    gradient: Vec<T>,
    trial: Vec<T>,
    work: TruncatedWorkspace<T>,
    start_norm: T,
    lowest_gradient: T,
    radius: T,
    max_radius: T,
    collapsed_below: T,
    /// The step has to be found anew: the point has moved or the path was lost.
    fresh: bool,
    /// On the way out of a stationary point.
    escaping: bool,
    trial_was_finite: bool,
    idle: usize,
    stats: Stats,
    history: Vec<IterationRecord>,
}

impl<'a, T, O, P> Run<'a, T, O, P>
where
    T: Real,
    O: SecondOrder<T> + ?Sized,
    P: Preconditioner<T> + ?Sized,
{
    pub(super) fn new(
        config: &'a TrustRegionNewton,
        objective: &'a mut O,
        x0: ArrayView1<'_, T>,
        preconditioner: &'a P,
    ) -> Self {
        let n = x0.len();
        let x = x0.to_vec();
        let size = norm2(&x).max(T::one());
        let max_radius = config
            .max_radius
            .map_or(T::of(1e8) * size, T::of)
            .min(T::max_value());
        let initial = config
            .initial_radius
            .map_or((T::of(0.1) * size).max(T::one()), T::of);
        let radius = initial.min(max_radius).max(T::min_positive_value());
        let point = |x: Vec<T>| Point {
            x,
            value: T::nan(),
            gradient_norm: T::nan(),
        };
        Self {
            config,
            objective,
            preconditioner,
            current: point(x.clone()),
            best: point(x),
            gradient: vec![T::zero(); n],
            trial: vec![T::zero(); n],
            work: TruncatedWorkspace::new(n),
            start_norm: T::zero(),
            lowest_gradient: T::infinity(),
            radius,
            max_radius,
            collapsed_below: T::epsilon() * T::epsilon() * radius,
            fresh: true,
            escaping: false,
            trial_was_finite: true,
            idle: 0,
            stats: Stats::default(),
            history: Vec::new(),
        }
    }

    pub(super) fn minimise<F>(mut self, mut observer: F) -> Result<Outcome<T>, SolverError>
    where
        F: FnMut(&Progress<'_, T>) -> ControlFlow<()>,
    {
        if let Some(what) = self.linearize() {
            return Ok(self.outcome(StopReason::NonFinite { what }));
        }
        self.start_norm = self.current.gradient_norm;
        for _ in 0..self.config.max_iters {
            let step = match self.step()? {
                ControlFlow::Continue(step) => step,
                ControlFlow::Break(stop) => return Ok(self.outcome(stop)),
            };
            let (record, ending) = self.try_step(step);
            if self.config.record_history {
                self.history.push(record);
            }
            if let Some(stop) = ending {
                return Ok(self.outcome(stop));
            }
            let progress = Progress {
                record: &record,
                x: ArrayView1::from(&self.current.x),
                gradient: ArrayView1::from(&self.gradient),
            };
            if observer(&progress).is_break() {
                return Ok(self.outcome(StopReason::Interrupted));
            }
        }
        let converged = self.current.gradient_norm <= self.tolerance();
        let stop = if converged {
            StopReason::GradientTolerance
        } else {
            StopReason::MaxIterations
        };
        Ok(self.outcome(stop))
    }

    /// Value, gradient and products at `current.x`; names what is not finite.
    fn linearize(&mut self) -> Option<Quantity> {
        let x = ArrayView1::from(&self.current.x);
        self.current.value = self
            .objective
            .linearize(x, ArrayViewMut1::from(&mut self.gradient));
        self.current.gradient_norm = norm2(&self.gradient);
        self.stats.n_gradient += 1;
        // Entries can be finite and their norm overflow: the gradient is unusable too.
        let ok = (
            self.current.value.is_finite(),
            self.current.gradient_norm.is_finite(),
        );
        let first = self.stats.n_gradient == 1;
        if first || (ok == (true, true) && self.improves()) {
            self.best.x.copy_from_slice(&self.current.x);
            self.best.value = self.current.value;
            self.best.gradient_norm = self.current.gradient_norm;
        }
        match ok {
            (true, true) => None,
            (false, _) => Some(Quantity::Value),
            (true, false) => Some(Quantity::Gradient),
        }
    }

    /// Whether the current point beats the best: by value, then by gradient.
    fn improves(&self) -> bool {
        let (now, best) = (&self.current, &self.best);
        now.value < best.value
            || (now.value <= best.value && now.gradient_norm < best.gradient_norm)
    }

    fn tolerance(&self) -> T {
        let relative = T::of(self.config.relative_gradient_tolerance) * self.start_norm;
        relative.max(T::of(self.config.gradient_tolerance))
    }

    /// The next trial step, or how the run ends.
    fn step(&mut self) -> Result<ControlFlow<StopReason, TruncatedOutcome<T>>, SolverError> {
        if !self.fresh {
            if let Some(step) = self.work.shrink(self.radius) {
                self.stats.n_shrunk += 1;
                return Ok(ControlFlow::Continue(step));
            }
            if self.escaping {
                return Ok(ControlFlow::Break(StopReason::GradientTolerance));
            }
        }
        let left = self
            .config
            .max_products
            .map(|max| max.saturating_sub(self.stats.n_products));
        if self.current.gradient_norm <= self.tolerance() {
            return self.leave_stationary_point(left);
        }
        if left == Some(0) {
            return Ok(ControlFlow::Break(StopReason::ProductBudget));
        }
        self.escaping = false;
        let cap = self.config.max_cg_iters.unwrap_or(2 * self.trial.len() + 2);
        let cg = TruncatedCg {
            relative_tolerance: self
                .config
                .forcing
                .eta(self.current.gradient_norm, self.start_norm),
            max_iters: Some(left.map_or(cap, |left| left.min(cap))),
            path_memory: self.config.path_memory,
        };
        let damping = T::of(self.config.damping);
        let b = CurvatureOperator::new(&*self.objective, self.config.curvature, damping)?;
        let g = ArrayView1::from(&self.gradient);
        let step = cg.solve_into(&b, g, self.radius, self.preconditioner, &mut self.work)?;
        self.stats.n_products += step.n_products;
        Ok(match step.stop {
            // A step that was found before the trouble is as good as any truncated one.
            _ if step.model < T::zero() => ControlFlow::Continue(step),
            TruncatedStop::NonFinite { what } => ControlFlow::Break(StopReason::NonFinite { what }),
            _ => ControlFlow::Break(StopReason::Stalled),
        })
    }

    /// At a stationary point: a step along negative curvature if there is any, or the end.
    fn leave_stationary_point(
        &mut self,
        left: Option<usize>,
    ) -> Result<ControlFlow<StopReason, TruncatedOutcome<T>>, SolverError> {
        let done = Ok(ControlFlow::Break(StopReason::GradientTolerance));
        let wish = self
            .config
            .stationary_check
            .products(self.stats.n_iters == 0);
        let spend = left.map_or(wish, |left| left.min(wish));
        if self.trial.is_empty() || spend < MIN_CHECK {
            return done;
        }
        let damping = T::of(self.config.damping);
        let b = CurvatureOperator::new(&*self.objective, self.config.curvature, damping)?;
        let Some(found) = lowest(&b, spend, self.config.seed)? else {
            return Ok(ControlFlow::Break(StopReason::NonFinite {
                what: Quantity::Product,
            }));
        };
        self.stats.n_products += found.n_products;
        self.stats.smallest_curvature = Some(found.curvature.as_f64());
        if !found.is_negative {
            return done;
        }
        self.escaping = true;
        self.work.follow(&found.direction, found.curvature);
        match self.work.shrink(self.radius) {
            Some(step) if step.model < T::zero() => Ok(ControlFlow::Continue(step)),
            _ => done,
        }
    }

    /// Evaluates the step in the workspace, takes or rejects it, adapts the radius.
    fn try_step(&mut self, step: TruncatedOutcome<T>) -> (IterationRecord, Option<StopReason>) {
        self.stats.n_iters += 1;
        if step.stop == TruncatedStop::NegativeCurvature {
            self.stats.n_negative_curvature += 1;
        }
        let mut moved = false;
        for ((t, &x), &p) in self
            .trial
            .iter_mut()
            .zip(&self.current.x)
            .zip(self.work.step())
        {
            *t = x + p;
            moved |= *t != x;
        }
        let predicted = -step.model;
        let value = self.trial_value();
        self.trial_was_finite = value.is_finite();
        let verdict = judge(self.current.value, value, predicted);
        let accepted = moved
            && verdict.ratio > T::of(self.config.accept_ratio)
            && value <= self.best.value + verdict.noise;
        let radius = self.radius;
        self.radius = next_radius(
            radius,
            self.max_radius,
            step.step_norm,
            if accepted {
                verdict.ratio
            } else {
                verdict.ratio.min(T::zero())
            },
            step.stop.on_boundary(),
        );
        self.fresh = accepted;
        let mut ending = None;
        if accepted {
            ending = self.accept(verdict.noise);
        } else if !moved || self.radius < self.collapse_radius() {
            ending = Some(self.collapsed(step.stop));
        }
        let record = IterationRecord {
            iteration: self.stats.n_iters - 1,
            value: self.current.value.as_f64(),
            gradient_norm: self.current.gradient_norm.as_f64(),
            radius: radius.as_f64(),
            step_norm: step.step_norm.as_f64(),
            predicted: predicted.as_f64(),
            ratio: verdict.ratio.is_finite().then(|| verdict.ratio.as_f64()),
            accepted,
            inner: step.stop,
            n_products: self.stats.n_products,
        };
        (record, ending)
    }

    fn trial_value(&mut self) -> T {
        if !all_finite(&self.trial) {
            return T::nan();
        }
        self.stats.n_value += 1;
        self.objective.value(ArrayView1::from(&self.trial))
    }

    /// Moves to the trial point; ends on a gradient that is not finite or on a stall.
    fn accept(&mut self, noise: T) -> Option<StopReason> {
        let best_before = self.best.value;
        std::mem::swap(&mut self.current.x, &mut self.trial);
        self.stats.n_accepted += 1;
        if let Some(what) = self.linearize() {
            return Some(StopReason::NonFinite { what });
        }
        let norm = self.current.gradient_norm;
        let better =
            self.current.value < best_before - noise || norm < T::of(0.9) * self.lowest_gradient;
        self.lowest_gradient = self.lowest_gradient.min(norm);
        self.idle = if better { 0 } else { self.idle + 1 };
        (self.idle >= STALL_LIMIT && norm > self.tolerance()).then_some(StopReason::Stalled)
    }

    /// Below this radius a step no longer changes the point.
    fn collapse_radius(&self) -> T {
        self.collapsed_below
            .max(T::epsilon() * norm2(&self.current.x))
    }

    /// What a radius too small to move means.
    fn collapsed(&self, inner: TruncatedStop) -> StopReason {
        if !self.trial_was_finite {
            return StopReason::NonFinite {
                what: Quantity::Value,
            };
        }
        if self.escaping {
            return StopReason::GradientTolerance;
        }
        // An interior Newton step below rounding: this is as close as one gets.
        if inner.on_boundary() {
            StopReason::RadiusCollapsed
        } else {
            StopReason::Stalled
        }
    }

    fn outcome(self, stop: StopReason) -> Outcome<T> {
        let point = if stop == StopReason::GradientTolerance {
            self.current
        } else {
            self.best
        };
        Outcome {
            x: Array1::from_vec(point.x),
            value: point.value,
            gradient_norm: point.gradient_norm,
            stop,
            stats: self.stats,
            history: self.history,
        }
    }
}
