//! A deep autoencoder of the handwritten digits from random initial weights: Hessian-free
//! optimisation beside Adam and Nesterov's momentum, each at its best of a grid of learning rates, at
//! equal passes over the data and at equal time.
//!
//! The network is that of Martens, *Deep learning via Hessian-free optimization* (2010), with the
//! digits' 64 pixels: 64-400-200-100-50-25-6 and back, sigmoid units, a linear code, sparse initial
//! weights, cross-entropy.
//!
//! ```text
//! cargo run --release --example autoencoder
//! cargo run --release --example autoencoder -- --quick
//! ```

mod methods;
mod task;

use std::process::ExitCode;

use clap::Parser;
use methods::Report;
use task::{Task, TrainError};

/// Train a deep autoencoder of the digits by Hessian-free optimisation, Adam and Nesterov's momentum.
#[derive(Parser, Debug)]
struct Arguments {
    /// Iterations of the Hessian-free method; what they cost is the budget of the others [default:
    /// 60, with --quick 5]
    #[arg(long)]
    iterations: Option<u64>,
    /// Narrow layers and a tenth of the digits: to see that it runs.
    #[arg(long)]
    quick: bool,
    /// Seed of the initial weights.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Threads; 0 for all.
    #[arg(long, default_value_t = 0)]
    threads: usize,
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("autoencoder: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), TrainError> {
    let threads = arguments.threads;
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()?;
    let task = Task::digits(arguments.quick)?;
    let n_iters = arguments
        .iterations
        .unwrap_or(if arguments.quick { 5 } else { 60 });
    println!(
        "network {:?}, {} parameters, {} cases",
        task.sizes(),
        task.n_parameters(),
        task.n_cases()
    );
    let error = task.error()?;
    let start = task.start(arguments.seed);
    println!("error at the start {:.4}", error.at(&start)?);
    let reports = pool.install(|| -> Result<_, TrainError> {
        let (first, budget) = methods::hessian_free(&task, &error, &start, n_iters)?;
        let mut reports = vec![first];
        reports.extend(methods::first_order(&task, &error, &start, budget)?);
        Ok(reports)
    })?;
    print_table(&reports);
    Ok(())
}

fn print_table(reports: &[Report]) {
    println!(
        "{:<24}{:>16}{:>16}{:>10}{:>10}",
        "method, learning rate", "at equal passes", "at equal time", "passes", "seconds"
    );
    for report in reports {
        println!(
            "{:<24}{:>16.4}{:>16.4}{:>10.0}{:>10.1}",
            report.method, report.at_passes, report.at_time, report.passes, report.seconds
        );
    }
}
