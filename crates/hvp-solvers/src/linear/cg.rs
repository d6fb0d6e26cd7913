//! Preconditioned conjugate gradients for symmetric positive definite systems.

use ad_core::Real;
use ndarray::{Array1, ArrayView1};
use serde::{Deserialize, Serialize};

use super::checks::{check_system, check_tolerances};
use super::preconditioner::{Identity, Preconditioner, precondition};
use crate::error::{Quantity, SolverError};
use crate::operator::{LinearOperator, apply};
use crate::vector::{all_finite, axpy, dot, norm2, power_of_two_below, scale, scale_sub};

/// Preconditioned conjugate gradients (Hestenes–Stiefel 1952) for `A x = b`, `A ≻ 0`.
///
/// Each iteration minimises `½xᵀAx − bᵀx` over one more dimension of the Krylov space.
/// Costs one product, one preconditioner and `10n` flops an iteration; holds four
/// vectors besides `x` (five with a preconditioner) and allocates none of them in the loop.
///
/// The residual that the recurrence carries drifts away from `b − A x`. So before
/// success is reported the true residual is computed (one more product); if it is
/// too large, the iteration restarts from there, and ends as
/// [`CgStop::Stagnated`] once restarting no longer helps.
///
/// ```
/// use hvp_solvers::{linear::Cg, operator::DiagonalOperator};
/// use ndarray::array;
/// let a = DiagonalOperator::new(array![1.0, 2.0, 4.0]);
/// let solved = Cg::default().solve(&a, array![1.0, 1.0, 1.0].view())?;
/// assert!((solved.x[2] - 0.25_f64).abs() < 1e-12);
/// # Ok::<(), hvp_solvers::SolverError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Cg {
    /// Stop at `‖b − Ax‖ ≤ relative_tolerance · ‖b‖`. Default 1e-10; single precision
    /// reaches about 1e-6.
    pub relative_tolerance: f64,
    /// … or at `‖b − Ax‖ ≤ absolute_tolerance`, whichever comes first. Default 0.
    pub absolute_tolerance: f64,
    /// At most this many iterations; `None` for `10 n + 10`. In exact arithmetic
    /// `n` suffice; rounding delays an ill-conditioned system.
    pub max_iters: Option<usize>,
}

impl Default for Cg {
    fn default() -> Self {
        Self {
            relative_tolerance: 1e-10,
            absolute_tolerance: 0.0,
            max_iters: None,
        }
    }
}

/// How [`Cg`] ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum CgStop {
    /// The true residual is within tolerance.
    Converged,
    /// The limit of iterations was reached.
    MaxIterations,
    /// Rounding prevents a smaller residual.
    Stagnated,
    /// A direction with `dᵀAd ≤ 0`: the operator is not positive definite.
    NotPositiveDefinite,
    /// A residual with `rᵀM⁻¹r ≤ 0`: the preconditioner is not positive definite.
    PreconditionerNotPositiveDefinite,
    /// A NaN or an infinity; `x` is the last good iterate.
    NonFinite {
        /// Where it appeared.
        what: Quantity,
    },
}

impl CgStop {
    /// Whether the tolerance was reached.
    pub fn is_converged(self) -> bool {
        self == Self::Converged
    }
}

/// What a solve by [`Cg`] cost and reached.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CgStats {
    /// Iterations.
    pub n_iters: usize,
    /// Products with the operator.
    pub n_products: usize,
    /// `‖b − Ax‖`: recomputed if converged or stagnated, else by the recurrence.
    pub residual_norm: f64,
}

/// The solution and how it was reached.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CgOutcome<T> {
    /// The last good iterate; always finite.
    pub x: Array1<T>,
    /// How it ended.
    pub stop: CgStop,
    /// Cost and residual.
    pub stats: CgStats,
}

/// The vectors of a solve, in units of `‖b‖`.
struct Run<'a, T, A: ?Sized, P: ?Sized> {
    a: &'a A,
    m: &'a P,
    b: Vec<T>,
    x: Vec<T>,
    r: Vec<T>,
    d: Vec<T>,
    q: Vec<T>,
    y: Vec<T>,
    n_iters: usize,
    n_products: usize,
    residual: T,
}

impl Cg {
    /// Solves `A x = b` from zero, without a preconditioner.
    ///
    /// # Errors
    /// As [`solve_with`](Self::solve_with).
    pub fn solve<T: Real, A: LinearOperator<T> + ?Sized>(
        &self,
        a: &A,
        b: ArrayView1<'_, T>,
    ) -> Result<CgOutcome<T>, SolverError> {
        self.solve_with(a, b, None, &Identity)
    }

    /// Solves `A x = b` from `x0` (zero if `None`) with a preconditioner.
    ///
    /// # Errors
    /// [`SolverError`] for lengths that do not match the operator, input that is not
    /// finite, or a tolerance that is negative or NaN.
    pub fn solve_with<T, A, P>(
        &self,
        a: &A,
        b: ArrayView1<'_, T>,
        x0: Option<ArrayView1<'_, T>>,
        m: &P,
    ) -> Result<CgOutcome<T>, SolverError>
    where
        T: Real,
        A: LinearOperator<T> + ?Sized,
        P: Preconditioner<T> + ?Sized,
    {
        let n = a.dim();
        check_system(n, b, x0, m.dim())?;
        check_tolerances(&[
            ("relative_tolerance", self.relative_tolerance),
            ("absolute_tolerance", self.absolute_tolerance),
        ])?;
        // A power of two: in units of it nothing overflows, and no bit changes.
        let unit = power_of_two_below(norm2(&b.to_vec()));
        let scaled = |v: ArrayView1<'_, T>| v.iter().map(|&v| v / unit).collect::<Vec<T>>();
        let mut run = Run {
            a,
            m,
            b: scaled(b),
            x: x0.map_or_else(|| vec![T::zero(); n], scaled),
            r: vec![T::zero(); n],
            d: vec![T::zero(); n],
            q: vec![T::zero(); n],
            y: if m.is_identity() {
                Vec::new()
            } else {
                vec![T::zero(); n]
            },
            n_iters: 0,
            n_products: 0,
            residual: T::zero(),
        };
        let relative = T::of(self.relative_tolerance) * norm2(&run.b);
        let tol = relative.max(T::of(self.absolute_tolerance) / unit);
        let max_iters = self.max_iters.unwrap_or(10 * n + 10);
        let mut stop = run.outer(tol, max_iters, x0.is_some());
        scale(unit, &mut run.x);
        if !all_finite(&run.x) {
            // The solution is beyond the range of the type.
            run.x.fill(T::zero());
            run.residual = norm2(&run.b);
            stop = CgStop::NonFinite {
                what: Quantity::Point,
            };
        }
        let stats = CgStats {
            n_iters: run.n_iters,
            n_products: run.n_products,
            residual_norm: (run.residual * unit).as_f64(),
        };
        Ok(CgOutcome {
            x: Array1::from_vec(run.x),
            stop,
            stats,
        })
    }
}

impl<T, A, P> Run<'_, T, A, P>
where
    T: Real,
    A: LinearOperator<T> + ?Sized,
    P: Preconditioner<T> + ?Sized,
{
    /// Runs until the *true* residual is within `tol`, restarting while that helps.
    fn outer(&mut self, tol: T, max_iters: usize, warm: bool) -> CgStop {
        // r = Ax − b, the gradient of the quadratic.
        for (r, &b) in self.r.iter_mut().zip(&self.b) {
            *r = -b;
        }
        self.residual = norm2(&self.r);
        if warm && !self.true_residual() {
            return CgStop::NonFinite {
                what: Quantity::Product,
            };
        }
        let mut before = T::infinity();
        loop {
            if self.residual <= tol {
                return CgStop::Converged;
            }
            // Each restart has to halve the true residual, so there are finitely many.
            if self.residual > T::of(0.5) * before {
                return CgStop::Stagnated;
            }
            before = self.residual;
            if let Some(stop) = self.inner(tol, max_iters) {
                return stop;
            }
            if !self.true_residual() {
                return CgStop::NonFinite {
                    what: Quantity::Product,
                };
            }
        }
    }

    /// `r ← A x − b` by a product; false if it is not finite (then `r` is unusable).
    fn true_residual(&mut self) -> bool {
        apply(self.a, &self.x, &mut self.q);
        self.n_products += 1;
        for ((r, &q), &b) in self.r.iter_mut().zip(&self.q).zip(&self.b) {
            *r = q - b;
        }
        let norm = norm2(&self.r);
        let ok = norm.is_finite();
        if ok {
            self.residual = norm;
        }
        ok
    }

    /// Iterates until the recurrence's residual is within `tol` (`None`) or it ends.
    fn inner(&mut self, tol: T, max_iters: usize) -> Option<CgStop> {
        let mut rz = T::zero();
        let mut first = true;
        while self.residual > tol {
            if self.n_iters >= max_iters {
                return Some(CgStop::MaxIterations);
            }
            let previous = rz;
            rz = match self.precondition_residual() {
                Ok(rz) => rz,
                Err(stop) => return Some(stop),
            };
            let y = if self.m.is_identity() {
                &self.r
            } else {
                &self.y
            };
            let beta = if first { T::zero() } else { rz / previous };
            first = false;
            scale_sub(beta, y, &mut self.d);
            apply(self.a, &self.d, &mut self.q);
            self.n_products += 1;
            let curvature = dot(&self.d, &self.q);
            if !curvature.is_finite() {
                return Some(CgStop::NonFinite {
                    what: Quantity::Product,
                });
            }
            if curvature <= T::zero() {
                return Some(CgStop::NotPositiveDefinite);
            }
            let alpha = rz / curvature;
            if !alpha.is_finite() {
                return Some(CgStop::Stagnated);
            }
            axpy(alpha, &self.d, &mut self.x);
            axpy(alpha, &self.q, &mut self.r);
            let norm = norm2(&self.r);
            if !norm.is_finite() {
                // The update overflowed: take it back.
                axpy(-alpha, &self.d, &mut self.x);
                return Some(CgStop::NonFinite {
                    what: Quantity::Product,
                });
            }
            self.n_iters += 1;
            self.residual = norm;
        }
        None
    }

    /// `y ← M⁻¹ r`; returns `rᵀy > 0`.
    fn precondition_residual(&mut self) -> Result<T, CgStop> {
        if self.m.is_identity() {
            let rz = self.residual * self.residual;
            // The square underflows: far below any right-hand side's rounding.
            return if rz > T::zero() {
                Ok(rz)
            } else {
                Err(CgStop::Stagnated)
            };
        }
        precondition(self.m, &self.r, &mut self.y);
        let rz = dot(&self.r, &self.y);
        if !rz.is_finite() {
            return Err(CgStop::NonFinite {
                what: Quantity::Preconditioner,
            });
        }
        if rz <= T::zero() {
            return Err(CgStop::PreconditionerNotPositiveDefinite);
        }
        Ok(rz)
    }
}
