//! Dense factorisations.

use ad_core::Real;
use ndarray::{Array2, ArrayView1, ArrayView2, ArrayViewMut1};

/// The matrix has a pivot that is not positive.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error("the matrix is not positive definite: pivot {pivot}")]
pub struct NotPositiveDefinite {
    /// Index of the pivot.
    pub pivot: usize,
}

/// `f32` and `f64`.
pub trait DenseReal: Real {}
impl DenseReal for f32 {}
impl DenseReal for f64 {}

/// A = L Lᵀ.
#[derive(Debug, Clone)]
pub struct Cholesky<T> {
    l: Array2<T>,
}

/// Factorises the lower triangle of `a`.
///
/// # Errors
/// If a pivot is not positive.
pub fn cholesky<T: DenseReal>(a: ArrayView2<T>) -> Result<Cholesky<T>, NotPositiveDefinite> {
    let n = a.nrows();
    let mut l = a.to_owned();
    for j in 0..n {
        for i in j..n {
            let mut sum = l[[i, j]];
            for k in 0..j {
                sum -= l[[i, k]] * l[[j, k]];
            }
            if i > j {
                l[[i, j]] = sum / l[[j, j]];
            } else if sum > T::zero() && sum.is_finite() {
                l[[j, j]] = sum.sqrt();
            } else {
                return Err(NotPositiveDefinite { pivot: j });
            }
        }
    }
    Ok(Cholesky { l })
}

impl<T: Real> Cholesky<T> {
    /// Solves A x = b.
    pub fn solve_into(
        &self,
        b: ArrayView1<T>,
        mut x: ArrayViewMut1<T>,
    ) -> Result<(), crate::SolverError> {
        let n = self.l.nrows();
        for i in 0..n {
            let mut sum = b[i];
            for k in 0..i {
                sum -= self.l[[i, k]] * x[k];
            }
            x[i] = sum / self.l[[i, i]];
        }
        for i in (0..n).rev() {
            let mut sum = x[i];
            for k in i + 1..n {
                sum -= self.l[[k, i]] * x[k];
            }
            x[i] = sum / self.l[[i, i]];
        }
        Ok(())
    }
}
