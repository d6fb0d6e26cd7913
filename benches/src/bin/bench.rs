//! The benchmark: `cargo xtask bench` builds and runs it.

use std::process::ExitCode;

use benches::cli::Args;
use benches::error::BenchError;
use benches::heap::CountingAllocator;
use benches::{output, peers, profile, session, solvers};
use clap::Parser;

#[global_allocator]
static HEAP: CountingAllocator = CountingAllocator::new();

fn main() -> ExitCode {
    match run(&Args::parse()) {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error}");
            error.exit_code()
        }
    }
}

/// Measures, writes the files and returns what is to be printed.
fn run(args: &Args) -> Result<String, BenchError> {
    if let Some(request) = &args.request {
        return peers::answer(request, &HEAP);
    }
    if args.profile {
        return profile::run(args);
    }
    // A folder that cannot be written to should not be found out after the measurements.
    output::check_writable(&args.out)?;
    if args.peers {
        return peers::run(args);
    }
    if args.solvers {
        return solvers::run(args);
    }
    let mut session = session::run(args, &HEAP)?;
    output::finish(&mut session, &args.out)
}
