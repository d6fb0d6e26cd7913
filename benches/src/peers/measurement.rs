//! A result as every engine states it: a record, the mode, and digests of what came out.

use serde::{Deserialize, Serialize};

use crate::record::Record;

/// The suite's name in records.
pub const SUITE: &str = "peers";

/// A candidate, that is an operation in one of an engine's ways ("modes") to do it, and what it took.
///
/// Engines write these to standard output as a JSON list. Digests tell a wrong result: times of
/// results that differ compare nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measurement {
    /// What was measured and what it took.
    #[serde(flatten)]
    pub record: Record,
    /// The way in which it was done.
    pub mode: String,
    /// Seconds up to the end of the first call: recording and planning, or compilation, included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds_first: Option<f64>,
    /// What came out.
    #[serde(flatten)]
    pub digest: Digest,
    /// Why there are no times.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// Numbers that tell a wrong result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Digest {
    /// f(x), where the operation computes it.
    #[serde(
        rename = "digest_value",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub value: Option<f64>,
    /// The Euclidean norm of all entries.
    #[serde(
        rename = "digest_norm",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub norm: Option<f64>,
    /// The sum of products with the case's vector.
    #[serde(
        rename = "digest_dot",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    pub dot: Option<f64>,
}

impl Digest {
    /// The numbers with their names.
    #[must_use]
    pub fn numbers(&self) -> [(&'static str, Option<f64>); 3] {
        [
            ("value", self.value),
            ("norm", self.norm),
            ("product with v", self.dot),
        ]
    }

    /// Whether no number is infinite or none.
    #[must_use]
    pub fn is_finite(&self) -> bool {
        let numbers = self.numbers();
        numbers
            .iter()
            .all(|(_, number)| number.is_none_or(f64::is_finite))
    }
}

#[cfg(test)]
pub(super) mod samples {
    use super::*;
    use crate::record::Id;

    /// A result of an engine in a mode.
    pub(crate) fn measurement(engine: &str, mode: &str, seconds: f64) -> Measurement {
        Measurement {
            record: Record {
                id: Id {
                    suite: SUITE.into(),
                    case: "64-20-15-10/b256".into(),
                    engine: engine.into(),
                    op: "hvp".into(),
                    dtype: "f64".into(),
                    threads: 2,
                },
                n: Some(1775),
                seconds_min: Some(seconds),
                seconds_median: Some(2.0 * seconds),
                peak_bytes: None,
                allocations: None,
            },
            mode: mode.into(),
            seconds_first: Some(100.0 * seconds),
            digest: Digest {
                norm: Some(2.0),
                dot: Some(0.5),
                ..Digest::default()
            },
            error: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::samples::measurement;
    use super::*;

    #[test]
    fn a_measurement_is_flat_and_reads_back() {
        let expected = measurement("jax", "tree", 1e-3);
        let text = serde_json::to_string(&expected).unwrap();
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["engine"], "jax");
        assert_eq!(value["digest_norm"], 2.0);
        assert!(
            !text.contains("digest_value") && !text.contains("null"),
            "{text}"
        );
        assert_eq!(
            serde_json::from_str::<Measurement>(&text).unwrap(),
            expected
        );
    }

    #[test]
    fn a_failure_reads_as_one_without_times() {
        let text = r#"{"n": 5, "suite": "peers", "case": "c", "engine": "torch", "op": "hvp",
            "dtype": "f32", "threads": 1, "mode": "eager", "error": "no"}"#;
        let found: Measurement = serde_json::from_str(text).unwrap();
        assert_eq!(found.error.as_deref(), Some("no"));
        assert_eq!(found.record.seconds_min, None);
        assert_eq!(found.digest, Digest::default());
    }
}
