//! Tape automatic differentiation over `ndarray`.

pub(crate) mod kernels;
mod real;

pub use real::Real;
