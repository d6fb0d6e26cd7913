//! `f64` against multiple-precision values (`tests/reference/generate.py` writes the file and
//! describes its format).

use std::collections::BTreeMap;

use crate::kernels::Lane;
use crate::kernels::isa::Level;
use crate::kernels::map::LaneOp;
use crate::kernels::vmath::tests::run::{Cos, Exp, ExpM1, Ln, Ln1p, Sigmoid, Sin, Softplus, Tanh};

use super::run;
use super::ulp::{Worst, error};

const FILE: &str = include_str!("../../../../tests/reference/vmath_f64.txt");

/// The samples of one function.
#[derive(Default)]
struct Samples {
    /// How many come before the first that is out of range for the lanes of sine and cosine.
    covered: usize,
    a: Vec<f64>,
    b: Vec<f64>,
    nearest: Vec<f64>,
    rest: Vec<f64>,
}

fn number(line: &str, index: usize) -> f64 {
    let hex = &line[16 * index..16 * (index + 1)];
    f64::from_bits(u64::from_str_radix(hex, 16).expect("sixteen hexadecimal digits"))
}

/// Reads the file, or a larger one of the same format named by `VMATH_REFERENCE`.
fn read() -> BTreeMap<String, Samples> {
    let longer = std::env::var("VMATH_REFERENCE").map(std::fs::read_to_string);
    let text = longer.map_or(FILE.to_owned(), |text| {
        text.expect("VMATH_REFERENCE is readable")
    });
    let mut all = BTreeMap::<String, Samples>::new();
    let mut name = String::new();
    for line in text.lines() {
        if let Some(next) = line.strip_prefix("# ") {
            next.clone_into(&mut name);
            continue;
        }
        let numbers = line.len() / 16;
        let samples = all.entry(name.clone()).or_default();
        if number(line, 0).in_trig_range() {
            assert_eq!(
                samples.a.len(),
                samples.covered,
                "the file lists large arguments last"
            );
            samples.covered += 1;
        }
        samples.a.push(number(line, 0));
        samples
            .b
            .push(if numbers == 3 { number(line, 1) } else { 0.0 });
        samples.nearest.push(number(line, numbers - 1));
        let rest = u8::from_str_radix(&line[16 * numbers..], 16).expect("two hexadecimal digits");
        samples.rest.push(f64::from(rest.cast_signed()) / 256.0);
    }
    all
}

fn judge(name: &str, bound: f64, level: Level, samples: &Samples, got: &[f64]) -> bool {
    let mut worst = Worst::default();
    for (i, &got) in got.iter().enumerate() {
        let off = error(got, samples.nearest[i], samples.rest[i]);
        worst.note(off, || {
            format!(
                "{:e}, {:e}: {got:e} for {:e}",
                samples.a[i], samples.b[i], samples.nearest[i]
            )
        });
    }
    worst.report(name, "f64", level, bound)
}

fn unary<F: LaneOp>(name: &str, bound: f64, samples: &Samples) -> bool {
    let mut good = true;
    for level in run::levels() {
        let mut got = vec![0.0; samples.a.len()];
        // One argument that the lanes do not cover sends its block to the scalar library.
        let (near, far) = samples.a.split_at(samples.covered);
        let (got_near, got_far) = got.split_at_mut(samples.covered);
        run::unary::<f64, F>(level, got_near, near);
        run::unary::<f64, F>(level, got_far, far);
        good &= judge(name, bound, level, samples, &got);
    }
    good
}

fn powf(name: &str, bound: f64, samples: &Samples) -> bool {
    let mut good = true;
    for level in run::levels() {
        let mut got = vec![0.0; samples.a.len()];
        run::powf::<f64>(level, &mut got, &samples.a, &samples.b);
        good &= judge(name, bound, level, samples, &got);
    }
    good
}

#[test]
fn every_function_is_within_its_bound_of_multiple_precision() {
    let mut bad = Vec::new();
    let all = read();
    assert_eq!(all.len(), 10, "the file holds ten functions");
    for (name, samples) in &all {
        let good = match name.as_str() {
            "exp" => unary::<Exp>(name, 1.0, samples),
            "exp_m1" => unary::<ExpM1>(name, 1.25, samples),
            "ln" => unary::<Ln>(name, 1.25, samples),
            "ln_1p" => unary::<Ln1p>(name, 1.35, samples),
            "sin" => unary::<Sin>(name, 1.6, samples),
            "cos" => unary::<Cos>(name, 1.6, samples),
            "tanh" => unary::<Tanh>(name, 1.5, samples),
            "sigmoid" => unary::<Sigmoid>(name, 1.5, samples),
            "softplus" => unary::<Softplus>(name, 1.4, samples),
            "powf" => powf(name, 1.05, samples),
            other => panic!("no function {other}"),
        };
        if !good {
            bad.push(name);
        }
    }
    assert!(bad.is_empty(), "out of bounds: {bad:?}");
}
