//! Stochastic gradient descent with momentum.

use ad_core::Real;
use hvp_solvers::SolverError;
use ndarray::{Array1, ArrayView1, ArrayViewMut1};
use serde::{Deserialize, Serialize};

use super::sweep::{Element, sweep};
use super::{FirstOrder, check_lengths};
use crate::bits;
use crate::settings::{in_unit, non_negative};

/// Gradient descent with heavy-ball or Nesterov momentum and L2 decay.
///
/// With momentum μ, decay λ and rate η, from b₀ = 0:
///
/// ```text
/// g ← ∇f(θ) + λθ
/// b ← μb + g
/// θ ← θ − η·b            heavy ball
/// θ ← θ − η·(g + μb)     Nesterov
/// ```
///
/// The rate stands outside the buffer, and the first gradient enters it whole
/// (dampening 0), in PyTorch and optax alike; the two agree bit for bit here.
/// Cost: one pass; one vector of state, none if μ = 0.
///
/// Defaults: μ = 0.9, Nesterov, λ = 0, and rate 0.05.
///
/// Polyak, *Some methods of speeding up the convergence of iteration methods*
/// (1964); Sutskever et al., *On the importance of initialization and momentum in
/// deep learning* (ICML 2013).
///
/// ```
/// use ndarray::array;
/// use optim::first_order::{FirstOrder, Sgd};
///
/// let rule = Sgd { momentum: 0.5, nesterov: false, weight_decay: 0.0 };
/// let mut x = array![1.0_f64];
/// let mut state = FirstOrder::<f64>::init(&rule, 1);
/// rule.step(&mut state, x.view_mut(), array![1.0].view(), 0.25); // b = 1
/// assert_eq!(x, array![0.75]);
/// rule.step(&mut state, x.view_mut(), array![1.0].view(), 0.25); // b = 1.5
/// assert_eq!(x, array![0.375]);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Sgd {
    /// μ in `[0, 1)`.
    pub momentum: f64,
    /// Look ahead along the buffer. Without effect when μ = 0.
    pub nesterov: bool,
    /// λ ≥ 0, added to the gradient as λθ.
    pub weight_decay: f64,
}

impl Default for Sgd {
    fn default() -> Self {
        Sgd {
            momentum: 0.9,
            nesterov: true,
            weight_decay: 0.0,
        }
    }
}

impl Sgd {
    /// No momentum, no decay: θ ← θ − η∇f(θ).
    pub const fn plain() -> Self {
        Sgd {
            momentum: 0.0,
            nesterov: false,
            weight_decay: 0.0,
        }
    }

    fn has_momentum(&self) -> bool {
        self.momentum > 0.0
    }
}

/// The state of [`Sgd`]: its momentum buffer.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct SgdState<T: Real> {
    dim: usize,
    #[serde(with = "bits::vector")]
    buffer: Array1<T>,
}

impl<T: Real> FirstOrder<T> for Sgd {
    type State = SgdState<T>;

    fn default_learning_rate(&self) -> f64 {
        0.05
    }

    fn check(&self) -> Result<(), SolverError> {
        in_unit("momentum", self.momentum)?;
        non_negative("weight_decay", self.weight_decay)
    }

    fn init(&self, dim: usize) -> SgdState<T> {
        let buffer = Array1::zeros(if self.has_momentum() { dim } else { 0 });
        SgdState { dim, buffer }
    }

    fn step(
        &self,
        state: &mut SgdState<T>,
        params: ArrayViewMut1<T>,
        grad: ArrayView1<T>,
        learning_rate: f64,
    ) {
        check_lengths(state.dim, params.len(), grad.len());
        let element = Step {
            minus_rate: T::of(-learning_rate),
            mu: T::of(self.momentum),
            decay: T::of(self.weight_decay),
            nesterov: self.nesterov,
        };
        if self.has_momentum() {
            sweep(element, params, grad, [&mut state.buffer]);
        } else {
            sweep(element, params, grad, []);
        }
    }
}

/// The update of one parameter.
#[derive(Clone, Copy)]
struct Step<T> {
    minus_rate: T,
    mu: T,
    decay: T,
    nesterov: bool,
}

impl<T: Real> Element<T, 0> for Step<T> {
    #[inline(always)]
    fn update(self, p: T, g: T, []: [&mut T; 0]) -> T {
        p + self.minus_rate * (g + self.decay * p)
    }
}

impl<T: Real> Element<T, 1> for Step<T> {
    #[inline(always)]
    fn update(self, p: T, g: T, [b]: [&mut T; 1]) -> T {
        let g = g + self.decay * p;
        *b = self.mu * *b + g;
        let direction = if self.nesterov { g + self.mu * *b } else { *b };
        p + self.minus_rate * direction
    }
}
