//! Trace and diagonal estimators: coverage of their bars, exact cases, bad input.

use hvp_solvers::LinearOperator;
use hvp_solvers::operator::{Counted, DenseOperator, DiagonalOperator};
use hvp_solvers::trace::{
    DiagonalEstimate, DiagonalEstimator, TraceEstimate, TraceEstimator, TraceMethod, TraceStop,
    TraceTolerance,
};
use ndarray::{Array1, array};

use crate::kit::{Fault, FaultyOperator, with_spectrum};

const N: usize = 200;
const SEEDS: u64 = 300;

fn spectra() -> Vec<(&'static str, Array1<f64>)> {
    vec![
        ("flat", Array1::linspace(1.0, 3.0, N)),
        (
            "power",
            Array1::from_shape_fn(N, |j| ((j + 1) as f64).powi(-2)),
        ),
        (
            "exponential",
            Array1::from_shape_fn(N, |j| 0.7_f64.powi(j as i32)),
        ),
        (
            "step",
            Array1::from_shape_fn(N, |j| if j < N / 20 { 1.0 } else { 1e-3 }),
        ),
    ]
}

/// What 300 seeds make of a method.
struct Measured {
    /// Root mean square error.
    rms: f64,
    /// Root mean square of the standard errors.
    standard_error: f64,
    /// Share of seeds within the bar.
    coverage: f64,
    bias: f64,
}

fn measure(a: &DenseOperator<f64>, trace: f64, method: TraceMethod, m: usize) -> Measured {
    let (mut square, mut claimed, mut sum, mut covered) = (0.0, 0.0, 0.0, 0.0);
    for seed in 0..SEEDS {
        let found = TraceEstimator {
            method,
            n_products: m,
            seed,
        }
        .estimate(a)
        .unwrap();
        assert!(found.n_products <= m);
        let error = found.value - trace;
        square += error * error;
        claimed += found.standard_error * found.standard_error;
        sum += error;
        // Once everything is found, what is left is rounding.
        if error.abs() <= found.error_bar + 1e-13 * trace.abs() {
            covered += 1.0;
        }
    }
    let count = SEEDS as f64;
    Measured {
        rms: (square / count).sqrt(),
        standard_error: (claimed / count).sqrt(),
        coverage: covered / count,
        bias: sum / count,
    }
}

/// The coverage that `TraceEstimate::error_bar` states.
fn stated(method: TraceMethod) -> f64 {
    match method {
        TraceMethod::Hutchinson => 0.92,
        TraceMethod::HutchPlusPlus => 0.88,
        _ => 0.97,
    }
}

/// How wide a bar is: the standard error over the true one. The jackknife's is at least
/// one in the mean; a fast decay, where each vector counts, makes it wide.
fn check_width(context: &str, method: TraceMethod, found: &Measured) {
    let ratio = found.standard_error / found.rms;
    let (low, high) = match method {
        TraceMethod::Hutchinson | TraceMethod::HutchPlusPlus => (0.8, 1.25),
        _ => (1.0, 10.0),
    };
    assert!(ratio > low && ratio < high, "{context}: {ratio}");
}

#[test]
fn bars_cover_as_stated_and_nothing_is_biased() {
    for (name, spectrum) in spectra() {
        let a = DenseOperator::new(with_spectrum(&spectrum, 1)).unwrap();
        let trace = a.matrix().diag().sum();
        let mut rms = Vec::new();
        for method in TraceMethod::ALL {
            for m in [30, 60] {
                let found = measure(&a, trace, method, m);
                let context = format!("{name} {method:?} {m}");
                println!(
                    "{context}: rms {:.2e}, standard error {:.2e}, coverage {:.3}",
                    found.rms, found.standard_error, found.coverage
                );
                assert!(found.coverage >= stated(method), "{context}");
                check_width(&context, method, &found);
                // The mean of 300 has a deviation of rms/17.
                let bias = found.bias.abs();
                assert!(bias <= 0.25 * found.rms + 1e-13 * trace, "{context}");
                rms.push(found.rms);
            }
        }
        // In the order of ALL: Hutchinson, Hutch++, XTrace, XNysTrace, each with 30 and 60.
        if name == "power" || name == "exponential" {
            assert!(
                rms[4] < 0.5 * rms[0] && rms[5] < 0.2 * rms[1],
                "{name}: {rms:?}"
            );
            assert!(rms[6] < rms[4], "{name}: {rms:?}");
        }
    }
}

#[test]
fn indefinite_operators_are_fine_but_for_nystrom() {
    let a = DenseOperator::new(with_spectrum(&Array1::linspace(-1.0, 2.0, N), 2)).unwrap();
    let trace = a.matrix().diag().sum();
    for method in [
        TraceMethod::Hutchinson,
        TraceMethod::HutchPlusPlus,
        TraceMethod::XTrace,
    ] {
        let coverage = measure(&a, trace, method, 40).coverage;
        println!("indefinite {method:?}: {coverage}");
        assert!(coverage >= 0.91, "{method:?}: {coverage}");
    }
    let negative = DiagonalOperator::new(Array1::linspace(-3.0, -1.0, N));
    let found = TraceEstimator::new(TraceMethod::XNysTrace)
        .estimate(&negative)
        .unwrap();
    assert_eq!(found.stop, TraceStop::NotPositiveSemidefinite);
    assert!((found.value + 400.0).abs() < 60.0);
}

#[test]
fn exact_with_as_many_products_as_dimensions_and_for_low_rank() {
    for n in [0, 1, 2, 7, 50] {
        let spectrum = Array1::from_shape_fn(n, |i| i as f64 - 3.0);
        let dense = DenseOperator::new(with_spectrum(&spectrum, 3)).unwrap();
        let a = Counted::new(dense.clone());
        for method in TraceMethod::ALL {
            a.reset();
            let config = TraceEstimator {
                method,
                n_products: n + 5,
                seed: 0,
            };
            let found = config.estimate(&a).unwrap();
            assert_eq!((found.stop, found.n_products), (TraceStop::Exact, n));
            assert_eq!(a.count(), n as u64);
            assert!((found.value - spectrum.sum()).abs() < 1e-11);
            // What is left is rounding: ten eps of the entries.
            let size: f64 = dense.matrix().diag().iter().map(|v| v.abs()).sum();
            assert!(found.error_bar <= 10.001 * f64::EPSILON * size);
        }
        let found = DiagonalEstimator {
            n_products: n.max(4),
            seed: 0,
        }
        .estimate(&a)
        .unwrap();
        assert_eq!(found.diagonal, dense.matrix().diag());
    }
    // Rank 3: more random vectors than that fill the range.
    let mut spectrum = Array1::zeros(60);
    spectrum.iter_mut().take(3).for_each(|l| *l = 2.0);
    let a = DenseOperator::new(with_spectrum(&spectrum, 4)).unwrap();
    let found = TraceEstimator {
        n_products: 20,
        ..TraceEstimator::default()
    };
    let found = found.estimate(&a).unwrap();
    assert_eq!(found.stop, TraceStop::Exact);
    assert!((found.value - 6.0).abs() < 1e-11);
    let found = TraceEstimator::new(TraceMethod::XNysTrace)
        .estimate(&a)
        .unwrap();
    assert!((found.value - 6.0).abs() < 1e-5, "{found:?}");
    let zero = DiagonalOperator::new(Array1::<f64>::zeros(50));
    for method in TraceMethod::ALL {
        let found = TraceEstimator::new(method).estimate(&zero).unwrap();
        assert!(
            found.value.abs() < 1e-300 && found.error_bar.abs() < 1e-300,
            "{found:?}"
        );
    }
}

#[test]
fn doubles_until_the_tolerance_is_met() {
    let a = Counted::new(DenseOperator::new(with_spectrum(&spectra()[1].1, 5)).unwrap());
    let trace = spectra()[1].1.sum();
    let mut tolerance = TraceTolerance {
        absolute: 0.0,
        relative: 1e-3,
        max_products: 1000,
    };
    let config = TraceEstimator {
        n_products: 8,
        ..TraceEstimator::default()
    };
    let found = config.estimate_to(&a, tolerance).unwrap();
    assert_eq!(found.stop, TraceStop::Converged);
    assert_eq!(a.count(), found.n_products as u64);
    assert!(found.n_products > 8 && found.error_bar <= 1e-3 * found.value);
    assert!((found.value - trace).abs() <= 2.0 * found.error_bar);
    tolerance.relative = 0.0;
    tolerance.max_products = 40;
    let found = config.estimate_to(&a, tolerance).unwrap();
    assert_eq!((found.stop, found.n_products), (TraceStop::Budget, 24));
    tolerance.max_products = 1000;
    let found = config.estimate_to(&a, tolerance).unwrap();
    assert_eq!(found.stop, TraceStop::Exact);
    tolerance.relative = f64::NAN;
    assert!(config.estimate_to(&a, tolerance).is_err());
    let few = TraceTolerance {
        absolute: 0.0,
        relative: 0.1,
        max_products: 4,
    };
    assert!(config.estimate_to(&a, few).is_err());
}

/// Doubling does not count on the vectors that it has seen: each round draws new ones.
#[test]
fn every_round_draws_new_vectors() {
    let seen = std::cell::RefCell::new(Vec::new());
    let a = hvp_solvers::operator::FnOperator::new(
        N,
        |x: ndarray::ArrayView1<'_, f64>, mut y: ndarray::ArrayViewMut1<'_, f64>| {
            seen.borrow_mut().push(x.to_owned());
            y.assign(&(&x * &Array1::linspace(1.0, 3.0, N)));
        },
    );
    let tolerance = TraceTolerance {
        absolute: 0.0,
        relative: 0.0,
        max_products: 60,
    };
    for method in TraceMethod::ALL {
        seen.borrow_mut().clear();
        let config = TraceEstimator {
            method,
            n_products: 8,
            seed: 3,
        };
        config.estimate_to(&a, tolerance).unwrap();
        let all = seen.borrow();
        assert_eq!(all.len(), 8 + 16 + 32);
        // The first vector of a round is one of the random ones.
        for later in [8, 24] {
            assert!(all[..later].iter().all(|x| *x != all[later]), "{method:?}");
        }
    }
}

#[test]
fn diagonal_within_its_bars() {
    for (name, spectrum) in spectra() {
        let dense = with_spectrum(&spectrum, 6);
        let exact = dense.diag().to_owned();
        let a = DenseOperator::new(dense).unwrap();
        let (mut covered, mut sum) = (0.0, Array1::<f64>::zeros(N));
        for seed in 0..SEEDS {
            let found = DiagonalEstimator {
                n_products: 30,
                seed,
            }
            .estimate(&a)
            .unwrap();
            assert_eq!(found.n_products, 30);
            let within = (0..N).filter(|&j| {
                let error = (found.diagonal[j] - exact[j]).abs();
                error <= found.error_bars[j] + 1e-13
            });
            covered += within.count() as f64 / N as f64;
            sum += &(&found.diagonal - &exact);
        }
        let coverage = covered / SEEDS as f64;
        println!("{name} diagonal: coverage {coverage:.3}");
        // As `DiagonalEstimate::error_bars` states.
        let stated = match name {
            "power" => 0.89,
            "exponential" => 0.93,
            _ => 0.83,
        };
        assert!(coverage >= stated, "{name}: {coverage}");
        let bias = sum.sum() / (SEEDS as f64 * N as f64);
        assert!(bias.abs() < 0.02 * exact.sum() / N as f64, "{name}: {bias}");
    }
}

#[test]
fn faults_scales_bad_input_and_serialisation() {
    let d = Array1::linspace(1.0, 3.0, 50);
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        for first in [0, 1, 17, 29] {
            let fault = Fault {
                first,
                count: 1,
                bad,
            };
            for method in TraceMethod::ALL {
                let a = FaultyOperator::new(DiagonalOperator::new(d.clone()), fault);
                let found = TraceEstimator::new(method).estimate(&a).unwrap();
                assert!(
                    matches!(found.stop, TraceStop::NonFinite { .. }),
                    "{method:?} {found:?}"
                );
                assert!(found.value.is_finite() && found.error_bar >= f64::MAX);
            }
            let a = FaultyOperator::new(DiagonalOperator::new(d.clone()), fault);
            let found = DiagonalEstimator::default().estimate(&a).unwrap();
            assert!(
                matches!(found.stop, TraceStop::NonFinite { .. }),
                "{found:?}"
            );
            assert!(found.diagonal.iter().all(|d| d.is_finite()));
        }
    }
    for scale in [1e-150_f64, 1e150] {
        let a = DiagonalOperator::new(&d * scale);
        for method in TraceMethod::ALL {
            let found = TraceEstimator::new(method).estimate(&a).unwrap();
            assert_eq!(found.stop, TraceStop::Estimated, "{method:?} {found:?}");
            assert!(
                (found.value / scale - 100.0).abs() < 10.0,
                "{method:?} {found:?}"
            );
        }
    }
    let a = DiagonalOperator::new(d);
    for method in TraceMethod::ALL {
        let config = TraceEstimator {
            method,
            n_products: 1,
            seed: 0,
        };
        assert!(config.estimate(&a).is_err());
    }
    assert!(
        DiagonalEstimator {
            n_products: 3,
            seed: 0
        }
        .estimate(&a)
        .is_err()
    );
    let config = TraceEstimator {
        seed: 7,
        ..TraceEstimator::default()
    };
    let text = serde_json::to_string(&config).unwrap();
    assert_eq!(
        serde_json::from_str::<TraceEstimator>(&text).unwrap(),
        config
    );
    let found = config.estimate(&a).unwrap();
    assert_eq!(found, config.estimate(&a).unwrap());
    assert_eq!(found.seed, 7);
    let text = serde_json::to_string(&found).unwrap();
    assert_eq!(
        serde_json::from_str::<TraceEstimate>(&text).unwrap().stop,
        found.stop
    );
    let found = DiagonalEstimator::default().estimate(&a).unwrap();
    let text = serde_json::to_string(&found).unwrap();
    let again = serde_json::from_str::<DiagonalEstimate<f64>>(&text).unwrap();
    assert_eq!(again.n_products, found.n_products);
}

#[test]
fn single_precision() {
    let a = DiagonalOperator::new(Array1::from_shape_fn(60, |j| 0.7_f32.powi(j as i32)));
    assert_eq!(LinearOperator::<f32>::dim(&a), 60);
    let found = TraceEstimator::default().estimate(&a).unwrap();
    assert!((found.value - 10.0 / 3.0).abs() < 0.05);
    let exact = DiagonalEstimator::default().estimate(&DiagonalOperator::new(array![2.0_f32]));
    assert_eq!(exact.unwrap().diagonal, array![2.0]);
}
