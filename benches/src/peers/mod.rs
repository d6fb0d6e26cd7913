//! This project and other engines side by side: `cargo xtask bench --peers`.
//!
//! Cases and data are written once, to files. Each engine is a program that is called with the path
//! of a [`Request`] and writes [`Measurement`]s; this project is one of them, in a process of its
//! own like all others. Rounds alternate between the engines, results are compared by digests, and
//! an engine that cannot be had is listed with the reason.

mod candidate;
pub mod cases;
pub mod compare;
pub(crate) mod date;
pub mod engine;
pub mod facts;
mod floor;
pub mod measurement;
pub mod merge;
mod own;
pub mod report;
pub mod request;
pub mod rounds;

use std::fs;
use std::path::Path;

use rayon::ThreadPoolBuilder;

use crate::cli::Args;
use crate::error::BenchError;
use crate::facts::Machine;
use crate::heap::CountingAllocator;
use crate::output::{write, write_json};
use engine::{Available, Engine};
use facts::PeerFacts;
use measurement::Measurement;
use request::{Pace, Request};
use rounds::Plan;

/// Answers a request as one of this program's own engines: a JSON list of [`Measurement`]s.
///
/// # Errors
/// [`BenchError::Read`], [`BenchError::Threads`]; [`BenchError::Usage`] for an engine of others.
pub fn answer(path: &Path, heap: &CountingAllocator) -> Result<String, BenchError> {
    let request = Request::read(path)?;
    let threads = request.threads;
    let pool = ThreadPoolBuilder::new().num_threads(threads).build();
    let pool = pool.map_err(|source| BenchError::Threads { threads, source })?;
    let measured: Vec<Measurement> = pool.install(|| match request.engine.as_str() {
        crate::record::AD_CORE => own::answer(&request, heap),
        engine::PRODUCTS => floor::answer(&request, heap),
        other => Err(BenchError::Usage(format!("`{other}` is another program"))),
    })?;
    serde_json::to_string(&measured).map_err(|error| BenchError::failed(&"results", &error))
}

/// Measures all engines and writes `peers.json`, `peers-facts.json` and `peers.md` to the folder of
/// the arguments; returns the text for the terminal.
///
/// # Errors
/// [`BenchError::Usage`] if the filter admits nothing; [`BenchError::Write`];
/// [`BenchError::Disagreement`] after everything is written.
pub fn run(args: &Args) -> Result<String, BenchError> {
    let folder = args.out.join("peers");
    fs::create_dir_all(&folder).map_err(|source| BenchError::Write {
        path: folder.clone(),
        source,
    })?;
    let cases = cases::write(&folder, args.quick)?;
    let mut plan = Plan {
        engines: &[],
        cases: &cases,
        threads: &args.threads.0,
        filter: &args.filter,
        rounds: args
            .rounds
            .map_or(if args.quick { 1 } else { ROUNDS }, |rounds| {
                rounds as usize
            }),
        pace: pace(args.quick),
        folder: &folder,
    };
    if plan.is_empty() {
        let text = "no measurement holds all words of the filter; names look like \
                    `64-20-15-10/b256 hvp f64 t1`";
        return Err(BenchError::Usage(text.into()));
    }
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target");
    let available = Available::prepare(&chosen(args), &target);
    plan.engines = &available.ready;
    let found = plan.run()?;
    let facts = facts(args, &plan, &available, found);
    finish(&facts, &args.out)
}

/// How often each engine runs: as many as a median needs at least.
const ROUNDS: usize = 3;

fn pace(quick: bool) -> Pace {
    Pace {
        op_seconds: if quick { 0.03 } else { 0.3 },
        sample_seconds: if quick { 0.0005 } else { 0.002 },
        min_samples: if quick { 3 } else { 5 },
        max_samples: 200,
    }
}

/// The engines that the command line names, or all.
fn chosen(args: &Args) -> Vec<Engine> {
    let engines = engine::ENGINES.iter().copied();
    match &args.engines {
        None => engines.collect(),
        Some(list) => engines.filter(|engine| list.holds(engine.name)).collect(),
    }
}

fn facts(args: &Args, plan: &Plan<'_>, available: &Available, found: rounds::Found) -> PeerFacts {
    let modes = merge::merge(&found.measured);
    PeerFacts {
        date: date::today(),
        machine: Machine::here(args.quick),
        rounds: plan.rounds,
        versions: available.versions.clone(),
        absent: available.absent.clone(),
        failures: found.failures,
        disagreements: merge::disagreements(&modes),
        comparisons: compare::compare(&modes),
        modes,
    }
}

fn finish(facts: &PeerFacts, out: &Path) -> Result<String, BenchError> {
    write_json(&out.join("peers.json"), &facts::records(&facts.modes))?;
    write_json(&out.join("peers-facts.json"), facts)?;
    write(&out.join("peers.md"), report::markdown(facts).as_bytes())?;
    let text = report::terminal(facts);
    if !facts.disagreements.is_empty() {
        print!("{text}");
        return Err(BenchError::Disagreement(facts.disagreements.join("\n")));
    }
    let out = out.display();
    Ok(format!(
        "{text}\nWritten to {out}: peers.json, peers-facts.json, peers.md\n"
    ))
}
