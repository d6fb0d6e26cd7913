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

/// A function of many numbers.
type Loop<S> = fn(&[S]) -> S;

/// Loops that are not plain ones: with exceptions, downwards, with gaps, subtracting, dividing,
/// multiplying, from both ends. Each is x ↦ a number and reads most of the variables.
fn odd_loops<S: Scalar>() -> Vec<(&'static str, Loop<S>)> {
    vec![
        ("every seventh term is another one", |x| {
            let term = |i: usize| {
                if i.is_multiple_of(7) {
                    x[i].cos()
                } else {
                    x[i].sin()
                }
            };
            (1..x.len()).fold(term(0), |sum, i| sum + term(i))
        }),
        ("every other variable", |x| {
            let places = (2..x.len()).step_by(2);
            places.fold(x[0].sin(), |sum, i| sum + x[i].sin())
        }),
        ("downwards", |x| {
            let start = x[x.len() - 1].sin();
            let places = (0..x.len() - 1).rev();
            places.fold(start, |sum, i| sum + x[i].sin())
        }),
        ("subtracting", |x| {
            x[1..].iter().fold(x[0].sin(), |sum, x| sum - x.sin())
        }),
        ("constants divided", |x| {
            let quotient = |i: usize| (x[i] + 2.0).powi(-1) * (1.0 + i as f64);
            (1..x.len()).fold(quotient(0), |sum, i| sum + quotient(i))
        }),
        ("divided by constants", |x| {
            let quotient = |i: usize| x[i] / (1.0 + i as f64);
            (1..x.len()).fold(quotient(0), |sum, i| sum + quotient(i))
        }),
        ("the product of all", |x| {
            x[1..].iter().fold(x[0] + 0.6, |all, &x| all * (x + 0.6))
        }),
        ("a product of parts", |x| {
            let half = x.len() / 2;
            let first = x[..half].iter().fold(x[0].sin(), |p, &x| p * (x + 0.6));
            let both = x[half..].iter().fold(first, |p, x| p * (x.sin() + 0.8));
            both * x[3] * x[1]
        }),
        ("from both ends", |x| {
            let pair = |i: usize| x[i] * x[x.len() - 1 - i];
            (1..x.len()).fold(pair(0), |sum, i| sum + pair(i))
        }),
        ("one of three for each", |x| {
            let few = [x[0].sin(), x[1].sin(), x[2].sin()];
            (3..x.len()).fold(x[0], |sum, i| sum + few[i % 3] * x[i])
        }),
        ("a recurrence with a penalty", |x| {
            let state = x.iter().fold(x[0], |s, &x| (s * 0.5 + x).sin());
            let start = x[0].square();
            let penalty = x.windows(2).fold(start, |p, w| p + (w[1] - w[0]).square());
            state.square() + penalty
        }),
        ("differences as terms", |x| {
            let term = |i: usize| x[i] - x[(i + 5) % x.len()] * 0.5;
            (1..x.len()).fold(term(0), |sum, i| sum + term(i))
        }),
    ]
}

/// A loop that is not a plain one takes as many kernel calls whatever its length (but for the
/// recurrence, whose steps are one chain), memory in proportion to it, and computes the same.
#[test]
fn odd_loops_take_a_few_kernel_calls_and_memory_in_proportion() {
    let most_calls = 60;
    for (at, (name, plain)) in odd_loops::<f64>().into_iter().enumerate() {
        for n in [101, 202, 404] {
            let f = Function::<f64>::record_scalars(n, |x| odd_loops()[at].1(x)).unwrap();
            let x = numbers(n);
            check(n, most_calls, &f, plain(x.as_slice().unwrap()));
            // A few vectors: what is read by a list, written by one, and the results of two groups.
            let bytes = f.cost(Program::Gradient).unwrap().workspace_bytes;
            assert!(bytes <= 8 * n * size_of::<f64>() + 4096, "{name}: {bytes}");
        }
    }
}

#[test]
fn a_bare_parameter_among_results_keeps_the_others_together() {
    let n = 301;
    let f = Function::<f64>::record_vector(n, |x| {
        let result = |i: usize| if i == 100 { x[i] } else { x[i].sin() };
        (0..n).rev().map(result).collect()
    })
    .unwrap();
    assert!(f.cost(Program::Value).unwrap().n_instructions <= 6);
    let x = numbers(n);
    let found = f.evaluate(&x).unwrap();
    for (at, found) in found.iter().enumerate() {
        let i = n - 1 - at;
        let expected = if i == 100 { x[i] } else { x[i].sin() };
        assert!((found - expected).abs() <= 2.0 * f64::EPSILON);
    }
}

/// x − x·(1 + 2⁻³⁰) summed over large x: terms that cancel among themselves must stay together.
#[test]
fn sums_keep_differences_whole() {
    let n = 64;
    let small = f64::powi(2.0, -30);
    let f = Function::<f64>::record_scalars(n, |x| {
        x.iter()
            .fold(x[0] * 0.0, |sum, &x| sum + (x - x * (1.0 - small)))
    })
    .unwrap();
    // Each term is x·2⁻³⁰ to the last bits of x.
    let x: Vec<f64> = (0..n).map(|i| f64::powi(2.0, (i % 20) as i32)).collect();
    let expected: f64 = x.iter().map(|x| x * small).sum();
    let value = f.value(&x).unwrap();
    assert!(
        (value - expected).abs() <= 4.0 * f64::EPSILON * expected,
        "{value} {expected}"
    );
}

/// Partial products that stay in range do so whatever the factors: no other order is taken.
#[test]
fn long_products_are_taken_in_order() {
    let n = 200;
    let f =
        Function::<f64>::record_scalars(n, |x| x[1..].iter().fold(x[0], |product, &x| product * x))
            .unwrap();
    // 1e-200, 1e200, 1e200, 1e-200, and again: partial products of 1e-200, 1 and 1e200.
    let x: Vec<f64> = (0..n)
        .map(|i| {
            if matches!(i % 4, 0 | 3) {
                1e-200
            } else {
                1e200
            }
        })
        .collect();
    let expected: f64 = x.iter().product();
    assert_eq!(f.value(&x).unwrap().to_bits(), expected.to_bits());
    // A zero makes all others' derivatives zero, but not its own.
    let mut x = vec![1.0; n];
    (x[17], x[150]) = (0.0, 3.0);
    let gradient = f.gradient(&x).unwrap();
    for (at, found) in gradient.iter().enumerate() {
        let expected = if at == 17 { 3.0 } else { 0.0 };
        assert!((found - expected).abs() == 0.0, "{at}: {found}");
    }
}

/// A statement of a random program: which operation, on which earlier numbers.
type Statement = (u8, usize, usize);

/// Runs a program of statements over a window that moves along the variables.
fn run<S: Scalar>(x: &[S], statements: &[Statement], irregular: usize) -> S {
    let mut sum = x[0] * 0.25;
    let mut last = x[1];
    let mut order: Vec<usize> = (0..x.len() - 3).collect();
    // Downwards, or first the even places and then the odd ones.
    match irregular % 3 {
        1 => order.reverse(),
        2 => order.sort_by_key(|i| i % 2),
        _ => {}
    }
    let mut product = x[2] + 0.9;
    for i in order {
        let mut values = vec![x[i], x[i + 1], x[i + 3], x[0], last];
        for &(op, a, b) in statements {
            let (a, b) = (values[a % values.len()], values[b % values.len()]);
            values.push(match op % 9 {
                0 => a + b,
                1 => a - b,
                2 => a * b * 0.5,
                3 => (a * (1.0 + i as f64 / 64.0)).sin(),
                4 => a.square() * 0.25 + 0.1,
                5 => a / (1.5 + i as f64),
                6 => (a.square() + 1.0).powi(-1) * (0.5 + i as f64 / 32.0),
                7 => a / (b.square() + 1.0),
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
        sum = if irregular.is_multiple_of(2) {
            sum + result.sin()
        } else {
            sum - result.sin()
        };
        product = product * (result.sin() * 0.01 + 1.0);
    }
    sum + product
}

proptest! {
    #![proptest_config(crate::common::cases(64))]
    #[test]
    fn random_loops_compute_the_same(
        statements in prop::collection::vec((0_u8..9, 0_usize..16, 0_usize..16), 1..7),
        irregular in 5_usize..40,
    ) {
        let n = 80;
        let x = numbers(n);
        let f = Function::<f64>::record_scalars(n, |x| run(x, &statements, irregular)).unwrap();
        let value = f.value(&x).unwrap();
        let plain = run(x.as_slice().unwrap(), &statements, irregular);
        // 77 sines, whose arguments have passed through up to seven statements each.
        prop_assert!((value - plain).abs() <= 1e4 * f64::EPSILON, "{value} {plain}");
        let gradient = f.gradient(&x).unwrap();
        let h = 1e-6;
        for at in [0, 1, 2, 7, n - 1] {
            let moved = |by: f64| {
                let mut x = x.clone();
                x[at] += by;
                run(x.as_slice().unwrap(), &statements, irregular)
            };
            let difference = |h: f64| (moved(h) - moved(-h)) / (2.0 * h);
            let (near, far) = (difference(h), difference(2.0 * h));
            // Of the two differences' distance a third is the error of the nearer one.
            let bound = 1e-5 * gradient[at].abs().max(100.0) + (near - far).abs();
            prop_assert!((gradient[at] - near).abs() <= bound, "{} {}", gradient[at], near);
        }
    }
}
