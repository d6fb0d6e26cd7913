//! RMSProp.

use ad_core::Real;
use hvp_solvers::SolverError;
use ndarray::{Array1, ArrayView1, ArrayViewMut1};
use serde::{Deserialize, Serialize};

use super::sweep::{Element, sweep};
use super::{Convention, FirstOrder, check_lengths};
use crate::bits;
use crate::settings::{in_unit, non_negative};

/// RMSProp: the gradient divided by a running root mean square of itself.
///
/// With v ← αv + (1 − α)g², and for the centred form ḡ ← αḡ + (1 − α)g and v − ḡ²
/// in place of v, the two conventions are two methods:
///
/// ```text
/// PyTorch   u = g / (√v + ε)      b ← μb + u         θ ← θ − η·b
/// Optax     u = g / √(v + ε)      b ← μb − η·u       θ ← θ + b
/// ```
///
/// Under a constant rate they differ by the place of ε alone; under a schedule the
/// optax buffer keeps the rate of the step at which each gradient came in.
/// v − ḡ² is a variance that rounding can make negative; it is cut off at zero,
/// where both libraries take the root of a negative number. Where both squares overflow it is NaN,
/// and so is the step, as in both libraries.
/// Cost: one pass; one vector of state, and one more each for momentum and centring.
///
/// Defaults: [`RmsProp::pytorch`], α = 0.99, ε = 1e-8, μ = 0, not centred, rate 1e-2
/// (lower it tenfold for momentum 0.9); [`RmsProp::optax`] has α = 0.9.
///
/// Tieleman and Hinton, *Lecture 6.5: rmsprop* (2012); Graves, *Generating
/// sequences with recurrent neural networks* (2013) for the centred form.
///
/// ```
/// use ndarray::array;
/// use optim::first_order::{FirstOrder, RmsProp};
///
/// // v = (1 − α)g² at the first step, so the step is η/√(1 − α) = 10η.
/// let rule = RmsProp::pytorch();
/// let mut x = array![0.0_f64];
/// let mut state = FirstOrder::<f64>::init(&rule, 1);
/// rule.step(&mut state, x.view_mut(), array![3.0].view(), 1e-2);
/// assert!((x[0] + 0.1).abs() < 1e-8);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RmsProp {
    /// α in `[0, 1)`, the memory of the square.
    pub decay: f64,
    /// ε ≥ 0; outside the root for PyTorch, inside for optax.
    pub epsilon: f64,
    /// μ in `[0, 1)`.
    pub momentum: f64,
    /// Divide by the standard deviation instead of the root mean square.
    pub centered: bool,
    /// λ ≥ 0, added to the gradient as λθ.
    pub weight_decay: f64,
    /// The place of ε and of the learning rate.
    pub convention: Convention,
}

impl Default for RmsProp {
    fn default() -> Self {
        RmsProp::pytorch()
    }
}

impl RmsProp {
    /// PyTorch's method and defaults.
    pub const fn pytorch() -> Self {
        RmsProp {
            decay: 0.99,
            epsilon: 1e-8,
            momentum: 0.0,
            centered: false,
            weight_decay: 0.0,
            convention: Convention::PyTorch,
        }
    }

    /// Optax's method and defaults.
    pub const fn optax() -> Self {
        RmsProp {
            decay: 0.9,
            convention: Convention::Optax,
            ..RmsProp::pytorch()
        }
    }
}

/// The state of [`RmsProp`]: running square, running mean if centred, and momentum
/// buffer if there is momentum.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct RmsPropState<T: Real> {
    #[serde(with = "bits::vector")]
    square: Array1<T>,
    #[serde(with = "bits::vector")]
    mean: Array1<T>,
    #[serde(with = "bits::vector")]
    buffer: Array1<T>,
}

impl<T: Real> FirstOrder<T> for RmsProp {
    type State = RmsPropState<T>;

    fn default_learning_rate(&self) -> f64 {
        1e-2
    }

    fn check(&self) -> Result<(), SolverError> {
        in_unit("decay", self.decay)?;
        in_unit("momentum", self.momentum)?;
        non_negative("epsilon", self.epsilon)?;
        non_negative("weight_decay", self.weight_decay)
    }

    fn largest_gradient(&self) -> T {
        T::max_value().sqrt()
    }

    fn init(&self, dim: usize) -> RmsPropState<T> {
        let only_if = |wanted: bool| Array1::zeros(if wanted { dim } else { 0 });
        RmsPropState {
            square: Array1::zeros(dim),
            mean: only_if(self.centered),
            buffer: only_if(self.momentum > 0.0),
        }
    }

    fn step(
        &self,
        state: &mut RmsPropState<T>,
        params: ArrayViewMut1<T>,
        grad: ArrayView1<T>,
        learning_rate: f64,
    ) {
        check_lengths(state.square.len(), params.len(), grad.len());
        let step = Step::new(self, learning_rate);
        let RmsPropState {
            square,
            mean,
            buffer,
        } = state;
        match (self.centered, self.momentum > 0.0) {
            (false, false) => sweep(Plain(step), params, grad, [square]),
            (true, false) => sweep(Centered(step), params, grad, [square, mean]),
            (false, true) => sweep(Momentum(step), params, grad, [square, buffer]),
            (true, true) => sweep(CenteredMomentum(step), params, grad, [square, mean, buffer]),
        }
    }
}

/// Neither centred nor with momentum.
#[derive(Clone, Copy)]
struct Plain<T>(Step<T>);

impl<T: Real> Element<T, 1> for Plain<T> {
    #[inline(always)]
    fn update(self, p: T, g: T, [v]: [&mut T; 1]) -> T {
        let g = self.0.decayed(g, p);
        self.0.update_square(v, g);
        p + self.0.alone(g, *v)
    }
}

#[derive(Clone, Copy)]
struct Centered<T>(Step<T>);

impl<T: Real> Element<T, 2> for Centered<T> {
    #[inline(always)]
    fn update(self, p: T, g: T, [v, m]: [&mut T; 2]) -> T {
        let g = self.0.decayed(g, p);
        self.0.update_square(v, g);
        p + self.0.alone(g, self.0.update_variance(m, *v, g))
    }
}

#[derive(Clone, Copy)]
struct Momentum<T>(Step<T>);

impl<T: Real> Element<T, 2> for Momentum<T> {
    #[inline(always)]
    fn update(self, p: T, g: T, [v, b]: [&mut T; 2]) -> T {
        let g = self.0.decayed(g, p);
        self.0.update_square(v, g);
        p + self.0.with_momentum(b, g, *v)
    }
}

#[derive(Clone, Copy)]
struct CenteredMomentum<T>(Step<T>);

impl<T: Real> Element<T, 3> for CenteredMomentum<T> {
    #[inline(always)]
    fn update(self, p: T, g: T, [v, m, b]: [&mut T; 3]) -> T {
        let g = self.0.decayed(g, p);
        self.0.update_square(v, g);
        p + self.0.with_momentum(b, g, self.0.update_variance(m, *v, g))
    }
}

/// The scalar arithmetic of one parameter, constants rounded to its type.
#[derive(Clone, Copy)]
struct Step<T> {
    alpha: T,
    gain: T,
    epsilon: T,
    mu: T,
    minus_rate: T,
    weight_decay: T,
    convention: Convention,
}

impl<T: Real> Step<T> {
    fn new(rule: &RmsProp, learning_rate: f64) -> Self {
        Step {
            alpha: T::of(rule.decay),
            gain: T::of(1.0 - rule.decay),
            epsilon: T::of(rule.epsilon),
            mu: T::of(rule.momentum),
            minus_rate: T::of(-learning_rate),
            weight_decay: T::of(rule.weight_decay),
            convention: rule.convention,
        }
    }

    #[inline(always)]
    fn decayed(&self, g: T, p: T) -> T {
        g + self.weight_decay * p
    }

    #[inline(always)]
    fn update_square(&self, v: &mut T, g: T) {
        *v = match self.convention {
            Convention::PyTorch => *v * self.alpha + self.gain * g * g,
            Convention::Optax => self.gain * (g * g) + self.alpha * *v,
        };
    }

    /// Updates the running mean `m` and returns v − m², at least zero.
    #[inline(always)]
    fn update_variance(&self, m: &mut T, v: T, g: T) -> T {
        *m = match self.convention {
            // torch.lerp, which switches to the other endpoint at weight ½.
            Convention::PyTorch if self.gain < T::of(0.5) => *m + self.gain * (g - *m),
            Convention::PyTorch => g - (g - *m) * (T::one() - self.gain),
            Convention::Optax => self.gain * g + self.alpha * *m,
        };
        let variance = v - *m * *m;
        // Not `max`, which would turn the NaN of ∞ − ∞ into a deviation of zero.
        if variance < T::zero() {
            T::zero()
        } else {
            variance
        }
    }

    /// The step without momentum.
    #[inline(always)]
    fn alone(&self, g: T, v: T) -> T {
        match self.convention {
            Convention::PyTorch => self.minus_rate * g / (v.sqrt() + self.epsilon),
            Convention::Optax => self.minus_rate * (self.inverse_root(v) * g),
        }
    }

    /// The step with momentum; updates the buffer `b`.
    #[inline(always)]
    fn with_momentum(&self, b: &mut T, g: T, v: T) -> T {
        match self.convention {
            Convention::PyTorch => {
                *b = *b * self.mu + g / (v.sqrt() + self.epsilon);
                self.minus_rate * *b
            }
            Convention::Optax => {
                *b = self.minus_rate * (self.inverse_root(v) * g) + self.mu * *b;
                *b
            }
        }
    }

    #[inline(always)]
    fn inverse_root(&self, v: T) -> T {
        T::one() / (v + self.epsilon).sqrt()
    }
}
