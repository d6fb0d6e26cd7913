//! The program as data: a list of instructions in static single assignment form.
//!
//! A graph only grows. An instruction refers to earlier ones, so the order of the list is an order
//! of execution; equal instructions are merged as they are pushed, and each primitive simplifies
//! itself where its operands allow.

mod build;
mod display;
mod splice;

use std::hash::BuildHasher;
use std::panic::Location;
use std::sync::Arc;

use hashbrown::HashTable;
use rustc_hash::{FxBuildHasher, FxHashMap};
use smallvec::SmallVec;

use crate::ops::Op;
use crate::ops::custom::CustomRule;
use crate::shape::Shape;

pub(crate) use splice::{splice, without_variables};

/// The index of an instruction in its graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct NodeId(u32);

impl NodeId {
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }

    pub(crate) fn from_index(index: usize) -> Self {
        Self(u32::try_from(index).expect("a graph holds fewer than 2³² instructions"))
    }
}

pub(crate) type Operands = SmallVec<[NodeId; 2]>;

/// One instruction: an operation, its operands, and the shape of its result.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
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
    nodes: Vec<Node>,
    /// Finds an equal instruction. Only ever looked up, never iterated.
    known: HashTable<NodeId>,
    /// The arrays of constant instructions.
    arrays: Vec<Arc<Vec<f64>>>,
    /// The lists of positions, equal ones once.
    lists: Vec<Arc<[u32]>>,
    /// The number of each list. Only ever looked up, never iterated.
    known_lists: FxHashMap<Arc<[u32]>, usize>,
    /// The caller's line for instructions that came from recording.
    sites: Vec<Option<&'static Location<'static>>>,
    /// The derivatives that users stated.
    rules: Vec<Arc<CustomRule>>,
    /// How many variables and placeholders were made; each has a number of its own.
    n_marks: usize,
}

impl Graph {
    /// The most instructions: each has a number of 32 bits.
    pub(crate) const MAX_NODES: usize = u32::MAX as usize;

    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    pub(crate) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.index()]
    }

    pub(crate) fn shape(&self, id: NodeId) -> &Shape {
        &self.node(id).shape
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

    /// The caller's line that recorded an instruction, if it came from recording.
    pub(crate) fn site(&self, id: NodeId) -> Option<&'static Location<'static>> {
        self.sites[id.index()]
    }

    /// Notes the caller's line of an instruction; the first line to record it stays.
    pub(crate) fn set_site(&mut self, id: NodeId, site: &'static Location<'static>) {
        self.sites[id.index()].get_or_insert(site);
    }

    /// Which instructions the targets depend on, themselves included.
    pub(crate) fn needed_for(&self, targets: impl IntoIterator<Item = NodeId>) -> Vec<bool> {
        let mut needed = vec![false; self.len()];
        for target in targets {
            needed[target.index()] = true;
        }
        for id in self.ids().rev() {
            if needed[id.index()] {
                for input in &self.node(id).inputs {
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
            if self
                .node(id)
                .inputs
                .iter()
                .any(|input| depends[input.index()])
            {
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
            for input in &self.node(id).inputs {
                uses[input.index()] += 1;
            }
        }
        uses
    }

    /// The instruction that is equal to this one, if there is one.
    pub(crate) fn find(&self, node: &Node) -> Option<NodeId> {
        let equal = |id: &NodeId| self.nodes[id.index()] == *node;
        self.known
            .find(FxBuildHasher.hash_one(node), equal)
            .copied()
    }

    fn append(&mut self, op: Op, inputs: Operands, shape: Shape) -> NodeId {
        let node = Node { op, inputs, shape };
        if let Some(id) = self.find(&node) {
            return id;
        }
        let hash = FxBuildHasher.hash_one(&node);
        let id = NodeId::from_index(self.len());
        self.nodes.push(node);
        self.sites.push(None);
        let hash_of = |id: &NodeId| FxBuildHasher.hash_one(&self.nodes[id.index()]);
        self.known.insert_unique(hash, id, hash_of);
        id
    }
}
