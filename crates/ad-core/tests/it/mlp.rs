//! Multilayer perceptrons: products against the dense Hessian and differences, counts of matrix
//! products, memory.

use crate::common::{Mlp, random, relative_error};
use ad_core::{Point, Product, Program};
use ndarray::{Array1, Array2};

const EPS: f64 = f64::EPSILON;

#[test]
fn matrix_products_are_as_few_as_they_can_be() {
    let mlp = Mlp::new(&[64, 20, 15, 10], 32);
    let g: Vec<usize> = mlp.sizes.windows(2).map(|w| 32 * w[0] * w[1]).collect();
    let (s, g1) = (g.iter().sum::<usize>(), g[0]);
    let f = mlp.function();
    let products = |program| f.cost(program).unwrap().product_flops;
    assert_eq!(products(Program::Value), s);
    assert_eq!(products(Program::Gradient), 3 * s - g1);
    assert_eq!(products(Program::Linearize), 3 * s - g1);
    assert_eq!(products(Program::Hvp), 6 * s - 4 * g1);
    assert_eq!(products(Program::Ggnvp), 4 * s - 2 * g1);
    // The gradient itself is not asked for, so its own products of weights fall away.
    assert_eq!(products(Program::HvpOneShot), 8 * s - 5 * g1);
}

#[test]
fn products_agree_with_the_dense_hessian_and_with_differences() {
    let mlp = Mlp::new(&[5, 4, 3, 3], 7);
    let f = mlp.function();
    let n = f.n_parameters();
    let (x, v) = (random(n, 1), random(n, 2));
    let h = EPS.cbrt();
    let (ahead, behind) = (&x + &(&v * h), &x - &(&v * h));
    let data = mlp.data();
    let at = |x| Point::with_data(x, &data);
    let hessian = f.hessian(at(&x)).unwrap();
    let scale = hessian.iter().fold(0.0_f64, |m, h| m.max(h.abs()));
    for ((i, j), h) in hessian.indexed_iter() {
        assert!(
            (h - hessian[[j, i]]).abs() <= 1e-13 * scale,
            "asymmetric at {i}, {j}"
        );
    }
    let expected = hessian.dot(&v);
    let linearized = f.linearize(at(&x)).unwrap();
    assert!(relative_error(&f.hvp(at(&x), v.view()).unwrap(), &expected) <= 1e-12);
    assert!(relative_error(&linearized.hvp(v.view()).unwrap(), &expected) <= 1e-12);
    // Central differences of the gradient: error about eps^(2/3).
    let plus = f.gradient(at(&ahead)).unwrap();
    let minus = f.gradient(at(&behind)).unwrap();
    let difference = (plus - minus) / (2.0 * h);
    assert!(relative_error(&difference, &expected) <= 100.0 * EPS.powf(2.0 / 3.0));
    // And the gradient against differences of the value.
    let gradient = f.gradient(at(&x)).unwrap();
    assert_eq!(gradient, linearized.gradient());
    let slope = (f.value(at(&ahead)).unwrap() - f.value(at(&behind)).unwrap()) / (2.0 * h);
    let expected = gradient.dot(&v);
    assert!((slope - expected).abs() <= 100.0 * EPS.powf(2.0 / 3.0) * (1.0 + expected.abs()));
}

#[test]
fn the_gauss_newton_product_is_jacobian_loss_hessian_jacobian() {
    let mlp = Mlp::new(&[5, 4, 3], 6);
    let f = mlp.function();
    let x = random(f.n_parameters(), 1);
    let data = mlp.data();
    let at = f.linearize(Point::with_data(&x, &data)).unwrap();
    let v = random(f.n_parameters(), 3);
    let tangent = at.jvp(v.view()).unwrap();
    let probabilities = mlp.probabilities(&x);
    // H_L = (diag p − ppᵀ)/rows for each row.
    let mut curved = Array1::zeros(tangent.len());
    for (row, p) in probabilities.outer_iter().enumerate() {
        let z: Vec<f64> = (0..3).map(|c| tangent[row * 3 + c]).collect();
        let mean: f64 = (0..3).map(|c| p[c] * z[c]).sum();
        for c in 0..3 {
            curved[row * 3 + c] = p[c] * (z[c] - mean) / 6.0;
        }
    }
    let expected = at.vjp(curved.view()).unwrap();
    let found = at.ggnvp(v.view()).unwrap();
    assert!(relative_error(&found, &expected) <= 1e-13);
    // The adjoint identity ⟨u, Jv⟩ = ⟨Jᵀu, v⟩.
    let u = random(tangent.len(), 4);
    let (left, right) = (u.dot(&tangent), at.vjp(u.view()).unwrap().dot(&v));
    assert!((left - right).abs() <= 1e-13 * left.abs().max(1.0));
}

#[test]
fn softmax_regression_has_its_closed_form_hessian() {
    let (rows, inputs, classes) = (9, 4, 3);
    let mlp = Mlp::new(&[inputs, classes], rows);
    let f = mlp.function();
    let x = random(f.n_parameters(), 5);
    let data = mlp.data();
    let hessian = f.hessian(Point::with_data(&x, &data)).unwrap();
    let p = mlp.probabilities(&x);
    let mut expected = Array2::<f64>::zeros(hessian.dim());
    for row in 0..rows {
        // A bias is a weight of a constant input 1; weights come first, biases after.
        let input = |i: usize| {
            if i < inputs {
                mlp.inputs[[row, i]]
            } else {
                1.0
            }
        };
        for a in 0..(inputs + 1) * classes {
            for b in 0..(inputs + 1) * classes {
                let (i, c, j, d) = (a / classes, a % classes, b / classes, b % classes);
                let delta = if c == d { p[[row, c]] } else { 0.0 };
                expected[[a, b]] +=
                    (delta - p[[row, c]] * p[[row, d]]) * input(i) * input(j) / rows as f64;
            }
        }
    }
    let error = (&hessian - &expected)
        .iter()
        .fold(0.0_f64, |m, e| m.max(e.abs()));
    let scale = expected.iter().fold(0.0_f64, |m, e| m.max(e.abs()));
    assert!(error <= 1e-12 * scale, "{error:e}");
    // For a linear model the Gauss–Newton matrix is the Hessian.
    let at = f.linearize(Point::with_data(&x, &data)).unwrap();
    let v = random(f.n_parameters(), 6);
    assert!(relative_error(&at.ggnvp(v.view()).unwrap(), &at.hvp(v.view()).unwrap()) <= 1e-12);
}

#[test]
fn a_block_of_vectors_gives_the_products_of_each() {
    // Short vectors, which go in one pass, and some of which only three do.
    for (sizes, at_once) in [([5, 4, 3, 3], 16), ([60, 70, 10, 3], 3)] {
        let mlp = Mlp::new(&sizes, 7);
        assert_eq!(mlp.function().vectors_at_once(Product::Hvp), at_once);
        check_blocks(&mlp);
    }
}

fn check_blocks(mlp: &Mlp) {
    let f = mlp.function();
    let n = f.n_parameters();
    let x = random(n, 1);
    let data = mlp.data();
    let point = Point::with_data(&x, &data);
    let at = f.linearize(point).unwrap();
    for count in [1, 2, 5, 16, 19] {
        let v = Array2::from_shape_vec((count, n), random(count * n, 7).to_vec()).unwrap();
        let block = at.hvp_block(v.view()).unwrap();
        for (row, product) in v.outer_iter().zip(block.outer_iter()) {
            let single = at.hvp(row).unwrap();
            assert!(relative_error(&product.to_owned(), &single) <= 1e-13);
        }
    }
    for product in [Product::Ggnvp, Product::Jvp, Product::Vjp] {
        let single = |v| at.product(product, v).unwrap();
        let from = if product == Product::Vjp { 21 } else { n };
        let v = Array2::from_shape_vec((3, from), random(3 * from, 8).to_vec()).unwrap();
        let to = single(v.row(0)).len();
        let mut out = Array2::zeros((3, to));
        let mut residuals = ad_core::Residuals::new();
        let mut gradient = Array1::zeros(n);
        f.linearize_into(point, &mut residuals, gradient.view_mut())
            .unwrap();
        f.apply_linearized_block(product, point, &residuals, v.view(), out.view_mut())
            .unwrap();
        for (v, out) in v.outer_iter().zip(out.outer_iter()) {
            assert!(
                relative_error(&out.to_owned(), &single(v)) <= 1e-13,
                "{product:?}"
            );
        }
    }
}

#[test]
fn f32_agrees_with_f64_to_its_precision() {
    let mlp = Mlp::new(&[5, 4, 3, 3], 7);
    let (f, f32s) = (mlp.function(), mlp.function_f32());
    let n = f.n_parameters();
    let (x, v) = (random(n, 1), random(n, 2));
    let data = mlp.data();
    let wide = f.hvp(Point::with_data(&x, &data), v.view()).unwrap();
    let (x, v) = (x.mapv(|x| x as f32), v.mapv(|v| v as f32));
    let inputs = mlp.inputs.mapv(|x| x as f32);
    let targets = mlp.targets.mapv(|x| x as f32);
    let data = [inputs.view().into_dyn(), targets.view().into_dyn()];
    let narrow = f32s.hvp(Point::with_data(&x, &data), v.view()).unwrap();
    // A few hundred roundings along each path.
    let error = relative_error(&narrow.mapv(f64::from), &wide);
    assert!(error <= 300.0 * f64::from(f32::EPSILON), "{error:e}");
}

#[test]
fn the_explanation_names_every_kernel_call() {
    let mlp = Mlp::new(&[5, 4, 3], 6);
    let f = mlp.function();
    let text = f.explain(Program::Hvp).unwrap();
    assert_eq!(text.matches("matmul").count(), 2 * 6 - 4, "{text}");
    assert!(
        !text.contains("tanh") && !text.contains("exp"),
        "a product needs no function:\n{text}"
    );
}
