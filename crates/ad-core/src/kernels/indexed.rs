//! Elements along one axis by a constant list of positions.

use std::sync::Arc;

use crate::ops::Indexed;
use crate::real::Real;
use crate::shape::{Dims, Shape};

/// Takes or adds up elements along one axis, ready to run.
#[derive(Clone, Debug)]
pub(crate) struct IndexedJob {
    kind: Indexed,
    list: Arc<[u32]>,
    /// The other axes: sizes, strides of the operand and of the result.
    dims: Dims,
    from: Dims<isize>,
    to: Dims<isize>,
    /// The strides of the axis itself.
    from_step: isize,
    to_step: isize,
    /// Numbers that follow each other on both sides and go together.
    run: usize,
    /// Numbers of the result.
    len: usize,
}

impl IndexedJob {
    /// Of an operand with strides, into a row-major result.
    pub(crate) fn new(
        kind: Indexed,
        list: Arc<[u32]>,
        axis: usize,
        operand: (&Shape, &[isize]),
        result: &Shape,
    ) -> Self {
        let ((shape, from), to) = (operand, result.row_major());
        let mut job = Self {
            kind,
            list,
            dims: Dims::new(),
            from: Dims::new(),
            to: Dims::new(),
            from_step: from[axis],
            to_step: to[axis],
            run: 1,
            len: result.len(),
        };
        let last = shape.rank() - 1;
        for (other, &size) in shape.dims().iter().enumerate() {
            if other == axis || size == 1 {
                continue;
            }
            if other == last && from[other] == 1 {
                job.run = size;
            } else {
                job.dims.push(size);
                job.from.push(from[other]);
                job.to.push(to[other]);
            }
        }
        job
    }

    /// Elements that are moved.
    pub(crate) fn len(&self) -> usize {
        self.list.len() * self.run * self.dims.iter().product::<usize>()
    }

    /// The number of results.
    pub(crate) fn n_results(&self) -> usize {
        self.len
    }

    /// Sizes and strides of what is read.
    pub(crate) fn source(&self) -> impl Iterator<Item = (usize, isize)> + '_ {
        let size = match self.kind {
            Indexed::Gather => self.n_positions(),
            Indexed::ScatterAdd => self.list.len(),
        };
        let others = self.dims.iter().copied().zip(self.from.iter().copied());
        others.chain([(size, self.from_step), (self.run, 1)])
    }

    /// Sizes and strides of what is written, besides zeros in all of the result.
    pub(crate) fn target(&self) -> impl Iterator<Item = (usize, isize)> + '_ {
        let size = match self.kind {
            Indexed::Gather => self.list.len(),
            Indexed::ScatterAdd => self.n_positions(),
        };
        let others = self.dims.iter().copied().zip(self.to.iter().copied());
        others.chain([(size, self.to_step), (self.run, 1)])
    }

    /// One more than the last position.
    fn n_positions(&self) -> usize {
        self.list.iter().max().map_or(0, |&last| last as usize + 1)
    }

    /// Runs into a row-major result.
    ///
    /// # Safety
    /// The operand and the result are valid wherever shapes, strides and positions reach, and do
    /// not overlap.
    pub(crate) unsafe fn run<T: Real>(&self, from: *const T, to: *mut T) {
        if self.kind == Indexed::ScatterAdd {
            // SAFETY: the result has `len` elements.
            unsafe { std::slice::from_raw_parts_mut(to, self.len) }.fill(T::zero());
        }
        for row in 0..self.dims.iter().product() {
            let (mut rest, mut from_at, mut to_at) = (row, 0, 0);
            for axis in (0..self.dims.len()).rev() {
                let index = (rest % self.dims[axis]) as isize;
                rest /= self.dims[axis];
                from_at += index * self.from[axis];
                to_at += index * self.to[axis];
            }
            // SAFETY: the caller vouches for every address that the strides reach.
            unsafe { self.row(from.offset(from_at), to.offset(to_at)) };
        }
    }

    /// Goes along the list once.
    ///
    /// # Safety
    /// As [`Self::run`].
    unsafe fn row<T: Real>(&self, from: *const T, to: *mut T) {
        for (k, &position) in self.list.iter().enumerate() {
            let (k, position) = (k as isize, position as isize);
            // SAFETY: the caller vouches for every address that positions and strides reach.
            unsafe {
                match self.kind {
                    Indexed::Gather => {
                        let from = from.offset(position * self.from_step);
                        let to = to.offset(k * self.to_step);
                        if self.run == 1 {
                            *to = *from;
                        } else {
                            std::ptr::copy_nonoverlapping(from, to, self.run);
                        }
                    }
                    Indexed::ScatterAdd => {
                        let from = from.offset(k * self.from_step);
                        let to = to.offset(position * self.to_step);
                        for at in 0..self.run {
                            *to.add(at) = *to.add(at) + *from.add(at);
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(kind: Indexed, list: &[u32], axis: usize, dims: &[usize], result: &[usize]) -> Vec<f64> {
        let shape = Shape::new(dims);
        let from: Vec<f64> = (0..shape.len()).map(|at| at as f64).collect();
        let result = Shape::new(result);
        let mut to = vec![f64::NAN; result.len()];
        let job = IndexedJob::new(
            kind,
            list.into(),
            axis,
            (&shape, &shape.row_major()),
            &result,
        );
        // SAFETY: both arrays have the sizes of their shapes, and the lists stay inside of them.
        unsafe { job.run(from.as_ptr(), to.as_mut_ptr()) };
        to
    }

    #[test]
    fn rows_and_columns_are_taken_in_the_order_of_the_list() {
        let rows = run(Indexed::Gather, &[2, 0, 2], 0, &[3, 2], &[3, 2]);
        assert_eq!(rows, [4.0, 5.0, 0.0, 1.0, 4.0, 5.0]);
        let columns = run(Indexed::Gather, &[2, 0], 1, &[2, 3], &[2, 2]);
        assert_eq!(columns, [2.0, 0.0, 5.0, 3.0]);
    }

    #[test]
    fn what_meets_at_one_position_is_added() {
        let rows = run(Indexed::ScatterAdd, &[2, 0, 2], 0, &[3, 2], &[4, 2]);
        assert_eq!(rows, [2.0, 3.0, 0.0, 0.0, 4.0, 6.0, 0.0, 0.0]);
        let columns = run(Indexed::ScatterAdd, &[1, 1, 0], 1, &[2, 3], &[2, 2]);
        assert_eq!(columns, [2.0, 1.0, 5.0, 7.0]);
    }
}
