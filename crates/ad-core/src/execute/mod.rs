//! Execution: runs a plan's kernel calls over a workspace, inputs and outputs.
//!
//! Nothing is allocated, and nothing is decided that planning could decide.
#![allow(
    unsafe_code,
    reason = "hands raw addresses to kernels; the plan keeps them in bounds"
)]

mod workspace;

use smallvec::SmallVec;

use crate::error::Error;
use crate::kernels::{gather, gemm};
use crate::plan::{Instr, Lane, Loc, Motion, Plan, Space, Step};
use crate::real::Real;

pub(crate) use workspace::{Memory, Pool, zeros};

/// The first address of each space. A plain slice: steps of chains read it three times for each block.
#[derive(Clone, Copy)]
struct Bases<'a, T>(&'a [*mut T]);

impl<T> Bases<'_, T> {
    #[inline(always)]
    fn at(self, loc: Loc) -> *mut T {
        self.0[usize::from(loc.space().0)].wrapping_add(loc.offset())
    }

    #[inline(always)]
    fn lane(self, lane: Lane, start: usize) -> *mut T {
        self.at(lane.at).wrapping_add(match lane.motion {
            Motion::Stays => 0,
            Motion::Moves => start,
            Motion::Repeats(period) => start % period as usize,
        })
    }
}

/// Runs a plan. Inputs that the plan does not read may be empty.
///
/// # Errors
/// [`Error::Allocation`] if the memory that the plan works in cannot be allocated.
///
/// # Panics
/// If an input or an output has another length than the plan was made for: every caller checks
/// shapes first.
pub(crate) fn run<T: Real>(
    plan: &Plan<T>,
    memory: &mut Memory<T>,
    inputs: &[&[T]],
    outputs: &mut [&mut [T]],
) -> Result<(), Error> {
    run_observed(plan, memory, inputs, outputs, |_| ())
}

/// [`run`] with a call after each instruction, which gets its number.
///
/// # Errors
/// As [`run`].
///
/// # Panics
/// As [`run`].
#[inline(always)]
pub(crate) fn run_observed<T: Real>(
    plan: &Plan<T>,
    memory: &mut Memory<T>,
    inputs: &[&[T]],
    outputs: &mut [&mut [T]],
    mut after: impl FnMut(usize),
) -> Result<(), Error> {
    assert!(inputs.len() == plan.inputs.len() && outputs.len() == plan.outputs.len());
    for (input, &len) in inputs.iter().zip(&plan.inputs) {
        assert!(
            len == 0 || input.len() == len,
            "an input of {} elements, not {len}",
            input.len()
        );
    }
    for (output, &len) in outputs.iter().zip(&plan.outputs) {
        assert_eq!(output.len(), len, "length of an output");
    }
    memory.reserve(plan.arena + plan.scratch, "the workspace of a program")?;
    let arena = memory.as_mut_ptr();
    let scratch = arena.wrapping_add(plan.arena);
    let mut bases: SmallVec<[*mut T; 16]> = SmallVec::new();
    bases.extend([arena, scratch, plan.constants.as_ptr().cast_mut()]);
    debug_assert_eq!(bases.len(), usize::from(Space::FIRST_INPUT));
    bases.extend(inputs.iter().map(|input| input.as_ptr().cast_mut()));
    bases.extend(outputs.iter_mut().map(|output| output.as_mut_ptr()));
    let bases = Bases(&bases);
    for (at, instr) in plan.instrs.iter().enumerate() {
        // SAFETY: the plan was verified when it was compiled (`plan/verify.rs`): every address that
        // an instruction reaches is inside its space, whose length was checked above (inputs,
        // outputs) or reserved (arena, scratch); none writes to an input or a constant, and what one
        // writes overlaps what it reads only where the kernel allows it.
        unsafe { step(instr, plan, bases, scratch) };
        after(at);
    }
    Ok(())
}

#[inline(always)]
unsafe fn step<T: Real>(instr: &Instr<T>, plan: &Plan<T>, bases: Bases<'_, T>, scratch: *mut T) {
    // SAFETY: see `run`.
    unsafe {
        match instr {
            Instr::Map {
                len, block, steps, ..
            } => map(*len, *block, steps, bases),
            Instr::MatMul { shape, a, b, c } => {
                let scratch = std::slice::from_raw_parts_mut(scratch, plan.scratch);
                gemm(shape, bases.at(*a), bases.at(*b), bases.at(*c), scratch);
            }
            Instr::Reduce { job, from, to } => job.run(bases.at(*from), bases.at(*to), scratch),
            Instr::Indexed { job, from, to } => {
                job.run(bases.at(*from).cast_const(), bases.at(*to))
            }
            Instr::Recurrence { job, a, b, to } => {
                job.run(
                    bases.at(*a).cast_const(),
                    bases.at(*b).cast_const(),
                    bases.at(*to),
                );
            }
            Instr::Rows { job, from, to } => {
                let from = from.map(|loc| bases.at(loc).cast_const());
                job.run(from, to.map(|loc| bases.at(loc)), scratch);
            }
            Instr::Copy { job, from, to } => job.run(bases.at(*from).cast_const(), bases.at(*to)),
            Instr::Zero { job, to } => job.fill(bases.at(*to), T::zero()),
        }
    }
}

unsafe fn map<T: Real>(len: usize, block: usize, steps: &[Step<T>], bases: Bases<'_, T>) {
    let mut start = 0;
    while start < len {
        let n = block.min(len - start);
        for step in steps {
            // SAFETY: see `run`; `start + n` stays within `len`.
            unsafe {
                match step {
                    Step::Run {
                        kernel,
                        c,
                        dst,
                        a,
                        b,
                        ..
                    } => {
                        let (a, b) = (bases.lane(*a, start), bases.lane(*b, start));
                        kernel(n, *c, bases.lane(*dst, start), a, b);
                    }
                    Step::Twin {
                        kernel,
                        first,
                        second,
                        a,
                    } => {
                        let (first, second) =
                            (bases.lane(*first, start), bases.lane(*second, start));
                        kernel(n, first, second, bases.lane(*a, start));
                    }
                    Step::Gather(job) if start == 0 || !job.once => {
                        let (from, to) = (bases.at(job.from), bases.at(job.to));
                        gather(start, n, &job.dims, &job.strides, from, to);
                    }
                    Step::Gather(_) => (),
                }
            }
        }
        start += n;
    }
}
