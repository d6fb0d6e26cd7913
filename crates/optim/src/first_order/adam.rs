//! Adam and AdamW.

use ad_core::Real;
use hvp_solvers::SolverError;
use ndarray::{Array1, ArrayView1, ArrayViewMut1};
use serde::{Deserialize, Serialize};

use super::root::RootOver;
use super::sweep::{Element, sweep};
use super::{Convention, FirstOrder, check_lengths};
use crate::bits;
use crate::settings::{in_unit, non_negative};

/// How [`Adam`] pulls the parameters towards zero.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum WeightDecay {
    /// Not at all.
    None,
    /// λθ is added to the gradient, and so is divided by √v too (L2 penalty;
    /// `weight_decay` of PyTorch's `Adam`).
    Coupled(f64),
    /// −ηλθ is added to the step (AdamW).
    Decoupled(f64),
}

impl WeightDecay {
    fn rate(self) -> f64 {
        match self {
            WeightDecay::None => 0.0,
            WeightDecay::Coupled(rate) | WeightDecay::Decoupled(rate) => rate,
        }
    }
}

/// Adam: steps of nearly equal size in every coordinate, from running means of the
/// gradient and of its square.
///
/// In exact arithmetic, at step t = 1, 2, … with rate η and from m₀ = v₀ = 0:
///
/// ```text
/// m ← β₁m + (1 − β₁)g          m̂ = m / (1 − β₁ᵗ)
/// v ← β₂v + (1 − β₂)g²         v̂ = v / (1 − β₂ᵗ)
/// θ ← θ − η·m̂ / (√v̂ + ε)       (decoupled decay: and − ηλθ)
/// ```
///
/// [`Convention`] chooses the order of the operations, and so the rounding.
/// PyTorch: m ← m + (1 − β₁)(g − m); θ ← θ(1 − ηλ), then
/// θ ← θ − (η/(1 − β₁ᵗ))·m/(√v/√(1 − β₂ᵗ) + ε). Optax: θ ← θ − η(m̂/(√v̂ + ε) + λθ).
/// Bias corrections are computed in `f64` and rounded to the parameters' type.
/// Cost: one pass; two vectors of state.
///
/// Defaults of both libraries: β₁ = 0.9, β₂ = 0.999, ε = 1e-8, no decay, rate 1e-3.
/// The default λ of AdamW is *not* common: [`Adam::adamw`] gives 1e-2 for PyTorch
/// and 1e-4 for optax.
///
/// Kingma and Ba, *Adam* (ICLR 2015); Loshchilov and Hutter, *Decoupled weight
/// decay regularization* (ICLR 2019).
///
/// ```
/// use ndarray::array;
/// use optim::first_order::{Adam, FirstOrder};
///
/// // The first step is η·sign(g), whatever the scale of the gradient.
/// let mut x = array![0.0_f64, 0.0];
/// let rule = Adam::default();
/// let mut state = FirstOrder::<f64>::init(&rule, 2);
/// rule.step(&mut state, x.view_mut(), array![1e-3, -1e5].view(), 1e-3);
/// assert!((x[0] + 1e-3).abs() < 1e-7 && (x[1] - 1e-3).abs() < 1e-7);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Adam {
    /// β₁ in `[0, 1)`, the memory of the mean.
    pub beta1: f64,
    /// β₂ in `[0, 1)`, the memory of the square.
    pub beta2: f64,
    /// ε ≥ 0, outside the root in both conventions.
    pub epsilon: f64,
    /// The pull towards zero.
    pub weight_decay: WeightDecay,
    /// The order of the operations.
    pub convention: Convention,
}

impl Default for Adam {
    fn default() -> Self {
        Adam {
            beta1: 0.9,
            beta2: 0.999,
            epsilon: 1e-8,
            weight_decay: WeightDecay::None,
            convention: Convention::PyTorch,
        }
    }
}

impl Adam {
    /// AdamW with the default decay of that library: 1e-2 for PyTorch, 1e-4 for optax.
    pub fn adamw(convention: Convention) -> Self {
        let rate = match convention {
            Convention::PyTorch => 1e-2,
            Convention::Optax => 1e-4,
        };
        Adam {
            weight_decay: WeightDecay::Decoupled(rate),
            convention,
            ..Adam::default()
        }
    }
}

/// The state of [`Adam`]: both means and the number of steps.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct AdamState<T: Real> {
    n_steps: u64,
    #[serde(with = "bits::vector")]
    mean: Array1<T>,
    #[serde(with = "bits::vector")]
    square: Array1<T>,
}

impl<T: Real> AdamState<T> {
    /// Steps made so far.
    pub fn n_steps(&self) -> u64 {
        self.n_steps
    }
}

impl<T: Real> FirstOrder<T> for Adam {
    type State = AdamState<T>;

    fn default_learning_rate(&self) -> f64 {
        1e-3
    }

    fn check(&self) -> Result<(), SolverError> {
        in_unit("beta1", self.beta1)?;
        in_unit("beta2", self.beta2)?;
        non_negative("epsilon", self.epsilon)?;
        non_negative("weight_decay", self.weight_decay.rate())
    }

    fn largest_gradient(&self) -> T {
        T::max_value().sqrt()
    }

    fn init(&self, dim: usize) -> AdamState<T> {
        AdamState {
            n_steps: 0,
            mean: Array1::zeros(dim),
            square: Array1::zeros(dim),
        }
    }

    fn step(
        &self,
        state: &mut AdamState<T>,
        params: ArrayViewMut1<T>,
        grad: ArrayView1<T>,
        learning_rate: f64,
    ) {
        check_lengths(state.mean.len(), params.len(), grad.len());
        state.n_steps += 1;
        match self.convention {
            Convention::PyTorch => self.step_pytorch(state, params, grad, learning_rate),
            Convention::Optax => self.step_optax(state, params, grad, learning_rate),
        }
    }
}

impl Adam {
    /// 1 − βᵗ for both memories, in `f64`.
    fn bias_corrections(&self, n_steps: u64) -> (f64, f64) {
        let t = n_steps as f64;
        (1.0 - self.beta1.powf(t), 1.0 - self.beta2.powf(t))
    }

    /// λ for the gradient; zero unless coupled.
    fn coupled<T: Real>(&self) -> T {
        match self.weight_decay {
            WeightDecay::Coupled(rate) => T::of(rate),
            WeightDecay::None | WeightDecay::Decoupled(_) => T::zero(),
        }
    }

    fn step_pytorch<T: Real>(
        &self,
        state: &mut AdamState<T>,
        params: ArrayViewMut1<T>,
        grad: ArrayView1<T>,
        learning_rate: f64,
    ) {
        let (correction1, correction2) = self.bias_corrections(state.n_steps);
        let shrink = match self.weight_decay {
            WeightDecay::Decoupled(rate) => T::of(1.0 - learning_rate * rate),
            WeightDecay::None | WeightDecay::Coupled(_) => T::one(),
        };
        let coupled = self.coupled::<T>();
        let minus_size = T::of(-(learning_rate / correction1));
        let root2 = T::of(correction2.sqrt());
        let (gain1, beta2) = (T::of(1.0 - self.beta1), T::of(self.beta2));
        let (gain2, epsilon) = (T::of(1.0 - self.beta2), T::of(self.epsilon));
        let element = PyTorch {
            shrink,
            coupled,
            gain1,
            // torch.lerp switches to the other endpoint at weight ½.
            from_start: 1.0 - self.beta1 < 0.5,
            beta2,
            gain2,
            root2: RootOver::new(root2),
            epsilon,
            minus_size,
        };
        sweep(element, params, grad, [&mut state.mean, &mut state.square]);
    }

    fn step_optax<T: Real>(
        &self,
        state: &mut AdamState<T>,
        params: ArrayViewMut1<T>,
        grad: ArrayView1<T>,
        learning_rate: f64,
    ) {
        let (correction1, correction2) = self.bias_corrections(state.n_steps);
        let (correction1, correction2) = (T::of(correction1), T::of(correction2));
        let decoupled = match self.weight_decay {
            WeightDecay::Decoupled(rate) => T::of(rate),
            WeightDecay::None | WeightDecay::Coupled(_) => T::zero(),
        };
        let coupled = self.coupled::<T>();
        let minus_rate = T::of(-learning_rate);
        let (beta1, gain1) = (T::of(self.beta1), T::of(1.0 - self.beta1));
        let (beta2, gain2) = (T::of(self.beta2), T::of(1.0 - self.beta2));
        let epsilon = T::of(self.epsilon);
        let element = Optax {
            coupled,
            beta1,
            gain1,
            beta2,
            gain2,
            correction1,
            correction2,
            epsilon,
            minus_rate,
            decoupled,
        };
        sweep(element, params, grad, [&mut state.mean, &mut state.square]);
    }
}

/// One parameter's update in the arithmetic of `torch.optim`.
#[derive(Clone, Copy)]
struct PyTorch<T> {
    shrink: T,
    coupled: T,
    gain1: T,
    from_start: bool,
    beta2: T,
    gain2: T,
    root2: RootOver<T>,
    epsilon: T,
    minus_size: T,
}

impl<T: Real> Element<T, 2> for PyTorch<T> {
    #[inline(always)]
    fn update(self, p: T, g: T, [m, v]: [&mut T; 2]) -> T {
        let start = p * self.shrink;
        let g = g + self.coupled * start;
        let gap = g - *m;
        *m = if self.from_start {
            *m + self.gain1 * gap
        } else {
            g - gap * (T::one() - self.gain1)
        };
        *v = *v * self.beta2 + self.gain2 * g * g;
        let denominator = self.root2.of(*v) + self.epsilon;
        start + self.minus_size * *m / denominator
    }
}

/// One parameter's update in the arithmetic of `optax`.
#[derive(Clone, Copy)]
struct Optax<T> {
    coupled: T,
    beta1: T,
    gain1: T,
    beta2: T,
    gain2: T,
    correction1: T,
    correction2: T,
    epsilon: T,
    minus_rate: T,
    decoupled: T,
}

impl<T: Real> Element<T, 2> for Optax<T> {
    #[inline(always)]
    fn update(self, p: T, g: T, [m, v]: [&mut T; 2]) -> T {
        let g = g + self.coupled * p;
        *m = self.gain1 * g + self.beta1 * *m;
        *v = self.gain2 * (g * g) + self.beta2 * *v;
        let root = (*v / self.correction2).sqrt();
        let adam = (*m / self.correction1) / (root + self.epsilon);
        p + self.minus_rate * (adam + self.decoupled * p)
    }
}
