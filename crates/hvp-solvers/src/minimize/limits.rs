//! When a run ends, beside what its method decides.

use std::time::{Duration, Instant};

use ad_core::Real;
use serde::{Deserialize, Serialize};

use super::{Iterate, Stats, StopReason};
use crate::error::{SolverError, check_setting};

/// When to stop, beside what the method itself decides.
///
/// Converged means ‖∇f(x)‖₂ ≤ max(`gradient_tol`, `gradient_tol_relative`·‖∇f(x₀)‖₂).
/// `max_iters`, `max_evals` and `max_products` are never exceeded: methods get what is left
/// as the [`Budget`] of an iteration, and end the run where that does not suffice for a step.
/// Time is read between iterations, so an iteration that began in time is finished.
///
/// `gradient_tol` has the units of the gradient: where f or x is scaled, so is what it
/// means. `gradient_tol_relative` has none.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Limits {
    /// Absolute bound on the gradient norm. Default 1e-6.
    pub gradient_tol: f64,
    /// Bound relative to the norm at the starting point. Default 0.
    pub gradient_tol_relative: f64,
    /// Iterations, over all resumed runs. Default 1000.
    pub max_iters: u64,
    /// Evaluations of the value, with or without gradient, over all resumed runs; at least 1,
    /// for the start. Default 100,000.
    pub max_evals: u64,
    /// Products with the curvature, over all resumed runs. Default none.
    #[serde(default)]
    pub max_products: Option<u64>,
    /// Time by the clock of the call, this run alone. Default none. The one limit that
    /// is not deterministic: where it strikes depends on the machine and its load.
    #[serde(default)]
    pub max_time: Option<Duration>,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            gradient_tol: 1e-6,
            gradient_tol_relative: 0.0,
            max_iters: 1000,
            max_evals: 100_000,
            max_products: None,
            max_time: None,
        }
    }
}

impl Limits {
    /// The defaults, with the gradient tolerance √eps of the type: 1.5e-8 in double,
    /// 3.5e-4 in single precision. What Newton methods reach.
    pub fn for_type<T: Real>() -> Self {
        Limits {
            gradient_tol: T::epsilon().as_f64().sqrt(),
            ..Limits::default()
        }
    }

    pub(super) fn check(&self) -> Result<(), SolverError> {
        let tolerance = |name, tol: f64| {
            let ok = tol.is_finite() && tol >= 0.0;
            check_setting(name, tol, ok, "finite and not negative")
        };
        tolerance("gradient_tol", self.gradient_tol)?;
        tolerance("gradient_tol_relative", self.gradient_tol_relative)
    }

    /// What is left to spend.
    pub(super) fn budget(&self, stats: &Stats) -> Budget {
        Budget {
            products: self
                .max_products
                .map(|max| max.saturating_sub(stats.n_products)),
            values: Some(self.max_evals.saturating_sub(stats.n_evals)),
        }
    }

    /// The limit that an iterate is at, if it is at one.
    pub(super) fn reached<T: Real>(
        &self,
        iterate: &Iterate<T>,
        begin: Instant,
    ) -> Option<StopReason> {
        let stats = &iterate.stats;
        let relative = self.gradient_tol_relative * iterate.gradient_norm_start().as_f64();
        if iterate.gradient_norm().as_f64() <= self.gradient_tol.max(relative) {
            Some(StopReason::GradientTolerance)
        } else if stats.n_iters >= self.max_iters {
            Some(StopReason::MaxIterations)
        } else if stats.n_evals >= self.max_evals {
            Some(StopReason::EvaluationBudget)
        } else if self.max_products.is_some_and(|m| stats.n_products >= m) {
            Some(StopReason::ProductBudget)
        } else if self.max_time.is_some_and(|m| begin.elapsed() >= m) {
            Some(StopReason::TimeBudget)
        } else {
            None
        }
    }
}

/// What one iteration may spend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Budget {
    /// Products with the curvature; `None` for any number.
    pub products: Option<u64>,
    /// Evaluations of the value, with or without gradient; `None` for any number.
    pub values: Option<u64>,
}

impl Budget {
    /// The smaller of `wish` and the products that are left.
    pub fn products_up_to(&self, wish: usize) -> usize {
        let left = |left: u64| usize::try_from(left).unwrap_or(usize::MAX);
        self.products.map_or(wish, |p| left(p).min(wish))
    }

    /// The evaluations that are left.
    pub fn values_left(&self) -> u64 {
        self.values.unwrap_or(u64::MAX)
    }

    /// What is left after so many products.
    #[must_use]
    pub fn after(&self, products: u64) -> Self {
        Budget {
            products: self.products.map(|left| left.saturating_sub(products)),
            ..*self
        }
    }
}
