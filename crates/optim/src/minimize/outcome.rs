//! How a run ended.

use std::fmt;

use hvp_solvers::{Quantity, SolverError};
use ndarray::Array1;
use serde::{Deserialize, Serialize};

use super::Stats;

/// Why a minimiser stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum StopReason {
    /// The gradient norm reached its tolerance.
    GradientTolerance,
    /// `max_iters` iterations were made.
    MaxIterations,
    /// `max_evals` evaluations were made.
    EvaluationBudget,
    /// The observer asked to stop.
    Interrupted,
    /// No lower point was found along the search direction, nor along −∇f.
    LineSearchFailed,
    /// No step that still changes the point lowers the value.
    Stalled,
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
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            StopReason::GradientTolerance => f.write_str("the gradient is within its tolerance"),
            StopReason::MaxIterations => f.write_str("the iteration limit was reached"),
            StopReason::EvaluationBudget => f.write_str("the evaluation limit was reached"),
            StopReason::Interrupted => f.write_str("the observer asked to stop"),
            StopReason::LineSearchFailed => f.write_str("the line search found no lower point"),
            StopReason::Stalled => f.write_str("no step changes the point and lowers the value"),
            StopReason::NonFinite { what: quantity } => write!(f, "the {quantity} is not finite"),
        }
    }
}

/// The end of a run: the point, what is known of it, why it ended and what it cost.
#[derive(Debug, Clone)]
pub struct Outcome<T> {
    /// The point, length `dim`; always finite.
    pub x: Array1<T>,
    /// f(x); not finite only if it was so at the starting point.
    pub value: T,
    /// ‖∇f(x)‖₂.
    pub gradient_norm: T,
    /// Why the run ended.
    pub stop: StopReason,
    /// What it cost.
    pub stats: Stats,
}

/// A call that made no sense; nothing was computed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum MinimizeError {
    /// A setting or an input that cannot be used.
    #[error(transparent)]
    Solver(#[from] SolverError),
    /// A dense matrix would not fit in the memory allowed for it.
    #[error(
        "a dense Hessian of {dim} parameters takes {bytes_needed} bytes \
         and {bytes_allowed} are allowed; use a matrix-free method"
    )]
    OverBudget {
        /// Number of parameters.
        dim: usize,
        /// What the matrices take.
        bytes_needed: u128,
        /// The method's limit.
        bytes_allowed: u64,
    },
}
