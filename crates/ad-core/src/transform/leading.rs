//! The first numbers of a result, without computing the rest.

use rustc_hash::{FxHashMap, FxHashSet};

use crate::graph::{Graph, NodeId};
use crate::ops::{Lowering, layout, matmul};
use crate::shape::Shape;

/// The first `len` numbers of a vector, where it is a matrix product in a row, or elementwise
/// in such ones: a product of fewer rows. `None` where nothing would be saved.
pub(crate) fn leading(graph: &mut Graph, id: NodeId, len: usize) -> Option<NodeId> {
    // An instruction that many others read is cut once.
    let mut cut: FxHashMap<NodeId, Option<NodeId>> = FxHashMap::default();
    for at in cone(graph, id) {
        let node = graph.node(at).to_owned();
        let shorter = if node.op.is(&layout::RESHAPE) {
            of_product(graph, node.inputs[0], len)
        } else if is_inside(graph, at) && node.inputs.iter().any(|x| cut[x].is_some()) {
            let operand = |x: &NodeId| cut[x].unwrap_or_else(|| graph.slice(*x, 0, 0, len));
            let operands = node.inputs.iter().map(operand).collect();
            Some(graph.push(node.op, operands))
        } else {
            None
        };
        cut.insert(at, shorter);
    }
    cut[&id]
}

/// The width of the matrix products that [`leading`] would cut, the least of them; `None` where it
/// saves nothing.
pub(crate) fn row_width(graph: &Graph, id: NodeId) -> Option<usize> {
    let width = |at: NodeId| {
        let node = graph.node(at);
        let product = graph.node(*node.inputs.first()?);
        let cut = node.op.is(&layout::RESHAPE)
            && product.op.is(&matmul::MATMUL)
            && product.shape.rank() == 2;
        cut.then(|| product.shape.dims()[1])
    };
    cone(graph, id).into_iter().filter_map(width).min()
}

/// Whether an instruction is elementwise: its operands then have its shape.
fn is_inside(graph: &Graph, id: NodeId) -> bool {
    matches!(graph.op(id).def().lowering(), Lowering::Map(_))
}

/// An instruction and what it is elementwise in, each once and operands first.
fn cone(graph: &Graph, id: NodeId) -> Vec<NodeId> {
    let (mut all, mut seen) = (vec![id], FxHashSet::from_iter([id]));
    let mut next = 0;
    while let Some(&at) = all.get(next) {
        next += 1;
        if is_inside(graph, at) {
            let inputs = graph.inputs(at).iter().copied();
            all.extend(inputs.filter(|&input| seen.insert(input)));
        }
    }
    all.sort_unstable();
    all
}

/// The first `len` numbers of a matrix product, row by row.
fn of_product(graph: &mut Graph, id: NodeId, len: usize) -> Option<NodeId> {
    let node = graph.node(id).to_owned();
    let (true, &[_, width]) = (node.op.is(&matmul::MATMUL), node.shape.dims()) else {
        return None;
    };
    let rows = len.div_ceil(width.max(1));
    let above = graph.slice(node.inputs[0], 0, 0, rows);
    let product = graph.matmul(above, node.inputs[1]);
    let flat = graph.reshape(product, &Shape::new(&[rows * width]));
    Some(graph.slice(flat, 0, 0, len))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::elementwise as ew;

    /// The shapes that a product multiplies.
    fn factors(graph: &Graph, product: NodeId) -> [Vec<usize>; 2] {
        let node = graph.node(product);
        assert!(node.op.is(&matmul::MATMUL), "{:?}", node.op);
        [0, 1].map(|side| graph.shape(node.inputs[side]).dims().to_vec())
    }

    #[test]
    fn products_lose_the_rows_that_nobody_reads() {
        let mut graph = Graph::default();
        let a = graph.input(0, &Shape::new(&[6, 4]));
        let b = graph.input(1, &Shape::new(&[4, 5]));
        let product = graph.matmul(a, b);
        let flat = graph.reshape(product, &Shape::new(&[30]));
        let doubled = graph.scale(2.0, flat);
        assert_eq!(row_width(&graph, doubled), Some(5));
        let short = leading(&mut graph, doubled, 12).unwrap();
        assert_eq!(graph.shape(short).dims(), [12]);
        let cut = graph.inputs(short)[0];
        let matrix = graph.inputs(graph.node(cut).inputs[0])[0];
        assert_eq!(factors(&graph, matrix), [vec![3, 4], vec![4, 5]]);
        let vector = graph.input(2, &Shape::new(&[30]));
        assert_eq!(leading(&mut graph, vector, 12), None);
    }

    /// y ← y·sin y: the number of paths doubles at each step, that of instructions does not.
    #[test]
    fn shared_operands_are_cut_once() {
        let mut graph = Graph::default();
        let a = graph.input(0, &Shape::new(&[6, 4]));
        let b = graph.input(1, &Shape::new(&[4, 5]));
        let product = graph.matmul(a, b);
        let mut y = graph.reshape(product, &Shape::new(&[30]));
        for _ in 0..1000 {
            let sin = graph.map1(&ew::SIN, y);
            y = graph.mul(y, sin);
        }
        assert_eq!(row_width(&graph, y), Some(5));
        let before = graph.len();
        let short = leading(&mut graph, y, 12).unwrap();
        assert_eq!(graph.shape(short).dims(), [12]);
        // Two instructions per step, and the product of fewer rows: slice, product, reshape, slice.
        assert_eq!(graph.len() - before, 2 * 1000 + 4);
    }

    #[test]
    fn products_with_rows_of_zeros_leave_them_out() {
        let mut graph = Graph::default();
        let a = graph.input(0, &Shape::new(&[6, 4]));
        let piece = graph.input(1, &Shape::new(&[10]));
        let mut product = |offset| {
            let vector = graph.place(0, 20, &[(offset, piece)]);
            let b = graph.reshape(vector, &Shape::new(&[4, 5]));
            let product = graph.matmul(a, b);
            factors(&graph, product)
        };
        assert_eq!(product(5), [vec![6, 2], vec![2, 5]]);
        assert_eq!(product(3), [vec![6, 4], vec![4, 5]]);
    }
}
