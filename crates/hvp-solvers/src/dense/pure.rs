//! Dense factorisations in Rust: eigenvalues by `faer`, Cholesky factors by blocks.

use ad_core::Real;
use faer::diag::DiagMut;
use faer::dyn_stack::{MemBuffer, MemStack};
use faer::linalg::evd::{ComputeEigenvectors, self_adjoint_evd, self_adjoint_evd_scratch};
use faer::{MatMut, MatRef, Par, Spec};
use ndarray::{Array1, Array2};

pub(super) const NAME: &str = "faer";

/// What the backend asks of a scalar.
pub(super) trait Scalar: faer::traits::RealField {}

impl Scalar for f32 {}
impl Scalar for f64 {}

/// `Lᵀ` of `A = LLᵀ` into the upper triangle of the row-major `a`; or the bad pivot.
pub(super) fn factorise<T: Real>(a: &mut [T], n: usize) -> Result<(), usize> {
    super::blocked::factorise(a, n)
}

/// Bytes that [`factorise`] takes beside the matrix.
pub(super) const fn factorise_bytes<T>(n: usize) -> usize {
    super::blocked::scratch_bytes::<T>(n)
}

/// Ascending eigenvalues of the symmetric matrix in the upper triangle of `a`.
pub(super) fn eigenvalues<T: Scalar + ad_core::Real>(a: Array2<T>) -> Option<Array1<T>> {
    let n = a.nrows();
    let a = a.as_slice()?;
    let a = MatRef::from_column_major_slice(a, n, n);
    let mut values = Array1::zeros(n);
    let none = ComputeEigenvectors::No;
    let scratch = self_adjoint_evd_scratch::<T>(n, none, Par::Seq, Spec::default());
    let mut memory = MemBuffer::new(scratch);
    let stack = MemStack::new(&mut memory);
    let out = DiagMut::from_slice_mut(values.as_slice_mut()?);
    self_adjoint_evd(a, out, None, Par::Seq, stack, Spec::default()).ok()?;
    Some(values)
}

/// Ascending eigenvalues, and eigenvectors one per row, of the symmetric matrix in the upper
/// triangle of `a`.
pub(super) fn eigenpairs<T: Scalar + ad_core::Real>(
    a: Array2<T>,
) -> Option<(Array1<T>, Array2<T>)> {
    let n = a.nrows();
    let a = a.as_slice()?;
    let a = MatRef::from_column_major_slice(a, n, n);
    let (mut values, mut vectors) = (Array1::zeros(n), Array2::zeros((n, n)));
    let wanted = ComputeEigenvectors::Yes;
    let scratch = self_adjoint_evd_scratch::<T>(n, wanted, Par::Seq, Spec::default());
    let mut memory = MemBuffer::new(scratch);
    let stack = MemStack::new(&mut memory);
    let out = DiagMut::from_slice_mut(values.as_slice_mut()?);
    // Columns of a column-major matrix are rows of ours.
    let u = MatMut::from_column_major_slice_mut(vectors.as_slice_mut()?, n, n);
    self_adjoint_evd(a, out, Some(u), Par::Seq, stack, Spec::default()).ok()?;
    Some((values, vectors))
}
