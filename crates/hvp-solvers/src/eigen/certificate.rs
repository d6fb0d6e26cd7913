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
    /// The largest error of a product that was seen; see [`Measured::noise`].
    pub(crate) noise: T,
}

/// A Ritz vector and what a product of its own says about it.
pub(crate) struct Measured<T> {
    /// Of norm 1.
    vector: Vec<T>,
    value: T,
    residual: T,
    /// The noise of products, from `e = Au − p` with `p` what the solver's own numbers make of `Au`:
    /// the errors of the products with `u` and with the basis that `u` is made of, whatever the
    /// residual is. See [`loudness`].
    pub(crate) noise: T,
    /// Whether the product is finite; the numbers are of no use if it is not.
    pub(crate) finite: bool,
    /// Products made: one, or two.
    pub(crate) n_products: usize,
}

/// The error of products, from that with a vector of about norm 1; `compare` subtracts from the
/// product (second argument, with the vector as the first) what was expected. `None` if it is not finite.
pub(crate) fn noise_of<T, A>(
    a: &A,
    vector: &[T],
    w: &mut [T],
    compare: impl FnOnce(&[T], &mut [T]),
) -> Option<T>
where
    T: Real,
    A: LinearOperator<T> + ?Sized,
{
    let mut image = vec![T::zero(); vector.len()];
    multiply(a, vector, LENGTH, &mut image, w);
    image.copy_from_slice(w);
    compare(vector, w);
    let noise = loudness(w, &image);
    noise.is_finite().then_some(noise)
}

/// The vector is multiplied this long, and the product divided again. Where products are rounded to
/// fewer bits than their type has, the same vector would repeat the errors that are to be seen.
const LENGTH: f64 = 0.7;

/// The length for a second product.
const OTHER_LENGTH: f64 = 0.9;

/// Multiplies a vector of about norm 1. `compare` turns the residual `Au − θu` (third argument) of
/// the Rayleigh quotient `θ` (first) of `u` (second) into the difference from what was expected.
///
/// What was expected may lack a part of norm `unseen`. Where the difference is of that size it says
/// nothing of the products, and two products at different lengths are compared.
pub(crate) fn measure<T, A>(
    a: &A,
    vector: &[T],
    w: &mut [T],
    unseen: T,
    compare: impl FnOnce(T, &[T], &mut [T]),
) -> Measured<T>
where
    T: Real,
    A: LinearOperator<T> + ?Sized,
{
    /// For what is added to a difference to be on the safe side.
    const HIDDEN: f64 = 20.0;
    let mut vector = vector.to_vec();
    scale(norm2(&vector).recip(), &mut vector);
    let mut image = vec![T::zero(); vector.len()];
    multiply(a, &vector, LENGTH, &mut image, w);
    image.copy_from_slice(w);
    let mut n_products = 1;
    let value = dot(&vector, w);
    axpy(-value, &vector, w);
    let residual = norm2(w);
    let finite = value.is_finite() && residual.is_finite();
    let mut noise = T::zero();
    if finite {
        compare(value, &vector, w);
        noise = loudness(w, &image);
        if unseen > T::zero() && noise <= T::of(HIDDEN) * unseen {
            let mut scaled = vec![T::zero(); vector.len()];
            multiply(a, &vector, OTHER_LENGTH, &mut scaled, w);
            n_products += 1;
            axpy(-T::one(), &image, w);
            noise = loudness(w, &image);
        }
    }
    Measured {
        vector,
        value,
        residual,
        noise,
        finite,
        n_products,
    }
}

/// `w ← A(length·v)/length`; `scaled` is room for the argument.
fn multiply<T, A>(a: &A, v: &[T], length: f64, scaled: &mut [T], w: &mut [T])
where
    T: Real,
    A: LinearOperator<T> + ?Sized,
{
    let length = T::of(length);
    for (scaled, &v) in scaled.iter_mut().zip(v) {
        *scaled = v * length;
    }
    apply(a, scaled, w);
    w.iter_mut().for_each(|w| *w /= length);
}

/// An estimate from above of the error of a product `y`, from a difference `e` of two of that kind.
///
/// Errors in proportion to the entries are largest where a vector is, and a single entry may be
/// small in the difference by chance. So the largest error of an entry that is not small, relative
/// to it, is taken for all of them; and four times that, as these are few samples.
fn loudness<T: Real>(e: &[T], y: &[T]) -> T {
    let size = norm2(y);
    let small = T::of(0.5) * size / T::of((y.len().max(1) as f64).sqrt());
    let large = e.iter().zip(y).filter(|(_, y)| y.abs() > small);
    let parts = large.map(|(&e, &y)| (e / y).abs());
    let all = size * parts.fold(T::zero(), T::max);
    T::of(4.0) * norm2(e).max(all)
}

/// The largest of the noises of finite products, and of `other`.
pub(crate) fn loudest<T: Real>(all: &[Measured<T>], other: T) -> T {
    let finite = all.iter().filter(|m| m.finite && m.noise.is_finite());
    finite.fold(other, |top, m| top.max(m.noise))
}

impl<T: Real> Neighbours<'_, T> {
    /// What a residual or a Rayleigh quotient may be off by.
    fn allowance(&self) -> T {
        T::of(ALLOWANCE) * T::epsilon() * self.norm + self.noise
    }

    /// A lower estimate of the distance of Ritz value `index` from the eigenvalues beside it:
    /// beside those that cannot be told from it, if `cluster`.
    fn gap(&self, index: usize, cluster: bool) -> T {
        let (theta, residual) = (self.theta, self.residual);
        let same = |low: usize, high: usize| {
            let slack = residual[low] + residual[high] + self.allowance();
            cluster && theta[high] - theta[low] <= slack
        };
        let distance = |j: usize| (theta[j] - theta[index]).abs() - residual[j] - self.noise;
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

    /// The pair of a measured vector that belongs to Ritz value `index`, with its bounds; what was
    /// known before, if its product is not finite. `converged` is left to the caller.
    ///
    /// With products that are off by `e`, the Rayleigh quotient is off by `uᵀe` and the residual by
    /// no more than `‖e‖`; the theorems hold for what they are without it.
    pub(crate) fn pair(&self, measured: Measured<T>, index: usize) -> EigenPair<T> {
        let Measured {
            vector,
            mut value,
            mut residual,
            finite,
            ..
        } = measured;
        if !finite {
            (value, residual) = (self.theta[index], self.residual[index]);
        }
        let most = residual + self.noise;
        let gap = self.gap(index, false);
        let sharp = if gap > most {
            most * (most / gap)
        } else {
            most
        };
        let apart = self.gap(index, true);
        let reach = residual + self.allowance();
        let angle_bound = if apart > reach {
            reach / apart
        } else {
            T::one()
        };
        EigenPair {
            value,
            vector: Array1::from_vec(vector),
            residual,
            error_bound: most.min(sharp) + self.allowance(),
            angle_bound,
            converged: false,
        }
    }
}

/// The residual that is within `tolerance · max(|θ|, eps^⅔·‖A‖)`, or at the rounding level.
pub(crate) fn allowed<T: Real>(theta: T, tolerance: f64, norm: T) -> T {
    let eps = T::epsilon();
    let floor = norm * eps.powf(T::of(2.0 / 3.0));
    let tol = T::of(tolerance).max(eps);
    (tol * theta.abs().max(floor)).max(eps * norm)
}

/// Whether a residual is at most [`allowed`].
pub(crate) fn within<T: Real>(theta: T, residual: T, tolerance: f64, norm: T) -> bool {
    residual <= allowed(theta, tolerance, norm)
}
