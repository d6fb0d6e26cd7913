//! The strong Wolfe search: bracketing, then zooming in by cubic interpolation.

use ad_core::Real;
use hvp_solvers::SolverError;
use serde::{Deserialize, Serialize};

use super::cubic;
use crate::settings::{positive, require};

/// A point on the search line: t, φ(t), φ′(t).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Trial<T> {
    /// t.
    pub step: T,
    /// φ(t).
    pub value: T,
    /// φ′(t).
    pub slope: T,
}

impl<T: Real> Trial<T> {
    fn is_finite(&self) -> bool {
        self.value.is_finite() && self.slope.is_finite()
    }
}

/// How a search ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SearchStop {
    /// Both strong Wolfe conditions hold.
    StrongWolfe,
    /// The slopes satisfy the approximate Wolfe conditions, and the value is that of
    /// the start up to rounding.
    ApproximateWolfe,
    /// Neither, within the evaluations allowed; but the value is lower than at the start.
    Lower,
    /// No trial was lower than the start.
    Failed,
}

/// The end of a search.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SearchOutcome<T> {
    /// The chosen trial; the start itself if the search failed.
    pub trial: Trial<T>,
    /// How the search ended.
    pub stop: SearchStop,
    /// Evaluations of φ and φ′.
    pub n_evals: u64,
}

/// A search for a step t that satisfies the strong Wolfe conditions
///
/// ```text
/// φ(t) ≤ φ(0) + c₁·t·φ′(0)      and      |φ′(t)| ≤ c₂·|φ′(0)|
/// ```
///
/// or, where differences of φ drown in rounding, Hager and Zhang's approximate ones:
/// |φ(t) − φ(0)| ≤ ν|φ(0)| and (2δ − 1)φ′(0) ≥ φ′(t) ≥ c₂φ′(0) with δ = 0.1.
///
/// A trial at which φ or φ′ is NaN or ±Inf counts as φ = +∞: the step is halved
/// towards the last finite trial, a halving that accelerates (½, ¼, ⅛, …) as long as
/// the trials stay non-finite. The result is never worse than another trial, except
/// by ν|φ(0)| for the approximate conditions. One evaluation of value and gradient a
/// trial; usually one or two.
///
/// Nocedal and Wright, *Numerical Optimization*, 2nd ed., algorithms 3.5 and 3.6;
/// the extrapolation limits 1.1 and 4 and the required shrinkage 0.66 of the bracket
/// are from Moré and Thuente, *Line search algorithms with guaranteed sufficient
/// decrease* (1994); the approximate conditions from Hager and Zhang, *A new
/// conjugate gradient method with guaranteed descent* (2005).
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
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct StrongWolfe {
    /// c₁ in (0, ½). Default 1e-4.
    pub sufficient_decrease: f64,
    /// c₂ in (c₁, 1). Default 0.9, for quasi-Newton directions.
    pub curvature: f64,
    /// ν in units of machine epsilon: differences of values below ν·eps·|φ(0)| are
    /// taken for rounding. Default 64; an objective summed over many terms of mixed
    /// sign is noisier.
    pub noise_ulps: f64,
    /// Trials allowed. Default 40.
    pub max_evals: u64,
}

impl Default for StrongWolfe {
    fn default() -> Self {
        StrongWolfe {
            sufficient_decrease: 1e-4,
            curvature: 0.9,
            noise_ulps: 64.0,
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
        positive("noise_ulps", self.noise_ulps)?;
        require(
            "max_evals",
            self.max_evals as f64,
            self.max_evals > 0,
            "at least 1",
        )
    }

    /// Searches from `start` (step 0, finite, slope < 0) with the first trial at
    /// `first_step` > 0. `evaluate` returns (φ(t), φ′(t)).
    ///
    /// # Panics
    /// If `start` has a slope that is not negative or a value that is not finite, or
    /// `first_step` is not positive and finite.
    pub fn search<T: Real>(
        &self,
        start: Trial<T>,
        first_step: T,
        evaluate: impl FnMut(T) -> (T, T),
    ) -> SearchOutcome<T> {
        assert!(
            start.is_finite() && start.slope < T::zero(),
            "not a descent direction"
        );
        assert!(
            first_step.is_finite() && first_step > T::zero(),
            "unusable first step"
        );
        let mut search = Search {
            settings: self,
            evaluate,
            start,
            best: start,
            noise: T::of(self.noise_ulps) * T::epsilon() * start.value.abs(),
            n_evals: 0,
        };
        let found = search.bracket(first_step);
        search.finish(found)
    }
}

/// An accepted trial and the conditions that it satisfies.
type Accepted<T> = Option<(Trial<T>, SearchStop)>;

/// A search under way.
struct Search<'a, T, E> {
    settings: &'a StrongWolfe,
    evaluate: E,
    start: Trial<T>,
    best: Trial<T>,
    noise: T,
    n_evals: u64,
}

/// The upper end of the bracket: a finite trial, or a step at which φ is not finite.
#[derive(Clone, Copy)]
enum Upper<T> {
    Finite(Trial<T>),
    NonFinite(T),
}

impl<T: Real> Upper<T> {
    fn step(&self) -> T {
        match self {
            Upper::Finite(trial) => trial.step,
            Upper::NonFinite(step) => *step,
        }
    }
}

impl<T: Real, E: FnMut(T) -> (T, T)> Search<'_, T, E> {
    fn trial(&mut self, step: T) -> Trial<T> {
        let (value, slope) = (self.evaluate)(step);
        self.n_evals += 1;
        let trial = Trial { step, value, slope };
        if trial.is_finite() && trial.value < self.best.value {
            self.best = trial;
        }
        trial
    }

    fn exhausted(&self) -> bool {
        self.n_evals >= self.settings.max_evals
    }

    /// Whether φ(t) lies above the line of sufficient decrease.
    fn too_high(&self, trial: &Trial<T>) -> bool {
        let c1 = T::of(self.settings.sufficient_decrease);
        trial.value > self.start.value + c1 * trial.step * self.start.slope
    }

    /// Whether a finite trial ends the search, and by which conditions.
    fn accepts(&self, trial: &Trial<T>) -> Option<SearchStop> {
        let c2 = T::of(self.settings.curvature);
        let slope_start = self.start.slope;
        if !self.too_high(trial) && trial.slope.abs() <= c2 * -slope_start {
            return Some(SearchStop::StrongWolfe);
        }
        // (2δ − 1)φ′(0) with Hager and Zhang's δ = 0.1.
        let slope_upper = T::of(-0.8) * slope_start;
        let flat = trial.slope <= slope_upper && trial.slope >= c2 * slope_start;
        (flat && (trial.value - self.start.value).abs() <= self.noise)
            .then_some(SearchStop::ApproximateWolfe)
    }

    /// Whether φ at `trial` is too high for it to replace the lower end `low`.
    fn is_above(&self, trial: &Trial<T>, low: &Trial<T>) -> bool {
        // Values that differ by rounding alone say nothing; the slopes then decide.
        let is_noise = (trial.value - low.value).abs() <= self.noise
            && (trial.value - self.start.value).abs() <= self.noise;
        !is_noise && (self.too_high(trial) || trial.value >= low.value)
    }

    /// Lengthens the step until a minimum is enclosed.
    fn bracket(&mut self, first_step: T) -> Accepted<T> {
        let mut low = self.start;
        let mut step = first_step;
        while !self.exhausted() && step.is_finite() {
            let trial = self.trial(step);
            if !trial.is_finite() {
                return self.zoom(low, Upper::NonFinite(step));
            }
            if let Some(stop) = self.accepts(&trial) {
                return Some((trial, stop));
            }
            if self.is_above(&trial, &low) {
                return self.zoom(low, Upper::Finite(trial));
            }
            if trial.slope >= T::zero() {
                return self.zoom(trial, Upper::Finite(low));
            }
            let width = trial.step - low.step;
            let (least, most) = (step + T::of(1.1) * width, step + T::of(4.0) * width);
            // `max` and `min` ignore a NaN: without a cubic minimum take the most.
            let guess = cubic::minimiser(&low, &trial);
            step = if guess > step {
                guess.max(least).min(most)
            } else {
                most
            };
            low = trial;
        }
        None
    }

    /// Shrinks the bracket between `low`, the best end, and `high`.
    fn zoom(&mut self, mut low: Trial<T>, mut high: Upper<T>) -> Accepted<T> {
        let half = T::of(0.5);
        let mut shrink = half;
        let mut width_two_ago = T::infinity();
        let mut width_before = T::infinity();
        while !self.exhausted() {
            let width = (high.step() - low.step).abs();
            if width <= T::epsilon() * low.step.max(high.step()) {
                return None;
            }
            let step = match high {
                Upper::NonFinite(step) => low.step + shrink * (step - low.step),
                Upper::Finite(_) if width > T::of(0.66) * width_two_ago => {
                    low.step + half * (high.step() - low.step)
                }
                Upper::Finite(high) => inside(&low, &high),
            };
            (width_two_ago, width_before) = (width_before, width);
            let trial = self.trial(step);
            if !trial.is_finite() {
                high = Upper::NonFinite(step);
                shrink *= half;
                continue;
            }
            if let Some(stop) = self.accepts(&trial) {
                return Some((trial, stop));
            }
            shrink = half;
            if self.is_above(&trial, &low) {
                high = Upper::Finite(trial);
            } else {
                // The minimum lies on the side to which φ falls from the new low end.
                if trial.slope * (high.step() - low.step) >= T::zero() {
                    high = Upper::Finite(low);
                }
                low = trial;
            }
        }
        None
    }

    /// The best that can be returned.
    fn finish(&self, found: Accepted<T>) -> SearchOutcome<T> {
        let (trial, stop) = match found {
            // A longer step may lie lower and yet above the line of sufficient decrease.
            Some((trial, stop)) if trial.value <= self.best.value + self.noise => (trial, stop),
            _ if self.best.value < self.start.value => (self.best, SearchStop::Lower),
            _ => (self.start, SearchStop::Failed),
        };
        SearchOutcome {
            trial,
            stop,
            n_evals: self.n_evals,
        }
    }
}

/// A trial step between the ends: the minimum of the cubic, kept a tenth of the
/// bracket away from either end; the middle if the cubic has none.
fn inside<T: Real>(low: &Trial<T>, high: &Trial<T>) -> T {
    let width = high.step - low.step;
    let share = (cubic::minimiser(low, high) - low.step) / width;
    if share.is_nan() {
        return low.step + T::of(0.5) * width;
    }
    low.step + share.max(T::of(0.1)).min(T::of(0.9)) * width
}
