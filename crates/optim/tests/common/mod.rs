//! Objectives for the minimisers' tests.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "each test program uses a part")]

pub(crate) mod faulty;
pub(crate) mod mgh;

/// The bits of a vector, to compare exactly.
pub(crate) fn bits(x: &ndarray::Array1<f64>) -> Vec<u64> {
    x.iter().map(|v| v.to_bits()).collect()
}
