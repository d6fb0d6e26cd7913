//! Tests of the public interface, by identities and closed forms.

#![allow(
    clippy::needless_pass_by_value,
    clippy::unwrap_used,
    reason = "views are passed by value, and helpers of tests may panic"
)]

mod cg;
mod dense;
mod faults;
mod gltr;
mod kit;
mod lanczos;
mod minres;
mod newton;
mod operators;
mod trace;
mod truncated;
mod validate;
