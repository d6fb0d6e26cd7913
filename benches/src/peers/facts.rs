//! What is worth keeping of a comparison beside its records.

use std::collections::BTreeMap;

use serde::Serialize;

use super::compare::Comparison;
use super::measurement::{Digest, Measurement};
use super::merge::{Mode, best_modes};
use super::rounds::Failure;
use super::{compare, engine};
use crate::facts::Machine;

/// Facts of a comparison.
#[derive(Clone, Debug, Default, Serialize)]
pub struct PeerFacts {
    /// The day.
    pub date: String,
    /// Where it ran.
    pub machine: Machine,
    /// How often each engine ran.
    pub rounds: usize,
    /// Versions of each engine's packages.
    pub versions: BTreeMap<String, BTreeMap<String, String>>,
    /// Engines that could not be had, and why.
    pub absent: BTreeMap<String, String>,
    /// What failed.
    pub failures: Vec<Failure>,
    /// Results that differ.
    pub disagreements: Vec<String>,
    /// Every operation, side by side.
    pub comparisons: Vec<Comparison>,
    /// All modes of all engines.
    pub modes: Vec<Mode>,
}

/// An engine's fastest mode for an operation, as it stands in `peers.json`.
#[derive(Clone, Debug, Serialize)]
pub struct PeerRecord {
    /// The result, without digests.
    #[serde(flatten)]
    pub measurement: Measurement,
    /// Its minimum by that of the bare products.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub floor_ratio: Option<f64>,
}

/// The records of a comparison.
#[must_use]
pub fn records(modes: &[Mode]) -> Vec<PeerRecord> {
    let best = best_modes(modes);
    let record = |mode: &&Mode| {
        let floor = compare::floor_seconds(mode.id(), &best);
        let is_floor = mode.id().engine == engine::PRODUCTS;
        PeerRecord {
            measurement: Measurement {
                digest: Digest::default(),
                ..mode.measurement.clone()
            },
            floor_ratio: floor
                .filter(|_| !is_floor)
                .map(|floor| mode.seconds_min() / floor),
        }
    };
    best.iter().map(record).collect()
}

#[cfg(test)]
mod tests {
    use super::super::measurement::samples::measurement;
    use super::super::merge::merge;
    use super::*;

    #[test]
    fn records_state_their_ratio_to_the_floor_and_no_digests() {
        let modes = merge(&[
            (0, measurement("ad-core", "shards", 3.0)),
            (0, measurement("products", "one thread", 2.0)),
        ]);
        let value = serde_json::to_value(records(&modes)).unwrap();
        assert_eq!(value[0]["engine"], "ad-core");
        assert_eq!(value[0]["floor_ratio"], 1.5);
        assert!(value[1].get("floor_ratio").is_none());
        assert!(!value.to_string().contains("digest"), "{value}");
    }
}
