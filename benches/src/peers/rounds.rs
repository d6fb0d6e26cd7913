//! Engine after engine, each in a process of its own, round after round.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::engine::{Engine, last_line};
use super::measurement::Measurement;
use super::request::{Kind, Pace, PeerCase, Request};
use crate::cli::Filter;
use crate::error::BenchError;
use crate::output::write_json;
use crate::progress::Progress;

/// A process that takes longer hangs.
const PROCESS_SECONDS: u64 = 3600;

/// How often a process is looked at; far between, so that it is not disturbed.
const LOOK_SECONDS: f64 = 0.05;

/// What all rounds measure.
#[derive(Debug)]
pub struct Plan<'a> {
    /// Engines that can be had, with the commands that start them.
    pub engines: &'a [(Engine, Vec<OsString>)],
    /// Problems with all of their operations.
    pub cases: &'a [PeerCase],
    /// Numbers of threads.
    pub threads: &'a [usize],
    /// Which operations.
    pub filter: &'a Filter,
    /// How often each engine runs.
    pub rounds: usize,
    /// How long each measures.
    pub pace: Pace,
    /// Where requests and what processes say are kept while they run.
    pub folder: &'a Path,
}

/// What the rounds found.
#[derive(Debug, Default)]
pub struct Found {
    /// Results, with the round of each.
    pub measured: Vec<(usize, Measurement)>,
    /// What failed.
    pub failures: Vec<Failure>,
}

/// An engine, or one of its modes, that failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// The engine.
    pub engine: String,
    /// What it was to do.
    pub what: String,
    /// Why it did not.
    pub error: String,
}

impl Plan<'_> {
    /// Cases of one name, which all engines measure one after the other before the next name
    /// comes: so that what is compared was measured within a short time.
    fn groups(&self, threads: usize) -> Vec<Vec<PeerCase>> {
        // No engine has work for threads in a function of scalars.
        let serial = self.threads.iter().min();
        let chosen: Vec<_> = self
            .cases
            .iter()
            .filter(|case| case.kind != Kind::Rosenbrock || Some(&threads) == serial)
            .map(|case| self.chosen(case, threads))
            .collect();
        let same = |a: &PeerCase, b: &PeerCase| a.name == b.name && a.kind == b.kind;
        let groups = chosen.chunk_by(same);
        let with_ops = groups.map(|group| group.iter().filter(|case| !case.ops.is_empty()));
        with_ops
            .map(|group| group.cloned().collect())
            .filter(|group: &Vec<_>| !group.is_empty())
            .collect()
    }

    /// A case with the operations that the filter admits.
    fn chosen(&self, case: &PeerCase, threads: usize) -> PeerCase {
        let mut case = case.clone();
        let PeerCase { name, dtype, .. } = &case;
        let admits = |op: &String| {
            let text = format!("{name} {op} {dtype} t{threads}");
            self.filter.admits(&text)
        };
        case.ops = case.ops.iter().filter(|op| admits(op)).cloned().collect();
        case
    }

    /// Whether the filter admits anything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let mut threads = self.threads.iter();
        threads.all(|&threads| self.groups(threads).is_empty())
    }

    /// Runs all rounds.
    ///
    /// # Errors
    /// [`BenchError::Write`]; what engines do wrong is found, not an error.
    pub fn run(&self) -> Result<Found, BenchError> {
        let mut found = Found::default();
        let groups: Vec<_> = self.threads.iter().map(|&t| (t, self.groups(t))).collect();
        let steps: usize = groups.iter().map(|(_, groups)| groups.len()).sum();
        let progress = Progress::new((steps * self.rounds * self.engines.len()) as u64);
        for turn in 0..self.rounds {
            for (threads, groups) in &groups {
                for group in groups {
                    // Who comes first changes: a machine that warms up favours nobody.
                    let first = turn % self.engines.len().max(1);
                    let (before, from) = self.engines.split_at(first);
                    for engine in from.iter().chain(before) {
                        progress.say(&format!("{} {} t{threads}", group[0].name, engine.0.name));
                        self.measure(engine, group, *threads, turn, &mut found)?;
                        progress.advance(1);
                    }
                }
            }
        }
        progress.finish();
        Ok(found)
    }

    fn measure(
        &self,
        (engine, command): &(Engine, Vec<OsString>),
        group: &[PeerCase],
        threads: usize,
        turn: usize,
        found: &mut Found,
    ) -> Result<(), BenchError> {
        let cases: Vec<_> = group.iter().filter(|case| engine.knows(case)).collect();
        if cases.is_empty() {
            return Ok(());
        }
        let request = Request {
            engine: engine.name.into(),
            threads,
            turn,
            pace: self.pace,
            cases: cases.into_iter().cloned().collect(),
        };
        let what = format!("{} t{threads}", request.cases[0].name);
        let path = self.folder.join("request.json");
        write_json(&path, &request)?;
        match run_process(command, &path, self.folder) {
            Ok(measured) => found.add(engine.name, turn, measured),
            Err(error) => found.fail(Failure {
                engine: engine.name.into(),
                what,
                error,
            }),
        }
        Ok(())
    }
}

impl Found {
    fn add(&mut self, engine: &str, turn: usize, measured: Vec<Measurement>) {
        for mut measurement in measured {
            let Some(error) = measurement.error.take() else {
                self.measured.push((turn, measurement));
                continue;
            };
            let id = &measurement.record.id;
            self.fail(Failure {
                engine: engine.into(),
                what: format!(
                    "{} {} {} t{} ({})",
                    id.case, id.op, id.dtype, id.threads, measurement.mode
                ),
                error,
            });
        }
    }

    /// Keeps a failure once, however many rounds have it.
    fn fail(&mut self, failure: Failure) {
        if !self.failures.contains(&failure) {
            self.failures.push(failure);
        }
    }
}

/// The results of a process, or what went wrong with it.
pub(crate) fn run_process<R: DeserializeOwned>(
    command: &[OsString],
    request: &Path,
    folder: &Path,
) -> Result<R, String> {
    let (program, arguments) = command.split_first().ok_or("no command")?;
    // Files rather than pipes: nobody has to read while the process measures.
    let (stdout, out) = capture(folder, "stdout")?;
    let (stderr, err) = capture(folder, "stderr")?;
    let child = Command::new(program)
        .args(arguments)
        .arg(request)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("JAX_PLATFORMS", "cpu")
        .stdin(Stdio::null())
        .stdout(out)
        .stderr(err)
        .spawn();
    let mut child = child.map_err(|error| format!("cannot be started: {error}"))?;
    let limit = Duration::from_secs(PROCESS_SECONDS);
    let ended =
        wait(&mut child, limit).map_err(|error| format!("cannot be waited for: {error}"))?;
    let Some(status) = ended else {
        return Err(format!("took more than {PROCESS_SECONDS} seconds"));
    };
    let text = |path: &PathBuf| fs::read(path).map_err(|error| error.to_string());
    if !status.success() {
        return Err(format!(
            "ended with {status}: {}",
            last_line(&text(&stderr)?)
        ));
    }
    serde_json::from_slice(&text(&stdout)?)
        .map_err(|error| format!("what it wrote are no results: {error}"))
}

fn capture(folder: &Path, name: &str) -> Result<(PathBuf, File), String> {
    let path = folder.join(name);
    let file = File::create(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    Ok((path, file))
}

/// Waits for a process to end; ends it after `limit`, which gives `None`.
fn wait(child: &mut Child, limit: Duration) -> io::Result<Option<std::process::ExitStatus>> {
    let start = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if start.elapsed() >= limit {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(Duration::from_secs_f64(LOOK_SECONDS));
    }
}

#[cfg(test)]
mod tests {
    use super::super::measurement::samples::measurement;
    use super::*;

    fn case(name: &str, dtype: &str) -> PeerCase {
        PeerCase {
            name: name.into(),
            kind: Kind::Network,
            dtype: dtype.into(),
            ops: vec!["value".into(), "hvp".into()],
            folder: PathBuf::new(),
            sizes: vec![2, 1],
            batch: 1,
        }
    }

    #[test]
    fn groups_hold_the_operations_that_the_filter_admits() {
        let cases = [case("a", "f64"), case("a", "f32"), case("b", "f64")];
        let filter: Filter = "hvp f64 t2".parse().unwrap();
        let pace = Pace {
            op_seconds: 0.0,
            sample_seconds: 0.0,
            min_samples: 1,
            max_samples: 1,
        };
        let plan = Plan {
            engines: &[],
            cases: &cases,
            threads: &[1, 2],
            filter: &filter,
            rounds: 1,
            pace,
            folder: Path::new("."),
        };
        assert!(plan.groups(1).is_empty() && !plan.is_empty());
        let names: Vec<Vec<_>> = plan
            .groups(2)
            .iter()
            .map(|group| {
                group
                    .iter()
                    .map(|c| (c.name.clone(), c.ops.clone()))
                    .collect()
            })
            .collect();
        let hvp = || vec!["hvp".to_string()];
        assert_eq!(
            names,
            [[("a".to_string(), hvp())], [("b".to_string(), hvp())]]
        );
    }

    #[test]
    fn a_failed_mode_is_listed_once_and_hides_no_other() {
        let mut found = Found::default();
        let failed = Measurement {
            error: Some("no".into()),
            ..measurement("jax", "flat", 1.0)
        };
        for turn in 0..2 {
            found.add(
                "jax",
                turn,
                vec![failed.clone(), measurement("jax", "tree", 1.0)],
            );
        }
        assert_eq!((found.failures.len(), found.measured.len()), (1, 2));
        assert_eq!(found.failures[0].what, "64-20-15-10/b256 hvp f64 t2 (flat)");
    }

    #[test]
    fn a_program_that_is_not_there_is_a_reason_and_no_crash() {
        let folder = std::env::temp_dir().join(format!("bench-rounds-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let command = ["/no/such/program".into()];
        let run = run_process::<Vec<Measurement>>;
        let reason = run(&command, Path::new("request.json"), &folder).unwrap_err();
        assert!(reason.contains("cannot be started"), "{reason}");
        fs::remove_dir_all(&folder).unwrap();
    }
}
