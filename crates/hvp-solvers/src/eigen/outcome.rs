//! What an eigenvalue solve returns.

use ad_core::Real;
use ndarray::{Array1, Array2};
use serde::{Deserialize, Serialize};

use crate::error::Quantity;

/// An approximate eigenpair and what is known about its error.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EigenPair<T> {
    /// The Rayleigh quotient `θ = uᵀAu` of the vector.
    pub value: T,
    /// The vector `u`, of norm 1.
    pub vector: Array1<T>,
    /// The true residual `‖Au − θu‖`, recomputed by a product of its own.
    pub residual: T,
    /// An eigenvalue of `A` lies within this distance of `value`: `min(r + η, (r + η)²/gap) + η`
    /// and an allowance of `10·eps·‖A‖` for the rounding of `θ` and `r`.
    ///
    /// `η` is the measured noise of the products, [`EigenStats::noise`]: a product that is off by
    /// `e` moves `θ` by `uᵀe`, however small the residual is. For given `η` the bound by `r` is a
    /// theorem. The gap, which makes it sharper, is the distance
    /// to the neighbouring Ritz values less their own residuals; it trusts that the
    /// iteration has seen the eigenvalues next to this one. Errors that act as another symmetric
    /// operator would (every product 1 % too large, say) cannot be told from one.
    pub error_bound: T,
    /// The sine of the angle between `vector` and the eigenvectors of the eigenvalues that
    /// `value` stands for is at most this: `r/gap`, or 1 if that says nothing (Davis & Kahan 1970).
    ///
    /// With `r + η` in place of `r`, as in `error_bound`. The gap is the distance to the other
    /// eigenvalues. Ritz values closer than their residuals
    /// and rounding count as one cluster, so that it is the angle to the span of all its
    /// eigenvectors. Trusts, like `error_bound`, that the iteration has seen the neighbours.
    pub angle_bound: T,
    /// Whether the residual that the iteration carries, `β|y_m|`, is within the tolerance.
    /// The recomputed one is that up to rounding.
    pub converged: bool,
}

/// How an eigenvalue solve ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum EigenStop {
    /// All wanted pairs are within tolerance.
    Converged,
    /// The limit of restarts was reached; see [`EigenPair::converged`] for each pair.
    MaxRestarts,
    /// The limit of iterations was reached ([`Lobpcg`](super::Lobpcg)).
    MaxIters,
    /// The residuals have stopped falling ([`Lobpcg`](super::Lobpcg)): the tolerance is below what
    /// rounding allows, or the preconditioner does not help.
    Stagnated,
    /// A NaN or an infinity; the pairs are what was known before.
    NonFinite {
        /// Where it appeared.
        what: Quantity,
    },
}

/// What is known about further copies of the eigenvalues that were found.
///
/// A Krylov space of `b` vectors holds at most `b` copies of an eigenvalue, however long it runs.
/// A missed copy of any wanted eigenvalue but the last pushes the last ones out of the list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum CopiesCheck {
    /// A further copy would not change the pairs, or the method would have seen it: one pair is
    /// wanted at an end, all wanted values are equal, the whole space was searched, or the block
    /// is larger than any number of copies found.
    NotNeeded,
    /// A random vector was searched in vain: a copy that was missed all the same has, for all
    /// seeds but one in a thousand, no part in the pairs.
    Passed,
    /// Not looked for: the setting says so, the pairs were taken from a given basis, or the solve
    /// did not converge.
    NotChecked,
    /// Looked for without an answer: the gap at the end of the wanted values is too small for the
    /// products that a look may take.
    Unfinished,
}

/// What an eigenvalue solve cost and how healthy it was.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct EigenStats {
    /// Products with the operator, the final residuals included.
    pub n_products: usize,
    /// Restarts; iterations of [`Lobpcg`](super::Lobpcg).
    pub n_restarts: usize,
    /// How often the Krylov space was exhausted and continued with a random vector.
    pub n_breakdowns: usize,
    /// How often a deflated random vector looked for missed copies of eigenvalues.
    pub n_probes: usize,
    /// Those of the products that only looked for missed copies.
    pub n_probe_products: usize,
    /// `max |UᵀU − I|` over the returned vectors.
    pub orthogonality: f64,
    /// The largest deviation from symmetry seen, relative to `‖A‖`: about `eps` for a
    /// symmetric operator. A larger number means that the products are wrong.
    pub asymmetry: f64,
    /// An estimate from above of the error of a product, relative to `‖A‖`; at least `asymmetry`. The
    /// product of each returned vector, at another length, is compared with what the products of
    /// the basis make of it: a few `eps` for products that are exact up to rounding, more if they are rounded to a
    /// smaller type, or random.
    pub noise: f64,
    /// The largest `‖Av‖` over unit vectors `v` seen, a lower bound of `‖A‖`.
    pub norm_estimate: f64,
}

/// A deviation in units of `‖A‖`, or as it is if that is zero.
pub(super) fn relative<T: Real>(deviation: T, norm: T) -> f64 {
    let unit = if norm > T::zero() { norm } else { T::one() };
    (deviation / unit).as_f64()
}

/// Eigenpairs and how they were found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EigenOutcome<T> {
    /// The wanted pairs: [`Largest`](super::Which::Largest) descending,
    /// [`Smallest`](super::Which::Smallest) and [`BothEnds`](super::Which::BothEnds)
    /// ascending, [`LargestMagnitude`](super::Which::LargestMagnitude) by falling modulus.
    pub pairs: Vec<EigenPair<T>>,
    /// How it ended.
    pub stop: EigenStop,
    /// Whether copies of eigenvalues may have been missed.
    pub copies: CopiesCheck,
    /// Cost and health.
    pub stats: EigenStats,
}

impl<T: Real> EigenOutcome<T> {
    /// The vectors of all pairs, one per row: the basis from which the next solve can start.
    pub fn vectors(&self) -> Array2<T> {
        let n = self.pairs.first().map_or(0, |pair| pair.vector.len());
        let mut all = Array2::zeros((self.pairs.len(), n));
        for (mut row, pair) in all.rows_mut().into_iter().zip(&self.pairs) {
            row.assign(&pair.vector);
        }
        all
    }
}
