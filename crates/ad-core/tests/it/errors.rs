//! Bad input: every error names what is wrong, where, and what was expected; nothing panics.
#![allow(
    clippy::float_cmp,
    reason = "small whole numbers, which arithmetic keeps exact"
)]

use crate::common::{Mlp, random};
use ad_core::{Error, Function, HessianOptions, Point, Product, Program, Residuals, Var, stack};
use ndarray::{Array1, Array2, ArrayD, Axis, IxDyn, array, s};

/// ½‖Xw − t‖² with the model's output marked: 2 parameters, data of the shapes [3, 2] and [3].
fn regression() -> Function<f64> {
    Function::record_with_data(2, &[&[3, 2], &[3]], |w, data| {
        let model = data[0].matmul(w.reshape(&[2, 1])).reshape(&[3]);
        0.5 * (model.model_output() - data[1]).square().sum()
    })
    .unwrap()
}

fn data() -> (Array2<f64>, Array1<f64>) {
    (
        array![[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]],
        array![1.0, 2.0, 3.0],
    )
}

fn square_sum(n: usize) -> Function<f64> {
    Function::record(n, |x| x.square().sum()).unwrap()
}

/// Whether an error's text has all these parts.
#[track_caller]
fn assert_names(error: &Error, parts: &[&str]) {
    let text = error.to_string();
    for part in parts {
        assert!(text.contains(part), "`{part}` is not in: {text}");
    }
}

#[test]
fn a_wrong_parameter_count_is_named() {
    let error = square_sum(3).value(&[1.0, 2.0]).unwrap_err();
    assert_names(&error, &["parameter vector", "[2]", "[3]"]);
    assert!(matches!(error, Error::Shape { .. }));
}

#[test]
fn vectors_and_results_of_wrong_lengths_are_named() {
    let f = square_sum(3);
    let (x, short) = ([1.0, 2.0, 3.0], array![1.0, 2.0]);
    let mut out = Array1::zeros(3);
    let error = f.hvp(&x, short.view()).unwrap_err();
    assert_names(&error, &["the vector", "[2]", "[3]"]);
    let error = f.hvp_into(&x, out.clone().view(), out.slice_mut(s![..2]));
    assert_names(&error.unwrap_err(), &["the product", "[2]", "[3]"]);
    let error = f.value_and_grad_into(&x, out.slice_mut(s![..1]));
    assert_names(&error.unwrap_err(), &["the gradient", "[1]", "[3]"]);
    assert_names(
        &f.jvp(&x, short.view()).unwrap_err(),
        &["the tangent", "[2]"],
    );
    assert_names(
        &f.vjp(&x, short.view()).unwrap_err(),
        &["the cotangent", "[2]"],
    );
    let at = f.linearize(&x).unwrap();
    assert_names(&at.hvp(short.view()).unwrap_err(), &["the vector", "[2]"]);
    let stack = Array2::zeros((4, 2));
    let error = at.hvp_block(stack.view()).unwrap_err();
    assert_names(&error, &["the stack of vectors", "[4, 2]", "[4, 3]"]);
    let (right, mut wrong) = (Array2::zeros((4, 3)), Array2::zeros((3, 3)));
    let error = at.hvp_block_into(right.view(), wrong.view_mut());
    assert_names(
        &error.unwrap_err(),
        &["the stack of products", "[3, 3]", "[4, 3]"],
    );
}

#[test]
fn data_of_another_number_or_shape_are_named() {
    let f = regression();
    let (x, t) = data();
    let error = f.value(&[1.0, 2.0]).unwrap_err();
    assert_eq!(
        error,
        Error::DataCount {
            expected: 2,
            found: 0
        }
    );
    assert_names(&error, &["0 data arrays", "recorded with 2"]);
    let turned = x.t().as_standard_layout().into_owned();
    let wrong = [turned.view().into_dyn(), t.view().into_dyn()];
    let error = f.value(Point::with_data(&[1.0, 2.0], &wrong)).unwrap_err();
    assert_names(&error, &["data array 0", "[2, 3]", "[3, 2]"]);
    let empty = Array1::<f64>::zeros(0);
    let wrong = [x.view().into_dyn(), empty.view().into_dyn()];
    let error = f.value(Point::with_data(&[1.0, 2.0], &wrong)).unwrap_err();
    assert_names(&error, &["data array 1", "[0]", "[3]"]);
}

#[test]
fn views_with_gaps_are_refused_by_name() {
    let f = regression();
    let (x, t) = data();
    let good = [x.view().into_dyn(), t.view().into_dyn()];
    let wide = array![1.0, 9.0, 2.0, 9.0];
    let gaps = wide.slice(s![..;2]);
    let point = [1.0, 2.0];
    let error = f.value(Point::with_data(gaps, &good)).unwrap_err();
    assert!(matches!(error, Error::Layout { .. }));
    assert_names(&error, &["the parameter vector", "as_standard_layout"]);
    let columns = array![[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]];
    let wrong = [columns.t().into_dyn(), t.view().into_dyn()];
    let error = f.value(Point::with_data(&point, &wrong)).unwrap_err();
    assert_names(&error, &["data array 0", "not contiguous"]);
    let at = Point::with_data(&point, &good);
    assert_names(
        &f.hvp(at, gaps).unwrap_err(),
        &["the vector", "not contiguous"],
    );
    let mut out = wide.clone();
    let error = f.value_and_grad_into(at, out.slice_mut(s![..;2]));
    assert_names(&error.unwrap_err(), &["the gradient", "not contiguous"]);
    let stack = Array2::<f64>::zeros((2, 3));
    let mut products = Array2::zeros((3, 2));
    let linearized = f.linearize(at).unwrap();
    let error = linearized.hvp_block(stack.t()).unwrap_err();
    assert_names(&error, &["the stack of vectors", "not contiguous"]);
    let (right, turned) = (Array2::zeros((3, 2)), &mut Array2::zeros((2, 3)));
    let error = linearized.hvp_block_into(right.view(), turned.view_mut().reversed_axes());
    assert_names(
        &error.unwrap_err(),
        &["the stack of products", "not contiguous"],
    );
    assert!(
        linearized
            .hvp_block_into(right.view(), products.view_mut())
            .is_ok()
    );
}

#[test]
fn non_finite_numbers_are_found_by_name_and_place() {
    let f = regression();
    let (x, t) = data();
    let good = [x.view().into_dyn(), t.view().into_dyn()];
    let point = [1.0, 2.0];
    for (bad, name) in [
        (f64::NAN, "NaN"),
        (f64::INFINITY, "inf"),
        (-f64::INFINITY, "-inf"),
    ] {
        let error = f.value(Point::with_data(&[1.0, bad], &good)).unwrap_err();
        assert!(matches!(error, Error::NonFinite { index: 1, .. }));
        assert_names(&error, &["the parameter vector", name, "index 1", "finite"]);
        let mut spoilt = x.clone();
        spoilt[[2, 0]] = bad;
        let wrong = [spoilt.view().into_dyn(), t.view().into_dyn()];
        let error = f.value(Point::with_data(&point, &wrong)).unwrap_err();
        assert_names(&error, &["data array 0", name, "index 4"]);
        // Data that are declared finite are not looked at.
        let declared = Point::with_data(&point, &wrong).assume_finite_data();
        assert!(!f.value(declared).unwrap().is_finite());
        let at = Point::with_data(&point, &good);
        let v = array![bad, 0.0];
        assert_names(
            &f.hvp(at, v.view()).unwrap_err(),
            &["the vector", name, "index 0"],
        );
        assert_names(&f.jvp(at, v.view()).unwrap_err(), &["the tangent", name]);
        let error = f.vjp(at, array![bad].view()).unwrap_err();
        assert_names(&error, &["the cotangent", name]);
        let linearized = f.linearize(at).unwrap();
        assert_names(
            &linearized.hvp(v.view()).unwrap_err(),
            &["the vector", name],
        );
        let stack = array![[0.0, 0.0], [0.0, bad]];
        let error = linearized.hvp_block(stack.view()).unwrap_err();
        assert_names(&error, &["the stack of vectors", name, "index 3"]);
    }
}

#[test]
fn a_constant_that_is_not_finite_is_a_recording_error() {
    let values = array![1.0, f64::NAN];
    let f = Function::<f64>::record(2, |x| (x * x.constant(values.view().into_dyn())).sum());
    assert_names(&f.unwrap_err(), &["constant", "NaN", "index 1"]);
}

#[test]
fn derivatives_of_an_array_are_refused() {
    let f = Function::<f64>::record(2, |x| x.square()).unwrap();
    let x = [1.0, 2.0];
    for error in [
        f.value(&x).unwrap_err(),
        f.gradient(&x).unwrap_err(),
        f.hvp(&x, array![1.0, 0.0].view()).unwrap_err(),
        f.hessian(&x).unwrap_err(),
        f.linearize(&x).unwrap_err(),
        f.cost(Program::Gradient).unwrap_err(),
    ] {
        assert!(matches!(error, Error::NotScalar { .. }));
        assert_names(&error, &["scalar", "[2]"]);
    }
    assert!(f.evaluate(&x).is_ok());
}

#[test]
fn a_gauss_newton_product_needs_a_marked_model() {
    let f = square_sum(2);
    let at = f.linearize(&[1.0, 2.0]).unwrap();
    let error = at.ggnvp(array![1.0, 0.0].view()).unwrap_err();
    assert_eq!(error, Error::NoModelOutput);
    assert_names(&error, &["model_output"]);
    assert_eq!(f.cost(Program::Ggnvp), Err(Error::NoModelOutput));
}

#[test]
fn a_hessian_over_the_budget_is_refused_before_it_is_computed() {
    let n = 1_000_000;
    let f = square_sum(n);
    let x = vec![0.5; n];
    let error = f.hessian(&x).unwrap_err();
    let Error::MemoryBudget {
        required, budget, ..
    } = error
    else {
        panic!("{error}")
    };
    assert_eq!(required, 8_000_000_000_000);
    assert_eq!(budget, HessianOptions::default().memory_budget);
    assert_names(
        &error,
        &["1000000 × 1000000", "8000000000000 bytes", "4294967296"],
    );
    let options = HessianOptions { memory_budget: 31 };
    let error = square_sum(2)
        .hessian_with(&[0.0, 0.0], &options)
        .unwrap_err();
    assert_names(&error, &["2 × 2", "32 bytes", "31"]);
}

#[test]
fn products_of_no_linearization_are_refused() {
    let f = Function::<f64>::record(2, |x| x.exp().sum()).unwrap();
    let (x, v) = ([0.0, 1.0], array![1.0, 1.0]);
    let mut out = Array1::zeros(2);
    let residuals = Residuals::new();
    let error = f.apply_linearized(Product::Hvp, &x, &residuals, v.view(), out.view_mut());
    let error = error.unwrap_err();
    assert!(matches!(error, Error::Empty { .. }));
    assert_names(&error, &["the linearization", "empty"]);
}

#[test]
fn no_parameters_are_a_constant_function() {
    let f = Function::<f64>::record_with_data(0, &[&[2]], |_, data| data[0].exp().sum()).unwrap();
    let t = array![0.0, 0.0];
    let data = [t.view().into_dyn()];
    let at = Point::with_data(&[], &data);
    assert_eq!(f.value(at).unwrap(), 2.0);
    assert_eq!(f.gradient(at).unwrap().len(), 0);
    assert_eq!(f.hessian(at).unwrap().dim(), (0, 0));
    let linearized = f.linearize(at).unwrap();
    assert_eq!(linearized.hvp(array![].view()).unwrap().len(), 0);
    let stack = Array2::zeros((3, 0));
    assert_eq!(linearized.hvp_block(stack.view()).unwrap().dim(), (3, 0));
    let sum = Function::<f64>::record(0, |x| x.sum()).unwrap();
    assert_eq!(sum.value(&[]).unwrap(), 0.0);
}

#[test]
fn empty_data_give_empty_sums_and_no_mean() {
    let record = |reduce: fn(Var<'_>) -> Var<'_>| {
        Function::<f64>::record_with_data(3, &[&[0, 3]], move |w, data| {
            reduce(data[0].matmul(w.reshape(&[3, 1])))
        })
    };
    let f = record(|y| y.square().sum()).unwrap();
    let empty = ArrayD::zeros(IxDyn(&[0, 3]));
    let data = [empty.view()];
    let x = [1.0, 2.0, 3.0];
    let at = Point::with_data(&x, &data);
    assert_eq!(f.value(at).unwrap(), 0.0);
    assert_eq!(f.gradient(at).unwrap(), Array1::zeros(3));
    assert_eq!(f.hessian(at).unwrap(), Array2::zeros((3, 3)));
    assert_names(&record(|y| y.mean()).unwrap_err(), &["mean", "[0, 1]"]);
    assert_names(
        &record(|y| y.max_axis(0).sum()).unwrap_err(),
        &["max", "[0, 1]"],
    );
    let error = record(|y| y.logsumexp_axis(0).sum()).unwrap_err();
    assert_names(&error, &["logsumexp", "[0, 1]"]);
}

#[test]
fn a_recording_without_results_is_refused() {
    let f = Function::<f64>::record_vector(2, |_| Vec::new());
    assert_names(&f.unwrap_err(), &["the list of results", "empty"]);
}

#[test]
fn vectors_are_checked_for_every_product_of_a_model() {
    let mlp = Mlp::new(&[3, 2, 2], 4);
    let (f, data) = (mlp.function(), mlp.data());
    let x = random(f.n_parameters(), 1);
    let at = f.linearize(Point::with_data(&x, &data)).unwrap();
    let v = Array1::zeros(f.n_parameters() + 1);
    for product in [Product::Hvp, Product::Ggnvp, Product::Jvp, Product::Vjp] {
        let error = at.product(product, v.view()).unwrap_err();
        assert_names(&error, &["the vector", &format!("[{}]", v.len())]);
    }
    let single = v.insert_axis(Axis(0));
    assert!(at.hvp_block(single.view()).is_err());
}

#[test]
fn stacking_needs_numbers() {
    let f = Function::<f64>::record(2, |x| stack(&[x, x]).sum());
    let error = f.unwrap_err();
    assert_names(
        &error,
        &["reshape", "[2] has 2 elements, [1] has 1", file!()],
    );
}
