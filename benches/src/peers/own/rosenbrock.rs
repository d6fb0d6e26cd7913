//! The chained Rosenbrock function, a scalar at a time: its derivatives and its minimum.

use std::sync::OnceLock;

use ad_core::{Function, Var};
use hvp_solvers::newton::TrustRegionNewton;
use hvp_solvers::{FunctionObjective, Objective};
use ndarray::Array1;
use optim::lbfgs::Lbfgs;
use optim::minimize::{Limits, minimize};

use super::super::candidate::{Call, Candidate, Failure, measure};
use super::super::cases::MINIMIZE;
use super::super::measurement::{Digest, Measurement};
use super::super::request::{PeerCase, Request};
use super::objective::{ObjectiveCall, of_vector};
use crate::error::BenchError;
use crate::heap::CountingAllocator;
use crate::suites::hvp::Op;

const OPS: [Op; 4] = [Op::Value, Op::ValueAndGrad, Op::Hvp, Op::HvpLinearized];

/// Σᵢ 100 (xᵢ₊₁ − xᵢ²)² + (1 − xᵢ)²
fn chained<'t>(x: &[Var<'t>]) -> Var<'t> {
    let term = |pair: &[Var<'t>]| {
        let (a, b) = (pair[1] - pair[0] * pair[0], 1.0 - pair[0]);
        100.0 * (a * a) + b * b
    };
    let first = term(&x[..2]);
    x[1..].windows(2).fold(first, |sum, pair| sum + term(pair))
}

/// Point, vector, and a place for each candidate's recording, which outlives what borrows it.
struct Shared {
    x: Array1<f64>,
    v: Array1<f64>,
}

impl Shared {
    fn record<'a>(
        &self,
        cell: &'a OnceLock<Function<f64>>,
    ) -> Result<&'a Function<f64>, ad_core::Error> {
        let function = Function::record_scalars(self.x.len(), chained)?;
        Ok(cell.get_or_init(|| function))
    }
}

pub(super) fn all(
    request: &Request,
    case: &PeerCase,
    heap: &CountingAllocator,
) -> Result<Vec<Measurement>, BenchError> {
    let shared = &Shared {
        x: case.array("x")?.into(),
        v: case.array("v")?.into(),
    };
    let cells = OPS.map(|_| OnceLock::new());
    let (one_plan, minima) = (OnceLock::new(), METHODS.map(|_| OnceLock::new()));
    let mut candidates: Vec<_> = OPS
        .into_iter()
        .zip(&cells)
        .map(|(op, cell)| Candidate {
            op: op.name(),
            mode: if op == Op::Hvp {
                "linearize, then product"
            } else {
                "scalar loops"
            },
            results: 1,
            prepare: Box::new(move || {
                let function = shared.record(cell)?;
                super::plan(function, op)?;
                let objective = FunctionObjective::new(function, &[])?;
                let call = ObjectiveCall::new(objective, &shared.x, &shared.v, op);
                Ok(Box::new(call) as _)
            }),
        })
        .collect();
    candidates.push(Candidate {
        op: Op::Hvp.name(),
        mode: "one plan",
        results: 1,
        prepare: Box::new(|| {
            let function = shared.record(&one_plan)?;
            Ok(Box::new(OneShot {
                function,
                shared,
                product: Array1::zeros(shared.x.len()),
            }))
        }),
    });
    candidates.extend(
        METHODS
            .into_iter()
            .zip(&minima)
            .map(|(method, cell)| Candidate {
                op: MINIMIZE,
                mode: method.name(),
                results: 1,
                prepare: Box::new(move || {
                    let function = shared.record(cell)?;
                    Ok(Box::new(Minimum {
                        objective: FunctionObjective::new(function, &[])?,
                        start: &shared.x,
                        method,
                        end: shared.x.clone(),
                    }))
                }),
            }),
    );
    Ok(measure(request, case, shared.x.len(), heap, candidates))
}

/// H·v by the program that computes value, gradient and product in one go.
struct OneShot<'a> {
    function: &'a Function<f64>,
    shared: &'a Shared,
    product: Array1<f64>,
}

impl Call for OneShot<'_> {
    fn run(&mut self) -> Result<(), Failure> {
        let Shared { x, v } = self.shared;
        self.function
            .hvp_into(x, v.view(), self.product.view_mut())?;
        Ok(())
    }

    fn digest(&self) -> Digest {
        of_vector(&self.product, &self.shared.v)
    }
}

/// How to get to the minimum.
#[derive(Clone, Copy)]
enum Method {
    TrustRegion,
    Lbfgs,
}

const METHODS: [Method; 2] = [Method::TrustRegion, Method::Lbfgs];

impl Method {
    fn name(self) -> &'static str {
        match self {
            Self::TrustRegion => "trust-region Newton",
            Self::Lbfgs => "L-BFGS",
        }
    }
}

/// The largest gradient norm at which a minimum counts as found, of scipy's methods too.
const GRADIENT_NORM: f64 = 1e-6;

/// Iterations at most.
const MAX_ITERS: u64 = 20_000;

struct Minimum<'a> {
    objective: FunctionObjective<'a, f64>,
    start: &'a Array1<f64>,
    method: Method,
    end: Array1<f64>,
}

impl Call for Minimum<'_> {
    fn run(&mut self) -> Result<(), Failure> {
        let (objective, start) = (&mut self.objective, self.start.view());
        let limits = Limits {
            max_iters: MAX_ITERS,
            gradient_tol: GRADIENT_NORM,
            ..Limits::default()
        };
        let found = match self.method {
            Method::TrustRegion => {
                minimize(&TrustRegionNewton::default(), objective, start, &limits)?
            }
            Method::Lbfgs => minimize(&Lbfgs::default(), objective, start, &limits)?,
        };
        self.end = found.x;
        let mut gradient = Array1::zeros(self.end.len());
        objective.value_and_grad(self.end.view(), gradient.view_mut());
        let norm = gradient.dot(&gradient).sqrt();
        if norm <= GRADIENT_NORM {
            Ok(())
        } else {
            Err(format!("ended at a gradient of norm {norm:e}").into())
        }
    }

    fn digest(&self) -> Digest {
        // Which of the function's minima is found depends on the way there.
        Digest::default()
    }
}
