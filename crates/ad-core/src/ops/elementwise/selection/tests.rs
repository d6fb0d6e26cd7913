//! Each function against the scalar library, to the bit, on every instruction set, and where derivatives
//! that a selection left stand in a program.

use super::*;
use crate::kernels::{Level, run_at};
use crate::transform::vjp;

type Plain<T> = fn(T, T) -> T;

/// IEEE 754's minimum and maximum, by the order of signs and sizes.
fn larger<T: Real>(x: T, y: T) -> T {
    if x.is_nan() || y.is_nan() {
        return T::nan();
    }
    let first = x > y || (x == y && y.is_sign_negative());
    if first { x } else { y }
}

fn yes<T: Real>(holds: bool) -> T {
    T::of(f64::from(u8::from(holds)))
}

fn plain<T: Real>(name: &str) -> Plain<T> {
    match name {
        "less" => |x, y| yes(x < y),
        "less_or_equal" => |x, y| yes(x <= y),
        "not_equals" => |x, y| yes(x != y),
        "not" => |x, _| yes(x == T::zero()),
        "and" => |x, y| yes(x != T::zero() && y != T::zero()),
        "or" => |x, y| yes(x != T::zero() || y != T::zero()),
        "taken" => |m, x| if m == T::zero() { T::of(-0.0) } else { x },
        "kept" => |m, x| if m == T::zero() { T::zero() } else { x },
        "minimum" => |x, y| -larger(-x, -y),
        "maximum" => larger,
        "share" => |x, y| {
            let all = (x > y, x == y, x < y);
            T::of(match all {
                (true, ..) => 1.0,
                (_, true, _) => 0.5,
                (.., true) => 0.0,
                _ => f64::NAN,
            })
        },
        "floor" => |x, _| x.floor(),
        "ceil" => |x, _| x.ceil(),
        "round" => |x, _| x.round(),
        "trunc" => |x, _| x.trunc(),
        "signum" => |x, _| x.signum(),
        "rem" => |x, y| x % y,
        "whole_quotient" => |x, y| ((x - x % y) / y).round(),
        _ => panic!("no reference for {name}"),
    }
}

/// Zeros, subnormal and normal numbers around halves and whole numbers, the largest ones, infinities, NaN.
fn samples<T: Real>() -> Vec<T> {
    let (small, huge) = (T::min_positive_value(), T::max_value());
    let half = T::of(0.5);
    let whole = T::one() / T::epsilon();
    let mut all = vec![
        T::zero(),
        small,
        small * half,
        small * T::epsilon(),
        huge,
        T::infinity(),
    ];
    for x in [
        half,
        T::one(),
        T::of(1.5),
        T::of(2.5),
        T::of(3.0),
        whole,
        whole * half,
        T::of(0.1),
    ] {
        all.extend([
            x,
            x * (T::one() - T::epsilon()),
            x * (T::one() + T::epsilon()),
        ]);
    }
    let negative: Vec<T> = all.iter().map(|&x| -x).collect();
    all.extend(negative);
    all.push(T::nan());
    all
}

fn same<T: Real>(x: T, y: T) -> bool {
    x.is_nan() && y.is_nan() || x == y && x.is_sign_negative() == y.is_sign_negative()
}

fn check<T: Real>() {
    let samples = samples::<T>();
    let pairs = samples
        .iter()
        .flat_map(|&x| samples.iter().map(move |&y| (x, y)));
    let (x, y): (Vec<T>, Vec<T>) = pairs.unzip();
    for level in [Level::Baseline, Level::Avx2, Level::Avx512] {
        if level > Level::detect() {
            continue;
        }
        for op in FAMILY {
            let plain = plain::<T>(op.name);
            for n in [0, 1, 7, 32, 33, x.len()] {
                let mut out = vec![T::of(77.0); n + 1];
                run_at(&op.kernels, level, &mut out[..n], &x, &y);
                assert!(out[n] == T::of(77.0), "{} writes beyond its end", op.name);
                for i in 0..n {
                    let exact = plain(x[i], y[i]);
                    let (name, found) = (op.name, out[i]);
                    assert!(
                        same(found, exact),
                        "{} {name} {level:?} of {:e} and {:e}: {found:e}, not {exact:e}",
                        T::NAME,
                        x[i],
                        y[i]
                    );
                }
            }
        }
    }
}

#[test]
fn every_function_has_the_bits_of_the_scalar_library_on_every_instruction_set() {
    check::<f64>();
    check::<f32>();
}

/// The gradient of √ln x, guarded, is one selection around all of its products, and without the guard
/// there is none: as many instructions as before.
#[test]
fn products_are_made_inside_of_one_selection() {
    let shape = Shape::new(&[3]);
    let count = |guarded: bool| {
        let mut graph = Graph::default();
        let x = graph.input(0, &shape);
        let ln = graph.map1(&LN, x);
        let mut y = graph.map1(&SQRT, ln);
        if guarded {
            let (mask, other) = (graph.input(1, &shape), graph.input(2, &shape));
            y = select(&mut graph, mask, y, other);
        }
        let t = graph.input(3, &shape);
        let gradient = vjp(&mut graph, &[(y, t)], &[x])[0].expect("y depends on x");
        let (program, outputs) = graph.pruned(&[gradient]);
        let is_kept = |id: &NodeId| program.op(*id).is(&KEPT);
        assert_eq!(is_kept(&outputs[0]), guarded, "{program}");
        assert_eq!(program.ids().filter(is_kept).count(), usize::from(guarded));
        program.len() - if guarded { 2 } else { 0 } // the mask and the selection
    };
    assert_eq!(count(true), count(false));
}

/// Masks of masks are joined, so that a chain of selections takes as many of them, not their square.
#[test]
fn nested_selections_are_joined() {
    for n in [10, 100, 1000] {
        let shape = Shape::new(&[3]);
        let mut graph = Graph::default();
        let x = graph.input(0, &shape);
        let zero = graph.full(0.0, &shape);
        let mut y = x;
        for _ in 0..n {
            let mask = graph.map2(&LT, zero, y);
            let sqrt = graph.map1(&SQRT, y);
            y = select(&mut graph, mask, sqrt, zero);
        }
        let gradient = {
            let t = graph.input(1, &shape);
            vjp(&mut graph, &[(y, t)], &[x])[0].expect("y depends on x")
        };
        let (program, outputs) = graph.pruned(&[gradient]);
        let is_kept = |id: &NodeId| program.op(*id).is(&KEPT);
        assert!(is_kept(&outputs[0]));
        assert_eq!(program.ids().filter(is_kept).count(), 1);
        assert!(
            program.len() <= 12 * n + 20,
            "{} instructions",
            program.len()
        );
    }
}
