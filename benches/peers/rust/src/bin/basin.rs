//! basin's trust-region method on products, and its L-BFGS.

use std::fmt;
use std::process::ExitCode;
use std::sync::Arc;

use basin::{CostFunction, Executor, FirstOrderState, Gradient, HessianProduct, Lbfgs, TrustRegion};
use peers::Failure;
use peers::solve::{self, Counted, Ending, Request};

type Vector = Vec<f64>;

fn main() -> ExitCode {
    solve::main("basin", &[("trust region, Steihaug", trust_region), ("L-BFGS", lbfgs)])
}

struct Function(Arc<Counted>);

/// A failure as a type of its own, which the library wants.
#[derive(Debug)]
struct Stopped(Failure);

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Stopped {}

impl CostFunction for Function {
    type Param = Vector;
    type Output = f64;
    type Error = Stopped;
    fn cost(&self, x: &Vector) -> Result<f64, Stopped> {
        self.0.value(x).map_err(Stopped)
    }
}

impl Gradient for Function {
    type Gradient = Vector;
    fn gradient(&self, x: &Vector) -> Result<Vector, Stopped> {
        self.0.gradient(x).map_err(Stopped)
    }
    fn cost_and_gradient(&self, x: &Vector) -> Result<(f64, Vector), Stopped> {
        self.0.value_and_gradient(x).map_err(Stopped)
    }
}

impl HessianProduct for Function {
    fn hessian_product(&self, x: &Vector, v: &Vector) -> Result<Vector, Stopped> {
        self.0.product(x, v).map_err(Stopped)
    }
}

fn trust_region(f: Arc<Counted>, x0: &[f64], request: &Request) -> Result<Ending, Failure> {
    let solver = TrustRegion::matrix_free().with_absolute_gradient_tolerance(request.gradient_norm);
    let state = FirstOrderState::new(x0.to_vec());
    let run = Executor::new(Function(f), solver, state).max_iter(request.max_iters).run()?;
    Ok(Ending {
        value: run.cost(),
        n_iters: run.iter(),
        text: format!("{:?}", run.report.termination),
    })
}

fn lbfgs(f: Arc<Counted>, x0: &[f64], request: &Request) -> Result<Ending, Failure> {
    let solver = Lbfgs::new().unbounded();
    let solver = solver.with_absolute_gradient_tolerance(request.gradient_norm);
    let state = FirstOrderState::new(x0.to_vec());
    let run = Executor::new(Function(f), solver, state).max_iter(request.max_iters).run()?;
    Ok(Ending {
        value: run.cost(),
        n_iters: run.iter(),
        text: format!("{:?}", run.report.termination),
    })
}
