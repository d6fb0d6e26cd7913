//! The band Lanczos factorisation with thick restarts.

use ad_core::Real;
use ndarray::{ArrayView1, ArrayView2};
use rand_chacha::ChaCha8Rng;

use super::basis::Basis;
use super::certificate::{Measured, Neighbours, allowed, loudest, measure, within};
use super::outcome::{CopiesCheck, EigenOutcome, EigenPair, EigenStats, EigenStop, relative};
use super::symmetric::eigen_in_place;
use super::which::{Which, order_by_want, sort_pairs};
use crate::error::Quantity;
use crate::operator::{LinearOperator, apply_block};
use crate::vector::{axpy, norm2};

/// The relation `A V = V T + P C` with orthonormal `[V P]`, and the Ritz pairs of `T`.
///
/// `V` are the vectors that have been multiplied, `P` those that are pending: one per unit of
/// the block, fewer once a remainder vanished.
#[derive(Debug)]
pub(super) struct Factorisation<T> {
    pub(super) n: usize,
    /// At most this many columns of `T`.
    pub(super) ncv: usize,
    /// Vectors drawn at a start and when the space is exhausted.
    block: usize,
    /// Pending vectors there is room for.
    pub(super) width: usize,
    pub(super) rng: ChaCha8Rng,
    pub(super) basis: Basis<T>,
    /// Columns of `T` that are complete.
    pub(super) done: usize,
    /// `T` with stride `ncv + width`; the rows below `done` are `C`.
    pub(super) t: Vec<T>,
    /// Products, one per row.
    w: Vec<T>,
    pub(super) h: Vec<T>,
    /// Of each column of `AV − VT − PC` the norm: zero but for vectors that were kept without
    /// what they couple to, and mixtures of those.
    pub(super) lost: Vec<T>,
    /// Eigenvectors, eigenvalues (ascending) and residuals of the last Ritz step.
    pub(super) y: Vec<T>,
    pub(super) theta: Vec<T>,
    pub(super) residual: Vec<T>,
    /// What of the residuals was lost.
    unseen: Vec<T>,
    /// `C Y`, one pending vector per row: the residuals as vectors.
    coupling: Vec<T>,
    pub(super) scratch: Vec<T>,
    /// Indices into `theta`, the most wanted first.
    pub(super) order: Vec<usize>,
    pub(super) norm: T,
    pub(super) asymmetry: T,
    pub(super) n_products: usize,
    pub(super) n_restarts: usize,
    pub(super) n_breakdowns: usize,
    pub(super) n_probes: usize,
    pub(super) n_probe_products: usize,
}

impl<T: Real> Factorisation<T> {
    /// Room for `ncv` columns and `width ≥ block` pending vectors.
    pub(super) fn new(n: usize, ncv: usize, block: usize, width: usize, rng: ChaCha8Rng) -> Self {
        let all = ncv + width;
        let zeros = |len: usize| vec![T::zero(); len];
        Self {
            n,
            ncv,
            block,
            width,
            rng,
            basis: Basis::new(n, all),
            done: 0,
            t: zeros(all * all),
            w: zeros(width.max(1) * n),
            h: zeros(all),
            lost: zeros(ncv),
            y: zeros(ncv * ncv),
            theta: zeros(ncv),
            residual: zeros(ncv),
            unseen: zeros(ncv),
            coupling: zeros(width * ncv),
            scratch: zeros(ncv),
            order: Vec::with_capacity(ncv),
            norm: T::zero(),
            asymmetry: T::zero(),
            n_products: 0,
            n_restarts: 0,
            n_breakdowns: 0,
            n_probes: 0,
            n_probe_products: 0,
        }
    }

    /// Makes room for `ncv` columns, more than there is room for.
    pub(super) fn grow(&mut self, ncv: usize) {
        let (old, all, used) = (self.ncv + self.width, ncv + self.width, self.basis.len());
        let mut t = vec![T::zero(); all * all];
        for i in 0..used {
            t[i * all..i * all + used].copy_from_slice(&self.t[i * old..i * old + used]);
        }
        self.t = t;
        self.ncv = ncv;
        self.basis.make_room(all);
        let room = |vector: &mut Vec<T>, len| vector.resize(len, T::zero());
        room(&mut self.h, all);
        room(&mut self.y, ncv * ncv);
        room(&mut self.coupling, self.width * ncv);
        for vector in [
            &mut self.lost,
            &mut self.theta,
            &mut self.residual,
            &mut self.unseen,
            &mut self.scratch,
        ] {
            room(vector, ncv);
        }
    }

    /// Starts from a vector, if there is one that is not zero, and random ones.
    pub(super) fn start(&mut self, start: Option<ArrayView1<'_, T>>) {
        if let Some(start) = start {
            self.push_start(start);
        }
        self.fill_up();
    }

    /// Starts from all rows that are linearly independent; returns their number.
    pub(super) fn start_from_rows(&mut self, rows: ArrayView2<'_, T>) -> usize {
        for row in rows.rows() {
            self.push_start(row);
        }
        if self.exhausted() {
            self.fill_up();
        }
        self.pending()
    }

    /// Appends what a vector has outside the basis, unless that is rounding.
    fn push_start(&mut self, start: ArrayView1<'_, T>) {
        let n = self.n;
        let w = &mut self.w[..n];
        for (w, &x) in w.iter_mut().zip(start) {
            *w = x;
        }
        let norm = norm2(w);
        if !norm.is_normal() {
            return;
        }
        w.iter_mut().for_each(|w| *w /= norm);
        let (_, rest) = self.basis.orthogonalise(w, &mut self.h);
        if rest > T::of(100.0) * T::epsilon() {
            self.basis.push(w, rest);
        }
    }

    /// Random vectors until a block is pending or the space is full.
    fn fill_up(&mut self) {
        let n = self.n;
        while self.pending() < self.block && self.basis.push_random(&mut self.rng, &mut self.w[..n])
        {
        }
    }

    fn pending(&self) -> usize {
        self.basis.len() - self.done
    }

    /// Columns after which it is worth while to look for convergence.
    pub(super) fn stride(&self) -> usize {
        (2 * self.block).max(5).max(self.done / 8)
    }

    /// What is left of a vector after orthogonalisation if it lies in the space: rounding.
    pub(super) fn level(&self) -> T {
        level(self.norm)
    }

    /// Whether the basis cannot grow: `T` then holds eigenvalues of `A` exactly.
    pub(super) fn exhausted(&self) -> bool {
        self.pending() == 0
    }

    fn t(&mut self, i: usize, j: usize) -> &mut T {
        &mut self.t[i * (self.ncv + self.width) + j]
    }

    /// Lanczos steps until `columns ≤ ncv` columns are complete or the space is exhausted.
    pub(super) fn expand<A>(&mut self, a: &A, columns: usize) -> Result<(), EigenStop>
    where
        A: LinearOperator<T> + ?Sized,
    {
        let n = self.n;
        while self.done < columns && !self.exhausted() {
            let count = self.pending().min(columns - self.done);
            let rows = self.basis.rows(self.done, count);
            apply_block(a, rows, &mut self.w[..count * n]);
            self.n_products += count;
            for i in 0..count {
                self.absorb(i)?;
            }
            if self.exhausted() && self.done < n {
                self.n_breakdowns += 1;
                self.fill_up();
            }
        }
        Ok(())
    }

    /// Makes product `i` of the block a column of `T`, and its remainder a pending vector.
    fn absorb(&mut self, i: usize) -> Result<(), EigenStop> {
        let n = self.n;
        let (j, len) = (self.done, self.basis.len());
        let w = &mut self.w[i * n..(i + 1) * n];
        let (before, beta) = self.basis.orthogonalise(w, &mut self.h);
        if !(before.is_finite() && beta.is_finite()) {
            return Err(EigenStop::NonFinite {
                what: Quantity::Product,
            });
        }
        self.norm = self.norm.max(before);
        // At the level there is nothing new in this direction.
        let grows = beta > level(self.norm) && len < n;
        if grows {
            self.basis.push(w, beta);
        }
        for k in 0..len {
            let found = self.h[k];
            if k < j {
                let expected = *self.t(k, j);
                let known = self.lost[k];
                let beyond = (found - expected).abs() - known;
                self.asymmetry = self.asymmetry.max(beyond);
                if known > T::zero() {
                    // That is a part of what was lost: T becomes the projection again.
                    *self.t(k, j) = found;
                    *self.t(j, k) = found;
                }
            } else {
                *self.t(k, j) = found;
                *self.t(j, k) = found;
            }
        }
        if grows {
            *self.t(len, j) = beta;
            *self.t(j, len) = beta;
        }
        self.lost[j] = T::zero();
        self.done += 1;
        Ok(())
    }

    /// Eigenpairs of `T`, their residuals and their order; false if `T` is not finite.
    pub(super) fn ritz(&mut self, which: Which) -> bool {
        let (m, ncv) = (self.done, self.ncv);
        for i in 0..m {
            for j in 0..m {
                self.y[i * m + j] = *self.t(i, j);
            }
        }
        let y = &mut self.y[..m * m];
        if !eigen_in_place(y, &mut self.theta[..m], &mut self.scratch[..m]) {
            return false;
        }
        let stride = ncv + self.width;
        for i in 0..m {
            let mut size = T::zero();
            for p in 0..self.pending() {
                let row = &self.t[(m + p) * stride..(m + p) * stride + m];
                let sum: T = (0..m).map(|j| row[j] * self.y[j * m + i]).sum();
                self.coupling[p * ncv + i] = sum;
                size = size.hypot(sum);
            }
            let lost = (0..m).fold(T::zero(), |sum, j| {
                let part = self.y[j * m + i] * self.lost[j];
                if part == T::zero() {
                    sum
                } else {
                    sum.hypot(part)
                }
            });
            self.unseen[i] = lost;
            self.residual[i] = if lost == T::zero() {
                size
            } else {
                size.hypot(lost)
            };
        }
        order_by_want(which, &self.theta[..m], &mut self.order);
        true
    }

    /// How many of the wanted residuals are within this share of what is allowed.
    pub(super) fn count_converged(&self, wanted: usize, tolerance: f64, share: f64) -> usize {
        let most = |i: usize| T::of(share) * allowed(self.theta[i], tolerance, self.norm);
        let first = self.order.iter().take(wanted);
        first.filter(|&&i| self.residual[i] <= most(i)).count()
    }

    /// The largest of the wanted residuals, each in units of what is allowed.
    pub(super) fn worst(&self, wanted: usize, tolerance: f64) -> T {
        let part = |i: usize| self.residual[i] / allowed(self.theta[i], tolerance, self.norm);
        let first = self.order.iter().take(wanted);
        first.fold(T::zero(), |worst, &i| worst.max(part(i)))
    }

    /// Whether the most wanted of the other Ritz values is known well enough to say that it is
    /// no missed copy: a hundred times closer to an eigenvalue than to the wanted ones, or to the
    /// square root of rounding where it is one of their neighbours.
    pub(super) fn next_is_clear(&self, wanted: usize) -> bool {
        let Some(&next) = self.order.get(wanted) else {
            return true;
        };
        let distance = |&i: &usize| (self.theta[i] - self.theta[next]).abs();
        let wanted = self.order[..wanted].iter().map(distance);
        let gap = wanted.fold(T::infinity(), T::min);
        let near = T::of(0.01) * gap;
        self.residual[next] <= near.max(T::epsilon().sqrt() * self.norm)
    }

    /// Keeps the most wanted Ritz vectors and goes on from the pending ones; returns how many.
    pub(super) fn restart(&mut self, wanted: usize, tolerance: f64) -> usize {
        let m = self.done;
        // KrylovKit's rule: as vectors converge, more of the space is kept. There has to be
        // room for one block and one vector more.
        let most = m.saturating_sub(self.pending() + 1).max(1);
        let converged = self.count_converged(wanted, tolerance, 1.0);
        let keep = ((3 * m + 2 * converged) / 5).clamp(wanted.min(most), most);
        self.keep(keep);
        for k in 0..keep {
            self.lost[k] = self.unseen[self.order[k]];
        }
        self.basis
            .rotate_head(m, &self.y[..m * m], &self.order[..keep]);
        for p in 0..self.pending() {
            for k in 0..keep {
                let c = self.coupling[p * self.ncv + self.order[k]];
                *self.t(k, keep + p) = c;
                *self.t(keep + p, k) = c;
            }
        }
        keep
    }

    /// Keeps the wanted Ritz vectors and goes on from random ones, to find the missed copies.
    pub(super) fn collect(&mut self, wanted: usize) {
        let m = self.done;
        self.keep(wanted);
        for k in 0..wanted {
            self.lost[k] = self.residual[self.order[k]];
        }
        self.basis.truncate(m);
        self.basis.rotate(&self.y[..m * m], &self.order[..wanted]);
        self.fill_up();
    }

    /// `T` for the first `keep` Ritz vectors in the order of want.
    fn keep(&mut self, keep: usize) {
        self.n_restarts += 1;
        self.t.fill(T::zero());
        for k in 0..keep {
            *self.t(k, k) = self.theta[self.order[k]];
        }
        self.done = keep;
    }

    /// Starts again from sums of the wanted Ritz vectors, as many as make a block.
    pub(super) fn condense(&mut self, wanted: usize) {
        let (m, n) = (self.done, self.n);
        let count = wanted.min(m);
        self.basis.truncate(m);
        self.basis.rotate(&self.y[..m * m], &self.order[..count]);
        let sums = self.block.min(count);
        self.w[..sums * n].fill(T::zero());
        for i in 0..count {
            let sum = &mut self.w[i % sums * n..(i % sums + 1) * n];
            for (s, &u) in sum.iter_mut().zip(self.basis.row(i)) {
                *s += u;
            }
        }
        self.basis.truncate(0);
        for i in 0..sums {
            let w = &self.w[i * n..(i + 1) * n];
            let norm = norm2(w);
            self.basis.push(w, norm);
        }
        self.t.fill(T::zero());
        self.done = 0;
        self.fill_up();
    }

    /// Multiplies the wanted Ritz vectors, which are the first of the basis from then on.
    fn measure<A>(&mut self, a: &A, wanted: usize) -> Vec<Measured<T>>
    where
        A: LinearOperator<T> + ?Sized,
    {
        let (m, n, pending) = (self.done, self.n, self.pending());
        self.basis
            .rotate_head(m, &self.y[..m * m], &self.order[..wanted]);
        let mut all = Vec::with_capacity(wanted);
        for (k, &index) in self.order[..wanted].iter().enumerate() {
            let (theta, coupling, basis) = (self.theta[index], &self.coupling, &self.basis);
            // In exact arithmetic Au = θu + Σ cₚ p over the pending vectors.
            let compare = |value: T, u: &[T], w: &mut [T]| {
                axpy(value - theta, u, w);
                for p in 0..pending {
                    axpy(-coupling[p * self.ncv + index], basis.row(wanted + p), w);
                }
            };
            // What was lost is no error of the product, and hides a smaller one.
            let lost = self.unseen[index];
            let measured = measure(a, basis.row(k), &mut self.w[..n], lost, compare);
            self.n_products += measured.n_products;
            all.push(measured);
        }
        all
    }

    /// The wanted pairs with residuals recomputed by products, and bounds.
    pub(super) fn outcome<A>(
        mut self,
        a: &A,
        which: Which,
        wanted: usize,
        tolerance: f64,
        (stop, copies): (EigenStop, CopiesCheck),
    ) -> EigenOutcome<T>
    where
        A: LinearOperator<T> + ?Sized,
    {
        let m = self.done;
        let mut stop = stop;
        let mut wanted = wanted.min(m);
        if stop != EigenStop::Converged && !self.ritz(which) {
            wanted = 0;
        }
        self.order.truncate(wanted);
        let all = self.measure(a, wanted);
        self.basis.truncate(wanted);
        let orthogonality = self.basis.orthogonality().as_f64();
        let noise = loudest(&all, self.asymmetry);
        let neighbours = Neighbours {
            theta: &self.theta[..m],
            residual: &self.residual[..m],
            ends: (true, true),
            norm: self.norm,
            noise,
        };
        let mut pairs: Vec<EigenPair<T>> = Vec::with_capacity(wanted);
        for (&index, measured) in self.order.iter().zip(all) {
            let finite = measured.finite;
            if !finite {
                stop = EigenStop::NonFinite {
                    what: Quantity::Product,
                };
            }
            let mut pair = neighbours.pair(measured, index);
            // The true residual also carries the rounding of its own computation, which no
            // tolerance can ask away: the estimate decides.
            let estimate = self.residual[index];
            pair.converged = finite && within(self.theta[index], estimate, tolerance, self.norm);
            pairs.push(pair);
        }
        sort_pairs(which, &mut pairs);
        let stats = EigenStats {
            n_products: self.n_products,
            n_restarts: self.n_restarts,
            n_breakdowns: self.n_breakdowns,
            n_probes: self.n_probes,
            n_probe_products: self.n_probe_products,
            orthogonality,
            asymmetry: relative(self.asymmetry, self.norm),
            noise: relative(noise, self.norm),
            norm_estimate: self.norm.as_f64(),
        };
        EigenOutcome {
            pairs,
            stop,
            copies,
            stats,
        }
    }
}

/// What rounding leaves of a product with an operator of this norm that lies in the space: each entry
/// is rounded in proportion to its size, so that this does not grow with their number.
fn level<T: Real>(norm: T) -> T {
    T::of(10.0) * T::epsilon() * norm
}

#[cfg(test)]
#[path = "factorisation_tests.rs"]
mod tests;
