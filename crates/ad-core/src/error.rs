//! What can be wrong with a call, in words that name what, where, and what was expected.

use std::panic::Location;

/// A broken contract between a caller and a recorded function.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An operation was recorded on operands that it does not take.
    #[error("{op}, recorded at {location}: {message}")]
    Record {
        /// The operation's name.
        op: &'static str,
        /// The line of the caller that recorded it.
        location: &'static Location<'static>,
        /// What was wrong, with the shapes.
        message: String,
    },
    /// An array has another shape than the function was recorded with.
    #[error("{what} has the shape {found:?}, but {expected:?} was expected")]
    Shape {
        /// Which array.
        what: String,
        /// The shape that the function was recorded with.
        expected: Vec<usize>,
        /// The shape that was given.
        found: Vec<usize>,
    },
    /// Another number of data arrays was given than the function was recorded with.
    #[error("{found} data arrays were given, but the function was recorded with {expected}")]
    DataCount {
        /// The number that the function was recorded with.
        expected: usize,
        /// The number that was given.
        found: usize,
    },
    /// An array is not laid out row after row.
    #[error("{what} is not contiguous in row-major order; pass `.as_standard_layout().view()`")]
    Layout {
        /// Which array.
        what: String,
    },
    /// An array holds a NaN or an infinity.
    #[error("{what} holds {value} at flat index {index}; finite numbers were expected")]
    NonFinite {
        /// Which array.
        what: String,
        /// Where in it, counted in row-major order.
        index: usize,
        /// `NaN`, `inf` or `-inf`.
        value: String,
    },
    /// A gradient or a Hessian was asked of a function whose output is not one number.
    #[error("{operation} needs a scalar function, but the output has the shape {found:?}")]
    NotScalar {
        /// What was asked.
        operation: &'static str,
        /// The output's shape.
        found: Vec<usize>,
    },
    /// A Gauss–Newton product was asked of a function without a marked model output.
    #[error(
        "a Gauss-Newton product needs `Var::model_output` to mark where the model ends and the loss begins"
    )]
    NoModelOutput,
    /// A result would take more memory than the budget allows.
    #[error("{what} would take {required} bytes, over the budget of {budget}")]
    MemoryBudget {
        /// What would take the memory.
        what: String,
        /// The bytes that it would take.
        required: u128,
        /// The bytes that were allowed.
        budget: u128,
    },
    /// Memory that a call needs was not to be had: what it works in, keeps or returns.
    #[error("{what} takes {bytes} bytes, more than can be allocated")]
    Allocation {
        /// What takes the memory.
        what: String,
        /// The bytes that it takes.
        bytes: u128,
    },
    /// Residuals or a strip that another function made, or another program of this one.
    #[error("{what} was not made by this function for this call")]
    Foreign {
        /// What belongs elsewhere.
        what: &'static str,
    },
    /// A plan did not pass its own check, so that it is not run: a mistake in this crate, not in the
    /// call. Please report it.
    #[error("a plan failed its own check, a mistake in ad-core: {message}")]
    UnsoundPlan {
        /// The address that lies outside its memory, or the buffers that overlap.
        message: String,
    },
    /// A function of no parameters, or an array with no elements, where some were needed.
    #[error("{what} is empty")]
    Empty {
        /// What is empty.
        what: String,
    },
}

impl Error {
    /// The error of `len` values of `T` that could not be allocated.
    pub(crate) fn allocation<T>(what: &str, len: usize) -> Self {
        Self::Allocation {
            what: what.into(),
            bytes: len as u128 * size_of::<T>() as u128,
        }
    }
}
