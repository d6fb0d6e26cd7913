//! Small neural networks: layers, losses, initialisers, over one flat parameter vector.
//!
//! A network is a description; it records itself into a function. Parameters of all layers stand in
//! one vector, which solvers and optimisers see; a [`Layout`] names its parts.

mod init;
mod layout;
mod loss;
mod mlp;

pub use init::Initializer;
pub use layout::{Entry, Layout};
pub use loss::Loss;
pub use mlp::{Activation, Mlp, NetworkError};
