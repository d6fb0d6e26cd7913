//! Lanczos with full reorthogonalisation and thick restarts.

use ad_core::Real;
use ndarray::{Array1, ArrayView1};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::basis::Basis;
use super::outcome::{EigenOutcome, EigenPair, EigenStats, EigenStop};
use super::symmetric::eigen_in_place;
use super::which::{MultiplicityProbe, Which, order_by_want, sort_pairs};
use crate::error::{Quantity, SolverError, check_finite, check_len, check_setting};
use crate::operator::{LinearOperator, apply};
use crate::random::generator;
use crate::vector::{axpy, dot, norm2, scale};

/// Extreme eigenpairs of a symmetric operator by thick-restart Lanczos (Wu & Simon 2000).
///
/// Builds an orthonormal basis `V` of a Krylov space with
///
/// `A V = V T + r eᵀ`,   `VᵀV = I`,
///
/// takes the eigenpairs `(θ, y)` of the small matrix `T`, and restarts with the best
/// vectors `V y` and the residual vector `r` when `ncv` vectors are full. All vectors
/// stay orthogonal to working accuracy by repeated Gram–Schmidt; when the space is
/// exhausted (identity, few distinct eigenvalues) it goes on with a random vector.
///
/// - **Cost**: one product and about `4·n·ncv` to `8·n·ncv` flops a step, `2·n·ncv²` a
///   restart, and one product for each returned pair, for its true residual.
/// - **Memory**: `ncv + 1` vectors and `2·ncv²` numbers; nothing more is allocated in the loop
///   but a list of `ncv` indices a restart.
/// - **Convergence**: the residual of every wanted pair is at most
///   `tolerance · max(|θ|, eps^⅔·‖A‖)`, or at the rounding level `eps·‖A‖`.
///
/// ```
/// use hvp_solvers::eigen::{Lanczos, Which};
/// use hvp_solvers::operator::DiagonalOperator;
/// use ndarray::Array1;
/// let a = DiagonalOperator::new(Array1::linspace(-1.0, 8.0, 10));
/// let found = Lanczos::new(2, Which::BothEnds).solve(&a)?;
/// let values: Vec<f64> = found.pairs.iter().map(|p| p.value).collect();
/// for (value, exact) in values.iter().zip([-1.0, 0.0, 7.0, 8.0]) {
///     assert!((value - exact).abs() < 1e-13);
/// }
/// assert!(found.pairs.iter().all(|p| p.error_bound < 1e-12));
/// # Ok::<(), hvp_solvers::SolverError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Lanczos {
    /// How many pairs (at each end, for [`Which::BothEnds`]).
    pub k: usize,
    /// Which pairs.
    pub which: Which,
    /// Vectors held; `None` for `max(2w + 10, 30)` with `w` the number of wanted
    /// pairs. At most `n` are used; needs at least `w + 2` if that is below `n`.
    pub ncv: Option<usize>,
    /// Relative tolerance of the residuals; 0, the default, for the machine epsilon.
    pub tolerance: f64,
    /// Give up after this many restarts. Default 300.
    pub max_restarts: usize,
    /// Seed of the start vector and of the random vectors after a breakdown. Default 0.
    pub seed: u64,
    /// When to look for missed copies.
    pub probe: MultiplicityProbe,
}

impl Lanczos {
    /// The defaults, for `k` pairs.
    pub fn new(k: usize, which: Which) -> Self {
        Self {
            k,
            which,
            ncv: None,
            tolerance: 0.0,
            max_restarts: 300,
            seed: 0,
            probe: MultiplicityProbe::default(),
        }
    }

    /// Finds the pairs from a seeded random start.
    ///
    /// # Errors
    /// [`SolverError::InvalidSetting`] for `k > n`, an `ncv` too small, or a tolerance that
    /// is negative or NaN.
    pub fn solve<T: Real, A: LinearOperator<T> + ?Sized>(
        &self,
        a: &A,
    ) -> Result<EigenOutcome<T>, SolverError> {
        self.run(a, None)
    }

    /// Finds the pairs from a given start vector, such as an earlier eigenvector.
    ///
    /// # Errors
    /// As [`solve`](Self::solve), and for a start of the wrong length or not finite.
    pub fn solve_from<T: Real, A: LinearOperator<T> + ?Sized>(
        &self,
        a: &A,
        start: ArrayView1<'_, T>,
    ) -> Result<EigenOutcome<T>, SolverError> {
        check_len("start", start.len(), a.dim())?;
        check_finite("start", start)?;
        self.run(a, Some(start))
    }

    /// The number of wanted pairs and of vectors held.
    fn sizes(&self, n: usize) -> Result<(usize, usize), SolverError> {
        check_setting("k", self.k as f64, self.k <= n, "at most the dimension")?;
        let tol = self.tolerance;
        check_setting(
            "tolerance",
            tol,
            tol >= 0.0 && tol.is_finite(),
            "finite, at least zero",
        )?;
        let wanted = match self.which {
            Which::BothEnds => n.min(2 * self.k),
            _ => self.k,
        };
        let ncv = self.ncv.unwrap_or((2 * wanted + 10).max(30)).min(n);
        let room = ncv == n || ncv >= wanted + 2;
        check_setting(
            "ncv",
            ncv as f64,
            room,
            "at least two more than the wanted pairs",
        )?;
        Ok((wanted, ncv))
    }

    fn run<T: Real, A: LinearOperator<T> + ?Sized>(
        &self,
        a: &A,
        start: Option<ArrayView1<'_, T>>,
    ) -> Result<EigenOutcome<T>, SolverError> {
        let (wanted, ncv) = self.sizes(a.dim())?;
        let mut s = Factorisation::new(a, ncv, generator(self.seed));
        if wanted == 0 {
            return Ok(s.outcome(self, 0, EigenStop::Converged));
        }
        s.start(start);
        let mut probing = false;
        let stop = loop {
            if let Err(stop) = s.expand() {
                break stop;
            }
            if !s.ritz(self.which) {
                break EigenStop::NonFinite {
                    what: Quantity::Product,
                };
            }
            if s.exhausted() {
                break EigenStop::Converged;
            }
            let converged = s.count_converged(wanted, self.tolerance) == wanted;
            if converged && (probing && s.same_as_before(wanted) || !self.wants_probe(&s)) {
                break EigenStop::Converged;
            }
            if s.n_restarts == self.max_restarts {
                break EigenStop::MaxRestarts;
            }
            probing = converged;
            s.restart(wanted, converged, self.tolerance);
        };
        Ok(s.outcome(self, wanted, stop))
    }

    fn wants_probe<T, A: ?Sized>(&self, s: &Factorisation<'_, T, A>) -> bool {
        match self.probe {
            MultiplicityProbe::Never => false,
            MultiplicityProbe::AfterBreakdown => s.n_breakdowns > 0,
            MultiplicityProbe::Always => true,
        }
    }
}

/// The relation `A V = V T + v eᵀ` and the Ritz pairs of `T`.
struct Factorisation<'a, T, A: ?Sized> {
    a: &'a A,
    ncv: usize,
    rng: ChaCha8Rng,
    basis: Basis<T>,
    /// Columns of `T` that are complete; the basis holds one vector more, unless the
    /// space is exhausted.
    done: usize,
    /// `T` with stride `ncv + 1`; row `done` holds the coupling to the residual vector.
    t: Vec<T>,
    w: Vec<T>,
    h: Vec<T>,
    /// Eigenvectors, eigenvalues (ascending) and residuals of the last Ritz step.
    y: Vec<T>,
    theta: Vec<T>,
    residual: Vec<T>,
    scratch: Vec<T>,
    /// Indices into `theta`, the most wanted first.
    order: Vec<usize>,
    /// The wanted values before a probe.
    before_probe: Vec<T>,
    norm: T,
    asymmetry: T,
    n_products: usize,
    n_restarts: usize,
    n_breakdowns: usize,
    n_probes: usize,
}

impl<'a, T: Real, A: LinearOperator<T> + ?Sized> Factorisation<'a, T, A> {
    fn new(a: &'a A, ncv: usize, rng: ChaCha8Rng) -> Self {
        let n = a.dim();
        let zeros = |len: usize| vec![T::zero(); len];
        Self {
            a,
            ncv,
            rng,
            basis: Basis::new(n, ncv + 1),
            done: 0,
            t: zeros((ncv + 1) * (ncv + 1)),
            w: zeros(n),
            h: zeros(ncv + 1),
            y: zeros(ncv * ncv),
            theta: zeros(ncv),
            residual: zeros(ncv),
            scratch: zeros(ncv),
            order: Vec::with_capacity(ncv),
            before_probe: Vec::with_capacity(ncv),
            norm: T::zero(),
            asymmetry: T::zero(),
            n_products: 0,
            n_restarts: 0,
            n_breakdowns: 0,
            n_probes: 0,
        }
    }

    fn start(&mut self, start: Option<ArrayView1<'_, T>>) {
        if let Some(start) = start {
            for (w, &x) in self.w.iter_mut().zip(start) {
                *w = x;
            }
            let norm = norm2(&self.w);
            if norm.is_normal() {
                self.basis.push(&self.w, norm);
                return;
            }
        }
        self.basis.push_random(&mut self.rng, &mut self.w);
    }

    /// Whether the basis cannot grow: `T` then holds eigenvalues of `A` exactly.
    fn exhausted(&self) -> bool {
        self.basis.len() == self.done
    }

    fn t(&mut self, i: usize, j: usize) -> &mut T {
        &mut self.t[i * (self.ncv + 1) + j]
    }

    /// Lanczos steps until `ncv` columns are complete or the space is exhausted.
    fn expand(&mut self) -> Result<(), EigenStop> {
        let n = self.w.len();
        let sqrt_n = T::of((n as f64).sqrt().max(10.0));
        while self.done < self.ncv && !self.exhausted() {
            let j = self.done;
            apply(self.a, self.basis.row(j), &mut self.w);
            self.n_products += 1;
            let (before, beta) = self.basis.orthogonalise(&mut self.w, &mut self.h);
            if !(before.is_finite() && beta.is_finite()) {
                return Err(EigenStop::NonFinite {
                    what: Quantity::Product,
                });
            }
            self.norm = self.norm.max(before);
            for i in 0..j {
                let expected = *self.t(i, j);
                self.asymmetry = self.asymmetry.max((self.h[i] - expected).abs());
            }
            *self.t(j, j) = self.h[j];
            self.done += 1;
            if self.done == n {
                return Ok(());
            }
            // What is left after orthogonalisation is rounding: the space is invariant.
            if beta <= T::epsilon() * self.norm * sqrt_n {
                self.n_breakdowns += 1;
                self.basis.push_random(&mut self.rng, &mut self.w);
                continue;
            }
            self.basis.push(&self.w, beta);
            *self.t(j, j + 1) = beta;
            *self.t(j + 1, j) = beta;
        }
        Ok(())
    }

    /// Eigenpairs of `T`, their residuals and their order; false if `T` is not finite.
    fn ritz(&mut self, which: Which) -> bool {
        let m = self.done;
        for i in 0..m {
            for j in 0..m {
                self.y[i * m + j] = *self.t(i, j);
            }
        }
        let y = &mut self.y[..m * m];
        if !eigen_in_place(y, &mut self.theta[..m], &mut self.scratch[..m]) {
            return false;
        }
        let coupling = &self.t[m * (self.ncv + 1)..m * (self.ncv + 1) + m];
        for i in 0..m {
            let sum: T = (0..m).map(|j| coupling[j] * self.y[j * m + i]).sum();
            self.residual[i] = sum.abs();
        }
        order_by_want(which, &self.theta[..m], &mut self.order);
        true
    }

    fn converged(&self, theta: T, residual: T, tolerance: f64) -> bool {
        let eps = T::epsilon();
        let floor = self.norm * eps.powf(T::of(2.0 / 3.0));
        let tol = T::of(tolerance).max(eps);
        residual <= (tol * theta.abs().max(floor)).max(eps * self.norm)
    }

    fn count_converged(&self, wanted: usize, tolerance: f64) -> usize {
        let first = self.order.iter().take(wanted);
        first
            .filter(|&&i| self.converged(self.theta[i], self.residual[i], tolerance))
            .count()
    }

    /// Whether a probe has left the wanted values where they were.
    fn same_as_before(&self, wanted: usize) -> bool {
        let slack = T::of(100.0) * T::epsilon() * self.norm;
        let now = self.order[..wanted].iter().map(|&i| self.theta[i]);
        now.zip(&self.before_probe)
            .all(|(now, &before)| (now - before).abs() <= slack)
    }

    /// Keeps the most wanted Ritz vectors; goes on from the residual vector, or to
    /// probe for missed copies from a random one.
    fn restart(&mut self, wanted: usize, probe: bool, tolerance: f64) {
        let m = self.done;
        self.n_restarts += 1;
        let keep = if probe {
            wanted
        } else {
            // KrylovKit's rule: as vectors converge, more of the space is kept.
            let converged = self.count_converged(wanted, tolerance);
            ((3 * m + 2 * converged) / 5)
                .clamp(wanted.min(m - 2), m - 2)
                .max(1)
        };
        self.w.copy_from_slice(self.basis.row(m));
        self.basis.truncate(m);
        self.basis.rotate(&self.y[..m * m], &self.order[..keep]);
        self.t.fill(T::zero());
        for k in 0..keep {
            let i = self.order[k];
            *self.t(k, k) = self.theta[i];
        }
        self.done = keep;
        if probe {
            self.n_probes += 1;
            self.before_probe.clear();
            for k in 0..wanted {
                self.before_probe.push(self.theta[self.order[k]]);
            }
            self.basis.push_random(&mut self.rng, &mut self.w);
            return;
        }
        self.basis.push(&self.w, T::one());
        for k in 0..keep {
            let coupling = self.signed_residual(m, self.order[k]);
            *self.t(k, keep) = coupling;
            *self.t(keep, k) = coupling;
        }
    }

    /// The coupling `βy_{m,i}` of Ritz vector `i` to the residual vector, with its sign.
    fn signed_residual(&self, m: usize, i: usize) -> T {
        let last = self.y[(m - 1) * m + i];
        if last < T::zero() {
            -self.residual[i]
        } else {
            self.residual[i]
        }
    }

    /// The wanted pairs with residuals recomputed by products, and bounds.
    fn outcome(mut self, config: &Lanczos, wanted: usize, stop: EigenStop) -> EigenOutcome<T> {
        let m = self.done;
        let mut stop = stop;
        let mut wanted = wanted.min(m);
        if stop != EigenStop::Converged && !self.ritz(config.which) {
            wanted = 0;
        }
        self.basis.truncate(m);
        self.order.truncate(wanted);
        self.basis.rotate(&self.y[..m * m], &self.order);
        let orthogonality = self.basis.orthogonality().as_f64();
        let mut pairs = Vec::with_capacity(wanted);
        for k in 0..wanted {
            let index = self.order[k];
            let (pair, finite) = self.pair(k, index, config.tolerance);
            if !finite {
                stop = EigenStop::NonFinite {
                    what: Quantity::Product,
                };
            }
            pairs.push(pair);
        }
        sort_pairs(config.which, &mut pairs);
        let scale = if self.norm > T::zero() {
            self.norm
        } else {
            T::one()
        };
        let stats = EigenStats {
            n_products: self.n_products,
            n_restarts: self.n_restarts,
            n_breakdowns: self.n_breakdowns,
            n_probes: self.n_probes,
            orthogonality,
            asymmetry: (self.asymmetry / scale).as_f64(),
            norm_estimate: self.norm.as_f64(),
        };
        EigenOutcome { pairs, stop, stats }
    }

    /// Pair `k` of the rotated basis, the Ritz pair `index`; false if its product is not
    /// finite, and then with the residual that the iteration knew.
    fn pair(&mut self, k: usize, index: usize, tolerance: f64) -> (EigenPair<T>, bool) {
        let mut vector = self.basis.row(k).to_vec();
        scale(norm2(&vector).recip(), &mut vector);
        apply(self.a, &vector, &mut self.w);
        self.n_products += 1;
        let mut value = dot(&vector, &self.w);
        axpy(-value, &vector, &mut self.w);
        let mut residual = norm2(&self.w);
        let finite = value.is_finite() && residual.is_finite();
        let estimate = self.residual[index];
        if !finite {
            (value, residual) = (self.theta[index], estimate);
        }
        let allowance = T::of(10.0) * T::epsilon() * self.norm;
        let gap = self.gap(index);
        let sharp = if gap > residual {
            residual * (residual / gap)
        } else {
            residual
        };
        // The true residual also carries the rounding of its own computation, which no
        // tolerance can ask away: the estimate decides.
        let converged = finite && self.converged(self.theta[index], estimate, tolerance);
        let error_bound = residual.min(sharp) + allowance;
        (
            EigenPair {
                value,
                vector: Array1::from_vec(vector),
                residual,
                error_bound,
                converged,
            },
            finite,
        )
    }

    /// A lower estimate of the distance from Ritz value `index` to the rest of the spectrum.
    fn gap(&self, index: usize) -> T {
        let distance = |j: usize| (self.theta[j] - self.theta[index]).abs() - self.residual[j];
        let below = if index > 0 {
            distance(index - 1)
        } else {
            T::infinity()
        };
        let above = if index + 1 < self.done {
            distance(index + 1)
        } else {
            T::infinity()
        };
        below.min(above)
    }
}

#[cfg(test)]
#[path = "lanczos_tests.rs"]
mod tests;
