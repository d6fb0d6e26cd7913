//! Searches along a curve from the current point.

use ad_core::Real;

use super::walk::{Trial, Walk};
use crate::Objective;
use crate::vector::norm2;

/// The curve `p(α) = min(1, α²)·z + α·d`, `p(0) = 0`, with what a model promises along it: at
/// least `α·slope + ½α²·bend`, where `slope ≤ 0` and, with `bend < 0`, both lead down.
pub(crate) struct Curve<'a, T> {
    /// Bent in at the start: a Newton step beside a direction of negative curvature
    /// (Moré & Sorensen 1979). Empty for a line.
    pub(crate) z: &'a [T],
    pub(crate) d: &'a [T],
    pub(crate) slope: T,
    pub(crate) bend: T,
    /// Whether `p(1)` minimises the model, so that the value there says how good that is.
    pub(crate) is_full: bool,
}

impl<T: Real> Curve<'_, T> {
    fn write(&self, alpha: T, p: &mut Vec<T>) {
        p.clear();
        p.extend(self.d.iter().map(|&d| alpha * d));
        let share = (alpha * alpha).min(T::one());
        for (p, &z) in p.iter_mut().zip(self.z) {
            *p += share * z;
        }
    }

    /// The promised change of the value, negative.
    fn promise(&self, alpha: T) -> T {
        alpha * (self.slope + T::of(0.5) * alpha * self.bend)
    }
}

/// Backtracking from `α = 1` until the value falls by the share `c1` of what was promised;
/// then, for directions without a natural length, doubling as long as that pays.
///
/// A value that is not finite counts as infinite: the search steps back from it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Backtracking {
    pub(crate) c1: f64,
    /// The next step relative to the last; `None` for the minimiser of a parabola, within
    /// [0.1, 0.5] of it.
    pub(crate) factor: Option<f64>,
    pub(crate) max_trials: u32,
    pub(crate) max_doublings: u32,
}

/// The step that a search took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Taken<T> {
    pub(crate) alpha: T,
    /// The rounding that the value may have.
    pub(crate) noise: T,
}

impl Backtracking {
    /// Finds a step and leaves it as the walk's trial point; the last trial if there is none.
    pub(crate) fn search<T, F>(
        &self,
        walk: &mut Walk<T>,
        objective: &mut F,
        curve: &Curve<'_, T>,
        p: &mut Vec<T>,
    ) -> Result<Taken<T>, Trial<T>>
    where
        T: Real,
        F: Objective<T> + ?Sized,
    {
        self.search_from(walk, objective, curve, p, None)
    }

    /// [`search`](Self::search) where the value at `α = 1` may be known.
    pub(crate) fn search_from<T, F>(
        &self,
        walk: &mut Walk<T>,
        objective: &mut F,
        curve: &Curve<'_, T>,
        p: &mut Vec<T>,
        known: Option<T>,
    ) -> Result<Taken<T>, Trial<T>>
    where
        T: Real,
        F: Objective<T> + ?Sized,
    {
        let mut alpha = T::one();
        let mut last = Trial {
            value: T::nan(),
            moved: false,
        };
        for k in 0..self.max_trials {
            curve.write(alpha, p);
            let trial = match known {
                Some(value) if k == 0 => Trial {
                    value,
                    moved: walk.set_trial(p),
                },
                _ => walk.try_step(objective, p),
            };
            walk.n_free_steps += u64::from(k > 0);
            if walk.is_out_of_values() {
                return Err(trial);
            }
            let promise = curve.promise(alpha);
            let (noise, good) = self.weigh(walk, objective, p, trial, promise);
            if k == 0 && curve.is_full {
                walk.check_promise(trial);
            }
            if good {
                let taken = Taken { alpha, noise };
                // What is gained after a rejection would be lost again.
                let doublings = if k == 0 { self.max_doublings } else { 0 };
                return Ok(self.double(walk, objective, curve, p, taken, trial.value, doublings));
            }
            walk.n_rejected += 1;
            last = trial;
            if !trial.moved {
                break;
            }
            alpha *= self.shorter(walk.iterate.value, trial.value, promise);
        }
        Err(last)
    }

    /// Judges the last trial, a second time if the noise turns out to be larger than was known;
    /// the noise, and whether the trial is good enough.
    fn weigh<T, F>(
        &self,
        walk: &mut Walk<T>,
        objective: &mut F,
        p: &[T],
        trial: Trial<T>,
        promise: T,
    ) -> (T, bool)
    where
        T: Real,
        F: Objective<T> + ?Sized,
    {
        let judge = |walk: &mut Walk<T>| {
            let verdict = walk.judge(trial, norm2(p), -promise);
            let noise = verdict.noise;
            let enough = walk.iterate.value + T::of(self.c1) * promise + noise;
            let sound = trial.moved && trial.value.is_finite();
            let good = sound && trial.value <= enough && walk.is_no_worse(trial.value, noise);
            (noise, good)
        };
        let (noise, good) = judge(walk);
        if !good && walk.doubt(objective, p, trial, -promise) {
            return judge(walk);
        }
        (noise, good)
    }

    /// The factor for the next trial.
    fn shorter<T: Real>(&self, value: T, trial: T, promise: T) -> T {
        /// Far outside the domain of the objective there is far to go.
        const WHERE_UNDEFINED: f64 = 0.25;
        match self.factor {
            Some(factor) => T::of(factor),
            None if !trial.is_finite() => T::of(WHERE_UNDEFINED),
            None => {
                let parabola = -promise / (T::of(2.0) * (trial - value - promise));
                parabola.max(T::of(0.1)).min(T::of(0.5))
            }
        }
    }

    /// Doubles the step while the value falls as promised; leaves the best one as the trial.
    #[allow(clippy::too_many_arguments, reason = "the second half of one search")]
    fn double<T, F>(
        &self,
        walk: &mut Walk<T>,
        objective: &mut F,
        curve: &Curve<'_, T>,
        p: &mut Vec<T>,
        mut taken: Taken<T>,
        mut value: T,
        doublings: u32,
    ) -> Taken<T>
    where
        T: Real,
        F: Objective<T> + ?Sized,
    {
        for _ in 0..doublings {
            let alpha = taken.alpha + taken.alpha;
            curve.write(alpha, p);
            let trial = walk.try_step(objective, p);
            walk.n_free_steps += 1;
            let enough = walk.iterate.value + T::of(self.c1) * curve.promise(alpha);
            let pays = trial.value < value && trial.value <= enough && trial.value.is_finite();
            if !pays {
                walk.n_rejected += 1;
                curve.write(taken.alpha, p);
                walk.set_trial(p);
                break;
            }
            taken.alpha = alpha;
            value = trial.value;
        }
        taken
    }
}
