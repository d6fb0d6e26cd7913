//! A solve by minimum residuals between two iterations.

use ad_core::Real;
use ndarray::{Array1, ArrayView1};
use serde::{Deserialize, Serialize};

use super::NegativeCurvature;
use super::checks::check_preconditioner;
use super::minres::{MinresCurvature, MinresOutcome, MinresStats, MinresStop};
use super::minres_step::{Inner, Recurrence};
use super::minres_verify::dual_norm;
use super::preconditioner::Preconditioner;
use crate::bits;
use crate::error::{Quantity, SolverError, check_len};
use crate::operator::LinearOperator;
use crate::vector::{all_finite, norm2, power_of_two_below, scale};

/// When to stop, in the operator's type.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(bound = "T: Real")]
pub(super) struct Limits<T> {
    #[serde(with = "bits::scalar")]
    pub(super) relative: T,
    #[serde(with = "bits::scalar")]
    pub(super) absolute: T,
    #[serde(with = "bits::scalar")]
    pub(super) least_squares: T,
    pub(super) max_iters: usize,
    pub(super) curvature: MinresCurvature,
    /// Whether a product verifies the residual before an ending.
    pub(super) verify: bool,
}

/// A solve by [`Minres`](super::Minres) in progress: everything that its future depends on, but
/// for the operator and the preconditioner.
///
/// Carried on in parts of any size, it makes the same products and yields the same bits as
/// in one go; also if it is serialised in between, as `7n` numbers and a few (`8n` with a
/// preconditioner, `2n` more with a [`MinresCurvature`] other than `Ignore`).
///
/// ```
/// use hvp_solvers::linear::{Identity, Minres};
/// use hvp_solvers::operator::DiagonalOperator;
/// use ndarray::{array, Array1};
/// let a = DiagonalOperator::new(array![1.0, -2.0, 4.0, -8.0]);
/// let b = Array1::ones(4);
/// let mut state = Minres::default().start(b.view(), None)?;
/// while state.advance(&a, &Identity, 1)?.is_none() {
///     assert!(state.n_iters() <= 4);
/// }
/// assert_eq!(state.into_outcome(), Minres::default().solve(&a, b.view())?);
/// # Ok::<(), hvp_solvers::SolverError>(())
/// ```
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(bound = "T: Real")]
pub struct MinresState<T> {
    pub(super) limits: Limits<T>,
    /// Power of two near `‖b‖`: all vectors and norms are in units of it.
    #[serde(with = "bits::scalar")]
    pub(super) unit: T,
    #[serde(with = "bits::scalar")]
    pub(super) tol: T,
    #[serde(with = "bits::vector")]
    pub(super) b: Vec<T>,
    #[serde(with = "bits::vector")]
    pub(super) x: Vec<T>,
    /// `x` at the last restart.
    #[serde(with = "bits::vector")]
    pub(super) start: Vec<T>,
    /// The last two Lanczos vectors before division by their norms; `r2` is the residual where
    /// the recurrence begins.
    #[serde(with = "bits::vector")]
    pub(super) r1: Vec<T>,
    #[serde(with = "bits::vector")]
    pub(super) r2: Vec<T>,
    /// `M⁻¹ r2`; empty for `M = I`, where it is `r2`.
    #[serde(with = "bits::vector")]
    pub(super) y: Vec<T>,
    #[serde(with = "bits::vector")]
    pub(super) w: Vec<T>,
    #[serde(with = "bits::vector")]
    pub(super) w_old: Vec<T>,
    /// `M⁻¹ r` of the current iterate and the kept direction; empty if nobody asks.
    #[serde(with = "bits::vector")]
    pub(super) d: Vec<T>,
    #[serde(with = "bits::vector")]
    pub(super) kept: Vec<T>,
    /// Whether there is a kept direction, its `dᵀAd / dᵀd`, and the quotient with `dᵀMd` that it
    /// was kept for.
    pub(super) has_kept: bool,
    #[serde(with = "bits::scalar")]
    pub(super) rayleigh: T,
    #[serde(with = "bits::scalar")]
    pub(super) lowest_rayleigh: T,
    #[serde(with = "bits::scalar")]
    pub(super) residual: T,
    #[serde(with = "bits::scalar")]
    pub(super) normal: T,
    /// The largest `‖Av‖`, and the largest and the smallest pivot.
    #[serde(with = "bits::scalar")]
    pub(super) norm: T,
    #[serde(with = "bits::scalar")]
    pub(super) largest: T,
    #[serde(with = "bits::scalar")]
    pub(super) smallest: T,
    /// The true residual at the last restart.
    #[serde(with = "bits::scalar")]
    pub(super) before: T,
    pub(super) lifts: u32,
    /// Whether a recurrence has ended as [`Inner::Turned`]: one does, if endings are verified.
    pub(super) turned: bool,
    warm: bool,
    begun: bool,
    pub(super) n_iters: usize,
    pub(super) n_products: usize,
    /// `None` between a restart and the one before.
    pub(super) recurrence: Option<Recurrence<T>>,
    stop: Option<MinresStop>,
    /// Of no meaning between iterations.
    #[serde(skip)]
    pub(super) v: Vec<T>,
    #[serde(skip)]
    pub(super) q: Vec<T>,
}

impl<T: Real> MinresState<T> {
    /// For checked input.
    pub(super) fn new(
        limits: Limits<T>,
        b: impl Iterator<Item = T>,
        x0: Option<ArrayView1<'_, T>>,
    ) -> Self {
        let (zero, infinity) = (T::zero(), T::infinity());
        let mut state = Self {
            limits,
            unit: T::one(),
            tol: zero,
            b: Vec::new(),
            x: Vec::new(),
            start: Vec::new(),
            r1: Vec::new(),
            r2: Vec::new(),
            y: Vec::new(),
            w: Vec::new(),
            w_old: Vec::new(),
            d: Vec::new(),
            kept: Vec::new(),
            has_kept: false,
            rayleigh: zero,
            lowest_rayleigh: infinity,
            residual: zero,
            normal: zero,
            norm: zero,
            largest: zero,
            smallest: infinity,
            before: infinity,
            lifts: 0,
            turned: false,
            warm: false,
            begun: false,
            n_iters: 0,
            n_products: 0,
            recurrence: None,
            stop: None,
            v: Vec::new(),
            q: Vec::new(),
        };
        state.load(limits, b, x0);
        state
    }

    /// Becomes a solve that has not begun, with the memory it has.
    pub(super) fn load(
        &mut self,
        limits: Limits<T>,
        b: impl Iterator<Item = T>,
        x0: Option<ArrayView1<'_, T>>,
    ) {
        let (zero, infinity) = (T::zero(), T::infinity());
        self.b.clear();
        self.b.extend(b);
        let n = self.b.len();
        // A power of two: in units of it nothing overflows, and no bit changes.
        let unit = power_of_two_below(norm2(&self.b));
        self.b.iter_mut().for_each(|b| *b /= unit);
        let keep = limits.curvature != MinresCurvature::Ignore;
        let room = |vector: &mut Vec<T>, len| {
            vector.clear();
            vector.resize(len, zero);
        };
        room(&mut self.x, n);
        if let Some(x0) = x0 {
            self.x.iter_mut().zip(x0).for_each(|(x, &v)| *x = v / unit);
        }
        for vector in [&mut self.start, &mut self.r1, &mut self.r2] {
            room(vector, n);
        }
        room(&mut self.w, n);
        room(&mut self.w_old, n);
        room(&mut self.d, if keep { n } else { 0 });
        room(&mut self.kept, if keep { n } else { 0 });
        self.y.clear();
        (self.limits, self.unit, self.turned) = (limits, unit, !limits.verify);
        (self.has_kept, self.rayleigh, self.lowest_rayleigh) = (false, zero, infinity);
        (self.residual, self.normal, self.norm) = (zero, zero, zero);
        (self.largest, self.smallest, self.before) = (zero, infinity, infinity);
        (self.lifts, self.warm, self.begun) = (0, x0.is_some(), false);
        (self.n_iters, self.n_products) = (0, 0);
        (self.recurrence, self.stop) = (None, None);
    }

    /// Iterates at most `n_iters` times more; the ending, once there is one. Returns at an
    /// ending or right before an iteration.
    ///
    /// # Errors
    /// [`SolverError::DimensionMismatch`] for an operator or a preconditioner of another
    /// dimension, or a state whose vectors were tampered with. Operator and preconditioner have
    /// to be the same in every part.
    pub fn advance<A, P>(
        &mut self,
        a: &A,
        m: &P,
        n_iters: usize,
    ) -> Result<Option<MinresStop>, SolverError>
    where
        A: LinearOperator<T> + ?Sized,
        P: Preconditioner<T> + ?Sized,
    {
        let n = self.b.len();
        check_len("operator", a.dim(), n)?;
        for part in [&self.x, &self.start, &self.r1, &self.r2] {
            check_len("state", part.len(), n)?;
        }
        for part in [&self.w, &self.w_old] {
            check_len("state", part.len(), n)?;
        }
        let keep = self.limits.curvature != MinresCurvature::Ignore;
        for part in [&self.d, &self.kept] {
            check_len("state", part.len(), if keep { n } else { 0 })?;
        }
        check_preconditioner(m.dim(), n)?;
        if self.begun {
            check_len("state", self.y.len(), if m.is_identity() { 0 } else { n })?;
        }
        self.drive(a, m, self.n_iters.saturating_add(n_iters));
        Ok(self.stop)
    }

    /// Iterations so far.
    pub fn n_iters(&self) -> usize {
        self.n_iters
    }

    /// Products with the operator so far.
    pub fn n_products(&self) -> usize {
        self.n_products
    }

    /// The iterate as it stands; [`MinresStop::MaxIterations`] if there is no other ending yet.
    pub fn into_outcome(mut self) -> MinresOutcome<T> {
        let stop = self.finish();
        let stats = MinresStats {
            n_iters: self.n_iters,
            n_products: self.n_products,
            residual_norm: (self.residual * self.unit).as_f64(),
            normal_residual_norm: (self.normal * self.unit).as_f64(),
            operator_norm: self.norm.as_f64(),
            condition: if self.largest > T::zero() {
                (self.largest / self.smallest).as_f64()
            } else {
                1.0
            },
        };
        let direction = self.kept;
        let rayleigh = self.rayleigh;
        MinresOutcome {
            x: Array1::from_vec(self.x),
            negative_curvature: self.has_kept.then(|| NegativeCurvature {
                direction: Array1::from_vec(direction),
                rayleigh,
            }),
            stop,
            stats,
        }
    }

    /// `x`, in the caller's units after [`finish`](Self::finish).
    pub(crate) fn x(&self) -> &[T] {
        &self.x
    }

    /// The direction of nonpositive curvature and its Rayleigh quotient.
    pub(crate) fn negative(&self) -> Option<(&[T], T)> {
        self.has_kept.then_some((&self.kept, self.rayleigh))
    }

    /// Returns `x` to the caller's units; how it ended.
    pub(super) fn finish(&mut self) -> MinresStop {
        scale(self.unit, &mut self.x);
        if all_finite(&self.x) {
            return self.stop.unwrap_or(MinresStop::MaxIterations);
        }
        // The solution is beyond the range of the type.
        self.x.fill(T::zero());
        self.residual = norm2(&self.b);
        let what = Quantity::Point;
        MinresStop::NonFinite { what }
    }

    /// Runs until the *true* residual is within tolerance, restarting while that helps; or until
    /// another ending, or the given number of iterations.
    pub(super) fn drive<A, P>(&mut self, a: &A, m: &P, until: usize)
    where
        A: LinearOperator<T> + ?Sized,
        P: Preconditioner<T> + ?Sized,
    {
        let n = self.b.len();
        self.v.resize(n, T::zero());
        self.q.resize(n, T::zero());
        while self.stop.is_none() {
            let pause = self.n_iters >= until && self.n_iters < self.limits.max_iters;
            let ended = match self.recurrence.take() {
                None if self.begun => self.restart(a, m),
                None => self.begin(a, m),
                Some(recurrence) if pause => {
                    self.recurrence = Some(recurrence);
                    return;
                }
                Some(recurrence) => self.iterate(a, m, recurrence),
            };
            self.stop = ended.unwrap_or_else(Some);
        }
    }

    /// The residual at the start, and the tolerance, for which the preconditioner is needed.
    fn begin<A, P>(&mut self, a: &A, m: &P) -> Result<Option<MinresStop>, MinresStop>
    where
        A: LinearOperator<T> + ?Sized,
        P: Preconditioner<T> + ?Sized,
    {
        self.begun = true;
        let len = if m.is_identity() { 0 } else { self.b.len() };
        self.y.resize(len, T::zero());
        self.r2.copy_from_slice(&self.b);
        let b_norm = dual_norm(m, &self.r2, &mut self.y)?;
        self.residual = b_norm;
        self.tol = (self.limits.relative * b_norm).max(self.limits.absolute / self.unit);
        if self.warm {
            self.true_residual(a, m)?;
        }
        Ok(None)
    }

    /// Ends, or begins the recurrence at the true residual.
    fn restart<A, P>(&mut self, a: &A, m: &P) -> Result<Option<MinresStop>, MinresStop>
    where
        A: LinearOperator<T> + ?Sized,
        P: Preconditioner<T> + ?Sized,
    {
        if self.residual <= self.tol {
            return Ok(Some(MinresStop::Converged));
        }
        // Each restart has to halve the true residual, so there are finitely many.
        if self.residual > T::of(0.5) * self.before {
            return self.at_rest(a, m).map(Some);
        }
        self.before = self.residual;
        self.start.copy_from_slice(&self.x);
        self.w.fill(T::zero());
        self.w_old.fill(T::zero());
        let y = if m.is_identity() { &self.r2 } else { &self.y };
        self.d.iter_mut().zip(y).for_each(|(d, &y)| *d = y);
        self.recurrence = Some(Recurrence::new(self.residual));
        Ok(None)
    }

    /// One iteration, and what follows from it.
    fn iterate<A, P>(
        &mut self,
        a: &A,
        m: &P,
        mut recurrence: Recurrence<T>,
    ) -> Result<Option<MinresStop>, MinresStop>
    where
        A: LinearOperator<T> + ?Sized,
        P: Preconditioner<T> + ?Sized,
    {
        match self.advance_recurrence(a, m, &mut recurrence)? {
            None => {
                self.recurrence = Some(recurrence);
                Ok(None)
            }
            Some(Inner::Stop(MinresStop::NegativeCurvature)) => {
                Ok(Some(MinresStop::NegativeCurvature))
            }
            Some(Inner::Done) if !self.limits.verify => Ok(Some(MinresStop::Converged)),
            Some(Inner::Stop(stop)) if !self.limits.verify && stop != MinresStop::LeastSquares => {
                Ok(Some(stop))
            }
            Some(ended) => self.verify(a, m, ended),
        }
    }
}
