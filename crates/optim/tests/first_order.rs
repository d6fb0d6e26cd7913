//! The update rules against trajectories of PyTorch and optax themselves, written by
//! `reference/first_order.py`.

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
    serde_json::from_str(include_str!("reference/first_order.json")).unwrap()
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
        println!("{} {} {} {distance}", run.library, run.case, run.dtype);
    }
}
