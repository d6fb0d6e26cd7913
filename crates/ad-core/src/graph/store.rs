//! Instructions as a graph keeps them: a few small numbers each, because derivatives of long programs
//! have tens of millions of them. What an instruction does and the shape of its result are in tables
//! that hold equal entries once; the operands of all instructions stand one after the other.

use std::hash::{BuildHasher, Hash};

use hashbrown::HashTable;
use rustc_hash::FxBuildHasher;

use super::{NodeId, NodeRef};
use crate::ops::Op;
use crate::shape::Shape;

/// An instruction: positions in the tables of the [`Store`].
#[derive(Clone, Copy, Debug)]
struct Packed {
    op: u32,
    shape: u32,
    /// The first of its operands, and how many they are.
    first: u32,
    len: u32,
}

/// What an instruction takes, besides its operands.
#[cfg(test)]
pub(super) const BYTES: usize = size_of::<Packed>();

/// All instructions of a graph; see the module's text.
#[derive(Clone, Default, Debug)]
pub(super) struct Store {
    nodes: Vec<Packed>,
    operands: Vec<NodeId>,
    ops: Table<Op>,
    shapes: Table<Shape>,
    /// Finds an equal instruction.
    known: Known<NodeId>,
}

/// Finds the number of something by its hash. Hashes stand beside the numbers, so that a table that
/// grows need not look at all of its entries. Only ever looked up, never iterated.
#[derive(Clone, Debug)]
struct Known<N>(HashTable<(u32, N)>);

impl<N> Default for Known<N> {
    fn default() -> Self {
        Self(HashTable::new())
    }
}

impl<N: Copy> Known<N> {
    fn find(&self, hash: u32, equal: impl Fn(N) -> bool) -> Option<N> {
        let same = |entry: &(u32, N)| entry.0 == hash && equal(entry.1);
        self.0.find(widened(hash), same).map(|entry| entry.1)
    }

    fn insert(&mut self, hash: u32, number: N) {
        let entry = (hash, number);
        self.0
            .insert_unique(widened(hash), entry, |entry| widened(entry.0));
    }

    fn reserve(&mut self, additional: usize) {
        self.0.reserve(additional, |entry| widened(entry.0));
    }
}

/// A hash of which both ends are the 32 bits: tables read places from the one and tags from the other.
#[inline]
fn widened(hash: u32) -> u64 {
    u64::from(hash) << 32 | u64::from(hash)
}

impl Store {
    /// The most instructions: each has a number of 32 bits that is not zero, and some are left over.
    pub(super) const MAX_NODES: usize = u32::MAX as usize - 8;

    #[inline]
    pub(super) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Makes room for so many more instructions.
    pub(super) fn reserve(&mut self, additional: usize) {
        self.nodes.reserve(additional);
        self.operands.reserve(additional);
        self.known.reserve(additional);
    }

    /// Whether there is room for one more instruction of so many operands.
    #[inline]
    pub(super) fn has_room(&self, n_operands: usize) -> bool {
        self.len() < Self::MAX_NODES && self.operands.len() + n_operands <= u32::MAX as usize
    }

    #[inline(always)]
    pub(super) fn node(&self, id: NodeId) -> NodeRef<'_> {
        NodeRef {
            op: self.op(id),
            inputs: self.inputs(id),
            shape: self.shape(id),
        }
    }

    #[inline(always)]
    pub(super) fn op(&self, id: NodeId) -> &Op {
        &self.ops.values[self.nodes[id.index()].op as usize]
    }

    pub(super) fn ops(&self) -> &[Op] {
        &self.ops.values
    }

    #[inline(always)]
    pub(super) fn op_number(&self, id: NodeId) -> u32 {
        self.nodes[id.index()].op
    }

    #[inline(always)]
    pub(super) fn shape(&self, id: NodeId) -> &Shape {
        &self.shapes.values[self.nodes[id.index()].shape as usize]
    }

    #[inline(always)]
    pub(super) fn inputs(&self, id: NodeId) -> &[NodeId] {
        self.operands_of(self.nodes[id.index()])
    }

    #[inline(always)]
    fn operands_of(&self, node: Packed) -> &[NodeId] {
        &self.operands[node.first as usize..][..node.len as usize]
    }

    /// The instruction that does this to these operands, if there is one. Its shape follows.
    pub(super) fn find(&self, op: &Op, inputs: &[NodeId]) -> Option<NodeId> {
        let op = self.ops.find(op, hash(op))?;
        self.find_packed(op, inputs, hash((op, inputs)))
    }

    fn find_packed(&self, op: u32, inputs: &[NodeId], hash: u32) -> Option<NodeId> {
        self.known.find(hash, |id| {
            let node = self.nodes[id.index()];
            node.op == op && self.operands_of(node) == inputs
        })
    }

    /// The instruction that does this to these operands; a new one if there is none yet.
    pub(super) fn insert(&mut self, op: Op, inputs: &[NodeId], shape: Shape) -> NodeId {
        let op = self.ops.number(op);
        let hash = hash((op, inputs));
        if let Some(id) = self.find_packed(op, inputs, hash) {
            return id;
        }
        // Most results have the shape of an operand.
        let shape = match inputs.first() {
            Some(&input) if *self.shape(input) == shape => self.nodes[input.index()].shape,
            _ => self.shapes.number(shape),
        };
        let id = NodeId::from_index(self.len());
        self.nodes.push(Packed {
            op,
            shape,
            first: number(self.operands.len()),
            len: number(inputs.len()),
        });
        self.operands.extend_from_slice(inputs);
        self.known.insert(hash, id);
        id
    }
}

fn hash(value: impl Hash) -> u32 {
    FxBuildHasher.hash_one(value) as u32
}

/// A position in 32 bits.
///
/// # Panics
/// If it does not fit: see [`Store::has_room`], which the caller asks.
fn number(at: usize) -> u32 {
    u32::try_from(at).expect("fewer than 2³² instructions and operands")
}

/// Values by number, equal ones once.
#[derive(Clone, Debug)]
struct Table<V> {
    values: Vec<V>,
    known: Known<u32>,
}

impl<V> Default for Table<V> {
    fn default() -> Self {
        Self {
            values: Vec::new(),
            known: Known::default(),
        }
    }
}

impl<V: Hash + Eq> Table<V> {
    fn find(&self, value: &V, hash: u32) -> Option<u32> {
        let equal = |at: u32| self.values[at as usize] == *value;
        self.known.find(hash, equal)
    }

    fn number(&mut self, value: V) -> u32 {
        let hash = hash(&value);
        if let Some(at) = self.find(&value, hash) {
            return at;
        }
        let at = number(self.values.len());
        self.values.push(value);
        self.known.insert(hash, at);
        at
    }
}
