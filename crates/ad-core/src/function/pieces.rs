//! The pieces in which a program reads its parameters.

use std::ops::Range;

use super::hessian::STRIP;
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

/// The parts of a panel, more or less.
const PARTS: usize = 8;

/// The fewest parameters of a panel that is cut.
const MIN_CUT: usize = 256;

/// A panel in parts, if it is large and the gradient's entries before a part's end cost less than
/// all of them: then of the square that is the panel's own, which symmetry halves, little more
/// than half is computed.
///
/// The entries are those of a matrix of rows of `width`, of which parts take whole ones.
pub(super) fn cut_panel(
    panel: Range<usize>,
    total: usize,
    width: Option<usize>,
) -> Vec<Range<usize>> {
    let large = panel.len() >= MIN_CUT && panel.len() * PARTS >= total;
    let Some(width) = width.filter(|width| *width > 0 && large) else {
        return vec![panel];
    };
    // Whole blocks of tangents, if that leaves two parts.
    let wanted = panel.len() / PARTS;
    let blocks = (1..=STRIP).map(|rows| rows * width);
    let step = blocks
        .filter(|step| step % STRIP == 0)
        .map(|step| (wanted / step).max(1) * step)
        .find(|step| step * 2 <= panel.len());
    let step = step.unwrap_or(panel.len());
    let starts = panel.clone().step_by(step);
    starts
        .map(|start| start..panel.end.min(start + step))
        .collect()
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
        let parts = cut_panel(0..1300, 1775, Some(20));
        assert_eq!(parts.len(), 9);
        assert_eq!((&parts[0], &parts[8]), (&(0..160), &(1280..1300)));
        let uncut = |panel: Range<usize>, total, width| {
            assert_eq!(cut_panel(panel.clone(), total, width), vec![panel]);
        };
        uncut(0..1300, 1775, None);
        uncut(1300..1315, 1775, Some(15));
        uncut(0..72, 72, Some(9));
        let scalars: Vec<_> = (0..40).map(|at| piece(at..at + 1)).collect();
        let panels = panels(&scalars);
        assert_eq!((panels.len(), &panels[0]), (1, &(0..40)));
    }
}
