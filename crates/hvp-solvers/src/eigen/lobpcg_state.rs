//! A solve by LOBPCG between two iterations.

use ad_core::Real;
use ndarray::ArrayView2;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::basis::Basis;
use super::certificate::{Neighbours, loudest, measure};
use super::lobpcg::{End, Lobpcg};
use super::outcome::{CopiesCheck, EigenOutcome, EigenPair, EigenStats, EigenStop, relative};
use super::which::sort_pairs;
use crate::bits;
use crate::error::{Quantity, SolverError, check_len, check_setting};
use crate::linear::Preconditioner;
use crate::operator::LinearOperator;
use crate::random::generator;
use crate::vector::axpy;

/// Iterations after which rounding in the recombined products is removed.
const REFRESH: usize = 50;

/// Iterations without a smaller residual that end a solve.
const PATIENCE: usize = 100;

/// A solve by [`Lobpcg`] in progress: an orthonormal basis `S = [X P]`, its products `AS`, the Ritz
/// values of `X`, and everything else that its future depends on, but for the operator and the
/// preconditioner.
///
/// Carried on in parts of any size, it makes the same products and yields the same bits as
/// in one go; also if it is serialised in between, as up to `4n·block` numbers and a few.
///
/// ```
/// use hvp_solvers::eigen::{End, Lobpcg};
/// use hvp_solvers::linear::Identity;
/// use hvp_solvers::operator::DiagonalOperator;
/// use ndarray::Array1;
/// let a = DiagonalOperator::new(Array1::linspace(0.0, 1.0, 60));
/// let config = Lobpcg::new(2, End::Smallest);
/// let mut state = config.start::<f64>(60, None)?;
/// while state.advance(&a, &Identity, 10)?.is_none() {
///     assert!(state.n_iters() < 200);
/// }
/// assert_eq!(state.into_outcome(&a)?, config.solve(&a)?);
/// # Ok::<(), hvp_solvers::SolverError>(())
/// ```
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(bound = "T: Real")]
pub struct LobpcgState<T> {
    pub(super) n: usize,
    pub(super) config: Lobpcg,
    /// Vectors in `X`, the most wanted first.
    pub(super) block: usize,
    pub(super) rng: ChaCha8Rng,
    pub(super) s: Basis<T>,
    pub(super) image: Basis<T>,
    #[serde(with = "bits::vector")]
    pub(super) theta: Vec<T>,
    #[serde(with = "bits::vector")]
    pub(super) residual: Vec<T>,
    /// Which pairs still get residuals and steps.
    pub(super) active: Vec<bool>,
    /// Vectors of `X` with Ritz values: none before the first step.
    pub(super) known: usize,
    /// Whether the products of `X` are its own, not recombined ones.
    fresh: bool,
    /// The smallest residual, and iterations since.
    #[serde(with = "bits::scalar")]
    best: T,
    since: usize,
    #[serde(with = "bits::scalar")]
    pub(super) norm: T,
    #[serde(with = "bits::scalar")]
    pub(super) asymmetry: T,
    pub(super) n_products: usize,
    n_iters: usize,
    stop: Option<EigenStop>,
    #[serde(skip)]
    pub(super) work: Workspace<T>,
}

/// What has no meaning between iterations.
#[derive(Debug, Clone)]
pub(super) struct Workspace<T> {
    /// `SᵀAS`, then its eigenvectors, one per column.
    pub(super) g: Vec<T>,
    pub(super) values: Vec<T>,
    pub(super) scratch: Vec<T>,
    /// Coefficients of the new `[X P]`, one vector per row, and a row to come.
    pub(super) mix: Basis<T>,
    pub(super) row: Vec<T>,
    pub(super) h: Vec<T>,
    /// 0, 1, 2, …
    pub(super) all: Vec<usize>,
    pub(super) r: Vec<T>,
    pub(super) w: Vec<T>,
}

impl<T: Real> Default for Workspace<T> {
    fn default() -> Self {
        Self::new(0, 0)
    }
}

impl<T: Real> Workspace<T> {
    /// For up to `most` vectors of dimension `n`.
    fn new(n: usize, most: usize) -> Self {
        let zeros = |len: usize| vec![T::zero(); len];
        Self {
            g: zeros(most * most),
            values: zeros(most),
            scratch: zeros(most),
            mix: Basis::new(most, most),
            row: zeros(most),
            h: zeros(most),
            all: (0..most).collect(),
            r: zeros(n),
            w: zeros(n),
        }
    }
}

impl<T: Real> LobpcgState<T> {
    /// For checked input.
    pub(super) fn new(
        config: Lobpcg,
        n: usize,
        block: usize,
        start: Option<ArrayView2<'_, T>>,
    ) -> Self {
        let most = (3 * block).min(n);
        let mut state = Self {
            n,
            config,
            block,
            rng: generator(config.seed),
            s: Basis::new(n, most),
            image: Basis::new(n, most),
            theta: vec![T::zero(); block],
            residual: vec![T::zero(); block],
            active: vec![true; block],
            known: 0,
            fresh: true,
            best: T::infinity(),
            since: 0,
            norm: T::zero(),
            asymmetry: T::zero(),
            n_products: 0,
            n_iters: 0,
            stop: (config.k == 0).then_some(EigenStop::Converged),
            work: Workspace::new(n, most),
        };
        if state.stop.is_none() {
            state.first_block(start);
        }
        state
    }

    /// Makes at most `n_iters` iterations more; how the solve ended, once it has. Returns at an
    /// ending or right before an iteration. The first part also multiplies the start.
    ///
    /// # Errors
    /// [`SolverError::DimensionMismatch`] for an operator or a preconditioner of another
    /// dimension, or a state whose vectors were tampered with; [`SolverError::InvalidSetting`]
    /// for one whose settings or counts were. Operator and preconditioner have to be the same in
    /// every part.
    pub fn advance<A, P>(
        &mut self,
        a: &A,
        m: &P,
        n_iters: usize,
    ) -> Result<Option<EigenStop>, SolverError>
    where
        A: LinearOperator<T> + ?Sized,
        P: Preconditioner<T> + ?Sized,
    {
        self.check(a.dim())?;
        check_len("preconditioner", m.dim().unwrap_or(self.n), self.n)?;
        self.make_room();
        let until = self.n_iters.saturating_add(n_iters);
        if self.stop.is_none() && self.known == 0 {
            self.stop = self.begin(a).unwrap_or_else(Some);
        }
        while self.stop.is_none() {
            if self.n_iters >= self.config.max_iters {
                self.stop = Some(EigenStop::MaxIters);
            } else if self.n_iters >= until {
                break;
            } else {
                self.stop = self.iterate(a, m).unwrap_or_else(Some);
            }
        }
        Ok(self.stop)
    }

    /// Iterations so far.
    pub fn n_iters(&self) -> usize {
        self.n_iters
    }

    /// The wanted pairs as they are, with their residuals and bounds; one product each. There are
    /// none before the first [`advance`](Self::advance).
    ///
    /// A solve that has not ended is reported as [`EigenStop::MaxIters`].
    ///
    /// # Errors
    /// [`SolverError`] for an operator of another dimension or a state that was tampered with, as
    /// [`advance`](Self::advance).
    pub fn into_outcome<A>(mut self, a: &A) -> Result<EigenOutcome<T>, SolverError>
    where
        A: LinearOperator<T> + ?Sized,
    {
        self.check(a.dim())?;
        self.make_room();
        let mut stop = self.stop.unwrap_or(EigenStop::MaxIters);
        let (mut pairs, noise) = self.pairs(a, &mut stop);
        sort_pairs(self.config.end.which(), &mut pairs);
        let stats = EigenStats {
            n_products: self.n_products,
            n_restarts: self.n_iters,
            n_breakdowns: 0,
            n_probes: 0,
            n_probe_products: 0,
            orthogonality: self.s.orthogonality().as_f64(),
            asymmetry: relative(self.asymmetry, self.norm),
            noise: relative(noise, self.norm),
            norm_estimate: self.norm.as_f64(),
        };
        // The block has at least as many vectors as there are wanted pairs, copies included.
        let copies = if stop == EigenStop::Converged {
            CopiesCheck::NotNeeded
        } else {
            CopiesCheck::NotChecked
        };
        Ok(EigenOutcome {
            pairs,
            stop,
            copies,
            stats,
        })
    }

    /// The wanted pairs, with bounds, and the noise of the products; a product that is not finite
    /// is the ending.
    fn pairs<A>(&mut self, a: &A, stop: &mut EigenStop) -> (Vec<EigenPair<T>>, T)
    where
        A: LinearOperator<T> + ?Sized,
    {
        let known = self.known;
        let wanted = self.config.k.min(known);
        let whole = self.is_whole();
        let descending = self.config.end == End::Largest;
        let ends = (whole || !descending, whole || descending);
        if descending {
            self.theta[..known].reverse();
            self.residual[..known].reverse();
        }
        self.s.truncate(wanted);
        let mut all = Vec::with_capacity(wanted);
        for k in 0..wanted {
            let image = self.image.row(k);
            let compare = |value: T, u: &[T], w: &mut [T]| {
                axpy(value, u, w);
                axpy(-T::one(), image, w);
            };
            let measured = measure(a, self.s.row(k), &mut self.work.w, T::zero(), compare);
            self.n_products += measured.n_products;
            all.push(measured);
        }
        let noise = loudest(&all, self.asymmetry);
        let neighbours = Neighbours {
            theta: &self.theta[..known],
            residual: &self.residual[..known],
            ends,
            norm: self.norm,
            noise,
        };
        let mut pairs = Vec::with_capacity(wanted);
        for (k, measured) in all.into_iter().enumerate() {
            let index = if descending { known - 1 - k } else { k };
            let finite = measured.finite;
            if !finite {
                let what = Quantity::Product;
                *stop = EigenStop::NonFinite { what };
            }
            let mut pair = neighbours.pair(measured, index);
            let small = self.is_small(pair.value, self.residual[index]);
            pair.converged = finite && (*stop == EigenStop::Converged || small);
            pairs.push(pair);
        }
        (pairs, noise)
    }

    /// Whether all lengths and counts fit each other, so that no step leaves its arrays.
    fn check(&self, n: usize) -> Result<(), SolverError> {
        check_len("operator", n, self.n)?;
        let block = self.config.check(n)?;
        let most = (3 * block).min(n);
        for (what, found) in [
            ("block", self.block),
            ("theta", self.theta.len()),
            ("residual", self.residual.len()),
            ("active", self.active.len()),
        ] {
            check_len(what, found, block)?;
        }
        let (s, image, known) = (self.s.len(), self.image.len(), self.known);
        let open = self.stop.is_none();
        let products = if known == 0 { 0 } else { s };
        for (name, value, ok) in [
            ("s", s, self.s.fits(n, most) && (s >= block || !open)),
            (
                "image",
                image,
                self.image.fits(n, most) && (image == products || !open && image <= s),
            ),
            ("known", known, known == 0 || known == block),
        ] {
            check_setting(name, value as f64, ok, "as the rest of the state has it")?;
        }
        Ok(())
    }

    /// What was not stored, once for all iterations.
    fn make_room(&mut self) {
        let most = (3 * self.block).min(self.n);
        self.s.make_room(most);
        self.image.make_room(most);
        if self.work.all.len() != most || self.work.w.len() != self.n {
            self.work = Workspace::new(self.n, most);
        }
    }

    /// Products and Ritz values of the start.
    fn begin<A>(&mut self, a: &A) -> Result<Option<EigenStop>, EigenStop>
    where
        A: LinearOperator<T> + ?Sized,
    {
        self.multiply(a)?;
        self.rayleigh_ritz()?;
        self.judge(a)
    }

    /// Looks for convergence, and for progress.
    fn judge<A>(&mut self, a: &A) -> Result<Option<EigenStop>, EigenStop>
    where
        A: LinearOperator<T> + ?Sized,
    {
        loop {
            let converged = self.measure() == self.config.k;
            if self.is_whole() || converged && self.fresh {
                return Ok(Some(EigenStop::Converged));
            }
            if !converged {
                break;
            }
            self.refresh(a)?;
            self.fresh = true;
        }
        let worst = self.worst();
        if worst < T::of(0.99) * self.best {
            (self.best, self.since) = (worst, 0);
        } else {
            self.since += 1;
        }
        Ok((self.since >= PATIENCE).then_some(EigenStop::Stagnated))
    }

    /// One iteration.
    fn iterate<A, P>(&mut self, a: &A, m: &P) -> Result<Option<EigenStop>, EigenStop>
    where
        A: LinearOperator<T> + ?Sized,
        P: Preconditioner<T> + ?Sized,
    {
        self.n_iters += 1;
        if self.n_iters.is_multiple_of(REFRESH) && !self.fresh {
            self.refresh(a)?;
            self.measure();
        }
        let before = self.s.len();
        self.search(m)?;
        if self.s.len() == before {
            if self.fresh {
                return Ok(Some(EigenStop::Stagnated));
            }
            self.refresh(a)?;
            self.fresh = true;
            return self.judge(a);
        }
        self.multiply(a)?;
        let everything = self.s.len() == self.n;
        self.rayleigh_ritz()?;
        self.fresh = false;
        if everything {
            // The Ritz pairs of the whole space are eigenpairs.
            self.measure();
            return Ok(Some(EigenStop::Converged));
        }
        self.judge(a)
    }

    /// Whether `X` spans the whole space.
    fn is_whole(&self) -> bool {
        self.block == self.n
    }

    /// The largest residual of a wanted pair.
    fn worst(&self) -> T {
        let wanted = self.residual[..self.config.k].iter();
        wanted.fold(T::zero(), |worst, &r| worst.max(r))
    }
}
