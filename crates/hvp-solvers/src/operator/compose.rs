//! Operators made of operators.

use std::sync::atomic::{AtomicU64, Ordering};

use ad_core::Real;
use ndarray::{ArrayView1, ArrayView2, ArrayViewMut1, ArrayViewMut2, Zip};

use super::LinearOperator;

/// `A + λI`: a damped (or, for negative `λ`, a shifted) operator.
///
/// ```
/// use hvp_solvers::{LinearOperator, operator::{DiagonalOperator, Shifted}};
/// use ndarray::{array, Array1};
/// let a = Shifted::new(DiagonalOperator::new(array![1.0, 2.0]), 10.0);
/// let mut y = Array1::zeros(2);
/// a.apply_into(array![1.0, 1.0].view(), y.view_mut());
/// assert_eq!(y, array![11.0, 12.0]);
/// ```
#[derive(Debug, Clone)]
pub struct Shifted<T, O> {
    inner: O,
    shift: T,
}

impl<T: Real, O> Shifted<T, O> {
    /// `inner + shift · I`.
    pub fn new(inner: O, shift: T) -> Self {
        Self { inner, shift }
    }
}

impl<T: Real, O: LinearOperator<T>> LinearOperator<T> for Shifted<T, O> {
    fn dim(&self) -> usize {
        self.inner.dim()
    }

    fn apply_into(&self, x: ArrayView1<'_, T>, mut y: ArrayViewMut1<'_, T>) {
        self.inner.apply_into(x, y.view_mut());
        Zip::from(y).and(x).for_each(|y, &x| *y += self.shift * x);
    }

    fn apply_block_into(&self, x: ArrayView2<'_, T>, mut y: ArrayViewMut2<'_, T>) {
        self.inner.apply_block_into(x, y.view_mut());
        Zip::from(y).and(x).for_each(|y, &x| *y += self.shift * x);
    }
}

/// `c A`: a scaled operator, `−A` with `c = −1`.
///
/// ```
/// use hvp_solvers::{LinearOperator, operator::{DiagonalOperator, Scaled}};
/// use ndarray::{array, Array1};
/// let a = Scaled::new(DiagonalOperator::new(array![1.0, 2.0]), -1.0);
/// let mut y = Array1::zeros(2);
/// a.apply_into(array![1.0, 1.0].view(), y.view_mut());
/// assert_eq!(y, array![-1.0, -2.0]);
/// ```
#[derive(Debug, Clone)]
pub struct Scaled<T, O> {
    inner: O,
    factor: T,
}

impl<T: Real, O> Scaled<T, O> {
    /// `factor · inner`.
    pub fn new(inner: O, factor: T) -> Self {
        Self { inner, factor }
    }
}

impl<T: Real, O: LinearOperator<T>> LinearOperator<T> for Scaled<T, O> {
    fn dim(&self) -> usize {
        self.inner.dim()
    }

    fn apply_into(&self, x: ArrayView1<'_, T>, mut y: ArrayViewMut1<'_, T>) {
        self.inner.apply_into(x, y.view_mut());
        y.map_inplace(|y| *y *= self.factor);
    }

    fn apply_block_into(&self, x: ArrayView2<'_, T>, mut y: ArrayViewMut2<'_, T>) {
        self.inner.apply_block_into(x, y.view_mut());
        y.map_inplace(|y| *y *= self.factor);
    }
}

/// An operator that counts its products; a block of `k` vectors counts `k`.
///
/// ```
/// use hvp_solvers::{LinearOperator, operator::{Counted, DiagonalOperator}};
/// use ndarray::{array, Array1};
/// let a = Counted::new(DiagonalOperator::new(array![1.0, 2.0]));
/// let mut y = Array1::zeros(2);
/// a.apply_into(array![1.0, 1.0].view(), y.view_mut());
/// assert_eq!(a.count(), 1);
/// ```
#[derive(Debug)]
pub struct Counted<O> {
    inner: O,
    // Atomic so that counting does not take `Sync` away from the operator.
    count: AtomicU64,
}

impl<O> Counted<O> {
    /// Starts at zero.
    pub fn new(inner: O) -> Self {
        Self {
            inner,
            count: AtomicU64::new(0),
        }
    }

    /// Products made so far.
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Starts again at zero.
    pub fn reset(&self) {
        self.count.store(0, Ordering::Relaxed);
    }
}

impl<T: Real, O: LinearOperator<T>> LinearOperator<T> for Counted<O> {
    fn dim(&self) -> usize {
        self.inner.dim()
    }

    fn apply_into(&self, x: ArrayView1<'_, T>, y: ArrayViewMut1<'_, T>) {
        self.count.fetch_add(1, Ordering::Relaxed);
        self.inner.apply_into(x, y);
    }

    fn apply_block_into(&self, x: ArrayView2<'_, T>, y: ArrayViewMut2<'_, T>) {
        self.count.fetch_add(x.nrows() as u64, Ordering::Relaxed);
        self.inner.apply_block_into(x, y);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operator::DenseOperator;
    use ndarray::{Array2, array};

    #[test]
    fn blocks_agree_with_single_products_and_are_counted() {
        let a = DenseOperator::new(array![[2.0, 1.0], [1.0, 3.0]]).unwrap();
        let op = Counted::new(Scaled::new(Shifted::new(a, 0.5), -2.0));
        let x = array![[1.0, 2.0], [-1.0, 0.5]];
        let mut block = Array2::zeros((2, 2));
        op.apply_block_into(x.view(), block.view_mut());
        assert_eq!(op.count(), 2);
        let mut rows = Array2::zeros((2, 2));
        for i in 0..2 {
            op.apply_into(x.row(i), rows.row_mut(i));
        }
        assert_eq!(block, rows);
        assert_eq!(rows.row(0), array![-9.0, -16.0]);
        op.reset();
        assert_eq!(op.count(), 0);
    }
}
