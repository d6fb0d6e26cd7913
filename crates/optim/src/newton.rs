//! Damped Newton with a dense Hessian.

use ad_core::Real;
use hvp_solvers::dense::{DenseReal, cholesky_in_place, cholesky_in_place_bytes};
use hvp_solvers::vector::{all_finite, dot, norm2, power_of_two_below, slice, slice_mut};
use hvp_solvers::{Quantity, SecondOrder, bits};
use ndarray::{Array1, Array2, ArrayView1, ArrayViewMut1, Zip, s};
use serde::{Deserialize, Serialize};

use crate::minimize::{Budget, Iterate, MinimizeError, Minimizer, Outcome, Progress, StopReason};
use crate::settings::{positive, require};

/// Newton's method with a dense Hessian, Cholesky factors and a Levenberg–Marquardt
/// shift.
///
/// Each iteration solves (H + λD)p = −∇f(x), with D by [`Scaling`], and tests the step by
/// the gain ratio
///
/// ```text
/// ρ = (f(x) − f(x + p)) / (−∇fᵀp − ½pᵀHp)
/// ```
///
/// with the noise of the values ([`Noise`](crate::minimize::Noise)) added to both, so that
/// rounding near a minimum does not reject a
/// good step. λ starts at 0 and is raised while H + λD has no Cholesky factor, f is
/// not finite at the trial, or ρ ≤ 1e-4: from `first_shift`, times 2, 4, 8, …
/// in a row. It falls tenfold after ρ > ¾ and doubles after an accepted ρ < ¼; below
/// 2.2e-13 of `first_shift` it is 0 again, and a convex quadratic takes one step.
///
/// Cost of an iteration: a dense Hessian (at most n products), n³/3 multiplications per
/// factorisation, one value per trial and one gradient. Memory: 1.5n² numbers, twelve
/// vectors and what the factorisation takes ([`cholesky_in_place_bytes`]), refused with
/// [`MinimizeError::OverBudget`] before anything is computed if it exceeds
/// `max_bytes`. The Hessian, its shift and the factor take turns in one matrix, beside the
/// Hessian's triangle. What the objective itself takes to write a Hessian comes on top:
/// see its [`SecondOrder::hessian_into`].
///
/// Ends with [`StopReason::NoiseFloor`] if the value is as low as it can be told, with
/// [`StopReason::Stalled`] if ‖p‖ ≤ eps·‖x‖ without a lower value, and
/// with [`StopReason::NonFinite`] if the Hessian is not finite, or f at every trial. At a saddle point
/// the gradient vanishes, and like any method that looks at the gradient this one
/// counts as converged there.
///
/// Levenberg (1944); Marquardt (1963); Nielsen, *Damping parameter in Marquardt's
/// method* (1999) for the growing factor; Conn, Gould and Toint, *Trust-region
/// methods*, §17.4, for the ratio near a minimum.
///
/// ```
/// use hvp_solvers::objective::Quadratic;
/// use ndarray::array;
/// use optim::minimize::{Limits, minimize};
/// use optim::newton::Newton;
///
/// // x² + 10y²: one step.
/// let mut f = Quadratic::new(array![[2.0, 0.0], [0.0, 20.0]], array![0.0, 0.0])?;
/// let outcome =
///     minimize(&Newton::default(), &mut f, array![3.0, -4.0].view(), &Limits::default())?;
/// assert_eq!(outcome.stats.n_iters, 1);
/// assert!(outcome.x.iter().all(|x: &f64| x.abs() <= 8.0 * f64::EPSILON));
/// # Ok::<(), optim::minimize::MinimizeError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Newton {
    /// Memory allowed for the matrix and the vectors. Default 2 GiB: 13,000 parameters in `f64`.
    pub max_bytes: u64,
    /// Trial steps in one iteration before it counts as stalled. Default 60.
    pub max_trials: u32,
    /// The first λ > 0. Default 1e-3. With [`Scaling::Identity`] it has the units of the
    /// Hessian: for 2ᵏ·f, 2ᵏ times as much makes the same steps, to the bit.
    pub first_shift: f64,
    /// D, what the shift is measured in. Default [`Scaling::Identity`].
    pub scaling: Scaling,
}

/// What a Levenberg–Marquardt shift is measured in: the matrix D of H + λD.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scaling {
    /// D = I (Levenberg): for parameters of one kind, such as weights of a network, and where
    /// the Hessian is indefinite with small diagonal entries.
    Identity,
    /// D = diag max(|Hᵢᵢ|, 1e-8·max|H|) (Marquardt): for parameters of different units, and a
    /// function of any scale.
    Diagonal,
}

impl Default for Newton {
    fn default() -> Self {
        Newton {
            max_bytes: 2 << 30,
            max_trials: 60,
            first_shift: 1e-3,
            scaling: Scaling::Identity,
        }
    }
}

impl Newton {
    /// Bytes that a run takes for `dim` parameters: the matrix, in which Hessian, shift and factor
    /// take turns, the Hessian's triangle, the vectors, and the factorisation's own.
    pub fn bytes_needed<T: Real>(&self, dim: usize) -> u128 {
        // The point, the gradient, the trial's, the best point, the step, the scaling, and copies
        // that the call itself takes and returns.
        const VECTORS: u128 = 12;
        let n = dim as u128;
        let numbers = n * n + n * (n + 1) / 2 + VECTORS * n;
        numbers * size_of::<T>() as u128 + cholesky_in_place_bytes::<T>(dim) as u128
    }
}

/// The state of [`Newton`]: the point and the shift.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct NewtonState<T: Real> {
    iterate: Iterate<T>,
    progress: Progress<T>,
    #[serde(with = "bits::scalar")]
    shift: T,
    /// Buffers that carry nothing from one iteration to the next.
    #[serde(skip)]
    work: Work<T>,
}

impl<T: Real> NewtonState<T> {
    /// λ, with which the next iteration starts.
    pub fn shift(&self) -> T {
        self.shift
    }
}

#[derive(Debug, Clone, Default)]
struct Work<T> {
    /// The Hessian, then H + λD, then its factor.
    matrix: Array2<T>,
    /// The upper triangle of the Hessian, row by row.
    triangle: Vec<T>,
    /// D.
    scale: Array1<T>,
    /// A power of two near the largest entry of the diagonal.
    unit: T,
    step: Array1<T>,
    x: Array1<T>,
    gradient: Array1<T>,
    /// Evaluations left to the iteration.
    values_left: u64,
}

impl<T: Real> Work<T> {
    fn resize(&mut self, dim: usize) {
        if self.step.len() != dim {
            self.matrix = Array2::zeros((dim, dim));
            self.triangle = vec![T::zero(); dim * (dim + 1) / 2];
            self.scale = Array1::zeros(dim);
            self.step = Array1::zeros(dim);
            self.x = Array1::zeros(dim);
            self.gradient = Array1::zeros(dim);
        }
    }
}

impl<T: DenseReal, F: SecondOrder<T> + ?Sized> Minimizer<T, F> for Newton {
    type State = NewtonState<T>;

    fn check(&self, objective: &F) -> Result<(), MinimizeError> {
        let dim = objective.dim();
        require(
            "max_trials",
            self.max_trials.into(),
            self.max_trials > 0,
            "at least 1",
        )?;
        positive("first_shift", self.first_shift)?;
        let held = T::of(self.first_shift);
        require(
            "first_shift",
            self.first_shift,
            held > T::zero() && held.is_finite(),
            "finite and positive in the objective's type",
        )?;
        let bytes_needed = self.bytes_needed::<T>(dim);
        if bytes_needed > u128::from(self.max_bytes) {
            let bytes_allowed = self.max_bytes;
            return Err(MinimizeError::OverBudget {
                dim,
                bytes_needed,
                bytes_allowed,
            });
        }
        Ok(())
    }

    fn init(&self, objective: &mut F, x0: ArrayView1<'_, T>) -> NewtonState<T> {
        NewtonState::start(objective, x0)
    }

    fn prepare(&self, objective: &mut F, state: &NewtonState<T>) {
        let mut gradient = state.iterate.gradient.clone();
        objective.linearize(state.iterate.x(), gradient.view_mut());
    }

    fn step(
        &self,
        objective: &mut F,
        state: &mut NewtonState<T>,
        budget: Budget,
    ) -> Option<StopReason> {
        self.iteration(objective, state, budget, solve_in_place)
    }

    fn iterate<'a>(&self, state: &'a NewtonState<T>) -> &'a Iterate<T> {
        &state.iterate
    }

    fn best(&self, state: &NewtonState<T>) -> Outcome<T> {
        state.progress.outcome(state.iterate.stats)
    }
}

/// Replaces b by A⁻¹b and the upper triangle of A by the factor, or returns false if A has no
/// Cholesky factor.
type Solve<T> = fn(&mut Array2<T>, &mut Array1<T>) -> bool;

/// The one use of a factorisation.
fn solve_in_place<T: DenseReal>(a: &mut Array2<T>, b: &mut Array1<T>) -> bool {
    match cholesky_in_place(a) {
        Ok(factor) => {
            factor.solve_in_place(slice_mut(b));
            true
        }
        Err(_) => false,
    }
}

impl Newton {
    /// One iteration: the Hessian, then trial steps until one is accepted.
    fn iteration<T: Real, F: SecondOrder<T> + ?Sized>(
        &self,
        objective: &mut F,
        state: &mut NewtonState<T>,
        budget: Budget,
        solve: Solve<T>,
    ) -> Option<StopReason> {
        if let Some(stop) = state.begin(budget) {
            return Some(stop);
        }
        if !state.set_hessian(objective, self.scaling) {
            return Some(StopReason::NonFinite {
                what: Quantity::Product,
            });
        }
        let mut factor = T::of(2.0);
        let mut failure = StopReason::Stalled;
        for _ in 0..self.max_trials {
            failure = match state.try_step(objective, solve) {
                Verdict::Accepted { ratio } => {
                    state.relax(ratio, T::of(self.first_shift));
                    return None;
                }
                Verdict::Negligible => break,
                Verdict::OutOfValues => return Some(StopReason::EvaluationBudget),
                Verdict::Rejected => StopReason::Stalled,
                Verdict::NonFinite(quantity) => StopReason::NonFinite { what: quantity },
            };
            let least = T::of(self.first_shift);
            state.shift = if state.shift < least {
                least
            } else {
                state.shift * factor
            };
            factor *= T::of(2.0);
        }
        Some(match failure {
            StopReason::Stalled => state.at_rest(),
            other => other,
        })
    }
}

/// What became of a trial step.
enum Verdict<T> {
    Accepted {
        ratio: T,
    },
    Rejected,
    /// Rejected because the objective is not finite at the trial point.
    NonFinite(Quantity),
    Negligible,
    OutOfValues,
}

impl<T: Real> Work<T> {
    /// D, positive in every entry.
    fn set_scale(&mut self, scaling: Scaling) {
        if scaling == Scaling::Identity {
            return self.scale.fill(T::one());
        }
        let top = self
            .matrix
            .iter()
            .fold(T::zero(), |top, h| top.max(h.abs()));
        // Of a zero Hessian any shift is as good as another.
        let least = if top > T::zero() {
            T::of(1e-8) * top
        } else {
            T::one()
        };
        Zip::from(&mut self.scale)
            .and(self.matrix.diag())
            .for_each(|d, h| {
                *d = h.abs().max(least);
            });
    }

    fn keep_triangle(&mut self) {
        let mut rest = &mut self.triangle[..];
        for (i, row) in self.matrix.rows().into_iter().enumerate() {
            let (kept, below) = rest.split_at_mut(row.len() - i);
            ArrayViewMut1::from(kept).assign(&row.slice(s![i..]));
            rest = below;
        }
    }

    /// Writes −(H + shift·D)⁻¹·gradient to `step`; false if that matrix has no
    /// Cholesky factor or the solution overflows.
    ///
    /// Both are in units of [`unit`](Self::unit): the roots of pivots that are an odd power of two
    /// larger are rounded otherwise, and steps would depend on the units of f.
    fn set_step(&mut self, shift: T, gradient: &Array1<T>, solve: Solve<T>) -> bool {
        let mut rest = &self.triangle[..];
        // A power of two as well.
        let inverse = self.unit.recip();
        for (i, mut row) in self.matrix.rows_mut().into_iter().enumerate() {
            let (kept, below) = rest.split_at(row.len() - i);
            let mut row = row.slice_mut(s![i..]);
            row.assign(&ArrayView1::from(kept));
            row[0] += shift * self.scale[i];
            row.mapv_inplace(|h| inverse * h);
            rest = below;
        }
        self.step.assign(gradient);
        self.step.mapv_inplace(|g| inverse * g);
        if !solve(&mut self.matrix, &mut self.step) {
            return false;
        }
        self.step.map_inplace(|p| *p = -*p);
        all_finite(slice(&self.step))
    }

    /// The trial point `x + t·step`.
    fn set_trial(&mut self, x: &Array1<T>, t: T) {
        Zip::from(&mut self.x)
            .and(x)
            .and(&self.step)
            .for_each(|trial, &x, &p| *trial = x + t * p);
    }
}

impl<T: Real> NewtonState<T> {
    fn start<F: SecondOrder<T> + ?Sized>(objective: &mut F, x0: ArrayView1<'_, T>) -> Self {
        let mut iterate = Iterate::start(x0, |x, grad| objective.linearize(x, grad.view_mut()));
        iterate.stats.n_linearizations = 1;
        NewtonState {
            progress: Progress::new(&iterate),
            iterate,
            shift: T::zero(),
            work: Work::default(),
        }
    }

    /// Begins an iteration, or says why there is none.
    fn begin(&mut self, budget: Budget) -> Option<StopReason> {
        let dim = self.iterate.x.len();
        if let Some(stop) = self.progress.stall(self.iterate.value) {
            return Some(stop);
        }
        // A trial, and the linearization that follows it.
        if budget.values_left() < 2 {
            return Some(StopReason::EvaluationBudget);
        }
        if budget.products_up_to(dim) < dim {
            return Some(StopReason::ProductBudget);
        }
        self.work.resize(dim);
        self.work.values_left = budget.values_left();
        self.iterate.stats.n_iters += 1;
        None
    }

    fn at_rest(&self) -> StopReason {
        let value = self.iterate.value;
        self.progress.at_rest(value, StopReason::Stalled)
    }

    /// Writes the Hessian and its scaling; false if it is not finite.
    fn set_hessian<F>(&mut self, objective: &F, scaling: Scaling) -> bool
    where
        F: SecondOrder<T> + ?Sized,
    {
        let work = &mut self.work;
        objective.hessian_into(work.matrix.view_mut());
        self.iterate.stats.n_products += work.step.len() as u64;
        if !work.matrix.iter().all(|h| h.is_finite()) {
            return false;
        }
        work.keep_triangle();
        work.set_scale(scaling);
        let diagonal = work.matrix.diag();
        let top = diagonal.fold(T::zero(), |top, h| top.max(h.abs()));
        work.unit = power_of_two_below(top);
        true
    }

    /// Solves with the present shift and evaluates the trial point.
    fn try_step<F: SecondOrder<T> + ?Sized>(
        &mut self,
        objective: &mut F,
        solve: Solve<T>,
    ) -> Verdict<T> {
        let NewtonState {
            iterate,
            progress,
            shift,
            work,
        } = self;
        if !work.set_step(*shift, &iterate.gradient, solve) {
            return Verdict::Rejected;
        }
        let (p, gradient) = (slice(&work.step), slice(&iterate.gradient));
        // Hp = −∇f − λDp, so the model needs no product with H.
        let bend = Zip::from(&work.step)
            .and(&work.scale)
            .fold(T::zero(), |sum, &p, &d| sum + p * d * p);
        let slope = dot(gradient, p);
        let predicted = T::of(0.5) * (*shift * bend - slope);
        // Where the shift hardly matters, the step is Newton's.
        let is_full = *shift * bend <= T::of(-0.1) * slope;
        progress.promise(if is_full { predicted } else { T::infinity() });
        work.set_trial(&iterate.x, T::one());
        let length = norm2(slice(&work.step));
        if length <= T::epsilon() * norm2(slice(&iterate.x)) || work.x == iterate.x {
            return Verdict::Negligible;
        }
        if work.values_left < 2 {
            return Verdict::OutOfValues;
        }
        work.values_left -= 1;
        let value = objective.value(work.x.view());
        iterate.stats.n_evals += 1;
        if !value.is_finite() {
            return Verdict::NonFinite(Quantity::Value);
        }
        let verdict = self.weigh(objective, value, predicted);
        self.progress.check_promise(self.iterate.value, value);
        match verdict {
            Some((ratio, noise)) => self.accept(objective, ratio, noise, predicted),
            None => Verdict::Rejected,
        }
    }

    /// The gain ratio of the trial and the noise in it, if it is good enough; judged a second time
    /// if the noise turns out to be larger than was known.
    fn weigh<F>(&mut self, objective: &mut F, trial: T, predicted: T) -> Option<(T, T)>
    where
        F: SecondOrder<T> + ?Sized,
    {
        let NewtonState {
            iterate,
            progress,
            work,
            ..
        } = self;
        let value = iterate.value;
        let judge = |progress: &Progress<T>| {
            let noise = progress.allowance(value, trial, predicted);
            let ratio = (value - trial + noise) / (predicted + noise);
            let good = ratio > T::of(1e-4) && progress.is_no_worse(trial, noise);
            good.then_some((ratio, noise))
        };
        let first = judge(progress);
        if first.is_some() {
            return first;
        }
        let left = work.values_left;
        let more = progress.doubt(value, trial, predicted, left, |t| {
            work.set_trial(&iterate.x, t);
            work.values_left -= 1;
            iterate.stats.n_evals += 1;
            objective.value(work.x.view())
        });
        work.set_trial(&iterate.x, T::one());
        if more { judge(progress) } else { None }
    }

    /// Linearizes at the trial point and moves there, if the gradient is finite.
    fn accept<F>(&mut self, objective: &mut F, ratio: T, noise: T, promised: T) -> Verdict<T>
    where
        F: SecondOrder<T> + ?Sized,
    {
        let NewtonState {
            iterate,
            progress,
            work,
            ..
        } = self;
        let value = objective.linearize(work.x.view(), work.gradient.view_mut());
        work.values_left -= 1;
        iterate.stats.n_evals += 1;
        iterate.stats.n_gradients += 1;
        iterate.stats.n_linearizations += 1;
        if !value.is_finite() {
            return Verdict::NonFinite(Quantity::Value);
        }
        if !norm2(slice(&work.gradient)).is_finite() {
            return Verdict::NonFinite(Quantity::Gradient);
        }
        std::mem::swap(&mut iterate.x, &mut work.x);
        std::mem::swap(&mut iterate.gradient, &mut work.gradient);
        iterate.value = value;
        iterate.update_norm();
        progress.accept(iterate, noise, promised);
        Verdict::Accepted { ratio }
    }

    /// Adapts the shift to the gain ratio; where it is rounding beside the first one, it is zero.
    fn relax(&mut self, ratio: T, first_shift: T) {
        /// The default first shift at which this is eps.
        const UNIT: f64 = 1e3;
        if ratio > T::of(0.75) {
            self.shift *= T::of(0.1);
        } else if ratio < T::of(0.25) {
            self.shift *= T::of(2.0);
        }
        if self.shift < T::of(UNIT) * T::epsilon() * first_shift {
            self.shift = T::zero();
        }
    }
}
