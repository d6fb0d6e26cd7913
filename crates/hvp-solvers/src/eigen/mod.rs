//! Extreme eigenpairs of a symmetric operator, with certificates.
//!
//! [`Lanczos`] needs nothing but products. [`Lobpcg`] takes a preconditioner. Both recompute the
//! residual of each pair by a product of its own and bound the errors of its value and vector.
//! [`LanczosRun`] and [`LobpcgState`] are solves in progress, which can be stored and resumed to the
//! same bits.

pub(crate) mod basis;
pub(crate) mod certificate;
mod copies;
mod factorisation;
mod lanczos;
mod lanczos_run;
mod lobpcg;
mod lobpcg_run;
mod lobpcg_state;
mod outcome;
pub(crate) mod symmetric;
mod which;

pub use lanczos::Lanczos;
pub use lanczos_run::{LanczosRun, LanczosState};
pub use lobpcg::{End, Lobpcg};
pub use lobpcg_state::LobpcgState;
pub use outcome::{CopiesCheck, EigenOutcome, EigenPair, EigenStats, EigenStop};
pub use which::{MultiplicityProbe, Which};
