//! The tangent sweep (forward mode): ẏ = (∂y/∂x)·ẋ.

use crate::graph::{Graph, NodeId, Operands};
use crate::ops::{Rule, Site, custom};

/// The tangents of `targets` when the instructions of `seeds` have the tangents paired with them.
///
/// A seeded instruction keeps its seed, whatever it depends on. `None` is a structural zero.
pub(crate) fn jvp(
    graph: &mut Graph,
    targets: &[NodeId],
    seeds: &[(NodeId, NodeId)],
) -> Vec<Option<NodeId>> {
    let needed = graph.needed_for(targets.iter().copied());
    let mut tangents: Vec<Option<NodeId>> = vec![None; graph.len()];
    for &(at, tangent) in seeds {
        tangents[at.index()] = Some(tangent);
    }
    for id in graph.ids() {
        if needed[id.index()] && tangents[id.index()].is_none() {
            tangents[id.index()] = tangent_of(graph, id, &tangents);
        }
    }
    targets
        .iter()
        .map(|target| tangents[target.index()])
        .collect()
}

fn tangent_of(graph: &mut Graph, id: NodeId, tangents: &[Option<NodeId>]) -> Option<NodeId> {
    let inputs = graph.inputs(id);
    if inputs.iter().all(|input| tangents[input.index()].is_none()) {
        return None;
    }
    let node = graph.node(id).to_owned();
    let site = Site {
        op: &node.op,
        inputs: &node.inputs,
        output: id,
    };
    let of = |which: usize| tangents[node.inputs[which].index()];
    let def = node.op.def();
    match def.rule() {
        Rule::Constant => None,
        rule @ (Rule::Elementwise | Rule::Operandwise) => {
            let mut terms = Operands::new();
            for which in 0..node.inputs.len() {
                if let Some(tangent) = of(which) {
                    terms.push(if rule == Rule::Elementwise {
                        def.times_partial(graph, &site, which, tangent)
                    } else {
                        def.tangent(graph, &site, which, tangent)
                    });
                }
            }
            Some(graph.add_all(&terms))
        }
        Rule::Linear | Rule::Recurrence => {
            let tangents: Vec<_> = (0..node.inputs.len()).map(of).collect();
            Some(def.apply_linear(graph, &site, &tangents))
        }
        Rule::Bilinear => {
            let (a, b) = (node.inputs[0], node.inputs[1]);
            let pairs = [
                of(0).map(|tangent| [tangent, b]),
                of(1).map(|tangent| [a, tangent]),
            ];
            let terms: Operands = pairs
                .iter()
                .flatten()
                .map(|pair| graph.push(node.op.clone(), Operands::from_slice(pair)))
                .collect();
            Some(graph.add_all(&terms))
        }
        Rule::Custom => {
            let tangents: Vec<_> = (0..node.inputs.len()).map(of).collect();
            custom::tangent(graph, &site, &tangents)
        }
        Rule::Reduction => {
            let weights = def.partial(graph, &site, 0);
            let product = graph.mul(weights, of(0)?);
            Some(graph.sum(product, node.op.attr.as_ints()))
        }
    }
}
