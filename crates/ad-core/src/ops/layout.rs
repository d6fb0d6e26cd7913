//! Primitives that move no number through arithmetic: reshape, permute, slice, broadcast, place,
//! and the stopped gradient. All but `place` are views: another way to read the operand's memory.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::{Attr, Batch, Lowering, Op, Primitive, Rule, Site, elementwise as ew, stretch};
use crate::graph::{Graph, NodeId};
use crate::plan::View;
use crate::shape::{Dims, MAX_LEN, Shape};

/// Every layout primitive.
#[cfg(test)]
pub(crate) static LAYOUT: &[&dyn Primitive] = &[
    &RESHAPE,
    &PERMUTE,
    &SLICE,
    &BROADCAST,
    &PLACE,
    &STOP_GRADIENT,
];

/// The same elements in row-major order under another shape, which is the attribute.
#[derive(Debug)]
pub(crate) struct Reshape;
pub(crate) static RESHAPE: Reshape = Reshape;

impl Primitive for Reshape {
    fn name(&self) -> &'static str {
        "reshape"
    }

    fn shape(&self, attr: &Attr, inputs: &[&Shape]) -> Result<Shape, String> {
        let shape = Shape::new(attr.as_ints()).check(MAX_LEN)?;
        if shape.len() == inputs[0].len() {
            return Ok(shape);
        }
        Err(format!(
            "{} has {} elements, {shape} has {}",
            inputs[0],
            inputs[0].len(),
            shape.len()
        ))
    }

    fn rule(&self) -> Rule {
        Rule::Linear
    }

    fn lowering(&'static self) -> Lowering {
        Lowering::View
    }

    fn simplify(&self, graph: &mut Graph, op: &Op, inputs: &[NodeId]) -> Option<NodeId> {
        let node = graph.node(inputs[0]);
        if node.shape.dims() == op.attr.as_ints() {
            return Some(inputs[0]);
        }
        if node.op.is(&RESHAPE) {
            let inner = node.inputs[0];
            return Some(graph.reshape(inner, &Shape::new(op.attr.as_ints())));
        }
        if node.op.is(&BROADCAST)
            && let Some(value) = graph.uniform(inputs[0])
        {
            return Some(graph.full(value, &Shape::new(op.attr.as_ints())));
        }
        rows_of_placement(graph, inputs[0], op.attr.as_ints())
    }

    fn transpose(&self, graph: &mut Graph, site: &Site<'_>, _: usize, cotangent: NodeId) -> NodeId {
        let shape = graph.shape(site.inputs[0]).clone();
        ew::transpose_kept(graph, cotangent, |graph, x| graph.reshape(x, &shape))
    }

    fn batch(&self, graph: &mut Graph, call: &Batch<'_>) -> NodeId {
        let shape = Shape::new(call.op.attr.as_ints()).prefixed(call.count);
        graph.reshape(call.inputs[0], &shape)
    }

    fn view(&self, _attr: &Attr, input: &View, shape: &Shape) -> Option<View> {
        input.reshaped(shape)
    }
}

/// Axis k of the result is axis `attribute[k]` of the operand.
#[derive(Debug)]
pub(crate) struct Permute;
pub(crate) static PERMUTE: Permute = Permute;

impl Primitive for Permute {
    fn name(&self) -> &'static str {
        "permute"
    }

    fn shape(&self, attr: &Attr, inputs: &[&Shape]) -> Result<Shape, String> {
        let axes = attr.as_ints();
        let mut sorted = Dims::from_slice(axes);
        sorted.sort_unstable();
        if sorted.iter().copied().ne(0..inputs[0].rank()) {
            return Err(format!(
                "axes {axes:?} of an operand of the shape {}",
                inputs[0]
            ));
        }
        let dims: Dims = axes.iter().map(|&axis| inputs[0].dims()[axis]).collect();
        Ok(Shape::new(&dims))
    }

    fn rule(&self) -> Rule {
        Rule::Linear
    }

    fn lowering(&'static self) -> Lowering {
        Lowering::View
    }

    fn simplify(&self, graph: &mut Graph, op: &Op, inputs: &[NodeId]) -> Option<NodeId> {
        let axes = op.attr.as_ints();
        if axes.iter().copied().eq(0..axes.len()) {
            return Some(inputs[0]);
        }
        let node = graph.node(inputs[0]);
        if !node.op.is(&PERMUTE) {
            return None;
        }
        let inner = node.op.attr.as_ints();
        let both: Dims = axes.iter().map(|&axis| inner[axis]).collect();
        let operand = node.inputs[0];
        Some(graph.permute(operand, &both))
    }

    fn transpose(&self, graph: &mut Graph, site: &Site<'_>, _: usize, cotangent: NodeId) -> NodeId {
        let axes = site.op.attr.as_ints();
        let mut inverse = Dims::from_elem(0, axes.len());
        for (to, &from) in axes.iter().enumerate() {
            inverse[from] = to;
        }
        ew::transpose_kept(graph, cotangent, |graph, x| graph.permute(x, &inverse))
    }

    fn batch(&self, graph: &mut Graph, call: &Batch<'_>) -> NodeId {
        let mut axes = Dims::from_slice(&[0]);
        axes.extend(call.op.attr.as_ints().iter().map(|axis| axis + 1));
        graph.permute(call.inputs[0], &axes)
    }

    fn view(&self, attr: &Attr, input: &View, shape: &Shape) -> Option<View> {
        let strides = attr
            .as_ints()
            .iter()
            .map(|&axis| input.strides[axis])
            .collect();
        Some(View {
            shape: shape.clone(),
            strides,
            ..*input
        })
    }
}

/// Elements `start..start + len` of one axis; the attribute is (axis, start, len).
#[derive(Debug)]
pub(crate) struct Slice;
pub(crate) static SLICE: Slice = Slice;

impl Primitive for Slice {
    fn name(&self) -> &'static str {
        "slice"
    }

    fn shape(&self, attr: &Attr, inputs: &[&Shape]) -> Result<Shape, String> {
        let [axis, start, len] = attr.as_ints() else {
            unreachable!("a slice has three numbers")
        };
        let mut dims = Dims::from_slice(inputs[0].dims());
        match dims.get_mut(*axis) {
            Some(size) if start.checked_add(*len).is_some_and(|end| end <= *size) => *size = *len,
            _ => {
                return Err(format!(
                    "{len} elements from {start} on of axis {axis} of the shape {}",
                    inputs[0]
                ));
            }
        }
        Ok(Shape::new(&dims))
    }

    fn rule(&self) -> Rule {
        Rule::Linear
    }

    fn lowering(&'static self) -> Lowering {
        Lowering::View
    }

    fn simplify(&self, graph: &mut Graph, op: &Op, inputs: &[NodeId]) -> Option<NodeId> {
        let &[axis, start, len] = op.attr.as_ints() else {
            unreachable!("a slice has three numbers")
        };
        let node = graph.node(inputs[0]);
        if node.shape.dims()[axis] == len {
            return Some(inputs[0]);
        }
        // Peeling a vector element by element must not leave a chain of views.
        if node.op.is(&SLICE) && node.op.attr.as_ints()[0] == axis {
            let (inner, first) = (node.inputs[0], node.op.attr.as_ints()[1]);
            return Some(graph.slice(inner, axis, first + start, len));
        }
        None
    }

    fn transpose(&self, graph: &mut Graph, site: &Site<'_>, _: usize, cotangent: NodeId) -> NodeId {
        let (axis, start) = (site.op.attr.as_ints()[0], site.op.attr.as_ints()[1]);
        let size = graph.shape(site.inputs[0]).dims()[axis];
        graph.place(axis, size, &[(start, cotangent)])
    }

    fn batch(&self, graph: &mut Graph, call: &Batch<'_>) -> NodeId {
        let [axis, start, len] = call.op.attr.as_ints() else {
            unreachable!("a slice has three numbers")
        };
        graph.slice(call.inputs[0], axis + 1, *start, *len)
    }

    fn view(&self, attr: &Attr, input: &View, shape: &Shape) -> Option<View> {
        let (axis, start) = (attr.as_ints()[0], attr.as_ints()[1]);
        let offset = input.offset + start * input.strides[axis].unsigned_abs();
        Some(View {
            offset,
            shape: shape.clone(),
            strides: input.strides.clone(),
            ..*input
        })
    }
}

/// Stretches axes of size 1 to the sizes of the attribute, of the same rank.
#[derive(Debug)]
pub(crate) struct Broadcast;
pub(crate) static BROADCAST: Broadcast = Broadcast;

impl Primitive for Broadcast {
    fn name(&self) -> &'static str {
        "broadcast"
    }

    fn shape(&self, attr: &Attr, inputs: &[&Shape]) -> Result<Shape, String> {
        let (from, to) = (inputs[0].dims(), attr.as_ints());
        let fits = from.len() == to.len() && from.iter().zip(to).all(|(f, t)| f == t || *f == 1);
        if fits {
            Ok(Shape::new(to))
        } else {
            Err(format!("shape {} to {to:?}", inputs[0]))
        }
    }

    fn rule(&self) -> Rule {
        Rule::Linear
    }

    fn lowering(&'static self) -> Lowering {
        Lowering::View
    }

    fn simplify(&self, graph: &mut Graph, op: &Op, inputs: &[NodeId]) -> Option<NodeId> {
        let node = graph.node(inputs[0]);
        if node.shape.dims() == op.attr.as_ints() {
            return Some(inputs[0]);
        }
        if node.op.is(&BROADCAST) {
            let inner = node.inputs[0];
            return Some(graph.broadcast(inner, &Shape::new(op.attr.as_ints())));
        }
        None
    }

    fn transpose(&self, graph: &mut Graph, site: &Site<'_>, _: usize, cotangent: NodeId) -> NodeId {
        let small = graph.shape(site.inputs[0]).clone();
        let large = graph.shape(site.output).clone();
        let stretched = |&axis: &usize| small.dims()[axis] != large.dims()[axis];
        let axes: Dims = (0..small.rank()).filter(stretched).collect();
        let sum = graph.sum(cotangent, &axes);
        graph.reshape(sum, &small)
    }

    fn batch(&self, graph: &mut Graph, call: &Batch<'_>) -> NodeId {
        let shape = Shape::new(call.op.attr.as_ints()).prefixed(call.count);
        graph.broadcast(call.inputs[0], &shape)
    }

    fn view(&self, _attr: &Attr, input: &View, shape: &Shape) -> Option<View> {
        let stride = |axis: usize| {
            if input.shape.dims()[axis] == shape.dims()[axis] {
                input.strides[axis]
            } else {
                0
            }
        };
        let strides = (0..shape.rank()).map(stride).collect();
        Some(View {
            shape: shape.clone(),
            strides,
            ..*input
        })
    }
}

/// The operands side by side along one axis, zeros in between: concatenation, and the transpose
/// of slicing. The attribute is (axis, size, offset of each operand), offsets ascending.
#[derive(Debug)]
pub(crate) struct Place;
pub(crate) static PLACE: Place = Place;

/// The axis, the size along it and the offsets of a placement.
pub(crate) fn placement(attr: &Attr) -> (usize, usize, &[usize]) {
    let ints = attr.as_ints();
    (ints[0], ints[1], &ints[2..])
}

impl Primitive for Place {
    fn name(&self) -> &'static str {
        "place"
    }

    fn shape(&self, attr: &Attr, inputs: &[&Shape]) -> Result<Shape, String> {
        let (axis, size, offsets) = placement(attr);
        let mut dims = Dims::from_slice(inputs[0].dims());
        if axis >= dims.len() {
            return Err(format!("axis {axis} of the shape {}", inputs[0]));
        }
        let mut end = 0;
        for (input, &offset) in inputs.iter().zip(offsets) {
            let mut like = Dims::from_slice(input.dims());
            if like.len() != dims.len() || offset < end {
                return Err(format!(
                    "operands of the shapes {inputs:?} along axis {axis}"
                ));
            }
            let reach = offset.checked_add(like[axis]);
            like[axis] = dims[axis];
            end = reach.unwrap_or(0);
            if like != dims || reach.is_none_or(|end| end > size) {
                return Err(format!(
                    "operands of the shapes {inputs:?} along axis {axis}"
                ));
            }
        }
        dims[axis] = size;
        Ok(Shape::new(&dims))
    }

    fn rule(&self) -> Rule {
        Rule::Linear
    }

    fn lowering(&'static self) -> Lowering {
        Lowering::Place
    }

    fn simplify(&self, graph: &mut Graph, op: &Op, inputs: &[NodeId]) -> Option<NodeId> {
        let (axis, size, _) = placement(&op.attr);
        let whole = inputs.len() == 1 && graph.shape(inputs[0]).dims()[axis] == size;
        whole.then(|| inputs[0])
    }

    fn apply_linear(
        &self,
        graph: &mut Graph,
        site: &Site<'_>,
        tangents: &[Option<NodeId>],
    ) -> NodeId {
        let (axis, size, offsets) = placement(&site.op.attr);
        let pieces: Vec<_> = offsets
            .iter()
            .zip(tangents)
            .filter_map(|(&at, piece)| Some((at, (*piece)?)))
            .collect();
        graph.place(axis, size, &pieces)
    }

    fn transpose(
        &self,
        graph: &mut Graph,
        site: &Site<'_>,
        which: usize,
        cotangent: NodeId,
    ) -> NodeId {
        let (axis, _, offsets) = placement(&site.op.attr);
        let len = graph.shape(site.inputs[which]).dims()[axis];
        graph.slice(cotangent, axis, offsets[which], len)
    }

    fn batch(&self, graph: &mut Graph, call: &Batch<'_>) -> NodeId {
        let (axis, size, offsets) = placement(&call.op.attr);
        let mut pieces = Vec::with_capacity(call.inputs.len());
        for ((&id, &has), &offset) in call.inputs.iter().zip(call.batched).zip(offsets) {
            pieces.push((offset, stretch(graph, id, has, call.count)));
        }
        graph.place(axis + 1, size, &pieces)
    }
}

/// A vector that is one piece among zeros, as a matrix: if the piece is whole rows, a piece of rows
/// among rows of zeros, which products can leave out.
fn rows_of_placement(graph: &mut Graph, vector: NodeId, to: &[usize]) -> Option<NodeId> {
    let node = graph.node(vector);
    let (&[_, width], &[size], &[piece]) = (to, node.shape.dims(), node.inputs) else {
        return None;
    };
    if !node.op.is(&PLACE) || width == 0 {
        return None;
    }
    let offset = placement(&node.op.attr).2[0];
    let len = graph.shape(piece).len();
    if !offset.is_multiple_of(width) || !len.is_multiple_of(width) {
        return None;
    }
    let rows = graph.reshape(piece, &Shape::new(&[len / width, width]));
    Some(graph.place(0, size / width, &[(offset / width, rows)]))
}

/// Part of a placement: where it begins and ends along the axis.
#[derive(Clone, Copy, Debug)]
struct Part {
    start: usize,
    end: usize,
    piece: NodeId,
}

/// Joins those of the terms of a sum that are placements along the same axis: into one placement if
/// they do not overlap, else into as few as overlap at one place. Returns the placements and the other
/// terms.
pub(crate) fn join_placements(graph: &mut Graph, terms: &[NodeId]) -> (Vec<NodeId>, Vec<NodeId>) {
    let (placed, rest): (Vec<_>, Vec<_>) = terms.iter().partition(|&&id| graph.op(id).is(&PLACE));
    if placed.len() < 2 {
        return (placed, rest);
    }
    let rank = graph.shape(placed[0]).rank();
    let mut joined = Vec::new();
    for axis in 0..rank {
        let along = |id: &NodeId| placement(&graph.op(*id).attr).0 == axis;
        let placed: Vec<NodeId> = placed.iter().copied().filter(along).collect();
        if placed.len() < 2 {
            joined.extend(placed);
            continue;
        }
        let size = graph.shape(placed[0]).dims()[axis];
        let parts = parts(graph, axis, &placed);
        let len: usize = parts.iter().map(|part| part.end - part.start).sum();
        let layers = layers(&parts);
        if layers.len() > MOST_LAYERS && layers.len() * size > MOST_LAYERS * (len + size) {
            joined.push(scattered(graph, axis, size, &parts));
            continue;
        }
        for layer in layers {
            let pieces: Vec<_> = layer.iter().map(|part| (part.start, part.piece)).collect();
            joined.push(graph.place(axis, size, &pieces));
        }
    }
    (joined, rest)
}

/// Layers that may each be as long as the whole, whatever their parts take. More of them must not
/// take this much more than the parts and the sum do.
const MOST_LAYERS: usize = 4;

/// The sum of parts of which many overlap at few places: side by side, then added up by a list.
fn scattered(graph: &mut Graph, axis: usize, size: usize, parts: &[Part]) -> NodeId {
    let (mut pieces, mut list) = (Vec::with_capacity(parts.len()), Vec::new());
    for part in parts {
        pieces.push((list.len(), part.piece));
        list.extend(part.start..part.end);
    }
    let all = graph.place(axis, list.len(), &pieces);
    graph.scatter_add(all, axis, size, &list)
}

/// The parts of placements along an axis, in order; parts of one place are added up.
fn parts(graph: &mut Graph, axis: usize, placed: &[NodeId]) -> Vec<Part> {
    let mut parts = Vec::new();
    for &term in placed {
        let node = graph.node(term);
        let offsets = placement(&node.op.attr).2;
        parts.extend(node.inputs.iter().zip(offsets).map(|(&piece, &start)| {
            let end = start + graph.shape(piece).dims()[axis];
            Part { start, end, piece }
        }));
    }
    parts.sort_by_key(|part| (part.start, part.end));
    parts
        .chunk_by(|a, b| (a.start, a.end) == (b.start, b.end))
        .map(|same| {
            let pieces: Vec<NodeId> = same.iter().map(|part| part.piece).collect();
            let piece = graph.add_all(&pieces);
            Part { piece, ..same[0] }
        })
        .collect()
}

/// Parts in order as layers without overlap, each part in the layer that ends first: no more layers
/// than parts that overlap at one place.
fn layers(parts: &[Part]) -> Vec<Vec<Part>> {
    let mut layers: Vec<Vec<Part>> = Vec::new();
    let mut ends: BinaryHeap<Reverse<(usize, usize)>> = BinaryHeap::new();
    for &part in parts {
        let layer = match ends.peek() {
            Some(&Reverse((end, layer))) if end <= part.start => {
                ends.pop();
                layer
            }
            _ => {
                layers.push(Vec::new());
                layers.len() - 1
            }
        };
        layers[layer].push(part);
        ends.push(Reverse((part.end, layer)));
    }
    layers
}

/// The operand itself, through which no derivative passes.
#[derive(Debug)]
pub(crate) struct StopGradient;
pub(crate) static STOP_GRADIENT: StopGradient = StopGradient;

impl Primitive for StopGradient {
    fn name(&self) -> &'static str {
        "stop_gradient"
    }

    fn shape(&self, _attr: &Attr, inputs: &[&Shape]) -> Result<Shape, String> {
        Ok(inputs[0].clone())
    }

    fn rule(&self) -> Rule {
        Rule::Constant
    }

    fn lowering(&'static self) -> Lowering {
        Lowering::View
    }

    fn batch(&self, _graph: &mut Graph, call: &Batch<'_>) -> NodeId {
        call.inputs[0]
    }

    fn view(&self, _attr: &Attr, input: &View, _shape: &Shape) -> Option<View> {
        Some(input.clone())
    }
}
