//! Approximate inverses.
//!
//! | preconditioner | made from | helps with |
//! |---|---|---|
//! | [`DiagonalPreconditioner`] | a diagonal, estimated or exact | coordinates of different scale |
//! | [`LimitedMemory`] | directions of an earlier solve | a few eigenvalues apart, slowly changing |
//! | [`NystromPreconditioner`] | products with random vectors | a decaying spectrum plus damping |

mod diagonal;
mod limited_memory;
mod nystrom;

use ad_core::Real;
use ndarray::{ArrayView1, ArrayViewMut1};

pub use diagonal::DiagonalPreconditioner;
pub use limited_memory::{LimitedMemory, PairChoice};
pub use nystrom::{Nystrom, NystromOutcome, NystromPreconditioner, NystromStop};

/// A symmetric positive definite matrix `M`, known by products with its inverse.
///
/// A good `M` is close to the operator and cheap to solve with. In a trust region
/// it also defines the norm, `‖z‖_M = √(zᵀMz)`.
pub trait Preconditioner<T: Real> {
    /// Writes `M⁻¹ r` to `y`; both have the operator's dimension.
    fn apply_into(&self, r: ArrayView1<'_, T>, y: ArrayViewMut1<'_, T>);

    /// The dimension, or `None` if any will do.
    fn dim(&self) -> Option<usize>;

    /// Whether `M = I`, which lets solvers skip a vector and measure `‖z‖` directly.
    fn is_identity(&self) -> bool {
        false
    }
}

impl<T: Real, P: Preconditioner<T> + ?Sized> Preconditioner<T> for &P {
    fn apply_into(&self, r: ArrayView1<'_, T>, y: ArrayViewMut1<'_, T>) {
        (**self).apply_into(r, y);
    }
    fn dim(&self) -> Option<usize> {
        (**self).dim()
    }
    fn is_identity(&self) -> bool {
        (**self).is_identity()
    }
}

/// `M = I`: no preconditioning.
#[derive(Debug, Clone, Copy, Default)]
pub struct Identity;

impl<T: Real> Preconditioner<T> for Identity {
    fn apply_into(&self, r: ArrayView1<'_, T>, mut y: ArrayViewMut1<'_, T>) {
        y.assign(&r);
    }
    fn dim(&self) -> Option<usize> {
        None
    }
    fn is_identity(&self) -> bool {
        true
    }
}

/// `y ← M⁻¹ r` on slices.
pub(crate) fn precondition<T: Real, P: Preconditioner<T> + ?Sized>(m: &P, r: &[T], y: &mut [T]) {
    if m.is_identity() {
        y.copy_from_slice(r);
    } else {
        m.apply_into(ArrayView1::from(r), ArrayViewMut1::from(y));
    }
}
