//! One result, of any engine: what was measured and what it took.

use std::fmt;

use serde::{Deserialize, Serialize};

/// This project's own engine.
pub const AD_CORE: &str = "ad-core";

/// What is measured.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Id {
    /// The suite, such as `hvp`.
    pub suite: String,
    /// The problem: `<layer sizes>/b<batch>`, such as `64-20-15-10/b256`.
    pub case: String,
    /// [`AD_CORE`], or a peer's name.
    pub engine: String,
    /// The operation, such as `hvp_linearized`.
    pub op: String,
    /// `f32` or `f64`.
    pub dtype: String,
    /// The number of threads.
    pub threads: usize,
}

/// The words that a filter looks in.
impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            case,
            engine,
            op,
            dtype,
            threads,
            ..
        } = self;
        write!(f, "{case} {op} {dtype} t{threads} {engine}")
    }
}

/// A result. What was not measured is `None`, and absent from the file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// What was measured.
    #[serde(flatten)]
    pub id: Id,
    /// The number of parameters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n: Option<u64>,
    /// Seconds of the fastest call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds_min: Option<f64>,
    /// Seconds of the median call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds_median: Option<f64>,
    /// The most heap memory alive in a first call above what was alive before it: the results,
    /// what is kept, and the workspace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub peak_bytes: Option<u64>,
    /// Allocations of a later call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allocations: Option<u64>,
}

/// The results of a run, in the order in which they were measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Report {
    /// The results.
    pub records: Vec<Record>,
}

impl Report {
    /// The result of this engine for an operation.
    #[must_use]
    pub fn find(&self, case: &str, op: &str, dtype: &str, threads: usize) -> Option<&Record> {
        self.records.iter().find(|record| {
            let id = &record.id;
            let what = (id.engine.as_str(), id.case.as_str(), id.op.as_str());
            what == (AD_CORE, case, op) && id.dtype == dtype && id.threads == threads
        })
    }

    /// The cases with their numbers of parameters, smallest first.
    #[must_use]
    pub fn cases(&self) -> Vec<(String, u64)> {
        let mut cases: Vec<(String, u64)> = Vec::new();
        for record in &self.records {
            let case = (record.id.case.clone(), record.n.unwrap_or(0));
            if !cases.contains(&case) {
                cases.push(case);
            }
        }
        cases.sort_by_key(|case| case.1);
        cases
    }

    /// The number types and numbers of threads, in order.
    #[must_use]
    pub fn settings(&self) -> Vec<(String, usize)> {
        let settings = self
            .records
            .iter()
            .map(|record| (record.id.dtype.clone(), record.id.threads));
        let mut settings: Vec<_> = settings.collect();
        // f64 first, few threads first.
        settings.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
        settings.dedup();
        settings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        let id = Id {
            suite: "hvp".into(),
            case: "64-20-15-10/b256".into(),
            engine: AD_CORE.into(),
            op: "hvp_linearized".into(),
            dtype: "f64".into(),
            threads: 2,
        };
        Record {
            id,
            n: Some(1775),
            seconds_min: Some(5e-5),
            seconds_median: Some(6e-5),
            peak_bytes: Some(0),
            allocations: Some(0),
        }
    }

    #[test]
    fn a_record_is_flat_and_has_exactly_the_stated_fields() {
        let value = serde_json::to_value(record()).unwrap();
        let mut fields: Vec<_> = value
            .as_object()
            .unwrap()
            .keys()
            .map(String::as_str)
            .collect();
        fields.sort_unstable();
        let expected = [
            "allocations",
            "case",
            "dtype",
            "engine",
            "n",
            "op",
            "peak_bytes",
            "seconds_median",
            "seconds_min",
            "suite",
            "threads",
        ];
        assert_eq!(fields, expected);
        assert_eq!(serde_json::from_value::<Record>(value).unwrap(), record());
    }

    #[test]
    fn what_is_missing_is_absent_and_reads_back_as_missing() {
        let partial = Record {
            seconds_median: None,
            peak_bytes: None,
            ..record()
        };
        let report = Report {
            records: vec![partial],
        };
        let text = serde_json::to_string(&report).unwrap();
        assert!(text.starts_with('[') && !text.contains("null"), "{text}");
        assert!(
            !text.contains("seconds_median") && !text.contains("peak_bytes"),
            "{text}"
        );
        assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), report);
    }
}
