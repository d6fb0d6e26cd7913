//! Strided copies and fills.

use crate::shape::{Dims, Shape};

/// A copy between two strided arrays of one shape, axes merged where both sides allow it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StridedCopy {
    dims: Dims,
    from: Dims<isize>,
    to: Dims<isize>,
}

impl StridedCopy {
    pub(crate) fn new(shape: &Shape, from: &[isize], to: &[isize]) -> Self {
        let mut job = Self {
            dims: Dims::new(),
            from: Dims::new(),
            to: Dims::new(),
        };
        for (axis, &size) in shape.dims().iter().enumerate() {
            if size == 1 {
                continue;
            }
            let (from, to) = (from[axis], to[axis]);
            if let Some(last) = job.dims.len().checked_sub(1)
                && job.from[last] == from * size as isize
                && job.to[last] == to * size as isize
            {
                job.dims[last] *= size;
                job.from[last] = from;
                job.to[last] = to;
            } else {
                job.dims.push(size);
                job.from.push(from);
                job.to.push(to);
            }
        }
        job
    }

    pub(crate) fn to_row_major(shape: &Shape, from: &[isize]) -> Self {
        Self::new(shape, from, &shape.row_major())
    }

    pub(crate) fn len(&self) -> usize {
        self.dims.iter().product()
    }

    /// Sizes and strides of what is read.
    pub(crate) fn source(&self) -> impl Iterator<Item = (usize, isize)> + '_ {
        self.dims.iter().copied().zip(self.from.iter().copied())
    }

    /// Sizes and strides of what is written.
    pub(crate) fn target(&self) -> impl Iterator<Item = (usize, isize)> + '_ {
        self.dims.iter().copied().zip(self.to.iter().copied())
    }

    /// Copies.
    ///
    /// # Safety
    /// Every element that the shape and the strides reach is valid on both sides, and the two
    /// arrays do not overlap.
    pub(crate) unsafe fn run<T: Copy>(&self, from: *const T, to: *mut T) {
        // SAFETY: the caller vouches for every address that the strides reach.
        self.rows(&mut |from_at, to_at, n, from_step, to_step| unsafe {
            let (from, to) = (from.offset(from_at), to.offset(to_at));
            if from_step == 1 && to_step == 1 {
                std::ptr::copy_nonoverlapping(from, to, n);
            } else {
                for i in 0..n as isize {
                    *to.offset(i * to_step) = *from.offset(i * from_step);
                }
            }
        });
    }

    /// Writes one value to every element of the destination.
    ///
    /// # Safety
    /// Every element that the shape and the destination's strides reach is valid.
    pub(crate) unsafe fn fill<T: Copy>(&self, to: *mut T, value: T) {
        // SAFETY: the caller vouches for every address that the strides reach.
        self.rows(&mut |_, to_at, n, _, to_step| unsafe {
            let to = to.offset(to_at);
            for i in 0..n as isize {
                *to.offset(i * to_step) = value;
            }
        });
    }

    /// Calls `row(from offset, to offset, length, from step, to step)` for each innermost row.
    fn rows(&self, row: &mut dyn FnMut(isize, isize, usize, isize, isize)) {
        let rank = self.dims.len();
        let Some(inner) = rank.checked_sub(1) else {
            return row(0, 0, 1, 1, 1);
        };
        if self.len() == 0 {
            return;
        }
        let mut index: Dims = Dims::from_elem(0, inner);
        let (mut from, mut to) = (0, 0);
        loop {
            row(from, to, self.dims[inner], self.from[inner], self.to[inner]);
            let mut axis = inner;
            loop {
                if axis == 0 {
                    return;
                }
                axis -= 1;
                from += self.from[axis];
                to += self.to[axis];
                index[axis] += 1;
                if index[axis] < self.dims[axis] {
                    break;
                }
                from -= self.from[axis] * self.dims[axis] as isize;
                to -= self.to[axis] * self.dims[axis] as isize;
                index[axis] = 0;
            }
        }
    }
}

/// Fills `n` elements with those at flat positions `start..start + n` of a strided array.
///
/// # Safety
/// `to` is valid for `n` elements, and every element read is within the strided array.
pub(crate) unsafe fn gather<T: Copy>(
    start: usize,
    n: usize,
    dims: &[usize],
    strides: &[isize],
    from: *const T,
    to: *mut T,
) {
    let Some(inner) = dims.len().checked_sub(1) else {
        // SAFETY: an array of one element.
        return unsafe { std::slice::from_raw_parts_mut(to, n).fill(*from) };
    };
    let (mut row, mut column) = (start / dims[inner], start % dims[inner]);
    let mut done = 0;
    while done < n {
        let mut offset = column as isize * strides[inner];
        let mut rest = row;
        for axis in (1..inner).rev() {
            offset += (rest % dims[axis]) as isize * strides[axis];
            rest /= dims[axis];
        }
        if inner > 0 {
            offset += rest as isize * strides[0];
        }
        let run = (dims[inner] - column).min(n - done);
        // SAFETY: `run` elements remain in this row and in the block; the caller vouches for both.
        unsafe {
            let (from, to) = (from.offset(offset), to.add(done));
            match strides[inner] {
                0 => std::slice::from_raw_parts_mut(to, run).fill(*from),
                1 => std::ptr::copy_nonoverlapping(from, to, run),
                step => {
                    for i in 0..run {
                        *to.add(i) = *from.offset(i as isize * step);
                    }
                }
            }
        }
        done += run;
        (row, column) = (row + 1, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transposing_copy_visits_every_element_once() {
        let from: Vec<i32> = (0..24).collect();
        let mut to = vec![-1; 24];
        let job = StridedCopy::to_row_major(&Shape::new(&[4, 3, 2]), &[1, 8, 4]);
        // SAFETY: both arrays have the 24 elements that the strides reach.
        unsafe { job.run(from.as_ptr(), to.as_mut_ptr()) };
        for (at, value) in to.iter().enumerate() {
            let (i, j, k) = (at / 6, at / 2 % 3, at % 2);
            assert_eq!(*value as usize, i + 8 * j + 4 * k);
        }
    }

    #[test]
    fn gathering_in_blocks_agrees_with_copying() {
        let from: Vec<i32> = (0..12).collect();
        let (dims, strides) = ([3, 2, 4], [0_isize, 1, 3]);
        let mut whole = vec![0; 24];
        let job = StridedCopy::to_row_major(&Shape::new(&dims), &strides);
        // SAFETY: the strides reach elements 0 to 10 of 12, and both targets hold 24.
        unsafe {
            job.run(from.as_ptr(), whole.as_mut_ptr());
            for block in [1, 5, 7, 24] {
                let mut parts = vec![-1; 24];
                for start in (0..24).step_by(block) {
                    let n = block.min(24 - start);
                    gather(
                        start,
                        n,
                        &dims,
                        &strides,
                        from.as_ptr(),
                        parts.as_mut_ptr().add(start),
                    );
                }
                assert_eq!(parts, whole);
            }
        }
    }
}
