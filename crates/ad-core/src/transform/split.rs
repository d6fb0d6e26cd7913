//! Linearization: a program is split at "depends on a tangent".
//!
//! What does not depend on a tangent runs once for each point; what the other part reads of it,
//! the residuals, is kept in one block of memory. The other part is linear in the tangents and runs
//! once for each of them.

use crate::graph::{Graph, NodeId, count};
use crate::ops::Lowering;
use crate::shape::{MAX_LEN, Shape};

/// Residuals of at least this length begin at multiples of it: a cache line of the smaller scalar
/// type. Shorter ones, of scalar programs, lie side by side behind the others.
const ALIGN: usize = 16;

/// Elements between long residuals, so that they do not lie at the same place of their pages (see
/// the planner's layout of memory).
const SKEW: usize = 9 * ALIGN;

/// Shorter residuals are left alone.
const SKEW_FROM: usize = 128;

/// A program linear in its tangent inputs, which reads residuals from one more input.
#[derive(Debug)]
pub(crate) struct LinearProgram {
    pub(crate) graph: Graph,
    pub(crate) output: NodeId,
}

/// What [`split`] returns.
#[derive(Debug)]
pub(crate) struct Linearized {
    /// The instruction of the first part that gathers all residuals, in the first part's graph.
    pub(crate) residuals: NodeId,
    /// The programs; `None` for an output that is structurally zero.
    pub(crate) programs: Vec<Option<LinearProgram>>,
}

/// Splits off, for each output, the part that depends on a tangent. The block of residuals is
/// appended to `graph`, and is the input at position `residual_input` of the programs. An error is
/// the number of elements at which the block got longer than an array can be.
pub(crate) fn split(
    graph: &mut Graph,
    outputs: &[Option<NodeId>],
    tangents: &[NodeId],
    residual_input: usize,
) -> Result<Linearized, usize> {
    let depends = graph.depending_on(tangents);
    let block = Block::collect(graph, outputs, &depends)?;
    let mut programs = Vec::new();
    for output in outputs {
        programs.push(output.map(|output| {
            let mut new = graph.without_nodes();
            let block_input = new.input(residual_input, &Shape::new(&[block.len]));
            let moved = vec![None; graph.len()];
            let mut part = Part {
                old: graph,
                new,
                moved,
                block: &block,
                block_input,
            };
            let mut needed = graph.needed_for([output]);
            for (needed, depends) in needed.iter_mut().zip(&depends) {
                *needed &= depends;
            }
            // What is kept is read by a slice and a reshape.
            part.new.reserve(2 * count(&needed));
            for id in graph.ids().filter(|id| needed[id.index()]) {
                part.copy(id);
            }
            let output = part.import(output);
            LinearProgram {
                graph: part.new,
                output,
            }
        }));
    }
    Ok(Linearized {
        residuals: block.gather(graph),
        programs,
    })
}

/// The residuals with their places in one flat block.
struct Block {
    /// (instruction, offset), offsets ascending.
    residuals: Vec<(NodeId, usize)>,
    /// The place of each instruction's residual in the list.
    places: Vec<Option<usize>>,
    len: usize,
}

impl Block {
    /// Finds what the tangent part reads of the other part. A view of something kept is taken
    /// again, and sources are there anyway.
    fn collect(graph: &Graph, outputs: &[Option<NodeId>], depends: &[bool]) -> Result<Self, usize> {
        let mut block = Self {
            residuals: Vec::new(),
            places: vec![None; graph.len()],
            len: 0,
        };
        let needed = graph.needed_for(outputs.iter().flatten().copied());
        for id in graph
            .ids()
            .filter(|id| needed[id.index()] && depends[id.index()])
        {
            for &input in graph.inputs(id) {
                if !depends[input.index()] {
                    block.keep(graph, input);
                }
            }
        }
        for output in outputs.iter().flatten() {
            if !depends[output.index()] {
                block.keep(graph, *output);
            }
        }
        block.lay_out(graph)?;
        Ok(block)
    }

    /// Gives each residual its place: the long ones first.
    fn lay_out(&mut self, graph: &Graph) -> Result<(), usize> {
        let len_of = |id: NodeId| graph.shape(id).len();
        let kept = std::mem::take(&mut self.residuals).into_iter();
        let (long, short): (Vec<_>, Vec<_>) = kept.partition(|kept| len_of(kept.0) >= ALIGN);
        self.residuals = long;
        self.residuals.extend(short);
        for (place, (id, offset)) in self.residuals.iter_mut().enumerate() {
            self.places[id.index()] = Some(place);
            *offset = self.len;
            let len = len_of(*id);
            self.len += match len {
                0..ALIGN => len,
                ALIGN..SKEW_FROM => len.next_multiple_of(ALIGN),
                _ => len.next_multiple_of(ALIGN) + SKEW,
            };
            if self.len > MAX_LEN {
                return Err(self.len);
            }
        }
        Ok(())
    }

    fn keep(&mut self, graph: &Graph, mut id: NodeId) {
        while let Lowering::View = graph.op(id).def().lowering() {
            id = graph.inputs(id)[0];
        }
        let source = matches!(graph.op(id).def().lowering(), Lowering::Source);
        if source || self.places[id.index()].is_some() {
            return;
        }
        self.places[id.index()] = Some(self.residuals.len());
        self.residuals.push((id, 0));
    }

    /// The residuals side by side as one vector.
    fn gather(&self, graph: &mut Graph) -> NodeId {
        let mut pieces = Vec::with_capacity(self.residuals.len());
        for &(id, offset) in &self.residuals {
            let flat = Shape::new(&[graph.shape(id).len()]);
            pieces.push((offset, graph.reshape(id, &flat)));
        }
        if pieces.is_empty() {
            return graph.full(0.0, &Shape::new(&[0]));
        }
        graph.place(0, self.len, &pieces)
    }
}

struct Part<'a> {
    old: &'a Graph,
    new: Graph,
    moved: Vec<Option<NodeId>>,
    block: &'a Block,
    block_input: NodeId,
}

impl Part<'_> {
    /// Copies an instruction that depends on a tangent.
    fn copy(&mut self, id: NodeId) {
        let node = self.old.node(id);
        let inputs = node
            .inputs
            .iter()
            .map(|&input| self.import(input))
            .collect();
        self.moved[id.index()] = Some(self.new.push(node.op.clone(), inputs));
    }

    /// The copy of an operand. What it is a view of, or is computed of, comes first.
    fn import(&mut self, id: NodeId) -> NodeId {
        if let Some(new) = self.moved[id.index()] {
            return new;
        }
        let mut open = vec![id];
        while let Some(&next) = open.last() {
            let missing = |input: &NodeId| self.moved[input.index()].is_none();
            let kept = self.block.places[next.index()].is_some();
            let inputs = self.old.inputs(next).iter();
            let before = open.len();
            if self.moved[next.index()].is_none() && !kept {
                open.extend(inputs.copied().filter(missing));
            }
            if open.len() == before {
                open.pop();
                self.import_one(next);
            }
        }
        self.import_one(id)
    }

    /// The copy of an operand whose own operands are there.
    fn import_one(&mut self, id: NodeId) -> NodeId {
        if let Some(new) = self.moved[id.index()] {
            return new;
        }
        let node = self.old.node(id);
        let new = if let Some(place) = self.block.places[id.index()] {
            let (_, offset) = self.block.residuals[place];
            let flat = self
                .new
                .slice(self.block_input, 0, offset, node.shape.len());
            self.new.reshape(flat, node.shape)
        } else {
            let inputs = node.inputs.iter();
            let inputs = inputs
                .map(|input| self.moved[input.index()].expect("operands come first"))
                .collect();
            self.new.push(node.op.clone(), inputs)
        };
        self.moved[id.index()] = Some(new);
        new
    }
}
