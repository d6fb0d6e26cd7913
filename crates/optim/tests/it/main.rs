//! Tests of the public interface, in one program: each would compile the same generic code again.

#[path = "../common/mod.rs"]
mod common;
mod curvature_batches;
mod data;
mod failures;
mod finite_sum;
mod first_order;
mod line_search;
mod minimizers;
