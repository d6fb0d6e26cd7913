//! Resolves addresses and picks kernels.

use std::sync::Arc;

use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use super::buffers::{Buffers, Spots, resolve_homes};
use super::memory::{self, Interval};
use super::schedule::{Home, Schedule, Work, schedule, twin_of};
use super::verify::{self, Lives};
use super::view::{View, ViewRef};
use super::{BLOCK, Gather, Instr, Lane, Loc, Motion, Plan, Space, Step};
use crate::error::Error;
use crate::graph::{Graph, NodeId};
use crate::kernels::{
    GemmShape, IndexedJob, Level, RecurrenceJob, ReduceJob, RowJob, StridedCopy, gemm_scratch,
};
use crate::ops::{Lowering, indexed, recurrence, source};
use crate::real::Real;

const WORKSPACE: &str = "the workspace of a program";

/// Plans the program that computes `outputs`; inputs are counted up to `n_inputs`.
///
/// # Errors
/// [`Error::Allocation`] for memory that addresses do not reach; [`Error::UnsoundPlan`] if the plan
/// does not pass its own check.
pub(crate) fn compile<T: Real>(
    graph: &Graph,
    outputs: &[NodeId],
    n_inputs: usize,
) -> Result<Plan<T>, Error> {
    check_lengths::<T>(graph, outputs)?;
    let mut schedule = schedule(graph, outputs);
    resolve_homes(graph, &mut schedule.homes);
    let mut emitter = Emitter {
        graph,
        level: Level::detect(),
        spots: Spots(vec![0; graph.len()]),
        buffers: Buffers::new(graph.len()),
        lives: Lives::new(graph.len()),
        at: 0,
        plan: Plan {
            instrs: Vec::with_capacity(schedule.works.len()),
            constants: Vec::new(),
            inputs: vec![0; n_inputs],
            outputs: outputs.iter().map(|&id| graph.shape(id).len()).collect(),
            arena: 0,
            scratch: 0,
        },
        constants: FxHashMap::default(),
        schedule,
    };
    emitter.lay_out()?;
    let works = std::mem::take(&mut emitter.schedule.works);
    for work in works {
        let instr = emitter.emit(&work);
        emitter.push(instr);
    }
    for (at, from) in std::mem::take(&mut emitter.schedule.output_copies) {
        let to = Loc::new(emitter.output_space(at), 0);
        let job = Box::new(StridedCopy::to_row_major(&from.shape, &from.strides));
        let from = emitter.loc(&from);
        emitter.push(Instr::Copy { job, from, to });
    }
    emitter.finish()
}

/// Refuses inputs, constants and outputs that are longer than addresses reach.
fn check_lengths<T>(graph: &Graph, outputs: &[NodeId]) -> Result<(), Error> {
    let source = |id: &NodeId| matches!(graph.op(*id).def().lowering(), Lowering::Source);
    for id in graph.ids().filter(source).chain(outputs.iter().copied()) {
        let len = graph.shape(id).len();
        if len > Loc::MAX_LEN {
            return Err(Error::allocation::<T>("an input or an output", len));
        }
    }
    Ok(())
}

/// What a chain reads from memory: the member that reads it, and how.
fn chain_reads<'a>(
    graph: &'a Graph,
    schedule: &'a Schedule,
    spots: &'a Spots,
    members: &'a [NodeId],
) -> impl Iterator<Item = (NodeId, ViewRef<'a>)> {
    let reads = move |member: &'a NodeId| {
        let inputs = graph.inputs(*member).iter();
        let outside = inputs.filter(move |input| spots.find(members, **input).is_none());
        outside.map(move |input| {
            let view = schedule.views.get(*input, graph.shape(*input));
            (*member, view.expect("the scheduler brought it to memory"))
        })
    };
    members.iter().flat_map(reads)
}

struct Emitter<'a, T> {
    graph: &'a Graph,
    level: Level,
    schedule: Schedule,
    spots: Spots,
    buffers: Buffers,
    lives: Lives,
    /// The kernel call that is made.
    at: usize,
    plan: Plan<T>,
    /// Where the values of constant instructions stand.
    constants: FxHashMap<NodeId, usize>,
}

impl<T: Real> Emitter<'_, T> {
    fn output_space(&self, at: usize) -> Space {
        let space = usize::from(Space::FIRST_INPUT) + self.plan.inputs.len() + at;
        Space(u16::try_from(space).expect("fewer than 2¹⁶ inputs and outputs"))
    }

    /// The buffer (or the output) that holds an instruction's value, and where in it.
    fn top(&self, id: NodeId) -> (Result<NodeId, usize>, usize) {
        match self.schedule.homes[id.index()] {
            None => (Ok(id), 0),
            Some(Home::Inside { parent, offset }) => (Ok(parent), offset),
            Some(Home::Output { at, offset }) => (Err(usize::from(at)), offset),
        }
    }

    /// Gives every buffer its place in the arena.
    fn lay_out(&mut self) -> Result<(), Error> {
        self.find_intervals();
        let layout = memory::assign(&self.buffers.intervals, 64 / size_of::<T>());
        let layout = layout.map_err(|len| Error::allocation::<T>(WORKSPACE, len))?;
        self.plan.arena = layout.len;
        self.buffers.offsets = layout.offsets;
        Ok(())
    }

    fn push(&mut self, instr: Instr<T>) {
        self.plan.instrs.push(instr);
        self.at += 1;
    }

    /// The plan, if it passes its check.
    fn finish(self) -> Result<Plan<T>, Error> {
        let len = self.plan.arena + self.plan.scratch;
        if len > Loc::MAX_LEN {
            return Err(Error::allocation::<T>(WORKSPACE, len));
        }
        let place = |buffer: NodeId| {
            let offset = self.buffers.offset(buffer)?;
            Some((offset, self.graph.shape(buffer).len()))
        };
        self.lives
            .check(place, |buffer| self.buffers.taken_from(buffer))
            .and_then(|()| verify::addresses(&self.plan))
            .map_err(|message| Error::UnsoundPlan { message })?;
        Ok(self.plan)
    }

    /// Finds the lives of all buffers that need memory in the arena.
    fn find_intervals(&mut self) {
        let works = std::mem::take(&mut self.schedule.works);
        let mut buffers = std::mem::replace(&mut self.buffers, Buffers::new(0));
        for (at, work) in works.iter().enumerate() {
            self.touched(work, &mut |this, id| this.touch(&mut buffers, id, at));
        }
        for (_, view) in &self.schedule.output_copies {
            self.touch(&mut buffers, view.base, works.len());
        }
        self.buffers = buffers;
        for (at, work) in works.iter().enumerate() {
            self.take_over(work, at);
        }
        self.schedule.works = works;
    }

    fn touch(&self, buffers: &mut Buffers, id: NodeId, at: usize) {
        if let Ok(buffer) = self.top(id).0
            && !matches!(self.graph.op(id).def().lowering(), Lowering::Source)
        {
            buffers.touch(buffer, self.graph.shape(buffer).len(), at);
        }
    }

    /// Every buffer that a kernel call reads or writes.
    fn touched(&mut self, work: &Work, touch: &mut dyn FnMut(&Self, NodeId)) {
        match work {
            Work::Map {
                members, stores, ..
            } => {
                self.spots.note(members);
                for (_, view) in chain_reads(self.graph, &self.schedule, &self.spots, members) {
                    touch(self, view.base);
                }
                stores.iter().for_each(|&store| touch(self, store));
            }
            Work::MatMul { out, a, b, .. } | Work::Recurrence { out, a, b } => {
                [a.base, b.base, *out]
                    .into_iter()
                    .for_each(|id| touch(self, id));
            }
            Work::Reduce { out, input, .. } | Work::Indexed { out, input, .. } => {
                [input.base, *out]
                    .into_iter()
                    .for_each(|id| touch(self, id));
            }
            Work::Rows { outs, inputs, .. } => {
                let read = inputs.each_ref().map(|view| view.base);
                let all = read.iter().chain(outs);
                all.for_each(|&id| touch(self, id));
            }
            Work::Copy { to, from } => {
                [from.base, to.base]
                    .into_iter()
                    .for_each(|id| touch(self, id));
            }
            Work::Zero { to } => touch(self, to.base),
        }
    }

    /// Lets a chain write over an operand that nothing reads any more.
    fn take_over(&mut self, work: &Work, at: usize) {
        let Work::Map {
            members, stores, ..
        } = work
        else {
            return;
        };
        // Hundreds of stores come from scalar code: their buffers are tiny, and pairing all of them
        // with all operands would take long.
        if stores.len() > 64 {
            return;
        }
        self.spots.note(members);
        let dying = self.dying(at, members);
        let mut taken: Vec<NodeId> = Vec::new();
        for &store in stores {
            let written = self.spots.written_at(self.graph, members, store);
            let life = self.buffers.life(store);
            let fresh = life.is_some_and(|life| life.first as usize == at);
            if self.top(store) != (Ok(store), 0) || !fresh {
                continue;
            }
            let len = self.graph.shape(store).len();
            let fits = |&&(buffer, last): &&(NodeId, NodeId)| {
                last <= written && self.graph.shape(buffer).len() == len && !taken.contains(&buffer)
            };
            if let Some(&(buffer, _)) = dying.iter().find(fits)
                && let Some(old) = self.buffers.number(buffer)
                && let Some(new) = self.buffers.number(store)
            {
                self.buffers.intervals[new].takes_over = Some(old as u32);
                taken.push(buffer);
            }
        }
    }

    /// The buffers that a chain reads last, and whole, element by element; with the place of the last
    /// member that reads each.
    fn dying(&self, at: usize, members: &[NodeId]) -> Vec<(NodeId, NodeId)> {
        let mut places: FxHashMap<NodeId, usize> = FxHashMap::default();
        let mut found: Vec<(NodeId, NodeId, bool)> = Vec::new();
        for (member, view) in chain_reads(self.graph, &self.schedule, &self.spots, members) {
            let Ok(buffer) = self.top(view.base).0 else {
                continue;
            };
            let ends = |life: &Interval| life.last as usize == at && (life.first as usize) < at;
            if !self.buffers.life(buffer).is_some_and(ends) {
                continue;
            }
            let member = self.spots.written_at(self.graph, members, member);
            let whole = view.is_contiguous() && view.base == buffer && view.offset == 0;
            let place = *places.entry(buffer).or_insert(found.len());
            match found.get_mut(place) {
                Some(known) => (known.1, known.2) = (known.1.max(member), known.2 && whole),
                None => found.push((buffer, member, whole)),
            }
        }
        let whole = found.into_iter().filter(|found| found.2);
        whole.map(|(buffer, last, _)| (buffer, last)).collect()
    }

    fn base_loc(&mut self, id: NodeId) -> Loc {
        let node = self.graph.node(id);
        if let Some(position) = source::input_position(node.op) {
            self.plan.inputs[position] = node.shape.len();
            let space = usize::from(Space::FIRST_INPUT) + position;
            let space = u16::try_from(space).expect("fewer than 2¹⁶ inputs and outputs");
            return Loc::new(Space(space), 0);
        }
        if matches!(node.op.def().lowering(), Lowering::Source) {
            return Loc::new(Space::CONSTANTS, self.constant(id));
        }
        match self.top(id) {
            (Ok(buffer), offset) => {
                self.lives.touch(buffer, self.at);
                let at = self.buffers.offset(buffer);
                let at = at.expect("every buffer in use has memory");
                Loc::new(Space::ARENA, at + offset)
            }
            (Err(output), offset) => Loc::new(self.output_space(output), offset),
        }
    }

    fn constant(&mut self, id: NodeId) -> usize {
        if let Some(&at) = self.constants.get(&id) {
            return at;
        }
        let at = self.plan.constants.len();
        let op = self.graph.op(id);
        if op.is(&source::SCALAR) {
            self.plan.constants.push(T::of(op.attr.as_float()));
        } else {
            let values = self.graph.array(op.attr.as_ints()[0]);
            self.plan
                .constants
                .extend(values.iter().map(|&value| T::of(value)));
        }
        self.constants.insert(id, at);
        at
    }

    fn loc(&mut self, view: &View) -> Loc {
        self.loc_of(view.as_ref())
    }

    fn loc_of(&mut self, view: ViewRef<'_>) -> Loc {
        let base = self.base_loc(view.base);
        Loc::new(base.space(), base.offset() + view.offset)
    }

    fn emit(&mut self, work: &Work) -> Instr<T> {
        match work {
            Work::Map {
                shape,
                members,
                stores,
            } => self.emit_chain(shape.len(), members, stores),
            Work::MatMul {
                out,
                a,
                b,
                accumulate,
            } => self.emit_product(*out, a, b, *accumulate),
            Work::Reduce {
                out,
                input,
                axes,
                kind,
            } => {
                let job = ReduceJob::new(*kind, self.level, &input.shape, &input.strides, axes);
                let job = Box::new(job);
                self.plan.scratch = self.plan.scratch.max(job.scratch());
                Instr::Reduce {
                    job,
                    from: self.loc(input),
                    to: self.base_loc(*out),
                }
            }
            Work::Indexed { out, input, kind } => {
                let node = self.graph.node(*out);
                let positions = indexed::positions(&node.op.attr);
                let list = Arc::clone(self.graph.list(positions.list));
                let operand = (&input.shape, &input.strides[..]);
                let job = IndexedJob::new(*kind, list, positions.axis, operand, node.shape);
                Instr::Indexed {
                    job: Box::new(job),
                    from: self.loc(input),
                    to: self.base_loc(*out),
                }
            }
            Work::Recurrence { out, a, b } => {
                let backward = recurrence::is_backward(&self.graph.op(*out).attr);
                let job = RecurrenceJob::new(backward, &b.shape, &a.strides, &b.strides);
                Instr::Recurrence {
                    job: Box::new(job),
                    a: self.loc(a),
                    b: self.loc(b),
                    to: self.base_loc(*out),
                }
            }
            Work::Rows {
                outs,
                inputs: [first, last],
                axes,
                kind,
            } => {
                let strides = [&first.strides[..], &last.strides[..]];
                let job = RowJob::new(*kind, self.level, &first.shape, strides, axes);
                let job = Box::new(job);
                self.plan.scratch = self.plan.scratch.max(job.scratch());
                Instr::Rows {
                    job,
                    from: [self.loc(first), self.loc(last)],
                    to: outs.map(|out| self.base_loc(out)),
                }
            }
            Work::Copy { to, from } => {
                let job = Box::new(StridedCopy::new(&to.shape, &from.strides, &to.strides));
                Instr::Copy {
                    job,
                    from: self.loc(from),
                    to: self.loc(to),
                }
            }
            Work::Zero { to } => {
                let job = Box::new(StridedCopy::new(&to.shape, &to.strides, &to.strides));
                Instr::Zero {
                    job,
                    to: self.loc(to),
                }
            }
        }
    }

    fn emit_product(&mut self, out: NodeId, a: &View, b: &View, accumulate: bool) -> Instr<T> {
        let rank = a.shape.rank();
        let (m, k) = (a.shape.dims()[rank - 2], a.shape.dims()[rank - 1]);
        let n = b.shape.dims()[rank - 1];
        let stack = |view: &View| if rank == 3 { view.strides[0] } else { 0 };
        let mut shape = GemmShape {
            m,
            n,
            k,
            a_row: a.strides[rank - 2],
            a_col: a.strides[rank - 1],
            b_row: b.strides[rank - 2],
            b_col: b.strides[rank - 1],
            c_row: n as isize,
            batch: if rank == 3 { a.shape.dims()[0] } else { 1 },
            a_batch: stack(a),
            b_batch: stack(b),
            c_batch: (m * n) as isize,
            accumulate,
        };
        // A stack times one shared matrix whose rows follow each other is one tall product.
        if shape.b_batch == 0 && shape.a_batch == shape.a_row * m as isize {
            shape.m *= shape.batch;
            shape.batch = 1;
        }
        self.plan.scratch = self.plan.scratch.max(gemm_scratch::<T>(&shape));
        Instr::MatMul {
            shape: Box::new(shape),
            a: self.loc(a),
            b: self.loc(b),
            c: self.base_loc(out),
        }
    }

    fn emit_chain(&mut self, len: usize, members: &[NodeId], stores: &[NodeId]) -> Instr<T> {
        self.spots.note(members);
        let block = self.block_len(len, members);
        let mut last_read = vec![0; members.len()];
        for &member in members {
            let at = self.spots.written_at(self.graph, members, member);
            let at = self.spots.0[at.index()];
            for &input in self.graph.inputs(member) {
                if let Some(read) = self.spots.find(members, input) {
                    last_read[read] = last_read[read].max(at);
                }
            }
        }
        let mut stores = stores.to_vec();
        stores.sort_unstable();
        let mut chain = Chain {
            members,
            stores,
            last_read,
            steps: Vec::with_capacity(members.len()),
            text: String::new(),
            registers: Registers::new(block),
            lanes: vec![None; members.len()],
        };
        for at in 0..members.len() {
            if chain.lanes[at].is_none() {
                self.emit_member(&mut chain, at);
            }
        }
        self.plan.scratch = self.plan.scratch.max(chain.registers.len());
        Instr::Map {
            len,
            block,
            steps: chain.steps.into_boxed_slice(),
            text: chain.text.into_boxed_str(),
        }
    }

    /// Emits a member of a chain, with the other one of its pair if that is in the chain.
    fn emit_member(&mut self, chain: &mut Chain<'_, T>, at: usize) {
        let node = self.graph.node(chain.members[at]);
        let Lowering::Map(op) = node.op.def().lowering() else {
            unreachable!("chains are of elementwise instructions")
        };
        let mut lanes: SmallVec<[Lane; 2]> = SmallVec::new();
        let mut done: SmallVec<[Loc; 2]> = SmallVec::new();
        for &input in node.inputs {
            if let Some(read) = self.spots.find(chain.members, input) {
                let lane = chain.lanes[read].expect("operands come before their readers");
                lanes.push(lane);
                let dead =
                    chain.last_read[read] as usize == at && lane.at.space() == Space::SCRATCH;
                if dead && !done.contains(&lane.at) {
                    done.push(lane.at);
                }
            } else {
                let (lane, passing) = self.emit_operand(chain, input);
                lanes.push(lane);
                done.extend(passing);
            }
        }
        for &register in &done {
            chain.registers.release(register);
        }
        let dst = self.destination(chain, at);
        chain.text.push(' ');
        chain.text.push_str(op.name);
        let twin = twin_of(self.graph, chain.members[at])
            .and_then(|twin| self.spots.find(chain.members, twin));
        if let (Some(pair), Some(other)) = (op.twin, twin) {
            let other_dst = self.destination(chain, other);
            let is_first = std::ptr::eq(pair.first, op);
            let (first, second) = if is_first {
                (dst, other_dst)
            } else {
                (other_dst, dst)
            };
            chain.text.push('+');
            chain.text.push_str(pair.other(op).name);
            chain.steps.push(Step::Twin {
                kernel: T::twin_kernel(&pair.kernels, self.level),
                first,
                second,
                a: lanes[0],
            });
            return;
        }
        chain.steps.push(Step::Run {
            kernel: T::kernel(&op.kernels, self.level),
            c: T::of(node.op.attr.as_float()),
            dst,
            a: lanes[0],
            b: *lanes
                .last()
                .expect("an elementwise instruction has an operand"),
        });
    }

    /// Where a member's value goes: to memory if it is stored, else to a free register.
    fn destination(&mut self, chain: &mut Chain<'_, T>, at: usize) -> Lane {
        let member = chain.members[at];
        let lane = if chain.stores.binary_search(&member).is_ok() {
            if let Some(operand) = self.buffers.taken_from(member) {
                self.lives.end(operand);
            }
            Lane {
                at: self.base_loc(member),
                motion: Motion::Moves,
            }
        } else {
            Lane {
                at: chain.registers.take(),
                motion: Motion::Stays,
            }
        };
        chain.lanes[at] = Some(lane);
        lane
    }

    /// How a step reads an operand from memory: directly, or through a register that a gather
    /// fills; that register is returned too if it is free again after the step.
    fn emit_operand(&mut self, chain: &mut Chain<'_, T>, input: NodeId) -> (Lane, Option<Loc>) {
        let view = self.schedule.views.get(input, self.graph.shape(input));
        let view = view.expect("the scheduler brought it to memory");
        // Read before the address is noted, which borrows all of this.
        let (contiguous, period) = (view.is_contiguous(), repeated_row(view));
        let (dims, strides) = if contiguous {
            Default::default()
        } else {
            view.merged()
        };
        let (base, offset) = (view.base, view.offset);
        let base = self.base_loc(base);
        let from = Loc::new(base.space(), base.offset() + offset);
        if contiguous {
            return (
                Lane {
                    at: from,
                    motion: Motion::Moves,
                },
                None,
            );
        }
        let block = chain.registers.block;
        if let Some(period) = period
            && period.is_multiple_of(block)
            && let Ok(step) = u32::try_from(period)
        {
            return (
                Lane {
                    at: from,
                    motion: Motion::Repeats(step),
                },
                None,
            );
        }
        let same = strides.iter().all(|&stride| stride == 0);
        let n_axes = if same { 0 } else { dims.len() };
        let once = same || period.is_some_and(|period| block.is_multiple_of(period));
        let to = if once {
            chain.registers.take_unused()
        } else {
            chain.registers.take()
        };
        chain.text.push_str(" gather");
        chain.steps.push(Step::Gather(Box::new(Gather {
            to,
            from,
            dims: dims[..n_axes].into(),
            strides: strides[..n_axes].into(),
            once,
        })));
        (
            Lane {
                at: to,
                motion: Motion::Stays,
            },
            (!once).then_some(to),
        )
    }

    /// How many elements of a chain of `len` run at a time: about [`BLOCK`], such that rows that
    /// are repeated fit into blocks or blocks into them, if there is such a number.
    fn block_len(&self, len: usize, members: &[NodeId]) -> usize {
        let reads = chain_reads(self.graph, &self.schedule, &self.spots, members);
        let period = reads.filter_map(|(_, view)| repeated_row(view)).max();
        let block = match period {
            Some(period) if period <= BLOCK => BLOCK / period * period,
            Some(period) => {
                let divisors = (BLOCK / 2..=BLOCK).rev();
                divisors
                    .into_iter()
                    .find(|&size| period.is_multiple_of(size))
                    .unwrap_or(BLOCK)
            }
            None => BLOCK,
        };
        len.clamp(1, block)
    }
}

/// The length of the row, if a view is one contiguous row repeated.
fn repeated_row(view: ViewRef<'_>) -> Option<usize> {
    if view.shape.rank() < 2 {
        return None;
    }
    let (dims, strides) = view.merged();
    match (&dims[..], &strides[..]) {
        (&[_, row], &[0, 1]) => Some(row),
        _ => None,
    }
}

/// A chain while it is emitted.
struct Chain<'a, T> {
    /// In order of execution, but for pairs: see [`Spots::written_at`].
    members: &'a [NodeId],
    /// Those that go to memory, sorted.
    stores: Vec<NodeId>,
    /// The position of the last member that reads each member.
    last_read: Vec<u32>,
    steps: Vec<Step<T>>,
    text: String,
    registers: Registers,
    /// Where the value of each member is that has been emitted.
    lanes: Vec<Option<Lane>>,
}

/// Blocks of scratch memory in use by a chain.
struct Registers {
    /// Elements that each holds.
    block: usize,
    count: usize,
    free: Vec<usize>,
}

impl Registers {
    fn new(block: usize) -> Self {
        Self {
            block,
            count: 0,
            free: Vec::new(),
        }
    }

    fn take(&mut self) -> Loc {
        match self.free.pop() {
            Some(register) => self.loc(register),
            None => self.take_unused(),
        }
    }

    /// A register that no step has written: what is filled once must outlast all blocks, and a
    /// step before it would write over it in the second one.
    fn take_unused(&mut self) -> Loc {
        self.count += 1;
        self.loc(self.count - 1)
    }

    fn loc(&self, register: usize) -> Loc {
        Loc::new(Space::SCRATCH, register * self.stride())
    }

    fn release(&mut self, register: Loc) {
        self.free.push(register.offset() / self.stride());
    }

    /// Registers are apart by an odd number of cache lines; see the layout of the arena for why.
    fn stride(&self) -> usize {
        if self.block < 64 {
            self.block
        } else {
            self.block.next_multiple_of(64) + 9 * 8
        }
    }

    fn len(&self) -> usize {
        self.count * self.stride()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::execute::{self, Memory};
    use crate::ops::elementwise as ew;
    use crate::shape::Shape;

    /// A number stretched to an array is read after registers have been freed, in every block.
    #[test]
    fn a_stretched_number_lasts_through_all_blocks() {
        let n = 2 * BLOCK + 1;
        let mut graph = Graph::default();
        let x = graph.input(0, &Shape::new(&[n]));
        let c = graph.input(1, &Shape::new(&[1]));
        let stretched = graph.broadcast(c, &Shape::new(&[n]));
        let (square, shifted) = (graph.map1(&ew::SQUARE, x), graph.offset(1.0, x));
        let product = graph.mul(square, shifted);
        let y = graph.map2(&ew::DIV, product, stretched);
        let plan = compile::<f64>(&graph, &[y], 2).unwrap();
        let mut out = vec![f64::NAN; n];
        let inputs: [&[f64]; 2] = [&vec![3.0; n], &[4.0]];
        execute::run(&plan, &mut Memory::new(), &inputs, &mut [&mut out]).unwrap();
        assert_eq!(out, vec![9.0; n]);
    }

    #[test]
    fn a_chain_of_elementwise_instructions_is_one_kernel_call() {
        let mut graph = Graph::default();
        let x = graph.input(0, &crate::shape::Shape::new(&[1000]));
        let mut y = x;
        for _ in 0..5 {
            y = graph.map1(&ew::TANH, y);
            y = graph.add(y, x);
        }
        let plan = compile::<f64>(&graph, &[y], 1).unwrap();
        assert_eq!(plan.instrs.len(), 1);
        assert_eq!(plan.arena, 0, "the chain writes its output directly");
    }
}
