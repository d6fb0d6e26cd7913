//! Optimisers for functions of one flat parameter vector, and what training needs
//! around them.
//!
//! | module | contents |
//! |---|---|
//! | [`first_order`] | SGD, Adam, RMSProp in PyTorch's and optax's arithmetic |
//! | [`lbfgs`] | L-BFGS with a strong Wolfe line search |
//! | [`newton`] | damped Newton with a dense Hessian |
//! | [`minimize`](mod@minimize) | the driver of all minimisers: limits, observers, outcomes, resuming |
//! | [`line_search`] | step lengths |
//! | [`data`] | data sets: reading, splitting, scaling, batches, the digits |
//! | [`finite_sum`] | means over cases, by shards of data over threads |
//! | [`nn`] | small networks: layers, losses, initialisers |
//! | [`schedule`] | learning rates as serialisable values |
//! | [`stochastic`] | training on mini-batches |

#![allow(
    clippy::needless_pass_by_value,
    reason = "array views are small handles, passed by value as ndarray itself does"
)]

mod bits;
pub mod data;
pub mod finite_sum;
pub mod first_order;
pub mod lbfgs;
pub mod line_search;
pub mod minimize;
pub mod newton;
pub mod nn;
mod parallel;
pub mod schedule;
mod settings;
pub mod stochastic;

pub use finite_sum::{FiniteSum, Sharding};
