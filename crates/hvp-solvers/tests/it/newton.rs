//! Newton's method on functions with known minima.

use std::ops::ControlFlow;
use std::time::Duration;

use hvp_solvers::linear::DiagonalPreconditioner;
use hvp_solvers::minimize::{
    Limits, Outcome, StopReason, minimize, minimize_observed, resume, start,
};
use hvp_solvers::newton::{
    Forcing, NewtonReport, StationaryCheck, Subproblem, TrustRegionNewton, TrustRegionState,
};
use hvp_solvers::objective::Quadratic;
use hvp_solvers::{Curvature, Objective, SecondOrder, SolverError};
use ndarray::{Array1, Array2, ArrayView1, ArrayViewMut1, array};

use crate::kit::{double_well, norm, normal, powell_singular, rosenbrock, with_spectrum};

/// A run with the defaults of `solve`, and what the method reports beyond the outcome.
fn solve_and_report<F: SecondOrder<f64>>(
    method: &TrustRegionNewton,
    f: &mut F,
    x0: ArrayView1<'_, f64>,
) -> (Outcome<f64>, NewtonReport) {
    let mut state = start(method, f, x0).unwrap();
    let limits = Limits::for_type::<f64>();
    let carry_on = |_: &_, _: &_| ControlFlow::Continue(());
    let found = resume(method, f, &mut state, &limits, carry_on).unwrap();
    (found, state.report())
}

#[test]
fn one_newton_step_on_a_quadratic() {
    let mut f = Quadratic::new(array![[2.0, 0.0], [0.0, 20.0]], Array1::zeros(2)).unwrap();
    let config = TrustRegionNewton {
        forcing: Forcing::Constant(1e-12),
        initial_radius: Some(10.0),
        ..TrustRegionNewton::default()
    };
    let found = config.solve(&mut f, array![1.0, 1.0].view()).unwrap();
    assert_eq!(found.stop, StopReason::GradientTolerance);
    assert_eq!((found.stats.n_iters, found.stats.n_products), (1, 2));
    assert!(norm(found.x.view()) < 1e-14);
}

#[test]
fn quadratics_of_any_size_and_scale() {
    for (n, scale) in [(1, 1.0), (2, 1.0), (30, 1.0), (30, 1e8), (30, 1e-8)] {
        let h = with_spectrum(&Array1::linspace(0.5, 20.0, n), n as u64) * scale;
        let x_star = normal(n, 9);
        let b = -h.dot(&x_star);
        let mut f = Quadratic::new(h, b).unwrap();
        let limits = Limits {
            gradient_tol: 1e-12 * scale,
            gradient_tol_relative: 1e-11,
            ..Limits::default()
        };
        let config = TrustRegionNewton::default();
        let found = minimize(&config, &mut f, Array1::zeros(n).view(), &limits).unwrap();
        assert!(
            found.stop.is_converged(),
            "n = {n}, {scale:e}: {:?}",
            found.stop
        );
        assert!(norm((&found.x - &x_star).view()) < 1e-8, "n = {n}");
    }
}

#[test]
fn rosenbrock_from_the_standard_start() {
    let config = TrustRegionNewton::default();
    let x0 = array![-1.2, 1.0];
    let (found, report) = solve_and_report(&config, &mut rosenbrock(), x0.view());
    assert_eq!(found.stop, StopReason::GradientTolerance);
    assert!(
        found.value < 1e-16 && norm((&found.x - 1.0).view()) < 1e-7,
        "{}",
        found.x
    );
    let stats = found.stats;
    assert!(
        stats.n_iters + report.n_rejected < 40,
        "{stats:?} {report:?}"
    );
    // A trial value per iteration and per rejection, a linearization per iteration.
    assert_eq!(stats.n_linearizations, stats.n_iters + 1);
    assert_eq!(stats.n_gradients, stats.n_linearizations);
    assert_eq!(
        stats.n_evals,
        2 * stats.n_iters + report.n_rejected + 1,
        "{stats:?} {report:?}"
    );
    // Every rejected step was replaced without a product.
    assert!(report.n_rejected > 0);
    assert_eq!(report.n_free_steps, report.n_rejected);
    let last = report.last_step.unwrap();
    assert!(last.accepted && last.predicted > 0.0);
    assert!(
        last.ratio.is_some_and(|r| (r - 1.0).abs() < 0.1),
        "{last:?}"
    );
}

#[test]
fn values_never_rise() {
    let mut values = Vec::new();
    let observe = |at: &hvp_solvers::minimize::Iterate<f64>, state: &TrustRegionState<f64>| {
        assert!(state.radius() > 0.0);
        values.push(at.value());
        ControlFlow::Continue(())
    };
    let x0 = array![-1.2, 1.0];
    let limits = Limits::default();
    let config = TrustRegionNewton::default();
    minimize_observed(&config, &mut rosenbrock(), x0.view(), &limits, observe).unwrap();
    assert!(values.len() > 10 && values.windows(2).all(|w| w[1] <= w[0]));
}

#[test]
fn powell_singular_reaches_zero_value() {
    let found = TrustRegionNewton::default()
        .solve(&mut powell_singular(), array![3.0, -1.0, 0.0, 1.0].view())
        .unwrap();
    assert_eq!(found.stop, StopReason::GradientTolerance);
    assert!(found.value < 1e-10, "{:e}", found.value);
}

#[test]
fn saddles_are_left() {
    // Exactly at the saddle, where the gradient is zero.
    let config = TrustRegionNewton::default();
    let origin = array![0.0, 0.0];
    let (found, report) = solve_and_report(&config, &mut double_well(), origin.view());
    assert_eq!(found.stop, StopReason::GradientTolerance);
    assert!((found.value + 0.25).abs() < 1e-14, "{}", found.value);
    let curvature = report.smallest_curvature;
    assert!(curvature.is_some_and(|c| (c + 1.0).abs() < 1e-12));
    // On the stable manifold every gradient points at the saddle.
    let always = TrustRegionNewton {
        stationary_check: StationaryCheck::Always { max_products: 10 },
        ..config
    };
    let (found, report) = solve_and_report(&always, &mut double_well(), array![0.0, 1.0].view());
    assert!((found.value + 0.25).abs() < 1e-14, "{}", found.value);
    assert!(report.smallest_curvature.is_some_and(|c| c > 0.9));
    // Unless told not to look.
    let never = TrustRegionNewton {
        stationary_check: StationaryCheck::Never,
        ..config
    };
    let found = never.solve(&mut double_well(), origin.view()).unwrap();
    assert_eq!((found.x, found.stats.n_products), (origin, 0));
}

#[test]
fn unbounded_objectives_end() {
    let mut f = Quadratic::new(array![[1.0_f64, 0.0], [0.0, -1.0]], array![1.0, 1.0]).unwrap();
    let limits = Limits {
        max_iters: 50,
        ..Limits::default()
    };
    let config = TrustRegionNewton::default();
    let found = minimize(&config, &mut f, array![1.0, 2.0].view(), &limits).unwrap();
    assert_eq!(found.stop, StopReason::MaxIterations);
    assert!(found.value < -1e10 && found.x.iter().all(|x| x.is_finite()));
}

#[test]
fn unreachable_tolerance_stalls_at_the_solution() {
    let limits = Limits {
        gradient_tol: 0.0,
        ..Limits::default()
    };
    let h = with_spectrum(&Array1::linspace(0.5, 20.0, 10), 3);
    let x_star = normal(10, 4);
    let b = -h.dot(&x_star);
    let mut f = Quadratic::new(h, b).unwrap();
    let config = TrustRegionNewton::default();
    let found = minimize(&config, &mut f, normal(10, 5).view(), &limits).unwrap();
    assert!(
        matches!(
            found.stop,
            StopReason::Stalled
                | StopReason::RadiusCollapsed
                | StopReason::NoiseFloor
                | StopReason::GradientTolerance
        ),
        "{:?}",
        found.stop
    );
    assert!(found.stats.n_iters < 100, "{:?}", found.stats);
    assert!(norm((&found.x - &x_star).view()) < 1e-7);
}

#[test]
fn limits_end_a_run_with_their_own_reason() {
    let x0 = array![-1.2, 1.0];
    for subproblem in [Subproblem::default(), Subproblem::Gltr] {
        let config = TrustRegionNewton {
            subproblem,
            ..TrustRegionNewton::default()
        };
        let run = |limits| minimize(&config, &mut rosenbrock(), x0.view(), &limits).unwrap();
        let found = run(Limits {
            max_products: Some(7),
            ..Limits::default()
        });
        let seen = (found.stop, found.stats.n_products);
        assert_eq!(seen, (StopReason::ProductBudget, 7));
        let found = run(Limits {
            max_iters: 3,
            ..Limits::default()
        });
        let seen = (found.stop, found.stats.n_iters);
        assert_eq!(seen, (StopReason::MaxIterations, 3));
        let found = run(Limits {
            max_iters: 0,
            ..Limits::default()
        });
        assert_eq!((found.stop, &found.x), (StopReason::MaxIterations, &x0));
        let found = run(Limits {
            max_evals: 10,
            ..Limits::default()
        });
        assert_eq!(found.stop, StopReason::EvaluationBudget);
        let found = run(Limits {
            max_time: Some(Duration::ZERO),
            ..Limits::default()
        });
        assert_eq!((found.stop, &found.x), (StopReason::TimeBudget, &x0));
    }
}

#[test]
fn observers_can_end_a_run() {
    let mut seen = Vec::new();
    let x0 = array![-1.2, 1.0];
    let found = minimize_observed(
        &TrustRegionNewton::default(),
        &mut rosenbrock(),
        x0.view(),
        &Limits::default(),
        |at, _| {
            seen.push(at.value());
            if seen.len() == 4 {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        },
    )
    .unwrap();
    assert_eq!(
        (found.stop, found.stats.n_iters),
        (StopReason::Interrupted, 3)
    );
    assert!((found.value - seen[3]).abs() < f64::EPSILON);
}

#[test]
fn preconditioned_run_reaches_the_same_minimum() {
    let d: Array1<f64> = array![1.0, 1e3, 1e6];
    let h = Array2::from_diag(&d);
    let mut f = Quadratic::new(h, -&d).unwrap();
    let m = DiagonalPreconditioner::new(d).unwrap();
    let config = TrustRegionNewton {
        initial_radius: Some(1e4),
        ..TrustRegionNewton::default()
    };
    let (method, x0) = (config.preconditioned(&m), Array1::zeros(3));
    let found = minimize(&method, &mut f, x0.view(), &Limits::default()).unwrap();
    assert!(found.stop.is_converged() && norm((&found.x - 1.0).view()) < 1e-10);
    assert_eq!(found.stats.n_products, 1);
    // The Krylov subproblem has the Euclidean ball only.
    let gltr = TrustRegionNewton {
        subproblem: Subproblem::Gltr,
        ..config
    };
    let refused = minimize(
        &gltr.preconditioned(&m),
        &mut f,
        x0.view(),
        &Limits::default(),
    );
    let name = "subproblem";
    assert!(matches!(refused, Err(SolverError::InvalidSetting { name: n, .. }) if n == name));
}

/// `½ ‖r(x)‖²` with `r = (10 (y − x²), 1 − x)` and its Gauss–Newton matrix `JᵀJ`.
struct Residuals {
    at: Array1<f64>,
}

impl Residuals {
    fn r(x: ArrayView1<'_, f64>) -> Array1<f64> {
        array![10.0 * (x[1] - x[0] * x[0]), 1.0 - x[0]]
    }
    fn j(x: ArrayView1<'_, f64>) -> Array2<f64> {
        array![[-20.0 * x[0], 10.0], [-1.0, 0.0]]
    }
}

impl Objective<f64> for Residuals {
    fn dim(&self) -> usize {
        2
    }
    fn value(&mut self, x: ArrayView1<'_, f64>) -> f64 {
        let r = Self::r(x);
        0.5 * r.dot(&r)
    }
    fn value_and_grad(&mut self, x: ArrayView1<'_, f64>, mut grad: ArrayViewMut1<'_, f64>) -> f64 {
        grad.assign(&Self::j(x).t().dot(&Self::r(x)));
        self.value(x)
    }
}

impl SecondOrder<f64> for Residuals {
    fn linearize(&mut self, x: ArrayView1<'_, f64>, grad: ArrayViewMut1<'_, f64>) -> f64 {
        self.at = x.to_owned();
        self.value_and_grad(x, grad)
    }
    fn hvp_into(&self, _: ArrayView1<'_, f64>, mut out: ArrayViewMut1<'_, f64>) {
        out.fill(f64::NAN); // never to be asked for
    }
    fn has_gauss_newton(&self) -> bool {
        true
    }
    fn ggnvp_into(&self, v: ArrayView1<'_, f64>, mut out: ArrayViewMut1<'_, f64>) {
        let j = Self::j(self.at.view());
        out.assign(&j.t().dot(&j.dot(&v)));
    }
}

#[test]
fn gauss_newton_with_and_without_damping() {
    for damping in [0.0, 1e-3] {
        let config = TrustRegionNewton {
            curvature: Curvature::GaussNewton,
            damping,
            ..TrustRegionNewton::default()
        };
        let mut f = Residuals {
            at: Array1::zeros(2),
        };
        let found = config.solve(&mut f, array![-1.2, 1.0].view()).unwrap();
        assert!(found.stop.is_converged(), "{:?}", found.stop);
        assert!(norm((&found.x - 1.0).view()) < 1e-6, "{}", found.x);
    }
}

#[test]
fn no_variables() {
    let mut f = Quadratic::new(Array2::<f64>::zeros((0, 0)), Array1::zeros(0)).unwrap();
    let found = TrustRegionNewton::default()
        .solve(&mut f, Array1::zeros(0).view())
        .unwrap();
    assert!(found.stop.is_converged() && found.x.is_empty());
}

#[test]
fn single_precision() {
    let h = array![[2.0_f32, 0.5], [0.5, 20.0]];
    let mut f = Quadratic::new(h, array![1.0_f32, -1.0]).unwrap();
    let found = TrustRegionNewton::default()
        .solve(&mut f, array![5.0_f32, 5.0].view())
        .unwrap();
    assert!(found.stop.is_converged());
    assert!(found.gradient_norm <= f32::EPSILON.sqrt());
}

#[test]
fn broken_contracts() {
    let config = TrustRegionNewton::default();
    let solve = |c: &TrustRegionNewton, x: Array1<f64>| c.solve(&mut rosenbrock(), x.view());
    assert!(matches!(
        solve(&config, array![1.0]),
        Err(SolverError::DimensionMismatch {
            what: "x0",
            expected: 2,
            found: 1
        })
    ));
    assert!(matches!(
        solve(&config, array![1.0, f64::INFINITY]),
        Err(SolverError::NonFiniteInput {
            what: "x0",
            index: 1
        })
    ));
    let gauss = TrustRegionNewton {
        curvature: Curvature::GaussNewton,
        ..config
    };
    assert_eq!(
        solve(&gauss, array![1.0, 1.0]),
        Err(SolverError::NoGaussNewton)
    );
    let x = || array![0.0, 0.0];
    for bad in [
        TrustRegionNewton {
            damping: -1.0,
            ..config
        },
        TrustRegionNewton {
            initial_radius: Some(0.0),
            ..config
        },
        TrustRegionNewton {
            max_radius: Some(f64::NAN),
            ..config
        },
        TrustRegionNewton {
            accept_ratio: 0.5,
            ..config
        },
        TrustRegionNewton {
            forcing: Forcing::Constant(2.0),
            ..config
        },
    ] {
        assert!(
            matches!(solve(&bad, x()), Err(SolverError::InvalidSetting { .. })),
            "{bad:?}"
        );
    }
}

#[test]
fn settings_and_outcomes_survive_serialisation() {
    let config = TrustRegionNewton {
        max_cg_iters: Some(9),
        forcing: Forcing::eisenstat_walker(),
        ..TrustRegionNewton::default()
    };
    let text = serde_json::to_string(&config).unwrap();
    let back: TrustRegionNewton = serde_json::from_str(&text).unwrap();
    assert_eq!(back, config);
    let x0 = array![-1.2, 1.0];
    let found = config.solve(&mut rosenbrock(), x0.view()).unwrap();
    assert!(found.stop.is_converged());
    let text = serde_json::to_string(&found).unwrap();
    let back: Outcome<f64> = serde_json::from_str(&text).unwrap();
    assert_eq!((back.stop, back.stats), (found.stop, found.stats));
}
