//! The residuals of a block, factorised.

use ad_core::Real;
use serde::{Deserialize, Serialize};

use super::cg::CgStop;
use super::preconditioner::{Preconditioner, precondition};
use crate::bits;
use crate::error::{Quantity, SolverError, check_len, check_setting};
use crate::vector::{axpy, dot, norm2, scale};

/// `R = Q C` with `QᵀM⁻¹Q = I`: column `p` of `C` is the residual of system `p`. Blocks of vectors
/// hold one per row; rows of small matrices are `k` long.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(bound = "T: Real")]
pub(super) struct BlockResidual<T> {
    pub(super) rank: usize,
    #[serde(with = "bits::vector")]
    pub(super) q: Vec<T>,
    #[serde(with = "bits::vector")]
    c: Vec<T>,
    #[serde(skip)]
    n: usize,
    #[serde(skip)]
    k: usize,
    /// `M⁻¹Q`; empty for `M = I`. Between iterations of no meaning, like all that follows.
    #[serde(skip)]
    z: Vec<T>,
    /// The rows of `Q` before the last orthonormalisation were `ζᵀQ`.
    #[serde(skip)]
    zeta: Vec<T>,
    #[serde(skip)]
    spare: Vec<T>,
    /// A residual written out; empty for `M = I`.
    #[serde(skip)]
    v: Vec<T>,
}

impl<T: Real> BlockResidual<T> {
    pub(super) fn new(n: usize, k: usize) -> Self {
        let zeros = |len| vec![T::zero(); len];
        Self {
            rank: 0,
            q: zeros(k * n),
            c: zeros(k * k),
            n,
            k,
            z: Vec::new(),
            zeta: Vec::new(),
            spare: Vec::new(),
            v: Vec::new(),
        }
    }

    /// Whether this holds the residuals of `k` systems of dimension `n`.
    pub(super) fn check(&self, n: usize, k: usize) -> Result<(), SolverError> {
        check_len("state", self.q.len(), k * n)?;
        check_len("state", self.c.len(), k * k)?;
        let rank = self.rank;
        check_setting("rank", rank as f64, rank <= k, "at most the systems")
    }

    /// Scratch, for a preconditioner unless this is `plain`.
    pub(super) fn make_room(&mut self, n: usize, k: usize, plain: bool) {
        let own = if plain { 0 } else { n };
        (self.n, self.k) = (n, k);
        self.z.resize(k * own, T::zero());
        self.zeta.resize(k * k, T::zero());
        self.spare.resize(k * k, T::zero());
        self.v.resize(own, T::zero());
    }

    /// Row `i` of `Q`.
    pub(super) fn row_mut(&mut self, i: usize) -> &mut [T] {
        &mut self.q[i * self.n..(i + 1) * self.n]
    }

    /// Row `i` of `M⁻¹Q`.
    pub(super) fn dual_row(&self, i: usize) -> &[T] {
        let block = if self.v.is_empty() { &self.q } else { &self.z };
        &block[i * self.n..(i + 1) * self.n]
    }

    /// Entry `(i, j)` of `ζ`.
    pub(super) fn zeta(&self, i: usize, j: usize) -> T {
        self.zeta[i * self.k + j]
    }

    /// Copies column `p` of `C`.
    pub(super) fn column(&self, p: usize, to: &mut [T]) {
        for (i, to) in to.iter_mut().enumerate() {
            *to = self.c[i * self.k + p];
        }
    }

    /// Takes the first rows of `Q` for residuals as they are: `C = I`.
    pub(super) fn start(&mut self, count: usize) {
        self.c.fill(T::zero());
        (0..count).for_each(|p| self.c[p * self.k + p] = T::one());
        self.rank = count;
    }

    /// The norm of the residual of system `p`; `h` is scratch.
    pub(super) fn norm(&mut self, p: usize, h: &mut [T]) -> T {
        let h = &mut h[..self.rank];
        self.column(p, h);
        if self.v.is_empty() {
            return norm2(h);
        }
        self.v.fill(T::zero());
        for (&h, q) in h.iter().zip(self.q.chunks_exact(self.n)) {
            axpy(h, q, &mut self.v);
        }
        norm2(&self.v)
    }

    /// Replaces the rows `D` of `Q` by an orthonormal basis with `Dᵀ = Qᵀζ`, and `C` by `ζC`.
    /// Leaves out what is less than a tenth of its tolerance, all such rows together, in the
    /// residual of every system.
    pub(super) fn orthonormalise<P>(&mut self, m: &P, tolerances: &[T]) -> Result<(), CgStop>
    where
        P: Preconditioner<T> + ?Sized,
    {
        let (n, k, rows) = (self.n, self.k, self.rank);
        let share = T::of(0.1 / rows.max(1) as f64);
        self.zeta.fill(T::zero());
        let mut rank = 0;
        for j in 0..rows {
            if rank < j {
                self.q.copy_within(j * n..(j + 1) * n, rank * n);
            }
            let remains = self.project(rank, j)?;
            let row = self.c[j * k..].iter().zip(tolerances);
            let matters = |(c, &tol): (&T, &T)| remains * c.abs() > share * tol;
            if !row.into_iter().any(matters) {
                continue;
            }
            let norm = self.dual_norm(m, rank, remains)?;
            if !norm.recip().is_finite() {
                continue;
            }
            let place = rank * n..(rank + 1) * n;
            scale(norm.recip(), &mut self.q[place.clone()]);
            if !self.z.is_empty() {
                scale(norm.recip(), &mut self.z[place]);
            }
            self.zeta[rank * k + j] = norm;
            rank += 1;
        }
        self.rank = rank;
        self.spare.fill(T::zero());
        for i in 0..rank {
            for j in 0..rows {
                let (old, new) = (&self.c[j * k..(j + 1) * k], i * k..(i + 1) * k);
                axpy(self.zeta[i * k + j], old, &mut self.spare[new]);
            }
        }
        std::mem::swap(&mut self.c, &mut self.spare);
        Ok(())
    }

    /// Makes row `rank` of `Q` orthogonal to those before it, with the coefficients in column
    /// `j` of `ζ`; returns what remains of its length.
    fn project(&mut self, rank: usize, j: usize) -> Result<T, CgStop> {
        const ENOUGH: f64 = 0.717;
        const MAX_PASSES: usize = 3;
        let n = self.n;
        let (done, rest) = self.q.split_at_mut(rank * n);
        let d = &mut rest[..n];
        let mut norm = norm2(d);
        for _ in 0..MAX_PASSES {
            for (i, q) in done.chunks_exact(n).enumerate() {
                let dual = self.z.get(i * n..(i + 1) * n).unwrap_or(q);
                let share = dot(dual, d);
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
        if norm.is_finite() {
            return Ok(norm);
        }
        let what = Quantity::Product;
        Err(CgStop::NonFinite { what })
    }

    /// `√(dᵀM⁻¹d)` for row `i` of `Q`, of this length; leaves `M⁻¹d` in `Z`.
    fn dual_norm<P>(&mut self, m: &P, i: usize, length: T) -> Result<T, CgStop>
    where
        P: Preconditioner<T> + ?Sized,
    {
        if self.z.is_empty() {
            return Ok(length);
        }
        let place = i * self.n..(i + 1) * self.n;
        let (d, z) = (&self.q[place.clone()], &mut self.z[place]);
        precondition(m, d, z);
        let square = dot(d, z);
        if !square.is_finite() {
            let what = Quantity::Preconditioner;
            return Err(CgStop::NonFinite { what });
        }
        if square <= T::zero() {
            return Err(CgStop::PreconditionerNotPositiveDefinite);
        }
        Ok(square.sqrt())
    }

    /// Moves column `from` of `C` to `to`.
    pub(super) fn move_column(&mut self, from: usize, to: usize) {
        (0..self.rank).for_each(|i| self.c[i * self.k + to] = self.c[i * self.k + from]);
    }

    /// Turns `Q` and the directions `s` to a basis of the first `kept` residuals, fewer than the
    /// rank: `C = U C'`, `Q ← QU`, `S ← SU`. `t` is scratch.
    pub(super) fn reduce(&mut self, kept: usize, s: &mut Vec<T>, t: &mut Vec<T>) {
        let (n, k, rank) = (self.n, self.k, self.rank);
        // ζ has served: its rows become the columns of U.
        let mut found = 0;
        for p in 0..kept {
            let (done, rest) = self.zeta.split_at_mut(found * k);
            let u = &mut rest[..rank];
            for (i, u) in u.iter_mut().enumerate() {
                *u = self.c[i * k + p];
            }
            let before = norm2(u);
            for _ in 0..2 {
                for other in done.chunks_exact(k) {
                    let share = dot(&other[..rank], u);
                    axpy(-share, &other[..rank], u);
                }
            }
            let after = norm2(u);
            if after > T::of(100.0) * T::epsilon() * before {
                scale(after.recip(), u);
                found += 1;
            }
        }
        let columns = || self.zeta.chunks_exact(k).take(found);
        for block in [&mut self.q, s] {
            combine(columns(), rank, block, t, n);
            std::mem::swap(block, t);
        }
        combine(columns(), rank, &self.c, &mut self.spare, k);
        std::mem::swap(&mut self.c, &mut self.spare);
        self.rank = found;
    }
}

/// Row `i` of `to` becomes the sum of the rows of `from`, of this width, with the weights in
/// the first `rank` numbers of column `i`.
fn combine<'a, T: Real>(
    columns: impl Iterator<Item = &'a [T]>,
    rank: usize,
    from: &[T],
    to: &mut [T],
    width: usize,
) {
    for (u, to) in columns.zip(to.chunks_exact_mut(width)) {
        to.fill(T::zero());
        for (&u, from) in u[..rank].iter().zip(from.chunks_exact(width)) {
            axpy(u, from, to);
        }
    }
}
