//! Planning: a graph becomes a flat list of kernel calls with resolved addresses.
//!
//! [`schedule`] fuses and orders, [`memory`] shares one arena among buffers by liveness, and
//! [`emit`] resolves addresses and picks the kernels for a scalar type and this processor.
//! [`verify`] then checks what came out, so that the executor trusts a check and not the planner.
//! Memory and arithmetic of a plan are known before it runs.

mod buffers;
mod emit;
mod explain;
mod memory;
mod schedule;
mod verify;
#[cfg(test)]
mod verify_tests;
mod view;

use crate::kernels::{
    GemmShape, IndexedJob, MapKernel, RecurrenceJob, ReduceJob, RowJob, StridedCopy, TwinKernel,
};
pub(crate) use emit::compile;
pub(crate) use view::View;

/// Elements that pass through a fused chain at a time: a few registers' worth stay in the first
/// level of cache.
pub(crate) const BLOCK: usize = 256;

/// A piece of memory that instructions address: by number, so that a plan can be run on any arena,
/// inputs and outputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Space(pub(crate) u16);

impl Space {
    /// Buffers, shared by liveness.
    pub(crate) const ARENA: Self = Self(0);
    /// Blocks of fused chains, and scratch memory of kernels.
    pub(crate) const SCRATCH: Self = Self(1);
    /// Constants of the plan.
    pub(crate) const CONSTANTS: Self = Self(2);
    /// The first input; the others follow, then the outputs.
    pub(crate) const FIRST_INPUT: u16 = 3;
}

/// An address: a space and an offset in elements, in one word, because the steps of a scalar
/// program are many and read once per run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Loc(u64);

impl Loc {
    const OFFSET_BITS: u32 = 48;

    /// The most elements of a space. Plans of larger ones are refused before addresses are made.
    pub(crate) const MAX_LEN: usize = (1 << Self::OFFSET_BITS) - 1;

    pub(crate) fn new(space: Space, offset: usize) -> Self {
        assert!(offset <= Self::MAX_LEN, "more memory than there is");
        Self(u64::from(space.0) << Self::OFFSET_BITS | offset as u64)
    }

    #[inline(always)]
    pub(crate) fn space(self) -> Space {
        Space((self.0 >> Self::OFFSET_BITS) as u16)
    }

    #[inline(always)]
    pub(crate) fn offset(self) -> usize {
        (self.0 & ((1 << Self::OFFSET_BITS) - 1)) as usize
    }
}

impl std::fmt::Debug for Loc {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.space().0, self.offset())
    }
}

/// An operand of a fused chain's step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lane {
    pub(crate) at: Loc,
    pub(crate) motion: Motion,
}

/// How an operand moves from block to block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Motion {
    /// It stays: a register.
    Stays,
    /// Along with the block.
    Moves,
    /// Along with the block, and back to its begin after this many elements: a repeated row.
    Repeats(u32),
}

/// A step of a fused chain, run for one block at a time.
#[derive(Clone, Debug)]
pub(crate) enum Step<T> {
    /// dst = f(c; a, b) on a block.
    Run {
        kernel: MapKernel<T>,
        c: T,
        dst: Lane,
        a: Lane,
        b: Lane,
    },
    /// (first, second) = (f(a), g(a)) on a block.
    Twin {
        kernel: TwinKernel<T>,
        first: Lane,
        second: Lane,
        a: Lane,
    },
    /// Fills a block from strided memory.
    Gather(Box<Gather>),
}

/// A strided operand of a fused chain, brought into a register.
#[derive(Clone, Debug)]
pub(crate) struct Gather {
    pub(crate) to: Loc,
    pub(crate) from: Loc,
    /// None for one number, repeated.
    pub(crate) dims: Box<[usize]>,
    pub(crate) strides: Box<[isize]>,
    /// Whether every block is the same, so that it is brought before the first one only.
    pub(crate) once: bool,
}

/// A kernel call with resolved addresses. What takes much room is boxed: long programs have millions.
#[derive(Clone, Debug)]
pub(crate) enum Instr<T> {
    /// A fused elementwise chain over `len` elements, `block` at a time.
    Map {
        len: usize,
        block: usize,
        steps: Box<[Step<T>]>,
        /// The steps by name.
        text: Box<str>,
    },
    MatMul {
        shape: Box<GemmShape>,
        a: Loc,
        b: Loc,
        c: Loc,
    },
    Reduce {
        job: Box<ReduceJob<T>>,
        from: Loc,
        to: Loc,
    },
    Indexed {
        job: Box<IndexedJob>,
        from: Loc,
        to: Loc,
    },
    Recurrence {
        job: Box<RecurrenceJob>,
        a: Loc,
        b: Loc,
        to: Loc,
    },
    Rows {
        job: Box<RowJob<T>>,
        from: [Loc; 2],
        /// Of one result twice the same.
        to: [Loc; 2],
    },
    Copy {
        job: Box<StridedCopy>,
        from: Loc,
        to: Loc,
    },
    Zero {
        job: Box<StridedCopy>,
        to: Loc,
    },
}

/// A program ready to run, for one scalar type on this processor.
#[derive(Clone, Debug)]
pub(crate) struct Plan<T> {
    pub(crate) instrs: Vec<Instr<T>>,
    pub(crate) constants: Vec<T>,
    /// Lengths of the inputs, by position; 0 where the program reads none.
    pub(crate) inputs: Vec<usize>,
    pub(crate) outputs: Vec<usize>,
    /// Elements of the arena and of the scratch memory.
    pub(crate) arena: usize,
    pub(crate) scratch: usize,
}

impl<T> Instr<T> {
    /// Multiply-adds in matrix products.
    pub(crate) fn product_flops(&self) -> u128 {
        match self {
            Self::MatMul { shape: s, .. } => (s.batch * s.m * s.n) as u128 * s.k as u128,
            _ => 0,
        }
    }

    /// Numbers read and written, each operand once.
    pub(crate) fn traffic(&self) -> usize {
        match self {
            Self::Map { len, steps, .. } => {
                let memory = |lane: &Lane| usize::from(lane.at.space() != Space::SCRATCH);
                let of = |step: &Step<T>| match step {
                    Step::Run { dst, a, b, .. } if a.at == b.at => memory(dst) + memory(a),
                    Step::Run { dst, a, b, .. } => memory(dst) + memory(a) + memory(b),
                    Step::Twin {
                        first, second, a, ..
                    } => memory(first) + memory(second) + memory(a),
                    Step::Gather(gather) => usize::from(!gather.once),
                };
                len * steps.iter().map(of).sum::<usize>()
            }
            Self::MatMul { shape: s, .. } => {
                let shared = |stride: isize| if stride == 0 { 1 } else { s.batch };
                let c = s.batch * s.m * s.n * if s.accumulate { 2 } else { 1 };
                shared(s.a_batch) * s.m * s.k + shared(s.b_batch) * s.k * s.n + c
            }
            Self::Reduce { job, .. } => job.traffic(),
            Self::Indexed { job, .. } => 2 * job.len(),
            Self::Recurrence { job, .. } => 3 * job.len(),
            Self::Rows { job, .. } => job.traffic(),
            Self::Copy { job, .. } => 2 * job.len(),
            Self::Zero { job, .. } => job.len(),
        }
    }
}

impl<T> Plan<T> {
    /// The bytes of memory that a run needs besides inputs and outputs.
    pub(crate) fn workspace_bytes(&self) -> usize {
        (self.arena + self.scratch) * size_of::<T>()
    }

    /// Multiply-adds in matrix products.
    pub(crate) fn product_flops(&self) -> u128 {
        self.instrs.iter().map(Instr::product_flops).sum()
    }

    /// The number of kernel calls of a run.
    pub(crate) fn n_instructions(&self) -> usize {
        self.instrs.len()
    }
}
