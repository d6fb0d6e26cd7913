//! The strong Wolfe search on functions that searches find hard.

use optim::line_search::{SearchOutcome, SearchStop, StrongWolfe, Trial};

type Phi = fn(f64) -> (f64, f64);

/// Functions 1 to 3 of Moré and Thuente (1994) and two with other shapes.
const FUNCTIONS: [(&str, Phi); 5] = [
    ("concave, then convex", |t| {
        (-t / (t * t + 2.0), (t * t - 2.0) / (t * t + 2.0).powi(2))
    }),
    ("steep valley at 1.6", |t| {
        let s = t + 0.004;
        (
            s.powi(5) - 2.0 * s.powi(4),
            5.0 * s.powi(4) - 8.0 * s.powi(3),
        )
    }),
    ("many local minima", |t| {
        let (beta, l) = (0.01, 39.0);
        let frequency = l * std::f64::consts::FRAC_PI_2;
        let base = if t <= 1.0 - beta {
            (1.0 - t, -1.0)
        } else if t >= 1.0 + beta {
            (t - 1.0, 1.0)
        } else {
            (
                (t - 1.0).powi(2) / (2.0 * beta) + beta / 2.0,
                (t - 1.0) / beta,
            )
        };
        let ripple = 2.0 * (1.0 - beta) / (l * std::f64::consts::PI);
        let wave = (1.0 - beta) * (frequency * t).cos();
        (base.0 + ripple * (frequency * t).sin(), base.1 + wave)
    }),
    ("far minimum", |t| {
        ((t / 1e4 - 1.0).powi(2), 2.0 * (t / 1e4 - 1.0) / 1e4)
    }),
    ("exponential wall", |t| (t.exp() - 5.0 * t, t.exp() - 5.0)),
];

fn search(settings: &StrongWolfe, phi: Phi, first_step: f64) -> (SearchOutcome<f64>, f64) {
    let (value, slope) = phi(0.0);
    let start = Trial {
        step: 0.0,
        value,
        slope,
    };
    let mut least = value;
    let found = settings.search(start, first_step, |t| {
        let (value, slope) = phi(t);
        if value.is_finite() && slope.is_finite() {
            least = least.min(value);
        }
        (value, slope)
    });
    (found, least)
}

#[test]
fn both_wolfe_conditions_hold_from_steps_of_any_size() {
    for (name, phi) in FUNCTIONS {
        for (c1, c2) in [(1e-4, 0.9), (1e-3, 0.1), (0.1, 0.5)] {
            let settings = StrongWolfe {
                sufficient_decrease: c1,
                curvature: c2,
                ..StrongWolfe::default()
            };
            for first_step in [1e-6, 1e-3, 0.1, 1.0, 10.0, 1e3] {
                let (found, least) = search(&settings, phi, first_step);
                let context = format!("{name}, {c1} {c2}, from {first_step}: {found:?}");
                let (start_value, start_slope) = phi(0.0);
                let SearchOutcome {
                    trial,
                    stop,
                    n_evals,
                } = found;
                assert_eq!(stop, SearchStop::StrongWolfe, "{context}");
                assert_eq!((trial.value, trial.slope), phi(trial.step), "{context}");
                assert!(
                    trial.value <= start_value + c1 * trial.step * start_slope,
                    "{context}"
                );
                assert!(trial.slope.abs() <= c2 * -start_slope, "{context}");
                assert!(
                    trial.value <= least + 1e-12 * least.abs(),
                    "{context}: {least}"
                );
                assert!(n_evals <= 40, "{context}");
            }
        }
    }
}

#[test]
fn a_quadratic_takes_one_interpolation() {
    let phi: Phi = |t| ((t - 2.0).powi(2), 2.0 * (t - 2.0));
    let exact = StrongWolfe {
        curvature: 0.01,
        ..StrongWolfe::default()
    };
    let (found, _) = search(&exact, phi, 8.0);
    assert_eq!((found.stop, found.n_evals), (SearchStop::StrongWolfe, 2));
    assert!((found.trial.step - 2.0).abs() < 16.0 * f64::EPSILON);
}

/// Defined below 1 only, with the minimum at 1 − 1e-3.
#[test]
fn trials_that_are_not_finite_are_stepped_back_from() {
    let phi: Phi = |t| {
        let room = 1.0 - t;
        if room > 0.0 {
            (
                1e-3 / room + t.powi(2) - 9.0 * t,
                1e-3 / room.powi(2) + 2.0 * t - 9.0,
            )
        } else {
            (f64::NAN, f64::INFINITY)
        }
    };
    for first_step in [0.5, 1.0, 2.0, 1e3, 1e12, 1e100] {
        let (found, least) = search(&StrongWolfe::default(), phi, first_step);
        assert_eq!(
            found.stop,
            SearchStop::StrongWolfe,
            "{first_step}: {found:?}"
        );
        assert!(found.trial.value <= least && found.trial.step < 1.0);
    }
}

/// φ = 1 + 1e-18·(t − 1)²: every value rounds to 1, the slopes are exact.
#[test]
fn values_lost_in_rounding_are_decided_by_slopes() {
    let phi: Phi = |t| (1.0, 2e-18 * (t - 1.0));
    for first_step in [1e-3, 0.5, 1.0, 30.0] {
        let (found, _) = search(&StrongWolfe::default(), phi, first_step);
        // c₁·t·φ′(0) vanishes beside φ, so the strong conditions can hold too.
        let accepted = [SearchStop::ApproximateWolfe, SearchStop::StrongWolfe];
        assert!(accepted.contains(&found.stop), "{first_step}: {found:?}");
        let remaining = (found.trial.step - 1.0).abs();
        assert!(remaining <= 0.9, "{first_step}: {found:?}");
    }
}

/// The same with values an ulp higher than the start's, which no decrease condition
/// accepts.
#[test]
fn an_ulp_upwards_is_accepted_by_the_approximate_conditions() {
    let phi: Phi = |t| {
        (
            if t > 0.0 { 1.0 + f64::EPSILON } else { 1.0 },
            2e-18 * (t - 1.0),
        )
    };
    for first_step in [1e-3, 0.5, 1.0, 30.0] {
        let (found, _) = search(&StrongWolfe::default(), phi, first_step);
        assert_eq!(
            found.stop,
            SearchStop::ApproximateWolfe,
            "{first_step}: {found:?}"
        );
        assert!(
            found.trial.slope.abs() <= 0.9 * 2e-18,
            "{first_step}: {found:?}"
        );
    }
}

#[test]
fn failure_returns_the_start_and_a_lower_point_is_kept() {
    let nan: Phi = |t| {
        if t > 0.0 {
            (f64::NAN, f64::NAN)
        } else {
            (1.0, -1.0)
        }
    };
    let (found, _) = search(&StrongWolfe::default(), nan, 1.0);
    assert_eq!((found.stop, found.trial.step), (SearchStop::Failed, 0.0));
    // Unbounded below: no trial has a small slope, the lowest is returned.
    let line: Phi = |t| (-t, -1.0);
    let (found, least) = search(&StrongWolfe::default(), line, 1.0);
    assert_eq!((found.stop, found.trial.value), (SearchStop::Lower, least));
    assert_eq!(found.n_evals, 40);
}

#[test]
fn single_precision() {
    let start = Trial {
        step: 0.0_f32,
        value: 4.0,
        slope: -4.0,
    };
    let found = StrongWolfe::default().search(start, 1e-2, |t: f32| {
        ((t - 2.0) * (t - 2.0), 2.0 * (t - 2.0))
    });
    assert_eq!(found.stop, SearchStop::StrongWolfe);
}
