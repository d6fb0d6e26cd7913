//! What came of it: `solvers.json`, and tables.

use std::collections::BTreeMap;
use std::fmt::Write;

use serde::Serialize;

use super::own::TRUST_REGION;
use super::profile::{FACTORS, Profile, profiles};
use super::run::{Run, Solved};
use crate::facts::Machine;
use crate::output::{Align, Table};
use crate::peers::engine::Versions;
use crate::units;

/// scipy's method that the trust-region method is compared with.
const RIVAL: &str = "scipy: trust-ncg";

/// All runs, and what follows from them.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    tasks: Vec<String>,
    methods: Vec<String>,
    runs: Vec<Run>,
    by_cost: Vec<Profile>,
    by_time: Vec<Profile>,
    duel: Option<Duel>,
    absent: BTreeMap<String, String>,
    versions: Versions,
}

/// The products of the trust-region method and of scipy's, summed over the tasks that both solve.
#[derive(Debug, Serialize)]
struct Duel {
    n_tasks: usize,
    ours: u64,
    theirs: u64,
    /// scipy's outer iterations, each of which multiplies once more than it has to: for the value
    /// of the model, which conjugate gradients know.
    their_iters: u64,
}

impl Report {
    pub(super) fn new(
        tasks: Vec<String>,
        runs: Vec<Run>,
        absent: BTreeMap<String, String>,
        versions: Versions,
    ) -> Self {
        let mut methods: Vec<String> = Vec::new();
        for run in &runs {
            if !methods.contains(&run.method) {
                methods.push(run.method.clone());
            }
        }
        let by_cost = profile(&tasks, &methods, &runs, |solved| solved.cost());
        let by_time = profile(&tasks, &methods, &runs, |solved| solved.seconds);
        Self {
            duel: duel(&tasks, &runs),
            tasks,
            methods,
            runs,
            by_cost,
            by_time,
            absent,
            versions,
        }
    }

    /// Name, title and lines of each chart.
    pub(super) fn charts(&self) -> [(&'static str, &'static str, &[Profile]); 2] {
        [
            ("cost", "Gradients and products until solved", &self.by_cost),
            ("time", "Time until solved", &self.by_time),
        ]
    }
}

fn find<'a>(runs: &'a [Run], method: &str, task: &str) -> Option<&'a Run> {
    let mut found = runs.iter();
    found.find(|run| run.method == method && run.task == task)
}

fn profile(
    tasks: &[String],
    methods: &[String],
    runs: &[Run],
    measure: fn(&Solved) -> f64,
) -> Vec<Profile> {
    profiles(methods, tasks.len(), |method, task| {
        let run = find(runs, &methods[method], &tasks[task])?;
        run.solved.as_ref().map(measure)
    })
}

fn duel(tasks: &[String], runs: &[Run]) -> Option<Duel> {
    let mut duel = Duel {
        n_tasks: 0,
        ours: 0,
        theirs: 0,
        their_iters: 0,
    };
    for task in tasks {
        let ours = find(runs, TRUST_REGION, task)?;
        let theirs = find(runs, RIVAL, task)?;
        // All calls: both were asked for the same norm of the gradient.
        if ours.solved.is_some() && theirs.solved.is_some() {
            duel.n_tasks += 1;
            duel.ours += ours.n_products;
            duel.theirs += theirs.n_products;
            duel.their_iters += theirs.n_iters;
        }
    }
    (duel.n_tasks > 0).then_some(duel)
}

/// How the tables are to be read.
const READING: &str = "A task is solved if |f − f*| ≤ 1e-10 max(1, |f*|), or as near to another \
value that is listed as a local minimum or as a limit. Its cost is the number of gradients and of \
products with the Hessian when the value was first met at which the run ended; values without a \
gradient are counted apart, and a dense Hessian counts as n products. Within τ: the share of all \
tasks solved at no more than τ times the cost of the method to which the task comes cheapest (Dolan \
and Moré 2002). Times of scipy's methods include its calls of functions compiled by JAX, some ten \
microseconds each, so that on small problems they say little of its methods.\n";

/// For a terminal.
pub(super) fn terminal(report: &Report) -> String {
    let mut text: String = summaries(report).iter().map(ToString::to_string).collect();
    text += READING;
    for line in notes(report) {
        text += &line;
        text.push('\n');
    }
    text
}

/// The same as Markdown, and a table of all runs.
pub(super) fn markdown(report: &Report, machine: &Machine, date: &str) -> String {
    let processor = machine.processor.as_deref();
    let processor = processor.unwrap_or("a processor unknown");
    let mut text = format!("{date}, {processor} ({}).\n\n{READING}", machine.platform);
    for table in summaries(report).iter().chain([&all_runs(report)]) {
        // A write to a string does not fail.
        let _ = write!(text, "\n### {}\n\n{}", table.title(), table.markdown());
    }
    text.push('\n');
    for line in notes(report) {
        let _ = writeln!(text, "- {line}");
    }
    text
}

fn summaries(report: &Report) -> [Table; 2] {
    [
        summary("By gradients and products", &report.by_cost),
        summary("By time", &report.by_time),
    ]
}

fn summary(title: &str, profiles: &[Profile]) -> Table {
    let heads = FACTORS.map(|factor| format!("τ = {factor}"));
    let mut columns = vec![("method", Align::Left), ("solved", Align::Right)];
    columns.extend(heads.iter().map(|head| (head.as_str(), Align::Right)));
    let n_tasks = profiles.first().map_or(0, |profile| profile.n_tasks);
    let mut table = Table::new(format!("{title}, {n_tasks} tasks"), &columns);
    for profile in profiles {
        let mut cells = vec![profile.method.clone(), percent(profile.solved())];
        cells.extend(FACTORS.map(|factor| percent(profile.at(factor))));
        table.push(cells);
    }
    table
}

fn percent(share: f64) -> String {
    format!("{:.0} %", 100.0 * share)
}

/// A row a task: gradients + products until solved, or how the run ended.
fn all_runs(report: &Report) -> Table {
    let mut columns = vec![("task", Align::Left)];
    columns.extend(
        report
            .methods
            .iter()
            .map(|method| (method.as_str(), Align::Right)),
    );
    let mut table = Table::new("Gradients + products, and time, until solved", &columns);
    for task in &report.tasks {
        let cell = |method: &String| match find(&report.runs, method, task) {
            None => "–".into(),
            Some(Run {
                solved: Some(solved),
                ..
            }) => format!(
                "{} + {}, {}",
                solved.n_gradients,
                solved.n_products,
                units::seconds(solved.seconds)
            ),
            Some(run) => match run.value {
                Some(value) => format!("f = {value:.3e}"),
                None => "no value".into(),
            },
        };
        let mut cells = vec![task.clone()];
        cells.extend(report.methods.iter().map(cell));
        table.push(cells);
    }
    table
}

fn notes(report: &Report) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(duel) = &report.duel {
        let bound = duel.theirs.saturating_sub(duel.their_iters);
        lines.push(format!(
            "Products in all on the {} tasks that both solve: {} by {TRUST_REGION}, {} by {RIVAL}; \
             less one for each of its {} outer iterations {bound}.",
            duel.n_tasks, duel.ours, duel.theirs, duel.their_iters
        ));
    }
    for (engine, reason) in &report.absent {
        lines.push(format!("{engine} is absent: {reason}"));
    }
    for packages in report.versions.values() {
        let packages = packages
            .iter()
            .map(|(name, version)| format!("{name} {version}"));
        lines.push(packages.collect::<Vec<_>>().join(", "));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(method: &str, task: &str, n_products: u64, solved: bool) -> Run {
        Run {
            task: task.into(),
            method: method.into(),
            value: Some(0.5),
            n_iters: 2,
            n_products,
            solved: solved.then_some(Solved {
                n_values: 0,
                n_gradients: 1,
                n_products: 3,
                seconds: 0.25,
            }),
            ..Run::default()
        }
    }

    #[test]
    fn sums_are_over_what_both_solve_and_failures_show_their_value() {
        let tasks = vec!["a".to_string(), "b".to_string()];
        let runs = vec![
            run(TRUST_REGION, "a", 10, true),
            run(TRUST_REGION, "b", 100, true),
            run(RIVAL, "a", 13, true),
            run(RIVAL, "b", 1000, false),
        ];
        let absent = BTreeMap::from([("basin".to_string(), "cannot be built".to_string())]);
        let report = Report::new(tasks, runs, absent, Versions::new());
        let text = terminal(&report);
        assert!(
            text.contains("10 by ours: trust region, 13 by scipy: trust-ncg"),
            "{text}"
        );
        assert!(text.contains("2 outer iterations 11."), "{text}");
        assert!(text.contains("basin is absent: cannot be built"), "{text}");
        let text = markdown(&report, &Machine::here(true), "2026-11-22");
        assert!(text.contains("1 + 3, 250"), "{text}");
        assert!(text.contains("f = 5.000e-1"), "{text}");
    }
}
