//! Which statements on numbers are alike.

use rustc_hash::FxHashMap;

use super::marks::{COMMUTES, CONSTANT, Marks, RESHAPED, STATEMENT};
use crate::graph::{Graph, NodeId};
use crate::ops::{Op, elementwise as ew};

/// What a number is a member of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Class {
    /// The elements of an array.
    Elements(NodeId),
    /// A group of equal statements.
    Group(u32),
    /// The constants.
    Constant,
    /// Nothing but itself.
    Itself(NodeId),
}

/// The groups of a program.
pub(super) struct Groups {
    /// Each instruction's group and its place in it.
    pub(super) of: Vec<(Class, usize)>,
    /// The members of each group, in the order of their operands' places. A group's operands belong to
    /// groups before it.
    pub(super) members: Vec<Vec<NodeId>>,
}

/// The one or two operands of a statement; those of sums and products in the order of their classes.
type Arguments = [Option<NodeId>; 2];

impl Groups {
    /// The groups of what `is_free`: is no part of a long sum or product.
    pub(super) fn find(graph: &Graph, marks: &Marks, is_free: impl Fn(NodeId) -> bool) -> Self {
        let numbers = graph.ops().iter().zip(0..);
        let kinds: Vec<u32> = numbers.map(|(op, at)| without_constant(op, at)).collect();
        let mut known: FxHashMap<(u32, [Class; 2]), usize> = FxHashMap::default();
        let mut groups = Self {
            of: graph.ids().map(|id| (Class::Itself(id), 0)).collect(),
            members: Vec::new(),
        };
        for id in marks.all(STATEMENT | CONSTANT | RESHAPED) {
            if let Some((of, at)) = marks.element(graph, id) {
                groups.of[id.index()] = (Class::Elements(of), at);
            } else if marks.has(id, CONSTANT) {
                groups.of[id.index()] = (Class::Constant, 0);
            } else if marks.has(id, STATEMENT) && is_free(id) {
                let class = |x: NodeId| groups.of[x.index()].0;
                let arguments = groups.arguments(graph, marks, id);
                let classes = arguments.map(|x| x.map_or(Class::Constant, class));
                let key = (kinds[graph.op_number(id) as usize], classes);
                let group = *known.entry(key).or_insert(groups.members.len());
                if group == groups.members.len() {
                    groups.members.push(Vec::new());
                }
                // There are fewer groups than instructions.
                groups.of[id.index()] = (Class::Group(group as u32), 0);
                groups.members[group].push(id);
            }
        }
        groups.sort(graph, marks);
        groups
    }

    /// The operands of a statement; those that can change places are in the order of their classes,
    /// so that x·y and y·x are alike.
    pub(super) fn arguments(&self, graph: &Graph, marks: &Marks, id: NodeId) -> Arguments {
        let inputs = graph.inputs(id);
        let &[x, y] = inputs else {
            return [inputs.first().copied(), None];
        };
        let key = |x: NodeId| (self.of[x.index()].0, x);
        if marks.has(id, COMMUTES) && key(y) < key(x) {
            [Some(y), Some(x)]
        } else {
            [Some(x), Some(y)]
        }
    }

    /// Sorts the members of each group by the places of their operands, so that a loop that goes
    /// down reads its arrays upwards like any other. Groups of operands are sorted before.
    fn sort(&mut self, graph: &Graph, marks: &Marks) {
        for group in 0..self.members.len() {
            let mut members = std::mem::take(&mut self.members[group]);
            let key = |id: NodeId| {
                let place = |x: NodeId| self.of[x.index()].1;
                let arguments = self.arguments(graph, marks, id);
                arguments.map(|x| x.map_or(0, place))
            };
            if !members.is_sorted_by_key(|&id| key(id)) {
                members.sort_by_cached_key(|&id| key(id));
            }
            for (place, id) in members.iter().enumerate() {
                self.of[id.index()].1 = place;
            }
            self.members[group] = members;
        }
    }
}

/// A number for what an operation does: multiplications by and additions of constants are alike
/// whatever the constant is.
fn without_constant(op: &Op, number: u32) -> u32 {
    if op.is(&ew::SCALE) {
        u32::MAX
    } else if op.is(&ew::OFFSET) {
        u32::MAX - 1
    } else {
        number
    }
}
