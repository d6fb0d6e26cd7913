//! The engines: what each is measured on and how its process is started.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;

use super::request::{Kind, PeerCase};
use crate::record::AD_CORE;

/// The name of the engine that only multiplies matrices.
pub const PRODUCTS: &str = "products";

/// An engine.
#[derive(Clone, Copy, Debug)]
pub struct Engine {
    /// Its name in records.
    pub name: &'static str,
    /// Which cases it knows.
    pub kinds: &'static [Kind],
    /// How it is started.
    pub program: Program,
}

/// How an engine is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Program {
    /// By this very program.
    Own,
    /// By Python, in a virtual environment made from pinned packages.
    Python,
    /// As a binary of the Rust package beside the scripts.
    Cargo,
}

const NETWORKS: &[Kind] = &[Kind::Network, Kind::Adam];

/// All engines, this project first.
pub const ENGINES: &[Engine] = &[
    engine(
        AD_CORE,
        &[Kind::Network, Kind::Adam, Kind::Rosenbrock],
        Program::Own,
    ),
    engine(PRODUCTS, NETWORKS, Program::Own),
    engine("jax", NETWORKS, Program::Python),
    engine("torch", NETWORKS, Program::Python),
    engine("casadi", &[Kind::Rosenbrock], Program::Python),
    engine("scipy", &[Kind::Network, Kind::Rosenbrock], Program::Python),
    engine("echidna", &[Kind::Rosenbrock], Program::Cargo),
    engine("num-dual", &[Kind::Rosenbrock], Program::Cargo),
    engine("autograd", &[Kind::Network], Program::Cargo),
];

const fn engine(name: &'static str, kinds: &'static [Kind], program: Program) -> Engine {
    Engine {
        name,
        kinds,
        program,
    }
}

impl Engine {
    /// Whether it is measured on a case.
    #[must_use]
    pub fn knows(&self, case: &PeerCase) -> bool {
        self.kinds.contains(&case.kind)
    }
}

/// Of each engine the names and versions of its packages.
pub type Versions = BTreeMap<String, BTreeMap<String, String>>;

/// Engines that can be had, each with the command that a request's path completes, and of the
/// others the reasons.
#[derive(Debug, Default)]
pub struct Available {
    /// Commands.
    pub ready: Vec<(Engine, Vec<OsString>)>,
    /// Reasons.
    pub absent: BTreeMap<String, String>,
    /// Versions of each engine's packages.
    pub versions: Versions,
}

impl Available {
    /// Makes or builds what the engines need under `target`; says what cannot be had.
    #[must_use]
    pub fn prepare(engines: &[Engine], target: &Path) -> Self {
        let mut found = Self::default();
        let python: Vec<_> = of(engines, Program::Python)
            .iter()
            .map(|engine| engine.name)
            .collect();
        let environment = Environment::make(&python, target);
        for &engine in engines {
            let command = match (engine.program, &environment) {
                (Program::Own, _) => own(),
                (Program::Cargo, _) => build(engine.name, target),
                (Program::Python, Ok(environment)) => environment.command(engine.name),
                (Program::Python, Err(reason)) => Err(reason.clone()),
            };
            match command {
                Ok(command) => found.ready.push((engine, command)),
                Err(reason) => {
                    found.absent.insert(engine.name.into(), reason);
                }
            }
        }
        if let Ok(environment) = environment {
            found.versions.extend(environment.versions);
        }
        for engine in of(engines, Program::Cargo) {
            found.versions.extend(locked(engine.name));
        }
        found
    }
}

fn of(engines: &[Engine], program: Program) -> Vec<Engine> {
    let same = |engine: &&Engine| engine.program == program;
    engines.iter().filter(same).copied().collect()
}

/// The folder of the scripts and of the Rust package.
fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("peers")
}

fn own() -> Result<Vec<OsString>, String> {
    let program = std::env::current_exe()
        .map_err(|error| format!("this program cannot be found again: {error}"))?;
    Ok(vec![program.into(), "--request".into()])
}

/// What `environment.py` says of the virtual environment.
#[derive(Debug, Deserialize)]
struct Environment {
    python: PathBuf,
    absent: BTreeMap<String, String>,
    versions: Versions,
}

impl Environment {
    fn make(engines: &[&str], target: &Path) -> Result<Self, String> {
        if engines.is_empty() {
            return Err("no engine in Python is asked for".into());
        }
        let mut command = Command::new("python3");
        // The sources' folder stays free of compiled files.
        command.env("PYTHONDONTWRITEBYTECODE", "1");
        command.arg(sources().join("environment.py"));
        command.arg(target.join("peers-venv"));
        command.args(engines);
        let output = command.stderr(std::process::Stdio::piped()).output();
        let output = output.map_err(|error| format!("python3 cannot be started: {error}"))?;
        if !output.status.success() {
            let reason = last_line(&output.stderr);
            return Err(format!("the virtual environment cannot be made: {reason}"));
        }
        serde_json::from_slice(&output.stdout)
            .map_err(|error| format!("environment.py does not say what it made: {error}"))
    }

    fn command(&self, engine: &str) -> Result<Vec<OsString>, String> {
        if let Some(reason) = self.absent.get(engine) {
            return Err(reason.clone());
        }
        let script = sources().join(format!("{engine}_peer.py"));
        Ok(vec![self.python.clone().into(), script.into()])
    }
}

/// The command of a script that needs the packages of several engines, and their versions.
pub(crate) fn script(
    name: &str,
    needs: &[&str],
    target: &Path,
) -> Result<(Vec<OsString>, Versions), String> {
    let environment = Environment::make(needs, target)?;
    let missing = needs.iter().find_map(|&need| environment.absent.get(need));
    if let Some(reason) = missing {
        return Err(reason.clone());
    }
    let script = sources().join(name);
    let command = vec![environment.python.into(), script.into()];
    Ok((command, environment.versions))
}

/// The version of a Rust engine.
pub(crate) fn locked(engine: &str) -> Versions {
    let version = locked_version(engine).map(|version| {
        let version = BTreeMap::from([(engine.to_string(), version)]);
        (engine.to_string(), version)
    });
    version.into_iter().collect()
}

/// Builds a binary of the package of Rust engines.
pub(crate) fn build(engine: &str, target: &Path) -> Result<Vec<OsString>, String> {
    let target = target.join("peers-rust");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--release", "--locked", "--quiet"]);
    command.args(["--bin", engine, "--features", engine]);
    command
        .arg("--manifest-path")
        .arg(sources().join("rust/Cargo.toml"));
    command.arg("--target-dir").arg(&target);
    let output = command
        .output()
        .map_err(|error| format!("cargo cannot be started: {error}"))?;
    if !output.status.success() {
        return Err(format!("cannot be built: {}", first_error(&output.stderr)));
    }
    let program = format!("{engine}{}", std::env::consts::EXE_SUFFIX);
    Ok(vec![target.join("release").join(program).into()])
}

/// The version of a package in the Rust engines' lock file.
fn locked_version(package: &str) -> Option<String> {
    let lock = std::fs::read_to_string(sources().join("rust/Cargo.lock")).ok()?;
    version_in_lock(&lock, package)
}

fn version_in_lock(lock: &str, package: &str) -> Option<String> {
    let name = format!("name = \"{package}\"");
    let mut lines = lock.lines().skip_while(|line| **line != name);
    let version = lines.nth(1)?.strip_prefix("version = ")?;
    Some(version.trim_matches('"').into())
}

/// Of a program's messages the last, which is where most say what went wrong.
pub(super) fn last_line(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let line = text.lines().rfind(|line| !line.trim().is_empty());
    short(line.unwrap_or("no message"))
}

/// Of a compiler's messages the first error.
fn first_error(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let line = text.lines().find(|line| line.starts_with("error"));
    line.map_or_else(|| last_line(text.as_bytes()), short)
}

fn short(line: &str) -> String {
    line.trim().chars().take(300).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_the_lines_that_say_what_went_wrong() {
        let python = b"Traceback:\n  File x\nImportError: no libgomp\n\n";
        assert_eq!(last_line(python), "ImportError: no libgomp");
        assert_eq!(last_line(b""), "no message");
        let rustc = b"warning: unused\nerror[E0433]: failed to resolve\n  --> src\nmore";
        assert_eq!(first_error(rustc), "error[E0433]: failed to resolve");
    }

    #[test]
    fn versions_come_from_the_lock_file() {
        let lock = "[[package]]\nname = \"echidna\"\nversion = \"0.15.0\"\n";
        assert_eq!(version_in_lock(lock, "echidna").as_deref(), Some("0.15.0"));
        assert_eq!(version_in_lock(lock, "autograd"), None);
    }

    #[test]
    fn this_project_is_the_first_engine_and_names_are_unique() {
        assert_eq!(ENGINES[0].name, AD_CORE);
        let mut names: Vec<_> = ENGINES.iter().map(|engine| engine.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ENGINES.len());
    }
}
