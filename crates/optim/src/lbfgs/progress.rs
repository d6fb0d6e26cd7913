//! Whether a run still gets anywhere, and the best point where values no longer tell.

use ad_core::Real;
use ndarray::Array1;
use serde::{Deserialize, Serialize};

use crate::bits;
use crate::minimize::{Iterate, Noise, Outcome, StopReason};

/// Iterations in a row without progress after which a run has ended: a few times what the gradient
/// takes to rise and fall again.
const PATIENCE: u32 = 20;

/// What has been reached so far.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(bound = "")]
pub(super) struct Progress<T: Real> {
    /// The rounding noise of the values.
    pub(super) noise: Noise<T>,
    /// The value below which there is progress.
    #[serde(with = "bits::scalar")]
    value: T,
    /// Half of the least gradient norm since the last progress of the value.
    #[serde(with = "bits::scalar")]
    gradient_norm: T,
    /// Iterations since.
    n_idle: u32,
    /// Whether the memory was dropped since the last progress of the value.
    pub(super) dropped: bool,
    /// The best point, where the present one is not.
    best: Option<Best<T>>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(bound = "")]
struct Best<T: Real> {
    #[serde(with = "bits::vector")]
    x: Array1<T>,
    #[serde(with = "bits::scalar")]
    value: T,
    #[serde(with = "bits::scalar")]
    gradient_norm: T,
}

impl<T: Real> Progress<T> {
    pub(super) fn new(start: &Iterate<T>) -> Self {
        Progress {
            noise: Noise::new(start.value),
            value: start.value,
            gradient_norm: start.gradient_norm(),
            n_idle: 0,
            dropped: false,
            best: None,
        }
    }

    /// Whether a point of this value may replace the present one. Single steps may rise by the
    /// noise; together they may not rise by more.
    pub(super) fn allows(&self, value: T) -> bool {
        value <= self.value + self.noise.level(value, self.value)
    }

    /// Keeps a point that is about to be left for one of a value that is not lower.
    pub(super) fn keep(&mut self, iterate: &Iterate<T>, next: T) {
        let (value, gradient_norm) = (iterate.value, iterate.gradient_norm());
        if next < value || !self.is_better(value, gradient_norm) {
            return;
        }
        let best = self.best.get_or_insert_with(|| Best {
            x: iterate.x.clone(),
            value,
            gradient_norm,
        });
        best.x.assign(&iterate.x);
        (best.value, best.gradient_norm) = (value, gradient_norm);
    }

    /// Whether a point is better than the one that is kept: lower, or as low up to noise with
    /// a smaller gradient.
    fn is_better(&self, value: T, gradient_norm: T) -> bool {
        self.best.as_ref().is_none_or(|best| {
            let level = self.noise.level(value, best.value);
            value < best.value - level
                || value <= best.value + level && gradient_norm < best.gradient_norm
        })
    }

    /// Takes in a new point; whether the run has come to its end.
    pub(super) fn is_over(&mut self, iterate: &Iterate<T>) -> bool {
        let (value, norm) = (iterate.value, iterate.gradient_norm());
        self.noise.follow(value);
        if value < self.value - self.noise.level(value, self.value) {
            (self.value, self.gradient_norm) = (value, norm);
            (self.n_idle, self.dropped) = (0, false);
            self.best = None;
        } else if norm <= T::of(0.5) * self.gradient_norm {
            self.gradient_norm = norm;
            self.n_idle = 0;
        } else {
            self.n_idle += 1;
        }
        self.n_idle >= PATIENCE
    }

    /// The best point.
    pub(super) fn best(&self, iterate: &Iterate<T>) -> Outcome<T> {
        match &self.best {
            Some(best) if !self.is_better(iterate.value, iterate.gradient_norm()) => Outcome {
                x: best.x.clone(),
                value: best.value,
                gradient_norm: best.gradient_norm,
                stop: StopReason::GradientTolerance,
                stats: iterate.stats,
            },
            _ => iterate.outcome(),
        }
    }
}
