//! Newton and Krylov methods that need only products with the Hessian.

pub mod dense;
mod error;
pub mod objective;
pub mod operator;
pub mod vector;

pub use error::{Quantity, SolverError};
pub use objective::{Curvature, CurvatureOperator, Objective, SecondOrder};
pub use operator::LinearOperator;
