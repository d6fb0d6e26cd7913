//! Single precision at the sizes of networks: every solver's defaults do what they say.

use hvp_solvers::dense::PointKind;
use hvp_solvers::eigen::{EigenStop, End, Lanczos, Lobpcg, Which};
use hvp_solvers::landscape::Classifier;
use hvp_solvers::linear::{
    BlockCg, Cg, Gltr, GltrStop, Lsmr, Minres, MultiShiftCg, TruncatedCg, TruncatedStop,
};
use hvp_solvers::operator::{
    DiagonalOperator, FnOperator, RectangularOperator, ValidateSettings, Verdict, validate,
};
use hvp_solvers::spectrum::{FunctionStop, MatrixFunction, Slq, SpectralFunction};
use hvp_solvers::trace::{DiagonalEstimator, TraceEstimator, TraceMethod, TraceStop};
use ndarray::{Array1, ArrayView1, ArrayViewMut1, Axis, stack};

const EPS: f64 = f32::EPSILON as f64;

/// Eigenvalues from 1 to 10 in no order.
pub(crate) fn diagonal(n: usize) -> Array1<f32> {
    Array1::from_shape_fn(n, |i| 1.0 + 9.0 * ((i * 7919) % n) as f32 / (n - 1) as f32)
}

fn signs(n: usize) -> Array1<f32> {
    Array1::from_shape_fn(n, |i| if (i * i) % 7 < 3 { 1.0 } else { -0.5 })
}

/// The relative error of a solution of `diag(d) x = b`, in double precision.
fn error(x: ArrayView1<'_, f32>, b: ArrayView1<'_, f32>, d: &Array1<f32>, shift: f64) -> f64 {
    let (mut square, mut size) = (0.0, 0.0);
    for ((&x, &b), &d) in x.iter().zip(b).zip(d) {
        let exact = f64::from(b) / (f64::from(d) + shift);
        square += (f64::from(x) - exact).powi(2);
        size += exact * exact;
    }
    (square / size).sqrt()
}

struct Rectangular(DiagonalOperator<f32>);

impl RectangularOperator<f32> for Rectangular {
    fn nrows(&self) -> usize {
        hvp_solvers::LinearOperator::dim(&self.0)
    }
    fn ncols(&self) -> usize {
        self.nrows()
    }
    fn apply_into(&self, x: ArrayView1<'_, f32>, y: ArrayViewMut1<'_, f32>) {
        hvp_solvers::LinearOperator::apply_into(&self.0, x, y);
    }
    fn apply_transposed_into(&self, x: ArrayView1<'_, f32>, y: ArrayViewMut1<'_, f32>) {
        hvp_solvers::LinearOperator::apply_into(&self.0, x, y);
    }
}

#[test]
fn every_solver_of_systems_converges_by_default() {
    for n in [1_000, 100_000] {
        let (d, b) = (diagonal(n), signs(n));
        let a = DiagonalOperator::new(d.clone());
        // The residual is below 16 eps of b, and the error below ten times that; each iteration
        // adds its rounding.
        let most = 300.0 * EPS;
        let mut errors = Vec::new();
        let found = Cg::default().solve(&a, b.view()).unwrap();
        assert!(found.stop.is_converged(), "Cg, {n}: {:?}", found.stop);
        errors.push(("Cg", error(found.x.view(), b.view(), &d, 0.0)));
        let found = Minres::default().solve(&a, b.view()).unwrap();
        assert!(found.stop.is_converged(), "Minres, {n}: {:?}", found.stop);
        errors.push(("Minres", error(found.x.view(), b.view(), &d, 0.0)));
        let found = MultiShiftCg::default()
            .solve(&a, b.view(), &[0.0, 1.0])
            .unwrap();
        assert!(found.is_converged(), "MultiShiftCg, {n}");
        errors.push(("MultiShiftCg", error(found.x.row(1), b.view(), &d, 1.0)));
        let found = Lsmr::default()
            .solve(&Rectangular(a.clone()), b.view())
            .unwrap();
        assert!(found.stop.is_converged(), "Lsmr, {n}: {:?}", found.stop);
        errors.push(("Lsmr", error(found.x.view(), b.view(), &d, 0.0)));
        let both = stack(Axis(0), &[b.view(), d.view()]).unwrap();
        let found = BlockCg::default().solve(&a, both.view()).unwrap();
        assert!(found.is_converged(), "BlockCg, {n}");
        errors.push(("BlockCg", error(found.x.row(0), b.view(), &d, 0.0)));
        let found = TruncatedCg::default().solve(&a, b.view(), 1e9).unwrap();
        assert_eq!(found.outcome.stop, TruncatedStop::Converged, "{n}");
        errors.push((
            "TruncatedCg",
            error((-found.step).view(), b.view(), &d, 0.0),
        ));
        let found = Gltr::default().solve(&a, b.view(), 1e9).unwrap();
        assert_eq!(found.outcome.stop, GltrStop::Converged, "{n}");
        errors.push(("Gltr", error((-found.step).view(), b.view(), &d, 0.0)));
        println!("{n}: {errors:?}");
        for (name, error) in errors {
            assert!(error <= most, "{name}, {n}: {error:e}");
        }
    }
}

#[test]
fn every_solver_of_spectra_converges_by_default() {
    let n = 20_000;
    let mut d = diagonal(n);
    for i in 0..4 {
        d[1000 * i] = 20.0 + 10.0 * i as f32;
    }
    let a = DiagonalOperator::new(d.clone());
    let found = Lanczos::new(3, Which::Largest).solve(&a).unwrap();
    assert_eq!(found.stop, EigenStop::Converged);
    let other = Lobpcg::new(3, End::Largest).solve(&a).unwrap();
    assert_eq!(other.stop, EigenStop::Converged);
    for (pair, exact) in found.pairs.iter().zip([50.0, 40.0, 30.0]) {
        assert!(
            (pair.value - exact).abs() <= pair.error_bound,
            "{}",
            pair.value
        );
        assert!(pair.error_bound < 1e-3);
    }
    for (pair, exact) in other.pairs.iter().zip([50.0, 40.0, 30.0]) {
        assert!(
            (pair.value - exact).abs() <= pair.error_bound,
            "{}",
            pair.value
        );
    }
    let found = MatrixFunction::default()
        .apply(&a, signs(n).view(), SpectralFunction::Sqrt)
        .unwrap();
    assert_eq!(found.stop, FunctionStop::Converged);
    let exact = d
        .iter()
        .zip(signs(n))
        .map(|(&d, s)| f64::from(d).sqrt() * f64::from(s));
    let (mut square, mut size) = (0.0, 0.0);
    for (&y, exact) in found.y.iter().zip(exact) {
        square += (f64::from(y) - exact).powi(2);
        size += exact * exact;
    }
    assert!(
        (square / size).sqrt() < 100.0 * EPS,
        "{:e}",
        (square / size).sqrt()
    );
    let spectrum = Slq::default().estimate(&a).unwrap();
    let logs: f64 = d.iter().map(|&d| f64::from(d).ln()).sum();
    let found = spectrum.log_determinant();
    assert_eq!(found.stop, TraceStop::Estimated);
    assert!((found.value - logs).abs() <= 3.0 * found.error_bar);
}

/// One large eigenvalue, and many small ones whose sum matters though each is below its rounding.
#[test]
fn small_eigenvalues_add_up() {
    let n = 100_000;
    let single = DiagonalOperator::new(Array1::from_shape_fn(n, |i| {
        if i == 0 { 100.0_f32 } else { 1e-6 }
    }));
    let double = DiagonalOperator::new(Array1::from_shape_fn(
        n,
        |i| {
            if i == 0 { 1e12 } else { 1e-6 }
        },
    ));
    let tail = 0.099_999;
    for seed in 0..5 {
        for method in [
            TraceMethod::Hutchinson,
            TraceMethod::HutchPlusPlus,
            TraceMethod::XTrace,
            TraceMethod::XNysTrace,
        ] {
            let config = TraceEstimator {
                method,
                seed,
                ..TraceEstimator::default()
            };
            let found = config.estimate(&single).unwrap();
            let error = (found.value - (100.0 + tail)).abs();
            assert!(error <= found.error_bar, "{method:?} {seed}: {found:?}");
            assert!(found.stop != TraceStop::Exact && found.error_bar < 0.2);
            let found = config.estimate(&double).unwrap();
            let error = (found.value - (1e12 + tail)).abs();
            assert!(error <= found.error_bar, "{method:?} {seed}: {found:?}");
        }
        let config = DiagonalEstimator {
            seed,
            ..DiagonalEstimator::default()
        };
        let found = config.estimate(&single).unwrap();
        assert_eq!(found.stop, TraceStop::Estimated);
        let within = (1..n).filter(|&i| (found.diagonal[i] - 1e-6).abs() <= found.error_bars[i]);
        assert!(within.count() as f64 >= 0.8 * n as f64);
        assert!((found.diagonal[0] - 100.0).abs() <= found.error_bars[0]);
        // What the entries add up to.
        let sum: f64 = found.diagonal.iter().map(|&v| f64::from(v)).sum();
        assert!((sum - 100.0 - tail).abs() < 0.05, "{sum}");
    }
}

#[test]
fn signs_are_seen_at_a_million_variables() {
    let n = 1_000_000;
    let a = DiagonalOperator::new(Array1::from_shape_fn(n, |i| {
        if i == 0 { -0.1_f32 } else { 1.0 }
    }));
    let found = Classifier::default().classify(&a).unwrap();
    assert_eq!(found.kind, PointKind::Saddle);
    let lowest = found.smallest.unwrap();
    assert!((lowest.value + 0.1).abs() <= lowest.error_bound && lowest.error_bound < 1e-4);
    // Two signs are proven long before the ends of a line have converged.
    let a = DiagonalOperator::new(Array1::linspace(-0.1_f32, 1.0, 1_400_000));
    let hasty = Classifier {
        max_restarts: 1,
        ..Classifier::default()
    };
    assert_eq!(hasty.classify(&a).unwrap().kind, PointKind::Saddle);
    // The zero is still a zero.
    let n = 10_000;
    let a = DiagonalOperator::new(Array1::from_shape_fn(
        n,
        |i| if i == 0 { 0.0 } else { 1.0_f32 },
    ));
    let found = Classifier::default().classify(&a).unwrap();
    assert_eq!(found.kind, PointKind::Degenerate);
}

#[test]
fn broken_promises_show_at_two_million_variables() {
    let n = 2_000_000;
    let settings = ValidateSettings {
        n_probes: 2,
        n_steps: 3,
        ..ValidateSettings::default()
    };
    let modulus = FnOperator::new(
        n,
        |x: ArrayView1<'_, f32>, mut y: ArrayViewMut1<'_, f32>| {
            y.assign(&x.mapv(f32::abs));
        },
    );
    let report = validate(&modulus, &settings).unwrap();
    assert_eq!(report.linear.verdict, Verdict::Failed);
    let shift = FnOperator::new(
        n,
        |x: ArrayView1<'_, f32>, mut y: ArrayViewMut1<'_, f32>| {
            for (i, y) in y.iter_mut().enumerate() {
                *y = x[(i + 1) % n];
            }
        },
    );
    let report = validate(&shift, &settings).unwrap();
    assert_eq!(report.linear.verdict, Verdict::Passed);
    assert_eq!(report.symmetric.verdict, Verdict::Failed);
    // The Laplacian of the cycle is sound.
    let sound = FnOperator::new(
        n,
        |x: ArrayView1<'_, f32>, mut y: ArrayViewMut1<'_, f32>| {
            for (i, y) in y.iter_mut().enumerate() {
                *y = 2.0 * x[i] - x[(i + 1) % n] - x[(i + n - 1) % n];
            }
        },
    );
    assert!(validate(&sound, &settings).unwrap().is_valid());
}
