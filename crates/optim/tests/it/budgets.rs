//! Limits are hard: no minimiser makes more evaluations, products or iterations than it may.

use crate::common::mgh::{self, LeastSquares};
use hvp_solvers::{Objective, SecondOrder};
use ndarray::{ArrayView1, ArrayView2, ArrayViewMut1, ArrayViewMut2};
use optim::first_order::{Adam, Descent, RmsProp, Sgd};
use optim::lbfgs::Lbfgs;
use optim::minimize::{Limits, Minimizer, Outcome, StopReason, minimize};
use optim::newton::{Newton, Scaling};
use optim::schedule::Schedule;
use proptest::prelude::*;
use test_problems::cases;

/// Counts evaluations and products, and keeps the least value that came with a gradient.
struct Counting {
    inner: LeastSquares,
    n_values: u64,
    n_products: std::cell::Cell<u64>,
    least: f64,
}

impl Counting {
    fn count(&mut self, value: f64) -> f64 {
        self.n_values += 1;
        self.least = self.least.min(value);
        value
    }
}

impl Objective<f64> for Counting {
    fn dim(&self) -> usize {
        self.inner.dim()
    }
    fn value(&mut self, x: ArrayView1<f64>) -> f64 {
        self.n_values += 1;
        self.inner.value(x)
    }
    fn value_and_grad(&mut self, x: ArrayView1<f64>, grad: ArrayViewMut1<f64>) -> f64 {
        let value = self.inner.value_and_grad(x, grad);
        self.count(value)
    }
}

impl SecondOrder<f64> for Counting {
    fn linearize(&mut self, x: ArrayView1<f64>, grad: ArrayViewMut1<f64>) -> f64 {
        let value = self.inner.linearize(x, grad);
        self.count(value)
    }
    fn hvp_into(&self, v: ArrayView1<f64>, out: ArrayViewMut1<f64>) {
        self.n_products.set(self.n_products.get() + 1);
        self.inner.hvp_into(v, out);
    }
    fn hvp_block_into(&self, v: ArrayView2<f64>, out: ArrayViewMut2<f64>) {
        self.n_products
            .set(self.n_products.get() + v.nrows() as u64);
        self.inner.hvp_block_into(v, out);
    }
}

fn run<M: Minimizer<f64, Counting>>(name: &str, method: &M, f: &LeastSquares, limits: &Limits) {
    let mut counting = Counting {
        inner: f.clone(),
        n_values: 0,
        n_products: std::cell::Cell::new(0),
        least: f64::INFINITY,
    };
    let x0 = f.x0();
    let found: Outcome<f64> = minimize(method, &mut counting, x0.view(), limits).unwrap();
    let context = format!("{name} {limits:?}: {found:?}");
    let stats = found.stats;
    let made = (counting.n_values, counting.n_products.get());
    assert_eq!((stats.n_evals, stats.n_products), made, "{context}");
    assert!(stats.n_evals <= limits.max_evals, "{context}");
    assert!(stats.n_iters <= limits.max_iters, "{context}");
    let most = limits.max_products.unwrap_or(u64::MAX);
    assert!(stats.n_products <= most, "{context}");
    // No better point was seen, but for the noise that either method takes for none.
    let noise = 64.0 * f64::EPSILON * counting.least.abs();
    assert!(found.value <= counting.least + noise, "{context}");
    let by_its_limit = match found.stop {
        StopReason::EvaluationBudget => stats.n_evals + 9 > limits.max_evals,
        StopReason::ProductBudget => stats.n_products + x0.len() as u64 > most,
        StopReason::MaxIterations => stats.n_iters == limits.max_iters,
        _ => true,
    };
    assert!(by_its_limit, "{context}");
}

fn run_all(f: &LeastSquares, limits: &Limits) {
    run("L-BFGS", &Lbfgs::default(), f, limits);
    run("Newton", &Newton::default(), f, limits);
    let diagonal = Newton {
        scaling: Scaling::Diagonal,
        ..Newton::default()
    };
    run("Newton, diagonal", &diagonal, f, limits);
    let slow = Schedule::constant(1e-4).unwrap();
    run(
        "SGD",
        &Descent::with_schedule(Sgd::default(), slow.clone()),
        f,
        limits,
    );
    run(
        "Adam",
        &Descent::with_schedule(Adam::default(), slow.clone()),
        f,
        limits,
    );
    run(
        "RMSProp",
        &Descent::with_schedule(RmsProp::default(), slow),
        f,
        limits,
    );
}

#[test]
fn every_limit_up_to_forty_is_kept() {
    for f in mgh::all() {
        for limit in 1..=40 {
            run_all(
                &f,
                &Limits {
                    max_evals: limit,
                    ..Limits::default()
                },
            );
            let products = Some(limit - 1);
            run_all(
                &f,
                &Limits {
                    max_products: products,
                    max_iters: 60,
                    ..Limits::default()
                },
            );
            run_all(
                &f,
                &Limits {
                    max_iters: limit - 1,
                    ..Limits::default()
                },
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(64), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_limits_are_kept(
        which in 0..100_usize,
        evals in 1..60_u64,
        products in proptest::option::of(0..60_u64),
        iters in 0..30_u64,
    ) {
        let all = mgh::all();
        let limits = Limits {
            max_evals: evals,
            max_products: products,
            max_iters: iters,
            ..Limits::default()
        };
        run_all(&all[which % all.len()], &limits);
    }
}
