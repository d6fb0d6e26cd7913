//! Extreme eigenpairs of a symmetric operator, with certificates.

mod basis;
mod lanczos;
mod outcome;
mod symmetric;

pub use lanczos::{Lanczos, MultiplicityProbe, Which};
pub use outcome::{EigenOutcome, EigenPair, EigenStats, EigenStop};
