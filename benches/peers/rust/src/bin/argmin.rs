//! argmin's second-order methods and L-BFGS, as its documentation sets them up.

use std::process::ExitCode;
use std::sync::Arc;

use argmin::core::{CostFunction, Error, Executor, Gradient, Hessian, IterState, State};
use argmin::solver::linesearch::MoreThuenteLineSearch;
use argmin::solver::newton::NewtonCG;
use argmin::solver::quasinewton::LBFGS;
use argmin::solver::trustregion::{Steihaug, TrustRegion};
use argmin_math::ArgminDot;
use peers::Failure;
use peers::solve::{self, Counted, Ending, Request};

type Vector = Vec<f64>;

fn main() -> ExitCode {
    solve::main(
        "argmin",
        &[
            ("trust region, Steihaug", trust_region),
            ("Newton-CG", newton_cg),
            ("L-BFGS", lbfgs),
        ],
    )
}

struct Function(Arc<Counted>);

fn stopped(failure: Failure) -> Error {
    Error::msg(failure.to_string())
}

/// The Hessian at a point, which it multiplies by without being formed.
#[derive(Clone)]
struct Products {
    function: Arc<Counted>,
    at: Vector,
}

impl CostFunction for Function {
    type Param = Vector;
    type Output = f64;
    fn cost(&self, x: &Vector) -> Result<f64, Error> {
        self.0.value(x).map_err(stopped)
    }
}

impl Gradient for Function {
    type Param = Vector;
    type Gradient = Vector;
    fn gradient(&self, x: &Vector) -> Result<Vector, Error> {
        self.0.gradient(x).map_err(stopped)
    }
}

impl Hessian for Function {
    type Param = Vector;
    type Hessian = Products;
    fn hessian(&self, x: &Vector) -> Result<Products, Error> {
        Ok(Products {
            function: Arc::clone(&self.0),
            at: x.clone(),
        })
    }
}

impl ArgminDot<Vector, Vector> for Products {
    /// Products cannot fail here; the library tests values for NaN.
    fn dot(&self, v: &Vector) -> Vector {
        let product = self.function.product(&self.at, v);
        product.unwrap_or_else(|_| vec![f64::NAN; v.len()])
    }
}

fn ending<H>(state: &IterState<Vector, Vector, (), H, (), f64>) -> Ending {
    Ending {
        value: state.get_best_cost(),
        n_iters: state.get_iter(),
        text: state.get_termination_status().to_string(),
    }
}

fn trust_region(f: Arc<Counted>, x0: &[f64], request: &Request) -> Result<Ending, Failure> {
    // The subproblem ends after n steps, as conjugate gradients do in exact arithmetic.
    let steps = Steihaug::new().with_max_iters(x0.len() as u64);
    let solver = TrustRegion::new(steps);
    let run = Executor::new(Function(f), solver)
        .configure(|state| state.param(x0.to_vec()).max_iters(request.max_iters))

        .run()?;
    Ok(ending(run.state()))
}

fn newton_cg(f: Arc<Counted>, x0: &[f64], request: &Request) -> Result<Ending, Failure> {
    let solver = NewtonCG::new(MoreThuenteLineSearch::new());
    let run = Executor::new(Function(f), solver)
        .configure(|state| state.param(x0.to_vec()).max_iters(request.max_iters))

        .run()?;
    // This state keeps no value of its own; its point has one.
    Ok(ending(run.state()))
}

fn lbfgs(f: Arc<Counted>, x0: &[f64], request: &Request) -> Result<Ending, Failure> {
    let solver = LBFGS::new(MoreThuenteLineSearch::new(), 10);
    let solver = solver.with_tolerance_grad(request.gradient_norm)?;
    let run = Executor::new(Function(f), solver)
        .configure(|state| state.param(x0.to_vec()).max_iters(request.max_iters))

        .run()?;
    Ok(ending(run.state()))
}
