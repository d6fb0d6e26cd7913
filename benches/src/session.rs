//! A run: what it may do, and what it has found.

use std::time::{Duration, Instant};

use crate::cli::Args;
use crate::error::BenchError;
use crate::facts::{Facts, Machine};
use crate::heap::CountingAllocator;
use crate::progress::Progress;
use crate::record::{Id, Report};
use crate::suites::{SUITES, Suite};
use crate::timing::Pace;

/// What a run may do.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Only small networks and short measurements.
    pub quick: bool,
    /// Numbers of threads.
    pub threads: Vec<usize>,
    /// The most bytes that dense matrices may take.
    pub budget: u128,
    /// How long to measure.
    pub pace: Pace,
}

/// Seconds after which a quick run takes one sample of everything that is left.
const QUICK_SECONDS: u64 = 45;

impl Settings {
    /// The settings of a command line; a quick run's clock starts now.
    #[must_use]
    pub fn new(args: &Args) -> Self {
        let pace = if args.quick {
            Pace {
                op_seconds: 0.08,
                sample_seconds: 0.0005,
                min_samples: 3,
                max_samples: 200,
                deadline: Some(Instant::now() + Duration::from_secs(QUICK_SECONDS)),
            }
        } else {
            Pace {
                op_seconds: 0.8,
                sample_seconds: 0.001,
                min_samples: 5,
                max_samples: 1000,
                deadline: None,
            }
        };
        Self {
            quick: args.quick,
            threads: args.threads.0.clone(),
            budget: args.budget.0,
            pace,
        }
    }
}

/// A run while it goes on.
#[derive(Debug)]
pub struct Session {
    /// What it may do.
    pub settings: Settings,
    /// What counts memory.
    pub heap: &'static CountingAllocator,
    /// What shows where it is.
    pub progress: Progress,
    /// Results so far.
    pub report: Report,
    /// Facts so far.
    pub facts: Facts,
}

/// Measures what the command line asks for.
///
/// # Errors
/// [`BenchError::Usage`] if the filter admits nothing; failed computations.
pub fn run(args: &Args, heap: &'static CountingAllocator) -> Result<Session, BenchError> {
    let settings = Settings::new(args);
    let chosen = choose(args, &settings)?;
    // Each operation is a step when it first ran and a step when it was timed.
    let steps: usize = chosen.iter().map(|(_, ids)| 2 * ids.len()).sum();
    let mut session = Session {
        settings,
        heap,
        progress: Progress::new(steps as u64),
        report: Report::default(),
        facts: Facts {
            machine: Machine::here(args.quick),
            ..Facts::default()
        },
    };
    for (suite, ids) in chosen {
        (suite.run)(&mut session, &ids)?;
    }
    session.progress.finish();
    Ok(session)
}

/// Each suite's measurements that the filter admits.
fn choose(args: &Args, settings: &Settings) -> Result<Vec<(&'static Suite, Vec<Id>)>, BenchError> {
    let (mut chosen, mut example) = (Vec::new(), None);
    for suite in SUITES {
        let mut ids = (suite.measurements)(settings);
        example = example.or_else(|| ids.first().cloned());
        ids.retain(|id| args.filter.admits(&id.to_string()));
        if !ids.is_empty() {
            chosen.push((suite, ids));
        }
    }
    if chosen.is_empty() {
        let example = example.map(|id| id.to_string()).unwrap_or_default();
        let text =
            format!("no measurement holds all words of the filter; names look like `{example}`");
        return Err(BenchError::Usage(text));
    }
    Ok(chosen)
}
