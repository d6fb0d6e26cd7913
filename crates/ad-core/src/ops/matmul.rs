//! The matrix product.

use super::{Attr, Batch, Lowering, Op, Primitive, Rule, Site, layout, stretch};
use crate::graph::{Graph, NodeId};
use crate::shape::{Dims, Shape};

/// C = A·B of matrices, or of two stacks of matrices of the same count. Transposed forms are
/// products of permuted operands, which are views.
#[derive(Debug)]
pub(crate) struct MatMul;
pub(crate) static MATMUL: MatMul = MatMul;

impl Primitive for MatMul {
    fn name(&self) -> &'static str {
        "matmul"
    }

    fn shape(&self, _attr: &Attr, inputs: &[&Shape]) -> Result<Shape, String> {
        let (a, b) = (inputs[0].dims(), inputs[1].dims());
        match (a, b) {
            ([m, k], [l, n]) if k == l => Ok(Shape::new(&[*m, *n])),
            ([s, m, k], [t, l, n]) if k == l && s == t => Ok(Shape::new(&[*s, *m, *n])),
            _ => Err(format!(
                "operands of the shapes {} and {}",
                inputs[0], inputs[1]
            )),
        }
    }

    fn rule(&self) -> Rule {
        Rule::Bilinear
    }

    fn lowering(&'static self) -> Lowering {
        Lowering::MatMul
    }

    /// Where rows of B are zeros but for one piece of them, A's columns that meet zeros are left out.
    fn simplify(&self, graph: &mut Graph, _op: &Op, inputs: &[NodeId]) -> Option<NodeId> {
        let node = graph.node(inputs[1]);
        if !node.op.is(&layout::PLACE) || node.shape.rank() != 2 {
            return None;
        }
        let (axis, _, offsets) = layout::placement(&node.op.attr);
        let (&[piece], &[offset], 0) = (node.inputs, offsets, axis) else {
            return None;
        };
        let rows = graph.shape(piece).dims()[0];
        let columns = graph.slice(inputs[0], 1, offset, rows);
        Some(graph.matmul(columns, piece))
    }

    /// Ā = C̄·Bᵀ and B̄ = Aᵀ·C̄.
    fn transpose(
        &self,
        graph: &mut Graph,
        site: &Site<'_>,
        which: usize,
        cotangent: NodeId,
    ) -> NodeId {
        let other = graph.transposed(site.inputs[1 - which]);
        if which == 0 {
            graph.matmul(cotangent, other)
        } else {
            graph.matmul(other, cotangent)
        }
    }

    /// A stack on the left of one matrix is one tall product; otherwise the matrices are
    /// multiplied one by one, the shared operand repeated by a stride of 0. A stack of products
    /// takes the new axis into its own.
    fn batch(&self, graph: &mut Graph, call: &Batch<'_>) -> NodeId {
        let flat = call.shape.rank() == 2;
        let permuted = graph.op(call.inputs[0]).is(&layout::PERMUTE);
        if flat && call.batched == [true, false] && !permuted {
            let dims = Dims::from_slice(graph.shape(call.inputs[0]).dims());
            let tall = Shape::new(&[dims[0] * dims[1], dims[2]]);
            let tall = graph.reshape(call.inputs[0], &tall);
            let product = graph.matmul(tall, call.inputs[1]);
            return graph.reshape(product, &call.shape.prefixed(call.count));
        }
        let mut left = stretch(graph, call.inputs[0], call.batched[0], call.count);
        let mut right = stretch(graph, call.inputs[1], call.batched[1], call.count);
        if flat {
            return graph.matmul(left, right);
        }
        for side in [&mut left, &mut right] {
            let dims = Dims::from_slice(graph.shape(*side).dims());
            let merged = Shape::new(&[dims[0] * dims[1], dims[2], dims[3]]);
            *side = graph.reshape(*side, &merged);
        }
        let product = graph.matmul(left, right);
        graph.reshape(product, &call.shape.prefixed(call.count))
    }
}
