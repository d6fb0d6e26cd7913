//! The iteration of block conjugate gradients.

use ad_core::Real;
use ndarray::{Array2, ArrayView1, ArrayView2, ArrayViewMut2};

use super::cg::CgStop;
use super::multi_shift::{SeveralOutcome, SystemOutcome};
use super::preconditioner::{Preconditioner, precondition};
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

/// A solve of `k` systems. Blocks of vectors hold one a row; of the small matrices, each row is
/// `k` long.
pub(super) struct Run<'a, T, A: ?Sized, P: ?Sized> {
    a: &'a A,
    m: &'a P,
    n: usize,
    k: usize,
    systems: Vec<System<T>>,
    /// The systems at work, and the rank of their residuals `R = Q C`.
    work: Vec<usize>,
    rank: usize,
    /// Orthonormal in `M⁻¹`.
    q: Vec<T>,
    /// `M⁻¹Q`; empty for `M = I`.
    z: Vec<T>,
    /// The directions, and `A` times them.
    s: Vec<T>,
    t: Vec<T>,
    /// Column `p` belongs to system `work[p]`.
    c: Vec<T>,
    /// The factor of `SᵀAS`, the factor of the last orthonormalisation, and scratch.
    g: Vec<T>,
    zeta: Vec<T>,
    h: Vec<T>,
    v: Vec<T>,
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
        let own = if m.is_identity() { 0 } else { n };
        Self {
            a,
            m,
            n,
            k,
            systems,
            work: Vec::with_capacity(k),
            rank: 0,
            q: zeros(k * n),
            z: zeros(k * own),
            s: zeros(k * n),
            t: zeros(k * n),
            c: zeros(k * k),
            g: zeros(k * k),
            zeta: zeros(k * k),
            h: zeros(k),
            v: zeros(own),
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
            for (system, r) in self
                .systems
                .iter()
                .zip(self.q.chunks_exact_mut(self.n.max(1)))
            {
                r.copy_from_slice(&system.b);
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
            let (system, rows) = (&mut self.systems[j], p * self.n..(p + 1) * self.n);
            let r = &mut self.q[rows.clone()];
            for ((r, &ax), &b) in r.iter_mut().zip(&self.t[rows]).zip(&system.b) {
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

    /// Leaves only systems without an ending in `work`, their residuals in `Q` and `C = I`.
    fn gather(&mut self) {
        let mut kept = 0;
        for p in 0..self.work.len() {
            if self.systems[self.work[p]].stop.is_none() {
                let rows = p * self.n..(p + 1) * self.n;
                self.q.copy_within(rows, kept * self.n);
                self.work[kept] = self.work[p];
                kept += 1;
            }
        }
        self.work.truncate(kept);
        self.c.fill(T::zero());
        (0..kept).for_each(|p| self.c[p * self.k + p] = T::one());
        self.rank = kept;
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
            self.orthonormalise()?;
            self.turn(first);
            first = false;
            self.measure();
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

    /// Replaces the rows `D` of `Q` by an orthonormal basis with `Dᵀ = Qᵀζ`, and `C` by `ζC`.
    fn orthonormalise(&mut self) -> Result<(), CgStop> {
        let (n, k, rows) = (self.n, self.k, self.rank);
        let plain = self.m.is_identity();
        self.zeta.fill(T::zero());
        let mut rank = 0;
        for j in 0..rows {
            if rank < j {
                self.q.copy_within(j * n..(j + 1) * n, rank * n);
            }
            let remains = self.project(rank, j)?;
            if !self.matters(j, rows, remains) {
                continue;
            }
            let (d, at) = (&self.q[rank * n..(rank + 1) * n], rank * n);
            let norm = if plain {
                remains
            } else {
                self.dual_norm(d, at)?
            };
            if !norm.recip().is_finite() {
                continue;
            }
            scale(norm.recip(), &mut self.q[at..at + n]);
            if !plain {
                scale(norm.recip(), &mut self.z[at..at + n]);
            }
            self.zeta[rank * k + j] = norm;
            rank += 1;
        }
        self.rank = rank;
        self.g.fill(T::zero());
        for i in 0..rank {
            for j in 0..rows {
                let factor = self.zeta[i * k + j];
                let (row, out) = (&self.c[j * k..(j + 1) * k], &mut self.g[i * k..(i + 1) * k]);
                axpy(factor, row, out);
            }
        }
        std::mem::swap(&mut self.c, &mut self.g);
        Ok(())
    }

    /// Makes row `rank` of `Q` orthogonal to those before it, and `Z` with it, with coefficients
    /// in column `j` of `ζ`; returns what remains of its length.
    fn project(&mut self, rank: usize, j: usize) -> Result<T, CgStop> {
        const ENOUGH: f64 = 0.717;
        const MAX_PASSES: usize = 3;
        let n = self.n;
        let (done, rest) = self.q.split_at_mut(rank * n);
        let d = &mut rest[..n];
        let first = norm2(d);
        let mut norm = first;
        let plain = self.m.is_identity();
        for _ in 0..MAX_PASSES {
            for i in 0..rank {
                let row = i * n..(i + 1) * n;
                let q = &done[row.clone()];
                let z = if plain { q } else { &self.z[row] };
                let share = dot(z, d);
                self.zeta[i * self.k + j] += share;
                axpy(-share, q, d);
            }
            let after = norm2(d);
            let enough = after > T::of(ENOUGH) * norm;
            norm = after;
            if enough || !norm.is_finite() {
                break;
            }
        }
        if !norm.is_finite() {
            let what = Quantity::Product;
            return Err(CgStop::NonFinite { what });
        }
        if !plain {
            precondition(self.m, d, &mut self.z[rank * n..(rank + 1) * n]);
        }
        Ok(norm)
    }

    /// Whether a direction that remains of row `j` is more than a tenth of the tolerance, all
    /// such rows together, in some system's residual.
    fn matters(&self, j: usize, rows: usize, remains: T) -> bool {
        let share = T::of(0.1 / rows as f64);
        self.work.iter().enumerate().any(|(p, &system)| {
            remains * self.c[j * self.k + p].abs() > share * self.systems[system].tol
        })
    }

    /// `√(dᵀM⁻¹d)`, with `M⁻¹d` at that place of `Z`.
    fn dual_norm(&self, d: &[T], at: usize) -> Result<T, CgStop> {
        let square = dot(d, &self.z[at..at + self.n]);
        if !square.is_finite() {
            let what = Quantity::Preconditioner;
            return Err(CgStop::NonFinite { what });
        }
        if square <= T::zero() {
            return Err(CgStop::PreconditionerNotPositiveDefinite);
        }
        Ok(square.sqrt())
    }

    /// The next directions, `S ← M⁻¹Q + Sζᵀ`, conjugate to the last ones.
    fn turn(&mut self, first: bool) {
        let (n, k) = (self.n, self.k);
        let source = if self.m.is_identity() {
            &self.q
        } else {
            &self.z
        };
        for i in 0..self.rank {
            let row = &mut self.t[i * n..(i + 1) * n];
            row.copy_from_slice(&source[i * n..(i + 1) * n]);
            if first {
                continue;
            }
            for (j, s) in self.s.chunks_exact(n).enumerate() {
                if self.zeta[i * k + j] != T::zero() {
                    axpy(self.zeta[i * k + j], s, row);
                }
            }
        }
        std::mem::swap(&mut self.s, &mut self.t);
    }

    /// The norms of the residuals, the columns of `Q C`.
    fn measure(&mut self) {
        let (n, k, rank) = (self.n, self.k, self.rank);
        for (p, &j) in self.work.iter().enumerate() {
            for i in 0..rank {
                self.h[i] = self.c[i * k + p];
            }
            self.systems[j].residual = if self.m.is_identity() {
                norm2(&self.h[..rank])
            } else {
                self.v.fill(T::zero());
                for i in 0..rank {
                    axpy(self.h[i], &self.q[i * n..(i + 1) * n], &mut self.v);
                }
                norm2(&self.v)
            };
        }
    }

    /// Takes systems within tolerance out of `work`. If there are fewer residuals left than
    /// directions, `Q` and `S` turn to a basis of what is left: `C = U C'`, `Q ← QU`, `S ← SU`.
    fn retire(&mut self) {
        let (n, k) = (self.n, self.k);
        let mut kept = 0;
        for p in 0..self.work.len() {
            let system = &self.systems[self.work[p]];
            if system.residual > system.tol && self.rank > 0 {
                self.work[kept] = self.work[p];
                (0..self.rank).for_each(|i| self.c[i * k + kept] = self.c[i * k + p]);
                kept += 1;
            }
        }
        self.work.truncate(kept);
        if kept == 0 || kept >= self.rank {
            return;
        }
        // Rows of ζ serve for the columns of U.
        let mut found = 0;
        for p in 0..kept {
            let (done, rest) = self.zeta.split_at_mut(found * k);
            let u = &mut rest[..self.rank];
            (0..self.rank).for_each(|i| u[i] = self.c[i * k + p]);
            let before = norm2(u);
            for _ in 0..2 {
                for other in done.chunks_exact(k) {
                    let share = dot(&other[..self.rank], u);
                    axpy(-share, &other[..self.rank], u);
                }
            }
            let after = norm2(u);
            if after > T::of(100.0) * T::epsilon() * before {
                scale(after.recip(), u);
                found += 1;
            }
        }
        for block in [&mut self.q, &mut self.s] {
            self.t.fill(T::zero());
            for (u, row) in self
                .zeta
                .chunks_exact(k)
                .take(found)
                .zip(self.t.chunks_exact_mut(n))
            {
                for (&u, old) in u[..self.rank].iter().zip(block.chunks_exact(n)) {
                    axpy(u, old, row);
                }
            }
            std::mem::swap(block, &mut self.t);
        }
        self.g.fill(T::zero());
        for (u, row) in self
            .zeta
            .chunks_exact(k)
            .take(found)
            .zip(self.g.chunks_exact_mut(k))
        {
            for (&u, old) in u[..self.rank].iter().zip(self.c.chunks_exact(k)) {
                axpy(u, &old[..kept], &mut row[..kept]);
            }
        }
        std::mem::swap(&mut self.c, &mut self.g);
        self.rank = found;
    }

    /// `x ← x + S(SᵀAS)⁻¹c` for each system, and `Q ← Q − AS(SᵀAS)⁻¹`, no longer orthonormal.
    fn step(&mut self) -> Result<(), CgStop> {
        let (n, rank) = (self.n, self.rank);
        self.multiply(rank);
        self.curvature()?;
        for (p, &j) in self.work.iter().enumerate() {
            for i in 0..rank {
                self.h[i] = self.c[i * self.k + p];
            }
            let weights = &mut self.h[..rank];
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
                axpy(-weight, t, &mut self.q[j * n..(j + 1) * n]);
            }
        }
        Ok(())
    }

    /// Factorises `SᵀAS` into the first `rank²` entries of `g`.
    fn curvature(&mut self) -> Result<(), CgStop> {
        let (n, rank) = (self.n, self.rank);
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
