//! Lanczos with full reorthogonalisation from a given start, without restarts.

use ad_core::Real;

use crate::eigen::basis::Basis;
use crate::eigen::certificate::noise_of;
use crate::operator::{LinearOperator, apply};
use crate::vector::axpy;

/// The relation `A V = V T + β v eᵀ`, allocated once.
pub(super) struct Krylov<T> {
    pub(super) basis: Basis<T>,
    /// The diagonal of `T`.
    pub(super) alpha: Vec<T>,
    /// Below it; the last one couples to the vector after the last step.
    pub(super) beta: Vec<T>,
    w: Vec<T>,
    h: Vec<T>,
    /// The largest `‖Av‖` seen.
    pub(super) norm: T,
    pub(super) n_products: usize,
    /// Whether the space is invariant: `T` holds eigenvalues of `A`.
    pub(super) exhausted: bool,
    /// What was taken for zero when the space was found to be invariant.
    dropped: T,
    /// An estimate from above of the error of a product; zero until it is measured.
    pub(super) noise: T,
}

impl<T: Real> Krylov<T> {
    pub(super) fn new(n: usize, steps: usize) -> Self {
        Self {
            basis: Basis::new(n, steps + 1),
            alpha: Vec::with_capacity(steps),
            beta: Vec::with_capacity(steps),
            w: vec![T::zero(); n],
            h: vec![T::zero(); steps + 1],
            norm: T::zero(),
            n_products: 0,
            exhausted: false,
            dropped: T::zero(),
            noise: T::zero(),
        }
    }

    /// Starts at `v / norm`.
    pub(super) fn start(&mut self, v: &[T], norm: T) {
        self.basis.truncate(0);
        self.basis.push(v, norm);
        self.alpha.clear();
        self.beta.clear();
        self.exhausted = false;
        self.dropped = T::zero();
    }

    /// Steps made.
    pub(super) fn len(&self) -> usize {
        self.alpha.len()
    }

    /// One step; false if the product is not finite.
    pub(super) fn step<A: LinearOperator<T> + ?Sized>(&mut self, a: &A) -> bool {
        let (j, n) = (self.len(), self.w.len());
        apply(a, self.basis.row(j), &mut self.w);
        self.n_products += 1;
        let (before, beta) = self.basis.orthogonalise(&mut self.w, &mut self.h);
        let alpha = self.h[j];
        if !(before.is_finite() && beta.is_finite() && alpha.is_finite()) {
            return false;
        }
        self.norm = self.norm.max(before);
        self.alpha.push(alpha);
        // What is left after orthogonalisation is rounding: the space is invariant.
        let level = T::of(10.0) * T::epsilon() * self.norm;
        self.exhausted = beta <= level || self.len() == n;
        if self.exhausted {
            self.dropped = beta;
        }
        self.beta
            .push(if self.exhausted { T::zero() } else { beta });
        if !self.exhausted {
            self.basis.push(&self.w, beta);
        }
        true
    }

    /// Measures the error of products by one more, with the sum of all vectors of the basis: none of the
    /// steps made that product, and `T` says what it should be. False if it is not finite.
    ///
    /// `T` is then the exact one of a matrix that differs from `A` by about as much: that moves
    /// eigenvalues by no more (Weyl).
    pub(super) fn measure_noise<A: LinearOperator<T> + ?Sized>(&mut self, a: &A) -> bool {
        let m = self.len();
        let share = T::of(m as f64).sqrt().recip();
        let mut u = vec![T::zero(); self.w.len()];
        for i in 0..m {
            axpy(share, self.basis.row(i), &mut u);
        }
        let (alpha, beta, basis) = (&self.alpha, &self.beta, &self.basis);
        let compare = |_: &[T], w: &mut [T]| {
            for i in 0..basis.len() {
                let before = if i > 0 { beta[i - 1] } else { T::zero() };
                let rest = if i < m { alpha[i] } else { T::zero() };
                let after = if i + 1 < m { beta[i] } else { T::zero() };
                axpy(-share * (before + rest + after), basis.row(i), w);
            }
        };
        self.n_products += 1;
        let noise = noise_of(a, &u, &mut self.w, compare);
        self.noise = noise.unwrap_or(self.noise).max(self.noise);
        noise.is_some()
    }

    /// How far the matrix that `T` belongs to may be from `A`, beside rounding.
    pub(super) fn distance(&self) -> T {
        self.noise + self.dropped
    }
}
