//! Epochs of Adam, batch by batch in order.

use hvp_solvers::Objective;
use ndarray::{Array1, ArrayD, ArrayViewD, Axis, Slice};
use optim::first_order::{Adam, AdamState, FirstOrder};
use optim::{FiniteSum, Sharding};

use super::super::candidate::{Call, Candidate, Failure, measure};
use super::super::cases::ADAM_EPOCH;
use super::super::measurement::{Digest, Measurement};
use super::super::request::{PeerCase, Request};
use crate::case::Problem;
use crate::error::BenchError;
use crate::heap::CountingAllocator;

/// Of both PyTorch and optax the one that all engines are given.
const LEARNING_RATE: f64 = 1e-3;

/// Rows a shard of the two modes: a batch as one piece, and a piece for each of two threads.
const SHARDS: [(&str, usize); 2] = [("one shard a batch", 128), ("shards of 32 rows", 32)];

pub(super) fn epochs(
    request: &Request,
    case: &PeerCase,
    heap: &CountingAllocator,
) -> Result<Vec<Measurement>, BenchError> {
    let problem = &super::problem::<f64>(case)?;
    let candidate = |(mode, shard_rows)| Candidate {
        op: ADAM_EPOCH,
        mode,
        results: 1,
        prepare: Box::new(move || Ok(Box::new(Epoch::new(problem, case.batch, shard_rows)?) as _)),
    };
    let candidates = SHARDS.into_iter().map(candidate).collect();
    Ok(measure(request, case, problem.n(), heap, candidates))
}

/// Training that goes on from where the last epoch ended.
struct Epoch<'a> {
    problem: &'a Problem<f64>,
    batches: Vec<Vec<usize>>,
    full: FiniteSum<f64>,
    /// The shorter batch at the end, if there is one.
    last: Option<FiniteSum<f64>>,
    rule: Adam,
    state: AdamState<f64>,
    parameters: Array1<f64>,
    gradient: Array1<f64>,
}

impl<'a> Epoch<'a> {
    fn new(problem: &'a Problem<f64>, batch: usize, shard_rows: usize) -> Result<Self, Failure> {
        let rows = problem.data()[0].len_of(Axis(0));
        let sharding = Sharding {
            shard_rows: Some(shard_rows),
            ..Sharding::default()
        };
        let of = |rows: usize| {
            let first = |array: &ArrayD<f64>| {
                let part = array.slice_axis(Axis(0), Slice::from(..rows));
                part.to_owned()
            };
            let data = problem.data().iter().map(first).collect();
            FiniteSum::new(problem.n(), data, sharding, |x, data| problem.loss(x, data))
        };
        let all: Vec<_> = (0..rows).collect();
        let last = rows % batch;
        let rule = Adam::default();
        Ok(Self {
            batches: all.chunks(batch).map(<[_]>::to_vec).collect(),
            full: of(batch.min(rows))?,
            last: (last > 0).then(|| of(last)).transpose()?,
            state: rule.init(problem.n()),
            rule,
            parameters: problem.x.clone(),
            gradient: Array1::zeros(problem.n()),
            problem,
        })
    }
}

impl Call for Epoch<'_> {
    fn run(&mut self) -> Result<(), Failure> {
        let data = self.problem.data();
        let views: [ArrayViewD<'_, f64>; 2] = [data[0].view(), data[1].view()];
        for rows in &self.batches {
            let objective = match &mut self.last {
                Some(last) if rows.len() == last.n_cases() => last,
                _ => &mut self.full,
            };
            objective.load_rows(&views, rows)?;
            objective.value_and_grad(self.parameters.view(), self.gradient.view_mut());
            let (x, gradient) = (self.parameters.view_mut(), self.gradient.view());
            self.rule.step(&mut self.state, x, gradient, LEARNING_RATE);
        }
        Ok(())
    }

    fn digest(&self) -> Digest {
        // Not finite, and so refused, where the loss could not be recorded.
        let value = self.problem.objective().map_or(f64::NAN, |mut objective| {
            objective.value(self.parameters.view())
        });
        Digest {
            value: Some(value),
            ..Digest::default()
        }
    }
}
