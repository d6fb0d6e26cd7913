//! Micro-benchmarks: gradient, Hessian-vector product and Gauss–Newton product of one network.
#![allow(missing_docs, reason = "criterion's macros make undocumented items")]

use benches::case::{Case, Problem};
use criterion::{Criterion, criterion_group, criterion_main};
use hvp_solvers::{Objective, SecondOrder};
use ndarray::Array1;

fn products(criterion: &mut Criterion) {
    let case = Case {
        sizes: vec![64, 20, 15, 10],
        batch: 256,
    };
    let problem = Problem::<f64>::new(&case).expect("the sizes make a network");
    let mut objective = problem.objective().expect("the loss can be recorded");
    let (mut gradient, mut product) = (Array1::zeros(problem.n()), Array1::zeros(problem.n()));
    let mut group = criterion.benchmark_group(case.name());
    group.bench_function("value_and_grad", |b| {
        b.iter(|| objective.value_and_grad(problem.x.view(), gradient.view_mut()));
    });
    group.bench_function("linearize", |b| {
        b.iter(|| objective.linearize(problem.x.view(), gradient.view_mut()));
    });
    objective.linearize(problem.x.view(), gradient.view_mut());
    group.bench_function("hvp_linearized", |b| {
        b.iter(|| objective.hvp_into(problem.v.view(), product.view_mut()));
    });
    group.bench_function("ggnvp", |b| {
        b.iter(|| objective.ggnvp_into(problem.v.view(), product.view_mut()));
    });
    group.finish();
}

criterion_group!(benches, products);
criterion_main!(benches);
