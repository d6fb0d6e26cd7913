//! Objectives for the minimisers' tests.
#![allow(dead_code, reason = "each test program uses a part")]

pub mod faulty;
pub mod mgh;

pub use faulty::{Fault, Faulty};
pub use mgh::LeastSquares;

/// The bits of a vector, to compare exactly.
pub fn bits(x: &ndarray::Array1<f64>) -> Vec<u64> {
    x.iter().map(|v| v.to_bits()).collect()
}
