//! How costs grow with the batch, the width and the number of vectors: fitted exponents.

mod fit;
mod series;

use rayon::ThreadPoolBuilder;

use super::Suite;
use crate::error::BenchError;
use crate::facts::Growth;
use crate::record::{AD_CORE, Id};
use crate::session::{Session, Settings};
use crate::timing::{Pace, alternate};
use fit::exponent;
use series::{SERIES, Series};

/// The suite.
pub const SUITE: Suite = Suite {
    name: "growth",
    about: "exponents of batch, width and number of vectors in the cost of gradients and products",
    measurements,
    run,
};

/// Short measurements of many points, each of which a line through all of them corrects.
const PACE: Pace = Pace {
    op_seconds: 0.1,
    sample_seconds: 0.001,
    min_samples: 5,
    max_samples: 100,
    deadline: None,
};

/// One for each series; none in a quick run. All are in f64 on the most threads.
fn measurements(settings: &Settings) -> Vec<Id> {
    let (false, Some(&threads)) = (settings.quick, settings.threads.iter().max()) else {
        return Vec::new();
    };
    let id = |series: &Series| Id {
        suite: SUITE.name.into(),
        case: format!("growth/{}", series.variable),
        engine: AD_CORE.into(),
        op: series.op.name().into(),
        dtype: "f64".into(),
        threads,
    };
    SERIES.iter().map(id).collect()
}

/// Results are facts: a record of each point would stand among those of the networks.
fn run(session: &mut Session, ids: &[Id]) -> Result<(), BenchError> {
    for id in ids {
        let chosen = |series: &&Series| {
            id.op == series.op.name() && id.case.ends_with(&format!("/{}", series.variable))
        };
        let Some(series) = SERIES.iter().find(chosen) else {
            continue;
        };
        session.progress.say(id);
        let threads = id.threads;
        let pool = ThreadPoolBuilder::new().num_threads(threads).build();
        let pool = pool.map_err(|source| BenchError::Threads { threads, source })?;
        let growth = pool.install(|| measure(session, id, series))?;
        session.facts.growth.push(growth);
        session.progress.advance(2);
    }
    Ok(())
}

fn measure(session: &Session, id: &Id, series: &Series) -> Result<Growth, BenchError> {
    let failed = |e: &dyn std::fmt::Display| BenchError::failed(id, &e.to_string());
    let mut subjects = Vec::new();
    for &at in series.values {
        subjects.push(series.subject(at).map_err(|e| failed(&e))?);
    }
    let timings = alternate(&PACE, session.heap, subjects.len(), |at| {
        subjects[at].run(series.op);
        Ok::<_, BenchError>(())
    })?;
    let minima = timings.iter().filter_map(crate::timing::Timing::min);
    let values = series.values.iter().map(|&value| value as f64);
    let points: Vec<_> = values.zip(minima).collect();
    let exponent = exponent(&points).ok_or_else(|| failed(&"no line fits these times"))?;
    Ok(Growth {
        variable: series.variable.into(),
        op: series.op.name().into(),
        threads: id.threads,
        network: series.network.into(),
        exponent,
        points,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Args;
    use clap::Parser;

    #[test]
    fn a_quick_run_has_none_and_a_full_run_each_series_once() {
        let ids = |flags: &[&str]| {
            let args = Args::try_parse_from(flags).unwrap();
            measurements(&Settings::new(&args))
        };
        assert!(ids(&["bench", "--quick"]).is_empty());
        let full = ids(&["bench", "--threads=1,2"]);
        assert_eq!(full.len(), SERIES.len());
        assert!(full.iter().all(|id| id.threads == 2));
    }
}
