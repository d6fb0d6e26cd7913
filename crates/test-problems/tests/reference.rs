//! The recordings against values in multiple precision, of the same problems stated in Python.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;

use ndarray::{Array1, ArrayView1};
use test_problems::{Kind, Problem, problems, sums, systems};

const EPS: f64 = f64::EPSILON;

/// The list, and the problems at other dimensions for which references exist.
fn all() -> Vec<Problem> {
    let mut all = problems();
    all.extend([
        sums::watson(6),
        sums::watson(12),
        sums::penalty_1(4),
        sums::penalty_2(4),
        systems::chebyquad(9),
        systems::chebyquad(10),
    ]);
    all
}

/// Lines of (number, n), a name, a quantity and its numbers.
fn table(text: &str) -> BTreeMap<(usize, usize), Vec<(&str, &str, Array1<f64>)>> {
    let mut table: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for line in text.lines() {
        let mut words = line.split(' ');
        let mut word = || words.next().unwrap();
        let key = (word().parse().unwrap(), word().parse().unwrap());
        let (name, what) = (word(), word());
        let values = words.map(|word| word.parse().unwrap()).collect();
        table.entry(key).or_default().push((name, what, values));
    }
    table
}

fn norm(x: ArrayView1<'_, f64>) -> f64 {
    x.dot(&x).sqrt()
}

/// In units of the rounding that is unavoidable: a residual is a sum of a few terms, each rounded.
const UNITS: f64 = 8.0;

/// Constants of a residual are up to n, which is what the scales below add to the sizes of
/// derivatives: in the trigonometric problem n − Σ cos xⱼ loses two digits near x = 0.
#[test]
fn values_gradients_and_products() {
    let reference = table(include_str!("../reference/values.txt"));
    for problem in all() {
        let (f, n) = (&problem.function, problem.n());
        let rows = &reference[&(problem.number, n)];
        let find = |point: &str, what: &str| {
            let row = rows.iter().find(|row| row.0 == point && row.1 == what);
            &row.unwrap().2
        };
        let v = find("-", "v");
        for point in ["start", "beside"] {
            let x = find(point, "x");
            let (value, gradient) = f.value_and_grad(x).unwrap();
            let (product, hessian) = (f.hvp(x, v.view()).unwrap(), f.hessian(x).unwrap());
            let check = |what: &str, found: ArrayView1<'_, f64>, scale: f64| {
                let error = norm((&found - find(point, what)).view());
                let name = problem.name;
                assert!(
                    error <= UNITS * EPS * scale,
                    "{name} {n} {point} {what}: {error:e}"
                );
            };
            let size = hessian.iter().map(|h| h * h).sum::<f64>().sqrt();
            let (slope, reach) = (norm(gradient.view()), norm(x.view()) + n as f64);
            let bend = (size + (n * n) as f64) * norm(v.view());
            check("f", ArrayView1::from(&[value]), value + slope * reach);
            check("g", gradient.view(), slope + size * reach);
            check("h", product.view(), bend);
            check("h", hessian.dot(v).view(), bend);
        }
    }
}

/// f(x) is `expected` and ∇f(x) is zero, as far as rounding lets them be: an error of one unit in
/// every x and every term of a residual changes the gradient by |H||x| + n√(m hᵢᵢ), and the
/// residuals by √q in all, where q bounds the squares of their terms.
fn check_stationary(problem: &Problem, x: &Array1<f64>, expected: f64) {
    let (value, gradient) = problem.function.value_and_grad(x).unwrap();
    let hessian = problem.function.hessian(x).unwrap().mapv(f64::abs);
    let (n, m, size) = (problem.n() as f64, problem.m as f64, x.mapv(f64::abs));
    let slope = hessian.dot(&size) + hessian.diag().mapv(|h| n * (m * h).sqrt());
    let q = slope.dot(&size) + n * n * m;
    let allowance = UNITS * EPS * (expected + (expected * q).sqrt() + UNITS * EPS * q);
    let name = problem.name;
    assert!(
        (value - expected).abs() <= allowance,
        "{name}: f = {value:e}, not {expected:e}"
    );
    for (g, s) in gradient.iter().zip(&slope) {
        assert!(
            g.abs() <= UNITS * EPS * s,
            "{name}, f = {value:e}: {gradient}"
        );
    }
}

/// The values that the crate states are those of the file, and the other way round, but for least
/// values at minimisers in closed form and for flat points.
#[test]
fn stationary_points_and_values() {
    let reference = table(include_str!("../reference/minima.txt"));
    for problem in all() {
        for x in &problem.minimisers {
            check_stationary(&problem, &Array1::from(x.clone()), problem.minimum);
        }
        let key = (problem.number, problem.n());
        let rows = reference.get(&key).map_or(&[][..], Vec::as_slice);
        let mut stated = vec![problem.minimum.to_bits()];
        let others = problem.others.iter().filter(|o| o.kind != Kind::Flat);
        stated.extend(others.map(|other| other.value.to_bits()));
        for (at, (kind, what, values)) in rows.iter().enumerate() {
            if *what == "x" {
                check_stationary(&problem, values, rows[at - 1].2[0]);
                continue;
            }
            let name = problem.name;
            assert!(stated.contains(&values[0].to_bits()), "{name}: {values}");
            let other = problem
                .others
                .iter()
                .find(|o| o.value.to_bits() == values[0].to_bits());
            let named = match other.map(|other| other.kind) {
                None | Some(Kind::Minimum) => "minimum",
                Some(Kind::Saddle) => "saddle",
                Some(Kind::Limit) => "limit",
                Some(Kind::Flat) => "flat",
            };
            assert_eq!(*kind, named, "{name}: {values}");
        }
        for value in &stated[usize::from(!problem.minimisers.is_empty())..] {
            let held = rows.iter().any(|row| row.2[0].to_bits() == *value);
            assert!(held, "{}: {:e}", problem.name, f64::from_bits(*value));
        }
    }
}

/// Where all residuals vanish or are linear, H = 2JᵀJ is the Gauss–Newton matrix.
#[test]
fn residuals_are_the_model_output() {
    for problem in all() {
        let Some(x) = problem.minimisers.first() else {
            continue;
        };
        let v: Array1<f64> = (0..problem.n()).map(|i| 1.0 / (i + 1) as f64).collect();
        let at = problem.function.linearize(x).unwrap();
        let (h, g) = (at.hvp(v.view()).unwrap(), at.ggnvp(v.view()).unwrap());
        // Zero residuals are zero up to n units of rounding, and their own curvature up to n.
        let scale = norm(h.view()) + (problem.n() * problem.n()) as f64;
        let error = norm((&h - &g).view());
        assert!(error <= UNITS * EPS * scale, "{}: {error:e}", problem.name);
    }
}

#[test]
fn starts_and_answers() {
    for (at, problem) in problems().iter().enumerate() {
        assert_eq!(problem.number, at + 1);
        assert!(problem.m >= problem.n(), "{}", problem.name);
        for &factor in problem.start_factors {
            let x = problem.start_times(factor);
            assert!(
                problem.function.value(&x).unwrap().is_finite(),
                "{}",
                problem.name
            );
        }
        assert!(problem.is_answer(problem.minimum));
        assert!(!problem.is_answer(problem.minimum + 3e-10 * problem.minimum.max(1.0)));
    }
    let watson = sums::watson(6);
    assert_eq!(watson.start_times(1.0), [0.0; 6]);
    assert_eq!(watson.start_times(10.0), [10.0; 6]);
    // Wood's saddle is known, and is no answer.
    let wood = &problems()[13];
    assert!(wood.others.len() == 1 && !wood.is_answer(wood.others[0].value));
}
