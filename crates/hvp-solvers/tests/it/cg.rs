//! Conjugate gradients against the dense solution.

use hvp_solvers::SolverError;
use hvp_solvers::dense::cholesky;
use hvp_solvers::linear::{Cg, CgStop, DiagonalPreconditioner, Identity, Preconditioner};
use hvp_solvers::operator::{Counted, DenseOperator, DiagonalOperator};
use ndarray::{Array1, Array2, array};
use proptest::prelude::*;

use crate::kit::{EPS, in_parts, norm, normal, product, with_spectrum};

#[test]
fn agrees_with_cholesky() {
    for (n, seed) in [(1, 1), (2, 2), (17, 3), (60, 4)] {
        let a = with_spectrum(&Array1::linspace(1.0, 100.0, n), seed);
        let b = normal(n, seed + 50);
        let dense = cholesky(a.view()).unwrap().solve(b.view()).unwrap();
        let config = Cg {
            relative_tolerance: 1e-13,
            ..Cg::default()
        };
        let found = config
            .solve(&DenseOperator::new(a).unwrap(), b.view())
            .unwrap();
        assert!(found.stop.is_converged(), "{:?}", found.stop);
        // ‖x − x*‖ ≤ ‖A⁻¹‖ ‖r‖ with λ_min = 1, and Cholesky's own error κ·n·eps.
        let tol = 1e-13 * norm(b.view()) + 100.0 * n as f64 * EPS * norm(dense.view());
        assert!(norm((&found.x - &dense).view()) <= tol, "n = {n}");
    }
}

#[test]
fn ends_after_as_many_steps_as_there_are_distinct_eigenvalues() {
    let spectrum = Array1::from_shape_fn(50, |i| [1.0, 3.0, 10.0, 40.0][i % 4]);
    let a = DenseOperator::new(with_spectrum(&spectrum, 5)).unwrap();
    let found = Cg::default().solve(&a, normal(50, 6).view()).unwrap();
    assert!(found.stop.is_converged());
    assert_eq!(found.stats.n_iters, 4);
}

#[test]
fn warm_start_at_the_solution_costs_one_product() {
    let a = Counted::new(DiagonalOperator::new(array![1.0, 2.0, 4.0]));
    let x = array![3.0, -1.0, 0.5];
    let b = product(&a, x.view());
    a.reset();
    let found = Cg::default()
        .solve_with(&a, b.view(), Some(x.view()), &Identity)
        .unwrap();
    assert!(found.stop.is_converged());
    assert_eq!((found.x, a.count(), found.stats.n_iters), (x, 1, 0));
}

#[test]
fn scales_from_1e_minus_150_to_1e150() {
    let d = Array1::linspace(1.0, 9.0, 9);
    for (sa, sb) in [
        (1e150, 1e-150),
        (1e-150, 1e150),
        (1e150, 1e150),
        (1e-150, 1e-150),
    ] {
        let a = DiagonalOperator::new(&d * sa);
        let b = Array1::from_elem(9, sb);
        let found = Cg::default().solve(&a, b.view()).unwrap();
        let exact: Array1<f64> = &b / (&d * sa);
        if exact.iter().all(|x| x.is_finite()) {
            assert!(found.stop.is_converged(), "{sa:e} {sb:e}: {:?}", found.stop);
            let relative = (&found.x / &exact - 1.0_f64).mapv(f64::abs);
            assert!(relative.iter().all(|&e| e < 1e-9), "{relative}");
        }
        assert!(found.x.iter().all(|x| x.is_finite()));
    }
}

#[test]
fn endings_other_than_convergence() {
    let b = array![1.0, 1.0];
    let solve = |d: Array1<f64>| {
        Cg::default()
            .solve(&DiagonalOperator::new(d), b.view())
            .unwrap()
    };
    assert_eq!(solve(array![1.0, -2.0]).stop, CgStop::NotPositiveDefinite);
    assert_eq!(solve(array![0.0, 0.0]).stop, CgStop::NotPositiveDefinite);
    let short = Cg {
        max_iters: Some(1),
        ..Cg::default()
    };
    let found = short
        .solve(&DiagonalOperator::new(array![1.0, 5.0]), b.view())
        .unwrap();
    assert_eq!(
        (found.stop, found.stats.n_iters),
        (CgStop::MaxIterations, 1)
    );
    // Beyond what rounding allows, the end is a stall and not a loop.
    let exact = Cg {
        relative_tolerance: 0.0,
        ..Cg::default()
    };
    let hard = with_spectrum(
        &Array1::from_shape_fn(30, |i| 10.0_f64.powi(-(i as i32) / 3)),
        7,
    );
    let found = exact
        .solve(&DenseOperator::new(hard).unwrap(), normal(30, 8).view())
        .unwrap();
    assert!(!found.stop.is_converged() && found.x.iter().all(|x| x.is_finite()));
}

#[test]
fn trivial_systems() {
    let found = Cg::default()
        .solve(
            &DiagonalOperator::new(Array1::<f64>::zeros(0)),
            Array1::zeros(0).view(),
        )
        .unwrap();
    assert!(found.stop.is_converged() && found.x.is_empty());
    let zero = Array1::<f64>::zeros(3);
    let found = Cg::default()
        .solve(&DiagonalOperator::new(Array1::ones(3)), zero.view())
        .unwrap();
    assert!(found.stop.is_converged());
    assert_eq!((found.x, found.stats.n_products), (zero, 0));
}

#[test]
fn single_precision() {
    let a = DiagonalOperator::new(Array1::<f32>::linspace(1.0, 50.0, 40));
    let config = Cg {
        relative_tolerance: 1e-6,
        ..Cg::default()
    };
    let found = config.solve(&a, Array1::ones(40).view()).unwrap();
    assert!(found.stop.is_converged());
    assert!((found.x[0] - 1.0).abs() < 1e-5);
}

#[test]
fn broken_contracts() {
    let a = DiagonalOperator::new(array![1.0, 2.0]);
    let solve = |b: Array1<f64>| Cg::default().solve(&a, b.view());
    assert!(matches!(
        solve(array![1.0]),
        Err(SolverError::DimensionMismatch { .. })
    ));
    assert!(matches!(
        solve(array![1.0, f64::NAN]),
        Err(SolverError::NonFiniteInput { .. })
    ));
    let bad = Cg {
        relative_tolerance: f64::NAN,
        ..Cg::default()
    };
    let error = bad.solve(&a, array![1.0, 1.0].view());
    assert!(matches!(error, Err(SolverError::InvalidSetting { .. })));
    let m = DiagonalPreconditioner::new(array![1.0]).unwrap();
    assert!(
        Cg::default()
            .solve_with(&a, array![1.0, 1.0].view(), None, &m)
            .is_err()
    );
    assert!(DiagonalPreconditioner::new(array![1.0, 0.0]).is_err());
    assert!(DiagonalPreconditioner::new(array![1.0, -1.0]).is_err());
    assert!(DenseOperator::new(Array2::<f64>::zeros((2, 3))).is_err());
}

#[test]
fn config_and_outcome_survive_serialisation() {
    let config = Cg {
        max_iters: Some(7),
        ..Cg::default()
    };
    let text = serde_json::to_string(&config).unwrap();
    assert_eq!(serde_json::from_str::<Cg>(&text).unwrap(), config);
    let a = DiagonalOperator::new(array![1.0, 3.0]);
    let found = config.solve(&a, array![1.0, 1.0].view()).unwrap();
    let text = serde_json::to_string(&found).unwrap();
    let back: hvp_solvers::linear::CgOutcome<f64> = serde_json::from_str(&text).unwrap();
    assert_eq!(back.stop, found.stop);
}

/// Interrupted after any number of iterations, written out as text and read back: the same bits.
#[test]
fn resumes_bit_exactly_from_text() {
    let n = 40;
    // A condition at which rounding forces restarts, so that these are interrupted too.
    let matrix = with_spectrum(&Array1::logspace(10.0, -2.0, 2.0, n), 12);
    let m = DiagonalPreconditioner::new(matrix.diag().to_owned()).unwrap();
    let a = Counted::new(DenseOperator::new(matrix).unwrap());
    let (b, x0) = (normal(n, 13), normal(n, 14));
    let config = Cg {
        relative_tolerance: 3e-14,
        ..Cg::default()
    };
    let interrupted = |m: &dyn Preconditioner<f64>, x0: Option<&Array1<f64>>| {
        let x0 = x0.map(|x0| x0.view());
        let whole = config.solve_with(&a, b.view(), x0, m).unwrap();
        for part in [0, 1, 2, 7, 50, 120] {
            a.reset();
            let state = in_parts(config.start(b.view(), x0).unwrap(), part, |state, count| {
                state.advance(&a, m, count).unwrap().is_some()
            });
            let found = state.into_outcome();
            assert_eq!(found, whole);
            assert!(
                found
                    .x
                    .iter()
                    .zip(&whole.x)
                    .all(|(a, b)| a.to_bits() == b.to_bits())
            );
            assert_eq!(a.count(), whole.stats.n_products as u64);
        }
        whole.stats
    };
    let stats = interrupted(&Identity, None);
    // One product for each restart beyond the iterations and the last check.
    assert!(stats.n_products > stats.n_iters + 1, "{stats:?}");
    interrupted(&m, None);
    interrupted(&Identity, Some(&x0));

    let single = DiagonalOperator::new(Array1::<f32>::linspace(1.0, 50.0, 40));
    let ones = Array1::ones(40);
    let mut state = config.start(ones.view(), None).unwrap();
    while state.advance(&single, &Identity, 3).unwrap().is_none() {
        let text = serde_json::to_string(&state).unwrap();
        state = serde_json::from_str(&text).unwrap();
    }
    assert_eq!(
        state.into_outcome(),
        config.solve(&single, ones.view()).unwrap()
    );
    let mut state = config.start(Array1::ones(3).view(), None).unwrap();
    assert!(state.advance(&single, &Identity, 1).is_err());
    assert!(
        state
            .advance(&DiagonalOperator::new(Array1::<f32>::ones(3)), &Identity, 1)
            .is_ok()
    );
}

proptest! {
    #[test]
    fn residual_is_what_it_says(
        exponents in prop::collection::vec(-3.0..3.0_f64, 1..30),
        seed in 0..1000_u64,
        preconditioned in any::<bool>(),
    ) {
        let spectrum: Array1<f64> = exponents.iter().map(|e| 10.0_f64.powf(*e)).collect();
        let n = spectrum.len();
        let matrix = with_spectrum(&spectrum, seed);
        let diagonal = matrix.diag().to_owned();
        let a = DenseOperator::new(matrix).unwrap();
        let b = normal(n, seed + 1);
        let found = if preconditioned {
            prop_assume!(diagonal.iter().all(|&d| d > 0.0));
            let m = DiagonalPreconditioner::new(diagonal).unwrap();
            Cg::default().solve_with(&a, b.view(), None, &m).unwrap()
        } else {
            Cg::default().solve(&a, b.view()).unwrap()
        };
        let r = norm((&b - &product(&a, found.x.view())).view());
        let said = found.stats.residual_norm;
        // Rounding of a residual: no method gets below it, and with a condition number of 1e6 it
        // can be more than the tolerance.
        let noise = 4.0 * n as f64 * EPS * (norm(b.view()) + 1e3 * norm(found.x.view()));
        let stagnated = found.stop == CgStop::Stagnated && r <= noise;
        prop_assert!(found.stop.is_converged() || stagnated, "{r:e} {:?}", found.stats);
        prop_assert!(stagnated || r <= 1e-10 * norm(b.view()) + noise);
        prop_assert!((r - said).abs() <= noise, "{r:e} {said:e} {noise:e}");
    }
}
