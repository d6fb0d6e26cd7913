//! Weighted sums over shards in a fixed order.

use std::sync::{Mutex, PoisonError};

use ad_core::{Real, Residuals};
use ndarray::ArrayViewMut1;
use smallvec::SmallVec;

use crate::parallel::{Hands, piece, share};

/// The most accumulators whose list stays off the heap.
const INLINE: usize = 16;

/// One of the partial sums that shards are added up in, shard after shard.
#[derive(Debug)]
pub(super) struct Accumulator<'a, T> {
    total: &'a mut [T],
    scratch: &'a mut Scratch<T>,
    filled: bool,
    value: T,
}

/// Memory that an accumulator works in.
#[derive(Debug)]
pub(super) struct Scratch<T> {
    /// A further shard's result, before it is added.
    term: Vec<T>,
    /// Of a shard beyond the budget: computed again for each product.
    pub(super) residuals: Residuals<T>,
    pub(super) gradient: Vec<T>,
}

impl<T: Real> Scratch<T> {
    fn new() -> Self {
        let residuals = Residuals::new();
        Self {
            term: Vec::new(),
            residuals,
            gradient: Vec::new(),
        }
    }
}

impl<'a, T: Real> Accumulator<'a, T> {
    /// Where the next shard's result is to be written, and memory to work in.
    pub(super) fn target(&mut self) -> (&mut [T], &mut Residuals<T>, &mut Vec<T>) {
        let Scratch {
            term,
            residuals,
            gradient,
            ..
        } = &mut *self.scratch;
        let target = if self.filled {
            term.resize(self.total.len(), T::zero());
            term
        } else {
            &mut *self.total
        };
        (target, residuals, gradient)
    }

    /// The same as an array.
    pub(super) fn array(&mut self) -> ArrayViewMut1<'_, T> {
        ArrayViewMut1::from(self.target().0)
    }

    /// Adds the result that was written to the target, times `weight`.
    pub(super) fn absorb(&mut self, weight: T, value: T) {
        self.value += weight * value;
        if self.filled {
            for (total, &term) in self.total.iter_mut().zip(&self.scratch.term) {
                *total += weight * term;
            }
        } else {
            self.filled = true;
            scale(self.total, weight);
        }
    }
}

fn scale<T: Real>(values: &mut [T], factor: T) {
    if factor != T::one() {
        values.iter_mut().for_each(|value| *value *= factor);
    }
}

/// Runs `sum` once for each of `states.len()` accumulators, each of which absorbs at least one
/// result, and leaves `factor` times their total in `out`; returns that of the values.
///
/// Accumulators are combined in order, element by element, so threads do not show in the result.
pub(super) fn reduce<T: Real, S: Send>(
    pool: &ScratchPool<T>,
    out: &mut [T],
    factor: T,
    states: &mut [S],
    hands: Hands,
    sum: impl Fn(usize, &mut S, &mut Accumulator<'_, T>) + Sync,
) -> T {
    pool.with(
        states.len(),
        out.len(),
        |Workspace { totals, scratches }| {
            let value = {
                // The first accumulator sums in `out` itself.
                let targets =
                    std::iter::once(&mut *out).chain(totals.iter_mut().map(Vec::as_mut_slice));
                let mut lanes: SmallVec<[(&mut S, Accumulator<'_, T>); INLINE]> = states
                    .iter_mut()
                    .zip(targets)
                    .zip(scratches.iter_mut())
                    .map(|((state, total), scratch)| {
                        (
                            state,
                            Accumulator {
                                total,
                                scratch,
                                filled: false,
                                value: T::zero(),
                            },
                        )
                    })
                    .collect();
                let run = |(at, lane): (usize, &mut (&mut S, Accumulator<'_, T>))| {
                    sum(at, lane.0, &mut lane.1);
                };
                share(hands, lanes.len(), lanes.iter_mut().enumerate(), run);
                lanes
                    .iter()
                    .fold(T::zero(), |value, lane| value + lane.1.value)
            };
            combine(out, totals, factor, hands);
            factor * value
        },
    )
}

/// out ← factor · (out + totals), in order.
fn combine<T: Real>(out: &mut [T], totals: &[Vec<T>], factor: T, hands: Hands) {
    let size = piece(out.len(), hands);
    let add = |(at, out): (usize, &mut [T])| {
        let part = at * size..at * size + out.len();
        let Some((last, others)) = totals.split_last() else {
            return scale(out, factor);
        };
        for total in others {
            for (sum, &term) in out.iter_mut().zip(&total[part.clone()]) {
                *sum += term;
            }
        }
        for (sum, &term) in out.iter_mut().zip(&last[part]) {
            *sum = factor * (*sum + term);
        }
    };
    let pieces = out.len().div_ceil(size);
    share(hands, pieces, out.chunks_mut(size).enumerate(), add);
}

/// Memory of one reduction.
#[derive(Debug)]
struct Workspace<T> {
    /// Partial sums of all accumulators but the first.
    totals: Vec<Vec<T>>,
    scratches: Vec<Scratch<T>>,
}

/// Workspaces that are not in use, so that calls from several threads each have one and no call
/// allocates after the first.
#[derive(Debug)]
pub(super) struct ScratchPool<T> {
    idle: Mutex<Vec<Workspace<T>>>,
}

impl<T: Real> ScratchPool<T> {
    pub(super) fn new() -> Self {
        Self {
            idle: Mutex::new(Vec::with_capacity(8)),
        }
    }

    fn with<R>(&self, count: usize, len: usize, f: impl FnOnce(&mut Workspace<T>) -> R) -> R {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = idle().pop();
        let mut workspace = taken.unwrap_or_else(|| Workspace {
            totals: Vec::new(),
            scratches: Vec::new(),
        });
        workspace.totals.resize_with(count - 1, Vec::new);
        workspace.scratches.resize_with(count, Scratch::new);
        for total in &mut workspace.totals {
            total.resize(len, T::zero());
        }
        let result = f(&mut workspace);
        idle().push(workspace);
        result
    }
}
