//! Extreme eigenpairs of a symmetric operator, with certificates.

mod basis;
mod lanczos;
mod outcome;
mod symmetric;
mod which;

pub use lanczos::Lanczos;
pub use outcome::{EigenOutcome, EigenPair, EigenStats, EigenStop};
pub use which::{MultiplicityProbe, Which};
