//! Blocks of right-hand sides, dependent ones among them.

use hvp_solvers::SolverError;
use hvp_solvers::dense::cholesky;
use hvp_solvers::linear::{
    BlockCg, BlockCgState, Cg, CgStop, DiagonalPreconditioner, Identity, Preconditioner,
};
use hvp_solvers::operator::{Counted, DenseOperator, DiagonalOperator};
use ndarray::{Array1, Array2, Axis, array, s, stack};
use proptest::prelude::*;

use crate::kit::{EPS, in_parts, misfits, norm, normal, product, stored, with_spectrum};

fn block(k: usize, n: usize, seed: u64) -> Array2<f64> {
    Array2::from_shape_vec((k, n), normal(k * n, seed).to_vec()).unwrap()
}

#[test]
fn agrees_with_cholesky() {
    for (n, k, seed) in [(1, 1, 1), (2, 5, 2), (17, 3, 3), (60, 8, 4)] {
        let a = with_spectrum(&Array1::linspace(1.0, 100.0, n), seed);
        let b = block(k, n, seed + 50);
        let config = BlockCg {
            relative_tolerance: 1e-13,
            ..BlockCg::default()
        };
        let op = Counted::new(DenseOperator::new(a.clone()).unwrap());
        let found = config.solve(&op, b.view()).unwrap();
        assert!(found.is_converged(), "{:?}", found.systems);
        assert_eq!(op.count(), found.n_products as u64);
        let factor = cholesky(a.view()).unwrap();
        for (x, b) in found.x.rows().into_iter().zip(b.rows()) {
            let dense = factor.solve(b).unwrap();
            // ‖x − x*‖ ≤ ‖A⁻¹‖ ‖r‖ with λ_min = 1, and Cholesky's own error κ·n·eps.
            let tol = 1e-13 * norm(b) + 100.0 * n as f64 * EPS * norm(dense.view());
            assert!(norm((&x - &dense).view()) <= tol, "n = {n}");
        }
    }
}

#[test]
fn dependent_right_hand_sides_cost_no_more_than_independent_ones() {
    let n = 60;
    let a = DenseOperator::new(with_spectrum(&Array1::linspace(1.0, 500.0, n), 5)).unwrap();
    let one = normal(n, 6);
    let two = normal(n, 7);
    let single = Cg::default().solve(&a, one.view()).unwrap();
    // The same system five times, in scales from 1e-150 to 1e150, and zero.
    let scales = [1.0, -2.0, 1e-150, 1e150, 0.0, 1.0];
    let b = Array2::from_shape_fn((6, n), |(j, i)| scales[j] * one[i]);
    let found = BlockCg::default().solve(&a, b.view()).unwrap();
    assert!(found.is_converged(), "{:?}", found.systems);
    assert!(
        found.n_products <= single.stats.n_products + 5,
        "{}",
        found.n_products
    );
    for (j, scale) in scales.iter().enumerate() {
        let expected = &single.x * *scale;
        let off = norm((&found.x.row(j) - &expected).view());
        assert!(off <= 1e-9 * norm(expected.view()), "{j}: {off:e}");
    }
    // Three of rank two, the third one only nearly in the span.
    let third = &one + &(&two * 3.0);
    let pair = BlockCg::default()
        .solve(&a, stack![Axis(0), one, two].view())
        .unwrap();
    for noise in [0.0, 1e-15, 1e-11, 1e-6] {
        let third = &third + &(normal(n, 8) * noise);
        let b = stack![Axis(0), one, two, third];
        let found = BlockCg::default().solve(&a, b.view()).unwrap();
        assert!(found.is_converged(), "{noise:e}: {:?}", found.systems);
        for (x, b) in found.x.rows().into_iter().zip(b.rows()) {
            assert!(norm((&b - &product(&a, x)).view()) <= 1.01e-10 * norm(b));
        }
        if noise < 1e-12 {
            let extra = found.n_products - pair.n_products;
            assert!(extra <= 6, "{extra} products more than for the pair");
        }
    }
}

#[test]
fn blocks_share_what_they_find() {
    // Eight eigenvalues far below the rest: a single system has to find each.
    let n = 200;
    let spectrum = Array1::from_shape_fn(n, |i| {
        if i < 8 {
            1e-4 * (i + 1) as f64
        } else {
            1.0 + i as f64 / n as f64
        }
    });
    let a = DenseOperator::new(with_spectrum(&spectrum, 9)).unwrap();
    let b = block(8, n, 10);
    let found = BlockCg::default().solve(&a, b.view()).unwrap();
    assert!(found.is_converged());
    let together = found
        .systems
        .iter()
        .map(|system| system.n_iters)
        .max()
        .unwrap();
    let alone = b
        .rows()
        .into_iter()
        .map(|b| Cg::default().solve(&a, b).unwrap().stats);
    let alone: Vec<usize> = alone.map(|stats| stats.n_iters).collect();
    // Seen: 19 iterations against 57.
    assert!(
        alone.iter().all(|&iters| 2 * together <= iters),
        "{together} {alone:?}"
    );
}

#[test]
fn warm_starts_preconditioners_and_scales() {
    let d = Array1::logspace(10.0, -5.0, 5.0, 40);
    let a = DiagonalOperator::new(d.clone());
    let m = DiagonalPreconditioner::new(d.clone()).unwrap();
    let b = block(4, 40, 11);
    let found = BlockCg::default()
        .solve_with(&a, b.view(), None, &m)
        .unwrap();
    assert!(found.is_converged());
    assert!(found.systems.iter().all(|system| system.n_iters == 1));
    // From the solution nothing but the check is left.
    let again = BlockCg::default();
    let again = again
        .solve_with(&a, b.view(), Some(found.x.view()), &Identity)
        .unwrap();
    assert!(again.is_converged() && again.n_products == 4);
    assert_eq!(again.x, found.x);

    let single = DiagonalOperator::new(Array1::<f32>::linspace(1.0, 50.0, 40));
    let config = BlockCg {
        relative_tolerance: 1e-6,
        ..BlockCg::default()
    };
    let found = config.solve(&single, Array2::ones((2, 40)).view()).unwrap();
    assert!(found.is_converged() && (found.x[[1, 0]] - 1.0).abs() < 1e-5);
}

#[test]
fn endings_other_than_convergence_and_broken_contracts() {
    let solve = |d: Array1<f64>| {
        let b = array![[1.0, 1.0, 1.0], [0.0, 0.0, 0.0]];
        BlockCg::default()
            .solve(&DiagonalOperator::new(d), b.view())
            .unwrap()
    };
    let found = solve(array![1.0, -2.0, 1.0]);
    assert_eq!(found.systems[0].stop, CgStop::NotPositiveDefinite);
    assert_eq!(found.systems[1].stop, CgStop::Converged);
    assert_eq!(
        solve(Array1::zeros(3)).systems[0].stop,
        CgStop::NotPositiveDefinite
    );
    let a = DiagonalOperator::new(array![1.0, 2.0, 3.0]);
    let short = BlockCg {
        max_iters: Some(1),
        ..BlockCg::default()
    };
    let found = short.solve(&a, array![[1.0, 1.0, 1.0]].view()).unwrap();
    assert_eq!(found.systems[0].stop, CgStop::MaxIterations);
    let none = BlockCg::default()
        .solve(&a, Array2::zeros((0, 3)).view())
        .unwrap();
    assert!(none.is_converged() && none.n_products == 0);
    let wide = BlockCg::default().solve(&a, Array2::zeros((2, 4)).view());
    assert!(matches!(wide, Err(SolverError::DimensionMismatch { .. })));
    let nan = BlockCg::default().solve(&a, array![[1.0, f64::NAN, 0.0]].view());
    assert!(matches!(nan, Err(SolverError::NonFiniteInput { .. })));
    let rows = BlockCg::default();
    let b = Array2::ones((2, 3));
    assert!(
        rows.solve_with(&a, b.view(), Some(b.slice(s![..1, ..])), &Identity)
            .is_err()
    );
}

/// Interrupted after any number of iterations, written out as text and read back: the same bits.
#[test]
fn resumes_bit_exactly_from_text() {
    let n = 60;
    // A condition at which rounding forces restarts, so that these are interrupted too.
    let matrix = with_spectrum(&Array1::logspace(10.0, -2.0, 2.0, n), 12);
    let m = DiagonalPreconditioner::new(matrix.diag().to_owned()).unwrap();
    let a = Counted::new(DenseOperator::new(matrix).unwrap());
    // Of rank three, with a zero: systems leave the block at different times.
    let mut b = block(5, 3, 13).dot(&block(3, n, 14));
    b.row_mut(1).fill(0.0);
    let x0 = block(5, n, 15);
    let config = BlockCg {
        relative_tolerance: 3e-14,
        ..BlockCg::default()
    };
    let interrupted = |m: &dyn Preconditioner<f64>, x0: Option<&Array2<f64>>| {
        let x0 = x0.map(|x0| x0.view());
        let whole = config.solve_with(&a, b.view(), x0, m).unwrap();
        for part in [0, 1, 2, 7, 50, 120] {
            a.reset();
            let mut state = in_parts(config.start(b.view(), x0).unwrap(), part, |state, count| {
                state.advance(&a, m, count).unwrap().is_some()
            });
            assert_eq!(a.count(), whole.n_products as u64);
            // Nothing is left to do.
            assert!(state.advance(&a, m, 1).unwrap().is_some());
            let found = stored(&state).into_outcome();
            assert_eq!(found, whole);
            let bits = |x: &Array2<f64>| x.mapv(f64::to_bits);
            assert_eq!(bits(&found.x), bits(&whole.x));
            assert_eq!(a.count(), whole.n_products as u64);
        }
    };
    interrupted(&Identity, None);
    interrupted(&m, None);
    interrupted(&Identity, Some(&x0));
    interrupted(&m, Some(&x0));

    let single = DiagonalOperator::new(Array1::<f32>::linspace(1.0, 50.0, 40));
    let ones = Array2::ones((2, 40));
    let mut state = config.start(ones.view(), None).unwrap();
    while state.advance(&single, &Identity, 3).unwrap().is_none() {
        state = stored(&state);
    }
    let whole = config.solve(&single, ones.view()).unwrap();
    assert_eq!(state.into_outcome(), whole);
}

#[test]
fn states_that_do_not_fit_are_refused() {
    let n = 30;
    let d = Array1::logspace(10.0, -2.0, 2.0, n);
    let m = DiagonalPreconditioner::new(d.mapv(f64::sqrt)).unwrap();
    let a = DiagonalOperator::new(d);
    let b = block(3, n, 3);
    let mut state = BlockCg::default().start(b.view(), Some(b.view())).unwrap();
    let other = DiagonalOperator::new(Array1::ones(n + 1));
    let short = DiagonalPreconditioner::new(array![1.0]).unwrap();
    loop {
        let wrong = [
            state.advance(&other, &Identity, 1),
            state.advance(&a, &short, 1),
        ];
        let mismatch = |e: &_| matches!(e, Err(SolverError::DimensionMismatch { .. }));
        assert!(wrong.iter().all(mismatch));
        for (place, mut misfit) in misfits(&state) {
            // Fewer systems at work are no misfit.
            let refused = misfit.advance(&a, &m, 1).is_err();
            assert!(refused || place == "/work", "{place}");
            misfit.into_outcome();
        }
        let text = serde_json::to_string(&state).unwrap();
        for (from, to) in [
            ("\"rank\":", "\"rank\":9"),
            ("\"work\":[", "\"work\":[7,"),
            ("\"n\":30", "\"n\":29"),
        ] {
            assert!(text.contains(from), "{from}");
            let text = text.replace(from, to).replace(",]", "]");
            let mut broken: BlockCgState<f64> = serde_json::from_str(&text).unwrap();
            assert!(broken.advance(&a, &m, 1).is_err(), "{from}");
            broken.into_outcome();
        }
        if state.advance(&a, &m, 4).unwrap().is_some() {
            break;
        }
    }
    assert!(state.into_outcome().is_converged());
}

proptest! {
    #[test]
    fn residuals_are_what_they_say(
        exponents in prop::collection::vec(-3.0..3.0_f64, 1..30),
        k in 1..6_usize,
        rank in 1..6_usize,
        seed in 0..1000_u64,
    ) {
        let spectrum: Array1<f64> = exponents.iter().map(|e| 10.0_f64.powf(*e)).collect();
        let n = spectrum.len();
        let a = DenseOperator::new(with_spectrum(&spectrum, seed)).unwrap();
        // Right-hand sides of a given rank.
        let b = block(k, rank, seed).dot(&block(rank, n, seed + 1));
        // Rounding delays some far beyond the default limit.
        let patient = BlockCg { max_iters: Some(100 * n), ..BlockCg::default() };
        let found = patient.solve(&a, b.view()).unwrap();
        for ((x, b), system) in found.x.rows().into_iter().zip(b.rows()).zip(&found.systems) {
            let r = norm((&b - &product(&a, x)).view());
            // A block of products is rounded otherwise than single ones. No method gets below
            // rounding, and with a condition number of 1e6 that can be more than the tolerance.
            let noise = 4.0 * n as f64 * EPS * (norm(b) + 1e3 * norm(x));
            let stagnated = system.stop == CgStop::Stagnated;
            prop_assert!(system.stop.is_converged() || stagnated, "{system:?}");
            prop_assert!(r <= 1e-10 * norm(b) * f64::from(!stagnated) + noise, "{r:e} {system:?}");
            prop_assert!((r - system.residual_norm).abs() <= noise);
        }
    }
}
