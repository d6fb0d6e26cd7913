//! Simplification against no simplification, over random programs with constants across the whole range
//! of exponents: where every value of the program as it was written is a normal number, so that it loses no
//! digits, the simplified program is right too. (Where a value is subnormal, errors may cancel by luck: a
//! subnormal s makes of s/s exactly 1.)

use std::cell::Cell;

use proptest::prelude::*;
use proptest::test_runner::TestRunner;

use crate::execute::{self, Memory};
use crate::graph::{Graph, NodeId, Precision};
use crate::ops::{Attr, Op, elementwise as ew, reduce};
use crate::plan::{self, Plan};
use crate::real::Real;
use crate::shape::Shape;

/// A number m·2ᵉ with m in [1, 2) or 0, whose exponent knows no bounds. A reference needs no more digits than
/// the tolerance leaves.
#[derive(Clone, Copy, Debug)]
struct Wide {
    m: f64,
    e: i64,
}

impl Wide {
    fn new(m: f64, e: i64) -> Self {
        if m == 0.0 {
            return Self { m, e: 0 };
        }
        // Of a normal number, which all of these are.
        let shift = (m.to_bits() >> 52 & 0x7ff) as i64 - 1023;
        Self {
            m: m * 2.0_f64.powi(-shift as i32),
            e: e + shift,
        }
    }

    fn times(self, other: Self) -> Self {
        Self::new(self.m * other.m, self.e + other.e)
    }

    fn over(self, other: Self) -> Self {
        Self::new(self.m / other.m, self.e - other.e)
    }

    fn plus(self, other: Self) -> Self {
        let (large, small) = if self.e >= other.e {
            (self, other)
        } else {
            (other, self)
        };
        let shift = (small.e - large.e).max(-100);
        Self::new(large.m + small.m * 2.0_f64.powi(shift as i32), large.e)
    }

    /// Whether this is a normal number of a type, and not next to the ends of its range.
    fn is_normal<T: Real>(self) -> bool {
        let low = Self::new(T::min_positive_value().as_f64(), 0).e;
        let high = Self::new(T::max_value().as_f64(), 0).e;
        self.m != 0.0 && self.m.is_finite() && low < self.e && self.e < high
    }

    /// Whether `found` is this number to within a relative error.
    fn is(self, found: f64, tolerance: f64) -> bool {
        found.is_normal() && {
            let found = Self::new(found, 0);
            let shift = found.e - self.e;
            shift.abs() <= 1 && {
                let m = found.m * 2.0_f64.powi(shift as i32);
                (m - self.m).abs() <= tolerance * self.m.abs()
            }
        }
    }
}

/// A statement about values that all have the same sign, so that no sum cancels.
#[derive(Clone, Debug)]
enum Statement {
    Scale(f64),
    /// By a constant, which is a number like any other in the program.
    Over(f64),
    Under(f64),
    Negate,
    Times(usize),
    DividedBy(usize),
    Add(usize),
    Square,
    Recip,
}

fn statement(span: i32) -> impl Strategy<Value = Statement> {
    let constant = move || {
        ((-span..=span), 0_u8..4, 1.0..2.0_f64)
            .prop_map(|(e, kind, m)| if kind == 0 { 1.0 } else { m } * 2.0_f64.powi(e))
    };
    prop_oneof![
        4 => constant().prop_map(Statement::Scale),
        2 => constant().prop_map(Statement::Over),
        1 => constant().prop_map(Statement::Under),
        1 => Just(Statement::Negate),
        2 => (0_usize..8).prop_map(Statement::Times),
        2 => (0_usize..8).prop_map(Statement::DividedBy),
        2 => (0_usize..8).prop_map(Statement::Add),
        2 => Just(Statement::Square),
        1 => Just(Statement::Recip),
    ]
}

/// How a program ends.
#[derive(Clone, Copy, Debug)]
enum End {
    Elements,
    Sum,
    Mean,
}

/// Pushes the statements; values are counted from the input on.
fn build(graph: &mut Graph, statements: &[Statement], n: usize, end: End) -> NodeId {
    let shape = Shape::new(&[n]);
    let mut values = vec![graph.input(0, &shape)];
    let negative = signs(statements);
    for statement in statements {
        let last = values[values.len() - 1];
        let pick = |at: &usize| values[at % values.len()];
        values.push(match statement {
            Statement::Scale(c) => {
                let c = graph.full(*c, &shape);
                graph.map2(&ew::MUL, c, last)
            }
            Statement::Over(c) => {
                let c = graph.full(*c, &shape);
                graph.map2(&ew::DIV, last, c)
            }
            Statement::Under(c) => {
                let c = graph.full(*c, &shape);
                graph.map2(&ew::DIV, c, last)
            }
            Statement::Negate => graph.neg(last),
            Statement::Times(at) => graph.mul(last, pick(at)),
            Statement::DividedBy(at) => graph.map2(&ew::DIV, last, pick(at)),
            Statement::Add(at) => {
                // The sign of each value is known: a negative one is subtracted.
                let (a, b) = (last, pick(at));
                if negative[values.len() - 1] == negative[at % values.len()] {
                    graph.add(a, b)
                } else {
                    graph.map2(&ew::SUB, a, b)
                }
            }
            Statement::Square => graph.map1(&ew::SQUARE, last),
            Statement::Recip => graph.map1(&ew::RECIP, last),
        });
    }
    let last = values[values.len() - 1];
    match end {
        End::Elements => last,
        End::Sum => graph.sum(last, &[0]),
        End::Mean => {
            let op = Op::new(&reduce::MEAN, Attr::ints(&[0]));
            graph.push(op, [last].as_slice().into())
        }
    }
}

/// Whether each value is negative: inputs and constants are positive.
fn signs(statements: &[Statement]) -> Vec<bool> {
    let mut negative = vec![false];
    for statement in statements {
        let last = negative[negative.len() - 1];
        let pick = |at: &usize| negative[at % negative.len()];
        negative.push(match statement {
            Statement::Negate => !last,
            Statement::Times(at) | Statement::DividedBy(at) => last != pick(at),
            Statement::Square => false,
            _ => last,
        });
    }
    negative
}

/// The value, if it and all before it are normal numbers of the type.
fn exact<T: Real>(statements: &[Statement], x: f64) -> Option<Wide> {
    let mut values = vec![Wide::new(x, 0)];
    let constants = statements.iter().all(|statement| match statement {
        Statement::Scale(c) | Statement::Over(c) | Statement::Under(c) => {
            Wide::new(T::of(*c).as_f64(), 0).is_normal::<T>()
        }
        _ => true,
    });
    if !constants {
        return None;
    }
    for statement in statements {
        let last = values[values.len() - 1];
        let constant = |c: f64| Wide::new(T::of(c).as_f64(), 0);
        let pick = |at: &usize| values[at % values.len()];
        values.push(match statement {
            Statement::Scale(c) => last.times(constant(*c)),
            Statement::Over(c) => last.over(constant(*c)),
            Statement::Under(c) => constant(*c).over(last),
            Statement::Negate => Wide::new(-last.m, last.e),
            Statement::Times(at) => last.times(pick(at)),
            Statement::DividedBy(at) => last.over(pick(at)),
            Statement::Add(at) => {
                let other = pick(at);
                let same = (last.m < 0.0) == (other.m < 0.0);
                last.plus(if same {
                    other
                } else {
                    Wide::new(-other.m, other.e)
                })
            }
            Statement::Square => last.times(last),
            Statement::Recip => Wide::new(1.0, 0).over(last),
        });
    }
    let normal = values.iter().all(|value| value.is_normal::<T>());
    normal.then(|| values[values.len() - 1])
}

fn run<T: Real>(statements: &[Statement], x: &[f64], end: End, literal: bool) -> Vec<f64> {
    let mut graph = Graph::default();
    graph.precision = Precision::of::<T>();
    graph.literal = literal;
    let output = build(&mut graph, statements, x.len(), end);
    let plan: Plan<T> = plan::compile(&graph, &[output], 1).unwrap();
    let x: Vec<T> = x.iter().map(|&x| T::of(x)).collect();
    let mut out = vec![T::nan(); plan.outputs[0]];
    execute::run(&plan, &mut Memory::new(), &[&x], &mut [&mut out]).unwrap();
    out.iter().map(|y| y.as_f64()).collect()
}

/// What is drawn for a statement: one, and by which number the last value is multiplied to which size
/// where that one leaves the range.
type Drawn = (Statement, (i32, f64));

/// The statements, in place of those that leave the range of the type others that stay in it.
fn in_range<T: Real>(drawn: &[Drawn], x: &[f64]) -> Vec<Statement> {
    let mut kept: Vec<Statement> = Vec::new();
    let fits = |kept: &[Statement]| x.iter().all(|&x| exact::<T>(kept, x).is_some());
    for (statement, (size, m)) in drawn {
        kept.push(statement.clone());
        if fits(&kept) {
            continue;
        }
        kept.pop();
        let last = exact::<T>(&kept, x[0]).map_or(0, |last| last.e);
        let most = Wide::new(T::max_value().as_f64(), 0).e - 2;
        let exponent = (i64::from(*size) - last).clamp(-most, most);
        kept.push(Statement::Scale(m * 2.0_f64.powi(exponent as i32)));
        if !fits(&kept) {
            kept.pop();
            kept.push(Statement::Negate);
        }
    }
    kept
}

/// Where all values are normal numbers, the program is right without rewritings and with them. Says
/// whether they are.
fn check<T: Real>(drawn: &[Drawn], x: &[f64], end: End) -> Result<bool, TestCaseError> {
    // Ten statements, each with a rounding or two that squares double.
    let tolerance = 2048.0 * T::epsilon().as_f64();
    let x: Vec<f64> = x.iter().map(|&x| T::of(x).as_f64()).collect();
    let statements = &in_range::<T>(drawn, &x)[..];
    let terms = x.iter().map(|&x| exact::<T>(statements, x));
    let Some(terms) = terms.collect::<Option<Vec<Wide>>>() else {
        return Ok(false);
    };
    let sum = terms[1..]
        .iter()
        .fold(terms[0], |sum, term| sum.plus(*term));
    let expected = match end {
        End::Elements => terms,
        End::Sum if sum.is_normal::<T>() => vec![sum],
        End::Sum => return Ok(false),
        End::Mean => vec![sum.over(Wide::new(terms.len() as f64, 0))],
    };
    for literal in [true, false] {
        let found = run::<T>(statements, &x, end, literal);
        for (exact, found) in expected.iter().zip(found) {
            prop_assert!(
                exact.is(found, tolerance),
                "{}, literally: {literal}: {found:e}, not {exact:?}",
                T::NAME
            );
        }
    }
    Ok(true)
}

fn end() -> impl Strategy<Value = End> {
    prop_oneof![Just(End::Elements), Just(End::Sum), Just(End::Mean)]
}

fn numbers(span: i32) -> impl Strategy<Value = Vec<f64>> {
    // Terms of a size, so that sums are of more than one of them.
    (
        -span..=span,
        prop::collection::vec((0..4, 1.0..2.0_f64), 2..40),
    )
        .prop_map(|(e, all)| all.iter().map(|(d, m)| m * 2.0_f64.powi(e + d)).collect())
}

/// Compares programs with constants up to 2^`span` and inputs up to 2^`x_span`, and counts those of which
/// there is nothing to compare.
fn rewriting_keeps_what_is_right<T: Real>(span: i32, x_span: i32) {
    let (n_compared, n_skipped) = (Cell::new(0), Cell::new(0));
    let drawn = (statement(span), (-span..=span, 1.0..2.0_f64));
    let programs = (prop::collection::vec(drawn, 1..10), numbers(x_span), end());
    let mut runner = TestRunner::new(ProptestConfig {
        source_file: Some(file!()),
        ..ProptestConfig::default()
    });
    let result = runner.run(&programs, |(drawn, x, end)| {
        let compared = check::<T>(&drawn, &x, end)?;
        let count = if compared { &n_compared } else { &n_skipped };
        count.set(count.get() + 1);
        Ok(())
    });
    let (n_compared, n_skipped) = (n_compared.get(), n_skipped.get());
    println!("{}: {n_compared} compared, {n_skipped} skipped", T::NAME);
    if let Err(error) = result {
        panic!("{error}");
    }
    assert!(n_skipped * 10 < n_compared, "{n_skipped} of {n_compared}");
}

#[test]
fn rewriting_keeps_what_is_right_in_double_precision() {
    rewriting_keeps_what_is_right::<f64>(1020, 1000);
}

#[test]
fn rewriting_keeps_what_is_right_in_single_precision() {
    rewriting_keeps_what_is_right::<f32>(140, 120);
}
