//! Matrix products: C = A·B or C += A·B for strided A and B and row-major C, singly or in a batch.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod dot;
mod driver;
mod long;
mod pack;
mod plan;
mod problem;
mod scalar;
mod single;
mod split;
#[cfg(test)]
mod tests;
mod tile;
mod vector;

pub(crate) use scalar::GemmScalar;

use super::isa::Level;
use crate::real::Real;
use driver::Run;
use long::Long;
use plan::Plan;
use problem::Problem;

/// The shape and the strides (in elements) of one product or a batch of products
/// C_b (+)= A_b · B_b, with A_b of m × k, B_b of k × n and C_b of m × n.
///
/// C is row-major with unit column stride. A batch stride of 0 shares the operand; C may be shared
/// only where `accumulate` makes it the sum of the products.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GemmShape {
    pub m: usize,
    pub n: usize,
    pub k: usize,
    pub a_row: isize,
    pub a_col: isize,
    pub b_row: isize,
    pub b_col: isize,
    pub c_row: isize,
    pub batch: usize,
    pub a_batch: isize,
    pub b_batch: isize,
    pub c_batch: isize,
    /// Whether the product is added to what C holds, or replaces it.
    pub accumulate: bool,
}

/// Copies start at a multiple of this many bytes: a cache line.
const ALIGNMENT: usize = 64;

/// How many numbers of scratch memory [`gemm`] wants for this shape.
pub(crate) fn scratch_len<T: Real>(shape: &GemmShape) -> usize {
    scratch_len_at::<T>(Level::detect(), shape)
}

/// [`scratch_len`] for a given instruction set.
fn scratch_len_at<T: Real>(level: Level, shape: &GemmShape) -> usize {
    match Long::of::<T>(level, shape) {
        Some(long) => long.scratch::<T>(level),
        None => scratch_of::<T>(level, shape),
    }
}

/// Runs the product or the batch of products.
///
/// The result depends on the shape, the strides, the data and the instruction set alone, not on
/// where the operands or the scratch memory lie.
///
/// # Panics
/// Panics if `scratch` is shorter than [`scratch_len`].
///
/// # Safety
/// Every address that the shape and the strides reach from `a`, `b` and `c` must be valid for the
/// access; C must overlap neither A nor B.
pub(crate) unsafe fn gemm<T: Real>(
    shape: &GemmShape,
    a: *const T,
    b: *const T,
    c: *mut T,
    scratch: &mut [T],
) {
    // SAFETY: the same contract.
    if unsafe { single::run(shape, a, b, c) } {
        return;
    }
    // SAFETY: the same contract, at an instruction set that was found.
    unsafe { gemm_on(Level::detect(), shape, a, b, c, scratch) }
}

/// [`gemm`] on a given instruction set, whatever the operands hold.
///
/// # Safety
/// As for [`gemm`], and the instruction set must be there.
unsafe fn gemm_on<T: Real>(
    level: Level,
    shape: &GemmShape,
    a: *const T,
    b: *const T,
    c: *mut T,
    scratch: &mut [T],
) {
    // SAFETY: the same contract.
    unsafe {
        match Long::of::<T>(level, shape) {
            Some(long) => long.run(level, (a, b), c, scratch),
            None => gemm_at(level, shape, a, b, c, scratch),
        }
    }
}

/// The numbers of scratch memory for [`gemm_at`].
fn scratch_of<T: GemmScalar>(level: Level, shape: &GemmShape) -> usize {
    let (problem, kernels) = (Problem::new(shape), T::kernels(level));
    match Plan::new(&problem, kernels).scratch(&problem, kernels) {
        (0, 0) => 0,
        (a, b) => whole_lines::<T>(a) + b + line::<T>(),
    }
}

/// [`gemm_on`] with the parts of the inner dimension added to C one after the other.
///
/// # Safety
/// As for [`gemm_on`].
unsafe fn gemm_at<T: GemmScalar>(
    level: Level,
    shape: &GemmShape,
    a: *const T,
    b: *const T,
    c: *mut T,
    scratch: &mut [T],
) {
    let (problem, kernels) = (Problem::new(shape), T::kernels(level));
    let plan = Plan::new(&problem, kernels);
    let (a_len, b_len) = plan.scratch(&problem, kernels);
    let mut a_copy = scratch.as_mut_ptr();
    if a_len + b_len > 0 {
        let padding = a_copy.align_offset(ALIGNMENT).min(line::<T>());
        let wanted = padding + whole_lines::<T>(a_len) + b_len;
        assert!(
            scratch.len() >= wanted,
            "scratch memory is too short for the product"
        );
        a_copy = a_copy.wrapping_add(padding);
    }
    let (a, b) = if problem.swapped { (b, a) } else { (a, b) };
    let b_copy = a_copy.wrapping_add(whole_lines::<T>(a_len));
    let run = Run {
        kernels,
        problem: &problem,
        a,
        b,
        c,
        a_copy,
        b_copy,
    };
    // SAFETY: the operands by the contract; the copies have the room that the plan asked for.
    unsafe { run.run(&plan) }
}

/// How many numbers fill a cache line.
const fn line<T>() -> usize {
    ALIGNMENT / size_of::<T>()
}

/// `len` rounded up to whole cache lines.
const fn whole_lines<T>(len: usize) -> usize {
    len.next_multiple_of(line::<T>())
}
