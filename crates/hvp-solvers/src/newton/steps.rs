//! Trial steps from one point, each shorter than the last, until one is good enough.

use ad_core::Real;

use super::radius::{Verdict, next_radius};
use super::ration::Rationed;
use super::saddle::{StationaryCheck, lowest};
use super::walk::{Trial, Walk};
use crate::error::Quantity;
use crate::minimize::{Budget, StopReason};
use crate::vector::{dot, norm2};
use crate::{Curvature, CurvatureOperator, SecondOrder};

/// What a method says of a trial step.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step<T> {
    /// The model's value there, below zero.
    pub(crate) model: T,
    /// `‖p‖`.
    pub(crate) norm: T,
    /// Whether a bound on the length was in the way.
    pub(crate) on_boundary: bool,
    /// Whether it follows nonpositive curvature.
    pub(crate) is_negative: bool,
    /// What a step without any bound on its length would gain by the model, about; infinite if
    /// that is not known.
    pub(crate) gain: T,
}

/// A source of trial steps.
pub(crate) trait Steps<T: Real, F: ?Sized> {
    /// The first step from the current point, or one that is shorter than the last.
    fn next(
        &mut self,
        walk: &mut Walk<T>,
        objective: &F,
        first: bool,
    ) -> Result<Step<T>, StopReason>;

    /// The vector of that step.
    fn vector(&self) -> &[T];

    /// Learns how good the step was: actual over predicted decrease, at most zero if it
    /// was rejected.
    fn learn(&mut self, step: &Step<T>, ratio: T);

    /// A bound on the length of the next step.
    fn reach(&self) -> T;

    /// Below this reach there is nothing to be found.
    fn least_reach(&self) -> T;
}

/// Tries steps until one is accepted, and moves there; or says why none is.
pub(crate) fn advance<T, F, S>(
    walk: &mut Walk<T>,
    objective: &mut F,
    steps: &mut S,
    accept_ratio: f64,
    budget: Budget,
) -> Option<StopReason>
where
    T: Real,
    F: SecondOrder<T> + ?Sized,
    S: Steps<T, F>,
{
    if let Some(stop) = walk.begin(budget) {
        return Some(stop);
    }
    let mut first = true;
    loop {
        let step = match steps.next(walk, objective, first) {
            Ok(step) => step,
            Err(stop) => return Some(stop),
        };
        let is_full = std::mem::take(&mut first);
        if is_full {
            walk.promise(step.gain);
        }
        walk.n_negative_curvature += u64::from(step.is_negative);
        let trial = walk.try_step(objective, steps.vector());
        if walk.is_out_of_values() {
            return Some(StopReason::EvaluationBudget);
        }
        let (verdict, accepted) =
            weigh(walk, objective, steps.vector(), &step, trial, accept_ratio);
        if is_full {
            walk.check_promise(trial);
        }
        if accepted {
            steps.learn(&step, verdict.ratio);
            return walk.accept(objective, verdict.noise);
        }
        // The region's norm need not be that of x.
        let length = norm2(steps.vector()) / step.norm;
        steps.learn(&step, verdict.ratio.min(T::zero()));
        walk.n_rejected += 1;
        let reach = steps.reach();
        if !trial.moved || reach < steps.least_reach() || reach * length < walk.negligible() {
            // An interior Newton step below rounding: this is as close as one gets.
            let otherwise = if step.on_boundary {
                StopReason::RadiusCollapsed
            } else {
                StopReason::Stalled
            };
            return Some(walk.exhausted(trial, otherwise));
        }
    }
}

/// Judges the last trial, a second time if the noise turns out to be larger than was known; and
/// whether it is good enough.
fn weigh<T, F>(
    walk: &mut Walk<T>,
    objective: &mut F,
    p: &[T],
    step: &Step<T>,
    trial: Trial<T>,
    accept_ratio: f64,
) -> (Verdict<T>, bool)
where
    T: Real,
    F: SecondOrder<T> + ?Sized,
{
    let judge = |walk: &mut Walk<T>| {
        let verdict = walk.judge(trial, step.norm, -step.model);
        let good = trial.moved
            && verdict.ratio > T::of(accept_ratio)
            && walk.is_no_worse(trial.value, verdict.noise);
        (verdict, good)
    };
    let (verdict, good) = judge(walk);
    if !good && walk.doubt(objective, p, trial, -step.model) {
        return judge(walk);
    }
    (verdict, good)
}

/// Below this nothing is to be found where a search began with `reach`; above zero.
pub(crate) fn least_reach<T: Real>(reach: T) -> T {
    (T::epsilon() * T::epsilon() * reach).max(T::min_positive_value())
}

/// Steps along a direction of negative curvature.
struct Along<T> {
    direction: Vec<T>,
    curvature: T,
    reach: T,
    max_reach: T,
    least_reach: T,
    step: Vec<T>,
}

impl<T: Real, F: ?Sized> Steps<T, F> for Along<T> {
    fn next(&mut self, walk: &mut Walk<T>, _: &F, first: bool) -> Result<Step<T>, StopReason> {
        walk.n_free_steps += u64::from(!first);
        let t = self.reach;
        self.step.clear();
        self.step.extend(self.direction.iter().map(|&d| t * d));
        Ok(Step {
            model: T::of(0.5) * t * self.curvature * t,
            norm: t,
            on_boundary: true,
            is_negative: true,
            gain: T::infinity(),
        })
    }

    fn vector(&self) -> &[T] {
        &self.step
    }

    fn learn(&mut self, step: &Step<T>, ratio: T) {
        self.reach = next_radius(self.reach, self.max_reach, step.norm, ratio, true);
    }

    fn reach(&self) -> T {
        self.reach
    }

    fn least_reach(&self) -> T {
        self.least_reach
    }
}

/// When and how to look for a way down from a stationary point.
pub(crate) struct Look<T> {
    pub(crate) check: StationaryCheck,
    pub(crate) seed: u64,
    /// The length of the first trial step, and the longest next one.
    pub(crate) reach: T,
    pub(crate) max_reach: T,
    /// The matrix whose curvature counts, `H + λI`. That of Gauss–Newton has none below zero.
    pub(crate) curvature: Curvature,
    pub(crate) damping: T,
}

/// Moves down from a stationary point along negative curvature, if a few Lanczos steps find
/// any; returns the length that was good, or how the run ends.
pub(crate) fn leave<T, F>(
    walk: &mut Walk<T>,
    objective: &mut F,
    look: &Look<T>,
    budget: Budget,
) -> Result<T, StopReason>
where
    T: Real,
    F: SecondOrder<T> + ?Sized,
{
    /// A Lanczos check with fewer products would say nothing.
    const MIN_CHECK: usize = 4;
    let wish = look.check.products(walk.stats().n_iters == 0);
    let spend = budget.products_up_to(wish);
    let hopeless = walk.dim() == 0 || look.curvature == Curvature::GaussNewton;
    if hopeless || spend < MIN_CHECK {
        return Err(StopReason::GradientTolerance);
    }
    let operator = CurvatureOperator::of(objective, look.curvature, look.damping);
    let operator = Rationed::new(&operator, spend);
    let found = lowest(&operator, spend, look.seed);
    walk.count_products(operator.n_products());
    let Ok(Some(found)) = found else {
        let what = Quantity::Product;
        // A look that was cut short has seen nothing.
        return Err(if operator.has_refused() {
            StopReason::GradientTolerance
        } else {
            StopReason::NonFinite { what }
        });
    };
    walk.smallest_curvature = found.curvature;
    if !found.is_negative {
        return Err(StopReason::GradientTolerance);
    }
    let mut direction = found.direction;
    if dot(walk.gradient(), &direction) > T::zero() {
        direction.iter_mut().for_each(|d| *d = -*d);
    }
    let mut along = Along {
        direction,
        curvature: found.curvature,
        reach: look.reach,
        max_reach: look.max_reach,
        least_reach: least_reach(look.reach),
        step: Vec::new(),
    };
    match advance(walk, objective, &mut along, 0.1, budget) {
        None => Ok(along.reach),
        Some(stop @ StopReason::NonFinite { .. }) => Err(stop),
        // The values do not confirm the curvature.
        Some(_) => Err(StopReason::GradientTolerance),
    }
}
