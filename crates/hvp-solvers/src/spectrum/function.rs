//! Functions of an operator, applied to a vector.

use ad_core::Real;
use ndarray::{Array1, ArrayView1};
use serde::{Deserialize, Serialize};

use super::krylov::Krylov;
use crate::error::{Quantity, SolverError, check_finite, check_len, check_setting};
use crate::operator::LinearOperator;
use crate::vector::{all_finite, axpy, norm2, power_of_two_below, scale};

/// A function of an operator, through its eigenvalues.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum SpectralFunction {
    /// `exp(cA)` for the factor `c`.
    Exp(f64),
    /// `A^½`; the operator has to be positive semidefinite.
    Sqrt,
    /// `A^{-½}`; the operator has to be positive definite.
    InverseSqrt,
    /// `sign A`, the difference of the projections to positive and negative eigenvalues;
    /// zero for the eigenvalue zero.
    Sign,
}

impl SpectralFunction {
    /// The value at an eigenvalue; those of modulus up to `zero` count as zero. NaN or
    /// infinite outside the domain.
    fn at<T: Real>(self, theta: T, zero: T) -> T {
        let theta = if theta.abs() <= zero {
            T::zero()
        } else {
            theta
        };
        match self {
            Self::Exp(factor) => (T::of(factor) * theta).exp(),
            Self::Sqrt => theta.sqrt(),
            Self::InverseSqrt => theta.sqrt().recip(),
            Self::Sign if theta == T::zero() => theta,
            Self::Sign => theta.signum(),
        }
    }
}

/// `f(A) v ≈ ‖v‖ V f(T) e₁` by Lanczos from `v` (Druskin & Knizhnerman 1989).
///
/// Exact for polynomials of degree below the number of steps. Every few steps the
/// coefficients are compared with the last ones; the change is the error estimate, which
/// is close where convergence is fast and optimistic where it is slow.
///
/// - **Cost**: one product and `4nk` to `8nk` flops a step; `9k³` flops every fifth step.
/// - **Memory**: `max_steps + 1` vectors.
///
/// ```
/// use hvp_solvers::{operator::DiagonalOperator, spectrum::{MatrixFunction, SpectralFunction}};
/// use ndarray::array;
/// let a = DiagonalOperator::new(array![1.0, 4.0, 9.0]);
/// let found = MatrixFunction::default()
///     .apply(&a, array![1.0, 1.0, 1.0].view(), SpectralFunction::Sqrt)?;
/// assert!(found.y.iter().zip([1.0, 2.0, 3.0]).all(|(y, e): (&f64, f64)| (y - e).abs() < 1e-13));
/// # Ok::<(), hvp_solvers::SolverError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MatrixFunction {
    /// Stop when the result changes by less than this, relative to its norm. Default 1e-10.
    pub relative_tolerance: f64,
    /// At most this many products; at most `n` are made. Default 200.
    pub max_steps: usize,
}

impl Default for MatrixFunction {
    fn default() -> Self {
        Self {
            relative_tolerance: 1e-10,
            max_steps: 200,
        }
    }
}

/// How [`MatrixFunction::apply`] ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum FunctionStop {
    /// The error estimate is within tolerance, or the Krylov space was exhausted.
    Converged,
    /// The limit of steps was reached.
    MaxSteps,
    /// An eigenvalue outside the function's domain; the result is zero.
    OutsideDomain,
    /// A NaN or an infinity in a product; the result is zero.
    NonFinite {
        /// Where it appeared.
        what: Quantity,
    },
}

/// The result of [`MatrixFunction::apply`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FunctionOutcome<T> {
    /// `f(A) v`; always finite.
    pub y: Array1<T>,
    /// The last change of `y`; the largest number if there is nothing to compare with.
    pub error_estimate: T,
    /// Products made.
    pub n_products: usize,
    /// How it ended.
    pub stop: FunctionStop,
}

impl MatrixFunction {
    /// Computes `f(A) v`.
    ///
    /// # Errors
    /// [`SolverError`] for a vector of the wrong length or not finite, a tolerance that is
    /// negative or NaN, or no steps.
    pub fn apply<T, A>(
        &self,
        a: &A,
        v: ArrayView1<'_, T>,
        f: SpectralFunction,
    ) -> Result<FunctionOutcome<T>, SolverError>
    where
        T: Real,
        A: LinearOperator<T> + ?Sized,
    {
        let n = a.dim();
        check_len("v", v.len(), n)?;
        check_finite("v", v)?;
        let tol = self.relative_tolerance;
        check_setting("relative_tolerance", tol, tol >= 0.0, "at least zero")?;
        let steps = self.max_steps;
        check_setting("max_steps", steps as f64, steps >= 1, "at least 1")?;
        let mut v = v.to_vec();
        let unit = power_of_two_below(norm2(&v));
        v.iter_mut().for_each(|v| *v /= unit);
        let norm = norm2(&v);
        let mut found = FunctionOutcome {
            y: Array1::zeros(n),
            error_estimate: T::zero(),
            n_products: 0,
            stop: FunctionStop::Converged,
        };
        if norm == T::zero() {
            return Ok(found);
        }
        let mut krylov = Krylov::new(n, steps.min(n));
        krylov.start(&v, norm);
        let mut c = vec![T::zero(); steps.min(n)];
        let (stop, change) = self.run(a, f, &mut krylov, &mut c);
        found.stop = stop;
        found.n_products = krylov.n_products;
        found.error_estimate = change * norm * unit;
        if matches!(stop, FunctionStop::Converged | FunctionStop::MaxSteps) {
            v.fill(T::zero());
            for (i, &c) in c[..krylov.len()].iter().enumerate() {
                axpy(c * norm, krylov.basis.row(i), &mut v);
            }
            scale(unit, &mut v);
            if all_finite(&v) {
                found.y = Array1::from_vec(v);
            } else {
                found.stop = FunctionStop::NonFinite {
                    what: Quantity::Point,
                };
            }
        }
        if !found.error_estimate.is_finite() {
            found.error_estimate = T::max_value();
        }
        Ok(found)
    }

    /// Steps until the coefficients `c = f(T)e₁` settle; returns their last change.
    fn run<T, A>(
        &self,
        a: &A,
        f: SpectralFunction,
        krylov: &mut Krylov<T>,
        c: &mut [T],
    ) -> (FunctionStop, T)
    where
        T: Real,
        A: LinearOperator<T> + ?Sized,
    {
        const EVERY: usize = 5;
        let mut old = vec![T::zero(); c.len()];
        let bad = FunctionStop::NonFinite {
            what: Quantity::Product,
        };
        loop {
            if !krylov.step(a) {
                return (bad, T::infinity());
            }
            let m = krylov.len();
            let last = krylov.exhausted || m == c.len();
            if !last && m % EVERY != 0 {
                continue;
            }
            if !krylov.eigen() {
                return (bad, T::infinity());
            }
            if !coefficients(f, krylov, c) {
                return (FunctionStop::OutsideDomain, T::infinity());
            }
            old.iter_mut().zip(&*c).for_each(|(o, &c)| *o -= c);
            let change = if m <= EVERY && !krylov.exhausted {
                T::infinity()
            } else {
                norm2(&old)
            };
            if krylov.exhausted {
                return (FunctionStop::Converged, T::epsilon() * norm2(c));
            }
            if change <= T::of(self.relative_tolerance) * norm2(c) {
                return (FunctionStop::Converged, change);
            }
            if last {
                return (FunctionStop::MaxSteps, change);
            }
            old.copy_from_slice(c);
        }
    }
}

/// `c ← f(T) e₁ = Y f(Θ) Yᵀe₁`; false if `f` is not finite at an eigenvalue.
fn coefficients<T: Real>(f: SpectralFunction, krylov: &Krylov<T>, c: &mut [T]) -> bool {
    let m = krylov.len();
    let zero = T::of(10.0 * m as f64) * T::epsilon() * krylov.norm;
    c.fill(T::zero());
    for k in 0..m {
        let value = f.at(krylov.theta[k], zero);
        if !value.is_finite() {
            return false;
        }
        let weight = value * krylov.y[k];
        for (i, c) in c[..m].iter_mut().enumerate() {
            *c += weight * krylov.y[i * m + k];
        }
    }
    true
}
