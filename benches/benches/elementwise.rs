//! The elementwise functions through a recorded function, beside a scalar loop over the standard
//! library: 4096 numbers, so that arguments and results stay in the second cache.
//!
//! `cargo bench -p benches --bench elementwise` times each op as `f64/ln` against `f64/ln (std)`.
#![allow(missing_docs, reason = "criterion's macros make undocumented items")]

use std::hint::black_box;

use ad_core::{Function, Point, Real, Var};
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

/// Elements of a call.
const N: usize = 4096;

/// One op: its name, where its arguments lie, how it is recorded, and the scalar function.
struct Case<T> {
    name: &'static str,
    range: (f64, f64),
    record: for<'t> fn(Var<'t>) -> Var<'t>,
    std: fn(T) -> T,
}

/// The exponent of `powf`.
const POWER: f64 = 2.7;

fn cases<T: Real>() -> [Case<T>; 10] {
    let case = |name, range, record, std| Case {
        name,
        range,
        record,
        std,
    };
    [
        case("exp", (-20.0, 20.0), |x| x.exp(), T::exp),
        case("exp_m1", (-5.0, 5.0), |x| x.exp_m1(), T::exp_m1),
        case("ln", (0.01, 100.0), |x| x.ln(), T::ln),
        case("ln_1p", (-0.9, 10.0), |x| x.ln_1p(), T::ln_1p),
        case("sin", (-20.0, 20.0), |x| x.sin(), T::sin),
        case("cos", (-20.0, 20.0), |x| x.cos(), T::cos),
        case("tanh", (-5.0, 5.0), |x| x.tanh(), T::tanh),
        case(
            "sigmoid",
            (-20.0, 20.0),
            |x| x.sigmoid(),
            |x| (T::one() + (-x).exp()).recip(),
        ),
        case(
            "softplus",
            (-20.0, 20.0),
            |x| x.softplus(),
            |x| x.max(T::zero()) + (-x.abs()).exp().ln_1p(),
        ),
        case(
            "powf",
            (0.01, 10.0),
            |x| x.powf(POWER),
            |x| x.powf(T::of(POWER)),
        ),
    ]
}

/// Every argument once, in no order that a predictor could learn: 1549 and N have no common factor.
fn spread<T: Real>((low, high): (f64, f64)) -> Vec<T> {
    (0..N)
        .map(|i| T::of(low + (high - low) * ((i * 1549) % N) as f64 / N as f64))
        .collect()
}

fn ops<T: Real>(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group(T::NAME);
    group.throughput(Throughput::Elements(N as u64));
    for case in cases::<T>() {
        let x = spread::<T>(case.range);
        let function = Function::<T>::record(N, case.record).expect("an op of one vector");
        group.bench_function(case.name, |b| {
            b.iter(|| function.evaluate(Point::from(black_box(&x[..]))));
        });
        let mut y = vec![T::zero(); N];
        group.bench_function(format!("{} (std)", case.name), |b| {
            b.iter(|| {
                for (y, &x) in y.iter_mut().zip(black_box(&x)) {
                    *y = (case.std)(x);
                }
                black_box(&y);
            });
        });
    }
    group.finish();
}

criterion_group!(benches, ops::<f64>, ops::<f32>);
criterion_main!(benches);
