//! MINRES against closed forms: indefinite, singular, inconsistent, badly scaled.

use hvp_solvers::linear::{
    DiagonalPreconditioner, Identity, Minres, MinresCurvature, MinresOutcome, MinresStop,
    Preconditioner,
};
use hvp_solvers::operator::{Counted, DenseOperator, DiagonalOperator};
use hvp_solvers::{Quantity, SolverError};
use ndarray::{Array1, Array2, array};
use proptest::prelude::*;

use crate::kit::{EPS, Fault, FaultyOperator, in_parts, norm, normal, product, with_spectrum};

fn tight() -> Minres {
    Minres {
        relative_tolerance: 1e-13,
        ..Minres::default()
    }
}

/// `(x, r)` with `x = A⁺ b` and `r = b − AA⁺b` for `A = with_spectrum(spectrum, seed)`.
fn pseudo_inverse(spectrum: &Array1<f64>, seed: u64, b: &Array1<f64>) -> (Array1<f64>, f64) {
    let inverse = spectrum.mapv(|l| if l == 0.0 { 0.0 } else { 1.0 / l });
    let x = with_spectrum(&inverse, seed).dot(b);
    let r = b - &with_spectrum(spectrum, seed).dot(&x);
    (x, norm(r.view()))
}

#[test]
fn indefinite_systems_of_many_sizes() {
    for n in [1, 2, 3, 17, 80] {
        // Half negative, none near zero.
        let spectrum = Array1::from_shape_fn(n, |i| {
            (1.0 + i as f64) * if i % 2 == 0 { 1.0 } else { -1.0 }
        });
        let a = Counted::new(DenseOperator::new(with_spectrum(&spectrum, 3)).unwrap());
        let b = normal(n, 4);
        let found = tight().solve(&a, b.view()).unwrap();
        assert_eq!(found.stop, MinresStop::Converged, "n = {n}");
        assert_eq!(a.count(), found.stats.n_products as u64);
        let (x, _) = pseudo_inverse(&spectrum, 3, &b);
        assert!(
            norm((&found.x - &x).view()) <= 1e-11 * norm(b.view()),
            "n = {n}"
        );
        assert!(found.stats.operator_norm <= n as f64 * (1.0 + 1e-12));
        assert!(found.stats.condition <= 2.0 * n as f64);
        assert!(found.negative_curvature.is_none());
    }
}

#[test]
fn every_iterate_has_the_least_residual_of_its_krylov_space() {
    let n = 12;
    let a = with_spectrum(&Array1::linspace(-3.0, 8.0, n), 5);
    let (op, b) = (DenseOperator::new(a.clone()).unwrap(), normal(n, 6));
    let mut krylov: Vec<Array1<f64>> = Vec::new(); // orthonormal basis of A·K_k
    let mut next = b.clone();
    for k in 1..7 {
        next = a.dot(&next);
        let mut w = next.clone();
        for _ in 0..2 {
            for v in &krylov {
                w = &w - &(v * v.dot(&w));
            }
        }
        krylov.push(&w / norm(w.view()));
        let mut r = b.clone();
        for v in &krylov {
            r = &r - &(v * v.dot(&r));
        }
        let config = Minres {
            max_iters: Some(k),
            ..Minres::default()
        };
        let found = config.solve(&op, b.view()).unwrap();
        assert_eq!(found.stop, MinresStop::MaxIterations);
        let direct = norm((&b - &a.dot(&found.x)).view());
        assert!(
            (direct - norm(r.view())).abs() < 1e-10 * norm(b.view()),
            "k = {k}"
        );
        assert!((found.stats.residual_norm - direct).abs() < 1e-12 * norm(b.view()));
    }
}

#[test]
fn singular_systems_end_at_the_pseudo_inverse() {
    for (case, (low, high, kernel)) in [(1.0, 50.0, 3), (-20.0, 30.0, 1), (-20.0, 30.0, 7)]
        .into_iter()
        .enumerate()
    {
        let n = 30;
        let mut spectrum = Array1::linspace(low, high, n);
        spectrum.iter_mut().take(kernel).for_each(|l| *l = 0.0);
        let seed = case as u64;
        let dense = with_spectrum(&spectrum, seed);
        let a = DenseOperator::new(dense.clone()).unwrap();
        let b = normal(n, seed + 70);
        let (x, r) = pseudo_inverse(&spectrum, seed, &b);
        let found = Minres::default().solve(&a, b.view()).unwrap();
        assert_eq!(found.stop, MinresStop::LeastSquares);
        assert!(found.stop.is_converged());
        assert!(
            (found.stats.residual_norm / r - 1.0).abs() < 1e-10,
            "case {case}: {:?} {r}",
            found.stats
        );
        assert!(found.stats.normal_residual_norm < 2e-8 * r * 50.0);
        assert!(
            norm((&found.x - &x).view()) < 1e-6 * norm(x.view()),
            "case {case}"
        );
        // A right-hand side in the range has a solution, and it is found.
        let consistent = dense.dot(&normal(n, seed + 80));
        let found = Minres::default().solve(&a, consistent.view()).unwrap();
        assert_eq!(found.stop, MinresStop::Converged);
        let (x, _) = pseudo_inverse(&spectrum, seed, &consistent);
        assert!(norm((&found.x - &x).view()) < 1e-7 * norm(x.view()));
    }
}

#[test]
fn preconditioning_changes_the_path_and_not_the_solution() {
    let n = 40;
    let d = Array1::from_shape_fn(n, |i| {
        10.0_f64.powf(i as f64 / 10.0) * if i % 3 == 0 { -1.0 } else { 1.0 }
    });
    let b = normal(n, 8);
    let a = DiagonalOperator::new(d.clone());
    let plain = Minres::default().solve(&a, b.view()).unwrap();
    let m = DiagonalPreconditioner::new(d.mapv(f64::abs)).unwrap();
    let found = Minres::default()
        .solve_with(&a, b.view(), None, &m)
        .unwrap();
    // |D|⁻¹D has the eigenvalues ±1: two iterations.
    assert_eq!(
        (found.stop, found.stats.n_iters),
        (MinresStop::Converged, 2)
    );
    assert!(plain.stats.n_iters > 10);
    for i in 0..n {
        assert!((found.x[i] * d[i] / b[i] - 1.0).abs() < 1e-12);
    }
    assert!((found.stats.operator_norm - 1.0).abs() < 1e-12);
}

fn check_direction(a: &DenseOperator<f64>, found: &MinresOutcome<f64>) -> f64 {
    let witness = found.negative_curvature.as_ref().unwrap();
    let d = witness.direction.view();
    assert!((norm(d) - 1.0).abs() < 4.0 * EPS);
    let quotient = d.dot(&product(a, d));
    let scale = found.stats.operator_norm;
    assert!((quotient - witness.rayleigh).abs() < 1e-10 * scale.max(1.0));
    quotient
}

#[test]
fn negative_curvature_is_certified() {
    let n = 30;
    let a = DenseOperator::new(with_spectrum(&Array1::linspace(-1.0, 20.0, n), 9)).unwrap();
    let b = normal(n, 10);
    for policy in [MinresCurvature::Stop, MinresCurvature::Record] {
        let config = Minres {
            curvature: policy,
            ..Minres::default()
        };
        let found = config.solve(&a, b.view()).unwrap();
        let quotient = check_direction(&a, &found);
        assert!((-1.0 - 1e-12..=0.0).contains(&quotient));
        if policy == MinresCurvature::Record {
            assert_eq!(found.stop, MinresStop::Converged);
            continue;
        }
        assert_eq!(found.stop, MinresStop::NegativeCurvature);
        // Before it, the model ½xᵀAx − bᵀx has fallen and the step goes downhill; and
        // the direction is the residual.
        let x = found.x.view();
        assert!(b.dot(&x) > 0.0 && 0.5 * x.dot(&product(&a, x)) < b.dot(&x));
        let r = &b - &product(&a, x);
        let cosine = r.dot(&found.negative_curvature.unwrap().direction) / norm(r.view());
        assert!((cosine - 1.0).abs() < 1e-9, "{cosine}");
    }
    // With a preconditioner the quotient is still that of A.
    let m = DiagonalPreconditioner::new(Array1::linspace(0.5, 3.0, n)).unwrap();
    let config = Minres {
        curvature: MinresCurvature::Stop,
        ..Minres::default()
    };
    let found = config.solve_with(&a, b.view(), None, &m).unwrap();
    assert!(check_direction(&a, &found) <= 0.0);
    // None where there is none.
    let spd = DenseOperator::new(with_spectrum(&Array1::linspace(0.1, 20.0, n), 9)).unwrap();
    let found = config.solve(&spd, b.view()).unwrap();
    assert_eq!(found.stop, MinresStop::Converged);
    assert!(found.negative_curvature.is_none());
}

#[test]
fn trivial_and_extreme_cases() {
    let empty = DiagonalOperator::new(Array1::<f64>::zeros(0));
    let found = Minres::default()
        .solve(&empty, Array1::zeros(0).view())
        .unwrap();
    assert_eq!(found.stop, MinresStop::Converged);
    let a = DiagonalOperator::new(array![1.0, -2.0, 4.0]);
    let found = Minres::default()
        .solve(&a, Array1::zeros(3).view())
        .unwrap();
    assert_eq!(
        (found.stop, found.stats.n_products),
        (MinresStop::Converged, 0)
    );
    // The zero operator: every x has the least residual, and zero the least length.
    let zero = DiagonalOperator::new(Array1::zeros(2));
    let config = Minres {
        curvature: MinresCurvature::Stop,
        ..Minres::default()
    };
    let found = config.solve(&zero, array![3.0, 4.0].view()).unwrap();
    assert_eq!(
        (found.stop, found.x),
        (MinresStop::LeastSquares, array![0.0, 0.0])
    );
    // An exact start costs one product.
    let x = array![3.0, -1.0, 0.5];
    let b = product(&a, x.view());
    let found = Minres::default()
        .solve_with(&a, b.view(), Some(x.view()), &Identity)
        .unwrap();
    assert_eq!(
        (found.stop, found.stats.n_products, found.x),
        (MinresStop::Converged, 1, x)
    );
    for (sa, sb) in [
        (1e150_f64, 1e-150_f64),
        (1e-150, 1e150),
        (1e150, 1e150),
        (1e-150, 1e-150),
    ] {
        let d = Array1::linspace(-4.0, 5.0, 8) * sa;
        let b = Array1::from_elem(8, sb);
        let found = Minres::default()
            .solve(&DiagonalOperator::new(d.clone()), b.view())
            .unwrap();
        assert!(found.x.iter().all(|x| x.is_finite()));
        let exact = &b / &d;
        if exact.iter().all(|x| x.is_finite()) && exact[0] != 0.0 {
            assert_eq!(found.stop, MinresStop::Converged, "{sa:e} {sb:e}");
            assert!(
                found
                    .x
                    .iter()
                    .zip(&exact)
                    .all(|(x, e)| (x / e - 1.0).abs() < 1e-8)
            );
        }
    }
}

#[test]
fn ill_conditioned_systems_end_with_a_small_residual_or_say_so() {
    for exponent in [8.0, 11.0, 14.0] {
        let n = 25;
        let spectrum = Array1::from_shape_fn(n, |i| {
            let size = 10.0_f64.powf(-exponent * i as f64 / (n - 1) as f64);
            if i % 2 == 0 { size } else { -size }
        });
        let a = DenseOperator::new(with_spectrum(&spectrum, 11)).unwrap();
        let b = normal(n, 12);
        let found = Minres::default().solve(&a, b.view()).unwrap();
        let r = norm((&b - &product(&a, found.x.view())).view());
        assert!(found.x.iter().all(|x| x.is_finite()));
        match found.stop {
            MinresStop::Converged => assert!(r <= 1e-9 * norm(b.view())),
            MinresStop::LeastSquares | MinresStop::Stagnated | MinresStop::MaxIterations => {
                assert!(r <= norm(b.view()), "{exponent}");
            }
            other => panic!("{exponent}: {other:?}"),
        }
    }
}

#[test]
fn faults_and_bad_input() {
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        for first in [0, 1, 2, 3, 5, 9] {
            let fault = Fault {
                first,
                count: usize::MAX,
                bad,
            };
            let d = Array1::linspace(-10.0, 11.0, 20);
            let a = FaultyOperator::new(DiagonalOperator::new(d), fault);
            let config = Minres {
                curvature: MinresCurvature::Record,
                ..Minres::default()
            };
            let found = config.solve(&a, Array1::ones(20).view()).unwrap();
            assert_eq!(
                found.stop,
                MinresStop::NonFinite {
                    what: Quantity::Product
                }
            );
            assert!(found.x.iter().all(|x| x.is_finite()));
            assert!(found.stats.residual_norm.is_finite());
        }
    }
    let a = DiagonalOperator::new(array![1.0, 2.0]);
    let wrong = Minres::default().solve(&a, array![1.0].view());
    assert!(matches!(wrong, Err(SolverError::DimensionMismatch { .. })));
    assert!(
        Minres::default()
            .solve(&a, array![1.0, f64::NAN].view())
            .is_err()
    );
    let config = Minres {
        least_squares_tolerance: -1.0,
        ..Minres::default()
    };
    assert!(config.solve(&a, array![1.0, 1.0].view()).is_err());
}

#[test]
fn indefinite_preconditioner_is_named() {
    struct Negative;
    impl hvp_solvers::linear::Preconditioner<f64> for Negative {
        fn apply_into(
            &self,
            r: ndarray::ArrayView1<'_, f64>,
            mut y: ndarray::ArrayViewMut1<'_, f64>,
        ) {
            y.assign(&(&r * -1.0));
        }
        fn dim(&self) -> Option<usize> {
            None
        }
    }
    let a = DiagonalOperator::new(array![1.0, 2.0]);
    let b = array![1.0, 1.0];
    let found = Minres::default()
        .solve_with(&a, b.view(), None, &Negative)
        .unwrap();
    assert_eq!(found.stop, MinresStop::PreconditionerNotPositiveDefinite);
}

#[test]
fn settings_and_outcomes_survive_serialisation() {
    let config = Minres {
        curvature: MinresCurvature::Stop,
        ..Minres::default()
    };
    let text = serde_json::to_string(&config).unwrap();
    assert_eq!(serde_json::from_str::<Minres>(&text).unwrap(), config);
    let a = DiagonalOperator::new(array![1.0, -2.0]);
    let found = config.solve(&a, array![1.0, 1.0].view()).unwrap();
    // The text holds decimal digits, so numbers return up to a rounding.
    let text = serde_json::to_string(&found).unwrap();
    let again = serde_json::from_str::<MinresOutcome<f64>>(&text).unwrap();
    assert_eq!((again.stop, again.x), (found.stop, found.x));
    assert!((again.stats.operator_norm - found.stats.operator_norm).abs() < 4.0 * EPS);
}

/// Interrupted after any number of iterations, written out as text and read back: the same bits.
#[test]
fn resumes_bit_exactly_from_text() {
    let n = 30;
    let ladder = |i: usize| 10.0_f64.powf(i as f64 / 6.0) * [1.0, -1.0][i % 2];
    let regular = Array1::from_shape_fn(n, ladder);
    // Without a solution: it is lifted at the end.
    let singular = Array1::from_shape_fn(n, |i| if i % 3 == 0 { 0.0 } else { 1.0 + i as f64 });
    let record = Minres {
        curvature: MinresCurvature::Record,
        relative_tolerance: 3e-14,
        ..Minres::default()
    };
    let stop = Minres {
        curvature: MinresCurvature::Stop,
        ..Minres::default()
    };
    let weights = DiagonalPreconditioner::new(Array1::linspace(1.0, 3.0, n)).unwrap();
    let (b, x0) = (normal(n, 13), normal(n, 14));
    for spectrum in [&regular, &singular] {
        let a = Counted::new(DenseOperator::new(with_spectrum(spectrum, 5)).unwrap());
        for config in [&Minres::default(), &record, &stop] {
            for m in [&Identity as &dyn Preconditioner<f64>, &weights] {
                for start in [None, Some(x0.view())] {
                    let whole = config.solve_with(&a, b.view(), start, m).unwrap();
                    for part in [0, 1, 2, 7, 29] {
                        a.reset();
                        let state = in_parts(
                            config.start(b.view(), start).unwrap(),
                            part,
                            |state, count| state.advance(&a, m, count).unwrap().is_some(),
                        );
                        assert_eq!(a.count(), whole.stats.n_products as u64);
                        assert_eq!(state.into_outcome(), whole);
                    }
                }
            }
        }
    }
}

#[test]
fn states_are_checked() {
    let config = Minres::default();
    let a = DiagonalOperator::new(array![1.0, -2.0, 3.0]);
    let mut state = config.start(Array1::<f64>::ones(3).view(), None).unwrap();
    let other = DiagonalOperator::new(Array1::ones(4));
    assert!(matches!(
        state.advance(&other, &Identity, 1),
        Err(SolverError::DimensionMismatch { .. })
    ));
    state.advance(&a, &Identity, 1).unwrap();
    let whole = serde_json::to_value(&state).unwrap();
    for vector in [
        "x", "start", "r1", "r2", "w", "w_old", "d", "kept", "y", "b",
    ] {
        let mut tampered = whole.clone();
        let len = whole[vector].as_array().unwrap().len();
        tampered[vector] = serde_json::json!(vec![0_u64; len + 1]);
        let mut state: hvp_solvers::linear::MinresState<f64> =
            serde_json::from_value(tampered).unwrap();
        assert!(state.advance(&a, &Identity, 1).is_err(), "{vector}");
    }
    // A preconditioner that was not there at the start.
    let m = DiagonalPreconditioner::new(Array1::ones(3)).unwrap();
    assert!(state.advance(&a, &m, 1).is_err());
    assert!(state.advance(&a, &Identity, 9).unwrap().is_some());
}

proptest! {
    #[test]
    fn never_worse_than_zero_and_honest(
        spectrum in prop::collection::vec(prop_oneof![Just(0.0), -5.0..10.0_f64], 1..14),
        seed in 0..1000_u64,
    ) {
        let d = Array1::from_vec(spectrum);
        let b = normal(d.len(), seed);
        let a = DenseOperator::new(Array2::from_diag(&d)).unwrap();
        let found = Minres::default().solve(&a, b.view()).unwrap();
        let r = &b - &product(&a, found.x.view());
        let size = norm(b.view()) + 10.0 * norm(found.x.view());
        prop_assert!(norm(r.view()) <= norm(b.view()) + 1e-12 * size);
        prop_assert!((norm(r.view()) - found.stats.residual_norm).abs() <= 1e-11 * size);
        if found.stop == MinresStop::LeastSquares {
            let ar = norm(product(&a, r.view()).view());
            prop_assert!(ar <= 1e-7 * 10.0 * size);
        }
    }
}
