//! The softmax family at any finite logits, against multiple-precision values
//! (`tests/reference/derivatives.py` writes them).

use ad_core::{Function, Real, concatenate, stack};
use ndarray::{Array1, Array2};

const FILE: &str = include_str!("../reference/softmax_rows.txt");

/// Componentwise, in ulps of the exact value.
const BOUND: f64 = 4.0;

/// One row: logits, targets, a vector, and what is right for them.
struct Row {
    single: bool,
    z: Vec<f64>,
    t: Vec<f64>,
    v: Vec<f64>,
    p: Vec<f64>,
    gradient: Vec<f64>,
    product: Vec<f64>,
    loss: f64,
}

fn rows() -> Vec<Row> {
    let number = |hex: &str| f64::from_bits(u64::from_str_radix(hex, 16).unwrap());
    let mut lines = FILE.lines();
    let mut all = Vec::new();
    while let Some(head) = lines.next() {
        let mut next = || -> Vec<f64> { lines.next().unwrap().split(' ').map(number).collect() };
        all.push(Row {
            single: head.starts_with("# f32"),
            z: next(),
            t: next(),
            v: next(),
            p: next(),
            gradient: next(),
            product: next(),
            loss: next()[0],
        });
    }
    all
}

/// |found − exact| in ulps of the exact value, if that is a normal number; a result that is not one must
/// be as small.
fn ulps<T: Real>(found: T, exact: f64) -> f64 {
    let (smallest, largest) = (T::min_positive_value().as_f64(), T::max_value().as_f64());
    if exact.abs() > largest {
        return 0.0;
    }
    let power = 2.0_f64.powi(exact.abs().max(smallest).log2().floor() as i32);
    (found.as_f64() / power - exact / power).abs() / T::epsilon().as_f64()
}

/// Everything of a row, repeated so often.
fn check<T: Real>(row: &Row, copies: usize, failures: &mut Vec<String>) {
    let n = row.z.len();
    let targets = Array2::from_shape_fn((copies, n), |(_, at)| row.t[at]);
    let repeat = |values: &[f64]| -> Vec<T> {
        let all = (0..copies).flat_map(|_| values.iter());
        all.map(|&value| T::of(value)).collect()
    };
    let f = Function::<T>::record(copies * n, |z| {
        let z = z.reshape(&[copies, n]).model_output();
        // The sum, not the mean: a factor of 1/3 would round.
        copies as f64 * z.softmax_cross_entropy(z.constant(targets.view().into_dyn()))
    })
    .unwrap();
    let (z, v) = (repeat(&row.z), Array1::from(repeat(&row.v)));
    let (value, gradient) = f.value_and_grad(&z).unwrap();
    let at = f.linearize(&z).unwrap();
    let found = [
        ("the gradient", &gradient, &row.gradient),
        ("Hv", &f.hvp(&z, v.view()).unwrap(), &row.product),
        ("Hv linearized", &at.hvp(v.view()).unwrap(), &row.product),
        ("Gv", &at.ggnvp(v.view()).unwrap(), &row.product),
    ];
    let mut note = |what: &str, found: T, exact: f64, scale: f64| {
        // What cancels in the exact result counts against the terms that do.
        let error = ulps(found, exact).min(ulps::<T>(T::of(scale + found.as_f64() - exact), scale));
        if error.is_nan() || error > BOUND {
            let (found, z) = (found.as_f64(), &row.z);
            failures.push(format!(
                "{} {what} of {z:?} with {:?}, {copies} rows: {found:e}, not {exact:e}: {error:.1} ulp",
                T::NAME, row.t
            ));
        }
    };
    // Subnormal losses of rows add up their roundings.
    if row.loss >= T::min_positive_value().as_f64() {
        note("the loss", value, row.loss * copies as f64, 0.0);
    }
    for (what, found, exact) in found {
        for (at, &found) in found.iter().enumerate() {
            // A gradient with soft targets and a product with terms of both signs cancel.
            let scale = match what {
                "the gradient" => row.p[at % n].min(row.t[at % n]),
                _ => {
                    let p = row.p[at % n];
                    let spread = row.v.iter().map(|v| (v - row.v[at % n]).abs());
                    p * spread.zip(&row.p).map(|(d, p)| d * p).sum::<f64>()
                }
            };
            note(what, found, exact[at % n], scale);
        }
    }
}

#[test]
fn softmax_cross_entropy_keeps_its_digits_at_any_finite_logits() {
    let mut failures = Vec::new();
    for row in rows() {
        for copies in [1, 3, 64] {
            if row.single {
                check::<f32>(&row, copies, &mut failures);
            } else {
                check::<f64>(&row, copies, &mut failures);
            }
        }
    }
    assert!(
        failures.is_empty(),
        "{}\n{}",
        failures.len(),
        failures.join("\n")
    );
}

/// Probabilities themselves, and the derivative of log-sum-exp, which they are.
#[test]
fn probabilities_are_right_at_any_finite_logits() {
    fn check<T: Real>(row: &Row, failures: &mut Vec<String>) {
        let n = row.z.len();
        let z: Vec<T> = row.z.iter().map(|&z| T::of(z)).collect();
        let softmax = Function::<T>::record(n, |z| z.softmax_axis(0)).unwrap();
        let lse = Function::<T>::record(n, |z| z.logsumexp_axis(0)).unwrap();
        let (p, slope) = (softmax.evaluate(&z).unwrap(), lse.gradient(&z).unwrap());
        for (at, (&p, &slope)) in p.iter().zip(&slope).enumerate() {
            let error = ulps(p, row.p[at]).max(ulps(slope, row.p[at]));
            if error.is_nan() || error > BOUND {
                failures.push(format!("{} {:?} at {at}: {error:.1} ulp", T::NAME, row.z));
            }
        }
    }
    let mut failures = Vec::new();
    for row in rows() {
        if row.single {
            check::<f32>(&row, &mut failures);
        } else {
            check::<f64>(&row, &mut failures);
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn losses_of_many_rows_are_those_of_one() {
    for (copies, other, exact) in [
        (1, 10.0, 4.53988992e-5),
        (1024, 10.0, 4.53988992e-5),
        (1024, 0.0, 2.06115362e-9),
    ] {
        let targets = Array2::from_shape_fn((copies, 2), |(_, at)| [1.0, 0.0][at]);
        let f = Function::<f32>::record(2 * copies, |z| {
            let z = z.reshape(&[copies, 2]);
            z.softmax_cross_entropy(z.constant(targets.view().into_dyn()))
        })
        .unwrap();
        let z: Vec<f32> = (0..2 * copies)
            .map(|i| if i % 2 == 0 { 20.0 } else { other })
            .collect();
        let found = f64::from(f.value(&z).unwrap());
        // A sum of 1024 equal terms adds at most a few ulps.
        assert!(
            (found - exact).abs() <= 8.0 * f64::from(f32::EPSILON) * exact,
            "{copies} {found:e}"
        );
    }
    // The gradient of the class that is all but certain: minus that of the other one.
    let f = Function::<f32>::record(2, |z| {
        let z = z.reshape(&[1, 2]);
        let target = Array2::from_shape_vec((1, 2), vec![1.0, 0.0]).unwrap();
        z.softmax_cross_entropy(z.constant(target.view().into_dyn()))
    })
    .unwrap();
    let gradient = f.gradient(&[20.0, 0.0]).unwrap();
    assert_eq!(gradient[0].to_bits(), (-gradient[1]).to_bits());
    assert!(
        (f64::from(gradient[1]) - 2.0611536e-9).abs() <= 4.0 * f64::from(f32::EPSILON) * 2.06e-9
    );
}

/// Long rows and short ones run differently; single precision against double.
#[test]
fn long_rows_are_as_accurate_as_short_ones() {
    for n in [3, 64, 65, 1000] {
        let z: Vec<f32> = (0..n)
            .map(|i| ((i * 7919) % 1009) as f32 * 0.037 - 12.0)
            .collect();
        let v: Vec<f32> = (0..n).map(|i| ((i * 31) % 17) as f32 - 8.0).collect();
        let wide: Vec<f64> = z.iter().map(|&z| f64::from(z)).collect();
        let m = wide.iter().fold(f64::MIN, |m, z| m.max(*z));
        let e: Vec<f64> = wide.iter().map(|z| (z - m).exp()).collect();
        let s: f64 = e.iter().sum();
        let f = Function::<f32>::record(n, |z| z.softmax_axis(0)).unwrap();
        let (p, tangent) = f.jvp(&z, Array1::from(v.clone()).view()).unwrap();
        let mean: f64 = e.iter().zip(&v).map(|(e, &v)| e / s * f64::from(v)).sum();
        for at in 0..n {
            let exact = e[at] / s;
            assert!(
                ulps(p[at], exact) <= BOUND,
                "{n} {at}: {:e} {exact:e}",
                p[at]
            );
            let exact = exact * (f64::from(v[at]) - mean);
            // ⟨p, v⟩ has terms of both signs, up to 8.
            let bound = 8.0 * f64::from(f32::EPSILON) * 16.0 * e[at] / s;
            assert!((f64::from(tangent[at]) - exact).abs() <= bound, "{n} {at}");
        }
    }
}

/// Targets that are variables: the derivative in them is −ln p.
#[test]
fn targets_may_be_variables() {
    let f = Function::<f64>::record(6, |x| {
        let z = x.slice(0, 0..3).reshape(&[1, 3]);
        z.softmax_cross_entropy(x.slice(0, 3..6).reshape(&[1, 3]))
    })
    .unwrap();
    let x = [1.0, 2.0, -40.0, 0.5, 0.25, 0.25];
    let gradient = f.gradient(&x).unwrap();
    let lse = 2.0 + (1.0 + (-1.0_f64).exp() + (-42.0_f64).exp()).ln();
    for at in 0..3 {
        let (log, p) = (lse - x[at], (x[at] - lse).exp());
        assert!((gradient[3 + at] - log).abs() <= 8.0 * f64::EPSILON * log);
        assert!((gradient[at] - (p - x[3 + at])).abs() <= 8.0 * f64::EPSILON);
    }
    // Mixed second derivatives: of z in t, ∂²/∂z∂t = p 1ᵀ − I.
    let hessian = f.hessian(&x).unwrap();
    let p0 = (x[0] - lse).exp();
    assert!((hessian[[0, 3]] - (p0 - 1.0)).abs() <= 8.0 * f64::EPSILON);
    assert!((hessian[[0, 4]] - p0).abs() <= 8.0 * f64::EPSILON);
}

/// Taylor coefficients go by slopes, which the row functions do not have as instructions.
#[test]
fn higher_derivatives_pass_through_softmax_functions() {
    // With z = (x, 0): ln(1 + eˣ) has the derivatives ½, ¼, 0, −⅛ at 0, and so does −ln of the second
    // probability; the first probability, which is its slope, has ¼, 0, −⅛, 0.
    for which in 0..3 {
        let f = Function::<f64>::record(1, |x| {
            let all = x.directional_derivatives(x.ones_like(), 4, |x| {
                let z = concatenate(0, &[x, x.zeros_like()]);
                match which {
                    0 => z.logsumexp_axis(0),
                    1 => -z.log_softmax_axis(0).at(1),
                    _ => z.softmax_axis(0).at(0),
                }
            });
            stack(&all)
        })
        .unwrap();
        let expected = match which {
            2 => [0.5, 0.25, 0.0, -0.125, 0.0],
            _ => [2.0_f64.ln(), 0.5, 0.25, 0.0, -0.125],
        };
        let found = f.evaluate(&[0.0]).unwrap();
        for (found, expected) in found.iter().zip(expected) {
            assert!(
                (found - expected).abs() <= 64.0 * f64::EPSILON,
                "{which}: {found} {expected}"
            );
        }
    }
}
