//! Lanczos with full reorthogonalisation from a given start, without restarts.

use ad_core::Real;

use crate::eigen::basis::Basis;
use crate::eigen::symmetric::eigen_in_place;
use crate::operator::{LinearOperator, apply};

/// The relation `A V = V T + β v eᵀ`, allocated once.
pub(super) struct Krylov<T> {
    pub(super) basis: Basis<T>,
    alpha: Vec<T>,
    beta: Vec<T>,
    w: Vec<T>,
    h: Vec<T>,
    /// Eigenvectors of `T`, one a column, and its eigenvalues, ascending.
    pub(super) y: Vec<T>,
    pub(super) theta: Vec<T>,
    scratch: Vec<T>,
    pub(super) norm: T,
    pub(super) n_products: usize,
    pub(super) exhausted: bool,
}

impl<T: Real> Krylov<T> {
    pub(super) fn new(n: usize, steps: usize) -> Self {
        let zeros = |len| vec![T::zero(); len];
        Self {
            basis: Basis::new(n, steps + 1),
            alpha: Vec::with_capacity(steps),
            beta: Vec::with_capacity(steps),
            w: zeros(n),
            h: zeros(steps + 1),
            y: zeros(steps * steps),
            theta: zeros(steps),
            scratch: zeros(steps),
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

    /// Eigenpairs of `T` into `y` and `theta`; false if the iteration fails.
    pub(super) fn eigen(&mut self) -> bool {
        let m = self.len();
        let y = &mut self.y[..m * m];
        y.fill(T::zero());
        for i in 0..m {
            y[i * m + i] = self.alpha[i];
            if i + 1 < m {
                y[i * m + i + 1] = self.beta[i];
                y[(i + 1) * m + i] = self.beta[i];
            }
        }
        eigen_in_place(y, &mut self.theta[..m], &mut self.scratch[..m])
    }
}
