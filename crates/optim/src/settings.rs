//! Checks of settings and inputs at the public boundary.

use hvp_solvers::SolverError;

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
