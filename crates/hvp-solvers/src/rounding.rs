//! What rounding may do to a number that is the sum of many terms.

use ad_core::Real;

/// The rounding error of a sum of `n` terms, relative to the sum of their moduli: `n·eps` up to a
/// hundred terms, and `10·√n·eps` for more.
///
/// The errors of single additions have either sign, so that they add up like a random walk, to
/// about `√n·eps` at worst (and far less in sums that are taken in pieces); the factor is for
/// safety. The worst case `n·eps` does not happen, and says nothing where `n` is a million and the
/// type is `f32`.
pub(crate) fn rounding<T: Real>(n: usize) -> T {
    let n = n as f64;
    T::epsilon() * T::of(n.min(10.0 * n.sqrt()))
}
