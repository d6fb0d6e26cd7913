//! Every pass takes in proportion to the program: instructions, steps and bytes, counted over a
//! catalogue of shapes at three sizes.

#![allow(clippy::unwrap_used, reason = "the catalogue is shared with tests")]

use std::ops::RangeInclusive;

use super::{Compiled, Function, Product};
use crate::plan::{Instr, Plan};
use catalogue::{SHAPES, Shape};

#[path = "../../tests/common/catalogue.rs"]
mod catalogue;

/// So large that what every plan takes does not count.
const SIZES: [usize; 3] = [1600, 3200, 6400];

/// What a program takes.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    /// Instructions of the graph that is planned.
    nodes: usize,
    /// Kernel calls and steps of fused chains.
    steps: usize,
    /// Workspace, constants, and the calls with their steps.
    bytes: usize,
}

impl Counts {
    fn of(compiled: &Compiled<f64>) -> Self {
        let plan = &compiled.plan;
        let steps = steps(plan);
        let constants = plan.constants.len() * size_of::<f64>();
        Self {
            nodes: compiled.n_nodes,
            steps,
            bytes: plan.workspace_bytes() + constants + calls(plan),
        }
    }

    fn add(&mut self, other: Self) {
        self.nodes += other.nodes;
        self.steps += other.steps;
        self.bytes += other.bytes;
    }
}

fn steps(plan: &Plan<f64>) -> usize {
    let of = |instr: &Instr<f64>| match instr {
        Instr::Map { steps, .. } => steps.len(),
        _ => 1,
    };
    plan.instrs.iter().map(of).sum()
}

/// The bytes of all kernel calls.
fn calls(plan: &Plan<f64>) -> usize {
    let boxed = |instr: &Instr<f64>| match instr {
        Instr::Map { steps, text, .. } => size_of_val(&**steps) + text.len(),
        Instr::MatMul { shape, .. } => size_of_val(&**shape),
        Instr::Reduce { job, .. } => size_of_val(&**job),
        Instr::Indexed { job, .. } => size_of_val(&**job),
        Instr::Recurrence { job, .. } => size_of_val(&**job),
        Instr::Rows { job, .. } => size_of_val(&**job),
        Instr::Copy { job, .. } | Instr::Zero { job, .. } => size_of_val(&**job),
    };
    let bytes = plan
        .instrs
        .iter()
        .map(|instr| size_of_val(instr) + boxed(instr));
    bytes.sum()
}

/// Every program of a function by name, planned.
fn programs(f: &Function<f64>) -> Vec<(&'static str, Counts)> {
    let linearized = f.linearized_programs(false).unwrap();
    let mut all = vec![
        ("value", Counts::of(f.value_program().unwrap())),
        ("gradient", Counts::of(f.gradient_program().unwrap())),
        ("jvp", Counts::of(f.jvp_program().unwrap())),
        ("vjp", Counts::of(f.vjp_program().unwrap())),
        ("hvp", Counts::of(f.hvp_program().unwrap())),
        ("linearize", Counts::of(&linearized.primal)),
    ];
    let products = [
        ("linearized hvp", Product::Hvp),
        ("linearized jvp", Product::Jvp),
        ("linearized vjp", Product::Vjp),
    ];
    for (name, product) in products {
        let single = linearized.single(product).unwrap().map(Counts::of);
        all.push((name, single.unwrap_or_default()));
    }
    let block = linearized.block(Product::Hvp, 4).unwrap();
    let block = block.map(|block| Counts::of(&block));
    all.push(("a block of products", block.unwrap_or_default()));
    let panels = f.panel_programs(false).unwrap();
    let mut hessian = Counts::of(&panels.primal);
    for (_, panel) in &panels.panels {
        if let Some(block) = panel.block(4).unwrap() {
            hessian.add(Counts::of(&block));
        }
    }
    all.push(("dense Hessian", hessian));
    all
}

/// The exponents of growth from each size to the next.
fn exponents(counts: [usize; 3]) -> [f64; 2] {
    let exponent = |from: usize, to: usize| (to as f64 / from as f64).log2();
    [
        exponent(counts[0], counts[1]),
        exponent(counts[1], counts[2]),
    ]
}

/// What grows faster than its program, or does not grow where it should.
fn failures(shape: &Shape, allowed: RangeInclusive<f64>) -> Vec<String> {
    let sizes = SIZES.map(|n| programs(&(shape.record)(n)));
    let mut failures = Vec::new();
    for (which, (program, _)) in sizes[0].iter().enumerate() {
        let of = |count: fn(&Counts) -> usize| [0, 1, 2].map(|at| count(&sizes[at][which].1));
        let counts = [
            ("nodes", of(|counts| counts.nodes)),
            ("steps", of(|counts| counts.steps)),
            ("bytes", of(|counts| counts.bytes)),
        ];
        for (what, counts) in counts {
            // Some products are as short for any size: coefficients of a chain are multiplied before.
            if counts == [counts[0]; 3] {
                continue;
            }
            let exponents = exponents(counts);
            // Vectors get longer instead: of them there are as many for any size.
            let least = if shape.rolls {
                f64::MIN
            } else {
                *allowed.start()
            };
            let fits = |exponent: &f64| (least..=*allowed.end()).contains(exponent);
            if !exponents.iter().all(fits) {
                let name = shape.name;
                failures.push(format!(
                    "{name}, {program}, {what}: {counts:?} {exponents:.2?}"
                ));
            }
        }
    }
    failures
}

#[test]
fn every_program_takes_in_proportion_to_what_was_recorded() {
    let failures: Vec<_> = SHAPES
        .iter()
        .flat_map(|shape| failures(shape, 0.95..=1.05))
        .collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
