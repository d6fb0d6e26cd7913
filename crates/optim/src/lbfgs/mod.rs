//! Limited-memory BFGS.

mod memory;
mod progress;
mod ray;

use ad_core::Real;
use hvp_solvers::Objective;
use hvp_solvers::vector::{dot, norm2, slice};
use ndarray::{Array1, ArrayView1};
use serde::{Deserialize, Serialize};

use crate::line_search::{SearchStop, StrongWolfe, Trial};
use crate::minimize::{Budget, Iterate, MinimizeError, Minimizer, Outcome, StopReason};
use crate::settings::require;
use memory::Memory;
use progress::Progress;
use ray::Ray;

/// L-BFGS with a strong Wolfe line search.
///
/// The direction is d = −H∇f(x), where H is the inverse-Hessian estimate of the last m
/// pairs sᵢ = xᵢ₊₁ − xᵢ, yᵢ = ∇f(xᵢ₊₁) − ∇f(xᵢ), started from γI and applied by the two-loop
/// recursion. γ is sᵀy/yᵀy of the newest pair, or half of the largest one in the memory if that is
/// more. Without pairs the direction is −∇f(x), and the first trial step is of length
/// min(1, ‖∇f(x)‖), or γ‖∇f(x)‖ if there were pairs before; other first trials are 1.
///
/// * A pair enters the memory if sᵀy ≥ 1e-10·‖s‖‖y‖, which does not depend on the
///   units of f or x; one that does not leaves the memory as it is.
/// * A direction with ∇fᵀd ≥ −eps·‖∇f‖‖d‖, or not finite, empties the memory.
/// * A line search that finds no step empties it too, and tries −∇f(x). If that fails as well, or the
///   next search that fails finds the value no lower than it was then, the run ends:
///   with [`StopReason::NonFinite`] if f or its gradient was so at every trial, with
///   [`StopReason::NoiseFloor`] if the trials differ by the [rounding noise](crate::minimize::Noise)
///   of f alone, else with [`StopReason::LineSearchFailed`].
/// * Near a minimum values may differ by noise alone. The slopes then decide, and the value may rise by
///   the noise above the least one, but not further. After 20 iterations in which neither the value
///   falls by more than the noise nor the gradient to half of its least norm, the run ends with
///   [`StopReason::NoiseFloor`].
/// * A run that does not converge returns the lowest point; of those that are as low up to noise, the
///   one with the smallest gradient among those that the run has rested at. Trials at which f is NaN
///   or ±Inf are stepped back from. Evaluations never pass the limit.
///
/// Cost of an iteration: usually one evaluation of value and gradient, and 4mn
/// multiplications; memory (2m + 9)n numbers, and n more where values are noise.
///
/// Defaults: m = 10, pair tolerance 1e-10, [`StrongWolfe::default`].
///
/// Liu and Nocedal, *On the limited memory BFGS method for large scale optimization*
/// (1989); Nocedal and Wright, *Numerical Optimization*, 2nd ed., algorithms 7.4, 7.5.
///
/// ```
/// use hvp_solvers::Objective;
/// use ndarray::{ArrayView1, ArrayViewMut1, array};
/// use optim::lbfgs::Lbfgs;
/// use optim::minimize::{Limits, minimize};
///
/// struct Rosenbrock;
/// impl Objective<f64> for Rosenbrock {
///     fn dim(&self) -> usize { 2 }
///     fn value(&mut self, x: ArrayView1<f64>) -> f64 {
///         (1.0 - x[0]).powi(2) + 100.0 * (x[1] - x[0] * x[0]).powi(2)
///     }
///     fn value_and_grad(&mut self, x: ArrayView1<f64>, mut grad: ArrayViewMut1<f64>) -> f64 {
///         let r = x[1] - x[0] * x[0];
///         grad[0] = -2.0 * (1.0 - x[0]) - 400.0 * x[0] * r;
///         grad[1] = 200.0 * r;
///         self.value(x)
///     }
/// }
/// let outcome =
///     minimize(&Lbfgs::default(), &mut Rosenbrock, array![-1.2, 1.0].view(), &Limits::default())?;
/// assert!(outcome.stop.is_converged() && outcome.stats.n_evals < 100);
/// assert!((&outcome.x - 1.0).iter().all(|e| e.abs() < 1e-6));
/// # Ok::<(), optim::minimize::MinimizeError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Lbfgs {
    /// m ≥ 1, the number of pairs kept.
    pub memory: usize,
    /// The least cosine of s and y with which a pair is kept, in [0, 1).
    pub pair_tol: f64,
    /// The line search.
    pub line_search: StrongWolfe,
}

impl Default for Lbfgs {
    fn default() -> Self {
        Lbfgs {
            memory: 10,
            pair_tol: 1e-10,
            line_search: StrongWolfe::default(),
        }
    }
}

/// The state of [`Lbfgs`]: the point and the pairs.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct LbfgsState<T: Real> {
    iterate: Iterate<T>,
    memory: Memory<T>,
    progress: Progress<T>,
    /// Buffers that carry nothing from one iteration to the next.
    #[serde(skip)]
    work: Work<T>,
}

impl<T: Real> LbfgsState<T> {
    /// The number of pairs in the memory.
    pub fn n_pairs(&self) -> usize {
        self.memory.len()
    }
}

#[derive(Debug, Clone, Default)]
struct Work<T> {
    direction: Array1<T>,
    alphas: Vec<T>,
    trial: ray::Point<T>,
    kept: ray::Point<T>,
}

impl<T: Real> Work<T> {
    fn resize(&mut self, dim: usize) {
        if self.direction.len() != dim {
            self.direction = Array1::zeros(dim);
            self.trial = ray::Point::zeros(dim);
            self.kept = ray::Point::zeros(dim);
        }
    }
}

impl<T: Real, F: Objective<T> + ?Sized> Minimizer<T, F> for Lbfgs {
    type State = LbfgsState<T>;

    fn check(&self, _objective: &F) -> Result<(), MinimizeError> {
        require("memory", self.memory as f64, self.memory > 0, "at least 1")?;
        crate::settings::in_unit("pair_tol", self.pair_tol)?;
        self.line_search.check()
    }

    fn init(&self, objective: &mut F, x0: ArrayView1<'_, T>) -> LbfgsState<T> {
        let iterate = Iterate::start_at(objective, x0);
        LbfgsState {
            progress: Progress::new(&iterate),
            iterate,
            memory: Memory::default(),
            work: Work::default(),
        }
    }

    fn step(
        &self,
        objective: &mut F,
        state: &mut LbfgsState<T>,
        budget: Budget,
    ) -> Option<StopReason> {
        state.work.resize(state.iterate.x.len());
        state.iterate.stats.n_iters += 1;
        let end = state
            .iterate
            .stats
            .n_evals
            .saturating_add(budget.values_left());
        loop {
            let left = end - state.iterate.stats.n_evals;
            if left == 0 {
                return Some(StopReason::EvaluationBudget);
            }
            let first_trial = state.set_direction();
            let Err(failure) = self.advance(objective, state, first_trial, left) else {
                break;
            };
            if state.iterate.stats.n_evals >= end {
                return Some(StopReason::EvaluationBudget);
            }
            if state.memory.len() == 0 || state.progress.dropped {
                return Some(failure);
            }
            // The pairs may be stale; without them the direction is −∇f.
            state.memory.clear();
            state.progress.dropped = true;
        }
        let is_over = state.progress.is_over(&state.iterate);
        is_over.then_some(StopReason::NoiseFloor)
    }

    fn iterate<'a>(&self, state: &'a LbfgsState<T>) -> &'a Iterate<T> {
        &state.iterate
    }

    fn best(&self, state: &LbfgsState<T>) -> Outcome<T> {
        state.progress.best(&state.iterate)
    }
}

/// Where a search line starts: the slope there, and the first step to try.
struct FirstTrial<T> {
    slope: T,
    step: T,
}

impl<T: Real> LbfgsState<T> {
    /// Writes a descent direction to the work space.
    fn set_direction(&mut self) -> FirstTrial<T> {
        let Iterate { gradient, .. } = &self.iterate;
        let Work {
            direction, alphas, ..
        } = &mut self.work;
        if self.memory.len() > 0 {
            self.memory
                .direction_into(slice(gradient), direction, alphas);
            let slope = dot(slice(gradient), slice(direction));
            let least = -T::epsilon() * self.iterate.gradient_norm() * norm2(slice(direction));
            if slope < least && slope.is_finite() {
                return FirstTrial {
                    slope,
                    step: T::one(),
                };
            }
            self.memory.clear();
        }
        // Of unit length, so that the slope neither overflows nor vanishes.
        let norm = self.iterate.gradient_norm();
        direction.zip_mut_with(gradient, |d, &g| *d = -g / norm);
        let scaled = self.memory.gamma().map(|gamma| gamma * norm);
        let usable = scaled.filter(|step| step.is_normal());
        FirstTrial {
            slope: -norm,
            step: usable.unwrap_or(norm.min(T::one())),
        }
    }
}

impl Lbfgs {
    /// Searches along the direction, with `left` evaluations at most, and moves the point.
    ///
    /// # Errors
    /// How the run ends if there is no other direction.
    fn advance<T: Real, F: Objective<T> + ?Sized>(
        &self,
        objective: &mut F,
        state: &mut LbfgsState<T>,
        first: FirstTrial<T>,
        left: u64,
    ) -> Result<(), StopReason> {
        let LbfgsState {
            iterate,
            memory,
            progress,
            work,
        } = state;
        let Work {
            direction,
            trial,
            kept,
            ..
        } = work;
        let start = Trial {
            step: T::zero(),
            value: iterate.value,
            slope: first.slope,
        };
        let search = StrongWolfe {
            max_evals: self.line_search.max_evals.min(left),
            ..self.line_search
        };
        let mut ray = Ray::new(objective, &iterate.x, direction, trial, kept, iterate.value);
        let noise = &mut progress.noise;
        let found = search.search_with(start, first.step, noise, |step| ray.evaluate(step));
        iterate.stats.n_evals += found.n_evals;
        iterate.stats.n_gradients += found.n_evals;
        let failure = match found.stop {
            // Approximate conditions are of use here only if the step is not allowed.
            SearchStop::NoiseLevel | SearchStop::ApproximateWolfe => StopReason::NoiseFloor,
            SearchStop::NonFinite => StopReason::NonFinite {
                what: ray.non_finite(),
            },
            SearchStop::NoDescent | SearchStop::UnusableStep => StopReason::NoDescent,
            _ => StopReason::LineSearchFailed,
        };
        if !found.has_step() || !progress.allows(found.trial.value) {
            return Err(failure);
        }
        let point = ray.point_at(found.trial.step);
        if point.x == iterate.x {
            return Err(StopReason::Stalled);
        }
        progress.keep(iterate, found.trial.value);
        memory.offer(self, iterate, point);
        std::mem::swap(&mut iterate.x, &mut point.x);
        std::mem::swap(&mut iterate.gradient, &mut point.gradient);
        iterate.value = found.trial.value;
        iterate.update_norm();
        Ok(())
    }
}
