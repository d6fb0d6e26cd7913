//! How a run ended.

use std::fmt;

use ndarray::Array1;
use serde::{Deserialize, Serialize};

use super::Stats;
use crate::Quantity;

/// Why a minimiser stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum StopReason {
    /// The gradient norm reached its tolerance.
    GradientTolerance,
    /// `max_iters` iterations were made.
    MaxIterations,
    /// `max_evals` evaluations were made, or too few are left for another step.
    EvaluationBudget,
    /// `max_products` products were made, or too few are left for another step.
    ProductBudget,
    /// `max_time` has passed.
    TimeBudget,
    /// The observer asked to stop.
    Interrupted,
    /// No lower point was found along the search direction, nor along −∇f.
    LineSearchFailed,
    /// No step that still changes the point lowers the value, or rounding prevents
    /// progress in value and gradient.
    Stalled,
    /// The trust region shrank below the spacing of floating-point numbers.
    RadiusCollapsed,
    /// The model promises no decrease although the gradient is above its tolerance: a
    /// product that is not symmetric, or rounding.
    NoDescent,
    /// The gradient is above its tolerance, but the model promises less than the rounding
    /// noise of the values: the value is as low as it can be told.
    ///
    /// That is what the model knows. Where the curvature along a valley is below the rounding of that across
    /// it, about `eps` of it or less, products do not show the valley, and the minimum may be far along it.
    /// On Meyer's problem from ten times its start, with a ratio of 1e-17, the methods of this crate end so,
    /// but for [`HessianFree`](crate::newton::HessianFree).
    NoiseFloor,
    /// The objective returned NaN or ±Inf where the method cannot go around it.
    NonFinite {
        /// Where it appeared.
        what: Quantity,
    },
}

impl StopReason {
    /// Whether the convergence test was met.
    pub fn is_converged(self) -> bool {
        self == StopReason::GradientTolerance
    }

    /// Whether there is nothing more to be gained: the convergence test was met, or the value
    /// is as low as its rounding lets it be told.
    pub fn is_solved(self) -> bool {
        matches!(self, StopReason::GradientTolerance | StopReason::NoiseFloor)
    }
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StopReason::GradientTolerance => "the gradient is within its tolerance",
            StopReason::MaxIterations => "the iteration limit was reached",
            StopReason::EvaluationBudget => "the evaluation limit was reached",
            StopReason::ProductBudget => "the limit of products was reached",
            StopReason::TimeBudget => "the time limit was reached",
            StopReason::Interrupted => "the observer asked to stop",
            StopReason::LineSearchFailed => "the line search found no lower point",
            StopReason::Stalled => "no step changes the point and lowers the value",
            StopReason::RadiusCollapsed => "the trust region shrank to nothing",
            StopReason::NoDescent => "the model promises no decrease",
            StopReason::NoiseFloor => "the value is as low as its rounding lets it be told",
            StopReason::NonFinite { what } => return write!(f, "the {what} is not finite"),
        })
    }
}

/// The end of a run: the point, what is known of it, why it ended and what it cost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome<T> {
    /// The point, length `dim`; always finite. If the run did not converge, the best one
    /// seen with finite value and gradient.
    pub x: Array1<T>,
    /// f(x); not finite only if it was so at the starting point.
    pub value: T,
    /// ‖∇f(x)‖₂; not finite only if it was so at the starting point.
    pub gradient_norm: T,
    /// Why the run ended.
    pub stop: StopReason,
    /// What it cost.
    pub stats: Stats,
}
