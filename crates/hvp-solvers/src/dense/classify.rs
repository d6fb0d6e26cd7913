//! What kind of stationary point a Hessian belongs to.

use ad_core::Real;
use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};

use super::{DenseReal, eigenvalues};
use crate::SolverError;
use crate::rounding::rounding;

/// The kind of a stationary point, by the signs of its Hessian's eigenvalues.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum PointKind {
    /// All eigenvalues are positive: a strict local minimum.
    Minimum,
    /// All eigenvalues are negative: a strict local maximum.
    Maximum,
    /// There are positive and negative eigenvalues.
    Saddle,
    /// No two signs, but an eigenvalue that cannot be told from zero: the second
    /// derivative does not decide.
    Degenerate,
    /// The bounds of the extreme eigenvalues did not separate from zero before the effort ran out
    /// ([`Classifier`](crate::landscape::Classifier)).
    Undetermined,
}

/// A point's kind with the eigenvalues that decide it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Classification<T> {
    /// The kind.
    pub kind: PointKind,
    /// The smallest eigenvalue.
    pub smallest: T,
    /// The largest eigenvalue.
    pub largest: T,
    /// Eigenvalues of at most this modulus count as zero: `min(n, 10√n)·eps·max|λ|`, the error of
    /// a backward stable eigenvalue solver.
    pub zero_tolerance: T,
}

/// Classifies a stationary point by its dense Hessian; reads the upper triangle.
///
/// Costs all eigenvalues, about `4n³/3` flops. With no variables at all the kind is
/// [`PointKind::Degenerate`].
///
/// ```
/// use hvp_solvers::dense::{classify, PointKind};
/// use ndarray::array;
/// // x² − y² at the origin.
/// let found = classify(array![[2.0, 0.0], [0.0, -2.0]].view())?;
/// assert_eq!(found.kind, PointKind::Saddle);
/// assert_eq!((found.smallest, found.largest), (-2.0, 2.0));
/// # Ok::<(), hvp_solvers::SolverError>(())
/// ```
///
/// # Errors
/// As [`eigenvalues`].
pub fn classify<T: DenseReal>(h: ArrayView2<'_, T>) -> Result<Classification<T>, SolverError> {
    let values = eigenvalues(h)?;
    let n = values.len();
    let end = |i: Option<usize>| i.map_or_else(T::zero, |i| values[i]);
    let smallest = end((n > 0).then_some(0));
    let largest = end(n.checked_sub(1));
    let scale = <T as num_traits::Float>::max(
        num_traits::Float::abs(smallest),
        num_traits::Float::abs(largest),
    );
    let zero_tolerance = rounding::<T>(n) * scale;
    let kind = kind(smallest, largest, zero_tolerance);
    Ok(Classification {
        kind,
        smallest,
        largest,
        zero_tolerance,
    })
}

/// The kind for extreme eigenvalues and the modulus that counts as zero.
pub(crate) fn kind<T: Real>(smallest: T, largest: T, zero: T) -> PointKind {
    match (smallest < -zero, largest > zero) {
        (true, true) => PointKind::Saddle,
        (false, true) if smallest > zero => PointKind::Minimum,
        (true, false) if largest < -zero => PointKind::Maximum,
        _ => PointKind::Degenerate,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, array};

    #[test]
    fn all_kinds() {
        let kind = |h: Array2<f64>| classify(h.view()).unwrap().kind;
        assert_eq!(kind(array![[6.0, 2.0], [2.0, 2.0]]), PointKind::Minimum);
        assert_eq!(kind(array![[-6.0, 2.0], [2.0, -2.0]]), PointKind::Maximum);
        assert_eq!(kind(array![[0.0, 1.0], [1.0, 0.0]]), PointKind::Saddle);
        assert_eq!(kind(array![[1.0, 1.0], [1.0, 1.0]]), PointKind::Degenerate);
        assert_eq!(kind(Array2::zeros((3, 3))), PointKind::Degenerate);
        assert_eq!(kind(Array2::zeros((0, 0))), PointKind::Degenerate);
        let saddle_with_kernel = Array2::from_diag(&array![1.0, 0.0, -1.0]);
        assert_eq!(kind(saddle_with_kernel), PointKind::Saddle);
    }

    #[test]
    fn bad_input_is_an_error() {
        assert!(classify(Array2::<f64>::zeros((2, 3)).view()).is_err());
        assert!(classify(array![[f64::NAN]].view()).is_err());
    }
}
