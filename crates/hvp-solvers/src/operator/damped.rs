//! Damping along the coordinates.

use ad_core::Real;
use ndarray::{Array1, ArrayView1, ArrayView2, ArrayViewMut1, ArrayViewMut2, Zip};

use super::LinearOperator;
use crate::SolverError;
use crate::error::{check_finite, check_len, check_setting};

/// `A + λ diag(d)`: damping in the scale of each coordinate (Marquardt 1963); with `d = 1` it
/// is [`Shifted`](super::Shifted).
///
/// ```
/// use hvp_solvers::{LinearOperator, operator::{Damped, DiagonalOperator}};
/// use ndarray::{array, Array1};
/// let mut a = Damped::new(DiagonalOperator::new(array![1.0, 2.0]), 0.5, array![2.0, 4.0])?;
/// let mut y = Array1::zeros(2);
/// a.apply_into(array![1.0, 1.0].view(), y.view_mut());
/// assert_eq!(y, array![2.0, 4.0]);
/// a.set_damping(0.25)?;
/// a.apply_into(array![1.0, 1.0].view(), y.view_mut());
/// assert_eq!(y, array![1.5, 3.0]);
/// # Ok::<(), hvp_solvers::SolverError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Damped<T, O> {
    inner: O,
    damping: T,
    diagonal: Array1<T>,
}

impl<T: Real, O: LinearOperator<T>> Damped<T, O> {
    /// `inner + damping · diag(diagonal)`.
    ///
    /// # Errors
    /// [`SolverError::DimensionMismatch`]; [`SolverError::NonFiniteInput`] or
    /// [`SolverError::InvalidSetting`] for numbers that are not finite.
    pub fn new(inner: O, damping: T, diagonal: Array1<T>) -> Result<Self, SolverError> {
        check_len("diagonal", diagonal.len(), inner.dim())?;
        check_finite("diagonal", diagonal.view())?;
        let mut damped = Self {
            inner,
            damping: T::zero(),
            diagonal,
        };
        damped.set_damping(damping)?;
        Ok(damped)
    }

    /// Changes `λ`.
    ///
    /// # Errors
    /// [`SolverError::InvalidSetting`] unless it is finite.
    pub fn set_damping(&mut self, damping: T) -> Result<(), SolverError> {
        check_setting("damping", damping.as_f64(), damping.is_finite(), "finite")?;
        self.damping = damping;
        Ok(())
    }
}

impl<T: Real, O: LinearOperator<T>> LinearOperator<T> for Damped<T, O> {
    fn dim(&self) -> usize {
        self.inner.dim()
    }

    fn apply_into(&self, x: ArrayView1<'_, T>, mut y: ArrayViewMut1<'_, T>) {
        self.inner.apply_into(x, y.view_mut());
        Zip::from(y)
            .and(&self.diagonal)
            .and(x)
            .for_each(|y, &d, &x| *y += self.damping * d * x);
    }

    fn apply_block_into(&self, x: ArrayView2<'_, T>, mut y: ArrayViewMut2<'_, T>) {
        self.inner.apply_block_into(x, y.view_mut());
        Zip::from(y)
            .and_broadcast(&self.diagonal)
            .and(x)
            .for_each(|y, &d, &x| *y += self.damping * d * x);
    }
}
