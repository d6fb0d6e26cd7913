//! Which statements on numbers are alike.

use std::cmp::Ordering;

use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use crate::graph::{Graph, NodeId};
use crate::ops::elementwise as ew;
use crate::ops::{Lowering, layout, source};

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

/// The operands of a statement; those of sums and products in the order of their classes.
type Arguments = SmallVec<[NodeId; 2]>;

impl Groups {
    /// The groups of what `is_free`: is no part of a long sum or product.
    pub(super) fn find(graph: &Graph, needed: &[bool], is_free: impl Fn(NodeId) -> bool) -> Self {
        let mut known: FxHashMap<(u32, [Class; 2]), usize> = FxHashMap::default();
        let mut groups = Self {
            of: graph.ids().map(|id| (Class::Itself(id), 0)).collect(),
            members: Vec::new(),
        };
        for id in graph.ids().filter(|id| needed[id.index()]) {
            if let Some((of, at)) = element(graph, id) {
                groups.of[id.index()] = (Class::Elements(of), at);
            } else if graph.op(id).is(&source::SCALAR) {
                groups.of[id.index()] = (Class::Constant, 0);
            } else if is_statement(graph, id) && is_free(id) {
                let class = |x: &NodeId| groups.of[x.index()].0;
                let arguments = groups.arguments(graph, id);
                let classes = [0, 1].map(|at| arguments.get(at).map_or(Class::Constant, class));
                let key = (without_constant(graph, id), classes);
                let group = *known.entry(key).or_insert(groups.members.len());
                if group == groups.members.len() {
                    groups.members.push(Vec::new());
                }
                // There are fewer groups than instructions.
                groups.of[id.index()] = (Class::Group(group as u32), 0);
                groups.members[group].push(id);
            }
        }
        groups.sort(graph);
        groups
    }

    /// The operands of a statement; those that can change places are in the order of their classes,
    /// so that x·y and y·x are alike.
    pub(super) fn arguments(&self, graph: &Graph, id: NodeId) -> Arguments {
        let (op, inputs) = (graph.op(id), graph.inputs(id));
        let mut arguments = Arguments::from_slice(inputs);
        if op.is(&ew::ADD) || op.is(&ew::MUL) {
            let key = |at: usize| (self.of[inputs[at].index()].0, inputs[at]);
            if key(1) < key(0) {
                arguments.swap(0, 1);
            }
        }
        arguments
    }

    /// Sorts the members of each group by the places of their operands, so that a loop that goes
    /// down reads its arrays upwards like any other. Groups of operands are sorted before.
    fn sort(&mut self, graph: &Graph) {
        for group in 0..self.members.len() {
            let mut members = std::mem::take(&mut self.members[group]);
            let key = |id: NodeId| {
                let arguments = self.arguments(graph, id);
                let place = |x: &NodeId| self.of[x.index()].1;
                [0, 1].map(|at| arguments.get(at).map_or(0, place))
            };
            let keys: Vec<_> = members.iter().map(|&id| key(id)).collect();
            if keys
                .windows(2)
                .any(|pair| pair[0].cmp(&pair[1]) == Ordering::Greater)
            {
                members.sort_by_cached_key(|&id| key(id));
            }
            for (place, id) in members.iter().enumerate() {
                self.of[id.index()].1 = place;
            }
            self.members[group] = members;
        }
    }
}

/// Whether an instruction is an elementwise one on single numbers.
pub(super) fn is_statement(graph: &Graph, id: NodeId) -> bool {
    graph.shape(id).rank() == 0 && matches!(graph.op(id).def().lowering(), Lowering::Map(_))
}

/// The array and the position, if an instruction is one element of a vector.
fn element(graph: &Graph, id: NodeId) -> Option<(NodeId, usize)> {
    if graph.shape(id).rank() != 0 || !graph.op(id).is(&layout::RESHAPE) {
        return None;
    }
    slice_of_one(graph, graph.inputs(id)[0])
}

/// The array and the position, if an instruction cuts one element out of a vector.
pub(super) fn slice_of_one(graph: &Graph, id: NodeId) -> Option<(NodeId, usize)> {
    let op = graph.op(id);
    let one = op.is(&layout::SLICE) && graph.shape(id).dims() == [1];
    one.then(|| (graph.inputs(id)[0], op.attr.as_ints()[1]))
}

/// A number for what an instruction does: multiplications by and additions of constants are alike
/// whatever the constant is.
fn without_constant(graph: &Graph, id: NodeId) -> u32 {
    let op = graph.op(id);
    if op.is(&ew::SCALE) {
        u32::MAX
    } else if op.is(&ew::OFFSET) {
        u32::MAX - 1
    } else {
        graph.op_number(id)
    }
}
