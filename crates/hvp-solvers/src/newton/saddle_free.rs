//! Saddle-free Newton.

use ad_core::Real;
use ndarray::ArrayView1;
use serde::{Deserialize, Serialize};

use super::absolute::Absolute;
use super::checks;
use super::forcing::{Forcing, Memory};
use super::radius::next_radius;
use super::saddle::StationaryCheck;
use super::steps::{Look, Step, Steps, advance, least_reach, leave};
use super::trust_region_steps::gain;
use super::walk::{NewtonReport, Scratch, Walk, natural_length};
use crate::bits;
use crate::error::SolverError;
use crate::linear::{Gltr, GltrOutcome, GltrStop, GltrWorkspace};
use crate::minimize::{Budget, Iterate, Limits, Minimizer, Outcome, StopReason, minimize};
use crate::{Curvature, CurvatureOperator, SecondOrder};

/// Saddle-free Newton (Dauphin et al. 2014): the step is `p = −(|H| + λI)⁻¹g`, where `|H|` has
/// the eigenvectors of `H` and the magnitudes of its eigenvalues. Newton's own step is
/// attracted by saddles; this one is repelled, with the same scaling of each direction.
///
/// `H` is projected to the Krylov space of `g`, `T = VᵀHV`, where `|T|` is exact; as `g` is
/// in that space, nothing of it is left out. The space grows until the last
/// coordinate of the step is small, `β|h_k| ≤ η‖g‖`, which for a positive definite `T` is
/// the residual, or to `max_krylov`. Magnitudes below `4k·eps·max|θ|` count as that.
/// `λ ≥ 0` keeps the step in a ball whose radius adapts as in a trust region, by the
/// ratio of actual decrease to that of `gᵀp + ½pᵀ|H|p`; a rejected step is shortened in the same
/// space, without a product.
///
/// - **Cost** of an iteration: a product for each Krylov vector, and `9k³` flops for each
///   size `k` of the space; a value per trial, a linearization.
/// - **Memory**: `max_krylov` vectors and a few more.
///
/// ```
/// use hvp_solvers::{newton::SaddleFreeNewton, objective::Quadratic};
/// use ndarray::array;
/// let mut f = Quadratic::new(array![[2.0, 0.0], [0.0, 20.0]], array![0.0, 0.0])?;
/// let found = SaddleFreeNewton::default().solve(&mut f, array![1.0, 1.0].view())?;
/// assert!(found.stop.is_converged());
/// # Ok::<(), hvp_solvers::SolverError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SaddleFreeNewton {
    /// At most this many products for a step, and as many vectors. Default 50.
    pub max_krylov: usize,
    /// How accurately the step is found.
    pub forcing: Forcing,
    /// The first bound of the step's length, in the units of `x`; `None`, the default, for
    /// `max(1, ‖x₀‖/10)`.
    pub initial_radius: Option<f64>,
    /// A step is accepted if its ratio exceeds this. Default 0.1; in `[0, ¼)`.
    pub accept_ratio: f64,
    /// Whether to look for negative curvature where the gradient vanishes.
    pub stationary_check: StationaryCheck,
    /// Seed of that check's random vector. Default 0.
    pub seed: u64,
}

impl Default for SaddleFreeNewton {
    fn default() -> Self {
        Self {
            max_krylov: 50,
            forcing: Forcing::default(),
            initial_radius: None,
            accept_ratio: 0.1,
            stationary_check: StationaryCheck::default(),
            seed: 0,
        }
    }
}

/// The state of [`SaddleFreeNewton`]: the point and the bound of the step's length.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct SaddleFreeState<T: Real> {
    walk: Walk<T>,
    #[serde(with = "bits::scalar")]
    radius: T,
    #[serde(with = "bits::scalar")]
    max_radius: T,
    #[serde(with = "bits::scalar")]
    least_radius: T,
    forcing: Memory,
    #[serde(skip)]
    work: Scratch<(GltrWorkspace<T>, Absolute<T>)>,
}

impl<T: Real> SaddleFreeState<T> {
    /// The bound of the next step's length.
    pub fn radius(&self) -> T {
        self.radius
    }

    /// Counts of this method, and its last step.
    pub fn report(&self) -> NewtonReport {
        self.walk.report()
    }
}

impl SaddleFreeNewton {
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

    fn workspace<T: Real>(&self, n: usize) -> (GltrWorkspace<T>, Absolute<T>) {
        let gltr = Gltr {
            max_iters: Some(self.max_krylov.min(n)),
            seed: self.seed,
            ..Gltr::default()
        };
        let krylov = gltr.workspace(n).expect("the default tolerance is usable");
        (krylov, Absolute::default())
    }
}

/// Steps in one Krylov space, for a shrinking radius.
struct SaddleFree<'a, T> {
    method: &'a SaddleFreeNewton,
    work: &'a mut GltrWorkspace<T>,
    absolute: &'a mut Absolute<T>,
    radius: T,
    max_radius: T,
    least_radius: T,
    eta: f64,
    budget: Budget,
}

impl<T: Real> SaddleFree<'_, T> {
    fn step(&self, found: GltrOutcome<T>) -> Result<Step<T>, StopReason> {
        let unit = self.work.unit();
        let model = self.absolute.model() * unit * unit;
        match found.stop {
            _ if model < T::zero() && found.step_norm > T::zero() => Ok(Step {
                model,
                norm: found.step_norm,
                on_boundary: self.absolute.is_bounded(),
                is_negative: self.absolute.is_indefinite(),
                gain: gain(
                    model,
                    self.absolute.is_bounded() || self.absolute.is_indefinite(),
                ),
            }),
            GltrStop::NonFinite { what } => Err(StopReason::NonFinite { what }),
            _ => Err(StopReason::NoDescent),
        }
    }
}

impl<T: Real, F: SecondOrder<T> + ?Sized> Steps<T, F> for SaddleFree<'_, T> {
    fn next(
        &mut self,
        walk: &mut Walk<T>,
        objective: &F,
        first: bool,
    ) -> Result<Step<T>, StopReason> {
        let operator = CurvatureOperator::of(objective, Curvature::Hessian, T::zero());
        let absolute = &mut *self.absolute;
        if !first {
            walk.n_free_steps += 1;
            let radius = self.radius / self.work.unit();
            let found = self
                .work
                .resolve_by(&operator, &mut |t| absolute.bound(t, radius));
            return self.step(found);
        }
        let products = self.budget.products_up_to(self.method.max_krylov);
        self.work.restrict(self.eta, products);
        self.work.begin(ArrayView1::from(walk.gradient()));
        let radius = self.radius / self.work.unit();
        let found = self
            .work
            .solve_by(&operator, &mut |t| absolute.minimise(t, radius));
        walk.count_products(found.n_products);
        self.step(found)
    }

    fn vector(&self) -> &[T] {
        self.work.step_slice()
    }

    fn learn(&mut self, step: &Step<T>, ratio: T) {
        let (radius, max) = (self.radius, self.max_radius);
        self.radius = next_radius(radius, max, step.norm, ratio, step.on_boundary);
    }

    fn reach(&self) -> T {
        self.radius
    }

    fn least_reach(&self) -> T {
        self.least_radius
    }
}

impl<T: Real, F: SecondOrder<T> + ?Sized> Minimizer<T, F> for SaddleFreeNewton {
    type State = SaddleFreeState<T>;

    fn check(&self, _objective: &F) -> Result<(), SolverError> {
        checks::positive_if_any::<T>("initial_radius", self.initial_radius)?;
        checks::at_least_one("max_krylov", self.max_krylov)?;
        checks::accept_ratio(self.accept_ratio)?;
        self.forcing.check()
    }

    fn init(&self, objective: &mut F, x0: ArrayView1<'_, T>) -> Self::State {
        let length = natural_length(x0);
        let radius = self.initial_radius.map_or(length, T::of);
        SaddleFreeState {
            walk: Walk::start(objective, x0),
            radius,
            max_radius: (T::of(1e9) * length).min(T::max_value()),
            least_radius: least_reach(radius),
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
        let walk = &mut state.walk;
        let n = walk.dim();
        let (mut work, mut absolute) = state.work.take(|| self.workspace(n));
        let norms = (
            walk.iterate.gradient_norm(),
            walk.iterate.gradient_norm_start(),
        );
        let mut steps = SaddleFree {
            method: self,
            work: &mut work,
            absolute: &mut absolute,
            radius: state.radius,
            max_radius: state.max_radius,
            least_radius: state.least_radius,
            eta: self.forcing.eta(norms.0, norms.1, &mut state.forcing),
            budget,
        };
        let stop = advance(walk, objective, &mut steps, self.accept_ratio, budget);
        state.radius = steps.radius;
        state.work.put((work, absolute));
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
            reach: state.radius,
            max_reach: state.max_radius,
            curvature: Curvature::Hessian,
            damping: T::zero(),
        };
        match leave(&mut state.walk, objective, &look, budget) {
            Ok(radius) => {
                state.radius = radius;
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
