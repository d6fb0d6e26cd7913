//! The whole spectrum from a few products: density, counts, `tr f(A)`, and `f(A) v`.
//!
//! [`Slq`] runs Lanczos from random vectors and reads each run as a Gauss quadrature for
//! the spectral measure of its start. [`MatrixFunction`] applies a function of the
//! operator to a vector.

mod function;
mod krylov;
mod quadrature;

pub use function::{FunctionOutcome, FunctionStop, MatrixFunction, SpectralFunction};
pub use quadrature::{Cumulative, Quadrature, Slq, SpectralEstimate};
