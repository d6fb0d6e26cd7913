//! A hard limit on the products of an inner solver.

use std::cell::Cell;

use ad_core::Real;
use ndarray::{ArrayView1, ArrayViewMut1};

use crate::LinearOperator;

/// An operator that makes so many products and no more: what is asked for beyond them is NaN, at
/// which every solver ends with the last good iterate.
///
/// For solvers that make some products beside those of their iterations: to verify a residual, to
/// look at the rest of a spectrum.
pub(crate) struct Rationed<'a, A: ?Sized> {
    inner: &'a A,
    left: Cell<usize>,
    n_products: Cell<usize>,
    has_refused: Cell<bool>,
}

impl<'a, A: ?Sized> Rationed<'a, A> {
    pub(crate) fn new(inner: &'a A, n_products: usize) -> Self {
        Self {
            inner,
            left: Cell::new(n_products),
            n_products: Cell::new(0),
            has_refused: Cell::new(false),
        }
    }

    /// Products made.
    pub(crate) fn n_products(&self) -> usize {
        self.n_products.get()
    }

    /// Whether a product was asked for that was not to be had.
    pub(crate) fn has_refused(&self) -> bool {
        self.has_refused.get()
    }
}

impl<T: Real, A: LinearOperator<T> + ?Sized> LinearOperator<T> for Rationed<'_, A> {
    fn dim(&self) -> usize {
        self.inner.dim()
    }

    fn apply_into(&self, x: ArrayView1<'_, T>, mut y: ArrayViewMut1<'_, T>) {
        if self.left.get() == 0 {
            self.has_refused.set(true);
            y.fill(T::nan());
            return;
        }
        self.left.set(self.left.get() - 1);
        self.n_products.set(self.n_products.get() + 1);
        self.inner.apply_into(x, y);
    }
}
