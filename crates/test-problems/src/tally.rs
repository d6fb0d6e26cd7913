//! What a run has cost, and what it had cost when it was done.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::problem::is_near;

/// Calls of a function.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Values without a gradient.
    pub n_values: u64,
    /// Gradients, with or without the value.
    pub n_gradients: u64,
    /// Products with the Hessian or the Gauss–Newton matrix.
    pub n_products: u64,
}

/// Counts at a moment of a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Mark {
    /// The calls until then, the one that met the value among them.
    pub counts: Counts,
    /// The seconds until then.
    pub seconds: f64,
}

/// Counts calls, and notes when a value was first as low as it should be.
///
/// Methods end by rules of their own, so that what a run costs in all says more of its last steps
/// than of its way. What it had cost when it first evaluated the value at which it would end is the
/// same question for every method.
///
/// ```
/// use test_problems::Tally;
/// let tally = Tally::new(&[0.0, 1.0]);
/// for value in [3.0, 1.0, 0.5, 0.0] {
///     tally.gradient(Some(value));
/// }
/// // A run that ended at 0: passing 1 does not count.
/// assert_eq!(tally.first(0.0).unwrap().counts.n_gradients, 4);
/// assert_eq!(tally.first(0.5), None);
/// ```
#[derive(Debug)]
pub struct Tally {
    start: Instant,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    counts: Counts,
    /// The values to wait for, and when each came.
    answers: Vec<(f64, Option<Mark>)>,
}

impl Tally {
    /// Starts to count; `answers` are the values to wait for, as near as
    /// [`Problem::is_answer`](crate::Problem::is_answer) asks for.
    #[must_use]
    pub fn new(answers: &[f64]) -> Self {
        let state = State {
            counts: Counts::default(),
            answers: answers.iter().map(|&answer| (answer, None)).collect(),
        };
        Self {
            start: Instant::now(),
            state: Mutex::new(state),
        }
    }

    /// A value was computed.
    pub fn value(&self, value: f64) {
        self.count(|counts| counts.n_values += 1, Some(value));
    }

    /// A gradient was computed, with the value or without.
    pub fn gradient(&self, value: Option<f64>) {
        self.count(|counts| counts.n_gradients += 1, value);
    }

    /// A product was computed.
    pub fn product(&self) {
        self.count(|counts| counts.n_products += 1, None);
    }

    fn count(&self, add: impl FnOnce(&mut Counts), value: Option<f64>) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        add(&mut state.counts);
        let Some(value) = value else { return };
        let counts = state.counts;
        for (answer, first) in &mut state.answers {
            if first.is_none() && is_near(value, *answer) {
                let seconds = self.start.elapsed().as_secs_f64();
                *first = Some(Mark { counts, seconds });
            }
        }
    }

    /// What was called so far.
    #[must_use]
    pub fn counts(&self) -> Counts {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.counts
    }

    /// When the answer was first met at which a run ended; none if `end` is no answer.
    #[must_use]
    pub fn first(&self, end: f64) -> Option<Mark> {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let marks = state.answers.iter().filter(|answer| is_near(end, answer.0));
        marks.filter_map(|answer| answer.1).next()
    }
}
