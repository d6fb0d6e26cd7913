//! Products over a long inner dimension: the parts of it are products of their own, added up in
//! pairs of pairs. Added to C one after the other, tens of thousands of parts of equal terms would all
//! round to the same side.

use super::plan::Plan;
use super::problem::Problem;
use super::scalar::GemmScalar;
use super::{GemmShape, gemm_at, scratch_of};
use crate::kernels::isa::Level;
use crate::real::Real;

/// The inner dimension of a part: of inner products, which add by runs of runs themselves, and of
/// others, which take panels one after the other.
const PART_OF_DOTS: usize = 1 << 16;
const PART: usize = 1 << 12;

/// The partial results take at most this part of what the operands do.
const SHARE: usize = 8;

/// A product by parts.
pub(super) struct Long {
    /// The whole product, as few of a batch as can be.
    shape: GemmShape,
    part: usize,
    n_parts: usize,
}

impl Long {
    /// How to run a product by parts; `None` if it is short, or if C is so large that there is no room
    /// for partial results.
    #[inline]
    pub(super) fn of<T: GemmScalar>(level: Level, shape: &GemmShape) -> Option<Self> {
        if shape.k.saturating_mul(shape.batch) <= PART || shape.m * shape.n == 0 {
            return None;
        }
        Self::of_long::<T>(level, shape)
    }

    fn of_long<T: GemmScalar>(level: Level, shape: &GemmShape) -> Option<Self> {
        let shape = Problem::merged(shape);
        let plan = Plan::new(&Problem::new(&shape), T::kernels(level));
        let part = match plan {
            Plan::Dots { .. } => PART_OF_DOTS,
            _ => PART,
        };
        let n_parts = shape.k.div_ceil(part);
        let long = Self {
            shape,
            part,
            n_parts,
        };
        let operands = shape.k.saturating_mul(shape.m.saturating_add(shape.n));
        (n_parts > 1 && long.partial_len() <= operands / SHARE).then_some(long)
    }

    /// Numbers of all partial results: one for each binary digit of the number of parts.
    fn partial_len(&self) -> usize {
        let levels = usize::BITS - self.n_parts.leading_zeros();
        let len = self.shape.m.saturating_mul(self.shape.n);
        len.saturating_mul(levels as usize)
    }

    /// Part `at` of the product, into rows that follow each other.
    fn part(&self, at: usize) -> GemmShape {
        let left = self.shape.k - at * self.part;
        GemmShape {
            k: left.min(self.part),
            c_row: self.shape.n as isize,
            batch: 1,
            accumulate: false,
            ..self.shape
        }
    }

    pub(super) fn scratch<T: GemmScalar>(&self, level: Level) -> usize {
        let last = self.n_parts - 1;
        let part = |at| scratch_of::<T>(level, &self.part(at));
        self.partial_len() + part(0).max(part(last))
    }

    /// Runs the product.
    ///
    /// # Panics
    /// If `scratch` is shorter than [`Self::scratch`].
    ///
    /// # Safety
    /// As for [`gemm_at`].
    pub(super) unsafe fn run<T: Real>(
        &self,
        level: Level,
        (a, b): (*const T, *const T),
        c: *mut T,
        scratch: &mut [T],
    ) {
        let s = &self.shape;
        let (partial, scratch) = scratch.split_at_mut(self.partial_len());
        for batch in 0..s.batch as isize {
            // SAFETY: the batch's operands, by the contract.
            unsafe {
                let a = a.offset(batch * s.a_batch);
                let b = b.offset(batch * s.b_batch);
                let c = c.offset(batch * s.c_batch);
                self.run_one(level, (a, b), c, partial, scratch);
            }
        }
    }

    unsafe fn run_one<T: Real>(
        &self,
        level: Level,
        (a, b): (*const T, *const T),
        c: *mut T,
        partial: &mut [T],
        scratch: &mut [T],
    ) {
        let s = &self.shape;
        let len = s.m * s.n;
        // Level l of the partial results holds the sum of 2ˡ parts, where the count has that digit.
        for at in 0..self.n_parts {
            let (below, here) = partial.split_at_mut(at.trailing_ones() as usize * len);
            let first = (at * self.part) as isize;
            // SAFETY: columns of A and rows of B from `first` on, and a partial result.
            unsafe {
                let (a, b) = (a.offset(first * s.a_col), b.offset(first * s.b_row));
                gemm_at(level, &self.part(at), a, b, here.as_mut_ptr(), scratch);
            }
            for older in below.chunks_exact(len) {
                add(&mut here[..len], older);
            }
        }
        let mut levels = (0..usize::BITS as usize).filter(|level| self.n_parts >> level & 1 == 1);
        let lowest = levels.next().expect("there are parts") * len;
        for level in levels {
            let (total, older) = partial.split_at_mut(level * len);
            add(&mut total[lowest..][..len], &older[..len]);
        }
        for (i, row) in partial[lowest..][..len].chunks_exact(s.n).enumerate() {
            // SAFETY: a row of C.
            let to = unsafe { std::slice::from_raw_parts_mut(c.offset(i as isize * s.c_row), s.n) };
            if s.accumulate {
                add(to, row);
            } else {
                to.copy_from_slice(row);
            }
        }
    }
}

fn add<T: Real>(to: &mut [T], from: &[T]) {
    for (y, &x) in to.iter_mut().zip(from) {
        *y += x;
    }
}
