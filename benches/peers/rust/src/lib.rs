//! What all engines in Rust share: the request, the candidates of an operation, and the records.
//!
//! The same steps and the same fields as in the scripts beside this package, and as in the harness,
//! which calls each program with the path of a request.

mod candidate;
mod request;
#[cfg(feature = "solve")]
pub mod solve;
mod timing;

pub use candidate::{Call, Candidate, Digest, Failure, Session, main};
pub use request::{Case, Pace, Request};

/// A digest of a gradient or a product: its norm, and its product with the case's vector.
pub fn digest(result: &[f64], v: &[f64]) -> Digest {
    Digest {
        value: None,
        norm: Some(dot(result, result).sqrt()),
        dot: Some(dot(result, v)),
    }
}

/// A digest of f(x) alone.
pub fn value_digest(value: f64) -> Digest {
    Digest {
        value: Some(value),
        ..Digest::default()
    }
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}
