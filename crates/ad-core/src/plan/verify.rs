//! What a plan must keep to so that running it touches no memory but its own, checked in linear time
//! when it is compiled. The executor and its kernels, which take raw addresses, trust this check and
//! not the code that made the plan.
//!
//! [`addresses`] reads the finished plan alone: everything that an instruction reaches lies inside its
//! space, nothing is written to inputs and constants, and what an instruction writes overlaps what it
//! reads only element by element, in elementwise chains. [`Lives`] is told of each buffer as kernel
//! calls are made of it: no two buffers that are alive together overlap.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;

use super::{Gather, Instr, Lane, Loc, Motion, Plan, Space, Step};
use crate::graph::NodeId;
use crate::kernels::GemmShape;
use crate::real::Real;

/// Elements of a space, from one address up to another: as words, which have the space in front, so
/// that regions of several spaces are in order too. A scalar program has as many as it has steps.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Region {
    start: u64,
    end: u64,
}

impl Region {
    #[inline(always)]
    fn overlaps(self, other: Self) -> bool {
        self.start < other.end && other.start < self.end
    }

    #[inline(always)]
    fn space(self) -> Space {
        Loc(self.start).space()
    }
}

impl fmt::Debug for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}..{}", Loc(self.start), Loc(self.end).offset())
    }
}

/// Checks every instruction of a plan.
pub(super) fn addresses<T: Real>(plan: &Plan<T>) -> Result<(), String> {
    let spaces = Spaces::of(plan)?;
    for (at, instr) in plan.instrs.iter().enumerate() {
        let checked = match instr {
            Instr::Map {
                len, block, steps, ..
            } => spaces.chain(*len, *block, steps),
            Instr::MatMul { shape, a, b, c } => spaces.product(shape, [*a, *b, *c]),
            Instr::Reduce { job, from, to } => {
                let results = [(job.n_results(), 1)].into_iter();
                let scratch = spaces.region(Loc::new(Space::SCRATCH, 0), job.scratch());
                scratch.and_then(|_| spaces.apart((*from, job.source()), (*to, results)))
            }
            Instr::Copy { job, from, to } => {
                spaces.apart((*from, job.source()), (*to, job.target()))
            }
            Instr::Indexed { job, from, to } => {
                let results = [(job.n_results(), 1)].into_iter();
                let whole = spaces.apart((*from, job.source()), (*to, results));
                whole.and_then(|()| spaces.apart((*from, job.source()), (*to, job.target())))
            }
            Instr::Recurrence { job, a, b, to } => {
                let results = || [(job.len(), 1)].into_iter();
                let factors = spaces.apart((*a, job.factors()), (*to, results()));
                factors.and_then(|()| spaces.apart((*b, job.terms()), (*to, results())))
            }
            Instr::Rows { job, from, to } => {
                let scratch = spaces.region(Loc::new(Space::SCRATCH, 0), job.scratch());
                let results = || [(job.n_results(), 1)].into_iter();
                scratch?;
                [(0, 0), (1, 0), (0, 1), (1, 1)]
                    .into_iter()
                    .try_for_each(|(operand, result)| {
                        let operand = (from[operand], job.operand(operand));
                        spaces.apart(operand, (to[result], results()))
                    })
                    .and_then(|()| match to {
                        [one, same] if one == same => Ok(()),
                        [first, second] => spaces.apart((*first, results()), (*second, results())),
                    })
            }
            Instr::Zero { job, to } => spaces.written(*to, job.target()).map(|_| ()),
        };
        checked.map_err(|message| format!("instruction {at}: {message}"))?;
    }
    Ok(())
}

/// The lengths of all spaces of a plan.
struct Spaces {
    lens: Vec<usize>,
    /// The first space that is an output.
    outputs: usize,
}

impl Spaces {
    fn of<T>(plan: &Plan<T>) -> Result<Self, String> {
        let mut lens = vec![plan.arena, plan.scratch, plan.constants.len()];
        if lens.len() != usize::from(Space::FIRST_INPUT) {
            return Err("the spaces before the inputs are three".into());
        }
        lens.extend_from_slice(&plan.inputs);
        let outputs = lens.len();
        lens.extend_from_slice(&plan.outputs);
        if let Some(len) = lens.iter().find(|&&len| len > Loc::MAX_LEN) {
            return Err(format!("a space of {len} elements"));
        }
        Ok(Self { lens, outputs })
    }

    /// `len` elements from an address on.
    #[inline(always)]
    fn region(&self, at: Loc, len: usize) -> Result<Region, String> {
        let start = at.0;
        if len == 0 {
            // Nothing is reached, wherever it begins.
            return Ok(Region { start, end: start });
        }
        let end = at.offset().checked_add(len);
        match (end, self.lens.get(usize::from(at.space().0))) {
            // No space is as long as an address can say, so that the end has the same space in front.
            (Some(end), Some(&size)) if end <= size => {
                let end = start + len as u64;
                Ok(Region { start, end })
            }
            (_, size) => Err(outside(at, len, size)),
        }
    }

    /// What sizes and strides reach from an address on.
    fn read(&self, at: Loc, axes: impl Iterator<Item = (usize, isize)>) -> Result<Region, String> {
        let (mut low, mut high) = (0_i128, 0_i128);
        for (size, stride) in axes {
            let Some(last) = size.checked_sub(1) else {
                return self.region(at, 0);
            };
            let reach = i128::from(last as u64) * stride as i128;
            *(if reach < 0 { &mut low } else { &mut high }) += reach;
        }
        let start = at.offset() as i128 + low;
        let (start, len) = (usize::try_from(start), usize::try_from(high - low + 1));
        match (start, len) {
            (Ok(start), Ok(len)) if start <= Loc::MAX_LEN => {
                self.region(Loc::new(at.space(), start), len)
            }
            _ => Err(format!("elements {low} to {high} from {at:?} on")),
        }
    }

    /// The same for what is written.
    fn written(
        &self,
        at: Loc,
        axes: impl Iterator<Item = (usize, isize)>,
    ) -> Result<Region, String> {
        self.writable(self.read(at, axes)?)
    }

    #[inline(always)]
    fn writable(&self, region: Region) -> Result<Region, String> {
        let space = usize::from(region.space().0);
        let arena = space == usize::from(Space::ARENA.0);
        if arena || space == usize::from(Space::SCRATCH.0) || space >= self.outputs {
            return Ok(region);
        }
        Err(format!("writes to {region:?}"))
    }

    /// What is read and what is written, which have to be apart.
    fn apart(
        &self,
        (from, source): (Loc, impl Iterator<Item = (usize, isize)>),
        (to, target): (Loc, impl Iterator<Item = (usize, isize)>),
    ) -> Result<(), String> {
        let (read, written) = (self.read(from, source)?, self.written(to, target)?);
        if read.overlaps(written) {
            return Err(format!("reads {read:?} and writes {written:?}"));
        }
        Ok(())
    }

    fn product(&self, s: &GemmShape, [a, b, c]: [Loc; 3]) -> Result<(), String> {
        let c_axes = || [(s.batch, s.c_batch), (s.m, s.c_row), (s.n, 1)].into_iter();
        let a_axes = [(s.batch, s.a_batch), (s.m, s.a_row), (s.k, s.a_col)];
        let b_axes = [(s.batch, s.b_batch), (s.k, s.b_row), (s.n, s.b_col)];
        self.apart((a, a_axes.into_iter()), (c, c_axes()))?;
        self.apart((b, b_axes.into_iter()), (c, c_axes()))
    }

    /// What a chain of `len` elements stores, in order: all of it apart from each other.
    fn stored<T>(&self, len: usize, steps: &[Step<T>]) -> Result<Vec<Region>, String> {
        let mut stored: Vec<Region> = Vec::new();
        for step in steps {
            let (first, second) = match step {
                Step::Run { dst, .. } => (dst, None),
                Step::Twin { first, second, .. } => (first, Some(second)),
                Step::Gather(_) => continue,
            };
            for dst in [Some(first), second].into_iter().flatten() {
                if matches!(dst.motion, Motion::Moves) {
                    stored.push(self.writable(self.region(dst.at, len)?)?);
                }
            }
        }
        // Mostly they are in order as they come.
        let follows = |pair: &[Region]| pair[0].end <= pair[1].start;
        if stored.windows(2).all(follows) {
            return Ok(stored);
        }
        stored.sort_unstable();
        match stored.windows(2).find(|pair| pair[0].overlaps(pair[1])) {
            Some(pair) => Err(format!("stores {pair:?}")),
            None => Ok(stored),
        }
    }

    /// A chain of `len` elements, `block` at a time: what it stores lies apart from each other, and
    /// what it reads is apart from that too or moves along with it.
    fn chain<T>(&self, len: usize, block: usize, steps: &[Step<T>]) -> Result<(), String> {
        if block == 0 {
            return Err("blocks of nothing".into());
        }
        let stored = self.stored(len, steps)?;
        let chain = Chain {
            spaces: self,
            len,
            block,
            stored: &stored,
            first: stored.first().map_or(u64::MAX, |first| first.start),
            last: stored.last().map_or(u64::MAX, |last| last.end),
            near: Cell::new(0),
        };
        for step in steps {
            match step {
                Step::Run { dst, a, b, .. } => {
                    chain.operand(*a)?;
                    if b.at != a.at || b.motion != a.motion {
                        chain.operand(*b)?;
                    }
                    chain.result(*dst)?;
                }
                Step::Twin {
                    first, second, a, ..
                } => {
                    chain.operand(*a)?;
                    chain.result(*first)?;
                    chain.result(*second)?;
                }
                Step::Gather(gather) => chain.gather(gather)?,
            }
        }
        Ok(())
    }
}

/// What is wrong with elements that are not inside of their space.
#[cold]
fn outside(at: Loc, len: usize, size: Option<&usize>) -> String {
    format!("{len} elements at {at:?} of a space of {size:?}")
}

/// A chain while its steps are checked.
struct Chain<'a> {
    spaces: &'a Spaces,
    len: usize,
    block: usize,
    /// What it writes to memory, in order, and where that begins and ends.
    stored: &'a [Region],
    first: u64,
    last: u64,
    /// The store that was read last: its neighbours are read next.
    near: Cell<usize>,
}

impl Chain<'_> {
    /// A block of scratch memory.
    #[inline(always)]
    fn register(&self, at: Loc) -> Result<(), String> {
        if at.space() != Space::SCRATCH {
            return Err(format!("a register at {at:?}"));
        }
        self.spaces.region(at, self.block.min(self.len)).map(|_| ())
    }

    /// A result: what goes to memory was looked at before.
    #[inline(always)]
    fn result(&self, lane: Lane) -> Result<(), String> {
        match lane.motion {
            Motion::Moves => Ok(()),
            Motion::Stays => self.register(lane.at),
            Motion::Repeats(_) => Err("a result that repeats".into()),
        }
    }

    #[inline(always)]
    fn operand(&self, lane: Lane) -> Result<(), String> {
        match lane.motion {
            Motion::Stays => self.register(lane.at),
            Motion::Moves => {
                let region = self.spaces.region(lane.at, self.len)?;
                self.apart(region, true)
            }
            Motion::Repeats(period) => self.row(lane.at, period as usize),
        }
    }

    /// A row that is repeated.
    fn row(&self, at: Loc, period: usize) -> Result<(), String> {
        if period == 0 || !period.is_multiple_of(self.block) {
            return Err(format!("a row of {period} in blocks of {}", self.block));
        }
        self.apart(self.spaces.region(at, period)?, false)
    }

    fn gather(&self, gather: &Gather) -> Result<(), String> {
        let mut sizes = gather.dims.iter();
        let count = sizes.try_fold(1_usize, |count, &size| count.checked_mul(size));
        // An array without axes is one number, repeated.
        if !gather.dims.is_empty() && count.is_none_or(|count| count < self.len) {
            return Err(format!("{} elements of {:?}", self.len, gather.dims));
        }
        self.register(gather.to)?;
        let axes = gather.dims.iter().copied();
        let axes = axes.zip(gather.strides.iter().copied());
        self.apart(self.spaces.read(gather.from, axes)?, false)
    }

    /// Refuses what overlaps a store, unless it `moves` along with the very same elements.
    #[inline(always)]
    fn apart(&self, read: Region, moves: bool) -> Result<(), String> {
        // Most operands lie before or behind all that is stored, or in another space.
        if read.end <= self.first || read.start >= self.last {
            return Ok(());
        }
        // Others are mostly what the step before has stored, or the one before that when derivatives go
        // back. Stores lie apart from each other, so that what is one of them meets no other.
        let near = self.near.get();
        for at in [near + 1, near, near.wrapping_sub(1)] {
            if moves && self.stored.get(at) == Some(&read) {
                self.near.set(at);
                return Ok(());
            }
        }
        self.apart_from_each(read, moves)
    }

    fn apart_from_each(&self, read: Region, moves: bool) -> Result<(), String> {
        let before = self
            .stored
            .partition_point(|stored| stored.end <= read.start);
        self.near.set(before);
        match self.stored.get(before) {
            Some(&stored) if stored.overlaps(read) && !(moves && stored == read) => {
                Err(format!("reads {read:?} and stores {stored:?}"))
            }
            _ => Ok(()),
        }
    }
}

/// From the first to the last kernel call that reads or writes a buffer.
#[derive(Clone, Copy, Debug)]
struct Life {
    first: u32,
    last: u32,
    /// Whether another buffer has its memory by now.
    over: bool,
}

/// When the buffers of the arena are in use, taken down as kernel calls are made.
#[derive(Debug)]
pub(super) struct Lives {
    lives: Vec<Option<Life>>,
    /// The buffers in the order of their first use.
    order: Vec<NodeId>,
    /// The first buffer that was used when its memory was another one's.
    late: Option<NodeId>,
}

impl Lives {
    pub(super) fn new(n_nodes: usize) -> Self {
        Self {
            lives: vec![None; n_nodes],
            order: Vec::new(),
            late: None,
        }
    }

    /// A kernel call reads or writes a buffer.
    #[inline]
    pub(super) fn touch(&mut self, buffer: NodeId, at: usize) {
        // The scheduler refuses more calls than that.
        let at = at as u32;
        match &mut self.lives[buffer.index()] {
            Some(life) => {
                if life.over {
                    self.late.get_or_insert(buffer);
                }
                life.last = at;
            }
            None => {
                let (first, last, over) = (at, at, false);
                self.lives[buffer.index()] = Some(Life { first, last, over });
                self.order.push(buffer);
            }
        }
    }

    /// From here on a buffer's memory is that of another one, which a chain writes over it.
    pub(super) fn end(&mut self, buffer: NodeId) {
        if let Some(life) = &mut self.lives[buffer.index()] {
            life.over = true;
        }
    }

    /// Whether buffers that are in use together lie apart. `place` is where each begins and its
    /// length, `taken_from` the buffer whose memory it takes over in the call that last reads that.
    pub(super) fn check(
        &self,
        place: impl Fn(NodeId) -> Option<(usize, usize)>,
        taken_from: impl Fn(NodeId) -> Option<NodeId>,
    ) -> Result<(), String> {
        if let Some(buffer) = self.late {
            return Err(format!("buffer {} was written over", buffer.index()));
        }
        let mut places: Vec<(usize, usize, u32)> = Vec::with_capacity(self.order.len());
        for (at, &buffer) in self.order.iter().enumerate() {
            let (start, len) =
                place(buffer).ok_or_else(|| "a buffer without memory".to_string())?;
            if len > 0 {
                places.push((start, start + len, at as u32));
            }
        }
        places.sort_unstable();
        // Groups of buffers that overlap in memory, each of which shares none with the others.
        let mut rest = &places[..];
        while let Some(&(_, mut end, _)) = rest.first() {
            let mut len = 1;
            while let Some(next) = rest.get(len)
                && next.0 < end
            {
                end = end.max(next.1);
                len += 1;
            }
            let (group, behind) = rest.split_at(len);
            if len > 1 {
                self.check_group(group, &taken_from)?;
            }
            rest = behind;
        }
        Ok(())
    }

    /// Whether buffers, (start, end, place in the order) each, that are in use together lie apart.
    fn check_group(
        &self,
        group: &[(usize, usize, u32)],
        taken_from: impl Fn(NodeId) -> Option<NodeId>,
    ) -> Result<(), String> {
        let buffer_of = |at: u32| self.order[at as usize];
        let life_of = |at: u32| self.lives[buffer_of(at).index()].expect("it is in the list");
        let mut group = group.to_vec();
        group.sort_unstable_by_key(|&(_, _, at)| at);
        // The same by the ends of their lives, and what is alive by offset.
        let mut ending = group.clone();
        ending.sort_unstable_by_key(|&(_, _, at)| life_of(at).last);
        let mut ending = ending.into_iter().peekable();
        let mut alive: BTreeMap<usize, (usize, NodeId)> = BTreeMap::new();
        for &(start, end, at) in &group {
            let (buffer, life) = (buffer_of(at), life_of(at));
            while let Some((start, _, ended)) =
                ending.next_if(|&(_, _, ended)| life_of(ended).last < life.first)
            {
                if alive
                    .get(&start)
                    .is_some_and(|alive| alive.1 == buffer_of(ended))
                {
                    alive.remove(&start);
                }
            }
            if let Some(old) = taken_from(buffer)
                && self.lives[old.index()].is_some_and(|old| old.over && old.last == life.first)
                && alive.get(&start).is_some_and(|alive| alive.1 == old)
            {
                alive.remove(&start);
            }
            let before = alive.range(..end).next_back();
            if let Some((&from, &(other_end, other))) = before
                && other_end > start
            {
                let [a, b] = [buffer, other].map(NodeId::index);
                return Err(format!(
                    "buffer {a} at {start}..{end} and buffer {b} at {from}..{other_end}"
                ));
            }
            alive.insert(start, (end, buffer));
        }
        Ok(())
    }
}
