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

/// C ← C + A·B. A is of `rows × depth` with any strides, given as (from row to row, from column to column);
/// B and C are row-major with `stride` numbers from one row to the next and `columns` of them each.
/// Cost: `rows · depth · columns` multiplications and additions. `scratch` grows to what the kernels copy,
/// at most a MiB, and may be used again.
///
/// ```
/// // Multiples of the row above, added to two rows of three columns.
/// let above = [1.0, 2.0, 3.0];
/// let mut below = [1.0, 1.0, 1.0, 2.0, 5.0, 7.0];
/// let (size, strides) = ((2, 1, 3), (1, 1));
/// ad_core::add_product(&[-1.0, -2.0], strides, size, &above, &mut below, 3, &mut Vec::new());
/// assert_eq!(below, [0.0, -1.0, -2.0, 0.0, 1.0, 1.0]);
/// ```
///
/// # Panics
/// If a slice is too short for its matrix, or the stride is less than the columns.
pub fn add_product<T: Real>(
    a: &[T],
    (a_row, a_col): (usize, usize),
    (rows, depth, columns): (usize, usize, usize),
    b: &[T],
    c: &mut [T],
    stride: usize,
    scratch: &mut Vec<T>,
) {
    if rows == 0 || depth == 0 || columns == 0 {
        return;
    }
    let last = |count: usize, step: usize| (count - 1).checked_mul(step);
    let extent = |rows: usize| last(rows, stride)?.checked_add(columns);
    let fits = |len: usize, rows: usize| extent(rows).is_some_and(|extent| extent <= len);
    let last_of_a = last(rows, a_row)
        .zip(last(depth, a_col))
        .and_then(|(row, col)| row.checked_add(col));
    let a_fits = last_of_a.is_some_and(|last| last < a.len());
    assert!(columns <= stride, "add_product: rows overlap");
    assert!(a_fits, "add_product: A is too short");
    assert!(fits(b.len(), depth), "add_product: B is too short");
    assert!(fits(c.len(), rows), "add_product: C is too short");
    // A step that is taken lies within its slice, of at most isize::MAX bytes; the others do not count.
    let step = |count: usize, step: usize| if count > 1 { step as isize } else { 1 };
    let shape = GemmShape {
        m: rows,
        n: columns,
        k: depth,
        a_row: step(rows, a_row),
        a_col: step(depth, a_col),
        b_row: step(depth, stride),
        b_col: 1,
        c_row: step(rows, stride),
        batch: 1,
        a_batch: 0,
        b_batch: 0,
        c_batch: 0,
        accumulate: true,
    };
    let wanted = scratch_len::<T>(&shape);
    if scratch.len() < wanted {
        scratch.resize(wanted, T::zero());
    }
    // SAFETY: the extents of all three were checked, and C is borrowed for itself alone.
    unsafe { gemm(&shape, a.as_ptr(), b.as_ptr(), c.as_mut_ptr(), scratch) }
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
