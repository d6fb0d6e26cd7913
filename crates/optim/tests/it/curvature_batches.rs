//! Products over a batch of the cases.

use hvp_solvers::newton::HessianFree;
use hvp_solvers::{Objective, SecondOrder};
use ndarray::{Array1, Array2, ArrayD, Axis};
use optim::data::digits;
use optim::minimize::{Limits, minimize};
use optim::nn::{Activation, Loss, Mlp};
use optim::{CurvatureBatches, FiniteSum, Sharding};

fn data() -> Vec<ArrayD<f64>> {
    let digits = digits::<f64>();
    let pixels = &digits.features() / 16.0;
    vec![pixels.into_dyn(), digits.one_hot().into_dyn()]
}

fn net() -> Mlp {
    Mlp::new(&[64, 10], Activation::Tanh).unwrap()
}

fn batched(data: Vec<ArrayD<f64>>, size: usize) -> CurvatureBatches<f64> {
    let net = net();
    let loss = Loss::SoftmaxCrossEntropy;
    CurvatureBatches::new(
        net.n_parameters(),
        data,
        size,
        3,
        Sharding::default(),
        |w, d| loss.record(net.forward(w, d[0]), d[1]) + 5e-3 * w.square().sum(),
    )
    .unwrap()
}

fn whole(data: Vec<ArrayD<f64>>) -> FiniteSum<f64> {
    let net = net();
    let loss = Loss::SoftmaxCrossEntropy;
    FiniteSum::new(net.n_parameters(), data, Sharding::default(), |w, d| {
        loss.record(net.forward(w, d[0]), d[1]) + 5e-3 * w.square().sum()
    })
    .unwrap()
}

#[test]
fn products_are_those_of_the_batch_and_values_those_of_all() {
    let mut f = batched(data(), 300);
    let (w, v) = (net().init::<f64>(1), net().init::<f64>(2));
    let zeros = || Array1::<f64>::zeros(w.len());
    let mut seen: Vec<Vec<usize>> = Vec::new();
    for index in [0, 1, 7, 1] {
        f.select_curvature_batch(index);
        let rows = f.batch().to_vec();
        assert!(rows.len() == 300 && rows.is_sorted_by(|a, b| a < b));
        let (mut g, mut hv) = (zeros(), zeros());
        let value = f.linearize(w.view(), g.view_mut());
        f.hvp_into(v.view(), hv.view_mut());

        let mut all = whole(data());
        let (mut g_all, mut hv_part) = (zeros(), zeros());
        assert_eq!(all.value_and_grad(w.view(), g_all.view_mut()), value);
        assert_eq!(g_all, g);
        let some = data().iter().map(|a| a.select(Axis(0), &rows)).collect();
        let mut part = whole(some);
        let part_value = part.linearize(w.view(), zeros().view_mut());
        part.hvp_into(v.view(), hv_part.view_mut());
        assert_eq!(hv_part, hv);
        assert_eq!(f.curvature_value(w.view()), part_value);
        seen.push(rows);
    }
    assert_eq!(seen[1], seen[3]);
    assert_ne!(seen[0], seen[1]);
}

#[test]
fn hessian_free_reaches_the_minimum_of_all_cases_with_batches() {
    let limits = Limits {
        gradient_tol: 1e-6,
        max_iters: 300,
        ..Limits::default()
    };
    let method = HessianFree {
        initial_damping: 1.0,
        ..HessianFree::default()
    };
    let start = net().init::<f64>(1);
    let exact = minimize(&method, &mut whole(data()), start.view(), &limits).unwrap();
    let batched = minimize(&method, &mut batched(data(), 450), start.view(), &limits).unwrap();
    assert!(
        exact.stop.is_converged() && batched.stop.is_converged(),
        "{}",
        batched.stop
    );
    // Strongly convex with m = 1e-2: f − f* ≤ ‖∇f‖²/2m.
    let slack = 2.0 * 1e-12 / (2.0 * 1e-2);
    assert!((exact.value - batched.value).abs() <= slack);
}

#[test]
fn batches_of_nothing_are_refused_and_larger_ones_are_all_cases() {
    let few: Vec<ArrayD<f64>> = vec![
        Array2::zeros((5, 64)).into_dyn(),
        Array2::zeros((5, 10)).into_dyn(),
    ];
    assert_eq!(batched(few.clone(), 50).batch(), [0, 1, 2, 3, 4]);
    let refused = CurvatureBatches::new(1, few, 0, 1, Sharding::default(), |w, _| w.sum());
    assert!(matches!(refused, Err(ad_core::Error::Empty { .. })));
}
