//! The recordings against values in multiple precision, of the same problems stated in Python.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::BTreeMap;

use ndarray::{Array1, ArrayView1};
use test_problems::{Problem, problems, sums, systems};

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

/// Every sum behind these has up to 100 terms, rounded about √100 times; what cancels among the
/// terms of a residual shows against the size of the Hessian times that of the point.
#[test]
fn values_gradients_and_products() {
    let reference = table(include_str!("../reference/values.txt"));
    for problem in all() {
        let f = &problem.function;
        let rows = &reference[&(problem.number, problem.n())];
        let find = |point: &str, what: &str| {
            let row = rows.iter().find(|row| row.0 == point && row.1 == what);
            &row.unwrap().2
        };
        let v = find("-", "v");
        for point in ["start", "beside"] {
            let x = find(point, "x");
            let (value, gradient) = f.value_and_grad(x).unwrap();
            let (product, hessian) = (f.hvp(x, v.view()).unwrap(), f.hessian(x).unwrap());
            let size = hessian.iter().map(|h| h * h).sum::<f64>().sqrt();
            let check = |what: &str, found: ArrayView1<'_, f64>, scale: f64| {
                let expected = find(point, what);
                let error = norm((&found - expected).view()) / (EPS * scale);
                println!("{} {point} {what}: {error:.1}", problem.name);
            };
            let (expected, slope) = (find(point, "f")[0], norm(gradient.view()));
            let reach = norm(x.view()).max(1.0);
            check("f", ArrayView1::from(&[value]), expected + slope * reach);
            check("g", gradient.view(), slope + size * reach);
            check("h", product.view(), size * norm(v.view()));
            check("h", hessian.dot(v).view(), size * norm(v.view()));
        }
    }
}

/// What rounding makes of f and of ∇f at a point where both should be known: with t the terms that
/// a residual is the sum of, |t|² is about q = |x|ᵀ|H||x|, and |H||x| bounds what an error of one
/// unit in every x and every term does to the gradient.
fn roundings(problem: &Problem, x: &Array1<f64>) -> (f64, Array1<f64>) {
    let hessian = problem.function.hessian(x).unwrap().mapv(f64::abs);
    let slope = hessian.dot(&x.mapv(f64::abs));
    (slope.dot(&x.mapv(f64::abs)), slope)
}

fn check_stationary(problem: &Problem, x: &Array1<f64>, expected: f64) {
    let (value, gradient) = problem.function.value_and_grad(x).unwrap();
    let (q, slope) = roundings(problem, x);
    let e1 = (value - expected).abs() / (EPS * (expected + (expected * q).sqrt() + EPS * q));
    let e2 = (&gradient / &slope)
        .iter()
        .fold(0.0_f64, |a, b| if b.is_nan() { a } else { a.max(b.abs()) })
        / EPS;
    println!(
        "{} {} {expected:e}: {e1:.1} {e2:.1}",
        problem.name,
        problem.n()
    );
}

#[test]
fn stationary_points() {
    let reference = table(include_str!("../reference/minima.txt"));
    for problem in all() {
        for x in &problem.minimisers {
            check_stationary(&problem, &Array1::from(x.clone()), problem.minimum);
        }
        let Some(rows) = reference.get(&(problem.number, problem.n())) else {
            continue;
        };
        for pair in rows.windows(2).filter(|pair| pair[1].1 == "x") {
            check_stationary(&problem, &pair[1].2, pair[0].2[0]);
        }
    }
}
