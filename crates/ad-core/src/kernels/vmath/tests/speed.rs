//! Time per element against the standard library:
//! `cargo test --release -p ad-core vmath::tests::speed -- --ignored --nocapture`.

use std::hint::black_box;
use std::time::Instant;

use crate::Real;
use crate::kernels::map::LaneOp;
use crate::kernels::vmath::tests::run::{Cos, Exp, ExpM1, Ln, Ln1p, Sigmoid, Sin, Softplus, Tanh};

use super::run;

/// Elements, so that three arrays stay in the first cache.
const N: usize = 1024;
/// Rounds of each side in turn; the fastest counts, since the machine may be busy.
const ROUNDS: usize = 400;

fn spread<T: Real>(low: f64, high: f64) -> Vec<T> {
    // Multiples of a number prime to N: every argument once, in no order a predictor could learn.
    (0..N)
        .map(|i| T::of(low + (high - low) * ((i * 389) % N) as f64 / N as f64))
        .collect()
}

/// Nanoseconds per element of each, fastest of alternating rounds.
fn race(contestants: &mut [Box<dyn FnMut() + '_>]) -> Vec<f64> {
    let mut best = vec![f64::INFINITY; contestants.len()];
    for _ in 0..ROUNDS {
        for (best, run) in best.iter_mut().zip(contestants.iter_mut()) {
            let start = Instant::now();
            run();
            *best = best.min(start.elapsed().as_secs_f64() * 1e9 / N as f64);
        }
    }
    best
}

fn report(name: &str, kind: &str, ns: &[f64]) {
    let columns: Vec<_> = ns[1..]
        .iter()
        .map(|t| format!("{t:6.2} ns {:5.1}x", ns[0] / t))
        .collect();
    println!(
        "{name:9} {kind} std {:6.2} ns | {}",
        ns[0],
        columns.join(" | ")
    );
}

fn unary<T: Real, F: LaneOp>(name: &str, range: (f64, f64), std: fn(T) -> T) {
    let a = spread::<T>(range.0, range.1);
    let a = &a;
    let mut runs: Vec<Box<dyn FnMut() + '_>> = Vec::new();
    let mut d = vec![T::zero(); N];
    runs.push(Box::new(move || {
        for (d, &x) in d.iter_mut().zip(a) {
            *d = std(x);
        }
        black_box(&d);
    }));
    for level in run::levels() {
        let mut d = vec![T::zero(); N];
        runs.push(Box::new(move || {
            run::unary::<T, F>(level, &mut d, a);
            black_box(&d);
        }));
    }
    report(name, T::NAME, &race(&mut runs));
}

fn power<T: Real>() {
    let (a, b) = (&spread::<T>(0.01, 10.0), &spread::<T>(-3.0, 5.0));
    let mut runs: Vec<Box<dyn FnMut() + '_>> = Vec::new();
    let mut d = vec![T::zero(); N];
    runs.push(Box::new(move || {
        for ((d, &x), &y) in d.iter_mut().zip(a).zip(b) {
            *d = x.powf(y);
        }
        black_box(&d);
    }));
    for level in run::levels() {
        let mut d = vec![T::zero(); N];
        runs.push(Box::new(move || {
            run::powf::<T>(level, &mut d, a, b);
            black_box(&d);
        }));
    }
    report("powf", T::NAME, &race(&mut runs));
}

fn all<T: Real>() {
    unary::<T, Exp>("exp", (-20.0, 20.0), T::exp);
    unary::<T, ExpM1>("exp_m1", (-5.0, 5.0), T::exp_m1);
    unary::<T, Ln>("ln", (0.01, 100.0), T::ln);
    unary::<T, Ln1p>("ln_1p", (-0.9, 10.0), T::ln_1p);
    unary::<T, Sin>("sin", (-20.0, 20.0), T::sin);
    unary::<T, Cos>("cos", (-20.0, 20.0), T::cos);
    unary::<T, Tanh>("tanh", (-5.0, 5.0), T::tanh);
    unary::<T, Sigmoid>("sigmoid", (-20.0, 20.0), |x| {
        (T::one() + (-x).exp()).recip()
    });
    unary::<T, Softplus>("softplus", (-20.0, 20.0), |x| {
        x.max(T::zero()) + (-x.abs()).exp().ln_1p()
    });
    power::<T>();
}

#[test]
#[ignore = "a measurement; run it in the release profile on a quiet machine"]
fn speed_against_the_standard_library() {
    println!("columns: {:?}", run::levels());
    all::<f64>();
    all::<f32>();
}
