//! The floor: the bare matrix products that an operation needs, on faer's kernels.
//!
//! With S = Σ rows·inputs·outputs over the layers and g₁ the first layer's term, a gradient needs
//! 3S − g₁ multiply-adds, a product with the Hessian at a linearized point 6S − 4g₁, one with the
//! Gauss–Newton matrix 4S − 2g₁. No elementwise function is run and nothing is added up between
//! threads: an engine that calls one kernel a product cannot be faster than these kernels are.

mod shard;
mod steps;

use faer::traits::RealField;
use hvp_solvers::dense::DenseReal;
use rayon::prelude::*;

use super::candidate::{Call, Candidate, Failure, measure};
use super::cases::ADAM_EPOCH;
use super::measurement::{Digest, Measurement};
use super::request::{Kind, PeerCase, Request};
use crate::error::BenchError;
use crate::heap::CountingAllocator;
use crate::suites::hvp::{BLOCK, Op};
use shard::Shard;
use steps::{Step, gauss_newton, gradient, value, with_hessian};

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
        let n = case.array::<f64>("x")?.len();
        let rows = match case.kind {
            Kind::Rosenbrock => continue,
            Kind::Network => case.batch,
            Kind::Adam => case.array::<f64>("inputs")?.len() / case.sizes[0],
        };
        let candidates = match case.dtype.as_str() {
            "f32" => candidates::<f32>(request, case, n, rows),
            _ => candidates::<f64>(request, case, n, rows),
        };
        found.extend(measure(request, case, n, heap, candidates));
    }
    Ok(found)
}

fn candidates<'a, T: DenseReal + RealField>(
    request: &Request,
    case: &'a PeerCase,
    n: usize,
    rows: usize,
) -> Vec<Candidate<'a>> {
    let mut found = Vec::new();
    let modes = [("rows over threads", request.threads), ("one thread", 1)];
    // On one thread both are the same.
    for (mode, threads) in modes.into_iter().take(request.threads.min(2)) {
        for op in Op::ALL {
            let Some(work) = Work::of(op, case.sizes.len() - 1, n) else {
                continue;
            };
            found.push(Candidate {
                op: op.name(),
                mode,
                results: op.results(),
                prepare: Box::new(move || {
                    let shards = shards::<T>(&case.sizes, rows, threads);
                    Ok(Box::new(Products(vec![(1, shards, work)])))
                }),
            });
        }
        found.push(Candidate {
            op: ADAM_EPOCH,
            mode,
            results: 1,
            prepare: Box::new(move || Ok(Box::new(epoch::<T>(case, rows, threads)))),
        });
    }
    found
}

/// The steps of an operation: some once, some for each of so many vectors.
#[derive(Clone)]
struct Work {
    once: Vec<Step>,
    each: Vec<Step>,
    vectors: usize,
}

impl Work {
    /// `None` for what is more than products.
    fn of(op: Op, layers: usize, n: usize) -> Option<Self> {
        let none = Vec::new;
        let (once, each, vectors) = match op {
            Op::Value => (value(layers), none(), 0),
            Op::ValueAndGrad | Op::Linearize => (gradient(layers), none(), 0),
            Op::Hvp => (gradient(layers), with_hessian(layers), 1),
            Op::HvpLinearized => (none(), with_hessian(layers), 1),
            Op::Ggnvp => (none(), gauss_newton(layers), 1),
            Op::HvpBlock16 => (none(), with_hessian(layers), BLOCK),
            Op::Hessian => (gradient(layers), with_hessian(layers), n),
            Op::NewtonCholesky | Op::NewtonCg => return None,
        };
        Some(Self {
            once,
            each,
            vectors,
        })
    }

    fn run<T: DenseReal + RealField>(&self, shard: &mut Shard<T>) {
        for &step in &self.once {
            shard.multiply(step, 0);
        }
        for vector in 0..self.vectors {
            for &step in &self.each {
                shard.multiply(step, vector % BLOCK);
            }
        }
    }
}

/// Work on several groups of shards, each so many times, one after the other.
struct Products<T>(Vec<(usize, Vec<Shard<T>>, Work)>);

impl<T: DenseReal + RealField> Call for Products<T> {
    fn run(&mut self) -> Result<(), Failure> {
        for (times, shards, work) in &mut self.0 {
            for _ in 0..*times {
                match &mut shards[..] {
                    [one] => work.run(one),
                    many => many
                        .par_iter_mut()
                        .with_max_len(1)
                        .for_each(|shard| work.run(shard)),
                }
            }
        }
        Ok(())
    }

    fn digest(&self) -> Digest {
        // Of numbers that mean nothing.
        Digest::default()
    }
}

/// The rows in as many equal parts as there are threads.
fn shards<T: DenseReal>(sizes: &[usize], rows: usize, threads: usize) -> Vec<Shard<T>> {
    let parts = threads.min(rows);
    let part = |at: usize| Shard::new(sizes, rows * (at + 1) / parts - rows * at / parts);
    (0..parts).map(part).collect()
}

/// The gradients of an epoch.
fn epoch<T: DenseReal>(case: &PeerCase, rows: usize, threads: usize) -> Products<T> {
    let work = Work {
        once: gradient(case.sizes.len() - 1),
        each: Vec::new(),
        vectors: 0,
    };
    let groups = [(rows / case.batch, case.batch), (1, rows % case.batch)];
    let groups = groups.into_iter().filter(|(_, rows)| *rows > 0);
    let group = |(times, rows)| (times, shards(&case.sizes, rows, threads), work.clone());
    Products(groups.map(group).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_divided_evenly_and_none_is_lost() {
        for (rows, threads) in [(256, 2), (29, 2), (1, 4), (7, 3)] {
            let found: Vec<_> = shards::<f64>(&[4, 3, 2], rows, threads)
                .iter()
                .map(Shard::rows)
                .collect();
            assert_eq!(found.iter().sum::<usize>(), rows);
            assert_eq!(found.len(), threads.min(rows));
            assert!(found.iter().max().unwrap() - found.iter().min().unwrap() <= 1);
        }
    }

    #[test]
    fn every_operation_on_networks_has_its_work() {
        for op in Op::ALL {
            assert_eq!(Work::of(op, 3, 10).is_none(), op.is_newton(), "{op:?}");
        }
    }
}
