//! `f32` over all bit patterns, by a prime stride, against the standard library in `f64`: that is
//! good to about 2⁻²⁹ ulp of an `f32`.
//!
//! `VMATH_STRIDE=1 cargo test --release …` visits every value.

use crate::kernels::map::LaneOp;
use crate::kernels::vmath::tests::run::{Cos, Exp, ExpM1, Ln, Ln1p, Sigmoid, Sin, Softplus, Tanh};

use super::run;
use super::ulp::{Worst, error};

/// A prime: a million values of each function, different low bits at each exponent.
const STRIDE: u64 = 4057;

fn stride() -> u64 {
    std::env::var("VMATH_STRIDE").map_or(STRIDE, |s| s.parse().expect("VMATH_STRIDE is a number"))
}

/// The nearest `f32` and the rest in its ulps, for the error of a rounded reference.
fn rounded(exact: f64) -> (f32, f64) {
    let nearest = exact as f32;
    if !nearest.is_finite() {
        return (nearest, 0.0);
    }
    // The step at `nearest`, which is the subnormal one below 2⁻¹²⁶.
    let exponent = (nearest.to_bits() >> 23 & 255).max(1);
    let ulp = f64::from(exponent).mul_add(1.0, -150.0).exp2();
    (nearest, (exact - f64::from(nearest)) / ulp)
}

fn blocks() -> impl Iterator<Item = Vec<f32>> {
    let mut bits = (0..1_u64 << 32)
        .step_by(stride() as usize)
        .map(|b| f32::from_bits(b as u32));
    std::iter::from_fn(move || {
        let block: Vec<_> = bits.by_ref().take(4096).collect();
        (!block.is_empty()).then_some(block)
    })
}

fn unary<F: LaneOp>(name: &str, bound: f64, exact: fn(f64) -> f64) {
    let levels = run::levels();
    let mut worst = vec![Worst::default(); levels.len()];
    let mut got = vec![0.0; 4096];
    for a in blocks() {
        let want: Vec<_> = a.iter().map(|&x| rounded(exact(f64::from(x)))).collect();
        for (&level, worst) in levels.iter().zip(&mut worst) {
            let got = &mut got[..a.len()];
            run::unary::<f32, F>(level, got, &a);
            for ((&x, &got), &(nearest, rest)) in a.iter().zip(&*got).zip(&want) {
                worst.note(error(got, nearest, rest), || {
                    format!("{x:e}: {got:e} for {nearest:e}")
                });
            }
        }
    }
    let good = levels
        .iter()
        .zip(&worst)
        .filter(|(level, w)| w.report(name, "f32", **level, bound));
    assert_eq!(good.count(), levels.len(), "{name} is out of bounds");
}

#[test]
fn exp() {
    unary::<Exp>("exp", 1.0, f64::exp);
}
#[test]
fn exp_m1() {
    unary::<ExpM1>("exp_m1", 1.25, f64::exp_m1);
}
#[test]
fn ln() {
    unary::<Ln>("ln", 1.0, f64::ln);
}
#[test]
fn ln_1p() {
    unary::<Ln1p>("ln_1p", 1.55, f64::ln_1p);
}
#[test]
fn sin() {
    unary::<Sin>("sin", 0.6, f64::sin);
}
#[test]
fn cos() {
    unary::<Cos>("cos", 0.8, f64::cos);
}
#[test]
fn tanh() {
    unary::<Tanh>("tanh", 1.5, f64::tanh);
}
#[test]
fn sigmoid() {
    unary::<Sigmoid>("sigmoid", 1.65, |x| 1.0 / (1.0 + (-x).exp()));
}
#[test]
fn softplus() {
    unary::<Softplus>("softplus", 1.65, |x| {
        let ramp = if x > 0.0 { x } else { 0.0 };
        if x.is_nan() {
            x
        } else {
            ramp + (-x.abs()).exp().ln_1p()
        }
    });
}

/// Pairs whose power is neither 0 nor infinite: y as a multiple of 1/ln x, by a stride through
/// both mantissas.
#[test]
fn powf() {
    let mut a = Vec::new();
    let mut b = Vec::new();
    for (i, x) in blocks()
        .flatten()
        .filter(|x| *x > 0.0 && x.is_finite())
        .enumerate()
    {
        let exponent = ((i * 7919) % 20_011) as f32 / 100.0 - 105.0;
        a.push(x);
        b.push(if i % 5 == 0 {
            exponent
        } else {
            exponent / x.ln()
        });
    }
    let want: Vec<_> = a
        .iter()
        .zip(&b)
        .map(|(&x, &y)| rounded(f64::from(x).powf(f64::from(y))))
        .collect();
    for level in run::levels() {
        let mut got = vec![0.0; a.len()];
        run::powf::<f32>(level, &mut got, &a, &b);
        let mut worst = Worst::default();
        for (i, (&got, &(nearest, rest))) in got.iter().zip(&want).enumerate() {
            worst.note(error(got, nearest, rest), || {
                format!("{:e}, {:e}: {got:e} for {nearest:e}", a[i], b[i])
            });
        }
        assert!(
            worst.report("powf", "f32", level, 0.75),
            "powf is out of bounds"
        );
    }
}
