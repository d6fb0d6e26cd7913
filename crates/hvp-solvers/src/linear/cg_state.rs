//! A solve by conjugate gradients between two iterations.

use ad_core::Real;
use ndarray::{Array1, ArrayView1};
use serde::{Deserialize, Serialize};

use super::cg::{Cg, CgOutcome, CgStats, CgStop};
use super::checks::{attainable, check_preconditioner};
use super::preconditioner::{LimitedMemory, Preconditioner, precondition};
use crate::bits;
use crate::error::{Quantity, SolverError, check_len};
use crate::operator::{LinearOperator, apply};
use crate::vector::{all_finite, axpy, dot, norm2, power_of_two_below, scale, scale_sub};

/// A solve by [`Cg`] in progress: everything that its future depends on, but for the operator
/// and the preconditioner.
///
/// Carried on in parts of any size, it makes the same products and yields the same bits as
/// in one go; also if it is serialised in between, as `4n` numbers and a few.
///
/// ```
/// use hvp_solvers::linear::{Cg, Identity};
/// use hvp_solvers::operator::DiagonalOperator;
/// use ndarray::{array, Array1};
/// let a = DiagonalOperator::new(array![1.0, 2.0, 4.0, 8.0]);
/// let b = Array1::ones(4);
/// let mut state = Cg::default().start(b.view(), None)?;
/// while state.advance(&a, &Identity, 1)?.is_none() {
///     assert!(state.n_iters() <= 4);
/// }
/// assert_eq!(state.into_outcome(), Cg::default().solve(&a, b.view())?);
/// # Ok::<(), hvp_solvers::SolverError>(())
/// ```
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(bound = "T: Real")]
pub struct CgState<T> {
    /// Power of two near `‖b‖`: all vectors and norms are in units of it.
    #[serde(with = "bits::scalar")]
    unit: T,
    #[serde(with = "bits::scalar")]
    tol: T,
    max_iters: usize,
    #[serde(with = "bits::vector")]
    b: Vec<T>,
    #[serde(with = "bits::vector")]
    x: Vec<T>,
    /// `Ax − b`, the gradient of the quadratic.
    #[serde(with = "bits::vector")]
    r: Vec<T>,
    #[serde(with = "bits::vector")]
    d: Vec<T>,
    /// `rᵀM⁻¹r` of the last iteration; zero where the recurrence begins.
    #[serde(with = "bits::scalar")]
    rz: T,
    #[serde(with = "bits::scalar")]
    residual: T,
    /// The true residual at the last restart.
    #[serde(with = "bits::scalar")]
    before: T,
    /// Whether the true residual is due.
    verify: bool,
    n_iters: usize,
    n_products: usize,
    stop: Option<CgStop>,
    /// `Ad` and `M⁻¹r`, of no meaning between iterations.
    #[serde(skip)]
    q: Vec<T>,
    #[serde(skip)]
    y: Vec<T>,
}

impl<T: Real> CgState<T> {
    /// For checked input.
    pub(super) fn new(config: &Cg, b: ArrayView1<'_, T>, x0: Option<ArrayView1<'_, T>>) -> Self {
        let n = b.len();
        // A power of two: in units of it nothing overflows, and no bit changes.
        let unit = power_of_two_below(norm2(&b.to_vec()));
        let scaled = |v: ArrayView1<'_, T>| v.iter().map(|&v| v / unit).collect::<Vec<T>>();
        let b = scaled(b);
        let residual = norm2(&b);
        let relative = attainable::<T>(config.relative_tolerance) * residual;
        let mut state = Self {
            unit,
            tol: relative.max(T::of(config.absolute_tolerance) / unit),
            max_iters: config.max_iters.unwrap_or(10 * n + 10),
            r: b.iter().map(|&b| -b).collect(),
            b,
            x: x0.map_or_else(|| vec![T::zero(); n], scaled),
            d: vec![T::zero(); n],
            rz: T::zero(),
            residual,
            before: T::infinity(),
            verify: x0.is_some(),
            n_iters: 0,
            n_products: 0,
            stop: None,
            q: Vec::new(),
            y: Vec::new(),
        };
        if !state.verify {
            state.judge();
        }
        state
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
    ) -> Result<Option<CgStop>, SolverError>
    where
        A: LinearOperator<T> + ?Sized,
        P: Preconditioner<T> + ?Sized,
    {
        let n = self.b.len();
        check_len("operator", a.dim(), n)?;
        for part in [&self.x, &self.r, &self.d] {
            check_len("state", part.len(), n)?;
        }
        check_preconditioner(m.dim(), n)?;
        self.drive(a, m, None, self.n_iters.saturating_add(n_iters));
        Ok(self.stop)
    }

    /// Iterations so far.
    pub fn n_iters(&self) -> usize {
        self.n_iters
    }

    /// The iterate as it stands; [`CgStop::MaxIterations`] if there is no other ending yet.
    pub fn into_outcome(self) -> CgOutcome<T> {
        let mut stop = self.stop.unwrap_or(CgStop::MaxIterations);
        let (mut x, mut residual) = (self.x, self.residual);
        scale(self.unit, &mut x);
        if !all_finite(&x) {
            // The solution is beyond the range of the type.
            x.fill(T::zero());
            residual = norm2(&self.b);
            let what = Quantity::Point;
            stop = CgStop::NonFinite { what };
        }
        CgOutcome {
            x: Array1::from_vec(x),
            stop,
            stats: CgStats {
                n_iters: self.n_iters,
                n_products: self.n_products,
                residual_norm: (residual * self.unit).as_f64(),
            },
        }
    }

    /// Runs until the *true* residual is within tolerance, restarting while that helps; or until
    /// another ending, or the given number of iterations.
    pub(super) fn drive<A, P>(
        &mut self,
        a: &A,
        m: &P,
        mut pairs: Option<&mut LimitedMemory<T>>,
        until: usize,
    ) where
        A: LinearOperator<T> + ?Sized,
        P: Preconditioner<T> + ?Sized,
    {
        let n = self.b.len();
        self.q.resize(n, T::zero());
        self.y
            .resize(if m.is_identity() { 0 } else { n }, T::zero());
        while self.stop.is_none() {
            if self.verify || self.residual <= self.tol {
                self.stop = self.true_residual(a).err();
                if self.stop.is_none() {
                    self.judge();
                }
            } else if self.n_iters >= self.max_iters {
                self.stop = Some(CgStop::MaxIterations);
            } else if self.n_iters >= until {
                return;
            } else {
                self.stop = self.iterate(a, m, pairs.as_deref_mut()).err();
            }
        }
    }

    /// Ends, or begins the recurrence at the true residual.
    fn judge(&mut self) {
        if self.residual <= self.tol {
            self.stop = Some(CgStop::Converged);
        } else if self.residual > T::of(0.5) * self.before {
            // Each restart has to halve the true residual, so there are finitely many.
            self.stop = Some(CgStop::Stagnated);
        }
        self.before = self.residual;
        self.rz = T::zero();
        self.verify = false;
    }

    /// `r ← A x − b` by a product; if it is not finite, `r` is of no use.
    fn true_residual<A: LinearOperator<T> + ?Sized>(&mut self, a: &A) -> Result<(), CgStop> {
        apply(a, &self.x, &mut self.q);
        self.n_products += 1;
        for ((r, &q), &b) in self.r.iter_mut().zip(&self.q).zip(&self.b) {
            *r = q - b;
        }
        let norm = norm2(&self.r);
        if !norm.is_finite() {
            let what = Quantity::Product;
            return Err(CgStop::NonFinite { what });
        }
        self.residual = norm;
        Ok(())
    }

    /// One iteration.
    fn iterate<A, P>(
        &mut self,
        a: &A,
        m: &P,
        pairs: Option<&mut LimitedMemory<T>>,
    ) -> Result<(), CgStop>
    where
        A: LinearOperator<T> + ?Sized,
        P: Preconditioner<T> + ?Sized,
    {
        let what = Quantity::Product;
        let rz = self.precondition_residual(m)?;
        let y = if m.is_identity() { &self.r } else { &self.y };
        let beta = if self.rz > T::zero() {
            rz / self.rz
        } else {
            T::zero()
        };
        self.rz = rz;
        scale_sub(beta, y, &mut self.d);
        apply(a, &self.d, &mut self.q);
        self.n_products += 1;
        let curvature = dot(&self.d, &self.q);
        if !curvature.is_finite() {
            return Err(CgStop::NonFinite { what });
        }
        if curvature <= T::zero() {
            return Err(CgStop::NotPositiveDefinite);
        }
        let alpha = rz / curvature;
        if !alpha.is_finite() {
            return Err(CgStop::Stagnated);
        }
        if let Some(pairs) = pairs {
            pairs.take(&self.d, &self.q);
        }
        axpy(alpha, &self.d, &mut self.x);
        axpy(alpha, &self.q, &mut self.r);
        let norm = norm2(&self.r);
        if !norm.is_finite() {
            // The update overflowed: take it back.
            axpy(-alpha, &self.d, &mut self.x);
            return Err(CgStop::NonFinite { what });
        }
        self.n_iters += 1;
        self.residual = norm;
        Ok(())
    }

    /// `y ← M⁻¹ r`; returns `rᵀy > 0`.
    fn precondition_residual<P>(&mut self, m: &P) -> Result<T, CgStop>
    where
        P: Preconditioner<T> + ?Sized,
    {
        if m.is_identity() {
            let rz = self.residual * self.residual;
            // The square underflows: far below any right-hand side's rounding.
            return if rz > T::zero() {
                Ok(rz)
            } else {
                Err(CgStop::Stagnated)
            };
        }
        precondition(m, &self.r, &mut self.y);
        let rz = dot(&self.r, &self.y);
        if !rz.is_finite() {
            let what = Quantity::Preconditioner;
            return Err(CgStop::NonFinite { what });
        }
        if rz <= T::zero() {
            return Err(CgStop::PreconditionerNotPositiveDefinite);
        }
        Ok(rz)
    }
}
