//! What each instruction is to this pass, looked up once. What an operation does is asked once for each
//! operation, of which a long program has few.

use crate::graph::{Graph, NodeId};
use crate::ops::elementwise as ew;
use crate::ops::{Lowering, Op, layout, source};

/// An elementwise instruction on single numbers.
pub(super) const STATEMENT: u8 = 1;
/// A sum or difference of two numbers.
pub(super) const SUM: u8 = 1 << 1;
/// A product of two numbers.
pub(super) const PRODUCT: u8 = 1 << 2;
/// A statement whose operands can change places.
pub(super) const COMMUTES: u8 = 1 << 3;
/// A constant number.
pub(super) const CONSTANT: u8 = 1 << 4;
/// A number that is an array of one element.
pub(super) const RESHAPED: u8 = 1 << 5;
/// One element cut out of a vector, as a vector.
pub(super) const SLICE_OF_ONE: u8 = 1 << 6;

/// The marks of all instructions; none of what is not needed.
#[derive(Debug)]
pub(super) struct Marks(Vec<u8>);

impl Marks {
    pub(super) fn new(graph: &Graph, needed: &[bool]) -> Self {
        let roles: Vec<u8> = graph.ops().iter().map(role).collect();
        let mark = |(id, &needed): (NodeId, &bool)| {
            let role = roles[graph.op_number(id) as usize];
            if !needed || role == 0 {
                return 0;
            }
            match graph.shape(id).dims() {
                [] => role & !SLICE_OF_ONE,
                [1] => role & SLICE_OF_ONE,
                _ => 0,
            }
        };
        Self(graph.ids().zip(needed).map(mark).collect())
    }

    /// Whether an instruction has one of the marks.
    #[inline]
    pub(super) fn has(&self, id: NodeId, marks: u8) -> bool {
        self.0[id.index()] & marks != 0
    }

    /// How many instructions have one of the marks.
    pub(super) fn count(&self, marks: u8) -> usize {
        self.0.iter().filter(|&&own| own & marks != 0).count()
    }

    /// The instructions that have one of the marks.
    pub(super) fn all(&self, marks: u8) -> impl DoubleEndedIterator<Item = NodeId> {
        let marked = self.0.iter().enumerate();
        let marked = marked.filter(move |&(_, &own)| own & marks != 0);
        marked.map(|(at, _)| NodeId::from_index(at))
    }

    /// The array and the position, if an instruction is one element of a vector.
    pub(super) fn element(&self, graph: &Graph, id: NodeId) -> Option<(NodeId, usize)> {
        if !self.has(id, RESHAPED) {
            return None;
        }
        self.slice_of_one(graph, graph.inputs(id)[0])
    }

    /// The array and the position, if an instruction cuts one element out of a vector.
    pub(super) fn slice_of_one(&self, graph: &Graph, id: NodeId) -> Option<(NodeId, usize)> {
        let cuts = self.has(id, SLICE_OF_ONE);
        cuts.then(|| (graph.inputs(id)[0], graph.op(id).attr.as_ints()[1]))
    }
}

/// What an operation is if its result has the right shape.
fn role(op: &Op) -> u8 {
    if matches!(op.def().lowering(), Lowering::Map(_)) {
        if op.is(&ew::ADD) {
            STATEMENT | COMMUTES | SUM
        } else if op.is(&ew::SUB) {
            STATEMENT | SUM
        } else if op.is(&ew::MUL) {
            STATEMENT | COMMUTES | PRODUCT
        } else {
            STATEMENT
        }
    } else if op.is(&layout::SLICE) {
        SLICE_OF_ONE
    } else if op.is(&layout::RESHAPE) {
        RESHAPED
    } else if op.is(&source::SCALAR) {
        CONSTANT
    } else {
        0
    }
}
