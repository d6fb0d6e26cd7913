//! How much of a value is rounding.

use ad_core::Real;
use serde::{Deserialize, Serialize};

use crate::bits;
use crate::vector::power_of_two_below;

/// Intervals that the way to a trial point is cut into.
const INTERVALS: usize = 7;

/// The rounding noise of an objective's values near the current point.
///
/// A value of size `|f|` carries `10·eps·|f|` of rounding at least, and that is the estimate
/// to begin with. It can be far too low: for a sum of large terms that cancel, or where a term
/// is a steep function of the point. So where a test of decrease is about to fail by a
/// difference that may be noise ([`may_be_noise`](Self::may_be_noise)), the noise is measured
/// ([`measure`](Self::measure)): from six more values along the rejected step, by their
/// table of differences. Of a smooth function the differences of higher order `k` vanish; those
/// of noise grow as `C(2k, k)^½` (Hamming; Moré & Wild, *Estimating computational noise*, 2011).
///
/// Everything is relative to the values: a function times a power of two has that times the
/// noise, to the bit.
///
/// ```
/// use hvp_solvers::minimize::Noise;
/// // A parabola near its minimum, rounded to multiples of 1e-9.
/// let f = |t: f64| ((88.0 + 1e-11 * (t - 1.0) * (t - 1.0) + 3e-9 * (9e3 * t).sin()) * 1e9).round() / 1e9;
/// let mut noise = Noise::new(f(0.0));
/// let (value, trial) = (f(0.0), f(1.0));
/// assert!(noise.may_be_noise(value, trial, 1e-11, 0));
/// assert!(noise.measure(value, trial, f));
/// let level = noise.level(value, trial);
/// assert!(level > 3e-9 && level < 1e-7);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Noise<T: Real> {
    /// The standard deviation measured, zero if there is none that still holds.
    #[serde(with = "bits::scalar")]
    deviation: T,
    /// The value where it was measured.
    #[serde(with = "bits::scalar")]
    measured_at: T,
    /// The largest magnitude of the values so far.
    #[serde(with = "bits::scalar")]
    largest: T,
}

impl<T: Real> Noise<T> {
    /// The values that [`measure`](Self::measure) asks for, at most.
    pub const N_VALUES: u64 = INTERVALS as u64 - 1;

    /// Nothing measured yet, at a point of this value.
    pub fn new(value: T) -> Self {
        let mut noise = Self {
            deviation: T::zero(),
            measured_at: T::zero(),
            largest: T::zero(),
        };
        noise.follow(value);
        noise
    }

    /// Goes along to a point of this value. What was measured is forgotten once the value has
    /// fallen far below where that was.
    pub fn follow(&mut self, value: T) {
        /// In units of the level: further down other terms may matter.
        const FAR: f64 = 1e3;
        if value.is_finite() {
            self.largest = self.largest.max(value.abs());
        }
        if value < self.measured_at - T::of(FAR) * self.measured() {
            self.deviation = T::zero();
        }
    }

    /// By how much two values may differ through rounding alone: `10·eps·max(|a|, |b|)`, or what
    /// was measured if that is more.
    pub fn level(&self, a: T, b: T) -> T {
        rounding(a, b).max(self.measured())
    }

    /// What to allow for where two values are held against a decrease that was `promised`
    /// (positive): the [`level`](Self::level) if the promise is of its order. A larger promise has
    /// to show through what was measured; only rounding is allowed for then.
    pub fn allowance(&self, a: T, b: T, promised: T) -> T {
        if self.is_of_its_order(promised) {
            self.level(a, b)
        } else {
            rounding(a, b)
        }
    }

    /// Whether a promised decrease is not much more than what was measured.
    pub(super) fn is_of_its_order(&self, promised: T) -> bool {
        const ORDER: f64 = 16.0;
        promised <= T::of(ORDER) * self.measured()
    }

    /// What was measured, as such a difference; zero if nothing was.
    pub fn measured(&self) -> T {
        /// Differences of two values deviate by √2; four times that is beyond chance.
        const DEVIATIONS: f64 = 6.0;
        T::of(DEVIATIONS) * self.deviation
    }

    /// Whether a trial may have failed by noise only, so that measuring is worth its values:
    /// if both the difference of the values and the decrease that was `promised` (positive) are
    /// below `√eps` of the values, or, after three trials that `n_failed` from one point, of the
    /// largest value so far.
    pub fn may_be_noise(&self, value: T, trial: T, promised: T, n_failed: u32) -> bool {
        let limit = self.limit(value, trial, n_failed);
        (trial - value).abs() <= limit && promised <= limit
    }

    /// Differences above this are no noise.
    fn limit(&self, value: T, trial: T, n_failed: u32) -> T {
        const MANY: u32 = 3;
        let size = value.abs().max(trial.abs());
        let size = if n_failed >= MANY {
            size.max(self.largest)
        } else {
            size
        };
        T::epsilon().sqrt() * size
    }

    /// Takes note that a step which promised this decrease led through values that are all alike: at
    /// this distance they cannot tell so little.
    pub(super) fn resolves_no(&mut self, promised: T, value: T) {
        self.deviation = self.deviation.max(promised);
        self.measured_at = value;
    }

    /// Measures the noise between the current point, `t = 0`, and a trial point, `t = 1`, whose
    /// values are known; `evaluate` gives the value at `t`, and is called six times at most.
    /// Whether the estimate has grown.
    ///
    /// It does not if the values are those of a smooth function, of one with a kink or a jump, or
    /// not finite.
    pub fn measure(&mut self, value: T, trial: T, mut evaluate: impl FnMut(T) -> T) -> bool {
        let mut values = [value; INTERVALS + 1];
        values[INTERVALS] = trial;
        for (i, slot) in values.iter_mut().enumerate().take(INTERVALS).skip(1) {
            *slot = evaluate(T::of(i as f64) / T::of(INTERVALS as f64));
            if !slot.is_finite() {
                return false;
            }
        }
        let limit = self.limit(value, trial, u32::MAX);
        match deviation(&values) {
            Some(found) if found > self.deviation && found <= limit => {
                self.deviation = found;
                self.measured_at = value;
                true
            }
            _ => false,
        }
    }
}

/// The least rounding of two values: `10·eps·max(|a|, |b|)`.
fn rounding<T: Real>(a: T, b: T) -> T {
    T::of(10.0) * T::epsilon() * a.abs().max(b.abs())
}

/// The standard deviation of the noise in values at equal distances, if there is noise in them:
/// the differences of orders four to six, or three to five, agree within a factor of four, and the
/// first of them have both signs. Lower orders may hold what the function itself does along a long step; where
/// they agree, they are the better statistic.
fn deviation<T: Real>(values: &[T; INTERVALS + 1]) -> Option<T> {
    /// Binomials C(2k, k) of the orders from one on: by these noise grows in squares.
    const GROWTH: [f64; 6] = [2.0, 6.0, 20.0, 70.0, 252.0, 924.0];
    /// Where the orders begin that tell noise from a smooth function, counted from zero.
    const HIGH: usize = 3;
    let mut table = *values;
    let mut deviations = [T::zero(); GROWTH.len()];
    let mut has_both_signs = [false; GROWTH.len()];
    let mut unit = T::one();
    for (order, &growth) in GROWTH.iter().enumerate() {
        let len = INTERVALS - order;
        for i in 0..len {
            table[i] = table[i + 1] - table[i];
        }
        let row = &table[..len];
        if order == 0 {
            let top = row.iter().fold(T::zero(), |top, d| top.max(d.abs()));
            if !top.is_finite() {
                return None;
            }
            unit = power_of_two_below(top);
        }
        if order == 1 && !is_spread(row) {
            return None;
        }
        let squares = row.iter().fold(T::zero(), |sum, &d| {
            let share = d / unit;
            sum + share * share
        });
        deviations[order] = (squares / T::of(growth * len as f64)).sqrt();
        has_both_signs[order] =
            row.iter().any(|&d| d > T::zero()) && row.iter().any(|&d| d < T::zero());
    }
    // By chance the differences of order six, two of them, may be small beside the others.
    let is_noise = |first: usize| {
        let three = &deviations[first..first + 3];
        let top = three.iter().fold(T::zero(), |a, &b| a.max(b));
        let low = three.iter().fold(T::infinity(), |a, &b| a.min(b));
        let rest = deviations[first + 2..].iter().fold(top, |a, &b| a.min(b));
        let goes_on = deviations[first + 2] <= T::of(8.0) * rest;
        (has_both_signs[first] && top <= T::of(4.0) * low && goes_on).then_some(top)
    };
    let top = is_noise(HIGH).or_else(|| is_noise(HIGH - 1))?;
    let agrees = |&order: &usize| has_both_signs[order] && deviations[order] <= T::of(2.5) * top;
    let found = (0..HIGH)
        .filter(agrees)
        .fold(top, |a, order| a.max(deviations[order]));
    Some(found.max(spread(values, found * unit) / unit) * unit)
}

/// A quarter of the range of the values, if they may all be noise of this deviation: so that the
/// noise covers the very values that it was found in.
fn spread<T: Real>(values: &[T], deviation: T) -> T {
    let top = values.iter().fold(T::neg_infinity(), |a, &b| a.max(b));
    let low = values.iter().fold(T::infinity(), |a, &b| a.min(b));
    let range = top - low;
    if range <= T::of(12.0) * deviation {
        range / T::of(4.0)
    } else {
        T::zero()
    }
}

/// Whether second differences are of a size in most places: those of a kink or a jump are not.
fn is_spread<T: Real>(row: &[T]) -> bool {
    let top = row.iter().fold(T::zero(), |top, d| top.max(d.abs()));
    let sizeable = row.iter().filter(|d| d.abs() > T::of(0.05) * top).count();
    sizeable >= 4
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::generator;
    use rand_distr::{Distribution, StandardNormal};

    /// `n` measurements of a function plus normal noise of the given deviation.
    fn measured(n: u64, sigma: f64, f: impl Fn(f64) -> f64) -> Vec<f64> {
        (0..n)
            .map(|seed| {
                let mut rng = generator(seed);
                let mut noisy = |t: f64| {
                    let z: f64 = StandardNormal.sample(&mut rng);
                    f(t) + sigma * z
                };
                let (value, trial) = (noisy(0.0), noisy(1.0));
                let mut noise = Noise::new(value);
                noise.measure(value, trial, noisy);
                noise.deviation
            })
            .collect()
    }

    #[test]
    fn noise_is_found_within_a_factor_of_four() {
        let smooth: [fn(f64) -> f64; 3] = [
            |_| 88.0,
            |t| 88.0 + 1e-10 * (t - 1.0).powi(2),
            |t| 88.0 + 2e-9 * (0.5 * t).exp(),
        ];
        for f in smooth {
            let found = measured(200, 1e-10, f);
            let good = found.iter().filter(|&&s| s > 2.5e-11 && s < 4e-10).count();
            // A table of eight values has few degrees of freedom.
            println!("{good} of 200");
            assert!(good >= 140, "{good} of 200");
        }
    }

    #[test]
    fn smooth_functions_kinks_and_jumps_are_no_noise() {
        let functions: [fn(f64) -> f64; 9] = [
            |t| 1.0 + 1e-9 * t,
            |t| 1.0 + 1e-9 * (t - 0.3).powi(2),
            |t| 1.0 + 1e-9 * (t - 0.3).powi(5),
            |t| 1.0 + 1e-9 * (3.0 * t).sin(),
            |t| 1.0 + 1e-9 * (6.0 * t).cos(),
            |t| 1.0 + 1e-9 * (t - 0.1) * (t - 0.4) * (t - 0.6) * (t - 0.9),
            |t| 1.0 + 1e-12 * (6.0 * t).exp(),
            |t| 1.0 + 1e-9 * (t - 0.4).abs(),
            |t| 1.0 + if t > 0.4 { 1e-9 } else { 0.0 },
        ];
        for (i, f) in functions.into_iter().enumerate() {
            let mut noise = Noise::new(f(0.0));
            noise.measure(f(0.0), f(1.0), f);
            // Their own rounding may be found.
            assert!(noise.deviation <= 4.0 * f64::EPSILON, "{i}: {noise:?}");
        }
        let mut noise = Noise::new(1.0);
        assert!(!noise.measure(1.0, 1.0, |_| 1.0));
        assert!(!noise.measure(1.0, 2.0, |_| f64::NAN));
        assert!(!noise.measure(1.0, f64::INFINITY, |_| 1.0));
        assert_eq!(noise, Noise::new(1.0));
    }

    #[test]
    fn what_was_measured_is_forgotten_far_below() {
        let mut noise = Noise::new(88.0);
        noise.deviation = 1e-10;
        noise.measured_at = 88.0;
        noise.follow(88.0 - 5e-7);
        assert!(noise.measured() > 0.0);
        noise.follow(87.0);
        assert!(noise.measured() <= 0.0);
        assert!((noise.level(87.0, 88.0) - 880.0 * f64::EPSILON).abs() < 1e-20);
        // After trials that failed, the largest value so far is the measure.
        assert!(!noise.may_be_noise(1e-9, 1.1e-9, 1e-12, 2));
        assert!(noise.may_be_noise(1e-9, 1.1e-9, 1e-12, 3));
        assert!(!noise.may_be_noise(1e-9, 1e-3, 1e-12, 3));
    }

    #[test]
    fn values_times_a_power_of_two_have_that_times_the_noise() {
        for power in [-300, -200, -60, 60, 200, 300] {
            let scale = 2.0_f64.powi(power);
            let mut rng = generator(5);
            let values: Vec<f64> = (0..8)
                .map(|_| {
                    let z: f64 = StandardNormal.sample(&mut rng);
                    3.0 + 1e-11 * z
                })
                .collect();
            let run = |scale: f64| {
                let mut noise = Noise::new(scale * values[0]);
                let mut inner = values[1..7].iter();
                noise.measure(scale * values[0], scale * values[7], |_| {
                    scale * inner.next().unwrap()
                });
                noise.level(0.0, 0.0)
            };
            assert!(run(1.0) > 0.0);
            assert_eq!(run(scale).to_bits(), (scale * run(1.0)).to_bits());
        }
    }
}
