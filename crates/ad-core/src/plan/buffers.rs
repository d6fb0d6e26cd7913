//! Buffers while a plan is made: where each lives, when it is in use, and where chains are.

use super::memory::Interval;
use super::schedule::{Home, twin_of};
use crate::graph::{Graph, NodeId};

/// Makes homes inside of others homes in the buffer (or the output) that holds the value in the end:
/// placements come after their pieces, and are resolved before them.
pub(super) fn resolve_homes(graph: &Graph, homes: &mut [Option<Home>]) {
    for id in graph.ids().rev() {
        if let Some(Home::Inside { parent, offset }) = homes[id.index()] {
            let inner = offset;
            homes[id.index()] = match homes[parent.index()] {
                None => continue,
                Some(Home::Inside { parent, offset }) => {
                    let offset = offset + inner;
                    Some(Home::Inside { parent, offset })
                }
                Some(Home::Output { at, offset }) => {
                    let offset = offset + inner;
                    Some(Home::Output { at, offset })
                }
            };
        }
    }
}

/// Where the members of a chain are in its list: right for the chain that was noted last.
pub(super) struct Spots(pub(super) Vec<u32>);

impl Spots {
    pub(super) fn note(&mut self, members: &[NodeId]) {
        for (at, member) in members.iter().enumerate() {
            self.0[member.index()] = at as u32;
        }
    }

    pub(super) fn find(&self, members: &[NodeId], id: NodeId) -> Option<usize> {
        let at = self.0[id.index()] as usize;
        (members.get(at) == Some(&id)).then_some(at)
    }

    /// The member at whose place a member runs: itself, or the earlier one of a pair.
    pub(super) fn written_at(&self, graph: &Graph, members: &[NodeId], member: NodeId) -> NodeId {
        match twin_of(graph, member) {
            Some(twin) if twin < member && self.find(members, twin).is_some() => twin,
            _ => member,
        }
    }
}

/// The buffers of the arena, in the order of their first use.
pub(super) struct Buffers {
    /// One more than the number of each instruction's buffer; 0 where it has none.
    numbers: Vec<u32>,
    pub(super) intervals: Vec<Interval>,
    pub(super) offsets: Vec<usize>,
}

impl Buffers {
    pub(super) fn new(n_nodes: usize) -> Self {
        Self {
            numbers: vec![0; n_nodes],
            intervals: Vec::new(),
            offsets: Vec::new(),
        }
    }

    pub(super) fn number(&self, id: NodeId) -> Option<usize> {
        (self.numbers[id.index()] as usize).checked_sub(1)
    }

    pub(super) fn life(&self, id: NodeId) -> Option<&Interval> {
        Some(&self.intervals[self.number(id)?])
    }

    pub(super) fn offset(&self, id: NodeId) -> Option<usize> {
        Some(self.offsets[self.number(id)?])
    }

    /// The buffer over which an instruction's result is written.
    pub(super) fn taken_from(&self, id: NodeId) -> Option<NodeId> {
        let old = self.life(id)?.takes_over?;
        Some(self.intervals[old as usize].buffer)
    }

    /// Kernel call `at` reads or writes a buffer of `len` elements.
    pub(super) fn touch(&mut self, buffer: NodeId, len: usize, at: usize) {
        let at = u32::try_from(at).expect("fewer than 2³² kernel calls");
        if let Some(number) = self.number(buffer) {
            self.intervals[number].last = at;
            return;
        }
        self.intervals.push(Interval {
            buffer,
            len,
            first: at,
            last: at,
            takes_over: None,
        });
        // As many as instructions at most.
        self.numbers[buffer.index()] = self.intervals.len() as u32;
    }
}
