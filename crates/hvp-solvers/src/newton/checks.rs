//! What the settings of Newton methods have to satisfy.

use crate::error::{SolverError, check_setting};
use crate::{Curvature, SecondOrder};
use ad_core::Real;

/// Whether the type of the objective holds the number: neither infinite there nor, if it is not
/// zero, zero.
fn fits<T: Real>(v: f64) -> bool {
    let held = T::of(v);
    held.is_finite() && ((held != T::zero()) == (v.abs() > 0.0))
}

pub(super) fn at_least_zero<T: Real>(name: &'static str, v: f64) -> Result<(), SolverError> {
    let requirement = "finite, at least zero, in the objective's type";
    check_setting(name, v, v >= 0.0 && fits::<T>(v), requirement)
}

pub(super) fn positive<T: Real>(name: &'static str, v: f64) -> Result<(), SolverError> {
    let requirement = "finite, above zero, in the objective's type";
    check_setting(name, v, v > 0.0 && fits::<T>(v), requirement)
}

pub(super) fn positive_if_any<T: Real>(
    name: &'static str,
    v: Option<f64>,
) -> Result<(), SolverError> {
    positive::<T>(name, v.unwrap_or(1.0))
}

/// A share strictly between zero and one.
pub(super) fn share(name: &'static str, v: f64) -> Result<(), SolverError> {
    check_setting(name, v, v > 0.0 && v < 1.0, "above zero and below one")
}

pub(super) fn at_least_one(name: &'static str, v: usize) -> Result<(), SolverError> {
    check_setting(name, v as f64, v > 0, "at least 1")
}

/// Armijo's constant and the length of a search.
pub(super) fn line_search(c1: f64, max_trials: u32) -> Result<(), SolverError> {
    check_setting(
        "sufficient_decrease",
        c1,
        c1 > 0.0 && c1 < 0.5,
        "above zero and below one half",
    )?;
    check_setting(
        "max_trials",
        max_trials.into(),
        max_trials > 0,
        "at least 1",
    )
}

/// The least ratio of actual to predicted decrease with which a step is taken.
pub(super) fn accept_ratio(v: f64) -> Result<(), SolverError> {
    check_setting("accept_ratio", v, (0.0..0.25).contains(&v), "in [0, 1/4)")
}

/// The objective has the products that are asked for.
pub(super) fn offers<T: Real, F: SecondOrder<T> + ?Sized>(
    objective: &F,
    curvature: Curvature,
) -> Result<(), SolverError> {
    if curvature == Curvature::GaussNewton && !objective.has_gauss_newton() {
        return Err(SolverError::NoGaussNewton);
    }
    Ok(())
}
