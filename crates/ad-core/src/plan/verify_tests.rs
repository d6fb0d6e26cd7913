//! Tests of the test: plans that reach outside of their memory are refused, each address in turn, and
//! so are buffers that overlap while both are in use.

use super::memory::{Interval, assign};
use super::verify::{Lives, addresses};
use super::{Instr, Loc, Plan, Space, Step, compile};
use crate::graph::{Graph, NodeId};
use crate::ops::{Op, elementwise as ew, indexed};
use crate::shape::Shape;
use proptest::prelude::*;

/// A program with every kind of instruction, and operands read in every way: whole, strided, as a
/// repeated row, as one repeated number, from constants, and in place.
fn plan() -> Plan<f64> {
    let mut graph = Graph::default();
    let weights = graph.input(0, &Shape::new(&[300]));
    let data = graph.input(1, &Shape::new(&[30, 20]));
    let bias = graph.input(2, &Shape::new(&[256]));
    let matrix = graph.reshape(weights, &Shape::new(&[20, 15]));
    let product = graph.matmul(data, matrix);
    let activated = graph.map1(&ew::TANH, product);
    let turned = graph.permute(activated, &[1, 0]);
    let constants = graph.constant(vec![0.5; 450], &Shape::new(&[15, 30]));
    let scaled = graph.mul(turned, constants);
    let rows = graph.sum(scaled, &[1]);
    let columns = graph.sum(activated, &[1]);
    let placed = graph.place(0, 60, &[(3, rows), (25, columns)]);
    let wide = Shape::new(&[4, 256]);
    let row = graph.broadcast_to(bias, &wide);
    let first = graph.slice(bias, 0, 7, 1);
    let number = graph.broadcast_to(first, &wide);
    let stretched = graph.map2(&ew::DIV, row, number);
    let turned = graph.permute(product, &[1, 0]);
    let flat = graph.reshape(turned, &Shape::new(&[450]));
    let square = graph.map1(&ew::SQUARE, placed);
    let taken = graph.gather(activated, 0, &[29, 0, 3]);
    let added = {
        let like = Op::new(&indexed::SCATTER_ADD, graph.op(taken).attr.clone());
        graph.push(like, [taken].as_slice().into())
    };
    let factors = graph.slice(columns, 0, 0, 29);
    let recurrence = graph.recurrence(factors, columns);
    let outputs = [placed, stretched, flat, square, added, recurrence];
    compile(&graph, &outputs, 3).unwrap()
}

/// Every address of an instruction, and whether it is written to.
fn addresses_of(instr: &mut Instr<f64>) -> Vec<(&mut Loc, bool)> {
    match instr {
        Instr::Map { steps, .. } => {
            let of = |step| match step {
                &mut Step::Run {
                    ref mut dst,
                    ref mut a,
                    ref mut b,
                    ..
                } => vec![(&mut dst.at, true), (&mut a.at, false), (&mut b.at, false)],
                Step::Twin {
                    first, second, a, ..
                } => vec![
                    (&mut first.at, true),
                    (&mut second.at, true),
                    (&mut a.at, false),
                ],
                Step::Gather(gather) => {
                    vec![(&mut gather.to, true), (&mut gather.from, false)]
                }
            };
            steps.iter_mut().flat_map(of).collect()
        }
        Instr::MatMul { a, b, c, .. } => vec![(a, false), (b, false), (c, true)],
        Instr::Reduce { from, to, .. } | Instr::Copy { from, to, .. } => {
            vec![(from, false), (to, true)]
        }
        Instr::Indexed { from, to, .. } => vec![(from, false), (to, true)],
        Instr::Recurrence { a, b, to, .. } => vec![(a, false), (b, false), (to, true)],
        Instr::Rows {
            from: [x, v],
            to: [first, second],
            ..
        } => vec![(x, false), (v, false), (first, true), (second, true)],
        Instr::Zero { to, .. } => vec![(to, true)],
    }
}

fn space_len(plan: &Plan<f64>, space: Space) -> usize {
    let spaces = [plan.arena, plan.scratch, plan.constants.len()];
    let mut all = spaces.iter().chain(&plan.inputs).chain(&plan.outputs);
    *all.nth(usize::from(space.0)).unwrap()
}

#[test]
fn every_address_is_checked() {
    let mut plan = plan();
    assert_eq!(addresses(&plan), Ok(()));
    let mut n_checked = 0;
    for at in 0..plan.instrs.len() {
        for which in 0..addresses_of(&mut plan.instrs[at]).len() {
            let mut changed = plan.clone();
            let (loc, _) = addresses_of(&mut changed.instrs[at]).swap_remove(which);
            let space = loc.space();
            *loc = Loc::new(space, space_len(&plan, space));
            assert!(addresses(&changed).is_err(), "{at}, {which}: past the end");
            let mut changed = plan.clone();
            let (loc, _) = addresses_of(&mut changed.instrs[at]).swap_remove(which);
            *loc = Loc::new(Space(u16::MAX), 0);
            assert!(addresses(&changed).is_err(), "{at}, {which}: no such space");
            n_checked += 1;
        }
    }
    assert!(n_checked > 20, "{n_checked}");
}

#[test]
fn nothing_is_written_to_inputs_and_constants() {
    let mut plan = plan();
    for at in 0..plan.instrs.len() {
        for which in 0..addresses_of(&mut plan.instrs[at]).len() {
            for space in [Space::CONSTANTS, Space(Space::FIRST_INPUT)] {
                // Long enough, so that the length is not what is wrong.
                let mut changed = plan.clone();
                changed.constants = vec![0.0; 10_000];
                changed.inputs[0] = 10_000;
                let (loc, written) = addresses_of(&mut changed.instrs[at]).swap_remove(which);
                *loc = Loc::new(space, 0);
                if written {
                    assert!(addresses(&changed).is_err(), "{at}, {which}");
                }
            }
        }
    }
}

#[test]
fn spaces_that_are_shorter_than_they_are_used_are_refused() {
    let whole = plan();
    let shorter: [fn(&mut Plan<f64>); 6] = [
        |plan| plan.arena = 0,
        |plan| plan.scratch = 0,
        |plan| plan.constants.truncate(449),
        |plan| plan.inputs[1] -= 1,
        |plan| plan.outputs[0] -= 1,
        |plan| plan.outputs[3] -= 1,
    ];
    for shorten in shorter {
        let mut plan = whole.clone();
        shorten(&mut plan);
        assert!(addresses(&plan).is_err());
    }
}

#[test]
fn results_over_operands_are_refused() {
    let whole = plan();
    let mut n_checked = 0;
    for at in 0..whole.instrs.len() {
        let mut plan = whole.clone();
        // Long enough for either.
        plan.arena = 10_000;
        let over = match &mut plan.instrs[at] {
            Instr::MatMul { a, c, .. } => {
                (*a, *c) = (Loc::new(Space::ARENA, 5), Loc::new(Space::ARENA, 0));
                true
            }
            Instr::Reduce { from, to, .. } => {
                (*from, *to) = (Loc::new(Space::ARENA, 0), Loc::new(Space::ARENA, 3));
                true
            }
            Instr::Copy { from, to, .. } | Instr::Indexed { from, to, .. } => {
                (*from, *to) = (Loc::new(Space::ARENA, 0), Loc::new(Space::ARENA, 1));
                true
            }
            Instr::Recurrence { b, to, .. } => {
                (*b, *to) = (Loc::new(Space::ARENA, 0), Loc::new(Space::ARENA, 1));
                true
            }
            Instr::Rows { from, to, .. } => {
                *from = [Loc::new(Space::ARENA, 0); 2];
                *to = [Loc::new(Space::ARENA, 1); 2];
                true
            }
            // Read one element behind of where it is stored.
            Instr::Map { steps, .. } => match &mut steps[..] {
                [.., Step::Run { dst, a, .. }] if a.motion == dst.motion => {
                    dst.at = Loc::new(Space::ARENA, 1);
                    a.at = Loc::new(Space::ARENA, 0);
                    true
                }
                _ => false,
            },
            Instr::Zero { .. } => false,
        };
        assert_eq!(addresses(&plan).is_err(), over, "{at}");
        n_checked += usize::from(over);
    }
    assert!(n_checked > 4, "{n_checked}");
}

fn interval(buffer: usize, len: usize, first: u32, last: u32) -> Interval {
    Interval {
        buffer: NodeId::from_index(buffer),
        len,
        first,
        last,
        takes_over: None,
    }
}

/// The lives of buffers that are used at the begin and the end of their intervals.
fn lives(intervals: &[Interval]) -> Lives {
    let mut lives = Lives::new(intervals.len());
    let last = intervals.iter().map(|interval| interval.last).max();
    for at in 0..=last.unwrap_or(0) {
        for interval in intervals {
            if at == interval.first || at == interval.last {
                lives.touch(interval.buffer, at as usize);
            }
        }
    }
    lives
}

proptest! {
    /// The layout that planning makes passes; with any buffer moved onto one that is in use at the
    /// same time, it does not.
    #[test]
    fn buffers_that_are_alive_together_may_not_overlap(
        raw in prop::collection::vec((1_usize..50, 0_u32..20, 0_u32..10), 2..30),
        which in any::<prop::sample::Index>(),
    ) {
        let intervals: Vec<_> = raw
            .iter()
            .enumerate()
            .map(|(i, &(len, first, life))| interval(i, len, first, first + life))
            .collect();
        let offsets = assign(&intervals, 8).unwrap().offsets;
        let lives = lives(&intervals);
        let check = |offsets: &[usize]| {
            let place = |id: NodeId| Some((offsets[id.index()], intervals[id.index()].len));
            lives.check(place, |_| None)
        };
        prop_assert_eq!(check(&offsets), Ok(()));
        let moved = which.index(intervals.len());
        for other in 0..intervals.len() {
            let (a, b) = (&intervals[moved], &intervals[other]);
            if other != moved && a.first <= b.last && b.first <= a.last {
                let mut offsets = offsets.clone();
                offsets[moved] = offsets[other] + b.len - 1;
                prop_assert!(check(&offsets).is_err(), "{} over {}", moved, other);
            }
        }
    }
}

#[test]
fn memory_is_taken_over_in_the_last_call_that_reads_it_alone() {
    let [old, new] = [0, 1].map(NodeId::from_index);
    let place = |_| Some((0, 10));
    let taken_from = |id| (id == new).then_some(old);
    let run = |reads_after: bool| {
        let mut lives = Lives::new(2);
        lives.touch(old, 0);
        lives.touch(old, 1);
        lives.end(old);
        lives.touch(new, 1);
        if reads_after {
            lives.touch(old, 1);
        }
        lives.touch(new, 2);
        lives
    };
    assert_eq!(run(false).check(place, taken_from), Ok(()));
    assert!(run(false).check(place, |_| None).is_err(), "nobody said so");
    assert!(
        run(true).check(place, taken_from).is_err(),
        "read afterwards"
    );
}
