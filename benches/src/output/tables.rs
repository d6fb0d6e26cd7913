//! The tables of a run.

use super::table::{Align, Table};
use crate::facts::{Facts, Refusal};
use crate::record::{Record, Report};
use crate::suites::hvp::Op;
use crate::units;

/// The operations in the order of the columns, with their heads.
const COLUMNS: [(Op, &str); 10] = [
    (Op::Value, "value"),
    (Op::ValueAndGrad, "gradient"),
    (Op::Linearize, "linearize"),
    (Op::Hvp, "hvp"),
    (Op::HvpLinearized, "hvp lin."),
    (Op::Ggnvp, "ggnvp"),
    (Op::HvpBlock16, "hvp of 16"),
    (Op::Hessian, "hessian"),
    (Op::NewtonCholesky, "newton chol."),
    (Op::NewtonCg, "newton cg"),
];

/// All tables, one after the other.
pub(super) fn all(report: &Report, facts: &Facts) -> String {
    let mut tables = Vec::new();
    for (dtype, threads) in report.settings() {
        let title = format!(
            "Seconds a call (minimum), {dtype}, {}",
            threads_text(threads)
        );
        tables.push(by_case(report, (&dtype, threads), &title, |record| {
            record.seconds_min.map(units::seconds)
        }));
    }
    for (dtype, threads) in report.settings() {
        let title = format!(
            "Peak bytes of a first call above what it was given, {dtype}, {}",
            threads_text(threads)
        );
        // Hardly another number for each number of threads: the largest shows the most.
        if Some(threads) == most_threads(report) {
            tables.push(by_case(report, (&dtype, threads), &title, |record| {
                record.peak_bytes.map(|bytes| units::bytes(bytes as f64))
            }));
        }
    }
    for (dtype, threads) in report.settings() {
        let title = format!(
            "Allocations a later call, {dtype}, {}",
            threads_text(threads)
        );
        if dtype == "f64" && Some(threads) == most_threads(report) {
            tables.push(by_case(report, (&dtype, threads), &title, |record| {
                record.allocations.map(units::count)
            }));
        }
    }
    tables.push(newton(facts));
    tables.push(refused(report, facts));
    let shown = tables.iter().filter(|table| !table.is_empty());
    shown.map(ToString::to_string).collect()
}

/// The largest number of threads that was measured.
pub(super) fn most_threads(report: &Report) -> Option<usize> {
    report.settings().iter().map(|setting| setting.1).max()
}

/// `1 thread`, `2 threads`
pub(crate) fn threads_text(threads: usize) -> String {
    format!("{threads} thread{}", if threads == 1 { "" } else { "s" })
}

/// A row for each case, a column for each operation that was measured.
fn by_case(
    report: &Report,
    (dtype, threads): (&str, usize),
    title: &str,
    cell: impl Fn(&Record) -> Option<String>,
) -> Table {
    let find = |case: &str, op: Op| report.find(case, op.name(), dtype, threads);
    let cases = report.cases();
    let measured = |op: Op| cases.iter().any(|(case, _)| find(case, op).is_some());
    let columns: Vec<_> = COLUMNS
        .into_iter()
        .filter(|column| measured(column.0))
        .collect();
    let mut head = vec![("case", Align::Left), ("n", Align::Right)];
    head.extend(columns.iter().map(|column| (column.1, Align::Right)));
    let mut table = Table::new(title, &head);
    for (case, n) in &cases {
        let cells: Vec<_> = columns
            .iter()
            .map(|(op, _)| find(case, *op).and_then(&cell))
            .collect();
        if cells.iter().any(Option::is_some) {
            let mut row = vec![case.clone(), units::count(*n)];
            row.extend(
                cells
                    .into_iter()
                    .map(|cell| cell.unwrap_or_else(|| "–".into())),
            );
            table.push(row);
        }
    }
    table
}

fn newton(facts: &Facts) -> Table {
    let title = "Newton step (H + shift·I) p = gradient: conjugate gradients against Cholesky";
    let columns = [
        ("case", Align::Left),
        ("type", Align::Left),
        ("shift", Align::Right),
        ("products", Align::Right),
        ("rel. residual", Align::Right),
        ("rel. difference", Align::Right),
    ];
    let mut table = Table::new(title, &columns);
    // The bits, and so these figures, are the same for any number of threads.
    let most = facts.newton.iter().map(|step| step.threads).max();
    for step in facts
        .newton
        .iter()
        .filter(|step| Some(step.threads) == most)
    {
        let difference = step.relative_difference.map(|value| format!("{value:.1e}"));
        table.push(vec![
            step.case.clone(),
            step.dtype.clone(),
            format!("{:.2e}", step.shift),
            step.products.to_string(),
            format!("{:.1e}", step.relative_residual),
            difference.unwrap_or_else(|| "–".into()),
        ]);
    }
    table
}

fn refused(report: &Report, facts: &Facts) -> Table {
    let mut refused: Vec<_> = facts.refused.iter().collect();
    refused.sort_by_key(|refusal| refusal.n);
    let budget = refused.first().map_or(0.0, |refusal| refusal.budget_bytes);
    let title = format!(
        "Dense matrices over the budget of {}: what they would take",
        units::bytes(budget)
    );
    let columns = [
        ("case", Align::Left),
        ("n", Align::Right),
        ("operation", Align::Left),
        ("type", Align::Left),
        ("memory", Align::Right),
        ("time of n products", Align::Right),
    ];
    let mut table = Table::new(title, &columns);
    for refusal in refused
        .into_iter()
        .filter(|r| r.required_bytes > r.budget_bytes)
    {
        let seconds = predicted_seconds(report, refusal);
        table.push(vec![
            refusal.case.clone().unwrap_or_else(|| "any".into()),
            units::count(refusal.n),
            refusal.op.clone(),
            refusal.dtype.clone(),
            units::bytes(refusal.required_bytes),
            seconds.map_or_else(|| "–".into(), units::duration),
        ]);
    }
    table
}

/// n times the time of a product in a block.
fn predicted_seconds(report: &Report, refusal: &Refusal) -> Option<f64> {
    let (case, threads) = (refusal.case.as_ref()?, most_threads(report)?);
    let block = report.find(case, Op::HvpBlock16.name(), &refusal.dtype, threads)?;
    Some(block.seconds_min? * refusal.n as f64)
}
