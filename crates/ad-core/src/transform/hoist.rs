//! Reassociation for linear programs: coefficients are multiplied with each other first.
//!
//! In r₁ ⊙ (r₂ ⊙ ṫ), with ṫ depending on a tangent and r₁, r₂ not, the product r₁ ⊙ r₂ is the same
//! for every tangent. Written (r₁ ⊙ r₂) ⊙ ṫ it is computed once, when the program is linearized.

use crate::graph::{Graph, NodeId};
use crate::ops::elementwise as ew;

/// Copies the program with coefficients gathered, where the inner product has no other reader.
pub(crate) fn hoist_coefficients(
    graph: &Graph,
    outputs: &[NodeId],
    tangents: &[NodeId],
) -> (Graph, Vec<NodeId>, Vec<NodeId>) {
    let mut targets = outputs.to_vec();
    targets.extend_from_slice(tangents);
    let needed = graph.needed_for(targets.iter().copied());
    let depends = graph.depending_on(tangents);
    let mut hoist = Hoist {
        uses: graph.use_counts(&needed, &targets),
        depends: &depends,
        old: graph,
        new: graph.without_nodes(),
        moved: vec![None; graph.len()],
    };
    for id in graph.ids().filter(|id| needed[id.index()]) {
        let new = hoist.copy(id);
        hoist.moved[id.index()] = Some(new);
    }
    let outputs = outputs.iter().map(|&id| hoist.get(id)).collect();
    let tangents = tangents.iter().map(|&id| hoist.get(id)).collect();
    (hoist.new, outputs, tangents)
}

struct Hoist<'a> {
    old: &'a Graph,
    uses: Vec<u32>,
    depends: &'a [bool],
    new: Graph,
    moved: Vec<Option<NodeId>>,
}

impl Hoist<'_> {
    fn get(&self, id: NodeId) -> NodeId {
        self.moved[id.index()].expect("operands come before their readers")
    }

    fn copy(&mut self, id: NodeId) -> NodeId {
        if self.depends[id.index()]
            && let Some((factor, coefficients, tangent)) = self.chain(id)
        {
            let mut product = self.get(coefficients[0]);
            for &coefficient in &coefficients[1..] {
                let coefficient = self.get(coefficient);
                product = self.new.mul(product, coefficient);
            }
            let product = self.new.scale(factor, product);
            let tangent = self.get(tangent);
            return self.new.mul(product, tangent);
        }
        let node = self.old.node(id);
        let inputs = node.inputs.iter().map(|&input| self.get(input)).collect();
        self.new.push(node.op.clone(), inputs)
    }

    /// Reads a chain of multiplications down to the tangent: (constant, coefficients, tangent),
    /// if there is more than one factor and a coefficient among them.
    fn chain(&self, id: NodeId) -> Option<(f64, Vec<NodeId>, NodeId)> {
        let (mut factor, mut coefficients, mut at) = (1.0, Vec::new(), id);
        let mut length = 0;
        loop {
            let node = self.old.node(at);
            if at != id && self.uses[at.index()] > 1 {
                break;
            }
            if node.op.is(&ew::SCALE) {
                factor *= node.op.attr.as_float();
                at = node.inputs[0];
            } else if node.op.is(&ew::MUL) {
                let (x, y) = (node.inputs[0], node.inputs[1]);
                let (coefficient, tangent) =
                    match (self.depends[x.index()], self.depends[y.index()]) {
                        (false, true) => (x, y),
                        (true, false) => (y, x),
                        _ => break,
                    };
                coefficients.push(coefficient);
                at = tangent;
            } else {
                break;
            }
            length += 1;
        }
        (length > 1 && !coefficients.is_empty()).then_some((factor, coefficients, at))
    }
}
