//! Extreme eigenpairs of a symmetric operator, with certificates.

pub(crate) mod basis;
mod lanczos;
mod outcome;
pub(crate) mod symmetric;
mod which;

pub use lanczos::Lanczos;
pub use outcome::{EigenOutcome, EigenPair, EigenStats, EigenStop};
pub use which::{MultiplicityProbe, Which};
