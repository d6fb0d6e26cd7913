//! The strong Wolfe search.

use ad_core::Real;
use hvp_solvers::SolverError;
use hvp_solvers::minimize::Noise;
use serde::{Deserialize, Serialize};

use super::interval::Interval;
use super::{SearchOutcome, SearchStop, Trial};
use crate::settings::require;

/// A search for a step t that satisfies the strong Wolfe conditions
///
/// ```text
/// φ(t) ≤ φ(0) + c₁·t·φ′(0)      and      |φ′(t)| ≤ c₂·|φ′(0)|
/// ```
///
/// and is no higher than another trial that satisfies the first, or, where differences of φ drown in rounding, Hager and
/// Zhang's approximate ones: |φ(t) − φ(0)| within the [`Noise`] and
/// (2δ − 1)φ′(0) ≥ φ′(t) ≥ c₂φ′(0) with δ = 0.1. Noise is measured, by seven more evaluations at
/// most, when the second trial of a search fails by a difference that may be rounding.
///
/// A trial at which φ or φ′ is NaN or ±Inf counts as φ = +∞: the step is halved
/// towards the last finite trial, a halving that accelerates (½, ¼, ⅛, …) as long as
/// the trials stay non-finite. Whatever φ is, the search ends with an outcome that says
/// how, and the result is never worse than another trial, but by the noise for the approximate
/// conditions. One evaluation of value and gradient per trial; usually one or two.
///
/// Moré and Thuente, *Line search algorithms with guaranteed sufficient decrease* (1994), whose
/// choice of trials this is; the approximate conditions are from Hager and Zhang, *A new conjugate
/// gradient method with guaranteed descent* (2005).
///
/// ```
/// use optim::line_search::{SearchStop, StrongWolfe, Trial};
///
/// // φ(t) = (t − 2)², from t = 0 with the first trial at 0.1.
/// let mut phi = |t: f64| ((t - 2.0) * (t - 2.0), 2.0 * (t - 2.0));
/// let start = Trial { step: 0.0, value: 4.0, slope: -4.0 };
/// let found = StrongWolfe::default().search(start, 0.1, &mut phi);
/// assert_eq!(found.stop, SearchStop::StrongWolfe);
/// assert!(found.trial.value < 4.0 && found.trial.slope.abs() <= 0.9 * 4.0);
/// // Uphill, there is nothing to search for.
/// let uphill = Trial { slope: 4.0, ..start };
/// assert_eq!(StrongWolfe::default().search(uphill, 0.1, &mut phi).stop, SearchStop::NoDescent);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct StrongWolfe {
    /// c₁ in (0, ½). Default 1e-4.
    pub sufficient_decrease: f64,
    /// c₂ in (c₁, 1). Default 0.9, for quasi-Newton directions.
    pub curvature: f64,
    /// Evaluations allowed. Default 40.
    pub max_evals: u64,
}

impl Default for StrongWolfe {
    fn default() -> Self {
        StrongWolfe {
            sufficient_decrease: 1e-4,
            curvature: 0.9,
            max_evals: 40,
        }
    }
}

impl StrongWolfe {
    /// Checks the settings.
    ///
    /// # Errors
    /// [`SolverError::InvalidSetting`] naming the field.
    pub fn check(&self) -> Result<(), SolverError> {
        let (c1, c2) = (self.sufficient_decrease, self.curvature);
        require(
            "sufficient_decrease",
            c1,
            c1 > 0.0 && c1 < 0.5,
            "in (0, 1/2)",
        )?;
        require(
            "curvature",
            c2,
            c2 > c1 && c2 < 1.0,
            "in (sufficient_decrease, 1)",
        )?;
        require(
            "max_evals",
            self.max_evals as f64,
            self.max_evals > 0,
            "at least 1",
        )
    }

    /// Searches from `start` (step 0) with the first trial at `first_step`. `evaluate` returns
    /// (φ(t), φ′(t)).
    ///
    /// A start or a first step that cannot be used is an ending like any other:
    /// [`SearchStop::NonFinite`], [`SearchStop::NoDescent`], [`SearchStop::UnusableStep`].
    pub fn search<T: Real>(
        &self,
        start: Trial<T>,
        first_step: T,
        evaluate: impl FnMut(T) -> (T, T),
    ) -> SearchOutcome<T> {
        self.search_with(start, first_step, &mut Noise::new(start.value), evaluate)
    }

    /// [`Self::search`] with what is known of the noise of φ's values, which may be measured anew.
    pub fn search_with<T: Real>(
        &self,
        start: Trial<T>,
        first_step: T,
        noise: &mut Noise<T>,
        evaluate: impl FnMut(T) -> (T, T),
    ) -> SearchOutcome<T> {
        let unusable = if !start.is_finite() {
            Some(SearchStop::NonFinite)
        } else if start.slope >= T::zero() {
            Some(SearchStop::NoDescent)
        } else if !(first_step.is_finite() && first_step > T::zero()) {
            Some(SearchStop::UnusableStep)
        } else {
            None
        };
        if let Some(stop) = unusable {
            return SearchOutcome {
                trial: start,
                stop,
                n_evals: 0,
            };
        }
        let mut search = Search {
            settings: self,
            evaluate,
            noise,
            start,
            best: start,
            promised: T::of(-0.5) * first_step * start.slope,
            n_evals: 0,
            last_is_finite: true,
            n_rejected: 0,
            measured: false,
        };
        let end = search.run(first_step);
        search.finish(end)
    }
}

/// A search under way.
struct Search<'a, T: Real, E> {
    settings: &'a StrongWolfe,
    evaluate: E,
    noise: &'a mut Noise<T>,
    start: Trial<T>,
    best: Trial<T>,
    /// The decrease that the first trial is worth, if it is at the minimum of a parabola.
    promised: T,
    n_evals: u64,
    last_is_finite: bool,
    /// Trials that were too high.
    n_rejected: u32,
    /// Whether the noise was measured in this search.
    measured: bool,
}

/// Trials that are noise after which the slopes are so too.
const MOST_NOISE: u32 = 6;

/// A trial that ends the search, or why it ends without one.
type End<T> = Result<(Trial<T>, SearchStop), SearchStop>;

impl<T: Real, E: FnMut(T) -> (T, T)> Search<'_, T, E> {
    fn trial(&mut self, step: T) -> Trial<T> {
        let (value, slope) = (self.evaluate)(step);
        self.n_evals += 1;
        let trial = Trial { step, value, slope };
        self.last_is_finite = trial.is_finite();
        if self.last_is_finite && trial.value < self.best.value {
            self.best = trial;
        }
        trial
    }

    fn left(&self) -> u64 {
        self.settings.max_evals - self.n_evals.min(self.settings.max_evals)
    }

    /// φ(0) + c₁·t·φ′(0).
    fn line(&self, step: T) -> T {
        let c1 = T::of(self.settings.sufficient_decrease);
        self.start.value + c1 * step * self.start.slope
    }

    /// Whether two values may be the same but for rounding.
    fn same(&self, a: T, b: T) -> bool {
        (a - b).abs() <= self.noise.level(a, b)
    }

    /// Whether a finite trial ends the search, and by which conditions.
    fn accepts(&self, trial: &Trial<T>) -> Option<SearchStop> {
        let c2 = T::of(self.settings.curvature);
        let slope_start = self.start.slope;
        let is_low = trial.value <= self.line(trial.step);
        if is_low && trial.slope.abs() <= c2 * -slope_start {
            if trial.value <= self.best.value {
                return Some(SearchStop::StrongWolfe);
            }
            // Else there is a lower trial that can do, nearer to a minimum.
            if self.best.value > self.line(self.best.step) {
                return Some(SearchStop::Lower);
            }
        }
        // (2δ − 1)φ′(0) with Hager and Zhang's δ = 0.1.
        let slope_upper = T::of(-0.8) * slope_start;
        let flat = trial.slope <= slope_upper && trial.slope >= c2 * slope_start;
        let is_same = self.same(trial.value, self.start.value)
            && trial.value <= self.best.value + self.noise.level(trial.value, self.best.value);
        (flat && is_same).then_some(SearchStop::ApproximateWolfe)
    }

    /// Whether a trial equals the start and the lower end but for rounding, and the slopes do not say
    /// otherwise: they then decide.
    fn is_noise(&self, trial: &Trial<T>, low: &Trial<T>) -> bool {
        /// In units of the noise: what slopes promise is an estimate.
        const PROMISED: f64 = 8.0;
        let steepest = trial.slope.abs().max(low.slope.abs());
        let promised = steepest * (trial.step - low.step).abs();
        promised <= T::of(PROMISED) * self.noise.level(trial.value, low.value)
            && self.same(trial.value, low.value)
            && self.same(trial.value, self.start.value)
    }

    fn run(&mut self, first_step: T) -> End<T> {
        let mut interval = Interval::new(self.start, first_step);
        let mut step = first_step;
        // While no trial was on the line of sufficient decrease and beyond a minimum, the search is
        // for a minimum below that line.
        let mut below_line = true;
        let mut n_noise = 0;
        while self.left() > 0 {
            let trial = self.trial(step);
            if !trial.is_finite() {
                step = interval.retreat(step).ok_or(SearchStop::BracketExhausted)?;
                continue;
            }
            match self.accepts(&trial) {
                Some(SearchStop::Lower) => return Ok((self.best, SearchStop::Lower)),
                Some(stop) => return Ok((trial, stop)),
                None => {}
            }
            let low = *interval.low();
            let on_line = trial.value <= self.line(step);
            below_line &= !(on_line && trial.slope >= T::zero());
            let is_noise = self.is_noise(&trial, &low);
            if !is_noise && trial.value >= low.value {
                self.n_rejected += 1;
                if self.may_measure(&trial) && self.measure(&trial) {
                    // The same step again, with what is known now.
                    continue;
                }
            }
            let is_low = trial.value <= low.value || self.same(trial.value, low.value);
            let tilts = below_line && !is_noise && is_low && !on_line;
            let tilt = if tilts {
                T::of(self.settings.sufficient_decrease) * self.start.slope
            } else {
                T::zero()
            };
            let raised = trial.value - tilt * trial.step >= low.value - tilt * low.step;
            let next = if is_noise {
                n_noise += 1;
                if n_noise >= MOST_NOISE {
                    return Err(SearchStop::NoiseLevel);
                }
                // Values as the slopes have them.
                let half = T::of(0.5) * (trial.step - low.step);
                let value = low.value + half * (low.slope + trial.slope);
                interval.next(Trial { value, ..trial }, false, tilt)
            } else {
                interval.next(trial, raised, tilt)
            };
            step = next.ok_or(SearchStop::BracketExhausted)?;
        }
        Err(SearchStop::EvaluationBudget)
    }

    /// Whether a trial that is too high is worth seven evaluations to know if it is by noise: the
    /// first one hardly ever is.
    fn may_measure(&self, trial: &Trial<T>) -> bool {
        const FIRST: u32 = 2;
        let promised = T::of(-0.5) * trial.step * self.start.slope;
        !self.measured
            && self.n_rejected >= FIRST
            && self.left() > Noise::<T>::N_VALUES
            && self
                .noise
                .may_be_noise(self.start.value, trial.value, promised, self.n_rejected)
    }

    /// Measures the noise between the start and a trial; whether the estimate has grown.
    fn measure(&mut self, trial: &Trial<T>) -> bool {
        self.measured = true;
        let mut noise = *self.noise;
        let (start, end) = (self.start.value, trial.value);
        let grown = noise.measure(start, end, |share| self.trial(share * trial.step).value);
        *self.noise = noise;
        grown
    }

    fn finish(self, end: End<T>) -> SearchOutcome<T> {
        let (trial, stop) = match end {
            Ok(accepted) => accepted,
            Err(stop) => (self.best, self.typed(stop)),
        };
        SearchOutcome {
            trial,
            stop,
            n_evals: self.n_evals,
        }
    }

    /// Why nothing was accepted.
    fn typed(&self, stop: SearchStop) -> SearchStop {
        if !self.last_is_finite && self.best.step <= T::zero() {
            SearchStop::NonFinite
        } else if self.same(self.best.value, self.start.value)
            && self.promised <= self.noise.level(self.start.value, self.best.value)
        {
            SearchStop::NoiseLevel
        } else {
            stop
        }
    }
}
