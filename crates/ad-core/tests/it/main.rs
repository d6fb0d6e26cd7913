//! Tests of the public interface, in one program: each would compile the same generic code again.

#![allow(
    clippy::unwrap_used,
    reason = "a failure ends the test, in helpers as in the tests themselves"
)]

mod arrays;
mod check;
#[path = "../common/mod.rs"]
mod common;
mod composition;
mod derivatives;
mod errors;
mod hessian;
mod mlp;
mod programs;
mod recording_errors;
mod reroll;
mod rewrites;
mod selection;
mod sizes;
mod softmax;
mod worked;
