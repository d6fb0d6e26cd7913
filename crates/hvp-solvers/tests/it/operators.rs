//! Operators against matrices written down.

use ad_core::{Function, Point};
use hvp_solvers::operator::{
    Damped, DenseOperator, DenseRectangular, DiagonalOperator, EmpiricalFisher,
    RectangularOperator, Restricted, SparseOperator, Sum,
};
use hvp_solvers::{
    LinearOperator, LinearizedJacobian, LinearizedOperator, SolverError, case_gradients,
};
use ndarray::{Array1, Array2, ArrayView2, Axis, array, s, stack};

use crate::kit::{EPS, normal, product, with_spectrum};

/// The matrix of an operator, by products with unit vectors.
fn matrix(a: &impl LinearOperator<f64>) -> Array2<f64> {
    let n = a.dim();
    let mut out = Array2::zeros((n, n));
    a.apply_block_into(Array2::eye(n).view(), out.view_mut());
    out
}

fn largest(a: ArrayView2<'_, f64>) -> f64 {
    a.iter().fold(0.0, |m, x| x.abs().max(m))
}

/// The five-point Laplacian on `p×q` points, with each coupling written twice in halves.
fn laplacian(p: usize, q: usize) -> Vec<(usize, usize, f64)> {
    let mut entries = Vec::new();
    for i in 0..p {
        for j in 0..q {
            let k = i * q + j;
            entries.push((k, k, 4.0));
            let mut couple = |l: usize| {
                for _ in 0..2 {
                    entries.push((k, l, -0.5));
                    entries.push((l, k, -0.5));
                }
            };
            if i + 1 < p {
                couple(k + q);
            }
            if j + 1 < q {
                couple(k + 1);
            }
        }
    }
    entries
}

#[test]
fn sparse_products_are_those_of_the_matrix() {
    let (p, q) = (5, 7);
    let n = p * q;
    let a = SparseOperator::from_triplets(n, laplacian(p, q)).unwrap();
    let mut dense = Array2::<f64>::zeros((n, n));
    for (i, j, value) in laplacian(p, q) {
        dense[[i, j]] += value;
    }
    assert_eq!(matrix(&a), dense);
    assert_eq!(a.diagonal(), Array1::from_elem(n, 4.0));
    assert_eq!(a.n_entries(), n + 2 * ((p - 1) * q + p * (q - 1)));
    // An eigenvector in closed form.
    let wave = |k: usize, m: usize, i: usize| {
        ((i + 1) as f64 * k as f64 * std::f64::consts::PI / (m + 1) as f64).sin()
    };
    let x = Array1::from_shape_fn(n, |k| wave(2, p, k / q) * wave(3, q, k % q));
    let angle = |k: f64, m: usize| (k * std::f64::consts::PI / (m + 1) as f64).cos();
    let lambda = 4.0 - 2.0 * angle(2.0, p) - 2.0 * angle(3.0, q);
    let defect = product(&a, x.view()) - lambda * &x;
    // Entries up to 1, five terms a row of size up to 4, and the sines' own rounding.
    assert!(defect.iter().all(|d| d.abs() <= 32.0 * EPS), "{defect}");

    // Blocks have the bits of single products, also through views with gaps.
    let wide = Array2::from_shape_vec((6, n), normal(6 * n, 1).to_vec()).unwrap();
    let gaps = wide.slice(s![..;2, ..]);
    let mut block = Array2::zeros((3, n));
    a.apply_block_into(gaps, block.view_mut());
    for (row, x) in block.rows().into_iter().zip(gaps.rows()) {
        assert_eq!(row, product(&a, x));
    }
    let mut columns = Array2::zeros((n, 2));
    a.apply_into(wide.row(0), columns.column_mut(1));
    assert_eq!(columns.column(1), block.row(0));
}

#[test]
fn sparse_forms_agree() {
    let entries = [(0, 0, 2.0), (0, 2, 1.0), (1, 1, 3.0), (2, 2, -1.0)];
    let upper = SparseOperator::from_upper(3, entries).unwrap();
    let rows = SparseOperator::from_rows(
        vec![0, 2, 3, 5],
        &[0, 2, 1, 0, 2],
        vec![2.0, 1.0, 3.0, 1.0, -1.0],
    )
    .unwrap();
    assert_eq!(matrix(&upper), matrix(&rows));
    let empty = SparseOperator::<f64>::from_triplets(0, []).unwrap();
    assert_eq!((empty.dim(), empty.n_entries()), (0, 0));
    // Entries that cancel leave none.
    let cancelled = [(0, 1, 1.0), (0, 1, -1.0)];
    let zero = SparseOperator::from_triplets(2, cancelled).unwrap();
    assert_eq!(zero.n_entries(), 0);
    assert_eq!(matrix(&zero), Array2::<f64>::zeros((2, 2)));
}

#[test]
fn sparse_input_is_checked() {
    let structure = |found: Result<SparseOperator<f64>, SolverError>, what, index| {
        assert!(
            matches!(found, Err(SolverError::InvalidStructure { what: w, index: i, .. })
                if (w, i) == (what, index)),
            "{what} {index}: {found:?}"
        );
    };
    let triplets = SparseOperator::from_triplets(2, [(0, 0, 1.0), (0, 2, 1.0)]);
    structure(triplets, "triplets", 1);
    structure(SparseOperator::from_upper(2, [(1, 0, 1.0)]), "triplets", 0);
    let rows = |starts: &[usize], columns: &[usize]| {
        SparseOperator::from_rows(starts.to_vec(), columns, vec![1.0; columns.len()])
    };
    structure(rows(&[], &[]), "starts", 0);
    structure(rows(&[1, 1], &[0]), "starts", 0);
    structure(rows(&[0, 1], &[]), "starts", 1);
    structure(rows(&[0, 2, 1, 2], &[0, 1]), "starts", 2);
    structure(rows(&[0, 2, 2], &[1, 0]), "columns", 1);
    structure(rows(&[0, 2, 2], &[0, 0]), "columns", 1);
    structure(rows(&[0, 1, 1], &[2]), "columns", 0);
    let lengths = SparseOperator::from_rows(vec![0, 1], &[0], vec![1.0, 2.0]);
    assert!(matches!(
        lengths,
        Err(SolverError::DimensionMismatch { .. })
    ));
    let nan = SparseOperator::from_triplets(1, [(0, 0, f64::NAN)]);
    assert!(matches!(
        nan,
        Err(SolverError::NonFiniteInput { index: 0, .. })
    ));
    for entries in [
        vec![(0, 1, 1.0)],
        vec![(0, 1, 1.0), (1, 0, 1.0 + EPS)],
        vec![(0, 1, 1.0), (1, 0, 1.0), (2, 0, 1.0)],
    ] {
        let found = SparseOperator::from_triplets(3, entries);
        assert!(matches!(found, Err(SolverError::NotSymmetric { .. })));
    }
}

#[test]
fn sums_parts_and_damping_are_those_of_matrices() {
    let n = 7;
    let (a, b) = (
        with_spectrum(&Array1::linspace(-1.0, 3.0, n), 1),
        with_spectrum(&Array1::linspace(1.0, 2.0, n), 2),
    );
    let (first, second) = (
        DenseOperator::new(a.clone()).unwrap(),
        DenseOperator::new(b.clone()).unwrap(),
    );
    let sum = Sum::new([(2.0, &first), (-0.5, &second)]).unwrap();
    let expected = 2.0 * &a - 0.5 * &b;
    let tol = 4.0 * EPS * (2.0 * largest(a.view()) + largest(b.view()));
    assert!(largest((matrix(&sum) - expected).view()) <= tol);

    let d = normal(n, 3);
    let damped = Damped::new(&first, 0.25, d.clone()).unwrap();
    let expected = &a + &Array2::from_diag(&(0.25 * &d));
    assert!(largest((matrix(&damped) - expected).view()) <= tol);

    let part = Restricted::new(&first, &[5..7, 1..3]).unwrap();
    let places = [5, 6, 1, 2];
    assert_eq!(
        matrix(&part),
        a.select(Axis(0), &places).select(Axis(1), &places)
    );
    let x = normal(n, 4);
    let restricted = part.restrict(x.view()).unwrap();
    assert_eq!(restricted, x.select(Axis(0), &places));
    let extended = part.extend(restricted.view()).unwrap();
    let kept = |i: usize| if places.contains(&i) { x[i] } else { 0.0 };
    assert_eq!(extended, Array1::from_shape_fn(n, kept));

    // Single products have the bits of blocks.
    for op in [&sum as &dyn LinearOperator<f64>, &damped, &part] {
        let x = normal(op.dim(), 5);
        let mut block = Array2::zeros((2, op.dim()));
        let both = stack![Axis(0), x, &x * 2.0];
        op.apply_block_into(both.view(), block.view_mut());
        let single = product(&op, x.view());
        let scale = largest(block.view());
        assert!(
            (&block.row(0) - &single)
                .iter()
                .all(|d| d.abs() <= 16.0 * EPS * scale)
        );
    }
}

#[test]
fn parts_and_sums_are_checked() {
    let a = DiagonalOperator::new(Array1::<f64>::ones(5));
    for (ranges, index) in [
        (vec![1..2, 3..3], 1),
        (vec![0..6, 1..2], 0),
        (vec![0..2, 3..5, 1..3], 2),
        (vec![0..5, 2..3], 1),
    ] {
        let found = Restricted::new(&a, &ranges);
        assert!(
            matches!(found, Err(SolverError::InvalidStructure { what: "ranges", index: i, .. })
                if i == index),
            "{ranges:?}"
        );
    }
    let part = Restricted::new(&a, &[1..2, 3..4]).unwrap();
    assert!(part.restrict(Array1::zeros(4).view()).is_err());
    assert!(part.extend(Array1::zeros(3).view()).is_err());
    assert_eq!(Restricted::new(&a, &[]).unwrap().dim(), 0);

    let other = DiagonalOperator::new(Array1::<f64>::ones(4));
    assert!(Sum::<f64, &DiagonalOperator<f64>>::new([]).is_err());
    assert!(Sum::new([(1.0, &a), (1.0, &other)]).is_err());
    assert!(Sum::new([(f64::NAN, &a)]).is_err());
    assert!(Damped::new(&a, 1.0, Array1::ones(4)).is_err());
    assert!(Damped::new(&a, f64::INFINITY, Array1::ones(5)).is_err());
    assert!(Damped::new(&a, 1.0, array![1.0, 1.0, f64::NAN, 1.0, 1.0]).is_err());
}

#[test]
fn the_empirical_fisher_matrix_three_ways() {
    // Softmax regression: 6 cases of 3 features, 4 classes.
    let (cases, features, classes) = (6, 3, 4);
    let n = features * classes;
    let losses = |n_cases: usize, marked: bool| {
        let shapes: [&[usize]; 2] = [&[n_cases, features], &[n_cases, classes]];
        Function::<f64>::record_with_data(n, &shapes, move |w, data| {
            let logits = data[0].matmul(w.reshape(&[features, classes]));
            let per_case = logits.logsumexp_axis(1) - (logits * data[1]).sum_axis(1);
            let per_case = if marked {
                per_case.model_output()
            } else {
                per_case
            };
            per_case.sum() / n_cases as f64
        })
        .unwrap()
    };
    let x = Array2::from_shape_vec((cases, features), normal(cases * features, 1).to_vec());
    let x = x.unwrap();
    let labels = Array2::from_shape_fn((cases, classes), |(i, c)| {
        f64::from(u8::from((i * 2) % classes == c))
    });
    let data = [x.view().into_dyn(), labels.view().into_dyn()];
    let w = normal(n, 2).to_vec();

    // By hand: gᵢ = xᵢ ⊗ (pᵢ − yᵢ).
    let weights = Array2::from_shape_vec((features, classes), w.clone()).unwrap();
    let e = x.dot(&weights).mapv(f64::exp);
    let p = &e / &e.sum_axis(Axis(1)).insert_axis(Axis(1));
    let by_hand = Array2::from_shape_fn((cases, n), |(i, k)| {
        x[[i, k / classes]] * (p[[i, k % classes]] - labels[[i, k % classes]])
    });
    let expected = by_hand.t().dot(&by_hand) / cases as f64;

    let one = losses(1, false);
    let rows = case_gradients(&one, &w, &data).unwrap();
    // Entries of a few units, each from a few dozen roundings.
    let tol = 64.0 * EPS * largest(by_hand.view()).powi(2);
    assert!(largest((&rows - &by_hand).view()) <= tol);
    let written = EmpiricalFisher::new(DenseRectangular::new(rows));
    assert!(largest((matrix(&written) - &expected).view()) <= tol);

    let all = losses(cases, true);
    let at = all.linearize(Point::with_data(&w, &data)).unwrap();
    let jacobian = LinearizedJacobian::new(&at);
    assert_eq!((jacobian.nrows(), jacobian.ncols()), (cases, n));
    let matrix_free = EmpiricalFisher::new(jacobian);
    assert!(largest((matrix(&matrix_free) - &expected).view()) <= tol);

    assert!(case_gradients(&one, &w, &data[..1]).is_err());
    let short = [data[0].view(), labels.slice(s![..3, ..]).into_dyn()];
    assert!(case_gradients(&one, &w, &short).is_err());
}

/// The expectation of `∇ log p(y|x) ∇ log p(y|x)ᵀ` over labels drawn from the model itself, by
/// summing over all labels, is the Gauss–Newton matrix of softmax cross-entropy: on a network
/// with a hidden layer, where neither is the Hessian.
#[test]
fn the_exact_fisher_matrix_is_the_gauss_newton_matrix() {
    let (cases, inputs, hidden, classes) = (5, 3, 4, 3);
    let n = inputs * hidden + hidden * classes;
    let shapes: [&[usize]; 2] = [&[cases, inputs], &[cases, classes]];
    let f = Function::<f64>::record_with_data(n, &shapes, |w, data| {
        let first = w.slice(0, 0..inputs * hidden).reshape(&[inputs, hidden]);
        let second = w.slice(0, inputs * hidden..n).reshape(&[hidden, classes]);
        let logits = data[0].matmul(first).tanh().matmul(second).model_output();
        (logits.logsumexp_axis(1) - (logits * data[1]).sum_axis(1)).sum() / cases as f64
    })
    .unwrap();
    let x = Array2::from_shape_vec((cases, inputs), normal(cases * inputs, 3).to_vec()).unwrap();
    let labels = Array2::from_shape_fn((cases, classes), |(i, c)| f64::from(u8::from(i % 3 == c)));
    let data = [x.view().into_dyn(), labels.view().into_dyn()];
    let w = normal(n, 4).to_vec();
    let at = f.linearize(Point::with_data(&w, &data)).unwrap();
    let gauss_newton = matrix(&LinearizedOperator::gauss_newton(&at).unwrap());

    let first = Array2::from_shape_vec((inputs, hidden), w[..inputs * hidden].to_vec()).unwrap();
    let second = Array2::from_shape_vec((hidden, classes), w[inputs * hidden..].to_vec()).unwrap();
    let e = x.dot(&first).mapv(f64::tanh).dot(&second).mapv(f64::exp);
    let p = &e / &e.sum_axis(Axis(1)).insert_axis(Axis(1));
    let jacobian = LinearizedJacobian::new(&at);
    let mut fisher = Array2::<f64>::zeros((n, n));
    for i in 0..cases {
        for label in 0..classes {
            // ∇ −log p(label|xᵢ) = Jᵀ(pᵢ − e_label).
            let mut u = Array1::zeros(cases * classes);
            for c in 0..classes {
                u[i * classes + c] = p[[i, c]] - f64::from(u8::from(c == label));
            }
            let mut g = Array1::zeros(n);
            jacobian.apply_transposed_into(u.view(), g.view_mut());
            let column = g.view().insert_axis(Axis(1));
            fisher = fisher + column.dot(&column.t()) * (p[[i, label]] / cases as f64);
        }
    }
    let defect = largest((&fisher - &gauss_newton).view());
    assert!(defect <= 64.0 * EPS * largest(fisher.view()), "{defect:e}");
    let hessian = matrix(&LinearizedOperator::hessian(&at));
    assert!(largest((&hessian - &gauss_newton).view()) > 1e-3);
}

#[test]
fn rectangular_products_are_adjoint() {
    let j = Array2::from_shape_vec((4, 6), normal(24, 5).to_vec()).unwrap();
    let op = DenseRectangular::new(j.clone());
    let (v, u) = (normal(12, 6), normal(8, 7));
    let (v, u) = (
        v.into_shape_with_order((2, 6)).unwrap(),
        u.into_shape_with_order((2, 4)).unwrap(),
    );
    let (mut jv, mut jtu) = (Array2::zeros((2, 4)), Array2::zeros((2, 6)));
    let boxed: Box<dyn RectangularOperator<f64>> = Box::new(op);
    boxed.apply_block_into(v.view(), jv.view_mut());
    boxed.apply_transposed_block_into(u.view(), jtu.view_mut());
    for k in 0..2 {
        let (left, right) = (u.row(k).dot(&jv.row(k)), v.row(k).dot(&jtu.row(k)));
        assert!((left - right).abs() <= 32.0 * EPS * (left.abs() + 10.0));
        let mut single = Array1::zeros(4);
        boxed.apply_into(v.row(k), single.view_mut());
        assert!((&single - &jv.row(k)).iter().all(|d| d.abs() <= 32.0 * EPS));
    }
}
