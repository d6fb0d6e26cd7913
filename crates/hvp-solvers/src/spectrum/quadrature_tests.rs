//! Quadratures of measures that are known: on a diagonal operator, `v²` at its entries.

use super::*;
use crate::operator::DiagonalOperator;
use crate::random::{fill_normal, generator};
use crate::vector::norm2;
use ndarray::Array1;

/// Places and masses, by place.
fn measure(places: &[f64], v: &[f64]) -> Vec<(f64, f64)> {
    let mut all: Vec<_> = places.iter().zip(v).map(|(&x, v)| (x, v * v)).collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    all
}

fn run<T: Real>(places: &[f64], v: &[f64], steps: usize) -> Quadrature {
    let narrow = |x: &[f64]| x.iter().map(|&x| T::of(x)).collect::<Vec<_>>();
    let a = DiagonalOperator::new(Array1::from(narrow(places)));
    let v = narrow(v);
    let mut krylov = Krylov::new(v.len(), steps.min(v.len()));
    krylov.start(&v, norm2(&v));
    while krylov.len() < steps && !krylov.exhausted {
        assert!(krylov.step(&a));
    }
    Quadrature::of(&krylov).unwrap()
}

/// Random masses that fall over many orders along the places, in either direction or not.
fn masses(n: usize, decay: f64, seed: u64) -> Vec<f64> {
    let mut v = vec![0.0; n];
    fill_normal(&mut generator(seed), &mut v);
    for (i, v) in v.iter_mut().enumerate() {
        *v *= (decay * i as f64 / n as f64).exp();
    }
    let norm = norm2(&v);
    v.iter_mut().for_each(|v| *v /= norm);
    v
}

/// A run sees the measure of a matrix that is `resolution` away: that moves mass across `t` by no more
/// than its ratio to the distance of the next place (Davis & Kahan 1970).
fn check(q: &Quadrature, exact: &[(f64, f64)], eps: f64, context: &str) {
    let nodes = q.nodes.iter().copied();
    let places = exact.iter().map(|(x, _)| *x);
    let between = exact.windows(2).map(|w| 0.5 * (w[0].0 + w[1].0));
    let mut telling = 0;
    for t in nodes.chain(places).chain(between) {
        let below: f64 = exact.iter().filter(|(x, _)| *x < t).map(|(_, w)| w).sum();
        let up_to: f64 = exact.iter().filter(|(x, _)| *x <= t).map(|(_, w)| w).sum();
        let (low, high) = q.cumulative_bounds(t);
        let others = exact.iter().map(|(x, _)| (x - t).abs());
        let apart = others
            .filter(|&d| d > q.resolution())
            .fold(f64::INFINITY, f64::min);
        let slack = 100.0 * exact.len() as f64 * eps + q.resolution() / apart;
        assert!(low <= below + slack, "{context}: {low} > {below} at {t}");
        assert!(up_to <= high + slack, "{context}: {high} < {up_to} at {t}");
        telling += usize::from(slack < 0.05);
    }
    assert!(telling >= 10, "{context}: {telling}");
}

#[test]
fn bounds_hold_for_uneven_measures() {
    let n = 60_u32;
    let line = Array1::linspace(-2.0, 3.0, n as usize).to_vec();
    let graded: Vec<f64> = (0..n).map(|i| 0.5_f64.powi(i as i32)).collect();
    // Pairs at a distance of ten roundings.
    let pairs: Vec<f64> = (0..n)
        .map(|i| f64::from(i / 2) + 1e-13 * f64::from(i % 2))
        .collect();
    let n = n as usize;
    for (name, places) in [("line", line), ("graded", graded), ("pairs", pairs)] {
        for (seed, decay) in [(1, 0.0), (2, -12.0), (3, 12.0)] {
            let v = masses(n, decay, seed);
            let exact = measure(&places, &v);
            for steps in [1, 2, 3, 7, 15, 30, n] {
                let context = format!("{name}, decay {decay}, {steps} steps");
                check(
                    &run::<f64>(&places, &v, steps),
                    &exact,
                    f64::EPSILON,
                    &context,
                );
                let eps = f64::from(f32::EPSILON);
                check(&run::<f32>(&places, &v, steps), &exact, eps, &context);
            }
        }
    }
}

#[test]
fn the_bounds_are_those_of_measures_with_the_same_moments() {
    // The rule with a node at t has the moments of the measure up to order 2m, and its jump at t
    // is the distance of the bounds: no smaller one is possible.
    let places = Array1::linspace(-1.0, 1.0, 50).to_vec();
    let v = masses(50, 1.0, 4);
    let exact = measure(&places, &v);
    let m = 6;
    let q = run::<f64>(&places, &v, m);
    for t in [-0.77, -0.3, 0.0, 0.123, 0.9] {
        let (nodes, weights) = q.radau(t).unwrap();
        assert!(
            nodes.iter().any(|x| (x - t).abs() < 1e-13),
            "{t}: {nodes:?}"
        );
        for degree in 0..=2 * m as i32 {
            let moment = sum(&nodes, &weights, |x| x.powi(degree));
            let right: f64 = exact.iter().map(|(x, w)| w * x.powi(degree)).sum();
            assert!((moment - right).abs() < 1e-12, "{t}, degree {degree}");
        }
        let here = (0..=m).find(|&i| (nodes[i] - t).abs() < 1e-13).unwrap();
        let (low, high) = q.cumulative_bounds(t);
        assert!((high - low - weights[here]).abs() < 1e-9, "{t}");
    }
}
