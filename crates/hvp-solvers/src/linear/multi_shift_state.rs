//! A solve of shifted systems between two iterations.

use ad_core::Real;
use ndarray::ArrayView1;
use serde::{Deserialize, Serialize};

use super::Identity;
use super::cg::{Cg, CgStop};
use super::cg_state::CgState;
use super::checks::attainable;
use super::multi_shift::MultiShiftCg;
use super::several::{Ended, SeveralOutcome, common_stop, several_outcome};
use crate::bits;
use crate::error::{Quantity, SolverError, check_len};
use crate::operator::{LinearOperator, Shifted, apply};
use crate::vector::{all_finite, axpy, dot, norm2, power_of_two_below, scale};

/// One shifted system, in units of `‖b‖`.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(bound = "T: Real")]
struct System<T> {
    #[serde(with = "bits::scalar")]
    shift: T,
    #[serde(with = "bits::vector")]
    x: Vec<T>,
    /// The direction, a row of `L⁻¹Vᵀ`.
    #[serde(with = "bits::vector")]
    p: Vec<T>,
    /// The last entry of `L⁻¹(‖b‖e₁)`, and of `L`.
    #[serde(with = "bits::scalar")]
    zeta: T,
    #[serde(with = "bits::scalar")]
    l: T,
    #[serde(with = "bits::scalar")]
    residual: T,
    n_iters: usize,
    /// `None` while it is at work; that it converged is to be verified.
    stop: Option<CgStop>,
}

impl<T: Real> System<T> {
    fn new(shift: T, n: usize, norm: T) -> Self {
        Self {
            shift,
            x: vec![T::zero(); n],
            p: vec![T::zero(); n],
            zeta: norm,
            l: T::zero(),
            residual: norm,
            n_iters: 0,
            stop: None,
        }
    }

    /// Takes in row `(β, α, β_next)` of the Lanczos matrix and its vector.
    fn take_row(&mut self, v: &[T], alpha: T, beta: T, next: T, tol: T) {
        let pivot = alpha + self.shift - self.l * beta;
        let step = self.zeta / pivot;
        let l = next / pivot;
        if pivot <= T::zero() {
            return self.stop = Some(CgStop::NotPositiveDefinite);
        }
        if !(step.is_finite() && l.is_finite()) {
            return self.stop = Some(CgStop::Stagnated);
        }
        for (p, &v) in self.p.iter_mut().zip(v) {
            *p = v - self.l * *p;
        }
        axpy(step, &self.p, &mut self.x);
        self.l = l;
        self.zeta = -l * self.zeta;
        self.residual = self.zeta.abs();
        self.n_iters += 1;
        if self.residual <= tol {
            self.stop = Some(CgStop::Converged);
        }
    }
}

/// A solve by [`MultiShiftCg`] in progress: everything that its future depends on, but for the
/// operator.
///
/// Carried on in parts of any size, it makes the same products and yields the same bits as
/// in one go; also if it is serialised in between, as `(2k + 3)n` numbers and a few for `k`
/// shifts.
///
/// ```
/// use hvp_solvers::linear::MultiShiftCg;
/// use hvp_solvers::operator::DiagonalOperator;
/// use ndarray::{array, Array1};
/// let a = DiagonalOperator::new(array![1.0, 2.0, 4.0, 8.0]);
/// let (b, shifts) = (Array1::ones(4), [0.0, 1.0]);
/// let mut state = MultiShiftCg::default().start(b.view(), &shifts)?;
/// while state.advance(&a, 1)?.is_none() {
///     assert!(state.n_iters() <= 4);
/// }
/// assert_eq!(state.into_outcome(), MultiShiftCg::default().solve(&a, b.view(), &shifts)?);
/// # Ok::<(), hvp_solvers::SolverError>(())
/// ```
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(bound = "T: Real")]
pub struct MultiShiftState<T> {
    /// Power of two near `‖b‖`: all vectors and norms are in units of it.
    #[serde(with = "bits::scalar")]
    unit: T,
    #[serde(with = "bits::scalar")]
    norm: T,
    #[serde(with = "bits::scalar")]
    tol: T,
    max_iters: usize,
    #[serde(with = "bits::vector")]
    b: Vec<T>,
    /// The next Lanczos vector and the one before it, and what couples them.
    #[serde(with = "bits::vector")]
    v: Vec<T>,
    #[serde(with = "bits::vector")]
    v_old: Vec<T>,
    #[serde(with = "bits::scalar")]
    beta: T,
    systems: Vec<System<T>>,
    /// So many systems have their final ending.
    n_verified: usize,
    /// What plain conjugate gradients have to mend in the next one.
    rest: Option<CgState<T>>,
    n_iters: usize,
    n_products: usize,
    /// `Av`, of no meaning between iterations.
    #[serde(skip)]
    w: Vec<T>,
}

impl<T: Real> MultiShiftState<T> {
    /// For checked input.
    pub(super) fn new(config: &MultiShiftCg, b: ArrayView1<'_, T>, shifts: &[T]) -> Self {
        let n = b.len();
        // A power of two: in units of it nothing overflows, and no bit changes.
        let unit = power_of_two_below(norm2(&b.to_vec()));
        let b: Vec<T> = b.iter().map(|&b| b / unit).collect();
        let norm = norm2(&b);
        let relative = attainable::<T>(config.relative_tolerance) * norm;
        let tol = relative.max(T::of(config.absolute_tolerance) / unit);
        let mut v = b.clone();
        scale(norm.recip(), &mut v);
        let mut state = Self {
            unit,
            norm,
            tol,
            max_iters: config.max_iters.unwrap_or(10 * n + 10),
            b,
            v,
            v_old: vec![T::zero(); n],
            beta: T::zero(),
            systems: shifts.iter().map(|&s| System::new(s, n, norm)).collect(),
            n_verified: 0,
            rest: None,
            n_iters: 0,
            n_products: 0,
            w: Vec::new(),
        };
        if norm <= tol {
            // Zero will do, and needs no product to show it.
            state.end_all(CgStop::Converged);
            state.n_verified = shifts.len();
        }
        state
    }

    /// Iterates at most `n_iters` times more, also counting those of plain conjugate gradients
    /// for systems that rounding has spoiled; the ending, once all systems have one: the first
    /// that is not [`CgStop::Converged`], if any. Returns at an ending or right before an
    /// iteration.
    ///
    /// # Errors
    /// [`SolverError::DimensionMismatch`] for an operator of another dimension, or a state whose
    /// vectors were tampered with. The operator has to be the same in every part.
    pub fn advance<A>(&mut self, a: &A, n_iters: usize) -> Result<Option<CgStop>, SolverError>
    where
        A: LinearOperator<T> + ?Sized,
    {
        let n = self.b.len();
        check_len("operator", a.dim(), n)?;
        let of_systems = self.systems.iter().flat_map(|s| [&s.x, &s.p]);
        for part in of_systems.chain([&self.v, &self.v_old]) {
            check_len("state", part.len(), n)?;
        }
        self.w.resize(n, T::zero());
        let until = self.n_iters.saturating_add(n_iters);
        self.recur(a, until);
        if self.is_recurring() {
            return Ok(None);
        }
        while self.n_verified < self.systems.len() {
            if self.rest.is_none() {
                self.verify(a)?;
            }
            if !self.mend(a, until)? {
                return Ok(None);
            }
            self.n_verified += 1;
        }
        Ok(common_stop(self.systems.iter().map(|system| system.stop)))
    }

    /// Iterations so far.
    pub fn n_iters(&self) -> usize {
        self.n_iters
    }

    /// The iterates as they stand; [`CgStop::MaxIterations`] for those that have no other ending
    /// yet, or were not verified.
    pub fn into_outcome(mut self) -> SeveralOutcome<T> {
        if let Some(rest) = self.rest.take() {
            self.take_rest(rest);
        }
        for system in self.systems.iter_mut().skip(self.n_verified) {
            if system.stop.is_none_or(CgStop::is_converged) {
                system.stop = Some(CgStop::MaxIterations);
            }
        }
        let (n, unit, norm) = (self.b.len(), self.unit, self.norm);
        let systems = self.systems.into_iter().map(|system| Ended {
            unit,
            x: system.x,
            stop: system.stop.unwrap_or(CgStop::MaxIterations),
            n_iters: system.n_iters,
            residual: system.residual,
            norm,
        });
        several_outcome(n, systems, self.n_products)
    }

    /// Whether some system is at work in the recurrence.
    fn is_recurring(&self) -> bool {
        self.systems.iter().any(|system| system.stop.is_none())
    }

    /// The ending of all systems at work.
    fn end_all(&mut self, stop: CgStop) {
        for system in self.systems.iter_mut().filter(|s| s.stop.is_none()) {
            system.stop = Some(stop);
        }
    }

    /// Runs the recurrence until no system is at work, or there were so many iterations.
    fn recur<A: LinearOperator<T> + ?Sized>(&mut self, a: &A, until: usize) {
        while self.is_recurring() {
            if self.n_iters >= self.max_iters {
                self.end_all(CgStop::MaxIterations);
            } else if self.n_iters >= until {
                return;
            } else {
                self.iterate(a);
            }
        }
    }

    /// One iteration.
    fn iterate<A: LinearOperator<T> + ?Sized>(&mut self, a: &A) {
        apply(a, &self.v, &mut self.w);
        self.n_products += 1;
        axpy(-self.beta, &self.v_old, &mut self.w);
        let alpha = dot(&self.v, &self.w);
        axpy(-alpha, &self.v, &mut self.w);
        let next = norm2(&self.w);
        if !(alpha.is_finite() && next.is_finite()) {
            let what = Quantity::Product;
            return self.end_all(CgStop::NonFinite { what });
        }
        self.n_iters += 1;
        for system in self.systems.iter_mut().filter(|s| s.stop.is_none()) {
            system.take_row(&self.v, alpha, self.beta, next, self.tol);
        }
        if next == T::zero() {
            // The space is invariant: every residual is zero.
            return self.end_all(CgStop::MaxIterations);
        }
        std::mem::swap(&mut self.v_old, &mut self.v);
        for (v, &w) in self.v.iter_mut().zip(&self.w) {
            *v = w / next;
        }
        self.beta = next;
    }

    /// Computes the true residual of the next system if it converged; leaves the rest to [`Cg`]
    /// if it is too large.
    fn verify<A: LinearOperator<T> + ?Sized>(&mut self, a: &A) -> Result<(), SolverError> {
        let system = &mut self.systems[self.n_verified];
        if system.stop != Some(CgStop::Converged) {
            return Ok(());
        }
        if !all_finite(&system.x) {
            let what = Quantity::Point;
            system.stop = Some(CgStop::NonFinite { what });
            return Ok(());
        }
        apply(a, &system.x, &mut self.w);
        self.n_products += 1;
        for ((w, &x), &b) in self.w.iter_mut().zip(&system.x).zip(&self.b) {
            *w = b - (*w + system.shift * x);
        }
        let residual = norm2(&self.w);
        if !residual.is_finite() {
            let what = Quantity::Product;
            system.stop = Some(CgStop::NonFinite { what });
            return Ok(());
        }
        system.residual = residual;
        if residual > self.tol {
            let rest = Cg {
                relative_tolerance: 0.0,
                absolute_tolerance: self.tol.as_f64(),
                max_iters: Some(self.max_iters.saturating_sub(system.n_iters)),
            };
            let (b, x) = (ArrayView1::from(&self.b), ArrayView1::from(&system.x));
            self.rest = Some(rest.start(b, Some(x))?);
        }
        Ok(())
    }

    /// Goes on with [`Cg`] where that is needed; false if it is not done.
    fn mend<A>(&mut self, a: &A, until: usize) -> Result<bool, SolverError>
    where
        A: LinearOperator<T> + ?Sized,
    {
        let Some(rest) = &mut self.rest else {
            return Ok(true);
        };
        let shifted = Shifted::new(a, self.systems[self.n_verified].shift);
        let before = rest.n_iters();
        let left = until.saturating_sub(self.n_iters);
        let stop = rest.advance(&shifted, &Identity, left)?;
        self.n_iters += rest.n_iters() - before;
        if stop.is_none() {
            return Ok(false);
        }
        if let Some(rest) = self.rest.take() {
            self.take_rest(rest);
        }
        Ok(true)
    }

    /// Takes over what [`Cg`] has reached for the system it worked on.
    fn take_rest(&mut self, rest: CgState<T>) {
        let found = rest.into_outcome();
        self.n_products += found.stats.n_products;
        if let Some(system) = self.systems.get_mut(self.n_verified) {
            system.n_iters += found.stats.n_iters;
            system.residual = T::of(found.stats.residual_norm);
            system.stop = Some(found.stop);
            system.x = found.x.to_vec();
        }
    }
}
