//! How far a descent has come, and whether it goes on.

use ad_core::Real;
use serde::{Deserialize, Serialize};

use super::{Best, Iterate, Noise, Outcome, Stats, StopReason};
use crate::bits;

/// Accepted steps in a row that improve neither value nor gradient before it is a stall.
const STALL_LIMIT: u32 = 5;

/// The best point so far, the noise of the values, and the signs of a stall.
///
/// Part of the state of every method that tests values for decrease.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Progress<T: Real> {
    best: Best<T>,
    noise: Noise<T>,
    #[serde(with = "bits::scalar")]
    lowest_gradient: T,
    n_idle: u32,
    /// What a full step was last said to gain; infinite if nobody has said.
    #[serde(with = "bits::scalar")]
    gain: T,
    /// Trials that failed, and measurements of the noise, from the current point.
    n_failed: u32,
    n_measured: u32,
    /// Measurements in a row that found nothing, and occasions to let pass for that.
    n_fruitless: u32,
    n_to_skip: u32,
    /// Whether each of the idle steps promised no more than noise.
    is_quiet: bool,
}

impl<T: Real> Progress<T> {
    /// At the first point.
    pub fn new(first: &Iterate<T>) -> Self {
        Self {
            best: Best::new(first),
            noise: Noise::new(first.value),
            lowest_gradient: T::infinity(),
            n_idle: 0,
            gain: T::infinity(),
            n_failed: 0,
            n_measured: 0,
            n_fruitless: 0,
            n_to_skip: 0,
            is_quiet: true,
        }
    }

    /// By how much two values may differ through rounding alone; see [`Noise::level`].
    pub fn noise(&self, a: T, b: T) -> T {
        self.noise.level(a, b)
    }

    /// What to allow for where values are held against a promise; see [`Noise::allowance`].
    pub fn allowance(&self, a: T, b: T, promised: T) -> T {
        self.noise.allowance(a, b, promised)
    }

    /// Whether a value is no worse than the lowest, up to this noise.
    pub fn is_no_worse(&self, value: T, noise: T) -> bool {
        value <= self.best.lowest_value() + noise
    }

    /// Tells of a trial that failed, although the decrease `promised` was positive. If that may be
    /// due to noise, and it has not been found out here before, the noise is measured between the
    /// current point, `t = 0`, and the trial, `t = 1`; the true answer is that more of it was
    /// found, so that the trial deserves a second judgement.
    ///
    /// `evaluate` is called [`Noise::N_VALUES`] times at most, and never with fewer
    /// evaluations left than that and two.
    pub fn doubt(
        &mut self,
        value: T,
        trial: T,
        promised: T,
        values_left: u64,
        mut evaluate: impl FnMut(T) -> T,
    ) -> bool {
        /// A first measurement may be spoilt by the curvature along a long step.
        const SECOND_LOOK: u32 = 4;
        let n_failed = self.n_failed;
        self.n_failed += 1;
        let is_due = match self.n_measured {
            0 => true,
            1 => n_failed >= SECOND_LOOK,
            _ => false,
        };
        let wanted = is_due
            && trial.is_finite()
            && values_left >= Noise::<T>::N_VALUES + 2
            && self.noise.may_be_noise(value, trial, promised, n_failed);
        if !wanted {
            return false;
        }
        if self.n_to_skip > 0 {
            self.n_to_skip -= 1;
            return false;
        }
        self.n_measured += 1;
        let mut are_alike = is_same(value, trial);
        let mut found = self.noise.measure(value, trial, |t| {
            let inside = evaluate(t);
            are_alike &= is_same(value, inside);
            inside
        });
        if are_alike {
            self.noise.resolves_no(promised, value);
            found = true;
        }
        // Where there is none to be found, the values are better spent otherwise.
        self.n_fruitless = if found { 0 } else { self.n_fruitless + 1 };
        self.n_to_skip = (1 << self.n_fruitless.min(20)) - 1;
        found
    }

    /// Tells what the model says that a full step, without a bound on its length, would gain:
    /// positive, infinite if nothing is known of it.
    pub fn promise(&mut self, gain: T) {
        self.gain = gain;
    }

    /// Tells of the value that this full step led to. What the model says of a gain within the
    /// noise is not believed if the value has changed by more than that.
    pub fn check_promise(&mut self, value: T, trial: T) {
        let change = (trial - value).abs();
        if change.is_nan() || change > self.noise.level(value, trial) {
            self.gain = T::infinity();
        }
    }

    /// Tells of a new point, to which a step led that `promised` a decrease; values were compared
    /// up to this noise.
    pub fn accept(&mut self, iterate: &Iterate<T>, noise: T, promised: T) {
        let (value, norm) = (iterate.value, iterate.gradient_norm());
        let better =
            value < self.best.lowest_value() - noise || norm < T::of(0.9) * self.lowest_gradient;
        if better {
            (self.n_idle, self.is_quiet) = (0, true);
        } else {
            self.n_idle += 1;
            let promised = promised.min(self.gain);
            let noise = &self.noise;
            self.is_quiet &=
                noise.is_of_its_order(promised) || promised <= noise.level(value, value);
        }
        self.lowest_gradient = self.lowest_gradient.min(norm);
        self.best.offer_within(iterate, noise);
        self.noise.follow(value);
        (self.n_failed, self.n_measured) = (0, 0);
    }

    /// Whether a step of another kind is due: the last one has gained nothing, in value or
    /// gradient, and was not such a step itself.
    pub fn needs_a_change(&self) -> bool {
        self.n_idle % 2 == 1
    }

    /// The end of a run whose last steps have gained nothing: [`StopReason::NoiseFloor`] if none of
    /// them promised more than the order of the noise, though it was free to be longer.
    pub fn stall(&self, value: T) -> Option<StopReason> {
        if self.n_idle < STALL_LIMIT {
            None
        } else if self.is_quiet {
            Some(StopReason::NoiseFloor)
        } else {
            Some(self.at_rest(value, StopReason::Stalled))
        }
    }

    /// How a run ends that cannot go on from a point of this value:
    /// [`StopReason::NoiseFloor`] if no more than noise is to be gained.
    pub fn at_rest(&self, value: T, otherwise: StopReason) -> StopReason {
        if self.gain <= self.noise.level(value, value) {
            StopReason::NoiseFloor
        } else {
            otherwise
        }
    }

    /// The best point: the one with the smallest gradient of those that are as low as the lowest
    /// up to noise.
    pub fn outcome(&self, stats: Stats) -> Outcome<T> {
        self.best.outcome(stats)
    }
}

/// Whether two values are the same number.
fn is_same<T: Real>(a: T, b: T) -> bool {
    a.partial_cmp(&b) == Some(std::cmp::Ordering::Equal)
}
