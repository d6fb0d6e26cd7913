//! This project against the fastest peer and against the floor.

use serde::Serialize;

use super::engine::PRODUCTS;
use super::merge::{Mode, best_modes};
use crate::record::{AD_CORE, Id};
use crate::timing::median;

/// The mode of derivatives that somebody wrote down for one function: what the engines' results are
/// held against, and no engine.
pub const BY_HAND: &str = "numpy by hand";

/// One operation, side by side. Ratios are this project's time by the other's: below 1 is faster.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// The problem.
    pub case: String,
    /// The operation.
    pub op: String,
    /// `f32` or `f64`.
    pub dtype: String,
    /// The number of threads.
    pub threads: usize,
    /// This project, in its fastest mode.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ours: Option<Side>,
    /// The fastest mode of all peers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peer: Option<Side>,
    /// The quotient of the minima over all rounds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ratio_min: Option<f64>,
    /// The median over the rounds of the quotient of the medians in a round, which were measured
    /// within a short time of each other.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ratio_median: Option<f64>,
    /// Seconds of the bare products.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub floor_seconds: Option<f64>,
    /// This project's minimum by that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub floor_ratio: Option<f64>,
}

/// One side of a comparison.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Side {
    /// The engine.
    pub engine: String,
    /// Its fastest mode.
    pub mode: String,
    /// Seconds of the fastest call.
    pub seconds_min: f64,
    /// Seconds up to the end of the first call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds_first: Option<f64>,
}

impl Side {
    fn of(mode: &Mode) -> Self {
        Self {
            engine: mode.id().engine.clone(),
            mode: mode.measurement.mode.clone(),
            seconds_min: mode.seconds_min(),
            seconds_first: mode.measurement.seconds_first,
        }
    }
}

/// Every operation that anybody but the floor was measured on, in the order of measuring.
#[must_use]
pub fn compare(modes: &[Mode]) -> Vec<Comparison> {
    let best = best_modes(modes);
    let mut whats: Vec<&Id> = Vec::new();
    for mode in &best {
        if mode.id().engine != PRODUCTS && !whats.iter().any(|id| same(id, mode.id())) {
            whats.push(mode.id());
        }
    }
    whats.sort_by(|a, b| b.dtype.cmp(&a.dtype).then(a.threads.cmp(&b.threads)));
    whats.into_iter().map(|id| comparison(id, &best)).collect()
}

/// Whether two engines did the same.
fn same(a: &Id, b: &Id) -> bool {
    (&a.case, &a.op, &a.dtype, a.threads) == (&b.case, &b.op, &b.dtype, b.threads)
}

fn comparison(id: &Id, best: &[&Mode]) -> Comparison {
    let of_op = || best.iter().filter(|mode| same(mode.id(), id));
    let ours = of_op().find(|mode| mode.id().engine == AD_CORE);
    let is_peer = |mode: &&&Mode| {
        let engine = mode.id().engine.as_str();
        ![AD_CORE, PRODUCTS].contains(&engine) && mode.measurement.mode != BY_HAND
    };
    let faster = |a: &&&Mode, b: &&&Mode| a.seconds_min().total_cmp(&b.seconds_min());
    let peer = of_op().filter(is_peer).min_by(faster);
    let both = ours.zip(peer);
    let floor_seconds = floor_seconds(id, best);
    Comparison {
        case: id.case.clone(),
        op: id.op.clone(),
        dtype: id.dtype.clone(),
        threads: id.threads,
        ours: ours.map(|mode| Side::of(mode)),
        peer: peer.map(|mode| Side::of(mode)),
        ratio_min: both.map(|(ours, peer)| ours.seconds_min() / peer.seconds_min()),
        ratio_median: both.and_then(|(ours, peer)| ratio_median(ours, peer)),
        floor_seconds,
        floor_ratio: ours
            .zip(floor_seconds)
            .map(|(mode, floor)| mode.seconds_min() / floor),
    }
}

/// Seconds of the bare products that an operation needs, where they were measured.
#[must_use]
pub fn floor_seconds(id: &Id, best: &[&Mode]) -> Option<f64> {
    let is_floor = |mode: &&&Mode| mode.id().engine == PRODUCTS && same(mode.id(), id);
    best.iter().find(is_floor).map(|mode| mode.seconds_min())
}

/// The median of the quotients of both medians over the rounds that measured both.
fn ratio_median(ours: &Mode, peer: &Mode) -> Option<f64> {
    let quotient = |round: &super::merge::Round| {
        let other = peer.rounds.iter().find(|other| other.turn == round.turn)?;
        Some(round.seconds_median / other.seconds_median)
    };
    let quotients: Vec<_> = ours.rounds.iter().filter_map(quotient).collect();
    median(&quotients)
}

#[cfg(test)]
mod tests {
    use super::super::measurement::samples::measurement;
    use super::super::merge::merge;
    use super::*;

    #[test]
    fn the_fastest_mode_of_all_peers_is_compared_round_by_round() {
        let modes = merge(&[
            (0, measurement(AD_CORE, "shards", 2.0)),
            (0, measurement("jax", "tree", 4.0)),
            (0, measurement("jax", "flat", 3.0)),
            (0, measurement("torch", "eager", 9.0)),
            (0, measurement(PRODUCTS, "one thread", 0.5)),
            (1, measurement(AD_CORE, "shards", 1.0)),
            (1, measurement("jax", "tree", 1.6)),
            // Both sides are slow in this round, and so it says the same.
            (2, measurement(AD_CORE, "shards", 10.0)),
            (2, measurement("jax", "tree", 20.0)),
        ]);
        let found = compare(&modes);
        assert_eq!(found.len(), 1);
        let [row] = &found[..] else { unreachable!() };
        let peer = row.peer.as_ref().unwrap();
        assert_eq!((peer.engine.as_str(), peer.mode.as_str()), ("jax", "tree"));
        let close = |found: Option<f64>, expected: f64| {
            assert!(
                (found.unwrap() - expected).abs() < 1e-12,
                "{found:?} {expected}"
            );
        };
        close(row.ratio_min, 1.0 / 1.6);
        // Of 2/4, 1/1.6 and 10/20.
        close(row.ratio_median, 0.5);
        close(row.floor_ratio, 2.0);
    }

    #[test]
    fn what_only_one_side_has_is_a_row_without_ratios() {
        let rows = compare(&merge(&[(0, measurement("casadi", "compiled C", 1.0))]));
        assert_eq!((rows.len(), rows[0].ratio_min), (1, None));
        assert!(rows[0].ours.is_none() && rows[0].peer.is_some());
        assert!(compare(&merge(&[(0, measurement(PRODUCTS, "m", 1.0))])).is_empty());
        let by_hand = compare(&merge(&[(0, measurement("scipy", BY_HAND, 1.0))]));
        assert!(by_hand[0].peer.is_none());
    }
}
