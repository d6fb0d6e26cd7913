//! Each crate in a few lines, on Rosenbrock's function (1 − x)² + 100 (y − x²)².

use ad_core::{Function, Scalar};
use hvp_solvers::dense::classify;
use hvp_solvers::newton::TrustRegionNewton;
use hvp_solvers::{FunctionObjective, LinearizedOperator};
use hvp_solvers::{eigen::Lanczos, eigen::Which};
use ndarray::array;
use optim::lbfgs::Lbfgs;
use optim::minimize::{Limits, minimize};

/// Generic code: it runs on plain numbers and records on variables.
fn rosenbrock<S: Scalar>(x: &[S]) -> S {
    let (a, b) = (-x[0] + 1.0, x[1] - x[0].square());
    a.square() + b.square() * 100.0
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // ad-core: record once; value, gradient, Hessian and products at any point.
    let f = Function::<f64>::record_scalars(2, |x| rosenbrock(x))?;
    let start = array![-1.2, 1.0];
    println!(
        "f = {}, gradient = {}",
        f.value(&start)?,
        f.gradient(&start)?
    );
    println!("Hessian =\n{}", f.hessian(&start)?);
    println!(
        "H·(1, 0) = {}",
        f.linearize(&start)?.hvp(array![1.0, 0.0].view())?
    );

    // hvp-solvers: a trust-region Newton method and eigenvalues from products alone.
    let mut objective = FunctionObjective::new(&f, &[])?;
    let newton = TrustRegionNewton::default().solve(&mut objective, start.view())?;
    println!(
        "trust-region Newton: {} after {} iterations",
        newton.x, newton.stats.n_iters
    );
    let at = f.linearize(&newton.x)?;
    let ends = Lanczos::new(1, Which::BothEnds).solve(&LinearizedOperator::hessian(&at))?;
    println!(
        "eigenvalues there: {:?}",
        ends.pairs.iter().map(|p| p.value).collect::<Vec<_>>()
    );
    println!("it is a {:?}", classify(f.hessian(&newton.x)?.view())?.kind);

    // optim: any minimiser on the same objective.
    let lbfgs = minimize(
        &Lbfgs::default(),
        &mut objective,
        start.view(),
        &Limits::default(),
    )?;
    println!(
        "L-BFGS: {} after {} iterations",
        lbfgs.x, lbfgs.stats.n_iters
    );
    Ok(())
}
