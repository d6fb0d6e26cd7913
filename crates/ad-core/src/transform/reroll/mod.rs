//! Scalar code at the speed of arrays: loops in user code leave thousands of equal statements on
//! single numbers, and this pass gathers them into instructions on vectors.
//!
//! Two numbers belong to one group if the same operation made them of operands of equal groups; the
//! elements of one array are a group too, and so are the constants. A group becomes one vector: its
//! operands are slices, strided ones, lists of elements, stretched numbers. So a loop with exceptions
//! is a vector for the rule and one for the exceptions. Long sums of members become reductions,
//! and vectors put together from members become placements of slices.

mod groups;
mod marks;
mod products;
mod sums;

use rustc_hash::FxHashMap;

use crate::graph::{Graph, NodeId, Operands};
use crate::ops::{elementwise as ew, layout};
use crate::shape::Shape;
use groups::{Class, Groups};
use marks::{Marks, SLICE_OF_ONE, STATEMENT};
use products::Products;
use sums::{Sums, Term};

/// The fewest numbers that are worth a vector, and terms that are worth a reduction.
const MIN_LANES: usize = 8;

/// The length from which on runs of elements are copied as slices: shorter ones are read by a list of
/// positions, which takes as long for each element as a slice for this many.
const MIN_RUN: usize = 64;

/// Copies the program of `targets` with groups of equal statements on numbers as vectors.
pub(crate) fn reroll(graph: &Graph, targets: &[NodeId]) -> (Graph, Vec<NodeId>) {
    let needed = graph.needed_for(targets.iter().copied());
    let marks = Marks::new(graph, &needed);
    if marks.count(STATEMENT) < 2 * MIN_LANES {
        return (graph.clone(), targets.to_vec());
    }
    let uses = graph.use_counts(&needed, targets);
    let sums = Sums::find(graph, &marks, &uses);
    let products = Products::find(graph, &marks, &uses);
    let is_free = |id: NodeId| !sums.part[id.index()] && !products.part[id.index()];
    let groups = Groups::find(graph, &marks, is_free);
    let mut copy = Copy {
        old: graph,
        new: graph.without_nodes(),
        marks: &marks,
        sums: &sums,
        products: &products,
        groups: &groups,
        vectors: vec![Vector::NotYet; groups.members.len()],
        moved: vec![None; graph.len()],
    };
    for id in graph.ids().filter(|id| needed[id.index()]) {
        copy.visit(id);
    }
    let targets = targets.iter().map(|&id| copy.get(id)).collect();
    (copy.new, targets)
}

/// A group as one array.
#[derive(Clone, Copy, Debug)]
enum Vector {
    NotYet,
    /// Of too few members, which stay numbers.
    Numbers,
    /// Numbers side by side, for a larger group that reads them.
    Stacked(NodeId),
    Array(NodeId),
}

/// A member of an array (in the copy) and where it is there, or a number by itself.
#[derive(Clone, Copy, Debug)]
enum Place {
    In(NodeId, usize),
    Alone(NodeId),
}

struct Copy<'a> {
    old: &'a Graph,
    new: Graph,
    marks: &'a Marks,
    sums: &'a Sums,
    products: &'a Products,
    groups: &'a Groups,
    vectors: Vec<Vector>,
    moved: Vec<Option<NodeId>>,
}

impl Copy<'_> {
    /// Copies an instruction, or with the first member of a group the whole group.
    fn visit(&mut self, id: NodeId) {
        let class = self.groups.of[id.index()].0;
        // Elements are taken when somebody asks for them, and so are the slices they come from.
        let lazy = matches!(class, Class::Elements(_)) || self.marks.has(id, SLICE_OF_ONE);
        if lazy || self.moved[id.index()].is_some() {
            return;
        }
        if let Class::Group(group) = class {
            let group = group as usize;
            if let Vector::NotYet = self.vectors[group] {
                self.vectors[group] = self.gather(group).map_or(Vector::Numbers, Vector::Array);
            }
            if let Vector::Array(_) = self.vectors[group] {
                return;
            }
        }
        let new = if let Some(terms) = self.sums.terms.get(&id) {
            self.sum(terms)
        } else if let Some(factors) = self.products.factors.get(&id) {
            self.product(factors)
        } else if self.sums.part[id.index()] || self.products.part[id.index()] {
            return;
        } else if self.old.op(id).is(&layout::PLACE) {
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

    /// The copy of an instruction; a member of a vector is taken out of it. What has not been copied
    /// yet is, operands first and without recursion, since chains of numbers can be long.
    fn get(&mut self, id: NodeId) -> NodeId {
        let mut open = vec![id];
        while let Some(&at) = open.last() {
            if self.moved[at.index()].is_none() {
                let new = match self.place(at) {
                    Some((array, place)) => {
                        let one = self.new.slice(array, 0, place, 1);
                        self.new.reshape(one, &Shape::scalar())
                    }
                    None => {
                        let inputs = self.old.inputs(at).iter();
                        let before = open.len();
                        open.extend(inputs.filter(|x| self.moved[x.index()].is_none()));
                        if open.len() > before {
                            continue;
                        }
                        self.copy(at)
                    }
                };
                self.moved[at.index()] = Some(new);
            }
            open.pop();
        }
        self.moved[id.index()].expect("it was the first to be copied")
    }

    /// The array that holds a number, and the number's place there.
    fn place(&mut self, id: NodeId) -> Option<(NodeId, usize)> {
        let (class, place) = self.groups.of[id.index()];
        match class {
            // Arrays are copied before their elements are asked for.
            Class::Elements(array) => Some((self.get(array), place)),
            Class::Group(group) => match self.vectors[group as usize] {
                Vector::Array(array) => Some((array, place)),
                _ => None,
            },
            Class::Constant | Class::Itself(_) => None,
        }
    }

    /// Makes one vector of a group, if it has members enough.
    fn gather(&mut self, group: usize) -> Option<NodeId> {
        let groups = self.groups;
        let members = &groups.members[group];
        if members.len() < MIN_LANES {
            return None;
        }
        let first = self.old.node(members[0]);
        let mut operands = Operands::new();
        for which in 0..first.inputs.len() {
            let argument = |&id: &NodeId| groups.arguments(self.old, self.marks, id)[which];
            let numbers: Vec<NodeId> = members.iter().filter_map(argument).collect();
            operands.push(self.operand(&numbers));
        }
        let constant = |&id: &NodeId| self.old.op(id).attr.as_float();
        let constants: Vec<f64> = members.iter().map(constant).collect();
        let vector = if all_equal(&constants) {
            self.new.push(first.op.clone(), operands)
        } else {
            let join = if first.op.is(&ew::SCALE) {
                &ew::MUL
            } else {
                &ew::ADD
            };
            let shape = Shape::new(&[members.len()]);
            let constants = self.new.constant(constants, &shape);
            self.new.map2(join, constants, operands[0])
        };
        if let Some(site) = self.old.site(members[0]) {
            self.new.set_site(vector, site);
        }
        Some(vector)
    }

    /// Numbers of one class as a vector.
    fn operand(&mut self, numbers: &[NodeId]) -> NodeId {
        let shape = Shape::new(&[numbers.len()]);
        if numbers.iter().all(|&number| number == numbers[0]) {
            let number = self.get(numbers[0]);
            return self.new.broadcast_to(number, &shape);
        }
        let class = self.groups.of[numbers[0].index()].0;
        if class == Class::Constant {
            let value = |id: &NodeId| self.old.op(*id).attr.as_float();
            let values: Vec<f64> = numbers.iter().map(value).collect();
            return self.new.constant(values, &shape);
        }
        let array = match self.place(numbers[0]) {
            Some((array, _)) => array,
            None => self.stacked(class),
        };
        let place = |id: &NodeId| self.groups.of[id.index()].1;
        let places: Vec<usize> = numbers.iter().map(place).collect();
        self.select(array, &places)
    }

    /// A group of few members as a vector.
    ///
    /// # Panics
    /// If the class is none that has members.
    fn stacked(&mut self, class: Class) -> NodeId {
        let Class::Group(group) = class else {
            unreachable!("different numbers of one class are members of something")
        };
        let group = group as usize;
        if let Vector::Stacked(array) = self.vectors[group] {
            return array;
        }
        let members = &self.groups.members[group];
        let mut pieces = Vec::with_capacity(members.len());
        for (at, &member) in members.iter().enumerate() {
            let number = self.get(member);
            pieces.push((at, self.new.reshape(number, &Shape::new(&[1]))));
        }
        let array = self.new.place(0, members.len(), &pieces);
        self.vectors[group] = Vector::Stacked(array);
        array
    }

    /// The elements of a vector at some places.
    fn select(&mut self, array: NodeId, places: &[usize]) -> NodeId {
        let (first, len) = (places[0], places.len());
        let steps = || places.windows(2).map(|pair| pair[1].wrapping_sub(pair[0]));
        let step = steps().next().unwrap_or(1);
        if step == 1 && steps().all(|step| step == 1) {
            return self.new.slice(array, 0, first, len);
        }
        if steps().all(|other| other == step)
            && let Some(column) = self.every(array, first, step, len)
        {
            return column;
        }
        let n_runs = 1 + steps().filter(|&step| step != 1).count();
        if n_runs * MIN_RUN > len {
            return self.new.gather(array, 0, places);
        }
        let (mut pieces, mut at) = (Vec::with_capacity(n_runs), 0);
        for run in places.chunk_by(|a, b| a + 1 == *b) {
            pieces.push((at, self.new.slice(array, 0, run[0], run.len())));
            at += run.len();
        }
        self.new.place(0, len, &pieces)
    }

    /// The `len` elements of a vector from `start` on, `step` apart: a column of the vector in rows of
    /// `step`, if rows that hold all of them fit into it.
    fn every(&mut self, array: NodeId, start: usize, step: usize, len: usize) -> Option<NodeId> {
        let whole = self.new.shape(array).len();
        if step == 0 || step > whole {
            return None;
        }
        let begin = start.min(whole.checked_sub(len.checked_mul(step)?)?);
        if start - begin >= step {
            return None;
        }
        let rows = self.new.slice(array, 0, begin, len * step);
        let rows = self.new.reshape(rows, &Shape::new(&[len, step]));
        let column = self.new.slice(rows, 1, start - begin, 1);
        Some(self.new.reshape(column, &Shape::new(&[len])))
    }

    /// The sum of many numbers: of members of one class as reductions, what is added and what is
    /// subtracted apart.
    fn sum(&mut self, terms: &[Term]) -> NodeId {
        let mut lists: Vec<(NodeId, bool, Vec<usize>)> = Vec::new();
        let mut known: FxHashMap<(NodeId, bool), usize> = FxHashMap::default();
        let (mut plus, mut minus) = (Vec::new(), Vec::new());
        for term in terms {
            let Some((array, place)) = self.place(term.number) else {
                let number = self.get(term.number);
                let side = if term.negative { &mut minus } else { &mut plus };
                side.push(number);
                continue;
            };
            let key = (array, term.negative);
            let list = *known.entry(key).or_insert(lists.len());
            if list == lists.len() {
                lists.push((array, term.negative, Vec::new()));
            }
            lists[list].2.push(place);
        }
        for (array, negative, mut places) in lists {
            places.sort_unstable();
            let side = if negative { &mut minus } else { &mut plus };
            self.sum_of(array, &places, side);
        }
        if plus.is_empty() {
            let minus = self.new.add_all(&minus);
            return self.new.neg(minus);
        }
        let mut total = self.new.add_all(&plus);
        for part in minus {
            total = self.new.map2(&ew::SUB, total, part);
        }
        total
    }

    /// The sum of elements of a vector, at places in order, as a few parts.
    fn sum_of(&mut self, array: NodeId, places: &[usize], parts: &mut Vec<NodeId>) {
        let mut distinct = places.to_vec();
        distinct.dedup();
        // The same number of times each: x·y + y·x is 2·x·y.
        let times = places.len() / distinct.len();
        let often = |group: &[usize]| group.len() == times;
        let even = times > 1 && places.chunk_by(|a, b| a == b).all(often);
        let places = if even { &distinct } else { places };
        let runs: Vec<&[usize]> = places.chunk_by(|a, b| a + 1 == *b).collect();
        let mut sums = Vec::new();
        if places.len() < MIN_LANES || runs.len() * MIN_RUN <= places.len().max(2 * MIN_RUN) {
            for run in runs {
                let part = self.new.slice(array, 0, run[0], run.len());
                sums.push(self.new.sum(part, &[0]));
            }
        } else {
            let part = self.select(array, places);
            sums.push(self.new.sum(part, &[0]));
        }
        if even {
            let sum = self.new.add_all(&sums);
            parts.push(self.new.scale(times as f64, sum));
        } else {
            parts.extend(sums);
        }
    }

    /// The product of many numbers in their order; of members of one vector in a row as a recurrence,
    /// which rounds (and overflows) as the loop does.
    fn product(&mut self, factors: &[NodeId]) -> NodeId {
        let mut places = Vec::with_capacity(factors.len());
        for &factor in factors {
            places.push((factor, self.place(factor)));
        }
        let array = |place: &Option<(NodeId, usize)>| place.map(|(array, _)| array);
        let mut product: Option<NodeId> = None;
        for run in places.chunk_by(|a, b| array(&a.1) == array(&b.1)) {
            let members: Vec<usize> = run.iter().filter_map(|(_, p)| p.map(|p| p.1)).collect();
            if let Some((array, _)) = run[0].1
                && members.len() >= MIN_LANES
            {
                let factors = self.select(array, &members);
                product = Some(self.partial_products(product, factors));
                continue;
            }
            for &(factor, _) in run {
                let factor = self.get(factor);
                product = Some(product.map_or(factor, |product| self.new.mul(product, factor)));
            }
        }
        product.expect("a product has factors")
    }

    /// A number (or one) times the elements of a vector, one after the other.
    fn partial_products(&mut self, start: Option<NodeId>, factors: NodeId) -> NodeId {
        let (len, scalar) = (self.new.shape(factors).len(), Shape::scalar());
        let first = self.new.slice(factors, 0, 0, 1);
        let mut first = self.new.reshape(first, &scalar);
        if let Some(start) = start {
            first = self.new.mul(start, first);
        }
        let first = self.new.reshape(first, &Shape::new(&[1]));
        let terms = self.new.place(0, len, &[(0, first)]);
        let rest = self.new.slice(factors, 0, 1, len - 1);
        let partial = self.new.recurrence(rest, terms);
        let last = self.new.slice(partial, 0, len - 1, 1);
        self.new.reshape(last, &scalar)
    }

    /// A placement along the first axis, with members of one vector as one piece.
    fn placement(&mut self, id: NodeId) -> NodeId {
        let node = self.old.node(id);
        let (axis, size, offsets) = layout::placement(&node.op.attr);
        let consecutive = offsets.windows(2).all(|pair| pair[1] == pair[0] + 1);
        if node.shape.rank() != 1 || !consecutive {
            return self.copy(id);
        }
        let mut numbers = Vec::with_capacity(node.inputs.len());
        for &piece in node.inputs {
            match self.number(piece) {
                Some(number) => numbers.push(number),
                None => return self.copy(id),
            }
        }
        let mut pieces = self.side_by_side(&numbers);
        for piece in &mut pieces {
            piece.0 += offsets[0];
        }
        self.new.place(axis, size, &pieces)
    }

    /// The number that a vector of one element holds.
    fn number(&mut self, piece: NodeId) -> Option<Place> {
        if let Some((array, place)) = self.marks.slice_of_one(self.old, piece) {
            return Some(Place::In(self.get(array), place));
        }
        let node = self.old.node(piece);
        let input = *node.inputs.first()?;
        let wraps = node.op.is(&layout::RESHAPE) && self.old.shape(input).rank() == 0;
        let place = |copy: &mut Self| {
            let (array, place) = copy.place(input)?;
            Some(Place::In(array, place))
        };
        wraps.then(|| place(self).unwrap_or(Place::Alone(input)))
    }

    /// Numbers side by side, as pieces with their offsets.
    fn side_by_side(&mut self, numbers: &[Place]) -> Vec<(usize, NodeId)> {
        let follows = |a: &Place, b: &Place| match (a, b) {
            (Place::In(x, i), Place::In(y, j)) => x == y && i + 1 == *j,
            _ => false,
        };
        let members = numbers.iter().filter(|n| matches!(n, Place::In(..)));
        let n_members = members.count();
        let runs = || numbers.chunk_by(follows);
        let n_runs = runs().filter(|run| matches!(run[0], Place::In(..))).count();
        if n_members >= MIN_LANES && n_runs > 1 + n_members / MIN_RUN {
            return vec![(0, self.shuffled(numbers))];
        }
        let (mut pieces, mut at) = (Vec::new(), 0);
        for run in runs() {
            pieces.push((at, self.run(run)));
            at += run.len();
        }
        pieces
    }

    /// Consecutive members of one vector, or one number.
    fn run(&mut self, run: &[Place]) -> NodeId {
        match run[0] {
            Place::In(array, place) => self.new.slice(array, 0, place, run.len()),
            Place::Alone(number) => {
                let number = self.get(number);
                self.new.reshape(number, &Shape::new(&[1]))
            }
        }
    }

    /// Numbers of several vectors in any order: first vector by vector, then by a list.
    fn shuffled(&mut self, numbers: &[Place]) -> NodeId {
        let mut lists: Vec<(Option<NodeId>, Vec<usize>)> = Vec::new();
        let mut known: FxHashMap<Option<NodeId>, usize> = FxHashMap::default();
        for (at, number) in numbers.iter().enumerate() {
            let array = match number {
                Place::In(array, _) => Some(*array),
                Place::Alone(_) => None,
            };
            let list = *known.entry(array).or_insert(lists.len());
            if list == lists.len() {
                lists.push((array, Vec::new()));
            }
            lists[list].1.push(at);
        }
        let (mut pieces, mut order, mut at) = (Vec::new(), vec![0; numbers.len()], 0);
        for (array, members) in lists {
            let Some(array) = array else {
                for &number in &members {
                    order[number] = at;
                    pieces.push((at, self.run(&numbers[number..=number])));
                    at += 1;
                }
                continue;
            };
            let place = |&number: &usize| match numbers[number] {
                Place::In(_, place) => place,
                Place::Alone(_) => 0,
            };
            let mut places: Vec<usize> = members.iter().map(place).collect();
            for (&number, &place) in members.iter().zip(&places) {
                order[number] = place;
            }
            places.sort_unstable();
            places.dedup();
            // All elements between the first and the last, unless that would be many more.
            let (first, last) = (places[0], places[places.len() - 1]);
            if last - first < 2 * places.len() {
                places = (first..=last).collect();
            }
            for &number in &members {
                order[number] = at + places.partition_point(|&place| place < order[number]);
            }
            pieces.push((at, self.select(array, &places)));
            at += places.len();
        }
        let joined = self.new.place(0, at, &pieces);
        self.select(joined, &order)
    }
}

/// Whether all numbers are the same to the bit.
fn all_equal(values: &[f64]) -> bool {
    values
        .iter()
        .all(|value| value.to_bits() == values[0].to_bits())
}
