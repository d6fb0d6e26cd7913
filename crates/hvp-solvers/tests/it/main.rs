//! Tests of the public interface, by identities and closed forms.

#![allow(
    clippy::needless_pass_by_value,
    clippy::unwrap_used,
    reason = "views are passed by value, and helpers of tests may panic"
)]

mod cg;
mod dense;
mod faults;
mod functions;
mod gltr;
mod grid;
mod hessian_free;
mod kit;
mod lanczos;
mod lanczos_blocks;
mod lanczos_starts;
mod landscape;
mod lobpcg;
mod methods;
mod mgh;
mod minres;
mod newton;
mod spectrum;
mod trace;
mod truncated;
