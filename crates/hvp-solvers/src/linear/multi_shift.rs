//! Conjugate gradients for many shifts of one operator.

use ad_core::Real;
use ndarray::ArrayView1;
use serde::{Deserialize, Serialize};

use super::checks::{check_tolerances, check_vector};
use super::multi_shift_state::MultiShiftState;
use super::several::SeveralOutcome;
use crate::error::{SolverError, check_setting};
use crate::operator::LinearOperator;

/// Conjugate gradients for `(A + σⱼI) xⱼ = b` with many shifts at the cost in products of one
/// (Frommer 2003; van den Eshof & Sleijpen 2004).
///
/// The Krylov spaces of all shifts are one: `A V = V T + β v eᵀ` implies
/// `(A + σI) V = V (T + σI) + β v eᵀ`. So one Lanczos run serves every system, each with its own
/// factorisation `T + σI = LDLᵀ` and its own direction `P = V L⁻ᵀ`. A ladder of damped Newton
/// steps costs no more products than its least damped one.
///
/// Each system stops when it has converged, and its true residual is verified by one product;
/// one that rounding has spoiled is finished by [`Cg`](super::Cg) from where it stands.
///
/// A long solve can be done in parts: see [`MultiShiftCg::start`].
///
/// - **Cost**: a product and `6n` flops per iteration, `4n` more for each shift at work; a
///   product a shift to verify.
/// - **Memory**: `2k + 4` vectors for `k` shifts; nothing is allocated in the loop.
///
/// ```
/// use hvp_solvers::{linear::MultiShiftCg, operator::DiagonalOperator};
/// use ndarray::array;
/// let a = DiagonalOperator::new(array![1.0, 2.0, 4.0]);
/// let b = array![1.0, 1.0, 1.0];
/// let found = MultiShiftCg::default().solve(&a, b.view(), &[0.0, 1.0, 100.0])?;
/// assert!(found.is_converged());
/// assert!((found.x[[1, 2]] - 0.2_f64).abs() < 1e-12);
/// assert_eq!(found.n_products, 6); // three iterations and three checks
/// # Ok::<(), hvp_solvers::SolverError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct MultiShiftCg {
    /// A system stops at `‖b − (A + σI)x‖ ≤ relative_tolerance · ‖b‖`. Default 1e-10,
    /// and never less than `16 eps` of the type, 2e-6 in single precision: what rounding leaves of
    /// a residual.
    pub relative_tolerance: f64,
    /// … or at `absolute_tolerance`, whichever comes first. Default 0.
    pub absolute_tolerance: f64,
    /// At most this many iterations; `None` for `10 n + 10`.
    pub max_iters: Option<usize>,
}

impl Default for MultiShiftCg {
    fn default() -> Self {
        Self {
            relative_tolerance: 1e-10,
            absolute_tolerance: 0.0,
            max_iters: None,
        }
    }
}

impl MultiShiftCg {
    /// Solves `(A + σⱼI) xⱼ = b` from zero, for shifts of which each has to make the operator
    /// positive definite; the others end as
    /// [`CgStop::NotPositiveDefinite`](super::CgStop::NotPositiveDefinite).
    ///
    /// # Errors
    /// [`SolverError`] for a right-hand side of another length or not finite, a shift that is
    /// not finite, or a tolerance that is negative or NaN.
    pub fn solve<T, A>(
        &self,
        a: &A,
        b: ArrayView1<'_, T>,
        shifts: &[T],
    ) -> Result<SeveralOutcome<T>, SolverError>
    where
        T: Real,
        A: LinearOperator<T> + ?Sized,
    {
        check_vector("b", b, a.dim())?;
        let mut state = self.start(b, shifts)?;
        state.advance(a, usize::MAX)?;
        Ok(state.into_outcome())
    }

    /// A solve that has not begun: no product is made yet. It is carried on by
    /// [`MultiShiftState::advance`], and can be stored in between.
    ///
    /// # Errors
    /// As [`solve`](Self::solve), where the operator's dimension is taken to be that of `b`.
    pub fn start<T: Real>(
        &self,
        b: ArrayView1<'_, T>,
        shifts: &[T],
    ) -> Result<MultiShiftState<T>, SolverError> {
        check_vector("b", b, b.len())?;
        for shift in shifts {
            check_setting("shift", shift.as_f64(), shift.is_finite(), "finite")?;
        }
        check_tolerances(&[
            ("relative_tolerance", self.relative_tolerance),
            ("absolute_tolerance", self.absolute_tolerance),
        ])?;
        Ok(MultiShiftState::new(self, b, shifts))
    }
}
