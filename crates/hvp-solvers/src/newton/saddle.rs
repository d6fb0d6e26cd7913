//! Looking for a way down from a stationary point.

use ad_core::Real;
use serde::{Deserialize, Serialize};

use crate::eigen::{Lanczos, MultiplicityProbe, Which};
use crate::{LinearOperator, SolverError};

/// When to look for negative curvature at a point whose gradient is within tolerance.
///
/// Where the gradient vanishes, conjugate gradients have no direction to start in, so a
/// start at a saddle or a maximum would be reported as converged. The check runs a few
/// Lanczos steps from a random vector and leaves along the lowest Ritz vector if its
/// curvature is clearly negative. It costs at most the given number of products and
/// holds as many vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum StationaryCheck {
    /// Never: a small gradient is enough.
    Never,
    /// Only if the start itself is stationary.
    AtStart {
        /// The most products to spend.
        max_products: usize,
    },
    /// At every stationary point: the end is a minimum as far as Lanczos can tell.
    Always {
        /// The most products to spend each time.
        max_products: usize,
    },
}

impl Default for StationaryCheck {
    /// `AtStart { max_products: 20 }`.
    fn default() -> Self {
        Self::AtStart { max_products: 20 }
    }
}

impl StationaryCheck {
    /// How many products to spend here; zero for no check.
    pub(crate) fn products(self, at_start: bool) -> usize {
        match self {
            Self::Never => 0,
            Self::AtStart { max_products } => {
                if at_start {
                    max_products
                } else {
                    0
                }
            }
            Self::Always { max_products } => max_products,
        }
    }
}

/// What the check found.
pub(crate) struct Lowest<T> {
    /// The lowest Ritz vector, of norm 1.
    pub(crate) direction: Vec<T>,
    /// Its Rayleigh quotient.
    pub(crate) curvature: T,
    /// Whether that is negative beyond doubt.
    pub(crate) is_negative: bool,
}

/// The lowest Ritz pair from at most `max_products ≥ 4` products; `None` if not finite.
pub(crate) fn lowest<T: Real, A: LinearOperator<T> + ?Sized>(
    a: &A,
    max_products: usize,
    seed: u64,
) -> Result<Option<Lowest<T>>, SolverError> {
    // One product is for the residual; a Krylov space needs room for three vectors.
    let ncv = max_products.saturating_sub(1).max(3);
    let lanczos = Lanczos {
        ncv: Some(ncv),
        max_restarts: 0,
        seed,
        probe: MultiplicityProbe::Never,
        ..Lanczos::new(1, Which::Smallest)
    };
    let found = lanczos.solve(a)?;
    let stats = found.stats;
    // Relative to the curvature's own scale; below this, differences of values of the
    // objective could not confirm it.
    let threshold = -T::epsilon().sqrt() * T::of(stats.norm_estimate);
    Ok(found.pairs.into_iter().next().map(|pair| Lowest {
        is_negative: pair.value < threshold,
        curvature: pair.value,
        direction: pair.vector.into_raw_vec_and_offset().0,
    }))
}
