//! This project as an engine among the others: it reads the same request and arrays.

mod adam;
mod objective;
mod rosenbrock;

use std::sync::OnceLock;

use ad_core::Function;
use hvp_solvers::FunctionObjective;
use hvp_solvers::dense::DenseReal;
use hvp_solvers::eigen::{Lanczos, Which};
use ndarray::ArrayViewD;

use super::candidate::{Candidate, Failure, measure};
use super::measurement::Measurement;
use super::request::{Kind, PeerCase, Request};
use crate::case::Problem;
use crate::error::BenchError;
use crate::heap::CountingAllocator;
use crate::suites::hvp::Op;
use objective::{Eigenvalues, ObjectiveCall};

/// Measures what a request asks for.
///
/// # Errors
/// [`BenchError`] for arrays that cannot be read.
pub(super) fn answer(
    request: &Request,
    heap: &CountingAllocator,
) -> Result<Vec<Measurement>, BenchError> {
    let mut found = Vec::new();
    for case in &request.cases {
        let of_case = match (case.kind, case.dtype.as_str()) {
            (Kind::Network, "f32") => network::<f32>(request, case, heap),
            (Kind::Network, _) => network::<f64>(request, case, heap),
            (Kind::Adam, _) => adam::epochs(request, case, heap),
            (Kind::Rosenbrock, _) => rosenbrock::all(request, case, heap),
        };
        found.extend(of_case?);
    }
    Ok(found)
}

/// The problem of a case's arrays.
pub(super) fn problem<T: DenseReal>(case: &PeerCase) -> Result<Problem<T>, BenchError> {
    let data = [case.array("inputs")?, case.array("targets")?];
    let points = [case.array("x")?, case.array("v")?];
    Problem::from_parts(&case.sizes, data, points).map_err(|e| BenchError::failed(&case.name, &e))
}

const OPS: [Op; 8] = [
    Op::Value,
    Op::ValueAndGrad,
    Op::Linearize,
    Op::Hvp,
    Op::HvpLinearized,
    Op::Ggnvp,
    Op::HvpBlock16,
    Op::Hessian,
];

/// Rows up to which the whole batch is worth trying in one piece: it then is one shard anyhow.
const MAX_WHOLE: usize = 128;

fn network<T: DenseReal>(
    request: &Request,
    case: &PeerCase,
    heap: &CountingAllocator,
) -> Result<Vec<Measurement>, BenchError> {
    let problem = &problem::<T>(case)?;
    // Recordings outlive the objectives that borrow them; each is made within its candidate's
    // preparation.
    let whole = OPS.map(|_| OnceLock::new());
    let views: Vec<ArrayViewD<'_, T>> = problem.data().iter().map(|a| a.view()).collect();
    let mut candidates = Vec::new();
    for (op, cell) in OPS.into_iter().zip(&whole) {
        candidates.push(sharded(problem, op));
        if case.batch <= MAX_WHOLE {
            candidates.push(unsharded(problem, &views, cell, op));
        }
    }
    candidates.push(Candidate {
        op: super::cases::EIGSH,
        mode: "Lanczos with thick restarts",
        results: 1,
        prepare: Box::new(|| Ok(Box::new(Eigenvalues::new(problem, eigenvalues())?))),
    });
    Ok(measure(request, case, problem.n(), heap, candidates))
}

/// The eigenvalues that scipy's `eigsh` is asked for, to the same relative accuracy.
fn eigenvalues() -> Lanczos {
    Lanczos {
        tolerance: 1e-6,
        ..Lanczos::new(4, Which::Largest)
    }
}

/// An operation on the sum over shards.
fn sharded<T: DenseReal>(problem: &Problem<T>, op: Op) -> Candidate<'_> {
    Candidate {
        op: op.name(),
        mode: "shards",
        results: op.results(),
        prepare: Box::new(move || {
            let objective = problem.objective()?;
            plan(objective.function(), op)?;
            Ok(Box::new(ObjectiveCall::new(
                objective, &problem.x, &problem.v, op,
            )))
        }),
    }
}

/// An operation on the whole batch as one recorded function.
fn unsharded<'a, T: DenseReal>(
    problem: &'a Problem<T>,
    views: &'a [ArrayViewD<'a, T>],
    cell: &'a OnceLock<Function<T>>,
    op: Op,
) -> Candidate<'a> {
    Candidate {
        op: op.name(),
        mode: "function",
        results: op.results(),
        prepare: Box::new(move || {
            let shapes: Vec<_> = views.iter().map(|view| view.shape()).collect();
            let function =
                Function::record_with_data(problem.n(), &shapes, |x, data| problem.loss(x, data))?;
            let function = cell.get_or_init(|| function);
            plan(function, op)?;
            let objective = FunctionObjective::new(function, views)?;
            Ok(Box::new(ObjectiveCall::new(
                objective, &problem.x, &problem.v, op,
            )))
        }),
    }
}

/// Derives and plans an operation's program, as far as that can be done without running it.
fn plan<T: DenseReal>(function: &Function<T>, op: Op) -> Result<(), Failure> {
    function.cost(match op {
        Op::Value => ad_core::Program::Value,
        Op::ValueAndGrad => ad_core::Program::Gradient,
        _ => ad_core::Program::Linearize,
    })?;
    Ok(())
}
