//! Convergence of the minimisers on problems with known answers.

use std::ops::ControlFlow;

use crate::common::bits;
use crate::common::mgh::{self, LeastSquares};
use ad_core::Real;
use hvp_solvers::objective::Quadratic;
use hvp_solvers::{Objective, SecondOrder};
use ndarray::{Array1, Array2, array};
use optim::first_order::{Adam, Descent, RmsProp, Sgd};
use optim::lbfgs::Lbfgs;
use optim::minimize::{
    Limits, MinimizeError, Minimizer, Outcome, StopReason, minimize, minimize_observed, resume,
};
use optim::newton::Newton;
use optim::schedule::Schedule;

fn solve<M: Minimizer<f64, LeastSquares>>(method: &M, problem: &LeastSquares) -> Outcome<f64> {
    let limits = Limits {
        gradient_tol: 1e-9,
        gradient_tol_relative: 1e-13,
        ..Limits::default()
    };
    let mut problem = problem.clone();
    let x0 = problem.x0();
    minimize(method, &mut problem, x0.view(), &limits).unwrap()
}

/// The excess over the nearest of the values at which a method may end: relative to it where it is
/// not zero, else to the value at the start.
fn excess(problem: &LeastSquares, outcome: &Outcome<f64>) -> f64 {
    let start = problem.clone().value(problem.x0().view());
    let distance = |answer: &f64| (outcome.value - answer).abs();
    let answers = problem.problem.answers().into_iter();
    let nearest = answers.min_by(|a, b| distance(a).total_cmp(&distance(b)));
    let nearest = nearest.unwrap();
    let unit = if nearest > 0.0 { nearest } else { start };
    (outcome.value - nearest) / unit
}

/// Solves every problem; `worst` bounds the excess, `n_evals` the evaluations.
fn solve_all<M: Minimizer<f64, LeastSquares>>(method: &M, worst: f64, n_evals: u64) {
    for problem in mgh::all() {
        let outcome = solve(method, &problem);
        let excess = excess(&problem, &outcome);
        let name = problem.problem.name;
        assert_eq!(
            outcome.stop,
            StopReason::GradientTolerance,
            "{name}: {outcome:?}"
        );
        // Below a minimum that is not zero by the rounding of up to 20 terms.
        assert!(
            excess < worst && excess > -64.0 * f64::EPSILON,
            "{name}: {excess:e}"
        );
        assert!(
            outcome.stats.n_evals <= n_evals,
            "{name}: {:?}",
            outcome.stats
        );
    }
}

/// ‖∇f‖ ≤ 1e-9 leaves an excess of about ‖∇f‖²/λ, with λ down to 1e-8.
#[test]
fn lbfgs_solves_the_more_garbow_hillstrom_problems() {
    solve_all(&Lbfgs::default(), 1e-10, 400);
}

#[test]
fn newton_solves_the_more_garbow_hillstrom_problems() {
    solve_all(&Newton::default(), 1e-10, 1000);
}

/// ½xᵀHx − hᵀx with H = LLᵀ of condition about `condition`, and its minimiser.
fn quadratic<T: Real>(n: usize, condition: f64) -> (Quadratic<T>, Array1<T>) {
    // A reflection I − 2uuᵀ of a diagonal matrix: eigenvalues known, entries full.
    let u = Array1::from_shape_fn(n, |i| ((i + 1) as f64).sin());
    let u = &u / u.dot(&u).sqrt();
    let values = Array1::from_shape_fn(n, |i| condition.powf(i as f64 / (n - 1) as f64));
    let reflect = |x: &Array1<f64>| x - &(2.0 * u.dot(x) * &u);
    let mut h = Array2::zeros((n, n));
    for j in 0..n {
        let mut unit = Array1::zeros(n);
        unit[j] = 1.0;
        h.column_mut(j)
            .assign(&reflect(&(&values * &reflect(&unit))));
    }
    let h = (&h + &h.t()) / 2.0;
    let minimiser = Array1::from_shape_fn(n, |i| ((3 * i) as f64).cos());
    let linear = -h.dot(&minimiser);
    let convert = |x: f64| T::of(x);
    let problem = Quadratic::new(h.mapv(convert), linear.mapv(convert)).unwrap();
    (problem, minimiser.mapv(convert))
}

/// The error is bounded by ‖∇f‖/λ_min, with λ_min = 1 here.
fn finds_minimiser<T: Real, M>(method: &M, n: usize, condition: f64, tol: f64, max_iters: u64)
where
    M: Minimizer<T, Quadratic<T>>,
{
    let (mut f, minimiser) = quadratic::<T>(n, condition);
    let limits = Limits {
        gradient_tol: tol,
        max_iters,
        ..Limits::default()
    };
    let outcome = minimize(method, &mut f, Array1::zeros(n).view(), &limits).unwrap();
    assert!(outcome.stop.is_converged(), "{outcome:?}");
    let error = (&outcome.x - &minimiser)
        .fold(0.0, |sum: f64, e| sum + e.as_f64().powi(2))
        .sqrt();
    // The minimiser itself is rounded when H and b are: up to n·eps·condition.
    let rounding = n as f64 * T::epsilon().as_f64() * condition;
    assert!(error <= 1.01 * tol + rounding, "{error:e}");
}

#[test]
fn quadratics_in_both_types() {
    finds_minimiser::<f64, _>(&Lbfgs::default(), 40, 1e3, 1e-8, 500);
    finds_minimiser::<f32, _>(&Lbfgs::default(), 40, 1e1, 1e-3, 50);
    // One step, and a second one for the rounding of the first.
    finds_minimiser::<f64, _>(&Newton::default(), 70, 1e3, 1e-9, 2);
    finds_minimiser::<f32, _>(&Newton::default(), 40, 1e1, 1e-3, 2);
    let rate = 1.0 / 10.0;
    let plain = Descent::with_schedule(Sgd::plain(), Schedule::constant(rate).unwrap());
    // The error contracts by 1 − 1/10 a step at least: 1e-8 after about 200 steps.
    finds_minimiser::<f64, _>(&plain, 10, 10.0, 1e-8, 260);
    let adam = Descent::with_schedule(
        Adam::default(),
        Schedule::exponential(0.3, 0.5, 40).unwrap(),
    );
    finds_minimiser::<f64, _>(&adam, 10, 10.0, 1e-6, 2000);
}

#[test]
fn newton_ends_the_worked_example_in_one_step() {
    let h = array![[6.0_f64, 0.8], [0.8, 2.0]];
    let mut f = Quadratic::new(h, Array1::zeros(2)).unwrap();
    let x0 = array![2.5, -2.0];
    let method = Newton::default();
    let outcome = minimize(&method, &mut f, x0.view(), &Limits::default()).unwrap();
    assert_eq!(
        (outcome.stop, outcome.stats.n_iters),
        (StopReason::GradientTolerance, 1)
    );
    assert!(
        outcome.x.iter().all(|x: &f64| x.abs() <= 1e-15),
        "{}",
        outcome.x
    );
}

/// f = x² − y² + y⁴/2 has a saddle at 0 and minima −½ at (0, ±1).
struct Saddle(Array1<f64>);

impl Objective<f64> for Saddle {
    fn dim(&self) -> usize {
        2
    }
    fn value(&mut self, x: ndarray::ArrayView1<f64>) -> f64 {
        x[0] * x[0] - x[1] * x[1] + 0.5 * x[1].powi(4)
    }
    fn value_and_grad(
        &mut self,
        x: ndarray::ArrayView1<f64>,
        mut grad: ndarray::ArrayViewMut1<f64>,
    ) -> f64 {
        grad[0] = 2.0 * x[0];
        grad[1] = -2.0 * x[1] + 2.0 * x[1].powi(3);
        self.value(x)
    }
}

impl SecondOrder<f64> for Saddle {
    fn linearize(&mut self, x: ndarray::ArrayView1<f64>, grad: ndarray::ArrayViewMut1<f64>) -> f64 {
        self.0.assign(&x);
        self.value_and_grad(x, grad)
    }
    fn hvp_into(&self, v: ndarray::ArrayView1<f64>, mut out: ndarray::ArrayViewMut1<f64>) {
        out[0] = 2.0 * v[0];
        out[1] = (6.0 * self.0[1] * self.0[1] - 2.0) * v[1];
    }
}

#[test]
fn an_indefinite_hessian_is_shifted_until_the_step_descends() {
    let x0 = array![1.0, 1e-3];
    let mut f = Saddle(Array1::zeros(2));
    let outcome = minimize(&Newton::default(), &mut f, x0.view(), &Limits::default()).unwrap();
    assert!(outcome.stop.is_converged());
    // Curvatures 2 and 4 at the minimum, gradient within 1e-6.
    assert!(
        outcome.x[0].abs() < 1e-6 && (outcome.x[1] - 1.0).abs() < 1e-6,
        "{}",
        outcome.x
    );
}

#[test]
fn a_hessian_over_the_budget_is_refused_with_its_size() {
    let (mut f, _) = quadratic::<f64>(40, 10.0);
    let method = Newton {
        max_bytes: 10_000,
        ..Newton::default()
    };
    let error = minimize(
        &method,
        &mut f,
        Array1::zeros(40).view(),
        &Limits::default(),
    );
    // One matrix, a triangle and twelve vectors, and what the factorisation takes.
    let factorisation = hvp_solvers::dense::cholesky_in_place_bytes::<f64>(40);
    let bytes_needed = (40 * 40 + 40 * 41 / 2 + 12 * 40) * 8 + factorisation as u128;
    let want = MinimizeError::OverBudget {
        dim: 40,
        bytes_needed,
        bytes_allowed: 10_000,
    };
    assert_eq!(error.unwrap_err(), want);
    let text = format!("{bytes_needed} bytes");
    assert!(want.to_string().contains(&text), "{want}");
    // A million parameters do not overflow the count.
    assert_eq!(Newton::default().bytes_needed::<f64>(1 << 20) >> 43, 1);
}

#[test]
fn unusable_settings_and_inputs_are_named() {
    let mut f = mgh::rosenbrock();
    let x0 = array![-1.2, 1.0];
    let mut message = |method: &Lbfgs, x0: &Array1<f64>, limits: &Limits| {
        minimize(method, &mut f, x0.view(), limits)
            .unwrap_err()
            .to_string()
    };
    let (good, limits) = (Lbfgs::default(), Limits::default());
    let none = message(&Lbfgs { memory: 0, ..good }, &x0, &limits);
    assert_eq!(none, "memory = 0 cannot be used: at least 1");
    let nan = Limits {
        gradient_tol: f64::NAN,
        ..limits
    };
    assert!(message(&good, &x0, &nan).starts_with("gradient_tol = NaN"));
    assert_eq!(
        message(&good, &array![1.0], &limits),
        "x0 has length 1, expected 2"
    );
    let infinite = array![1.0, f64::INFINITY];
    assert_eq!(
        message(&good, &infinite, &limits),
        "x0 is not finite at index 1"
    );
    let rule = Descent::new(Sgd {
        momentum: 1.0,
        ..Sgd::default()
    });
    let error = minimize(&rule, &mut f, x0.view(), &limits).unwrap_err();
    assert_eq!(error.to_string(), "momentum = 1 cannot be used: in [0, 1)");
}

/// A run of `n_iters` iterations, stopped and taken up from text after `pause`.
fn interrupted<M: Minimizer<f64, LeastSquares>>(
    method: &M,
    pause: u64,
    n_iters: u64,
) -> Outcome<f64> {
    let limits = Limits {
        gradient_tol: 0.0,
        max_iters: n_iters,
        ..Limits::default()
    };
    let x0 = mgh::rosenbrock().x0();
    let mut text = String::new();
    let stopped = minimize_observed(
        method,
        &mut mgh::rosenbrock(),
        x0.view(),
        &limits,
        |iterate, state| {
            if iterate.stats().n_iters < pause {
                return ControlFlow::Continue(());
            }
            text = serde_json::to_string(state).unwrap();
            ControlFlow::Break(())
        },
    )
    .unwrap();
    assert_eq!(
        (stopped.stop, stopped.stats.n_iters),
        (StopReason::Interrupted, pause)
    );
    let mut state: M::State = serde_json::from_str(&text).unwrap();
    // A fresh objective: nothing may hide in the old one.
    let mut fresh = mgh::rosenbrock();
    resume(method, &mut fresh, &mut state, &limits, |_, _| {
        ControlFlow::Continue(())
    })
    .unwrap()
}

fn resumes_exactly<M: Minimizer<f64, LeastSquares>>(method: &M) {
    let limits = Limits {
        gradient_tol: 0.0,
        max_iters: 18,
        ..Limits::default()
    };
    let x0 = mgh::rosenbrock().x0();
    let whole = minimize(method, &mut mgh::rosenbrock(), x0.view(), &limits).unwrap();
    for pause in [0, 1, 7, 17] {
        let resumed = interrupted(method, pause, 18);
        assert_eq!(bits(&resumed.x), bits(&whole.x), "{pause}");
        assert_eq!(resumed.value.to_bits(), whole.value.to_bits());
        assert_eq!(
            (resumed.stats, resumed.stop),
            (whole.stats, StopReason::MaxIterations)
        );
    }
}

#[test]
fn resuming_is_exact_to_the_last_bit() {
    resumes_exactly(&Lbfgs {
        memory: 3,
        ..Lbfgs::default()
    });
    resumes_exactly(&Newton::default());
    let schedule = Schedule::cosine(1e-3, 1e-4, 18).unwrap().with_warm_up(3);
    resumes_exactly(&Descent::with_schedule(Adam::default(), schedule.clone()));
    resumes_exactly(&Descent::with_schedule(Sgd::default(), schedule.clone()));
    let rmsprop = RmsProp {
        momentum: 0.5,
        centered: true,
        ..RmsProp::default()
    };
    resumes_exactly(&Descent::with_schedule(rmsprop, schedule));
}

#[test]
fn limits_end_a_run_with_their_own_reason() {
    let x0 = mgh::rosenbrock().x0();
    let run = |limits| {
        minimize(
            &Lbfgs::default(),
            &mut mgh::rosenbrock(),
            x0.view(),
            &limits,
        )
    };
    let iters = run(Limits {
        max_iters: 3,
        ..Limits::default()
    })
    .unwrap();
    assert_eq!(
        (iters.stop, iters.stats.n_iters),
        (StopReason::MaxIterations, 3)
    );
    let evals = run(Limits {
        max_evals: 5,
        ..Limits::default()
    })
    .unwrap();
    assert_eq!(evals.stop, StopReason::EvaluationBudget);
    assert_eq!(evals.stats.n_evals, 5);
    let loose = run(Limits {
        gradient_tol_relative: 1.0,
        ..Limits::default()
    })
    .unwrap();
    assert_eq!(
        (loose.stop, loose.stats.n_evals),
        (StopReason::GradientTolerance, 1)
    );
}
