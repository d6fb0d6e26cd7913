//! An operation in one of the ways to do it, and how it is measured: the same steps as in the
//! engines of other languages.

use std::time::Instant;

use super::measurement::{Digest, Measurement, SUITE};
use super::request::{PeerCase, Request};
use crate::heap::CountingAllocator;
use crate::record::{Id, Record};
use crate::timing::{Timing, alternate};

/// Why something failed.
pub(super) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What is timed.
pub(super) trait Call {
    /// Does the operation once.
    fn run(&mut self) -> Result<(), Failure>;

    /// What the last run came to.
    fn digest(&self) -> Digest;
}

/// A way to do an operation.
pub(super) struct Candidate<'a> {
    pub(super) op: &'static str,
    pub(super) mode: &'static str,
    /// Results of a call: times are for one of them.
    pub(super) results: usize,
    /// Everything up to the first call: recording, planning, and linearizing where the operation
    /// takes that as given.
    #[allow(
        clippy::type_complexity,
        reason = "a name for a closure that is only written here would say less"
    )]
    pub(super) prepare: Box<dyn FnOnce() -> Result<Box<dyn Call + 'a>, Failure> + 'a>,
}

/// A candidate that ran once.
struct First<'a> {
    call: Box<dyn Call + 'a>,
    results: usize,
    measurement: Measurement,
}

/// The measurements of a case's candidates, of which those not asked for are left out.
pub(super) fn measure(
    request: &Request,
    case: &PeerCase,
    n: usize,
    heap: &CountingAllocator,
    candidates: Vec<Candidate<'_>>,
) -> Vec<Measurement> {
    let (mut firsts, mut found) = (Vec::new(), Vec::new());
    for candidate in candidates {
        if !case.has_op(candidate.op) {
            continue;
        }
        let blank = blank(request, case, n, &candidate);
        match first_call(candidate, blank.clone(), heap) {
            Ok(first) => firsts.push(first),
            Err(error) => found.push(Measurement {
                error: Some(error.to_string()),
                ..blank
            }),
        }
    }
    let timings = alternate(&request.pace.into(), heap, firsts.len(), |at| {
        firsts[at].call.run()
    });
    match timings {
        Ok(timings) => found.extend(firsts.into_iter().zip(&timings).map(timed)),
        Err(error) => found.extend(firsts.into_iter().map(|first| Measurement {
            error: Some(format!("a later call of this case failed: {error}")),
            ..first.measurement
        })),
    }
    found
}

fn blank(request: &Request, case: &PeerCase, n: usize, candidate: &Candidate<'_>) -> Measurement {
    Measurement {
        record: Record {
            id: Id {
                suite: SUITE.into(),
                case: case.name.clone(),
                engine: request.engine.clone(),
                op: candidate.op.into(),
                dtype: case.dtype.clone(),
                threads: request.threads,
            },
            n: Some(n as u64),
            seconds_min: None,
            seconds_median: None,
            peak_bytes: None,
            allocations: None,
        },
        mode: candidate.mode.into(),
        seconds_first: None,
        digest: Digest::default(),
        error: None,
    }
}

fn first_call<'a>(
    candidate: Candidate<'a>,
    mut measurement: Measurement,
    heap: &CountingAllocator,
) -> Result<First<'a>, Failure> {
    let start = Instant::now();
    let mut call = (candidate.prepare)()?;
    let mark = heap.mark();
    call.run()?;
    measurement.seconds_first = Some(start.elapsed().as_secs_f64());
    measurement.record.peak_bytes = Some(heap.since(mark).peak_bytes);
    measurement.digest = call.digest();
    if !measurement.digest.is_finite() {
        return Err(format!("the result is not finite: {:?}", measurement.digest).into());
    }
    Ok(First {
        call,
        results: candidate.results,
        measurement,
    })
}

fn timed((first, timing): (First<'_>, &Timing)) -> Measurement {
    let per_result = |seconds: f64| seconds / first.results as f64;
    let mut measurement = first.measurement;
    measurement.record.seconds_min = timing.min().map(per_result);
    measurement.record.seconds_median = timing.median().map(per_result);
    measurement.record.allocations = timing.allocations();
    measurement
}
