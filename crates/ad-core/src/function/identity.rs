//! Which function, and which of its programs, something was made by.

use std::sync::Arc;

/// A function's identity: its own for each recording, however alike two of them are. What a function
/// makes carries it and is refused by every other one.
#[derive(Clone, Debug, Default)]
pub(super) struct Identity(Arc<()>);

impl PartialEq for Identity {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}
impl Eq for Identity {}

/// What residuals are kept for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// Products with single vectors and stacks of them.
    Products,
    /// The strips of a dense Hessian.
    DenseHessian,
}
