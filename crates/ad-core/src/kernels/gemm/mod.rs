//! Matrix products: C = A·B or C += A·B for strided A and B and row-major C, singly or in a batch.

use crate::real::Real;

/// The shape and the strides (in elements) of one product or a batch of products
/// C_b (+)= A_b · B_b, with A_b of m × k, B_b of k × n and C_b of m × n.
///
/// C is row-major with unit column stride. A batch stride of 0 shares the operand.
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

/// How many numbers of scratch memory [`gemm`] wants for this shape.
pub(crate) fn scratch_len<T: Real>(shape: &GemmShape) -> usize {
    let _ = shape;
    0
}

/// Runs the product or the batch of products.
///
/// # Safety
/// Every address that the shape and the strides reach from `a`, `b` and `c` must be valid for the
/// access; C must overlap neither A nor B; `scratch` must hold [`scratch_len`] numbers.
pub(crate) unsafe fn gemm<T: Real>(
    shape: &GemmShape,
    a: *const T,
    b: *const T,
    c: *mut T,
    scratch: &mut [T],
) {
    let _ = scratch;
    let s = *shape;
    for batch in 0..s.batch as isize {
        for i in 0..s.m as isize {
            for j in 0..s.n as isize {
                // SAFETY: the caller vouches for every address that shape and strides reach.
                unsafe {
                    let out = c.offset(batch * s.c_batch + i * s.c_row + j);
                    let mut sum = if s.accumulate { *out } else { T::zero() };
                    for p in 0..s.k as isize {
                        let x = *a.offset(batch * s.a_batch + i * s.a_row + p * s.a_col);
                        let y = *b.offset(batch * s.b_batch + p * s.b_row + j * s.b_col);
                        sum += x * y;
                    }
                    *out = sum;
                }
            }
        }
    }
}
