//! The linear recurrence: each number a multiple of the one before, plus something.

use super::{Attr, Batch, Lowering, Op, Primitive, Rule, Site, stretch};
use crate::graph::{Graph, NodeId};
use crate::shape::{Dims, Shape};

/// y₀ = b₀, yₖ = aₖ₋₁·yₖ₋₁ + bₖ along the last axis, where a has one element fewer than b; with the
/// attribute 1 from the end: y₍ₙ₋₁₎ = b₍ₙ₋₁₎, yₖ = aₖ·yₖ₊₁ + bₖ.
///
/// What a loop over products leaves: with b = (x₀, 0, …, 0) the yₖ are the partial products, rounded
/// as the loop rounds them. The family is closed: its tangent is a recurrence with the same a,
/// its cotangent one that runs the other way.
#[derive(Debug)]
pub(crate) struct Recurrence;
pub(crate) static RECURRENCE: Recurrence = Recurrence;

/// Whether the recurrence runs from the end.
pub(crate) fn is_backward(attr: &Attr) -> bool {
    attr.as_ints() == [1]
}

impl Recurrence {
    /// Along the last axis, `x` with that axis cut to `len` elements from `start` on.
    fn cut(graph: &mut Graph, x: NodeId, start: usize, len: usize) -> NodeId {
        let axis = graph.shape(x).rank() - 1;
        graph.slice(x, axis, start, len)
    }

    /// The elements of y that a multiplies.
    fn multiplied(graph: &mut Graph, op: &Op, y: NodeId) -> NodeId {
        let n = Self::len(graph, y);
        Self::cut(graph, y, usize::from(is_backward(&op.attr)), n - 1)
    }

    fn len(graph: &Graph, x: NodeId) -> usize {
        graph.shape(x).dims().last().copied().unwrap_or(1)
    }

    /// The recurrence with coefficients `a` of terms aₖ·yₖ, to which are added `products` (where `a`
    /// adds its own) and `b`.
    pub(crate) fn of_terms(
        graph: &mut Graph,
        op: &Op,
        a: NodeId,
        products: &[NodeId],
        b: Option<NodeId>,
    ) -> NodeId {
        let axis = graph.shape(a).rank() - 1;
        let n = Self::len(graph, a) + 1;
        let mut terms: Vec<NodeId> = b.into_iter().collect();
        if !products.is_empty() {
            let sum = graph.add_all(products);
            let at = usize::from(!is_backward(&op.attr));
            terms.push(graph.place(axis, n, &[(at, sum)]));
        }
        let b = graph.add_all(&terms);
        graph.push(op.clone(), [a, b].as_slice().into())
    }

    /// The products of coefficients (or of their tangents) with the elements of y that they multiply.
    pub(crate) fn product(graph: &mut Graph, op: &Op, a: NodeId, y: NodeId) -> NodeId {
        let multiplied = Self::multiplied(graph, op, y);
        graph.mul(a, multiplied)
    }
}

impl Primitive for Recurrence {
    fn name(&self) -> &'static str {
        "recurrence"
    }

    fn shape(&self, _attr: &Attr, inputs: &[&Shape]) -> Result<Shape, String> {
        let (a, b) = (inputs[0], inputs[1]);
        let mut longer = Dims::from_slice(a.dims());
        if let Some(last) = longer.last_mut() {
            *last += 1;
        }
        if a.rank() > 0 && longer[..] == *b.dims() {
            return Ok(b.clone());
        }
        Err(format!("coefficients of the shape {a} for terms of {b}"))
    }

    fn rule(&self) -> Rule {
        Rule::Recurrence
    }

    fn lowering(&'static self) -> Lowering {
        Lowering::Recurrence
    }

    /// ẏₖ = aₖ₋₁·ẏₖ₋₁ + (ȧₖ₋₁·yₖ₋₁ + ḃₖ)
    fn apply_linear(
        &self,
        graph: &mut Graph,
        site: &Site<'_>,
        tangents: &[Option<NodeId>],
    ) -> NodeId {
        let product = |graph: &mut Graph, a| Self::product(graph, site.op, a, site.output);
        let products: Vec<_> = tangents[0].map(|a| product(graph, a)).into_iter().collect();
        Self::of_terms(graph, site.op, site.inputs[0], &products, tangents[1])
    }

    /// b̄ is the recurrence the other way of ȳ; āₖ = b̄ₖ₊₁·yₖ.
    fn transpose(
        &self,
        graph: &mut Graph,
        site: &Site<'_>,
        which: usize,
        cotangent: NodeId,
    ) -> NodeId {
        let backward = is_backward(&site.op.attr);
        let other = Op::new(&RECURRENCE, Attr::ints(&[usize::from(!backward)]));
        let b = graph.push(other, [site.inputs[0], cotangent].as_slice().into());
        if which == 1 {
            return b;
        }
        let n = Self::len(graph, b);
        let added = Self::cut(graph, b, usize::from(!backward), n - 1);
        Self::product(graph, site.op, added, site.output)
    }

    fn batch(&self, graph: &mut Graph, call: &Batch<'_>) -> NodeId {
        let operands = call.inputs.iter().zip(call.batched);
        let inputs = operands
            .map(|(&id, &has)| stretch(graph, id, has, call.count))
            .collect();
        graph.push(call.op.clone(), inputs)
    }
}
