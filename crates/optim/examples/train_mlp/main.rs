//! Trains a small network on the handwritten digits, with one optimiser or with all of them.
//!
//! ```text
//! cargo run --release --example train_mlp -- --optimizer adam
//! cargo run --release --example train_mlp -- --optimizer all
//! ```

mod methods;
mod task;

use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use methods::{Method, Report};
use task::{Task, TrainError};

/// Train a multilayer perceptron on the digits and print training loss and test accuracy.
#[derive(Parser, Debug)]
struct Arguments {
    /// Which optimiser; `all` compares them in a table.
    #[arg(long, value_enum, default_value_t = Choice::Adam)]
    optimizer: Choice,
    /// Sizes of the hidden layers.
    #[arg(long, value_delimiter = ',', default_value = "20,15")]
    hidden: Vec<usize>,
    /// Epochs (sgd, adam, rmsprop) or iterations (the others); each has its own default.
    #[arg(long)]
    iterations: Option<u64>,
    /// Seed of the split, the initial weights and the order of the batches.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Threads; 0 for all. The results are the same bits for any number.
    #[arg(long, default_value_t = 0)]
    threads: usize,
}

#[derive(ValueEnum, Clone, Copy, Debug, PartialEq)]
enum Choice {
    Sgd,
    Adam,
    Rmsprop,
    Lbfgs,
    Newton,
    HessianFree,
    All,
}

impl Choice {
    fn methods(self) -> Vec<Method> {
        match self {
            Self::Sgd => vec![Method::Sgd],
            Self::Adam => vec![Method::Adam],
            Self::Rmsprop => vec![Method::RmsProp],
            Self::Lbfgs => vec![Method::Lbfgs],
            Self::Newton => vec![Method::Newton],
            Self::HessianFree => vec![Method::HessianFree],
            Self::All => Method::ALL.to_vec(),
        }
    }
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("train_mlp: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &Arguments) -> Result<(), TrainError> {
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(arguments.threads)
        .build()?;
    let task = Task::digits(&arguments.hidden, arguments.seed)?;
    println!(
        "network {:?}, {} parameters; {} cases to train on, {} to test on",
        task.net.sizes(),
        task.net.n_parameters(),
        task.n_train(),
        task.n_test()
    );
    let mut reports = Vec::new();
    for method in arguments.optimizer.methods() {
        let report = pool.install(|| methods::train(&task, method, arguments.iterations))?;
        if arguments.optimizer != Choice::All {
            println!("{}: {}", method.name(), report.ending);
        }
        reports.push(report);
    }
    print_table(&reports);
    Ok(())
}

fn print_table(reports: &[Report]) {
    println!(
        "{:<14}{:>8}{:>10}{:>14}{:>14}{:>10}  parameters",
        "optimizer", "steps", "products", "train loss", "test accuracy", "seconds"
    );
    for report in reports {
        println!(
            "{:<14}{:>8}{:>10}{:>14.6}{:>13.2}%{:>10.2}  {:016x}",
            report.method.name(),
            report.steps,
            report.products,
            report.loss,
            100.0 * report.accuracy,
            report.seconds,
            report.digest
        );
    }
}
