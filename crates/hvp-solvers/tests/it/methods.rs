//! What holds for every Newton method, tried on each.

use std::fmt::Debug;
use std::ops::ControlFlow;

use hvp_solvers::linear::DiagonalPreconditioner;
use hvp_solvers::minimize::{
    Limits, Minimizer, Outcome, StopReason, minimize, minimize_observed, resume,
};
use hvp_solvers::newton::{
    CubicNewton, Forcing, HessianFree, LineSearchNewton, NewtonMr, SaddleFreeNewton, Subproblem,
    TrustRegionNewton,
};
use hvp_solvers::objective::Quadratic;
use hvp_solvers::{Curvature, Objective, Quantity, SecondOrder};
use ndarray::{Array1, Array2, array};

use crate::kit::{
    EPS, Fault, Faulty, Smooth, double_well, norm, normal, powell_singular, rosenbrock,
    with_spectrum,
};

/// Runs a block with each method by the name `$method`.
macro_rules! with_each_method {
    ($name:ident, $method:ident => $body:block) => {
        with_each_method!(@one $name, $method, TrustRegionNewton::default(), $body);
        with_each_method!(@one $name, $method, gltr(), $body);
        with_each_method!(@one $name, $method, LineSearchNewton::default(), $body);
        with_each_method!(@one $name, $method, NewtonMr::default(), $body);
        with_each_method!(@one $name, $method, CubicNewton::default(), $body);
        with_each_method!(@one $name, $method, SaddleFreeNewton::default(), $body);
        with_each_method!(@one $name, $method, hessian_free(), $body);
    };
    (@one $name:ident, $method:ident, $value:expr, $body:block) => {{
        let $name = stringify!($value);
        let $method = $value;
        $body
    }};
}
pub(crate) use with_each_method;

pub(crate) fn gltr() -> TrustRegionNewton {
    TrustRegionNewton {
        subproblem: Subproblem::Gltr,
        ..TrustRegionNewton::default()
    }
}

/// With the Hessian, as the functions here are no models' losses.
pub(crate) fn hessian_free() -> HessianFree {
    HessianFree {
        curvature: Curvature::Hessian,
        initial_damping: 1.0,
        ..HessianFree::default()
    }
}

fn carry_on<A: ?Sized, S: ?Sized>(_: &A, _: &S) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// Wood's function, minimum 0 at (1, 1, 1, 1).
pub(crate) fn wood() -> Smooth {
    Smooth::new(
        4,
        |x| {
            let (a, b) = (x[1] - x[0] * x[0], x[3] - x[2] * x[2]);
            100.0 * a * a
                + (1.0 - x[0]).powi(2)
                + 90.0 * b * b
                + (1.0 - x[2]).powi(2)
                + 10.0 * (x[1] + x[3] - 2.0).powi(2)
                + 0.1 * (x[1] - x[3]).powi(2)
        },
        |x| {
            let (a, b) = (x[1] - x[0] * x[0], x[3] - x[2] * x[2]);
            let (s, d) = (20.0 * (x[1] + x[3] - 2.0), 0.2 * (x[1] - x[3]));
            vec![
                -400.0 * x[0] * a - 2.0 * (1.0 - x[0]),
                200.0 * a + s + d,
                -360.0 * x[2] * b - 2.0 * (1.0 - x[2]),
                180.0 * b + s - d,
            ]
        },
        |x| {
            let (p, q) = (-400.0 * x[0], -360.0 * x[2]);
            array![
                [1200.0 * x[0] * x[0] - 400.0 * x[1] + 2.0, p, 0.0, 0.0],
                [p, 220.2, 0.0, 19.8],
                [0.0, 0.0, 1080.0 * x[2] * x[2] - 360.0 * x[3] + 2.0, q],
                [0.0, 19.8, q, 200.2]
            ]
        },
    )
}

/// Brown's badly scaled function, minimum 0 at (10⁶, 2·10⁻⁶).
fn brown() -> Smooth {
    Smooth::new(
        2,
        |x| (x[0] - 1e6).powi(2) + (x[1] - 2e-6).powi(2) + (x[0] * x[1] - 2.0).powi(2),
        |x| {
            let r = x[0] * x[1] - 2.0;
            vec![
                2.0 * (x[0] - 1e6) + 2.0 * r * x[1],
                2.0 * (x[1] - 2e-6) + 2.0 * r * x[0],
            ]
        },
        |x| {
            let mixed = 4.0 * x[0] * x[1] - 4.0;
            array![
                [2.0 + 2.0 * x[1] * x[1], mixed],
                [mixed, 2.0 + 2.0 * x[0] * x[0]]
            ]
        },
    )
}

/// Minimum −1 at the origin, a maximum 1 where the cosines are −1, saddles between.
fn cosines() -> Smooth {
    Smooth::new(
        2,
        |x| -0.5 * (x[0].cos() + x[1].cos()),
        |x| vec![0.5 * x[0].sin(), 0.5 * x[1].sin()],
        |x| array![[0.5 * x[0].cos(), 0.0], [0.0, 0.5 * x[1].cos()]],
    )
}

/// The functions with a start each, and the value at the minimum.
fn problems() -> Vec<(&'static str, Smooth, Array1<f64>, f64)> {
    vec![
        ("Rosenbrock", rosenbrock(), array![-1.2, 1.0], 0.0),
        ("Rosenbrock, far", rosenbrock(), array![-12.0, 10.0], 0.0),
        (
            "Powell",
            powell_singular(),
            array![3.0, -1.0, 0.0, 1.0],
            0.0,
        ),
        ("Wood", wood(), array![-3.0, -1.0, -3.0, -1.0], 0.0),
        ("Brown", brown(), array![1.0, 1.0], 0.0),
        ("double well", double_well(), array![0.3, 1.0], -0.25),
        ("cosines", cosines(), array![2.5, 0.4], -1.0),
    ]
}

#[test]
fn every_method_finds_the_minima() {
    let limits = Limits {
        gradient_tol: 1e-9,
        max_iters: 5000,
        ..Limits::default()
    };
    let mut failures = Vec::new();
    for (problem, f, x0, minimum) in problems() {
        with_each_method!(name, method => {
            let found = minimize(&method, &mut f.clone(), x0.view(), &limits).unwrap();
            let excess = found.value - minimum;
            println!("{problem}: {name}: {excess:e} {:?} {:?}", found.stop, found.stats);
            if !(found.stop.is_converged() && excess.abs() <= 1e-10) {
                failures.push(format!("{problem}: {name}: {found:?}"));
            }
        });
    }
    assert!(failures.is_empty(), "{failures:#?}");
}

#[test]
fn quadratics_at_any_scale_in_few_steps() {
    for (n, scale) in [(1, 1.0), (2, 1.0), (30, 1.0), (30, 1e8), (30, 1e-8)] {
        let h = with_spectrum(&Array1::linspace(0.5, 20.0, n), n as u64) * scale;
        let x_star = normal(n, 9);
        let b = -h.dot(&x_star);
        let f = Quadratic::new(h, b).unwrap();
        let limits = Limits {
            gradient_tol: 1e-10 * scale,
            max_iters: 500,
            ..Limits::default()
        };
        with_each_method!(name, method => {
            // The damping of Hessian-free has the units of the curvature.
            let found = minimize(&method, &mut f.clone(), Array1::zeros(n).view(), &limits).unwrap();
            let context = format!("{name} n = {n}, {scale:e}: {found:?}");
            assert!(found.stop.is_converged() || name == "hessian_free()", "{context}");
            if found.stop.is_converged() {
                // ‖x − x*‖ ≤ ‖g‖/λ_min, and the rounding of b.
                assert!(norm((&found.x - &x_star).view()) < 1e-9, "{context}");
            }
            assert!(found.stats.n_iters < 40 || name == "hessian_free()", "{context}");
        });
    }
}

#[test]
fn small_dimensions_and_starts_at_the_solution() {
    let nothing = Quadratic::new(Array2::<f64>::zeros((0, 0)), Array1::zeros(0)).unwrap();
    let bowl = Quadratic::new(array![[2.0, 0.0], [0.0, 20.0]], array![-2.0, 20.0]).unwrap();
    with_each_method!(name, method => {
        let found = method.solve(&mut nothing.clone(), Array1::<f64>::zeros(0).view()).unwrap();
        assert!(found.stop.is_converged() && found.x.is_empty(), "{name}");
        assert_eq!((found.stats.n_evals, found.stats.n_products), (1, 0), "{name}");
        let solution = array![1.0, -1.0];
        let found = method.solve(&mut bowl.clone(), solution.view()).unwrap();
        assert!(found.stop.is_converged() && found.stats.n_iters == 0, "{name}");
        assert_eq!(found.x, solution, "{name}");
        let mut quartic = Smooth::new(
            1,
            |x| x[0].powi(4) + x[0],
            |x| vec![4.0 * x[0].powi(3) + 1.0],
            |x| array![[12.0 * x[0] * x[0]]],
        );
        let found = method.solve(&mut quartic, array![5.0].view()).unwrap();
        // 4x³ = −1 with f″ = 12x² ≈ 4.8 there.
        assert!(found.stop.is_converged(), "{name}: {found:?}");
        assert!((found.x[0] + 0.25_f64.cbrt()).abs() < 1e-8, "{name}: {found:?}");
    });
}

#[test]
fn saddles_and_maxima_are_left() {
    let starts = [
        (double_well(), array![0.0, 0.0], -0.25),
        (cosines(), array![0.0, std::f64::consts::PI], -1.0),
        (cosines(), Array1::from_elem(2, std::f64::consts::PI), -1.0),
    ];
    for (f, x0, minimum) in starts {
        with_each_method!(name, method => {
            if name != "hessian_free()" {
                let found = method.solve(&mut f.clone(), x0.view()).unwrap();
                assert!(found.stop.is_converged(), "{name}: {found:?}");
                assert!((found.value - minimum).abs() < 1e-12, "{name} {x0}: {found:?}");
            }
        });
    }
}

#[test]
fn near_a_saddle_negative_curvature_is_followed() {
    // The gradient points almost exactly at the saddle.
    let x0 = array![1e-6, 1.0];
    with_each_method!(name, method => {
        let found = method.solve(&mut double_well(), x0.view()).unwrap();
        assert!(found.stop.is_converged(), "{name}: {found:?}");
        assert!((found.value + 0.25).abs() < 1e-12, "{name}: {found:?}");
        assert!(found.stats.n_iters < 60 , "{name}: {found:?}");
    });
}

#[test]
fn single_precision() {
    let f = Quadratic::new(array![[2.0_f32, 0.5], [0.5, 20.0]], array![1.0_f32, -1.0]).unwrap();
    with_each_method!(name, method => {
        let found = method.solve(&mut f.clone(), array![5.0_f32, 5.0].view()).unwrap();
        assert!(found.stop.is_converged(), "{name}: {found:?}");
        assert!(found.gradient_norm <= f32::EPSILON.sqrt(), "{name}");
    });
}

#[test]
fn products_stay_within_their_limit() {
    let x0 = array![-3.0, -1.0, -3.0, -1.0];
    for max in [1, 2, 3, 7, 20] {
        let limits = Limits {
            max_products: Some(max),
            ..Limits::default()
        };
        with_each_method!(name, method => {
            let found = minimize(&method, &mut wood(), x0.view(), &limits).unwrap();
            assert_eq!(found.stop, StopReason::ProductBudget, "{name} {max}: {found:?}");
            assert_eq!(found.stats.n_products, max, "{name}");
        });
    }
}

#[test]
fn unbounded_objectives_end() {
    let f = Quadratic::new(array![[1.0_f64, 0.0], [0.0, -1.0]], array![1.0, 1.0]).unwrap();
    let limits = Limits {
        max_iters: 200,
        ..Limits::default()
    };
    with_each_method!(name, method => {
        let found = minimize(&method, &mut f.clone(), array![1.0, 2.0].view(), &limits).unwrap();
        assert!(!found.stop.is_converged(), "{name}: {found:?}");
        assert!(found.value < -1e5 && found.x.iter().all(|x| x.is_finite()), "{name}: {found:?}");
    });
}

#[test]
fn unreachable_tolerances_end_at_the_solution() {
    let h = with_spectrum(&Array1::linspace(0.5, 20.0, 10), 3);
    let x_star = normal(10, 4);
    let f = Quadratic::new(h.clone(), -h.dot(&x_star)).unwrap();
    let limits = Limits {
        gradient_tol: 0.0,
        ..Limits::default()
    };
    with_each_method!(name, method => {
        let found = minimize(&method, &mut f.clone(), normal(10, 5).view(), &limits).unwrap();
        let stalled = matches!(
            found.stop,
            StopReason::Stalled
                | StopReason::RadiusCollapsed
                | StopReason::LineSearchFailed
                | StopReason::NoDescent
                | StopReason::NoiseFloor
                | StopReason::GradientTolerance
        );
        assert!(stalled && found.stats.n_iters < 300, "{name}: {found:?}");
        // Curvature ½ at least; values are known to 10 eps.
        assert!(norm((&found.x - &x_star).view()) < 1e-6, "{name}: {found:?}");
    });
}

/// A run of at most `n_iters` iterations, paused after `pause`, taken up from text.
fn paused<M, F>(method: &M, f: &F, x0: &Array1<f64>, limits: &Limits, pause: u64) -> Outcome<f64>
where
    F: SecondOrder<f64> + Clone,
    M: Minimizer<f64, F>,
{
    let mut text = String::new();
    let stopped = minimize_observed(method, &mut f.clone(), x0.view(), limits, |at, state| {
        if at.stats().n_iters < pause {
            return ControlFlow::Continue(());
        }
        text = serde_json::to_string(state).unwrap();
        ControlFlow::Break(())
    });
    assert_eq!(stopped.unwrap().stop, StopReason::Interrupted);
    let mut state: M::State = serde_json::from_str(&text).unwrap();
    // A fresh objective: nothing may hide in the old one.
    resume(method, &mut f.clone(), &mut state, limits, carry_on).unwrap()
}

fn resumes_exactly<M, F>(name: &str, method: &M, f: &F, x0: &Array1<f64>)
where
    F: SecondOrder<f64> + Clone,
    M: Minimizer<f64, F> + Debug,
{
    let limits = Limits {
        max_iters: 25,
        ..Limits::for_type::<f64>()
    };
    let whole = minimize(method, &mut f.clone(), x0.view(), &limits).unwrap();
    assert!(whole.stats.n_iters > 5, "{name}: {whole:?}");
    for pause in 0..whole.stats.n_iters {
        let resumed = paused(method, f, x0, &limits, pause);
        let bits = |x: &Array1<f64>| x.iter().map(|v| v.to_bits()).collect::<Vec<_>>();
        assert_eq!(bits(&resumed.x), bits(&whole.x), "{name}, {pause}");
        assert_eq!(
            (resumed.stop, resumed.stats),
            (whole.stop, whole.stats),
            "{name}, {pause}"
        );
        assert_eq!(resumed.value.to_bits(), whole.value.to_bits(), "{name}");
    }
}

#[test]
fn resuming_is_exact_to_the_last_bit() {
    for (_, f, x0, _) in problems().into_iter().take(4) {
        with_each_method!(name, method => { resumes_exactly(name, &method, &f, &x0); });
    }
    let m = DiagonalPreconditioner::new(array![100.0, 10.0]).unwrap();
    let (f, x0) = (rosenbrock(), array![-1.2, 1.0]);
    let method = TrustRegionNewton::default();
    resumes_exactly("preconditioned", &method.preconditioned(&m), &f, &x0);
    let method = TrustRegionNewton {
        forcing: Forcing::eisenstat_walker(),
        ..method
    };
    resumes_exactly("Eisenstat–Walker", &method, &f, &x0);
}

/// One method against every fault at every call of its clean run.
fn survives<M: Minimizer<f64, Faulty<Smooth>>>(name: &str, method: &M) {
    let (f, x0) = (rosenbrock, array![-1.2, 1.0]);
    let limits = Limits::for_type::<f64>();
    let mut clean = Faulty::new(f(), Fault::NONE, Fault::NONE, Fault::NONE);
    let sound = minimize(method, &mut clean, x0.view(), &limits).unwrap();
    assert!(sound.stop.is_converged(), "{name}: {sound:?}");
    let start = f().value(x0.view());
    let quantities = [Quantity::Value, Quantity::Gradient, Quantity::Product];
    for (which, (calls, quantity)) in clean.calls().into_iter().zip(quantities).enumerate() {
        for first in 0..calls {
            for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
                for count in [1, usize::MAX] {
                    let fault = Fault { first, count, bad };
                    let pick = |i| if i == which { fault } else { Fault::NONE };
                    let mut faulty = Faulty::new(f(), pick(0), pick(1), pick(2));
                    let found = minimize(method, &mut faulty, x0.view(), &limits).unwrap();
                    let context = format!("{name}: {fault:?} in {quantity}: {found:?}");
                    assert!(found.x.iter().all(|x| x.is_finite()), "{context}");
                    let expected = StopReason::NonFinite { what: quantity };
                    if first == 0 && which < 2 {
                        // Nothing is known of the start.
                        assert_eq!(found.stop, expected, "{context}");
                        continue;
                    }
                    // A single fault can be walked around. A lasting one cannot, unless it is
                    // in the last product, and the step before it good enough.
                    let mut gradient = Array1::zeros(2);
                    f().value_and_grad(found.x.view(), gradient.view_mut());
                    let is_there = norm(gradient.view()) <= limits.gradient_tol;
                    let may_converge = count == 1 || (which == 2 && first + 1 == calls);
                    let ended = found.stop == expected
                        || (found.stop.is_converged() && is_there && may_converge);
                    assert!(ended, "{context}");
                    assert!(found.value <= start * (1.0 + 20.0 * EPS), "{context}");
                    let value = f().value(found.x.view());
                    assert_eq!(value.to_bits(), found.value.to_bits(), "{context}");
                    assert!(found.gradient_norm.is_finite(), "{context}");
                }
            }
        }
    }
}

#[test]
fn every_fault_at_every_call_is_survived() {
    with_each_method!(name, method => { survives(name, &method); });
}
