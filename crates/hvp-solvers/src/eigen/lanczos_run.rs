//! A Lanczos solve in progress, and its state between restarts.

use ad_core::Real;
use ndarray::Array1;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::copies::Look;
use super::factorisation::Factorisation;
use super::lanczos::{Lanczos, Start};
use super::outcome::{CopiesCheck, EigenOutcome, EigenStop};
use super::which::MultiplicityProbe;
use crate::bits;
use crate::error::{Quantity, SolverError, check_len, check_setting};
use crate::operator::LinearOperator;
use crate::random::generator;

/// A [`Lanczos`] solve in progress.
///
/// [`advance`](Self::advance) goes to the next point where convergence is looked for; there the
/// solve can be stored ([`state`](Self::state)) and resumed, to the same bits.
///
/// ```
/// use hvp_solvers::eigen::{Lanczos, LanczosRun, Which};
/// use hvp_solvers::operator::DiagonalOperator;
/// use ndarray::Array1;
/// let a = DiagonalOperator::new(Array1::linspace(0.0, 1.0, 500));
/// let config = Lanczos::new(2, Which::Largest);
/// let mut run: LanczosRun<f64> = config.begin(500)?;
/// run.advance(&a)?;
/// let stored = run.state();
/// let mut run = LanczosRun::resume(stored)?;
/// while run.advance(&a)?.is_none() {}
/// assert_eq!(run.finish(&a)?, config.solve(&a)?);
/// # Ok::<(), hvp_solvers::SolverError>(())
/// ```
#[derive(Debug)]
pub struct LanczosRun<T> {
    config: Lanczos,
    wanted: usize,
    s: Factorisation<T>,
    /// Complete so many columns, then look for convergence.
    columns: usize,
    /// Whether this round sees the span of a given basis only.
    from_basis: bool,
    /// Whether all vectors of the start were random.
    random: bool,
    /// Whether missed copies are known to exist, and to be collected next.
    found: bool,
    /// How often they were collected.
    n_collects: usize,
    /// The largest wanted residual when the basis was full the last time.
    when_full: T,
    copies: CopiesCheck,
    stop: Option<EigenStop>,
}

/// A [`LanczosRun`] between two steps, complete and serialisable; floats are stored as bits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct LanczosState<T: Real> {
    config: Lanczos,
    n: usize,
    width: usize,
    columns: usize,
    from_basis: bool,
    random: bool,
    found: bool,
    n_collects: usize,
    #[serde(with = "bits::scalar")]
    when_full: T,
    copies: CopiesCheck,
    stop: Option<EigenStop>,
    ncv: usize,
    done: usize,
    /// The basis, one vector after the other.
    #[serde(with = "bits::vector")]
    rows: Array1<T>,
    #[serde(with = "bits::vector")]
    t: Array1<T>,
    #[serde(with = "bits::vector")]
    lost: Array1<T>,
    #[serde(with = "bits::scalar")]
    norm: T,
    #[serde(with = "bits::scalar")]
    asymmetry: T,
    n_products: usize,
    n_restarts: usize,
    n_breakdowns: usize,
    n_probes: usize,
    n_probe_products: usize,
    rng: ChaCha8Rng,
}

impl<T: Real> LanczosRun<T> {
    pub(super) fn new(
        config: Lanczos,
        n: usize,
        wanted: usize,
        ncv: usize,
        start: Start<'_, T>,
    ) -> Self {
        let block = config.block.min(n);
        let width = match &start {
            Start::Basis(rows) => block.max(rows.nrows()),
            _ => block,
        };
        let mut s = Factorisation::new(n, ncv, block, width, generator(config.seed));
        let mut from_basis = false;
        let random = matches!(start, Start::Random);
        let mut columns = ncv.min(wanted + 2 * s.stride());
        if wanted > 0 {
            match start {
                Start::Random => s.start(None),
                Start::Vector(start) => s.start(Some(start)),
                Start::Basis(rows) => {
                    from_basis = true;
                    columns = s.start_from_rows(rows);
                }
            }
        }
        Self {
            config,
            wanted,
            s,
            columns,
            from_basis,
            random,
            found: false,
            n_collects: 0,
            when_full: T::infinity(),
            copies: if wanted == 0 {
                CopiesCheck::NotNeeded
            } else {
                CopiesCheck::NotChecked
            },
            stop: (wanted == 0).then_some(EigenStop::Converged),
        }
    }

    /// Goes on until convergence is looked for the next time, after a few products, and restarts
    /// if the basis is full. Returns how the solve ended, once it has.
    ///
    /// # Errors
    /// [`SolverError::DimensionMismatch`] for an operator of another dimension.
    pub fn advance<A>(&mut self, a: &A) -> Result<Option<EigenStop>, SolverError>
    where
        A: LinearOperator<T> + ?Sized,
    {
        check_len("the operator", a.dim(), self.s.n)?;
        if self.stop.is_none() {
            self.stop = self.step(a);
        }
        Ok(self.stop)
    }

    fn step<A>(&mut self, a: &A) -> Option<EigenStop>
    where
        A: LinearOperator<T> + ?Sized,
    {
        let (s, wanted, tolerance) = (&mut self.s, self.wanted, self.config.tolerance);
        if let Err(stop) = s.expand(a, self.columns) {
            return Some(stop);
        }
        if !s.ritz(self.config.which) {
            return Some(EigenStop::NonFinite {
                what: Quantity::Product,
            });
        }
        if s.exhausted() {
            self.copies = CopiesCheck::NotNeeded;
            return Some(EigenStop::Converged);
        }
        // What is kept to collect copies loses its coupling to the rest, so that what follows
        // must not ask for all of the tolerance.
        let share = if self.found || self.n_collects > 0 {
            1.0 - 0.5_f64.powi(self.n_collects as i32 + 1)
        } else {
            1.0
        };
        let converged = s.count_converged(wanted, tolerance, share) == wanted;
        let settled = self.n_collects == 0 || s.next_is_clear(wanted);
        if converged && settled && !self.found {
            match self.check(a) {
                Ok(Some(copies)) => {
                    self.copies = copies;
                    return Some(EigenStop::Converged);
                }
                Ok(None) => self.found = true,
                Err(stop) => return Some(stop),
            }
            // Below what is asked of pairs that are kept for good?
            let s = &self.s;
            let share = 1.0 - 0.5_f64.powi(self.n_collects as i32 + 1);
            if s.count_converged(wanted, tolerance, share) == wanted {
                self.collect();
                return None;
            }
        } else if converged && self.found {
            self.collect();
            return None;
        }
        self.go_on(converged)
    }

    /// Goes on from the wanted pairs and a random vector.
    fn collect(&mut self) {
        let s = &mut self.s;
        s.collect(self.wanted);
        self.columns = s.ncv.min(s.done + s.stride());
        (self.found, self.from_basis) = (false, false);
        self.n_collects += 1;
        self.when_full = T::infinity();
    }

    /// More columns, a larger basis, or a restart.
    fn go_on(&mut self, converged: bool) -> Option<EigenStop> {
        let (s, wanted, tolerance) = (&mut self.s, self.wanted, self.config.tolerance);
        if self.from_basis && !converged {
            s.condense(wanted);
            self.columns = s.ncv.min(wanted + 2 * s.stride());
        } else if self.columns < s.ncv {
            self.columns = s.ncv.min(self.columns + s.stride());
        } else {
            // Where a round of restarts gains less than a digit, a larger basis gains more.
            let worst = s.worst(wanted, tolerance);
            let slow = worst > T::of(0.1) * self.when_full;
            self.when_full = worst;
            let larger = self.config.larger::<T>(s.n, s.ncv);
            if slow && larger > s.ncv {
                s.grow(larger);
                self.columns = s.ncv.min(self.columns + s.stride());
            } else if s.n_restarts >= self.config.max_restarts {
                return Some(EigenStop::MaxRestarts);
            } else {
                let kept = s.restart(wanted, tolerance);
                self.columns = s.ncv.min(kept + s.stride());
            }
        }
        self.from_basis = false;
        None
    }

    /// Looks for missed copies of the wanted pairs, which have converged; `None` if there are some.
    fn check<A>(&mut self, a: &A) -> Result<Option<CopiesCheck>, EigenStop>
    where
        A: LinearOperator<T> + ?Sized,
    {
        const FEWEST: usize = 200;
        let probe = self.config.probe;
        let given = self.from_basis && probe == MultiplicityProbe::WhereNeeded;
        if probe == MultiplicityProbe::Never || given {
            return Ok(Some(CopiesCheck::NotChecked));
        }
        let starts = if self.random { self.config.block } else { 1 };
        let all = probe == MultiplicityProbe::Always;
        let range = self.s.range(self.config.which, self.wanted, starts, all);
        if range.is_empty() {
            return Ok(Some(CopiesCheck::NotNeeded));
        }
        // Each look that finds something adds at least one pair to the wanted ones.
        if self.n_collects > self.wanted {
            return Ok(Some(CopiesCheck::Unfinished));
        }
        let most = self.s.n_products.max(FEWEST);
        Ok(match self.s.look(a, range, self.wanted, most)? {
            Look::Found => None,
            Look::Clear => Some(CopiesCheck::Passed),
            Look::Open => Some(CopiesCheck::Unfinished),
        })
    }

    /// The pairs as they are, with their residuals and bounds; one product each.
    ///
    /// A run that has not ended is reported as [`EigenStop::MaxRestarts`].
    ///
    /// # Errors
    /// [`SolverError::DimensionMismatch`] for an operator of another dimension.
    pub fn finish<A>(self, a: &A) -> Result<EigenOutcome<T>, SolverError>
    where
        A: LinearOperator<T> + ?Sized,
    {
        check_len("the operator", a.dim(), self.s.n)?;
        let stop = self.stop.unwrap_or(EigenStop::MaxRestarts);
        let ended = (stop, self.copies);
        let (which, tolerance) = (self.config.which, self.config.tolerance);
        Ok(self.s.outcome(a, which, self.wanted, tolerance, ended))
    }

    /// A copy of all that the solve depends on.
    pub fn state(&self) -> LanczosState<T> {
        let s = &self.s;
        LanczosState {
            config: self.config.clone(),
            n: s.n,
            width: s.width,
            columns: self.columns,
            from_basis: self.from_basis,
            random: self.random,
            found: self.found,
            n_collects: self.n_collects,
            when_full: self.when_full,
            copies: self.copies,
            stop: self.stop,
            ncv: s.ncv,
            done: s.done,
            rows: Array1::from(s.basis.rows(0, s.basis.len()).to_vec()),
            t: Array1::from(s.t.clone()),
            lost: Array1::from(s.lost.clone()),
            norm: s.norm,
            asymmetry: s.asymmetry,
            n_products: s.n_products,
            n_restarts: s.n_restarts,
            n_breakdowns: s.n_breakdowns,
            n_probes: s.n_probes,
            n_probe_products: s.n_probe_products,
            rng: s.rng.clone(),
        }
    }

    /// The run whose state this is.
    ///
    /// # Errors
    /// [`SolverError::InvalidSetting`] if the parts of the state do not fit together.
    pub fn resume(state: LanczosState<T>) -> Result<Self, SolverError> {
        let (wanted, least) = state.config.sizes(state.n)?;
        state.check(wanted, least)?;
        let ncv = state.ncv;
        let (n, config) = (state.n, state.config);
        let len = state.rows.len() / n.max(1);
        let block = config.block.min(n);
        let mut s = Factorisation::new(n, ncv, block, state.width, state.rng);
        s.basis.extend(len).copy_from_slice(&state.rows.to_vec());
        s.t.copy_from_slice(&state.t.to_vec());
        s.lost.copy_from_slice(&state.lost.to_vec());
        s.done = state.done;
        s.norm = state.norm;
        s.asymmetry = state.asymmetry;
        s.n_products = state.n_products;
        s.n_restarts = state.n_restarts;
        s.n_breakdowns = state.n_breakdowns;
        s.n_probes = state.n_probes;
        s.n_probe_products = state.n_probe_products;
        if state.stop.is_some() && s.done > 0 {
            // What the last step left for the outcome.
            s.ritz(config.which);
        }
        Ok(Self {
            config,
            wanted,
            s,
            columns: state.columns,
            from_basis: state.from_basis,
            random: state.random,
            found: state.found,
            n_collects: state.n_collects,
            when_full: state.when_full,
            copies: state.copies,
            stop: state.stop,
        })
    }
}

impl<T: Real> LanczosState<T> {
    /// Whether all lengths fit each other, so that a run cannot leave its arrays.
    fn check(&self, wanted: usize, least: usize) -> Result<(), SolverError> {
        let (n, ncv, done, width) = (self.n, self.ncv, self.done, self.width);
        let len = self.rows.len() / n.max(1);
        let all = ncv + width;
        let block = self.config.block.min(n);
        let widest = block.max(ncv);
        let parts = [
            ("ncv", ncv, ncv >= least && ncv <= n),
            ("width", width, block <= width && width <= widest),
            (
                "rows",
                self.rows.len(),
                len * n == self.rows.len() && len <= n.min(all),
            ),
            ("t", self.t.len(), self.t.len() == all * all),
            (
                "done",
                done,
                done <= ncv && done <= len && len - done <= width,
            ),
            ("columns", self.columns, self.columns <= ncv),
            ("lost", self.lost.len(), self.lost.len() == ncv),
            ("wanted", wanted, wanted <= ncv),
        ];
        parts.into_iter().try_for_each(|(name, value, ok)| {
            check_setting(name, value as f64, ok, "as the rest of the state has it")
        })
    }
}
