//! Tests of the public interface, in one program: each would compile the same generic code again.

#![allow(
    clippy::unwrap_used,
    clippy::float_cmp,
    clippy::needless_pass_by_value,
    reason = "a test may panic, means exact values where it says so, and passes views by value"
)]

mod budgets;
#[path = "../common/mod.rs"]
mod common;
mod curvature_batches;
mod data;
mod failures;
mod finite_sum;
mod first_order;
mod lbfgs;
mod line_search;
mod minimizers;
mod newton_units;
