//! Where the time of an operation goes: `cargo xtask bench --profile`.
//!
//! A program is a list of kernel calls; each is measured by itself, on one shard of a network's
//! data and one thread.

use ad_core::{Error, Function, InstructionProfile, Point, Program};
use hvp_solvers::dense::DenseReal;
use ndarray::{ArrayView, ArrayViewD, Axis, Slice};
use optim::Sharding;

use crate::case::{Case, Problem};
use crate::cli::Args;
use crate::error::BenchError;
use crate::output::{Align, Table};
use crate::session::Settings;
use crate::suites::hvp::{Op, SUITE};
use crate::units;

/// Operations that are one program each.
const PROGRAMS: [(Op, Program); 5] = [
    (Op::Value, Program::Value),
    (Op::ValueAndGrad, Program::Gradient),
    (Op::Linearize, Program::Linearize),
    (Op::HvpLinearized, Program::Hvp),
    (Op::Ggnvp, Program::Ggnvp),
];

/// The shortest time of so many runs counts.
const ROUNDS: usize = 50;

/// A table for each operation that the filter admits.
///
/// # Errors
/// [`BenchError::Usage`] if it admits none; failed computations.
pub fn run(args: &Args) -> Result<String, BenchError> {
    let settings = Settings::new(args);
    let mut text = String::new();
    let mut done = Vec::new();
    for id in (SUITE.measurements)(&settings) {
        let program = PROGRAMS.iter().find(|(op, _)| op.name() == id.op);
        let name = format!("{} {} {}", id.case, id.op, id.dtype);
        let (Some(&(_, program)), Some(case)) = (program, Case::from_name(&id.case)) else {
            continue;
        };
        // Numbers of threads repeat the others.
        if !args.filter.admits(&name) || done.contains(&name) {
            continue;
        }
        let profile = match id.dtype.as_str() {
            "f32" => profile::<f32>(&case, program),
            _ => profile::<f64>(&case, program),
        };
        let profile = profile.map_err(|e| BenchError::failed(&name, &e))?;
        text += &table(&name, &profile).to_string();
        done.push(name);
    }
    if done.is_empty() {
        let text = "no program holds all words of the filter; names look like \
                    `64-20-15-10/b256 hvp_linearized f64`";
        return Err(BenchError::Usage(text.into()));
    }
    Ok(text)
}

/// The kernel calls of a program on the first shard.
fn profile<T: DenseReal>(
    case: &Case,
    program: Program,
) -> Result<Vec<InstructionProfile>, Box<dyn std::error::Error>> {
    let problem = Problem::<T>::new(case)?;
    let rows = Sharding::default().rows(case.batch, problem.n());
    let data: Vec<ArrayViewD<'_, T>> = problem
        .data()
        .iter()
        .map(|array| array.slice_axis(Axis(0), Slice::from(..rows)))
        .collect();
    let shapes: Vec<_> = data.iter().map(ArrayView::shape).collect();
    let loss = Function::record_with_data(problem.n(), &shapes, |x, data| problem.loss(x, data));
    let profiled = loss.and_then(|loss| -> Result<_, Error> {
        let point = Point::with_data(&problem.x, &data);
        loss.profile(program, point, problem.v.view(), ROUNDS)
    });
    Ok(profiled?)
}

fn table(name: &str, profile: &[InstructionProfile]) -> Table {
    let total: f64 = profile.iter().map(|call| call.time.as_secs_f64()).sum();
    let title = format!(
        "{name}: {} kernel calls, {}, one shard on one thread",
        profile.len(),
        units::seconds(total)
    );
    let columns = [
        ("", Align::Right),
        ("kernel call", Align::Left),
        ("time", Align::Right),
        ("share", Align::Right),
        ("bytes", Align::Right),
        ("GB/s", Align::Right),
        ("Gmul-add/s", Align::Right),
    ];
    let mut table = Table::new(title, &columns);
    for (at, call) in profile.iter().enumerate() {
        let seconds = call.time.as_secs_f64();
        // A call shorter than the clock's step has no rate.
        let rate = |amount: usize| {
            let known = amount > 0 && seconds > 0.0;
            let rate = known.then(|| units::ratio(amount as f64 / seconds / 1e9));
            rate.unwrap_or_else(|| "–".into())
        };
        table.push(vec![
            at.to_string(),
            call.text.clone(),
            units::seconds(seconds),
            format!("{:.1} %", 100.0 * seconds / total.max(f64::MIN_POSITIVE)),
            units::bytes(call.bytes as f64),
            rate(call.bytes),
            rate(call.product_flops),
        ]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn shares_add_up_and_rates_belong_to_times() {
        let call = |micros, bytes, product_flops| InstructionProfile {
            text: "call".into(),
            time: Duration::from_micros(micros),
            bytes,
            product_flops,
        };
        let text = table("net", &[call(30, 60_000, 300_000), call(10, 0, 0)]).to_string();
        for part in [
            "2 kernel calls, 40.0 µs",
            "75.0 %",
            "25.0 %",
            "2.00",
            "10.0",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn every_program_of_a_network_has_kernel_calls() {
        let case = Case::from_name("64-4-10/b8").unwrap();
        for (op, program) in PROGRAMS {
            let calls = profile::<f64>(&case, program).unwrap();
            assert!(calls.iter().any(|call| call.product_flops > 0), "{op:?}");
        }
    }
}
