//! All operations of one case in one number type on one number of threads.

use std::time::Instant;

use hvp_solvers::dense::DenseReal;

use super::op::Op;
use super::refusal::{as_fact, refusal};
use super::subject::{Failure, Subject, relative_difference, relative_tolerance};
use crate::case::{Case, Problem};
use crate::error::BenchError;
use crate::facts::{NewtonAgreement, Sampling};
use crate::heap::CountingAllocator;
use crate::record::{Id, Record};
use crate::session::Session;
use crate::timing::{Timing, alternate};

/// An operation and what its first call took.
struct First<'i> {
    id: &'i Id,
    op: Op,
    peak_bytes: u64,
    seconds: f64,
}

/// Measures the operations of `ids`, which differ in nothing else.
pub(super) fn measure<T: DenseReal>(session: &mut Session, ids: &[Id]) -> Result<(), BenchError> {
    let id = &ids[0];
    let unknown = || BenchError::Usage(format!("`{id}` names no measurement"));
    let case = Case::from_name(&id.case).ok_or_else(unknown)?;
    let problem = Problem::<T>::new(&case).map_err(|e| BenchError::failed(id, &e))?;
    let ops = within_budget(session, ids, &problem)?;
    let failed = |e: Failure| BenchError::failed(id, &e);
    let mut subject = Subject::new(&problem, T::zero()).map_err(|e| failed(e.into()))?;
    let newton = ops.iter().any(|(_, op)| op.is_newton());
    let shift = if newton {
        session.progress.say(&format!("{id}: shift"));
        subject.find_shift().map_err(|e| failed(e.into()))?
    } else {
        T::zero()
    };
    subject.set_shift(shift);
    let mut firsts = Vec::new();
    for (id, op) in ops {
        session.progress.say(id);
        let first = first_call(session.heap, &problem, shift, id, op);
        firsts.push(first.map_err(|e| BenchError::failed(id, &e))?);
        session.progress.advance(1);
    }
    let timings = time(session, &mut subject, &firsts).map_err(failed)?;
    session.progress.advance(firsts.len() as u64);
    for (first, timing) in firsts.iter().zip(&timings) {
        add(session, problem.n(), first, timing);
    }
    session.facts.newton.extend(agreement(id, &subject, shift));
    Ok(())
}

/// The operations whose matrices fit the budget; the others become facts.
fn within_budget<'i, T: DenseReal>(
    session: &mut Session,
    ids: &'i [Id],
    problem: &Problem<T>,
) -> Result<Vec<(&'i Id, Op)>, BenchError> {
    let mut ops = Vec::new();
    for id in ids {
        let Some(op) = Op::from_name(&id.op) else {
            continue;
        };
        let refused = refusal(problem, op, session.settings.budget);
        match refused.map_err(|e| BenchError::failed(id, &e))? {
            None => ops.push((id, op)),
            Some(error) => {
                let fact = as_fact(id, problem.n(), &error);
                let fact = fact.ok_or_else(|| BenchError::failed(id, &error))?;
                let known = |other: &crate::facts::Refusal| {
                    (&other.case, &other.op, &other.dtype) == (&fact.case, &fact.op, &fact.dtype)
                };
                if !session.facts.refused.iter().any(known) {
                    session.facts.refused.push(fact);
                }
                session.progress.advance(2);
            }
        }
    }
    Ok(ops)
}

/// Runs an operation for the first time on an objective of its own.
fn first_call<'i, T: DenseReal>(
    heap: &CountingAllocator,
    problem: &Problem<T>,
    shift: T,
    id: &'i Id,
    op: Op,
) -> Result<First<'i>, Failure> {
    let mut subject = Subject::new(problem, shift)?;
    subject.prepare(op)?;
    let mark = heap.mark();
    let start = Instant::now();
    subject.run(op)?;
    let seconds = start.elapsed().as_secs_f64();
    Ok(First {
        id,
        op,
        peak_bytes: heap.since(mark).peak_bytes,
        seconds,
    })
}

/// Times all operations in turns on one objective.
fn time<T: DenseReal>(
    session: &Session,
    subject: &mut Subject<'_, T>,
    firsts: &[First<'_>],
) -> Result<Vec<Timing>, Failure> {
    let Some(first) = firsts.first() else {
        return Ok(Vec::new());
    };
    let Id {
        case,
        dtype,
        threads,
        ..
    } = first.id;
    session
        .progress
        .say(&format!("{case} {dtype} t{threads}: rounds"));
    for first in firsts {
        subject.prepare(first.op)?;
    }
    let (pace, heap) = (&session.settings.pace, session.heap);
    alternate(pace, heap, firsts.len(), |at| subject.run(firsts[at].op))
}

fn add(session: &mut Session, n: usize, first: &First<'_>, timing: &Timing) {
    let results = first.op.results() as f64;
    let per_result = |seconds: f64| seconds / results;
    session.report.records.push(Record {
        id: first.id.clone(),
        n: Some(n as u64),
        seconds_min: timing.min().map(per_result),
        seconds_median: timing.median().map(per_result),
        peak_bytes: Some(first.peak_bytes),
        allocations: timing.allocations(),
    });
    session.facts.samples.push(Sampling {
        id: first.id.clone(),
        samples: timing.seconds.len(),
        repetitions: timing.repetitions,
        allocations_mean: timing.mean_allocations(),
        first_call_seconds: first.seconds,
    });
}

fn agreement<T: DenseReal>(id: &Id, subject: &Subject<'_, T>, shift: T) -> Option<NewtonAgreement> {
    let iterative = subject.iterative.as_ref()?;
    let direct = subject.direct.as_ref();
    Some(NewtonAgreement {
        case: id.case.clone(),
        dtype: id.dtype.clone(),
        threads: id.threads,
        shift: shift.as_f64(),
        relative_tolerance: relative_tolerance::<T>(),
        relative_residual: iterative.stats.residual_norm / subject.gradient_norm(),
        stop: format!("{:?}", iterative.stop),
        products: iterative.stats.n_products,
        relative_difference: direct.map(|direct| relative_difference(&iterative.x, direct)),
    })
}
