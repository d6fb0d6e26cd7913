//! This project's methods. A method is a row of [`METHODS`].

use ad_core::Function;
use hvp_solvers::newton::TrustRegionNewton;
use hvp_solvers::{FunctionObjective, Objective, SecondOrder};
use ndarray::{Array1, ArrayView1, ArrayView2, ArrayViewMut1, ArrayViewMut2};
use optim::lbfgs::Lbfgs;
use optim::minimize::{Limits, Minimizer, minimize};
use optim::newton::Newton;
use test_problems::Tally;

use super::run::{Ending, Run};
use super::task::Task;
use super::{GRADIENT_NORM, MAX_ITERS, REPEATS};
use crate::error::BenchError;

/// A function that counts its calls.
struct Counted<'a> {
    objective: FunctionObjective<'a, f64>,
    tally: Tally,
}

impl<'a> Counted<'a> {
    fn new(function: &'a Function<f64>, answers: &[f64]) -> Result<Self, ad_core::Error> {
        let objective = FunctionObjective::new(function, &[])?;
        let tally = Tally::new(answers);
        Ok(Self { objective, tally })
    }
}

impl Objective<f64> for Counted<'_> {
    fn dim(&self) -> usize {
        self.objective.dim()
    }

    fn value(&mut self, x: ArrayView1<'_, f64>) -> f64 {
        let value = self.objective.value(x);
        self.tally.value(value);
        value
    }

    fn value_and_grad(&mut self, x: ArrayView1<'_, f64>, grad: ArrayViewMut1<'_, f64>) -> f64 {
        let value = self.objective.value_and_grad(x, grad);
        self.tally.gradient(Some(value));
        value
    }
}

impl SecondOrder<f64> for Counted<'_> {
    fn linearize(&mut self, x: ArrayView1<'_, f64>, grad: ArrayViewMut1<'_, f64>) -> f64 {
        let value = self.objective.linearize(x, grad);
        self.tally.gradient(Some(value));
        value
    }

    fn hvp_into(&self, v: ArrayView1<'_, f64>, out: ArrayViewMut1<'_, f64>) {
        self.objective.hvp_into(v, out);
        self.tally.product();
    }

    fn hvp_block_into(&self, v: ArrayView2<'_, f64>, out: ArrayViewMut2<'_, f64>) {
        self.objective.hvp_block_into(v, out);
        (0..v.nrows()).for_each(|_| self.tally.product());
    }

    /// A dense Hessian counts as n products.
    fn hessian_into(&self, out: ArrayViewMut2<'_, f64>) {
        self.objective.hessian_into(out);
        (0..self.dim()).for_each(|_| self.tally.product());
    }

    fn has_gauss_newton(&self) -> bool {
        self.objective.has_gauss_newton()
    }

    fn ggnvp_into(&self, v: ArrayView1<'_, f64>, out: ArrayViewMut1<'_, f64>) {
        self.objective.ggnvp_into(v, out);
        self.tally.product();
    }
}

/// Runs a method from a start.
type Method = fn(&mut Counted<'_>, ArrayView1<'_, f64>) -> Result<Ending, String>;

/// The trust-region method, which is compared with scipy's by name.
pub(super) const TRUST_REGION: &str = "ours: trust region";

const METHODS: [(&str, Method); 3] = [
    (TRUST_REGION, |f, x0| {
        let solver = TrustRegionNewton {
            gradient_tolerance: GRADIENT_NORM,
            relative_gradient_tolerance: 0.0,
            max_iters: MAX_ITERS as usize,
            ..TrustRegionNewton::default()
        };
        let found = solver.solve(f, x0).map_err(|error| error.to_string())?;
        Ok(Ending {
            value: found.value,
            n_iters: found.stats.n_iters as u64,
            text: format!("{:?}", found.stop),
        })
    }),
    ("ours: dense Newton", |f, x0| run(&Newton::default(), f, x0)),
    ("ours: L-BFGS", |f, x0| run(&Lbfgs::default(), f, x0)),
];

fn run<'a, M: Minimizer<f64, Counted<'a>>>(
    method: &M,
    f: &mut Counted<'a>,
    x0: ArrayView1<'_, f64>,
) -> Result<Ending, String> {
    let limits = Limits {
        gradient_tol: GRADIENT_NORM,
        max_iters: MAX_ITERS,
        ..Limits::default()
    };
    let found = minimize(method, f, x0, &limits).map_err(|error| error.to_string())?;
    Ok(Ending {
        value: found.value,
        n_iters: found.stats.n_iters,
        text: format!("{:?}", found.stop),
    })
}

/// All methods on all tasks.
pub(super) fn all(tasks: &[Task]) -> Result<Vec<Run>, BenchError> {
    let mut runs = Vec::new();
    for task in tasks {
        let start = Array1::from(task.request.start.clone());
        for (name, method) in METHODS {
            runs.push(best(task, &start, name, method)?);
        }
    }
    Ok(runs)
}

/// The runs of a method are the same but for their times, of which the least is kept.
fn best(task: &Task, start: &Array1<f64>, name: &str, method: Method) -> Result<Run, BenchError> {
    let mut best: Option<Run> = None;
    for _ in 0..REPEATS {
        let f = Counted::new(&task.function, &task.request.answers);
        let mut f = f.map_err(|error| BenchError::failed(&task.request.name, &error))?;
        let ending = method(&mut f, start.view()).unwrap_or_else(|error| Ending {
            value: f64::NAN,
            n_iters: 0,
            text: error,
        });
        let run = Run::new(&task.request.name, name, &ending, &f.tally);
        best = Some(match &best {
            None => run,
            Some(other) => run.faster(other),
        });
    }
    Ok(best.unwrap_or_default())
}
