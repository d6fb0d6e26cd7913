//! The checks of derivatives pass where a function is smooth, and fail where it is not.

use crate::common::{Mlp, random};
use ad_core::{CheckError, Error, Function, Point, Var, check_gradient, check_hvp};
use ndarray::Array1;

fn record(n: usize, f: impl for<'t> FnOnce(Var<'t>) -> Var<'t>) -> Function<f64> {
    Function::record(n, f).unwrap()
}

/// Functions that are smooth at points of (0.5, 2)ⁿ.
fn smooth() -> Vec<(&'static str, Function<f64>)> {
    vec![
        (
            "constant",
            record(3, |x| x.stop_gradient().at(0) * 0.0 + 1.0),
        ),
        ("linear", record(3, |x| 3.0 * x.sum() - 1.0)),
        (
            "quadratic",
            record(3, |x| x.square().sum() + x.at(0) * x.at(1)),
        ),
        ("cubic", record(3, |x| (x.square() * x).sum())),
        ("trigonometric", record(5, |x| (x.sin() * x.cos()).sum())),
        ("logsumexp", record(7, |x| (3.0 * x).logsumexp_axis(0))),
        ("logarithm", record(3, |x| x.ln().sum() + x.sqrt().sum())),
        (
            "rational",
            record(3, |x| (x / (x.square() + 1.0)).sum().recip()),
        ),
        (
            "relu away from its kink",
            record(3, |x| (x.relu() * x).sum()),
        ),
        ("large", record(3, |x| 1e9 * x.tanh().sum())),
        ("small", record(3, |x| 1e-9 * x.tanh().sum())),
        (
            "of cancelling terms",
            record(3, |x| (x + 1e4).sum() - 1e4 * x.cos().sum()),
        ),
        ("of no parameters", record(0, |x| x.sum() + 1.0)),
    ]
}

/// c·y³ − y⁴ with y = x − 1: its remainder of second order is as small as can be where a step is next to
/// c, whichever step that is, and changes its sign there.
#[test]
fn a_remainder_that_changes_its_sign_is_no_wrong_product() {
    for at in 0..160 {
        let c = 2.0_f64.powf(-f64::from(at) / 8.0);
        let f = record(1, |x| {
            let y = x.at(0) - 1.0;
            c * y.powi(3) - y.powi(4)
        });
        if let Err(error) = check_hvp(&f, &[1.0]) {
            panic!("{c}: {error}");
        }
    }
}

fn point(n: usize) -> Array1<f64> {
    random(n, 1).mapv(|x| 1.25 + 0.75 * x)
}

#[test]
fn smooth_functions_pass() {
    for (name, f) in smooth() {
        let x = point(f.n_parameters());
        if let Err(error) = check_gradient(&f, &x) {
            panic!("{name}: {error}");
        }
        if let Err(error) = check_hvp(&f, &x) {
            panic!("{name}: {error}");
        }
    }
}

#[test]
fn a_minimum_at_the_origin_passes() {
    let f = record(2, |x| x.square().sum() + (x.square() * x).sum());
    check_gradient(&f, &[0.0, 0.0]).unwrap();
    check_hvp(&f, &[0.0, 0.0]).unwrap();
}

#[test]
fn points_far_from_the_origin_pass() {
    let f = record(2, |x| (1e-6 * x).sin().sum());
    check_gradient(&f, &[1e6, -2e6]).unwrap();
    check_hvp(&f, &[1e6, -2e6]).unwrap();
}

#[test]
fn a_perceptron_passes_in_both_precisions() {
    let mlp = Mlp::new(&[5, 4, 3], 6);
    let (f, x, data) = (mlp.function(), random(mlp.n_parameters(), 1), mlp.data());
    let at = Point::with_data(&x, &data);
    let report = check_gradient(&f, at).unwrap();
    // A slope of 2, and an agreement up to rounding.
    assert!((report.findings[0].measured - 2.0).abs() < 0.3, "{report}");
    assert!(report.findings[1].measured < report.findings[1].bound);
    let report = check_hvp(&f, at).unwrap();
    assert!((report.findings[0].measured - 3.0).abs() < 0.4, "{report}");
    assert_eq!(report.to_string().lines().count(), report.findings.len());

    let (x, inputs) = (x.mapv(|x| x as f32), mlp.inputs.mapv(|x| x as f32));
    let targets = mlp.targets.mapv(|x| x as f32);
    let data = [inputs.view().into_dyn(), targets.view().into_dyn()];
    let (f, at) = (mlp.function_f32(), Point::with_data(&x, &data));
    check_gradient(&f, at).unwrap();
    check_hvp(&f, at).unwrap();
}

#[track_caller]
fn assert_broken(result: Result<ad_core::Report, CheckError>, part: &str) {
    let error = result.unwrap_err();
    assert!(matches!(error, CheckError::Broken { .. }), "{error}");
    assert!(error.to_string().contains(part), "{error}");
}

#[test]
fn a_kink_at_the_point_fails() {
    let at = [0.0, 1.0];
    for f in [
        record(2, |x| x.relu().sum()),
        record(2, |x| x.abs().sum() + x.sin().sum()),
        record(2, |x| 1e-3 * x.relu().sum() + x.exp().sum()),
    ] {
        assert_broken(check_gradient(&f, &at), "O(h²)");
        assert_broken(check_hvp(&f, &at), "O(h");
    }
    let tie = record(2, |x| x.max_axis(0));
    assert_broken(check_gradient(&tie, &[1.0, 1.0]), "f(x + hv)");
}

#[test]
fn a_kink_of_the_gradient_passes_the_first_order_and_fails_the_second() {
    let f = record(2, |x| (x.relu() * x).sum());
    check_gradient(&f, &[0.0, 1.0]).unwrap();
    assert_broken(check_hvp(&f, &[0.0, 1.0]), "O(h");
}

#[test]
fn a_stopped_gradient_fails() {
    let f = record(3, |x| (x * x.stop_gradient()).sum());
    assert_broken(
        check_gradient(&f, &[1.0, 2.0, 3.0]),
        "is no gradient stopped",
    );
    // Here the gradient is right, and its derivative is not.
    let frozen = record(3, |x| {
        let constant = x.stop_gradient();
        (2.0 * x * constant - constant.square()).sum()
    });
    check_gradient(&frozen, &[1.0, 2.0, 3.0]).unwrap();
    assert_broken(check_hvp(&frozen, &[1.0, 2.0, 3.0]), "O(h");
}

#[test]
fn a_value_that_is_not_finite_is_named() {
    let f = record(2, |x| (x / x.abs()).sum());
    let error = check_gradient(&f, &[0.0, 1.0]).unwrap_err();
    assert_eq!(error, CheckError::NonFinite { what: "the value" });
}

#[test]
fn wrong_calls_are_reported_as_such() {
    let f = record(3, |x| x.sum());
    let error = check_gradient(&f, &[1.0]).unwrap_err();
    assert!(matches!(error, CheckError::Call(Error::Shape { .. })));
    let vector = record(3, |x| x.square());
    let error = check_hvp(&vector, &[1.0; 3]).unwrap_err();
    assert!(matches!(error, CheckError::Call(Error::NotScalar { .. })));
    let error = check_hvp(&f, &[1.0, f64::NAN, 1.0]).unwrap_err();
    assert!(matches!(error, CheckError::Call(Error::NonFinite { .. })));
    let root = record(1, |x| x.sqrt().sum());
    let error = check_gradient(&root, &[0.0]).unwrap_err();
    assert_eq!(
        error,
        CheckError::NonFinite {
            what: "the gradient"
        }
    );
}
