//! Linear recurrences along the last axis.

use crate::real::Real;
use crate::shape::{Dims, Shape};

/// Terms that are looked at together.
const CHUNK: isize = 32;

/// yₖ = aₖ₋₁·yₖ₋₁ + bₖ for each row, ready to run.
#[derive(Clone, Debug)]
pub(crate) struct RecurrenceJob {
    backward: bool,
    /// The axes before the last, with their strides in a and in b.
    dims: Dims,
    a: Dims<isize>,
    b: Dims<isize>,
    /// The length of a row, and its strides.
    len: usize,
    a_step: isize,
    b_step: isize,
}

impl RecurrenceJob {
    /// Of operands with strides and a result of the shape of b, row-major.
    pub(crate) fn new(backward: bool, shape: &Shape, a: &[isize], b: &[isize]) -> Self {
        let last = shape.rank() - 1;
        Self {
            backward,
            dims: Dims::from_slice(&shape.dims()[..last]),
            a: Dims::from_slice(&a[..last]),
            b: Dims::from_slice(&b[..last]),
            len: shape.dims()[last],
            a_step: a[last],
            b_step: b[last],
        }
    }

    /// Elements of the result.
    pub(crate) fn len(&self) -> usize {
        self.len * self.dims.iter().product::<usize>()
    }

    /// Sizes and strides of what is read of a: one element less along a row than of b.
    pub(crate) fn factors(&self) -> impl Iterator<Item = (usize, isize)> + '_ {
        let others = self.dims.iter().copied().zip(self.a.iter().copied());
        others.chain([(self.len.saturating_sub(1), self.a_step)])
    }

    /// Sizes and strides of what is read of b.
    pub(crate) fn terms(&self) -> impl Iterator<Item = (usize, isize)> + '_ {
        let others = self.dims.iter().copied().zip(self.b.iter().copied());
        others.chain([(self.len, self.b_step)])
    }

    /// Runs into a row-major result.
    ///
    /// # Safety
    /// The operands and the result are valid wherever shapes and strides reach, and the result
    /// overlaps no operand.
    pub(crate) unsafe fn run<T: Real>(&self, a: *const T, b: *const T, to: *mut T) {
        let n_rows: usize = self.dims.iter().product();
        for row in 0..n_rows {
            let (mut rest, mut a_at, mut b_at) = (row, 0, 0);
            for axis in (0..self.dims.len()).rev() {
                let index = (rest % self.dims[axis]) as isize;
                rest /= self.dims[axis];
                a_at += index * self.a[axis];
                b_at += index * self.b[axis];
            }
            // SAFETY: the caller vouches for every address that shapes and strides reach.
            unsafe { self.row(a.offset(a_at), b.offset(b_at), to.add(row * self.len)) };
        }
    }

    /// Runs along one row.
    ///
    /// # Safety
    /// As [`Self::run`].
    unsafe fn row<T: Real>(&self, a: *const T, b: *const T, to: *mut T) {
        let len = self.len as isize;
        if len == 0 {
            return;
        }
        // Step k reads a at k − 1 and b at k, counted from the end that it begins at.
        let from = |k: isize, len: isize| if self.backward { len - 1 - k } else { k };
        // SAFETY: 0 ≤ k < len below, so that a is read inside of its len − 1 elements and b and the
        // result inside of their len.
        unsafe {
            let term = |k: isize| *b.offset(from(k, len) * self.b_step);
            let factor = |k: isize| *a.offset(from(k - 1, len - 1) * self.a_step);
            let mut y = term(0);
            *to.offset(from(0, len)) = y;
            let mut start = 1;
            while start < len {
                let end = (start + CHUNK).min(len);
                // Where no term is added, nothing waits for an addition, and no −0 becomes 0: then
                // it is a product as in a loop.
                if (start..end).all(|k| term(k) == T::zero()) {
                    for k in start..end {
                        y = factor(k) * y;
                        *to.offset(from(k, len)) = y;
                    }
                } else {
                    for k in start..end {
                        let (product, term) = (factor(k) * y, term(k));
                        y = if term == T::zero() {
                            product
                        } else {
                            product + term
                        };
                        *to.offset(from(k, len)) = y;
                    }
                }
                start = end;
            }
        }
    }
}

#[cfg(test)]
#[allow(
    clippy::float_cmp,
    reason = "small binary fractions, which arithmetic keeps exact"
)]
mod tests {
    use super::*;

    #[test]
    fn both_directions_follow_their_definition() {
        let (a, b) = ([2.0, -3.0, 0.5], [1.0, 0.0, 4.0, -1.0]);
        let run = |backward| {
            let mut y = [f64::NAN; 4];
            let job = RecurrenceJob::new(backward, &Shape::new(&[4]), &[1], &[1]);
            // SAFETY: three coefficients, four terms, four results.
            unsafe { job.run(a.as_ptr(), b.as_ptr(), y.as_mut_ptr()) };
            y
        };
        assert_eq!(run(false), [1.0, 2.0, -2.0, -2.0]);
        assert_eq!(run(true), [-20.0, -10.5, 3.5, -1.0]);
    }

    #[test]
    fn a_product_that_is_a_negative_zero_stays_one() {
        let job = RecurrenceJob::new(false, &Shape::new(&[2]), &[1], &[1]);
        let mut y = [f64::NAN; 2];
        // SAFETY: one coefficient, two terms, two results.
        unsafe { job.run([-1.0].as_ptr(), [0.0, 0.0].as_ptr(), y.as_mut_ptr()) };
        assert!(y[1].is_sign_negative(), "{y:?}");
    }
}
