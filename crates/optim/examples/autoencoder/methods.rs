//! The methods, and what each has reached when its budget is spent.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use hvp_solvers::minimize::{Limits, minimize_observed};
use hvp_solvers::newton::HessianFree;
use ndarray::Array1;
use optim::Sharding;
use optim::first_order::{Adam, FirstOrder, Sgd};
use optim::schedule::Schedule;
use optim::stochastic::{MiniBatches, TrainStop, train};

use crate::task::{Error, Task, TrainError};

/// Cases in a step of the first-order rules.
const BATCH: usize = 100;

/// The share of the cases that products of the Hessian-free method refer to, drawn anew for each
/// linearization.
const CURVATURE_SHARE: f64 = 0.125;

/// Its first damping. Of 1, 5, 10 and 45 none is better than the others by much.
const DAMPING: f64 = 5.0;

/// The learning rates that each first-order rule is tried with; they stay constant.
pub(crate) const ADAM_RATES: [f64; 5] = [1e-4, 3e-4, 1e-3, 3e-3, 1e-2];
pub(crate) const NESTEROV_RATES: [f64; 5] = [1e-3, 3e-3, 1e-2, 3e-2, 1e-1];

/// What a method may spend.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Budget {
    /// Readings of all cases, or of as many: a value, a gradient and a product are one each.
    pub(crate) passes: f64,
    pub(crate) time: Duration,
}

/// What a method has reached.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    pub(crate) method: String,
    /// The training error when the passes of the budget were spent.
    pub(crate) at_passes: f64,
    /// The training error when the time of the budget was spent.
    pub(crate) at_time: f64,
    pub(crate) passes: f64,
    pub(crate) seconds: f64,
}

/// Hessian-free optimisation for some iterations; what it spends is the budget of the others.
pub(crate) fn hessian_free(
    task: &Task,
    error: &Error,
    start: &Array1<f64>,
    n_iters: u64,
) -> Result<(Report, Budget), TrainError> {
    let batch = (task.n_cases() as f64 * CURVATURE_SHARE).ceil();
    let mut objective = task.objective(batch as usize)?;
    let limits = Limits {
        max_iters: n_iters,
        gradient_tol: 0.0,
        ..Limits::default()
    };
    let begin = Instant::now();
    let method = HessianFree {
        initial_damping: DAMPING,
        ..HessianFree::default()
    };
    let found = minimize_observed(
        &method,
        &mut objective,
        start.view(),
        &limits,
        |at, state| {
            let stats = at.stats();
            eprintln!(
                "hessian-free {:>4}: loss {:.5}, damping {:.2e}, {} products, {:.0} s",
                stats.n_iters,
                at.value(),
                state.damping(),
                stats.n_products,
                begin.elapsed().as_secs_f64()
            );
            ControlFlow::Continue(())
        },
    )?;
    let time = begin.elapsed();
    // Of the values of an iteration two are those of the batch; a linearization reads it too.
    let stats = found.stats;
    let of_batch = 2 * stats.n_iters;
    let parts = stats.n_products + stats.n_linearizations + of_batch;
    let share = batch / task.n_cases() as f64;
    let passes = stats.n_evals.saturating_sub(of_batch) as f64 + share * parts as f64;
    let reached = error.at(&found.x)?;
    let report = Report {
        method: "Hessian-free".into(),
        at_passes: reached,
        at_time: reached,
        passes,
        seconds: time.as_secs_f64(),
    };
    Ok((report, Budget { passes, time }))
}

/// Every first-order rule with every learning rate of its grid.
pub(crate) fn first_order(
    task: &Task,
    error: &Error,
    start: &Array1<f64>,
    budget: Budget,
) -> Result<Vec<Report>, TrainError> {
    let nesterov = Sgd {
        momentum: 0.99,
        nesterov: true,
        ..Sgd::default()
    };
    let mut reports = Vec::new();
    for rate in ADAM_RATES {
        let name = format!("Adam, {rate:e}");
        reports.push(by_rule(
            task,
            error,
            start,
            budget,
            &Adam::default(),
            rate,
            name,
        )?);
    }
    for rate in NESTEROV_RATES {
        let name = format!("Nesterov 0.99, {rate:e}");
        reports.push(by_rule(task, error, start, budget, &nesterov, rate, name)?);
    }
    Ok(reports)
}

fn by_rule<R: FirstOrder<f64>>(
    task: &Task,
    error: &Error,
    start: &Array1<f64>,
    budget: Budget,
    rule: &R,
    rate: f64,
    method: String,
) -> Result<Report, TrainError> {
    let sharding = Sharding {
        shard_rows: Some(BATCH / 2),
        ..Sharding::default()
    };
    let n = task.n_parameters();
    let mut batches = MiniBatches::new(n, task.data(), BATCH, 1, sharding, |w, data| {
        task.loss(w, data)
    })?;
    let steps_of = |passes: f64| (passes * batches.steps_per_epoch() as f64).ceil();
    let (epoch, last) = (steps_of(1.0), steps_of(budget.passes));
    let mut w = start.clone();
    let (mut at_passes, mut at_time) = (None, None);
    // What the errors cost is not the rule's.
    let (begin, mut paused, mut steps) = (Instant::now(), Duration::ZERO, 0.0);
    let stop = train(
        rule,
        &Schedule::constant(rate)?,
        &mut batches,
        &mut w,
        u64::MAX,
        |step, w| {
            let elapsed = begin.elapsed() - paused;
            steps = step.step as f64;
            let measure = || error.at(&w.to_owned()).unwrap_or(f64::INFINITY);
            if at_passes.is_none() && steps >= last {
                at_passes = Some(measure());
            }
            if at_time.is_none() && elapsed >= budget.time {
                at_time = Some(measure());
            }
            paused = begin.elapsed() - elapsed;
            if at_passes.is_some() && at_time.is_some() {
                return ControlFlow::Break(());
            }
            ControlFlow::Continue(())
        },
    )?;
    let seconds = (begin.elapsed() - paused).as_secs_f64();
    // A run that diverges has reached nothing.
    let diverged = matches!(stop, TrainStop::NonFinite { .. });
    let reached = |error: Option<f64>| match error {
        Some(error) if !diverged && error.is_finite() => error,
        _ => f64::INFINITY,
    };
    let report = Report {
        at_passes: reached(at_passes),
        at_time: reached(at_time),
        passes: steps / epoch,
        seconds,
        method,
    };
    eprintln!(
        "{}: error {:.4} and {:.4}",
        report.method, report.at_passes, report.at_time
    );
    Ok(report)
}
