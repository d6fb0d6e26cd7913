//! The dense Hessian against products with unit vectors, whatever way parameters are read.
#![allow(
    clippy::float_cmp,
    reason = "structural zeros and what nothing is added to are exact"
)]

use ad_core::{Function, HessianWork, Point, Residuals, Var};
use ndarray::{Array1, Array2, ArrayD, IxDyn, s};

/// Σ (tanh(tanh(X·W₁ + b₁)·W₂ + b₂))² for layers of the given sizes.
fn perceptron<'t>(w: Var<'t>, x: Var<'t>, sizes: &[usize]) -> Var<'t> {
    let (mut h, mut at) = (x, 0);
    for pair in sizes.windows(2) {
        let (n_in, n_out) = (pair[0], pair[1]);
        let weights = w.slice(0, at..at + n_in * n_out).reshape(&[n_in, n_out]);
        at += n_in * n_out;
        let bias = w.slice(0, at..at + n_out);
        at += n_out;
        h = (h.matmul(weights) + bias).tanh();
    }
    h.square().sum()
}

fn numbers(n: usize) -> Array1<f64> {
    Array1::from_shape_fn(n, |i| (0.7 * i as f64 + 0.2).sin())
}

/// The largest difference between a Hessian and its products with unit vectors, in units of the
/// largest entry.
fn difference<'a>(f: &'a Function<f64>, point: impl Into<Point<'a, f64>> + Copy) -> f64 {
    let hessian = f.hessian(point).unwrap();
    let at = f.linearize(point).unwrap();
    let products = at.hvp_block(Array2::eye(f.n_parameters()).view()).unwrap();
    let largest = products.iter().fold(0.0, |m: f64, x| m.max(x.abs()));
    assert_eq!(hessian, hessian.t(), "exactly symmetric");
    let errors = (&hessian - &products).mapv(f64::abs);
    errors.iter().fold(0.0, |m: f64, &x| m.max(x)) / largest.max(f64::MIN_POSITIVE)
}

/// The ends of the panels of a perceptron's Hessian, which is compared with products.
fn ends_of_panels(sizes: &[usize]) -> Vec<usize> {
    let n = sizes.windows(2).map(|p| (p[0] + 1) * p[1]).sum();
    let shape = [11, sizes[0]];
    let f =
        Function::<f64>::record_with_data(n, &[&shape], |w, data| perceptron(w, data[0], sizes))
            .unwrap();
    let x = ArrayD::from_shape_fn(IxDyn(&shape), |i| ((i[0] * 3 + i[1]) as f64).cos());
    let (w, data) = (numbers(n), [x.view()]);
    // Sums of 11 rows and at most 16 units in another order, through two layers.
    assert!(difference(&f, Point::with_data(&w, &data)) <= 200.0 * f64::EPSILON);
    let strips = f.hessian_strips().unwrap();
    let mut ends: Vec<_> = strips.iter().map(|strip| strip.columns()).collect();
    ends.dedup();
    ends
}

#[test]
fn layers_apart_give_what_all_parameters_together_give() {
    assert_eq!(ends_of_panels(&[7, 9, 8, 3]), [72, 152, 179]);
}

#[test]
fn parts_of_large_layers_give_the_same() {
    let ends = ends_of_panels(&[24, 16, 8, 3]);
    assert_eq!(ends, [48, 96, 144, 192, 240, 288, 336, 384, 400, 563]);
}

#[test]
fn parameters_that_nothing_reads_have_rows_of_zeros() {
    let f = Function::<f64>::record(100, |w| {
        let (a, b) = (w.slice(0, 10..40), w.slice(0, 60..90));
        (a * b).sin().sum() + a.sum()
    })
    .unwrap();
    let w = numbers(100);
    assert!(difference(&f, &w) <= 4.0 * f64::EPSILON);
    let hessian = f.hessian(&w).unwrap();
    for unread in [0, 9, 40, 59, 90, 99] {
        assert!(hessian.row(unread).iter().all(|&x| x == 0.0));
        assert!(hessian.column(unread).iter().all(|&x| x == 0.0));
    }
    assert!(hessian[[10, 60]] != 0.0);
}

#[test]
fn overlapping_reads_and_whole_reads_are_right_too() {
    let overlapping = Function::<f64>::record(60, |w| {
        (w.slice(0, 0..40) * w.slice(0, 20..60)).tanh().sum()
    });
    let whole = Function::<f64>::record(60, |w| w.slice(0, 0..30).exp().sum() * w.square().sum());
    let linear =
        Function::<f64>::record(40, |w| w.slice(0, 0..20).sum() + w.slice(0, 20..40).sum());
    for f in [overlapping, whole, linear] {
        let f = f.unwrap();
        let w = numbers(f.n_parameters());
        // A sum of 60 terms in another order.
        assert!(difference(&f, &w) <= 64.0 * f64::EPSILON);
    }
}

/// Strips add to what is there, weighted, into rows of a larger matrix.
#[test]
fn strips_are_added_with_a_weight() {
    let f = Function::<f64>::record(40, |w| (w.slice(0, 0..20) * w.slice(0, 20..40)).exp().sum())
        .unwrap();
    let w = numbers(40);
    let expected = f.hessian(&w).unwrap();
    let (mut residuals, mut work) = (Residuals::new(), HessianWork::default());
    f.linearize_hessian_into(&w, &mut residuals).unwrap();
    for strip in f.hessian_strips().unwrap() {
        let mut rows = Array2::ones((strip.rows().len(), 50));
        for _ in 0..2 {
            let target = rows.slice_mut(s![.., 5..5 + strip.columns()]);
            f.add_hessian_strip(&strip, &w, &residuals, 0.25, &mut work, target)
                .unwrap();
        }
        let part = expected.slice(s![strip.rows(), ..strip.columns()]);
        let found = rows.slice(s![.., 5..5 + strip.columns()]);
        let errors = (&found - &(1.0 + 0.5 * &part)).mapv(f64::abs);
        assert!(errors.iter().all(|&x| x <= 8.0 * f64::EPSILON));
        assert!(rows.slice(s![.., ..5]).iter().all(|&x| x == 1.0));
    }
    let stale = Residuals::new();
    let strip = &f.hessian_strips().unwrap()[0];
    let mut rows = Array2::zeros((strip.rows().len(), strip.columns()));
    let work = &mut work;
    assert!(
        f.add_hessian_strip(strip, &w, &stale, 1.0, work, rows.view_mut())
            .is_err()
    );
    let narrow = rows.slice_mut(s![.., 1..]);
    assert!(
        f.add_hessian_strip(strip, &w, &residuals, 1.0, work, narrow)
            .is_err()
    );
}
