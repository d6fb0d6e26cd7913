//! Optimisers for functions of one flat parameter vector, and what training needs
//! around them.
//!
//! | module | contents |
//! |---|---|
//! | [`first_order`] | SGD, Adam, RMSProp in PyTorch's and optax's arithmetic |
//! | [`schedule`] | learning rates as serialisable values |
#![warn(missing_docs)]

mod bits;
pub mod first_order;
pub mod schedule;
