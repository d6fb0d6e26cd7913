//! Newton and Krylov methods that need only products with the Hessian.

use ad_core::Real;
use ndarray::{ArrayView1, ArrayView2, ArrayViewMut1, ArrayViewMut2};

pub mod dense;

/// A differentiable function of one flat vector.
pub trait Objective<T: Real> {
    /// Number of parameters.
    fn dim(&self) -> usize;
    /// The value at `x`.
    fn value(&mut self, x: ArrayView1<T>) -> T;
    /// The value at `x`; writes the gradient.
    fn value_and_grad(&mut self, x: ArrayView1<T>, grad: ArrayViewMut1<T>) -> T;
}

/// An objective with curvature products.
pub trait SecondOrder<T: Real>: Objective<T> {
    /// Fixes the point of the products; writes the gradient, returns the value.
    fn linearize(&mut self, x: ArrayView1<T>, grad: ArrayViewMut1<T>) -> T;
    /// `out = H v`.
    fn hvp_into(&self, v: ArrayView1<T>, out: ArrayViewMut1<T>);
    /// `out = H V`, column by column.
    fn hvp_block_into(&self, v: ArrayView2<T>, out: ArrayViewMut2<T>);
    /// Whether `ggnvp_into` may be called.
    fn has_gauss_newton(&self) -> bool;
    /// `out = G v`.
    fn ggnvp_into(&self, v: ArrayView1<T>, out: ArrayViewMut1<T>);
}
