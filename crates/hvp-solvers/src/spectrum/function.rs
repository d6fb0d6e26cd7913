//! Functions of an operator, applied to a vector.

use ad_core::Real;
use ndarray::{Array1, ArrayView1};
use serde::{Deserialize, Serialize};

use super::krylov::Krylov;
use crate::eigen::symmetric::eigen_in_place;
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
    /// The value at an eigenvalue; NaN or infinite outside the domain.
    fn at<T: Real>(self, theta: T) -> T {
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
/// Exact for polynomials of degree below the number of steps, and in an exhausted Krylov space.
/// Every few steps the result is compared with the last one. With `δ` that change and `ρ` its
/// ratio to the change before, convergence at the rate seen leaves the error
///
/// `δ·ρ/(1 − ρ)`, and no less than `δ` is taken as the estimate. At the end one product more, with a
/// combination of the basis, shows the errors of products, and
/// [`error_estimate`](FunctionOutcome::error_estimate) covers what they may do to the result.
///
/// For smooth functions, which converge ever faster, it is on the safe side. For functions with
/// a singularity inside the spectrum (the sign of an indefinite operator with eigenvalues close
/// to zero) convergence is uneven, and so is the estimate.
///
/// - **Cost**: one product and `4nk` to `8nk` flops in step `k`, `9k³` flops for each comparison, after
///   3 steps more, or an eighth more; and the product at the end.
/// - **Memory**: `max_steps + 1` vectors and `max_steps²` numbers.
/// - **Resuming**: over a [`Journal`](crate::operator::Journal).
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
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MatrixFunction {
    /// Stop when the error estimate is below this, relative to the norm of the result.
    /// Default 1e-10, and never less than `16 eps` of the type (2e-6 in single precision), where
    /// rounding moves the result as much; but zero stands for all steps, unless the space is
    /// exhausted before.
    pub relative_tolerance: f64,
    /// At most this many steps, each of one product; at most `n` are made. Default 200.
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
    /// More steps would change the result by less than the tolerance. Where products are less exact
    /// than that, the error estimate is larger: steps do not mend it.
    Converged,
    /// The Krylov space was exhausted: exact up to the errors of products.
    Exact,
    /// The limit of steps was reached.
    MaxSteps,
    /// The function is not finite at an approximate eigenvalue, such as the square root at a
    /// negative one or `exp` beyond overflow; the result is zero.
    OutsideDomain,
    /// A NaN or an infinity in a product, or in the result; the result is zero.
    NonFinite {
        /// Where it appeared.
        what: Quantity,
    },
}

impl FunctionStop {
    /// Whether there is a result, complete or not.
    fn is_result(self) -> bool {
        !matches!(self, Self::OutsideDomain | Self::NonFinite { .. })
    }
}

/// The result of [`MatrixFunction::apply`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FunctionOutcome<T> {
    /// `f(A) v`; always finite.
    pub y: Array1<T>,
    /// An estimate of `‖y − f(A)v‖`, the errors of products included; the largest number if there is
    /// none, as before the second comparison and where `f` is not finite within those errors of an
    /// approximate eigenvalue.
    pub error_estimate: T,
    /// Products made.
    pub n_products: usize,
    /// How it ended.
    pub stop: FunctionStop,
    /// The eigenvalues of the projected matrix `T`, ascending: they lie in the spectrum's range.
    pub ritz_values: Vec<T>,
}

impl MatrixFunction {
    /// Computes `f(A) v` for one of the common functions.
    ///
    /// # Errors
    /// [`SolverError`] for a vector of the wrong length or not finite, a tolerance that is
    /// negative or NaN, no steps, or a factor of `exp` that is not finite.
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
        if let SpectralFunction::Exp(factor) = f {
            check_setting("factor", factor, factor.is_finite(), "finite")?;
        }
        self.apply_with(a, v, |x| f.at(x))
    }

    /// Computes `f(A) v` for any function of the eigenvalues, which may return NaN outside its
    /// domain. Approximate eigenvalues of modulus below the rounding level `10k·eps·‖A‖` after
    /// `k` steps are handed to it as zero.
    ///
    /// # Errors
    /// As [`apply`](Self::apply).
    pub fn apply_with<T, A>(
        &self,
        a: &A,
        v: ArrayView1<'_, T>,
        f: impl Fn(T) -> T,
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
        if norm == T::zero() {
            return Ok(FunctionOutcome {
                y: Array1::zeros(n),
                error_estimate: T::zero(),
                n_products: 0,
                stop: FunctionStop::Exact,
                ritz_values: Vec::new(),
            });
        }
        let mut krylov = Krylov::new(n, steps.min(n));
        krylov.start(&v, norm);
        let mut run = Run::new(krylov, steps.min(n));
        let tol = if tol > 0.0 {
            tol.max(16.0 * T::epsilon().as_f64())
        } else {
            tol
        };
        let mut stop = run.go(a, &f, tol);
        if stop.is_result() {
            if run.krylov.measure_noise(a) {
                run.estimate += run.rounding() + run.effect_of_noise(&f);
            } else {
                let what = Quantity::Product;
                stop = FunctionStop::NonFinite { what };
            }
        }
        Ok(run.outcome(stop, norm, unit))
    }
}

/// A Lanczos run and the coefficients of the result in its basis.
struct Run<T> {
    krylov: Krylov<T>,
    /// `f(T) e₁` and its last value.
    c: Vec<T>,
    old: Vec<T>,
    /// Eigenvectors of `T`, one per column, and eigenvalues.
    y: Vec<T>,
    theta: Vec<T>,
    scratch: Vec<T>,
    /// The last change of `c`, and the estimate of its error.
    change: T,
    estimate: T,
}

impl<T: Real> Run<T> {
    fn new(krylov: Krylov<T>, steps: usize) -> Self {
        let zeros = |len| vec![T::zero(); len];
        Self {
            krylov,
            c: zeros(steps),
            old: zeros(steps),
            y: zeros(steps * steps),
            theta: zeros(steps),
            scratch: zeros(steps),
            change: T::infinity(),
            estimate: T::infinity(),
        }
    }

    /// Steps until the coefficients settle.
    fn go<A>(&mut self, a: &A, f: &impl Fn(T) -> T, tolerance: f64) -> FunctionStop
    where
        A: LinearOperator<T> + ?Sized,
    {
        const EVERY: usize = 3;
        let steps = self.c.len();
        let mut next = EVERY.min(steps);
        loop {
            if !self.krylov.step(a) {
                return FunctionStop::NonFinite {
                    what: Quantity::Product,
                };
            }
            let m = self.krylov.len();
            if !self.krylov.exhausted && m < next {
                continue;
            }
            if !self.eigen() {
                return FunctionStop::NonFinite {
                    what: Quantity::Product,
                };
            }
            std::mem::swap(&mut self.c, &mut self.old);
            if !self.coefficients(f) {
                return FunctionStop::OutsideDomain;
            }
            if self.krylov.exhausted {
                self.estimate = T::zero();
                return FunctionStop::Exact;
            }
            self.compare(m > EVERY);
            if self.estimate <= T::of(tolerance) * norm2(&self.c) {
                return FunctionStop::Converged;
            }
            if m == steps {
                return FunctionStop::MaxSteps;
            }
            // No stride is shorter than the one before: its change would mean less.
            let stride = EVERY.max(m / 8);
            next = if steps - m < 2 * stride {
                steps
            } else {
                m + stride
            };
        }
    }

    /// Eigenpairs of `T`; false if it is not finite.
    fn eigen(&mut self) -> bool {
        let m = self.krylov.len();
        let y = &mut self.y[..m * m];
        y.fill(T::zero());
        for i in 0..m {
            y[i * m + i] = self.krylov.alpha[i];
            if i + 1 < m {
                y[i * m + i + 1] = self.krylov.beta[i];
                y[(i + 1) * m + i] = self.krylov.beta[i];
            }
        }
        eigen_in_place(y, &mut self.theta[..m], &mut self.scratch[..m])
    }

    /// `c ← f(T) e₁ = Y f(Θ) Yᵀe₁`; false if `f` is not finite at an eigenvalue.
    fn coefficients(&mut self, f: &impl Fn(T) -> T) -> bool {
        let m = self.krylov.len();
        let zero = self.zero();
        self.c.fill(T::zero());
        for k in 0..m {
            let theta = self.theta[k];
            let value = f(if theta.abs() <= zero {
                T::zero()
            } else {
                theta
            });
            if !value.is_finite() {
                return false;
            }
            let weight = value * self.y[k];
            for (i, c) in self.c[..m].iter_mut().enumerate() {
                *c += weight * self.y[i * m + k];
            }
        }
        true
    }

    /// The modulus up to which an approximate eigenvalue cannot be told from zero, by rounding.
    fn zero(&self) -> T {
        T::of(10.0 * self.krylov.len() as f64) * T::epsilon() * self.krylov.norm
    }

    /// What the combination of the basis adds, and the basis itself.
    fn rounding(&self) -> T {
        T::epsilon() * T::of(self.krylov.len() as f64) * norm2(&self.c)
    }

    /// How far `f(A + E)v` may be from `f(A)v`, with `‖v‖ = 1` and `E` of the size of the errors of
    /// products: `‖E‖` times the largest divided difference of `f` (Daleckii & Krein 1965), over
    /// distances of at least `‖E‖`. Infinite if `f` is not finite so near to an eigenvalue.
    fn effect_of_noise(&self, f: &impl Fn(T) -> T) -> T {
        let distance = self.krylov.distance();
        let zero = self.zero() + distance;
        let theta = &self.theta[..self.krylov.len()];
        let at = |x: T| f(if x.abs() <= zero { T::zero() } else { x });
        let values: Vec<T> = theta.iter().map(|&x| at(x)).collect();
        let mut most = T::zero();
        for (i, (&x, &value)) in theta.iter().zip(&values).enumerate() {
            for near in [x - distance, x + distance] {
                let change = (at(near) - value).abs();
                most = most.max(if change.is_finite() {
                    change
                } else {
                    T::infinity()
                });
            }
            for (&other, &there) in theta.iter().zip(&values).skip(i + 1) {
                let share = distance / (other - x).abs().max(distance);
                if share > T::zero() {
                    most = most.max((there - value).abs() * share);
                }
            }
        }
        most
    }

    /// Updates the change and, from the second change on, the estimate.
    fn compare(&mut self, again: bool) {
        if !again {
            return;
        }
        for (old, &c) in self.old.iter_mut().zip(&self.c) {
            *old -= c;
        }
        let change = norm2(&self.old);
        if self.change.is_finite() {
            let rate = change / self.change;
            self.estimate = if change == T::zero() {
                change
            } else if rate < T::one() {
                change * (rate / (T::one() - rate)).max(T::one())
            } else {
                T::infinity()
            };
        }
        self.change = change;
    }

    /// `y = ‖v‖ V c`, with `‖v‖ = norm · unit`.
    fn outcome(self, stop: FunctionStop, norm: T, unit: T) -> FunctionOutcome<T> {
        let n = self.krylov.basis.row(0).len();
        let m = self.krylov.len();
        let mut found = FunctionOutcome {
            y: Array1::zeros(n),
            error_estimate: self.estimate * norm * unit,
            n_products: self.krylov.n_products,
            stop,
            ritz_values: self.theta[..m].to_vec(),
        };
        let failed = !stop.is_result();
        if failed || !found.error_estimate.is_finite() {
            found.error_estimate = T::max_value();
        }
        if failed {
            return found;
        }
        let mut y = vec![T::zero(); n];
        for (i, &c) in self.c[..m].iter().enumerate() {
            axpy(c * norm, self.krylov.basis.row(i), &mut y);
        }
        scale(unit, &mut y);
        if all_finite(&y) {
            found.y = Array1::from_vec(y);
        } else {
            found.error_estimate = T::max_value();
            found.stop = FunctionStop::NonFinite {
                what: Quantity::Value,
            };
        }
        found
    }
}
