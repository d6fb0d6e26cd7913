//! Newton's method on functions with known minima.

use std::ops::ControlFlow;

use hvp_solvers::linear::{DiagonalPreconditioner, Identity};
use hvp_solvers::newton::{Forcing, StationaryCheck, StopReason, TrustRegionNewton};
use hvp_solvers::objective::Quadratic;
use hvp_solvers::{Curvature, Objective, SecondOrder, SolverError};
use ndarray::{Array1, Array2, ArrayView1, ArrayViewMut1, array};

use crate::kit::{double_well, norm, normal, powell_singular, rosenbrock, with_spectrum};

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
        let config = TrustRegionNewton {
            gradient_tolerance: 1e-12 * scale,
            relative_gradient_tolerance: 1e-11,
            ..TrustRegionNewton::default()
        };
        let found = config.solve(&mut f, Array1::zeros(n).view()).unwrap();
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
    let config = TrustRegionNewton {
        record_history: true,
        ..TrustRegionNewton::default()
    };
    let found = config
        .solve(&mut rosenbrock(), array![-1.2, 1.0].view())
        .unwrap();
    assert_eq!(found.stop, StopReason::GradientTolerance);
    assert!(
        found.value < 1e-16 && norm((&found.x - 1.0).view()) < 1e-7,
        "{}",
        found.x
    );
    assert!(found.stats.n_iters < 40, "{:?}", found.stats);
    // The value never rises, and what the history says adds up.
    assert!(found.history.windows(2).all(|w| w[1].value <= w[0].value));
    assert_eq!(found.history.len(), found.stats.n_iters);
    assert_eq!(found.stats.n_gradient, found.stats.n_accepted + 1);
    assert_eq!(found.stats.n_value, found.stats.n_iters);
    // Every rejected step was replaced without a product.
    let rejected = found.stats.n_iters - found.stats.n_accepted;
    assert_eq!(found.stats.n_shrunk, rejected);
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
    let found = config
        .solve(&mut double_well(), array![0.0, 0.0].view())
        .unwrap();
    assert_eq!(found.stop, StopReason::GradientTolerance);
    assert!((found.value + 0.25).abs() < 1e-14, "{}", found.value);
    assert!(
        found
            .stats
            .smallest_curvature
            .is_some_and(|c| (c + 1.0).abs() < 1e-12)
    );
    // On the stable manifold every gradient points at the saddle.
    let always = TrustRegionNewton {
        stationary_check: StationaryCheck::Always { max_products: 10 },
        ..config.clone()
    };
    let found = always
        .solve(&mut double_well(), array![0.0, 1.0].view())
        .unwrap();
    assert!((found.value + 0.25).abs() < 1e-14, "{}", found.value);
    assert!(found.stats.smallest_curvature.is_some_and(|c| c > 0.9));
    // Unless told not to look.
    let never = TrustRegionNewton {
        stationary_check: StationaryCheck::Never,
        ..config
    };
    let found = never
        .solve(&mut double_well(), array![0.0, 0.0].view())
        .unwrap();
    assert_eq!((found.x, found.stats.n_products), (array![0.0, 0.0], 0));
}

#[test]
fn unbounded_objectives_end() {
    let mut f = Quadratic::new(array![[1.0_f64, 0.0], [0.0, -1.0]], array![1.0, 1.0]).unwrap();
    let config = TrustRegionNewton {
        max_iters: 50,
        ..TrustRegionNewton::default()
    };
    let found = config.solve(&mut f, array![1.0, 2.0].view()).unwrap();
    assert_eq!(found.stop, StopReason::MaxIterations);
    assert!(found.value < -1e10 && found.x.iter().all(|x| x.is_finite()));
    assert!(found.stats.n_negative_curvature > 0);
}

#[test]
fn unreachable_tolerance_stalls_at_the_solution() {
    let zero_tolerance = TrustRegionNewton {
        gradient_tolerance: 0.0,
        ..TrustRegionNewton::default()
    };
    let h = with_spectrum(&Array1::linspace(0.5, 20.0, 10), 3);
    let x_star = normal(10, 4);
    let b = -h.dot(&x_star);
    let found = zero_tolerance
        .solve(&mut Quadratic::new(h, b).unwrap(), normal(10, 5).view())
        .unwrap();
    assert!(
        matches!(
            found.stop,
            StopReason::Stalled | StopReason::RadiusCollapsed | StopReason::GradientTolerance
        ),
        "{:?}",
        found.stop
    );
    assert!(found.stats.n_iters < 100, "{:?}", found.stats);
    assert!(norm((&found.x - &x_star).view()) < 1e-7);
}

#[test]
fn budgets_and_observers() {
    let x0 = array![-1.2, 1.0];
    let config = TrustRegionNewton {
        max_products: Some(7),
        ..TrustRegionNewton::default()
    };
    let found = config.solve(&mut rosenbrock(), x0.view()).unwrap();
    assert_eq!(
        (found.stop, found.stats.n_products),
        (StopReason::ProductBudget, 7)
    );
    let config = TrustRegionNewton {
        max_iters: 3,
        ..TrustRegionNewton::default()
    };
    let found = config.solve(&mut rosenbrock(), x0.view()).unwrap();
    assert_eq!(
        (found.stop, found.stats.n_iters),
        (StopReason::MaxIterations, 3)
    );
    let config = TrustRegionNewton {
        max_iters: 0,
        ..TrustRegionNewton::default()
    };
    let found = config.solve(&mut rosenbrock(), x0.view()).unwrap();
    assert_eq!((found.stop, &found.x), (StopReason::MaxIterations, &x0));
    let mut seen = Vec::new();
    let found = TrustRegionNewton::default()
        .solve_with(&mut rosenbrock(), x0.view(), &Identity, |progress| {
            assert_eq!(progress.x.len(), 2);
            seen.push(progress.record.value);
            if seen.len() == 4 {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        })
        .unwrap();
    assert_eq!((found.stop, seen.len()), (StopReason::Interrupted, 4));
    assert!((found.value - seen[3]).abs() < f64::EPSILON);
}

#[test]
fn preconditioned_run_reaches_the_same_minimum() {
    let d: Array1<f64> = array![1.0, 1e3, 1e6];
    let h = Array2::from_diag(&d);
    let mut f = Quadratic::new(h, -&d).unwrap();
    let m = DiagonalPreconditioner::new(d).unwrap();
    let found = TrustRegionNewton {
        initial_radius: Some(1e4),
        ..TrustRegionNewton::default()
    }
    .solve_with(&mut f, Array1::zeros(3).view(), &m, |_| {
        ControlFlow::Continue(())
    })
    .unwrap();
    assert!(found.stop.is_converged() && norm((&found.x - 1.0).view()) < 1e-10);
    assert_eq!(found.stats.n_products, 1);
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
    let found = TrustRegionNewton::for_type::<f32>()
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
        ..config.clone()
    };
    assert_eq!(
        solve(&gauss, array![1.0, 1.0]),
        Err(SolverError::NoGaussNewton)
    );
    let x = || array![0.0, 0.0];
    for bad in [
        TrustRegionNewton {
            damping: -1.0,
            ..config.clone()
        },
        TrustRegionNewton {
            gradient_tolerance: f64::NAN,
            ..config.clone()
        },
        TrustRegionNewton {
            initial_radius: Some(0.0),
            ..config.clone()
        },
        TrustRegionNewton {
            max_radius: Some(f64::NAN),
            ..config.clone()
        },
        TrustRegionNewton {
            accept_ratio: 0.5,
            ..config.clone()
        },
        TrustRegionNewton {
            forcing: Forcing::Constant(2.0),
            ..config.clone()
        },
    ] {
        assert!(
            matches!(solve(&bad, x()), Err(SolverError::InvalidSetting { .. })),
            "{bad:?}"
        );
    }
}

#[test]
fn config_survives_serialisation() {
    let config = TrustRegionNewton {
        max_products: Some(9),
        ..TrustRegionNewton::default()
    };
    let text = serde_json::to_string(&config).unwrap();
    assert_eq!(
        serde_json::from_str::<TrustRegionNewton>(&text).unwrap(),
        config
    );
    let found = config
        .solve(&mut rosenbrock(), array![-1.2, 1.0].view())
        .unwrap();
    let text = serde_json::to_string(&found).unwrap();
    let back: hvp_solvers::newton::Outcome<f64> = serde_json::from_str(&text).unwrap();
    assert_eq!((back.stop, back.stats), (found.stop, found.stats));
}
