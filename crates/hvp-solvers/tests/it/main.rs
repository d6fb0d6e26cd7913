//! Tests of the public interface, by identities and closed forms.

#![allow(
    clippy::needless_pass_by_value,
    clippy::unwrap_used,
    reason = "views are passed by value, and helpers of tests may panic"
)]

mod block_cg;
mod cg;
mod dense;
mod faults;
mod gltr;
mod kit;
mod lanczos;
mod lsmr;
mod minres;
mod multi_shift;
mod newton;
mod operators;
mod preconditioners;
mod robust;
mod trace;
mod truncated;
mod validate;
