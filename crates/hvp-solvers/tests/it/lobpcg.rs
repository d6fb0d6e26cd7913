//! LOBPCG against closed forms and dense eigenvalues.

use std::cell::Cell;

use hvp_solvers::dense::{Cholesky, cholesky, eigenvalues};
use hvp_solvers::eigen::{EigenOutcome, EigenStop, End, Lanczos, Lobpcg, LobpcgState, Which};
use hvp_solvers::linear::{DiagonalPreconditioner, Identity, Preconditioner};
use hvp_solvers::operator::{Counted, DenseOperator, DiagonalOperator};
use hvp_solvers::{LinearOperator, SolverError};
use ndarray::{Array1, Array2, ArrayView1, ArrayViewMut1, array};

use crate::grid::{laplacian, laplacian_spectrum};
use crate::kit::{
    EPS, Fault, FaultyOperator, in_parts, misfits, norm, normal, product, stored, with_spectrum,
};

/// `M = A + σ`, factorised.
struct Factored(Cholesky<f64>);

impl Preconditioner<f64> for Factored {
    fn apply_into(&self, r: ArrayView1<'_, f64>, y: ArrayViewMut1<'_, f64>) {
        self.0.solve_into(r, y).unwrap();
    }
    fn dim(&self) -> Option<usize> {
        Some(self.0.dim())
    }
}

/// Values within their bounds, residuals within tolerance, orthonormal vectors.
fn certify(a: &impl LinearOperator<f64>, found: &EigenOutcome<f64>, exact: &[f64], tolerance: f64) {
    let n = a.dim() as f64;
    let size = found.stats.norm_estimate.max(f64::MIN_POSITIVE);
    assert_eq!(found.stop, EigenStop::Converged);
    assert_eq!(found.pairs.len(), exact.len());
    for (pair, &lambda) in found.pairs.iter().zip(exact) {
        // Closed forms and dense eigenvalues are rounded too.
        let rounding = 4.0 * n * EPS * size;
        assert!(
            (pair.value - lambda).abs() <= pair.error_bound + rounding,
            "{} for {lambda}, bound {:e}",
            pair.value,
            pair.error_bound
        );
        let u = &pair.vector;
        let r = norm((product(a, u.view()) - pair.value * u).view());
        assert!((r - pair.residual).abs() <= 4.0 * EPS * size);
        let floor = size * EPS.powf(2.0 / 3.0);
        assert!(
            r <= tolerance * lambda.abs().max(floor) + 10.0 * n * EPS * size,
            "{r:e}"
        );
        assert!(pair.converged);
    }
    assert!(found.stats.orthogonality <= 30.0 * n * EPS);
    assert!(found.stats.asymmetry <= 30.0 * n * EPS);
}

#[test]
fn laplacian_with_a_shifted_preconditioner() {
    let (p, q) = (22, 23);
    let n = p * q;
    let a = Counted::new(laplacian(p, q));
    let exact = laplacian_spectrum(p, q);
    let mut dense = Array2::zeros((n, n));
    for i in 0..n {
        let mut e = Array1::zeros(n);
        e[i] = 1.0;
        dense.row_mut(i).assign(&product(&a, e.view()));
    }
    dense.diag_mut().map_inplace(|d| *d += 0.001);
    let m = Factored(cholesky(dense.view()).unwrap());
    let config = Lobpcg::new(6, End::Smallest);
    a.reset();
    let fast = config.solve_with(&a, None, &m).unwrap();
    assert_eq!(a.count(), fast.stats.n_products as u64);
    certify(&a, &fast, &exact[..6], 1e-8);
    let plain = config.solve(&a).unwrap();
    certify(&a, &plain, &exact[..6], 1e-8);
    let lanczos = Lanczos {
        tolerance: 1e-8,
        ..Lanczos::new(6, Which::Smallest)
    };
    let lanczos = lanczos.solve(&a).unwrap().stats.n_products;
    println!(
        "iterations {} and products {}; plain {} and {}; Lanczos {lanczos}",
        fast.stats.n_restarts,
        fast.stats.n_products,
        plain.stats.n_restarts,
        plain.stats.n_products
    );
    assert!(5 * fast.stats.n_restarts < plain.stats.n_restarts);
    assert!(fast.stats.n_products < lanczos);
    let top: Vec<f64> = exact.iter().rev().take(6).copied().collect();
    certify(
        &a,
        &Lobpcg::new(6, End::Largest).solve(&a).unwrap(),
        &top,
        1e-8,
    );
}

#[test]
fn a_diagonal_preconditioner_undoes_bad_scaling() {
    let n = 150;
    let d = Array1::from_shape_fn(n, |i| 1e6_f64.powf(i as f64 / n as f64));
    let mut a = Array2::from_diag(&d);
    for i in 0..n - 1 {
        let off = 0.3 * (d[i] * d[i + 1]).sqrt();
        a[[i, i + 1]] = off;
        a[[i + 1, i]] = off;
    }
    let exact = eigenvalues(a.view()).unwrap().to_vec();
    let op = DenseOperator::new(a).unwrap();
    let m = DiagonalPreconditioner::new(d).unwrap();
    let found = Lobpcg::new(4, End::Smallest)
        .solve_with(&op, None, &m)
        .unwrap();
    // Rounding of the dense values and of the products is eps·‖A‖, 1e6 times the values' own.
    certify(&op, &found, &exact[..4], 1e-8);
    assert!(found.stats.n_restarts < 60, "{}", found.stats.n_restarts);
}

#[test]
fn clusters_and_copies() {
    let near = |i: usize| match i {
        0..3 => 1.0 + 1e-9 * i as f64,
        3..6 => 1.1,
        _ => 2.0 + i as f64 / 20.0,
    };
    let spectrum = Array1::from_shape_fn(100, near);
    let op = DenseOperator::new(with_spectrum(&spectrum, 3)).unwrap();
    for seed in 0..3 {
        for k in [1, 2, 3, 5, 6] {
            let config = Lobpcg {
                seed,
                ..Lobpcg::new(k, End::Smallest)
            };
            certify(
                &op,
                &config.solve(&op).unwrap(),
                &spectrum.to_vec()[..k],
                1e-8,
            );
        }
    }
    // All alike, zero, and opposite pairs.
    for value in [1.0, 0.0, -3.0] {
        let a = DiagonalOperator::new(Array1::from_elem(50, value));
        certify(
            &a,
            &Lobpcg::new(5, End::Largest).solve(&a).unwrap(),
            &[value; 5],
            1e-8,
        );
    }
    let a = DiagonalOperator::new(Array1::linspace(-1.0, 1.0, 60));
    let found = Lobpcg::new(2, End::Smallest).solve(&a).unwrap();
    certify(&a, &found, &[-1.0, -1.0 + 2.0 / 59.0], 1e-8);
}

#[test]
fn every_size_up_to_all_of_the_spectrum() {
    for n in [1, 2, 3, 7, 10, 20] {
        let spectrum = Array1::from_shape_fn(n, |i| i as f64 - 1.0);
        let op = DenseOperator::new(with_spectrum(&spectrum, n as u64)).unwrap();
        for k in (0..=n).rev().take(4).chain([n.min(1)]) {
            for end in [End::Smallest, End::Largest] {
                let found = Lobpcg::new(k, end).solve(&op).unwrap();
                let mut exact = spectrum.to_vec();
                if end == End::Largest {
                    exact.reverse();
                }
                certify(&op, &found, &exact[..k], 1e-8);
            }
        }
    }
    let empty = DiagonalOperator::new(Array1::<f64>::zeros(0));
    let found = Lobpcg::new(0, End::Largest).solve(&empty).unwrap();
    assert!(found.pairs.is_empty() && found.stats.n_products == 0);
}

#[test]
fn starts_of_any_kind() {
    let spectrum = Array1::linspace(1.0, 5.0, 80);
    let op = DenseOperator::new(with_spectrum(&spectrum, 5)).unwrap();
    let config = Lobpcg::new(3, End::Smallest);
    let x = normal(80, 1);
    // Almost parallel rows, copies, zeros, huge and tiny ones, and more than a block.
    let parallel = Array2::from_shape_fn((5, 80), |(i, j)| x[j] + 1e-13 * normal(80, i as u64)[j]);
    let copies = Array2::from_shape_fn((5, 80), |(_, j)| x[j]);
    let mut scaled = parallel.clone();
    scaled.row_mut(0).mapv_inplace(|x| x * 1e200);
    scaled.row_mut(1).mapv_inplace(|x| x * 1e-200);
    let many = Array2::from_shape_fn((20, 80), |(i, j)| normal(80, i as u64)[j]);
    for start in [
        parallel,
        copies,
        scaled,
        many,
        Array2::zeros((4, 80)),
        Array2::zeros((0, 80)),
    ] {
        let found = config
            .solve_with(&op, Some(start.view()), &Identity)
            .unwrap();
        certify(&op, &found, &spectrum.to_vec()[..3], 1e-8);
    }
    // From its own solution there is nothing left to do.
    let tight = Lobpcg {
        tolerance: 1e-10,
        ..config
    };
    let vectors = tight.solve(&op).unwrap().vectors();
    let again = config
        .solve_with(&op, Some(vectors.view()), &Identity)
        .unwrap();
    certify(&op, &again, &spectrum.to_vec()[..3], 1e-8);
    assert_eq!(again.stats.n_restarts, 0);
}

#[test]
fn tight_tolerances_scales_and_single_precision() {
    for scale in [1e-150, 1.0, 1e150] {
        let d = Array1::linspace(1.0, 50.0, 50) * scale;
        let a = DiagonalOperator::new(d.clone());
        let m = DiagonalPreconditioner::new(d).unwrap();
        let config = Lobpcg {
            tolerance: 1e-13,
            ..Lobpcg::new(3, End::Smallest)
        };
        let found = config.solve_with(&a, None, &m).unwrap();
        certify(&a, &found, &[scale, 2.0 * scale, 3.0 * scale], 1e-13);
    }
    let a = DiagonalOperator::new(Array1::<f32>::linspace(1.0, 50.0, 50));
    let config = Lobpcg {
        tolerance: 1e-4,
        ..Lobpcg::new(2, End::Largest)
    };
    let found = config.solve(&a).unwrap();
    assert_eq!(found.stop, EigenStop::Converged);
    assert!((found.pairs[1].value - 49.0).abs() <= found.pairs[1].error_bound);
}

#[test]
fn typed_endings() {
    let a = laplacian(20, 21);
    let exact = laplacian_spectrum(20, 21);
    let config = Lobpcg {
        max_iters: 5,
        ..Lobpcg::new(4, End::Smallest)
    };
    let found = config.solve(&a).unwrap();
    assert_eq!(found.stop, EigenStop::MaxIters);
    assert!(found.pairs.iter().any(|p| !p.converged));
    for pair in &found.pairs {
        let nearest = exact.iter().map(|e| (e - pair.value).abs());
        assert!(nearest.fold(f64::INFINITY, f64::min) <= pair.error_bound);
    }
    // A preconditioner that returns nothing: the residuals themselves serve.
    struct Nothing(Cell<usize>, f64);
    impl Preconditioner<f64> for Nothing {
        fn apply_into(&self, _: ArrayView1<'_, f64>, mut y: ArrayViewMut1<'_, f64>) {
            self.0.set(self.0.get() + 1);
            y.fill(if self.0.get() > 20 { self.1 } else { 0.0 });
        }
        fn dim(&self) -> Option<usize> {
            None
        }
    }
    let d = Array1::linspace(1.0, 2.0, 30);
    let small = DiagonalOperator::new(d.clone());
    let config = Lobpcg::new(2, End::Smallest);
    let found = config
        .solve_with(&small, None, &Nothing(Cell::new(0), 0.0))
        .unwrap();
    certify(&small, &found, &[1.0, 1.0 + 1.0 / 29.0], 1e-8);
    let found = config
        .solve_with(&small, None, &Nothing(Cell::new(0), f64::NAN))
        .unwrap();
    assert!(matches!(found.stop, EigenStop::NonFinite { .. }));
    assert_eq!(found.pairs.len(), 2);
    for bad in [f64::NAN, f64::INFINITY] {
        for first in [0, 1, 4, 7, 30, 31, 60] {
            let fault = Fault {
                first,
                count: usize::MAX,
                bad,
            };
            let a = FaultyOperator::new(DiagonalOperator::new(d.clone()), fault);
            let found = config.solve(&a).unwrap();
            assert!(matches!(found.stop, EigenStop::NonFinite { .. }), "{first}");
            for pair in &found.pairs {
                assert!(pair.value.is_finite() && pair.vector.iter().all(|x| x.is_finite()));
            }
        }
    }
    let bad = |config: Lobpcg| {
        matches!(
            config.solve(&small),
            Err(SolverError::InvalidSetting { .. })
        )
    };
    assert!(bad(Lobpcg::new(31, End::Smallest)));
    assert!(bad(Lobpcg {
        block: Some(1),
        ..config
    }));
    assert!(bad(Lobpcg {
        tolerance: f64::NAN,
        ..config
    }));
    let short = DiagonalPreconditioner::new(array![1.0]).unwrap();
    assert!(config.solve_with(&small, None, &short).is_err());
    let nan = Array2::from_elem((1, 30), f64::NAN);
    assert!(
        config
            .solve_with(&small, Some(nan.view()), &Identity)
            .is_err()
    );
    assert!(
        config
            .solve_with(&small, Some(Array2::zeros((1, 29)).view()), &Identity)
            .is_err()
    );
    let text = serde_json::to_string(&config).unwrap();
    assert_eq!(serde_json::from_str::<Lobpcg>(&text).unwrap(), config);
    assert_eq!(config.solve(&small).unwrap(), config.solve(&small).unwrap());
}

/// Interrupted after any number of iterations, written out as text and read back: the same bits.
#[test]
fn resumes_bit_exactly_from_text() {
    let n = 120;
    let d = Array1::from_shape_fn(n, |i| 1e4_f64.powf(i as f64 / n as f64));
    let matrix = with_spectrum(&d, 7);
    let m = DiagonalPreconditioner::new(matrix.diag().to_owned()).unwrap();
    let a = Counted::new(DenseOperator::new(matrix).unwrap());
    let x0 = Array2::from_shape_vec((2, n), normal(2 * n, 8).to_vec()).unwrap();
    let interrupted = |config: Lobpcg, m: &dyn Preconditioner<f64>, x0: Option<&Array2<f64>>| {
        let x0 = x0.map(|x0| x0.view());
        a.reset();
        let whole = config.solve_with(&a, x0, m).unwrap();
        assert_eq!(a.count(), whole.stats.n_products as u64);
        for part in [0, 1, 3, 49, 200] {
            a.reset();
            let state = in_parts(config.start(n, x0).unwrap(), part, |state, count| {
                state.advance(&a, m, count).unwrap().is_some()
            });
            // Also after its end.
            let again = stored(&state).into_outcome(&a).unwrap();
            a.reset();
            let found = state.into_outcome(&a).unwrap();
            assert_eq!((&found, &again), (&whole, &whole));
            let bits = |found: &EigenOutcome<f64>| found.vectors().mapv(f64::to_bits);
            assert_eq!(bits(&found), bits(&whole));
            assert_eq!(a.count(), found.pairs.len() as u64);
        }
        whole
    };
    let config = Lobpcg::new(3, End::Smallest);
    // Long enough to remove rounding on the way.
    let plain = interrupted(config, &Identity, None);
    assert!(plain.stats.n_restarts > 50, "{:?}", plain.stats);
    interrupted(config, &m, Some(&x0));
    interrupted(Lobpcg::new(4, End::Largest), &Identity, Some(&x0));
    // To the whole space, to nothing, and to a limit.
    interrupted(Lobpcg::new(n / 2, End::Largest), &Identity, None);
    interrupted(Lobpcg::new(n, End::Smallest), &Identity, None);
    interrupted(Lobpcg::new(0, End::Smallest), &Identity, None);
    let short = Lobpcg {
        max_iters: 5,
        ..config
    };
    let whole = interrupted(short, &m, None);
    assert_eq!(whole.stop, EigenStop::MaxIters);
    // A solve that is not over is what it would be at that limit.
    let mut state = config.start(n, None).unwrap();
    assert_eq!(state.advance(&a, &m, 5).unwrap(), None);
    assert_eq!(state.n_iters(), 5);
    let early = state.into_outcome(&a).unwrap();
    assert_eq!((early.stop, &early.stats), (whole.stop, &whole.stats));
    assert_eq!(early.vectors(), whole.vectors());

    let single = DiagonalOperator::new(Array1::<f32>::linspace(1.0, 50.0, 50));
    let config = Lobpcg {
        tolerance: 1e-4,
        ..config
    };
    let mut state = config.start(50, None).unwrap();
    while state.advance(&single, &Identity, 2).unwrap().is_none() {
        state = stored(&state);
    }
    let whole = config.solve(&single).unwrap();
    assert_eq!(state.into_outcome(&single).unwrap(), whole);
}

#[test]
fn states_that_do_not_fit_are_refused() {
    let n = 40;
    let a = DiagonalOperator::new(Array1::linspace(1.0, 9.0, n));
    let other = DiagonalOperator::new(Array1::ones(n + 1));
    let short = DiagonalPreconditioner::new(array![1.0]).unwrap();
    let mismatch = |e: SolverError| matches!(e, SolverError::DimensionMismatch { .. });
    let mut state = Lobpcg::new(2, End::Largest).start(n, None).unwrap();
    loop {
        let text = serde_json::to_string(&state).unwrap();
        for (from, to) in [
            ("\"k\":2", "\"k\":20"),
            ("\"n\":40", "\"n\":39"),
            ("\"block\":4", "\"block\":3"),
            ("\"known\":", "\"known\":9"),
        ] {
            assert!(text.contains(from), "{from}");
            let broken: LobpcgState<f64> = serde_json::from_str(&text.replace(from, to)).unwrap();
            assert!(broken.clone().advance(&a, &Identity, 1).is_err(), "{from}");
            assert!(broken.into_outcome(&a).is_err(), "{from}");
        }
        for (place, misfit) in misfits(&state) {
            // The generator may be anywhere, if it can be read.
            if !place.starts_with("/rng") {
                let refused = misfit.clone().advance(&a, &Identity, 1).is_err();
                assert!(refused && misfit.into_outcome(&a).is_err(), "{place}");
            }
        }
        assert!(mismatch(state.advance(&other, &Identity, 1).unwrap_err()));
        assert!(mismatch(state.advance(&a, &short, 1).unwrap_err()));
        assert!(mismatch(state.clone().into_outcome(&other).unwrap_err()));
        if state.advance(&a, &Identity, 5).unwrap().is_some() {
            break;
        }
    }
    assert_eq!(state.into_outcome(&a).unwrap().stop, EigenStop::Converged);
    // What a fault leaves can be stored too.
    let fault = Fault {
        first: 9,
        count: usize::MAX,
        bad: f64::NAN,
    };
    let faulty = FaultyOperator::new(a, fault);
    let mut state = Lobpcg::new(2, End::Largest).start(n, None).unwrap();
    let stop = state.advance(&faulty, &Identity, 9).unwrap();
    assert!(matches!(stop, Some(EigenStop::NonFinite { .. })));
    let mut again = stored(&state);
    assert_eq!(again.advance(&faulty, &Identity, 9).unwrap(), stop);
    let found = again.into_outcome(&faulty).unwrap();
    assert_eq!(found, state.into_outcome(&faulty).unwrap());
    assert_eq!((Some(found.stop), found.pairs.len()), (stop, 2));
}
