//! Stochastic Lanczos quadrature and functions of an operator.

use hvp_solvers::operator::{Counted, DenseOperator, DiagonalOperator};
use hvp_solvers::spectrum::{
    FunctionStop, MatrixFunction, Slq, SpectralEstimate, SpectralFunction,
};
use hvp_solvers::trace::TraceStop;
use ndarray::{Array1, array};

use crate::kit::{EPS, Fault, FaultyOperator, norm, normal, product, with_spectrum};

const N: usize = 120;

#[test]
fn quadrature_is_exact_for_polynomials_and_its_bounds_hold() {
    let d = Array1::linspace(-1.0, 3.0, N);
    // On a diagonal operator random signs have the uniform measure on the entries: every
    // moment and every share is known.
    let a = Counted::new(DiagonalOperator::new(d.clone()));
    for steps in [1, 2, 5, 12] {
        a.reset();
        let slq = Slq {
            n_probes: 3,
            n_steps: steps,
            seed: 1,
        };
        let found = slq.estimate(&a).unwrap();
        assert_eq!((a.count(), found.n_products), (3 * steps as u64, 3 * steps));
        for q in &found.quadratures {
            assert!((q.weights.iter().sum::<f64>() - 1.0).abs() < 1e-14);
            assert!(q.nodes.is_sorted() && q.weights.iter().all(|&w| w >= 0.0));
            for degree in 0..2 * steps as i32 {
                let exact = d.mapv(|x| x.powi(degree)).sum() / N as f64;
                let moment = q.integrate(|x| x.powi(degree));
                assert!(
                    (moment - exact).abs() < 1e-12 * 3.0_f64.powi(degree),
                    "{steps} {degree}"
                );
            }
        }
        for i in 0..400 {
            let t = -1.5 + i as f64 * 0.0125;
            let exact = d.iter().filter(|&&x| x <= t).count() as f64 / N as f64;
            let c = found.cumulative(t);
            assert!(
                c.lower <= exact + 1e-12 && exact <= c.upper + 1e-12,
                "{steps} {t}: {c:?}"
            );
            assert!(c.lower <= c.value && c.value <= c.upper);
        }
    }
}

#[test]
fn traces_counts_and_densities_within_their_bars() {
    let spectrum = Array1::from_shape_fn(N, |i| {
        if i < 30 {
            -1.0 - i as f64 / 30.0
        } else {
            0.5 + i as f64 / 40.0
        }
    });
    let a = DenseOperator::new(with_spectrum(&spectrum, 2)).unwrap();
    let (mut covered, mut counted, seeds) = (0, 0, 60);
    let exact = spectrum.mapv(f64::exp).sum();
    for seed in 0..seeds {
        let found = Slq {
            seed,
            n_steps: 25,
            ..Slq::default()
        }
        .estimate(&a)
        .unwrap();
        let t = found.trace_of(f64::exp);
        covered += u32::from((t.value - exact).abs() <= t.error_bar);
        let c = found.negative_eigenvalues();
        let slack = 3.0 * c.standard_error;
        counted += u32::from(c.lower - slack <= 30.0 && 30.0 <= c.upper + slack);
        assert!((c.value - 30.0).abs() < 12.0, "{c:?}");
        assert_eq!(
            found.log_determinant().stop,
            TraceStop::NotPositiveSemidefinite
        );
        assert!(found.condition().is_none());
    }
    // 95 % stated: of 60, fewer than 52 would be three deviations off.
    assert!(covered >= 52, "{covered}");
    assert!(counted >= 57, "{counted}");
    let found = Slq::default().estimate(&a).unwrap();
    let (low, high) = found.extremes().unwrap();
    assert!(low >= spectrum[29] - 1e-12 && high <= spectrum[N - 1] + 1e-12);
    let step = 0.01;
    let integral: f64 = (0..800)
        .map(|i| step * found.density(-4.0 + i as f64 * step, 0.1))
        .sum();
    assert!((integral - 1.0).abs() < 1e-3, "{integral}");
}

#[test]
fn log_determinant_and_condition_of_a_definite_operator() {
    let spectrum = Array1::linspace(0.5, 20.0, N);
    let a = DenseOperator::new(with_spectrum(&spectrum, 3)).unwrap();
    let exact = hvp_solvers::dense::cholesky(a.matrix())
        .unwrap()
        .log_determinant();
    let found = Slq {
        n_probes: 30,
        ..Slq::default()
    }
    .estimate(&a)
    .unwrap();
    let log_det = found.log_determinant();
    assert!(
        (log_det.value - exact).abs() <= 1.5 * log_det.error_bar,
        "{log_det:?} {exact}"
    );
    assert!(log_det.error_bar < 0.1 * exact);
    let condition = found.condition().unwrap();
    assert!(
        condition <= 40.0 * (1.0 + 1e-10) && condition > 38.0,
        "{condition}"
    );
}

#[test]
fn an_exhausted_space_is_exact() {
    let spectrum = Array1::from_shape_fn(40, |i| [1.0, 2.0, 5.0][i % 3]);
    let a = DiagonalOperator::new(spectrum);
    let found = Slq::default().estimate(&a).unwrap();
    assert_eq!(found.n_products, 30);
    assert!(found.quadratures.iter().all(|q| q.exact));
    let c = found.cumulative(3.0);
    assert!((c.lower - 27.0 / 40.0).abs() < 1e-12 && (c.upper - c.lower).abs() < 1e-12);
    let identity = DiagonalOperator::new(Array1::<f64>::ones(10));
    let found = Slq::default().estimate(&identity).unwrap();
    assert!((found.trace_of(|x| x).value - 10.0).abs() < 1e-12);
    let empty = DiagonalOperator::new(Array1::<f64>::zeros(0));
    let found = Slq::default().estimate(&empty).unwrap();
    assert!(found.trace_of(f64::exp).value.abs() < EPS && found.extremes().is_none());
}

fn function_of(
    spectrum: &Array1<f64>,
    seed: u64,
    f: impl Fn(f64) -> f64,
    v: &Array1<f64>,
) -> Array1<f64> {
    with_spectrum(&spectrum.mapv(f), seed).dot(v)
}

#[test]
fn functions_agree_with_the_eigendecomposition() {
    let v = normal(N, 4);
    let definite = Array1::linspace(0.5, 8.0, N);
    let indefinite = Array1::from_shape_fn(N, |i| {
        (1.0 + i as f64 / 20.0) * if i % 2 == 0 { 1.0 } else { -1.0 }
    });
    type Case = (SpectralFunction, bool, fn(f64) -> f64);
    let cases: [Case; 5] = [
        (SpectralFunction::Exp(-1.0), true, |x| (-x).exp()),
        (SpectralFunction::Sqrt, true, f64::sqrt),
        (SpectralFunction::InverseSqrt, true, |x| x.sqrt().recip()),
        (SpectralFunction::Exp(0.5), false, |x| (0.5 * x).exp()),
        (SpectralFunction::Sign, false, f64::signum),
    ];
    for (function, positive, f) in cases {
        let spectrum = if positive { &definite } else { &indefinite };
        let a = Counted::new(DenseOperator::new(with_spectrum(spectrum, 5)).unwrap());
        let exact = function_of(spectrum, 5, f, &v);
        let found = MatrixFunction::default()
            .apply(&a, v.view(), function)
            .unwrap();
        assert_eq!(found.stop, FunctionStop::Converged, "{function:?}");
        assert_eq!(a.count(), found.n_products as u64);
        let error = norm((&found.y - &exact).view());
        // Slowly convergent functions change less in five steps than they lack.
        let bound = 20.0 * found.error_estimate + 1e-12 * norm(exact.view());
        assert!(
            error <= bound,
            "{function:?}: {error:e} {:e}",
            found.error_estimate
        );
    }
    // √A √A v = A v, and sign² = I.
    let a = DenseOperator::new(with_spectrum(&definite, 5)).unwrap();
    let apply = |x: &Array1<f64>| {
        MatrixFunction::default()
            .apply(&a, x.view(), SpectralFunction::Sqrt)
            .unwrap()
            .y
    };
    let twice = apply(&apply(&v));
    assert!(norm((&twice - &product(&a, v.view())).view()) < 1e-8 * norm(v.view()));
}

#[test]
fn endings_faults_and_bad_input() {
    let a = DiagonalOperator::new(array![1.0, -4.0, 9.0]);
    let v = array![1.0, 1.0, 1.0];
    let run = |f| MatrixFunction::default().apply(&a, v.view(), f).unwrap();
    assert_eq!(
        run(SpectralFunction::Sqrt).stop,
        FunctionStop::OutsideDomain
    );
    assert!(norm((&run(SpectralFunction::Sign).y - &array![1.0, -1.0, 1.0]).view()) < 1e-14);
    assert_eq!(
        run(SpectralFunction::Exp(1e6)).stop,
        FunctionStop::OutsideDomain
    );
    let singular = DiagonalOperator::new(array![0.0, 4.0]);
    let w = array![1.0, 1.0];
    let found = MatrixFunction::default()
        .apply(&singular, w.view(), SpectralFunction::Sqrt)
        .unwrap();
    assert!(
        norm((&found.y - &array![0.0, 2.0]).view()) < 1e-12,
        "{found:?}"
    );
    let found = MatrixFunction::default()
        .apply(&singular, w.view(), SpectralFunction::InverseSqrt)
        .unwrap();
    assert_eq!(found.stop, FunctionStop::OutsideDomain);
    let zero = MatrixFunction::default()
        .apply(&a, Array1::zeros(3).view(), SpectralFunction::Sign)
        .unwrap();
    assert_eq!((zero.n_products, zero.y), (0, Array1::zeros(3)));
    assert!(
        MatrixFunction::default()
            .apply(&a, w.view(), SpectralFunction::Sign)
            .is_err()
    );
    assert!(
        MatrixFunction::default()
            .apply(
                &a,
                array![1.0, f64::NAN, 0.0].view(),
                SpectralFunction::Sign
            )
            .is_err()
    );
    let few = MatrixFunction {
        max_steps: 3,
        ..MatrixFunction::default()
    };
    let wide = DiagonalOperator::new(Array1::linspace(1.0, 100.0, 50));
    let found = few
        .apply(&wide, Array1::ones(50).view(), SpectralFunction::Sqrt)
        .unwrap();
    assert_eq!((found.stop, found.n_products), (FunctionStop::MaxSteps, 3));
    for bad in [f64::NAN, f64::INFINITY] {
        for first in [0, 1, 4] {
            let fault = Fault {
                first,
                count: usize::MAX,
                bad,
            };
            let a =
                FaultyOperator::new(DiagonalOperator::new(Array1::linspace(1.0, 9.0, 30)), fault);
            let found = MatrixFunction::default()
                .apply(&a, Array1::ones(30).view(), SpectralFunction::Sqrt)
                .unwrap();
            assert!(matches!(found.stop, FunctionStop::NonFinite { .. }));
            assert!(found.y.iter().all(|y| y.is_finite()));
            let a =
                FaultyOperator::new(DiagonalOperator::new(Array1::linspace(1.0, 9.0, 30)), fault);
            let found = Slq::default().estimate(&a).unwrap();
            assert!(matches!(found.stop, TraceStop::NonFinite { .. }));
            assert!(found.trace_of(|x| x).value.is_finite());
        }
    }
    assert!(
        Slq {
            n_probes: 1,
            ..Slq::default()
        }
        .estimate(&a)
        .is_err()
    );
    assert!(
        Slq {
            n_steps: 0,
            ..Slq::default()
        }
        .estimate(&a)
        .is_err()
    );
    let config = Slq {
        seed: 3,
        ..Slq::default()
    };
    let text = serde_json::to_string(&config).unwrap();
    assert_eq!(serde_json::from_str::<Slq>(&text).unwrap(), config);
    let found = config.estimate(&a).unwrap();
    let text = serde_json::to_string(&found).unwrap();
    let again = serde_json::from_str::<SpectralEstimate>(&text).unwrap();
    assert_eq!(again.n_products, found.n_products);
}
