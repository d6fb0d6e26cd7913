//! What dense factorisations are behind: they come from faer or from LAPACK, and have to pass the same
//! tests.

#![allow(
    clippy::needless_pass_by_value,
    clippy::unwrap_used,
    reason = "views are passed by value, and helpers of tests may panic"
)]

mod factorisations;
#[path = "../it/kit.rs"]
#[allow(dead_code, reason = "made for all tests")]
mod kit;
mod landscape;
