//! Values that the definitions settle: exact results, signed zeros, infinities, NaN, and the
//! whole table of powers of such arguments against the standard library.

use crate::Real;
use crate::kernels::map::LaneOp;
use crate::kernels::vmath::tests::run::{Cos, Exp, ExpM1, Ln, Ln1p, Sigmoid, Sin, Softplus, Tanh};

use super::run;
use super::ulp::{BOUND, error};

/// Pads with ones, so that the vector part of the loop runs, and compares signs of zeros too.
fn exact<T: Real, F: LaneOp>(name: &str, pairs: &[(f64, f64)]) {
    let mut a: Vec<T> = pairs.iter().map(|p| T::of(p.0)).collect();
    a.resize(pairs.len().next_multiple_of(32), T::one());
    for level in run::levels() {
        let mut got = vec![T::zero(); a.len()];
        run::unary::<T, F>(level, &mut got, &a);
        for (&(x, want), &got) in pairs.iter().zip(&got) {
            let off = error(got, T::of(want), 0.0);
            assert!(
                off < 0.5,
                "{name}({x}) in {} on {level:?}: {got}, not {want}",
                T::NAME
            );
        }
    }
}

const INF: f64 = f64::INFINITY;
const NAN: f64 = f64::NAN;

fn all<T: Real>() {
    // 1e-45 is subnormal in f32 and 5e-324 in f64, where f32 has zero; both stay themselves.
    let tiny = T::min_positive_value().as_f64() / 8.0;
    let huge = T::max_value().as_f64();
    let odd = [
        (0.0, 0.0),
        (-0.0, -0.0),
        (NAN, NAN),
        (tiny, tiny),
        (-tiny, -tiny),
    ];
    exact::<T, Exp>(
        "exp",
        &[(0.0, 1.0), (-0.0, 1.0), (INF, INF), (-INF, 0.0), (NAN, NAN)],
    );
    exact::<T, Exp>(
        "exp",
        &[(huge, INF), (-huge, 0.0), (tiny, 1.0), (-tiny, 1.0)],
    );
    exact::<T, ExpM1>("exp_m1", &odd);
    exact::<T, ExpM1>(
        "exp_m1",
        &[(INF, INF), (-INF, -1.0), (huge, INF), (-huge, -1.0)],
    );
    exact::<T, Ln>(
        "ln",
        &[
            (0.0, -INF),
            (-0.0, -INF),
            (1.0, 0.0),
            (INF, INF),
            (NAN, NAN),
        ],
    );
    exact::<T, Ln>(
        "ln",
        &[(-1.0, NAN), (-INF, NAN), (-tiny, NAN), (-huge, NAN)],
    );
    exact::<T, Ln1p>("ln_1p", &odd);
    exact::<T, Ln1p>(
        "ln_1p",
        &[(-1.0, -INF), (INF, INF), (-2.0, NAN), (-INF, NAN)],
    );
    exact::<T, Sin>(
        "sin",
        &[(0.0, 0.0), (-0.0, -0.0), (tiny, tiny), (-tiny, -tiny)],
    );
    exact::<T, Sin>("sin", &[(INF, NAN), (-INF, NAN), (NAN, NAN)]);
    exact::<T, Cos>("cos", &[(0.0, 1.0), (-0.0, 1.0), (tiny, 1.0)]);
    exact::<T, Cos>("cos", &[(INF, NAN), (-INF, NAN), (NAN, NAN)]);
    exact::<T, Tanh>("tanh", &odd);
    exact::<T, Tanh>(
        "tanh",
        &[(INF, 1.0), (-INF, -1.0), (huge, 1.0), (-huge, -1.0)],
    );
    exact::<T, Sigmoid>(
        "sigmoid",
        &[(0.0, 0.5), (-0.0, 0.5), (INF, 1.0), (-INF, 0.0)],
    );
    exact::<T, Sigmoid>("sigmoid", &[(NAN, NAN), (huge, 1.0), (-huge, 0.0)]);
    exact::<T, Softplus>(
        "softplus",
        &[(INF, INF), (-INF, 0.0), (NAN, NAN), (huge, huge)],
    );
    exact::<T, Softplus>("softplus", &[(-huge, 0.0), (0.0, std::f64::consts::LN_2)]);
}

#[test]
fn settled_values_f64() {
    all::<f64>();
}

#[test]
fn settled_values_f32() {
    all::<f32>();
}

fn powers<T: Real>() {
    let values = [
        0.0,
        0.25,
        0.5,
        1.0,
        1.5,
        2.0,
        3.0,
        4.0,
        1e9,
        4_194_305.0,
        9_007_199_254_740_991.0,
        9_007_199_254_740_992.0,
        T::max_value().as_f64(),
        T::min_positive_value().as_f64(),
        T::min_positive_value().as_f64() / 8.0,
        INF,
        NAN,
    ];
    let values: Vec<T> = values.iter().flat_map(|&v| [T::of(v), T::of(-v)]).collect();
    let (a, b): (Vec<_>, Vec<_>) = values
        .iter()
        .flat_map(|&x| values.iter().map(move |&y| (x, y)))
        .unzip();
    for level in run::levels() {
        let mut got = vec![T::zero(); a.len()];
        run::powf(level, &mut got, &a, &b);
        for ((&x, &y), &got) in a.iter().zip(&b).zip(&got) {
            let want = x.powf(y);
            // The standard library's own error counts against ours.
            let off = error(got, want, 0.0);
            assert!(
                off <= BOUND,
                "{x}^{y} in {} on {level:?}: {got}, not {want}",
                T::NAME
            );
        }
    }
}

#[test]
fn powers_of_special_values_follow_ieee() {
    powers::<f64>();
    powers::<f32>();
}
