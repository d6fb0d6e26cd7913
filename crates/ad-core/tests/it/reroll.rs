//! Loops over numbers become instructions on vectors, and compute the same.

use ad_core::{Function, Program, Scalar, check_gradient, check_hvp};
use ndarray::Array1;
use proptest::prelude::*;

fn numbers(n: usize) -> Array1<f64> {
    Array1::from_shape_fn(n, |i| 0.3 + 0.5 * (0.7 * i as f64).sin())
}

/// Records `f`, compares its value with plain numbers, its derivatives with differences, and the
/// kernel calls of a gradient with what a loop of this kind may take.
fn check(n: usize, most: usize, recorded: &Function<f64>, plain: f64) {
    let x = numbers(n);
    let value = recorded.value(&x).unwrap();
    // Sums of n terms of order one in another order.
    let bound = 16.0 * n as f64 * f64::EPSILON * plain.abs().max(1.0);
    assert!((value - plain).abs() <= bound, "{value} {plain}");
    check_gradient(recorded, &x).unwrap();
    check_hvp(recorded, &x).unwrap();
    let calls = recorded.cost(Program::Gradient).unwrap().n_instructions;
    assert!(calls <= most, "{calls} kernel calls");
}

fn rosenbrock<S: Scalar>(x: &[S]) -> S {
    let mut sum = (x[0] * x[1]).square();
    for pair in x.windows(2) {
        let (a, b) = (pair[0] * -1.0 + 1.0, pair[1] - pair[0].square());
        sum = sum + (a * a + b * b * 100.0);
    }
    sum
}

/// Every other variable is the partner of the one before.
fn extended_rosenbrock<S: Scalar>(x: &[S]) -> S {
    let mut sum = x[0] * 0.5;
    for pair in x.chunks_exact(2) {
        sum = sum + (pair[0] - 1.0).square() + (pair[1] - pair[0].square()).square() * 100.0;
    }
    sum
}

/// Coefficients and offsets that differ from term to term, and one variable that all terms share.
fn weighted<S: Scalar>(x: &[S]) -> S {
    let mut sum = x[0];
    for (i, &xi) in x.iter().enumerate().skip(1) {
        sum = sum + ((xi * (i as f64) - 0.1 * i as f64).sin() * x[0]).exp();
    }
    sum
}

/// Each step needs the one before: nothing to gather.
fn recurrence<S: Scalar>(x: &[S]) -> S {
    let mut state = x[0];
    for &xi in x {
        state = (state * 0.5 + xi).sin();
    }
    state.square()
}

#[test]
fn loops_become_vectors() {
    let n = 100;
    let x = numbers(n);
    let x = x.as_slice().unwrap();
    check(
        n,
        24,
        &Function::record_scalars(n, |x| rosenbrock(x)).unwrap(),
        rosenbrock(x),
    );
    check(
        n,
        24,
        &Function::record_scalars(n, |x| extended_rosenbrock(x)).unwrap(),
        extended_rosenbrock(x),
    );
    check(
        n,
        24,
        &Function::record_scalars(n, |x| weighted(x)).unwrap(),
        weighted(x),
    );
    check(
        n,
        4 * n,
        &Function::record_scalars(n, |x| recurrence(x)).unwrap(),
        recurrence(x),
    );
}

#[test]
fn vectors_of_results_are_put_together_from_vectors() {
    let n = 60;
    let f = Function::<f64>::record_vector(n, |x| {
        let mut results: Vec<_> = x.windows(2).map(|p| p[1] - p[0].square()).collect();
        results.push(x[3] * 7.0);
        results.extend(x.iter().map(|&x| (x * 2.0).exp()));
        results
    })
    .unwrap();
    let x = numbers(n);
    let found = f.evaluate(&x).unwrap();
    let mut expected: Vec<f64> = (1..n).map(|i| x[i] - x[i - 1] * x[i - 1]).collect();
    expected.push(x[3] * 7.0);
    expected.extend(x.iter().map(|x| (2.0 * x).exp()));
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(&expected) {
        assert!((found - expected).abs() <= 4.0 * f64::EPSILON * expected.abs().max(1.0));
    }
    assert!(f.cost(Program::Value).unwrap().n_instructions <= 6);
}

/// A statement of a random program: which operation, on which earlier numbers.
type Statement = (u8, usize, usize);

/// Runs a program of statements over a window that moves along the variables.
fn run<S: Scalar>(x: &[S], statements: &[Statement], irregular: usize) -> S {
    let mut sum = x[0] * 0.25;
    let mut last = x[1];
    for i in 0..x.len() - 3 {
        let mut values = vec![x[i], x[i + 1], x[i + 3], x[0], last];
        for &(op, a, b) in statements {
            let (a, b) = (values[a % values.len()], values[b % values.len()]);
            values.push(match op % 6 {
                0 => a + b,
                1 => a - b,
                2 => a * b * 0.5,
                3 => (a * (1.0 + i as f64 / 64.0)).sin(),
                4 => a.square() * 0.25 + 0.1,
                _ => (b * 0.5 - 0.2).exp() * 0.3,
            });
        }
        let result = *values.last().unwrap_or(&x[0]);
        // Now and then a statement of another kind.
        let result = if i % irregular == 3 {
            result * x[2]
        } else {
            result
        };
        if i % irregular == 4 {
            last = result.sin();
        }
        sum = sum + result.sin();
    }
    sum
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn random_loops_compute_the_same(
        statements in prop::collection::vec((0_u8..6, 0_usize..16, 0_usize..16), 1..7),
        irregular in 5_usize..40,
    ) {
        let n = 30;
        let x = numbers(n);
        let f = Function::<f64>::record_scalars(n, |x| run(x, &statements, irregular)).unwrap();
        let value = f.value(&x).unwrap();
        let plain = run(x.as_slice().unwrap(), &statements, irregular);
        // 27 sines, whose arguments have passed through up to seven statements each.
        prop_assert!((value - plain).abs() <= 1e4 * f64::EPSILON, "{value} {plain}");
        let gradient = f.gradient(&x).unwrap();
        let h = 1e-6;
        for at in [0, 1, 2, 7, n - 1] {
            let moved = |by: f64| {
                let mut x = x.clone();
                x[at] += by;
                run(x.as_slice().unwrap(), &statements, irregular)
            };
            let difference = (moved(h) - moved(-h)) / (2.0 * h);
            let scale = gradient[at].abs().max(100.0);
            prop_assert!((gradient[at] - difference).abs() <= 1e-5 * scale);
        }
    }
}
