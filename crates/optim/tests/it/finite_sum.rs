//! Sums over shards: against the function of all cases at once, and bit for bit over threads.

use ad_core::{Error, Point, Product, Var};
use hvp_solvers::{Objective, SecondOrder};
use ndarray::{Array1, Array2, ArrayD, ArrayView1};
use optim::nn::{Activation, Loss, Mlp};
use optim::{FiniteSum, Sharding};

const CASES: usize = 333;

fn net() -> Mlp {
    Mlp::new(&[64, 12, 10], Activation::Tanh).unwrap()
}

fn data() -> Vec<ArrayD<f64>> {
    let digits = optim::data::digits::<f64>();
    let rows: Vec<usize> = (0..CASES).collect();
    let digits = digits.select(&rows).unwrap();
    vec![
        (&digits.features() / 16.0).into_dyn(),
        digits.one_hot().into_dyn(),
    ]
}

fn sum(sharding: Sharding) -> FiniteSum<f64> {
    let net = net();
    FiniteSum::new(net.n_parameters(), data(), sharding, |w, data| {
        Loss::SoftmaxCrossEntropy.record(net.forward(w, data[0]), data[1])
    })
    .unwrap()
}

fn small() -> Sharding {
    Sharding {
        shard_rows: Some(50),
        partial_sums: 3,
        ..Sharding::default()
    }
}

/// Value, gradient, Hv, Gv and a block of two products.
fn all(f: &mut FiniteSum<f64>, x: ArrayView1<'_, f64>, v: ArrayView1<'_, f64>) -> Vec<f64> {
    let n = f.dim();
    let mut out = vec![f.value(x)];
    let mut g = Array1::zeros(n);
    out.push(f.value_and_grad(x, g.view_mut()));
    out.extend(&g);
    out.push(f.linearize(x, g.view_mut()));
    out.extend(&g);
    f.hvp_into(v, g.view_mut());
    out.extend(&g);
    f.ggnvp_into(v, g.view_mut());
    out.extend(&g);
    let stack = ndarray::stack![ndarray::Axis(0), v, x];
    let mut block = Array2::zeros((2, n));
    f.hvp_block_into(stack.view(), block.view_mut());
    out.extend(&block);
    let mut hessian = Array2::zeros((n, n));
    f.hessian_into(hessian.view_mut());
    out.extend(&hessian);
    out
}

/// Longer than what one pass takes along, and in any order in memory.
#[test]
fn a_stack_of_vectors_gives_the_products_of_each() {
    let mut f = sum(small());
    let n = f.dim();
    let mut g = Array1::zeros(n);
    f.linearize(net().init::<f64>(1).view(), g.view_mut());
    let count = f.function().vectors_at_once(Product::Hvp) + 2;
    assert!(count < 20);
    let v = Array2::from_shape_fn((count, n), |(i, j)| ((7 * i + 13 * j) % 29) as f64 - 14.0);
    let mut rows = Array2::zeros((count, n));
    f.hvp_block_into(v.view(), rows.view_mut());
    let mut columns = Array2::zeros((n, count));
    let v_columns = v.t().as_standard_layout().into_owned();
    f.hvp_block_into(v_columns.t(), columns.view_mut().reversed_axes());
    assert_eq!(rows, columns.t());
    for (v, row) in v.outer_iter().zip(rows.outer_iter()) {
        f.hvp_into(v, g.view_mut());
        let scale = g.iter().fold(0.0_f64, |most, x| most.max(x.abs()));
        for (found, expected) in row.iter().zip(&g) {
            // The same products in stacks, added up in another order.
            assert!((found - expected).abs() <= 300.0 * f64::EPSILON * scale);
        }
    }
}

#[test]
fn shards_add_up_to_the_function_of_all_cases() {
    let net = net();
    let whole = net.loss::<f64>(Loss::SoftmaxCrossEntropy, CASES).unwrap();
    let (x, v) = (net.init::<f64>(1), net.init::<f64>(2));
    let data = data();
    let views: Vec<_> = data.iter().map(|array| array.view()).collect();
    let at = whole.linearize(Point::with_data(&x, &views)).unwrap();
    let (hv, hx) = (at.hvp(v.view()).unwrap(), at.hvp(x.view()).unwrap());
    let gv = at.ggnvp(v.view()).unwrap();
    let mut expected = vec![at.value(), at.value()];
    expected.extend(at.gradient());
    expected.push(at.value());
    for part in [at.gradient(), hv.view(), gv.view(), hv.view(), hx.view()] {
        expected.extend(part);
    }
    let n = net.n_parameters();
    expected.extend(&at.hvp_block(Array2::eye(n).view()).unwrap());
    for sharding in [
        Sharding::default(),
        small(),
        Sharding {
            shard_rows: Some(1000),
            ..small()
        },
    ] {
        let found = all(&mut sum(sharding), x.view(), v.view());
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.iter().zip(&expected) {
            // Another order of some hundred additions of numbers of order one.
            assert!(
                (found - expected).abs() <= 300.0 * f64::EPSILON,
                "{found} {expected}"
            );
        }
    }
}

#[test]
fn any_number_of_threads_gives_the_same_bits() {
    let (x, v) = (net().init::<f64>(1), net().init::<f64>(2));
    let with = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        let found = pool.install(|| all(&mut sum(small()), x.view(), v.view()));
        found.iter().map(|x| x.to_bits()).collect::<Vec<_>>()
    };
    let one = with(1);
    for threads in [2, 3, 8] {
        assert!(with(threads) == one, "{threads} threads");
    }
}

#[test]
fn residuals_beyond_the_budget_are_computed_again() {
    let (x, v) = (net().init::<f64>(1), net().init::<f64>(2));
    let mut unlimited = sum(small());
    let expected = all(&mut unlimited, x.view(), v.view());
    let per_shard = unlimited.residual_bytes() / CASES.div_ceil(50);
    for kept in [0, 2] {
        let mut f = sum(Sharding {
            residual_budget: kept * per_shard + per_shard / 2,
            ..small()
        });
        let found = all(&mut f, x.view(), v.view());
        assert!(f.residual_bytes() <= kept * per_shard + per_shard / 2);
        assert!(
            found
                .iter()
                .zip(&expected)
                .all(|(a, b)| a.to_bits() == b.to_bits())
        );
    }
}

#[test]
fn a_point_that_is_not_finite_gives_nan_and_products_before_linearizing_too() {
    let mut f = sum(small());
    let mut x = net().init::<f64>(1);
    let mut g = Array1::zeros(f.dim());
    f.hvp_into(x.view(), g.view_mut());
    assert!(g.iter().all(|g| g.is_nan()));
    x[3] = f64::INFINITY;
    assert!(f.value(x.view()).is_nan());
    assert!(f.value_and_grad(x.view(), g.view_mut()).is_nan());
    assert!(g.iter().any(|g| g.is_nan()));
}

#[test]
fn bad_data_are_refused_by_name() {
    let net = net();
    let make = |data| {
        FiniteSum::<f64>::new(net.n_parameters(), data, Sharding::default(), |w, data| {
            Loss::SoftmaxCrossEntropy.record(net.forward(w, data[0]), data[1])
        })
    };
    assert!(matches!(make(vec![]), Err(Error::Empty { .. })));
    let empty = vec![
        Array2::zeros((0, 64)).into_dyn(),
        Array2::zeros((0, 10)).into_dyn(),
    ];
    assert!(matches!(make(empty), Err(Error::Empty { .. })));
    let mut ragged = data();
    ragged[1] = Array2::zeros((CASES - 1, 10)).into_dyn();
    let error = make(ragged).unwrap_err().to_string();
    assert!(
        error.contains("data array 1") && error.contains("[333, 10]"),
        "{error}"
    );
    let scalar = || ArrayD::from_elem(vec![], 1.0);
    for mut with_scalar in [vec![scalar()], vec![scalar(), scalar()], data()] {
        with_scalar.push(scalar());
        let error = make(with_scalar).unwrap_err();
        assert!(matches!(error, Error::Shape { .. }), "{error}");
    }
    let mut infinite = data();
    infinite[0][[7, 3]] = f64::INFINITY;
    let error = make(infinite).unwrap_err();
    assert!(
        matches!(error, Error::NonFinite { index, .. } if index == 7 * 64 + 3),
        "{error}"
    );
    let mut narrow = data();
    narrow[0] = Array2::zeros((CASES, 63)).into_dyn();
    assert!(matches!(
        make(narrow),
        Err(Error::Record { op: "matmul", .. })
    ));
    let vector = FiniteSum::<f64>::new(3, data(), Sharding::default(), |w, _| w);
    assert!(matches!(vector, Err(Error::NotScalar { .. })));
}

fn cross_entropy<'t>(w: ad_core::Var<'t>, d: &[ad_core::Var<'t>]) -> ad_core::Var<'t> {
    Loss::SoftmaxCrossEntropy.record(net().forward(w, d[0]), d[1])
}

/// A function with rows in its sum and none in its factor: of shards of 50, the sum is 50 times too
/// large, and 33 times for the last one.
#[test]
fn sums_and_means_are_told_apart_and_give_the_same_when_said() {
    let net = net();
    let n = net.n_parameters();
    let as_sum = FiniteSum::<f64>::new(n, data(), small(), |w, d| {
        cross_entropy(w, d) * d[0].shape()[0] as f64
    });
    let error = as_sum.unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, Error::Record { .. }), "{text}");
    assert!(
        text.contains("no mean over its rows") && text.contains("finite_sum.rs"),
        "{text}"
    );
    // A penalty belongs into a mean, and not into a sum.
    assert!(
        FiniteSum::<f64>::new(n, data(), small(), |w, d| cross_entropy(w, d)
            + w.square().sum())
        .is_ok()
    );
    let once_per_shard = FiniteSum::<f64>::from_sums(n, data(), small(), |w, d| {
        cross_entropy(w, d) * d[0].shape()[0] as f64 + w.square().sum()
    });
    assert!(
        once_per_shard
            .unwrap_err()
            .to_string()
            .contains("no sum over its rows")
    );
    assert!(FiniteSum::<f64>::from_sums(n, data(), small(), cross_entropy).is_err());

    let mut sums = FiniteSum::<f64>::from_sums(n, data(), small(), |w, d| {
        cross_entropy(w, d) * d[0].shape()[0] as f64
    })
    .unwrap();
    let (x, v) = (net.init::<f64>(1), net.init::<f64>(2));
    let expected = all(&mut sum(small()), x.view(), v.view());
    let found = all(&mut sums, x.view(), v.view());
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(&expected) {
        assert!(
            (found - expected).abs() <= 300.0 * f64::EPSILON,
            "{found} {expected}"
        );
    }
}

/// Each method, with one number too few and one too many.
#[test]
fn vectors_of_another_length_are_named() {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    let n = net().n_parameters();
    let mut f = sum(small());
    let mut g = Array1::zeros(n);
    f.linearize(net().init::<f64>(1).view(), g.view_mut());
    let mut rejects = |what: &str, call: &mut dyn FnMut(&mut FiniteSum<f64>)| {
        let panic = catch_unwind(AssertUnwindSafe(|| call(&mut f))).unwrap_err();
        let message = panic.downcast_ref::<String>().cloned().unwrap_or_default();
        assert!(message.contains(what), "{message:?} {what}");
    };
    for wrong in [n - 1, n + 1] {
        let (x, bad) = (Array1::zeros(n), Array1::zeros(wrong));
        let (mut out, mut bad_out) = (Array1::zeros(n), Array1::zeros(wrong));
        let length = format!("has length {wrong}, expected {n}");
        rejects(&length, &mut |f| {
            f.value(bad.view());
        });
        rejects(&length, &mut |f| {
            f.value_and_grad(bad.view(), out.view_mut());
        });
        rejects(&length, &mut |f| {
            f.value_and_grad(x.view(), bad_out.view_mut());
        });
        rejects(&length, &mut |f| {
            f.linearize(bad.view(), out.view_mut());
        });
        rejects(&length, &mut |f| {
            f.linearize(x.view(), bad_out.view_mut());
        });
        rejects(&length, &mut |f| f.hvp_into(bad.view(), out.view_mut()));
        rejects(&length, &mut |f| f.hvp_into(x.view(), bad_out.view_mut()));
        rejects(&length, &mut |f| f.ggnvp_into(bad.view(), out.view_mut()));
        rejects(&length, &mut |f| f.ggnvp_into(x.view(), bad_out.view_mut()));
        let (rows, mut wide) = (Array2::zeros((2, n)), Array2::zeros((2, wrong)));
        rejects("differ in shape", &mut |f| {
            f.hvp_block_into(rows.view(), wide.view_mut())
        });
        rejects("the Hessian's shape", &mut |f| {
            f.hessian_into(wide.view_mut())
        });
    }
}

/// A function of the parameters and one case's numbers per row: the mean over rows.
type Mean = for<'t> fn(Var<'t>, &[Var<'t>]) -> Var<'t>;

/// A shard of one case has a program of its own, whose rows of the Hessian must be cut as those of
/// the other shards are.
#[test]
fn a_last_shard_of_one_case_gives_the_same_hessian() {
    let models: [(usize, Mean); 5] = [
        (512, |w, d| {
            d[0].matmul(w.reshape(&[16, 32])).tanh().square().mean()
        }),
        (512, |w, d| {
            d[0].matmul(w.reshape(&[32, 16]).t()).sin().square().mean()
        }),
        (320, |w, d| {
            (d[0] * w.slice(0, 0..16)).sin().mean() * w.slice(0, 16..320).square().sum()
        }),
        (304, |w, d| {
            let hidden = d[0].matmul(w.slice(0, 0..256).reshape(&[16, 16])).tanh();
            let output = hidden * w.slice(0, 256..272) + w.slice(0, 272..288);
            (output * w.slice(0, 288..304)).square().mean()
        }),
        (272, |w, d| {
            let hidden = d[0].matmul(w.slice(0, 0..256).reshape(&[16, 16])).exp();
            (hidden.matmul(w.slice(0, 256..272).reshape(&[16, 1])))
                .square()
                .mean()
        }),
    ];
    let rows = Array2::from_shape_fn((33, 16), |(i, j)| {
        ((i * 7 + j * 5) % 13) as f64 / 13.0 - 0.4
    });
    for (n, model) in models {
        let x = Array1::from_shape_fn(n, |i| ((i * 11) % 17) as f64 / 34.0 - 0.2);
        let hessian = |shard_rows| {
            let sharding = Sharding {
                shard_rows: Some(shard_rows),
                ..Sharding::default()
            };
            let data = vec![rows.clone().into_dyn()];
            let mut f = FiniteSum::new(n, data, sharding, model).unwrap();
            let (mut g, mut out) = (Array1::zeros(n), Array2::zeros((n, n)));
            f.linearize(x.view(), g.view_mut());
            f.hessian_into(out.view_mut());
            out
        };
        let whole = hessian(33);
        let largest = whole
            .iter()
            .fold(0.0_f64, |largest, h| largest.max(h.abs()));
        for shard_rows in [32, 1] {
            let parts = hessian(shard_rows);
            // Sums of 33 terms, and some dozens of roundings in each.
            let error = (&parts - &whole)
                .iter()
                .fold(0.0_f64, |e, d| e.max(d.abs()));
            assert!(
                error <= 256.0 * f64::EPSILON * largest,
                "{n}: {error} in {largest}"
            );
        }
    }
}
