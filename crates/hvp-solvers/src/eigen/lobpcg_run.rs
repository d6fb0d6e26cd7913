//! The locally optimal block preconditioned conjugate gradient method: what an iteration is made of.

use ad_core::Real;
use ndarray::ArrayView2;

use super::basis::Basis;
use super::certificate::within;
use super::lobpcg::End;
use super::lobpcg_state::LobpcgState;
use super::outcome::EigenStop;
use super::symmetric::eigen_in_place;
use crate::error::Quantity;
use crate::linear::{Preconditioner, precondition};
use crate::operator::{LinearOperator, apply_block};
use crate::vector::{all_finite, axpy, dot, norm2};

impl<T: Real> LobpcgState<T> {
    /// The start's independent rows, then random ones.
    pub(super) fn first_block(&mut self, start: Option<ArrayView2<'_, T>>) {
        for row in start.iter().flat_map(|rows| rows.rows()) {
            for (w, &x) in self.work.w.iter_mut().zip(row) {
                *w = x;
            }
            if self.s.len() < self.block {
                push_independent(&mut self.s, &mut self.work.w, &mut self.work.h);
            }
        }
        self.fill_up();
    }

    /// Random vectors until there is a block.
    fn fill_up(&mut self) {
        while self.s.len() < self.block && self.s.push_random(&mut self.rng, &mut self.work.w) {}
    }

    /// Products of the vectors that have none.
    pub(super) fn multiply<A>(&mut self, a: &A) -> Result<(), EigenStop>
    where
        A: LinearOperator<T> + ?Sized,
    {
        let (from, to) = (self.image.len(), self.s.len());
        let out = self.image.extend(to - from);
        apply_block(a, self.s.rows(from, to - from), out);
        let finite = all_finite(out);
        self.n_products += to - from;
        if !finite {
            self.image.truncate(from);
            return Err(EigenStop::NonFinite {
                what: Quantity::Product,
            });
        }
        for i in from..to {
            self.norm = self.norm.max(norm2(self.image.row(i)));
        }
        Ok(())
    }

    /// Ritz values and coefficients of the Ritz vectors of `S`.
    fn ritz(&mut self) -> Result<(), EigenStop> {
        let (m, work) = (self.s.len(), &mut self.work);
        let half = T::of(0.5);
        for i in 0..m {
            for j in 0..=i {
                let (low, high) = (
                    dot(self.s.row(i), self.image.row(j)),
                    dot(self.s.row(j), self.image.row(i)),
                );
                self.asymmetry = self.asymmetry.max((low - high).abs());
                let mean = half * (low + high);
                work.g[i * m + j] = mean;
                work.g[j * m + i] = mean;
            }
        }
        let (values, scratch) = (&mut work.values[..m], &mut work.scratch[..m]);
        if eigen_in_place(&mut work.g[..m * m], values, scratch) {
            return Ok(());
        }
        Err(EigenStop::NonFinite {
            what: Quantity::Product,
        })
    }

    /// Makes the most wanted Ritz vectors of `S` the new `X`, and the steps to them the new `P`.
    pub(super) fn rayleigh_ritz(&mut self) -> Result<(), EigenStop> {
        self.ritz()?;
        let (m, n_x) = (self.s.len(), self.block);
        self.work.mix.truncate(0);
        for k in 0..n_x {
            let column = self.column(k, m);
            self.theta[k] = self.work.values[column];
            for i in 0..m {
                self.work.row[i] = self.work.g[i * m + column];
            }
            self.work.row[m..].fill(T::zero());
            self.work.mix.push(&self.work.row, T::one());
        }
        // The part of each step outside the old X, orthogonal to the new one.
        for k in (0..n_x).filter(|&k| self.active[k]) {
            if self.work.mix.len() == m {
                break;
            }
            let column = self.column(k, m);
            self.work.row.fill(T::zero());
            for i in n_x..m {
                self.work.row[i] = self.work.g[i * m + column];
            }
            push_independent(&mut self.work.mix, &mut self.work.row, &mut self.work.h);
        }
        let work = &mut self.work;
        let rows = work.mix.len();
        for k in 0..rows {
            for i in 0..m {
                work.g[i * m + k] = work.mix.row(k)[i];
            }
        }
        self.s.rotate(&work.g[..m * m], &work.all[..rows]);
        self.image.rotate(&work.g[..m * m], &work.all[..rows]);
        self.known = n_x;
        Ok(())
    }

    /// The column of the `k`-th wanted of `m` ascending Ritz values.
    fn column(&self, k: usize, m: usize) -> usize {
        match self.config.end {
            End::Smallest => k,
            End::Largest => m - 1 - k,
        }
    }

    /// Residuals of `X`; counts the wanted pairs within tolerance.
    pub(super) fn measure(&mut self) -> usize {
        for k in 0..self.block {
            self.residual_of(k);
            self.residual[k] = norm2(&self.work.r);
            self.active[k] = !self.is_small(self.theta[k], self.residual[k]);
        }
        self.active[..self.config.k]
            .iter()
            .filter(|active| !**active)
            .count()
    }

    /// Whether a residual is within tolerance, or what rounding leaves of the difference of two
    /// vectors of length `‖A‖` that are recombined in every iteration.
    pub(super) fn is_small(&self, theta: T, residual: T) -> bool {
        let rounding = T::of(10.0) * T::epsilon() * self.norm;
        residual <= rounding || within(theta, residual, self.config.tolerance, self.norm)
    }

    /// `r ← A x_k − θ_k x_k`.
    fn residual_of(&mut self, k: usize) {
        self.work.r.copy_from_slice(self.image.row(k));
        axpy(-self.theta[k], self.s.row(k), &mut self.work.r);
    }

    /// Appends the preconditioned residuals of the active pairs.
    pub(super) fn search<P>(&mut self, m: &P) -> Result<(), EigenStop>
    where
        P: Preconditioner<T> + ?Sized,
    {
        for k in 0..self.block {
            if !self.active[k] || self.s.len() == self.n {
                continue;
            }
            self.residual_of(k);
            precondition(m, &self.work.r, &mut self.work.w);
            if !all_finite(&self.work.w) {
                return Err(EigenStop::NonFinite {
                    what: Quantity::Preconditioner,
                });
            }
            if !push_independent(&mut self.s, &mut self.work.w, &mut self.work.h) {
                // Also where M⁻¹r lies in the space already, r itself may not.
                push_independent(&mut self.s, &mut self.work.r, &mut self.work.h);
            }
        }
        Ok(())
    }

    /// Removes accumulated rounding: makes `[X P]` orthonormal and multiplies it anew.
    pub(super) fn refresh<A>(&mut self, a: &A) -> Result<(), EigenStop>
    where
        A: LinearOperator<T> + ?Sized,
    {
        let kept = self.s.len();
        self.s.truncate(0);
        self.image.truncate(0);
        for i in 0..kept {
            // Vectors are read before they are written over: row i moves down, if at all.
            self.work.w.copy_from_slice(self.s.row(i));
            push_independent(&mut self.s, &mut self.work.w, &mut self.work.h);
        }
        self.fill_up();
        self.multiply(a)?;
        self.active.fill(true);
        self.rayleigh_ritz()
    }
}

/// Appends what `w` has outside the basis; false if that is rounding.
fn push_independent<T: Real>(basis: &mut Basis<T>, w: &mut [T], h: &mut [T]) -> bool {
    let size = norm2(w);
    if !size.is_normal() {
        return false;
    }
    w.iter_mut().for_each(|w| *w /= size);
    let (_, rest) = basis.orthogonalise(w, h);
    if rest > T::of(100.0) * T::epsilon() {
        basis.push(w, rest);
        return true;
    }
    false
}
