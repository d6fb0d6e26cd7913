//! Values at the ends of the range of numbers: no rewriting turns a finite result into another one.

use ad_core::{Function, Point, Product, Var};
use ndarray::{Array1, Array2, array};

type Record = fn(Var<'_>) -> Var<'_>;

/// One value of a function of one number.
fn value(f: Record, x: f64) -> f64 {
    let f = Function::<f64>::record_scalars(1, |v| f(v[0])).unwrap();
    f.value(&[x]).unwrap()
}

fn close(found: f64, exact: f64, ulps: f64) -> bool {
    (found - exact).abs() <= ulps * f64::EPSILON * exact.abs()
}

#[test]
fn constants_merge_only_where_their_product_is_a_normal_number() {
    let cases: [(Record, f64, f64); 4] = [
        (|x| x * 1e200 * 1e200, 0.0, 0.0),
        (|x| x * 1e200 * 1e200, 1e-300, 1e100),
        (|x| x * 1e-200 * 1e-200, 1e300, 1e-100),
        (|x| x * 1e200 * 1e-200, 1e200, 1e200),
    ];
    for (f, x, exact) in cases {
        let found = value(f, x);
        assert!(close(found, exact, 4.0), "{x:e}: {found:e}, not {exact:e}");
    }
    let f = Function::<f32>::record_scalars(1, |x| x[0] * 1e30 * 1e30).unwrap();
    assert!((f.value(&[1e-30]).unwrap() / 1e30 - 1.0).abs() <= 4.0 * f32::EPSILON);
    // 2⁻¹⁴⁰ is subnormal in single precision, and its reciprocal is none of its numbers.
    let f = Function::<f32>::record_scalars(1, |x| x[0] / 2.0_f64.powi(-140)).unwrap();
    assert_eq!(
        f.value(&[2.0_f32.powi(-20)]).unwrap().to_bits(),
        2.0_f32.powi(120).to_bits()
    );
}

#[test]
fn sums_and_means_leave_the_range_only_with_their_result() {
    let x = [1e308; 10];
    let f = Function::<f64>::record(10, |x| (x * 0.1).sum()).unwrap();
    assert!(close(f.value(&x).unwrap(), 1e308, 10.0));
    let f = Function::<f64>::record(10, |x| x.mean()).unwrap();
    assert!(close(f.value(&x).unwrap(), 1e308, 2.0));
    assert!(f.gradient(&x).unwrap().iter().all(|&g| close(g, 0.1, 1.0)));
    let f =
        Function::<f32>::record(300, |x| x.reshape(&[3, 100]).mean_axis(0).max_axis(0)).unwrap();
    assert!((f.value(&[3e38; 300]).unwrap() / 3e38 - 1.0).abs() <= 2.0 * f32::EPSILON);
    let f = Function::<f64>::record(4, |x| x.mean()).unwrap();
    assert_eq!(
        f.value(&[1.0, 2.0, 3.0, 4.0]).unwrap().to_bits(),
        2.5_f64.to_bits()
    );
    assert_eq!(
        f.value(&[1e308, -1e308, 1e308, 1e308]).unwrap().to_bits(),
        0.5e308_f64.to_bits()
    );
}

/// Products of coefficients that leave the range although the products with a vector do not.
#[test]
fn linearized_products_are_those_of_one_shot() {
    let f = Function::<f64>::record_with_data(2, &[&[2], &[2]], |x, d| ((x * d[0]) * d[1]).sum());
    let f = f.unwrap();
    let x = [1e-300, 1.0];
    for (a, v, exact) in [
        (array![1e200, 1.0], array![0.0, 1.0], 1.0),
        (array![1e200, 1.0], array![1e-300, 1.0], 1e100),
        (array![1e-200, 1.0], array![1e300, 0.0], 1e-100),
        (array![0.0, 1.0], array![1.0, 1.0], 1.0),
    ] {
        let data = [a.view().into_dyn(), a.view().into_dyn()];
        let point = Point::with_data(&x, &data);
        let once = f.jvp(point, v.view()).unwrap().1.sum();
        let at = f.linearize(Point::with_data(&x, &data)).unwrap();
        let kept = at.jvp(v.view()).unwrap()[0];
        let mut block = Array2::zeros((2, 1));
        let stack = ndarray::stack![ndarray::Axis(0), v, v];
        at.product_block_into(Product::Jvp, stack.view(), block.view_mut())
            .unwrap();
        for found in [once, kept, block[[0, 0]], block[[1, 0]]] {
            assert!(
                close(found, exact, 4.0),
                "{a} {v}: {found:e}, not {exact:e}"
            );
        }
    }
}

#[test]
fn hessians_have_no_nan_beside_what_leaves_the_range() {
    let f = Function::<f64>::record_with_data(2, &[&[2]], |x, d| (x * d[0]).sin().sum()).unwrap();
    let d = array![1e200, 1.0];
    let data = [d.view().into_dyn()];
    let hessian = f.hessian(Point::with_data(&[1.0, 1.0], &data)).unwrap();
    assert!(close(hessian[[0, 1]], 0.0, 0.0) && close(hessian[[1, 0]], 0.0, 0.0));
    assert!(hessian[[0, 0]].is_infinite());
    assert!(close(hessian[[1, 1]], -1.0_f64.sin(), 4.0));
    // A point at which nothing leaves the range, with the same memory.
    let d = array![2.0, 1.0];
    let data = [d.view().into_dyn()];
    let hessian = f.hessian(Point::with_data(&[1.0, 1.0], &data)).unwrap();
    assert!(close(hessian[[0, 0]], -4.0 * 2.0_f64.sin(), 8.0));
}

/// 0·∞ is NaN wherever the user multiplies.
#[test]
fn zero_times_infinity_is_not_a_number_on_any_path() {
    let f = Function::<f64>::record_scalars(1, |x| 0.0 * x[0].ln()).unwrap();
    assert!(f.value(&[0.0]).unwrap().is_nan());
    assert_eq!(f.value(&[1.0]).unwrap().to_bits(), 0);
    // One row whose first element is infinite, times matrices with few entries and with many.
    let f = Function::<f64>::record_with_data(8, &[&[8, 2]], |x, d| {
        (x * 1e200 * x).reshape(&[1, 8]).matmul(d[0]).reshape(&[2])
    })
    .unwrap();
    let mut x = [1.0; 8];
    x[0] = 1e200;
    for entries in [
        &[[1, 0]][..],
        &[[0, 1]],
        &[[1, 0], [1, 1]],
        &[[1, 0], [2, 1], [3, 0]],
        &[],
    ] {
        let mut b = Array2::<f64>::zeros((8, 2));
        for &[row, column] in entries {
            b[[row, column]] = 1.0;
        }
        let data = [b.view().into_dyn()];
        let found = f.evaluate(Point::with_data(&x, &data)).unwrap();
        let expected: Vec<bool> = (0..2).map(|column| b[[0, column]] == 0.0).collect();
        let nan: Vec<bool> = found.iter().map(|y| y.is_nan()).collect();
        assert_eq!(nan, expected, "{entries:?}: {found}");
    }
}

#[test]
fn a_reciprocal_beyond_a_kink_hides_no_slope_of_zero() {
    let f = Function::<f32>::record_scalars(1, |x| (1.0 / ((x[0] - 1e-20).relu() + 1e-20)).ln())
        .unwrap();
    assert_eq!(f.gradient(&[0.0]).unwrap()[0].abs().to_bits(), 0);
}

/// The convention of lengths where points coincide: slope 0, and so its derivatives.
#[test]
fn lengths_of_coinciding_points_have_finite_derivatives() {
    let even = Function::<f64>::record(4, |x| {
        let r = (x.slice(0, 0..2) - x.slice(0, 2..4)).norm();
        (r * r).cos()
    })
    .unwrap();
    let (apart, together) = ([3.0, 1.0, 0.0, 5.0], [1.0, 2.0, 1.0, 2.0]);
    assert_eq!(even.value(&together).unwrap().to_bits(), 1.0_f64.to_bits());
    assert!(even.gradient(&together).unwrap().iter().all(|g| *g == 0.0));
    assert!(even.hessian(&together).unwrap().iter().all(|h| *h == 0.0));
    // ∇ cos(r²) = −2 sin(r²)·d, with d = (3, −4).
    let slope = -2.0 * 25.0_f64.sin();
    let gradient = even.gradient(&apart).unwrap();
    for (found, d) in gradient.iter().zip([3.0, -4.0, -3.0, 4.0]) {
        assert!(close(*found, slope * d, 64.0), "{gradient}");
    }
    let norm = Function::<f64>::record(3, |x| x.norm()).unwrap();
    assert!(close(
        norm.value(&[2e300, 3e300, 6e300]).unwrap(),
        7e300,
        2.0
    ));
    let gradient = norm.gradient(&[2e-300, 3e-300, 6e-300]).unwrap();
    for (found, exact) in gradient.iter().zip([2.0, 3.0, 6.0]) {
        assert!(close(*found, exact / 7.0, 4.0));
    }
    let v = Array1::from(vec![1.0, 0.0, 0.0]);
    let product = norm.hvp(&[2.0, 3.0, 6.0], v.view()).unwrap();
    for (found, exact) in product.iter().zip([45.0, -6.0, -12.0]) {
        assert!(close(*found, exact / 343.0, 16.0), "{product}");
    }
}
