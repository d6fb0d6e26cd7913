//! Worked examples: functions whose derivatives are known in closed form.
#![allow(
    clippy::float_cmp,
    reason = "small whole numbers, which arithmetic keeps exact"
)]

use crate::common::{random, relative_error};
use ad_core::{Function, Program, Scalar, concatenate, stack};
use ndarray::{Array1, Array2, array};

const EPS: f64 = f64::EPSILON;

fn max_difference(a: &Array2<f64>, b: &Array2<f64>) -> f64 {
    (a - b).iter().fold(0.0, |max, d| max.max(d.abs()))
}

#[test]
fn a_quadratic_form_has_its_matrix_as_hessian() {
    let f = Function::<f64>::record(2, |v| {
        let (x, y) = (v.at(0), v.at(1));
        3.0 * x * x + 2.0 * x * y + y * y
    })
    .unwrap();
    for point in [[0.0, 0.0], [1.0, -2.0], [1e6, 3.0]] {
        assert_eq!(f.hessian(&point).unwrap(), array![[6.0, 2.0], [2.0, 2.0]]);
    }
}

#[test]
fn a_saddle_has_curvature_of_both_signs() {
    let f = Function::<f64>::record(2, |v| v.at(0).square() - v.at(1).square()).unwrap();
    let at = f.linearize(&[0.0, 0.0]).unwrap();
    assert_eq!(at.gradient(), array![0.0, 0.0]);
    let hessian = f.hessian(&[0.0, 0.0]).unwrap();
    assert_eq!(hessian, array![[2.0, 0.0], [0.0, -2.0]]);
}

#[test]
fn the_quadratic_with_coupling_has_the_stated_value_and_gradient() {
    let h = array![[6.0, 0.8], [0.8, 2.0]];
    let f = Function::<f64>::record(2, |w| {
        let column = w.reshape(&[2, 1]);
        0.5 * w.dot(w.constant(h.view().into_dyn()).matmul(column).reshape(&[2]))
    })
    .unwrap();
    let at = f.linearize(&[2.5, -2.0]).unwrap();
    // Three products and sums of numbers of size 20.
    assert!((at.value() - 18.75).abs() <= 8.0 * 20.0 * EPS);
    let error = &at.gradient() - &array![13.4, -2.0];
    assert!(error.iter().all(|e| e.abs() <= 8.0 * 15.0 * EPS), "{error}");
    let hessian = f.hessian(&[2.5, -2.0]).unwrap();
    assert!(max_difference(&hessian, &h) <= 2.0 * 6.0 * EPS);
    // The Newton step w − H⁻¹g, by Cramer's rule, ends at the origin.
    let (g, det) = (at.gradient(), 6.0 * 2.0 - 0.8 * 0.8);
    let step = [
        (2.0 * g[0] - 0.8 * g[1]) / det,
        (6.0 * g[1] - 0.8 * g[0]) / det,
    ];
    assert!((2.5 - step[0]).abs() <= 1e-15 && (-2.0 - step[1]).abs() <= 1e-15);
}

#[test]
fn log_sum_exp_has_the_covariance_of_its_softmax_as_hessian() {
    for n in [1, 2, 7, 300] {
        let f = Function::<f64>::record(n, |x| x.logsumexp_axis(0)).unwrap();
        let x = random(n, 1) * 3.0;
        let p = x.mapv(f64::exp);
        let p = &p / p.sum();
        let expected = Array2::from_shape_fn((n, n), |(i, j)| {
            if i == j {
                p[i] - p[i] * p[j]
            } else {
                -p[i] * p[j]
            }
        });
        let hessian = f.hessian(&x).unwrap();
        // p carries the error of n additions and of exponentials of ≤ 2 ulp.
        let bound = EPS * (8.0 + n as f64);
        assert!(max_difference(&hessian, &expected) <= bound, "n = {n}");
        let gradient = f.gradient(&x).unwrap();
        assert!((&gradient - &p).iter().all(|e| e.abs() <= bound));
    }
}

fn rosenbrock<S: Scalar>(x: &[S]) -> S {
    let mut sum = (-x[0] + 1.0).square() + (x[1] - x[0].square()).square() * 100.0;
    for pair in x[1..].windows(2) {
        let (a, b) = (-pair[0] + 1.0, pair[1] - pair[0].square());
        sum = sum + a.square() + b.square() * 100.0;
    }
    sum
}

/// H·v of Σ (1 − xᵢ)² + 100 (xᵢ₊₁ − xᵢ²)², whose Hessian is tridiagonal.
fn rosenbrock_hvp(x: &Array1<f64>, v: &Array1<f64>) -> Array1<f64> {
    let mut product = Array1::zeros(x.len());
    for i in 0..x.len() - 1 {
        let diagonal = 2.0 - 400.0 * (x[i + 1] - x[i] * x[i]) + 800.0 * x[i] * x[i];
        let beside = -400.0 * x[i];
        product[i] += diagonal * v[i] + beside * v[i + 1];
        product[i + 1] += beside * v[i] + 200.0 * v[i + 1];
    }
    product
}

#[test]
fn rosenbrock_at_its_usual_start() {
    let f = Function::<f64>::record_scalars(2, |x| rosenbrock(x)).unwrap();
    let x = [-1.2, 1.0];
    let at = f.linearize(&x).unwrap();
    // Differences of numbers of size 1 are multiplied by up to 1200.
    let close = |found: f64, expected: f64| (found - expected).abs() <= 16.0 * 1200.0 * EPS;
    assert!(close(at.value(), 24.2));
    assert!(close(at.gradient()[0], -215.6) && close(at.gradient()[1], -88.0));
    let hessian = f.hessian(&x).unwrap();
    let expected = array![[1330.0, 480.0], [480.0, 200.0]];
    assert!(max_difference(&hessian, &expected) <= 16.0 * 1330.0 * EPS);
}

#[test]
fn chained_rosenbrock_in_scalar_loops_has_its_tridiagonal_hessian() {
    let n = 1000;
    let f = Function::<f64>::record_scalars(n, |x| rosenbrock(x)).unwrap();
    let (x, v) = (random(n, 1), random(n, 2));
    let expected = rosenbrock_hvp(&x, &v);
    // Each element is a sum of at most six products.
    let bound = 32.0 * EPS;
    assert!(relative_error(&f.hvp(&x, v.view()).unwrap(), &expected) <= bound);
    let at = f.linearize(&x).unwrap();
    assert!(relative_error(&at.hvp(v.view()).unwrap(), &expected) <= bound);
    let value = rosenbrock(x.as_slice().unwrap());
    // A sum of 2000 terms, in whatever order.
    assert!((at.value() - value).abs() <= 2000.0 * EPS * value);
}

#[test]
fn scalar_and_tensor_style_agree() {
    let n = 12;
    let scalar = Function::<f64>::record_scalars(n, |x| rosenbrock(x)).unwrap();
    let tensor = Function::<f64>::record(n, |x| {
        let (head, tail) = (x.slice(0, 0..n - 1), x.slice(0, 1..n));
        ((1.0 - head).square() + 100.0 * (tail - head.square()).square()).sum()
    })
    .unwrap();
    let x = random(n, 3);
    let (a, b) = (scalar.linearize(&x).unwrap(), tensor.linearize(&x).unwrap());
    // The same terms, added in two orders.
    let bound = 16.0 * n as f64 * EPS;
    assert!((a.value() - b.value()).abs() <= bound * a.value());
    let (left, right) = (a.gradient().to_owned(), b.gradient().to_owned());
    assert!(relative_error(&left, &right) <= bound);
    let (left, right) = (scalar.hessian(&x).unwrap(), tensor.hessian(&x).unwrap());
    let scale = left.iter().fold(0.0_f64, |max, h| max.max(h.abs()));
    assert!(max_difference(&left, &right) <= bound * scale);
}

/// x ↦ x + 1e-5 sin x, again and again: derivatives follow from the recurrences
/// x′ₖ₊₁ = (1 + ε cos xₖ) x′ₖ and x″ₖ₊₁ = (1 + ε cos xₖ) x″ₖ − ε sin xₖ (x′ₖ)².
#[test]
fn a_deep_chain_of_scalar_operations_needs_no_deep_stack() {
    let (depth, eps) = (33_334, 1e-5); // three operations a link
    let f = Function::<f64>::record_scalars(1, |x| {
        let mut y = x[0];
        for _ in 0..depth {
            y = y + y.sin() * eps;
        }
        y
    })
    .unwrap();
    let (mut y, mut first, mut second) = (0.7_f64, 1.0, 0.0);
    for _ in 0..depth {
        let (sin, cos) = y.sin_cos();
        second = (1.0 + eps * cos) * second - eps * sin * first * first;
        first *= 1.0 + eps * cos;
        y += eps * sin;
    }
    let (value, gradient) = f.value_and_grad(&[0.7]).unwrap();
    let product = f.hvp(&[0.7], array![1.0].view()).unwrap()[0];
    // One rounding for each link, each relative to numbers of size 1.
    let bound = depth as f64 * EPS;
    let close =
        |found: f64, expected: f64| (found - expected).abs() <= bound * (1.0 + expected.abs());
    assert!(close(value, y) && close(gradient[0], first));
    assert!(close(product, second), "{product}, not {second}");
}

/// Peeling a vector by taking slices of slices.
#[test]
fn a_deep_chain_of_views_needs_no_deep_stack() {
    let n = 20_000;
    let f = Function::<f64>::record(n, |x| {
        let mut rest = x;
        while rest.len() > 1 {
            rest = rest.slice(0, 1..rest.len());
        }
        rest.square().sum()
    })
    .unwrap();
    let x = random(n, 1);
    let gradient = f.gradient(&x).unwrap();
    assert_eq!(gradient[n - 1], 2.0 * x[n - 1]);
    assert!(gradient.iter().take(n - 1).all(|&g| g == 0.0));
}

/// A recurrence in which each step reads an element of the one before.
#[test]
fn a_deep_recurrence_of_vectors_needs_no_deep_stack() {
    let depth = 5_000;
    let f = Function::<f64>::record(2, |x| {
        let mut y = x;
        for _ in 0..depth {
            y = y + 1e-5 * y.at(0);
        }
        y.sum()
    })
    .unwrap();
    // y₀ grows by the factor 1 + 1e-5 a step, and y₁ by as much as y₀.
    let growth = (1.0 + 1e-5_f64).powi(depth);
    let expected = array![2.0 * growth - 1.0, 1.0];
    let gradient = f.gradient(&[0.5, 0.25]).unwrap();
    assert!(relative_error(&gradient, &expected) <= f64::from(depth) * EPS);
}

#[test]
fn the_second_order_of_softmax_cross_entropy_materialises_nothing() {
    let (rows, classes) = (8, 10);
    let targets = Array2::from_shape_fn((rows, classes), |(r, c)| f64::from(u8::from(r == c)));
    let f = Function::<f64>::record(rows * classes, |z| {
        let z = z.reshape(&[rows, classes]);
        z.softmax_cross_entropy(z.constant(targets.view().into_dyn()))
    })
    .unwrap();
    // p ⊙ (ż − ⟨p, ż⟩) in one call, times the sums of the targets over the rows; nothing is larger than
    // the logits.
    let text = f.explain(Program::Hvp).unwrap();
    let calls: Vec<_> = text.lines().take(2).map(|line| line[6..].trim()).collect();
    let expected = [
        "rows    SoftmaxProduct 8 × 10 elements",
        "map     80 elements: gather mul",
    ];
    assert_eq!(calls, expected, "{text}");
    assert_eq!(f.cost(Program::Hvp).unwrap().n_instructions, 2, "{text}");
    let (z, v) = (random(rows * classes, 1), random(rows * classes, 2));
    let found = f.linearize(&z).unwrap().hvp(v.view()).unwrap();
    let mut expected = Array1::zeros(rows * classes);
    for row in 0..rows {
        let range = row * classes..(row + 1) * classes;
        let p: Vec<f64> = range.clone().map(|i| z[i].exp()).collect();
        let total: f64 = p.iter().sum();
        let mean: f64 = range.clone().zip(&p).map(|(i, p)| p / total * v[i]).sum();
        for (i, p) in range.zip(&p) {
            expected[i] = p / total * (v[i] - mean) / rows as f64;
        }
    }
    assert!(relative_error(&found, &expected) <= 32.0 * EPS);
}

/// Products and sums over more than a block, with numbers stretched in between.
#[test]
fn stretched_numbers_in_long_chains_are_right_in_every_block() {
    for n in [255, 256, 257, 1000] {
        let f = Function::<f64>::record(n, |x| (x.sin() * x.cos() - x.mean()).square().sum());
        let f = f.unwrap();
        let (x, v) = (random(n, 1), random(n, 2));
        let value: f64 = {
            let mean = x.mean().unwrap();
            x.iter().map(|x| (x.sin() * x.cos() - mean).powi(2)).sum()
        };
        assert!((f.value(&x).unwrap() - value).abs() <= n as f64 * EPS * value);
        let single = f.linearize(&x).unwrap().hvp(v.view()).unwrap();
        let expected = f.hessian(&x).unwrap().dot(&v);
        assert!(relative_error(&single, &expected) <= 64.0 * EPS, "n = {n}");
    }
}

/// Σ over a stack of ½‖Aₛ Bₛ‖², with both stacks parameters: products of stacks in all programs.
#[test]
fn stacks_of_matrix_products_have_second_derivatives() {
    let n = 2 * 2 * 3 + 2 * 3 * 2;
    let f = Function::<f64>::record(n, |x| {
        let a = x.slice(0, 0..12).reshape(&[2, 2, 3]);
        let b = x.slice(0, 12..24).reshape(&[2, 3, 2]);
        0.5 * a.matmul(b).square().sum()
    })
    .unwrap();
    let apart = Function::<f64>::record(n, |x| {
        let part = |at: usize, rows: usize, columns: usize| {
            x.slice(0, at..at + rows * columns)
                .reshape(&[rows, columns])
        };
        let products = [
            part(0, 2, 3).matmul(part(12, 3, 2)),
            part(6, 2, 3).matmul(part(18, 3, 2)),
        ];
        0.5 * concatenate(0, &products).square().sum()
    })
    .unwrap();
    let x = random(n, 1);
    let (left, right) = (f.hessian(&x).unwrap(), apart.hessian(&x).unwrap());
    let scale = left.iter().fold(0.0_f64, |max, h| max.max(h.abs()));
    assert!(max_difference(&left, &right) <= 32.0 * EPS * scale);
}

#[test]
fn stacking_and_permuting_give_their_elements_back() {
    let f = Function::<f64>::record(6, |x| {
        let matrix = x.reshape(&[2, 3]).permute(&[1, 0]);
        stack(&[matrix.slice(0, 2..3).sum(), matrix.slice(1, 0..1).sum()])
    })
    .unwrap();
    let x = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0];
    assert_eq!(f.evaluate(&x).unwrap().as_slice(), Some(&[36.0, 7.0][..]));
}
