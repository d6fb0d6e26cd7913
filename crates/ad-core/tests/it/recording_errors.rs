//! Errors of recording: the op, the shapes, and the caller's file and line; no panic whatever the
//! shapes.
#![allow(
    clippy::float_cmp,
    reason = "small whole numbers, which arithmetic keeps exact"
)]

use ad_core::{Error, Function, Var, concatenate};
use ndarray::array;
use proptest::prelude::*;

/// The text of a recording's error, whose line must be the one given.
#[track_caller]
fn message(result: Result<Function<f64>, Error>, expected_line: u32) -> String {
    let error = result.unwrap_err();
    let text = error.to_string();
    let Error::Record { location, .. } = error else {
        panic!("{text}")
    };
    assert_eq!(location.file(), file!(), "{text}");
    assert_eq!(location.line(), expected_line, "{text}");
    assert!(
        text.contains(&format!("{}:{expected_line}", file!())),
        "{text}"
    );
    text
}

/// Records `$body` on the next line's variable and checks op, shapes and line of the error.
macro_rules! assert_refused {
    ($n:literal, |$x:ident| $body:expr, $($part:literal),+) => {{
        let line = line!();
        let text = message(Function::record($n, |$x| $body), line);
        for part in [$($part),+] {
            assert!(text.contains(part), "`{part}` is not in: {text}");
        }
    }};
}

#[test]
#[rustfmt::skip]
#[allow(clippy::reversed_empty_ranges, reason = "a range that runs backwards is bad input")]
fn every_op_names_itself_the_shapes_and_the_line() {
    assert_refused!(3, |x| x.reshape(&[2, 2]).sum(), "reshape", "[3] has 3", "[2, 2] has 4");
    assert_refused!(3, |x| (x + x.slice(0, 0..2)).sum(), "add", "[3] and [2]");
    assert_refused!(3, |x| (x - x.slice(0, 0..2)).sum(), "sub", "[3] and [2]");
    assert_refused!(3, |x| (x * x.slice(0, 0..2)).sum(), "mul", "[3] and [2]");
    assert_refused!(3, |x| (x / x.slice(0, 0..2)).sum(), "div", "[3] and [2]");
    assert_refused!(3, |x| x.dot(x.slice(0, 0..2)), "mul", "[3] and [2]");
    assert_refused!(3, |x| x.slice(0, 2..4).sum(), "slice", "2..4", "[3]");
    assert_refused!(3, |x| x.slice(1, 0..1).sum(), "slice", "axis 1", "[3]");
    assert_refused!(3, |x| x.at(3), "slice", "3..4", "[3]");
    assert_refused!(3, |x| x.permute(&[0, 1]).sum(), "permute", "[0, 1]", "[3]");
    assert_refused!(4, |x| x.reshape(&[2, 2]).permute(&[0, 0]).sum(), "permute", "[0, 0]");
    assert_refused!(3, |x| x.broadcast_to(&[2]).sum(), "broadcast", "[3] to [2]");
    assert_refused!(4, |x| x.reshape(&[2, 2]).matmul(x.reshape(&[4, 1])).sum(), "matmul", "[2, 2] and [4, 1]");
    assert_refused!(3, |x| x.matmul(x.slice(0, 0..2)).sum(), "matmul", "[3] and [2]");
    assert_refused!(3, |x| x.at(0).matmul(x).sum(), "matmul", "[] and [3]");
    assert_refused!(3, |x| x.sum_axis(1), "sum", "axes [1]", "[3]");
    assert_refused!(3, |x| x.mean_axis(1), "mean", "axes [1]", "[3]");
    assert_refused!(3, |x| x.max_axis(1), "max", "axes [1]", "[3]");
    assert_refused!(3, |x| x.logsumexp_axis(2), "logsumexp", "axes [2]", "[3]");
    assert_refused!(3, |x| x.softmax_cross_entropy(x), "softmax_cross_entropy", "[3]");
    assert_refused!(3, |x| concatenate(1, &[x, x]).sum(), "concatenate", "axis 1", "[3]");
    assert_refused!(4, |x| concatenate(0, &[x, x.reshape(&[2, 2])]).sum(), "concatenate", "[4]", "[2, 2]");
    assert_refused!(2, |x| x.slice(0, 5..1).sum(), "slice", "[2]");
    assert_refused!(2, |x| x.at(usize::MAX), "slice", "[2]");
    assert_refused!(2, |x| x.reshape(&[usize::MAX, 2]).sum(), "reshape", "has more than");
}

#[test]
fn the_first_error_is_the_one_reported() {
    let line = line!() + 2;
    let f = Function::record(3, |x| {
        let wrong = x.reshape(&[5]);
        wrong.slice(0, 7..9).matmul(wrong).sum()
    });
    assert!(message(f, line).contains("reshape"));
}

/// An operation on two variables.
type Mixture = for<'t> fn(Var<'t>, Var<'t>) -> Var<'t>;

/// Variables of two recordings in one operation: the inner recording reports it.
#[test]
fn variables_of_two_recordings_do_not_mix() {
    let outer = Function::<f64>::record(6, |x| {
        let more = x.exp().reshape(&[2, 3]);
        let mixtures: [Mixture; 4] = [
            |a, b| a + b,
            |a, b| a.matmul(b),
            |a, b| concatenate(0, &[a, b]),
            |a, b| a.softmax_cross_entropy(b),
        ];
        for mix in mixtures {
            let inner = Function::<f64>::record(6, |y| {
                let _ = mix(y.reshape(&[2, 3]), more);
                y.sum()
            });
            let text = inner.unwrap_err().to_string();
            assert!(text.contains("two recordings"), "{text}");
        }
        x.sum()
    });
    assert_eq!(outer.unwrap().value(&[1.0; 6]).unwrap(), 6.0);
}

/// One arbitrary operation on a variable of arbitrary shape.
fn apply<'t>(x: Var<'t>, op: u8, dims: &[usize], k: usize) -> Var<'t> {
    match op {
        0 => x.reshape(dims),
        1 => x.permute(dims),
        2 => x.slice(
            k,
            dims.first().copied().unwrap_or(0)..dims.last().copied().unwrap_or(9),
        ),
        3 => x.broadcast_to(dims),
        4 => x.matmul(x.t()),
        5 => x.sum_axis(k),
        6 => x.mean_axis(k),
        7 => x.max_axis(k),
        8 => x.logsumexp_axis(k),
        9 => x.softmax_cross_entropy(x),
        10 => concatenate(k, &[x, x]),
        11 => x + x.sum_axis(k),
        12 => x.at(k),
        13 => x.mean(),
        14 => x.t().tanh(),
        _ => x.square() * x,
    }
}

proptest! {
    #![proptest_config(crate::common::cases(512))]

    /// Whatever the shapes, recording ends in a function or in an error; and a function runs.
    #[test]
    fn no_shape_makes_recording_or_running_panic(
        n in 0_usize..7,
        ops in prop::collection::vec((0_u8..16, prop::collection::vec(0_usize..4, 0..4), 0_usize..3), 0..6),
    ) {
        let f = Function::<f64>::record(n, |x| {
            let mut y = x;
            for (op, dims, k) in &ops {
                y = apply(y, *op, dims, *k);
            }
            y.sum()
        });
        match f {
            Err(Error::Record { location, .. }) => prop_assert_eq!(location.file(), file!()),
            Err(other) => prop_assert!(false, "{}", other),
            Ok(f) => {
                let x = vec![0.25; n];
                prop_assert!(f.value(&x).is_ok());
                let at = f.linearize(&x).unwrap();
                prop_assert_eq!(at.hvp(at.gradient()).unwrap().len(), n);
                prop_assert_eq!(f.hessian(&x).unwrap().dim(), (n, n));
            }
        }
    }

    /// Whatever the lengths, calls end in a result or in an error.
    #[test]
    fn no_length_makes_a_call_panic(p in 0_usize..5, v in 0_usize..5, rows in 0_usize..3, columns in 0_usize..5) {
        let f = Function::<f64>::record(3, |x| x.square().sum()).unwrap();
        let (x, vector) = (vec![1.0; p], ndarray::Array1::ones(v));
        prop_assert_eq!(f.value(&x).is_ok(), p == 3);
        prop_assert_eq!(f.hvp(&x, vector.view()).is_ok(), p == 3 && v == 3);
        prop_assert_eq!(f.jvp(&x, vector.view()).is_ok(), p == 3 && v == 3);
        prop_assert_eq!(f.vjp(&x, vector.view()).is_ok(), p == 3 && v == 1);
        let at = f.linearize(&[1.0, 2.0, 3.0]).unwrap();
        let stack = ndarray::Array2::ones((rows, columns));
        prop_assert_eq!(at.hvp_block(stack.view()).is_ok(), columns == 3);
    }
}

#[test]
fn a_number_in_a_wrong_place_is_refused_at_its_line() {
    let line = line!() + 3;
    let f = Function::record(4, |x| {
        let m = x.reshape(&[2, 2]);
        m.matmul(x.constant(array![[1.0, 2.0, 3.0]].view().into_dyn()))
    });
    assert!(message(f, line).contains("[2, 2] and [1, 3]"));
}
