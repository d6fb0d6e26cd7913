//! Long sums of numbers, found behind the chain of additions and subtractions that a loop leaves.

use rustc_hash::FxHashMap;

use super::MIN_LANES;
use super::marks::{Marks, SUM};
use crate::graph::{Graph, NodeId};
use crate::ops::elementwise as ew;

/// A term of a sum.
#[derive(Clone, Copy, Debug)]
pub(super) struct Term {
    pub(super) number: NodeId,
    /// Whether it is subtracted.
    pub(super) negative: bool,
}

/// Long sums of numbers.
pub(super) struct Sums {
    /// The terms of each sum, by its last addition.
    pub(super) terms: FxHashMap<NodeId, Vec<Term>>,
    /// All additions of long sums.
    pub(super) part: Vec<bool>,
}

impl Sums {
    /// `uses` says how many instructions read each.
    pub(super) fn find(graph: &Graph, marks: &Marks, uses: &[u32]) -> Self {
        let mut sums = Self {
            terms: FxHashMap::default(),
            part: vec![false; graph.len()],
        };
        let search = Search::new(graph, marks, uses);
        for id in marks.all(SUM).rev() {
            if search.lens[id.index()] < MIN_LANES || sums.part[id.index()] {
                continue;
            }
            let (terms, inner) = search.expand(id);
            if terms.len() >= MIN_LANES {
                sums.part[id.index()] = true;
                for id in inner {
                    sums.part[id.index()] = true;
                }
                sums.terms.insert(id, terms);
            }
        }
        sums
    }
}

/// How long sums are if all their additions are followed.
struct Search<'a> {
    graph: &'a Graph,
    uses: &'a [u32],
    /// The number of terms of each addition; 1 for whatever is no addition.
    lens: Vec<usize>,
}

impl<'a> Search<'a> {
    fn new(graph: &'a Graph, marks: &Marks, uses: &'a [u32]) -> Self {
        let mut search = Self {
            graph,
            uses,
            lens: vec![1; graph.len()],
        };
        for id in marks.all(SUM) {
            let lens = graph.inputs(id).iter();
            let lens = lens.map(|&input| search.len_as_part(input));
            search.lens[id.index()] = lens.sum();
        }
        search
    }

    /// The number of terms that an operand is as part of a sum: 1 if something else reads it too.
    fn len_as_part(&self, id: NodeId) -> usize {
        if self.uses[id.index()] == 1 {
            self.lens[id.index()]
        } else {
            1
        }
    }

    /// The terms of a sum in order, and the additions between them.
    ///
    /// Long operands are followed, and else the longer one of two, which is the sum so far. A term
    /// that is a short sum of its own stays one: x + (a − b) with a ≈ b must not become
    /// (x + a) − b.
    fn expand(&self, root: NodeId) -> (Vec<Term>, Vec<NodeId>) {
        let (mut terms, mut inner) = (Vec::new(), Vec::new());
        // (instruction, sign, length of the term that was added last; none for a term)
        let mut open = vec![(root, false, Some(1))];
        while let Some((id, negative, last)) = open.pop() {
            let Some(last) = last else {
                terms.push(Term {
                    number: id,
                    negative,
                });
                continue;
            };
            if id != root {
                inner.push(id);
            }
            let node = self.graph.node(id);
            let (x, y) = (node.inputs[0], node.inputs[1]);
            let lens = [x, y].map(|input| self.len_as_part(input));
            let follows = |at: usize| {
                let (len, other) = (lens[at], lens[1 - at]);
                len >= MIN_LANES || (len > other.max(last) && len > 1)
            };
            let next = |at: usize| {
                let term = if follows(1 - at) { 1 } else { lens[1 - at] };
                follows(at).then_some(term)
            };
            let minus = negative != node.op.is(&ew::SUB);
            let (x, y) = ((x, negative, next(0)), (y, minus, next(1)));
            // What was recorded first, the sum so far, comes first.
            open.extend(if x.2.is_none() { [x, y] } else { [y, x] });
        }
        (terms, inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shape::Shape;

    /// The terms of the sum that `build` makes of twenty numbers, with their signs.
    fn terms(build: impl Fn(&mut Graph, &[NodeId]) -> NodeId) -> Vec<(usize, bool)> {
        let mut graph = Graph::default();
        let scalar = Shape::scalar();
        let x: Vec<NodeId> = (0..20).map(|at| graph.input(at, &scalar)).collect();
        let total = build(&mut graph, &x);
        let needed = graph.needed_for([total]);
        let marks = Marks::new(&graph, &needed);
        let sums = Sums::find(&graph, &marks, &graph.use_counts(&needed, &[total]));
        let terms = sums.terms.get(&total).cloned().unwrap_or_default();
        let place = |term: &Term| (term.number.index(), term.negative);
        terms.iter().map(place).collect()
    }

    fn sorted(mut terms: Vec<(usize, bool)>) -> Vec<(usize, bool)> {
        terms.sort_unstable();
        terms
    }

    #[test]
    fn chains_of_additions_and_subtractions_are_sums() {
        let found = terms(|graph, x| {
            let first = graph.add(x[0], x[1]);
            x[2..].iter().enumerate().fold(first, |sum, (at, &x)| {
                let op = if at % 3 == 0 { &ew::SUB } else { &ew::ADD };
                graph.map2(op, sum, x)
            })
        });
        let expected: Vec<_> = (0..20).map(|at| (at, at >= 2 && at % 3 == 2)).collect();
        assert_eq!(found[2..], expected[2..]);
        assert_eq!(sorted(found), expected);
    }

    #[test]
    fn a_sum_that_is_subtracted_changes_its_signs() {
        let found = terms(|graph, x| {
            let [mut a, mut b] = [x[0], x[10]];
            for at in 1..10 {
                a = graph.add(a, x[at]);
                b = graph.map2(&ew::SUB, b, x[10 + at]);
            }
            graph.map2(&ew::SUB, a, b)
        });
        let expected: Vec<_> = (0..20).map(|at| (at, at == 10)).collect();
        assert_eq!(sorted(found), expected);
    }

    #[test]
    fn terms_that_are_short_sums_stay_together() {
        let found = terms(|graph, x| {
            let pairs: Vec<NodeId> = x
                .chunks(2)
                .map(|pair| graph.map2(&ew::SUB, pair[0], pair[1]))
                .collect();
            let start = graph.add(x[0], pairs[0]);
            pairs[1..].iter().fold(start, |sum, &x| graph.add(sum, x))
        });
        let mut expected = vec![(0, false)];
        expected.extend((20..30).map(|at| (at, false)));
        assert_eq!(sorted(found), expected);
    }
}
