//! The first numbers of a result, without computing the rest.

use crate::graph::{Graph, NodeId};
use crate::ops::{Lowering, layout, matmul};
use crate::shape::Shape;

/// The first `len` numbers of a vector, where it is a matrix product in a row, or elementwise
/// in such ones: a product of fewer rows. `None` where nothing would be saved.
pub(crate) fn leading(graph: &mut Graph, id: NodeId, len: usize) -> Option<NodeId> {
    let node = graph.node(id).clone();
    if node.op.is(&layout::RESHAPE) {
        return of_product(graph, node.inputs[0], len);
    }
    let alike = node.inputs.iter().all(|&x| *graph.shape(x) == node.shape);
    if !alike || !matches!(node.op.def().lowering(), Lowering::Map(_)) {
        return None;
    }
    let shorter: Vec<_> = node
        .inputs
        .iter()
        .map(|&x| leading(graph, x, len))
        .collect();
    if shorter.iter().all(Option::is_none) {
        return None;
    }
    let operands = node.inputs.iter().zip(shorter);
    let operands = operands
        .map(|(&whole, short)| short.unwrap_or_else(|| graph.slice(whole, 0, 0, len)))
        .collect();
    Some(graph.push(node.op, operands))
}

/// The width of the matrix products that [`leading`] would cut, the least of them; `None` where it
/// saves nothing.
pub(crate) fn row_width(graph: &Graph, id: NodeId) -> Option<usize> {
    let node = graph.node(id);
    if node.op.is(&layout::RESHAPE) {
        let product = graph.node(node.inputs[0]);
        let is_product = product.op.is(&matmul::MATMUL) && product.shape.rank() == 2;
        return is_product.then(|| product.shape.dims()[1]);
    }
    let alike = node.inputs.iter().all(|&x| *graph.shape(x) == node.shape);
    if !alike || !matches!(node.op.def().lowering(), Lowering::Map(_)) {
        return None;
    }
    node.inputs
        .iter()
        .filter_map(|&x| row_width(graph, x))
        .min()
}

/// The first `len` numbers of a matrix product, row by row.
fn of_product(graph: &mut Graph, id: NodeId, len: usize) -> Option<NodeId> {
    let node = graph.node(id).clone();
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
        let cut = graph.node(short).inputs[0];
        let matrix = graph.node(graph.node(cut).inputs[0]).inputs[0];
        assert_eq!(factors(&graph, matrix), [vec![3, 4], vec![4, 5]]);
        let vector = graph.input(2, &Shape::new(&[30]));
        assert_eq!(leading(&mut graph, vector, 12), None);
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
