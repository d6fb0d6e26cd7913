//! A diagonal matrix.

use ad_core::Real;
use ndarray::{Array1, ArrayView1, ArrayViewMut1, Zip};

use super::LinearOperator;

/// `A = diag(d)`: `n` numbers, `n` flops per product.
///
/// ```
/// use hvp_solvers::{LinearOperator, operator::DiagonalOperator};
/// use ndarray::{array, Array1};
/// let a = DiagonalOperator::new(array![2.0, -1.0]);
/// let mut y = Array1::zeros(2);
/// a.apply_into(array![3.0, 4.0].view(), y.view_mut());
/// assert_eq!(y, array![6.0, -4.0]);
/// ```
#[derive(Debug, Clone)]
pub struct DiagonalOperator<T> {
    diagonal: Array1<T>,
}

impl<T: Real> DiagonalOperator<T> {
    /// The operator with this diagonal.
    pub fn new(diagonal: Array1<T>) -> Self {
        Self { diagonal }
    }

    /// The diagonal.
    pub fn diagonal(&self) -> ArrayView1<'_, T> {
        self.diagonal.view()
    }
}

impl<T: Real> LinearOperator<T> for DiagonalOperator<T> {
    fn dim(&self) -> usize {
        self.diagonal.len()
    }

    fn apply_into(&self, x: ArrayView1<'_, T>, y: ArrayViewMut1<'_, T>) {
        Zip::from(y)
            .and(&self.diagonal)
            .and(x)
            .for_each(|y, &d, &x| *y = d * x);
    }
}
