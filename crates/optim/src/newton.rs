//! Damped Newton with a dense Hessian.

use ad_core::Real;
use hvp_solvers::dense::{DenseReal, cholesky};
use hvp_solvers::vector::{all_finite, dot, norm2, slice};
use hvp_solvers::{Quantity, SecondOrder, bits};
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, ArrayViewMut1, Zip};
use serde::{Deserialize, Serialize};

use crate::minimize::{Budget, Iterate, MinimizeError, Minimizer, StopReason};
use crate::settings::{positive, require};

/// Newton's method with a dense Hessian, Cholesky factors and a Levenberg–Marquardt
/// shift.
///
/// Each iteration solves (H + λD)p = −∇f(x), with D by [`Scaling`], and tests the step by
/// the gain ratio
///
/// ```text
/// ρ = (f(x) − f(x + p)) / (−∇fᵀp − ½pᵀHp)
/// ```
///
/// with 10·eps·|f| added to both, so that rounding near a minimum does not reject a
/// good step. λ starts at 0 and is raised while H + λD has no Cholesky factor, f is
/// not finite at the trial, or ρ ≤ 1e-4: from 1e-3, times 2, 4, 8, …
/// in a row. It falls tenfold after ρ > ¾ and doubles after an accepted ρ < ¼; below
/// eps it is 0 again, and a convex quadratic takes one step.
///
/// Cost of an iteration: a dense Hessian (at most n products), n³/3 multiplications a
/// factorisation, one value a trial and one gradient. Memory: 2n² + O(n) numbers, refused with [`MinimizeError::OverBudget`] before anything is computed if
/// it exceeds `max_bytes`.
///
/// Ends with [`StopReason::Stalled`] if ‖p‖ ≤ eps·‖x‖ without a lower value, and
/// with [`StopReason::NonFinite`] if the Hessian is not finite, or f at every trial. At a saddle point
/// the gradient vanishes, and like any method that looks at the gradient this one
/// counts as converged there.
///
/// Levenberg (1944); Marquardt (1963); Nielsen, *Damping parameter in Marquardt's
/// method* (1999) for the growing factor; Conn, Gould and Toint, *Trust-region
/// methods*, §17.4, for the ratio near a minimum.
///
/// ```
/// use hvp_solvers::objective::Quadratic;
/// use ndarray::array;
/// use optim::minimize::{Limits, minimize};
/// use optim::newton::Newton;
///
/// // x² + 10y²: one step.
/// let mut f = Quadratic::new(array![[2.0, 0.0], [0.0, 20.0]], array![0.0, 0.0])?;
/// let outcome =
///     minimize(&Newton::default(), &mut f, array![3.0, -4.0].view(), &Limits::default())?;
/// assert_eq!(outcome.stats.n_iters, 1);
/// assert!(outcome.x.iter().all(|x: &f64| x.abs() <= 8.0 * f64::EPSILON));
/// # Ok::<(), optim::minimize::MinimizeError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Newton {
    /// Memory allowed for the dense matrices. Default 2 GiB: 11,000 parameters in `f64`.
    pub max_bytes: u64,
    /// Trial steps in one iteration before it counts as stalled. Default 60.
    pub max_trials: u32,
    /// The first λ > 0. Default 1e-3.
    pub first_shift: f64,
    /// D, what the shift is measured in. Default [`Scaling::Identity`].
    pub scaling: Scaling,
}

/// What a Levenberg–Marquardt shift is measured in: the matrix D of H + λD.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scaling {
    /// D = I (Levenberg): for parameters of one kind, such as weights of a network, and where
    /// the Hessian is indefinite with small diagonal entries.
    Identity,
    /// D = diag max(|Hᵢᵢ|, 1e-8·max|H|) (Marquardt): for parameters of different units.
    Diagonal,
}

impl Default for Newton {
    fn default() -> Self {
        Newton {
            max_bytes: 2 << 30,
            max_trials: 60,
            first_shift: 1e-3,
            scaling: Scaling::Identity,
        }
    }
}

impl Newton {
    /// Bytes of the dense matrices for `dim` parameters: the Hessian and its factor.
    pub fn bytes_needed<T: Real>(&self, dim: usize) -> u128 {
        2 * (dim as u128).pow(2) * size_of::<T>() as u128
    }
}

/// The state of [`Newton`]: the point and the shift.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct NewtonState<T: Real> {
    iterate: Iterate<T>,
    #[serde(with = "bits::scalar")]
    shift: T,
    /// Buffers that carry nothing from one iteration to the next.
    #[serde(skip)]
    work: Work<T>,
}

impl<T: Real> NewtonState<T> {
    /// λ, with which the next iteration starts.
    pub fn shift(&self) -> T {
        self.shift
    }
}

#[derive(Debug, Clone, Default)]
struct Work<T> {
    hessian: Array2<T>,
    shifted: Array2<T>,
    diagonal: Array1<T>,
    step: Array1<T>,
    x: Array1<T>,
    gradient: Array1<T>,
}

impl<T: Real> Work<T> {
    fn resize(&mut self, dim: usize) {
        if self.step.len() != dim {
            self.hessian = Array2::zeros((dim, dim));
            self.shifted = Array2::zeros((dim, dim));
            self.diagonal = Array1::zeros(dim);
            self.step = Array1::zeros(dim);
            self.x = Array1::zeros(dim);
            self.gradient = Array1::zeros(dim);
        }
    }
}

impl<T: DenseReal, F: SecondOrder<T> + ?Sized> Minimizer<T, F> for Newton {
    type State = NewtonState<T>;

    fn check(&self, objective: &F) -> Result<(), MinimizeError> {
        let dim = objective.dim();
        require(
            "max_trials",
            self.max_trials.into(),
            self.max_trials > 0,
            "at least 1",
        )?;
        positive("first_shift", self.first_shift)?;
        let bytes_needed = self.bytes_needed::<T>(dim);
        if bytes_needed > u128::from(self.max_bytes) {
            let bytes_allowed = self.max_bytes;
            return Err(MinimizeError::OverBudget {
                dim,
                bytes_needed,
                bytes_allowed,
            });
        }
        Ok(())
    }

    fn init(&self, objective: &mut F, x0: ArrayView1<'_, T>) -> NewtonState<T> {
        NewtonState::start(objective, x0)
    }

    fn prepare(&self, objective: &mut F, state: &NewtonState<T>) {
        let mut gradient = state.iterate.gradient.clone();
        objective.linearize(state.iterate.x(), gradient.view_mut());
    }

    fn step(
        &self,
        objective: &mut F,
        state: &mut NewtonState<T>,
        _budget: Budget,
    ) -> Option<StopReason> {
        self.iteration(objective, state, solve_positive_definite)
    }

    fn iterate<'a>(&self, state: &'a NewtonState<T>) -> &'a Iterate<T> {
        &state.iterate
    }
}

/// Writes A⁻¹b, or returns false if A has no Cholesky factor.
type Solve<T> = fn(ArrayView2<'_, T>, ArrayView1<'_, T>, ArrayViewMut1<'_, T>) -> bool;

/// The one use of a factorisation.
fn solve_positive_definite<T: DenseReal>(
    a: ArrayView2<'_, T>,
    b: ArrayView1<'_, T>,
    x: ArrayViewMut1<'_, T>,
) -> bool {
    cholesky(a).is_ok_and(|factor| factor.solve_into(b, x).is_ok())
}

impl Newton {
    /// One iteration: the Hessian, then trial steps until one is accepted.
    fn iteration<T: Real, F: SecondOrder<T> + ?Sized>(
        &self,
        objective: &mut F,
        state: &mut NewtonState<T>,
        solve: Solve<T>,
    ) -> Option<StopReason> {
        let dim = state.iterate.x.len();
        state.work.resize(dim);
        state.iterate.stats.n_iters += 1;
        objective.hessian_into(state.work.hessian.view_mut());
        state.iterate.stats.n_products += dim as u64;
        if !state.work.hessian.iter().all(|h| h.is_finite()) {
            return Some(StopReason::NonFinite {
                what: Quantity::Product,
            });
        }
        state.work.set_diagonal(self.scaling);
        let mut factor = T::of(2.0);
        let mut failure = StopReason::Stalled;
        for _ in 0..self.max_trials {
            failure = match state.try_step(objective, solve) {
                Verdict::Accepted { ratio } => {
                    state.relax(ratio);
                    return None;
                }
                Verdict::Negligible => break,
                Verdict::Rejected => StopReason::Stalled,
                Verdict::NonFinite(quantity) => StopReason::NonFinite { what: quantity },
            };
            let least = T::of(self.first_shift);
            state.shift = if state.shift < least {
                least
            } else {
                state.shift * factor
            };
            factor *= T::of(2.0);
        }
        Some(failure)
    }
}

/// What became of a trial step.
enum Verdict<T> {
    Accepted {
        ratio: T,
    },
    Rejected,
    /// Rejected because the objective is not finite at the trial point.
    NonFinite(Quantity),
    Negligible,
}

impl<T: Real> Work<T> {
    /// D, positive in every entry.
    fn set_diagonal(&mut self, scaling: Scaling) {
        if scaling == Scaling::Identity {
            return self.diagonal.fill(T::one());
        }
        let top = self
            .hessian
            .iter()
            .fold(T::zero(), |top, h| top.max(h.abs()));
        // Of a zero Hessian any shift is as good as another.
        let least = if top > T::zero() {
            T::of(1e-8) * top
        } else {
            T::one()
        };
        Zip::from(&mut self.diagonal)
            .and(self.hessian.diag())
            .for_each(|d, h| {
                *d = h.abs().max(least);
            });
    }

    /// Writes −(H + shift·D)⁻¹·gradient to `step`; false if that matrix has no
    /// Cholesky factor or the solution overflows.
    fn set_step(&mut self, shift: T, gradient: &Array1<T>, solve: Solve<T>) -> bool {
        self.shifted.assign(&self.hessian);
        Zip::from(self.shifted.diag_mut())
            .and(&self.diagonal)
            .for_each(|h, &d| *h += shift * d);
        if !solve(self.shifted.view(), gradient.view(), self.step.view_mut()) {
            return false;
        }
        self.step.map_inplace(|p| *p = -*p);
        all_finite(slice(&self.step))
    }
}

impl<T: Real> NewtonState<T> {
    fn start<F: SecondOrder<T> + ?Sized>(objective: &mut F, x0: ArrayView1<'_, T>) -> Self {
        let mut iterate = Iterate::start(x0, |x, grad| objective.linearize(x, grad.view_mut()));
        iterate.stats.n_linearizations = 1;
        NewtonState {
            iterate,
            shift: T::zero(),
            work: Work::default(),
        }
    }

    /// Solves with the present shift and evaluates the trial point.
    fn try_step<F: SecondOrder<T> + ?Sized>(
        &mut self,
        objective: &mut F,
        solve: Solve<T>,
    ) -> Verdict<T> {
        let NewtonState {
            iterate,
            shift,
            work,
        } = self;
        if !work.set_step(*shift, &iterate.gradient, solve) {
            return Verdict::Rejected;
        }
        let (p, gradient) = (slice(&work.step), slice(&iterate.gradient));
        // Hp = −∇f − λDp, so the model needs no product with H.
        let bend = Zip::from(&work.step)
            .and(&work.diagonal)
            .fold(T::zero(), |sum, &p, &d| sum + p * d * p);
        let predicted = T::of(0.5) * (*shift * bend - dot(gradient, p));
        Zip::from(&mut work.x)
            .and(&iterate.x)
            .and(&work.step)
            .for_each(|t, &x, &p| *t = x + p);
        if norm2(p) <= T::epsilon() * norm2(slice(&iterate.x)) || work.x == iterate.x {
            return Verdict::Negligible;
        }
        let value = objective.value(work.x.view());
        iterate.stats.n_evals += 1;
        let noise = T::of(10.0) * T::epsilon() * iterate.value.abs();
        let ratio = (iterate.value - value + noise) / (predicted + noise);
        if !value.is_finite() {
            return Verdict::NonFinite(Quantity::Value);
        }
        if ratio > T::of(1e-4) {
            self.accept(objective, ratio)
        } else {
            Verdict::Rejected
        }
    }

    /// Linearizes at the trial point and moves there, if the gradient is finite.
    fn accept<F: SecondOrder<T> + ?Sized>(&mut self, objective: &mut F, ratio: T) -> Verdict<T> {
        let NewtonState { iterate, work, .. } = self;
        let value = objective.linearize(work.x.view(), work.gradient.view_mut());
        iterate.stats.n_evals += 1;
        iterate.stats.n_gradients += 1;
        iterate.stats.n_linearizations += 1;
        if !value.is_finite() {
            return Verdict::NonFinite(Quantity::Value);
        }
        if !norm2(slice(&work.gradient)).is_finite() {
            return Verdict::NonFinite(Quantity::Gradient);
        }
        std::mem::swap(&mut iterate.x, &mut work.x);
        std::mem::swap(&mut iterate.gradient, &mut work.gradient);
        iterate.value = value;
        iterate.update_norm();
        Verdict::Accepted { ratio }
    }

    /// Adapts the shift to the gain ratio; below eps it is zero.
    fn relax(&mut self, ratio: T) {
        if ratio > T::of(0.75) {
            self.shift *= T::of(0.1);
        } else if ratio < T::of(0.25) {
            self.shift *= T::of(2.0);
        }
        if self.shift < T::epsilon() {
            self.shift = T::zero();
        }
    }
}
