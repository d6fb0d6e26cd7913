//! A closure as an operator.

use std::fmt;

use ad_core::Real;
use ndarray::{ArrayView1, ArrayViewMut1};

use super::LinearOperator;

/// An operator given by a closure that writes `A x` to `y`.
///
/// ```
/// use hvp_solvers::{LinearOperator, operator::FnOperator};
/// use ndarray::{array, Array1, ArrayView1, ArrayViewMut1};
/// let twice = FnOperator::new(2, |x: ArrayView1<f64>, mut y: ArrayViewMut1<f64>| {
///     y.assign(&(&x * 2.0));
/// });
/// let mut y = Array1::zeros(2);
/// twice.apply_into(array![1.0, 2.0].view(), y.view_mut());
/// assert_eq!(y, array![2.0, 4.0]);
/// ```
#[derive(Clone)]
pub struct FnOperator<F> {
    dim: usize,
    product: F,
}

impl<F> FnOperator<F> {
    /// An operator of dimension `dim` whose products `product` computes.
    pub fn new(dim: usize, product: F) -> Self {
        Self { dim, product }
    }
}

impl<F> fmt::Debug for FnOperator<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FnOperator")
            .field("dim", &self.dim)
            .finish_non_exhaustive()
    }
}

impl<T: Real, F> LinearOperator<T> for FnOperator<F>
where
    F: Fn(ArrayView1<'_, T>, ArrayViewMut1<'_, T>),
{
    fn dim(&self) -> usize {
        self.dim
    }

    fn apply_into(&self, x: ArrayView1<'_, T>, y: ArrayViewMut1<'_, T>) {
        (self.product)(x, y);
    }
}
