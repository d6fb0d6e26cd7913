//! The project's own commands: `cargo xtask bench`.
//!
//! This crate depends on next to nothing, so that it builds in a moment; a command that needs the
//! project's crates runs a binary of another package.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use clap::{Args, Parser, Subcommand};

/// The project's own commands.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", version)]
struct Cli {
    #[command(subcommand)]
    command: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Measure full Hessians against Hessian-vector products, in time and memory.
    Bench(BenchArgs),
}

/// What `bench` passes on; the benchmark itself checks the values.
#[derive(Debug, Args)]
struct BenchArgs {
    /// Only small networks and short measurements: done within a minute.
    #[arg(long)]
    quick: bool,
    /// Only measurements whose name holds each of these words, such as "64-20-15-10/b256 hvp f64".
    #[arg(long, value_name = "TEXT")]
    filter: Option<OsString>,
    /// Numbers of threads, such as `1,all`.
    #[arg(long, value_name = "LIST")]
    threads: Option<OsString>,
    /// The most memory that dense matrices may take, such as `1GiB`.
    #[arg(long, value_name = "BYTES")]
    budget: Option<OsString>,
    /// Where the report and the charts go [default: target/bench]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Measure other engines beside this project instead: JAX, PyTorch, CasADi, scipy, Rust crates.
    /// The first time makes a virtual environment of several gigabytes under `target/`.
    #[arg(long)]
    peers: bool,
    /// With --peers, only these engines, such as `ad-core,jax`.
    #[arg(long, value_name = "LIST")]
    engines: Option<OsString>,
    /// With --peers, how often each engine runs [default: 3, with --quick 1]
    #[arg(long, value_name = "N")]
    rounds: Option<OsString>,
    /// List the kernel calls of operations on networks with their times instead; --filter chooses
    /// them, such as "64-20-15-10/b256 hvp_linearized f64".
    #[arg(long, conflicts_with = "peers")]
    profile: bool,
    /// Minimise test problems and small classifiers by every method instead, and by those of scipy,
    /// argmin and basin.
    #[arg(long, conflicts_with_all = ["peers", "profile"])]
    solvers: bool,
}

impl BenchArgs {
    /// The arguments of the benchmark.
    fn forward(&self) -> Vec<OsString> {
        let mut forwarded = Vec::new();
        if self.quick {
            forwarded.push("--quick".into());
        }
        if self.peers {
            forwarded.push("--peers".into());
        }
        if self.profile {
            forwarded.push("--profile".into());
        }
        if self.solvers {
            forwarded.push("--solvers".into());
        }
        let out = self.out.clone().map(PathBuf::into_os_string);
        let options = [
            ("--filter", &self.filter),
            ("--threads", &self.threads),
            ("--budget", &self.budget),
            ("--out", &out),
            ("--engines", &self.engines),
            ("--rounds", &self.rounds),
        ];
        for (flag, value) in options {
            if let Some(value) = value {
                // One argument, so that a value may begin with a dash.
                let mut argument = OsString::from(flag);
                argument.push("=");
                argument.push(value);
                forwarded.push(argument);
            }
        }
        forwarded
    }
}

fn main() -> ExitCode {
    match Cli::parse().command {
        Task::Bench(args) => bench(&args),
    }
}

fn bench(args: &BenchArgs) -> ExitCode {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args([
        "run",
        "--release",
        "--package",
        "benches",
        "--bin",
        "bench",
        "--manifest-path",
    ]);
    command.arg(workspace_root().join("Cargo.toml"));
    command.arg("--").args(args.forward());
    match command.status() {
        // Killed by a signal: no code of its own.
        Ok(status) => status
            .code()
            .and_then(|code| u8::try_from(code).ok())
            .map_or(ExitCode::FAILURE, ExitCode::from),
        Err(error) => {
            eprintln!("error: cargo could not be started: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The folder above this package.
fn workspace_root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;
    use clap::error::ErrorKind;

    fn forwarded(line: &[&str]) -> Vec<OsString> {
        let words = ["cargo xtask", "bench"].iter().chain(line);
        let Task::Bench(args) = Cli::try_parse_from(words).unwrap().command;
        args.forward()
    }

    #[test]
    fn the_description_of_the_flags_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn flags_reach_the_benchmark_unchanged() {
        assert!(forwarded(&[]).is_empty());
        let all = forwarded(&[
            "--quick",
            "--filter",
            "64-1-10 f64",
            "--threads=1,all",
            "--budget",
            "2GiB",
            "--out",
            "x",
            "--peers",
            "--engines=jax",
            "--rounds=2",
        ]);
        let expected = [
            "--quick",
            "--peers",
            "--filter=64-1-10 f64",
            "--threads=1,all",
            "--budget=2GiB",
            "--out=x",
            "--engines=jax",
            "--rounds=2",
        ];
        assert_eq!(all, expected);
    }

    #[test]
    fn a_profile_is_asked_for_by_its_flag() {
        assert_eq!(forwarded(&["--profile"]), ["--profile"]);
        assert_eq!(
            forwarded(&["--solvers", "--quick"]),
            ["--quick", "--solvers"]
        );
    }

    #[test]
    fn unknown_flags_are_refused_with_code_2() {
        for words in [
            &["cargo xtask", "bench", "--fast"][..],
            &["cargo xtask", "gallop"],
        ] {
            let error = Cli::try_parse_from(words).unwrap_err();
            assert_eq!(error.exit_code(), 2);
            assert!(matches!(
                error.kind(),
                ErrorKind::UnknownArgument | ErrorKind::InvalidSubcommand
            ));
        }
    }
}
