//! The reverse sweep (reverse mode): x̄ = (∂y/∂x)ᵀ·ȳ.

use crate::graph::{Graph, NodeId, Operands};
use crate::ops::{Rule, Site, custom, reduce};

/// The cotangents of `wrt` when the instructions of `seeds` have the cotangents paired with them.
///
/// The sweep does not pass beyond an instruction of `wrt`, so one in the middle of the program cuts
/// it there: its cotangent holds what flows into it, and what lies before it sees only the paths
/// that go around it. `None` is a structural zero.
pub(crate) fn vjp(
    graph: &mut Graph,
    seeds: &[(NodeId, NodeId)],
    wrt: &[NodeId],
) -> Vec<Option<NodeId>> {
    let depends = graph.depending_on(wrt);
    let needed = graph.needed_for(seeds.iter().map(|seed| seed.0));
    let mut terms: Vec<Operands> = vec![Operands::new(); graph.len()];
    for &(at, cotangent) in seeds {
        terms[at.index()].push(cotangent);
    }
    let mut ends = vec![false; graph.len()];
    for id in wrt {
        ends[id.index()] = true;
    }
    for id in graph.ids().rev() {
        let active = needed[id.index()] && depends[id.index()] && !ends[id.index()];
        if active && !terms[id.index()].is_empty() {
            let cotangent = graph.add_all(&std::mem::take(&mut terms[id.index()]));
            pull_back(graph, id, cotangent, &depends, &mut terms);
        }
    }
    let total = |id: &NodeId| {
        let terms = &terms[id.index()];
        (!terms.is_empty()).then(|| graph.add_all(terms))
    };
    wrt.iter().map(total).collect()
}

/// Hands the cotangent of one instruction on to those of its operands that matter.
fn pull_back(
    graph: &mut Graph,
    id: NodeId,
    cotangent: NodeId,
    depends: &[bool],
    terms: &mut [Operands],
) {
    let node = graph.node(id).to_owned();
    let site = Site {
        op: &node.op,
        inputs: &node.inputs,
        output: id,
    };
    let def = node.op.def();
    for (which, input) in node.inputs.iter().enumerate() {
        if !depends[input.index()] {
            continue;
        }
        let term = match def.rule() {
            Rule::Constant => continue,
            Rule::Custom => match custom::cotangent(graph, &site, which, cotangent) {
                Some(term) => term,
                None => continue,
            },
            Rule::Elementwise => def.times_partial(graph, &site, which, cotangent),
            Rule::Linear | Rule::Bilinear | Rule::Recurrence | Rule::Operandwise => {
                def.transpose(graph, &site, which, cotangent)
            }
            Rule::Reduction => {
                let weights = def.partial(graph, &site, which);
                let spread = reduce::spread(graph, &site, cotangent);
                graph.mul(weights, spread)
            }
        };
        terms[input.index()].push(term);
    }
}
