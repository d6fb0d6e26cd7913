//! Long products of numbers, found behind the chain of multiplications that a loop leaves.

use crate::graph::{Graph, NodeId};
use crate::ops::elementwise as ew;

/// The fewest multiplications that are worth a recurrence: shorter products are better off side by side
/// with their like.
const MIN_FACTORS: usize = 64;

/// Long products of numbers.
pub(super) struct Products {
    /// The factors of each product, by its last multiplication: ((f₀·f₁)·f₂)·…
    pub(super) factors: Vec<Option<Vec<NodeId>>>,
    /// Multiplications in the middle of a product.
    pub(super) inner: Vec<bool>,
}

impl Products {
    pub(super) fn find(graph: &Graph, needed: &[bool], targets: &[NodeId]) -> Self {
        let uses = graph.use_counts(needed, targets);
        let mut products = Self {
            factors: vec![None; graph.len()],
            inner: vec![false; graph.len()],
        };
        // The operand of each multiplication that is the longer chain.
        let mut chains: Vec<Option<NodeId>> = vec![None; graph.len()];
        let mut lens = vec![0; graph.len()];
        for id in graph.ids().filter(|id| needed[id.index()]) {
            let node = graph.node(id);
            if node.shape.rank() != 0 || !node.op.is(&ew::MUL) {
                continue;
            }
            let len = |input: NodeId| {
                let only_here = uses[input.index()] == 1;
                if only_here { lens[input.index()] } else { 0 }
            };
            let (x, y) = (node.inputs[0], node.inputs[1]);
            let longer = if len(x) > len(y) { x } else { y };
            let len = len(longer);
            chains[id.index()] = (len > 0).then_some(longer);
            lens[id.index()] = len + 1;
        }
        for id in graph.ids().rev().filter(|id| needed[id.index()]) {
            if lens[id.index()] >= MIN_FACTORS && !products.inner[id.index()] {
                products.note(graph, &chains, id);
            }
        }
        products
    }

    fn note(&mut self, graph: &Graph, chains: &[Option<NodeId>], last: NodeId) {
        let (mut factors, mut at) = (Vec::new(), last);
        while let Some(chain) = chains[at.index()] {
            let inputs = graph.inputs(at);
            factors.push(inputs[usize::from(inputs[0] == chain)]);
            self.inner[chain.index()] = true;
            at = chain;
        }
        factors.extend(graph.inputs(at).iter().rev());
        factors.reverse();
        self.factors[last.index()] = Some(factors);
    }
}
