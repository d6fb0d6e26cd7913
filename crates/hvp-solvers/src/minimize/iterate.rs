//! The point of a minimiser and its counters.

use ad_core::Real;
use ndarray::{Array1, ArrayView1};
use serde::{Deserialize, Serialize};

use super::{Outcome, StopReason};
use crate::bits;
use crate::vector::{norm2, slice};
use crate::{Objective, Quantity};

/// What a run has cost so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// Iterations.
    pub n_iters: u64,
    /// Evaluations of the value, with or without gradient.
    pub n_evals: u64,
    /// Of these, the ones with gradient.
    pub n_gradients: u64,
    /// Of these, the ones that made the point ready for products.
    #[serde(default)]
    pub n_linearizations: u64,
    /// Products of the curvature with a vector.
    pub n_products: u64,
}

/// A point with its value, gradient and the cost of getting there.
///
/// Minimisers write to the public fields; whoever replaces the gradient calls
/// [`update_norm`](Self::update_norm).
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Iterate<T: Real> {
    /// The point, length `dim`.
    #[serde(with = "bits::vector")]
    pub x: Array1<T>,
    /// ∇f(x), length `dim`.
    #[serde(with = "bits::vector")]
    pub gradient: Array1<T>,
    /// f(x).
    #[serde(with = "bits::scalar")]
    pub value: T,
    #[serde(with = "bits::scalar")]
    gradient_norm: T,
    #[serde(with = "bits::scalar")]
    gradient_norm_start: T,
    /// What it cost to get here.
    pub stats: Stats,
}

impl<T: Real> Iterate<T> {
    /// Evaluates value and gradient at `x0` with `evaluate`.
    pub fn start(
        x0: ArrayView1<'_, T>,
        evaluate: impl FnOnce(ArrayView1<'_, T>, &mut Array1<T>) -> T,
    ) -> Self {
        let x: Array1<T> = x0.iter().copied().collect();
        let mut gradient = Array1::zeros(x.len());
        let value = evaluate(x.view(), &mut gradient);
        let gradient_norm = norm2(slice(&gradient));
        Iterate {
            x,
            gradient,
            value,
            gradient_norm,
            gradient_norm_start: gradient_norm,
            stats: Stats {
                n_evals: 1,
                n_gradients: 1,
                ..Stats::default()
            },
        }
    }

    /// [`Iterate::start`] with [`Objective::value_and_grad`].
    pub fn start_at<F: Objective<T> + ?Sized>(objective: &mut F, x0: ArrayView1<'_, T>) -> Self {
        Iterate::start(x0, |x, grad| objective.value_and_grad(x, grad.view_mut()))
    }

    /// Recomputes the norm after `gradient` was replaced.
    pub fn update_norm(&mut self) {
        self.gradient_norm = norm2(slice(&self.gradient));
    }

    /// The point, length `dim`.
    pub fn x(&self) -> ArrayView1<'_, T> {
        self.x.view()
    }

    /// ∇f(x), length `dim`.
    pub fn gradient(&self) -> ArrayView1<'_, T> {
        self.gradient.view()
    }

    /// f(x).
    pub fn value(&self) -> T {
        self.value
    }

    /// ‖∇f(x)‖₂.
    pub fn gradient_norm(&self) -> T {
        self.gradient_norm
    }

    /// ‖∇f(x₀)‖₂.
    pub fn gradient_norm_start(&self) -> T {
        self.gradient_norm_start
    }

    /// What it cost to get here.
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// The quantity that is not finite here, if one is.
    pub fn non_finite(&self) -> Option<Quantity> {
        if !self.value.is_finite() {
            Some(Quantity::Value)
        } else if !self.gradient_norm.is_finite() {
            // Also a gradient of finite entries whose norm overflows: no direction
            // can be scaled by it.
            Some(Quantity::Gradient)
        } else {
            None
        }
    }

    /// This point as an outcome, its reason that of convergence.
    pub fn outcome(&self) -> Outcome<T> {
        Outcome {
            x: self.x.clone(),
            value: self.value,
            gradient_norm: self.gradient_norm,
            stop: StopReason::GradientTolerance,
            stats: self.stats,
        }
    }
}

/// The best point so far, for methods whose values may rise.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Best<T: Real> {
    #[serde(with = "bits::vector")]
    x: Array1<T>,
    #[serde(with = "bits::scalar")]
    value: T,
    #[serde(with = "bits::scalar")]
    gradient_norm: T,
    /// Of all points, not of this one.
    #[serde(with = "bits::scalar")]
    lowest: T,
}

impl<T: Real> Best<T> {
    /// Starts with the first iterate, whatever it is.
    pub fn new(first: &Iterate<T>) -> Self {
        Best {
            x: first.x.clone(),
            value: first.value,
            gradient_norm: first.gradient_norm,
            lowest: first.value,
        }
    }

    /// Takes an iterate that is finite and lower, or as low with a smaller gradient.
    pub fn offer(&mut self, iterate: &Iterate<T>) {
        self.offer_within(iterate, T::zero());
    }

    /// [`offer`](Self::offer) where values within this noise of the lowest count as alike.
    pub fn offer_within(&mut self, iterate: &Iterate<T>, noise: T) {
        if iterate.non_finite().is_some() {
            return;
        }
        let (value, norm) = (iterate.value, iterate.gradient_norm);
        // Measured by the lowest of all, so that many small rises do not add up.
        let is_alike = value <= self.lowest + noise && norm < self.gradient_norm;
        if is_alike || value < self.value - noise {
            self.x.assign(&iterate.x);
            self.value = value;
            self.gradient_norm = norm;
        }
        self.lowest = self.lowest.min(value);
    }

    /// The lowest value.
    pub fn lowest_value(&self) -> T {
        self.lowest
    }

    /// The best point as an outcome, its reason that of convergence.
    pub fn outcome(&self, stats: Stats) -> Outcome<T> {
        Outcome {
            x: self.x.clone(),
            value: self.value,
            gradient_norm: self.gradient_norm,
            stop: StopReason::GradientTolerance,
            stats,
        }
    }
}
