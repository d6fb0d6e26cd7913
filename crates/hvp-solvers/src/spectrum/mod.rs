//! The whole spectrum from a few products: density, counts, `tr f(A)`, and `f(A) v`.
//!
//! [`Slq`] runs Lanczos from random vectors and reads each run as a Gauss quadrature for
//! the spectral measure of its start ([`Quadrature`]). Sums of those are the spectrum's density,
//! its cumulative density with bounds, counts of eigenvalues and traces of functions
//! ([`SpectralEstimate`]). [`MatrixFunction`] applies a function of the operator to a vector.
//!
//! Two errors are kept apart throughout: that of the quadrature, for which there are bounds
//! without probability, and that of the random vectors, for which there are error bars.

mod estimate;
mod function;
mod krylov;
mod quadrature;
mod slq;

pub use estimate::{Bracket, Density, SpectralEstimate};
pub use function::{FunctionOutcome, FunctionStop, MatrixFunction, SpectralFunction};
pub use quadrature::Quadrature;
pub use slq::Slq;
