//! Diagonal preconditioners.

use ad_core::Real;
use ndarray::{Array1, ArrayView1, ArrayViewMut1, Zip};

use super::Preconditioner;
use crate::SolverError;
use crate::error::check_setting;
use crate::vector::norm_max;

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
            check_setting(
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

    /// Jacobi's preconditioner from an estimated diagonal `d`, such as that of
    /// [`DiagonalEstimator`](crate::trace::DiagonalEstimator): `max(|dᵢ|, floor · max|d|)`, so
    /// that entries lost in the estimate's noise, or negative, do no harm.
    ///
    /// ```
    /// use hvp_solvers::linear::DiagonalPreconditioner;
    /// use hvp_solvers::operator::DiagonalOperator;
    /// use hvp_solvers::trace::DiagonalEstimator;
    /// use ndarray::array;
    /// let a = DiagonalOperator::new(array![1e4, 1.0, 1e-9]);
    /// let found = DiagonalEstimator::default().estimate(&a)?;
    /// let m = DiagonalPreconditioner::from_estimate(found.diagonal.view(), 1e-6)?;
    /// # Ok::<(), hvp_solvers::SolverError>(())
    /// ```
    ///
    /// # Errors
    /// [`SolverError::InvalidSetting`] for a floor that is not above 0 and at most 1, or a
    /// diagonal that is zero or not finite.
    pub fn from_estimate(diagonal: ArrayView1<'_, T>, floor: T) -> Result<Self, SolverError> {
        let usable = floor > T::zero() && floor <= T::one();
        check_setting("floor", floor.as_f64(), usable, "above 0, at most 1")?;
        let top = norm_max(&diagonal.to_vec());
        Self::new(diagonal.mapv(|d| {
            // NaN has to stay one, for the check.
            let d = d.abs();
            if d < floor * top { floor * top } else { d }
        }))
    }

    /// Martens' `diag(d + λ)^ξ` (2010): `d` is the diagonal of a Gauss–Newton or Fisher matrix
    /// (the mean of the cases' squared gradients, say; negative entries count as zero), `λ` the
    /// damping of the operator. He recommends `ξ = ¾`, which tempers a diagonal that is only
    /// roughly that of the operator.
    ///
    /// # Errors
    /// [`SolverError::InvalidSetting`] for a damping that is negative, an exponent outside
    /// `(0, 1]`, or entries that come out zero or not finite.
    pub fn martens(
        diagonal: ArrayView1<'_, T>,
        damping: T,
        exponent: T,
    ) -> Result<Self, SolverError> {
        check_setting(
            "damping",
            damping.as_f64(),
            damping >= T::zero(),
            "at least zero",
        )?;
        let usable = exponent > T::zero() && exponent <= T::one();
        check_setting("exponent", exponent.as_f64(), usable, "above 0, at most 1")?;
        Self::new(diagonal.mapv(|d| {
            let d = if d < T::zero() { T::zero() } else { d };
            (d + damping).powf(exponent)
        }))
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
