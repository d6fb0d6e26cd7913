//! Error bounds of a Ritz pair from its residual and its neighbours.

use ad_core::Real;
use ndarray::Array1;

use super::outcome::EigenPair;
use crate::operator::{LinearOperator, apply};
use crate::vector::{axpy, dot, norm2, scale};

/// Rounding of a Rayleigh quotient and of a residual, in units of `eps·‖A‖`.
const ALLOWANCE: f64 = 10.0;

/// All Ritz values that a solver has, with their residuals.
pub(crate) struct Neighbours<'a, T> {
    /// Ascending.
    pub(crate) theta: &'a [T],
    pub(crate) residual: &'a [T],
    /// Whether nothing of the spectrum is expected below the first, and above the last.
    pub(crate) ends: (bool, bool),
    /// The largest `‖Av‖` seen.
    pub(crate) norm: T,
}

impl<T: Real> Neighbours<'_, T> {
    fn allowance(&self) -> T {
        T::of(ALLOWANCE) * T::epsilon() * self.norm
    }

    /// A lower estimate of the distance of Ritz value `index` from the eigenvalues beside it:
    /// beside those that cannot be told from it, if `cluster`.
    fn gap(&self, index: usize, cluster: bool) -> T {
        let (theta, residual) = (self.theta, self.residual);
        let same = |low: usize, high: usize| {
            let slack = residual[low] + residual[high] + self.allowance();
            cluster && theta[high] - theta[low] <= slack
        };
        let distance = |j: usize| (theta[j] - theta[index]).abs() - residual[j];
        let beyond = |end: bool| if end { T::infinity() } else { T::zero() };
        let (mut low, mut high) = (index, index);
        while low > 0 && same(low - 1, low) {
            low -= 1;
        }
        while high + 1 < theta.len() && same(high, high + 1) {
            high += 1;
        }
        let below = low.checked_sub(1).map_or(beyond(self.ends.0), distance);
        let above = if high + 1 < theta.len() {
            distance(high + 1)
        } else {
            beyond(self.ends.1)
        };
        below.min(above)
    }

    /// The pair of a vector of about norm 1 that belongs to Ritz value `index`, with its residual
    /// recomputed by a product; false if that is not finite, and then with what was known.
    /// `converged` is left to the caller.
    pub(crate) fn pair<A>(
        &self,
        a: &A,
        vector: &[T],
        index: usize,
        w: &mut [T],
    ) -> (EigenPair<T>, bool)
    where
        A: LinearOperator<T> + ?Sized,
    {
        let mut vector = vector.to_vec();
        scale(norm2(&vector).recip(), &mut vector);
        apply(a, &vector, w);
        let mut value = dot(&vector, w);
        axpy(-value, &vector, w);
        let mut residual = norm2(w);
        let finite = value.is_finite() && residual.is_finite();
        if !finite {
            (value, residual) = (self.theta[index], self.residual[index]);
        }
        let gap = self.gap(index, false);
        let sharp = if gap > residual {
            residual * (residual / gap)
        } else {
            residual
        };
        let apart = self.gap(index, true);
        let reach = residual + self.allowance();
        let angle_bound = if apart > reach {
            reach / apart
        } else {
            T::one()
        };
        let pair = EigenPair {
            value,
            vector: Array1::from_vec(vector),
            residual,
            error_bound: residual.min(sharp) + self.allowance(),
            angle_bound,
            converged: false,
        };
        (pair, finite)
    }
}

/// Whether a residual is within `tolerance · max(|θ|, eps^⅔·‖A‖)`, or at the rounding level.
pub(crate) fn within<T: Real>(theta: T, residual: T, tolerance: f64, norm: T) -> bool {
    let eps = T::epsilon();
    let floor = norm * eps.powf(T::of(2.0 / 3.0));
    let tol = T::of(tolerance).max(eps);
    residual <= (tol * theta.abs().max(floor)).max(eps * norm)
}
