//! The update rules against trajectories of PyTorch and optax themselves, written by
//! `tests/reference/first_order.py`.

use ad_core::Real;
use ndarray::Array1;
use optim::first_order::{Adam, Convention, FirstOrder, RmsProp, Sgd, WeightDecay};
use serde::Deserialize;

#[derive(Deserialize)]
struct Reference {
    kept_steps: Vec<usize>,
    start: Vec<u64>,
    gradients: Vec<Vec<u64>>,
    rates: Vec<u64>,
    runs: Vec<Run>,
}

#[derive(Deserialize)]
struct Run {
    library: String,
    case: String,
    dtype: String,
    params: Vec<Vec<u64>>,
}

fn reference() -> Reference {
    serde_json::from_str(include_str!("../reference/first_order.json")).unwrap()
}

fn vector<T: Real>(bits: &[u64]) -> Array1<T> {
    bits.iter().map(|&b| T::of(f64::from_bits(b))).collect()
}

/// The distance of two numbers in units of the last place of the larger, where
/// numbers below `floor` count as `floor`.
fn ulps<T: Real>(a: T, b: T, floor: T) -> f64 {
    let scale = a.abs().max(b.abs()).max(floor) * T::epsilon();
    ((a - b).abs() / scale).as_f64()
}

/// Follows a rule along the reference gradients; the largest distance in ulps.
fn largest_distance<T: Real, R: FirstOrder<T>>(rule: &R, reference: &Reference, run: &Run) -> f64 {
    let mut x = vector::<T>(&reference.start);
    let mut state = rule.init(x.len());
    let mut kept = run.params.iter();
    let mut worst: f64 = 0.0;
    for (k, (grad, &rate)) in reference.gradients.iter().zip(&reference.rates).enumerate() {
        let grad = vector::<T>(grad);
        rule.step(&mut state, x.view_mut(), grad.view(), f64::from_bits(rate));
        if reference.kept_steps.contains(&(k + 1)) {
            let want = vector::<T>(kept.next().unwrap());
            for (&a, &b) in x.iter().zip(&want) {
                assert!(a.is_finite() && b.is_finite());
                worst = worst.max(ulps(a, b, T::of(1e-3)));
            }
        }
    }
    assert!(kept.next().is_none(), "every kept point was compared");
    worst
}

fn distance_in<T: Real>(reference: &Reference, run: &Run) -> f64 {
    let (convention, alpha) = match run.library.as_str() {
        "torch" => (Convention::PyTorch, 0.99),
        "optax" => (Convention::Optax, 0.9),
        other => panic!("unknown library {other}"),
    };
    let sgd = |rule: Sgd| largest_distance::<T, _>(&rule, reference, run);
    let adam = |rule: Adam| largest_distance::<T, _>(&rule, reference, run);
    let rmsprop = |rule: RmsProp| largest_distance::<T, _>(&rule, reference, run);
    let momentum = |momentum, nesterov| Sgd {
        momentum,
        nesterov,
        weight_decay: 0.0,
    };
    let plain = Adam {
        convention,
        ..Adam::default()
    };
    let root = RmsProp {
        convention,
        ..RmsProp::default()
    };
    match run.case.as_str() {
        "sgd" => sgd(Sgd::plain()),
        "sgd_momentum" => sgd(momentum(0.9, false)),
        "sgd_nesterov" => sgd(momentum(0.9, true)),
        "sgd_nesterov_decay" => sgd(Sgd {
            weight_decay: 0.01,
            ..momentum(0.8, true)
        }),
        "adam" => adam(plain),
        "adam_betas" => adam(Adam {
            beta1: 0.4,
            beta2: 0.95,
            epsilon: 1e-3,
            ..plain
        }),
        "adam_coupled" => adam(Adam {
            weight_decay: WeightDecay::Coupled(0.1),
            ..plain
        }),
        "adamw" => adam(Adam {
            weight_decay: WeightDecay::Decoupled(0.1),
            ..plain
        }),
        "rmsprop" => rmsprop(RmsProp {
            decay: alpha,
            ..root
        }),
        "rmsprop_momentum" => rmsprop(RmsProp {
            decay: 0.9,
            momentum: 0.9,
            ..root
        }),
        "rmsprop_centered" => rmsprop(RmsProp {
            decay: 0.9,
            centered: true,
            epsilon: 1e-4,
            ..root
        }),
        "rmsprop_all" => rmsprop(RmsProp {
            decay: 0.9,
            centered: true,
            momentum: 0.5,
            weight_decay: 0.01,
            epsilon: 1e-4,
            ..root
        }),
        other => panic!("unknown case {other}"),
    }
}

/// Whether a run must agree to the last bit.
///
/// The others use operations that the libraries do not round correctly: PyTorch's
/// square root (MKL's vector library, right to an ulp) in RMSProp, XLA's power of β
/// in `f64` and its reciprocal square root.
fn is_exact(run: &Run) -> bool {
    let (library, case) = (run.library.as_str(), run.case.as_str());
    let is_f32_adam = case == "adam" || case == "adamw";
    case.starts_with("sgd")
        || library == "torch" && case.starts_with("adam")
        || library == "optax" && run.dtype == "float32" && is_f32_adam
}

#[test]
fn trajectories_are_those_of_pytorch_and_optax() {
    let reference = reference();
    assert_eq!(reference.runs.len(), 48);
    for run in &reference.runs {
        let distance = match run.dtype.as_str() {
            "float32" => distance_in::<f32>(&reference, run),
            "float64" => distance_in::<f64>(&reference, run),
            other => panic!("unknown type {other}"),
        };
        // An ulp or two in each of 25 steps, of which most cancel.
        let most = if is_exact(run) { 0.0 } else { 16.0 };
        assert!(
            distance <= most,
            "{} {} {}: {distance}",
            run.library,
            run.case,
            run.dtype
        );
    }
}

/// The bits do tell the two conventions apart.
#[test]
fn the_other_convention_is_not_exact() {
    let reference = reference();
    let torch_adam =
        |run: &&Run| run.library == "torch" && run.case == "adam" && run.dtype == "float64";
    let run = reference.runs.iter().find(torch_adam).unwrap();
    let optax = Adam {
        convention: Convention::Optax,
        ..Adam::default()
    };
    assert!(largest_distance::<f64, _>(&Adam::default(), &reference, run) <= 0.0);
    assert!(largest_distance::<f64, _>(&optax, &reference, run) > 0.0);
}

/// Under a changing rate the momentum variants of RMSProp are different methods:
/// after rates 1 and 0 with μ = ½, PyTorch stands still and optax coasts.
#[test]
fn optax_rmsprop_keeps_the_rate_in_its_buffer() {
    let after_two_steps = |convention| {
        let rule = RmsProp {
            momentum: 0.5,
            convention,
            ..RmsProp::default()
        };
        let mut x = Array1::from_elem(1, 0.0_f64);
        let mut state = FirstOrder::<f64>::init(&rule, 1);
        let grad = Array1::from_elem(1, 1.0);
        rule.step(&mut state, x.view_mut(), grad.view(), 1.0);
        let first = x[0];
        rule.step(&mut state, x.view_mut(), grad.view(), 0.0);
        (first, x[0])
    };
    let (first, second) = after_two_steps(Convention::PyTorch);
    assert_eq!(first.to_bits(), second.to_bits());
    let (first, second) = after_two_steps(Convention::Optax);
    assert_eq!(second.to_bits(), (1.5 * first).to_bits());
}

/// v − ḡ² of a constant gradient is zero up to rounding of either sign.
#[test]
fn a_centred_constant_gradient_gives_no_nan() {
    for convention in [Convention::PyTorch, Convention::Optax] {
        let rule = RmsProp {
            decay: 0.1,
            centered: true,
            convention,
            ..RmsProp::default()
        };
        let mut x = Array1::from_elem(1, 0.0_f32);
        let mut state = FirstOrder::<f32>::init(&rule, 1);
        for _ in 0..100 {
            rule.step(
                &mut state,
                x.view_mut(),
                Array1::from_elem(1, 0.1).view(),
                1e-6,
            );
            assert!(x[0].is_finite());
        }
    }
}

/// Parameters and gradients may be strided views; the result does not depend on it.
#[test]
fn strided_views_give_the_same_bits() {
    let rule = Adam::default();
    let grad = Array1::from_shape_fn(33, |i| (i as f64).sin());
    let mut x = Array1::from_shape_fn(33, |i| (i as f64).cos());
    let mut wide = ndarray::Array2::zeros((33, 2));
    wide.column_mut(1).assign(&x);
    let (mut one, mut other) = (rule.init(33), rule.init(33));
    for _ in 0..3 {
        rule.step(&mut one, x.view_mut(), grad.view(), 0.1);
        rule.step(&mut other, wide.column_mut(1), grad.view(), 0.1);
    }
    assert!(
        x.iter()
            .zip(wide.column(1))
            .all(|(a, b)| a.to_bits() == b.to_bits())
    );
}

fn resumes<T: Real, R: FirstOrder<T>>(rule: &R) {
    let grad = |k: usize| Array1::from_shape_fn(9, |i| T::of(((i + 9 * k) as f64).sin()));
    let mut x = Array1::from_elem(9, T::one());
    let mut state = rule.init(9);
    let advance = |x: &mut Array1<T>, state: &mut R::State, steps: std::ops::Range<usize>| {
        steps.for_each(|k| rule.step(state, x.view_mut(), grad(k).view(), 0.1));
    };
    advance(&mut x, &mut state, 0..5);
    let (mut x_resumed, text) = (x.clone(), serde_json::to_string(&state).unwrap());
    advance(&mut x, &mut state, 5..12);
    let mut resumed: R::State = serde_json::from_str(&text).unwrap();
    advance(&mut x_resumed, &mut resumed, 5..12);
    assert!(
        x.iter()
            .zip(&x_resumed)
            .all(|(a, b)| a.as_f64().to_bits() == b.as_f64().to_bits())
    );
}

#[test]
fn states_survive_text_exactly() {
    let rmsprop = RmsProp {
        momentum: 0.9,
        centered: true,
        ..RmsProp::optax()
    };
    resumes::<f64, _>(&Sgd::default());
    resumes::<f32, _>(&Sgd::default());
    resumes::<f64, _>(&Sgd::plain());
    resumes::<f64, _>(&Adam::adamw(Convention::PyTorch));
    resumes::<f32, _>(&Adam::adamw(Convention::Optax));
    resumes::<f64, _>(&rmsprop);
    resumes::<f32, _>(&rmsprop);
}

#[test]
fn hyperparameters_out_of_range_are_named() {
    let message = |result: Result<(), hvp_solvers::SolverError>| result.unwrap_err().to_string();
    let adam = Adam {
        beta2: 1.0,
        ..Adam::default()
    };
    assert_eq!(
        message(FirstOrder::<f64>::check(&adam)),
        "beta2 = 1 cannot be used: in [0, 1)"
    );
    let nan = RmsProp {
        epsilon: f64::NAN,
        ..RmsProp::default()
    };
    assert!(message(FirstOrder::<f64>::check(&nan)).starts_with("epsilon = NaN"));
    let negative = Sgd {
        weight_decay: -1.0,
        ..Sgd::default()
    };
    assert!(message(FirstOrder::<f32>::check(&negative)).starts_with("weight_decay = -1"));
}

#[test]
#[should_panic(expected = "parameters and gradient differ in length")]
fn a_gradient_of_another_length_is_refused() {
    let rule = Sgd::plain();
    let mut state = FirstOrder::<f64>::init(&rule, 2);
    let mut x = Array1::zeros(2);
    rule.step(&mut state, x.view_mut(), Array1::zeros(3).view(), 0.1);
}

/// PyTorch 2 on one parameter with g = 1e160 (f64) or 1e25 (f32), at rate 1e-2: centred RMSProp has NaN,
/// as ∞ − ∞ has no root; the other rules divide by ∞ and stand still.
#[test]
fn squares_that_overflow_give_what_the_libraries_give_and_never_a_large_step() {
    fn step<T: Real, R: FirstOrder<T>>(rule: &R, g: f64) -> T {
        let mut x = Array1::from_elem(1, T::one());
        let mut state = rule.init(1);
        let grad = Array1::from_elem(1, T::of(g));
        rule.step(&mut state, x.view_mut(), grad.view(), 1e-2);
        x[0]
    }
    for convention in [Convention::PyTorch, Convention::Optax] {
        for momentum in [0.0, 0.9] {
            let centred = RmsProp {
                centered: true,
                decay: 0.9,
                momentum,
                convention,
                ..RmsProp::default()
            };
            let plain = RmsProp {
                centered: false,
                ..centred
            };
            let adam = Adam {
                convention,
                ..Adam::default()
            };
            for sign in [-1.0, 1.0] {
                assert!(step::<f64, _>(&centred, sign * 1e160).is_nan());
                assert!(step::<f32, _>(&centred, sign * 1e25).is_nan());
                assert_eq!(step::<f64, _>(&plain, sign * 1e160), 1.0);
                assert_eq!(step::<f32, _>(&plain, sign * 1e25), 1.0);
                assert_eq!(step::<f64, _>(&adam, sign * 1e160), 1.0);
                assert_eq!(step::<f32, _>(&adam, sign * 1e25), 1.0);
            }
            // Up to the stated limit, steps are finite and of the usual size.
            let largest = FirstOrder::<f64>::largest_gradient(&centred);
            assert!((step::<f64, _>(&plain, 0.9 * largest) - 1.0).abs() < 1.0);
            assert!((step::<f64, _>(&adam, 0.9 * largest) - 1.0).abs() < 1.0);
        }
    }
}

#[test]
#[should_panic(expected = "a state of another rule")]
fn a_state_of_another_rule_is_refused() {
    let mut state = FirstOrder::<f64>::init(&Sgd::plain(), 2);
    let (mut x, grad) = (Array1::zeros(2), Array1::zeros(2));
    Sgd::default().step(&mut state, x.view_mut(), grad.view(), 0.1);
}
