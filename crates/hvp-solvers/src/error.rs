//! What can be wrong with a call, as opposed to how a solve can end.

use std::fmt;

use ad_core::Real;
use ndarray::ArrayView1;
use serde::{Deserialize, Serialize};

/// The quantity that turned out not to be finite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Quantity {
    /// The point `x` itself.
    Point,
    /// The objective's value `f(x)`.
    Value,
    /// The gradient `∇f(x)`.
    Gradient,
    /// A product of the operator with a vector.
    Product,
    /// What a preconditioner returned.
    Preconditioner,
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Point => "point",
            Self::Value => "value",
            Self::Gradient => "gradient",
            Self::Product => "product",
            Self::Preconditioner => "preconditioner",
        })
    }
}

/// A call whose contract is broken: nothing was computed.
///
/// Running out of iterations, meeting negative curvature or a NaN are *not*
/// errors but endings, and come with the best point so far.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SolverError {
    /// Two lengths that have to agree do not.
    #[error("{what} has length {found}, expected {expected}")]
    DimensionMismatch {
        /// Which argument.
        what: &'static str,
        /// The length it should have.
        expected: usize,
        /// The length it has.
        found: usize,
    },
    /// A matrix that has to be square is not.
    #[error("{what} is {rows}×{cols}, expected a square matrix")]
    NotSquare {
        /// Which argument.
        what: &'static str,
        /// Number of rows.
        rows: usize,
        /// Number of columns.
        cols: usize,
    },
    /// An input holds a NaN or an infinity.
    #[error("{what} is not finite at index {index}")]
    NonFiniteInput {
        /// Which argument.
        what: &'static str,
        /// The first offending index (in row-major order for a matrix).
        index: usize,
    },
    /// Indices that describe no matrix, or no part of one.
    #[error("{what} at position {index}: {requirement}")]
    InvalidStructure {
        /// Which argument.
        what: &'static str,
        /// The first offending position.
        index: usize,
        /// What it has to satisfy.
        requirement: &'static str,
    },
    /// A matrix that has to be symmetric is not.
    #[error("{what} is not symmetric: entries ({row}, {col}) and ({col}, {row}) differ")]
    NotSymmetric {
        /// Which argument.
        what: &'static str,
        /// The entry's row.
        row: usize,
        /// The entry's column.
        col: usize,
    },
    /// A setting of a solver that cannot be used.
    #[error("{name} = {value} cannot be used: {requirement}")]
    InvalidSetting {
        /// The field's name.
        name: &'static str,
        /// The value found.
        value: f64,
        /// What the field has to satisfy.
        requirement: &'static str,
    },
    /// The objective does not offer the products that were asked for.
    #[error("the objective has no Gauss-Newton products (`has_gauss_newton` is false)")]
    NoGaussNewton,
    /// Dense matrices would not fit in the memory allowed for them.
    #[error(
        "a dense Hessian of {dim} parameters takes {bytes_needed} bytes \
         and {bytes_allowed} are allowed; use a matrix-free method"
    )]
    OverBudget {
        /// Number of parameters.
        dim: usize,
        /// What the matrices take.
        bytes_needed: u128,
        /// The method's limit.
        bytes_allowed: u64,
    },
    /// A dense eigenvalue iteration did not converge.
    #[error("the dense eigenvalue iteration did not converge")]
    DenseEigenFailed,
}

/// Checks a length at a public boundary.
pub(crate) fn check_len(
    what: &'static str,
    found: usize,
    expected: usize,
) -> Result<(), SolverError> {
    if found == expected {
        return Ok(());
    }
    Err(SolverError::DimensionMismatch {
        what,
        expected,
        found,
    })
}

/// Checks that an input vector is finite.
pub(crate) fn check_finite<T: Real>(
    what: &'static str,
    x: ArrayView1<'_, T>,
) -> Result<(), SolverError> {
    match x.iter().position(|v| !v.is_finite()) {
        None => Ok(()),
        Some(index) => Err(SolverError::NonFiniteInput { what, index }),
    }
}

/// Checks an index at a position of a list.
pub(crate) fn check_structure(
    what: &'static str,
    index: usize,
    ok: bool,
    requirement: &'static str,
) -> Result<(), SolverError> {
    if ok {
        return Ok(());
    }
    Err(SolverError::InvalidStructure {
        what,
        index,
        requirement,
    })
}

/// Checks that `value` is a finite number with `ok(value)`.
pub(crate) fn check_setting(
    name: &'static str,
    value: f64,
    ok: bool,
    requirement: &'static str,
) -> Result<(), SolverError> {
    if ok && !value.is_nan() {
        return Ok(());
    }
    Err(SolverError::InvalidSetting {
        name,
        value,
        requirement,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn messages_name_what_and_where() {
        let e = check_len("x0", 3, 2).unwrap_err();
        assert_eq!(e.to_string(), "x0 has length 3, expected 2");
        let e = check_finite("x0", array![1.0, f64::NAN].view()).unwrap_err();
        assert_eq!(e.to_string(), "x0 is not finite at index 1");
        assert!(check_setting("tol", f64::NAN, true, "finite").is_err());
    }
}
