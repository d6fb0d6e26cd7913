//! The other engines: processes that are called with the path of a request.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::Path;

use serde::Serialize;

use super::task::TaskRequest;
use super::{GRADIENT_NORM, MAX_ITERS, REPEATS, Run};
use crate::output::write_json;
use crate::peers::engine::{self, Versions};
use crate::peers::rounds::run_process;

/// Where methods of others come from.
#[derive(Clone, Copy, Debug)]
enum Source {
    /// A script, and the engines whose packages it needs.
    Script(&'static str, &'static [&'static str]),
    /// A binary of the package of Rust engines.
    Crate,
}

/// All engines.
const ENGINES: [(&str, Source); 3] = [
    (
        "scipy",
        Source::Script("solvers_peer.py", &["jax", "scipy"]),
    ),
    ("argmin", Source::Crate),
    ("basin", Source::Crate),
];

/// A request: the argument of every engine's program is the path of one, as JSON.
#[derive(Debug, Serialize)]
struct Request<'a> {
    gradient_norm: f64,
    max_iters: u64,
    repeats: usize,
    tasks: &'a [TaskRequest],
}

/// What came of the engines.
#[derive(Debug, Default)]
pub(super) struct Others {
    pub(super) runs: Vec<Run>,
    /// Engines that could not be had or broke off, and why.
    pub(super) absent: BTreeMap<String, String>,
    pub(super) versions: Versions,
}

impl Others {
    /// Runs all engines, one after the other.
    pub(super) fn run(tasks: &[TaskRequest], target: &Path, folder: &Path) -> Self {
        let mut found = Self::default();
        let request = Request {
            gradient_norm: GRADIENT_NORM,
            max_iters: MAX_ITERS,
            repeats: REPEATS,
            tasks,
        };
        let path = folder.join("request.json");
        if let Err(error) = write_json(&path, &request) {
            let reason = error.to_string();
            found.absent = ENGINES
                .map(|(name, _)| (name.into(), reason.clone()))
                .into();
            return found;
        }
        for (name, source) in ENGINES {
            match found.one(name, source, &path, target, folder) {
                Ok(runs) => found.runs.extend(runs),
                Err(reason) => {
                    found.absent.insert(name.into(), reason);
                }
            }
        }
        found
    }

    fn one(
        &mut self,
        name: &str,
        source: Source,
        request: &Path,
        target: &Path,
        folder: &Path,
    ) -> Result<Vec<Run>, String> {
        let command: Vec<OsString> = match source {
            Source::Script(script, needs) => {
                let (command, versions) = engine::script(script, needs, target)?;
                self.versions.extend(versions);
                command
            }
            Source::Crate => {
                let command = engine::build(name, target)?;
                self.versions.extend(engine::locked(name));
                command
            }
        };
        // One folder each, for what they print.
        let folder = folder.join(name);
        fs::create_dir_all(&folder).map_err(|error| error.to_string())?;
        run_process(&command, request, &folder)
    }
}
