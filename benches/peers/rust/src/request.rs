//! What is asked for, and the data.

use std::fs;
use std::path::PathBuf;

use serde::Deserialize;

use crate::Failure;

/// A request.
#[derive(Debug, Deserialize)]
pub struct Request {
    pub engine: String,
    pub threads: usize,
    pub pace: Pace,
    pub cases: Vec<Case>,
}

/// How long to measure.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Pace {
    pub op_seconds: f64,
    pub sample_seconds: f64,
    pub min_samples: usize,
    pub max_samples: usize,
}

/// A problem in one number type and what to do with it.
#[derive(Debug, Deserialize)]
pub struct Case {
    pub name: String,
    pub dtype: String,
    pub ops: Vec<String>,
    pub folder: PathBuf,
    pub sizes: Vec<usize>,
    pub batch: usize,
}

impl Case {
    /// One of the case's arrays, which hold little-endian f64.
    pub fn array(&self, name: &str) -> Result<Vec<f64>, Failure> {
        let bytes = fs::read(self.folder.join(format!("{name}.bin")))?;
        let (numbers, _) = bytes.as_chunks::<8>();
        Ok(numbers.iter().map(|n| f64::from_le_bytes(*n)).collect())
    }
}
