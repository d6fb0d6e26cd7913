//! One program inside of another: its instructions copied, its inputs replaced.

use super::{Graph, NodeId};
use crate::ops::{source, variable};

/// Appends the program of `outputs` in `from` to `graph`, with `inputs[k]` in place of the input at
/// position k, and returns the outputs there. What both programs compute is there once.
pub(crate) fn splice(
    graph: &mut Graph,
    from: &Graph,
    outputs: &[NodeId],
    inputs: &[NodeId],
) -> Vec<NodeId> {
    let needed = from.needed_for(outputs.iter().copied());
    let tables = graph.adopt_tables(from);
    let mut moved: Vec<Option<NodeId>> = vec![None; from.len()];
    for id in from.ids().filter(|id| needed[id.index()]) {
        let node = from.node(id);
        let new = match source::input_position(node.op) {
            Some(position) => inputs[position],
            None => {
                let operands = node.inputs.iter();
                let operands = operands
                    .map(|input| moved[input.index()].expect("operands come before readers"))
                    .collect();
                graph.push(tables.renumbered(node.op), operands)
            }
        };
        if let Some(site) = from.site(id) {
            graph.set_site(new, site);
        }
        moved[id.index()] = Some(new);
    }
    let moved = |id: &NodeId| moved[id.index()].expect("outputs are needed");
    outputs.iter().map(moved).collect()
}

/// Copies the program of `targets` without the marks of variables: what derivatives inside of the
/// recording were taken with respect to.
pub(crate) fn without_variables(graph: &Graph, targets: &[NodeId]) -> (Graph, Vec<NodeId>) {
    let needed = graph.needed_for(targets.iter().copied());
    let mut new = graph.without_nodes();
    let mut moved: Vec<Option<NodeId>> = vec![None; graph.len()];
    for id in graph.ids().filter(|id| needed[id.index()]) {
        let node = graph.node(id);
        let operand = |input: &NodeId| moved[input.index()].expect("operands come before readers");
        let copy = if node.op.is(&variable::VARIABLE) {
            operand(&node.inputs[0])
        } else {
            new.push(node.op.clone(), node.inputs.iter().map(operand).collect())
        };
        if let Some(site) = graph.site(id) {
            new.set_site(copy, site);
        }
        moved[id.index()] = Some(copy);
    }
    let targets = targets.iter();
    let targets = targets.map(|id| moved[id.index()].expect("targets are needed"));
    let targets = targets.collect();
    (new, targets)
}
