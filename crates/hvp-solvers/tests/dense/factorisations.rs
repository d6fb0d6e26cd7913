//! Dense factorisations on whichever backend is compiled in.

use hvp_solvers::SolverError;
use hvp_solvers::dense::{BACKEND, cholesky, cholesky_in_place, eigenvalues};
use ndarray::{Array1, Array2, array, s};

use crate::kit::{EPS, norm, normal, with_spectrum};

#[test]
fn backend_follows_the_feature() {
    assert_eq!(
        BACKEND,
        if cfg!(feature = "lapack") {
            "lapack"
        } else {
            "faer"
        }
    );
}

#[test]
fn solves_with_small_backward_error() {
    for n in [0, 1, 2, 5, 33, 130] {
        let a = with_spectrum(&Array1::linspace(0.1, 100.0, n), n as u64);
        let b = normal(n, 2);
        let factor = cholesky(a.view()).unwrap();
        assert_eq!(factor.dim(), n);
        let x = factor.solve(b.view()).unwrap();
        let r = norm((a.dot(&x) - &b).view());
        // Backward stable: ‖Ax − b‖ ≤ c·n·eps·‖A‖‖x‖.
        assert!(
            r <= 4.0 * (n + 1) as f64 * EPS * 100.0 * norm(x.view()),
            "n = {n}: {r:e}"
        );
        let log_det: f64 = Array1::linspace(0.1, 100.0, n).mapv(f64::ln).sum();
        assert!((factor.log_determinant() - log_det).abs() < 1e-11 * (n + 1) as f64);
    }
}

#[test]
fn only_the_upper_triangle_is_read_and_strides_are_respected() {
    let a = with_spectrum(&Array1::linspace(1.0, 4.0, 9), 1);
    let b = normal(9, 2);
    let x = cholesky(a.view()).unwrap().solve(b.view()).unwrap();
    let mut spoiled = a.clone();
    for i in 0..9 {
        for j in 0..i {
            spoiled[[i, j]] = 1e30;
        }
    }
    assert_eq!(
        cholesky(spoiled.view()).unwrap().solve(b.view()).unwrap(),
        x
    );
    let values = eigenvalues(a.view()).unwrap();
    assert!(norm((eigenvalues(spoiled.view()).unwrap() - &values).view()) < 1e-13);
    // A strided view of a larger array, and an output with gaps.
    let mut big = Array2::zeros((18, 18));
    big.slice_mut(s![..;2, ..;2]).assign(&a);
    let mut out = Array1::zeros(18);
    let factor = cholesky(big.slice(s![..;2, ..;2])).unwrap();
    factor
        .solve_into(b.view(), out.slice_mut(s![..;2]))
        .unwrap();
    assert_eq!(out.slice(s![..;2]), x);
}

#[test]
fn eigenvalues_of_known_spectra() {
    for n in [1, 2, 7, 40, 120] {
        let spectrum = Array1::linspace(-3.0, 5.0, n);
        let found = eigenvalues(with_spectrum(&spectrum, 8).view()).unwrap();
        let worst = (&found - &spectrum)
            .mapv(f64::abs)
            .fold(0.0_f64, |m, &v| m.max(v));
        assert!(worst <= 8.0 * n as f64 * EPS * 5.0, "n = {n}: {worst:e}");
    }
    assert!(
        eigenvalues(Array2::<f64>::zeros((0, 0)).view())
            .unwrap()
            .is_empty()
    );
    let single = eigenvalues(array![[2.0_f32, 1.0], [1.0, 2.0]].view()).unwrap();
    assert!((single[0] - 1.0).abs() < 1e-6 && (single[1] - 3.0).abs() < 1e-6);
}

#[test]
fn what_cannot_be_factorised_says_where() {
    let pivot = |a: Array2<f64>| cholesky(a.view()).unwrap_err().pivot;
    assert_eq!(pivot(array![[0.0]]), 0);
    assert_eq!(pivot(array![[1.0, 2.0], [2.0, 1.0]]), 1);
    assert_eq!(pivot(Array2::from_diag(&array![1.0, 1.0, -1.0, 1.0])), 2);
    assert_eq!(pivot(array![[1.0, 0.0], [0.0, f64::NAN]]), 1);
    assert_eq!(pivot(array![[f64::INFINITY]]), 0);
    let factor = cholesky(array![[1.0]].view()).unwrap();
    let error = factor.solve(array![1.0, 2.0].view());
    assert!(matches!(error, Err(SolverError::DimensionMismatch { .. })));
    let error = eigenvalues(array![[1.0, f64::NAN], [0.0, 1.0]].view());
    assert!(matches!(
        error,
        Err(SolverError::NonFiniteInput { index: 1, .. })
    ));
}

/// The same bits, and the same pivot where there are none.
#[test]
fn factors_in_place_are_those_of_a_copy() {
    for n in 1..=140 {
        for shift in [n as f64, 0.0] {
            let entry = |i: usize, j: usize| ((i + 2 * j + 1) as f64).sin();
            let mut a = Array2::from_shape_fn((n, n), |(i, j)| entry(i.max(j), i.min(j)));
            a.diag_mut().mapv_inplace(|d| d + 2.0 * shift);
            let b = Array1::from_shape_fn(n, |i| (i as f64).cos());
            let expected = cholesky(a.view()).map(|factor| factor.solve(b.view()).unwrap());
            let mut x = b.to_vec();
            let found = cholesky_in_place(&mut a).map(|factor| factor.solve_in_place(&mut x));
            assert_eq!(found.map(|()| Array1::from(x)), expected, "{n}");
        }
    }
}
