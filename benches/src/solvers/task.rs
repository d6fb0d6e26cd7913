//! What is minimised: test problems from one or more starts, and small classifiers.

use std::path::{Path, PathBuf};

use ad_core::Function;
use hvp_solvers::FunctionObjective;
use hvp_solvers::newton::TrustRegionNewton;
use ndarray::Array1;
use serde::{Deserialize, Serialize};
use test_problems::{Problem, network, problems};

use crate::case::{self, Case};
use crate::error::BenchError;
use crate::output::write;

/// A function, a start, and the values at which a method may end.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) function: Function<f64>,
    pub(super) request: TaskRequest,
}

/// A task as an engine in another process is told of it. Numbers are the doubles themselves, as JSON
/// keeps them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct TaskRequest {
    /// `1 Rosenbrock`, `1 Rosenbrock ×10`, `64-10/b500 λ=1e-3`.
    pub(super) name: String,
    /// The number of a test problem.
    pub(super) problem: Option<usize>,
    /// A classifier.
    pub(super) network: Option<NetworkRequest>,
    pub(super) start: Vec<f64>,
    /// The values to end at, the least first.
    pub(super) answers: Vec<f64>,
    /// f, ∇f and H·(1, ½, ⅓, …) at the start, by which a transcription proves itself.
    pub(super) check: Check,
}

/// A classifier's loss; see `test_problems::network`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct NetworkRequest {
    pub(super) sizes: Vec<usize>,
    pub(super) lambda: f64,
    /// Where `inputs.bin` and `targets.bin` are, little-endian doubles row by row.
    pub(super) folder: PathBuf,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Check {
    value: f64,
    gradient: Vec<f64>,
    product: Vec<f64>,
}

/// Problems of a quick run.
const QUICK: usize = 12;

/// Rows of the classifiers' data.
const ROWS: usize = 300;

/// Layers, and λ. The first two are convex.
const NETWORKS: [(&[usize], f64); 3] =
    [(&[64, 10], 1e-2), (&[64, 10], 1e-4), (&[64, 10, 10], 1e-2)];

/// All tasks; the classifiers' data are written to files in `folder`.
pub(super) fn all(quick: bool, folder: &Path) -> Result<Vec<Task>, BenchError> {
    let mut tasks = Vec::new();
    for factor in if quick { &[1.0][..] } else { &[1.0, 10.0] } {
        let chosen = problems()
            .into_iter()
            .take(if quick { QUICK } else { usize::MAX });
        for problem in chosen.filter(|problem| problem.start_factors.contains(factor)) {
            tasks.push(of_problem(problem, *factor)?);
        }
    }
    if !quick {
        for (sizes, lambda) in NETWORKS {
            tasks.push(of_network(sizes, lambda, folder)?);
        }
    }
    Ok(tasks)
}

fn of_problem(problem: Problem, factor: f64) -> Result<Task, BenchError> {
    let start = problem.start_times(factor);
    let suffix = if factor > 1.0 {
        format!(" ×{factor}")
    } else {
        String::new()
    };
    let name = format!("{} {}{suffix}", problem.number, problem.name);
    let request = TaskRequest {
        problem: Some(problem.number),
        network: None,
        answers: problem.answers(),
        check: check(&name, &problem.function, &start)?,
        name,
        start,
    };
    let function = problem.function;
    Ok(Task { function, request })
}

/// The least value of a classifier is what the trust-region method finds from its start; where f is
/// not convex, a method that ends elsewhere did not solve the task.
fn of_network(sizes: &[usize], lambda: f64, folder: &Path) -> Result<Task, BenchError> {
    let case = Case {
        sizes: sizes.to_vec(),
        batch: ROWS,
    };
    let name = format!("{} λ={lambda:e}", case.name());
    let failed = |error: &dyn std::error::Error| BenchError::failed(&name, &error.to_string());
    let (inputs, targets) = case::rows(&case);
    let folder = folder.join(name.replace(['/', ' '], "_"));
    for (array, values) in [("inputs", &inputs), ("targets", &targets)] {
        let bytes: Vec<u8> = values
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect();
        write(&folder.join(format!("{array}.bin")), &bytes)?;
    }
    let function = network::classifier(sizes, inputs.view(), targets.view(), lambda);
    let function = function.map_err(|error| failed(&error))?;
    let start = case.network().map_err(|error| failed(&error))?.init(1);
    let start: Array1<f64> = start;
    let mut objective = FunctionObjective::new(&function, &[]).map_err(|error| failed(&error))?;
    let solver = TrustRegionNewton {
        gradient_tolerance: 1e-12,
        relative_gradient_tolerance: 0.0,
        ..TrustRegionNewton::default()
    };
    let found = solver.solve(&mut objective, start.view());
    let found = found.map_err(|error| failed(&error))?;
    let start = start.to_vec();
    let request = TaskRequest {
        problem: None,
        network: Some(NetworkRequest {
            sizes: sizes.to_vec(),
            lambda,
            folder,
        }),
        check: check(&name, &function, &start)?,
        answers: vec![found.value],
        name,
        start,
    };
    Ok(Task { function, request })
}

fn check(name: &str, function: &Function<f64>, start: &[f64]) -> Result<Check, BenchError> {
    let v: Array1<f64> = (1..=start.len()).map(|i| 1.0 / i as f64).collect();
    let both = function.value_and_grad(start);
    let product = function.hvp(start, v.view());
    let failed = |error: ad_core::Error| BenchError::failed(&name, &error);
    let (value, gradient) = both.map_err(failed)?;
    let product = product.map_err(failed)?;
    Ok(Check {
        value,
        gradient: gradient.to_vec(),
        product: product.to_vec(),
    })
}
