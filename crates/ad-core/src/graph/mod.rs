//! The program as data: a list of instructions in static single assignment form.
//!
//! A graph only grows. An instruction refers to earlier ones, so the order of the list is an order
//! of execution; equal instructions are merged as they are pushed, and each primitive simplifies
//! itself where its operands allow.

mod build;
mod display;
mod splice;
mod store;

use std::num::NonZeroU32;
use std::panic::Location;
use std::sync::Arc;

use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use crate::ops::Op;
use crate::ops::custom::CustomRule;
use crate::shape::Shape;
use store::Store;

pub(crate) use splice::{splice, without_variables};

/// The index of an instruction in its graph. Never zero inside, so that an absent one takes no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct NodeId(NonZeroU32);

impl NodeId {
    #[inline]
    pub(crate) fn index(self) -> usize {
        self.0.get() as usize - 1
    }

    #[inline]
    pub(crate) fn from_index(index: usize) -> Self {
        let number = u32::try_from(index + 1).ok().and_then(NonZeroU32::new);
        Self(number.expect("a graph holds fewer than 2³² instructions"))
    }
}

pub(crate) type Operands = SmallVec<[NodeId; 2]>;

/// One instruction: an operation, its operands, and the shape of its result.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NodeRef<'g> {
    pub(crate) op: &'g Op,
    pub(crate) inputs: &'g [NodeId],
    pub(crate) shape: &'g Shape,
}

impl NodeRef<'_> {
    /// The instruction as it was when the graph is about to grow.
    pub(crate) fn to_owned(self) -> Node {
        Node {
            op: self.op.clone(),
            inputs: Operands::from_slice(self.inputs),
            shape: self.shape.clone(),
        }
    }
}

/// A copy of an instruction.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) op: Op,
    pub(crate) inputs: Operands,
    pub(crate) shape: Shape,
}

/// The type that a program is for, as far as it decides which rewritings are exact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Precision {
    Single,
    #[default]
    Double,
}

impl Precision {
    /// The precision of a type.
    pub(crate) fn of<T: crate::real::Real>() -> Self {
        if size_of::<T>() == size_of::<f32>() {
            Self::Single
        } else {
            Self::Double
        }
    }

    /// The nearest number of the type.
    pub(crate) fn round(self, value: f64) -> f64 {
        match self {
            Self::Single => f64::from(value as f32),
            Self::Double => value,
        }
    }

    /// Whether the type has a normal number next to a value.
    pub(crate) fn is_normal(self, value: f64) -> bool {
        match self {
            Self::Single => (value as f32).is_normal(),
            Self::Double => value.is_normal(),
        }
    }
}

/// A list of instructions; see the module's text.
#[derive(Clone, Default, Debug)]
pub(crate) struct Graph {
    pub(crate) precision: Precision,
    /// Takes instructions as they are, so that tests can compare what simplifying them changes.
    #[cfg(test)]
    pub(crate) literal: bool,
    store: Store,
    /// The arrays of constant instructions.
    arrays: Vec<Arc<Vec<f64>>>,
    /// The lists of positions, equal ones once.
    lists: Vec<Arc<[u32]>>,
    /// The number of each list. Only ever looked up, never iterated.
    known_lists: FxHashMap<Arc<[u32]>, usize>,
    /// The caller's line for instructions that came from recording; derivatives come after them.
    sites: Vec<Option<&'static Location<'static>>>,
    /// The derivatives that users stated.
    rules: Vec<Arc<CustomRule>>,
    /// How many variables and placeholders were made; each has a number of its own.
    n_marks: usize,
}

impl Graph {
    /// The most instructions.
    pub(crate) const MAX_NODES: usize = Store::MAX_NODES;

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.store.len()
    }

    #[inline]
    pub(crate) fn node(&self, id: NodeId) -> NodeRef<'_> {
        self.store.node(id)
    }

    #[inline]
    pub(crate) fn op(&self, id: NodeId) -> &Op {
        self.store.op(id)
    }

    /// The operations of all instructions, equal ones once, by [`Self::op_number`].
    pub(crate) fn ops(&self) -> &[Op] {
        self.store.ops()
    }

    /// A number that instructions of equal operations have in common.
    #[inline]
    pub(crate) fn op_number(&self, id: NodeId) -> u32 {
        self.store.op_number(id)
    }

    #[inline]
    pub(crate) fn inputs(&self, id: NodeId) -> &[NodeId] {
        self.store.inputs(id)
    }

    #[inline]
    pub(crate) fn shape(&self, id: NodeId) -> &Shape {
        self.store.shape(id)
    }

    pub(crate) fn ids(&self) -> impl DoubleEndedIterator<Item = NodeId> + use<> {
        (0..self.len()).map(NodeId::from_index)
    }

    pub(crate) fn array(&self, index: usize) -> &[f64] {
        &self.arrays[index]
    }

    pub(crate) fn list(&self, index: usize) -> &Arc<[u32]> {
        &self.lists[index]
    }

    /// The number of a list of positions.
    ///
    /// # Panics
    /// If a position does not fit into 32 bits: an axis of so many elements would take gigabytes.
    pub(crate) fn list_of(&mut self, positions: &[usize]) -> usize {
        let position = |&at: &usize| u32::try_from(at).expect("fewer than 2³² positions");
        self.known_list(&positions.iter().map(position).collect())
    }

    fn known_list(&mut self, list: &Arc<[u32]>) -> usize {
        *self.known_lists.entry(Arc::clone(list)).or_insert_with(|| {
            self.lists.push(Arc::clone(list));
            self.lists.len() - 1
        })
    }

    /// Whether instructions are taken as they are.
    pub(crate) fn is_literal(&self) -> bool {
        #[cfg(test)]
        return self.literal;
        #[cfg(not(test))]
        false
    }

    /// A graph without instructions that knows the same constant arrays and lists.
    pub(crate) fn without_nodes(&self) -> Self {
        Self {
            precision: self.precision,
            #[cfg(test)]
            literal: self.literal,
            arrays: self.arrays.clone(),
            lists: self.lists.clone(),
            known_lists: self.known_lists.clone(),
            rules: self.rules.clone(),
            ..Self::default()
        }
    }

    /// A graph of what the targets depend on alone, and the targets there.
    pub(crate) fn pruned(&self, targets: &[NodeId]) -> (Self, Vec<NodeId>) {
        let needed = self.needed_for(targets.iter().copied());
        let mut pruned = self.without_nodes();
        pruned.reserve(count(&needed));
        let mut moved: Vec<Option<NodeId>> = vec![None; self.len()];
        let mut inputs = Operands::new();
        for id in self.ids().filter(|id| needed[id.index()]) {
            let node = self.node(id);
            inputs.clear();
            inputs.extend(node.inputs.iter().filter_map(|input| moved[input.index()]));
            let (op, shape) = (node.op.clone(), node.shape.clone());
            moved[id.index()] = Some(pruned.store.insert(op, &inputs, shape));
        }
        let targets = targets.iter().filter_map(|id| moved[id.index()]);
        (pruned, targets.collect())
    }

    /// Makes room for so many more instructions at once.
    pub(crate) fn reserve(&mut self, additional: usize) {
        self.store.reserve(additional);
    }

    /// The caller's line that recorded an instruction, if it came from recording.
    pub(crate) fn site(&self, id: NodeId) -> Option<&'static Location<'static>> {
        self.sites.get(id.index()).copied().flatten()
    }

    /// Notes the caller's line of an instruction; the first line to record it stays.
    pub(crate) fn set_site(&mut self, id: NodeId, site: &'static Location<'static>) {
        if let Some(own) = self.sites.get_mut(id.index()) {
            own.get_or_insert(site);
        } else {
            if self.sites.len() < id.index() {
                self.sites.resize(id.index(), None);
            }
            self.sites.push(Some(site));
        }
    }

    /// Which instructions the targets depend on, themselves included.
    pub(crate) fn needed_for(&self, targets: impl IntoIterator<Item = NodeId>) -> Vec<bool> {
        let mut needed = vec![false; self.len()];
        for target in targets {
            needed[target.index()] = true;
        }
        for id in self.ids().rev() {
            if needed[id.index()] {
                for input in self.inputs(id) {
                    needed[input.index()] = true;
                }
            }
        }
        needed
    }

    /// Which instructions depend on one of the sources, themselves included.
    pub(crate) fn depending_on(&self, sources: &[NodeId]) -> Vec<bool> {
        let mut depends = vec![false; self.len()];
        for source in sources {
            depends[source.index()] = true;
        }
        for id in self.ids() {
            let mut inputs = self.inputs(id).iter();
            if inputs.any(|input| depends[input.index()]) {
                depends[id.index()] = true;
            }
        }
        depends
    }

    /// How many needed instructions read each instruction; a target counts as one reader more.
    pub(crate) fn use_counts(&self, needed: &[bool], targets: &[NodeId]) -> Vec<u32> {
        let mut uses = vec![0; self.len()];
        for target in targets {
            uses[target.index()] += 1;
        }
        for id in self.ids().filter(|id| needed[id.index()]) {
            for input in self.inputs(id) {
                uses[input.index()] += 1;
            }
        }
        uses
    }

    /// The instruction that does this to these operands, if there is one.
    pub(crate) fn find(&self, op: &Op, inputs: &[NodeId]) -> Option<NodeId> {
        self.store.find(op, inputs)
    }
}

/// How many are marked.
pub(crate) fn count(marks: &[bool]) -> usize {
    marks.iter().filter(|&&mark| mark).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Derivatives of long programs have tens of millions of instructions.
    #[test]
    fn instructions_are_small() {
        assert_eq!(size_of::<Option<NodeId>>(), 4);
        assert_eq!(store::BYTES, 16);
    }

    /// Whatever views are taken of a number, it is found in two steps.
    #[test]
    fn views_of_a_number_stay_next_to_it() {
        let mut graph = Graph::default();
        let mut x = graph.full(2.5, &Shape::new(&[1, 1]));
        for exponent in 0..40 {
            let x_and_x = graph.broadcast(x, &Shape::new(&[2, 1 << exponent]));
            let row = graph.reshape(x_and_x, &Shape::new(&[1, 2 << exponent]));
            let column = graph.reshape(row, &Shape::new(&[2 << exponent, 1]));
            for view in [x_and_x, row, column] {
                assert_eq!(graph.uniform(view), Some(2.5), "{graph}");
            }
            x = row;
            // A column of one that is stretched again, then a row of it.
            let wide = graph.broadcast(column, &Shape::new(&[2 << exponent, 3]));
            assert_eq!(graph.uniform(wide), Some(2.5), "{graph}");
        }
    }

    #[test]
    fn a_pruned_graph_has_what_is_needed_alone() {
        let mut graph = Graph::default();
        let x = graph.input(0, &Shape::new(&[3]));
        let sin = graph.map1(&crate::ops::elementwise::SIN, x);
        graph.map1(&crate::ops::elementwise::COS, x);
        let y = graph.mul(sin, x);
        let (pruned, targets) = graph.pruned(&[y, sin]);
        assert_eq!(pruned.len(), 3, "{pruned}");
        assert_eq!(pruned.inputs(targets[0]).len(), 2);
        assert!(pruned.op(targets[1]).is(&crate::ops::elementwise::SIN));
    }
}
