//! Sums of many terms by a fixed tree: runs of few terms, runs of few runs, and what those give in
//! pairs of pairs. The error then grows like the logarithm of the number of terms, and their order
//! depends on that number alone.
//!
//! Added one after the other, ten million equal `f32` are off by a few per thousand: each addition
//! rounds to the same side.

use super::isa::{Avx2, Avx512, Baseline, Isa, Level};
use super::opaque::opaque;
use crate::real::Real;

/// Partial results side by side: several registers of the widest vectors.
pub(super) const LANES: usize = 32;

/// The most terms, or partial results, that are combined one after the other.
pub(super) const RUN: usize = 16;

/// Elements whose lanes are combined before the next ones begin.
const CHUNK: usize = LANES * RUN * RUN;

/// Levels of a tree: as many as a count has binary digits.
const LEVELS: usize = usize::BITS as usize;

/// Results of equally many terms, combined in pairs as the digits of a counter carry.
pub(super) struct Tree<T> {
    levels: [T; LEVELS],
    count: usize,
}

impl<T: Real> Tree<T> {
    #[inline(always)]
    pub(super) fn new() -> Self {
        Self {
            levels: [T::zero(); LEVELS],
            count: 0,
        }
    }

    #[inline(always)]
    pub(super) fn push(&mut self, mut value: T, combine: impl Fn(T, T) -> T) {
        let carries = self.count.trailing_ones() as usize;
        for &level in &self.levels[..carries] {
            value = combine(level, value);
        }
        self.levels[carries] = value;
        self.count += 1;
    }

    /// All of them together; `start` if there are none.
    #[inline(always)]
    pub(super) fn total(&self, start: T, combine: impl Fn(T, T) -> T) -> T {
        let mut total = start;
        for (level, &value) in self.levels.iter().enumerate() {
            if self.count >> level & 1 == 1 {
                total = combine(value, total);
            }
        }
        total
    }
}

/// Combines `n` elements, of which `line(at)` gives those from `at` on and `one(at)` a single one.
///
/// # Safety
/// `line` is sound for each whole line of [`LANES`] elements, `one` for each element.
#[inline(always)]
pub(super) unsafe fn fold_lines<T: Real>(
    n: usize,
    start: T,
    combine: impl Fn(T, T) -> T + Copy,
    line: impl Fn(usize) -> [T; LANES],
    one: impl Fn(usize) -> T,
) -> T {
    if n < LANES {
        return (0..n).map(one).fold(start, combine);
    }
    if n < 2 * CHUNK {
        return fold_chunk(0, n, start, combine, line, one);
    }
    let mut tree = Tree::new();
    let mut at = 0;
    while at + CHUNK <= n {
        tree.push(fold_chunk(at, CHUNK, start, combine, &line, &one), combine);
        at += CHUNK;
    }
    if at < n {
        tree.push(fold_chunk(at, n - at, start, combine, line, one), combine);
    }
    tree.total(start, combine)
}

/// Less than two chunks of elements: runs of lines, and runs of runs.
#[inline(always)]
fn fold_chunk<T: Real>(
    first: usize,
    n: usize,
    start: T,
    combine: impl Fn(T, T) -> T + Copy,
    line: impl Fn(usize) -> [T; LANES],
    one: impl Fn(usize) -> T,
) -> T {
    let (mut parts, mut at, end) = ([start; LANES], first, first + n);
    while at + LANES <= end {
        let lines = RUN.min((end - at) / LANES);
        let mut run = line(at);
        for next in 1..lines {
            let line = line(at + next * LANES);
            for lane in 0..LANES {
                run[lane] = combine(run[lane], line[lane]);
            }
        }
        for lane in 0..LANES {
            parts[lane] = combine(parts[lane], run[lane]);
        }
        at += lines * LANES;
    }
    for (lane, at) in (at..end).enumerate() {
        parts[lane] = combine(parts[lane], one(at));
    }
    fold_lanes(parts, combine)
}

#[inline(always)]
fn fold_lanes<T: Real>(mut parts: [T; LANES], combine: impl Fn(T, T) -> T) -> T {
    let mut half = LANES / 2;
    while half > 0 {
        for lane in 0..half {
            parts[lane] = combine(parts[lane], parts[lane + half]);
        }
        half /= 2;
    }
    parts[0]
}

/// Columns that [`combine_rows`] takes at a time.
const COLUMNS: usize = 1024;

/// Elements of scratch memory for [`combine_rows`] of `count` rows of `width`.
pub(super) fn rows_scratch(count: usize, width: usize) -> usize {
    if count <= RUN {
        return 0;
    }
    let runs = count.div_ceil(RUN);
    width.min(COLUMNS) * (usize::BITS - runs.leading_zeros()) as usize
}

/// Combines `count` rows, which begin where `row` says, into `out`, element by element.
///
/// # Safety
/// Every row is valid for as many elements as `out` has, `scratch` for [`rows_scratch`].
#[inline(always)]
pub(super) unsafe fn combine_rows<T: Real>(
    count: usize,
    row: impl Fn(usize) -> *const T,
    out: &mut [T],
    scratch: *mut T,
    start: T,
    combine: impl Fn(T, T) -> T + Copy,
) {
    for (part, out) in out.chunks_mut(COLUMNS).enumerate() {
        let width = out.len();
        let row = |at: usize| row(at).wrapping_add(part * COLUMNS);
        let level = |at: usize| scratch.wrapping_add(at * width);
        let mut runs = 0_usize;
        // SAFETY: rows of `width` elements, and as many levels of scratch memory as `runs` has
        // binary digits.
        unsafe {
            for first in (0..count.max(1)).step_by(RUN) {
                combine_run(first..count.min(first + RUN), row, out, start, combine);
                if count <= RUN {
                    break;
                }
                let carries = runs.trailing_ones() as usize;
                for old in 0..carries {
                    let old = std::slice::from_raw_parts(level(old), width);
                    for (y, &x) in out.iter_mut().zip(old) {
                        *y = combine(x, *y);
                    }
                }
                std::ptr::copy_nonoverlapping(out.as_ptr(), level(carries), width);
                runs += 1;
            }
            let mut levels = (0..LEVELS).filter(|level| runs >> level & 1 == 1);
            if let Some(lowest) = levels.next() {
                std::ptr::copy_nonoverlapping(level(lowest), out.as_mut_ptr(), width);
            }
            for higher in levels {
                let higher = std::slice::from_raw_parts(level(higher), width);
                for (y, &x) in out.iter_mut().zip(higher) {
                    *y = combine(x, *y);
                }
            }
        }
    }
}

/// Combines a few rows, with as many columns in registers as there are lanes.
///
/// # Safety
/// At most [`RUN`] rows, each valid for as many elements as `out` has.
#[inline(always)]
unsafe fn combine_run<T: Real>(
    rows: std::ops::Range<usize>,
    row: impl Fn(usize) -> *const T,
    out: &mut [T],
    start: T,
    combine: impl Fn(T, T) -> T + Copy,
) {
    let mut starts = [std::ptr::null(); RUN];
    let count = rows.len();
    for (start, at) in starts.iter_mut().zip(rows) {
        *start = row(at);
    }
    let starts = &starts[..count];
    let mut column = 0;
    // SAFETY: every column is one of `out`.
    unsafe {
        while column + LANES <= out.len() {
            let mut lanes = [start; LANES];
            for row in starts {
                let line = row.add(column).cast::<[T; LANES]>().read_unaligned();
                for lane in 0..LANES {
                    lanes[lane] = combine(lanes[lane], line[lane]);
                }
            }
            let to = out.as_mut_ptr().add(column).cast::<[T; LANES]>();
            to.write_unaligned(lanes);
            column += LANES;
        }
        let rest = &mut out[column..];
        rest.fill(start);
        for row in starts {
            let line = std::slice::from_raw_parts(row.add(column), rest.len());
            for (y, &x) in rest.iter_mut().zip(line) {
                *y = combine(*y, x);
            }
        }
    }
}

#[inline(always)]
fn dot_body<T: Real, I: Isa>(x: &[T], y: &[T]) -> T {
    let n = x.len().min(y.len());
    if n < LANES {
        // Beside each other, so that the additions need not wait for one another.
        let mut parts = [T::zero(); LANES];
        for (part, (&x, &y)) in parts.iter_mut().zip(x.iter().zip(y)) {
            *part = x * y;
        }
        return fold_lanes(parts, |x, y| x + y);
    }
    let (a, b) = (opaque(x.as_ptr()), opaque(y.as_ptr()));
    // SAFETY: every line and every element is inside of both vectors.
    unsafe {
        let line = |at: usize| {
            let mut line = a.add(at).cast::<[T; LANES]>().read_unaligned();
            let other = b.add(at).cast::<[T; LANES]>().read_unaligned();
            for lane in 0..LANES {
                line[lane] *= other[lane];
            }
            line
        };
        fold_lines(
            n,
            T::zero(),
            |x, y| x + y,
            line,
            |at| *a.add(at) * *b.add(at),
        )
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
fn dot_avx2<T: Real>(x: &[T], y: &[T]) -> T {
    dot_body::<T, Avx2>(x, y)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw,avx2,fma")]
fn dot_avx512<T: Real>(x: &[T], y: &[T]) -> T {
    dot_body::<T, Avx512>(x, y)
}

/// The inner product xᵀy, by a fixed tree of sums: the error grows like the logarithm of the length,
/// and the bits are the same on every processor. Cost: one pass over both.
///
/// ```
/// assert_eq!(ad_core::dot(&[1.0, 2.0], &[3.0, 4.0]), 11.0);
/// // Ten thousand times a third, in single precision.
/// let third = vec![1.0_f32 / 3.0; 10_000];
/// assert!((ad_core::dot(&third, &[1.0; 10_000]) / 3333.3333 - 1.0).abs() < 1e-6);
/// ```
///
/// # Panics
/// If the lengths differ.
pub fn dot<T: Real>(x: &[T], y: &[T]) -> T {
    assert_eq!(x.len(), y.len(), "dot: lengths differ");
    match Level::detect() {
        // SAFETY: the instruction set was found on this processor.
        #[cfg(target_arch = "x86_64")]
        Level::Avx512 => unsafe { dot_avx512(x, y) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Level::Avx2 => unsafe { dot_avx2(x, y) },
        _ => dot_body::<T, Baseline>(x, y),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// |found/expected − 1| of the sum of n equal terms, whose right value is their number times
    /// one of them.
    fn error(found: f32, n: usize, term: f32) -> f64 {
        (f64::from(found) / (n as f64 * f64::from(term)) - 1.0).abs()
    }

    /// Equal terms are the worst case: all additions of a run round to the same side. The runs, the
    /// lanes and the tree are 16 + 16 + 5 + 11 additions deep, each off by half an ulp at most and by
    /// much less in the mean.
    #[test]
    fn ten_million_equal_terms_are_added_to_a_millionth() {
        let n = 10_000_000;
        let ones = vec![1.0_f32; n];
        for term in [0.1_f32, 1.0 / 3.0, 0.7, 1.1, 1e-3, 1.999_999, 3.3e7] {
            let terms = vec![term; n];
            let found = dot(&terms, &ones);
            assert!(error(found, n, term) < 1e-6, "{term}: {found}");
        }
    }

    #[test]
    fn every_length_is_summed_once() {
        // Whole numbers below 2⁵³: every order of summation is exact.
        let lengths = (0..200).chain([511, 512, 513, CHUNK - 1, CHUNK, CHUNK + 1]);
        for n in lengths.chain([2 * CHUNK - 1, 2 * CHUNK, 3 * CHUNK + 77, 7 * CHUNK + 31]) {
            let x: Vec<f64> = (0..n).map(|at| (at % 1013) as f64).collect();
            let y: Vec<f64> = (0..n).map(|at| (at % 7) as f64 - 3.0).collect();
            let plain: f64 = x.iter().zip(&y).map(|(x, y)| x * y).sum();
            assert!((dot(&x, &y) - plain).abs() < 0.5, "{n}");
        }
    }

    #[test]
    fn all_instruction_sets_give_the_same_bits() {
        let x: Vec<f32> = (0..30_000).map(|at| (at as f32).sin()).collect();
        let y: Vec<f32> = (0..30_000).map(|at| (at as f32).cos()).collect();
        let found = dot(&x, &y);
        assert_eq!(found.to_bits(), dot_body::<f32, Baseline>(&x, &y).to_bits());
    }
}
