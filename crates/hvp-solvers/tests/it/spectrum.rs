//! Stochastic Lanczos quadrature against spectra that are known.

use std::f64::consts::PI;

use hvp_solvers::operator::{Counted, DenseOperator, DiagonalOperator, FnOperator};
use hvp_solvers::spectrum::{Slq, SpectralEstimate};
use hvp_solvers::trace::TraceStop;
use ndarray::{Array1, ArrayView1, ArrayViewMut1, array};
use test_problems::cases;

use crate::kit::{EPS, Fault, FaultyOperator, with_spectrum};

const N: usize = 120;

/// Eigenvalues with closed forms: a line, the 1-D Laplacian, `min(i, j)` (graded over five
/// orders), Clement's (symmetric about zero), and two values with many copies.
fn spectra() -> [(&'static str, Array1<f64>); 5] {
    let n = N as f64;
    let k = Array1::from_iter((1..=N).map(|k| k as f64));
    [
        ("line", Array1::linspace(-1.0, 3.0, N)),
        (
            "laplacian",
            k.mapv(|k| 2.0 - 2.0 * (k * PI / (n + 1.0)).cos()),
        ),
        (
            "minij",
            k.mapv(|k| 0.25 / ((2.0 * k - 1.0) * PI / (4.0 * n + 2.0)).sin().powi(2)),
        ),
        ("clement", k.mapv(|k| 2.0 * k - n - 1.0)),
        ("two values", k.mapv(|k| if k < 31.0 { 1.0 } else { 50.0 })),
    ]
}

fn share_below(d: &Array1<f64>, t: f64) -> f64 {
    d.iter().filter(|&&x| x < t).count() as f64 / d.len() as f64
}

/// On a diagonal operator random signs have the uniform measure on the entries: every moment and
/// every share is known, and no chance is left.
#[test]
fn quadrature_is_exact_for_polynomials_and_its_bounds_hold() {
    for (name, d) in spectra() {
        let size = d.iter().fold(0.0_f64, |m, x| m.max(x.abs()));
        let a = Counted::new(DiagonalOperator::new(d.clone()));
        for steps in [1, 2, 5, 12] {
            a.reset();
            let slq = Slq {
                n_probes: 2,
                n_steps: steps,
                seed: 1,
            };
            let found = slq.estimate(&a).unwrap();
            assert_eq!(a.count(), found.n_products as u64);
            for q in &found.quadratures {
                assert!((q.weights.iter().sum::<f64>() - 1.0).abs() < 1e-14);
                assert!(q.nodes.is_sorted() && q.weights.iter().all(|&w| w >= 0.0));
                for degree in 0..2 * steps as i32 {
                    let power = |x: f64| (x / size).powi(degree);
                    let exact = d.mapv(power).sum() / N as f64;
                    let moment = q.integrate(power);
                    // Nodes carry errors of a few eps·‖A‖, powers multiply them by the degree.
                    let tol = 40.0 * steps as f64 * EPS;
                    assert!((moment - exact).abs() < tol, "{name} {steps} {degree}");
                }
                // One degree more with a prescribed node.
                let power = |x: f64| (x / size).powi(2 * steps as i32);
                let exact = d.mapv(power).sum() / N as f64;
                let moment = q.integrate_with(-1.5 * size, power);
                // Weights of size eps at a node of modulus 1.5.
                let tol = 1e3 * EPS * 1.5_f64.powi(2 * steps as i32);
                assert!(
                    (moment - exact).abs() < tol,
                    "{name} {steps}: {moment} {exact}"
                );
            }
            check_shares(name, &d, &found);
        }
    }
}

/// Bounds at eigenvalues, beside and between them, and far out.
fn check_shares(name: &str, d: &Array1<f64>, found: &SpectralEstimate) {
    let mut sorted = d.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (low, high) = (sorted[0], sorted[N - 1]);
    let line = (0..200).map(|i| low - 0.2 + (high - low + 0.4) * f64::from(i) / 199.0);
    let nodes = found.quadratures[0].nodes.clone();
    let places = line.chain(sorted.iter().copied()).chain(nodes);
    let mut width = 0.0_f64;
    for t in places {
        let c = found.cumulative(t);
        let below = share_below(d, t);
        let at = sorted.iter().filter(|&&x| x <= t).count() as f64 / N as f64;
        assert!(
            c.lower <= below + 1e-13 && at <= c.upper + 1e-13,
            "{name} {t}: {below} {at} {c:?}"
        );
        assert!(c.lower <= c.value && c.value <= c.upper);
        width = width.max(c.upper - c.lower);
    }
    let far = found.cumulative(low - 1e3 * (high - low));
    assert!(
        far.lower.abs() < 1e-12 && far.upper < 1e-5,
        "{name} {far:?}"
    );
    let steps = found.quadratures[0].nodes.len();
    if name == "line" && steps == 12 {
        // The best bounds are π/(2m) apart on a flat spectrum, to first order; two weights of
        // the plain staircase would be twice that.
        assert!(width < 1.3 * PI / 2.0 / steps as f64, "{width}");
    }
}

#[test]
fn counts_and_bars_cover_as_stated() {
    let seeds = 300;
    for (name, d) in &spectra()[..4] {
        let a = DenseOperator::new(with_spectrum(d, 2)).unwrap();
        let size = d.iter().fold(0.0_f64, |m, x| m.max(x.abs()));
        let f = |x: f64| (2.0 * x / size).exp();
        let exact = d.mapv(f).sum();
        let mut sorted = d.to_vec();
        sorted.sort_by(f64::total_cmp);
        let places: Vec<f64> = (1..10)
            .map(|i| sorted[12 * i] + 1e-3 * size / N as f64)
            .collect();
        let mut held = vec![0; places.len()];
        let (mut covered, mut bias, mut width) = (0, 0.0, 0.0);
        for seed in 0..seeds {
            let slq = Slq {
                n_probes: 10,
                n_steps: 12,
                seed,
            };
            let found = slq.estimate(&a).unwrap();
            let t = found.trace_of(f);
            covered += u32::from((t.value - exact).abs() <= t.error_bar);
            bias += (t.value - exact) / seeds as f64;
            width += t.standard_error / seeds as f64;
            for (held, &place) in held.iter_mut().zip(&places) {
                let (low, high) = found.cumulative(place).interval();
                let exact = share_below(d, place);
                *held += u32::from(low <= exact && exact <= high);
            }
        }
        let share = |k: u32| f64::from(k) / seeds as f64;
        let least = held.iter().copied().min().unwrap();
        println!(
            "{name}: trace {:.3}, shares at least {:.3}",
            share(covered),
            share(least)
        );
        // Stated 95 %; three deviations of 300 draws are 4 %.
        assert!(share(covered) >= 0.91, "{name}: {}", share(covered));
        // As `Bracket::interval` states.
        assert!(share(least) >= 0.99, "{name}: {held:?}");
        assert!(
            bias.abs() <= 0.25 * width,
            "{name}: bias {bias:e}, error {width:e}"
        );
    }
}

#[test]
fn negative_eigenvalues_and_intervals() {
    let spectrum = Array1::from_shape_fn(N, |i| match i {
        0..30 => -1.0 - i as f64 / 30.0,
        _ => 0.5 + i as f64 / 40.0,
    });
    let a = DenseOperator::new(with_spectrum(&spectrum, 2)).unwrap();
    let found = Slq {
        n_probes: 20,
        n_steps: 40,
        seed: 0,
    };
    let found = found.estimate(&a).unwrap();
    let c = found.negative_eigenvalues();
    // In the gap the bounds meet; what is left is chance: 20 probes, each with a deviation of
    // √(2·30·90/120) ≈ 6.7 at most.
    assert!(c.upper - c.lower < 0.01, "{c:?}");
    assert!(
        (c.value - 30.0).abs() <= c.value_bar && c.value_bar < 4.0,
        "{c:?}"
    );
    let between = found.count_between(-3.0, 0.0);
    assert!((between.value - c.value).abs() < 0.01, "{between:?}");
    let all = found.count_between(-10.0, 10.0);
    assert!((all.value - 120.0).abs() < 1e-6, "{all:?}");
    assert!(found.log_determinant().stop == TraceStop::OutsideDomain);
    assert!(found.log_determinant().error_bar >= f64::MAX);
    assert!(found.condition().is_none());
    let (low, high) = found.extremes().unwrap();
    assert!(low >= spectrum[29] - 1e-12 && high <= spectrum[N - 1] + 1e-12);
}

/// An end of the spectrum, and a function for which Gauss–Radau with a node there is a bound.
type Case = (f64, fn(f64) -> f64);

#[test]
fn log_determinant_condition_and_gauss_radau_bounds() {
    let d = Array1::linspace(0.5, 20.0, N);
    let dense = DenseOperator::new(with_spectrum(&d, 3)).unwrap();
    let exact = hvp_solvers::dense::cholesky(dense.matrix())
        .unwrap()
        .log_determinant();
    let slq = Slq {
        n_probes: 30,
        ..Slq::default()
    };
    let found = slq.estimate(&dense).unwrap();
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
    // Without chance, on the diagonal, few steps: bounds hold on both sides and close.
    let a = DiagonalOperator::new(d.clone());
    let mut last = f64::INFINITY;
    for n_steps in [2, 4, 8, 16] {
        let found = Slq {
            n_probes: 2,
            n_steps,
            seed: 0,
        }
        .estimate(&a)
        .unwrap();
        let mut gap = 0.0_f64;
        let functions: [Case; 4] = [
            (0.4, f64::ln),
            (0.4, f64::recip),
            (0.4, f64::sqrt),
            (21.0, |x| (0.2 * x).exp()),
        ];
        for (end, f) in functions {
            let exact = d.mapv(f).sum();
            let b = found.trace_bounds(end, f).unwrap();
            let tol = 1e-12 * exact.abs();
            assert!(
                b.lower <= exact + tol && exact <= b.upper + tol,
                "{n_steps} {end} {b:?}"
            );
            assert!(b.lower_bar < 1e-9 * exact.abs());
            gap = gap.max((b.upper - b.lower) / exact.abs());
        }
        assert!(gap < 0.5 * last, "{n_steps}: {gap:e}");
        last = gap;
        assert!(found.trace_bounds(5.0, f64::ln).is_none());
    }
    assert!(last < 1e-3, "{last:e}");
    let dimension = found.effective_dimension(2.0);
    let exact = d.mapv(|x| x / (x + 2.0)).sum();
    assert!((dimension.value - exact).abs() <= 1.5 * dimension.error_bar);
}

/// Products rounded to `f32`: the brackets leave room for it. On a diagonal matrix random signs have the
/// uniform measure, so that there is no chance in the exact values.
#[test]
fn brackets_cover_products_in_single_precision() {
    for case in 0..cases(60) as usize {
        let n = 20 + case % 90;
        let low = [0.5, 0.01, 2.0][case % 3];
        let d = Array1::from_shape_fn(n, |i| low + 19.0 * ((i * i + case) as f64).sin().abs());
        let rounded = FnOperator::new(
            n,
            |x: ArrayView1<'_, f64>, mut y: ArrayViewMut1<'_, f64>| {
                y.assign(&(&d * &x).mapv(|v| f64::from(v as f32)));
            },
        );
        let found = Slq {
            n_probes: 2,
            n_steps: 2 + case % 40,
            seed: case as u64,
        };
        let found = found.estimate(&rounded).unwrap();
        let functions: [Case; 4] = [
            (0.5 * low, f64::ln),
            (0.5 * low, f64::recip),
            (0.5 * low, f64::sqrt),
            (22.0, |x| (0.2 * x).exp()),
        ];
        for (end, f) in functions {
            let exact = d.mapv(f).sum();
            let b = found.trace_bounds(end, f).unwrap();
            assert!(
                b.lower <= exact && exact <= b.upper,
                "{case} {end}: {exact} {b:?}"
            );
        }
        let resolution = found.quadratures[0].resolution();
        assert!(resolution < 1e-4, "{resolution:e}");
        let mut sorted = d.to_vec();
        sorted.sort_by(f64::total_cmp);
        for pair in sorted.windows(2).filter(|pair| pair[1] - pair[0] > 1e-2) {
            let t = 0.5 * (pair[0] + pair[1]);
            let (c, exact) = (found.cumulative(t), share_below(&d, t));
            let slack = 2.0 * resolution / (pair[1] - pair[0]);
            let holds = c.lower <= exact + slack && exact <= c.upper + slack;
            assert!(holds, "{case} {t}: {exact} {c:?}");
        }
    }
}

#[test]
fn an_exhausted_space_is_exact() {
    let a = DiagonalOperator::new(Array1::from_shape_fn(40, |i| [1.0, 2.0, 5.0][i % 3]));
    let found = Slq::default().estimate(&a).unwrap();
    // Three for each probe, and one that shows how exact products are.
    assert_eq!(found.n_products, 31);
    assert!(found.quadratures.iter().all(|q| q.exact));
    let c = found.cumulative(3.0);
    assert!((c.lower - 27.0 / 40.0).abs() < 1e-12 && (c.upper - c.lower).abs() < 1e-12);
    // At an eigenvalue the bounds take in both sides of the jump.
    let c = found.cumulative(2.0);
    assert!((c.lower - 14.0 / 40.0).abs() < 1e-12 && (c.upper - 27.0 / 40.0).abs() < 1e-12);
    let singular = DiagonalOperator::new(Array1::from_shape_fn(40, |i| [0.0, 1.0][i % 2]));
    let found = Slq::default().estimate(&singular).unwrap();
    let c = found.negative_eigenvalues();
    assert!(
        c.lower.abs() < 1e-12 && (c.upper - 20.0).abs() < 1e-9,
        "{c:?}"
    );
    assert_eq!(found.log_determinant().stop, TraceStop::OutsideDomain);
    let identity = DiagonalOperator::new(Array1::<f64>::ones(10));
    let found = Slq::default().estimate(&identity).unwrap();
    assert!((found.trace_of(|x| x).value - 10.0).abs() < 1e-12);
    assert!(found.densities(11, None).unwrap().values[5] > 1.0);
    let empty = DiagonalOperator::new(Array1::<f64>::zeros(0));
    let found = Slq::default().estimate(&empty).unwrap();
    assert!(found.trace_of(f64::exp).value.abs() < EPS && found.extremes().is_none());
    assert!(found.negative_eigenvalues().upper.abs() < EPS);
    for d in [array![-3.0], array![2.0, -1.0]] {
        let found = Slq::default()
            .estimate(&DiagonalOperator::new(d.clone()))
            .unwrap();
        assert!((found.trace_of(|x| x * x).value - d.mapv(|x| x * x).sum()).abs() < 1e-13);
        assert!((found.negative_eigenvalues().value - 1.0).abs() < 1e-13);
    }
}

#[test]
fn densities_integrate_to_one() {
    let a = DiagonalOperator::new(spectra()[0].1.clone());
    let found = Slq::default().estimate(&a).unwrap();
    let density = found.densities(801, Some(0.2)).unwrap();
    let step = density.points[1] - density.points[0];
    let integral: f64 = density.values.iter().map(|v| v * step).sum();
    // Four widths leave 6e-5 of a Gaussian outside, at the ends only.
    assert!((integral - 1.0).abs() < 1e-4, "{integral}");
    // Flat in the middle: 120 values on a length of 4·120/119.
    assert!((found.density(1.0, 0.2) - 119.0 / 480.0).abs() < 1e-3);
    assert!(density.standard_errors.iter().all(|&e| e < 1e-9));
    assert!((found.densities(5, None).unwrap().width - 0.04).abs() < 1e-3);
    assert!(found.densities(1, None).is_none() && found.densities(5, Some(0.0)).is_none());
}

#[test]
fn faults_scales_bad_input_and_serialisation() {
    let d = Array1::linspace(1.0, 9.0, 30);
    for bad in [f64::NAN, f64::INFINITY] {
        for first in [0, 1, 40] {
            let fault = Fault {
                first,
                count: 1,
                bad,
            };
            let a = FaultyOperator::new(DiagonalOperator::new(d.clone()), fault);
            let found = Slq::default().estimate(&a).unwrap();
            assert!(matches!(found.stop, TraceStop::NonFinite { .. }));
            assert!(found.trace_of(|x| x).value.is_finite());
            let c = found.count_below(5.0);
            assert!(c.lower.abs() < EPS && (c.upper - 30.0).abs() < EPS);
        }
    }
    for scale in [1e-150, 1e150] {
        let found = Slq {
            n_steps: 10,
            ..Slq::default()
        };
        let found = found.estimate(&DiagonalOperator::new(&d * scale)).unwrap();
        assert!((found.trace_of(|x| x / scale).value - 150.0).abs() < 1e-10);
        let c = found.count_below(5.1 * scale);
        assert!(
            c.lower <= 16.0 && 16.0 <= c.upper && c.upper - c.lower < 6.0,
            "{c:?}"
        );
    }
    let single = DiagonalOperator::new(Array1::<f32>::linspace(1.0, 9.0, 30));
    let found = Slq::default().estimate(&single).unwrap();
    assert!((found.trace_of(|x| x).value - 150.0).abs() < 1e-3);
    let a = DiagonalOperator::new(d);
    let bad = |n_probes, n_steps| {
        Slq {
            n_probes,
            n_steps,
            seed: 0,
        }
        .estimate(&a)
        .is_err()
    };
    assert!(bad(1, 5) && bad(2, 0));
    let config = Slq {
        seed: 3,
        ..Slq::default()
    };
    let text = serde_json::to_string(&config).unwrap();
    assert_eq!(serde_json::from_str::<Slq>(&text).unwrap(), config);
    let found = config.estimate(&a).unwrap();
    assert_eq!(found, config.estimate(&a).unwrap());
    let text = serde_json::to_string(&found).unwrap();
    let again = serde_json::from_str::<SpectralEstimate>(&text).unwrap();
    assert_eq!(again.n_products, found.n_products);
}
