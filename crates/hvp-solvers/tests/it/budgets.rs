//! Limits are hard: no Newton method makes more evaluations, products or iterations than it may.

use std::time::Duration;

use hvp_solvers::minimize::{Limits, Minimizer, Outcome, StopReason, minimize};
use hvp_solvers::newton::{
    CubicNewton, Forcing, LineSearchNewton, NewtonMr, SaddleFreeNewton, StationaryCheck,
    TrustRegionNewton,
};
use hvp_solvers::objective::Quadratic;
use hvp_solvers::{SecondOrder, SolverError};
use ndarray::{Array1, array};
use proptest::prelude::*;

use crate::kit::{Counting, EPS, double_well, norm, powell_singular, rosenbrock, with_spectrum};
use crate::methods::{gltr, hessian_free, with_each_method, wood};

/// [`run_noisy`] of a function whose values carry their own rounding only.
fn run<M, F>(name: &str, method: &M, f: F, x0: &Array1<f64>, limits: &Limits) -> Outcome<f64>
where
    F: SecondOrder<f64> + Clone,
    M: Minimizer<f64, Counting<F>>,
{
    run_noisy(name, method, f, x0, limits, |_| 0.0)
}

/// Runs within limits, and checks what must hold whatever they are; values at a point may carry
/// so much noise beside their own rounding.
fn run_noisy<M, F>(
    name: &str,
    method: &M,
    f: F,
    x0: &Array1<f64>,
    limits: &Limits,
    noise: impl Fn(&Array1<f64>) -> f64,
) -> Outcome<f64>
where
    F: SecondOrder<f64> + Clone,
    M: Minimizer<f64, Counting<F>>,
{
    let mut counting = Counting::new(f.clone());
    let found = minimize(method, &mut counting, x0.view(), limits).unwrap();
    let context = format!("{name} {limits:?}: {found:?}");
    let stats = found.stats;
    // What is reported is what was made.
    let made = (counting.n_values, counting.n_products.get());
    assert_eq!((stats.n_evals, stats.n_products), made, "{context}");
    assert!(stats.n_evals <= limits.max_evals, "{context}");
    assert!(stats.n_iters <= limits.max_iters, "{context}");
    let most = limits.max_products.unwrap_or(u64::MAX);
    assert!(stats.n_products <= most, "{context}");
    // The limit that is given as the reason is one that a step more would pass: an iteration
    // takes a trial and a linearization.
    match found.stop {
        StopReason::EvaluationBudget => assert!(stats.n_evals + 9 > limits.max_evals, "{context}"),
        StopReason::ProductBudget => assert_eq!(stats.n_products, most, "{context}"),
        StopReason::MaxIterations => assert_eq!(stats.n_iters, limits.max_iters, "{context}"),
        _ => {}
    }
    // The best so far, up to the noise of values; a point where the gradient vanishes is the
    // minimum, if not to rounding the lowest.
    let noise = 10.0 * EPS * counting.least.abs() + noise(&found.x).max(noise(x0));
    let is_best = found.value <= counting.least + noise;
    assert!(is_best || found.stop.is_converged(), "{context}");
    let value = f.clone().value(found.x.view());
    assert_eq!(value.to_bits(), found.value.to_bits(), "{context}");
    found
}

fn tight() -> Limits {
    Limits {
        gradient_tol: 1e-12,
        ..Limits::default()
    }
}

#[test]
fn every_limit_up_to_forty_is_kept_by_every_method() {
    let problems = [
        (rosenbrock(), array![-1.2, 1.0]),
        (wood(), array![-3.0, -1.0, -3.0, -1.0]),
        (powell_singular(), array![3.0, -1.0, 0.0, 1.0]),
        (double_well(), array![0.0, 0.0]),
        (double_well(), array![1e-6, 1.0]),
    ];
    for (f, x0) in &problems {
        for limit in 1..=40 {
            with_each_method!(name, method => {
                let evals = Limits { max_evals: limit, ..tight() };
                let found = run(name, &method, f.clone(), x0, &evals);
                let ended = [StopReason::EvaluationBudget, StopReason::GradientTolerance];
                assert!(ended.contains(&found.stop), "{name} {limit}: {found:?}");
                let products = Limits { max_products: Some(limit - 1), ..tight() };
                let found = run(name, &method, f.clone(), x0, &products);
                let ended = [StopReason::ProductBudget, StopReason::GradientTolerance];
                assert!(ended.contains(&found.stop), "{name} {limit}: {found:?}");
                let iters = Limits { max_iters: limit - 1, ..tight() };
                run(name, &method, f.clone(), x0, &iters);
            });
        }
    }
}

#[test]
fn minimum_residuals_on_a_singular_system_keep_to_their_products() {
    let f = Quadratic::new(array![[1.0, 0.0], [0.0, 0.0]], array![1.0, 1.0]).unwrap();
    let method = NewtonMr {
        forcing: Forcing::Constant(1e-3),
        ..NewtonMr::default()
    };
    for limit in 0..20 {
        let limits = Limits {
            max_products: Some(limit),
            ..tight()
        };
        let found = run("Newton-MR", &method, f.clone(), &Array1::zeros(2), &limits);
        assert_eq!(found.stop, StopReason::ProductBudget, "{found:?}");
    }
}

#[test]
fn looking_for_negative_curvature_keeps_to_the_products() {
    let method = TrustRegionNewton {
        stationary_check: StationaryCheck::Always { max_products: 30 },
        ..TrustRegionNewton::default()
    };
    for limit in 0..40 {
        let limits = Limits {
            max_products: Some(limit),
            ..Limits::default()
        };
        run("check", &method, double_well(), &array![0.0, 1.0], &limits);
        run("check", &method, double_well(), &array![0.0, 0.0], &limits);
    }
}

#[test]
fn limits_of_nothing() {
    let x0 = array![-1.2, 1.0];
    with_each_method!(name, method => {
        for (limits, stop) in [
            (Limits { max_iters: 0, ..tight() }, StopReason::MaxIterations),
            (Limits { max_products: Some(0), ..tight() }, StopReason::ProductBudget),
            (Limits { max_evals: 1, ..tight() }, StopReason::EvaluationBudget),
            (Limits { max_time: Some(Duration::ZERO), ..tight() }, StopReason::TimeBudget),
        ] {
            let found = run(name, &method, rosenbrock(), &x0, &limits);
            assert_eq!((found.stop, &found.x), (stop, &x0), "{name}");
            assert_eq!((found.stats.n_evals, found.stats.n_products), (1, 0), "{name}");
        }
        // Not even the start could be evaluated.
        let none = Limits { max_evals: 0, ..tight() };
        let refused = minimize(&method, &mut rosenbrock(), x0.view(), &none);
        let is_named = matches!(refused, Err(SolverError::InvalidSetting { name: "max_evals", .. }));
        assert!(is_named, "{name}: {refused:?}");
        for nan in [
            Limits { gradient_tol: f64::NAN, ..tight() },
            Limits { gradient_tol_relative: f64::NAN, ..tight() },
        ] {
            let refused = minimize(&method, &mut rosenbrock(), x0.view(), &nan);
            assert!(matches!(refused, Err(SolverError::InvalidSetting { .. })), "{name}");
        }
    });
}

/// Eigenvalues of either sign over many orders, and zero.
fn eigenvalue() -> impl Strategy<Value = f64> {
    prop_oneof![
        1 => Just(0.0),
        4 => (-6.0..6.0_f64).prop_map(|e| 10.0_f64.powf(e)),
        1 => (-3.0..3.0_f64).prop_map(|e| -(10.0_f64.powf(e))),
    ]
}

proptest! {
    #[test]
    fn random_limits_are_kept_on_random_quadratics(
        spectrum in proptest::collection::vec(eigenvalue(), 1..7),
        linear in proptest::collection::vec(-2.0..2.0_f64, 7),
        start in proptest::collection::vec(-3.0..3.0_f64, 7),
        seed in 0..1000_u64,
        evals in 1..40_u64,
        products in proptest::option::of(0..40_u64),
        iters in 0..30_u64,
    ) {
        let n = spectrum.len();
        let steepest = spectrum.iter().fold(2.0_f64, |top, v| top.max(v.abs()));
        let h = with_spectrum(&Array1::from(spectrum), seed);
        let f = Quadratic::new(h, Array1::from(linear[..n].to_vec())).unwrap();
        let x0 = Array1::from(start[..n].to_vec());
        let limits = Limits {
            max_evals: evals,
            max_products: products,
            max_iters: iters,
            ..Limits::default()
        };
        with_each_method!(name, method => {
            // The terms of ½xᵀHx + bᵀx cancel.
            run_noisy(name, &method, f.clone(), &x0, &limits, |x| {
                let size = 1.0 + norm(x.view());
                1e3 * EPS * steepest * size * size
            });
        });
    }
}
