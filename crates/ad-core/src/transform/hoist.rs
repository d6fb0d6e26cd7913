//! Reassociation for linear programs: coefficients are multiplied with each other first.
//!
//! In r₁ ⊙ (r₂ ⊙ ṫ), with ṫ depending on a tangent and r₁, r₂ not, the product r₁ ⊙ r₂ is the same
//! for every tangent. Written (r₁ ⊙ r₂) ⊙ ṫ it is computed once, when the program is linearized.
//! It may leave the range of numbers although the result does not: then it becomes NaN, by which the caller
//! sees that the program without regrouping has to be taken at this point.
//!
//! Such multiplications form chains. A chain is read once, at its head, and what lies inside of it is
//! left out of the copy, so that the copy is never longer than the program.

use crate::graph::{Graph, NodeId, count};
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
    let mut hoist = Hoist {
        depends: graph.depending_on(tangents),
        inner: vec![false; graph.len()],
        old: graph,
        new: graph.without_nodes(),
        moved: vec![None; graph.len()],
    };
    hoist.new.reserve(count(&needed));
    hoist.find_inner(&needed, &targets);
    for id in graph.ids().filter(|id| needed[id.index()]) {
        if !hoist.inner[id.index()] {
            let new = hoist.copy(id);
            hoist.moved[id.index()] = Some(new);
        }
    }
    let outputs = outputs.iter().map(|&id| hoist.get(id)).collect();
    let tangents = tangents.iter().map(|&id| hoist.get(id)).collect();
    (hoist.new, outputs, tangents)
}

/// What a link of a chain multiplies the tangent with.
enum Factor {
    Constant(f64),
    Coefficient(NodeId),
}

struct Hoist<'a> {
    old: &'a Graph,
    depends: Vec<bool>,
    /// Links that the link before them takes along.
    inner: Vec<bool>,
    new: Graph,
    moved: Vec<Option<NodeId>>,
}

impl Hoist<'_> {
    fn get(&self, id: NodeId) -> NodeId {
        self.moved[id.index()].expect("operands come before their readers")
    }

    /// The factor and the tangent, if an instruction is a multiplication of the one with the other.
    fn link(&self, id: NodeId) -> Option<(Factor, NodeId)> {
        if !self.depends[id.index()] {
            return None;
        }
        let node = self.old.node(id);
        if node.op.is(&ew::SCALE) {
            return Some((Factor::Constant(node.op.attr.as_float()), node.inputs[0]));
        }
        if !node.op.is(&ew::MUL) {
            return None;
        }
        let (x, y) = (node.inputs[0], node.inputs[1]);
        match (self.depends[x.index()], self.depends[y.index()]) {
            (false, true) => Some((Factor::Coefficient(x), y)),
            (true, false) => Some((Factor::Coefficient(y), x)),
            _ => None,
        }
    }

    /// Finds the links that only another link reads.
    fn find_inner(&mut self, needed: &[bool], targets: &[NodeId]) {
        let uses = self.old.use_counts(needed, targets);
        for id in self.old.ids().filter(|id| needed[id.index()]) {
            if let Some((_, tangent)) = self.link(id) {
                let only_here = uses[tangent.index()] == 1;
                self.inner[tangent.index()] = only_here && self.link(tangent).is_some();
            }
        }
    }

    fn copy(&mut self, id: NodeId) -> NodeId {
        if let Some(product) = self.chain(id) {
            return product;
        }
        let node = self.old.node(id);
        let inputs = node.inputs.iter().map(|&input| self.get(input)).collect();
        self.new.push(node.op.clone(), inputs)
    }

    /// The chain that begins at an instruction, coefficients first; `None` for a single link.
    fn chain(&mut self, head: NodeId) -> Option<NodeId> {
        let (mut factors, mut at) = (Vec::new(), head);
        while let Some((factor, tangent)) = self.link(at) {
            factors.push(factor);
            at = tangent;
            if !self.inner[at.index()] {
                break;
            }
        }
        if factors.len() < 2 {
            return None;
        }
        let mut product = None;
        for factor in &factors {
            if let Factor::Coefficient(coefficient) = *factor {
                let coefficient = self.get(coefficient);
                product = Some(product.map_or(coefficient, |p| {
                    self.new.map2(&ew::REGROUPED, p, coefficient)
                }));
            }
        }
        // Constants go with the coefficients, or with the tangent if there is none.
        let tangent = self.get(at);
        let mut scaled = product.unwrap_or(tangent);
        for factor in factors.iter().rev() {
            if let Factor::Constant(factor) = *factor {
                scaled = match product {
                    Some(_) => self.new.map1_with(&ew::REGROUPED_CONSTANT, factor, scaled),
                    None => self.new.scale(factor, scaled),
                };
            }
        }
        Some(match product {
            Some(_) => self.new.mul(scaled, tangent),
            None => scaled,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape::Shape;

    /// c₁·(c₂·(…·(cₙ·v))) becomes (c₁·c₂·…·cₙ)·v, whatever n is, with one multiplication per link.
    #[test]
    fn a_chain_is_copied_once() {
        for n in [10, 100, 1000] {
            let mut graph = Graph::default();
            let x = graph.input(0, &Shape::new(&[3]));
            let v = graph.input(1, &Shape::new(&[3]));
            let (mut c, mut t) = (x, v);
            for _ in 0..n {
                c = graph.map1(&ew::SIN, c);
                t = graph.mul(c, t);
            }
            let (copy, outputs, tangents) = hoist_coefficients(&graph, &[t], &[v]);
            assert_eq!(copy.len(), 2 + n + n, "inputs, sines and multiplications");
            let last = copy.node(outputs[0]);
            assert!(last.op.is(&ew::MUL) && last.inputs.contains(&tangents[0]));
        }
    }

    /// What something else reads too stays as it is, and so does a lone multiplication.
    #[test]
    fn products_with_other_readers_stay() {
        let mut graph = Graph::default();
        let (x, v) = (
            graph.input(0, &Shape::new(&[3])),
            graph.input(1, &Shape::new(&[3])),
        );
        let inner = graph.mul(x, v);
        let sin = graph.map1(&ew::SIN, x);
        let outer = graph.mul(sin, inner);
        let (copy, outputs, tangents) = hoist_coefficients(&graph, &[outer, inner], &[v]);
        let [outer, inner] = [0, 1].map(|at| copy.node(outputs[at]));
        assert!(outer.inputs.contains(&outputs[1]), "{copy}");
        assert!(inner.inputs.contains(&tangents[0]), "{copy}");
    }

    /// Constants on the way are gathered with the coefficients.
    #[test]
    fn constants_go_with_the_coefficients() {
        let mut graph = Graph::default();
        let (x, v) = (
            graph.input(0, &Shape::new(&[3])),
            graph.input(1, &Shape::new(&[3])),
        );
        let inner = graph.scale(3.0, v);
        let outer = graph.mul(x, inner);
        let (copy, outputs, tangents) = hoist_coefficients(&graph, &[outer], &[v]);
        let product = copy.node(outputs[0]);
        assert!(product.inputs.contains(&tangents[0]), "{copy}");
        assert_eq!(copy.len(), 4, "{copy}");
    }
}
