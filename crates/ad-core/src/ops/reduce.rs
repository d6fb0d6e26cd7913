//! Reductions along axes: sum, mean, length, maximum.

use super::{Attr, Batch, Lowering, Op, Primitive, Rule, Site, elementwise as ew, layout};
use crate::graph::{Graph, NodeId};
use crate::kernels::RowKind;
use crate::shape::{Dims, Shape};

/// How numbers are combined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reduction {
    Sum,
    Mean,
    Max,
}

/// Every reduction.
#[cfg(test)]
pub(crate) static REDUCE: &[&dyn Primitive] = &[&SUM, &MEAN, &MAX, &NORM];

fn reduced_shape(attr: &Attr, inputs: &[&Shape]) -> Result<Shape, String> {
    let axes = attr.as_ints();
    let ascending = axes.windows(2).all(|pair| pair[0] < pair[1]);
    if !ascending || axes.last().is_some_and(|&axis| axis >= inputs[0].rank()) {
        return Err(format!(
            "axes {axes:?} of an operand of the shape {}",
            inputs[0]
        ));
    }
    Ok(inputs[0].without(axes))
}

/// Reductions of nothing that have no value, such as the maximum, are refused.
pub(super) fn nonempty_shape(attr: &Attr, inputs: &[&Shape]) -> Result<Shape, String> {
    if attr
        .as_ints()
        .iter()
        .any(|&axis| inputs[0].dims().get(axis) == Some(&0))
    {
        return Err(format!(
            "no element along the axes of the shape {}",
            inputs[0]
        ));
    }
    reduced_shape(attr, inputs)
}

pub(super) fn batch_axes(graph: &mut Graph, call: &Batch<'_>) -> NodeId {
    let axes: Dims = call.op.attr.as_ints().iter().map(|axis| axis + 1).collect();
    graph.push(Op::new(call.op.def(), Attr::Ints(axes)), call.inputs.into())
}

/// The result of a reduction stretched back to the operand's shape.
pub(crate) fn spread(graph: &mut Graph, site: &Site<'_>, reduced: NodeId) -> NodeId {
    let full = graph.shape(site.inputs[0]).clone();
    let ones = full.with_ones(site.op.attr.as_ints());
    ew::transpose_kept(graph, reduced, |graph, x| {
        let kept = graph.reshape(x, &ones);
        graph.broadcast(kept, &full)
    })
}

/// Sums over the attribute's axes.
#[derive(Debug)]
pub(crate) struct Sum;
pub(crate) static SUM: Sum = Sum;

impl Primitive for Sum {
    fn name(&self) -> &'static str {
        "sum"
    }

    fn shape(&self, attr: &Attr, inputs: &[&Shape]) -> Result<Shape, String> {
        reduced_shape(attr, inputs)
    }

    fn rule(&self) -> Rule {
        Rule::Linear
    }

    fn lowering(&'static self) -> Lowering {
        Lowering::Reduce(Reduction::Sum)
    }

    /// Sums over no element or one are layout; a sum over a stretched array is a multiple; a
    /// factor common to all terms is taken out, unless the sum without it may leave the range.
    fn simplify(&self, graph: &mut Graph, op: &Op, inputs: &[NodeId]) -> Option<NodeId> {
        let (x, axes) = (inputs[0], op.attr.as_ints());
        let shape = graph.shape(x).clone();
        if axes.iter().all(|&axis| shape.dims()[axis] == 1) {
            return Some(graph.reshape(x, &shape.without(axes)));
        }
        let node = graph.node(x).to_owned();
        if node.op.is(&ew::SCALE) && node.op.attr.as_float().abs() >= 1.0 {
            let sum = graph.push(op.clone(), node.inputs);
            return Some(graph.scale(node.op.attr.as_float(), sum));
        }
        if node.op.is(&layout::BROADCAST) {
            let small = graph.shape(node.inputs[0]).clone();
            let repeated = |&&axis: &&usize| small.dims()[axis] != shape.dims()[axis];
            let times: usize = axes
                .iter()
                .filter(repeated)
                .map(|&axis| shape.dims()[axis])
                .product();
            if axes.iter().any(|axis| repeated(&axis)) {
                let inner = graph.sum(node.inputs[0], axes);
                let kept = graph.broadcast(inner, &shape.without(axes));
                return Some(graph.scale(times as f64, kept));
            }
        }
        None
    }

    fn transpose(&self, graph: &mut Graph, site: &Site<'_>, _: usize, cotangent: NodeId) -> NodeId {
        spread(graph, site, cotangent)
    }

    fn batch(&self, graph: &mut Graph, call: &Batch<'_>) -> NodeId {
        batch_axes(graph, call)
    }
}

/// The mean over the attribute's axes, which leaves the range only with its operand: sums that do are
/// taken again of smaller terms.
#[derive(Debug)]
pub(crate) struct Mean;
pub(crate) static MEAN: Mean = Mean;

impl Primitive for Mean {
    fn name(&self) -> &'static str {
        "mean"
    }

    fn shape(&self, attr: &Attr, inputs: &[&Shape]) -> Result<Shape, String> {
        nonempty_shape(attr, inputs)
    }

    fn rule(&self) -> Rule {
        Rule::Linear
    }

    fn lowering(&'static self) -> Lowering {
        Lowering::Reduce(Reduction::Mean)
    }

    fn simplify(&self, graph: &mut Graph, op: &Op, inputs: &[NodeId]) -> Option<NodeId> {
        let shape = graph.shape(inputs[0]).clone();
        let axes = op.attr.as_ints();
        let single = axes.iter().all(|&axis| shape.dims()[axis] == 1);
        single.then(|| graph.reshape(inputs[0], &shape.without(axes)))
    }

    fn transpose(&self, graph: &mut Graph, site: &Site<'_>, _: usize, cotangent: NodeId) -> NodeId {
        let dims = graph.shape(site.inputs[0]).dims();
        let count: usize = site
            .op
            .attr
            .as_ints()
            .iter()
            .map(|&axis| dims[axis])
            .product();
        let share = graph.scale(1.0 / count as f64, cotangent);
        spread(graph, site, share)
    }

    fn batch(&self, graph: &mut Graph, call: &Batch<'_>) -> NodeId {
        batch_axes(graph, call)
    }
}

/// √Σx² along the attribute's axes, without squares that leave the range. The slope x/‖x‖ is taken as 0
/// at 0, where there is none, and so are its derivatives.
#[derive(Debug)]
pub(crate) struct Norm;
pub(crate) static NORM: Norm = Norm;

impl Primitive for Norm {
    fn name(&self) -> &'static str {
        "norm"
    }

    fn shape(&self, attr: &Attr, inputs: &[&Shape]) -> Result<Shape, String> {
        nonempty_shape(attr, inputs)
    }

    fn rule(&self) -> Rule {
        Rule::Reduction
    }

    fn lowering(&'static self) -> Lowering {
        Lowering::Rows(RowKind::Norm)
    }

    fn partial(&self, graph: &mut Graph, site: &Site<'_>, _which: usize) -> NodeId {
        let recip = graph.map1(&ew::RECIP_OR_ZERO, site.output);
        let recip = spread(graph, site, recip);
        graph.mul(recip, site.inputs[0])
    }

    fn batch(&self, graph: &mut Graph, call: &Batch<'_>) -> NodeId {
        batch_axes(graph, call)
    }
}

/// The largest element along the attribute's axes; a tie shares its derivative equally.
#[derive(Debug)]
pub(crate) struct Max;
pub(crate) static MAX: Max = Max;

impl Primitive for Max {
    fn name(&self) -> &'static str {
        "max"
    }

    fn shape(&self, attr: &Attr, inputs: &[&Shape]) -> Result<Shape, String> {
        nonempty_shape(attr, inputs)
    }

    fn rule(&self) -> Rule {
        Rule::Reduction
    }

    fn lowering(&'static self) -> Lowering {
        Lowering::Reduce(Reduction::Max)
    }

    fn partial(&self, graph: &mut Graph, site: &Site<'_>, _which: usize) -> NodeId {
        let largest = spread(graph, site, site.output);
        let hit = graph.map2(&ew::EQUALS, site.inputs[0], largest);
        let hits = graph.sum(hit, site.op.attr.as_ints());
        let hits = spread(graph, site, hits);
        graph.map2(&ew::DIV, hit, hits)
    }

    fn batch(&self, graph: &mut Graph, call: &Batch<'_>) -> NodeId {
        batch_axes(graph, call)
    }
}
