//! What a run shows, in a sentence each.

use super::tables::{most_threads, threads_text};
use crate::facts::{Facts, Growth};
use crate::record::{Record, Report};
use crate::suites::hvp::Op;
use crate::units;

/// The network on which products are compared with gradients.
const REFERENCE: &str = "64-20-15-10/b256";

/// The sentences for which there are measurements.
#[must_use]
pub fn statements(report: &Report, facts: &Facts) -> Vec<String> {
    let mut sentences = Vec::new();
    sentences.extend(hessian(report));
    sentences.extend(newton(report, facts));
    sentences.extend(gradients(report));
    sentences.extend(growth(facts));
    sentences.extend(refused(facts));
    sentences
}

/// The largest case in f64 on all threads for which there are both operations.
fn largest(report: &Report, a: Op, b: Op) -> Option<(String, u64, usize, &Record, &Record)> {
    let threads = most_threads(report)?;
    report.cases().into_iter().rev().find_map(|(case, n)| {
        let a = report.find(&case, a.name(), "f64", threads)?;
        let b = report.find(&case, b.name(), "f64", threads)?;
        Some((case, n, threads, a, b))
    })
}

fn hessian(report: &Report) -> Option<String> {
    let (case, n, threads, full, product) = largest(report, Op::Hessian, Op::Hvp)?;
    let (time, memory) = ratios(full, product)?;
    Some(format!(
        "{case} (n = {}), f64, {}: the full Hessian takes {time} times the time and {memory} times \
         the memory of a Hessian-vector product.",
        units::count(n),
        threads_text(threads),
    ))
}

fn newton(report: &Report, facts: &Facts) -> Option<String> {
    let (case, n, threads, direct, iterative) = largest(report, Op::NewtonCholesky, Op::NewtonCg)?;
    let (time, memory) = ratios(direct, iterative)?;
    let step = facts.newton.iter().find(|step| {
        (step.case.as_str(), step.dtype.as_str(), step.threads) == (case.as_str(), "f64", threads)
    })?;
    Some(format!(
        "{case} (n = {}), f64, {}: a Newton step by Cholesky takes {time} times the time and \
         {memory} times the memory of one by conjugate gradients on {} products; the two steps \
         differ by {:.1e}.",
        units::count(n),
        threads_text(threads),
        step.products,
        step.relative_difference?,
    ))
}

/// The quotients of times and of memory.
fn ratios(a: &Record, b: &Record) -> Option<(String, String)> {
    let memory = a.peak_bytes? as f64 / b.peak_bytes?.max(1) as f64;
    let time = a.seconds_min? / b.seconds_min?;
    Some((units::ratio(time), units::ratio(memory)))
}

fn gradients(report: &Report) -> Vec<String> {
    let sentence = |(dtype, threads): (String, usize)| {
        let seconds = |op: Op| {
            report
                .find(REFERENCE, op.name(), &dtype, threads)?
                .seconds_min
        };
        let gradient = seconds(Op::ValueAndGrad)?;
        Some(format!(
            "{REFERENCE}, {dtype}, {}: a linearized Hessian-vector product costs {} gradients, a \
             Gauss–Newton product {}.",
            threads_text(threads),
            units::ratio(seconds(Op::HvpLinearized)? / gradient),
            units::ratio(seconds(Op::Ggnvp)? / gradient),
        ))
    };
    let settings = report.settings().into_iter();
    settings
        .filter(|setting| setting.0 == "f64")
        .filter_map(sentence)
        .collect()
}

fn growth(facts: &Facts) -> Option<String> {
    let threads = facts.growth.first()?.threads;
    let terms = facts.growth.iter().map(|growth| {
        let Growth {
            variable,
            op,
            exponent,
            ..
        } = growth;
        format!("{variable}^{exponent:.2} for {}", op_in_words(op))
    });
    let terms: Vec<_> = terms.collect();
    let terms = terms.join(", ");
    Some(format!(
        "f64, {}: cost grows as {terms}.",
        threads_text(threads)
    ))
}

fn op_in_words(op: &str) -> &str {
    match Op::from_name(op) {
        Some(Op::ValueAndGrad) => "a gradient",
        Some(Op::HvpLinearized) => "a linearized Hessian-vector product",
        Some(Op::HvpBlock16) => "a block of products",
        _ => op,
    }
}

fn refused(facts: &Facts) -> Option<String> {
    let largest = facts
        .refused
        .iter()
        .filter(|refusal| refusal.dtype == "f64")
        .max_by_key(|refusal| refusal.n)?;
    Some(format!(
        "A dense Hessian of {:.2e} parameters would take {} in f64.",
        largest.n as f64,
        units::bytes(largest.required_bytes),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::{NewtonAgreement, Refusal};
    use crate::record::{AD_CORE, Id};

    fn record(op: Op, seconds: f64, bytes: u64) -> Record {
        let id = Id {
            suite: "hvp".into(),
            case: REFERENCE.into(),
            engine: AD_CORE.into(),
            op: op.name().into(),
            dtype: "f64".into(),
            threads: 2,
        };
        Record {
            id,
            n: Some(1775),
            seconds_min: Some(seconds),
            seconds_median: None,
            peak_bytes: Some(bytes),
            allocations: None,
        }
    }

    #[test]
    fn sentences_state_the_quotients_of_what_was_measured() {
        let report = Report {
            records: vec![
                record(Op::ValueAndGrad, 1.0, 1),
                record(Op::Hvp, 2.0, 10),
                record(Op::HvpLinearized, 1.25, 1),
                record(Op::Ggnvp, 0.75, 1),
                record(Op::Hessian, 2000.0, 5000),
                record(Op::NewtonCholesky, 300.0, 80),
                record(Op::NewtonCg, 20.0, 20),
            ],
        };
        let step = NewtonAgreement {
            case: REFERENCE.into(),
            dtype: "f64".into(),
            threads: 2,
            shift: 0.1,
            relative_tolerance: 1e-10,
            relative_residual: 1e-11,
            stop: "Converged".into(),
            products: 17,
            relative_difference: Some(3e-9),
        };
        let refusal = Refusal {
            case: None,
            op: "hessian".into(),
            dtype: "f64".into(),
            n: 175_000_000_000,
            required_bytes: 2.45e23,
            budget_bytes: 1.0,
            message: None,
        };
        let growth = Growth {
            variable: "batch".into(),
            op: Op::ValueAndGrad.name().into(),
            threads: 2,
            network: "64-64-32-10".into(),
            exponent: 0.973,
            points: vec![(1.0, 1.0)],
        };
        let facts = Facts {
            growth: vec![growth],
            newton: vec![step],
            refused: vec![refusal],
            ..Facts::default()
        };
        let found = statements(&report, &facts).join("\n");
        for part in [
            "64-20-15-10/b256 (n = 1,775), f64, 2 threads: the full Hessian takes 1000 times the time and 500 times the memory",
            "takes 15.0 times the time and 4.00 times the memory of one by conjugate gradients on 17 products; the two steps differ by 3.0e-9",
            "costs 1.25 gradients, a Gauss–Newton product 0.75",
            "f64, 2 threads: cost grows as batch^0.97 for a gradient.",
            "1.75e11 parameters would take 245 ZB",
        ] {
            assert!(found.contains(part), "{found}");
        }
        assert!(statements(&Report::default(), &Facts::default()).is_empty());
    }
}
