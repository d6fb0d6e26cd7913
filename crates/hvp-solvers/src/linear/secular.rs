//! The trust-region problem in the coordinates of a Krylov basis, where it is tridiagonal.

use ad_core::Real;

use crate::vector::{axpy, dot, norm2, power_of_two_below, scale};

/// `min γh₁ + ½hᵀTh` over `‖h‖ ≤ Δ`, `T` with diagonal `alpha` and off-diagonal `beta`.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tridiagonal<T> {
    pub(crate) alpha: Vec<T>,
    /// `beta[i]` couples `i` and `i + 1`; the last one leads out of the space.
    pub(crate) beta: Vec<T>,
    pub(crate) gamma: T,
    /// The solution.
    pub(crate) h: Vec<T>,
    pivots: Vec<T>,
    y: Vec<T>,
}

/// Where the solution lies.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Found<T> {
    Interior,
    Boundary(T),
    Hard(T),
}

impl<T: Real> Tridiagonal<T> {
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        let empty = || Vec::with_capacity(capacity);
        Self {
            alpha: empty(),
            beta: empty(),
            gamma: T::zero(),
            h: empty(),
            pivots: empty(),
            y: empty(),
        }
    }

    pub(crate) fn clear(&mut self, gamma: T) {
        self.alpha.clear();
        self.beta.clear();
        self.h.clear();
        self.gamma = gamma;
    }

    /// Appends a row; `beta` couples it to the next.
    pub(crate) fn push(&mut self, alpha: T, beta: T) {
        self.alpha.push(alpha);
        self.beta.push(beta);
    }

    pub(crate) fn len(&self) -> usize {
        self.alpha.len()
    }

    fn above(&self, i: usize) -> T {
        if i == 0 { T::zero() } else { self.beta[i - 1] }
    }

    /// `max |row|₁`, a bound of `‖T‖`.
    fn size(&self) -> T {
        let last = self.len().saturating_sub(1);
        (0..self.len()).fold(T::zero(), |top, i| {
            let below = if i < last { self.beta[i] } else { T::zero() };
            top.max(self.alpha[i].abs() + self.above(i).abs() + below.abs())
        })
    }

    /// `T + λI = LDLᵀ`; false if a pivot is not positive. `O(k)`.
    fn factorise(&mut self, lambda: T) -> bool {
        self.pivots.clear();
        for i in 0..self.len() {
            let mut pivot = self.alpha[i] + lambda;
            if i > 0 && self.beta[i - 1] != T::zero() {
                let above = self.beta[i - 1];
                pivot -= above / self.pivots[i - 1] * above;
            }
            if !(pivot > T::zero() && pivot.is_finite()) {
                return false;
            }
            self.pivots.push(pivot);
        }
        true
    }

    /// The smallest eigenvalue, by bisection on the signs of the pivots, to rounding.
    pub(crate) fn leftmost(&mut self) -> T {
        const MAX_HALVINGS: usize = 200;
        let size = self.size();
        if size == T::zero() {
            return size;
        }
        let (mut low, mut high) = (-size, size);
        for _ in 0..MAX_HALVINGS {
            let middle = low + (high - low) * T::of(0.5);
            if middle <= low || middle >= high || high - low <= T::epsilon() * size {
                break;
            }
            if self.factorise(-middle) {
                low = middle;
            } else {
                high = middle;
            }
        }
        low
    }

    /// Solves with the factors: `y ← (T + λI)⁻¹ y`.
    fn solve(pivots: &[T], beta: &[T], y: &mut [T]) {
        for i in 1..y.len() {
            let carried = beta[i - 1] / pivots[i - 1] * y[i - 1];
            y[i] -= carried;
        }
        for i in (0..y.len()).rev() {
            y[i] /= pivots[i];
            if i + 1 < y.len() {
                let carried = beta[i] / pivots[i] * y[i + 1];
                y[i] -= carried;
            }
        }
    }

    /// `h ← −γ(T + λI)⁻¹e₁` and its norm, or `None` if `T + λI` is not positive definite.
    pub(crate) fn shifted(&mut self, lambda: T) -> Option<T> {
        if !self.factorise(lambda) {
            return None;
        }
        self.h.clear();
        self.h.resize(self.alpha.len(), T::zero());
        if let Some(first) = self.h.first_mut() {
            *first = -self.gamma;
        }
        Self::solve(&self.pivots, &self.beta, &mut self.h);
        let norm = norm2(&self.h);
        norm.is_finite().then_some(norm)
    }

    /// Solves the problem into `h`.
    pub(crate) fn minimise(&mut self, radius: T) -> Found<T> {
        if self.shifted(T::zero()).is_some_and(|norm| norm <= radius) {
            return Found::Interior;
        }
        let leftmost = self.leftmost();
        self.locate(
            Bound::Ball(radius),
            leftmost,
            self.gamma / radius - leftmost,
        )
    }

    /// `min γh₁ + ½hᵀTh + ⅓σ‖h‖³` into `h`: the multiplier is `λ = σ‖h‖`.
    pub(crate) fn regularise(&mut self, sigma: T) -> Found<T> {
        let leftmost = self.leftmost();
        // ‖h(λ)‖ ≤ γ/(λ + leftmost), which is λ/σ at this root.
        let product = sigma * self.gamma;
        let root = leftmost.hypot(T::of(2.0) * product.sqrt());
        let high = if leftmost > T::zero() {
            T::of(2.0) * product / (root + leftmost)
        } else {
            T::of(0.5) * (root - leftmost)
        };
        self.locate(Bound::Cubic(sigma), leftmost, high)
    }

    /// Finds the shift, at most `high`, at which `‖h‖` is what the bound says.
    fn locate(&mut self, bound: Bound<T>, leftmost: T, high: T) -> Found<T> {
        let floor = (-leftmost).max(T::zero());
        let high = high.max(floor);
        let size = self.size().max(high);
        // The first shift above the floor that rounding lets us factorise.
        let mut offset = T::zero();
        let (low, norm) = loop {
            if let Some(norm) = self.shifted(floor + offset) {
                break (floor + offset, norm);
            }
            offset = (offset + offset).max(T::epsilon() * size);
            if !(offset.is_finite() && offset > T::zero()) {
                self.h.fill(T::zero());
                return Found::Hard(floor);
            }
        };
        if norm < bound.at(low) {
            self.reach(bound.at(low));
            return Found::Hard(low);
        }
        let lambda = self.boundary_shift(low, high.max(low), bound);
        self.reach(bound.at(lambda));
        Found::Boundary(lambda)
    }

    /// The root of `‖h(λ)‖ = Δ` in `[low, high]` by Newton's method on `1/‖h(λ)‖ − 1/Δ`, which is
    /// nearly linear and concave: from the left it converges without overshooting. The same
    /// holds with `Δ = λ/σ`. Leaves the factors and `h` of the shift that it returns.
    fn boundary_shift(&mut self, mut low: T, mut high: T, bound: Bound<T>) -> T {
        const MAX_STEPS: usize = 100;
        let mut lambda = low;
        for _ in 0..MAX_STEPS {
            let mut newton = T::nan();
            let radius = bound.at(lambda);
            match self.shifted(lambda) {
                Some(norm) if is_close(norm, radius) => return lambda,
                Some(norm) => {
                    if norm > radius {
                        low = lambda;
                    } else {
                        high = lambda;
                    }
                    let moving = bound.relative_slope(lambda);
                    newton = lambda + self.newton_step(norm, radius, moving);
                }
                // Rounding, next to −λ_min.
                None => low = lambda,
            }
            let middle = low + (high - low) * T::of(0.5);
            let next = if newton > low && newton < high {
                newton
            } else {
                middle
            };
            if next <= low || next >= high {
                break;
            }
            lambda = next;
        }
        // Neighbouring numbers enclose the root: above it the factors exist for certain.
        if self.shifted(high).is_none() {
            self.h.fill(T::zero());
        }
        high
    }

    /// Newton's step for `1/‖h(λ)‖ − 1/Δ`, where `Δ'/Δ` is `moving`.
    fn newton_step(&mut self, norm: T, radius: T, moving: T) -> T {
        // −½ d‖h‖²/dλ = hᵀ(T + λI)⁻¹h, in units of ‖h‖².
        self.y.clear();
        self.y.extend_from_slice(&self.h);
        scale(norm.recip(), &mut self.y);
        Self::solve(&self.pivots, &self.beta, &mut self.y);
        let slope = dot(&self.h, &self.y) / norm;
        (norm - radius) / radius / (slope + moving * norm / radius)
    }

    /// `y ←` the leftmost eigenvector, by inverse iteration with the factors at hand; false
    /// if nothing finite comes out.
    fn null_vector(&mut self) -> bool {
        const INVERSE_ITERATIONS: usize = 4;
        self.y.clear();
        // Any vector with a component along it will do; this one has no symmetry.
        let start = |i: usize| T::of(1.0 + 0.618 * ((i * 7) % 11) as f64);
        self.y.extend((0..self.alpha.len()).map(start));
        for _ in 0..INVERSE_ITERATIONS {
            let norm = norm2(&self.y);
            scale(norm.recip(), &mut self.y);
            Self::solve(&self.pivots, &self.beta, &mut self.y);
        }
        let norm = norm2(&self.y);
        scale(norm.recip(), &mut self.y);
        norm.is_finite() && norm > T::zero()
    }

    /// Brings `h` to the boundary along the leftmost eigenvector `u`: `h ← h + τu`.
    ///
    /// That is the hard case, where `(T + λI)u = 0`. And it is where the rounding of `λ` goes:
    /// next to `−λ_min` a unit in its last place moves `‖h(λ)‖` by `eps‖T‖/(λ + λ_min)` of
    /// it, all of it along `u`, while stretching `h` would spoil its other components by as
    /// much. The residual changes by `τ(λ + λ_min)` only. Of the two ends of the line the
    /// nearer one is lower: the model there is `½(λ + λ_min)τ²` above a constant.
    fn reach(&mut self, radius: T) {
        let norm = norm2(&self.h);
        if !is_close(norm, radius) && self.null_vector() {
            // Roots of t² + 2bt − c in units of the radius, without cancellation.
            let b = dot(&self.h, &self.y) / radius;
            let share = norm / radius;
            let c = (T::one() - share) * (T::one() + share);
            let root = (b * b + c).max(T::zero()).sqrt();
            let far = if b < T::zero() { b - root } else { b + root };
            if far != T::zero() {
                axpy(radius * (c / far), &self.y, &mut self.h);
            }
        }
        let norm = norm2(&self.h);
        if norm > T::zero() {
            scale(radius / norm, &mut self.h);
        }
    }

    /// `γh₁ + ½hᵀTh = ½γh₁ − ½λ‖h‖²` at a solution `(T + λI)h = −γe₁`: two terms of one sign
    /// where λ ≥ 0, while those of `hᵀTh` cancel, to more than the model where `T` is large.
    pub(crate) fn model(&self, lambda: T) -> T {
        self.model_in(lambda, T::one())
    }

    /// The model with all lengths times `unit`: they may be too large to be squared as they are.
    pub(super) fn model_in(&self, lambda: T, unit: T) -> T {
        let first = self.h.first().copied().unwrap_or(T::zero()) * unit;
        let norm = norm2(&self.h) * unit;
        T::of(0.5) * (self.gamma * unit * first - lambda * norm * norm)
    }

    /// What `(B + λI)z + g` has outside the space: `β_k |h_k|`.
    pub(super) fn residual(&self) -> T {
        match (self.beta.last(), self.h.last()) {
            (Some(&beta), Some(&h)) => (beta * h).abs(),
            _ => T::zero(),
        }
    }

    /// What it has inside, `‖(T + λI)h + γe₁‖`: rounding.
    pub(super) fn residual_inside(&mut self, lambda: T) -> T {
        // A power of two near the largest term, whose product with T could overflow.
        let scale = power_of_two_below(norm2(&self.h).max(self.gamma));
        self.y.clear();
        for (i, &h) in self.h.iter().enumerate() {
            let source = if i == 0 { self.gamma } else { T::zero() } / scale;
            let above = if i > 0 { self.h[i - 1] } else { T::zero() } / scale;
            let next = self.h.get(i + 1);
            let below = next.map_or(T::zero(), |&h| self.beta[i] * (h / scale));
            let row = (self.alpha[i] + lambda) * (h / scale) + self.above(i) * above + below;
            self.y.push(row + source);
        }
        norm2(&self.y) * scale
    }
}

/// What the norm of the solution has to be.
#[derive(Debug, Clone, Copy)]
enum Bound<T> {
    /// This radius.
    Ball(T),
    /// `λ/σ`.
    Cubic(T),
}

impl<T: Real> Bound<T> {
    fn at(self, lambda: T) -> T {
        match self {
            Self::Ball(radius) => radius,
            Self::Cubic(sigma) => lambda / sigma,
        }
    }

    /// The derivative by `λ`, relative to the bound itself.
    fn relative_slope(self, lambda: T) -> T {
        match self {
            Self::Ball(_) => T::zero(),
            Self::Cubic(_) => lambda.recip(),
        }
    }
}

/// Whether a length is the radius up to the rounding of a solve.
fn is_close<T: Real>(norm: T, radius: T) -> bool {
    (norm - radius).abs() <= T::of(8.0) * T::epsilon() * radius
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tridiagonal(alpha: &[f64], beta: &[f64], gamma: f64) -> Tridiagonal<f64> {
        let mut t = Tridiagonal::with_capacity(alpha.len());
        t.clear(gamma);
        for (i, &a) in alpha.iter().enumerate() {
            t.push(a, beta.get(i).copied().unwrap_or(0.0));
        }
        t
    }

    /// The conditions that a global minimiser of the cubic model satisfies: `(T + λI)h = −γe₁`,
    /// `λ = σ‖h‖` and `T + λI ⪰ 0`.
    #[test]
    fn the_cubic_model_is_minimised_globally() {
        let cases: [(&[f64], &[f64]); 4] = [
            (&[2.0], &[]),
            (&[-3.0], &[]),
            (&[1.0, -2.0, 0.5], &[0.3, 1.5]),
            (&[4.0, 3.0, 2.0, 1.0], &[1.0, 1.0, 1.0]),
        ];
        for (alpha, beta) in cases {
            for sigma in [1e-12, 1e-3, 1.0, 1e6] {
                for gamma in [1e-3, 1.0] {
                    let mut t = tridiagonal(alpha, beta, gamma);
                    let found = t.regularise(sigma);
                    // Hard where λ + λ_min is below rounding.
                    let (Found::Boundary(lambda) | Found::Hard(lambda)) = found else {
                        panic!("{alpha:?} {sigma} {gamma}: {found:?}");
                    };
                    let context = format!("{alpha:?} σ = {sigma:e}, γ = {gamma}: λ = {lambda}");
                    let norm = norm2(&t.h);
                    assert!((lambda - sigma * norm).abs() <= 1e-13 * lambda, "{context}");
                    let leftmost = t.leftmost();
                    let size = t.size() + lambda;
                    assert!(lambda + leftmost >= -1e-14 * size, "{context} {leftmost}");
                    let residual = t.residual_inside(lambda);
                    let rounding = 100.0 * f64::EPSILON * size * norm;
                    assert!(
                        residual <= rounding.max(1e-14 * gamma),
                        "{context}: {residual:e}"
                    );
                }
            }
        }
    }

    /// The gradient has nothing along the only direction of negative curvature.
    #[test]
    fn the_hard_case_of_the_cubic_model() {
        let mut t = tridiagonal(&[1.0, -1.0], &[0.0], 1.0);
        let sigma = 0.1;
        let found = t.regularise(sigma);
        // λ = 1, ‖h‖ = λ/σ = 10, and h₁ = −γ/(1 + λ).
        assert!(matches!(found, Found::Hard(l) if (l - 1.0).abs() < 1e-14));
        assert!((norm2(&t.h) - 10.0).abs() < 1e-13);
        assert!((t.h[0] + 0.5).abs() < 1e-13, "{:?}", t.h);
    }
}
