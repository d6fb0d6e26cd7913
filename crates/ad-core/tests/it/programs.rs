//! Random programs over the public interface: every way to a Hessian agrees with every other one.

use crate::common::{random, relative_error};
use ad_core::{Function, Var, concatenate};
use ndarray::{Array1, Array2};
use proptest::prelude::*;

/// One instruction: which operation on which earlier values.
type Step = (u8, usize, usize);

/// The matrix shapes of all values but those that sums make.
const ROWS: usize = 3;
const COLUMNS: usize = 3;
const N: usize = ROWS * COLUMNS;

/// Smooth functions with bounded derivatives, so that values stay of size 1 at any depth.
fn step<'t>(op: u8, a: Var<'t>, b: Var<'t>) -> Var<'t> {
    match op {
        0 => (a + b).sin(),
        1 => (a * b).tanh(),
        2 => a.sigmoid() - b,
        3 => a / (b.square() + 2.0),
        4 => (a.square() + 1.0).sqrt() - b,
        5 => a.softplus() * 0.5 + b.cos() * 0.25,
        6 => (a.matmul(b) * 0.3).tanh(),
        7 => (a.t().matmul(b) * 0.3).sin(),
        8 => a - b.mean_axis(0),
        9 => a.tanh() * b.logsumexp_axis(1).reshape(&[ROWS, 1]).sin(),
        10 => concatenate(0, &[a.slice(0, 1..ROWS), b.slice(0, 0..1)]),
        11 => concatenate(1, &[b.slice(1, 2..COLUMNS), a.slice(1, 0..2)]).sin(),
        12 => a.t().reshape(&[N]).reshape(&[ROWS, COLUMNS]) * b.sin(),
        13 => (a.sum() * 0.1).cos() * b,
        14 => (-(a.square())).exp() + b.stop_gradient(),
        _ => (a.square() + 1.5).powf(0.7) - (b.square() + 1.0).ln(),
    }
}

fn program<'t>(x: Var<'t>, steps: &[Step]) -> Var<'t> {
    let mut values = vec![x.reshape(&[ROWS, COLUMNS])];
    for &(op, a, b) in steps {
        let (a, b) = (values[a % values.len()], values[b % values.len()]);
        values.push(step(op, a, b));
    }
    let last = values[values.len() - 1];
    (last * 0.7).sin().sum() + 0.5 * values[values.len() / 2].square().mean()
}

fn largest(a: &Array2<f64>) -> f64 {
    a.iter().fold(1.0, |max, x| max.max(x.abs()))
}

/// Each of at most 14 steps at most multiplies rounding errors by a small factor.
const ROUNDING: f64 = 1e4 * f64::EPSILON;

proptest! {
    #![proptest_config(crate::common::cases(96))]

    #[test]
    fn all_ways_to_second_derivatives_agree(
        steps in prop::collection::vec((0_u8..16, 0_usize..20, 0_usize..20), 1..14),
        seed in 0_u64..1000,
    ) {
        // Differences would show what `stop_gradient` hides.
        let stops = steps.iter().any(|step| step.0 == 14);
        let f = Function::<f64>::record(N, |x| program(x, &steps)).unwrap();
        let (x, v, u) = (random(N, seed), random(N, seed + 1), random(N, seed + 2));
        let at = f.linearize(&x).unwrap();
        let hessian = f.hessian(&x).unwrap();
        let bound = ROUNDING * largest(&hessian);
        let close = |a: &Array1<f64>, b: &Array1<f64>| (a - b).iter().all(|d| d.abs() <= bound);
        let expected = hessian.dot(&v);
        prop_assert!(close(&at.hvp(v.view()).unwrap(), &expected), "linearized");
        prop_assert!(close(&f.hvp(&x, v.view()).unwrap(), &expected), "one shot");
        prop_assert!(close(&f.gradient(&x).unwrap(), &at.gradient().to_owned()), "gradient");
        prop_assert!((f.value(&x).unwrap() - at.value()).abs() <= ROUNDING, "value");

        let mut stack = Array2::zeros((2, N));
        stack.row_mut(0).assign(&v);
        stack.row_mut(1).assign(&u);
        let block = at.hvp_block(stack.view()).unwrap();
        prop_assert!(close(&block.row(0).to_owned(), &expected), "block");
        prop_assert!(close(&block.row(1).to_owned(), &hessian.dot(&u)), "block");

        prop_assert!(close(&hessian.t().dot(&v), &expected), "symmetry");
        if !stops {
            let h = f64::EPSILON.cbrt();
            let (ahead, behind) = (&x + &(&v * h), &x - &(&v * h));
            let difference = (f.gradient(&ahead).unwrap() - f.gradient(&behind).unwrap()) / (2.0 * h);
            // Errors of ε^(2/3), times fourth derivatives that a few steps multiply up.
            let bound = 1e4 * h * h * largest(&hessian);
            prop_assert!((&difference - &expected).iter().all(|d| d.abs() <= bound), "differences");
            let slope = (f.value(&ahead).unwrap() - f.value(&behind).unwrap()) / (2.0 * h);
            prop_assert!((slope - at.gradient().dot(&v)).abs() <= bound, "slope");
        }
        let (_, tangent) = f.jvp(&x, v.view()).unwrap();
        let (_, cotangent) = f.vjp(&x, ndarray::array![1.0].view()).unwrap();
        let tangent: f64 = tangent.sum();
        prop_assert!((tangent - cotangent.dot(&v)).abs() <= bound, "adjoint");
    }

    #[test]
    fn single_precision_agrees_with_double(
        steps in prop::collection::vec((0_u8..16, 0_usize..20, 0_usize..20), 1..8),
        seed in 0_u64..1000,
    ) {
        let wide = Function::<f64>::record(N, |x| program(x, &steps)).unwrap();
        let narrow = Function::<f32>::record(N, |x| program(x, &steps)).unwrap();
        let (x, v) = (random(N, seed).mapv(|x| x as f32), random(N, seed + 1).mapv(|v| v as f32));
        let found = narrow.hvp(&x, v.view()).unwrap().mapv(f64::from);
        let (x, v) = (x.mapv(f64::from), v.mapv(f64::from));
        let expected = wide.hvp(&x, v.view()).unwrap();
        let scale = largest(&wide.hessian(&x).unwrap());
        let bound = 1e4 * f64::from(f32::EPSILON) * scale;
        prop_assert!((&found - &expected).iter().all(|d| d.abs() <= bound));
    }
}

/// The comparison itself can fail: a Hessian of another program is not close.
#[test]
fn another_program_has_another_hessian() {
    let record = |op| Function::<f64>::record(N, |x| program(x, &[(op, 0, 0)])).unwrap();
    let (x, v) = (random(N, 1), random(N, 2));
    let products = [0, 1].map(|op| record(op).hvp(&x, v.view()).unwrap());
    assert!(relative_error(&products[0], &products[1]) > 1e-2);
}
