//! What an engine's process is asked to measure, and the data that it reads.

use std::path::{Path, PathBuf};

use ad_core::Real;
use serde::{Deserialize, Serialize};

use crate::error::BenchError;
use crate::output;
use crate::timing;

/// A request: the argument of every engine's program is the path of one, as JSON.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// Which of its engines a program is to be.
    pub engine: String,
    /// The number of threads.
    pub threads: usize,
    /// Which round this is.
    pub turn: usize,
    /// How long to measure.
    pub pace: Pace,
    /// What to measure.
    pub cases: Vec<PeerCase>,
}

/// How long to measure; see [`timing::Pace`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pace {
    /// Seconds to spend on an operation, if it is that fast.
    pub op_seconds: f64,
    /// Seconds that one sample takes at least.
    pub sample_seconds: f64,
    /// Samples of an operation that is not slow.
    pub min_samples: usize,
    /// Samples at most.
    pub max_samples: usize,
}

impl From<Pace> for timing::Pace {
    fn from(pace: Pace) -> Self {
        Self {
            op_seconds: pace.op_seconds,
            sample_seconds: pace.sample_seconds,
            min_samples: pace.min_samples,
            max_samples: pace.max_samples,
            deadline: None,
        }
    }
}

/// What kind of problem a case is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A perceptron's mean softmax cross-entropy over a batch.
    Network,
    /// An epoch of training a perceptron, batch by batch in order.
    Adam,
    /// Σᵢ 100 (xᵢ₊₁ − xᵢ²)² + (1 − xᵢ)², a scalar at a time.
    Rosenbrock,
}

/// A problem in one number type and what to do with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PeerCase {
    /// `<layer sizes>/b<batch>` or `rosenbrock/n<n>`.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// `f32` or `f64`.
    pub dtype: String,
    /// Names of operations.
    pub ops: Vec<String>,
    /// Where its arrays are: `x.bin`, `v.bin` and, of networks, `inputs.bin` and `targets.bin`.
    pub folder: PathBuf,
    /// Of networks: inputs, hidden layers, outputs.
    pub sizes: Vec<usize>,
    /// Of networks: rows in a loss.
    pub batch: usize,
}

impl PeerCase {
    /// One of the case's arrays, rounded to its number type.
    ///
    /// # Errors
    /// [`BenchError::Read`].
    pub fn array<T: Real>(&self, name: &str) -> Result<Vec<T>, BenchError> {
        let path = self.folder.join(format!("{name}.bin"));
        let bytes = std::fs::read(&path).map_err(|source| BenchError::read(&path, source))?;
        let (numbers, _) = bytes.as_chunks::<8>();
        Ok(numbers
            .iter()
            .map(|bytes| T::of(f64::from_le_bytes(*bytes)))
            .collect())
    }

    /// Whether an operation is asked for.
    #[must_use]
    pub fn has_op(&self, op: &str) -> bool {
        self.ops.iter().any(|other| other == op)
    }
}

/// Writes an array as little-endian f64.
///
/// # Errors
/// [`BenchError::Write`].
pub fn write_array<'a>(
    folder: &Path,
    name: &str,
    values: impl IntoIterator<Item = &'a f64>,
) -> Result<(), BenchError> {
    let bytes: Vec<u8> = values
        .into_iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    output::write(&folder.join(format!("{name}.bin")), &bytes)
}

impl Request {
    /// Reads a request.
    ///
    /// # Errors
    /// [`BenchError::Read`] for a file that cannot be read or holds no request.
    pub fn read(path: &Path) -> Result<Self, BenchError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| BenchError::read(path, source))?;
        serde_json::from_str(&text).map_err(|error| BenchError::read(path, error.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_and_its_arrays_read_back_as_they_were_written() {
        let folder = std::env::temp_dir().join(format!("bench-request-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let case = PeerCase {
            name: "64-10/b3".into(),
            kind: Kind::Network,
            dtype: "f32".into(),
            ops: vec!["value".into(), "hvp".into()],
            folder: folder.clone(),
            sizes: vec![64, 10],
            batch: 3,
        };
        let pace = Pace {
            op_seconds: 0.3,
            sample_seconds: 0.001,
            min_samples: 5,
            max_samples: 200,
        };
        let request = Request {
            engine: "jax".into(),
            threads: 2,
            turn: 1,
            pace,
            cases: vec![case.clone()],
        };
        let path = folder.join("request.json");
        output::write_json(&path, &request).unwrap();
        assert_eq!(Request::read(&path).unwrap(), request);
        assert!(case.has_op("hvp") && !case.has_op("ggnvp"));
        let values = [0.1, -2.5e-300, f64::MAX];
        write_array(&folder, "x", &values).unwrap();
        assert_eq!(case.array::<f64>("x").unwrap(), values);
        assert_eq!(case.array::<f32>("x").unwrap()[..2], [0.1, 0.0]);
        let missing = case.array::<f64>("v").unwrap_err().to_string();
        assert!(missing.contains("v.bin"), "{missing}");
        output::write(&path, b"{}").unwrap();
        assert!(Request::read(&path).is_err());
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
