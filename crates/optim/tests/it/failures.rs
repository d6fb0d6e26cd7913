//! Every minimiser with an objective that returns NaN or ±Inf at some call: the
//! point stays finite and the ending says what happened.

use crate::common::faulty::{Fault, Faulty};
use crate::common::mgh::{self, LeastSquares};
use hvp_solvers::{Objective, Quantity};
use ndarray::{ArrayView1, ArrayViewMut1, array};
use optim::first_order::{Adam, Descent, RmsProp, Sgd};
use optim::lbfgs::Lbfgs;
use optim::minimize::{Limits, Minimizer, Outcome, StopReason, minimize};
use optim::newton::Newton;
use optim::schedule::Schedule;

type Problem = Faulty<LeastSquares>;

fn run<M: Minimizer<f64, Problem>>(method: &M, fault: Fault) -> (Outcome<f64>, Problem) {
    let mut f = Faulty::new(mgh::rosenbrock(), fault);
    let x0 = f.inner.x0();
    let limits = Limits {
        max_iters: 300,
        ..Limits::default()
    };
    let outcome = minimize(method, &mut f, x0.view(), &limits).unwrap();
    assert!(
        outcome.x.iter().all(|x| x.is_finite()),
        "{fault:?}: {outcome:?}"
    );
    (outcome, f)
}

fn faults(quantities: &[&'static str]) -> Vec<Fault> {
    let mut all = Vec::new();
    for &quantity in quantities {
        for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
            for call in [0, 1, 2, 5, 11] {
                all.extend([true, false].map(|lasts| Fault {
                    quantity,
                    value,
                    call,
                    lasts,
                }));
            }
        }
    }
    all
}

fn quantity(fault: Fault) -> Quantity {
    match fault.quantity {
        "value" => Quantity::Value,
        "gradient" => Quantity::Gradient,
        _ => Quantity::Product,
    }
}

/// What must hold for every method: a fault at the start is the ending; one that
/// lasts is never called convergence; the value returned is sound, and is the least
/// that was seen up to rounding.
fn check<M: Minimizer<f64, Problem>>(method: &M, fault: Fault) -> Outcome<f64> {
    let (outcome, f) = run(method, fault);
    if fault.call == 0 && fault.quantity != "product" {
        let what = quantity(fault);
        assert_eq!(outcome.stop, StopReason::NonFinite { what }, "{fault:?}");
        assert_eq!(outcome.x, f.inner.x0());
        return outcome;
    }
    assert!(
        !(fault.lasts && outcome.stop.is_converged()),
        "{fault:?}: {outcome:?}"
    );
    assert!(
        outcome.value.is_finite() && outcome.gradient_norm.is_finite(),
        "{fault:?}"
    );
    let true_value = f.inner.clone().value(outcome.x.view());
    assert_eq!(outcome.value.to_bits(), true_value.to_bits(), "{fault:?}");
    // Ten times the rounding that either method takes for equality of values.
    let allowance = 1e3 * f64::EPSILON * f.least.abs();
    assert!(
        outcome.value <= f.least + allowance,
        "{fault:?}: {} {}",
        outcome.value,
        f.least
    );
    outcome
}

#[test]
fn lbfgs_steps_back_from_faults() {
    for fault in faults(&["value", "gradient"]) {
        let outcome = check(&Lbfgs::default(), fault);
        if fault.call > 0 {
            let want = if fault.lasts {
                StopReason::NonFinite {
                    what: quantity(fault),
                }
            } else {
                StopReason::GradientTolerance
            };
            assert_eq!(outcome.stop, want, "{fault:?}");
        }
    }
}

#[test]
fn newton_raises_the_shift_at_faults() {
    for fault in faults(&["value", "gradient", "product"]) {
        let outcome = check(&Newton::default(), fault);
        let what = quantity(fault);
        let is_fatal = fault.lasts || fault.call == 0 || fault.quantity == "product";
        if is_fatal {
            let ends = [StopReason::NonFinite { what }, StopReason::Stalled];
            assert!(ends.contains(&outcome.stop), "{fault:?}: {outcome:?}");
        } else {
            assert!(outcome.stop.is_converged(), "{fault:?}: {outcome:?}");
        }
    }
}

#[test]
fn first_order_descent_ends_at_faults_with_the_best_point() {
    let slow = Schedule::constant(1e-4).unwrap();
    for fault in faults(&["value", "gradient"]) {
        let sgd = check(&Descent::with_schedule(Sgd::default(), slow.clone()), fault);
        let adam = check(
            &Descent::with_schedule(Adam::default(), slow.clone()),
            fault,
        );
        let rmsprop = check(
            &Descent::with_schedule(RmsProp::default(), slow.clone()),
            fault,
        );
        for outcome in [sgd, adam, rmsprop] {
            assert_eq!(
                outcome.stop,
                StopReason::NonFinite {
                    what: quantity(fault)
                }
            );
            assert_eq!(outcome.stats.n_evals, fault.call as u64 + 1);
        }
    }
}

#[test]
fn a_rate_that_overflows_the_parameters_is_reported() {
    let mut f = mgh::rosenbrock();
    let x0 = f.x0();
    let method = Descent::with_schedule(Sgd::plain(), Schedule::constant(1e308).unwrap());
    let outcome = minimize(&method, &mut f, x0.view(), &Limits::default()).unwrap();
    assert_eq!(
        outcome.stop,
        StopReason::NonFinite {
            what: Quantity::Point
        }
    );
    assert_eq!(outcome.x, x0);
}

/// f(x) = x − ln x for x > 0 and NaN elsewhere, with its minimum 1 at 1.
struct Barrier;

impl Objective<f64> for Barrier {
    fn dim(&self) -> usize {
        1
    }
    fn value(&mut self, x: ArrayView1<f64>) -> f64 {
        x[0] - x[0].ln()
    }
    fn value_and_grad(&mut self, x: ArrayView1<f64>, mut grad: ArrayViewMut1<f64>) -> f64 {
        grad[0] = if x[0] > 0.0 {
            1.0 - 1.0 / x[0]
        } else {
            f64::NAN
        };
        self.value(x)
    }
}

#[test]
fn lbfgs_minimises_beside_a_region_where_f_is_undefined() {
    for start in [1e-3, 0.4, 1.9, 50.0] {
        let outcome = minimize(
            &Lbfgs::default(),
            &mut Barrier,
            array![start].view(),
            &Limits::default(),
        )
        .unwrap();
        assert!(outcome.stop.is_converged(), "{start}: {outcome:?}");
        // f″(1) = 1 and the gradient is within 1e-6.
        assert!((outcome.x[0] - 1.0).abs() < 2e-6, "{start}: {}", outcome.x);
    }
}

/// A gradient whose sign is wrong: no line search can succeed.
struct Uphill;

impl Objective<f64> for Uphill {
    fn dim(&self) -> usize {
        1
    }
    fn value(&mut self, x: ArrayView1<f64>) -> f64 {
        x[0] * x[0]
    }
    fn value_and_grad(&mut self, x: ArrayView1<f64>, mut grad: ArrayViewMut1<f64>) -> f64 {
        grad[0] = -2.0 * x[0];
        self.value(x)
    }
}

#[test]
fn a_wrong_gradient_ends_in_a_failed_line_search_at_the_best_point() {
    let outcome = minimize(
        &Lbfgs::default(),
        &mut Uphill,
        array![3.0].view(),
        &Limits::default(),
    )
    .unwrap();
    assert_eq!(outcome.stop, StopReason::LineSearchFailed);
    assert_eq!((outcome.x[0], outcome.value), (3.0, 9.0));
}

/// f = Σ 1e200·x: gradients whose squares overflow, though their norm does not.
struct Steep;

impl Objective<f64> for Steep {
    fn dim(&self) -> usize {
        2
    }
    fn value(&mut self, x: ArrayView1<f64>) -> f64 {
        1e200 * x.sum()
    }
    fn value_and_grad(&mut self, x: ArrayView1<f64>, mut grad: ArrayViewMut1<f64>) -> f64 {
        grad.fill(1e200);
        self.value(x)
    }
}

#[test]
fn a_gradient_whose_squares_overflow_ends_rules_that_keep_them() {
    fn end<R: optim::first_order::FirstOrder<f64>>(rule: R) -> StopReason {
        let limits = Limits {
            max_iters: 3,
            ..Limits::default()
        };
        let x0 = array![1.0, 1.0];
        let found = minimize(&Descent::new(rule), &mut Steep, x0.view(), &limits).unwrap();
        assert!(found.x.iter().all(|x| x.is_finite()));
        found.stop
    }
    let what = Quantity::Gradient;
    let centered = RmsProp {
        centered: true,
        ..RmsProp::default()
    };
    assert_eq!(end(Adam::default()), StopReason::NonFinite { what });
    assert_eq!(end(RmsProp::default()), StopReason::NonFinite { what });
    assert_eq!(end(centered), StopReason::NonFinite { what });
    // Takes its step, and finds that f overflows there.
    let what = Quantity::Value;
    assert_eq!(end(Sgd::default()), StopReason::NonFinite { what });
}
