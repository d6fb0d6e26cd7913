//! Which eigenpairs are wanted, and in which order.

use ad_core::Real;
use serde::{Deserialize, Serialize};

use super::outcome::EigenPair;

/// Which eigenpairs are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Which {
    /// The `k` largest.
    Largest,
    /// The `k` smallest (leftmost; the most negative for an indefinite operator).
    Smallest,
    /// The `k` largest *and* the `k` smallest; all if `2k ≥ n`.
    BothEnds,
    /// The `k` of largest modulus.
    LargestMagnitude,
}

/// When to look for copies of eigenvalues that a single Krylov space cannot show.
///
/// In exact arithmetic the Krylov space of one vector holds one copy of each eigenvalue. A look is
/// a Lanczos run from a random vector orthogonal to the pairs that have converged. It ends
/// when the run shows an eigenvalue that belongs among the wanted ones, and the solve then goes on;
/// or when the largest part that such an eigenvector can have in the random vector, by
/// the run's own moments (Gauss–Radau), is so small that it has less than one chance in a thousand.
/// It keeps three vectors. How many products it takes depends on how far the next eigenvalues are
/// from the wanted ones: five to ten behind a clear gap, and about as many as the solve itself in a
/// crowded end. It makes at most 200, or as many as the solve if that is more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum MultiplicityProbe {
    /// Never: the fewest products, for spectra known to be simple.
    Never,
    /// Where a missed copy would change the pairs ([`CopiesCheck`](super::CopiesCheck)), unless
    /// they come from a given basis as it is.
    #[default]
    WhereNeeded,
    /// Always, and for any eigenvalue beyond the last wanted one by a hundredth of the
    /// spectrum's width: also what a start that is not random may be blind to.
    Always,
}

/// Fills `order` with the indices of `theta` (ascending), the most wanted first.
pub(crate) fn order_by_want<T: Real>(which: Which, theta: &[T], order: &mut Vec<usize>) {
    let m = theta.len();
    order.clear();
    match which {
        Which::Smallest => order.extend(0..m),
        Which::Largest => order.extend((0..m).rev()),
        Which::BothEnds => {
            order.extend((0..m).map(|k| if k % 2 == 0 { m - 1 - k / 2 } else { k / 2 }));
        }
        Which::LargestMagnitude => {
            // Two pointers, since the values are sorted.
            let (mut low, mut high) = (0, m);
            while low < high {
                if theta[high - 1].abs() >= theta[low].abs() {
                    high -= 1;
                    order.push(high);
                } else {
                    order.push(low);
                    low += 1;
                }
            }
        }
    }
}

/// Brings the pairs into the order that [`EigenOutcome::pairs`] promises.
pub(crate) fn sort_pairs<T: Real>(which: Which, pairs: &mut [EigenPair<T>]) {
    let key = |pair: &EigenPair<T>| match which {
        Which::Largest => -pair.value,
        Which::Smallest | Which::BothEnds => pair.value,
        Which::LargestMagnitude => -pair.value.abs(),
    };
    // All values are finite, so the comparison is total.
    pairs.sort_by(|a, b| {
        key(a)
            .partial_cmp(&key(b))
            .unwrap_or(std::cmp::Ordering::Equal)
    });
}
