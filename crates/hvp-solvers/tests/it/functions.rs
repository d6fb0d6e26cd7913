//! Functions of an operator against its eigendecomposition.

use hvp_solvers::operator::{Counted, DenseOperator, DiagonalOperator, FnOperator};
use hvp_solvers::spectrum::{FunctionStop, MatrixFunction, SpectralFunction};
use ndarray::{Array1, ArrayView1, ArrayViewMut1, array};
use test_problems::cases;

use crate::kit::{EPS, Fault, FaultyOperator, norm, normal, product, with_spectrum};

const N: usize = 120;

type Case = (SpectralFunction, bool, fn(f64) -> f64);

const CASES: [Case; 6] = [
    (SpectralFunction::Exp(-1.0), true, |x| (-x).exp()),
    (SpectralFunction::Sqrt, true, f64::sqrt),
    (SpectralFunction::InverseSqrt, true, |x| x.sqrt().recip()),
    (SpectralFunction::Exp(0.5), false, |x| (0.5 * x).exp()),
    (SpectralFunction::Sign, true, f64::signum),
    (SpectralFunction::Sign, false, f64::signum),
];

fn definite() -> Array1<f64> {
    Array1::linspace(0.5, 8.0, N)
}

fn indefinite() -> Array1<f64> {
    Array1::from_shape_fn(N, |i| {
        (1.0 + i as f64 / 20.0) * if i % 2 == 0 { 1.0 } else { -1.0 }
    })
}

#[test]
fn errors_are_within_their_estimates_at_every_number_of_steps() {
    for (function, positive, f) in CASES {
        let spectrum = if positive { definite() } else { indefinite() };
        let a = Counted::new(DenseOperator::new(with_spectrum(&spectrum, 5)).unwrap());
        let transformed = with_spectrum(&spectrum.mapv(f), 5);
        let mut worst = 0.0_f64;
        for seed in 0..3 {
            let v = normal(N, 4 + seed);
            let exact = transformed.dot(&v);
            // The matrices themselves are formed with errors of a few n·eps.
            let formed = 4.0 * N as f64 * EPS * norm(exact.view());
            for max_steps in [10, 15, 20, 30, 45, 60, 80, N] {
                a.reset();
                let config = MatrixFunction {
                    max_steps,
                    ..MatrixFunction::default()
                };
                let found = config.apply(&a, v.view(), function).unwrap();
                assert_eq!(a.count(), found.n_products as u64);
                let error = norm((&found.y - &exact).view());
                worst = worst.max((error - formed).max(0.0) / found.error_estimate);
                if max_steps == N {
                    let done = matches!(found.stop, FunctionStop::Converged | FunctionStop::Exact);
                    assert!(done, "{function:?} {:?}", found.stop);
                    assert!(
                        error <= 1e-10 * norm(exact.view()) + formed,
                        "{function:?} {error:e}"
                    );
                }
            }
        }
        println!("{function:?}: worst error / estimate {worst:.2}");
        // The uneven convergence of an indefinite sign is allowed three times its estimate.
        let allowed = if !positive && function == SpectralFunction::Sign {
            3.0
        } else {
            1.0
        };
        assert!(worst <= allowed, "{function:?}: {worst}");
    }
}

/// Products rounded to `f32` leave errors that no number of steps mends, and the estimate covers them.
#[test]
fn estimates_cover_products_in_single_precision() {
    let mut telling = 0;
    for case in 0..cases(60) as usize {
        let (function, positive, f) = CASES[case % CASES.len()];
        let seed = (case / CASES.len()) as u64;
        let n = 30 + case % 37;
        let spectrum = if positive {
            Array1::linspace(0.01 + 0.5 * (seed % 2) as f64, 8.0, n)
        } else {
            Array1::from_shape_fn(n, |i| {
                (0.1 + i as f64) * if i % 2 == 0 { 1.0 } else { -1.0 }
            })
        };
        let matrix = with_spectrum(&spectrum, seed);
        let rounded = FnOperator::new(
            n,
            |x: ArrayView1<'_, f64>, mut y: ArrayViewMut1<'_, f64>| {
                y.assign(&matrix.dot(&x).mapv(|v| f64::from(v as f32)));
            },
        );
        let v = normal(n, seed + 1);
        let exact = with_spectrum(&spectrum.mapv(f), seed).dot(&v);
        let found = MatrixFunction::default()
            .apply(&rounded, v.view(), function)
            .unwrap();
        let error = norm((&found.y - &exact).view());
        let estimate = found.error_estimate;
        // The matrices themselves are formed with errors of a few n·eps.
        let formed = 4.0 * n as f64 * EPS * norm(exact.view());
        assert!(
            error <= estimate + formed,
            "{function:?} {n} {seed}: {error:e} {found:?}"
        );
        // And says something: some digits are right.
        telling += usize::from(estimate < 1e-2 * norm(exact.view()));
    }
    assert!(5 * telling >= 4 * cases(60) as usize, "{telling}");
}

#[test]
fn identities_between_functions() {
    let a = DenseOperator::new(with_spectrum(&definite(), 5)).unwrap();
    let v = normal(N, 9);
    let apply = |x: &Array1<f64>, f| MatrixFunction::default().apply(&a, x.view(), f).unwrap().y;
    let close = |x: &Array1<f64>, y: &Array1<f64>| {
        assert!(norm((x - y).view()) < 1e-8 * norm(y.view()));
    };
    let root = apply(&v, SpectralFunction::Sqrt);
    close(
        &apply(&root, SpectralFunction::Sqrt),
        &product(&a, v.view()),
    );
    close(&apply(&root, SpectralFunction::InverseSqrt), &v);
    let there = apply(&v, SpectralFunction::Exp(0.3));
    close(&apply(&there, SpectralFunction::Exp(-0.3)), &v);
    let indefinite = DenseOperator::new(with_spectrum(&indefinite(), 5)).unwrap();
    let sign = |x: &Array1<f64>| {
        let found = MatrixFunction::default().apply(&indefinite, x.view(), SpectralFunction::Sign);
        found.unwrap().y
    };
    close(&sign(&sign(&v)), &v);
    // A polynomial of degree 3 is exact after four steps, and so is its change at step ten.
    let cubic = MatrixFunction {
        max_steps: 4,
        ..MatrixFunction::default()
    };
    let found = cubic.apply_with(&a, v.view(), |x| x * x * x - x).unwrap();
    let square = product(&a, product(&a, v.view()).view());
    let exact = product(&a, square.view()) - product(&a, v.view());
    assert!(norm((&found.y - &exact).view()) < 1e-12 * norm(exact.view()));
    // And the product that shows how exact products are.
    assert_eq!((found.stop, found.n_products), (FunctionStop::MaxSteps, 5));
    assert!(found.error_estimate >= f64::MAX);
}

#[test]
fn endings() {
    let a = DiagonalOperator::new(array![1.0, -4.0, 9.0]);
    let v = array![1.0, 1.0, 1.0];
    let run = |f| MatrixFunction::default().apply(&a, v.view(), f).unwrap();
    let found = run(SpectralFunction::Sqrt);
    assert_eq!(found.stop, FunctionStop::OutsideDomain);
    assert!(norm(found.y.view()) < EPS && found.ritz_values[0] < -3.9);
    let found = run(SpectralFunction::Sign);
    assert_eq!(found.stop, FunctionStop::Exact);
    assert!(norm((&found.y - &array![1.0, -1.0, 1.0]).view()) < 1e-14);
    assert_eq!(
        run(SpectralFunction::Exp(1e6)).stop,
        FunctionStop::OutsideDomain
    );
    // Zero is in the domain of the square root, but not of its inverse.
    let singular = DiagonalOperator::new(array![0.0, 4.0]);
    let w = array![1.0, 1.0];
    let run = |f| {
        MatrixFunction::default()
            .apply(&singular, w.view(), f)
            .unwrap()
    };
    let found = run(SpectralFunction::Sqrt);
    assert!(
        norm((&found.y - &array![0.0, 2.0]).view()) < 1e-12,
        "{found:?}"
    );
    assert_eq!(
        run(SpectralFunction::InverseSqrt).stop,
        FunctionStop::OutsideDomain
    );
    assert!(norm((&run(SpectralFunction::Sign).y - &array![0.0, 1.0]).view()) < 1e-12);
    let zero = MatrixFunction::default().apply(&a, Array1::zeros(3).view(), SpectralFunction::Sign);
    let zero = zero.unwrap();
    assert_eq!((zero.n_products, zero.y), (0, Array1::zeros(3)));
    for n in [0, 1] {
        let a = DiagonalOperator::new(Array1::from_elem(n, 4.0));
        let found =
            MatrixFunction::default().apply(&a, Array1::ones(n).view(), SpectralFunction::Sqrt);
        assert_eq!(found.unwrap().y, Array1::from_elem(n, 2.0));
    }
    // Scales at which squares overflow, and single precision.
    for scale in [1e-150_f64, 1e150] {
        let a = DiagonalOperator::new(Array1::linspace(1.0, 4.0, 20) * scale);
        let v = Array1::from_elem(20, scale);
        let found = MatrixFunction::default()
            .apply(&a, v.view(), SpectralFunction::Sqrt)
            .unwrap();
        let exact = Array1::linspace(1.0, 4.0, 20).mapv(f64::sqrt) * scale.sqrt() * scale;
        let error = norm((&found.y - &exact).view());
        assert!(error <= 1e-10 * norm(exact.view()), "{scale:e}: {error:e}");
        assert!(error <= found.error_estimate);
    }
    let a = DiagonalOperator::new(Array1::<f32>::linspace(1.0, 4.0, 20));
    let config = MatrixFunction {
        relative_tolerance: 1e-5,
        ..MatrixFunction::default()
    };
    let found = config
        .apply(&a, Array1::ones(20).view(), SpectralFunction::Sqrt)
        .unwrap();
    assert_eq!(found.stop, FunctionStop::Converged);
    assert!((found.y[19] - 2.0).abs() < 1e-4);
}

#[test]
fn faults_and_bad_input() {
    let d = Array1::linspace(1.0, 9.0, 30);
    for bad in [f64::NAN, f64::INFINITY] {
        for first in [0, 1, 4] {
            let fault = Fault {
                first,
                count: usize::MAX,
                bad,
            };
            let a = FaultyOperator::new(DiagonalOperator::new(d.clone()), fault);
            let v = Array1::ones(30);
            let found = MatrixFunction::default().apply(&a, v.view(), SpectralFunction::Sqrt);
            let found = found.unwrap();
            assert!(matches!(found.stop, FunctionStop::NonFinite { .. }));
            assert!(found.y.iter().all(|y| y.is_finite()));
        }
    }
    let a = DiagonalOperator::new(d);
    let good = MatrixFunction::default();
    let fails = |config: MatrixFunction, v: Array1<f64>, f| config.apply(&a, v.view(), f).is_err();
    let ones = || Array1::ones(30);
    assert!(fails(good, Array1::ones(3), SpectralFunction::Sign));
    assert!(fails(good, ones() * f64::NAN, SpectralFunction::Sign));
    assert!(fails(good, ones(), SpectralFunction::Exp(f64::INFINITY)));
    let none = MatrixFunction {
        max_steps: 0,
        ..good
    };
    assert!(fails(none, ones(), SpectralFunction::Sign));
    let negative = MatrixFunction {
        relative_tolerance: -1.0,
        ..good
    };
    assert!(fails(negative, ones(), SpectralFunction::Sign));
    let text = serde_json::to_string(&good).unwrap();
    assert_eq!(serde_json::from_str::<MatrixFunction>(&text).unwrap(), good);
}
