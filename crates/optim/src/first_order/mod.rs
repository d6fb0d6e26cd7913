//! First-order update rules: SGD, Adam and RMSProp over one flat parameter vector.
//!
//! A rule is an immutable record of hyperparameters. [`FirstOrder::init`] makes the
//! state, [`FirstOrder::step`] updates parameters and state in one pass over memory,
//! in place, with the widest vectors of the processor and, from some thousand parameters
//! on, as many threads as the current rayon pool has. The rate is an argument, so that any
//! [`Schedule`](crate::schedule::Schedule) can drive any rule. Every element is
//! updated by the same scalar expression, in an order fixed by the rule alone, so
//! that trajectories are reproducible bit for bit.
//!
//! ```
//! use ndarray::array;
//! use optim::first_order::{Adam, FirstOrder};
//!
//! // Minimise ½‖x‖², whose gradient is x.
//! let rule = Adam::default();
//! let mut x = array![1.0_f64, -2.0];
//! let mut state = FirstOrder::<f64>::init(&rule, x.len());
//! for _ in 0..500 {
//!     let grad = x.clone();
//!     rule.step(&mut state, x.view_mut(), grad.view(), 0.05);
//! }
//! assert!(x.iter().all(|v| v.abs() < 1e-2));
//! ```

mod adam;
mod descent;
mod rmsprop;
mod root;
mod sgd;
mod sweep;

pub use adam::{Adam, AdamState, WeightDecay};
pub use descent::{Descent, DescentState};
pub use rmsprop::{RmsProp, RmsPropState};
pub use sgd::{Sgd, SgdState};

use std::fmt::Debug;

use ad_core::Real;
use hvp_solvers::SolverError;
use ndarray::{ArrayView1, ArrayViewMut1};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Whose arithmetic a rule follows where the two best-known libraries differ.
///
/// For Adam the two agree in exact arithmetic and differ in rounding. For RMSProp
/// they are different methods: ε outside or inside the root, and the learning rate
/// after or before the momentum buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Convention {
    /// `torch.optim`, its single-tensor implementation.
    PyTorch,
    /// `optax`, transformation by transformation.
    Optax,
}

/// A rule that turns a gradient into a step of the parameters.
///
/// `dim` numbers in, `dim` numbers out; the state holds at most three vectors of
/// that size (zero to two for SGD and Adam).
pub trait FirstOrder<T: Real> {
    /// Everything that one step hands to the next. Serialising it and resuming is
    /// exact to the last bit.
    type State: Clone + Debug + Serialize + DeserializeOwned;

    /// The learning rate to start from when nothing is known of the problem.
    fn default_learning_rate(&self) -> f64;

    /// Checks the hyperparameters.
    ///
    /// # Errors
    /// [`SolverError::InvalidSetting`] with the first field that is not finite or out
    /// of range.
    fn check(&self) -> Result<(), SolverError>;

    /// The largest magnitude of a derivative that the state can take in. A rule that keeps squares
    /// cannot use a derivative whose square overflows: the parameter would never move again.
    ///
    /// [`Descent`] and [`train`](crate::stochastic::train) end before such a step.
    fn largest_gradient(&self) -> T {
        T::max_value()
    }

    /// The state before the first step, for `dim` parameters.
    fn init(&self, dim: usize) -> Self::State;

    /// Updates `params` (length `dim`) in place from `grad` (length `dim`).
    ///
    /// A non-finite gradient, or one that is [too large](Self::largest_gradient), goes into the state
    /// like any other, and a rate that is too large makes parameters that are not finite; whoever
    /// cannot rule it out looks before and after, as [`Descent`] does.
    ///
    /// # Panics
    /// If the lengths of `params`, `grad` and the state differ, or the state is that of a rule with
    /// other buffers.
    fn step(
        &self,
        state: &mut Self::State,
        params: ArrayViewMut1<T>,
        grad: ArrayView1<T>,
        learning_rate: f64,
    );
}

/// Whether a gradient is finite and not too large for a rule.
pub(crate) fn takes<T: Real, R: FirstOrder<T>>(rule: &R, gradient: &[T]) -> bool {
    let largest = rule.largest_gradient();
    // No `all`, which would look at one number at a time.
    let within = |so_far: bool, g: &T| so_far & (g.abs() <= largest);
    gradient.iter().fold(true, within)
}

/// Asserts that the vectors of one step fit together.
#[track_caller]
fn check_lengths(state: usize, params: usize, grad: usize) {
    assert_eq!(
        params, state,
        "parameters and optimiser state differ in length"
    );
    assert_eq!(params, grad, "parameters and gradient differ in length");
}
