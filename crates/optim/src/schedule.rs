//! Learning rates as functions of the step: plain values that serialise.

use std::f64::consts::PI;

use serde::{Deserialize, Serialize};

/// A learning rate η(k) for the steps k = 0, 1, 2, …
///
/// | variant | η(k) |
/// |---|---|
/// | `Constant` | η₀ |
/// | `Exponential` | η₀ · r^(k/s) |
/// | `Cosine` | η₁ + ½(η₀ − η₁)(1 + cos(π·min(k, n)/n)) |
/// | `WarmUp` | η(0)·(k + 1)/(w + 1) while k < w, then the inner η(k − w) |
///
/// The value of a step depends on nothing but the step, so a resumed run goes on
/// where it stopped. Cosine: Loshchilov and Hutter, *SGDR* (ICLR 2017), without
/// restarts. Warm-up: Goyal et al., *Accurate, large minibatch SGD* (2017).
///
/// ```
/// use optim::schedule::Schedule;
///
/// let schedule = Schedule::cosine(0.1, 0.0, 100).with_warm_up(9);
/// assert!((schedule.rate(0) - 0.01).abs() < 1e-15);
/// assert_eq!(schedule.rate(9), 0.1);
/// assert!((schedule.rate(59) - 0.05).abs() < 1e-15);
/// assert_eq!(schedule.rate(10_000), 0.0);
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Schedule {
    /// The same rate at every step.
    Constant {
        /// η₀.
        rate: f64,
    },
    /// Multiplied by `factor` once in `n_steps` steps, smoothly.
    Exponential {
        /// η₀.
        rate: f64,
        /// r.
        factor: f64,
        /// s; 0 is read as 1.
        n_steps: u64,
    },
    /// Half a cosine from `rate` down to `rate_end`, then constant.
    Cosine {
        /// η₀.
        rate: f64,
        /// η₁.
        rate_end: f64,
        /// n; with 0 the rate is η₁ from the start.
        n_steps: u64,
    },
    /// A linear rise to the first rate of another schedule.
    WarmUp {
        /// w.
        n_steps: u64,
        /// What follows.
        then: Box<Schedule>,
    },
}

impl Schedule {
    /// The same rate at every step.
    pub const fn constant(rate: f64) -> Self {
        Schedule::Constant { rate }
    }

    /// Multiplied by `factor` once in `n_steps` steps, smoothly.
    pub const fn exponential(rate: f64, factor: f64, n_steps: u64) -> Self {
        Schedule::Exponential {
            rate,
            factor,
            n_steps,
        }
    }

    /// Half a cosine from `rate` to `rate_end` over `n_steps` steps.
    pub const fn cosine(rate: f64, rate_end: f64, n_steps: u64) -> Self {
        Schedule::Cosine {
            rate,
            rate_end,
            n_steps,
        }
    }

    /// This schedule after `n_steps` steps of linear rise.
    pub fn with_warm_up(self, n_steps: u64) -> Self {
        Schedule::WarmUp {
            n_steps,
            then: Box::new(self),
        }
    }

    /// η(k) for step `k`, counted from 0.
    pub fn rate(&self, k: u64) -> f64 {
        match self {
            Schedule::Constant { rate } => *rate,
            Schedule::Exponential {
                rate,
                factor,
                n_steps,
            } => rate * factor.powf(k as f64 / (*n_steps).max(1) as f64),
            // At the end exactly, so that rounding leaves no residue of η₀.
            Schedule::Cosine {
                rate_end, n_steps, ..
            } if k >= *n_steps => *rate_end,
            Schedule::Cosine {
                rate,
                rate_end,
                n_steps,
            } => {
                let phase = PI * (k as f64 / *n_steps as f64);
                rate_end + 0.5 * (rate - rate_end) * (1.0 + phase.cos())
            }
            Schedule::WarmUp { n_steps, then } if k < *n_steps => {
                then.rate(0) * ((k + 1) as f64 / (n_steps + 1) as f64)
            }
            Schedule::WarmUp { n_steps, then } => then.rate(k - n_steps),
        }
    }
}

impl Default for Schedule {
    /// A constant rate of 1e-3.
    fn default() -> Self {
        Schedule::constant(1e-3)
    }
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "the exact values are meant")]
mod tests {
    use super::*;

    #[test]
    fn exponential_multiplies_by_the_factor_every_n_steps() {
        let schedule = Schedule::exponential(0.8, 0.5, 10);
        for (k, want) in [(0, 0.8), (10, 0.4), (20, 0.2), (5, 0.8 * 0.5_f64.sqrt())] {
            // powf and sqrt are each within an ulp.
            assert!(
                (schedule.rate(k) - want).abs() <= 4.0 * f64::EPSILON * want,
                "{k}"
            );
        }
    }

    #[test]
    fn warm_up_rises_evenly_into_the_inner_schedule() {
        let schedule = Schedule::constant(1.0).with_warm_up(4);
        let rates: Vec<f64> = (0..6).map(|k| schedule.rate(k)).collect();
        assert_eq!(rates, [0.2, 0.4, 0.6, 0.8, 1.0, 1.0]);
    }

    #[test]
    fn degenerate_lengths_have_a_meaning() {
        assert_eq!(Schedule::cosine(0.1, 0.02, 0).rate(0), 0.02);
        assert_eq!(Schedule::exponential(1.0, 0.5, 0).rate(3), 0.125);
        assert_eq!(Schedule::constant(0.3).with_warm_up(0).rate(0), 0.3);
    }

    #[test]
    fn the_text_form_is_the_value() {
        let schedule = Schedule::cosine(0.1, 1e-4, 100).with_warm_up(10);
        let text = serde_json::to_string(&schedule).unwrap();
        let back: Schedule = serde_json::from_str(&text).unwrap();
        assert_eq!(back, schedule);
        assert!(text.contains("Cosine") && text.contains("0.1"), "{text}");
    }
}
