//! Reductions: sums and maxima along axes of strided arrays.
//!
//! The order of additions depends on the shape alone, never on threads or addresses.

use std::fmt;

use super::isa::Level;
use super::tree::{LANES, RUN, Tree, combine_rows, fold_lines, rows_scratch};
use crate::ops::Reduction;
use crate::real::Real;
use crate::shape::{Dims, Shape};

/// A reduction ready to run: kept and reduced axes with their strides in the operand.
#[derive(Clone, Debug)]
pub(crate) struct ReduceJob<T> {
    kind: Reduction,
    level: Level,
    kept: Axes,
    reduced: Axes,
    marker: std::marker::PhantomData<T>,
}

/// Sizes and strides; axes that follow each other in memory are merged.
#[derive(Clone, Debug, Default)]
pub(super) struct Axes {
    dims: Dims,
    strides: Dims<isize>,
}

impl Axes {
    /// The axes of a strided array that are not among `axes`, and those that are.
    pub(super) fn split(shape: &Shape, strides: &[isize], axes: &[usize]) -> (Self, Self) {
        let (mut kept, mut reduced) = (Self::default(), Self::default());
        for (axis, (&size, &stride)) in shape.dims().iter().zip(strides).enumerate() {
            if axes.contains(&axis) {
                &mut reduced
            } else {
                &mut kept
            }
            .push(size, stride);
        }
        (kept, reduced)
    }

    fn push(&mut self, size: usize, stride: isize) {
        if size == 1 {
            return;
        }
        if let (Some(last), Some(last_stride)) = (self.dims.last_mut(), self.strides.last_mut())
            && *last_stride == stride * size as isize
        {
            *last *= size;
            *last_stride = stride;
            return;
        }
        self.dims.push(size);
        self.strides.push(stride);
    }

    pub(super) fn len(&self) -> usize {
        self.dims.iter().product()
    }

    pub(super) fn sizes_and_strides(&self) -> impl Iterator<Item = (usize, isize)> + '_ {
        self.dims.iter().copied().zip(self.strides.iter().copied())
    }

    /// The offset of the element at a flat position.
    pub(super) fn offset(&self, mut flat: usize) -> isize {
        let mut offset = 0;
        for (&size, &stride) in self.dims.iter().zip(&self.strides).rev() {
            offset += (flat % size) as isize * stride;
            flat /= size;
        }
        offset
    }

    /// The stride, if it is one axis at most.
    pub(super) fn single(&self) -> Option<isize> {
        (self.dims.len() <= 1).then(|| self.inner().1)
    }

    pub(super) fn inner(&self) -> (usize, isize) {
        match (self.dims.last(), self.strides.last()) {
            (Some(&size), Some(&stride)) => (size, stride),
            _ => (1, 1),
        }
    }
}

impl<T: Real> ReduceJob<T> {
    pub(crate) fn new(
        kind: Reduction,
        level: Level,
        shape: &Shape,
        strides: &[isize],
        axes: &[usize],
    ) -> Self {
        let (kept, reduced) = Axes::split(shape, strides, axes);
        Self {
            kind,
            level,
            kept,
            reduced,
            marker: std::marker::PhantomData,
        }
    }

    /// Elements of scratch memory that a run needs.
    pub(crate) fn scratch(&self) -> usize {
        if self.rows_at_once() > 1 {
            let (wide, rows) = self.side_by_side();
            wide + rows_scratch(rows, wide)
        } else if self.by_rows() {
            rows_scratch(self.reduced.len(), self.kept.inner().0)
        } else {
            0
        }
    }

    /// Short rows side by side as one long row: its width, and how many whole ones there are.
    fn side_by_side(&self) -> (usize, usize) {
        let (width, _) = self.kept.inner();
        let wide = self.rows_at_once() * width;
        (wide, self.reduced.len() * width / wide)
    }

    /// Short rows that follow each other in memory and are added as one: 1 for others.
    fn rows_at_once(&self) -> usize {
        let (width, (_, step)) = (self.kept.inner().0, self.reduced.inner());
        let follow = self.by_rows() && step == width as isize && self.reduced.dims.len() == 1;
        if follow && width < LANES {
            2 * LANES / width
        } else {
            1
        }
    }

    /// Whether results lie along the operand's contiguous axis, so that whole rows are combined.
    fn by_rows(&self) -> bool {
        self.kept.inner().1 == 1 && self.kept.inner().0 > 1
    }

    /// Runs the reduction into a row-major result.
    ///
    /// # Safety
    /// The operand is valid wherever sizes and strides reach, the result for the kept elements,
    /// `scratch` for [`Self::scratch`] elements, and none of them overlap.
    pub(crate) unsafe fn run(&self, from: *const T, to: *mut T, scratch: *mut T) {
        // SAFETY: passed on from the caller; the level was detected on this processor.
        unsafe {
            match self.level {
                #[cfg(target_arch = "x86_64")]
                Level::Avx512 => self.run_avx512(from, to, scratch),
                #[cfg(target_arch = "x86_64")]
                Level::Avx2 => self.run_avx2(from, to, scratch),
                _ => self.body(from, to, scratch),
            }
        }
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw,avx2,fma")]
    unsafe fn run_avx512(&self, from: *const T, to: *mut T, scratch: *mut T) {
        // SAFETY: passed on from the caller.
        unsafe { self.body(from, to, scratch) }
    }

    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx2,fma")]
    unsafe fn run_avx2(&self, from: *const T, to: *mut T, scratch: *mut T) {
        // SAFETY: passed on from the caller.
        unsafe { self.body(from, to, scratch) }
    }

    #[inline(always)]
    unsafe fn body(&self, from: *const T, to: *mut T, scratch: *mut T) {
        // SAFETY: passed on from the caller.
        unsafe {
            match self.kind {
                Reduction::Mean => {
                    self.sum(from, to, scratch);
                    self.average(from, to);
                }
                Reduction::Sum => self.sum(from, to, scratch),
                Reduction::Max if self.by_rows() => {
                    self.rows(from, to, scratch, T::neg_infinity(), maximum);
                }
                Reduction::Max => self.columns(from, to, T::neg_infinity(), maximum),
            }
        }
    }

    /// Sums, in the order that the shape and the strides call for.
    #[inline(always)]
    unsafe fn sum(&self, from: *const T, to: *mut T, scratch: *mut T) {
        // SAFETY: passed on from the caller.
        unsafe {
            if self.rows_at_once() > 1 {
                self.short_rows(from, to, scratch);
            } else if self.by_rows() {
                self.rows(from, to, scratch, T::zero(), |x, y| x + y);
            } else {
                self.columns(from, to, T::zero(), |x, y| x + y);
            }
        }
    }

    /// Makes means of sums. A sum that has left the range is taken again of terms that are smaller by a
    /// power of two, so that the mean of finite numbers is finite.
    unsafe fn average(&self, from: *const T, to: *mut T) {
        let len = self.reduced.len();
        let count = T::of(len as f64);
        for at in 0..self.kept.len() {
            // SAFETY: within what the caller of `run` vouches for.
            unsafe {
                let mut sum = *to.add(at);
                let mut divisor = count;
                if !sum.is_finite() {
                    let scale = T::of(0.5 / len.next_power_of_two() as f64);
                    let line = from.offset(self.kept.offset(at));
                    let terms = (0..len).map(|i| *line.offset(self.reduced.offset(i)) * scale);
                    sum = terms.sum();
                    divisor = count * scale;
                }
                *to.add(at) = sum / divisor;
            }
        }
    }

    /// Combines whole rows of the operand into rows of the result.
    #[inline(always)]
    unsafe fn rows(
        &self,
        from: *const T,
        to: *mut T,
        scratch: *mut T,
        start: T,
        combine: impl Fn(T, T) -> T + Copy,
    ) {
        let (width, _) = self.kept.inner();
        for row in 0..self.kept.len() / width {
            // SAFETY: rows of `width` elements, within what the caller vouches for.
            unsafe {
                let from = from.offset(self.kept.offset(row * width));
                let out = std::slice::from_raw_parts_mut(to.add(row * width), width);
                let line = |at: usize| from.wrapping_offset(self.reduced.offset(at));
                combine_rows(self.reduced.len(), line, out, scratch, start, combine);
            }
        }
    }

    /// Adds short rows that follow each other: several side by side as one long row, which are then
    /// added up among themselves.
    #[inline(always)]
    unsafe fn short_rows(&self, from: *const T, to: *mut T, scratch: *mut T) {
        let (width, _) = self.kept.inner();
        let (wide, rows) = self.side_by_side();
        let total = self.reduced.len() * width;
        for row in 0..self.kept.len() / width {
            // SAFETY: rows of `width` elements, `wide` of scratch, within what the caller vouches for.
            unsafe {
                let line = from.offset(self.kept.offset(row * width));
                let line = std::slice::from_raw_parts(line, total);
                let sums = std::slice::from_raw_parts_mut(scratch, wide);
                let long = |at: usize| line.as_ptr().wrapping_add(at * wide);
                let levels = scratch.add(wide);
                combine_rows(rows, long, sums, levels, T::zero(), |x, y| x + y);
                for (sum, &x) in sums.iter_mut().zip(&line[rows * wide..]) {
                    *sum += x;
                }
                let out = std::slice::from_raw_parts_mut(to.add(row * width), width);
                out.fill(T::zero());
                for part in sums.chunks_exact(width) {
                    for (y, &x) in out.iter_mut().zip(part) {
                        *y += x;
                    }
                }
            }
        }
    }

    /// Combines the reduced elements of each result, short ones for eight results at a time.
    #[inline(always)]
    unsafe fn columns(
        &self,
        from: *const T,
        to: *mut T,
        start: T,
        combine: impl Fn(T, T) -> T + Copy,
    ) {
        let (width, stride) = self.reduced.inner();
        let lines = self.reduced.len().checked_div(width).unwrap_or(0);
        let (count, mut at) = (self.kept.len(), 0);
        while at < count {
            // SAFETY: within what the caller vouches for.
            unsafe {
                if lines == 1 && width < LANES && at + 8 <= count {
                    let starts: [*const T; 8] =
                        std::array::from_fn(|lane| from.offset(self.kept.offset(at + lane)));
                    let totals = fold_eight(width, stride, starts, start, combine);
                    to.add(at).cast::<[T; 8]>().write_unaligned(totals);
                    at += 8;
                    continue;
                }
                // A loop and no adapters of iterators: what they call is not compiled for the
                // instruction set that was detected.
                let (mut total, mut tree) = (start, (lines > RUN).then(Tree::new));
                for line in 0..lines {
                    let offset = self.kept.offset(at) + self.reduced.offset(line * width);
                    let part = fold(width, stride, from.offset(offset), start, combine);
                    match &mut tree {
                        Some(tree) => tree.push(part, combine),
                        None => total = combine(total, part),
                    }
                }
                *to.add(at) = tree.map_or(total, |tree| tree.total(start, combine));
            }
            at += 1;
        }
    }
}

/// The larger number, or NaN if either is.
#[inline(always)]
fn maximum<T: Real>(x: T, y: T) -> T {
    if x > y || x.is_nan() { x } else { y }
}

/// Combines `n` elements from each of eight places, side by side.
#[inline(always)]
unsafe fn fold_eight<T: Real>(
    n: usize,
    stride: isize,
    from: [*const T; 8],
    start: T,
    combine: impl Fn(T, T) -> T,
) -> [T; 8] {
    let mut totals = [start; 8];
    for at in 0..n as isize {
        for lane in 0..8 {
            // SAFETY: the caller vouches for n elements from each place.
            totals[lane] = combine(totals[lane], unsafe { *from[lane].offset(at * stride) });
        }
    }
    totals
}

/// Combines `n` elements in interleaved partial results, by a fixed tree.
#[inline(always)]
unsafe fn fold<T: Real>(
    n: usize,
    stride: isize,
    from: *const T,
    start: T,
    combine: impl Fn(T, T) -> T + Copy,
) -> T {
    // SAFETY: every position is less than n, and the caller vouches for n elements.
    unsafe {
        let one = |at: usize| *from.offset(at as isize * stride);
        if stride == 1 {
            let line = |at: usize| from.add(at).cast::<[T; LANES]>().read_unaligned();
            return fold_lines(n, start, combine, line, one);
        }
        let line = |at: usize| {
            let mut line = [start; LANES];
            for (lane, element) in line.iter_mut().enumerate() {
                *element = one(at + lane);
            }
            line
        };
        fold_lines(n, start, combine, line, one)
    }
}

impl<T> ReduceJob<T> {
    /// Sizes and strides of what is read.
    pub(crate) fn source(&self) -> impl Iterator<Item = (usize, isize)> + '_ {
        let axes = [&self.kept, &self.reduced].into_iter();
        axes.flat_map(Axes::sizes_and_strides)
    }

    /// The number of results.
    pub(crate) fn n_results(&self) -> usize {
        self.kept.len()
    }

    /// Numbers read and written.
    pub(crate) fn traffic(&self) -> usize {
        self.kept.len() * (self.reduced.len() + 1)
    }
}

impl<T> fmt::Display for ReduceJob<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:?} {} × {} elements",
            self.kind,
            self.kept.len(),
            self.reduced.len()
        )
    }
}

#[cfg(test)]
#[allow(
    clippy::float_cmp,
    reason = "sums and maxima of small whole numbers are exact"
)]
mod tests {
    use super::*;

    fn run(kind: Reduction, dims: &[usize], axes: &[usize], data: &[f64]) -> Vec<f64> {
        let shape = Shape::new(dims);
        let job = ReduceJob::new(kind, Level::detect(), &shape, &shape.row_major(), axes);
        let mut out = vec![f64::NAN; shape.without(axes).len()];
        let mut scratch = vec![0.0; job.scratch()];
        // SAFETY: the arrays have the lengths of the shape, the result and the scratch memory.
        unsafe { job.run(data.as_ptr(), out.as_mut_ptr(), scratch.as_mut_ptr()) };
        out
    }

    #[test]
    fn sums_of_whole_numbers_are_exact_along_any_axes() {
        let data: Vec<f64> = (0..210).map(f64::from).collect();
        for axes in [
            &[0][..],
            &[1],
            &[2],
            &[0, 1],
            &[1, 2],
            &[0, 2],
            &[0, 1, 2],
            &[],
        ] {
            let dims = [5, 6, 7];
            let out = run(Reduction::Sum, &dims, axes, &data);
            let mut expected = vec![0.0; out.len()];
            for (at, value) in data.iter().enumerate() {
                let index = [at / 42, at / 7 % 6, at % 7];
                let kept = (0..3).filter(|axis| !axes.contains(axis));
                let to = kept.fold(0, |to, axis| to * dims[axis] + index[axis]);
                expected[to] += value;
            }
            assert_eq!(out, expected, "axes {axes:?}");
        }
    }

    /// Sums of ten million equal `f32` along each kind of axes: in a row, strided, many rows, short
    /// rows side by side, and lines apart. Equal terms are the worst case, all additions of a run
    /// round to the same side.
    #[test]
    fn ten_million_equal_terms_are_added_to_a_millionth() {
        let cases: [(&[usize], &[usize]); 7] = [
            (&[10_000_000], &[0]),
            (&[2, 5_000_000], &[1]),
            (&[5_000_000, 2], &[0]),
            (&[312_500, 32], &[0]),
            (&[250_000, 40], &[0]),
            (&[100_000, 10, 10], &[0, 2]),
            (&[2500, 4000], &[0]),
        ];
        for (dims, axes) in cases {
            for term in [0.1_f32, 1.0 / 3.0, 1.1, 1e-3] {
                let shape = Shape::new(dims);
                let level = Level::detect();
                let job = ReduceJob::new(Reduction::Sum, level, &shape, &shape.row_major(), axes);
                let terms = vec![term; shape.len()];
                let mut out = vec![f32::NAN; shape.without(axes).len()];
                let mut scratch = vec![0.0; job.scratch()];
                // SAFETY: the arrays have the lengths of the shape, the result and the scratch
                // memory.
                unsafe { job.run(terms.as_ptr(), out.as_mut_ptr(), scratch.as_mut_ptr()) };
                let expected = (shape.len() / out.len()) as f64 * f64::from(term);
                for sum in out {
                    let error = (f64::from(sum) / expected - 1.0).abs();
                    assert!(error < 1e-6, "{term} of {dims:?} along {axes:?}: {sum}");
                }
            }
        }
    }

    #[test]
    fn many_short_rows_and_columns_are_reduced_alike() {
        for (rows, columns) in [(1, 40), (9, 10), (64, 3), (200, 10), (33, 31), (7, 300)] {
            let data: Vec<f64> = (0..rows * columns)
                .map(|i| ((i * 37) % 101) as f64)
                .collect();
            let dims = [rows, columns];
            let sums = run(Reduction::Sum, &dims, &[0], &data);
            let totals = run(Reduction::Sum, &dims, &[1], &data);
            let largest = run(Reduction::Max, &dims, &[1], &data);
            for (column, sum) in sums.iter().enumerate() {
                assert_eq!(
                    *sum,
                    (0..rows)
                        .map(|row| data[row * columns + column])
                        .sum::<f64>()
                );
            }
            for (row, line) in data.chunks(columns).enumerate() {
                assert_eq!(totals[row], line.iter().sum::<f64>());
                assert_eq!(largest[row], line.iter().fold(0.0, |m: f64, x| m.max(*x)));
            }
        }
    }

    #[test]
    fn a_maximum_with_nan_is_nan() {
        assert!(run(Reduction::Max, &[3], &[0], &[1.0, f64::NAN, 2.0])[0].is_nan());
        assert_eq!(
            run(Reduction::Max, &[2, 2], &[0], &[1.0, 5.0, 3.0, 4.0]),
            [3.0, 5.0]
        );
    }
}
