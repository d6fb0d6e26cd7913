//! What a search evaluates, and how it ends.

use std::fmt;

use ad_core::Real;

/// A point on the search line: t, φ(t), φ′(t).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Trial<T> {
    /// t.
    pub step: T,
    /// φ(t).
    pub value: T,
    /// φ′(t).
    pub slope: T,
}

impl<T: Real> Trial<T> {
    /// Whether value and slope are finite.
    pub fn is_finite(&self) -> bool {
        self.value.is_finite() && self.slope.is_finite()
    }
}

/// How a search ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SearchStop {
    /// Both strong Wolfe conditions hold.
    StrongWolfe,
    /// The slopes satisfy the approximate Wolfe conditions, and the value is that of
    /// the start up to rounding.
    ApproximateWolfe,
    /// A trial satisfies the strong Wolfe conditions, but another one is lower, though not by as
    /// much as the first condition asks of its step: that one is returned.
    Lower,
    /// No trial differs from the start, nor was promised to, by more than the noise of the values.
    NoiseLevel,
    /// The bracket around a minimum has no room for another step.
    BracketExhausted,
    /// All evaluations that are allowed were made.
    EvaluationBudget,
    /// The slope at the start is not negative: nothing was evaluated.
    NoDescent,
    /// The first step is not positive and finite: nothing was evaluated.
    UnusableStep,
    /// φ is not finite at the start, or at the last trial of a search that found none lower.
    NonFinite,
}

impl SearchStop {
    /// Whether the trial satisfies Wolfe conditions, the strong or the approximate ones.
    pub fn is_accepted(self) -> bool {
        matches!(self, SearchStop::StrongWolfe | SearchStop::ApproximateWolfe)
    }
}

impl fmt::Display for SearchStop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SearchStop::StrongWolfe => "the strong Wolfe conditions hold",
            SearchStop::ApproximateWolfe => "the approximate Wolfe conditions hold",
            SearchStop::Lower => "a trial is lower than one with the strong Wolfe conditions",
            SearchStop::NoiseLevel => "the values differ by their noise only",
            SearchStop::BracketExhausted => "the bracket has no room for another step",
            SearchStop::EvaluationBudget => "the evaluations allowed were made",
            SearchStop::NoDescent => "the slope at the start is not negative",
            SearchStop::UnusableStep => "the first step is not positive and finite",
            SearchStop::NonFinite => "the function is not finite at the start or at the last trial",
        })
    }
}

/// The end of a search.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SearchOutcome<T> {
    /// The trial that satisfies the conditions; where none does, the lowest one, which is the
    /// start itself if none was lower.
    pub trial: Trial<T>,
    /// How the search ended.
    pub stop: SearchStop,
    /// Evaluations of φ and φ′.
    pub n_evals: u64,
}

impl<T: Real> SearchOutcome<T> {
    /// Whether there is a step to take: an accepted one, or one to a lower value.
    pub fn has_step(&self) -> bool {
        self.trial.step > T::zero()
    }
}
