//! Scalar code at the speed of arrays: loops in user code leave thousands of equal statements on
//! single numbers, and this pass gathers them into instructions on vectors.
//!
//! Two numbers belong to one group if the same operation made them of operands of equal groups; the
//! elements of one array are a group too. Members in a row whose operands are members of theirs at
//! equal distances, or one number for all, become a vector: its operands are slices and stretched
//! numbers. Long sums of members become reductions, and vectors put together from members become
//! placements of slices.

use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use crate::graph::{Graph, NodeId, Operands};
use crate::ops::elementwise as ew;
use crate::ops::{Attr, Lowering, Op, layout};
use crate::shape::Shape;

/// The fewest numbers that are worth a vector, and terms that are worth a reduction.
const MIN_LANES: usize = 8;

/// Copies the program of `targets` with groups of equal statements on numbers as vectors.
pub(crate) fn reroll(graph: &Graph, targets: &[NodeId]) -> (Graph, Vec<NodeId>) {
    let needed = graph.needed_for(targets.iter().copied());
    let numbers = graph
        .ids()
        .filter(|id| needed[id.index()] && is_statement(graph, *id));
    if numbers.count() < 2 * MIN_LANES {
        return (graph.clone(), targets.to_vec());
    }
    let sums = Sums::find(graph, &needed, targets);
    let groups = Groups::find(graph, &needed, &sums);
    let mut copy = Copy {
        old: graph,
        new: graph.without_nodes(),
        sums: &sums,
        groups: &groups,
        vectors: vec![Vec::new(); groups.members.len()],
        moved: vec![None; graph.len()],
    };
    for id in graph.ids().filter(|id| needed[id.index()]) {
        copy.visit(id);
    }
    let targets = targets.iter().map(|&id| copy.get(id)).collect();
    (copy.new, targets)
}

/// Whether an instruction is an elementwise one on single numbers.
fn is_statement(graph: &Graph, id: NodeId) -> bool {
    let node = graph.node(id);
    node.shape.rank() == 0 && matches!(node.op.def().lowering(), Lowering::Map(_))
}

/// The array and the position, if an instruction is one element of a vector.
fn element(graph: &Graph, id: NodeId) -> Option<(NodeId, usize)> {
    let node = graph.node(id);
    if node.shape.rank() != 0 || !node.op.is(&layout::RESHAPE) {
        return None;
    }
    let slice = graph.node(node.inputs[0]);
    let of = *slice.inputs.first()?;
    let vector = slice.op.is(&layout::SLICE) && graph.shape(of).rank() == 1;
    vector.then(|| (of, slice.op.attr.as_ints()[1]))
}

/// Long sums of numbers.
struct Sums {
    /// The terms of each sum, by its last addition.
    terms: Vec<Option<Vec<NodeId>>>,
    /// Additions in the middle of a sum.
    inner: Vec<bool>,
}

impl Sums {
    fn find(graph: &Graph, needed: &[bool], targets: &[NodeId]) -> Self {
        let uses = graph.use_counts(needed, targets);
        let mut terms: Vec<Option<Vec<NodeId>>> = vec![None; graph.len()];
        let mut inner = vec![false; graph.len()];
        for id in graph.ids().filter(|id| needed[id.index()]) {
            let node = graph.node(id);
            if node.shape.rank() != 0 || !node.op.is(&ew::ADD) {
                continue;
            }
            let mut all = Vec::new();
            for &input in &node.inputs {
                let part = (uses[input.index()] == 1).then(|| terms[input.index()].take());
                match part.flatten() {
                    // The longer list is kept, so that a chain is not copied at each link.
                    Some(part) if part.len() > all.len() => {
                        let first = std::mem::replace(&mut all, part);
                        all.extend(first);
                        inner[input.index()] = true;
                    }
                    Some(part) => {
                        all.extend(part);
                        inner[input.index()] = true;
                    }
                    None => all.push(input),
                }
            }
            terms[id.index()] = Some(all);
        }
        let mut sums = Self { terms, inner };
        sums.forget_short_ones(graph, needed);
        sums
    }

    /// Short sums stay additions.
    fn forget_short_ones(&mut self, graph: &Graph, needed: &[bool]) {
        for id in graph.ids().rev().filter(|id| needed[id.index()]) {
            let short = matches!(&self.terms[id.index()], Some(terms) if terms.len() < MIN_LANES);
            let released = graph.node(id).op.is(&ew::ADD) && self.terms[id.index()].is_none();
            if short {
                self.terms[id.index()] = None;
                self.release(graph, id);
            } else if released && !self.inner[id.index()] {
                self.release(graph, id);
            }
        }
    }

    fn release(&mut self, graph: &Graph, id: NodeId) {
        for input in &graph.node(id).inputs {
            self.inner[input.index()] = false;
        }
    }
}

/// What a number is a member of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Class {
    /// The elements of an array.
    Elements(NodeId),
    /// A group of equal statements.
    Group(usize),
    /// Nothing but itself.
    Itself(NodeId),
}

/// The groups of a program.
struct Groups {
    /// Each instruction's group and its place in it.
    of: Vec<(Class, usize)>,
    /// The members of each group, in order. A group's operands belong to groups before it.
    members: Vec<Vec<NodeId>>,
}

impl Groups {
    fn find(graph: &Graph, needed: &[bool], sums: &Sums) -> Self {
        let mut known: FxHashMap<(Op, Vec<Class>), usize> = FxHashMap::default();
        let mut groups = Self {
            of: graph.ids().map(|id| (Class::Itself(id), 0)).collect(),
            members: Vec::new(),
        };
        for id in graph.ids().filter(|id| needed[id.index()]) {
            if let Some((of, at)) = element(graph, id) {
                groups.of[id.index()] = (Class::Elements(of), at);
            } else if is_statement(graph, id)
                && sums.terms[id.index()].is_none()
                && !sums.inner[id.index()]
            {
                let node = graph.node(id);
                let operands = node.inputs.iter().map(|input| groups.of[input.index()].0);
                let key = (without_constant(&node.op), operands.collect());
                let group = *known.entry(key).or_insert(groups.members.len());
                if group == groups.members.len() {
                    groups.members.push(Vec::new());
                }
                groups.of[id.index()] = (Class::Group(group), groups.members[group].len());
                groups.members[group].push(id);
            }
        }
        groups
    }
}

/// Multiplications by and additions of constants are alike whatever the constant is.
fn without_constant(op: &Op) -> Op {
    if op.is(&ew::SCALE) || op.is(&ew::OFFSET) {
        Op::new(op.def(), Attr::None)
    } else {
        op.clone()
    }
}

/// Members `start..start + len` of a group as one array.
#[derive(Clone, Copy, Debug)]
struct Vector {
    start: usize,
    len: usize,
    array: NodeId,
}

/// Where an operand of a member is: a position in an array, or a number by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Array(NodeId),
    Number(NodeId),
}

struct Copy<'a> {
    old: &'a Graph,
    new: Graph,
    sums: &'a Sums,
    groups: &'a Groups,
    /// The vectors of each group, ascending.
    vectors: Vec<Vec<Vector>>,
    moved: Vec<Option<NodeId>>,
}

impl Copy<'_> {
    /// Copies an instruction, or with the first member of a group the whole group.
    fn visit(&mut self, id: NodeId) {
        let (class, place) = self.groups.of[id.index()];
        let node = self.old.node(id);
        // Elements are taken when somebody asks for them, and so are the slices they come from.
        let lazy = matches!(class, Class::Elements(_)) || is_short_slice(self.old, id);
        if lazy || self.sums.inner[id.index()] {
            return;
        }
        if let Class::Group(group) = class {
            if place == 0 {
                self.gather(group);
            }
            if self.array(class, place).is_some() {
                return;
            }
        }
        let new = if let Some(terms) = &self.sums.terms[id.index()] {
            self.sum(terms)
        } else if node.op.is(&layout::PLACE) {
            self.placement(id)
        } else {
            self.copy(id)
        };
        self.note(id, new);
    }

    fn note(&mut self, old: NodeId, new: NodeId) {
        if let Some(site) = self.old.site(old) {
            self.new.set_site(new, site);
        }
        self.moved[old.index()] = Some(new);
    }

    fn copy(&mut self, id: NodeId) -> NodeId {
        let node = self.old.node(id);
        let inputs = node.inputs.iter().map(|&input| self.get(input)).collect();
        self.new.push(node.op.clone(), inputs)
    }

    /// The copy of an instruction; a member of a vector is taken out of it.
    fn get(&mut self, id: NodeId) -> NodeId {
        if let Some(new) = self.moved[id.index()] {
            return new;
        }
        let (class, place) = self.groups.of[id.index()];
        let new = match self.array(class, place) {
            Some((array, place)) => {
                let one = self.new.slice(array, 0, place, 1);
                self.new.reshape(one, &Shape::new(&[]))
            }
            None => self.copy(id),
        };
        self.moved[id.index()] = Some(new);
        new
    }

    /// The array that holds a member, and the place there.
    fn array(&mut self, class: Class, place: usize) -> Option<(NodeId, usize)> {
        match class {
            Class::Elements(array) => Some((self.get(array), place)),
            Class::Itself(_) => None,
            Class::Group(group) => {
                let vectors = &self.vectors[group];
                let after = vectors.partition_point(|vector| vector.start <= place);
                let vector = vectors[..after].last()?;
                (place < vector.start + vector.len).then(|| (vector.array, place - vector.start))
            }
        }
    }

    /// Where each operand of an instruction is.
    fn sources(&mut self, id: NodeId) -> SmallVec<[(Source, usize); 2]> {
        let groups = self.groups;
        let inputs = &self.old.node(id).inputs;
        let source = |&input: &NodeId| {
            let (class, place) = groups.of[input.index()];
            match self.array(class, place) {
                Some((array, place)) => (Source::Array(array), place),
                None => (Source::Number(input), 0),
            }
        };
        inputs.iter().map(source).collect()
    }

    /// Makes vectors of a group: of members in a row whose operands lie at equal distances.
    fn gather(&mut self, group: usize) {
        let members = &self.groups.members[group];
        if members.len() < MIN_LANES {
            return;
        }
        let sources: Vec<_> = members.iter().map(|&id| self.sources(id)).collect();
        let follows = |at: usize, start: usize| {
            let [first, second, one, next] = [start, start + 1, at - 1, at].map(|at| &sources[at]);
            (0..first.len()).all(|which| {
                let step = second[which].1.wrapping_sub(first[which].1);
                next[which].0 == first[which].0
                    && next[which].1 == one[which].1.wrapping_add(step)
                    && next[which].1 >= one[which].1
            })
        };
        let mut start = 0;
        for at in 1..=members.len() {
            if at < members.len() && follows(at, start) {
                continue;
            }
            if at - start >= MIN_LANES
                && let Some(array) = self.vector(&members[start..at], &sources[start..at])
            {
                let len = at - start;
                self.vectors[group].push(Vector { start, len, array });
            }
            start = at;
        }
    }

    /// Members as one vector.
    fn vector(
        &mut self,
        members: &[NodeId],
        sources: &[SmallVec<[(Source, usize); 2]>],
    ) -> Option<NodeId> {
        let (first, len) = (members[0], members.len());
        let (op, shape) = (self.old.node(first).op.clone(), Shape::new(&[len]));
        let mut operands = Operands::new();
        for (which, &(source, start)) in sources[0].iter().enumerate() {
            let step = sources[1][which].1 - start;
            let operand = match source {
                Source::Array(array) if step > 0 => self.every(array, start, step, len)?,
                _ => {
                    let number = self.get(self.old.node(first).inputs[which]);
                    self.new.broadcast_to(number, &shape)
                }
            };
            operands.push(operand);
        }
        let constants: Vec<f64> = members
            .iter()
            .map(|&id| self.old.node(id).op.attr.as_float())
            .collect();
        let equal = constants
            .iter()
            .all(|c| c.to_bits() == constants[0].to_bits());
        let vector = if equal {
            self.new.push(op, operands)
        } else {
            let constants = self.new.constant(constants.into(), &shape);
            let join = if op.is(&ew::SCALE) {
                &ew::MUL
            } else {
                &ew::ADD
            };
            self.new.map2(join, constants, operands[0])
        };
        if let Some(site) = self.old.site(first) {
            self.new.set_site(vector, site);
        }
        Some(vector)
    }

    /// The `len` elements of a vector from `start` on, `step` apart: a column of the vector in rows of
    /// `step`, if rows that hold all of them fit into it.
    fn every(&mut self, array: NodeId, start: usize, step: usize, len: usize) -> Option<NodeId> {
        if step == 1 {
            return Some(self.new.slice(array, 0, start, len));
        }
        let begin = start.min(self.new.shape(array).len().checked_sub(len * step)?);
        if start - begin >= step {
            return None;
        }
        let rows = self.new.slice(array, 0, begin, len * step);
        let rows = self.new.reshape(rows, &Shape::new(&[len, step]));
        let column = self.new.slice(rows, 1, start - begin, 1);
        Some(self.new.reshape(column, &Shape::new(&[len])))
    }

    /// The sum of many numbers: of runs of members as reductions, group by group.
    fn sum(&mut self, terms: &[NodeId]) -> NodeId {
        let mut order: FxHashMap<Class, usize> = FxHashMap::default();
        let mut terms = terms.to_vec();
        terms.sort_by_cached_key(|term| {
            let (class, place) = self.groups.of[term.index()];
            let known = order.len();
            (*order.entry(class).or_insert(known), place)
        });
        let mut parts = Vec::new();
        for run in self.runs(&terms) {
            parts.push(match run {
                Run::Alone(term) => self.get(term),
                Run::Of(array, start, len) => {
                    let part = self.new.slice(array, 0, start, len);
                    self.new.sum(part, &[0])
                }
            });
        }
        self.new.add_all(&parts)
    }

    /// A placement along the first axis, with runs of members as one piece.
    fn placement(&mut self, id: NodeId) -> NodeId {
        let node = self.old.node(id);
        let (axis, size, offsets) = layout::placement(&node.op.attr);
        let numbers: Option<Vec<NodeId>> = node
            .inputs
            .iter()
            .map(|&piece| self.number(piece))
            .collect();
        let consecutive = offsets.windows(2).all(|pair| pair[1] == pair[0] + 1);
        let Some(numbers) = numbers.filter(|_| node.shape.rank() == 1 && consecutive) else {
            return self.copy(id);
        };
        let (mut pieces, mut at) = (Vec::new(), offsets[0]);
        for run in self.runs(&numbers) {
            let (piece, len) = match run {
                Run::Alone(number) => {
                    let number = self.get(number);
                    (self.new.reshape(number, &Shape::new(&[1])), 1)
                }
                Run::Of(array, start, len) => (self.new.slice(array, 0, start, len), len),
            };
            pieces.push((at, piece));
            at += len;
        }
        self.new.place(axis, size, &pieces)
    }

    /// The number that a vector of one element holds.
    fn number(&self, piece: NodeId) -> Option<NodeId> {
        let node = self.old.node(piece);
        let input = *node.inputs.first()?;
        let wraps = node.op.is(&layout::RESHAPE) && self.old.shape(input).rank() == 0;
        wraps.then_some(input)
    }

    /// Consecutive members of one vector among numbers.
    fn runs(&mut self, numbers: &[NodeId]) -> Vec<Run> {
        let mut runs: Vec<Run> = Vec::new();
        for &number in numbers {
            let (class, place) = self.groups.of[number.index()];
            let Some((array, place)) = self.array(class, place) else {
                runs.push(Run::Alone(number));
                continue;
            };
            match runs.last_mut() {
                Some(Run::Of(of, start, len)) if *of == array && *start + *len == place => {
                    *len += 1
                }
                _ => runs.push(Run::Of(array, place, 1)),
            }
        }
        runs
    }
}

/// Numbers that go together.
enum Run {
    Alone(NodeId),
    /// An array, the first member and how many.
    Of(NodeId, usize, usize),
}

/// Whether an instruction cuts one element out of a vector.
fn is_short_slice(graph: &Graph, id: NodeId) -> bool {
    let node = graph.node(id);
    node.op.is(&layout::SLICE) && node.shape.dims() == [1]
}
