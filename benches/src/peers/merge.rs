//! From the results of all rounds to one result a mode, and the check that results agree.

use serde::Serialize;

use super::cases::EIGSH;
use super::measurement::Measurement;
use crate::record::Id;
use crate::timing::median;

/// A mode over all rounds: the least of the minima, the median of the medians and of the first
/// calls.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Mode {
    /// The result.
    #[serde(flatten)]
    pub measurement: Measurement,
    /// Each round that measured it.
    pub rounds: Vec<Round>,
}

/// A mode's times in a round.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Round {
    /// Which round.
    pub turn: usize,
    /// Seconds of the fastest call.
    pub seconds_min: f64,
    /// Seconds of the median call.
    pub seconds_median: f64,
}

impl Mode {
    /// What was measured.
    #[must_use]
    pub fn id(&self) -> &Id {
        &self.measurement.record.id
    }

    /// Seconds of the fastest call of all rounds.
    #[must_use]
    pub fn seconds_min(&self) -> f64 {
        let minima = self.rounds.iter().map(|round| round.seconds_min);
        minima.fold(f64::INFINITY, f64::min)
    }
}

/// One result of each mode, in the order in which modes were first measured.
#[must_use]
pub fn merge(measured: &[(usize, Measurement)]) -> Vec<Mode> {
    let mut groups: Vec<Vec<&(usize, Measurement)>> = Vec::new();
    for pair in measured {
        let same = |group: &&mut Vec<&(usize, Measurement)>| {
            let (first, other) = (&group[0].1, &pair.1);
            first.record.id == other.record.id && first.mode == other.mode
        };
        match groups.iter_mut().find(same) {
            Some(group) => group.push(pair),
            None => groups.push(vec![pair]),
        }
    }
    groups
        .iter()
        .filter_map(|group| merge_group(group))
        .collect()
}

/// `None` for a mode without times.
fn merge_group(group: &[&(usize, Measurement)]) -> Option<Mode> {
    let round = |(turn, measurement): &&(usize, Measurement)| {
        Some(Round {
            turn: *turn,
            seconds_min: measurement.record.seconds_min?,
            seconds_median: measurement.record.seconds_median?,
        })
    };
    let rounds: Vec<_> = group.iter().filter_map(round).collect();
    let medians: Vec<_> = rounds.iter().map(|round| round.seconds_median).collect();
    let firsts: Vec<_> = group
        .iter()
        .filter_map(|pair| pair.1.seconds_first)
        .collect();
    let peaks = group.iter().filter_map(|pair| pair.1.record.peak_bytes);
    let mut measurement = group.first()?.1.clone();
    measurement.record.peak_bytes = peaks.max();
    measurement.record.seconds_median = Some(median(&medians)?);
    measurement.seconds_first = median(&firsts);
    let mut mode = Mode {
        measurement,
        rounds,
    };
    mode.measurement.record.seconds_min = Some(mode.seconds_min());
    Some(mode)
}

/// Of each engine and operation the mode with the least minimum.
#[must_use]
pub fn best_modes(modes: &[Mode]) -> Vec<&Mode> {
    let mut best: Vec<&Mode> = Vec::new();
    for mode in modes {
        match best.iter_mut().find(|known| known.id() == mode.id()) {
            Some(known) if mode.seconds_min() < known.seconds_min() => *known = mode,
            Some(_) => {}
            None => best.push(mode),
        }
    }
    best
}

/// Relative differences that rounding explains: products of some thousand terms in another order.
/// Eigenvalues are sought to 1e-6 only.
fn tolerance(id: &Id) -> f64 {
    match (id.op.as_str(), id.dtype.as_str()) {
        (EIGSH, _) => 1e-6,
        (_, "f32") => 2e-3,
        _ => 1e-9,
    }
}

/// Sentences on results of one case, operation and type that differ between modes or engines.
#[must_use]
pub fn disagreements(modes: &[Mode]) -> Vec<String> {
    let mut found = Vec::new();
    for (at, mode) in modes.iter().enumerate() {
        let what = |mode: &Mode| {
            let Id {
                case, op, dtype, ..
            } = mode.id();
            (case.clone(), op.clone(), dtype.clone())
        };
        // The first mode that states a number is what later ones are held against.
        let same = |other: &&Mode| what(other) == what(mode);
        let earlier: Vec<_> = modes[..at].iter().filter(same).collect();
        for (number, (name, value)) in mode.measurement.digest.numbers().into_iter().enumerate() {
            let stated = |other: &&&Mode| other.measurement.digest.numbers()[number].1.is_some();
            let (Some(value), Some(reference)) = (value, earlier.iter().find(stated)) else {
                continue;
            };
            found.extend(differing(name, number, (mode, value), reference));
        }
    }
    found
}

fn differing(
    name: &str,
    number: usize,
    (mode, value): (&Mode, f64),
    reference: &Mode,
) -> Option<String> {
    let digest = &reference.measurement.digest;
    let expected = digest.numbers()[number].1?;
    // A sum of products may cancel: its rounding is relative to the norm.
    let scale = expected.abs().max(digest.norm.unwrap_or(0.0));
    if (value - expected).abs() <= tolerance(mode.id()) * scale {
        return None;
    }
    let Id {
        case, op, dtype, ..
    } = mode.id();
    Some(format!(
        "{case} {op} {dtype}: the {name} is {value:e} by {} and {expected:e} by {}",
        described(mode),
        described(reference)
    ))
}

fn described(mode: &Mode) -> String {
    let Id {
        engine, threads, ..
    } = mode.id();
    format!("{engine} ({}, t{threads})", mode.measurement.mode)
}

#[cfg(test)]
mod tests {
    use super::super::measurement::samples::measurement;
    use super::*;

    #[test]
    fn rounds_merge_to_minimum_median_and_every_round() {
        let measured = [
            (0, measurement("jax", "tree", 3.0)),
            (0, measurement("jax", "flat", 5.0)),
            (1, measurement("jax", "tree", 1.0)),
            (2, measurement("jax", "tree", 2.0)),
        ];
        let modes = merge(&measured);
        assert_eq!(modes.len(), 2);
        let record = &modes[0].measurement.record;
        assert_eq!(
            (record.seconds_min, record.seconds_median),
            (Some(1.0), Some(4.0))
        );
        assert_eq!(modes[0].measurement.seconds_first, Some(200.0));
        let turns: Vec<_> = modes[0].rounds.iter().map(|round| round.turn).collect();
        assert_eq!(turns, [0, 1, 2]);
        let best = best_modes(&modes);
        assert_eq!((best.len(), best[0].measurement.mode.as_str()), (1, "tree"));
    }

    #[test]
    fn a_wrong_result_is_told_and_a_rounded_one_is_not() {
        let with_dot = |engine: &str, dot: f64| {
            let mut result = measurement(engine, "m", 1.0);
            result.digest.dot = Some(dot);
            (0, result)
        };
        let rounded = merge(&[with_dot("ad-core", 0.5), with_dot("jax", 0.5 + 1e-10)]);
        assert!(disagreements(&rounded).is_empty());
        let wrong = merge(&[with_dot("ad-core", 0.5), with_dot("jax", 0.51)]);
        let found = disagreements(&wrong);
        assert_eq!(found.len(), 1);
        assert!(
            found[0].contains("product with v") && found[0].contains("jax"),
            "{found:?}"
        );
    }

    #[test]
    fn results_of_other_operations_are_not_compared() {
        let mut other = measurement("jax", "m", 1.0);
        other.record.id.op = "ggnvp".into();
        other.digest.norm = Some(7.0);
        let modes = merge(&[(0, measurement("ad-core", "m", 1.0)), (0, other)]);
        assert!(disagreements(&modes).is_empty());
    }
}
