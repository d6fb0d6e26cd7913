//! The validator of operators: sound operators pass, and each mutant fails the one check that
//! is about it.

use std::cell::Cell;

use hvp_solvers::LinearOperator;
use hvp_solvers::operator::{
    DenseOperator, DiagonalOperator, OperatorReport, ValidateSettings, Verdict, validate,
};
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, ArrayViewMut1, ArrayViewMut2};
use proptest::prelude::*;

use crate::kit::{EPS, normal, with_spectrum};

/// An operator with products and blocks of its own.
struct Mutant<F, B> {
    n: usize,
    product: F,
    block: B,
}

impl<F, B> LinearOperator<f64> for Mutant<F, B>
where
    F: Fn(ArrayView1<'_, f64>, ArrayViewMut1<'_, f64>),
    B: Fn(&mut ArrayViewMut2<'_, f64>),
{
    fn dim(&self) -> usize {
        self.n
    }
    fn apply_into(&self, x: ArrayView1<'_, f64>, y: ArrayViewMut1<'_, f64>) {
        (self.product)(x, y);
    }
    fn apply_block_into(&self, x: ArrayView2<'_, f64>, mut y: ArrayViewMut2<'_, f64>) {
        for (x, y) in x.rows().into_iter().zip(y.rows_mut()) {
            (self.product)(x, y);
        }
        (self.block)(&mut y);
    }
}

const N: usize = 40;

fn sound() -> Array2<f64> {
    with_spectrum(&Array1::linspace(1.0, 50.0, N), 1)
}

/// The checks that failed.
fn failed(report: &OperatorReport) -> Vec<&'static str> {
    let failed =
        |&(_, check): &(&str, hvp_solvers::operator::Check)| check.verdict == Verdict::Failed;
    report
        .checks()
        .into_iter()
        .filter(failed)
        .map(|(name, _)| name)
        .collect()
}

fn examine(a: &dyn LinearOperator<f64>) -> OperatorReport {
    validate(a, &ValidateSettings::default()).unwrap()
}

#[test]
fn sound_operators_pass() {
    for scale in [1e-150, 1.0, 1e150] {
        let report = examine(&DenseOperator::new(sound() * scale).unwrap());
        assert!(report.is_valid(), "{report:?}");
        let seen = report.definiteness.unwrap();
        assert!(!seen.negative_seen && seen.lowest >= scale && seen.highest <= 50.001 * scale);
    }
    for n in [0, 1, 2] {
        let report = examine(&DiagonalOperator::new(Array1::linspace(-1.0, -2.0, n)));
        assert!(report.is_valid(), "{n}: {report:?}");
        assert_eq!(
            report.definiteness.is_some_and(|seen| seen.negative_seen),
            n > 0
        );
    }
    let zero = examine(&DiagonalOperator::new(Array1::zeros(5)));
    assert!(zero.is_valid() && !zero.definiteness.unwrap().negative_seen);
    let report = validate(
        &DiagonalOperator::new(Array1::<f32>::linspace(1.0, 2.0, 30)),
        &ValidateSettings::default(),
    );
    assert!(report.unwrap().is_valid());
}

#[test]
fn each_mutant_fails_the_check_that_is_about_it() {
    let a = sound();
    let plain = |x: ArrayView1<'_, f64>, mut y: ArrayViewMut1<'_, f64>| y.assign(&a.dot(&x));
    let no_change = |_: &mut ArrayViewMut2<'_, f64>| {};
    let cases: [(&str, Box<dyn LinearOperator<f64> + '_>); 10] = [
        // One entry of 1600 differs from its mirror image by 1e-9 of the norm.
        ("symmetric", {
            let mut a = a.clone();
            a[[3, 17]] += 5e-8;
            Box::new(DenseOperator::new(a).unwrap())
        }),
        ("symmetric", {
            // Antisymmetric altogether.
            Box::new(
                DenseOperator::new(Array2::from_shape_fn((N, N), |(i, j)| i as f64 - j as f64))
                    .unwrap(),
            )
        }),
        (
            "linear",
            Box::new(Mutant {
                n: N,
                product: |x: ArrayView1<'_, f64>, mut y: ArrayViewMut1<'_, f64>| {
                    y.assign(&x.mapv(|x| x + 1e-10 * x.abs()));
                },
                block: no_change,
            }),
        ),
        // Affine.
        (
            "linear",
            Box::new(Mutant {
                n: N,
                product: |x: ArrayView1<'_, f64>, mut y: ArrayViewMut1<'_, f64>| {
                    plain(x, y.view_mut());
                    y[0] += 1e-6;
                },
                block: no_change,
            }),
        ),
        // A difference quotient: nearly linear for vectors of size one.
        (
            "linear",
            Box::new(Mutant {
                n: N,
                product: |x: ArrayView1<'_, f64>, mut y: ArrayViewMut1<'_, f64>| {
                    let grad = |t: f64| t + t.powi(3);
                    y.assign(&x.mapv(|x| (grad(1.0 + 1e-6 * x) - grad(1.0)) / 1e-6));
                },
                block: no_change,
            }),
        ),
        ("repeatable", {
            let calls = Cell::new(0);
            Box::new(Mutant {
                n: N,
                product: move |x: ArrayView1<'_, f64>, mut y: ArrayViewMut1<'_, f64>| {
                    calls.set(calls.get() + 1);
                    y.assign(&x);
                    // One bit of one entry, from the tenth call on.
                    if calls.get() >= 10 {
                        y[5] = f64::from_bits(y[5].to_bits() ^ 1);
                    }
                },
                block: no_change,
            })
        }),
        (
            "finite",
            Box::new(Mutant {
                n: N,
                product: |x: ArrayView1<'_, f64>, mut y: ArrayViewMut1<'_, f64>| {
                    plain(x, y.view_mut());
                    y[N - 1] = f64::NAN;
                },
                block: no_change,
            }),
        ),
        (
            "finite",
            Box::new(DiagonalOperator::new(Array1::from_elem(N, 1e308))),
        ),
        (
            "block",
            Box::new(Mutant {
                n: N,
                product: plain,
                block: |y: &mut ArrayViewMut2<'_, f64>| {
                    let last = y.nrows() - 1;
                    y[[last, 0]] *= 1.0 + 1e-8;
                },
            }),
        ),
        // Two rows exchanged.
        (
            "block",
            Box::new(Mutant {
                n: N,
                product: plain,
                block: |y: &mut ArrayViewMut2<'_, f64>| {
                    let first = y.row(0).to_owned();
                    let second = y.row(1).to_owned();
                    y.row_mut(0).assign(&second);
                    y.row_mut(1).assign(&first);
                },
            }),
        ),
    ];
    for (k, (expected, mutant)) in cases.iter().enumerate() {
        let report = examine(mutant);
        assert_eq!(failed(&report), [*expected], "mutant {k}: {report:?}");
        assert!(!report.is_valid());
    }
}

#[test]
fn negative_curvature_is_seen_and_settings_are_checked() {
    // One negative eigenvalue, well apart from 39 positive ones.
    let mut spectrum = Array1::linspace(1.0, 2.0, N);
    spectrum[7] = -0.5;
    let report = examine(&DenseOperator::new(with_spectrum(&spectrum, 2)).unwrap());
    let seen = report.definiteness.unwrap();
    assert!(report.is_valid() && seen.negative_seen);
    assert!(
        seen.lowest >= -0.5 - 100.0 * EPS && seen.lowest < -0.4,
        "{seen:?}"
    );
    let a = DiagonalOperator::new(normal(3, 1));
    for bad in [
        ValidateSettings {
            n_probes: 0,
            ..Default::default()
        },
        ValidateSettings {
            factor: 0.0,
            ..Default::default()
        },
        ValidateSettings {
            factor: f64::NAN,
            ..Default::default()
        },
    ] {
        assert!(validate(&a, &bad).is_err());
    }
}

proptest! {
    #[test]
    fn no_sound_operator_fails(
        spectrum in prop::collection::vec(-3.0..3.0_f64, 1..40),
        exponent in -100..100_i32,
        seed in 0..1000_u64,
    ) {
        let spectrum: Array1<f64> = spectrum.iter().map(|x| x * x * x).collect();
        let a = with_spectrum(&spectrum, seed) * 2.0_f64.powi(exponent);
        let report = validate(
            &DenseOperator::new(a).unwrap(),
            &ValidateSettings { seed, ..Default::default() },
        ).unwrap();
        prop_assert!(report.is_valid(), "{:?}", report);
    }
}
