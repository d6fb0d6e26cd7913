//! Checks of settings and inputs at the public boundary.

use ad_core::Real;
use hvp_solvers::SolverError;
use ndarray::ArrayView1;

/// `Ok` if `ok`, else the setting, its value and what it has to satisfy.
pub(crate) fn require(
    name: &'static str,
    value: f64,
    ok: bool,
    requirement: &'static str,
) -> Result<(), SolverError> {
    if ok {
        Ok(())
    } else {
        Err(SolverError::InvalidSetting {
            name,
            value,
            requirement,
        })
    }
}

/// Requires `value` in `[0, 1)`.
pub(crate) fn in_unit(name: &'static str, value: f64) -> Result<(), SolverError> {
    require(name, value, (0.0..1.0).contains(&value), "in [0, 1)")
}

/// Requires a finite `value ≥ 0`.
pub(crate) fn non_negative(name: &'static str, value: f64) -> Result<(), SolverError> {
    require(
        name,
        value,
        value.is_finite() && value >= 0.0,
        "finite and not negative",
    )
}

/// Requires a finite `value > 0`.
pub(crate) fn positive(name: &'static str, value: f64) -> Result<(), SolverError> {
    require(
        name,
        value,
        value.is_finite() && value > 0.0,
        "finite and positive",
    )
}

/// Requires a vector of `dim` finite numbers.
pub(crate) fn finite_vector<T: Real>(
    what: &'static str,
    x: ArrayView1<'_, T>,
    dim: usize,
) -> Result<(), SolverError> {
    if x.len() != dim {
        return Err(SolverError::DimensionMismatch {
            what,
            expected: dim,
            found: x.len(),
        });
    }
    match x.iter().position(|v| !v.is_finite()) {
        None => Ok(()),
        Some(index) => Err(SolverError::NonFiniteInput { what, index }),
    }
}
