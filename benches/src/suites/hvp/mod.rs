//! Gradients, Hessian-vector products, dense Hessians and Newton steps of perceptrons on the digits.

mod combination;
mod op;
mod refusal;
mod subject;

use rayon::ThreadPoolBuilder;

use super::Suite;
use crate::case::Case;
use crate::error::BenchError;
use crate::record::{AD_CORE, Id};
use crate::session::{Session, Settings};

pub use op::{BLOCK, Op};
pub(crate) use subject::block;

/// The suite.
pub const SUITE: Suite = Suite {
    name: "hvp",
    about: "gradients, Hessian-vector products, dense Hessians and Newton steps of perceptrons",
    measurements,
    run,
};

/// Rows of data in every case.
const BATCH: usize = 256;

/// Layer sizes, from 85 parameters to a million, and whether a quick run has them.
const NETWORKS: &[(&[usize], bool)] = &[
    (&[64, 1, 10], true),
    (&[64, 4, 10], false),
    (&[64, 12, 10], true),
    (&[64, 20, 15, 10], true),
    (&[64, 32, 10], false),
    (&[64, 48, 10], false),
    (&[64, 96, 16, 10], false),
    (&[64, 128, 64, 10], true),
    (&[784, 64, 10], false),
    (&[784, 128, 10], true),
    (&[784, 256, 128, 10], false),
    (&[784, 800, 460, 10], false),
];

fn measurements(settings: &Settings) -> Vec<Id> {
    let mut ids = Vec::new();
    for (sizes, quick) in NETWORKS {
        if settings.quick && !quick {
            continue;
        }
        let case = Case {
            sizes: sizes.to_vec(),
            batch: BATCH,
        };
        for dtype in ["f64", "f32"] {
            for &threads in &settings.threads {
                ids.extend(Op::ALL.map(|op| Id {
                    suite: SUITE.name.into(),
                    case: case.name(),
                    engine: AD_CORE.into(),
                    op: op.name().into(),
                    dtype: dtype.into(),
                    threads,
                }));
            }
        }
    }
    ids
}

fn run(session: &mut Session, ids: &[Id]) -> Result<(), BenchError> {
    refusal::add_hypothetical(session);
    let same = |a: &Id, b: &Id| (&a.case, &a.dtype, a.threads) == (&b.case, &b.dtype, b.threads);
    for ids in ids.chunk_by(same) {
        let threads = ids[0].threads;
        let pool = ThreadPoolBuilder::new().num_threads(threads).build();
        let pool = pool.map_err(|source| BenchError::Threads { threads, source })?;
        pool.install(|| match ids[0].dtype.as_str() {
            "f32" => combination::measure::<f32>(session, ids),
            _ => combination::measure::<f64>(session, ids),
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Args;
    use clap::Parser;

    #[test]
    fn the_networks_range_from_a_hundred_to_a_million_parameters_in_order() {
        let n = |sizes: &[usize]| sizes.windows(2).map(|w| (w[0] + 1) * w[1]).sum::<usize>();
        let all: Vec<_> = NETWORKS.iter().map(|network| n(network.0)).collect();
        assert!(
            all.is_sorted() && all[0] < 100 && *all.last().unwrap() >= 1_000_000,
            "{all:?}"
        );
        let quick = NETWORKS.iter().filter(|network| network.1);
        let quick: Vec<_> = quick.map(|network| n(network.0)).collect();
        assert!(
            quick[0] < 100 && *quick.last().unwrap() >= 100_000,
            "{quick:?}"
        );
    }

    #[test]
    fn every_run_has_the_two_reference_networks_in_both_types() {
        for flags in [&["bench", "--quick"][..], &["bench"]] {
            let args = Args::try_parse_from(flags).unwrap();
            let ids = measurements(&Settings::new(&args));
            for case in ["64-20-15-10/b256", "64-128-64-10/b256"] {
                for dtype in ["f32", "f64"] {
                    let found = ids.iter().any(|id| id.case == case && id.dtype == dtype);
                    assert!(found, "{case} {dtype}");
                }
            }
        }
    }
}
