//! Long products of numbers, found behind the chain of multiplications that a loop leaves.

use rustc_hash::FxHashMap;

use super::marks::{Marks, PRODUCT};
use crate::graph::{Graph, NodeId};

/// The fewest multiplications that are worth a recurrence: shorter products are better off side by side
/// with their like.
const MIN_FACTORS: usize = 64;

/// Long products of numbers.
pub(super) struct Products {
    /// The factors of each product, by its last multiplication: ((f₀·f₁)·f₂)·…
    pub(super) factors: FxHashMap<NodeId, Vec<NodeId>>,
    /// All multiplications of long products.
    pub(super) part: Vec<bool>,
}

impl Products {
    /// `uses` says how many instructions read each.
    pub(super) fn find(graph: &Graph, marks: &Marks, uses: &[u32]) -> Self {
        let mut products = Self {
            factors: FxHashMap::default(),
            part: vec![false; graph.len()],
        };
        // The operand of each multiplication that is the longer chain.
        let mut chains: Vec<Option<NodeId>> = vec![None; graph.len()];
        let mut lens = vec![0; graph.len()];
        for id in marks.all(PRODUCT) {
            let inputs = graph.inputs(id);
            let len = |input: NodeId| {
                let only_here = uses[input.index()] == 1;
                if only_here { lens[input.index()] } else { 0 }
            };
            let (x, y) = (inputs[0], inputs[1]);
            let longer = if len(x) > len(y) { x } else { y };
            let len = len(longer);
            chains[id.index()] = (len > 0).then_some(longer);
            lens[id.index()] = len + 1;
        }
        for id in marks.all(PRODUCT).rev() {
            if lens[id.index()] >= MIN_FACTORS && !products.part[id.index()] {
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
            self.part[chain.index()] = true;
            at = chain;
        }
        factors.extend(graph.inputs(at).iter().rev());
        factors.reverse();
        self.part[last.index()] = true;
        self.factors.insert(last, factors);
    }
}
