//! Steps in a ball, by conjugate gradients or in a Krylov space.

use ad_core::Real;
use ndarray::ArrayView1;

use super::radius::next_radius;
use super::steps::{Step, Steps};
use super::trust_region::{Subproblem, TrustRegionNewton};
use super::walk::Walk;
use crate::linear::{
    Gltr, GltrOutcome, GltrPlace, GltrStop, GltrWorkspace, Preconditioner, TruncatedCg,
    TruncatedOutcome, TruncatedStop, TruncatedWorkspace,
};
use crate::minimize::{Budget, StopReason};
use crate::{CurvatureOperator, SecondOrder};

/// Vectors kept by GLTR unless more are asked for.
const KRYLOV: usize = 100;

/// The vectors of either solver.
#[derive(Debug)]
pub(super) enum Work<T> {
    TruncatedCg(TruncatedWorkspace<T>),
    Gltr(Box<GltrWorkspace<T>>),
}

impl<T: Real> Work<T> {
    pub(super) fn new(method: &TrustRegionNewton, n: usize) -> Self {
        match method.subproblem {
            Subproblem::TruncatedCg { .. } => Self::TruncatedCg(TruncatedWorkspace::new(n)),
            Subproblem::Gltr => {
                let gltr = Gltr {
                    max_iters: Some(method.max_cg_iters.unwrap_or(KRYLOV).min(n)),
                    seed: method.seed,
                    // The ratio test would not notice a better minimiser of the model.
                    model_tolerance: 0.1,
                    ..Gltr::default()
                };
                let work = gltr.workspace(n).expect("the default tolerance is usable");
                Self::Gltr(Box::new(work))
            }
        }
    }
}

/// What either solver needs to know.
pub(super) struct InBall<'a, T> {
    pub(super) method: &'a TrustRegionNewton,
    pub(super) radius: T,
    pub(super) max_radius: T,
    pub(super) least_radius: T,
    pub(super) eta: f64,
    /// What was left when the iteration began.
    pub(super) budget: Budget,
}

impl<T: Real> InBall<'_, T> {
    fn operator<'o, F>(&self, objective: &'o F) -> CurvatureOperator<'o, T, F>
    where
        F: SecondOrder<T> + ?Sized,
    {
        CurvatureOperator::of(objective, self.method.curvature, T::of(self.method.damping))
    }

    /// Products that a solve may make, more than zero.
    fn products(&self, n: usize) -> Result<usize, StopReason> {
        let cap = self.method.max_cg_iters.unwrap_or(2 * n + 2);
        match self.budget.products_up_to(cap) {
            0 if self.budget.products == Some(0) => Err(StopReason::ProductBudget),
            some => Ok(some),
        }
    }

    fn learn(&mut self, step: &Step<T>, ratio: T) {
        let (radius, max) = (self.radius, self.max_radius);
        self.radius = next_radius(radius, max, step.norm, ratio, step.on_boundary);
    }
}

/// Steps by truncated conjugate gradients, the shorter ones cut from the stored path.
pub(super) struct ByTruncatedCg<'a, T, P: ?Sized> {
    pub(super) ball: InBall<'a, T>,
    pub(super) work: &'a mut TruncatedWorkspace<T>,
    pub(super) preconditioner: &'a P,
}

impl<T, F, P> Steps<T, F> for ByTruncatedCg<'_, T, P>
where
    T: Real,
    F: SecondOrder<T> + ?Sized,
    P: Preconditioner<T> + ?Sized,
{
    fn next(
        &mut self,
        walk: &mut Walk<T>,
        objective: &F,
        first: bool,
    ) -> Result<Step<T>, StopReason> {
        let shorter = if first {
            None
        } else {
            self.work.shrink(self.ball.radius)
        };
        if let Some(found) = shorter {
            walk.n_free_steps += 1;
            return step_of_cg(found);
        }
        let path_memory = match self.ball.method.subproblem {
            Subproblem::TruncatedCg { path_memory } => path_memory,
            Subproblem::Gltr => 0,
        };
        let cg = TruncatedCg {
            relative_tolerance: self.ball.eta,
            max_iters: Some(self.ball.products(walk.dim())?),
            path_memory,
        };
        let operator = self.ball.operator(objective);
        let g = ArrayView1::from(walk.gradient());
        let found = cg
            .solve_into(
                &operator,
                g,
                self.ball.radius,
                self.preconditioner,
                self.work,
            )
            .expect("gradient and radius are finite");
        walk.count_products(found.n_products);
        self.ball.budget = self.ball.budget.after(found.n_products as u64);
        step_of_cg(found)
    }

    fn vector(&self) -> &[T] {
        self.work.step_slice()
    }

    fn learn(&mut self, step: &Step<T>, ratio: T) {
        self.ball.learn(step, ratio);
    }

    fn reach(&self) -> T {
        self.ball.radius
    }

    fn least_reach(&self) -> T {
        self.ball.least_radius
    }
}

/// What an interior step gains; on the boundary a longer one may gain any amount.
pub(super) fn gain<T: Real>(model: T, on_boundary: bool) -> T {
    if on_boundary { T::infinity() } else { -model }
}

/// A step that was found before some trouble is as good as any truncated one.
fn step_of_cg<T: Real>(found: TruncatedOutcome<T>) -> Result<Step<T>, StopReason> {
    match found.stop {
        _ if found.model < T::zero() => Ok(Step {
            model: found.model,
            norm: found.step_norm,
            on_boundary: found.stop.on_boundary(),
            is_negative: found.stop == TruncatedStop::NegativeCurvature,
            gain: gain(found.model, found.stop.on_boundary()),
        }),
        TruncatedStop::NonFinite { what } => Err(StopReason::NonFinite { what }),
        _ => Err(StopReason::NoDescent),
    }
}

/// Steps by GLTR, the shorter ones from the same Krylov space.
pub(super) struct ByGltr<'a, T> {
    pub(super) ball: InBall<'a, T>,
    pub(super) work: &'a mut GltrWorkspace<T>,
}

impl<T: Real, F: SecondOrder<T> + ?Sized> Steps<T, F> for ByGltr<'_, T> {
    fn next(
        &mut self,
        walk: &mut Walk<T>,
        objective: &F,
        first: bool,
    ) -> Result<Step<T>, StopReason> {
        let operator = self.ball.operator(objective);
        let radius = self.ball.radius;
        if !first {
            walk.n_free_steps += 1;
            let radius = radius / self.work.unit();
            let found = self.work.resolve_by(&operator, &mut |t| t.minimise(radius));
            return step_of_gltr(found, self.work);
        }
        self.work
            .restrict(self.ball.eta, self.ball.products(walk.dim())?);
        self.work.begin(ArrayView1::from(walk.gradient()));
        let radius = radius / self.work.unit();
        let found = self.work.solve_by(&operator, &mut |t| t.minimise(radius));
        walk.count_products(found.n_products);
        step_of_gltr(found, self.work)
    }

    fn vector(&self) -> &[T] {
        self.work.step_slice()
    }

    fn learn(&mut self, step: &Step<T>, ratio: T) {
        self.ball.learn(step, ratio);
    }

    fn reach(&self) -> T {
        self.ball.radius
    }

    fn least_reach(&self) -> T {
        self.ball.least_radius
    }
}

/// As [`step_of_cg`].
pub(super) fn step_of_gltr<T: Real>(
    found: GltrOutcome<T>,
    work: &mut GltrWorkspace<T>,
) -> Result<Step<T>, StopReason> {
    match found.stop {
        _ if found.model < T::zero() => Ok(Step {
            model: found.model,
            norm: found.step_norm,
            on_boundary: found.place != GltrPlace::Interior,
            is_negative: work.leftmost() < T::zero(),
            gain: gain(found.model, found.place != GltrPlace::Interior),
        }),
        GltrStop::NonFinite { what } => Err(StopReason::NonFinite { what }),
        _ => Err(StopReason::NoDescent),
    }
}
