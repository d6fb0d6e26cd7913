//! Training on mini-batches: a first-order rule, one batch per step.

use std::ops::ControlFlow;

use ad_core::{Error, Real, Var, all_finite};
use hvp_solvers::vector::slice;
use hvp_solvers::{Objective, Quantity, SolverError};
use ndarray::{Array1, ArrayD, ArrayView1, ArrayViewD, ArrayViewMut1, Axis};

use crate::data::{Batches, DataError};
use crate::finite_sum::Reduction;
use crate::first_order::{FirstOrder, takes};
use crate::schedule::Schedule;
use crate::{FiniteSum, Sharding};

/// The gradient of a mean over cases, one mini-batch after the other.
///
/// Rows are gathered into a buffer of the batch's size, for which the function is recorded once; a
/// shorter last batch of an epoch has a recording of its own.
#[derive(Debug)]
pub struct MiniBatches<T> {
    data: Vec<ArrayD<T>>,
    batches: Batches,
    full: FiniteSum<T>,
    last: Option<FiniteSum<T>>,
}

/// What can be wrong with mini-batches.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BatchError {
    /// The function or the data.
    #[error(transparent)]
    Function(#[from] Error),
    /// The batches.
    #[error(transparent)]
    Data(#[from] DataError),
}

impl<T: Real> MiniBatches<T> {
    /// Records `f`, which returns the *mean* over the rows that it gets, for batches of `batch_size`
    /// rows of the data (each array has the cases along its first axis), shuffled by `seed`.
    ///
    /// # Errors
    /// As [`FiniteSum::new`]; [`DataError::EmptyBatch`] for a batch size of 0.
    #[track_caller]
    pub fn new<F>(
        n_parameters: usize,
        data: Vec<ArrayD<T>>,
        batch_size: usize,
        seed: u64,
        sharding: Sharding,
        f: F,
    ) -> Result<Self, BatchError>
    where
        F: for<'t> Fn(Var<'t>, &[Var<'t>]) -> Var<'t>,
    {
        // Checks all of the data, once.
        FiniteSum::new(n_parameters, data.clone(), sharding, &f)?;
        let n_cases = data.first().map_or(0, |array| array.len_of(Axis(0)));
        let batches = Batches::new(n_cases, batch_size, seed)?;
        let of = |rows: usize| {
            let part = |array: &ArrayD<T>| {
                let rows = rows.min(array.len_of(Axis(0)));
                array
                    .slice_axis(Axis(0), ndarray::Slice::from(..rows))
                    .to_owned()
            };
            let part = data.iter().map(part).collect();
            FiniteSum::unchecked(n_parameters, part, sharding, Reduction::Mean, &f)
        };
        let batch_size = batch_size.min(n_cases);
        let last = n_cases % batch_size;
        let (full, last) = (of(batch_size)?, (last > 0).then(|| of(last)).transpose()?);
        Ok(Self {
            data,
            batches,
            full,
            last,
        })
    }

    /// The number of parameters n.
    #[must_use]
    pub fn dim(&self) -> usize {
        self.full.dim()
    }

    /// The cursor over the batches, which serialises.
    #[must_use]
    pub fn cursor(&self) -> &Batches {
        &self.batches
    }

    /// Steps in an epoch.
    #[must_use]
    pub fn steps_per_epoch(&self) -> usize {
        self.batches.batches_per_epoch()
    }

    /// Takes the next batch: writes the gradient of its mean at `x` and returns the mean; NaN if `x`
    /// is not finite.
    ///
    /// # Panics
    /// If `x` or `grad` has another length than there are parameters.
    pub fn next_gradient(&mut self, x: ArrayView1<'_, T>, grad: ArrayViewMut1<'_, T>) -> T {
        let rows = self.batches.next_batch();
        let objective = match &mut self.last {
            Some(last) if rows.len() == last.n_cases() => last,
            _ => &mut self.full,
        };
        let views: Vec<ArrayViewD<'_, T>> = self.data.iter().map(|array| array.view()).collect();
        let loaded = objective.load_rows(&views, rows);
        loaded.expect("rows of the arrays that were checked");
        objective.value_and_grad(x, grad)
    }
}

/// One step of training, for observers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Step<T> {
    /// The number of steps made, this one included.
    pub step: u64,
    /// The epoch of its batch, from 0.
    pub epoch: u64,
    /// The mean loss of its batch, before the step.
    pub loss: T,
    /// The learning rate.
    pub learning_rate: f64,
}

/// How training ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TrainStop {
    /// All steps were made.
    Finished,
    /// The observer asked to stop.
    Interrupted,
    /// Something was not finite, and the parameters are those before that step: the value or the
    /// gradient of a batch (or squares of the gradient that the rule keeps), or the point to which a
    /// step led.
    NonFinite {
        /// What was not finite.
        what: Quantity,
    },
}

/// Trains by a first-order rule: `n_steps` mini-batches, the learning rate by `schedule`. The
/// parameters are updated in place and stay finite, whatever the rate and the gradients are.
///
/// # Errors
/// [`SolverError`] for parameters of the wrong length or not finite, and for unusable settings.
pub fn train<T: Real, R: FirstOrder<T>>(
    rule: &R,
    schedule: &Schedule,
    batches: &mut MiniBatches<T>,
    parameters: &mut Array1<T>,
    n_steps: u64,
    mut observer: impl FnMut(Step<T>, ArrayView1<'_, T>) -> ControlFlow<()>,
) -> Result<TrainStop, SolverError> {
    rule.check()?;
    let (what, expected, found) = ("the parameters", batches.dim(), parameters.len());
    if expected != found {
        return Err(SolverError::DimensionMismatch {
            what,
            expected,
            found,
        });
    }
    if let Some(index) = parameters.iter().position(|x| !x.is_finite()) {
        return Err(SolverError::NonFiniteInput { what, index });
    }
    let mut state = rule.init(expected);
    let mut gradient = Array1::zeros(expected);
    let mut before = parameters.clone();
    let non_finite = |what| Ok(TrainStop::NonFinite { what });
    for step in 0..n_steps {
        let loss = batches.next_gradient(parameters.view(), gradient.view_mut());
        if !loss.is_finite() {
            return non_finite(Quantity::Value);
        }
        if !takes(rule, slice(&gradient)) {
            return non_finite(Quantity::Gradient);
        }
        before.assign(parameters);
        let learning_rate = schedule.rate(step);
        rule.step(
            &mut state,
            parameters.view_mut(),
            gradient.view(),
            learning_rate,
        );
        if !all_finite(slice(parameters)) {
            parameters.assign(&before);
            return non_finite(Quantity::Point);
        }
        let epoch = batches.cursor().epoch();
        let done = Step {
            step: step + 1,
            epoch,
            loss,
            learning_rate,
        };
        if observer(done, parameters.view()).is_break() {
            return Ok(TrainStop::Interrupted);
        }
    }
    Ok(TrainStop::Finished)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::first_order::{Adam, RmsProp, Sgd};
    use ndarray::{Array2, array};

    /// The mean of ½(x − a)² over cases a.
    fn batches(n: usize, size: usize) -> MiniBatches<f64> {
        let data = Array2::from_shape_fn((n, 1), |(row, _)| row as f64).into_dyn();
        MiniBatches::new(1, vec![data], size, 1, Sharding::default(), |x, data| {
            0.5 * (x - data[0]).square().sum() * (1.0 / data[0].shape()[0] as f64)
        })
        .unwrap()
    }

    #[test]
    fn the_gradients_of_an_epoch_sum_to_that_of_all_cases() {
        let mut batches = batches(10, 4);
        let x = array![2.0];
        let (mut g, mut total) = (array![0.0], 0.0);
        for rows in [4.0, 4.0, 2.0] {
            batches.next_gradient(x.view(), g.view_mut());
            total += rows * g[0];
        }
        // Σ (2 − a) for a = 0, …, 9.
        assert!((total - (20.0 - 45.0)).abs() <= 100.0 * f64::EPSILON);
        assert_eq!(batches.steps_per_epoch(), 3);
    }

    #[test]
    fn training_moves_to_the_mean_and_refuses_what_makes_no_sense() {
        let mut batches = batches(10, 10);
        let mut x = array![0.0];
        let rate = Schedule::constant(1.0).unwrap();
        let stop = train(&Sgd::plain(), &rate, &mut batches, &mut x, 1, |step, _| {
            assert_eq!((step.step, step.epoch), (1, 0));
            ControlFlow::Continue(())
        });
        assert_eq!(stop, Ok(TrainStop::Finished));
        assert!((x[0] - 4.5).abs() <= 10.0 * f64::EPSILON);
        let mut wrong = array![0.0, 0.0];
        let go = |_: Step<f64>, _: ArrayView1<'_, f64>| ControlFlow::Continue(());
        assert!(train(&Sgd::plain(), &rate, &mut batches, &mut wrong, 1, go).is_err());
        let mut nan = array![f64::NAN];
        assert!(train(&Sgd::plain(), &rate, &mut batches, &mut nan, 1, go).is_err());
    }

    /// A rate that leads out of all numbers at the first step, one that takes two, and gradients that
    /// overflow: the parameters are the last finite ones.
    #[test]
    fn training_that_diverges_ends_at_finite_parameters() {
        let go = |_: Step<f64>, _: ArrayView1<'_, f64>| ControlFlow::Continue(());
        let point = TrainStop::NonFinite {
            what: Quantity::Point,
        };
        let rows = [
            (1e308, 100.0, 100, point),
            (1e308, 100.0, 1, point),
            (f64::MAX, 100.0, 1, point),
            // (1e200)² overflows at the second step.
            (
                1e200,
                1.0,
                100,
                TrainStop::NonFinite {
                    what: Quantity::Value,
                },
            ),
        ];
        for (rate, start, n_steps, expected) in rows {
            let (mut batches, mut x) = (batches(10, 4), array![start]);
            let rate = Schedule::constant(rate).unwrap();
            let stop = train(&Sgd::plain(), &rate, &mut batches, &mut x, n_steps, go);
            assert_eq!(stop, Ok(expected), "{rate:?}");
            assert!(x[0].is_finite());
            if expected == point {
                assert!((x[0] - start).abs() <= 0.0, "the start");
            }
        }
        // No schedule of NaN can be made; one that grows beyond all numbers ends the same way.
        let mut x = array![1.0];
        let growing = Schedule::exponential(1e-3, 1e300, 1).unwrap();
        let stop = train(
            &Sgd::plain(),
            &growing,
            &mut batches(10, 4),
            &mut x,
            100,
            go,
        );
        assert!(matches!(stop, Ok(TrainStop::NonFinite { .. })), "{stop:?}");
        assert!(x[0].is_finite());
    }

    /// A mean of x·1e160, whose gradient's square overflows.
    #[test]
    fn a_gradient_whose_square_overflows_ends_training_by_rules_that_keep_squares() {
        let go = |_: Step<f64>, _: ArrayView1<'_, f64>| ControlFlow::Continue(());
        let rate = Schedule::constant(1e-3).unwrap();
        let make = || {
            let data = vec![ArrayD::ones(vec![4, 1])];
            MiniBatches::new(1, data, 4, 1, Sharding::default(), |x, data| {
                let rows = data[0].shape()[0] as f64;
                (x * data[0]).sum() * (1e160 / rows)
            })
            .unwrap()
        };
        let expected = Ok(TrainStop::NonFinite {
            what: Quantity::Gradient,
        });
        let centered = RmsProp {
            centered: true,
            ..RmsProp::default()
        };
        let mut x = array![1.0];
        assert_eq!(
            train(&Adam::default(), &rate, &mut make(), &mut x, 2, go),
            expected
        );
        assert_eq!(
            train(&RmsProp::default(), &rate, &mut make(), &mut x, 2, go),
            expected
        );
        assert_eq!(
            train(&centered, &rate, &mut make(), &mut x, 2, go),
            expected
        );
        assert!((x[0] - 1.0).abs() <= 0.0);
        let plain = train(&Sgd::plain(), &rate, &mut make(), &mut x, 1, go);
        assert_eq!(plain, Ok(TrainStop::Finished));
    }
}
