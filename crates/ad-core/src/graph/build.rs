//! Smart constructors: what rules and recording build instructions with.

use std::panic::Location;
use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::{Graph, NodeId, Operands};
use crate::ops::custom::{self, CustomRule};
use crate::ops::elementwise as ew;
use crate::ops::{
    Attr, Elementwise, Lowering, Op, Rowwise, indexed, layout, matmul, recurrence, reduce, source,
    variable,
};
use crate::shape::{MAX_LEN, MAX_RECORDED, Shape};

/// Where the tables of one graph are in another.
#[derive(Debug)]
pub(crate) struct Tables {
    arrays: Vec<usize>,
    lists: Vec<usize>,
    rules: Vec<usize>,
}

impl Tables {
    /// An operation of the one graph as one of the other.
    pub(crate) fn renumbered(&self, op: &Op) -> Op {
        if let Some(position) = source::array_position(op) {
            source::array_at(op, self.arrays[position])
        } else if let Some(list) = indexed::list_number(op) {
            indexed::with_list(op, self.lists[list])
        } else if let Some(number) = custom::rule_number(op) {
            custom::custom(self.rules[number])
        } else {
            op.clone()
        }
    }
}

impl Graph {
    /// Pushes an instruction, or says what is wrong with its operands.
    pub(crate) fn try_push(&mut self, op: Op, inputs: Operands) -> Result<NodeId, String> {
        if !self.store.has_room(inputs.len()) {
            return Err("a graph holds fewer than 2³² instructions and operands".into());
        }
        let shape = {
            let shape = |at: usize| self.shape(inputs[at]);
            let shape = match inputs.len() {
                1 => op.def().shape(&op.attr, &[shape(0)]),
                2 => op.def().shape(&op.attr, &[shape(0), shape(1)]),
                n => op
                    .def()
                    .shape(&op.attr, &(0..n).map(shape).collect::<Vec<_>>()),
            };
            shape?.check(MAX_LEN)?
        };
        if self.is_literal() {
            return Ok(self.store.insert(op, &inputs, shape));
        }
        if let Some(simpler) = op.def().simplify(self, &op, &inputs) {
            debug_assert_eq!(
                self.shape(simpler),
                &shape,
                "simplifying {op:?} kept its shape"
            );
            return Ok(simpler);
        }
        if let Lowering::Map(map) = op.def().lowering()
            && let Some(value) = self.fold(map, &op, &inputs)
        {
            return Ok(self.full(value, &shape));
        }
        Ok(self.store.insert(op, &inputs, shape))
    }

    /// Pushes an instruction whose operands fit by construction. So do the sizes: what derivatives
    /// make is as long as what was recorded, or a stack of it (see [`MAX_RECORDED`]).
    pub(crate) fn push(&mut self, op: Op, inputs: Operands) -> NodeId {
        let name = op.name();
        match self.try_push(op, inputs) {
            Ok(id) => id,
            Err(message) => unreachable!("a transformation built a wrong {name}: {message}"),
        }
    }

    /// The value of an elementwise operation on uniform constants.
    fn fold(&self, map: &Elementwise, op: &Op, inputs: &[NodeId]) -> Option<f64> {
        let mut values = [0.0; 2];
        for (value, &input) in values.iter_mut().zip(inputs) {
            *value = self.uniform(input)?;
        }
        Some(map.eval(op.attr.as_float(), values[0], values[1]))
    }

    /// The number that all elements equal, where that is known while building.
    ///
    /// It is at most two views away: layout primitives bring the views of a number to the form that
    /// [`Self::full`] makes.
    pub(crate) fn uniform(&self, mut id: NodeId) -> Option<f64> {
        for _ in 0..=Self::STRETCH {
            let op = self.op(id);
            // Asked for every operand: what has no parameters is neither a number nor a view.
            match op.attr {
                Attr::Float(_) if op.is(&source::SCALAR) => return Some(op.attr.as_float()),
                Attr::Ints(_) if op.is(&layout::BROADCAST) || op.is(&layout::RESHAPE) => {
                    id = self.inputs(id)[0];
                }
                _ => break,
            }
        }
        None
    }

    /// The views that stretch an array to another shape ([`Self::broadcast_to`]).
    pub(crate) const STRETCH: usize = 2;

    pub(crate) fn scalar(&mut self, value: f64) -> NodeId {
        // Recording makes one for each constant that it meets.
        if self.store.has_room(0) {
            let (op, shape) = (source::scalar(value), Shape::scalar());
            return self.store.insert(op, &[], shape);
        }
        self.push(source::scalar(value), Operands::new())
    }

    /// An array of one number repeated.
    pub(crate) fn full(&mut self, value: f64, shape: &Shape) -> NodeId {
        let scalar = self.scalar(value);
        let ones = Shape::ones(shape.rank());
        let point = self.reshape(scalar, &ones);
        self.broadcast(point, shape)
    }

    pub(crate) fn input(&mut self, position: usize, shape: &Shape) -> NodeId {
        self.push(source::input(position, shape), Operands::new())
    }

    pub(crate) fn constant(&mut self, values: Vec<f64>, shape: &Shape) -> NodeId {
        let position = self.arrays.len();
        self.arrays.push(Arc::new(values));
        self.push(source::array(position, shape), Operands::new())
    }

    /// The instruction as a variable of its own: see [`VARIABLE`](crate::ops::variable::VARIABLE).
    pub(crate) fn variable(&mut self, x: NodeId) -> NodeId {
        self.n_marks += 1;
        self.push(variable::variable(self.n_marks), Operands::from_slice(&[x]))
    }

    /// A source that stands for something else until a transformation replaces it.
    pub(crate) fn placeholder(&mut self, shape: &Shape) -> NodeId {
        self.n_marks += 1;
        self.input(usize::MAX - self.n_marks, shape)
    }

    /// The line that recorded a placeholder which the targets still depend on: nothing replaced it.
    pub(crate) fn stray_placeholder(
        &self,
        targets: &[NodeId],
    ) -> Option<&'static Location<'static>> {
        let needed = self.needed_for(targets.iter().copied());
        let first = usize::MAX - self.n_marks;
        let placeholder = |id: &NodeId| {
            let position = source::input_position(self.op(*id));
            needed[id.index()] && position.is_some_and(|position| position >= first)
        };
        self.site(self.ids().find(placeholder)?)
    }

    /// Whether there are marks to be taken out when the recording ends.
    pub(crate) fn has_variables(&self) -> bool {
        self.n_marks > 0
    }

    /// The n × n unit matrix, or the message that there is no room for it.
    pub(crate) fn try_unit_vectors(&mut self, n: usize) -> Result<NodeId, String> {
        let shape = Shape::new(&[n, n]).check(MAX_RECORDED)?;
        let mut values = Vec::new();
        let room = values.try_reserve_exact(shape.len());
        room.map_err(|error| format!("an array of the shape {shape}: {error}"))?;
        values.resize(shape.len(), 0.0);
        let diagonal = values.iter_mut().step_by(n + 1);
        diagonal.for_each(|value| *value = 1.0);
        Ok(self.constant(values, &shape))
    }

    /// The shape of the input at a position, if the program has it.
    pub(crate) fn input_shape(&self, position: usize) -> Option<Shape> {
        let mut nodes = self.ids().map(|id| self.node(id));
        let node = nodes.find(|node| source::input_position(node.op) == Some(position))?;
        Some(node.shape.clone())
    }

    /// Keeps a derivative that a user stated; returns its number.
    pub(crate) fn keep_rule(&mut self, rule: Arc<CustomRule>) -> usize {
        let known = self.rules.iter().position(|own| Arc::ptr_eq(own, &rule));
        known.unwrap_or_else(|| {
            self.rules.push(rule);
            self.rules.len() - 1
        })
    }

    pub(crate) fn rule(&self, number: usize) -> Arc<CustomRule> {
        Arc::clone(&self.rules[number])
    }

    /// Takes over the tables of another graph, to which its instructions refer by number.
    pub(crate) fn adopt_tables(&mut self, from: &Self) -> Tables {
        let own = self.arrays.iter().enumerate();
        let mut known: FxHashMap<_, _> = own.map(|(at, own)| (Arc::as_ptr(own), at)).collect();
        let mut place = |array: &Arc<Vec<f64>>| {
            *known.entry(Arc::as_ptr(array)).or_insert_with(|| {
                self.arrays.push(Arc::clone(array));
                self.arrays.len() - 1
            })
        };
        let arrays = from.arrays.iter().map(&mut place).collect();
        let lists = from
            .lists
            .iter()
            .map(|list| self.known_list(list))
            .collect();
        let rules = from.rules.iter();
        let rules = rules.map(|rule| self.keep_rule(Arc::clone(rule))).collect();
        Tables {
            arrays,
            lists,
            rules,
        }
    }

    pub(crate) fn map1(&mut self, op: &'static Elementwise, x: NodeId) -> NodeId {
        self.push(Op::new(op, Attr::None), Operands::from_slice(&[x]))
    }

    pub(crate) fn map1_with(&mut self, op: &'static Elementwise, c: f64, x: NodeId) -> NodeId {
        self.push(Op::new(op, Attr::float(c)), Operands::from_slice(&[x]))
    }

    pub(crate) fn map2(&mut self, op: &'static Elementwise, x: NodeId, y: NodeId) -> NodeId {
        self.push(Op::new(op, Attr::None), Operands::from_slice(&[x, y]))
    }

    pub(crate) fn add(&mut self, x: NodeId, y: NodeId) -> NodeId {
        self.map2(&ew::ADD, x, y)
    }

    /// The product in a derivative: 0 where a factor is a derivative that a selection left out, whatever the
    /// other factor is.
    pub(crate) fn mul(&mut self, x: NodeId, y: NodeId) -> NodeId {
        let product = |graph: &mut Self, x, y| graph.map2(&ew::MUL, x, y);
        ew::keep_product(self, &[x, y], product)
    }

    pub(crate) fn neg(&mut self, x: NodeId) -> NodeId {
        self.scale(-1.0, x)
    }

    /// A multiple in a derivative; see [`Self::mul`].
    pub(crate) fn scale(&mut self, factor: f64, x: NodeId) -> NodeId {
        let multiple = |graph: &mut Self, x, _| graph.map1_with(&ew::SCALE, factor, x);
        ew::keep_product(self, &[x], multiple)
    }

    pub(crate) fn offset(&mut self, shift: f64, x: NodeId) -> NodeId {
        self.map1_with(&ew::OFFSET, shift, x)
    }

    pub(crate) fn reshape(&mut self, x: NodeId, shape: &Shape) -> NodeId {
        let op = Op::new(&layout::RESHAPE, Attr::ints(shape.dims()));
        self.push(op, Operands::from_slice(&[x]))
    }

    /// Stretches axes of size 1 to those of `shape`, which has the same rank.
    pub(crate) fn broadcast(&mut self, x: NodeId, shape: &Shape) -> NodeId {
        let op = Op::new(&layout::BROADCAST, Attr::ints(shape.dims()));
        self.push(op, Operands::from_slice(&[x]))
    }

    /// Broadcasts to a shape of the same or a higher rank, matching axes from the last.
    pub(crate) fn broadcast_to(&mut self, x: NodeId, shape: &Shape) -> NodeId {
        let aligned = self.shape(x).with_leading_ones(shape.rank());
        let x = self.reshape(x, &aligned);
        self.broadcast(x, shape)
    }

    /// [`Self::broadcast_to`] while recording, where the shape may be larger than arrays can be.
    pub(crate) fn try_broadcast_to(&mut self, x: NodeId, shape: &Shape) -> Result<NodeId, String> {
        shape.clone().check(MAX_RECORDED)?;
        Ok(self.broadcast_to(x, shape))
    }

    pub(crate) fn permute(&mut self, x: NodeId, axes: &[usize]) -> NodeId {
        let op = Op::new(&layout::PERMUTE, Attr::ints(axes));
        self.push(op, Operands::from_slice(&[x]))
    }

    /// Swaps the last two axes.
    pub(crate) fn transposed(&mut self, x: NodeId) -> NodeId {
        let rank = self.shape(x).rank();
        let mut axes: Vec<usize> = (0..rank).collect();
        axes.swap(rank - 2, rank - 1);
        self.permute(x, &axes)
    }

    pub(crate) fn slice(&mut self, x: NodeId, axis: usize, start: usize, len: usize) -> NodeId {
        let op = Op::new(&layout::SLICE, Attr::ints(&[axis, start, len]));
        self.push(op, Operands::from_slice(&[x]))
    }

    /// Zeros of `size` along `axis` with each piece at its offset.
    pub(crate) fn place(&mut self, axis: usize, size: usize, pieces: &[(usize, NodeId)]) -> NodeId {
        let mut ints = vec![axis, size];
        ints.extend(pieces.iter().map(|piece| piece.0));
        let op = Op::new(&layout::PLACE, Attr::ints(&ints));
        self.push(op, pieces.iter().map(|piece| piece.1).collect())
    }

    /// The elements of one axis at the given positions, in their order.
    pub(crate) fn gather(&mut self, x: NodeId, axis: usize, positions: &[usize]) -> NodeId {
        let size = positions.iter().max().map_or(0, |&last| last + 1);
        let (list, len) = (self.list_of(positions), positions.len());
        let attr = Attr::ints(&[axis, list, len, size]);
        self.push(Op::new(&indexed::GATHER, attr), Operands::from_slice(&[x]))
    }

    /// Zeros of `size` along an axis, to which the elements are added at the given positions.
    pub(crate) fn scatter_add(
        &mut self,
        x: NodeId,
        axis: usize,
        size: usize,
        positions: &[usize],
    ) -> NodeId {
        let (list, len) = (self.list_of(positions), positions.len());
        let attr = Attr::ints(&[axis, list, len, size]);
        self.push(
            Op::new(&indexed::SCATTER_ADD, attr),
            Operands::from_slice(&[x]),
        )
    }

    /// y₀ = b₀, yₖ = aₖ₋₁·yₖ₋₁ + bₖ along the last axis.
    pub(crate) fn recurrence(&mut self, a: NodeId, b: NodeId) -> NodeId {
        let op = Op::new(&recurrence::RECURRENCE, Attr::ints(&[0]));
        self.push(op, Operands::from_slice(&[a, b]))
    }

    /// Sums over axes (sorted, distinct) and drops them.
    pub(crate) fn sum(&mut self, x: NodeId, axes: &[usize]) -> NodeId {
        let op = Op::new(&reduce::SUM, Attr::ints(axes));
        self.push(op, Operands::from_slice(&[x]))
    }

    /// A function of rows along axes (sorted, distinct).
    pub(crate) fn rowwise(
        &mut self,
        op: &'static Rowwise,
        axes: &[usize],
        inputs: &[NodeId],
    ) -> NodeId {
        self.push(Op::new(op, Attr::ints(axes)), Operands::from_slice(inputs))
    }

    pub(crate) fn matmul(&mut self, x: NodeId, y: NodeId) -> NodeId {
        self.push(
            Op::new(&matmul::MATMUL, Attr::None),
            Operands::from_slice(&[x, y]),
        )
    }

    /// The sum of terms of one shape. Pieces placed side by side are joined into one placement,
    /// so that the gradient of many slices of one array is one pass over it (a few, if they overlap).
    pub(crate) fn add_all(&mut self, terms: &[NodeId]) -> NodeId {
        if let &[term] = terms {
            return term;
        }
        let (placed, mut rest) = layout::join_placements(self, terms);
        rest.extend(placed);
        let mut sum = rest[0];
        for &term in &rest[1..] {
            sum = ew::add_kept(self, sum, term);
        }
        sum
    }
}
