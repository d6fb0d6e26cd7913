//! Minimum residuals for symmetric systems of any inertia: settings and outcome.

use ad_core::Real;
use ndarray::{Array1, ArrayView1};
use serde::{Deserialize, Serialize};

use super::NegativeCurvature;
use super::checks::{attainable, check_system, check_tolerances};
use super::minres_state::{Limits, MinresState};
use super::preconditioner::{Identity, Preconditioner};
use crate::error::{Quantity, SolverError};
use crate::operator::LinearOperator;

/// MINRES (Paige & Saunders 1975) for `A x = b` with a symmetric operator that may be
/// indefinite or singular.
///
/// Iterate `k` minimises `‖b − Ax‖` over `K_k = span{b, Ab, …, Aᵏ⁻¹b}` (in the norm of
/// `M⁻¹`, over the preconditioned space, with a preconditioner `M ≻ 0`). From the
/// factorisation `Q T = R` of the Lanczos matrix by rotations `(c, s)` it also knows,
/// without a further product, the curvature along its own residual,
///
/// `rᵀ_{k−1} A r_{k−1} = −c_{k−1} γ̄_k ‖r_{k−1}‖²`,
///
/// so a direction of nonpositive curvature is seen as soon as the residual is one (Liu
/// & Roosta 2022); as long as none is seen, `½xᵀAx − bᵀx` falls and `‖x‖` grows.
///
/// A singular system ends as [`MinresStop::LeastSquares`] where it has no solution. From
/// a zero start the minimiser of `‖b − Ax‖` is then lifted to the one of least length,
/// `x − (rᵀx/‖r‖²) r` (Liu, Milzarek & Roosta 2022): the pseudo-inverse solution. Where that
/// spoils `‖Ar‖`, a restart mends it; where it spoils the residual, it is undone.
///
/// The residual that the recurrence carries is verified by a product before any ending but
/// a failure, `‖Ar‖` by another before a least-squares one, and the iteration restarts from a
/// larger one while that helps. `x` is never
/// worse than the start. Rounding enters `x` with the square of the condition: beyond
/// about `1/√eps` expect [`MinresStop::Stagnated`] unless a preconditioner helps.
///
/// - **Cost**: one product, one preconditioner and about `12n` flops per iteration; one more
///   product to verify a residual, one or two to verify `‖Ar‖`.
/// - **Memory**: eight vectors besides `x`, one more with a preconditioner and two with
///   [`MinresCurvature`] other than `Ignore`; nothing is allocated in the loop.
///
/// ```
/// use hvp_solvers::{linear::Minres, operator::DiagonalOperator};
/// use ndarray::array;
/// // Indefinite, and singular: the last equation reads 0 = 1.
/// let a = DiagonalOperator::new(array![2.0, -4.0, 0.0]);
/// let solved = Minres::default().solve(&a, array![1.0, 1.0, 1.0].view())?;
/// let exact = [0.5_f64, -0.25, 0.0];
/// assert!(solved.x.iter().zip(exact).all(|(x, e)| (x - e).abs() < 1e-12));
/// assert!((solved.stats.residual_norm - 1.0).abs() < 1e-12);
/// # Ok::<(), hvp_solvers::SolverError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Minres {
    /// Stop at `‖r‖ ≤ relative_tolerance · ‖b‖`, in the norm `√(rᵀM⁻¹r)` with a preconditioner.
    /// Default 1e-10, and never less than `16 eps` of the type, 2e-6 in single precision: what
    /// rounding leaves of a residual.
    pub relative_tolerance: f64,
    /// … or at `‖r‖ ≤ absolute_tolerance`, in the same norm. Default 0.
    pub absolute_tolerance: f64,
    /// Stop at `‖Ar‖ ≤ least_squares_tolerance · ‖A‖‖r‖`, which no `x` can improve.
    /// Default 1e-8, and never less than `4 eps`. Far below that, rounding lets the
    /// iteration pass a vanishing pivot unseen. A nonsingular system of a condition
    /// above the inverse cannot be told from a singular one.
    pub least_squares_tolerance: f64,
    /// At most this many iterations; `None` for `10 n + 10`. In exact arithmetic
    /// `n` suffice.
    pub max_iters: Option<usize>,
    /// What to do about nonpositive curvature. Default [`MinresCurvature::Ignore`].
    pub curvature: MinresCurvature,
}

/// What [`Minres`] does about a residual along which the curvature is nonpositive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum MinresCurvature {
    /// Goes on, and keeps nothing: the system is to be solved.
    #[default]
    Ignore,
    /// Goes on, and keeps the direction of the lowest curvature seen.
    Record,
    /// Stops with the iterate before and the direction: a Newton step is to be found.
    Stop,
}

impl Default for Minres {
    fn default() -> Self {
        Self {
            relative_tolerance: 1e-10,
            absolute_tolerance: 0.0,
            least_squares_tolerance: 1e-8,
            max_iters: None,
            curvature: MinresCurvature::default(),
        }
    }
}

/// How [`Minres`] ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum MinresStop {
    /// The true residual is within tolerance.
    Converged,
    /// The system has no solution (within tolerance); `x` minimises the residual.
    LeastSquares,
    /// The residual is a direction of nonpositive curvature; `x` is the iterate before.
    NegativeCurvature,
    /// The limit of iterations was reached.
    MaxIterations,
    /// Rounding prevents a smaller residual.
    Stagnated,
    /// A vector with `rᵀM⁻¹r ≤ 0`: the preconditioner is not positive definite.
    PreconditionerNotPositiveDefinite,
    /// A NaN or an infinity; `x` is the last good iterate.
    NonFinite {
        /// Where it appeared.
        what: Quantity,
    },
}

impl MinresStop {
    /// Whether `x` solves the system, or minimises the residual of one without solution.
    pub fn is_converged(self) -> bool {
        matches!(self, Self::Converged | Self::LeastSquares)
    }
}

/// What a solve by [`Minres`] cost and reached. With a preconditioner residuals are measured in
/// the norm `√(rᵀM⁻¹r)`, and the operator is the preconditioned one, `M^{-½} A M^{-½}`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MinresStats {
    /// Iterations.
    pub n_iters: usize,
    /// Products with the operator.
    pub n_products: usize,
    /// `‖b − Ax‖`: recomputed, but for negative curvature and failures, where it is
    /// carried by the recurrence.
    pub residual_norm: f64,
    /// `‖A r‖`: recomputed for a least-squares ending, else by the recurrence, for the
    /// iterate before the last.
    pub normal_residual_norm: f64,
    /// The largest `‖Av‖` over unit Lanczos vectors: a lower bound of `‖A‖`.
    pub operator_norm: f64,
    /// `γ_max / γ_min` over the pivots: an estimate of the condition on the Krylov space.
    pub condition: f64,
}

/// The solution and how it was reached.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MinresOutcome<T> {
    /// The last good iterate; always finite.
    pub x: Array1<T>,
    /// The direction of nonpositive curvature, if one was met and asked for.
    pub negative_curvature: Option<NegativeCurvature<T>>,
    /// How it ended.
    pub stop: MinresStop,
    /// Cost and residuals.
    pub stats: MinresStats,
}

impl Minres {
    /// Solves `A x = b` from zero, without a preconditioner.
    ///
    /// # Errors
    /// As [`solve_with`](Self::solve_with).
    pub fn solve<T: Real, A: LinearOperator<T> + ?Sized>(
        &self,
        a: &A,
        b: ArrayView1<'_, T>,
    ) -> Result<MinresOutcome<T>, SolverError> {
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
    ) -> Result<MinresOutcome<T>, SolverError>
    where
        T: Real,
        A: LinearOperator<T> + ?Sized,
        P: Preconditioner<T> + ?Sized,
    {
        check_system(a.dim(), b, x0, m.dim())?;
        let mut state = self.start(b, x0)?;
        state.drive(a, m, usize::MAX);
        Ok(state.into_outcome())
    }

    /// A solve that has not begun: no product is made yet. It is carried on by
    /// [`MinresState::advance`], and can be stored in between.
    ///
    /// # Errors
    /// As [`solve_with`](Self::solve_with), where the operator's dimension is taken to be that of
    /// `b`.
    pub fn start<T: Real>(
        &self,
        b: ArrayView1<'_, T>,
        x0: Option<ArrayView1<'_, T>>,
    ) -> Result<MinresState<T>, SolverError> {
        check_system(b.len(), b, x0, None)?;
        check_tolerances(&[
            ("relative_tolerance", self.relative_tolerance),
            ("absolute_tolerance", self.absolute_tolerance),
            ("least_squares_tolerance", self.least_squares_tolerance),
        ])?;
        let limits = self.limits(b.len(), true);
        Ok(MinresState::new(limits, b.iter().copied(), x0))
    }

    /// [`solve`](Self::solve) for input that was checked, in memory that there is already, whose
    /// residual by the recurrence is good enough: saves the product that verifies it.
    pub(crate) fn solve_unverified<T, A>(
        &self,
        a: &A,
        b: impl Iterator<Item = T>,
        memory: &mut MinresState<T>,
    ) -> MinresStop
    where
        T: Real,
        A: LinearOperator<T> + ?Sized,
    {
        memory.load(self.limits(a.dim(), false), b, None);
        memory.drive(a, &Identity, usize::MAX);
        memory.finish()
    }

    /// Memory for [`solve_unverified`](Self::solve_unverified).
    pub(crate) fn memory<T: Real>(&self) -> MinresState<T> {
        MinresState::new(self.limits(0, false), std::iter::empty(), None)
    }

    fn limits<T: Real>(&self, n: usize, verify: bool) -> Limits<T> {
        Limits {
            relative: attainable(self.relative_tolerance),
            absolute: T::of(self.absolute_tolerance),
            least_squares: T::of(self.least_squares_tolerance).max(T::of(4.0) * T::epsilon()),
            max_iters: self.max_iters.unwrap_or(10 * n + 10),
            curvature: self.curvature,
            verify,
        }
    }
}
