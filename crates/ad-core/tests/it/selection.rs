//! Comparisons, selection, and functions made of pieces: values, conventions, and derivatives that never
//! see the branch not taken.
#![allow(
    clippy::float_cmp,
    reason = "selected numbers, zeros and small whole numbers are exact"
)]

use ad_core::{Function, Real, Scalar, Var};
use ndarray::{Array1, Array2, ArrayD, array};

const NAN: f64 = f64::NAN;

/// A function Σ f(xᵢ), and f′ and f″ at points.
struct Guarded {
    name: &'static str,
    f: for<'t> fn(Var<'t>) -> Var<'t>,
    /// (x, f′, f″)
    rows: &'static [(f64, f64, f64)],
}

/// Where the guard does not hold, the other branch is NaN or ∞ in value, slope or curvature.
const GUARDED: &[Guarded] = &[
    Guarded {
        name: "root",
        f: |x| x.gt(0.0).select(x.sqrt(), 0.0),
        rows: &[
            (4.0, 0.25, -0.03125),
            (0.0, 0.0, 0.0),
            (-1.0, 0.0, 0.0),
            (-1e300, 0.0, 0.0),
        ],
    },
    Guarded {
        name: "logarithm and a line",
        f: |x| x.ge(1.0).select(x.ln(), 2.0 * x - 2.0),
        rows: &[
            (4.0, 0.25, -0.0625),
            (0.0, 2.0, 0.0),
            (-1.0, 2.0, 0.0),
            (1.0, 1.0, -1.0),
        ],
    },
    Guarded {
        name: "power",
        f: |x| x.le(0.0).select(1.0, x.powf(0.25)),
        rows: &[(1.0, 0.25, -0.1875), (0.0, 0.0, 0.0), (-2.0, 0.0, 0.0)],
    },
    Guarded {
        name: "root of a logarithm",
        f: |x| x.gt(1.0).select(x.ln().sqrt(), 0.0),
        // ½/(x√ln x), −½/(x²√ln x) − ¼/(x² (ln x)^1.5) at e.
        rows: &[
            (
                std::f64::consts::E,
                0.183_939_720_585_721_16,
                -0.101_501_462_427_459_45,
            ),
            (1.0, 0.0, 0.0),
            (0.0, 0.0, 0.0),
            (-3.0, 0.0, 0.0),
            (-1e300, 0.0, 0.0),
        ],
    },
    Guarded {
        name: "x ln x",
        f: |x| x.ne(0.0).select(x * x.ln(), 0.0),
        rows: &[
            (1.0, 1.0, 1.0),
            (0.0, 0.0, 0.0),
            (0.5, 1.0 - std::f64::consts::LN_2, 2.0),
        ],
    },
    Guarded {
        name: "power by exponential and logarithm, with x in both factors",
        f: |x| x.gt(0.0).select((x * x.ln()).exp(), 1.0),
        // xˣ: xˣ(ln x + 1), xˣ((ln x + 1)² + 1/x)
        rows: &[(1.0, 1.0, 2.0), (0.0, 0.0, 0.0), (-1.0, 0.0, 0.0)],
    },
    Guarded {
        name: "reciprocal of a square of the reciprocal",
        f: |x| x.eq(0.0).select(0.0, x.recip().square().recip()),
        rows: &[(3.0, 6.0, 2.0), (0.0, 0.0, 0.0)],
    },
    Guarded {
        name: "a guard inside of a guard",
        f: |x| {
            let inner = x.gt(4.0).select(x.sqrt(), x.recip());
            x.gt(0.0).select(inner, 0.0)
        },
        rows: &[
            (16.0, 0.125, -0.003_906_25),
            (1.0, -1.0, 2.0),
            (0.0, 0.0, 0.0),
        ],
    },
    Guarded {
        name: "two uses under different guards",
        f: |x| {
            let root = x.ln().sqrt();
            x.gt(1.0).select(root.square(), 0.0) + x.gt(2.0).select(root.square(), 0.0)
        },
        rows: &[
            (1.5, 2.0 / 3.0, -4.0 / 9.0),
            (4.0, 0.5, -0.125),
            (1.0, 0.0, 0.0),
            (0.0, 0.0, 0.0),
        ],
    },
    Guarded {
        name: "a mask joined from two",
        f: |x| (x.gt(0.0) & !x.gt(2.0)).select(x.ln(), 0.0),
        rows: &[
            (1.0, 1.0, -1.0),
            (-1.0, 0.0, 0.0),
            (0.0, 0.0, 0.0),
            (1e300, 0.0, 0.0),
        ],
    },
    Guarded {
        name: "another function after the selection",
        f: |x| x.gt(0.0).select(x.square(), 0.0).sqrt(),
        rows: &[(2.0, 1.0, 0.0), (-1.0, 0.0, 0.0)],
    },
    Guarded {
        name: "through a sum, a mean and other shapes",
        f: |x| {
            let n = x.len();
            let stacked = x.sqrt().reshape(&[n, 1]).t();
            let totals = stacked.sum_axis(0) + stacked.mean_axis(0);
            x.gt(0.0).select(totals, 0.0)
        },
        rows: &[(4.0, 0.5, -0.0625), (0.0, 0.0, 0.0), (-1.0, 0.0, 0.0)],
    },
    Guarded {
        name: "the larger one",
        f: |x| x.ln().maximum(0.0),
        rows: &[(2.0, 0.5, -0.25), (0.0, 0.0, 0.0), (0.5, 0.0, 0.0)],
    },
    Guarded {
        name: "the smaller one",
        f: |x| x.recip().minimum(2.0),
        rows: &[(2.0, -0.25, 0.25), (0.0, 0.0, 0.0), (0.25, 0.0, 0.0)],
    },
    Guarded {
        name: "clamp",
        f: |x| x.ln().clamp(-1.0, 1.0),
        rows: &[(2.0, 0.5, -0.25), (0.0, 0.0, 0.0), (1e300, 0.0, 0.0)],
    },
];

/// Every way to a first and to a second derivative of Σ f.
fn derivatives(
    f: for<'t> fn(Var<'t>) -> Var<'t>,
    x: &Array1<f64>,
) -> Vec<(&'static str, u8, Array1<f64>)> {
    let n = x.len();
    let ones = Array1::from_elem(n, 1.0);
    let function = Function::<f64>::record(n, |x| f(x).sum()).unwrap();
    let vector = |f: &dyn for<'t> Fn(Var<'t>) -> Var<'t>| {
        let f = Function::<f64>::record(n, f).unwrap();
        let y = f.evaluate(x).unwrap();
        Array1::from_iter(y.iter().copied())
    };
    let at = function.linearize(x).unwrap();
    let unit = Array2::<f64>::eye(n);
    let diagonal = |full: Array2<f64>| {
        let off = full.indexed_iter().filter(|((i, j), _)| i != j);
        assert!(off.into_iter().all(|(_, &h)| h == 0.0), "{full}");
        full.diag().to_owned()
    };
    vec![
        ("gradient", 1, function.gradient(x).unwrap()),
        ("linearized gradient", 1, at.gradient().to_owned()),
        ("forward", 1, vector(&|x| x.jvp(x.ones_like(), f).1)),
        (
            "forward over reverse",
            2,
            function.hvp(x, ones.view()).unwrap(),
        ),
        ("linearized product", 2, at.hvp(ones.view()).unwrap()),
        ("block", 2, diagonal(at.hvp_block(unit.view()).unwrap())),
        ("dense Hessian", 2, diagonal(function.hessian(x).unwrap())),
        (
            "reverse over reverse",
            2,
            vector(&|x| x.grad(|x| x.grad(|x| f(x).sum()).sum())),
        ),
        (
            "reverse over forward",
            2,
            vector(&|x| x.grad(|x| x.jvp(x.ones_like(), f).1.sum())),
        ),
        (
            "forward over forward",
            2,
            vector(&|x| x.jvp(x.ones_like(), |x| x.jvp(x.ones_like(), f).1).1),
        ),
        (
            "along a line",
            2,
            vector(&|x| x.directional_derivatives(x.ones_like(), 2, f)[2]),
        ),
    ]
}

/// As vectors of any length and one point at a time: the derivatives are those of the branch taken.
#[test]
fn guards_hold_to_the_second_order() {
    let mut failures = Vec::new();
    let mut checked = 0;
    for Guarded { name, f, rows } in GUARDED {
        for repeats in [0, 1, 20] {
            // One point alone, or all of them many times.
            let sets: Vec<Vec<(f64, f64, f64)>> = match repeats {
                0 => rows.iter().map(|&row| vec![row]).collect(),
                _ => vec![rows.repeat(repeats)],
            };
            for rows in sets {
                let x: Array1<f64> = rows.iter().map(|row| row.0).collect();
                for (how, order, found) in derivatives(*f, &x) {
                    for (row, found) in rows.iter().zip(found) {
                        let exact = if order == 1 { row.1 } else { row.2 };
                        checked += 1;
                        // A handful of roundings of 2 ulp each, in terms of up to thrice the result.
                        let bound = 32.0 * f64::EPSILON * exact.abs();
                        if found.is_nan() || (found - exact).abs() > bound {
                            failures
                                .push(format!("{name}, {how} at {}: {found}, not {exact}", row.0));
                        }
                    }
                }
            }
        }
    }
    assert!(checked > 10_000, "{checked}");
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Two variables: x^y guarded, with mixed derivatives.
#[test]
fn a_guarded_power_of_two_variables() {
    let f =
        Function::<f64>::record_scalars(2, |v| v[0].gt(0.0).select((v[1] * v[0].ln()).exp(), 0.0))
            .unwrap();
    // xʸ at (1, 3): y, ln x; y(y − 1), 1 + y ln x, (ln x)²
    assert_eq!(f.gradient(&[1.0, 3.0]).unwrap(), array![3.0, 0.0]);
    assert_eq!(
        f.hessian(&[1.0, 3.0]).unwrap(),
        array![[6.0, 1.0], [1.0, 0.0]]
    );
    for point in [[0.0, 3.0], [-2.0, 3.0]] {
        assert_eq!(f.gradient(&point).unwrap(), array![0.0, 0.0]);
        assert_eq!(f.hessian(&point).unwrap(), Array2::<f64>::zeros((2, 2)));
        let at = f.linearize(&point).unwrap();
        assert_eq!(at.hvp(array![1.0, -2.0].view()).unwrap(), array![0.0, 0.0]);
    }
}

/// What is stated not to hold: a product of matrices lies between the selection and the infinite slope. With
/// the operand selected too, it does.
#[test]
fn behind_a_matrix_product_the_operand_is_selected_too() {
    let (point, ones) = ([0.0, 4.0], array![1.0, 1.0]);
    let mixed = |safe: bool| {
        Function::<f64>::record(2, move |x| {
            let inside = x.gt(0.0);
            let operand = if safe { inside.select(x, 1.0) } else { x };
            let same = x
                .constant(&array![[1.0, 0.0], [0.0, 1.0]])
                .matmul(operand.sqrt());
            inside.select(same, 0.0).sum()
        })
        .unwrap()
    };
    assert!(mixed(false).gradient(&point).unwrap()[0].is_nan());
    assert_eq!(mixed(true).gradient(&point).unwrap(), array![0.0, 0.25]);
    let product = mixed(true).hvp(&point, ones.view()).unwrap();
    assert_eq!(product, array![0.0, -0.03125]);
}

/// The user's own zero times infinity stays NaN, next to a selection too.
#[test]
fn zero_times_infinity_is_nan_where_the_user_multiplies() {
    let f = Function::<f64>::record(1, |x| x.gt(0.0).select(x, 0.0) * x.recip()).unwrap();
    assert!(f.evaluate(&[0.0]).unwrap()[[0]].is_nan());
    let gradient = Function::<f64>::record(1, |x| {
        x.grad(|x| x.gt(0.0).select(x.square(), 0.0).sum()) * x.recip()
    });
    assert!(gradient.unwrap().evaluate(&[0.0]).unwrap()[[0]].is_nan());
}

fn evaluate<T: Real>(x: &[f64], f: impl for<'t> Fn(Var<'t>) -> Var<'t>) -> ArrayD<f64> {
    let x: Array1<T> = x.iter().map(|&x| T::of(x)).collect();
    let f = Function::<T>::record(x.len(), f).unwrap();
    f.evaluate(&x).unwrap().mapv(|y| y.as_f64())
}

/// A choice keeps every number as it is, zeros with their signs and NaN too; lengths 0, 1 and many.
fn choices_are_exact<T: Real>() {
    let small = T::min_positive_value().as_f64() / 8.0;
    // Quotients, because parameters are finite.
    let special = [
        (0.0, 1.0),
        (-0.0, 1.0),
        (1.5, 1.0),
        (-1.5, 1.0),
        (small, 1.0),
        (-small, 1.0),
        (1.0, 0.0),
        (-1.0, 0.0),
        (0.0, 0.0),
    ];
    for n in [0, 1, 9, 31, 32, 33, 1000] {
        let pairs: Vec<(f64, f64)> = (0..2 * n).map(|i| special[(i * i + i / 9) % 9]).collect();
        let x: Vec<f64> = pairs.iter().map(|(p, q)| p / q).collect();
        let parts = pairs.iter().map(|pair| pair.0);
        let parts: Vec<f64> = parts.chain(pairs.iter().map(|pair| pair.1)).collect();
        let y = evaluate::<T>(&parts, |x| {
            let x = x.slice(0, 0..2 * n) / x.slice(0, 2 * n..4 * n);
            let (a, b) = (x.slice(0, 0..n), x.slice(0, n..2 * n));
            a.lt(b).select(a, b)
        });
        for (i, &y) in y.iter().enumerate() {
            let (a, b) = (x[i], x[n + i]);
            let expected = if a < b { a } else { b };
            let same = y.to_bits() == expected.to_bits() || y.is_nan() && expected.is_nan();
            assert!(same, "{}: {a}, {b}: {y}", T::NAME);
        }
    }
}

#[test]
fn choices_are_exact_in_both_types() {
    choices_are_exact::<f64>();
    choices_are_exact::<f32>();
}

#[test]
fn mask_and_branches_broadcast() {
    let y = evaluate::<f64>(&[1.0, -1.0, 5.0, 6.0, 7.0], |x| {
        let rows = x.slice(0, 0..2).reshape(&[2, 1]).gt(0.0);
        rows.select(x.slice(0, 2..5), 0.0)
    });
    assert_eq!(y, array![[5.0, 6.0, 7.0], [0.0, 0.0, 0.0]].into_dyn());
    // A number as the mask of an array, an array as the mask of numbers.
    let y = evaluate::<f64>(&[1.0, -1.0], |x| x.at(1).gt(0.0).select(x, x.square()));
    assert_eq!(y, array![1.0, 1.0].into_dyn());
    let y = evaluate::<f64>(&[1.0, -1.0], |x| x.gt(0.0).select(3.0, x.at(1)));
    assert_eq!(y, array![3.0, -1.0].into_dyn());
    // The gradient of what was stretched is summed over what took it.
    let f = Function::<f64>::record(3, |x| x.gt(0.0).select(x.at(2), x.square()).sum()).unwrap();
    assert_eq!(
        f.gradient(&[1.0, -2.0, 3.0]).unwrap(),
        array![0.0, -4.0, 2.0]
    );
}

#[test]
fn shapes_that_do_not_fit_are_an_error_of_the_recording() {
    let f = Function::<f64>::record(3, |x| x.gt(0.0).select(x.slice(0, 0..2), x).sum());
    let message = f.unwrap_err().to_string();
    assert!(
        message.contains("select") && message.contains("do not broadcast"),
        "{message}"
    );
    let message = |low, high| {
        let f = Function::<f64>::record(3, move |x| x.clamp(low, high).sum());
        f.unwrap_err().to_string()
    };
    assert!(message(1.0, 0.0).contains("no number is from 1 to 0"));
    assert!(message(NAN, 0.0).contains("clamp"));
}

/// Any number but 0 is true, and a mask that depends on a parameter has no derivative.
#[test]
fn any_number_is_a_mask() {
    let f = Function::<f64>::record(4, |x| x.select(x.square(), 1.0).sum()).unwrap();
    let point = [0.5, 0.0, -2.0, 1.0];
    assert_eq!(f.value(&point).unwrap(), 0.25 + 1.0 + 4.0 + 1.0);
    assert_eq!(f.gradient(&point).unwrap(), array![1.0, 0.0, -4.0, 2.0]);
    let forward = evaluate::<f64>(&point, |x| {
        x.jvp(x.ones_like(), |x| x.select(x.square(), 1.0)).1
    });
    assert_eq!(forward, array![1.0, 0.0, -4.0, 2.0].into_dyn());
    let y = evaluate::<f64>(&[-1.0, -0.0], |x| x.sqrt().select(1.0, 2.0));
    assert_eq!(y, array![1.0, 2.0].into_dyn());
}

/// A comparison of constants chooses a branch while recording.
#[test]
fn a_mask_that_is_known_leaves_one_branch() {
    let y = evaluate::<f64>(&[-1.0], |x| x.constant(1.0).lt(2.0).select(x, x.sqrt()));
    assert_eq!(y, array![-1.0].into_dyn());
    let f = Function::<f64>::record(1, |x| x.constant(3.0).lt(2.0).select(x.sqrt(), x).sum());
    assert_eq!(f.unwrap().gradient(&[0.0]).unwrap(), array![1.0]);
}

/// At a tie each operand of the minimum and the maximum has half of the derivative, as in the maximum over
/// an axis; if one is NaN, so is it.
#[test]
fn ties_share_the_derivative() {
    let pair = |f: for<'t> fn(Var<'t>, Var<'t>) -> Var<'t>, x: [f64; 2]| {
        let f = Function::<f64>::record_scalars(2, |v| f(v[0], v[1])).unwrap();
        f.gradient(&x).unwrap().to_vec()
    };
    for tie in [1.0, -1.0, 0.0, 1e300] {
        assert_eq!(pair(|x, y| x.minimum(y), [tie, tie]), [0.5, 0.5]);
        assert_eq!(pair(|x, y| x.maximum(y), [tie, tie]), [0.5, 0.5]);
    }
    assert_eq!(pair(|x, y| x.maximum(y), [-0.0, 0.0]), [0.5, 0.5]);
    assert_eq!(pair(|x, y| x.minimum(y), [1.0, 2.0]), [1.0, 0.0]);
    assert_eq!(pair(|x, y| x.maximum(y), [1.0, 2.0]), [0.0, 1.0]);
    assert!(pair(|x, y| x.maximum(y.sqrt()), [1.0, -1.0])[0].is_nan());
    let axis = Function::<f64>::record(2, |x| x.max_axis(0)).unwrap();
    assert_eq!(axis.gradient(&[1.0, 1.0]).unwrap().to_vec(), [0.5, 0.5]);
    // max(x, x) = x, and at the ends of a clamp there is half a derivative.
    assert_eq!(pair(|x, _| x.maximum(x), [3.0, 0.0]), [1.0, 0.0]);
    assert_eq!(pair(|x, _| x.clamp(0.0, 1.0), [1.0, 0.0]), [0.5, 0.0]);
}

#[test]
fn remainders_have_the_exact_quotient_as_slope() {
    let f = Function::<f64>::record_scalars(2, |v| v[0] % v[1]).unwrap();
    let cases = [
        ([7.0, 2.0], 1.0, 3.0),
        ([-7.0, 2.0], -1.0, -3.0),
        ([7.0, -2.0], 1.0, -3.0),
        ([1.0, 3.0], 1.0, 0.0),
        ([5.0, 1e300], 5.0, 0.0),
        // 0.3 is a little less than three times 0.1, though the quotient rounds to 3.
        ([0.3, 0.1], 0.3 % 0.1, 2.0),
    ];
    for (x, value, quotient) in cases {
        assert_eq!(f.value(&x).unwrap(), value, "{x:?}");
        assert_eq!(f.gradient(&x).unwrap(), array![1.0, -quotient], "{x:?}");
        let products = f.hessian(&x).unwrap();
        assert_eq!(products, Array2::<f64>::zeros((2, 2)));
    }
    assert!(f.value(&[1.0, 0.0]).unwrap().is_nan());
    let zero = f.value(&[-4.0, 2.0]).unwrap();
    assert!(zero == 0.0 && zero.is_sign_negative());
}

/// 0 everywhere, at the jumps too, to any order.
#[test]
fn steps_have_no_derivative() {
    let f = Function::<f64>::record(4, |x| {
        let steps = x.floor() + x.ceil() + x.round() + x.trunc() + x.signum() + x.gt(0.5);
        (steps * x).sum()
    })
    .unwrap();
    // Of steps·x: the steps.
    let found = f.gradient(&[0.5, -1.5, 2.0, 0.0]).unwrap();
    assert_eq!(
        found,
        array![
            0.0 + 1.0 + 1.0 + 0.0 + 1.0,
            -2.0 - 1.0 - 2.0 - 1.0 - 1.0,
            10.0,
            1.0
        ]
    );
    let product = f
        .hvp(&[0.5, -1.5, 2.0, 0.0], Array1::from_elem(4, 1.0).view())
        .unwrap();
    assert_eq!(product, Array1::<f64>::zeros(4));
}

/// One function for plain numbers and for recorded ones.
fn pieces<S: Scalar>(x: &[S]) -> S {
    let mut sum = x[0] * 0.0;
    for pair in x.windows(2) {
        let (a, b) = (pair[0], pair[1]);
        let root = b.less(a).select((a - b).sqrt(), a * b);
        let steps = a.floor() + b.ceil() * 2.0 + a.round() * b.trunc() + b.signum();
        sum =
            sum + root * steps + a.minimum(b) * a.maximum(-b) + b.clamp(-1.0, 0.5) + a % (b + 3.5);
    }
    sum
}

#[test]
fn scalar_code_runs_plain_and_recorded() {
    for n in [2, 3, 40] {
        let x: Vec<f64> = (0..n)
            .map(|i| 2.5 * (1.7 * f64::from(i) + 0.4).sin())
            .collect();
        let f = Function::<f64>::record_scalars(x.len(), |x| pieces(x)).unwrap();
        let (value, plain) = (f.value(&x).unwrap(), pieces(&x));
        // Sums of up to 200 terms of size 10 in another order.
        assert!(
            (value - plain).abs() <= 1e4 * f64::EPSILON,
            "{value} {plain}"
        );
        let gradient = f.gradient(&x).unwrap();
        for at in 0..x.len() {
            let moved = |h: f64| {
                let mut x = x.clone();
                x[at] += h;
                pieces(&x)
            };
            // Truncation h²·f‴ and rounding ε·f/h, with f up to 400 and f‴ up to 10⁴ at these points.
            let slope = (moved(1e-6) - moved(-1e-6)) / 2e-6;
            assert!(
                (gradient[at] - slope).abs() <= 1e-6,
                "{at}: {} {slope}",
                gradient[at]
            );
        }
    }
    assert!(Scalar::minimum(NAN, 1.0).is_nan() && Scalar::maximum(1.0, NAN).is_nan());
}
