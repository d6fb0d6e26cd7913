//! Deep programs on a small stack: no pass recurses on the depth of a program, whatever it is made of.
#![allow(
    clippy::unwrap_used,
    reason = "a failure ends the test, in helpers as in the tests themselves"
)]

use ad_core::{Function, Program, Var, concatenate};
use ndarray::{Array1, Array2};

/// A stack that a few thousand frames fill.
const STACK: usize = 256 << 10;

/// A family of programs: its name, how many parameters it has, what it begins with, and one link.
type Family = (
    &'static str,
    usize,
    for<'t> fn(Var<'t>) -> Var<'t>,
    for<'t> fn(Var<'t>, Var<'t>) -> Var<'t>,
);

/// One family for each kind of instruction, and for views of views; values stay of one size along a
/// chain at x = ½, and derivatives grow like its length.
const FAMILIES: [Family; 11] = [
    ("functions of a number", 1, |x| x.at(0), |y, _| y.sin()),
    ("functions of a vector", 3, |x| x, |y, _| y.sin()),
    ("sums and products", 3, |x| x, |y, x| y * x + x),
    (
        "reshapes and transposes",
        6,
        |x| x,
        |y, _| y.reshape(&[2, 3]).t().reshape(&[6]),
    ),
    ("stopped gradients", 3, |x| x, |y, _| y.stop_gradient()),
    (
        "stretched arrays without elements",
        1,
        |x| x.slice(0, 0..0),
        |y, _| {
            y.reshape(&[0, 1])
                .broadcast_to(&[0, 5])
                .slice(1, 0..1)
                .reshape(&[0])
        },
    ),
    (
        "reductions and stretches",
        3,
        |x| x,
        |y, x| y.sum().broadcast_to(&[3]) * x * (2.0 / 3.0),
    ),
    (
        "maxima",
        3,
        |x| x,
        |y, x| y.max_axis(0).broadcast_to(&[3]) * x * 2.0,
    ),
    (
        "matrix products",
        4,
        |x| x.reshape(&[2, 2]),
        |y, x| y.matmul(x.reshape(&[2, 2])),
    ),
    (
        "slices and placements",
        3,
        |x| x,
        |y, _| concatenate(0, &[y.slice(0, 1..3), y.slice(0, 0..1)]),
    ),
    (
        "placements of functions",
        3,
        |x| x,
        |y, x| concatenate(0, &[y.slice(0, 0..2).sin(), x.slice(0, 2..3)]),
    ),
];

/// Runs on a thread with a small stack.
fn on_a_small_stack(run: impl FnOnce() + Send + 'static) {
    let builder = std::thread::Builder::new().stack_size(STACK);
    builder.spawn(run).unwrap().join().unwrap();
}

/// Every program of a function of `n` parameters, made and run.
fn run_all(name: &str, f: &Function<f64>, n: usize) {
    let x = Array1::from_elem(n, 0.5);
    let v = Array1::from_shape_fn(n, |at| 1.0 - at as f64 * 0.25);
    let value = f.value(&x).unwrap();
    let (again, gradient) = f.value_and_grad(&x).unwrap();
    let (_, tangent) = f.jvp(&x, v.view()).unwrap();
    assert_eq!(value.to_bits(), again.to_bits(), "{name}");
    // Chains of a hundred thousand links amplify rounding by as much, or forget where they began.
    let scale = gradient.dot(&gradient).sqrt().max(f64::MIN_POSITIVE) * v.dot(&v).sqrt();
    let error = (tangent.sum() - gradient.dot(&v)).abs();
    assert!(error <= 1e6 * f64::EPSILON * scale, "{name}: {error}");
    let product = f.hvp(&x, v.view()).unwrap();
    let at = f.linearize(&x).unwrap();
    let linearized = at.hvp(v.view()).unwrap();
    let block = at.hvp_block(Array2::from_elem((2, n), 1.0).view()).unwrap();
    assert_eq!((linearized.len(), block.dim()), (n, (2, n)), "{name}");
    let difference = (&product - &linearized).mapv(f64::abs).sum();
    let scale = product.mapv(f64::abs).sum();
    assert!(
        difference <= 1e6 * f64::EPSILON * scale,
        "{name}: {difference}"
    );
    assert!(f.hessian(&x).is_ok() && f.explain(Program::Hvp).is_ok());
    assert!(f.listing().lines().count() > 1);
}

fn chain((name, n, start, link): Family, depth: usize) {
    on_a_small_stack(move || {
        let f = Function::<f64>::record(n, |x| {
            let mut y = start(x);
            for _ in 0..depth {
                y = link(y, x);
            }
            (y * 0.5).square().sum()
        });
        run_all(name, &f.unwrap(), n);
    });
}

#[test]
fn every_family_runs_at_depth_ten_thousand() {
    for family in FAMILIES {
        chain(family, 10_000);
    }
}

/// Takes minutes and gigabytes.
#[test]
#[ignore = "long; run by hand in release"]
fn every_family_runs_at_depth_a_million() {
    for family in FAMILIES {
        let start = std::time::Instant::now();
        chain(family, 1_000_000);
        eprintln!("{}: {:?}", family.0, start.elapsed());
    }
}

/// Two long chains whose results meet in one sum: a group of products, the last ones of which are
/// recorded long before their operand.
#[test]
fn two_long_chains_share_a_sum() {
    on_a_small_stack(|| {
        fn chain(mut y: Var<'_>) -> Var<'_> {
            for _ in 0..100_000 {
                y = y.sin();
            }
            y
        }
        let f = Function::<f64>::record_scalars(12, |v| {
            let a = chain(v[0]);
            let mut sum = a * v[2];
            let b = chain(v[1]);
            for other in &v[3..11] {
                sum += b * *other;
            }
            sum
        });
        let f = f.unwrap();
        // sin(sin(…)) falls like √(3/n) from wherever it began.
        let end = (3.0_f64 / 100_000.0).sqrt();
        let value = f.value(&[1.0; 12]).unwrap();
        assert!((value / (9.0 * end) - 1.0).abs() < 1e-3, "{value}");
        let gradient = f.gradient(&[1.0; 12]).unwrap();
        assert!((gradient[5] / end - 1.0).abs() < 1e-3, "{gradient}");
    });
}
