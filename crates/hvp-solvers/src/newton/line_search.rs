//! Newton's method with a line search.

use ad_core::Real;
use ndarray::ArrayView1;
use serde::{Deserialize, Serialize};

use super::checks;
use super::curve::{Backtracking, Curve};
use super::forcing::{Forcing, Memory};
use super::saddle::StationaryCheck;
use super::steps::{Look, leave};
use super::walk::{NewtonReport, Scratch, Walk, natural_length};
use crate::bits;
use crate::error::SolverError;
use crate::linear::{TruncatedCg, TruncatedOutcome, TruncatedStop, TruncatedWorkspace};
use crate::minimize::{Budget, Iterate, Limits, Minimizer, Outcome, StopReason, minimize};
use crate::vector::{dot, norm2};
use crate::{Curvature, CurvatureOperator, SecondOrder};

/// Minimises `f` along approximate Newton directions from conjugate gradients.
///
/// Each iteration solves `Hp = −g` by conjugate gradients to the accuracy of the forcing
/// sequence and backtracks along `p` from 1 (Armijo, with the minimiser of a parabola). Where
/// a direction `d` of nonpositive curvature turns up, after the iterate `z`, it
/// searches along the curve
///
/// `x + α²z + αtd`,   with   `f ≤ f(x) + c₁(αt·gᵀd + ½α²(t²dᵀHd + 2gᵀz))`,
///
/// of Moré & Sorensen (1979), and doubles `α` while that lowers the value: a direction of
/// negative curvature has no length of its own. The length that was good is where the next one
/// begins.
///
/// A value that is not finite counts as infinite: the search steps back from it. If
/// it fails it is repeated along `−g`; if that fails too the run ends, with
/// [`StopReason::LineSearchFailed`]. A step that has gained nothing in value or gradient is
/// followed by one along `−g`: in a narrow valley the Newton direction can be all rounding,
/// and the gradient lies along the floor.
///
/// - **Cost** of an iteration: a product for each step of conjugate gradients, a value per trial,
///   a linearization.
/// - **Memory**: about ten vectors.
///
/// References: Dembo & Steihaug 1983; Nocedal & Wright, *Numerical Optimization*, algorithm
/// 7.1; Eisenstat & Walker 1996 for the forcing sequence.
///
/// ```
/// use hvp_solvers::{newton::LineSearchNewton, objective::Quadratic};
/// use ndarray::array;
/// let mut f = Quadratic::new(array![[2.0, 0.0], [0.0, 20.0]], array![0.0, 0.0])?;
/// let found = LineSearchNewton::default().solve(&mut f, array![1.0, 1.0].view())?;
/// assert!(found.stop.is_converged());
/// # Ok::<(), hvp_solvers::SolverError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LineSearchNewton {
    /// Which matrix is the curvature. Default the Hessian.
    pub curvature: Curvature,
    /// The constant `λ ≥ 0` added to its diagonal. Default 0.
    pub damping: f64,
    /// At most this many products for a direction; `None`, the default, for `10n + 10`.
    pub max_cg_iters: Option<usize>,
    /// How accurately the Newton systems are solved. [`Forcing::eisenstat_walker`] takes fewer
    /// products where the way is easy, and can fail in a narrow valley.
    pub forcing: Forcing,
    /// `c₁`, the share of the promised decrease that a step has to reach, in (0, ½). Default
    /// 1e-4.
    pub sufficient_decrease: f64,
    /// Trial points along one curve. Default 60.
    pub max_trials: u32,
    /// The length of the first step along negative curvature; `None`, the default, for
    /// `max(1, ‖x₀‖/10)`.
    pub initial_reach: Option<f64>,
    /// Whether to look for negative curvature where the gradient vanishes.
    pub stationary_check: StationaryCheck,
    /// Seed of that check's random vector. Default 0.
    pub seed: u64,
}

impl Default for LineSearchNewton {
    fn default() -> Self {
        Self {
            curvature: Curvature::Hessian,
            damping: 0.0,
            max_cg_iters: None,
            forcing: Forcing::default(),
            sufficient_decrease: 1e-4,
            max_trials: 60,
            initial_reach: None,
            stationary_check: StationaryCheck::default(),
            seed: 0,
        }
    }
}

/// The state of [`LineSearchNewton`]: the point and the length of steps along negative
/// curvature.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct LineSearchState<T: Real> {
    walk: Walk<T>,
    #[serde(with = "bits::scalar")]
    reach: T,
    forcing: Memory,
    #[serde(skip)]
    work: Scratch<Work<T>>,
}

#[derive(Debug)]
struct Work<T> {
    cg: TruncatedWorkspace<T>,
    d: Vec<T>,
    p: Vec<T>,
}

impl<T: Real> LineSearchState<T> {
    /// Counts of this method, and its last step.
    pub fn report(&self) -> NewtonReport {
        self.walk.report()
    }
}

impl LineSearchNewton {
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

    fn search(&self) -> Backtracking {
        Backtracking {
            c1: self.sufficient_decrease,
            factor: None,
            max_trials: self.max_trials,
            max_doublings: 0,
        }
    }

    /// Conjugate gradients on `Hp = −g`.
    fn direction<T: Real, F: SecondOrder<T> + ?Sized>(
        &self,
        objective: &F,
        state: &mut LineSearchState<T>,
        work: &mut TruncatedWorkspace<T>,
        budget: Budget,
    ) -> TruncatedOutcome<T> {
        let walk = &mut state.walk;
        let norms = (
            walk.iterate.gradient_norm(),
            walk.iterate.gradient_norm_start(),
        );
        let cap = self.max_cg_iters.unwrap_or(10 * walk.dim() + 10);
        let cg = TruncatedCg {
            relative_tolerance: self.forcing.eta(norms.0, norms.1, &mut state.forcing),
            max_iters: Some(budget.products_up_to(cap)),
            path_memory: 0,
        };
        let operator = CurvatureOperator::of(objective, self.curvature, T::of(self.damping));
        let g = ArrayView1::from(walk.gradient());
        let found = cg.solve_unbounded(&operator, g, work);
        walk.count_products(found.n_products);
        found
    }

    fn iteration<T: Real, F: SecondOrder<T> + ?Sized>(
        &self,
        objective: &mut F,
        state: &mut LineSearchState<T>,
        work: &mut Work<T>,
        budget: Budget,
    ) -> Option<StopReason> {
        if let Some(stop) = state.walk.begin(budget) {
            return Some(stop);
        }
        if state.walk.needs_a_change() {
            let LineSearchState { walk, reach, .. } = state;
            let search = forward(self.search());
            return along_gradient(search, walk, objective, *reach, &mut work.d, &mut work.p);
        }
        let found = self.direction(objective, state, &mut work.cg, budget);
        let LineSearchState { walk, reach, .. } = state;
        let Work { cg, d, p } = work;
        let z = cg.step_slice();
        let down = dot(walk.gradient(), z);
        walk.promise(gain_of(down, cg.negative_direction().is_some()));
        let taken = if let Some((direction, rayleigh)) = cg.negative_direction() {
            walk.n_negative_curvature += 1;
            let t = found.step_norm.max(*reach);
            orient(walk.gradient(), direction, t, d);
            let curve = Curve {
                z,
                d,
                slope: dot(walk.gradient(), d),
                bend: t * rayleigh.min(T::zero()) * t + T::of(2.0) * down,
                is_full: false,
            };
            let search = forward(self.search());
            let taken = search.search(walk, objective, &curve, p);
            if let Ok(taken) = taken {
                *reach = t * taken.alpha;
            }
            taken
        } else if down < T::zero() {
            let line = Curve {
                z: &[],
                d: z,
                slope: down,
                bend: T::zero(),
                is_full: true,
            };
            self.search().search(walk, objective, &line, p)
        } else if let TruncatedStop::NonFinite { what } = found.stop {
            return Some(StopReason::NonFinite { what });
        } else {
            return along_gradient(self.search(), walk, objective, *reach, d, p);
        };
        match taken {
            Ok(taken) => walk.accept(objective, taken.noise),
            Err(_) => along_gradient(self.search(), walk, objective, *reach, d, p),
        }
    }
}

/// What a Newton step of this slope `gᵀp` gains by the model, `½|gᵀp|`; infinite if it is none, or
/// the model has no minimum.
pub(super) fn gain_of<T: Real>(slope: T, is_bent_down: bool) -> T {
    if slope < T::zero() && !is_bent_down {
        T::of(-0.5) * slope
    } else {
        T::infinity()
    }
}

/// A search along a direction without a length of its own.
pub(super) fn forward(search: Backtracking) -> Backtracking {
    /// From 1 to a million, in one iteration.
    const DOUBLINGS: u32 = 20;
    Backtracking {
        max_doublings: DOUBLINGS,
        ..search
    }
}

/// `out ← ±t·d/‖d‖`, with the sign that does not lead up.
pub(super) fn orient<T: Real>(g: &[T], d: &[T], t: T, out: &mut Vec<T>) {
    let length = t / norm2(d);
    let length = if dot(g, d) > T::zero() {
        -length
    } else {
        length
    };
    out.clear();
    out.extend(d.iter().map(|&d| length * d));
}

/// The last resort: a search along `−g`, from this length.
pub(super) fn along_gradient<T: Real, F: SecondOrder<T> + ?Sized>(
    search: Backtracking,
    walk: &mut Walk<T>,
    objective: &mut F,
    reach: T,
    d: &mut Vec<T>,
    p: &mut Vec<T>,
) -> Option<StopReason> {
    if walk.is_out_of_values() {
        return Some(StopReason::EvaluationBudget);
    }
    let norm = walk.iterate.gradient_norm();
    orient(walk.gradient(), walk.gradient(), reach, d);
    let line = Curve {
        z: &[],
        d,
        slope: -norm * reach,
        bend: T::zero(),
        is_full: false,
    };
    match search.search(walk, objective, &line, p) {
        Ok(taken) => walk.accept(objective, taken.noise),
        Err(last) => Some(walk.exhausted(last, StopReason::LineSearchFailed)),
    }
}

impl<T: Real, F: SecondOrder<T> + ?Sized> Minimizer<T, F> for LineSearchNewton {
    type State = LineSearchState<T>;

    fn check(&self, objective: &F) -> Result<(), SolverError> {
        checks::at_least_zero::<T>("damping", self.damping)?;
        checks::line_search(self.sufficient_decrease, self.max_trials)?;
        checks::positive_if_any::<T>("initial_reach", self.initial_reach)?;
        self.forcing.check()?;
        checks::offers(objective, self.curvature)
    }

    fn init(&self, objective: &mut F, x0: ArrayView1<'_, T>) -> Self::State {
        LineSearchState {
            walk: Walk::start(objective, x0),
            reach: self.initial_reach.map_or_else(|| natural_length(x0), T::of),
            forcing: Memory::default(),
            work: Scratch::default(),
        }
    }

    fn prepare(&self, objective: &mut F, state: &Self::State) {
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
            cg: TruncatedWorkspace::new(n),
            d: Vec::with_capacity(n),
            p: Vec::with_capacity(n),
        });
        let stop = self.iteration(objective, state, &mut work, budget);
        state.work.put(work);
        stop
    }

    fn leave_stationary(
        &self,
        objective: &mut F,
        state: &mut Self::State,
        budget: Budget,
    ) -> Option<StopReason> {
        let look = Look {
            check: self.stationary_check,
            seed: self.seed,
            reach: state.reach,
            max_reach: T::max_value(),
            curvature: self.curvature,
            damping: T::of(self.damping),
        };
        match leave(&mut state.walk, objective, &look, budget) {
            Ok(reach) => {
                state.reach = reach;
                None
            }
            Err(stop) => Some(stop),
        }
    }

    fn iterate<'a>(&self, state: &'a Self::State) -> &'a Iterate<T> {
        &state.walk.iterate
    }

    fn best(&self, state: &Self::State) -> Outcome<T> {
        state.walk.best()
    }
}
