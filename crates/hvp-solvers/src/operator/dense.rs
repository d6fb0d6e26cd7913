//! A matrix held entry by entry.

use ad_core::Real;
use ndarray::{Array2, ArrayView1, ArrayView2, ArrayViewMut1, ArrayViewMut2, linalg};

use super::LinearOperator;
use crate::SolverError;
use crate::vector::dot;

/// A symmetric matrix held in memory: `n²` numbers, `2n²` flops per product.
///
/// ```
/// use hvp_solvers::{LinearOperator, operator::DenseOperator};
/// use ndarray::{array, Array1};
/// let a = DenseOperator::new(array![[2.0, 1.0], [1.0, 0.0]])?;
/// let mut y = Array1::zeros(2);
/// a.apply_into(array![1.0, 1.0].view(), y.view_mut());
/// assert_eq!(y, array![3.0, 1.0]);
/// # Ok::<(), hvp_solvers::SolverError>(())
/// ```
#[derive(Debug, Clone)]
pub struct DenseOperator<T> {
    matrix: Array2<T>,
}

impl<T: Real> DenseOperator<T> {
    /// Takes the matrix as it is: products use every entry, so symmetry is the
    /// caller's word.
    ///
    /// # Errors
    /// [`SolverError::NotSquare`].
    pub fn new(matrix: Array2<T>) -> Result<Self, SolverError> {
        let (rows, cols) = matrix.dim();
        if rows != cols {
            return Err(SolverError::NotSquare {
                what: "matrix",
                rows,
                cols,
            });
        }
        Ok(Self {
            matrix: matrix.as_standard_layout().into_owned(),
        })
    }

    /// The matrix itself.
    pub fn matrix(&self) -> ArrayView2<'_, T> {
        self.matrix.view()
    }
}

impl<T: Real> LinearOperator<T> for DenseOperator<T> {
    fn dim(&self) -> usize {
        self.matrix.nrows()
    }

    fn apply_into(&self, x: ArrayView1<'_, T>, mut y: ArrayViewMut1<'_, T>) {
        match x.as_slice() {
            Some(x) => {
                for (y, row) in y.iter_mut().zip(self.matrix.rows()) {
                    // Standard layout by construction.
                    *y = row.as_slice().map_or_else(T::nan, |row| dot(row, x));
                }
            }
            None => linalg::general_mat_vec_mul(T::one(), &self.matrix, &x, T::zero(), &mut y),
        }
    }

    fn apply_block_into(&self, x: ArrayView2<'_, T>, mut y: ArrayViewMut2<'_, T>) {
        linalg::general_mat_mul(T::one(), &x, &self.matrix.t(), T::zero(), &mut y);
    }
}
