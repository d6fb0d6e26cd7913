//! A solve by block conjugate gradients between two iterations.

use ad_core::Real;
use ndarray::{ArrayView2, ArrayViewMut2};
use serde::{Deserialize, Serialize};

use super::block_cg::BlockCg;
use super::block_residual::BlockResidual;
use super::block_system::System;
use super::cg::CgStop;
use super::checks::check_preconditioner;
use super::preconditioner::Preconditioner;
use super::several::{SeveralOutcome, common_stop, several_outcome};
use super::small::{factorise, solve};
use crate::bits;
use crate::error::{Quantity, SolverError, check_len, check_setting};
use crate::operator::LinearOperator;
use crate::vector::{all_finite, axpy, dot, norm2};

/// What comes next for the systems at work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Next {
    /// Their true residuals.
    Verify,
    /// The recurrence, from the residuals in `Q`.
    Begin,
    /// An iteration.
    Step,
}

/// A solve by [`BlockCg`] in progress: everything that its future depends on, but for the
/// operator and the preconditioner.
///
/// Carried on in parts of any size, it makes the same products and yields the same bits as
/// in one go; also if it is serialised in between, as `4kn + k²` numbers and a few for `k`
/// systems.
///
/// ```
/// use hvp_solvers::linear::{BlockCg, Identity};
/// use hvp_solvers::operator::DiagonalOperator;
/// use ndarray::array;
/// let a = DiagonalOperator::new(array![1.0, 2.0, 4.0]);
/// let b = array![[1.0, 0.0, 4.0], [1.0, 2.0, 0.0]];
/// let mut state = BlockCg::default().start(b.view(), None)?;
/// while state.advance(&a, &Identity, 1)?.is_none() {
///     assert!(state.n_iters() <= 3);
/// }
/// assert_eq!(state.into_outcome(), BlockCg::default().solve(&a, b.view())?);
/// # Ok::<(), hvp_solvers::SolverError>(())
/// ```
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(bound = "T: Real")]
pub struct BlockCgState<T> {
    n: usize,
    max_iters: usize,
    systems: Vec<System<T>>,
    /// The systems at work, and their residuals; none when all have ended.
    work: Vec<usize>,
    r: BlockResidual<T>,
    /// The directions, one per row.
    #[serde(with = "bits::vector")]
    s: Vec<T>,
    next: Next,
    n_iters: usize,
    n_products: usize,
    /// `A` times the directions; of no meaning between iterations, like all that follows.
    #[serde(skip)]
    t: Vec<T>,
    #[serde(skip)]
    tolerances: Vec<T>,
    /// The factor of `SᵀAS`.
    #[serde(skip)]
    g: Vec<T>,
    #[serde(skip)]
    h: Vec<T>,
}

impl<T: Real> BlockCgState<T> {
    /// For checked input.
    pub(super) fn new(
        config: &BlockCg,
        b: ArrayView2<'_, T>,
        x0: Option<ArrayView2<'_, T>>,
    ) -> Self {
        let (k, n) = b.dim();
        let start = |j: usize| x0.as_ref().map(|x0| x0.row(j));
        let rows = b.rows().into_iter().enumerate();
        let systems = rows.map(|(j, b)| System::new(config, b, start(j)));
        let mut state = Self {
            n,
            max_iters: config.max_iters.unwrap_or(10 * n + 10),
            systems: systems.collect(),
            work: (0..k).collect(),
            r: BlockResidual::new(n, k),
            s: vec![T::zero(); k * n],
            next: Next::Verify,
            n_iters: 0,
            n_products: 0,
            t: Vec::new(),
            tolerances: Vec::new(),
            g: Vec::new(),
            h: Vec::new(),
        };
        if x0.is_none() || n == 0 {
            for (j, system) in state.systems.iter().enumerate() {
                state.r.row_mut(j).copy_from_slice(&system.b);
            }
            state.judge();
        }
        state
    }

    /// Makes at most `n_iters` iterations of the block more; the ending, once all systems have
    /// one: the first that is not [`CgStop::Converged`], if any. Returns at an ending or right
    /// before an iteration.
    ///
    /// # Errors
    /// [`SolverError::DimensionMismatch`] for an operator or a preconditioner of another
    /// dimension, or a state whose vectors were tampered with; [`SolverError::InvalidSetting`]
    /// for one whose counts were. Operator and preconditioner have to be the same in every part.
    pub fn advance<A, P>(
        &mut self,
        a: &A,
        m: &P,
        n_iters: usize,
    ) -> Result<Option<CgStop>, SolverError>
    where
        A: LinearOperator<T> + ?Sized,
        P: Preconditioner<T> + ?Sized,
    {
        check_len("operator", a.dim(), self.n)?;
        self.check()?;
        check_preconditioner(m.dim(), self.n)?;
        self.make_room(m.is_identity());
        self.drive(a, m, self.n_iters.saturating_add(n_iters));
        Ok(common_stop(self.systems.iter().map(|system| system.stop)))
    }

    /// Iterations of the block so far.
    pub fn n_iters(&self) -> usize {
        self.n_iters
    }

    /// The iterates as they stand; [`CgStop::MaxIterations`] for those that have no other ending
    /// yet.
    pub fn into_outcome(self) -> SeveralOutcome<T> {
        // No array is longer, so that no state can ask for one.
        let n = self.n.min(isize::MAX as usize);
        let n = self.systems.first().map_or(n, |system| system.x.len());
        let systems = self.systems.into_iter().map(System::ended);
        several_outcome(n, systems, self.n_products)
    }

    /// Whether all lengths and counts fit each other, so that no step leaves its arrays.
    fn check(&self) -> Result<(), SolverError> {
        let (n, k) = (self.n, self.systems.len());
        for part in self.systems.iter().flat_map(|s| [&s.b, &s.x]) {
            check_len("state", part.len(), n)?;
        }
        check_len("state", self.s.len(), k * n)?;
        self.r.check(n, k)?;
        let fits = "as the rest of the state has it";
        let distinct = self.work.is_sorted_by(|a, b| a < b);
        // Without entries to change there is nothing to work at.
        let inside = self.work.iter().all(|&j| j < k) && (n > 0 || self.work.is_empty());
        let len = self.work.len() as f64;
        check_setting("work", len, distinct && inside, fits)
    }

    /// Scratch, once for all iterations.
    fn make_room(&mut self, plain: bool) {
        let (n, k) = (self.n, self.systems.len());
        self.r.make_room(n, k, plain);
        self.t.resize(k * n, T::zero());
        self.tolerances.clear();
        self.tolerances.reserve(k);
        self.g.resize(k * k, T::zero());
        self.h.resize(k, T::zero());
    }

    /// Runs until every *true* residual is within tolerance, restarting while that helps; or
    /// until other endings, or the given number of iterations.
    fn drive<A, P>(&mut self, a: &A, m: &P, until: usize)
    where
        A: LinearOperator<T> + ?Sized,
        P: Preconditioner<T> + ?Sized,
    {
        while !self.work.is_empty() {
            let done = match self.next {
                Next::Verify => {
                    self.true_residuals(a);
                    self.judge();
                    continue;
                }
                Next::Begin => self.prepare(m, true),
                Next::Step if self.n_iters >= self.max_iters => Err(CgStop::MaxIterations),
                Next::Step if self.n_iters >= until => return,
                Next::Step => self.step(a).and_then(|()| self.prepare(m, false)),
            };
            self.next = Next::Step;
            if let Err(stop) = done {
                for &j in &self.work {
                    self.systems[j].stop = Some(stop);
                }
            }
            if done.is_err() || self.work.is_empty() {
                self.reopen();
            }
        }
    }

    /// Sets all systems without an ending to work, for their true residuals.
    fn reopen(&mut self) {
        self.work.clear();
        let open = |&j: &usize| self.systems[j].stop.is_none();
        self.work.extend((0..self.systems.len()).filter(open));
        self.next = Next::Verify;
    }

    /// Ends systems, or begins the recurrence at their true residuals.
    fn judge(&mut self) {
        let open = self.systems.iter_mut().filter(|s| s.stop.is_none());
        open.for_each(System::judge);
        self.gather();
        self.next = Next::Begin;
    }

    /// Readies the block for an iteration; an error is the ending of the systems at work.
    fn prepare<P: Preconditioner<T> + ?Sized>(&mut self, m: &P, first: bool) -> Result<(), CgStop> {
        let tolerances = self.work.iter().map(|&j| self.systems[j].tol);
        self.tolerances.clear();
        self.tolerances.extend(tolerances);
        self.r.orthonormalise(m, &self.tolerances)?;
        self.turn(first);
        self.retire();
        Ok(())
    }

    /// `Q ← b − A x` for the systems in `work`, in one block.
    fn true_residuals<A: LinearOperator<T> + ?Sized>(&mut self, a: &A) {
        for (&j, s) in self.work.iter().zip(self.s.chunks_exact_mut(self.n)) {
            s.copy_from_slice(&self.systems[j].x);
        }
        self.multiply(a, self.work.len());
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
    fn multiply<A: LinearOperator<T> + ?Sized>(&mut self, a: &A, rows: usize) {
        let len = rows * self.n;
        let from = ArrayView2::from_shape((rows, self.n), &self.s[..len]);
        let to = ArrayViewMut2::from_shape((rows, self.n), &mut self.t[..len]);
        if let (Ok(from), Ok(to)) = (from, to) {
            a.apply_block_into(from, to);
        }
        self.n_products += rows;
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
    fn step<A: LinearOperator<T> + ?Sized>(&mut self, a: &A) -> Result<(), CgStop> {
        let (n, rank) = (self.n, self.r.rank);
        self.multiply(a, rank);
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
        self.n_iters += 1;
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
}
