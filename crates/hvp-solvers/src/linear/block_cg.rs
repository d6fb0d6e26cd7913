//! Conjugate gradients for several right-hand sides at once.

use ad_core::Real;
use ndarray::{Array2, ArrayView1, ArrayView2, ArrayViewMut2};
use serde::{Deserialize, Serialize};

use super::cg::CgStop;
use super::checks::{check_preconditioner, check_tolerances, check_vector};
use super::multi_shift::{SeveralOutcome, SystemOutcome};
use super::preconditioner::{Identity, Preconditioner, precondition};
use super::small::{factorise, solve};
use crate::eigen::basis::Basis;
use crate::error::{Quantity, SolverError, check_len};
use crate::operator::LinearOperator;
use crate::vector::{all_finite, axpy, dot, norm2, power_of_two_below, scale};

/// Block conjugate gradients (O'Leary 1980) for `A xⱼ = bⱼ`, `A ≻ 0`, `j ≤ k`.
///
/// All systems share one space, which grows by up to `k` dimensions an iteration: each profits
/// from the directions of the others, and the operator multiplies whole blocks
/// ([`apply_block_into`](LinearOperator::apply_block_into)). Directions are orthonormalised, and
/// one that depends on the others to half the digits is left out (the breakdown-free form of
/// Ji & Li 2017). So equal, dependent or zero right-hand sides are welcome, and a system
/// that has converged no longer costs products.
///
/// The true residuals are computed before success is reported (one more block); systems whose
/// residual is too large start again together, as long as that halves it.
///
/// - **Cost**: at most `k` products, `k` preconditioners and about `10nk²` flops an iteration.
/// - **Memory**: `6k` vectors, `7k` with a preconditioner; nothing is allocated in the loop.
///
/// ```
/// use hvp_solvers::{linear::BlockCg, operator::DiagonalOperator};
/// use ndarray::array;
/// let a = DiagonalOperator::new(array![1.0, 2.0, 4.0]);
/// let b = array![[1.0, 0.0, 4.0], [1.0, 2.0, 0.0]];
/// let found = BlockCg::default().solve(&a, b.view())?;
/// assert!(found.is_converged());
/// assert!((found.x[[0, 2]] - 1.0_f64).abs() < 1e-12 && (found.x[[1, 1]] - 1.0).abs() < 1e-12);
/// # Ok::<(), hvp_solvers::SolverError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct BlockCg {
    /// System `j` stops at `‖bⱼ − Axⱼ‖ ≤ relative_tolerance · ‖bⱼ‖`. Default 1e-10.
    pub relative_tolerance: f64,
    /// … or at `absolute_tolerance`, whichever comes first. Default 0.
    pub absolute_tolerance: f64,
    /// At most this many iterations of the block; `None` for `10 n + 10`.
    pub max_iters: Option<usize>,
}

impl Default for BlockCg {
    fn default() -> Self {
        Self {
            relative_tolerance: 1e-10,
            absolute_tolerance: 0.0,
            max_iters: None,
        }
    }
}

/// One of the systems, in units of its own `‖b‖`.
struct System<T> {
    unit: T,
    tol: T,
    b: Vec<T>,
    x: Vec<T>,
    r: Vec<T>,
    residual: T,
    /// The true residual at the last restart.
    before: T,
    n_iters: usize,
    /// Within tolerance by the recurrence, or over.
    resting: bool,
    stop: Option<CgStop>,
}

/// A block of a solve.
struct Run<'a, T, A: ?Sized, P: ?Sized> {
    a: &'a A,
    m: &'a P,
    n: usize,
    systems: Vec<System<T>>,
    /// Directions, orthonormal, and those before.
    p: Basis<T>,
    p_old: Basis<T>,
    /// `A` times the directions.
    q: Vec<T>,
    /// The factor of `PᵀAP`, and coefficients.
    s: Vec<T>,
    c: Vec<T>,
    z: Vec<T>,
    n_iters: usize,
    n_products: usize,
}

impl BlockCg {
    /// Solves for the rows of `b` (`k×n`) from zero, without a preconditioner.
    ///
    /// # Errors
    /// As [`solve_with`](Self::solve_with).
    pub fn solve<T, A>(
        &self,
        a: &A,
        b: ArrayView2<'_, T>,
    ) -> Result<SeveralOutcome<T>, SolverError>
    where
        T: Real,
        A: LinearOperator<T> + ?Sized,
    {
        self.solve_with(a, b, None, &Identity)
    }

    /// Solves for the rows of `b` from the rows of `x0` (zero if `None`), with a
    /// preconditioner.
    ///
    /// # Errors
    /// [`SolverError`] for shapes that do not match, input that is not finite, or a tolerance
    /// that is negative or NaN.
    pub fn solve_with<T, A, P>(
        &self,
        a: &A,
        b: ArrayView2<'_, T>,
        x0: Option<ArrayView2<'_, T>>,
        m: &P,
    ) -> Result<SeveralOutcome<T>, SolverError>
    where
        T: Real,
        A: LinearOperator<T> + ?Sized,
        P: Preconditioner<T> + ?Sized,
    {
        let (n, k) = (a.dim(), b.nrows());
        check_len("rows of b", b.ncols(), n)?;
        check_preconditioner(m.dim(), n)?;
        check_tolerances(&[
            ("relative_tolerance", self.relative_tolerance),
            ("absolute_tolerance", self.absolute_tolerance),
        ])?;
        if let Some(x0) = x0 {
            check_len("x0", x0.nrows(), k)?;
        }
        let mut systems = Vec::with_capacity(k);
        for (j, b) in b.rows().into_iter().enumerate() {
            check_vector("b", b, n)?;
            let start = x0.as_ref().map(|x0| x0.row(j));
            if let Some(start) = start {
                check_vector("x0", start, n)?;
            }
            systems.push(self.system(b, start));
        }
        let zeros = |len| vec![T::zero(); len];
        let mut run = Run {
            a,
            m,
            n,
            systems,
            p: Basis::new(n, k),
            p_old: Basis::new(n, k),
            q: zeros(k * n),
            s: zeros(k * k),
            c: zeros(k),
            z: zeros(n),
            n_iters: 0,
            n_products: 0,
        };
        run.outer(self.max_iters.unwrap_or(10 * n + 10), x0.is_some());
        Ok(run.finish())
    }

    fn system<T: Real>(&self, b: ArrayView1<'_, T>, x0: Option<ArrayView1<'_, T>>) -> System<T> {
        // A power of two: in units of it nothing overflows, and no bit changes.
        let unit = power_of_two_below(norm2(&b.to_vec()));
        let scaled = |v: ArrayView1<'_, T>| v.iter().map(|&v| v / unit).collect::<Vec<T>>();
        let b = scaled(b);
        let residual = norm2(&b);
        let relative = T::of(self.relative_tolerance) * residual;
        System {
            unit,
            tol: relative.max(T::of(self.absolute_tolerance) / unit),
            x: x0.map_or_else(|| vec![T::zero(); b.len()], scaled),
            r: b.clone(),
            b,
            residual,
            before: T::infinity(),
            n_iters: 0,
            resting: false,
            stop: None,
        }
    }
}

impl<T, A, P> Run<'_, T, A, P>
where
    T: Real,
    A: LinearOperator<T> + ?Sized,
    P: Preconditioner<T> + ?Sized,
{
    /// Runs until every *true* residual is within tolerance, restarting while that helps.
    fn outer(&mut self, max_iters: usize, warm: bool) {
        if warm {
            self.true_residuals();
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
                system.resting = system.stop.is_some();
            }
            if self.systems.iter().all(|s| s.resting) {
                return;
            }
            self.inner(max_iters);
            self.true_residuals();
        }
    }

    /// `r ← b − A x` for all systems that have not ended, in one block.
    fn true_residuals(&mut self) {
        let mut rows = 0;
        self.p.truncate(0);
        for system in self.systems.iter().filter(|s| s.stop.is_none()) {
            self.p.push(&system.x, T::one());
            rows += 1;
        }
        self.multiply();
        let open = self.systems.iter_mut().filter(|s| s.stop.is_none());
        for (system, q) in open.zip(self.q.chunks_exact(self.n.max(1)).take(rows)) {
            for ((r, &q), &b) in system.r.iter_mut().zip(q).zip(&system.b) {
                *r = b - q;
            }
            let norm = norm2(&system.r);
            if norm.is_finite() {
                system.residual = norm;
            } else {
                let what = Quantity::Product;
                system.stop = Some(CgStop::NonFinite { what });
            }
        }
    }

    /// `Q ← A P`.
    fn multiply(&mut self) {
        let shape = (self.p.len(), self.n);
        let q = &mut self.q[..shape.0 * shape.1];
        let from = ArrayView2::from_shape(shape, self.p.rows());
        let to = ArrayViewMut2::from_shape(shape, q);
        if let (Ok(from), Ok(to)) = (from, to) {
            self.a.apply_block_into(from, to);
        }
        self.n_products += shape.0;
    }

    /// Iterates until no system is at work.
    fn inner(&mut self, max_iters: usize) {
        self.p.truncate(0);
        while self.systems.iter().any(|s| !s.resting) {
            if self.n_iters >= max_iters {
                return self.end(CgStop::MaxIterations);
            }
            self.turn();
            if self.p.len() == 0 {
                // Every system that was left ended for its preconditioner.
                return;
            }
            self.multiply();
            match self.curvature() {
                None => {
                    let what = Quantity::Product;
                    return self.end(CgStop::NonFinite { what });
                }
                Some(false) => return self.end(CgStop::NotPositiveDefinite),
                Some(true) => self.step(),
            }
            self.n_iters += 1;
        }
    }

    /// Ends all systems at work.
    fn end(&mut self, stop: CgStop) {
        for system in self.systems.iter_mut().filter(|s| !s.resting) {
            system.stop = Some(stop);
            system.resting = true;
        }
    }

    /// New directions `orth(Z − P (PᵀAP)⁻¹ QᵀZ)`, conjugate to the last ones.
    fn turn(&mut self) {
        std::mem::swap(&mut self.p, &mut self.p_old);
        self.p.truncate(0);
        let old = self.p_old.len();
        let mut h = std::mem::take(&mut self.c);
        for system in self.systems.iter_mut().filter(|s| !s.resting) {
            precondition(self.m, &system.r, &mut self.z);
            if !self.m.is_identity() {
                let rz = dot(&system.r, &self.z);
                let what = Quantity::Preconditioner;
                if !(rz.is_finite() && rz > T::zero()) {
                    system.resting = true;
                    system.stop = Some(if rz.is_finite() {
                        CgStop::PreconditionerNotPositiveDefinite
                    } else {
                        CgStop::NonFinite { what }
                    });
                    continue;
                }
            }
            for (c, q) in h[..old].iter_mut().zip(self.q.chunks_exact(self.n)) {
                *c = -dot(q, &self.z);
            }
            solve(&self.s, old, &mut h[..old]);
            for i in 0..old {
                axpy(h[i], self.p_old.row(i), &mut self.z);
            }
            let (before, after) = self.p.orthogonalise(&mut self.z, &mut h);
            if after > T::epsilon().sqrt() * before {
                self.p.push(&self.z, after);
            }
        }
        self.c = h;
    }

    /// Factorises `PᵀAP`: `None` if it is not finite, false if it is not positive definite.
    fn curvature(&mut self) -> Option<bool> {
        let k = self.p.len();
        let half = T::of(0.5);
        for i in 0..k {
            for j in 0..=i {
                let (qi, qj) = (&self.q[i * self.n..], &self.q[j * self.n..]);
                let upper = dot(self.p.row(j), &qi[..self.n]);
                let lower = dot(self.p.row(i), &qj[..self.n]);
                let entry = half * upper + half * lower;
                if !entry.is_finite() {
                    return None;
                }
                self.s[i * k + j] = entry;
            }
        }
        Some(factorise(&mut self.s[..k * k], k))
    }

    /// `x ← x + P α`, `r ← r − Q α` with `α = (PᵀAP)⁻¹Pᵀr`.
    fn step(&mut self) {
        let k = self.p.len();
        for system in self.systems.iter_mut().filter(|s| !s.resting) {
            for i in 0..k {
                self.c[i] = dot(self.p.row(i), &system.r);
            }
            solve(&self.s, k, &mut self.c[..k]);
            if !all_finite(&self.c[..k]) {
                system.resting = true;
                system.stop = Some(CgStop::Stagnated);
                continue;
            }
            for i in 0..k {
                axpy(self.c[i], self.p.row(i), &mut system.x);
                axpy(-self.c[i], &self.q[i * self.n..(i + 1) * self.n], &mut system.r);
            }
            let norm = norm2(&system.r);
            if !norm.is_finite() {
                // The update overflowed: take it back.
                for i in 0..k {
                    axpy(-self.c[i], self.p.row(i), &mut system.x);
                }
                let what = Quantity::Product;
                system.resting = true;
                system.stop = Some(CgStop::NonFinite { what });
                continue;
            }
            system.residual = norm;
            system.n_iters += 1;
            system.resting = norm <= system.tol;
        }
    }

    /// Returns to the caller's units.
    fn finish(self) -> SeveralOutcome<T> {
        let mut x = Array2::zeros((self.systems.len(), self.n));
        let mut endings = Vec::with_capacity(self.systems.len());
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
