//! Kinds of points, by both routes, and measures of sharpness.

use hvp_solvers::dense::{PointKind, eigenpairs, eigenvalues};
use hvp_solvers::eigen::EigenStop;
use hvp_solvers::landscape::{
    BoxSharpnessStop, Classifier, Evidence, Inertia, PointReport, SharpnessProbe, box_sharpness,
};
use hvp_solvers::objective::Quadratic;
use hvp_solvers::operator::{Counted, DenseOperator, DiagonalOperator};
use hvp_solvers::trace::TraceStop;
use hvp_solvers::{Curvature, CurvatureOperator, SecondOrder};
use ndarray::{Array1, Array2, array};

use crate::kit::{
    EPS, Fault, Faulty, FaultyOperator, double_well, norm, normal, product, rosenbrock,
    with_spectrum,
};

/// The same point by both routes, each checked against the spectrum.
fn both_routes(spectrum: &Array1<f64>, seed: u64) -> [PointReport<f64>; 2] {
    let n = spectrum.len();
    let op = DenseOperator::new(with_spectrum(spectrum, seed)).unwrap();
    let low = spectrum.fold(f64::INFINITY, |m, &x| m.min(x));
    let high = spectrum.fold(f64::NEG_INFINITY, |m, &x| m.max(x));
    let size = high.abs().max(low.abs());
    [n, 0].map(|dense_limit| {
        let counted = Counted::new(&op);
        let config = Classifier {
            dense_limit,
            seed,
            ..Classifier::default()
        };
        let report = config.classify(&counted).unwrap();
        assert_eq!(counted.count(), report.n_products as u64);
        for (pair, exact) in [(&report.smallest, low), (&report.largest, high)] {
            let pair = pair.as_ref().unwrap();
            let r = norm((product(&op, pair.vector.view()) - pair.value * &pair.vector).view());
            assert!((r - pair.residual).abs() <= 4.0 * EPS * size);
            // Only where both signs are proven may the search end before it has converged.
            if report.kind != PointKind::Saddle {
                let error = (pair.value - exact).abs();
                assert!(
                    error <= pair.error_bound + 4.0 * n as f64 * EPS * size,
                    "{error:e}"
                );
            }
        }
        report
    })
}

#[test]
fn both_routes_agree_on_every_kind() {
    let n = 120;
    let line = |a: f64, b: f64| Array1::linspace(a, b, n);
    let mut kernel = line(1.0, 2.0);
    kernel[3] = 0.0;
    let mut almost = line(1.0, 2.0);
    almost[7] = -1e-7;
    let mut small = line(1.0, 2.0);
    small[7] = 1e-7;
    let mut wide = line(0.0, 1.0);
    wide.iter_mut().take(60).for_each(|x| *x = 0.0);
    let cases = [
        ("minimum", line(0.5, 8.0), PointKind::Minimum),
        ("maximum", line(-8.0, -0.5), PointKind::Maximum),
        ("saddle", line(-1.0, 1.0), PointKind::Saddle),
        ("slightly negative", almost, PointKind::Saddle),
        ("barely positive", small, PointKind::Minimum),
        ("kernel", kernel.clone(), PointKind::Degenerate),
        ("negative kernel", -&kernel, PointKind::Degenerate),
        ("wide kernel", wide, PointKind::Degenerate),
        ("zero", Array1::zeros(n), PointKind::Degenerate),
        ("identity", Array1::ones(n), PointKind::Minimum),
    ];
    for (name, spectrum, kind) in cases {
        for seed in 0..3 {
            let [dense, lanczos] = both_routes(&spectrum, seed);
            assert_eq!(dense.kind, kind, "{name}");
            assert_eq!(
                lanczos.kind,
                kind,
                "{name}: {:?}",
                lanczos.smallest.map(|p| p.value)
            );
            assert_eq!(
                (dense.evidence, lanczos.evidence),
                (Evidence::Dense, Evidence::Lanczos)
            );
            let zero = dense.zero_tolerance;
            let count = |f: &dyn Fn(f64) -> bool| spectrum.iter().filter(|x| f(**x)).count();
            let inertia = Inertia {
                negative: count(&|x| x < -zero),
                zero: count(&|x| x.abs() <= zero),
                positive: count(&|x| x > zero),
            };
            assert_eq!(dense.inertia, Some(inertia), "{name}");
            assert!(lanczos.inertia.is_none());
        }
    }
}

#[test]
fn what_has_not_converged_is_undetermined() {
    let op = DiagonalOperator::new(Array1::from_shape_fn(3000, |i| {
        1e-9 + (i as f64 / 3000.0).powi(4)
    }));
    let config = Classifier {
        max_restarts: 1,
        ..Classifier::default()
    };
    let found = config.classify(&op).unwrap();
    assert_eq!(found.kind, PointKind::Undetermined);
    assert_eq!(found.stop, EigenStop::MaxRestarts);
    assert!(found.largest.unwrap().value > 0.99);
    // But a saddle shows at once.
    let op = DiagonalOperator::new(Array1::linspace(-1.0, 1.0, 3000));
    let found = config.classify(&op).unwrap();
    assert_eq!(found.kind, PointKind::Saddle);
    assert!(found.n_products < 150, "{}", found.n_products);
}

#[test]
fn small_dimensions_budgets_and_faults() {
    for dense_limit in [0, 10] {
        let config = Classifier {
            dense_limit,
            ..Classifier::default()
        };
        let kind = |d: Array1<f64>| config.classify(&DiagonalOperator::new(d)).unwrap().kind;
        assert_eq!(kind(array![2.0]), PointKind::Minimum);
        assert_eq!(kind(array![-2.0]), PointKind::Maximum);
        assert_eq!(kind(array![0.0]), PointKind::Degenerate);
        assert_eq!(kind(array![1.0, -1.0]), PointKind::Saddle);
        assert_eq!(kind(array![1.0, 1.0]), PointKind::Minimum);
        assert_eq!(kind(array![0.0, 1.0, 1.0]), PointKind::Degenerate);
        for scale in [1e-150, 1e150] {
            assert_eq!(kind(array![1.0, 2.0, 3.0, 4.0] * scale), PointKind::Minimum);
        }
        for bad in [f64::NAN, f64::INFINITY] {
            for first in [0, 2] {
                let fault = Fault {
                    first,
                    count: usize::MAX,
                    bad,
                };
                let d = DiagonalOperator::new(Array1::linspace(1.0, 2.0, 8));
                let found = config.classify(&FaultyOperator::new(d, fault)).unwrap();
                assert_eq!(found.kind, PointKind::Undetermined);
                assert!(matches!(found.stop, EigenStop::NonFinite { .. }));
            }
        }
    }
    let empty = Classifier::default().classify(&DiagonalOperator::new(Array1::<f64>::zeros(0)));
    let empty = empty.unwrap();
    assert_eq!(empty.kind, PointKind::Degenerate);
    assert!(empty.smallest.is_none());
    // Three matrices of 100² do not fit, forty vectors do.
    let op = DiagonalOperator::new(Array1::linspace(1.0, 2.0, 100));
    let mut config = Classifier {
        memory_budget: 100 * 8 * 44,
        ..Classifier::default()
    };
    let found = config.classify(&op).unwrap();
    assert_eq!(
        (found.kind, found.evidence),
        (PointKind::Minimum, Evidence::Lanczos)
    );
    config.memory_budget = 100 * 8 * 10;
    assert_eq!(config.classify(&op).unwrap().kind, PointKind::Minimum);
    config.memory_budget = 100 * 8 * 9;
    assert!(config.classify(&op).is_err());
    let single = DiagonalOperator::new(Array1::<f32>::linspace(-1.0, 2.0, 100));
    assert_eq!(
        Classifier::default().classify(&single).unwrap().kind,
        PointKind::Saddle
    );
    let text = serde_json::to_string(&config).unwrap();
    assert_eq!(serde_json::from_str::<Classifier>(&text).unwrap(), config);
}

#[test]
fn points_of_functions() {
    let kind = |mut f: crate::kit::Smooth, x: Array1<f64>| {
        let mut g = Array1::zeros(x.len());
        f.linearize(x.view(), g.view_mut());
        let h = CurvatureOperator::new(&f, Curvature::Hessian, 0.0).unwrap();
        Classifier::default().classify(&h).unwrap().kind
    };
    assert_eq!(kind(rosenbrock(), array![1.0, 1.0]), PointKind::Minimum);
    assert_eq!(kind(double_well(), array![0.0, 0.0]), PointKind::Saddle);
    assert_eq!(kind(double_well(), array![1.0, 0.0]), PointKind::Minimum);
}

#[test]
fn dense_eigenpairs_are_eigenpairs() {
    for n in [0, 1, 2, 5, 40] {
        let a = with_spectrum(&Array1::linspace(-3.0, 4.0, n), n as u64);
        let (values, vectors) = eigenpairs(a.view()).unwrap();
        let tol = 10.0 * (n + 1) as f64 * EPS * 4.0;
        assert!(norm((&values - &eigenvalues(a.view()).unwrap()).view()) <= tol);
        for (value, vector) in values.iter().zip(vectors.rows()) {
            assert!(norm((a.dot(&vector) - *value * &vector).view()) <= tol);
        }
        let gram = vectors.dot(&vectors.t()) - Array2::<f64>::eye(n);
        assert!(gram.iter().all(|x| x.abs() <= tol));
    }
    assert!(eigenpairs(array![[f64::NAN]].view()).is_err());
    assert!(eigenpairs(Array2::<f64>::zeros((2, 3)).view()).is_err());
}

#[test]
fn sharpness_of_a_known_spectrum() {
    let spectrum = Array1::from_shape_fn(150, |i| match i {
        0..8 => 10.0 / (1.0 + i as f64),
        8..140 => 1e-3,
        _ => -0.2,
    });
    let op = Counted::new(DenseOperator::new(with_spectrum(&spectrum, 4)).unwrap());
    let probe = SharpnessProbe {
        alpha: 0.5,
        ..SharpnessProbe::default()
    };
    let found = probe.measure(&op).unwrap();
    assert_eq!(op.count(), found.n_products as u64);
    let largest = found.largest.unwrap();
    assert!((largest.value - 10.0).abs() <= largest.error_bound + 1e-12);
    assert!((found.smallest.unwrap().value + 0.2).abs() < 1e-6);
    assert!((found.spectral_norm - 10.0).abs() < 1e-6);
    assert!((found.trace.value - spectrum.sum()).abs() <= found.trace.error_bar);
    let exact: f64 = spectrum
        .iter()
        .map(|x| x.max(0.0) / (x.max(0.0) + 0.5))
        .sum();
    let dimension = found.effective_dimension;
    assert!(
        (dimension.value - exact).abs() <= 1.5 * dimension.error_bar,
        "{dimension:?} {exact}"
    );
    assert!(dimension.error_bar < exact);
    let bad = SharpnessProbe {
        alpha: 0.0,
        ..probe
    };
    assert!(bad.measure(&op).is_err());
    let fault = Fault {
        first: 0,
        count: usize::MAX,
        bad: f64::NAN,
    };
    let faulty = FaultyOperator::new(DiagonalOperator::new(Array1::ones(50)), fault);
    let found = probe.measure(&faulty).unwrap();
    assert!(matches!(found.stop, EigenStop::NonFinite { .. }));
    assert!(matches!(found.trace.stop, TraceStop::NonFinite { .. }));
    assert!(found.effective_dimension.value.is_finite());
}

#[test]
fn box_sharpness_of_quadratics_and_faults() {
    // At x ≠ 0 the box is wider along x, and the gradient tells the better corner.
    let (n, p) = (20, 3);
    let h = with_spectrum(&Array1::linspace(0.1, 5.0, n), 6);
    let (_, vectors) = eigenpairs(h.view()).unwrap();
    let top = vectors.slice(ndarray::s![n - p.., ..]).to_owned();
    let x = normal(n, 3);
    let mut f = Quadratic::new(h.clone(), Array1::zeros(n)).unwrap();
    let epsilon = 1e-2;
    let found = box_sharpness(&mut f, x.view(), top.view(), epsilon).unwrap();
    // Along eigenvectors a quadratic separates: each direction rises by its own best.
    let values = eigenvalues(h.view()).unwrap();
    let rise: f64 = (0..p)
        .map(|i| {
            let (lambda, c) = (values[n - p + i], top.row(i).dot(&x).abs());
            let reach = epsilon * (c + 1.0);
            lambda * (c * reach + 0.5 * reach * reach)
        })
        .sum();
    let at = 0.5 * x.dot(&h.dot(&x));
    assert!((found.at_point - at).abs() < 1e-12 * at);
    assert!(
        (found.percent - 100.0 * rise / (1.0 + at)).abs() < 1e-9,
        "{found:?}"
    );
    assert!(found.n_values <= 4 * p + 1 && found.n_non_finite == 0);
    // Values that are not finite are passed over; at the point itself they end it.
    for (first, stop) in [(0, false), (2, true)] {
        let fault = Fault {
            first,
            count: 1,
            bad: f64::NAN,
        };
        let mut f = Faulty::new(rosenbrock(), fault, Fault::NONE, Fault::NONE);
        let x = array![1.0, 1.0];
        let found = box_sharpness(&mut f, x.view(), Array2::eye(2).view(), 1e-3).unwrap();
        assert_eq!(found.stop == BoxSharpnessStop::Finished, stop);
        assert_eq!(found.n_non_finite, 1);
        assert!(found.percent.is_finite() && found.at_point.is_finite());
    }
    let skew = array![[1.0, 0.0], [1.0, 0.0]];
    let x = array![1.0, 1.0];
    assert!(box_sharpness(&mut rosenbrock(), x.view(), skew.view(), 1e-3).is_err());
    assert!(box_sharpness(&mut rosenbrock(), x.view(), Array2::eye(2).view(), 0.0).is_err());
    assert!(box_sharpness(&mut rosenbrock(), x.view(), Array2::eye(3).view(), 1e-3).is_err());
    let nan = array![[f64::NAN, 0.0]];
    assert!(box_sharpness(&mut rosenbrock(), x.view(), nan.view(), 1e-3).is_err());
}
