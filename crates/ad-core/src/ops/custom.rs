//! Functions whose derivative the user states.

use super::{Attr, Batch, Lowering, Op, Primitive, Rule, Site};
use crate::graph::{Graph, NodeId, splice};
use crate::plan::View;
use crate::shape::Shape;

/// A program of its own, with inputs by position.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    pub(crate) graph: Graph,
    pub(crate) outputs: Vec<NodeId>,
}

/// The derivative of a function y(x₁, …, xₘ), both ways. Both programs are linear in their last
/// inputs, and each is the transpose of the other.
#[derive(Clone, Debug)]
pub(crate) struct CustomRule {
    /// ẏ of (x₁, …, xₘ, y, ẋ₁, …, ẋₘ).
    pub(crate) tangent: Program,
    /// x̄₁, …, x̄ₘ of (x₁, …, xₘ, y, ȳ).
    pub(crate) cotangents: Program,
}

/// The first operand, with a stated derivative in the other operands. The first operand is the
/// function's result as it was recorded, through which no derivative passes; the attribute is the
/// number of the rule in the graph's list.
#[derive(Debug)]
pub(crate) struct Custom;
pub(crate) static CUSTOM: Custom = Custom;

impl Primitive for Custom {
    fn name(&self) -> &'static str {
        "custom"
    }

    fn shape(&self, _attr: &Attr, inputs: &[&Shape]) -> Result<Shape, String> {
        Ok(inputs[0].clone())
    }

    fn rule(&self) -> Rule {
        Rule::Custom
    }

    fn lowering(&'static self) -> Lowering {
        Lowering::View
    }

    fn batch(&self, _graph: &mut Graph, _call: &Batch<'_>) -> NodeId {
        unreachable!("the transformation stacks the rule too")
    }

    fn view(&self, _attr: &Attr, input: &View, _shape: &Shape) -> Option<View> {
        Some(input.clone())
    }
}

/// The operation with rule `number` of a graph.
pub(crate) fn custom(number: usize) -> Op {
    Op::new(&CUSTOM, Attr::ints(&[number]))
}

/// The number of the rule, if the operation has one.
pub(crate) fn rule_number(op: &Op) -> Option<usize> {
    op.is(&CUSTOM).then(|| op.attr.as_ints()[0])
}

/// The tangent of the result; absent tangents are zeros.
pub(crate) fn tangent(
    graph: &mut Graph,
    site: &Site<'_>,
    tangents: &[Option<NodeId>],
) -> Option<NodeId> {
    if tangents[1..].iter().all(Option::is_none) {
        return None;
    }
    let rule = graph.rule(site.op.attr.as_ints()[0]);
    let mut inputs = site.inputs[1..].to_vec();
    inputs.push(site.output);
    for (&input, tangent) in site.inputs[1..].iter().zip(&tangents[1..]) {
        let shape = graph.shape(input).clone();
        inputs.push(tangent.unwrap_or_else(|| graph.full(0.0, &shape)));
    }
    let Program {
        graph: from,
        outputs,
    } = &rule.tangent;
    Some(splice(graph, from, outputs, &inputs)[0])
}

/// The cotangent of one operand, but for the first.
pub(crate) fn cotangent(
    graph: &mut Graph,
    site: &Site<'_>,
    which: usize,
    cotangent: NodeId,
) -> Option<NodeId> {
    let argument = which.checked_sub(1)?;
    let rule = graph.rule(site.op.attr.as_ints()[0]);
    let mut inputs = site.inputs[1..].to_vec();
    inputs.extend([site.output, cotangent]);
    let Program {
        graph: from,
        outputs,
    } = &rule.cotangents;
    Some(splice(graph, from, &outputs[argument..=argument], &inputs)[0])
}
