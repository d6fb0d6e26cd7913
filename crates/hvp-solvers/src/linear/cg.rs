//! Preconditioned conjugate gradients for symmetric positive definite systems.

use ad_core::Real;
use ndarray::{Array1, ArrayView1};
use serde::{Deserialize, Serialize};

use super::cg_state::CgState;
use super::checks::{check_preconditioner, check_system, check_tolerances};
use super::preconditioner::{Identity, LimitedMemory, Preconditioner};
use crate::error::{Quantity, SolverError};
use crate::operator::LinearOperator;

/// Preconditioned conjugate gradients (Hestenes–Stiefel 1952) for `A x = b`, `A ≻ 0`.
///
/// Each iteration minimises `½xᵀAx − bᵀx` over one more dimension of the Krylov space.
/// Costs one product, one preconditioner and `10n` flops per iteration; holds four
/// vectors besides `x` (five with a preconditioner) and allocates none of them in the loop.
///
/// The residual that the recurrence carries drifts away from `b − A x`. So before
/// success is reported the true residual is computed (one more product); if it is
/// too large, the iteration restarts from there, and ends as
/// [`CgStop::Stagnated`] once restarting no longer helps.
///
/// A long solve can be done in parts: see [`Cg::start`].
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
    /// Stop at `‖b − Ax‖ ≤ relative_tolerance · ‖b‖`. Default 1e-10, and never less than `16 eps`
    /// of the type, 2e-6 in single precision: what rounding leaves of a residual.
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
        check_system(a.dim(), b, x0, m.dim())?;
        let mut state = self.start(b, x0)?;
        state.drive(a, m, None, usize::MAX);
        Ok(state.into_outcome())
    }

    /// [`solve_with`](Self::solve_with), offering the pairs `(d, Ad)` of all iterations to
    /// `pairs`: a preconditioner for the next solve with this operator, or one like it.
    ///
    /// # Errors
    /// As [`solve_with`](Self::solve_with), and for pairs of another dimension.
    pub fn solve_collecting<T, A, P>(
        &self,
        a: &A,
        b: ArrayView1<'_, T>,
        x0: Option<ArrayView1<'_, T>>,
        m: &P,
        pairs: &mut LimitedMemory<T>,
    ) -> Result<CgOutcome<T>, SolverError>
    where
        T: Real,
        A: LinearOperator<T> + ?Sized,
        P: Preconditioner<T> + ?Sized,
    {
        check_system(a.dim(), b, x0, m.dim())?;
        check_preconditioner(Preconditioner::<T>::dim(pairs), a.dim())?;
        let mut state = self.start(b, x0)?;
        state.drive(a, m, Some(pairs), usize::MAX);
        Ok(state.into_outcome())
    }

    /// A solve that has not begun: no product is made yet. It is carried on by
    /// [`CgState::advance`], and can be stored in between.
    ///
    /// # Errors
    /// As [`solve_with`](Self::solve_with), where the operator's dimension is taken to be that of
    /// `b`.
    pub fn start<T: Real>(
        &self,
        b: ArrayView1<'_, T>,
        x0: Option<ArrayView1<'_, T>>,
    ) -> Result<CgState<T>, SolverError> {
        let n = b.len();
        check_system(n, b, x0, None)?;
        check_tolerances(&[
            ("relative_tolerance", self.relative_tolerance),
            ("absolute_tolerance", self.absolute_tolerance),
        ])?;
        Ok(CgState::new(self, b, x0))
    }
}
