//! What can go wrong in a run of the benchmark.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Why a run ended early.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// The command line asks for something that cannot be.
    #[error("{0}")]
    Usage(String),
    /// A file or folder could not be written.
    #[error("cannot write {path}: {source}", path = path.display())]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file could not be read.
    #[error("cannot read {path}: {source}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Engines do not agree on results.
    #[error("results disagree:\n{0}")]
    Disagreement(String),
    /// A computation failed.
    #[error("{measuring}: {message}")]
    Failed {
        /// What was measured.
        measuring: String,
        /// What failed.
        message: String,
    },
    /// A chart could not be drawn.
    #[error("the chart {name} could not be drawn: {message}")]
    Chart {
        /// The chart's file name.
        name: String,
        /// What failed.
        message: String,
    },
    /// Threads could not be started.
    #[error("{threads} threads could not be started: {source}")]
    Threads {
        /// How many.
        threads: usize,
        /// What failed.
        source: rayon::ThreadPoolBuildError,
    },
}

impl BenchError {
    /// A file that could not be read.
    #[must_use]
    pub fn read(path: &Path, source: std::io::Error) -> Self {
        Self::Read {
            path: path.into(),
            source,
        }
    }

    /// A failed computation.
    pub fn failed(measuring: &impl ToString, error: &impl ToString) -> Self {
        Self::Failed {
            measuring: measuring.to_string(),
            message: error.to_string(),
        }
    }

    /// The process's exit code: 2 for a command line that makes no sense, 1 for everything else.
    #[must_use]
    pub fn exit_code(&self) -> ExitCode {
        match self {
            Self::Usage(_) => ExitCode::from(2),
            _ => ExitCode::FAILURE,
        }
    }
}
