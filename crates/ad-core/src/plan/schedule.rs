//! From a graph to an ordered list of kernels over buffers: fusion and order.
//!
//! Products, reductions and placements run in the order of the graph. An elementwise instruction
//! runs when one of them, or an output, asks for it: it then takes along all elementwise ancestors
//! of the same shape that are not in memory yet, as one fused chain.

use rustc_hash::FxHashMap;

use crate::graph::{Graph, NodeId};
use crate::kernels::RowKind;
use crate::ops::{Indexed, Lowering, Op, Primitive, Reduction, elementwise as ew, layout, softmax};
use crate::shape::{Dims, Shape};

use super::view::{View, Views};

/// A kernel call over buffers. A buffer is named by the instruction whose value it holds.
#[derive(Debug)]
pub(crate) enum Work {
    /// A fused chain: members in order of execution, and those of them that go to memory.
    Map {
        shape: Shape,
        members: Vec<NodeId>,
        stores: Vec<NodeId>,
    },
    /// out (+)= a·b
    MatMul {
        out: NodeId,
        a: View,
        b: View,
        accumulate: bool,
    },
    Reduce {
        out: NodeId,
        input: View,
        axes: Dims,
        kind: Reduction,
    },
    /// Elements of `input` by a list.
    Indexed {
        out: NodeId,
        input: View,
        kind: Indexed,
    },
    /// out = the linear recurrence with coefficients a and terms b
    Recurrence {
        out: NodeId,
        a: View,
        b: View,
    },
    /// A function of all elements along some axes; the operands have one shape, and the only one of a
    /// function of one operand is given twice.
    Rows {
        /// Of one result twice the same.
        outs: [NodeId; 2],
        inputs: [View; 2],
        axes: Dims,
        kind: RowKind,
    },
    Copy {
        to: View,
        from: View,
    },
    /// Zeros in the elements `from..to` along the axis of a placement.
    Zero {
        to: View,
    },
}

/// Where a buffer lives if not in memory of its own: inside another one, or in an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Home {
    Inside { parent: NodeId, offset: usize },
    Output { at: u16, offset: usize },
}

/// What [`schedule`] returns.
#[derive(Debug)]
pub(crate) struct Schedule {
    pub(crate) works: Vec<Work>,
    pub(crate) homes: Vec<Option<Home>>,
    /// How each instruction that a chain reads from memory is read.
    pub(crate) views: Views,
    /// Outputs that are copied at the end: (position, from).
    pub(crate) output_copies: Vec<(usize, View)>,
}

pub(crate) fn schedule(graph: &Graph, outputs: &[NodeId]) -> Schedule {
    let needed = graph.needed_for(outputs.iter().copied());
    let mut scheduler = Scheduler {
        graph,
        needed: &needed,
        is_sum: vec![false; graph.len()],
        absorbed: vec![false; graph.len()],
        adds_to: vec![None; graph.len()],
        begun: vec![false; graph.len()],
        left_to_placements: views_of_placements(graph, &needed, outputs),
        static_views: FxHashMap::default(),
        state: vec![State::Absent; graph.len()],
        seen: vec![0; graph.len()],
        n_chains: 0,
        views: Views::new(graph.len()),
        homes: vec![None; graph.len()],
        works: Vec::new(),
    };
    scheduler.find_product_sums(&needed, &graph.use_counts(&needed, outputs));
    let copied_outputs = scheduler.settle(outputs, &needed);
    let mut is_output = vec![false; graph.len()];
    for output in outputs {
        is_output[scheduler.base_of(*output).unwrap_or(*output).index()] = true;
    }
    for id in graph.ids().filter(|id| needed[id.index()]) {
        scheduler.visit(id, is_output[id.index()]);
    }
    let output_copies = copied_outputs
        .into_iter()
        .map(|at| (at, scheduler.operand(outputs[at])))
        .collect();
    Schedule {
        works: scheduler.works,
        homes: scheduler.homes,
        views: scheduler.views,
        output_copies,
    }
}

/// Views on the way to a buffer that are followed again each time; longer ways are remembered.
const REMEMBERED: usize = 4;

/// The numbers of a piece that is computed together with others: one, or one of each vector of a stack.
const SMALL: usize = 16;

/// The views of few numbers that placements alone read.
fn views_of_placements(graph: &Graph, needed: &[bool], outputs: &[NodeId]) -> Vec<bool> {
    let mut left: Vec<bool> = graph
        .ids()
        .map(|id| needed[id.index()] && graph.shape(id).len() <= SMALL)
        .collect();
    for id in graph.ids().filter(|id| needed[id.index()]) {
        let node = graph.node(id);
        if !matches!(node.op.def().lowering(), Lowering::Place) {
            for input in node.inputs {
                left[input.index()] = false;
            }
        }
    }
    for output in outputs {
        left[output.index()] = false;
    }
    left
}

/// The most cheap instructions of other chains that one chain computes again: without a limit the
/// chains of a long scalar program would each begin at its start.
const MAX_AGAIN: usize = 16;

/// The instruction that computes the other function of a pair, of the same operand.
pub(crate) fn twin_of(graph: &Graph, id: NodeId) -> Option<NodeId> {
    let node = graph.node(id);
    // What only runs as a function of a pair is none of the two: the other one has another twin.
    let other: &'static dyn Primitive = match node.op.def().lowering() {
        Lowering::Map(op) => op.twin.filter(|_| node.op.is(op))?.other(op),
        Lowering::Rows(_) if node.op.is(&softmax::SOFTMAX) => &softmax::HALF_NEG_LOG_SOFTMAX,
        Lowering::Rows(_) if node.op.is(&softmax::HALF_NEG_LOG_SOFTMAX) => &softmax::SOFTMAX,
        _ => return None,
    };
    let other = Op::new(other, node.op.attr.clone());
    graph.find(&other, node.inputs)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Absent,
    /// Computed by the chain at this position, but only in registers.
    InChain(u32),
    InMemory,
}

struct Scheduler<'a> {
    graph: &'a Graph,
    needed: &'a [bool],
    /// Sums whose terms are all products that nothing else reads.
    is_sum: Vec<bool>,
    /// Products and sums that run as part of a larger sum.
    absorbed: Vec<bool>,
    /// The whole sum that such a part adds to.
    adds_to: Vec<Option<NodeId>>,
    /// Whether a sum has its first product.
    begun: Vec<bool>,
    /// Views that only placements read, of a few numbers each.
    left_to_placements: Vec<bool>,
    /// What long chains of views show.
    static_views: FxHashMap<NodeId, Option<View>>,
    state: Vec<State>,
    /// The last chain that looked at each instruction, by number.
    seen: Vec<u32>,
    n_chains: u32,
    views: Views,
    homes: Vec<Option<Home>>,
    works: Vec<Work>,
}

impl Scheduler<'_> {
    /// Finds sums of products: they accumulate into one buffer instead of being added up.
    fn find_product_sums(&mut self, needed: &[bool], uses: &[u32]) {
        for id in self.graph.ids().filter(|id| needed[id.index()]) {
            let node = self.graph.node(id);
            let is_term = |input: &NodeId| {
                let product = matches!(self.lowering(*input), Lowering::MatMul);
                uses[input.index()] == 1 && (product || self.is_sum[input.index()])
            };
            if node.op.is(&ew::ADD) && node.inputs.iter().all(is_term) {
                self.is_sum[id.index()] = true;
                for input in node.inputs {
                    self.absorbed[input.index()] = true;
                }
            }
        }
        // From the last sum down: each term adds to what the sum that reads it adds to.
        for id in self.graph.ids().rev().filter(|id| self.is_sum[id.index()]) {
            let total = self.adds_to[id.index()].unwrap_or(id);
            for input in self.graph.inputs(id) {
                self.adds_to[input.index()] = Some(total);
            }
        }
    }

    fn lowering(&self, id: NodeId) -> Lowering {
        self.graph.op(id).def().lowering()
    }

    fn is_map(&self, id: NodeId) -> bool {
        matches!(self.lowering(id), Lowering::Map(_)) && !self.is_sum[id.index()]
    }

    /// The view that an instruction is of its base, as far as strides can say it.
    fn static_view(&mut self, id: NodeId) -> Option<View> {
        let (mut path, mut at) = (Vec::new(), id);
        let mut view = loop {
            let node = self.graph.node(at);
            match self.static_views.get(&at) {
                Some(known) => break known.clone(),
                None if matches!(node.op.def().lowering(), Lowering::View) => path.push(at),
                None => break Some(View::whole(at, node.shape)),
            }
            at = node.inputs[0];
        };
        let long = path.len() > REMEMBERED;
        for &at in path.iter().rev() {
            let node = self.graph.node(at);
            view = view.and_then(|view| node.op.def().view(&node.op.attr, &view, node.shape));
            if long {
                self.static_views.insert(at, view.clone());
            }
        }
        view
    }

    /// The instruction whose whole buffer this one is, in the same order, if there is one.
    fn base_of(&mut self, id: NodeId) -> Option<NodeId> {
        let view = self.static_view(id)?;
        let whole = view.is_contiguous()
            && view.offset == 0
            && view.shape.len() == self.graph.shape(view.base).len();
        let source = matches!(self.lowering(view.base), Lowering::Source);
        (whole && !source && !self.absorbed[view.base.index()]).then_some(view.base)
    }

    /// Decides which buffers live in outputs and in placements, so that their kernels write there
    /// at once. Returns the outputs that have to be copied.
    fn settle(&mut self, outputs: &[NodeId], needed: &[bool]) -> Vec<usize> {
        let mut copied = Vec::new();
        for (at, &output) in outputs.iter().enumerate() {
            match self.base_of(output) {
                Some(base) if self.homes[base.index()].is_none() => {
                    let at = u16::try_from(at).expect("fewer than 2¹⁶ outputs");
                    self.homes[base.index()] = Some(Home::Output { at, offset: 0 });
                }
                _ => copied.push(at),
            }
        }
        for id in self.graph.ids().rev().filter(|id| needed[id.index()]) {
            if matches!(self.lowering(id), Lowering::Place) {
                for (piece, target) in self.pieces(id) {
                    if let Some(base) = self.base_of(piece)
                        && self.homes[base.index()].is_none()
                        && target.is_contiguous()
                    {
                        let home = Home::Inside {
                            parent: id,
                            offset: target.offset,
                        };
                        self.homes[base.index()] = Some(home);
                    }
                }
            }
        }
        copied
    }

    /// The operands of a placement, each with its part of the placement's buffer.
    fn pieces(&self, id: NodeId) -> Vec<(NodeId, View)> {
        let node = self.graph.node(id);
        let (axis, _, offsets) = layout::placement(&node.op.attr);
        let whole = View::whole(id, node.shape);
        let part = |(&piece, &at): (&NodeId, &usize)| {
            let shape = self.graph.shape(piece).clone();
            let offset = at * whole.strides[axis].unsigned_abs();
            (
                piece,
                View {
                    base: id,
                    offset,
                    shape,
                    strides: whole.strides.clone(),
                },
            )
        };
        node.inputs.iter().zip(offsets).map(part).collect()
    }

    fn visit(&mut self, id: NodeId, is_output: bool) {
        // A product joins its sum at once: what it multiplies need not last until the sum is read.
        if let (Some(sum), Lowering::MatMul) = (self.adds_to[id.index()], self.lowering(id)) {
            let accumulate = std::mem::replace(&mut self.begun[sum.index()], true);
            return self.product(sum, id, accumulate);
        }
        if self.absorbed[id.index()] {
            return;
        }
        if self.is_sum[id.index()] {
            self.state[id.index()] = State::InMemory;
            return;
        }
        match self.lowering(id) {
            Lowering::MatMul => self.product(id, id, false),
            Lowering::Reduce(kind) => {
                let input = self.operand(self.graph.inputs(id)[0]);
                let axes = Dims::from_slice(self.graph.op(id).attr.as_ints());
                self.works.push(Work::Reduce {
                    out: id,
                    input,
                    axes,
                    kind,
                });
            }
            Lowering::Indexed(kind) => {
                let input = self.operand(self.graph.inputs(id)[0]);
                self.works.push(Work::Indexed {
                    out: id,
                    input,
                    kind,
                });
            }
            Lowering::Recurrence => {
                let inputs = self.graph.inputs(id);
                let (a, b) = (self.operand(inputs[0]), self.operand(inputs[1]));
                self.works.push(Work::Recurrence { out: id, a, b });
            }
            Lowering::Rows(_) if self.state[id.index()] == State::InMemory => return,
            Lowering::Rows(kind) => self.rows(id, kind),
            Lowering::Place => self.place(id),
            Lowering::Map(_) if is_output => return self.materialize(id),
            // What a view shows is brought to memory in order: left to its reader, a chain of views
            // and elementwise instructions would be followed back recursively.
            Lowering::View => {
                if !self.left_to_placements[id.index()] {
                    self.bring(id);
                }
                return;
            }
            Lowering::Map(_) | Lowering::Source => return,
        }
        self.state[id.index()] = State::InMemory;
    }

    /// A function of rows, together with the other one of its pair if the program needs both.
    fn rows(&mut self, id: NodeId, kind: RowKind) {
        let node = self.graph.node(id).to_owned();
        let first = self.operand(node.inputs[0]);
        let last = self.operand(node.inputs[node.inputs.len() - 1]);
        let twin = twin_of(self.graph, id).filter(|twin| self.needed[twin.index()]);
        let (kind, outs) = match (kind, twin) {
            (RowKind::Softmax, Some(log)) => (RowKind::SoftmaxAndHalfNegLog, [id, log]),
            (RowKind::HalfNegLogSoftmax, Some(softmax)) => {
                (RowKind::SoftmaxAndHalfNegLog, [softmax, id])
            }
            _ => (kind, [id, id]),
        };
        for out in outs {
            self.state[out.index()] = State::InMemory;
        }
        self.works.push(Work::Rows {
            outs,
            inputs: [first, last],
            axes: Dims::from_slice(node.op.attr.as_ints()),
            kind,
        });
    }

    fn product(&mut self, out: NodeId, product: NodeId, accumulate: bool) {
        let inputs = self.graph.inputs(product);
        let (a, b) = (self.operand(inputs[0]), self.operand(inputs[1]));
        self.works.push(Work::MatMul {
            out,
            a,
            b,
            accumulate,
        });
    }

    fn place(&mut self, id: NodeId) {
        self.compute_small_pieces(id);
        let mut end = 0;
        let (axis, size, _) = layout::placement(&self.graph.op(id).attr);
        let whole = View::whole(id, self.graph.shape(id));
        let stride = whole.strides[axis].unsigned_abs();
        let gap = |from: usize, to: usize| {
            let mut dims = Dims::from_slice(whole.shape.dims());
            dims[axis] = to - from;
            let offset = from * stride;
            Work::Zero {
                to: View {
                    offset,
                    shape: Shape::new(&dims),
                    ..whole.clone()
                },
            }
        };
        for (piece, target) in self.pieces(id) {
            let start = target.offset / stride.max(1);
            if start > end {
                self.works.push(gap(end, start));
            }
            end = start + target.shape.dims()[axis];
            let from = self.operand(piece);
            let home = Home::Inside {
                parent: id,
                offset: target.offset,
            };
            let base = self.base_of(piece);
            if base.is_none_or(|base| self.homes[base.index()] != Some(home)) {
                self.works.push(Work::Copy { to: target, from });
            }
        }
        if end < size {
            self.works.push(gap(end, size));
        }
    }

    /// Computes the pieces of a few numbers of a placement, those of one shape in one chain: thousands
    /// of numbers side by side would else be as many kernel calls.
    fn compute_small_pieces(&mut self, id: NodeId) {
        let mut shapes: Vec<(Shape, Vec<NodeId>)> = Vec::new();
        for &piece in self.graph.inputs(id) {
            let left = self.left_to_placements[piece.index()]
                && matches!(self.lowering(piece), Lowering::View);
            let base = if left {
                self.graph.inputs(piece)[0]
            } else {
                piece
            };
            let absent = self.is_map(base) && self.state[base.index()] == State::Absent;
            let shape = self.graph.shape(base);
            if !absent || shape.len() > SMALL {
                continue;
            }
            match shapes.iter_mut().find(|(known, _)| known == shape) {
                Some((_, roots)) => roots.push(base),
                None => shapes.push((shape.clone(), vec![base])),
            }
        }
        for (_, mut roots) in shapes {
            roots.sort_unstable();
            roots.dedup();
            // One shape's chain may have computed another one's pieces.
            roots.retain(|root| self.state[root.index()] == State::Absent);
            if !roots.is_empty() {
                self.chain(&roots);
            }
        }
    }

    /// How to read an instruction's value, which is brought into memory if it is not there.
    fn operand(&mut self, id: NodeId) -> View {
        if let Some(view) = self.views.get(id, self.graph.shape(id)) {
            return view.to_owned();
        }
        let node = self.graph.node(id);
        let view = match node.op.def().lowering() {
            Lowering::View => {
                let input = self.operand(node.inputs[0]);
                node.op
                    .def()
                    .view(&node.op.attr, &input, node.shape)
                    .unwrap_or_else(|| {
                        let to = View::whole(id, &input.shape);
                        self.works.push(Work::Copy { to, from: input });
                        View::whole(id, node.shape)
                    })
            }
            Lowering::Map(_) => {
                self.materialize(id);
                View::whole(id, node.shape)
            }
            _ => View::whole(id, node.shape),
        };
        debug_assert_eq!(
            view.shape, *node.shape,
            "views have their instruction's shape"
        );
        self.views.set(id, &view);
        view
    }

    /// Brings an instruction's value into memory if it is not there.
    fn bring(&mut self, id: NodeId) {
        if !self.views.has(id) {
            self.operand(id);
        }
    }

    /// Brings an elementwise instruction's value into memory.
    fn materialize(&mut self, id: NodeId) {
        match self.state[id.index()] {
            State::InMemory => {}
            State::InChain(at) => self.store(id, at),
            State::Absent => self.chain(&[id]),
        }
    }

    /// Lets a chain that has computed a value store it as well.
    fn store(&mut self, id: NodeId, at: u32) {
        if let Work::Map { stores, .. } = &mut self.works[at as usize] {
            stores.push(id);
        }
        self.state[id.index()] = State::InMemory;
    }

    /// Fuses instructions of one shape with their elementwise ancestors of that shape into one chain.
    fn chain(&mut self, roots: &[NodeId]) {
        let shape = self.graph.shape(roots[0]).clone();
        let (mut members, mut open) = (roots.to_vec(), roots.to_vec());
        self.n_chains += 1;
        let (number, mut n_again) = (self.n_chains, 0);
        for root in roots {
            self.seen[root.index()] = number;
        }
        let graph = self.graph;
        while let Some(member) = open.pop() {
            for &input in graph.inputs(member) {
                if std::mem::replace(&mut self.seen[input.index()], number) == number {
                    continue;
                }
                if self.joins(input, &shape, &mut n_again) {
                    members.push(input);
                    open.push(input);
                } else {
                    self.bring(input);
                }
            }
        }
        let mut stores = roots.to_vec();
        self.add_twins(&mut members, &mut stores, number);
        members.sort_unstable();
        // Bringing an operand may have run a chain, which looked at the same instructions.
        members.dedup();
        let at = u32::try_from(self.works.len()).expect("fewer than 2³² kernel calls");
        for &member in &members {
            if self.state[member.index()] == State::Absent {
                self.state[member.index()] = State::InChain(at);
            }
        }
        for &store in &stores {
            self.state[store.index()] = State::InMemory;
        }
        self.works.push(Work::Map {
            shape,
            members,
            stores,
        });
    }

    /// Lets a chain with one function of a pair compute and store the other too, if the program needs it
    /// later: computed there it would take as long again.
    fn add_twins(&mut self, members: &mut Vec<NodeId>, stores: &mut Vec<NodeId>, number: u32) {
        for at in 0..members.len() {
            let id = members[at];
            let Some(twin) = twin_of(self.graph, id) else {
                continue;
            };
            let waits = self.needed[twin.index()] && self.state[twin.index()] == State::Absent;
            if waits && std::mem::replace(&mut self.seen[twin.index()], number) != number {
                members.push(twin);
                stores.push(twin);
            }
        }
    }

    /// Whether an operand becomes part of the chain: it is elementwise, of the same shape, and not
    /// in memory. What another chain computed is computed again if that is cheap, else stored there.
    fn joins(&mut self, id: NodeId, shape: &Shape, n_again: &mut usize) -> bool {
        if !self.is_map(id) || self.graph.shape(id) != shape {
            return false;
        }
        let Lowering::Map(op) = self.lowering(id) else {
            return false;
        };
        match self.state[id.index()] {
            State::Absent => true,
            State::InMemory => false,
            State::InChain(_) if op.cheap && *n_again < MAX_AGAIN => {
                *n_again += 1;
                true
            }
            State::InChain(at) => {
                self.store(id, at);
                false
            }
        }
    }
}
