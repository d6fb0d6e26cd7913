//! Deep programs on a small stack: no pass recurses on the depth of a program, whatever it is made of.
//!
//! A million links in each chain, one family at a time:
//! `AD_CORE_DEPTH=1000000 cargo test --release -p ad-core --test depth NAME -- --nocapture`.
#![allow(
    clippy::unwrap_used,
    reason = "a failure ends the test, in helpers as in the tests themselves"
)]

use ad_core::{Function, Program, Var, concatenate};
use ndarray::{Array1, Array2};

/// A stack that a few thousand frames fill.
const STACK: usize = 256 << 10;

/// How many links the chains have: as many as the environment variable `AD_CORE_DEPTH` says.
fn depth() -> usize {
    let depth = std::env::var("AD_CORE_DEPTH");
    depth.map_or(20_000, |depth| depth.parse().unwrap())
}

/// A family of programs: how many parameters it has, what a chain begins with, and one link of it.
type Family = (
    usize,
    for<'t> fn(Var<'t>) -> Var<'t>,
    for<'t> fn(Var<'t>, Var<'t>) -> Var<'t>,
);

/// A test for each family.
macro_rules! families {
    ($($name:ident: $family:expr;)*) => {$(
        #[test]
        fn $name() {
            chain(stringify!($name), $family);
        }
    )*};
}

// One family for each kind of instruction, and for views of views; values stay of one size along a
// chain at x = ½, and derivatives grow like its length.
families! {
    functions_of_a_number: (1, |x| x.at(0), |y, _| y.sin());
    functions_of_a_vector: (3, |x| x, |y, _| y.sin());
    sums_and_products: (3, |x| x, |y, x| y * x + x);
    reshapes_and_transposes: (6, |x| x, |y, _| y.reshape(&[2, 3]).t().reshape(&[6]));
    stopped_gradients: (3, |x| x, |y, _| y.stop_gradient());
    stretched_arrays_without_elements: (
        1,
        |x| x.slice(0, 0..0),
        |y, _| {
            let row = y.reshape(&[0, 1]).broadcast_to(&[0, 5]);
            row.slice(1, 0..1).reshape(&[0])
        },
    );
    reductions_and_stretches: (
        3,
        |x| x,
        |y, x| y.sum().broadcast_to(&[3]) * x * (2.0 / 3.0),
    );
    maxima: (3, |x| x, |y, x| y.max_axis(0).broadcast_to(&[3]) * x * 2.0);
    matrix_products: (4, |x| x.reshape(&[2, 2]), |y, x| y.matmul(x.reshape(&[2, 2])));
    slices_and_placements: (
        3,
        |x| x,
        |y, _| concatenate(0, &[y.slice(0, 1..3), y.slice(0, 0..1)]),
    );
    placements_of_functions: (
        3,
        |x| x,
        |y, x| concatenate(0, &[y.slice(0, 0..2).sin(), x.slice(0, 2..3)]),
    );
}

/// Runs on a thread with a small stack.
fn on_a_small_stack(run: impl FnOnce() + Send + 'static) {
    let builder = std::thread::Builder::new().stack_size(STACK);
    builder.spawn(run).unwrap().join().unwrap();
}

/// Every program of a function of `n` parameters, made and run. `record` records it again for each of
/// a few of them, so that not all are there at the same time.
fn run_all(name: &str, record: impl Fn() -> Function<f64>, n: usize) {
    let x = Array1::from_elem(n, 0.5);
    let v = Array1::from_shape_fn(n, |at| 1.0 - at as f64 * 0.25);
    first_order(name, &record(), &x, &v);
    let product = record().hvp(&x, v.view()).unwrap();
    let linearized = products(name, &record(), &x, &v);
    assert_close(name, &linearized, &product);
    let f = record();
    assert!(f.hessian(&x).is_ok(), "{name}");
    assert!(f.listing().lines().count() > 1);
}

/// Whether two ways to the same vector agree. Chains of a hundred thousand links amplify rounding by
/// as much, or forget where they began.
fn assert_close(name: &str, found: &Array1<f64>, expected: &Array1<f64>) {
    let difference = (found - expected).mapv(f64::abs).sum();
    let scale = expected.mapv(f64::abs).sum();
    assert!(
        difference <= 1e6 * f64::EPSILON * scale,
        "{name}: {difference}"
    );
}

/// Products of a linearization, one by one and in a block; returns H·v.
fn products(name: &str, f: &Function<f64>, x: &Array1<f64>, v: &Array1<f64>) -> Array1<f64> {
    let at = f.linearize(x).unwrap();
    let product = at.hvp(v.view()).unwrap();
    let block = Array2::from_shape_fn((2, v.len()), |(row, at)| v[at] * (row + 1) as f64);
    let block = at.hvp_block(block.view()).unwrap();
    assert_close(name, &block.row(0).to_owned(), &product);
    assert_close(name, &block.row(1).to_owned(), &(&product * 2.0));
    assert!(f.explain(Program::Hvp).is_ok(), "{name}");
    product
}

/// Value, gradient and directional derivative.
fn first_order(name: &str, f: &Function<f64>, x: &Array1<f64>, v: &Array1<f64>) {
    let value = f.value(x).unwrap();
    let (again, gradient) = f.value_and_grad(x).unwrap();
    let (_, tangent) = f.jvp(x, v.view()).unwrap();
    assert_eq!(value.to_bits(), again.to_bits(), "{name}");
    let scale = gradient.dot(&gradient).sqrt().max(f64::MIN_POSITIVE) * v.dot(v).sqrt();
    let error = (tangent.sum() - gradient.dot(v)).abs();
    assert!(error <= 1e6 * f64::EPSILON * scale, "{name}: {error}");
}

fn chain(name: &'static str, (n, start, link): Family) {
    let (depth, begin) = (depth(), std::time::Instant::now());
    on_a_small_stack(move || {
        let record = || {
            let f = Function::<f64>::record(n, |x| {
                let mut y = start(x);
                for _ in 0..depth {
                    y = link(y, x);
                }
                (y * 0.5).square().sum()
            });
            f.unwrap()
        };
        run_all(name, record, n);
    });
    println!("{name}: {depth} links, {:.1?}", begin.elapsed());
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
