//! The absolute value of a tridiagonal matrix, and the step that it gives.

use ad_core::Real;

use crate::eigen::symmetric::eigen_in_place;
use crate::linear::secular::{Found, Tridiagonal};
use crate::vector::norm2;

/// `T = YΘYᵀ` and the minimiser of `γh₁ + ½hᵀ|T|h` in a ball, in the coordinates of `Y`.
#[derive(Debug, Clone, Default)]
pub(super) struct Absolute<T> {
    /// Eigenvectors, one per column, row-major.
    y: Vec<T>,
    theta: Vec<T>,
    scratch: Vec<T>,
    /// `γ` times the first components of the eigenvectors.
    weights: Vec<T>,
    /// The coordinates of the step.
    c: Vec<T>,
    lambda: T,
    /// Whether `T` is positive definite. Then `|T| = T`, and its triangular factors say more of
    /// small eigenvalues than eigenvectors do.
    is_definite: bool,
    model: T,
}

impl<T: Real> Absolute<T> {
    /// Decomposes `t` and solves into its `h`.
    pub(super) fn minimise(&mut self, t: &mut Tridiagonal<T>, radius: T) -> Found<T> {
        self.is_definite = t.shifted(T::zero()).is_some();
        if self.is_definite {
            return self.bound(t, radius);
        }
        let k = t.len();
        let zero = T::zero();
        self.y.clear();
        self.y.resize(k * k, zero);
        for i in 0..k {
            self.y[i * k + i] = t.alpha[i];
            if i + 1 < k {
                self.y[i * k + i + 1] = t.beta[i];
                self.y[(i + 1) * k + i] = t.beta[i];
            }
        }
        for v in [
            &mut self.theta,
            &mut self.scratch,
            &mut self.weights,
            &mut self.c,
        ] {
            v.clear();
            v.resize(k, zero);
        }
        if !eigen_in_place(&mut self.y, &mut self.theta, &mut self.scratch) {
            t.h.clear();
            t.h.resize(k, zero);
            return Found::Interior;
        }
        for (w, &first) in self.weights.iter_mut().zip(&self.y) {
            *w = t.gamma * first;
        }
        self.bound(t, radius)
    }

    /// Solves for another radius with the decomposition at hand.
    pub(super) fn bound(&mut self, t: &mut Tridiagonal<T>, radius: T) -> Found<T> {
        if self.is_definite {
            let found = t.minimise(radius);
            self.lambda = match found {
                Found::Interior => T::zero(),
                Found::Boundary(lambda) | Found::Hard(lambda) => lambda,
            };
            self.model = t.model(self.lambda);
            return found;
        }
        self.lambda = self.multiplier(radius);
        self.coordinates(self.lambda);
        let terms = self.c.iter().zip(&self.weights).enumerate();
        self.model = terms.fold(T::zero(), |sum, (i, (&c, &w))| {
            sum + c * (w + T::of(0.5) * self.magnitude(i) * c)
        });
        let k = self.theta.len();
        t.h.clear();
        let rows = self.y.chunks_exact(k.max(1));
        t.h.extend(rows.map(|row| crate::vector::dot(row, &self.c)));
        if self.lambda > T::zero() {
            Found::Boundary(self.lambda)
        } else {
            Found::Interior
        }
    }

    /// `gᵀp + ½pᵀ|T|p`, at most zero.
    pub(super) fn model(&self) -> T {
        self.model
    }

    /// Whether the ball was in the way.
    pub(super) fn is_bounded(&self) -> bool {
        self.lambda > T::zero()
    }

    /// Whether some Ritz value is negative.
    pub(super) fn is_indefinite(&self) -> bool {
        !self.is_definite && self.theta.first().is_some_and(|&low| low < T::zero())
    }

    fn magnitude(&self, i: usize) -> T {
        let ends = (self.theta.first(), self.theta.last());
        let top = match ends {
            (Some(low), Some(high)) => low.abs().max(high.abs()),
            _ => T::zero(),
        };
        // Below this the magnitude is rounding; of a zero matrix any is as good as another.
        let rounding = T::of(4.0) * T::epsilon() * T::of(self.theta.len() as f64);
        let floor = (rounding * top).max(T::min_positive_value());
        self.theta[i].abs().max(floor)
    }

    /// `c ← −(|Θ| + λI)⁻¹ w`; returns its norm.
    fn coordinates(&mut self, lambda: T) -> T {
        for i in 0..self.c.len() {
            self.c[i] = -self.weights[i] / (self.magnitude(i) + lambda);
        }
        norm2(&self.c)
    }

    /// The `λ ≥ 0` at which `‖c‖ = radius`, or zero if it is shorter: Newton's method on
    /// `1/‖c(λ)‖`, which is concave, converges from the left without overshooting.
    fn multiplier(&mut self, radius: T) -> T {
        const MAX_STEPS: usize = 200;
        let mut lambda = T::zero();
        for _ in 0..MAX_STEPS {
            let norm = self.coordinates(lambda);
            if norm.is_nan() || norm <= radius * (T::one() + T::of(8.0) * T::epsilon()) {
                break;
            }
            // −½ d‖c‖²/dλ, in units of ‖c‖².
            let slope = (0..self.c.len()).fold(T::zero(), |sum, i| {
                let share = self.c[i] / norm;
                sum + share * share / (self.magnitude(i) + lambda)
            });
            let next = lambda + (norm - radius) / radius / slope;
            if next <= lambda || !next.is_finite() {
                break;
            }
            lambda = next;
        }
        lambda
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_step_solves_with_the_absolute_value() {
        // T = [[0, 1], [1, 0]] has the eigenvalues ±1: |T| = I.
        let mut t = Tridiagonal::<f64>::with_capacity(2);
        t.clear(3.0);
        t.push(0.0, 1.0);
        t.push(0.0, 0.5);
        let mut absolute = Absolute::default();
        assert_eq!(absolute.minimise(&mut t, 10.0), Found::Interior);
        let close = |a: f64, b: f64| assert!((a - b).abs() < 16.0 * f64::EPSILON, "{a} {b}");
        close(t.h[0], -3.0);
        close(t.h[1], 0.0);
        close(absolute.model(), -4.5);
        assert!(absolute.is_indefinite());
        // In a ball of radius 1: (1 + λ)·1 = 3.
        let found = absolute.bound(&mut t, 1.0);
        close(t.h[0], -1.0);
        assert!(matches!(found, Found::Boundary(l) if (l - 2.0).abs() < 1e-14));
        close(absolute.model(), -2.5);
    }
}
