//! The locally optimal block preconditioned conjugate gradient method: the iteration.

use ad_core::Real;
use ndarray::ArrayView2;
use rand_chacha::ChaCha8Rng;

use super::basis::Basis;
use super::certificate::{Neighbours, within};
use super::lobpcg::{End, Lobpcg};
use super::outcome::{EigenOutcome, EigenStats, EigenStop};
use super::symmetric::eigen_in_place;
use super::which::sort_pairs;
use crate::error::Quantity;
use crate::linear::{Preconditioner, precondition};
use crate::operator::{LinearOperator, apply_block};
use crate::random::generator;
use crate::vector::{all_finite, axpy, dot, norm2};

/// Iterations after which rounding in the recombined products is removed.
const REFRESH: usize = 50;

/// Iterations without a smaller residual that end a solve.
const PATIENCE: usize = 100;

/// An orthonormal basis `S = [X P W]`, its products `AS`, and the Ritz values of `X`.
pub(super) struct Run<'a, T, A: ?Sized, P: ?Sized> {
    a: &'a A,
    m: &'a P,
    config: Lobpcg,
    /// Vectors in `X`, the most wanted first.
    block: usize,
    rng: ChaCha8Rng,
    s: Basis<T>,
    image: Basis<T>,
    theta: Vec<T>,
    residual: Vec<T>,
    /// Which pairs still get residuals and steps.
    active: Vec<bool>,
    /// `SᵀAS`, then its eigenvectors, one a column.
    g: Vec<T>,
    values: Vec<T>,
    scratch: Vec<T>,
    /// Coefficients of the new `[X P]`, one vector a row, and a row to come.
    mix: Basis<T>,
    row: Vec<T>,
    h: Vec<T>,
    /// 0, 1, 2, …
    all: Vec<usize>,
    /// Vectors of `X` with Ritz values: none before the first step.
    known: usize,
    r: Vec<T>,
    w: Vec<T>,
    norm: T,
    asymmetry: T,
    n_products: usize,
    n_iters: usize,
}

impl<'a, T: Real, A, P> Run<'a, T, A, P>
where
    A: LinearOperator<T> + ?Sized,
    P: Preconditioner<T> + ?Sized,
{
    pub(super) fn new(a: &'a A, m: &'a P, config: Lobpcg, block: usize) -> Self {
        let n = a.dim();
        let most = (3 * block).min(n);
        let zeros = |len: usize| vec![T::zero(); len];
        Self {
            a,
            m,
            config,
            block,
            rng: generator(config.seed),
            s: Basis::new(n, most),
            image: Basis::new(n, most),
            theta: zeros(block),
            residual: zeros(block),
            active: vec![true; block],
            g: zeros(most * most),
            values: zeros(most),
            scratch: zeros(most),
            mix: Basis::new(most, most),
            row: zeros(most),
            h: zeros(most),
            all: (0..most).collect(),
            known: 0,
            r: zeros(n),
            w: zeros(n),
            norm: T::zero(),
            asymmetry: T::zero(),
            n_products: 0,
            n_iters: 0,
        }
    }

    pub(super) fn go(&mut self, start: Option<ArrayView2<'_, T>>) -> EigenStop {
        match self.run(start) {
            Ok(stop) | Err(stop) => stop,
        }
    }

    fn run(&mut self, start: Option<ArrayView2<'_, T>>) -> Result<EigenStop, EigenStop> {
        self.start(start);
        self.multiply()?;
        self.rayleigh_ritz()?;
        let (mut best, mut since) = (T::infinity(), 0);
        // Whether the products of X are its own, not recombined ones.
        let mut fresh = true;
        loop {
            let converged = self.measure() == self.config.k;
            if self.whole() || converged && fresh {
                return Ok(EigenStop::Converged);
            }
            if converged {
                self.refresh()?;
                fresh = true;
                continue;
            }
            let worst = self.worst();
            if worst < T::of(0.99) * best {
                (best, since) = (worst, 0);
            } else {
                since += 1;
            }
            if since == PATIENCE {
                return Ok(EigenStop::Stagnated);
            }
            if self.n_iters == self.config.max_iters {
                return Ok(EigenStop::MaxIters);
            }
            self.n_iters += 1;
            if self.n_iters.is_multiple_of(REFRESH) && !fresh {
                self.refresh()?;
                self.measure();
            }
            let before = self.s.len();
            self.search()?;
            if self.s.len() == before {
                if fresh {
                    return Ok(EigenStop::Stagnated);
                }
                self.refresh()?;
                fresh = true;
                continue;
            }
            self.multiply()?;
            let everything = self.s.len() == self.a.dim();
            self.rayleigh_ritz()?;
            fresh = false;
            if everything {
                // The Ritz pairs of the whole space are eigenpairs.
                self.measure();
                return Ok(EigenStop::Converged);
            }
        }
    }

    /// Whether `X` spans the whole space.
    fn whole(&self) -> bool {
        self.block == self.a.dim()
    }

    /// The largest residual of a wanted pair.
    fn worst(&self) -> T {
        let wanted = self.residual[..self.config.k].iter();
        wanted.fold(T::zero(), |worst, &r| worst.max(r))
    }

    /// The start's independent rows, then random ones.
    fn start(&mut self, start: Option<ArrayView2<'_, T>>) {
        for row in start.iter().flat_map(|rows| rows.rows()) {
            for (w, &x) in self.w.iter_mut().zip(row) {
                *w = x;
            }
            if self.s.len() < self.block {
                push_independent(&mut self.s, &mut self.w, &mut self.h);
            }
        }
        self.fill_up();
    }

    /// Random vectors until there is a block.
    fn fill_up(&mut self) {
        while self.s.len() < self.block && self.s.push_random(&mut self.rng, &mut self.w) {}
    }

    /// Products of the vectors that have none.
    fn multiply(&mut self) -> Result<(), EigenStop> {
        let (from, to) = (self.image.len(), self.s.len());
        let out = self.image.extend(to - from);
        apply_block(self.a, self.s.rows(from, to - from), out);
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

    /// Makes the most wanted Ritz vectors of `S` the new `X`, and the steps to them the new `P`.
    fn rayleigh_ritz(&mut self) -> Result<(), EigenStop> {
        let (m, n_x) = (self.s.len(), self.block);
        let half = T::of(0.5);
        for i in 0..m {
            for j in 0..=i {
                let (low, high) = (
                    dot(self.s.row(i), self.image.row(j)),
                    dot(self.s.row(j), self.image.row(i)),
                );
                self.asymmetry = self.asymmetry.max((low - high).abs());
                let mean = half * (low + high);
                self.g[i * m + j] = mean;
                self.g[j * m + i] = mean;
            }
        }
        let values = &mut self.values[..m];
        if !eigen_in_place(&mut self.g[..m * m], values, &mut self.scratch[..m]) {
            return Err(EigenStop::NonFinite {
                what: Quantity::Product,
            });
        }
        self.mix.truncate(0);
        for k in 0..n_x {
            let column = self.column(k, m);
            self.theta[k] = self.values[column];
            for i in 0..m {
                self.row[i] = self.g[i * m + column];
            }
            self.row[m..].fill(T::zero());
            self.mix.push(&self.row, T::one());
        }
        // The part of each step outside the old X, orthogonal to the new one.
        for k in (0..n_x).filter(|&k| self.active[k]) {
            if self.mix.len() == m {
                break;
            }
            let column = self.column(k, m);
            self.row.fill(T::zero());
            for i in n_x..m {
                self.row[i] = self.g[i * m + column];
            }
            push_independent(&mut self.mix, &mut self.row, &mut self.h);
        }
        let rows = self.mix.len();
        for k in 0..rows {
            for i in 0..m {
                self.g[i * m + k] = self.mix.row(k)[i];
            }
        }
        self.s.rotate(&self.g[..m * m], &self.all[..rows]);
        self.image.rotate(&self.g[..m * m], &self.all[..rows]);
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
    fn measure(&mut self) -> usize {
        let tolerance = self.config.tolerance;
        for k in 0..self.block {
            self.residual_of(k);
            self.residual[k] = norm2(&self.r);
            self.active[k] = !within(self.theta[k], self.residual[k], tolerance, self.norm);
        }
        self.active[..self.config.k]
            .iter()
            .filter(|active| !**active)
            .count()
    }

    /// `r ← A x_k − θ_k x_k`.
    fn residual_of(&mut self, k: usize) {
        self.r.copy_from_slice(self.image.row(k));
        axpy(-self.theta[k], self.s.row(k), &mut self.r);
    }

    /// Appends the preconditioned residuals of the active pairs.
    fn search(&mut self) -> Result<(), EigenStop> {
        for k in 0..self.block {
            if !self.active[k] || self.s.len() == self.a.dim() {
                continue;
            }
            self.residual_of(k);
            precondition(self.m, &self.r, &mut self.w);
            if !all_finite(&self.w) {
                return Err(EigenStop::NonFinite {
                    what: Quantity::Preconditioner,
                });
            }
            if !push_independent(&mut self.s, &mut self.w, &mut self.h) {
                // Also where M⁻¹r lies in the space already, r itself may not.
                push_independent(&mut self.s, &mut self.r, &mut self.h);
            }
        }
        Ok(())
    }

    /// Removes accumulated rounding: makes `[X P]` orthonormal and multiplies it anew.
    fn refresh(&mut self) -> Result<(), EigenStop> {
        let kept = self.s.len();
        self.s.truncate(0);
        self.image.truncate(0);
        for i in 0..kept {
            // Vectors are read before they are written over: row i moves down, if at all.
            self.w.copy_from_slice(self.s.row(i));
            push_independent(&mut self.s, &mut self.w, &mut self.h);
        }
        self.fill_up();
        self.multiply()?;
        self.active.fill(true);
        self.rayleigh_ritz()
    }

    /// The wanted pairs, with bounds.
    pub(super) fn outcome(mut self, stop: EigenStop) -> EigenOutcome<T> {
        let mut stop = stop;
        let known = self.known;
        let wanted = self.config.k.min(known);
        let whole = self.whole();
        let ends = match self.config.end {
            End::Smallest => (true, whole),
            End::Largest => (whole, true),
        };
        let descending = self.config.end == End::Largest;
        if descending {
            self.theta[..known].reverse();
            self.residual[..known].reverse();
        }
        self.s.truncate(wanted);
        let neighbours = Neighbours {
            theta: &self.theta[..known],
            residual: &self.residual[..known],
            ends,
            norm: self.norm,
        };
        let mut pairs = Vec::with_capacity(wanted);
        for k in 0..wanted {
            let index = if descending { known - 1 - k } else { k };
            let (mut pair, finite) = neighbours.pair(self.a, self.s.row(k), index, &mut self.w);
            self.n_products += 1;
            if !finite {
                stop = EigenStop::NonFinite {
                    what: Quantity::Product,
                };
            }
            let tolerance = self.config.tolerance;
            let small = within(pair.value, self.residual[index], tolerance, self.norm);
            pair.converged = finite && (stop == EigenStop::Converged || small);
            pairs.push(pair);
        }
        sort_pairs(self.config.end.which(), &mut pairs);
        let size = if self.norm > T::zero() {
            self.norm
        } else {
            T::one()
        };
        let stats = EigenStats {
            n_products: self.n_products,
            n_restarts: self.n_iters,
            n_breakdowns: 0,
            n_probes: 0,
            orthogonality: self.s.orthogonality().as_f64(),
            asymmetry: (self.asymmetry / size).as_f64(),
            norm_estimate: self.norm.as_f64(),
        };
        EigenOutcome { pairs, stop, stats }
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
