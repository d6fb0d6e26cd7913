//! The loops that do the arithmetic, compiled for each instruction set and chosen once at run time.
//!
//! Everything `unsafe` of the crate lives here and in the executor that calls these loops.
#![allow(unsafe_code, reason = "raw strided loops; each block states what its caller guarantees")]

mod isa;
pub(crate) mod gemm;
pub(crate) mod vmath;

pub(crate) use isa::{Isa, Level};
pub(crate) use gemm::GemmScalar;
pub use vmath::Lane;
