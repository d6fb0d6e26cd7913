//! Minimisers side by side: `cargo xtask bench --solvers`.
//!
//! Every method of this project, scipy's and those of two Rust crates minimise the test problems
//! from their starts and small classifiers. All get the same functions: the Rust crates these
//! recordings, scipy a transcription in JAX, which must agree at the starts before it is used. Calls
//! are counted in the function, alike for all; a run costs what it had cost when it first evaluated
//! the value at which it ended.

mod others;
mod own;
mod plot;
mod profile;
mod report;
mod run;
mod task;

use std::fs;
use std::path::Path;

use crate::cli::Args;
use crate::error::BenchError;
use crate::facts::Machine;
use crate::output::{write, write_json};
use crate::peers::date;
use others::Others;
use report::Report;
use run::Run;

/// The norm of the gradient at which methods that ask for one may end. It is not what counts as
/// solved; see [`run::Run`].
const GRADIENT_NORM: f64 = 1e-9;

/// Outer iterations at most.
const MAX_ITERS: u64 = 2000;

/// How often a run is repeated for its time.
const REPEATS: usize = 3;

/// Runs all methods on all tasks and writes `solvers.json`, `solvers.md` and two charts to the
/// folder of the arguments; returns the text for the terminal.
///
/// # Errors
/// [`BenchError::Write`], [`BenchError::Chart`], and [`BenchError::Failed`] for a problem that cannot
/// be set up. Engines that cannot be had are listed in the report.
pub fn run(args: &Args) -> Result<String, BenchError> {
    let folder = args.out.join("solvers");
    fs::create_dir_all(&folder).map_err(|source| BenchError::Write {
        path: folder.clone(),
        source,
    })?;
    let tasks = task::all(args.quick, &folder)?;
    let requests: Vec<_> = tasks.iter().map(|task| task.request.clone()).collect();
    let mut runs = own::all(&tasks)?;
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target");
    let others = Others::run(&requests, &target, &folder);
    runs.extend(others.runs);
    let names = requests.into_iter().map(|request| request.name).collect();
    let report = Report::new(names, runs, others.absent, others.versions);
    finish(&report, args)
}

fn finish(report: &Report, args: &Args) -> Result<String, BenchError> {
    let machine = Machine::here(args.quick);
    write_json(&args.out.join("solvers.json"), report)?;
    let text = report::markdown(report, &machine, &date::today());
    write(&args.out.join("solvers.md"), text.as_bytes())?;
    for (name, title, profiles) in report.charts() {
        let svg = plot::svg(title, profiles)?;
        write(
            &args.out.join(format!("solvers_{name}.svg")),
            svg.as_bytes(),
        )?;
    }
    let out = args.out.display();
    Ok(format!(
        "{}\nWritten to {out}: solvers.json, solvers.md, solvers_cost.svg, solvers_time.svg\n",
        report::terminal(report)
    ))
}
