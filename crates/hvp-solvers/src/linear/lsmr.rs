//! Least squares with a rectangular operator: settings and outcome.

use ad_core::Real;
use ndarray::{Array1, ArrayView1};
use serde::{Deserialize, Serialize};

use super::checks::{check_tolerances, check_vector};
use super::lsmr_state::{Limits, LsmrState};
use crate::error::{Quantity, SolverError, check_setting};
use crate::operator::RectangularOperator;

/// LSMR (Fong & Saunders 2011) for `min ‖b − Ax‖² + λ²‖x‖²` with an `m×n` operator.
///
/// Golub & Kahan's bidiagonalisation turns `A` into a lower bidiagonal matrix; iterate `k`
/// minimises `‖Āᵀr̄‖`, the residual of the normal equations, over
/// `span{Aᵀb, (AᵀA)Aᵀb, …}`: MINRES on `(AᵀA + λ²I)x = Aᵀb` in exact arithmetic, without squaring
/// the condition. Here `Ā = [A; λI]` and `r̄ = [b; 0] − Āx`. Both `‖r̄‖` and `‖Āᵀr̄‖` fall in
/// every iteration, so stopping early is safe. Starting from zero, `x` stays in the range of
/// `Aᵀ`: without damping it tends to the solution of least length.
///
/// A Gauss–Newton step `(JᵀJ + μI)s = −Jᵀr` is `b = −r`, `λ = √μ`.
///
/// The recurrences' figures are verified by a product each way before success is reported.
///
/// - **Cost**: a product and a transposed one, and about `3m + 5n` multiplications an
///   iteration; one more of each to verify.
/// - **Memory**: `3m + 5n` numbers; nothing is allocated in the loop.
///
/// ```
/// use hvp_solvers::{linear::{Lsmr, LsmrStop}, operator::DenseRectangular};
/// use ndarray::array;
/// // The line through (0, 1), (1, 2), (2, 4) of least squares: 5/6 + 3/2 t.
/// let a = DenseRectangular::new(array![[1.0, 0.0], [1.0, 1.0], [1.0, 2.0]]);
/// let found = Lsmr::default().solve(&a, array![1.0, 2.0, 4.0].view())?;
/// assert_eq!(found.stop, LsmrStop::LeastSquares);
/// assert!((found.x[0] - 5.0_f64 / 6.0).abs() < 1e-9 && (found.x[1] - 1.5).abs() < 1e-9);
/// # Ok::<(), hvp_solvers::SolverError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Lsmr {
    /// `λ ≥ 0`. Default 0.
    pub damping: f64,
    /// Stop at `‖r̄‖ ≤ relative_tolerance · ‖b‖ + operator_tolerance · ‖A‖‖x‖`: the system has a
    /// solution, and this is one. Default 1e-10.
    pub relative_tolerance: f64,
    /// Stop at `‖Āᵀr̄‖ ≤ operator_tolerance · ‖A‖‖r̄‖`: `x` is the exact solution for an operator
    /// that differs by `operator_tolerance · ‖A‖`. Default 1e-10; at least `4 eps`.
    pub operator_tolerance: f64,
    /// Stop when the estimated condition of `Ā` reaches this. Default `None`: `1/eps`.
    pub condition_limit: Option<f64>,
    /// At most this many iterations; `None` for `10 min(m, n) + 10`.
    pub max_iters: Option<usize>,
}

impl Default for Lsmr {
    fn default() -> Self {
        Self {
            damping: 0.0,
            relative_tolerance: 1e-10,
            operator_tolerance: 1e-10,
            condition_limit: None,
            max_iters: None,
        }
    }
}

/// How [`Lsmr`] ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum LsmrStop {
    /// The residual is within tolerance: the system has a solution.
    Converged,
    /// The residual of the normal equations is: `x` is the solution in least squares.
    LeastSquares,
    /// The estimate of the condition has reached its limit.
    ConditionLimit,
    /// The limit of iterations was reached.
    MaxIterations,
    /// The recurrence promised what the true residual does not keep, or rounding
    /// prevents progress.
    Stagnated,
    /// A NaN or an infinity; `x` is the last good iterate.
    NonFinite {
        /// Where it appeared.
        what: Quantity,
    },
}

impl LsmrStop {
    /// Whether `x` solves the system or the problem of least squares.
    pub fn is_converged(self) -> bool {
        matches!(self, Self::Converged | Self::LeastSquares)
    }
}

/// What a solve by [`Lsmr`] cost and reached. Residuals are recomputed if it converged or
/// stagnated, else carried by the recurrence.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LsmrStats {
    /// Iterations.
    pub n_iters: usize,
    /// Products with the operator.
    pub n_products: usize,
    /// Products with its transpose.
    pub n_transposed: usize,
    /// `‖r̄‖ = √(‖b − Ax‖² + λ²‖x‖²)`.
    pub residual_norm: f64,
    /// `‖Āᵀr̄‖ = ‖Aᵀ(b − Ax) − λ²x‖`.
    pub normal_residual_norm: f64,
    /// `‖x‖`.
    pub solution_norm: f64,
    /// The largest `‖Av‖` over the unit vectors `v` of the bidiagonalisation: a lower bound of
    /// `‖A‖`. (The Frobenius norm of the bidiagonal matrix, which the paper takes, outgrows
    /// that of `A` as orthogonality is lost.)
    pub operator_norm: f64,
    /// An estimate of the condition of `Ā`, from below.
    pub condition: f64,
}

/// The solution and how it was reached.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LsmrOutcome<T> {
    /// The last good iterate; always finite.
    pub x: Array1<T>,
    /// How it ended.
    pub stop: LsmrStop,
    /// Cost and residuals.
    pub stats: LsmrStats,
}

impl Lsmr {
    /// Solves from zero. From another start `x₀`, without damping, solve for the correction
    /// with `b − Ax₀`.
    ///
    /// # Errors
    /// [`SolverError`] for a right-hand side of another length or not finite, or settings that
    /// are negative, NaN, or, for the damping, infinite.
    pub fn solve<T, A>(&self, a: &A, b: ArrayView1<'_, T>) -> Result<LsmrOutcome<T>, SolverError>
    where
        T: Real,
        A: RectangularOperator<T> + ?Sized,
    {
        check_vector("b", b, a.nrows())?;
        let mut state = self.start(b)?;
        state.drive(a, usize::MAX);
        Ok(state.into_outcome())
    }

    /// A solve that has not begun: no product is made yet. It is carried on by
    /// [`LsmrState::advance`], and can be stored in between.
    ///
    /// # Errors
    /// As [`solve`](Self::solve), where the operator's rows are taken to be as many as `b` has.
    pub fn start<T: Real>(&self, b: ArrayView1<'_, T>) -> Result<LsmrState<T>, SolverError> {
        check_vector("b", b, b.len())?;
        let damping = T::of(self.damping);
        let usable = self.damping >= 0.0 && damping.is_finite();
        check_setting("damping", self.damping, usable, "at least zero and finite")?;
        check_tolerances(&[
            ("relative_tolerance", self.relative_tolerance),
            ("operator_tolerance", self.operator_tolerance),
        ])?;
        let limit = self.condition_limit.unwrap_or(f64::INFINITY);
        check_setting("condition_limit", limit, limit >= 1.0, "at least one")?;
        let limits = Limits {
            damping,
            relative: T::of(self.relative_tolerance),
            operator: T::of(self.operator_tolerance).max(T::of(4.0) * T::epsilon()),
            condition: T::of(limit).min(T::epsilon().recip()),
            max_iters: self.max_iters,
        };
        Ok(LsmrState::new(limits, b))
    }
}
