//! A solve by LSMR between two iterations.

use ad_core::Real;
use ndarray::{Array1, ArrayView1, ArrayViewMut1};
use serde::{Deserialize, Serialize};

use super::lsmr::{LsmrOutcome, LsmrStats, LsmrStop};
use super::lsmr_factors::{Factors, Figures, Update};
use crate::bits;
use crate::error::{Quantity, SolverError, check_len};
use crate::operator::RectangularOperator;
use crate::vector::{all_finite, axpy, norm2, power_of_two_below, scale};

/// When to stop, in the operator's type.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(bound = "T: Real")]
pub(super) struct Limits<T> {
    #[serde(with = "bits::scalar")]
    pub(super) damping: T,
    #[serde(with = "bits::scalar")]
    pub(super) relative: T,
    #[serde(with = "bits::scalar")]
    pub(super) operator: T,
    #[serde(with = "bits::scalar")]
    pub(super) condition: T,
    /// `None` for `10 min(m, n) + 10`.
    pub(super) max_iters: Option<usize>,
}

/// A solve by [`Lsmr`](super::Lsmr) in progress: everything that its future depends on, but for
/// the operator.
///
/// Carried on in parts of any size, it makes the same products and yields the same bits as in one
/// go; also if it is serialised in between, as `2m + 4n` numbers and a few for `m` rows and
/// `n` columns.
///
/// ```
/// use hvp_solvers::linear::Lsmr;
/// use hvp_solvers::operator::DenseRectangular;
/// use ndarray::array;
/// let a = DenseRectangular::new(array![[1.0, 0.0], [0.0, 2.0], [1.0, 1.0]]);
/// let b = array![1.0, 2.0, 3.0];
/// let mut state = Lsmr::default().start(b.view())?;
/// while state.advance(&a, 1)?.is_none() {
///     assert!(state.n_iters() <= 2);
/// }
/// assert_eq!(state.into_outcome(), Lsmr::default().solve(&a, b.view())?);
/// # Ok::<(), hvp_solvers::SolverError>(())
/// ```
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(bound = "T: Real")]
pub struct LsmrState<T> {
    limits: Limits<T>,
    /// Power of two near `‖b‖`: all vectors and norms are in units of it.
    #[serde(with = "bits::scalar")]
    unit: T,
    #[serde(with = "bits::vector")]
    b: Vec<T>,
    /// The left and right vectors of the bidiagonalisation; those on the right are empty before
    /// the first product, which tells their length.
    #[serde(with = "bits::vector")]
    u: Vec<T>,
    #[serde(with = "bits::vector")]
    v: Vec<T>,
    #[serde(with = "bits::vector")]
    h: Vec<T>,
    #[serde(with = "bits::vector")]
    h_bar: Vec<T>,
    #[serde(with = "bits::vector")]
    x: Vec<T>,
    #[serde(with = "bits::scalar")]
    b_norm: T,
    /// The last diagonal entry.
    #[serde(with = "bits::scalar")]
    alpha: T,
    /// `None` before the first product.
    factors: Option<Factors<T>>,
    figures: Figures<T>,
    n_iters: usize,
    n_products: usize,
    n_transposed: usize,
    stop: Option<LsmrStop>,
    /// Products on their way in, of no meaning between iterations.
    #[serde(skip)]
    au: Vec<T>,
    #[serde(skip)]
    av: Vec<T>,
}

impl<T: Real> LsmrState<T> {
    /// For checked input.
    pub(super) fn new(limits: Limits<T>, b: ArrayView1<'_, T>) -> Self {
        let unit = power_of_two_below(norm2(&b.to_vec()));
        let b: Vec<T> = b.iter().map(|&b| b / unit).collect();
        let (zero, b_norm) = (T::zero(), norm2(&b));
        Self {
            limits,
            unit,
            u: b.clone(),
            b,
            v: Vec::new(),
            h: Vec::new(),
            h_bar: Vec::new(),
            x: Vec::new(),
            b_norm,
            alpha: zero,
            factors: None,
            figures: Figures {
                residual: b_norm,
                normal: zero,
                solution: zero,
                operator: zero,
                condition: T::one(),
            },
            n_iters: 0,
            n_products: 0,
            n_transposed: 0,
            stop: None,
            au: Vec::new(),
            av: Vec::new(),
        }
    }

    /// Iterates at most `n_iters` times more; the ending, once there is one. Returns at an
    /// ending or right before an iteration.
    ///
    /// # Errors
    /// [`SolverError::DimensionMismatch`] for an operator of other dimensions, or a state whose
    /// vectors were tampered with. The operator has to be the same in every part.
    pub fn advance<A>(&mut self, a: &A, n_iters: usize) -> Result<Option<LsmrStop>, SolverError>
    where
        A: RectangularOperator<T> + ?Sized,
    {
        let (m, n) = (a.nrows(), a.ncols());
        check_len("operator", m, self.b.len())?;
        check_len("state", self.u.len(), m)?;
        if self.begun() {
            for part in [&self.v, &self.h, &self.h_bar, &self.x] {
                check_len("state", part.len(), n)?;
            }
        }
        self.drive(a, self.n_iters.saturating_add(n_iters));
        Ok(self.stop)
    }

    /// Iterations so far.
    pub fn n_iters(&self) -> usize {
        self.n_iters
    }

    /// The iterate as it stands (empty before the first [`advance`](Self::advance));
    /// [`LsmrStop::MaxIterations`] if there is no other ending yet.
    pub fn into_outcome(mut self) -> LsmrOutcome<T> {
        let mut stop = self.stop.unwrap_or(LsmrStop::MaxIterations);
        scale(self.unit, &mut self.x);
        let mut figures = self.figures;
        if !all_finite(&self.x) {
            // The solution is beyond the range of the type.
            self.x.fill(T::zero());
            figures.residual = norm2(&self.b);
            figures.solution = T::zero();
            let what = Quantity::Point;
            stop = LsmrStop::NonFinite { what };
        }
        let stats = LsmrStats {
            n_iters: self.n_iters,
            n_products: self.n_products,
            n_transposed: self.n_transposed,
            residual_norm: (figures.residual * self.unit).as_f64(),
            normal_residual_norm: (figures.normal * self.unit).as_f64(),
            solution_norm: (figures.solution * self.unit).as_f64(),
            operator_norm: figures.operator.as_f64(),
            condition: figures.condition.as_f64(),
        };
        LsmrOutcome {
            x: Array1::from_vec(self.x),
            stop,
            stats,
        }
    }

    /// Whether there are vectors on the right.
    fn begun(&self) -> bool {
        self.factors.is_some() || self.stop.is_some()
    }

    /// Runs to an ending, or the given number of iterations.
    pub(super) fn drive<A>(&mut self, a: &A, until: usize)
    where
        A: RectangularOperator<T> + ?Sized,
    {
        let (m, n) = (a.nrows(), a.ncols());
        self.au.resize(m, T::zero());
        self.av.resize(n, T::zero());
        let max_iters = self.limits.max_iters.unwrap_or(10 * m.min(n) + 10);
        while self.stop.is_none() {
            let ended = match self.factors {
                None => self.begin(a),
                Some(_) if self.n_iters >= max_iters => Err(LsmrStop::MaxIterations),
                Some(_) if self.n_iters >= until => return,
                Some(factors) => self.iterate(a, factors),
            };
            self.stop = ended.err();
            if let Some(promised) = self.stop.filter(|stop| stop.is_converged()) {
                self.stop = Some(self.verify(a, promised));
            }
        }
    }

    /// The first two vectors.
    fn begin<A>(&mut self, a: &A) -> Result<(), LsmrStop>
    where
        A: RectangularOperator<T> + ?Sized,
    {
        for part in [&mut self.v, &mut self.h, &mut self.h_bar, &mut self.x] {
            part.clear();
            part.resize(a.ncols(), T::zero());
        }
        let b_norm = self.b_norm;
        if b_norm == T::zero() || b_norm <= self.limits.relative * b_norm {
            return Err(LsmrStop::Converged);
        }
        scale(b_norm.recip(), &mut self.u);
        let alpha = self.next_right(a, T::zero())?;
        if alpha == T::zero() {
            return Err(LsmrStop::LeastSquares);
        }
        self.alpha = alpha;
        self.h.copy_from_slice(&self.v);
        self.figures.operator = alpha;
        self.figures.normal = alpha * b_norm;
        self.factors = Some(Factors::new(alpha, b_norm));
        Ok(())
    }

    /// One iteration; an ending is an error.
    fn iterate<A>(&mut self, a: &A, mut factors: Factors<T>) -> Result<(), LsmrStop>
    where
        A: RectangularOperator<T> + ?Sized,
    {
        let beta = self.next_left(a, self.alpha)?;
        // ‖Av‖ for the last v: whatever orthogonality is lost, no more than ‖A‖.
        self.figures.operator = self.figures.operator.max(self.alpha.hypot(beta));
        self.alpha = if beta > T::zero() {
            self.next_right(a, beta)?
        } else {
            T::zero()
        };
        let mut figures = self.figures;
        let update = factors.advance(self.alpha, beta, self.limits.damping, &mut figures);
        if !(update.x.is_finite() && update.h.is_finite() && figures.residual.is_finite()) {
            return Err(LsmrStop::Stagnated);
        }
        self.factors = Some(factors);
        self.update(&update);
        self.n_iters += 1;
        figures.solution = norm2(&self.x);
        self.figures = figures;
        self.judge().map_or(Ok(()), Err)
    }

    /// The first test that holds.
    fn judge(&self) -> Option<LsmrStop> {
        let (limits, now, b_norm) = (&self.limits, &self.figures, self.b_norm);
        let reach = now.operator * now.solution;
        if now.residual <= limits.relative * b_norm + limits.operator * reach {
            return Some(LsmrStop::Converged);
        }
        if now.normal <= limits.operator * now.operator * now.residual {
            return Some(LsmrStop::LeastSquares);
        }
        if now.condition >= limits.condition || now.condition.is_nan() {
            return Some(LsmrStop::ConditionLimit);
        }
        None
    }

    /// `h̄ ← h − … h̄`, `x ← x + … h̄`, `h ← v − … h`.
    fn update(&mut self, update: &Update<T>) {
        for (h_bar, &h) in self.h_bar.iter_mut().zip(&self.h) {
            *h_bar = h - update.h_bar * *h_bar;
        }
        axpy(update.x, &self.h_bar, &mut self.x);
        for (h, &v) in self.h.iter_mut().zip(&self.v) {
            *h = v - update.h * *h;
        }
    }

    fn product<A: RectangularOperator<T> + ?Sized>(&mut self, a: &A) {
        let (from, to) = (ArrayView1::from(&self.v), ArrayViewMut1::from(&mut self.au));
        a.apply_into(from, to);
        self.n_products += 1;
    }

    fn transposed_product<A: RectangularOperator<T> + ?Sized>(&mut self, a: &A) {
        let (from, to) = (ArrayView1::from(&self.u), ArrayViewMut1::from(&mut self.av));
        a.apply_transposed_into(from, to);
        self.n_transposed += 1;
    }

    /// `βu ← Av − αu`.
    fn next_left<A>(&mut self, a: &A, alpha: T) -> Result<T, LsmrStop>
    where
        A: RectangularOperator<T> + ?Sized,
    {
        self.product(a);
        for (u, &av) in self.u.iter_mut().zip(&self.au) {
            *u = av - alpha * *u;
        }
        normalise(&mut self.u)
    }

    /// `αv ← Aᵀu − βv`.
    fn next_right<A>(&mut self, a: &A, beta: T) -> Result<T, LsmrStop>
    where
        A: RectangularOperator<T> + ?Sized,
    {
        self.transposed_product(a);
        for (v, &au) in self.v.iter_mut().zip(&self.av) {
            *v = au - beta * *v;
        }
        normalise(&mut self.v)
    }

    /// Recomputes the figures; whether they keep what the recurrence promised, within a factor
    /// of two.
    fn verify<A>(&mut self, a: &A, promised: LsmrStop) -> LsmrStop
    where
        A: RectangularOperator<T> + ?Sized,
    {
        if self.n_iters == 0 {
            return promised;
        }
        let bad = LsmrStop::NonFinite {
            what: Quantity::Product,
        };
        self.v.copy_from_slice(&self.x);
        self.product(a);
        for ((u, &ax), &b) in self.u.iter_mut().zip(&self.au).zip(&self.b) {
            *u = b - ax;
        }
        self.transposed_product(a);
        let damping = self.limits.damping;
        for (v, &aty) in self.v.iter_mut().zip(&self.av) {
            *v = aty - damping * (damping * *v);
        }
        let residual = norm2(&self.u).hypot(damping * self.figures.solution);
        let normal = norm2(&self.v);
        if !(residual.is_finite() && normal.is_finite()) {
            return bad;
        }
        self.figures.residual = residual;
        self.figures.normal = normal;
        let (now, limits) = (&self.figures, &self.limits);
        let reach = limits.relative * self.b_norm + limits.operator * now.operator * now.solution;
        let two = T::of(2.0);
        if residual <= two * reach {
            LsmrStop::Converged
        } else if normal <= two * limits.operator * now.operator * residual {
            LsmrStop::LeastSquares
        } else {
            LsmrStop::Stagnated
        }
    }
}

/// Makes a vector one of length one; returns the length it had.
fn normalise<T: Real>(x: &mut [T]) -> Result<T, LsmrStop> {
    let norm = norm2(x);
    if !norm.is_finite() {
        return Err(LsmrStop::NonFinite {
            what: Quantity::Product,
        });
    }
    if norm > T::zero() {
        for x in x {
            *x /= norm;
        }
    }
    Ok(norm)
}
