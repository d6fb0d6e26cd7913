//! Martens' Hessian-free optimisation.

mod inner;

use ad_core::Real;
use ndarray::{Array1, ArrayView1};
use serde::{Deserialize, Serialize};

use super::checks;
use super::curve::{Backtracking, Curve};
use super::line_search::gain_of;
use super::walk::{NewtonReport, Scratch, Walk};
use crate::bits;
use crate::error::{SolverError, check_setting};
use crate::minimize::{Budget, Iterate, Limits, Minimizer, Outcome, StopReason, minimize};
use crate::vector::{dot, slice_mut};
use crate::{Curvature, CurvatureOperator, SecondOrder};
use inner::{Inner, InnerStop};

/// Hessian-free optimisation (Martens 2010): conjugate gradients on `(G + λI)p = −g` with the
/// Gauss–Newton matrix, made for deep networks.
///
/// - *Inner iteration*: from 0.95 of the last solution; stops when the quadratic `φ` has fallen,
///   over the last `k = max(10, i/10)` iterations, by less than `kε` of itself. With the
///   preconditioner `(diag + λ)^¾` if the objective offers a diagonal
///   ([`SecondOrder::curvature_diagonal_into`]).
/// - *Backtracking over iterates*: those of number `⌈5·1.3^j⌉` are kept; from the last one back as
///   long as the value improves.
/// - *Damping*: the ratio `ρ` of the change of the value to that of the *undamped* quadratic
///   multiplies `λ` by 3/2 below ¼, by 2/3 above ¾. `λ` has the units of the curvature.
/// - *Line search* along the chosen iterate: Armijo with 1e-2 and the factor 0.8.
/// - *Batches*: before each linearization the objective may choose the cases that products refer
///   to ([`SecondOrder::select_curvature_batch`]); `ρ` is then taken over those.
///
/// An iteration in which no step is found changes `λ` and the warm start only. Hundred such
/// in a row end the run. Products with the Hessian are possible too: a direction
/// of nonpositive curvature ends the inner iteration, and multiplies `λ` by 3/2.
///
/// A stationary point of any kind counts as converged.
///
/// - **Cost** of an iteration: a product per step of conjugate gradients and one for the warm
///   start; a value for each iterate looked at, and two over the batch if there is one; a
///   linearization.
/// - **Memory**: about ten vectors, and one for each iterate kept: 17 of 250.
///
/// References: Martens, *Deep learning via Hessian-free optimization* (2010), and the code
/// that goes with it; Martens & Sutskever, *Training deep and recurrent networks with
/// Hessian-free optimization* (2012).
///
/// ```
/// use ad_core::Function;
/// use hvp_solvers::{Curvature, FunctionObjective, newton::HessianFree};
/// use ndarray::array;
/// let f = Function::<f64>::record_scalars(2, |x| {
///     let (a, b) = (1.0 - x[0], 2.0 - x[1]);
///     a * a + 10.0 * b * b
/// })?;
/// // Without a model output there is no Gauss–Newton matrix.
/// let method = HessianFree { curvature: Curvature::Hessian, ..HessianFree::default() };
/// let mut objective = FunctionObjective::new(&f, &[])?;
/// let found = method.solve(&mut objective, array![0.0, 0.0].view())?;
/// assert!(found.stop.is_converged());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct HessianFree {
    /// Which matrix is the curvature. Default Gauss–Newton.
    pub curvature: Curvature,
    /// The first `λ > 0`. Default 45, as for the autoencoders of the paper: the most important
    /// setting; the first `ρ` should lie in 0.75 to 0.95.
    pub initial_damping: f64,
    /// The bounds of `λ`. Default 1e-12 to 1e12.
    pub damping_range: (f64, f64),
    /// Steps of an inner iteration, at most, each of one product. Default 250.
    pub max_cg_iters: usize,
    /// `ε` of the test of progress. Default 5e-4.
    pub progress_tolerance: f64,
    /// The inner iteration also ends at a residual of this share of `‖g‖`. Default 1e-10.
    pub relative_tolerance: f64,
    /// The share of the last solution that the next inner iteration starts from, in [0, 1].
    /// Default 0.95.
    pub warm_start: f64,
    /// The number of the first iterate kept. Default 5.
    pub first_kept: f64,
    /// The ratio of the numbers of the next ones, above 1. Default 1.3.
    pub kept_growth: f64,
    /// Armijo's constant. Default 1e-2.
    pub sufficient_decrease: f64,
    /// The factor of the line search. Default 0.8.
    pub backtracking: f64,
    /// Trial points of the line search. Default 60.
    pub max_trials: u32,
}

impl Default for HessianFree {
    fn default() -> Self {
        Self {
            curvature: Curvature::GaussNewton,
            initial_damping: 45.0,
            damping_range: (1e-12, 1e12),
            max_cg_iters: 250,
            progress_tolerance: 5e-4,
            relative_tolerance: 1e-10,
            warm_start: 0.95,
            first_kept: 5.0,
            kept_growth: 1.3,
            sufficient_decrease: 1e-2,
            backtracking: 0.8,
            max_trials: 60,
        }
    }
}

/// The state of [`HessianFree`]: the point, `λ` and the last inner solution.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct HessianFreeState<T: Real> {
    walk: Walk<T>,
    #[serde(with = "bits::scalar")]
    damping: T,
    /// The last iterate of conjugate gradients.
    #[serde(with = "bits::vector")]
    solution: Array1<T>,
    /// Iterations in a row without a step.
    refused: u32,
    #[serde(skip)]
    work: Scratch<Work<T>>,
}

#[derive(Debug)]
struct Work<T> {
    inner: Inner<T>,
    start: Vec<T>,
    p: Vec<T>,
}

impl<T: Real> HessianFreeState<T> {
    /// `λ`, with which the next iteration starts.
    pub fn damping(&self) -> T {
        self.damping
    }

    /// Counts of this method, and its last step.
    pub fn report(&self) -> NewtonReport {
        self.walk.report()
    }
}

/// The iterate of conjugate gradients that was chosen.
struct Chosen<T> {
    index: usize,
    value: T,
    /// The undamped quadratic there.
    quadratic: T,
}

impl HessianFree {
    /// Minimises from `x0` within [`Limits::for_type`].
    ///
    /// # Errors
    /// As [`minimize`].
    pub fn solve<T: Real, F: SecondOrder<T> + ?Sized>(
        &self,
        objective: &mut F,
        x0: ArrayView1<'_, T>,
    ) -> Result<Outcome<T>, SolverError> {
        minimize(self, objective, x0, &Limits::for_type::<T>())
    }

    /// The inner solution; `state.solution` becomes its last iterate.
    fn solve_inner<T: Real, F: SecondOrder<T> + ?Sized>(
        &self,
        objective: &F,
        state: &mut HessianFreeState<T>,
        work: &mut Work<T>,
        budget: Budget,
    ) -> InnerStop {
        let Work { inner, start, .. } = work;
        let share = T::of(self.warm_start);
        start.clear();
        start.extend(state.solution.iter().map(|&s| share * s));
        inner.precondition(objective, state.damping);
        let a = CurvatureOperator::of(objective, self.curvature, state.damping);
        // The product of the warm start is not one of the iteration's.
        let most = budget.products_up_to(self.max_cg_iters + 1);
        let stop = inner.solve(self, &a, state.walk.gradient(), start, most);
        state.walk.count_products(inner.n_products);
        slice_mut(&mut state.solution).copy_from_slice(&inner.x);
        stop
    }

    /// From the last iterate kept back as long as the value improves.
    fn choose<T: Real, F: SecondOrder<T> + ?Sized>(
        &self,
        objective: &mut F,
        walk: &mut Walk<T>,
        inner: &Inner<T>,
        damping: T,
    ) -> Option<Chosen<T>> {
        let mut chosen: Option<Chosen<T>> = None;
        for index in (0..inner.kept.len()).rev() {
            let trial = walk.try_step(objective, inner.vector(index));
            if walk.is_out_of_values() {
                break;
            }
            // A value that is not finite counts as infinite.
            let value = if trial.value.is_finite() {
                trial.value
            } else {
                T::infinity()
            };
            if chosen
                .as_ref()
                .is_some_and(|best| best.value.is_finite() && value >= best.value)
            {
                break;
            }
            let kept = inner.kept[index];
            let quadratic = kept.phi - T::of(0.5) * damping * kept.norm * kept.norm;
            chosen = Some(Chosen {
                index,
                value,
                quadratic,
            });
        }
        chosen
    }

    /// Levenberg–Marquardt: `λ` for the next iteration by the ratio of this one.
    ///
    /// Where the curvature was not positive, `λ` was too small, whatever the ratio.
    fn adapt<T: Real>(&self, damping: T, change: T, quadratic: T, stop: InnerStop) -> T {
        const RAISE: f64 = 1.5;
        let ratio = change / quadratic;
        let is_bent_down = stop == InnerStop::NegativeCurvature;
        let good = quadratic < T::zero() && change < T::zero() && change.is_finite();
        let next = if !good || is_bent_down || ratio < T::of(0.25) {
            damping * T::of(RAISE)
        } else if ratio > T::of(0.75) {
            damping / T::of(RAISE)
        } else {
            damping
        };
        next.max(T::of(self.damping_range.0))
            .min(T::of(self.damping_range.1))
    }

    /// The change of the value over the cases of the products; `None` if it costs more evaluations
    /// than are left.
    fn change<T: Real, F: SecondOrder<T> + ?Sized>(
        objective: &mut F,
        walk: &mut Walk<T>,
        p: &[T],
        value: T,
    ) -> Option<T> {
        if !objective.has_curvature_batches() {
            return Some(value - walk.iterate.value);
        }
        if !walk.spend_values(2) {
            return None;
        }
        let there: Array1<T> = walk.iterate.x.iter().zip(p).map(|(&x, &p)| x + p).collect();
        let before = objective.curvature_value(walk.iterate.x());
        Some(objective.curvature_value(there.view()) - before)
    }

    fn iteration<T: Real, F: SecondOrder<T> + ?Sized>(
        &self,
        objective: &mut F,
        state: &mut HessianFreeState<T>,
        work: &mut Work<T>,
        budget: Budget,
    ) -> Option<StopReason> {
        /// `λ` has grown by 1e17 by then.
        const MOST_REFUSED: u32 = 100;
        if let Some(stop) = state.walk.begin(budget) {
            return Some(stop);
        }
        let inner_stop = self.solve_inner(objective, state, work, budget);
        let Work { inner, p, .. } = work;
        let HessianFreeState { walk, damping, .. } = state;
        if inner_stop == InnerStop::NegativeCurvature {
            walk.n_negative_curvature += 1;
        }
        let Some(chosen) = self.choose(objective, walk, inner, *damping) else {
            if walk.is_out_of_values() {
                return Some(StopReason::EvaluationBudget);
            }
            if let InnerStop::NonFinite(what) = inner_stop {
                return Some(StopReason::NonFinite { what });
            }
            *damping = self.adapt(*damping, T::nan(), T::zero(), inner_stop);
            return refuse(state, MOST_REFUSED, StopReason::NoDescent);
        };
        let step = inner.vector(chosen.index);
        let Some(change) = Self::change(objective, walk, step, chosen.value) else {
            return Some(StopReason::EvaluationBudget);
        };
        // As near the minimum both drown in noise, the quadratic is to be believed.
        let noise = walk.noise(chosen.value);
        let (change, quadratic) = (change - noise, chosen.quadratic - noise);
        *damping = self.adapt(*damping, change, quadratic, inner_stop);
        walk.promise(gain_of(dot(walk.gradient(), step), false));
        let line = Curve {
            z: &[],
            d: step,
            slope: dot(walk.gradient(), step),
            bend: T::zero(),
            is_full: true,
        };
        let search = Backtracking {
            c1: self.sufficient_decrease,
            factor: Some(self.backtracking),
            max_trials: self.max_trials,
            max_doublings: 0,
        };
        let down = line.slope < T::zero();
        let found = if down {
            search.search_from(walk, objective, &line, p, Some(chosen.value))
        } else {
            walk.n_rejected += 1;
            return refuse(state, MOST_REFUSED, StopReason::NoDescent);
        };
        match found {
            Ok(taken) => {
                state.refused = 0;
                objective.select_curvature_batch(state.walk.stats().n_linearizations);
                state.walk.accept(objective, taken.noise)
            }
            Err(last) if !last.moved || state.walk.is_out_of_values() => {
                Some(state.walk.exhausted(last, StopReason::Stalled))
            }
            Err(last) => {
                let otherwise = state.walk.exhausted(last, StopReason::LineSearchFailed);
                refuse(state, MOST_REFUSED, otherwise)
            }
        }
    }
}

/// Counts an iteration without a step; the end of the run if there were too many.
fn refuse<T: Real>(
    state: &mut HessianFreeState<T>,
    most: u32,
    otherwise: StopReason,
) -> Option<StopReason> {
    state.refused += 1;
    (state.refused >= most).then_some(otherwise)
}

impl<T: Real, F: SecondOrder<T> + ?Sized> Minimizer<T, F> for HessianFree {
    type State = HessianFreeState<T>;

    fn check(&self, objective: &F) -> Result<(), SolverError> {
        let (low, high) = self.damping_range;
        checks::positive::<T>("damping_range", low)?;
        checks::positive::<T>("damping_range", high)?;
        let first = self.initial_damping;
        let inside = (low..=high).contains(&first);
        check_setting("initial_damping", first, inside, "within damping_range")?;
        checks::at_least_one("max_cg_iters", self.max_cg_iters)?;
        checks::at_least_zero::<f64>("progress_tolerance", self.progress_tolerance)?;
        checks::at_least_zero::<f64>("relative_tolerance", self.relative_tolerance)?;
        let warm = self.warm_start;
        check_setting("warm_start", warm, (0.0..=1.0).contains(&warm), "in [0, 1]")?;
        let (kept, growth) = (self.first_kept, self.kept_growth);
        check_setting(
            "first_kept",
            kept,
            kept >= 1.0 && kept.is_finite(),
            "at least 1",
        )?;
        let grows = growth > 1.0 && growth.is_finite();
        check_setting("kept_growth", growth, grows, "above 1, finite")?;
        checks::share("backtracking", self.backtracking)?;
        checks::line_search(self.sufficient_decrease, self.max_trials)?;
        checks::offers(objective, self.curvature)
    }

    fn init(&self, objective: &mut F, x0: ArrayView1<'_, T>) -> Self::State {
        objective.select_curvature_batch(0);
        HessianFreeState {
            walk: Walk::start(objective, x0),
            damping: T::of(self.initial_damping),
            solution: Array1::zeros(x0.len()),
            refused: 0,
            work: Scratch::default(),
        }
    }

    fn prepare(&self, objective: &mut F, state: &Self::State) {
        let n_linearizations = state.walk.stats().n_linearizations;
        objective.select_curvature_batch(n_linearizations.saturating_sub(1));
        state.walk.prepare(objective);
    }

    fn step(
        &self,
        objective: &mut F,
        state: &mut Self::State,
        budget: Budget,
    ) -> Option<StopReason> {
        let n = state.walk.dim();
        let mut work = state.work.take(|| Work {
            inner: Inner::new(n),
            start: Vec::with_capacity(n),
            p: Vec::with_capacity(n),
        });
        let stop = self.iteration(objective, state, &mut work, budget);
        state.work.put(work);
        stop
    }

    fn iterate<'a>(&self, state: &'a Self::State) -> &'a Iterate<T> {
        &state.walk.iterate
    }

    fn best(&self, state: &Self::State) -> Outcome<T> {
        state.walk.best()
    }
}
