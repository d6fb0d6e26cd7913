//! Lanczos with full reorthogonalisation from a given start, without restarts.

use ad_core::Real;

use crate::eigen::basis::Basis;
use crate::operator::{LinearOperator, apply};

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
        }
    }

    /// Starts at `v / norm`.
    pub(super) fn start(&mut self, v: &[T], norm: T) {
        self.basis.truncate(0);
        self.basis.push(v, norm);
        self.alpha.clear();
        self.beta.clear();
        self.exhausted = false;
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
        let level = T::epsilon() * self.norm * T::of((n as f64).sqrt().max(10.0));
        self.exhausted = beta <= level || self.len() == n;
        self.beta
            .push(if self.exhausted { T::zero() } else { beta });
        if !self.exhausted {
            self.basis.push(&self.w, beta);
        }
        true
    }
}
