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
mod hessian_free;
mod kit;
mod lanczos;
mod methods;
mod mgh;
mod minres;
mod newton;
mod trace;
mod truncated;
