//! Tables of a comparison, for the terminal and as Markdown.

use std::fmt::Write;

use super::compare::{Comparison, Side};
use super::facts::PeerFacts;
use crate::output::{Align, Table, threads_text};
use crate::units;

/// The tables and what has to be said beside them, for a terminal.
#[must_use]
pub fn terminal(facts: &PeerFacts) -> String {
    let tables = tables(facts);
    let mut text: String = tables.iter().map(ToString::to_string).collect();
    text += READING;
    text.push('\n');
    for line in notes(facts) {
        text += &line;
        text.push('\n');
    }
    text
}

/// The same as Markdown, to be pasted whole.
#[must_use]
pub fn markdown(facts: &PeerFacts) -> String {
    let machine = &facts.machine;
    let processor = machine
        .processor
        .as_deref()
        .unwrap_or("a processor unknown");
    let mut text = format!(
        "{}, {processor} ({}), {}; {} of each engine in turns.\n\n{READING}\n",
        facts.date,
        threads_text(machine.threads),
        machine.platform,
        rounds_text(facts.rounds),
    );
    for table in tables(facts) {
        // A write to a string does not fail.
        let _ = write!(text, "\n### {}\n\n{}", table.title(), table.markdown());
    }
    let notes = notes(facts);
    if !notes.is_empty() {
        text.push('\n');
    }
    for line in notes {
        let _ = writeln!(text, "- {line}");
    }
    text
}

/// How the columns are to be read.
const READING: &str = "Ratios are our time by the other's: below 1 is faster than the fastest mode \
of all peers. `min` divides the fastest calls of all rounds, `median` is the median over the rounds \
of the quotient of medians. The floor is the time of the bare matrix products on faer's kernels. \
First calls include recording and planning here, tracing and compilation there.\n";

fn rounds_text(rounds: usize) -> String {
    format!("{rounds} round{}", if rounds == 1 { "" } else { "s" })
}

/// A table for each number type and number of threads.
fn tables(facts: &PeerFacts) -> Vec<Table> {
    let same = |a: &Comparison, b: &Comparison| (&a.dtype, a.threads) == (&b.dtype, b.threads);
    facts.comparisons.chunk_by(same).map(table).collect()
}

fn table(rows: &[Comparison]) -> Table {
    let (dtype, threads) = (&rows[0].dtype, rows[0].threads);
    let title = format!("Side by side, {dtype}, {}", threads_text(threads));
    let columns = [
        ("case", Align::Left),
        ("operation", Align::Left),
        ("ours", Align::Right),
        ("best peer", Align::Right),
        ("by", Align::Left),
        ("ratio min", Align::Right),
        ("median", Align::Right),
        ("floor", Align::Right),
        ("ours/floor", Align::Right),
        ("first call", Align::Right),
        ("peer's first", Align::Right),
    ];
    let mut table = Table::new(title, &columns);
    let blank = || "–".to_string();
    let seconds = |value: Option<f64>| value.map_or_else(blank, units::seconds);
    let ratio = |value: Option<f64>| value.map_or_else(blank, units::ratio);
    let fastest = |side: &Option<Side>| seconds(side.as_ref().map(|side| side.seconds_min));
    let first = |side: &Option<Side>| seconds(side.as_ref().and_then(|side| side.seconds_first));
    for row in rows {
        let by = |side: &Side| format!("{}: {}", side.engine, side.mode);
        table.push(vec![
            row.case.clone(),
            row.op.clone(),
            fastest(&row.ours),
            fastest(&row.peer),
            row.peer.as_ref().map_or_else(blank, by),
            ratio(row.ratio_min),
            ratio(row.ratio_median),
            seconds(row.floor_seconds),
            ratio(row.floor_ratio),
            first(&row.ours),
            first(&row.peer),
        ]);
    }
    table
}

/// Versions, who is absent, what failed, and what disagrees.
fn notes(facts: &PeerFacts) -> Vec<String> {
    let mut notes = Vec::new();
    for (engine, reason) in &facts.absent {
        notes.push(format!("{engine} is absent: {reason}"));
    }
    for failure in &facts.failures {
        notes.push(format!(
            "{} failed on {}: {}",
            failure.engine, failure.what, failure.error
        ));
    }
    notes.extend(facts.disagreements.iter().cloned());
    let versions: Vec<_> = facts
        .versions
        .iter()
        .filter_map(|(engine, packages)| Some(format!("{engine} {}", packages.get(engine)?)))
        .collect();
    if !versions.is_empty() {
        notes.push(format!("Versions: {}.", versions.join(", ")));
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::super::compare::compare;
    use super::super::measurement::samples::measurement;
    use super::super::merge::merge;
    use super::super::rounds::Failure;
    use super::*;
    use crate::record::AD_CORE;

    fn facts() -> PeerFacts {
        let modes = merge(&[
            (0, measurement(AD_CORE, "shards", 2e-3)),
            (0, measurement("jax", "tree", 4e-3)),
            (0, measurement("products", "one thread", 1e-3)),
        ]);
        let failure = Failure {
            engine: "jax".into(),
            what: "ggnvp".into(),
            error: "out of memory".into(),
        };
        PeerFacts {
            date: "2026-01-02".into(),
            rounds: 3,
            comparisons: compare(&modes),
            absent: [("torch".to_string(), "no pip".to_string())].into(),
            failures: vec![failure],
            ..PeerFacts::default()
        }
    }

    #[test]
    fn both_forms_hold_times_ratios_and_who_is_absent() {
        let facts = facts();
        for text in [terminal(&facts), markdown(&facts)] {
            for part in [
                "64-20-15-10/b256",
                "jax: tree",
                "2.00 ms",
                "0.50",
                "200 ms",
                "torch is absent: no pip",
                "jax failed on ggnvp: out of memory",
            ] {
                assert!(text.contains(part), "{part}: {text}");
            }
        }
        let text = markdown(&facts);
        assert!(
            text.starts_with("2026-01-02, ") && text.contains("3 rounds"),
            "{text}"
        );
        assert!(text.contains("| case | operation |"), "{text}");
    }
}
