//! The optimisers, each with the settings that it is shown with.

use std::ops::ControlFlow;
use std::time::Instant;

use hvp_solvers::newton::TrustRegionNewton;
use hvp_solvers::{Curvature, Objective};
use indicatif::{ProgressBar, ProgressStyle};
use ndarray::Array1;
use optim::Sharding;
use optim::first_order::{Adam, FirstOrder, RmsProp, Sgd};
use optim::lbfgs::Lbfgs;
use optim::minimize::{Limits, Minimizer, minimize_observed};
use optim::newton::Newton;
use optim::schedule::Schedule;
use optim::stochastic::{MiniBatches, train as train_batches};

use crate::task::{Task, TrainError};

const BATCH: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Method {
    Sgd,
    Adam,
    RmsProp,
    Lbfgs,
    Newton,
    HessianFree,
}

/// What a run came to.
pub(crate) struct Report {
    pub(crate) method: Method,
    pub(crate) ending: String,
    pub(crate) steps: u64,
    pub(crate) products: u64,
    pub(crate) loss: f64,
    pub(crate) accuracy: f64,
    pub(crate) seconds: f64,
    /// A hash of the parameters' bits: the same seed gives the same digest on any number of threads.
    pub(crate) digest: u64,
}

impl Method {
    pub(crate) const ALL: [Self; 6] = [
        Self::Sgd,
        Self::Adam,
        Self::RmsProp,
        Self::Lbfgs,
        Self::Newton,
        Self::HessianFree,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sgd => "sgd",
            Self::Adam => "adam",
            Self::RmsProp => "rmsprop",
            Self::Lbfgs => "lbfgs",
            Self::Newton => "newton",
            Self::HessianFree => "hessian-free",
        }
    }

    /// Epochs of the rules on mini-batches, iterations of the others.
    fn default_iterations(self) -> u64 {
        match self {
            Self::Sgd | Self::Adam | Self::RmsProp => 100,
            Self::Lbfgs => 100,
            Self::Newton => 20,
            Self::HessianFree => 30,
        }
    }
}

/// Steps, products, how it ended, and the parameters.
type Run = (u64, u64, String, Array1<f64>);

pub(crate) fn train(
    task: &Task,
    method: Method,
    iterations: Option<u64>,
) -> Result<Report, TrainError> {
    let iterations = iterations.unwrap_or(method.default_iterations());
    let bar = progress_bar(method.name(), iterations);
    let begin = Instant::now();
    let (steps, products, ending, w) = match method {
        Method::Sgd => by_rule(task, &Sgd::default(), iterations, &bar)?,
        Method::Adam => by_rule(task, &Adam::default(), iterations, &bar)?,
        Method::RmsProp => by_rule(task, &RmsProp::default(), iterations, &bar)?,
        Method::Lbfgs => by_minimizer(task, &Lbfgs::default(), iterations, &bar)?,
        Method::Newton => by_minimizer(task, &Newton::default(), iterations, &bar)?,
        Method::HessianFree => {
            // Truncated CG on Gauss–Newton products in a trust region.
            let method = TrustRegionNewton {
                curvature: Curvature::GaussNewton,
                ..TrustRegionNewton::default()
            };
            by_minimizer(task, &method, iterations, &bar)?
        }
    };
    bar.finish_and_clear();
    let seconds = begin.elapsed().as_secs_f64();
    let loss = task.objective()?.value(w.view());
    let accuracy = task.accuracy(&w)?;
    let digest = digest(&w);
    Ok(Report {
        method,
        ending,
        steps,
        products,
        loss,
        accuracy,
        seconds,
        digest,
    })
}

/// A rule on mini-batches, at its default learning rate falling to zero by a cosine.
fn by_rule<R: FirstOrder<f64>>(
    task: &Task,
    rule: &R,
    epochs: u64,
    bar: &ProgressBar,
) -> Result<Run, TrainError> {
    let sharding = Sharding {
        shard_rows: Some(BATCH / 2),
        ..Sharding::default()
    };
    let n = task.net.n_parameters();
    let mut batches = MiniBatches::new(n, task.data(), BATCH, task.seed, sharding, |w, data| {
        task.loss(w, data)
    })?;
    let n_steps = epochs * batches.steps_per_epoch() as u64;
    let schedule = Schedule::cosine(rule.default_learning_rate(), 0.0, n_steps)?;
    let mut w = task.start();
    let mut steps = 0;
    let stop = train_batches(rule, &schedule, &mut batches, &mut w, n_steps, |step, _| {
        steps = step.step;
        bar.set_position(step.epoch);
        bar.set_message(format!("loss {:.5}", step.loss));
        ControlFlow::Continue(())
    })?;
    Ok((steps, 0, format!("{stop:?}"), w))
}

/// A minimiser of the loss of all cases.
fn by_minimizer<M: Minimizer<f64, optim::FiniteSum<f64>>>(
    task: &Task,
    method: &M,
    iterations: u64,
    bar: &ProgressBar,
) -> Result<Run, TrainError> {
    let mut objective = task.objective()?;
    let limits = Limits {
        max_iters: iterations,
        gradient_tol: 1e-5,
        ..Limits::default()
    };
    let start = task.start();
    let outcome = minimize_observed(method, &mut objective, start.view(), &limits, |at, _| {
        bar.set_position(at.stats().n_iters);
        bar.set_message(format!("loss {:.5}", at.value()));
        ControlFlow::Continue(())
    })?;
    let stats = outcome.stats;
    Ok((
        stats.n_iters,
        stats.n_products,
        outcome.stop.to_string(),
        outcome.x,
    ))
}

fn progress_bar(name: &'static str, length: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{prefix:<14}{wide_bar} {pos}/{len} {msg}");
    let style = style.unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(length).with_style(style).with_prefix(name)
}

/// FNV-1a over the bits.
fn digest(w: &Array1<f64>) -> u64 {
    w.iter()
        .flat_map(|x| x.to_bits().to_le_bytes())
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        })
}
