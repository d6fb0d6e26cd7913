//! Approximate inverses.

use ad_core::Real;
use ndarray::{Array1, ArrayView1, ArrayViewMut1, Zip};

use crate::SolverError;

/// A symmetric positive definite matrix `M`, known by products with its inverse.
///
/// A good `M` is close to the operator and cheap to solve with. In a trust region
/// it also defines the norm, `‖z‖_M = √(zᵀMz)`.
pub trait Preconditioner<T: Real> {
    /// Writes `M⁻¹ r` to `y`; both have the operator's dimension.
    fn apply_into(&self, r: ArrayView1<'_, T>, y: ArrayViewMut1<'_, T>);

    /// The dimension, or `None` if any will do.
    fn dim(&self) -> Option<usize>;

    /// Whether `M = I`, which lets solvers skip a vector and measure `‖z‖` directly.
    fn is_identity(&self) -> bool {
        false
    }
}

impl<T: Real, P: Preconditioner<T> + ?Sized> Preconditioner<T> for &P {
    fn apply_into(&self, r: ArrayView1<'_, T>, y: ArrayViewMut1<'_, T>) {
        (**self).apply_into(r, y);
    }
    fn dim(&self) -> Option<usize> {
        (**self).dim()
    }
    fn is_identity(&self) -> bool {
        (**self).is_identity()
    }
}

/// `M = I`: no preconditioning.
#[derive(Debug, Clone, Copy, Default)]
pub struct Identity;

impl<T: Real> Preconditioner<T> for Identity {
    fn apply_into(&self, r: ArrayView1<'_, T>, mut y: ArrayViewMut1<'_, T>) {
        y.assign(&r);
    }
    fn dim(&self) -> Option<usize> {
        None
    }
    fn is_identity(&self) -> bool {
        true
    }
}

/// `M = diag(d)`, Jacobi's preconditioner when `d` is the operator's diagonal.
///
/// ```
/// use hvp_solvers::linear::{Cg, DiagonalPreconditioner};
/// use hvp_solvers::operator::DiagonalOperator;
/// use ndarray::{array, Array1};
/// let d = array![1.0, 1e4, 1e8];
/// let m = DiagonalPreconditioner::new(d.clone())?;
/// let solved = Cg::default().solve_with(
///     &DiagonalOperator::new(d), Array1::ones(3).view(), None, &m)?;
/// assert_eq!(solved.stats.n_iters, 1);
/// # Ok::<(), hvp_solvers::SolverError>(())
/// ```
#[derive(Debug, Clone)]
pub struct DiagonalPreconditioner<T> {
    inverse: Array1<T>,
}

impl<T: Real> DiagonalPreconditioner<T> {
    /// The preconditioner `diag(diagonal)`.
    ///
    /// # Errors
    /// [`SolverError::InvalidSetting`] for an entry that is not positive and finite,
    /// or whose inverse is not.
    pub fn new(diagonal: Array1<T>) -> Result<Self, SolverError> {
        for &d in &diagonal {
            let usable = d > T::zero() && d.is_finite() && d.recip().is_finite();
            crate::error::check_setting(
                "preconditioner diagonal",
                d.as_f64(),
                usable,
                "positive and finite, with a finite inverse",
            )?;
        }
        Ok(Self {
            inverse: diagonal.mapv_into(T::recip),
        })
    }
}

impl<T: Real> Preconditioner<T> for DiagonalPreconditioner<T> {
    fn apply_into(&self, r: ArrayView1<'_, T>, y: ArrayViewMut1<'_, T>) {
        Zip::from(y)
            .and(&self.inverse)
            .and(r)
            .for_each(|y, &d, &r| *y = d * r);
    }
    fn dim(&self) -> Option<usize> {
        Some(self.inverse.len())
    }
}

/// `y ← M⁻¹ r` on slices.
pub(crate) fn precondition<T: Real, P: Preconditioner<T> + ?Sized>(m: &P, r: &[T], y: &mut [T]) {
    if m.is_identity() {
        y.copy_from_slice(r);
    } else {
        m.apply_into(ArrayView1::from(r), ArrayViewMut1::from(y));
    }
}
