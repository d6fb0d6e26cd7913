//! The strong Wolfe search on functions that searches find hard.

use std::f64::consts::PI;

use ad_core::Real;
use optim::line_search::{SearchOutcome, SearchStop, StrongWolfe, Trial};
use optim::minimize::Noise;
use proptest::prelude::*;
use test_problems::cases;

type Phi = fn(f64) -> (f64, f64);

/// √(1 + β²) − β.
fn gamma(beta: f64) -> f64 {
    (1.0 + beta * beta).sqrt() - beta
}

/// Yanai, Ozawa and Kaneko's function, of which Moré and Thuente's 4 to 6 are cases.
fn yanai(t: f64, a: f64, b: f64) -> (f64, f64) {
    let (left, right) = ((1.0 - t).hypot(b), t.hypot(a));
    let value = gamma(a) * left + gamma(b) * right;
    let slope = gamma(b) * t / right - gamma(a) * (1.0 - t) / left;
    (value, slope)
}

/// A function with constants c₁ and c₂ to search it with and scipy's evaluations from 1e-3, 0.1, 10, 1e3.
type Case = (&'static str, Phi, f64, f64, [u64; 4]);

/// The six test functions of Moré and Thuente (1994) with their constants. The counts are those of the
/// original algorithm, `scipy.optimize._dcsrch.DCSRCH` 1.17.1 with xtol = 1e-10, stpmax = 1e10.
const MORE_THUENTE: [Case; 6] = [
    (
        "1: concave, then convex",
        |t| (-t / (t * t + 2.0), (t * t - 2.0) / (t * t + 2.0).powi(2)),
        1e-3,
        0.1,
        [6, 3, 1, 4],
    ),
    (
        "2: steep valley at 1.6",
        |t| {
            let s = t + 0.004;
            (
                s.powi(5) - 2.0 * s.powi(4),
                5.0 * s.powi(4) - 8.0 * s.powi(3),
            )
        },
        0.1,
        0.1,
        [12, 8, 8, 11],
    ),
    (
        "3: many local minima",
        many_minima,
        0.1,
        0.1,
        [12, 12, 10, 13],
    ),
    (
        "4: flat in the middle",
        |t| yanai(t, 1e-3, 1e-3),
        1e-3,
        1e-3,
        [4, 1, 3, 4],
    ),
    (
        "5: minimum on the left",
        |t| yanai(t, 0.01, 1e-3),
        1e-3,
        1e-3,
        [6, 3, 7, 8],
    ),
    (
        "6: minimum on the right",
        |t| yanai(t, 1e-3, 0.01),
        1e-3,
        1e-3,
        [13, 11, 8, 11],
    ),
];

fn many_minima(t: f64) -> (f64, f64) {
    let (beta, l) = (0.01, 39.0);
    let frequency = l * PI / 2.0;
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
    let ripple = 2.0 * (1.0 - beta) / (l * PI);
    let wave = (1.0 - beta) * (frequency * t).cos();
    (base.0 + ripple * (frequency * t).sin(), base.1 + wave)
}

/// Functions of other shapes.
const OTHERS: [(&str, Phi); 4] = [
    ("far minimum", |t| {
        ((t / 1e4 - 1.0).powi(2), 2.0 * (t / 1e4 - 1.0) / 1e4)
    }),
    ("exponential wall", |t| (t.exp() - 5.0 * t, t.exp() - 5.0)),
    ("line, then waves", line_then_waves),
    ("defined below 1 only", |t| {
        let room = 1.0 - t;
        if room > 0.0 {
            (
                1e-3 / room + t.powi(2) - 9.0 * t,
                1e-3 / room.powi(2) + 2.0 * t - 9.0,
            )
        } else {
            (f64::NAN, f64::INFINITY)
        }
    }),
];

/// −(a − 1)k up to 1, cos(ka − π) from there: the first minimum is −1 at 4/3 for k = 3π/2.
fn line_then_waves(a: f64) -> (f64, f64) {
    let k = 1.5 * PI;
    if a <= 1.0 {
        (-(a - 1.0) * k, -k)
    } else {
        ((k * a - PI).cos(), -k * (k * a - PI).sin())
    }
}

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

/// Both strong conditions hold, and no trial was lower.
fn assert_strong(
    settings: &StrongWolfe,
    phi: Phi,
    found: &SearchOutcome<f64>,
    least: f64,
    context: &str,
) {
    let context = format!("{context}: {found:?}");
    let (start_value, start_slope) = phi(0.0);
    let trial = found.trial;
    assert_eq!(found.stop, SearchStop::StrongWolfe, "{context}");
    assert_eq!((trial.value, trial.slope), phi(trial.step), "{context}");
    let line = start_value + settings.sufficient_decrease * trial.step * start_slope;
    assert!(trial.value <= line, "{context}");
    assert!(
        trial.slope.abs() <= settings.curvature * -start_slope,
        "{context}"
    );
    assert!(trial.value <= least, "{context}: {least}");
    assert!(found.n_evals <= settings.max_evals, "{context}");
}

#[test]
fn more_and_thuentes_functions_take_no_more_trials_than_their_algorithm() {
    for (name, phi, c1, c2, counts) in MORE_THUENTE {
        let settings = StrongWolfe {
            sufficient_decrease: c1,
            curvature: c2,
            ..StrongWolfe::default()
        };
        for (first_step, count) in [1e-3, 0.1, 10.0, 1e3].into_iter().zip(counts) {
            let (found, least) = search(&settings, phi, first_step);
            assert_strong(
                &settings,
                phi,
                &found,
                least,
                &format!("{name} from {first_step}"),
            );
            assert!(
                found.n_evals <= count,
                "{name} from {first_step}: {found:?}, {count}"
            );
        }
    }
}

#[test]
fn both_wolfe_conditions_hold_from_steps_of_any_size() {
    let all = MORE_THUENTE.map(|(name, phi, ..)| (name, phi));
    for (name, phi) in all.into_iter().chain(OTHERS) {
        for (c1, c2) in [(1e-4, 0.9), (1e-3, 0.1), (0.1, 0.5)] {
            let settings = StrongWolfe {
                sufficient_decrease: c1,
                curvature: c2,
                ..StrongWolfe::default()
            };
            for first_step in [1e-6, 1e-3, 0.1, 1.0, 10.0, 1e3] {
                let (found, least) = search(&settings, phi, first_step);
                let context = format!("{name}, {c1} {c2}, from {first_step}");
                if found.stop == SearchStop::Lower {
                    // Lower than what satisfies the conditions, by less than the first of them asks.
                    let (value, slope) = phi(0.0);
                    let line = value + c1 * found.trial.step * slope;
                    assert!(
                        found.trial.value > line && found.trial.value <= least,
                        "{context}"
                    );
                    continue;
                }
                assert_strong(&settings, phi, &found, least, &context);
            }
        }
    }
}

/// A trial that satisfies the conditions, but is higher than one before it, is not the end.
#[test]
fn a_wolfe_point_above_another_trial_is_not_taken() {
    let (found, least) = search(&StrongWolfe::default(), line_then_waves, 1.0);
    assert_strong(
        &StrongWolfe::default(),
        line_then_waves,
        &found,
        least,
        "from 1",
    );
    assert!(found.trial.value < -0.5, "{found:?}");
    let exact = StrongWolfe {
        curvature: 1e-3,
        ..StrongWolfe::default()
    };
    let (found, _) = search(&exact, line_then_waves, 1.0);
    // cos″ = k² there: a slope of 1e-3·k is a distance of 1e-3/k.
    assert!((found.trial.step - 4.0 / 3.0).abs() <= 1e-3 && found.trial.value < -1.0 + 1e-6);
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

#[test]
fn trials_that_are_not_finite_are_stepped_back_from() {
    let (_, phi) = OTHERS[3];
    for first_step in [0.5, 1.0, 2.0, 1e3, 1e12, 1e100] {
        let settings = StrongWolfe::default();
        let (found, least) = search(&settings, phi, first_step);
        assert_strong(&settings, phi, &found, least, &format!("from {first_step}"));
        assert!(found.trial.step < 1.0);
    }
}

/// φ = 1 + 1e-18·(t − 1)²: every value rounds to 1, the slopes are exact.
#[test]
fn values_lost_in_rounding_are_decided_by_slopes() {
    let phi: Phi = |t| (1.0, 2e-18 * (t - 1.0));
    for first_step in [1e-3, 0.5, 1.0, 30.0] {
        let (found, _) = search(&StrongWolfe::default(), phi, first_step);
        // c₁·t·φ′(0) vanishes beside φ, so the strong conditions can hold too.
        assert!(found.stop.is_accepted(), "{first_step}: {found:?}");
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

/// Noise a million times what rounding of φ would explain, as of a sum that cancels: it is measured,
/// and then the slopes decide.
#[test]
fn noise_that_values_do_not_show_is_measured() {
    let phi: Phi = |t| {
        // Some bits of t, as rounding would have them.
        let hash = (t * 1e3).to_bits().wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
        let noise = if t > 0.0 {
            hash as f64 / f64::from(1 << 24)
        } else {
            0.0
        };
        (
            88.0 + 1e-12 * (t - 1.0).powi(2) + 2e-9 * noise,
            2e-12 * (t - 1.0),
        )
    };
    for first_step in [0.25, 1.0, 3.0] {
        let (found, _) = search(&StrongWolfe::default(), phi, first_step);
        assert!(found.stop.is_accepted(), "{first_step}: {found:?}");
        assert!(
            (found.trial.step - 1.0).abs() <= 0.9,
            "{first_step}: {found:?}"
        );
    }
}

/// One row for each way to end without a step that is accepted; none of them panics.
#[test]
fn every_other_ending_is_typed() {
    let line: Phi = |t| (-t, -1.0);
    let nan: Phi = |t| {
        if t > 0.0 {
            (f64::NAN, 0.0)
        } else {
            (1.0, -1.0)
        }
    };
    let slope_nan: Phi = |t| (1.0 - t, if t > 0.0 { f64::NAN } else { -1.0 });
    let wrong: Phi = |t| (1.0 + t, -1.0);
    let uphill: Phi = |t| (t, 1.0);
    let level: Phi = |_| (1.0, 0.0);
    let lost: Phi = |t| {
        if t > 0.0 {
            (1.0, -1.0)
        } else {
            (f64::INFINITY, -1.0)
        }
    };
    // Higher by rounding everywhere, with a slope that never turns.
    let floor: Phi = |t| (if t > 0.0 { 1.0 + f64::EPSILON } else { 1.0 }, -1e-18);
    let rows: [(Phi, f64, SearchStop); 11] = [
        (line, 1.0, SearchStop::EvaluationBudget),
        (line, 1e300, SearchStop::BracketExhausted),
        (nan, 1.0, SearchStop::NonFinite),
        (slope_nan, 1.0, SearchStop::NonFinite),
        (wrong, 1.0, SearchStop::EvaluationBudget),
        (uphill, 1.0, SearchStop::NoDescent),
        (level, 1.0, SearchStop::NoDescent),
        (lost, 1.0, SearchStop::NonFinite),
        (line, 0.0, SearchStop::UnusableStep),
        (line, f64::NAN, SearchStop::UnusableStep),
        (floor, 1.0, SearchStop::NoiseLevel),
    ];
    for (at, (phi, first_step, stop)) in rows.into_iter().enumerate() {
        let (found, least) = search(&StrongWolfe::default(), phi, first_step);
        assert_eq!(found.stop, stop, "row {at}: {found:?}");
        // The lowest trial, or the start.
        assert!(
            found.trial.value <= least || !least.is_finite(),
            "row {at}: {found:?}"
        );
        assert_eq!(
            found.has_step(),
            found.trial.value < phi(0.0).0,
            "row {at}: {found:?}"
        );
        assert!(found.n_evals <= 40 && !found.stop.to_string().is_empty());
    }
    // A start that is not a number has no slope either.
    let start = Trial {
        step: 0.0,
        value: 1.0,
        slope: f64::NAN,
    };
    let found = StrongWolfe::default().search(start, 1.0, line);
    assert_eq!((found.stop, found.n_evals), (SearchStop::NonFinite, 0));
}

/// A bracket is followed down to neighbouring numbers: the least value is at a kink.
#[test]
fn a_kink_exhausts_the_bracket() {
    let phi: Phi = |t| ((t - 0.3).abs(), if t < 0.3 { -1.0 } else { 1.0 });
    let settings = StrongWolfe {
        max_evals: 200,
        ..StrongWolfe::default()
    };
    let (found, least) = search(&settings, phi, 1.0);
    assert_eq!(
        (found.stop, found.trial.value),
        (SearchStop::BracketExhausted, least)
    );
    assert!(
        (found.trial.step - 0.3).abs() <= 4.0 * f64::EPSILON,
        "{found:?}"
    );
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

/// a₀ + a₁t + a₂t² + b·sin(ct), times 2^k, rounded to a grid, with slopes of its own and perhaps a step
/// from which on it is not finite.
#[derive(Debug, Clone)]
struct Shape {
    polynomial: [f64; 3],
    wave: [f64; 2],
    exponent: i32,
    grid: f64,
    slope_error: f64,
    wall: f64,
}

impl Shape {
    fn at<T: Real>(&self, t: T) -> (T, T) {
        let t = t.as_f64();
        if t >= self.wall {
            return (T::nan(), T::infinity());
        }
        let ([a, b, c], [height, frequency]) = (self.polynomial, self.wave);
        let value = a + b * t + c * t * t + height * (frequency * t).sin();
        let slope = b + 2.0 * c * t + height * frequency * (frequency * t).cos();
        let rounded = if self.grid > 0.0 {
            (value / self.grid).round() * self.grid
        } else {
            value
        };
        let scale = 2.0_f64.powi(self.exponent);
        let slope = slope + self.slope_error * (1e4 * t).sin();
        (T::of(scale * rounded), T::of(scale * slope))
    }
}

fn shapes() -> impl Strategy<Value = Shape> {
    let polynomial = [-1e3..1e3_f64, -10.0..1.0, -1.0..10.0];
    let wave = [-1.0..1.0_f64, 0.1..50.0];
    let grid = prop_oneof![Just(0.0), Just(1e-9), Just(1e-3), Just(10.0)];
    let slope_error = prop_oneof![Just(0.0), Just(1e-6), Just(5.0)];
    let wall = prop_oneof![Just(f64::INFINITY), Just(1e-3), 0.01..10.0_f64, Just(0.0)];
    (polynomial, wave, -60..60_i32, grid, slope_error, wall).prop_map(
        |(polynomial, wave, exponent, grid, slope_error, wall)| Shape {
            polynomial,
            wave,
            exponent,
            grid,
            slope_error,
            wall,
        },
    )
}

/// What holds for any function: the search returns within its evaluations, with a trial that it made,
/// or the start; and none was lower, but by noise for the approximate conditions.
fn ends_well<T: Real>(shape: &Shape, first_step: f64, max_evals: u64) {
    let (value, slope) = shape.at(T::zero());
    let start = Trial {
        step: T::zero(),
        value,
        slope,
    };
    let settings = StrongWolfe {
        max_evals,
        ..StrongWolfe::default()
    };
    let mut trials = vec![start];
    let mut noise = Noise::new(value);
    let found = settings.search_with(start, T::of(first_step), &mut noise, |step| {
        let (value, slope) = shape.at(step);
        trials.push(Trial { step, value, slope });
        (value, slope)
    });
    let context = format!("{} {shape:?} {first_step} {found:?}", T::NAME);
    assert_eq!(found.n_evals, trials.len() as u64 - 1, "{context}");
    assert!(found.n_evals <= max_evals, "{context}");
    if !start.is_finite() {
        assert_eq!(
            (found.stop, found.n_evals),
            (SearchStop::NonFinite, 0),
            "{context}"
        );
        return;
    }
    assert!(trials.contains(&found.trial), "{context}");
    let finite = trials.iter().filter(|trial| trial.is_finite());
    let least = finite.fold(value, |least, trial| least.min(trial.value));
    let allowance = if found.stop == SearchStop::ApproximateWolfe {
        noise.level(found.trial.value, least)
    } else {
        T::zero()
    };
    assert!(found.trial.value <= least + allowance, "{context} {least}");
    if found.stop == SearchStop::StrongWolfe {
        let line = value + T::of(1e-4) * found.trial.step * slope;
        assert!(found.trial.value <= line, "{context}");
        assert!(found.trial.slope.abs() <= T::of(-0.9) * slope, "{context}");
    }
    assert_eq!(
        found.stop == SearchStop::NoDescent,
        slope >= T::zero(),
        "{context}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(256), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_search_ends_with_its_lowest_trial(
        shape in shapes(), exponent in -40..40_i32, max_evals in 1..60_u64
    ) {
        let first_step = 2.0_f64.powi(exponent);
        ends_well::<f64>(&shape, first_step, max_evals);
        ends_well::<f32>(&shape, first_step, max_evals);
    }
}
