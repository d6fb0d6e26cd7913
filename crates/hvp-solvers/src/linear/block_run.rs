//! The iteration of block conjugate gradients.

use ad_core::Real;
use ndarray::{Array2, ArrayView1, ArrayView2, ArrayViewMut2};

use super::block_residual::BlockResidual;
use super::cg::CgStop;
use super::multi_shift::{SeveralOutcome, SystemOutcome};
use super::preconditioner::Preconditioner;
use super::small::{factorise, solve};
use crate::error::Quantity;
use crate::operator::LinearOperator;
use crate::vector::{all_finite, axpy, dot, norm2, power_of_two_below, scale};

/// One of the systems, in units of its own `‖b‖`.
pub(super) struct System<T> {
    unit: T,
    tol: T,
    b: Vec<T>,
    x: Vec<T>,
    residual: T,
    /// The true residual at the last restart.
    before: T,
    n_iters: usize,
    stop: Option<CgStop>,
}

impl<T: Real> System<T> {
    pub(super) fn new(
        b: ArrayView1<'_, T>,
        x0: Option<ArrayView1<'_, T>>,
        relative: f64,
        absolute: f64,
    ) -> Self {
        // A power of two: in units of it nothing overflows, and no bit changes.
        let unit = power_of_two_below(norm2(&b.to_vec()));
        let scaled = |v: ArrayView1<'_, T>| v.iter().map(|&v| v / unit).collect::<Vec<T>>();
        let b = scaled(b);
        let residual = norm2(&b);
        Self {
            unit,
            tol: (T::of(relative) * residual).max(T::of(absolute) / unit),
            x: x0.map_or_else(|| vec![T::zero(); b.len()], scaled),
            b,
            residual,
            before: T::infinity(),
            n_iters: 0,
            stop: None,
        }
    }
}

/// A solve of `k` systems. Blocks of vectors hold one a row.
pub(super) struct Run<'a, T, A: ?Sized, P: ?Sized> {
    a: &'a A,
    m: &'a P,
    n: usize,
    k: usize,
    systems: Vec<System<T>>,
    /// The systems at work, their tolerances and their residuals.
    work: Vec<usize>,
    tolerances: Vec<T>,
    r: BlockResidual<T>,
    /// The directions, and `A` times them.
    s: Vec<T>,
    t: Vec<T>,
    /// The factor of `SᵀAS`, and scratch.
    g: Vec<T>,
    h: Vec<T>,
    n_iters: usize,
    n_products: usize,
}

impl<'a, T, A, P> Run<'a, T, A, P>
where
    T: Real,
    A: LinearOperator<T> + ?Sized,
    P: Preconditioner<T> + ?Sized,
{
    pub(super) fn new(a: &'a A, m: &'a P, systems: Vec<System<T>>) -> Self {
        let (n, k) = (a.dim(), systems.len());
        let zeros = |len| vec![T::zero(); len];
        Self {
            a,
            m,
            n,
            k,
            systems,
            work: Vec::with_capacity(k),
            tolerances: Vec::with_capacity(k),
            r: BlockResidual::new(n, k, m.is_identity()),
            s: zeros(k * n),
            t: zeros(k * n),
            g: zeros(k * k),
            h: zeros(k),
            n_iters: 0,
            n_products: 0,
        }
    }

    /// Runs until every *true* residual is within tolerance, restarting while that helps.
    pub(super) fn outer(&mut self, max_iters: usize, warm: bool) {
        self.work.extend(0..self.k);
        if warm {
            self.true_residuals();
        } else {
            for (j, system) in self.systems.iter().enumerate() {
                self.r.row_mut(j).copy_from_slice(&system.b);
            }
        }
        loop {
            for system in self.systems.iter_mut().filter(|s| s.stop.is_none()) {
                // Each restart has to halve the true residual, so there are finitely many.
                if system.residual <= system.tol {
                    system.stop = Some(CgStop::Converged);
                } else if system.residual > T::of(0.5) * system.before {
                    system.stop = Some(CgStop::Stagnated);
                }
                system.before = system.residual;
            }
            self.gather();
            if self.work.is_empty() {
                return;
            }
            if let Err(stop) = self.inner(max_iters) {
                for &j in &self.work {
                    self.systems[j].stop = Some(stop);
                }
            }
            self.work.clear();
            let open = |&j: &usize| self.systems[j].stop.is_none();
            self.work.extend((0..self.k).filter(open));
            self.true_residuals();
        }
    }

    /// `Q ← b − A x` for the systems in `work`, in one block.
    fn true_residuals(&mut self) {
        for (&j, s) in self.work.iter().zip(self.s.chunks_exact_mut(self.n.max(1))) {
            s.copy_from_slice(&self.systems[j].x);
        }
        self.multiply(self.work.len());
        for (p, &j) in self.work.iter().enumerate() {
            let system = &mut self.systems[j];
            let ax = &self.t[p * self.n..(p + 1) * self.n];
            let r = self.r.row_mut(p);
            for ((r, &ax), &b) in r.iter_mut().zip(ax).zip(&system.b) {
                *r = b - ax;
            }
            let norm = norm2(r);
            if norm.is_finite() {
                system.residual = norm;
            } else {
                let what = Quantity::Product;
                system.stop = Some(CgStop::NonFinite { what });
            }
        }
    }

    /// Leaves only systems without an ending in `work`, with their residuals.
    fn gather(&mut self) {
        let mut kept = 0;
        for p in 0..self.work.len() {
            if self.systems[self.work[p]].stop.is_none() {
                let rows = p * self.n..(p + 1) * self.n;
                self.r.q.copy_within(rows, kept * self.n);
                self.work[kept] = self.work[p];
                kept += 1;
            }
        }
        self.work.truncate(kept);
        self.r.start(kept);
    }

    /// `T ← A S`.
    fn multiply(&mut self, rows: usize) {
        let len = rows * self.n;
        let from = ArrayView2::from_shape((rows, self.n), &self.s[..len]);
        let to = ArrayViewMut2::from_shape((rows, self.n), &mut self.t[..len]);
        if let (Ok(from), Ok(to)) = (from, to) {
            self.a.apply_block_into(from, to);
        }
        self.n_products += rows;
    }

    /// Iterates until no system is at work; an error is the ending of those that still are.
    fn inner(&mut self, max_iters: usize) -> Result<(), CgStop> {
        let mut first = true;
        loop {
            let tolerances = self.work.iter().map(|&j| self.systems[j].tol);
            self.tolerances.clear();
            self.tolerances.extend(tolerances);
            self.r.orthonormalise(self.m, &self.tolerances)?;
            self.turn(first);
            first = false;
            self.retire();
            if self.work.is_empty() {
                return Ok(());
            }
            if self.n_iters >= max_iters {
                return Err(CgStop::MaxIterations);
            }
            self.step()?;
            self.n_iters += 1;
        }
    }

    /// The next directions, `S ← M⁻¹Q + Sζᵀ`, conjugate to the last ones.
    fn turn(&mut self, first: bool) {
        let n = self.n;
        for (i, row) in self.t.chunks_exact_mut(n).take(self.r.rank).enumerate() {
            row.copy_from_slice(self.r.dual_row(i));
            if first {
                continue;
            }
            for (j, s) in self.s.chunks_exact(n).enumerate() {
                if self.r.zeta(i, j) != T::zero() {
                    axpy(self.r.zeta(i, j), s, row);
                }
            }
        }
        std::mem::swap(&mut self.s, &mut self.t);
    }

    /// Takes systems within tolerance out of `work`, and what only they need out of the block.
    fn retire(&mut self) {
        let mut kept = 0;
        for p in 0..self.work.len() {
            let system = &mut self.systems[self.work[p]];
            system.residual = self.r.norm(p, &mut self.h);
            if system.residual > system.tol && self.r.rank > 0 {
                self.work[kept] = self.work[p];
                self.r.move_column(p, kept);
                kept += 1;
            }
        }
        self.work.truncate(kept);
        if kept > 0 && kept < self.r.rank {
            self.r.reduce(kept, &mut self.s, &mut self.t);
        }
    }

    /// `x ← x + S(SᵀAS)⁻¹c` for each system, and `Q ← Q − AS(SᵀAS)⁻¹`, no longer orthonormal.
    fn step(&mut self) -> Result<(), CgStop> {
        let (n, rank) = (self.n, self.r.rank);
        self.multiply(rank);
        self.curvature()?;
        for (p, &j) in self.work.iter().enumerate() {
            let weights = &mut self.h[..rank];
            self.r.column(p, weights);
            solve(&self.g, rank, weights);
            if !all_finite(weights) {
                return Err(CgStop::Stagnated);
            }
            let system = &mut self.systems[j];
            for (&weight, s) in weights.iter().zip(self.s.chunks_exact(n)) {
                axpy(weight, s, &mut system.x);
            }
            system.n_iters += 1;
        }
        for j in 0..rank {
            let weights = &mut self.h[..rank];
            weights.fill(T::zero());
            weights[j] = T::one();
            solve(&self.g, rank, weights);
            for (&weight, t) in weights.iter().zip(self.t.chunks_exact(n)) {
                axpy(-weight, t, self.r.row_mut(j));
            }
        }
        Ok(())
    }

    /// Factorises `SᵀAS` into the first `rank²` entries of `g`.
    fn curvature(&mut self) -> Result<(), CgStop> {
        let (n, rank) = (self.n, self.r.rank);
        let half = T::of(0.5);
        for i in 0..rank {
            for j in 0..=i {
                let (of_i, of_j) = (i * n..(i + 1) * n, j * n..(j + 1) * n);
                let upper = dot(&self.s[of_j.clone()], &self.t[of_i.clone()]);
                let lower = dot(&self.s[of_i], &self.t[of_j]);
                let entry = half * upper + half * lower;
                if !entry.is_finite() {
                    let what = Quantity::Product;
                    return Err(CgStop::NonFinite { what });
                }
                self.g[i * rank + j] = entry;
            }
        }
        if factorise(&mut self.g[..rank * rank], rank) {
            return Ok(());
        }
        Err(CgStop::NotPositiveDefinite)
    }

    /// Returns to the caller's units.
    pub(super) fn finish(self) -> SeveralOutcome<T> {
        let mut x = Array2::zeros((self.k, self.n));
        let mut endings = Vec::with_capacity(self.k);
        for (mut system, mut row) in self.systems.into_iter().zip(x.rows_mut()) {
            scale(system.unit, &mut system.x);
            let mut stop = system.stop.unwrap_or(CgStop::MaxIterations);
            if all_finite(&system.x) {
                row.assign(&ArrayView1::from(&system.x));
            } else {
                // The solution is beyond the range of the type.
                system.residual = norm2(&system.b);
                let what = Quantity::Point;
                stop = CgStop::NonFinite { what };
            }
            endings.push(SystemOutcome {
                stop,
                n_iters: system.n_iters,
                residual_norm: (system.residual * system.unit).as_f64(),
            });
        }
        SeveralOutcome {
            x,
            systems: endings,
            n_products: self.n_products,
        }
    }
}
