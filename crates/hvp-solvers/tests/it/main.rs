//! Tests of the public interface, by identities and closed forms.

#![allow(
    clippy::needless_pass_by_value,
    clippy::unwrap_used,
    reason = "views are passed by value, and helpers of tests may panic"
)]

mod block_cg;
mod budgets;
mod cg;
mod faults;
mod functions;
mod gltr;
mod grid;
mod hessian_free;
mod journal;
mod kit;
mod lanczos;
mod lanczos_blocks;
mod lanczos_copies;
mod lanczos_noise;
mod lanczos_starts;
mod lobpcg;
mod lsmr;
mod methods;
mod mgh;
mod minres;
mod multi_shift;
mod newton;
mod noise;
mod operators;
mod preconditioners;
mod robust;
mod scales;
mod single;
mod spectrum;
mod trace;
mod truncated;
mod units;
mod validate;
