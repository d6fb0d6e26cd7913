//! Shifted systems against the dense solution of each.

use hvp_solvers::SolverError;
use hvp_solvers::dense::cholesky;
use hvp_solvers::linear::{Cg, CgStop, MultiShiftCg};
use hvp_solvers::operator::{Counted, DenseOperator, DiagonalOperator, Shifted};
use ndarray::{Array1, Array2, array};
use proptest::prelude::*;

use crate::kit::{EPS, misfits, norm, normal, product, stored, with_spectrum};

const SHIFTS: [f64; 6] = [0.0, 1e-3, 0.1, 3.0, 100.0, 1e6];

#[test]
fn agrees_with_cholesky_at_the_cost_of_one_system() {
    let n = 80;
    let a = with_spectrum(&Array1::logspace(10.0, -2.0, 2.0, n), 1);
    let b = normal(n, 2);
    let op = Counted::new(DenseOperator::new(a.clone()).unwrap());
    let config = MultiShiftCg {
        relative_tolerance: 1e-12,
        ..MultiShiftCg::default()
    };
    let found = config.solve(&op, b.view(), &SHIFTS).unwrap();
    assert!(found.is_converged(), "{:?}", found.systems);
    assert_eq!(found.n_products as u64, op.count());
    for (j, &shift) in SHIFTS.iter().enumerate() {
        let shifted = &a + &(Array2::<f64>::eye(n) * shift);
        let dense = cholesky(shifted.view()).unwrap().solve(b.view()).unwrap();
        let (low, top) = (0.01 + shift, 100.0 + shift);
        // ‖x − x*‖ ≤ ‖r‖/λ_min, and Cholesky's own error κ·n·eps.
        let tol = 1e-12 * norm(b.view()) / low + top / low * n as f64 * EPS * norm(dense.view());
        let off = norm((&found.x.row(j) - &dense).view());
        assert!(off <= tol, "shift {shift}: {off:e} > {tol:e}");
        let r = norm((&b - &shifted.dot(&found.x.row(j))).view());
        let said = found.systems[j].residual_norm;
        assert!((r - said).abs() <= 1e-13 * norm(b.view()) && r <= 1.01e-12 * norm(b.view()));
    }
    // The more damped, the sooner done.
    let iters: Vec<usize> = found.systems.iter().map(|system| system.n_iters).collect();
    assert!(iters.is_sorted_by(|a, b| a >= b), "{iters:?}");
    // What each alone would cost.
    let plain = Cg {
        relative_tolerance: 1e-12,
        ..Cg::default()
    };
    let alone = |shift: f64| {
        let shifted = Shifted::new(&op, shift);
        plain.solve(&shifted, b.view()).unwrap().stats.n_products
    };
    let all: usize = SHIFTS.iter().map(|&shift| alone(shift)).sum();
    let hardest = alone(0.0);
    // A product a shift to verify, and a few where rounding had spoiled a recurrence.
    let extra = SHIFTS.len() + 10;
    assert!(
        found.n_products <= hardest + extra && hardest + extra < all,
        "{} products, the hardest alone {hardest}, all apart {all}",
        found.n_products
    );
}

#[test]
fn ends_after_as_many_steps_as_there_are_distinct_eigenvalues() {
    let spectrum = Array1::from_shape_fn(50, |i| [1.0, 3.0, 10.0, 40.0][i % 4]);
    let a = DenseOperator::new(with_spectrum(&spectrum, 5)).unwrap();
    let found = MultiShiftCg::default().solve(&a, normal(50, 6).view(), &[0.0, 2.0]);
    let found = found.unwrap();
    assert!(found.is_converged());
    assert_eq!(found.systems[0].n_iters, 4);
    assert_eq!(found.n_products, 4 + 2);
}

#[test]
fn shifts_that_leave_the_operator_indefinite_end_alone() {
    let a = DiagonalOperator::new(array![-2.0, 1.0, 3.0, 7.0]);
    let b = array![1.0, 1.0, 1.0, 1.0];
    let found = MultiShiftCg::default()
        .solve(&a, b.view(), &[0.0, 2.5, -0.5, 10.0])
        .unwrap();
    let stops: Vec<CgStop> = found.systems.iter().map(|system| system.stop).collect();
    let bad = CgStop::NotPositiveDefinite;
    assert_eq!(stops, [bad, CgStop::Converged, bad, CgStop::Converged]);
    for (x, d) in found.x.row(1).iter().zip([0.5, 3.5, 5.5, 9.5]) {
        assert!((x * d - 1.0_f64).abs() < 1e-9);
    }
    assert!(found.x.iter().all(|x| x.is_finite()));
}

#[test]
fn trivial_systems_and_broken_contracts() {
    let solve = MultiShiftCg::default();
    let a = DiagonalOperator::new(array![1.0, 2.0]);
    let zero = solve
        .solve(&a, array![0.0, 0.0].view(), &[0.0, 1.0])
        .unwrap();
    assert!(zero.is_converged() && zero.n_products == 0);
    assert_eq!(zero.x, Array2::<f64>::zeros((2, 2)));
    let none = solve.solve(&a, array![1.0, 0.0].view(), &[]).unwrap();
    assert_eq!((none.x.dim(), none.is_converged()), ((0, 2), true));
    let empty = DiagonalOperator::new(Array1::<f64>::zeros(0));
    assert!(
        solve
            .solve(&empty, Array1::zeros(0).view(), &[1.0])
            .unwrap()
            .is_converged()
    );
    assert!(solve.solve(&a, array![1.0].view(), &[0.0]).is_err());
    let nan = solve.solve(&a, array![1.0, 1.0].view(), &[f64::NAN]);
    assert!(matches!(
        nan,
        Err(SolverError::InvalidSetting { name: "shift", .. })
    ));
    let single = DiagonalOperator::new(Array1::<f32>::linspace(1.0, 50.0, 40));
    let config = MultiShiftCg {
        relative_tolerance: 1e-6,
        ..solve
    };
    let found = config
        .solve(&single, Array1::ones(40).view(), &[0.0, 1.0])
        .unwrap();
    assert!(found.is_converged() && (found.x[[1, 0]] - 0.5).abs() < 1e-5);
}

/// Interrupted after any number of iterations, written out as text and read back: the same bits.
#[test]
fn resumes_bit_exactly_from_text() {
    let n = 60;
    let spectrum = Array1::logspace(10.0, -2.0, 2.0, n);
    let a = Counted::new(DenseOperator::new(with_spectrum(&spectrum, 12)).unwrap());
    let b = normal(n, 13);
    // So tight that rounding spoils some recurrences, and those that mend them are interrupted too;
    // one shift leaves the operator indefinite.
    let shifts = [0.0, 1e-3, -1.0, 0.1, 100.0];
    let config = MultiShiftCg {
        relative_tolerance: 3e-14,
        ..MultiShiftCg::default()
    };
    let whole = config.solve(&a, b.view(), &shifts).unwrap();
    let most = whole.systems.iter().map(|s| s.n_iters).max().unwrap();
    assert!(whole.n_products > most + shifts.len(), "{whole:?}");
    assert_eq!(whole.systems[2].stop, CgStop::NotPositiveDefinite);
    let mut stops = whole.systems.iter().map(|system| system.stop);
    let first = stops.find(|stop| !stop.is_converged());
    for part in [0, 1, 2, 7, 50, 120] {
        a.reset();
        let mut state = config.start(b.view(), &shifts).unwrap();
        state.advance(&a, part).unwrap();
        let stop = loop {
            state = stored(&state);
            if let Some(stop) = state.advance(&a, part.max(1)).unwrap() {
                break stop;
            }
        };
        assert_eq!(Some(stop), first);
        assert_eq!(a.count(), whole.n_products as u64);
        // Nothing is left to do.
        assert_eq!(state.advance(&a, 1).unwrap(), Some(stop));
        let found = stored(&state).into_outcome();
        assert_eq!(found, whole);
        let bits = |x: &Array2<f64>| x.mapv(f64::to_bits);
        assert_eq!(bits(&found.x), bits(&whole.x));
    }

    let single = DiagonalOperator::new(Array1::<f32>::linspace(1.0, 50.0, 40));
    let ones = Array1::ones(40);
    let mut state = config.start(ones.view(), &[0.0, 1.0]).unwrap();
    while state.advance(&single, 3).unwrap().is_none() {
        state = stored(&state);
    }
    let whole = config.solve(&single, ones.view(), &[0.0, 1.0]).unwrap();
    assert_eq!(state.into_outcome(), whole);
}

#[test]
fn states_that_do_not_fit_are_refused() {
    let n = 30;
    let a = DiagonalOperator::new(Array1::logspace(10.0, -4.0, 4.0, n));
    let config = MultiShiftCg {
        relative_tolerance: 1e-15,
        ..MultiShiftCg::default()
    };
    let b = normal(n, 3);
    let mut state = config.start(b.view(), &[0.0, 1.0]).unwrap();
    let other = DiagonalOperator::new(Array1::ones(n + 1));
    let mut seen = 0;
    loop {
        assert!(matches!(
            state.advance(&other, 1),
            Err(SolverError::DimensionMismatch { .. })
        ));
        for (place, mut misfit) in misfits(&state) {
            seen += usize::from(place.starts_with("/rest"));
            assert!(misfit.advance(&a, 0).is_err(), "{place}");
            misfit.into_outcome();
        }
        // What is not verified is not called converged.
        assert!(!state.clone().into_outcome().is_converged());
        if state.advance(&a, 10).unwrap().is_some() {
            break;
        }
    }
    assert!(seen > 0);
}

proptest! {
    #[test]
    fn residuals_are_what_they_say(
        exponents in prop::collection::vec(-3.0..3.0_f64, 1..30),
        shifts in prop::collection::vec(-6.0..6.0_f64, 1..6),
        seed in 0..1000_u64,
    ) {
        let spectrum: Array1<f64> = exponents.iter().map(|e| 10.0_f64.powf(*e)).collect();
        let shifts: Vec<f64> = shifts.iter().map(|e| 10.0_f64.powf(*e)).collect();
        let n = spectrum.len();
        let a = DenseOperator::new(with_spectrum(&spectrum, seed)).unwrap();
        let b = normal(n, seed + 1);
        let found = MultiShiftCg::default().solve(&a, b.view(), &shifts).unwrap();
        for (j, &shift) in shifts.iter().enumerate() {
            let x = found.x.row(j);
            let r = norm((&b - &(product(&a, x) + shift * &x)).view());
            let system = found.systems[j];
            let stop = system.stop;
            // Rounding of the check itself.
            let noise = 4.0 * n as f64 * EPS * (norm(b.view()) + (1e3 + shift) * norm(x));
            // No method gets a residual below a multiple of eps ‖A‖‖x‖, which a condition number
            // of 1e6 puts beyond the tolerance.
            let stagnated = stop == CgStop::Stagnated && r <= noise;
            prop_assert!(stop.is_converged() || stagnated, "{stop:?} {r:e}");
            prop_assert!((r - system.residual_norm).abs() <= noise, "{r:e} {system:?}");
            prop_assert!(r <= 1e-10 * norm(b.view()) + noise);
        }
    }
}
