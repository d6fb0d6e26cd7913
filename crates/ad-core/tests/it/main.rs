//! Tests of the public interface, in one program: each would compile the same generic code again.

mod check;
#[path = "../common/mod.rs"]
mod common;
mod errors;
mod hessian;
mod mlp;
mod programs;
mod recording_errors;
mod reroll;
mod worked;
