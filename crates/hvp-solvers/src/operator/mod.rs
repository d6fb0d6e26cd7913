//! Symmetric linear operators, known only by their products; and rectangular ones.
//!
//! | operator | `A` |
//! |---|---|
//! | [`DenseOperator`], [`SparseOperator`], [`DiagonalOperator`] | a matrix held in memory |
//! | [`FnOperator`] | a closure |
//! | [`LinearizedOperator`](crate::LinearizedOperator) | Hessian or Gauss–Newton matrix of a recorded function |
//! | [`CurvatureOperator`](crate::CurvatureOperator) | the same of an objective, damped |
//! | [`EmpiricalFisher`] | `JᵀJ/N` of `N` cases |
//! | [`Shifted`], [`Damped`] | `A + λI`, `A + λ diag(d)` |
//! | [`Scaled`], [`Sum`] | `cA`, `Σ wᵢAᵢ` |
//! | [`Restricted`] | `P A Pᵀ`: some of the parameters |
//! | [`Counted`] | `A`, with its products counted |
//! | [`Journal`] | `A`, with its products written down: any solve over it can be resumed |
//!
//! [`validate`] examines an operator's promises. A Jacobian is a [`RectangularOperator`].

mod compose;
mod damped;
mod dense;
mod diagonal;
mod function;
mod journal;
mod rectangular;
mod restricted;
mod scratch;
mod sparse;
mod sum;
mod validate;

use std::sync::Arc;

use ad_core::Real;
use ndarray::{ArrayView1, ArrayView2, ArrayViewMut1, ArrayViewMut2, Zip};

pub use compose::{Counted, Scaled, Shifted};
pub use damped::Damped;
pub use dense::DenseOperator;
pub use diagonal::DiagonalOperator;
pub use function::FnOperator;
pub use journal::{Journal, JournalEntry};
pub use rectangular::{DenseRectangular, EmpiricalFisher, RectangularOperator};
pub use restricted::Restricted;
pub use sparse::SparseOperator;
pub use sum::Sum;
pub use validate::{Check, DefinitenessProbe, OperatorReport, ValidateSettings, Verdict, validate};

/// A real symmetric `n×n` matrix `A` that is known by its products `y = A x`.
///
/// Solvers rely on three properties that the type system cannot check: products
/// are linear in `x`, symmetric (`uᵀAv = vᵀAu`), and repeatable (the same `x` gives
/// the same bits). A product cannot fail: trouble shows as NaN in `y`, which
/// every solver here detects and turns into a typed ending.
///
/// ```
/// use hvp_solvers::LinearOperator;
/// use ndarray::{array, Array1, ArrayView1, ArrayViewMut1};
///
/// /// The matrix of all ones.
/// struct Ones(usize);
/// impl LinearOperator<f64> for Ones {
///     fn dim(&self) -> usize { self.0 }
///     fn apply_into(&self, x: ArrayView1<'_, f64>, mut y: ArrayViewMut1<'_, f64>) {
///         y.fill(x.sum());
///     }
/// }
/// let mut y = Array1::zeros(2);
/// Ones(2).apply_into(array![1.0, 2.0].view(), y.view_mut());
/// assert_eq!(y, array![3.0, 3.0]);
/// ```
pub trait LinearOperator<T: Real> {
    /// The dimension `n`.
    fn dim(&self) -> usize;

    /// Writes `A x` to `y`; both have length `n`. One product.
    fn apply_into(&self, x: ArrayView1<'_, T>, y: ArrayViewMut1<'_, T>);

    /// Writes `A xᵢ` to row `i` of `y` for every row `xᵢ` of `x`; both are `k×n`.
    ///
    /// One vector is one *row*, so that vectors are contiguous. The default makes
    /// `k` single products; an operator that can share work over them overrides it.
    fn apply_block_into(&self, x: ArrayView2<'_, T>, mut y: ArrayViewMut2<'_, T>) {
        Zip::from(x.rows())
            .and(y.rows_mut())
            .for_each(|x, y| self.apply_into(x, y));
    }
}

macro_rules! forward {
    ($($pointer:ty),*) => {$(
        impl<T: Real, O: LinearOperator<T> + ?Sized> LinearOperator<T> for $pointer {
            fn dim(&self) -> usize {
                (**self).dim()
            }
            fn apply_into(&self, x: ArrayView1<'_, T>, y: ArrayViewMut1<'_, T>) {
                (**self).apply_into(x, y);
            }
            fn apply_block_into(&self, x: ArrayView2<'_, T>, y: ArrayViewMut2<'_, T>) {
                (**self).apply_block_into(x, y);
            }
        }
    )*};
}

forward!(&O, Box<O>, Arc<O>);

/// `y ← A x` on slices, the form in which solvers hold their vectors.
pub(crate) fn apply<T: Real, O: LinearOperator<T> + ?Sized>(a: &O, x: &[T], y: &mut [T]) {
    a.apply_into(ArrayView1::from(x), ArrayViewMut1::from(y));
}

/// `yᵢ ← A xᵢ` for as many vectors as `x` and `y` hold, one after the other.
pub(crate) fn apply_block<T: Real, O: LinearOperator<T> + ?Sized>(a: &O, x: &[T], y: &mut [T]) {
    let n = a.dim();
    if x.len() == n {
        return apply(a, x, y);
    }
    let shape = (x.len() / n.max(1), n);
    let (x, y) = (
        ArrayView2::from_shape(shape, x),
        ArrayViewMut2::from_shape(shape, y),
    );
    if let (Ok(x), Ok(y)) = (x, y) {
        a.apply_block_into(x, y);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array1, Array2, array};

    #[test]
    fn pointers_forward_and_blocks_go_row_by_row() {
        let a = DenseOperator::new(array![[2.0, 1.0], [1.0, 3.0]]).unwrap();
        let boxed: Box<dyn LinearOperator<f64>> = Box::new(a.clone());
        let shared = Arc::new(a.clone());
        let x = array![[1.0, 0.0], [0.0, 1.0], [1.0, -1.0]];
        let expected = array![[2.0, 1.0], [1.0, 3.0], [1.0, -2.0]];
        for op in [&a as &dyn LinearOperator<f64>, &boxed, &shared, &&a] {
            assert_eq!(op.dim(), 2);
            let mut y = Array2::zeros((3, 2));
            op.apply_block_into(x.view(), y.view_mut());
            assert_eq!(y, expected);
            let mut single = Array1::zeros(2);
            op.apply_into(x.row(2), single.view_mut());
            assert_eq!(single, expected.row(2));
        }
    }
}
