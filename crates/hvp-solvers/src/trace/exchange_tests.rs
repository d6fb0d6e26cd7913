//! The closed formulas against leaving out one vector after the other.

use super::*;
use crate::operator::DenseOperator;
use crate::random::generator;
use ndarray::Array1;

const N: usize = 40;

/// A dense symmetric matrix with a given spectrum.
fn with_spectrum(spectrum: &Array1<f64>) -> Array2<f64> {
    let v = spheres::<f64>(1, N, &mut generator(9));
    let reflect = Array2::eye(N) - v.t().dot(&v) * (2.0 / N as f64);
    reflect.dot(&Array2::from_diag(spectrum)).dot(&reflect)
}

fn without(omega: &Array2<f64>, i: usize) -> Array2<f64> {
    let keep: Vec<usize> = (0..omega.nrows()).filter(|&j| j != i).collect();
    omega.select(ndarray::Axis(0), &keep)
}

/// `x` without its part in the span of the orthonormal rows `q`.
fn outside(x: &Array1<f64>, q: &Array2<f64>) -> Array1<f64> {
    x - &q.t().dot(&q.dot(x))
}

fn spectra() -> Vec<Array1<f64>> {
    vec![
        Array1::linspace(1.0, 3.0, N),
        Array1::from_shape_fn(N, |j| 1.0 / ((j + 1) as f64).powi(2)),
        Array1::from_shape_fn(N, |j| 0.7_f64.powi(j as i32)),
        Array1::linspace(-1.0, 2.0, N),
    ]
}

#[test]
fn xtrace_is_the_mean_over_left_out_vectors() {
    for (spectrum, k) in spectra().iter().flat_map(|s| [(s, 4), (s, 10)]) {
        let a = with_spectrum(spectrum);
        let op = DenseOperator::new(a.clone()).unwrap();
        let omega = spheres::<f64>(k, N, &mut generator(5));
        let found = xtrace_from(&op, &omega, &mut generator(6));
        for (i, value) in found.values.iter().enumerate() {
            let q = qr(&without(&omega, i).dot(&a), &mut generator(7)).q;
            let w = outside(&omega.row(i).to_owned(), &q);
            let scale = (N - k + 1) as f64 / w.dot(&w);
            let direct = q.dot(&a).dot(&q.t()).diag().sum() + scale * w.dot(&a.dot(&w));
            assert!(
                (value - direct).abs() < 1e-12 * spectrum.mapv(f64::abs).sum(),
                "{value} {direct}"
            );
        }
    }
}

#[test]
fn xnystrace_is_the_mean_over_left_out_vectors() {
    for (spectrum, k) in spectra()[..3].iter().flat_map(|s| [(s, 4), (s, 10)]) {
        let a = with_spectrum(spectrum);
        let op = DenseOperator::new(a.clone()).unwrap();
        let omega = spheres::<f64>(k, N, &mut generator(5));
        let found = xnystrace_from(&op, &omega);
        for (i, value) in found.values.iter().enumerate() {
            let others = without(&omega, i);
            let y = others.dot(&a);
            let mut f = y.clone();
            forward_solve(&cholesky(gram(&others, &y).view()).unwrap(), &mut f);
            let rest = &a - &f.t().dot(&f);
            let w = outside(&omega.row(i).to_owned(), &qr(&others, &mut generator(7)).q);
            let scale = (N - k + 1) as f64 / w.dot(&w);
            let direct = f.iter().map(|v| v * v).sum::<f64>() + scale * w.dot(&rest.dot(&w));
            assert!((value - direct).abs() < 1e-11, "{value} {direct}");
        }
    }
}

#[test]
fn estimates_without_a_vector_are_those_from_the_others() {
    for (spectrum, k) in spectra()[..3]
        .iter()
        .flat_map(|s| [(s, 2), (s, 4), (s, 10)])
    {
        let op = DenseOperator::new(with_spectrum(spectrum)).unwrap();
        let omega = spheres::<f64>(k, N, &mut generator(5));
        let tol = 1e-11 * spectrum.sum();
        let x = xtrace_from(&op, &omega, &mut generator(6));
        let nystrom = xnystrace_from(&op, &omega);
        assert_eq!((x.left_out.len(), nystrom.left_out.len()), (k, k));
        for i in 0..k {
            let others = without(&omega, i);
            let mean = |s: Samples| s.values.iter().sum::<f64>() / (k - 1) as f64;
            let direct = mean(xtrace_from(&op, &others, &mut generator(6)));
            assert!((x.left_out[i] - direct).abs() < tol, "{k}: {direct}");
            let direct = mean(xnystrace_from(&op, &others));
            assert!((nystrom.left_out[i] - direct).abs() < tol, "{k}: {direct}");
        }
    }
}
