//! What a Newton method returns.

use ndarray::{Array1, ArrayView1};
use serde::{Deserialize, Serialize};

use crate::error::Quantity;
use crate::linear::TruncatedStop;

/// How a minimisation ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum StopReason {
    /// The gradient is within tolerance.
    GradientTolerance,
    /// The limit of iterations was reached.
    MaxIterations,
    /// The limit of products was reached.
    ProductBudget,
    /// The trust region shrank below the spacing of floating-point numbers: no step,
    /// however short, lowers the objective.
    RadiusCollapsed,
    /// Rounding prevents further progress in value and gradient.
    Stalled,
    /// A NaN or an infinity that no shorter step avoids.
    NonFinite {
        /// Where it appeared.
        what: Quantity,
    },
    /// The observer asked to stop.
    Interrupted,
}

impl StopReason {
    /// Whether the tolerance was reached.
    pub fn is_converged(self) -> bool {
        self == Self::GradientTolerance
    }
}

/// The cost of a minimisation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Stats {
    /// Outer iterations: trial steps, accepted or not.
    pub n_iters: usize,
    /// Accepted steps.
    pub n_accepted: usize,
    /// Products with the curvature.
    pub n_products: usize,
    /// Values without a gradient.
    pub n_value: usize,
    /// Values with a gradient (linearizations).
    pub n_gradient: usize,
    /// Steps shortened along the stored path, without a product.
    pub n_shrunk: usize,
    /// Steps along a direction of nonpositive curvature.
    pub n_negative_curvature: usize,
    /// The smallest Ritz value of the last stationary check, if there was one.
    pub smallest_curvature: Option<f64>,
}

/// One outer iteration, as numbers.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct IterationRecord {
    /// Counts from zero.
    pub iteration: usize,
    /// The value after the iteration.
    pub value: f64,
    /// The gradient's norm after the iteration.
    pub gradient_norm: f64,
    /// The radius in which the step was sought.
    pub radius: f64,
    /// The step's norm.
    pub step_norm: f64,
    /// The decrease that the model promised, positive.
    pub predicted: f64,
    /// Actual over predicted decrease; `None` if the trial value was not finite.
    pub ratio: Option<f64>,
    /// Whether the step was taken.
    pub accepted: bool,
    /// How the conjugate gradients ended.
    pub inner: TruncatedStop,
    /// Products so far.
    pub n_products: usize,
}

/// What an observer sees after every outer iteration.
#[derive(Debug, Clone, Copy)]
pub struct Progress<'a, T> {
    /// The iteration as numbers.
    pub record: &'a IterationRecord,
    /// The current point.
    pub x: ArrayView1<'a, T>,
    /// The gradient there.
    pub gradient: ArrayView1<'a, T>,
}

/// The point found and how it was reached.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome<T> {
    /// The point: always finite, and the best among those with finite value and gradient.
    /// When converged, it is the point of small gradient, whose value is the best seen
    /// up to rounding, `10·eps·|f|`.
    pub x: Array1<T>,
    /// `f(x)`; not finite only if it was not at the start.
    pub value: T,
    /// `‖∇f(x)‖₂`; not finite only if it was not at the start.
    pub gradient_norm: T,
    /// How it ended.
    pub stop: StopReason,
    /// Cost.
    pub stats: Stats,
    /// All iterations, if asked for.
    pub history: Vec<IterationRecord>,
}
