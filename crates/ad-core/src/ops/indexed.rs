//! Elements by a constant list of positions: taking them, and adding to them.

use super::{Attr, Batch, Indexed, Lowering, Op, Primitive, Rule, Site};
use crate::graph::{Graph, NodeId};
use crate::shape::{Dims, Shape};

/// Every primitive that has a list.
#[cfg(test)]
pub(crate) static INDEXED: &[&dyn Primitive] = &[&GATHER, &SCATTER_ADD];

/// yₖ = x at position listₖ of one axis. The attribute is (axis, number of the list in the graph, its
/// length, the size that the axis must have at least).
#[derive(Debug)]
pub(crate) struct Gather;
pub(crate) static GATHER: Gather = Gather;

/// The transpose of [`Gather`]: zeros, to which xₖ is added at position listₖ of one axis. The
/// attribute is (axis, number of the list in the graph, its length, the size of the result's axis).
#[derive(Debug)]
pub(crate) struct ScatterAdd;
pub(crate) static SCATTER_ADD: ScatterAdd = ScatterAdd;

/// What both attributes hold.
pub(crate) struct Positions {
    pub(crate) axis: usize,
    /// The number of the list in the graph.
    pub(crate) list: usize,
    len: usize,
    size: usize,
}

/// The attribute of [`Gather`] or [`ScatterAdd`].
pub(crate) fn positions(attr: &Attr) -> Positions {
    let &[axis, list, len, size] = attr.as_ints() else {
        unreachable!("a list of positions has four numbers")
    };
    Positions {
        axis,
        list,
        len,
        size,
    }
}

/// The number of the list, if the operation has one.
pub(crate) fn list_number(op: &Op) -> Option<usize> {
    let has = op.is(&GATHER) || op.is(&SCATTER_ADD);
    has.then(|| positions(&op.attr).list)
}

/// The same operation with the list of another number.
pub(crate) fn with_list(op: &Op, list: usize) -> Op {
    let Positions {
        axis, len, size, ..
    } = positions(&op.attr);
    Op::new(op.def(), Attr::ints(&[axis, list, len, size]))
}

/// The shape with another size along an axis, which must have had a size that fits.
fn resized(
    shape: &Shape,
    axis: usize,
    fits: impl Fn(usize) -> bool,
    size: usize,
) -> Result<Shape, String> {
    let mut dims = Dims::from_slice(shape.dims());
    match dims.get_mut(axis) {
        Some(old) if fits(*old) => *old = size,
        _ => return Err(format!("positions along axis {axis} of the shape {shape}")),
    }
    Ok(Shape::new(&dims))
}

/// The same list along another axis, of an operand whose size along it is known.
fn push(graph: &mut Graph, op: &Op, axis: usize, size: usize, x: NodeId) -> NodeId {
    let Positions { list, len, .. } = positions(&op.attr);
    let attr = Attr::ints(&[axis, list, len, size]);
    graph.push(Op::new(op.def(), attr), [x].as_slice().into())
}

impl Primitive for Gather {
    fn name(&self) -> &'static str {
        "gather"
    }

    fn shape(&self, attr: &Attr, inputs: &[&Shape]) -> Result<Shape, String> {
        let Positions {
            axis, len, size, ..
        } = positions(attr);
        resized(inputs[0], axis, |old| size <= old, len)
    }

    fn rule(&self) -> Rule {
        Rule::Linear
    }

    fn lowering(&'static self) -> Lowering {
        Lowering::Indexed(Indexed::Gather)
    }

    fn transpose(&self, graph: &mut Graph, site: &Site<'_>, _: usize, cotangent: NodeId) -> NodeId {
        let axis = positions(&site.op.attr).axis;
        let size = graph.shape(site.inputs[0]).dims()[axis];
        let like = Op::new(&SCATTER_ADD, site.op.attr.clone());
        push(graph, &like, axis, size, cotangent)
    }

    fn batch(&self, graph: &mut Graph, call: &Batch<'_>) -> NodeId {
        let Positions { axis, size, .. } = positions(&call.op.attr);
        push(graph, call.op, axis + 1, size, call.inputs[0])
    }
}

impl Primitive for ScatterAdd {
    fn name(&self) -> &'static str {
        "scatter_add"
    }

    fn shape(&self, attr: &Attr, inputs: &[&Shape]) -> Result<Shape, String> {
        let Positions {
            axis, len, size, ..
        } = positions(attr);
        resized(inputs[0], axis, |old| old == len, size)
    }

    fn rule(&self) -> Rule {
        Rule::Linear
    }

    fn lowering(&'static self) -> Lowering {
        Lowering::Indexed(Indexed::ScatterAdd)
    }

    fn transpose(&self, graph: &mut Graph, site: &Site<'_>, _: usize, cotangent: NodeId) -> NodeId {
        let Positions { axis, size, .. } = positions(&site.op.attr);
        let like = Op::new(&GATHER, site.op.attr.clone());
        push(graph, &like, axis, size, cotangent)
    }

    fn batch(&self, graph: &mut Graph, call: &Batch<'_>) -> NodeId {
        let Positions { axis, size, .. } = positions(&call.op.attr);
        push(graph, call.op, axis + 1, size, call.inputs[0])
    }
}
