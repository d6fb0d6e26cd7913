//! The pieces in which a program reads its parameters.

use std::ops::Range;

use crate::graph::{Graph, NodeId};
use crate::ops::layout;

/// Consecutive parameters, and the instruction that reads them.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub(super) range: Range<usize>,
    pub(super) node: NodeId,
}

/// The slices through which the program of `output` reads `parameters`, in order; all parameters as
/// one piece where it reads them in another way too, or slices overlap.
pub(super) fn pieces(graph: &Graph, parameters: NodeId, output: NodeId) -> Vec<Piece> {
    let needed = graph.needed_for([output]);
    let mut pieces = Vec::new();
    for node in graph.ids().filter(|id| needed[id.index()]) {
        let instruction = graph.node(node);
        if !instruction.inputs.contains(&parameters) {
            continue;
        }
        if !instruction.op.is(&layout::SLICE) {
            return vec![whole(graph, parameters)];
        }
        let attr = instruction.op.attr.as_ints();
        let range = attr[1]..attr[1] + attr[2];
        pieces.push(Piece { range, node });
    }
    pieces.sort_by_key(|piece| piece.range.start);
    let apart = |pair: &[Piece]| pair[0].range.end <= pair[1].range.start;
    if !pieces.is_empty() && pieces.windows(2).all(apart) {
        pieces
    } else {
        vec![whole(graph, parameters)]
    }
}

fn whole(graph: &Graph, parameters: NodeId) -> Piece {
    Piece {
        range: 0..graph.shape(parameters).len(),
        node: parameters,
    }
}

/// The fewest parameters of a panel, for its program to be worth deriving.
const MIN_PANEL: usize = 16;

/// The most panels.
const MAX_PANELS: usize = 16;

/// Consecutive pieces that go together: a short one (a bias) with the one before it.
pub(super) fn panels(pieces: &[Piece]) -> Vec<Range<usize>> {
    let total: usize = pieces.iter().map(|piece| piece.range.len()).sum();
    let least = (total / MAX_PANELS).max(MIN_PANEL);
    let mut panels: Vec<Range<usize>> = Vec::new();
    for piece in pieces {
        match panels.last_mut() {
            Some(last) if piece.range.len() < least => last.end = piece.range.end,
            _ => panels.push(piece.range.clone()),
        }
    }
    panels
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(range: Range<usize>) -> Piece {
        let node = NodeId::from_index(0);
        Piece { range, node }
    }

    #[test]
    fn short_pieces_join_the_one_before() {
        let lens = [1280, 20, 300, 15, 150, 10];
        let mut start = 0;
        let pieces = lens.map(|len| {
            start += len;
            piece(start - len..start)
        });
        assert_eq!(panels(&pieces), [0..1300, 1300..1615, 1615..1775]);
        let scalars: Vec<_> = (0..40).map(|at| piece(at..at + 1)).collect();
        let panels = panels(&scalars);
        assert_eq!((panels.len(), &panels[0]), (1, &(0..40)));
    }
}
