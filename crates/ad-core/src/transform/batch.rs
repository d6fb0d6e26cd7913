//! Many tangents at once: a program that is linear in one input becomes a program over a stack of
//! such inputs, one more axis in front.

use std::sync::Arc;

use crate::graph::{Graph, NodeId};
use crate::ops::custom::{self, CustomRule, Program};
use crate::ops::{Batch, source, stretch};
use crate::shape::MAX_RECORDED;

/// Copies the program that computes `outputs` with `count` values for each input in `stacked`.
/// Every output has the new axis.
pub(crate) fn batch(
    graph: &Graph,
    outputs: &[NodeId],
    stacked: &[usize],
    count: usize,
) -> (Graph, Vec<NodeId>) {
    let needed = graph.needed_for(outputs.iter().copied());
    let mut copy = graph.without_nodes();
    let mut moved: Vec<Option<(NodeId, bool)>> = vec![None; graph.len()];
    for id in graph.ids().filter(|id| needed[id.index()]) {
        let node = graph.node(id);
        let inputs: Vec<_> = node
            .inputs
            .iter()
            .filter_map(|id| moved[id.index()])
            .collect();
        let ids: Vec<_> = inputs.iter().map(|input| input.0).collect();
        let batched: Vec<_> = inputs.iter().map(|input| input.1).collect();
        let position = source::input_position(node.op).filter(|at| stacked.contains(at));
        let new = if let Some(position) = position {
            (copy.input(position, &node.shape.prefixed(count)), true)
        } else if batched.contains(&true) {
            let (op, shape) = (&node.op, &node.shape);
            let call = Batch {
                op,
                shape,
                inputs: &ids,
                batched: &batched,
                count,
            };
            (stacked_instruction(&mut copy, &call), true)
        } else {
            (copy.push(node.op.clone(), ids.as_slice().into()), false)
        };
        moved[id.index()] = Some(new);
    }
    let all = |id: &NodeId| {
        let (id, batched) = moved[id.index()].expect("outputs are needed");
        stretch(&mut copy, id, batched, count)
    };
    let outputs = outputs.iter().map(all).collect();
    (copy, outputs)
}

/// Refuses a stack of `count` values for each instruction of `outputs` if one of them would be larger
/// than a recorded array can be.
pub(crate) fn check_stack(graph: &Graph, outputs: &[NodeId], count: usize) -> Result<(), String> {
    let needed = graph.needed_for(outputs.iter().copied());
    for id in graph.ids().filter(|id| needed[id.index()]) {
        graph.shape(id).prefixed(count).check(MAX_RECORDED)?;
    }
    Ok(())
}

/// [`batch`] inside of one graph: the values of `outputs` for stacks of `count` values in place of
/// sources, each (one, stack). What does not depend on them stays as it is, once for all.
pub(crate) fn batch_within(
    graph: &mut Graph,
    outputs: &[NodeId],
    stacks: &[(NodeId, NodeId)],
    count: usize,
) -> Vec<NodeId> {
    let sources: Vec<_> = stacks.iter().map(|stack| stack.0).collect();
    let depends = graph.depending_on(&sources);
    let needed = graph.needed_for(outputs.iter().copied());
    let mut moved: Vec<Option<NodeId>> = vec![None; graph.len()];
    for &(one, stack) in stacks {
        moved[one.index()] = Some(stack);
    }
    for id in graph.ids() {
        let at = id.index();
        if needed[at] && depends[at] && moved[at].is_none() {
            let node = graph.node(id).to_owned();
            let stacked = |input: &NodeId| moved[input.index()];
            let inputs = node.inputs.iter();
            let inputs: Vec<_> = inputs.map(|i| stacked(i).unwrap_or(*i)).collect();
            let batched: Vec<_> = node.inputs.iter().map(|i| stacked(i).is_some()).collect();
            let call = Batch {
                op: &node.op,
                shape: &node.shape,
                inputs: &inputs,
                batched: &batched,
                count,
            };
            moved[at] = Some(stacked_instruction(graph, &call));
        }
    }
    let all = outputs.iter().map(|&id| match moved[id.index()] {
        Some(stack) => stack,
        None => stretch(graph, id, false, count),
    });
    all.collect()
}

/// An instruction for a stack of operands; with a stated derivative, that is stacked too.
fn stacked_instruction(graph: &mut Graph, call: &Batch<'_>) -> NodeId {
    let Some(number) = custom::rule_number(call.op) else {
        return call.op.def().batch(graph, call);
    };
    let rule = graph.rule(number);
    let stacked = |program: &Program| {
        let positions: Vec<usize> = (0..2 * call.inputs.len()).collect();
        let (graph, outputs) = batch(&program.graph, &program.outputs, &positions, call.count);
        Program { graph, outputs }
    };
    let rule = CustomRule {
        tangent: stacked(&rule.tangent),
        cotangents: stacked(&rule.cotangents),
    };
    let number = graph.keep_rule(Arc::new(rule));
    let operands = call.inputs.iter().zip(call.batched);
    let operands = operands.map(|(&id, &has)| stretch(graph, id, has, call.count));
    let operands = operands.collect();
    graph.push(custom::custom(number), operands)
}
