//! Measurements: full Hessians against Hessian-vector products, in time and memory.
//!
//! `cargo xtask bench` runs them. A [`suite`](suites) says what it can measure and measures it; a
//! [`Record`](record::Record) is one result of any engine; [`output`] turns records into tables,
//! charts and files; [`peers`] measures other engines beside this one, and [`solvers`] minimisers.
//! To add a suite, write it and add a row to [`suites::SUITES`].

pub mod case;
pub mod cli;
pub mod error;
pub mod facts;
pub mod heap;
pub mod output;
pub mod peers;
pub mod profile;
pub mod progress;
pub mod record;
pub mod session;
pub mod solvers;
pub mod suites;
pub mod timing;
pub mod units;

/// The README's examples, run as tests.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
struct Readme;
