//! Learning rates as functions of the step: plain values that serialise.

use std::f64::consts::PI;

use hvp_solvers::SolverError;
use serde::{Deserialize, Serialize};

use crate::settings::non_negative;

/// A learning rate η(k) for the steps k = 0, 1, 2, …
///
/// | schedule | η(k) |
/// |---|---|
/// | [`constant`](Self::constant) | η₀ |
/// | [`exponential`](Self::exponential) | η₀ · r^(k/s) |
/// | [`cosine`](Self::cosine) | η₁ + ½(η₀ − η₁)(1 + cos(π·min(k, n)/n)) |
/// | [`with_warm_up`](Self::with_warm_up) | η(0)·(k + 1)/(w + 1) while k < w, then the inner η(k − w) |
///
/// The value of a step depends on nothing but the step, so a resumed run goes on
/// where it stopped. Cosine: Loshchilov and Hutter, *SGDR* (ICLR 2017), without
/// restarts. Warm-up: Goyal et al., *Accurate, large minibatch SGD* (2017).
///
/// ```
/// use optim::schedule::Schedule;
///
/// let schedule = Schedule::cosine(0.1, 0.0, 100)?.with_warm_up(9);
/// assert!((schedule.rate(0) - 0.01).abs() < 1e-15);
/// assert_eq!(schedule.rate(9), 0.1);
/// assert!((schedule.rate(59) - 0.05).abs() < 1e-15);
/// assert_eq!(schedule.rate(10_000), 0.0);
/// assert!(Schedule::constant(-0.1).is_err());
/// # Ok::<(), hvp_solvers::SolverError>(())
/// ```
///
/// Every parameter is checked when a schedule is made or read: rates are finite and not negative,
/// and so is what an exponential one multiplies by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Kind", into = "Kind")]
pub struct Schedule {
    kind: Kind,
}

/// The parameters, in the form that is written to files.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Kind {
    /// η₀.
    Constant { rate: f64 },
    /// η₀, r, s; 0 steps are read as 1.
    Exponential {
        rate: f64,
        factor: f64,
        n_steps: u64,
    },
    /// η₀, η₁, n; with 0 steps the rate is η₁ from the start.
    Cosine {
        rate: f64,
        rate_end: f64,
        n_steps: u64,
    },
    /// w, and what follows.
    WarmUp { n_steps: u64, then: Box<Schedule> },
}

impl TryFrom<Kind> for Schedule {
    type Error = SolverError;

    fn try_from(kind: Kind) -> Result<Self, SolverError> {
        match kind {
            Kind::Constant { rate } => non_negative("rate", rate)?,
            Kind::Exponential { rate, factor, .. } => {
                non_negative("rate", rate)?;
                non_negative("factor", factor)?;
            }
            Kind::Cosine { rate, rate_end, .. } => {
                non_negative("rate", rate)?;
                non_negative("rate_end", rate_end)?;
            }
            Kind::WarmUp { .. } => {}
        }
        Ok(Schedule { kind })
    }
}

impl From<Schedule> for Kind {
    fn from(schedule: Schedule) -> Self {
        schedule.kind
    }
}

impl Schedule {
    /// The same rate at every step.
    ///
    /// # Errors
    /// [`SolverError::InvalidSetting`] for a rate that is negative or not finite.
    pub fn constant(rate: f64) -> Result<Self, SolverError> {
        Kind::Constant { rate }.try_into()
    }

    /// Multiplied by `factor` once in `n_steps` steps, smoothly.
    ///
    /// A factor above 1 makes the rate grow, in the end beyond all numbers.
    ///
    /// # Errors
    /// [`SolverError::InvalidSetting`] for a rate or a factor that is negative or not finite.
    pub fn exponential(rate: f64, factor: f64, n_steps: u64) -> Result<Self, SolverError> {
        Kind::Exponential {
            rate,
            factor,
            n_steps,
        }
        .try_into()
    }

    /// Half a cosine from `rate` to `rate_end` over `n_steps` steps, then constant.
    ///
    /// # Errors
    /// [`SolverError::InvalidSetting`] for a rate that is negative or not finite.
    pub fn cosine(rate: f64, rate_end: f64, n_steps: u64) -> Result<Self, SolverError> {
        Kind::Cosine {
            rate,
            rate_end,
            n_steps,
        }
        .try_into()
    }

    /// This schedule after `n_steps` steps of linear rise.
    #[must_use]
    pub fn with_warm_up(self, n_steps: u64) -> Self {
        let then = Box::new(self);
        Schedule {
            kind: Kind::WarmUp { n_steps, then },
        }
    }

    /// η(k) for step `k`, counted from 0: not negative, and finite but where an exponential one has
    /// grown beyond all numbers.
    pub fn rate(&self, k: u64) -> f64 {
        match &self.kind {
            Kind::Constant { rate } => *rate,
            // 0·∞ where a rate of zero grows.
            Kind::Exponential { rate, .. } if *rate <= 0.0 => 0.0,
            Kind::Exponential {
                rate,
                factor,
                n_steps,
            } => rate * factor.powf(k as f64 / (*n_steps).max(1) as f64),
            // At the end exactly, so that rounding leaves no residue of η₀.
            Kind::Cosine {
                rate_end, n_steps, ..
            } if k >= *n_steps => *rate_end,
            Kind::Cosine {
                rate,
                rate_end,
                n_steps,
            } => {
                let phase = PI * (k as f64 / *n_steps as f64);
                let rate = rate_end + 0.5 * (rate - rate_end) * (1.0 + phase.cos());
                rate.max(0.0)
            }
            Kind::WarmUp { n_steps, then } if k < *n_steps => {
                then.rate(0) * ((k + 1) as f64 / (*n_steps as f64 + 1.0))
            }
            Kind::WarmUp { n_steps, then } => then.rate(k - n_steps),
        }
    }
}

impl Default for Schedule {
    /// A constant rate of 1e-3.
    fn default() -> Self {
        Schedule {
            kind: Kind::Constant { rate: 1e-3 },
        }
    }
}

#[cfg(test)]
#[allow(clippy::float_cmp, reason = "the exact values are meant")]
mod tests {
    use super::*;

    #[test]
    fn exponential_multiplies_by_the_factor_every_n_steps() {
        let schedule = Schedule::exponential(0.8, 0.5, 10).unwrap();
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
        let schedule = Schedule::constant(1.0).unwrap().with_warm_up(4);
        let rates: Vec<f64> = (0..6).map(|k| schedule.rate(k)).collect();
        assert_eq!(rates, [0.2, 0.4, 0.6, 0.8, 1.0, 1.0]);
    }

    #[test]
    fn degenerate_lengths_have_a_meaning() {
        assert_eq!(Schedule::cosine(0.1, 0.02, 0).unwrap().rate(0), 0.02);
        assert_eq!(Schedule::exponential(1.0, 0.5, 0).unwrap().rate(3), 0.125);
        assert_eq!(
            Schedule::constant(0.3).unwrap().with_warm_up(0).rate(0),
            0.3
        );
    }

    #[test]
    fn the_text_form_is_the_value() {
        let schedule = Schedule::cosine(0.1, 1e-4, 100).unwrap().with_warm_up(10);
        let text = serde_json::to_string(&schedule).unwrap();
        let back: Schedule = serde_json::from_str(&text).unwrap();
        assert_eq!(back, schedule);
        assert!(text.contains("Cosine") && text.contains("0.1"), "{text}");
    }

    #[test]
    fn parameters_out_of_range_are_refused_made_or_read() {
        let of = |kind: &str, rate: f64, other: f64| match kind {
            "constant" => Schedule::constant(rate),
            "exponential" => Schedule::exponential(rate, other, 10),
            _ => Schedule::cosine(rate, other, 10),
        };
        for kind in ["constant", "exponential", "cosine"] {
            assert!(of(kind, 0.0, 0.5).is_ok());
            for bad in [-0.1, -1e-300, f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
                let error = of(kind, bad, 0.5).unwrap_err().to_string();
                assert!(error.starts_with("rate = "), "{error}");
                assert!(
                    kind == "constant" || of(kind, 0.5, bad).is_err(),
                    "{kind} {bad}"
                );
            }
        }
        let text = serde_json::to_string(&Schedule::cosine(0.5, 0.25, 7).unwrap().with_warm_up(3));
        let text = text.unwrap();
        assert!(serde_json::from_str::<Schedule>(&text).is_ok());
        for field in ["0.5", "0.25"] {
            let negative = text.replace(field, "-0.125");
            assert!(
                serde_json::from_str::<Schedule>(&negative).is_err(),
                "{negative}"
            );
        }
    }

    #[test]
    fn no_rate_is_negative_or_nan_at_any_step() {
        let schedules = [
            Schedule::constant(f64::MAX),
            Schedule::exponential(0.0, 2.0, 1),
            Schedule::exponential(1.0, 0.0, 1),
            Schedule::exponential(1.0, 3.0, 1),
            Schedule::cosine(f64::MAX, 0.0, u64::MAX),
            Schedule::cosine(0.1, 0.0, 3),
        ];
        for schedule in schedules {
            let schedule = schedule.unwrap();
            let warm = [1, 5, u64::MAX].map(|n| schedule.clone().with_warm_up(n));
            for schedule in warm.iter().chain([&schedule]) {
                for k in [0, 1, 2, 3, 1000, 1 << 40, u64::MAX] {
                    assert!(schedule.rate(k) >= 0.0, "{schedule:?} {k}");
                }
            }
        }
    }
}
