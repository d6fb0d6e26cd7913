//! GLTR by the conditions that characterise a global solution in the ball.

use hvp_solvers::Quantity;
use hvp_solvers::linear::{Gltr, GltrOutcome, GltrPlace, GltrStop, GltrStorage, TruncatedCg};
use hvp_solvers::operator::{Counted, DenseOperator, DiagonalOperator};
use ndarray::{Array1, ArrayView1, array};
use proptest::prelude::*;

use crate::kit::{EPS, Fault, FaultyOperator, norm, normal, product, with_spectrum};

/// `(B + λI)z = −g`, `λ ≥ max(0, −λ_min)`, and `‖z‖ = Δ` unless `λ = 0` inside: together
/// sufficient for a global minimiser.
fn check_optimal(
    b: &DenseOperator<f64>,
    smallest: f64,
    g: ArrayView1<'_, f64>,
    radius: f64,
    (z, out): (ArrayView1<'_, f64>, GltrOutcome<f64>),
    tol: f64,
) {
    let context = format!("Δ = {radius}: {out:?}");
    let bz = product(b, z);
    let r = &bz + &(&z * out.lambda) + g;
    let scale = norm(g) + norm(bz.view());
    assert!(
        norm(r.view()) <= tol * norm(g) + 1e-13 * scale,
        "{context} {}",
        norm(r.view())
    );
    assert!(
        (norm(r.view()) - out.residual_norm).abs() <= 1e-9 * scale,
        "{context}"
    );
    assert!(
        out.lambda >= 0.0 && out.lambda + smallest >= -1e-12,
        "{context}"
    );
    let model = g.dot(&z) + 0.5 * z.dot(&bz);
    assert!(
        (model - out.model).abs() <= 1e-12 * scale * norm(z).max(1e-300),
        "{context}"
    );
    assert!(
        (norm(z) - out.step_norm).abs() <= 1e-14 * norm(z),
        "{context}"
    );
    if out.place == GltrPlace::Interior {
        assert!(
            out.lambda == 0.0 && norm(z) <= radius * (1.0 + 1e-12),
            "{context}"
        );
    } else {
        assert!((norm(z) / radius - 1.0).abs() < 1e-12, "{context}");
    }
}

const RADII: [f64; 6] = [1e-6, 1e-2, 0.3, 1.0, 30.0, 1e4];

#[test]
fn global_solutions_for_every_radius_and_both_storages() {
    for (low, high) in [(1.0, 9.0), (-3.0, 9.0), (-9.0, -1.0), (1e-3, 10.0)] {
        let n = 25;
        let dense = DenseOperator::new(with_spectrum(&Array1::linspace(low, high, n), 1)).unwrap();
        let b = Counted::new(dense.clone());
        let g = normal(n, 2);
        for storage in [GltrStorage::Stored, GltrStorage::TwoPass] {
            let config = Gltr {
                storage,
                ..Gltr::default()
            };
            for radius in RADII {
                b.reset();
                let found = config.solve(&b, g.view(), radius).unwrap();
                let out = found.outcome;
                assert_eq!(out.stop, GltrStop::Converged, "{low} {radius} {out:?}");
                assert_eq!(b.count(), out.n_products as u64);
                let passes = if storage == GltrStorage::Stored { 1 } else { 2 };
                assert!(out.n_products <= passes * out.n_iters);
                check_optimal(
                    &dense,
                    low,
                    g.view(),
                    radius,
                    (found.step.view(), out),
                    1.01e-8,
                );
            }
        }
    }
}

#[test]
fn one_run_serves_every_radius_without_products() {
    let n = 60;
    let dense = DenseOperator::new(with_spectrum(&Array1::linspace(-2.0, 50.0, n), 3)).unwrap();
    let b = Counted::new(dense.clone());
    let g = normal(n, 4);
    let mut work = Gltr::default().workspace(n).unwrap();
    let first = work.solve(&b, g.view(), 100.0).unwrap();
    assert_eq!(first.stop, GltrStop::Converged);
    b.reset();
    for radius in [50.0, 1.0, 1e-3, 10.0, 100.0, 1e3] {
        let out = work.resolve(&b, radius).unwrap();
        assert_eq!((out.n_products, b.count()), (0, 0));
        if radius <= 100.0 {
            assert_eq!(out.stop, GltrStop::Converged, "{radius}: {out:?}");
            check_optimal(&dense, -2.0, g.view(), radius, (work.step(), out), 1.01e-8);
        }
        // At least as good as the truncated path, for fewer or as many products.
        let truncated = TruncatedCg::default()
            .solve(&dense, g.view(), radius)
            .unwrap();
        assert!(out.model <= truncated.outcome.model * (1.0 - 1e-10));
    }
    assert!(work.leftmost() >= -2.0 - 1e-12 && work.leftmost() < -1.0);
}

#[test]
fn a_ladder_of_shifts_is_free() {
    let n = 30;
    let a = with_spectrum(&Array1::linspace(-1.0, 20.0, n), 5);
    let b = DenseOperator::new(a.clone()).unwrap();
    let g = normal(n, 6);
    let mut work = Gltr {
        relative_tolerance: 0.0,
        ..Gltr::default()
    }
    .workspace(n)
    .unwrap();
    work.solve(&b, g.view(), 1.0).unwrap();
    for shift in [1.5, 3.0, 10.0, 1e3] {
        let out = work.shifted(&b, shift).unwrap().unwrap();
        assert_eq!(out.n_products, 0);
        let mut damped = a.clone();
        damped.diag_mut().mapv_inplace(|d| d + shift);
        let exact = hvp_solvers::dense::cholesky(damped.view())
            .unwrap()
            .solve(g.view())
            .unwrap();
        assert!(norm((&exact + &work.step()).view()) < 1e-11 * norm(exact.view()));
    }
    assert!(work.shifted(&b, 0.5).unwrap().is_none());
    assert!(work.shifted(&b, f64::NAN).is_err());
}

#[test]
fn hard_case() {
    // g has nothing along the leftmost eigenvectors, one simple and one double.
    for copies in [1, 2] {
        let n = 20;
        // Five other eigenvalues, so that the Krylov space of g ends.
        let mut d = Array1::from_shape_fn(n, |i| 1.0 + (i % 5) as f64);
        d.iter_mut().take(copies).for_each(|d| *d = -2.0);
        let mut g = Array1::ones(n);
        g.iter_mut().take(copies).for_each(|g| *g = 0.0);
        let dense = DenseOperator::new(ndarray::Array2::from_diag(&d)).unwrap();
        // −(B + 2I)⁺g has length below 1.3: any larger radius is hard.
        for radius in [0.1, 2.0, 100.0] {
            let found = Gltr::default().solve(&dense, g.view(), radius).unwrap();
            let out = found.outcome;
            assert_eq!(out.stop, GltrStop::Converged, "{out:?}");
            assert_eq!(out.place == GltrPlace::HardCase, radius > 1.3, "{out:?}");
            check_optimal(
                &dense,
                -2.0,
                g.view(),
                radius,
                (found.step.view(), out),
                1e-8,
            );
        }
        // Without the probe the Krylov space is all that is seen.
        let blind = Gltr {
            probe: 0,
            ..Gltr::default()
        };
        let out = blind.solve(&dense, g.view(), 100.0).unwrap().outcome;
        assert_eq!(out.place, GltrPlace::Interior);
    }
}

#[test]
fn nearly_hard_case() {
    let n = 12;
    let mut d = Array1::linspace(0.0, 4.0, n);
    d[0] = -1.0;
    let dense = DenseOperator::new(ndarray::Array2::from_diag(&d)).unwrap();
    // A component above the tolerance is met on the way, one far below it by the look. In
    // between (two of the powers here, others for the other tolerance) a run may stop too soon.
    for tol in [1e-8, 1e-11] {
        for tiny in (1..=18).map(|exponent| 10.0_f64.powi(-exponent)) {
            if tiny < 0.9 * tol && tiny > 1.1e-3 * tol {
                continue;
            }
            let mut g = Array1::ones(n);
            g[0] = tiny;
            let config = Gltr {
                relative_tolerance: tol,
                ..Gltr::default()
            };
            for radius in [0.5, 2.0, 10.0, 1e3] {
                let found = config.solve(&dense, g.view(), radius).unwrap();
                assert_eq!(found.outcome.stop, GltrStop::Converged);
                let step = (found.step.view(), found.outcome);
                check_optimal(&dense, -1.0, g.view(), radius, step, tol);
            }
        }
    }
}

#[test]
fn hard_case_in_single_precision() {
    let b = DiagonalOperator::new(array![-1.0_f32, 1.0, 2.0, 3.0, 2.0]);
    let g = array![0.0_f32, 1.0, -1.0, 2.0, 0.5];
    let config = Gltr {
        relative_tolerance: 1e-5,
        ..Gltr::default()
    };
    let found = config.solve(&b, g.view(), 5.0).unwrap();
    assert_eq!(found.outcome.place, GltrPlace::HardCase);
    assert_eq!(found.outcome.stop, GltrStop::Converged);
    // −(B + I)⁺g, and the rest of the length along the first axis, of either sign.
    let exact = [-0.5_f32, 1.0 / 3.0, -0.5, -0.5 / 3.0];
    for (z, e) in found.step.iter().skip(1).zip(exact) {
        // A few dozen operations with numbers up to Δ = 5.
        assert!(
            (z - e).abs() < 32.0 * 5.0 * f32::EPSILON,
            "{:?}",
            found.step
        );
    }
    assert!((found.outcome.step_norm / 5.0 - 1.0).abs() < 8.0 * f32::EPSILON);
}

#[test]
fn a_lower_eigenvalue_is_followed_to_the_tolerance() {
    // 5 eigenvalues in g, and 395 others that the look has to work on for more than `probe`.
    let n = 400;
    let mut d = Array1::from_shape_fn(n, |i| -1.0 + 0.02 * i as f64);
    let mut g = Array1::zeros(n);
    for i in 0..5 {
        d[n - 1 - i] = 2.0 + i as f64;
        g[n - 1 - i] = 1.0;
    }
    let dense = DenseOperator::new(ndarray::Array2::from_diag(&d)).unwrap();
    let found = Gltr::default().solve(&dense, g.view(), 3.0).unwrap();
    assert_eq!(found.outcome.stop, GltrStop::Converged);
    assert_eq!(found.outcome.place, GltrPlace::HardCase);
    assert!(found.outcome.n_iters > 40, "{:?}", found.outcome);
    let (z, out) = (found.step.view(), found.outcome);
    check_optimal(&dense, -1.0, g.view(), 3.0, (z, out), 1e-8);
}

#[test]
fn the_model_is_within_the_bound_of_the_residual() {
    let n = 80;
    let spectrum = Array1::linspace(-2.0, 30.0, n);
    let dense = DenseOperator::new(with_spectrum(&spectrum, 7)).unwrap();
    let g = normal(n, 8);
    for radius in [0.1, 1.0, 20.0] {
        let best = Gltr {
            relative_tolerance: 1e-12,
            ..Gltr::default()
        };
        let best = best.solve(&dense, g.view(), radius).unwrap().outcome.model;
        for tol in [0.3, 1e-2, 1e-4, 1e-6] {
            let config = Gltr {
                relative_tolerance: tol,
                ..Gltr::default()
            };
            let out = config.solve(&dense, g.view(), radius).unwrap().outcome;
            assert_eq!(out.stop, GltrStop::Converged);
            let missed = (2.0 - out.lambda).max(0.0);
            let bound = 2.0 * radius * (out.residual_norm + missed * radius);
            let gap = out.model - best;
            assert!(gap >= -1e-12 * best.abs(), "{radius} {tol}: {gap:e}");
            assert!(gap <= bound + 1e-12 * best.abs(), "{radius} {tol}: {gap:e}");
        }
    }
}

#[test]
fn trivial_extreme_and_limited() {
    let empty = DiagonalOperator::new(Array1::<f64>::zeros(0));
    let found = Gltr::default()
        .solve(&empty, Array1::zeros(0).view(), 1.0)
        .unwrap();
    assert_eq!(
        (found.outcome.stop, found.step.len()),
        (GltrStop::Converged, 0)
    );
    let zero = DiagonalOperator::new(Array1::zeros(2));
    let found = Gltr::default()
        .solve(&zero, Array1::zeros(2).view(), 1.0)
        .unwrap();
    // The look takes a product per dimension here, and finds no curvature.
    assert_eq!(found.outcome.stop, GltrStop::Converged);
    assert_eq!(found.step, array![0.0, 0.0]);
    assert!(found.outcome.n_products <= 2);
    let found = Gltr::default()
        .solve(&zero, array![3.0, 4.0].view(), 2.0)
        .unwrap();
    assert!(norm((&found.step - &array![-1.2, -1.6]).view()) < 1e-14);
    assert!((found.outcome.lambda - 2.5).abs() < 1e-14);
    for (sb, sg, radius) in [
        (1e150, 1e150, 1e3),
        (1e-150, 1e-150, 1e3),
        (1.0, 1e-150, 1.0),
        (1.0, 1e150, 1.0),
        (-1e150, 1.0, 1.0),
        (-1e-150, 1.0, 1.0),
    ] {
        let b = DiagonalOperator::new(array![1.0_f64, 2.0, 4.0] * sb);
        let found = Gltr::default()
            .solve(&b, (array![1.0, -1.0, 1.0] * sg).view(), radius)
            .unwrap();
        let context = format!("{sb:e} {sg:e}: {found:?}");
        assert!(found.outcome.stop == GltrStop::Converged, "{context}");
        if found.outcome.place == GltrPlace::Interior {
            assert!(
                (found.step[2] * 4.0 * (sb / sg) + 1.0).abs() < 1e-8,
                "{context}"
            );
        } else {
            assert!(
                (norm(found.step.view()) / radius - 1.0).abs() < 1e-12,
                "{context}"
            );
        }
    }
    let config = Gltr {
        max_iters: Some(3),
        ..Gltr::default()
    };
    let b = DiagonalOperator::new(Array1::linspace(-1.0, 40.0, 50));
    let found = config.solve(&b, Array1::ones(50).view(), 5.0).unwrap();
    assert_eq!(
        (found.outcome.stop, found.outcome.n_products),
        (GltrStop::MaxIterations, 3)
    );
    assert!(found.outcome.model < 0.0);
}

/// `min ½zᵀBz` in the ball: `½λ_min Δ²` along the leftmost eigenvector.
#[test]
fn without_a_gradient_the_curvature_decides() {
    let found = Gltr::default()
        .solve(
            &DiagonalOperator::new(array![-2.0_f64, 1.0]),
            array![0.0, 0.0].view(),
            1.0,
        )
        .unwrap();
    let out = found.outcome;
    assert_eq!(
        (out.stop, out.place),
        (GltrStop::Converged, GltrPlace::HardCase)
    );
    assert!((out.model + 1.0).abs() < 1e-14 && (out.lambda - 2.0).abs() < 1e-14);
    assert!((found.step[0].abs() - 1.0).abs() < 1e-14);
    // The test of scipy's trust-exact solver without a gradient, radius 1.1.
    let b = DenseOperator::new(array![
        [
            0.88547534_f64,
            2.90692271,
            0.98440885,
            -0.78911503,
            -0.28035809
        ],
        [2.90692271, -0.04618819, 0.32867263, -0.83737945, 0.17116396],
        [
            0.98440885,
            0.32867263,
            -0.87355957,
            -0.06521957,
            -1.43030957
        ],
        [
            -0.78911503,
            -0.83737945,
            -0.06521957,
            -1.645709,
            -0.33887298
        ],
        [
            -0.28035809,
            0.17116396,
            -1.43030957,
            -0.33887298,
            -1.68586978
        ]
    ])
    .unwrap();
    let out = Gltr::default()
        .solve(&b, Array1::zeros(5).view(), 1.1)
        .unwrap()
        .outcome;
    assert_eq!(out.stop, GltrStop::Converged);
    assert!(
        (out.model + 1.727_138_680_114_041_4).abs() < 1e-13,
        "{out:?}"
    );
    for n in [1, 2, 30, 200] {
        let spectrum = Array1::linspace(-1.0, 3.0, n);
        let b = DenseOperator::new(with_spectrum(&spectrum, 3)).unwrap();
        for radius in [1e-3, 1.0, 1e3] {
            let out = Gltr::default()
                .solve(&b, Array1::zeros(n).view(), radius)
                .unwrap()
                .outcome;
            assert_eq!(out.stop, GltrStop::Converged);
            let exact = -0.5 * radius * radius;
            assert!(
                (out.model / exact - 1.0).abs() < 1e-12,
                "{n} {radius}: {out:?}"
            );
        }
        // Without negative curvature the step is zero.
        let b = DiagonalOperator::new(Array1::linspace(0.5, 3.0, n));
        let found = Gltr::default()
            .solve(&b, Array1::zeros(n).view(), 1.0)
            .unwrap();
        assert_eq!(found.outcome.place, GltrPlace::Interior);
        assert!(found.step.iter().all(|z| *z == 0.0));
        assert!(found.outcome.n_products <= 31);
    }
    let blind = Gltr {
        probe: 0,
        ..Gltr::default()
    };
    let out = blind
        .solve(&b, Array1::zeros(5).view(), 1.1)
        .unwrap()
        .outcome;
    assert_eq!(out.n_products, 0);
}

#[test]
fn tiny_gradients_are_gradients() {
    let b = DiagonalOperator::new(array![-2.0_f64, 1.0, 3.0]);
    for size in [1e-150, 1e-154, 1e-160, 1e-200, 1e-290, 1e-300] {
        for radius in [1e-3, 1.0, 100.0] {
            let found = Gltr::default()
                .solve(&b, (array![0.6, 0.8, -0.3] * size).view(), radius)
                .unwrap();
            let out = found.outcome;
            assert_eq!(out.stop, GltrStop::Converged, "{size:e} {radius}: {out:?}");
            assert!(
                (out.model / (radius * radius) + 1.0).abs() < 1e-12,
                "{size:e}: {out:?}"
            );
            assert!((out.lambda - 2.0).abs() < 1e-14);
        }
    }
    // Inside of the ball, where the step is as small as the gradient.
    let b = DiagonalOperator::new(array![1.0_f64, 2.0]);
    let found = Gltr::default()
        .solve(&b, array![1e-200, -1e-200].view(), 1.0)
        .unwrap();
    assert_eq!(found.outcome.place, GltrPlace::Interior);
    assert!((found.step[0] * 1e200 + 1.0).abs() < 1e-14);
}

/// Within a tenth of the lowest model on the boundary, for about the products of truncated CG.
#[test]
fn a_tenth_of_the_model_is_cheap() {
    let n = 1000;
    for (low, high) in [(1e-3, 10.0), (-1.0, 10.0), (-10.0, 10.0)] {
        let b = DiagonalOperator::new(Array1::linspace(low, high, n));
        let g = normal(n, 11);
        for radius in [0.1, 1.0, 3.0, 10.0] {
            let exact = Gltr::default().solve(&b, g.view(), radius).unwrap().outcome;
            let tenth = Gltr {
                model_tolerance: 0.1,
                ..Gltr::default()
            };
            let out = tenth.solve(&b, g.view(), radius).unwrap().outcome;
            let cg = TruncatedCg::default()
                .solve(&b, g.view(), radius)
                .unwrap()
                .outcome;
            println!(
                "{low} {radius}: exact {}, a tenth {}, truncated {}; models {:.4} {:.4} {:.4}",
                exact.n_products, out.n_products, cg.n_products, exact.model, out.model, cg.model
            );
            assert_eq!(out.stop, GltrStop::Converged);
            assert!(out.model <= 0.9 * exact.model);
            if out.place != GltrPlace::Interior {
                assert!(out.model <= 0.999 * cg.model || out.model <= 0.9 * exact.model);
                assert!(out.n_products <= 2 * cg.n_products + 10);
            }
        }
    }
}

#[test]
fn faults_bad_input_and_serialisation() {
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        for first in [0, 1, 2, 5] {
            for storage in [GltrStorage::Stored, GltrStorage::TwoPass] {
                let fault = Fault {
                    first,
                    count: usize::MAX,
                    bad,
                };
                let d = Array1::linspace(-1.0, 40.0, 50);
                let b = FaultyOperator::new(DiagonalOperator::new(d), fault);
                let config = Gltr {
                    storage,
                    ..Gltr::default()
                };
                let found = config.solve(&b, Array1::ones(50).view(), 5.0).unwrap();
                let what = Quantity::Product;
                assert_eq!(found.outcome.stop, GltrStop::NonFinite { what });
                assert!(found.step.iter().all(|z| z.is_finite()));
                assert!(norm(found.step.view()) <= 5.0 * (1.0 + 8.0 * EPS));
                assert!(found.outcome.model <= 0.0);
            }
        }
    }
    let b = DiagonalOperator::new(array![1.0]);
    for radius in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(
            Gltr::default()
                .solve(&b, array![1.0].view(), radius)
                .is_err()
        );
    }
    assert!(
        Gltr::default()
            .solve(&b, array![f64::NAN].view(), 1.0)
            .is_err()
    );
    assert!(
        Gltr::default()
            .solve(&b, array![1.0, 2.0].view(), 1.0)
            .is_err()
    );
    let config = Gltr {
        storage: GltrStorage::TwoPass,
        ..Gltr::default()
    };
    let text = serde_json::to_string(&config).unwrap();
    assert_eq!(serde_json::from_str::<Gltr>(&text).unwrap(), config);
    let out = config.solve(&b, array![1.0].view(), 0.5).unwrap().outcome;
    let text = serde_json::to_string(&out).unwrap();
    assert_eq!(
        serde_json::from_str::<GltrOutcome<f64>>(&text).unwrap(),
        out
    );
}

proptest! {
    #[test]
    fn optimal_on_random_spectra(
        spectrum in prop::collection::vec(
            prop_oneof![Just(-1.0), Just(0.0), Just(2.0), -5.0..10.0_f64], 1..14),
        log_radius in -3.0..3.0_f64,
        seed in 0..1000_u64,
    ) {
        let d = Array1::from_vec(spectrum);
        let g = normal(d.len(), seed);
        let radius = 10.0_f64.powf(log_radius);
        let dense = DenseOperator::new(ndarray::Array2::from_diag(&d)).unwrap();
        let found = Gltr::default().solve(&dense, g.view(), radius).unwrap();
        prop_assert_eq!(found.outcome.stop, GltrStop::Converged);
        let smallest = d.iter().fold(f64::INFINITY, |m, &v| m.min(v));
        let step = (found.step.view(), found.outcome);
        check_optimal(&dense, smallest, g.view(), radius, step, 1e-7);
    }
}
