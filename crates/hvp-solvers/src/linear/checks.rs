//! What every solver here asks of its input.

use ad_core::Real;
use ndarray::ArrayView1;

use crate::error::{SolverError, check_finite, check_len, check_setting};

/// The length is `n` and every entry is finite.
pub(super) fn check_vector<T: Real>(
    what: &'static str,
    x: ArrayView1<'_, T>,
    n: usize,
) -> Result<(), SolverError> {
    check_len(what, x.len(), n)?;
    check_finite(what, x)
}

/// A right-hand side, a start and a preconditioner for a system of dimension `n`.
pub(super) fn check_system<T: Real>(
    n: usize,
    b: ArrayView1<'_, T>,
    x0: Option<ArrayView1<'_, T>>,
    preconditioner: Option<usize>,
) -> Result<(), SolverError> {
    check_vector("b", b, n)?;
    if let Some(x0) = x0 {
        check_vector("x0", x0, n)?;
    }
    check_preconditioner(preconditioner, n)
}

/// The dimension of a preconditioner that has one.
pub(super) fn check_preconditioner(dim: Option<usize>, n: usize) -> Result<(), SolverError> {
    check_len("preconditioner", dim.unwrap_or(n), n)
}

/// Tolerances with their fields' names.
pub(super) fn check_tolerances(all: &[(&'static str, f64)]) -> Result<(), SolverError> {
    all.iter()
        .try_for_each(|&(name, tol)| check_setting(name, tol, tol >= 0.0, "at least zero"))
}

/// The radius of a ball.
pub(super) fn check_radius<T: Real>(radius: T) -> Result<(), SolverError> {
    let positive = radius > T::zero() && radius.is_finite();
    check_setting("radius", radius.as_f64(), positive, "positive and finite")
}

/// A relative tolerance of residuals in the operator's type: at least `16 eps`, for a true residual
/// `b − Ax` is itself rounded, to a few `eps` of `‖b‖` where the condition is ten.
pub(super) fn attainable<T: Real>(tolerance: f64) -> T {
    T::of(tolerance).max(T::of(16.0) * T::epsilon())
}
