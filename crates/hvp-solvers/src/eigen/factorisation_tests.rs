//! The relation that defines the factorisation: A V = V T + P C, [V P] orthonormal.

use super::*;
use crate::operator::{DiagonalOperator, apply};
use crate::random::generator;
use crate::vector::axpy;
use ndarray::Array1;

/// Largest entry of `A V − V T − P C`.
fn relation_defect(a: &DiagonalOperator<f64>, s: &Factorisation<f64>) -> f64 {
    let n = s.n;
    let stride = s.ncv + s.width;
    let mut worst = 0.0_f64;
    let mut av = vec![0.0; n];
    for j in 0..s.done {
        apply(a, s.basis.row(j), &mut av);
        for i in 0..s.basis.len() {
            axpy(-s.t[i * stride + j], s.basis.row(i), &mut av);
        }
        worst = worst.max(norm2(&av));
    }
    worst
}

fn check(spectrum: Array1<f64>, ncv: usize, block: usize, restarts: usize, seed: u64) {
    let n = spectrum.len();
    let norm = spectrum.iter().fold(0.0_f64, |m, v| m.max(v.abs()));
    let a = DiagonalOperator::new(spectrum);
    let mut s = Factorisation::new(n, ncv, block, block, generator(seed));
    s.start(None);
    for round in 0..=restarts {
        s.expand(&a, ncv).unwrap();
        // Both defects are a modest multiple of n·eps·‖A‖, also after restarts.
        let tol = 30.0 * n as f64 * f64::EPSILON;
        let defect = relation_defect(&a, &s);
        assert!(defect <= tol * norm, "round {round}: AV − VT = {defect:e}");
        assert!(s.basis.orthogonality() <= tol, "round {round}");
        assert!(
            s.asymmetry <= tol * norm,
            "round {round}: {:e}",
            s.asymmetry
        );
        assert!(s.ritz(Which::Largest));
        if s.exhausted() {
            return;
        }
        // A probe drops the couplings of the wanted vectors, so they must be negligible.
        if s.count_converged(3, 0.0, 1.0) == 3 {
            s.collect(3);
        } else {
            s.restart(3, 0.0);
        }
    }
}

#[test]
fn relation_holds_through_restarts_and_probes() {
    for seed in 0..5 {
        for block in [1, 2, 5] {
            let check = |spectrum, ncv, restarts| check(spectrum, ncv, block, restarts, seed);
            check(Array1::linspace(-1.0, 3.0, 60), 12, 5);
            // Hilbert-like decay: without reorthogonalisation V would fall apart at once.
            let decay = Array1::from_shape_fn(60, |i| 0.3_f64.powi(i as i32));
            check(decay, 12, 5);
            let two = Array1::from_shape_fn(60, |i| if i < 40 { 1.0 } else { 50.0 });
            check(two, 12, 5);
            check(Array1::ones(60), 12, 5);
            check(Array1::linspace(1.0, 2.0, 12), 12, 0);
        }
    }
}

#[test]
fn wanted_orders() {
    let theta = [-5.0, -1.0, 2.0, 4.0];
    let mut order = Vec::new();
    let expect = [
        (Which::Largest, [3, 2, 1, 0]),
        (Which::Smallest, [0, 1, 2, 3]),
        (Which::BothEnds, [3, 0, 2, 1]),
        (Which::LargestMagnitude, [0, 3, 2, 1]),
    ];
    for (which, expected) in expect {
        order_by_want(which, &theta, &mut order);
        assert_eq!(order, expected, "{which:?}");
    }
}
