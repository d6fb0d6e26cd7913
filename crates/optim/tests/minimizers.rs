//! Convergence of the minimisers on problems with known answers.

mod common;

use std::ops::ControlFlow;

use ad_core::Real;
use common::{LeastSquares, bits, mgh};
use hvp_solvers::objective::Quadratic;
use hvp_solvers::{Objective, SecondOrder};
use ndarray::{Array1, Array2, array};
use optim::first_order::{Adam, Descent, RmsProp, Sgd};
use optim::lbfgs::Lbfgs;
use optim::minimize::{
    Limits, MinimizeError, Minimizer, Outcome, StopReason, minimize, minimize_observed, resume,
};
use optim::newton::Newton;
use optim::schedule::Schedule;

/// The hand-written Jacobians against central differences of the value.
#[test]
fn gradients_of_the_problems_are_right() {
    for mut problem in mgh::all() {
        let x = problem.x0() + 0.01;
        let mut gradient = Array1::zeros(x.len());
        problem.value_and_grad(x.view(), gradient.view_mut());
        let scale = gradient.fold(0.0_f64, |top, g| top.max(g.abs()));
        for i in 0..x.len() {
            let h = 1e-6 * x[i].abs().max(1e-2);
            let (mut above, mut below) = (x.clone(), x.clone());
            above[i] += h;
            below[i] -= h;
            let slope = (problem.value(above.view()) - problem.value(below.view())) / (2.0 * h);
            // h² times third derivatives, and the rounding of f, at most 1e12, over h.
            let rounding = 4.0 * f64::EPSILON * problem.value(x.view()) / h;
            let error = (slope - gradient[i]).abs();
            assert!(error < 1e-6 * scale + rounding, "{} [{i}]: {slope} {}", problem.name, gradient[i]);
        }
    }
}

fn solve<M: Minimizer<f64, LeastSquares>>(method: &M, problem: &LeastSquares) -> Outcome<f64> {
    let limits = Limits { gradient_tol: 1e-9, gradient_tol_relative: 1e-13, ..Limits::default() };
    let mut problem = problem.clone();
    let x0 = problem.x0();
    minimize(method, &mut problem, x0.view(), &limits).unwrap()
}

/// The excess over the minimum: relative to it where it is not zero, else to the
/// value at the start.
fn excess(problem: &LeastSquares, outcome: &Outcome<f64>) -> f64 {
    let start = problem.clone().value(problem.x0().view());
    let unit = if problem.minimum > 0.0 { problem.minimum } else { start };
    (outcome.value - problem.minimum) / unit
}

#[test]
fn lbfgs_solves_the_more_garbow_hillstrom_problems() {
    for problem in mgh::all() {
        let outcome = solve(&Lbfgs::default(), &problem);
        let excess = excess(&problem, &outcome);
        println!("{:24} {excess:.1e} {} {:?}", problem.name, outcome.stop, outcome.stats);
    }
}

#[test]
fn newton_solves_the_more_garbow_hillstrom_problems() {
    for problem in mgh::all() {
        let outcome = solve(&Newton::default(), &problem);
        let excess = excess(&problem, &outcome);
        println!("{:24} {excess:.1e} {} {:?}", problem.name, outcome.stop, outcome.stats);
    }
}
