//! The loops that do the arithmetic, compiled for each instruction set and chosen once at run time.
//!
//! Everything `unsafe` of the crate lives here and in the executor that calls these loops.
#![allow(
    unsafe_code,
    reason = "raw strided loops; each block states what its caller guarantees"
)]
#![allow(
    unreachable_pub,
    reason = "bounds of the sealed public trait `Real` have to be public where nobody reaches them"
)]

mod copy;
mod finite;
pub(crate) mod gemm;
mod indexed;
mod isa;
mod map;
mod opaque;
mod recurrence;
mod reduce;
mod rows;
mod tree;
mod vmath;

pub(crate) use copy::{StridedCopy, gather};
pub use finite::all_finite;
pub(crate) use gemm::GemmScalar;
pub use gemm::add_product;
pub(crate) use gemm::{GemmShape, gemm, scratch_len as gemm_scratch};
pub(crate) use indexed::IndexedJob;
pub(crate) use isa::{Isa, Level};
#[cfg(test)]
pub(crate) use map::run_at;
pub(crate) use map::{LaneOp, MapKernel, MapTable, TwinKernel, TwinLane, TwinTable};
pub(crate) use recurrence::RecurrenceJob;
pub(crate) use reduce::ReduceJob;
pub(crate) use rows::{RowJob, RowKind, probability};
pub use tree::dot;
pub use vmath::Lane;
