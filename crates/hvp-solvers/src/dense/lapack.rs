//! Dense factorisations by LAPACK.

use ndarray::{Array1, Array2, ArrayViewMut2};
use ndarray_linalg::error::LinalgError;
use ndarray_linalg::{CholeskyInplace, EigValshInto, EighInto, Lapack, UPLO};

pub(super) const NAME: &str = "lapack";

/// What the backend asks of a scalar.
pub(super) trait Scalar: Lapack<Real = Self> {}

impl Scalar for f32 {}
impl Scalar for f64 {}

/// `Lᵀ` of `A = LLᵀ` into the upper triangle of the row-major `a`; or the bad pivot.
pub(super) fn factorise<T: Scalar>(a: &mut [T], n: usize) -> Result<(), usize> {
    let Ok(mut a) = ArrayViewMut2::from_shape((n, n), a) else {
        return Err(0);
    };
    match a.cholesky_inplace(UPLO::Upper) {
        Ok(_) => Ok(()),
        // LAPACK counts the leading minors from one.
        Err(LinalgError::Lapack(lax::error::Error::LapackComputationalFailure { return_code })) => {
            Err(usize::try_from(return_code).map_or(0, |code| code.saturating_sub(1)))
        }
        Err(_) => Err(0),
    }
}

/// Bytes that [`factorise`] takes beside the matrix, but for what LAPACK's products reserve once.
#[allow(
    clippy::extra_unused_type_parameters,
    reason = "the signature of the other backend"
)]
pub(super) const fn factorise_bytes<T>(_: usize) -> usize {
    0
}

/// Ascending eigenvalues of the symmetric matrix in the upper triangle of `a`.
pub(super) fn eigenvalues<T: Scalar>(a: Array2<T>) -> Option<Array1<T>> {
    a.eigvalsh_into(UPLO::Upper).ok()
}

/// Ascending eigenvalues, and eigenvectors one per row, of the symmetric matrix in the upper
/// triangle of `a`.
pub(super) fn eigenpairs<T: Scalar>(a: Array2<T>) -> Option<(Array1<T>, Array2<T>)> {
    let (values, columns) = a.eigh_into(UPLO::Upper).ok()?;
    Some((
        values,
        columns.reversed_axes().as_standard_layout().into_owned(),
    ))
}
