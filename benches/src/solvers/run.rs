//! One run of a method on a task, as every engine reports it.

use serde::{Deserialize, Serialize};
use test_problems::{Mark, Tally};

/// A run. Costs are of the moment when the value was first met at which the run ended, if that is
/// an answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Run {
    pub(super) task: String,
    /// `<engine>: <method>`, such as `scipy: trust-ncg`.
    pub(super) method: String,
    /// The value at the end; none if it is not finite or the run broke off.
    pub(super) value: Option<f64>,
    /// How it ended, in the method's own words.
    pub(super) ending: String,
    /// Outer iterations in all, as the method counts them.
    pub(super) n_iters: u64,
    /// Calls in all.
    pub(super) n_values: u64,
    pub(super) n_gradients: u64,
    pub(super) n_products: u64,
    /// What it cost until the answer; none if it did not solve the task.
    pub(super) solved: Option<Solved>,
}

/// What the answer cost.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Solved {
    pub(super) n_values: u64,
    pub(super) n_gradients: u64,
    pub(super) n_products: u64,
    /// The least of several runs.
    pub(super) seconds: f64,
}

impl Solved {
    /// Gradients and products: each is a reverse sweep or two, and what large problems spend.
    pub(super) fn cost(&self) -> f64 {
        (self.n_gradients + self.n_products) as f64
    }
}

impl From<Mark> for Solved {
    fn from(mark: Mark) -> Self {
        Self {
            n_values: mark.counts.n_values,
            n_gradients: mark.counts.n_gradients,
            n_products: mark.counts.n_products,
            seconds: mark.seconds,
        }
    }
}

/// How a method says that it ended.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Ending {
    pub(super) value: f64,
    pub(super) n_iters: u64,
    pub(super) text: String,
}

impl Run {
    pub(super) fn new(task: &str, method: &str, ending: &Ending, tally: &Tally) -> Self {
        let counts = tally.counts();
        Self {
            task: task.into(),
            method: method.into(),
            value: ending.value.is_finite().then_some(ending.value),
            ending: ending.text.clone(),
            n_iters: ending.n_iters,
            n_values: counts.n_values,
            n_gradients: counts.n_gradients,
            n_products: counts.n_products,
            solved: tally.first(ending.value).map(Solved::from),
        }
    }

    /// Keeps the shorter time of two runs that are otherwise the same.
    pub(super) fn faster(mut self, other: &Self) -> Self {
        if let (Some(mine), Some(others)) = (&mut self.solved, &other.solved) {
            mine.seconds = mine.seconds.min(others.seconds);
        }
        self
    }
}
