//! Few rows against columns that are contiguous in k: each entry of C is a dot product of two
//! contiguous vectors, and nothing is packed.

use super::scalar::GemmScalar;
use super::vector::Vector;

/// `count` blocks of columns beside each other, all against the same few rows of A.
#[derive(Clone, Copy)]
pub(super) struct Dots<T> {
    pub(super) count: usize,
    pub(super) k: usize,
    pub(super) a: *const T,
    pub(super) a_row: isize,
    pub(super) b: *const T,
    pub(super) b_col: isize,
    pub(super) c: *mut T,
    pub(super) c_row: isize,
    pub(super) c_col: isize,
    pub(super) accumulate: bool,
}

/// Computes the blocks.
///
/// # Safety
/// The instruction set must be there; A, B and C must be valid for blocks of the kernel's size.
pub(super) type DotFn<T> = unsafe fn(&Dots<T>);

/// Blocks of `R` rows and `Q` columns.
#[inline(always)]
unsafe fn dots<V: Vector, const R: usize, const Q: usize>(d: &Dots<V::Scalar>)
where
    V::Scalar: GemmScalar,
{
    for block in 0..d.count as isize {
        let first = block * Q as isize;
        let b = d.b.wrapping_offset(first * d.b_col);
        let c = d.c.wrapping_offset(first * d.c_col);
        // SAFETY: the block's columns are inside B and C, by the contract of [`DotFn`].
        unsafe {
            let sums = product::<V, R, Q>(d, b);
            for (j, column) in sums.iter().enumerate() {
                for (i, sum) in column.iter().enumerate() {
                    let to = c.offset(i as isize * d.c_row + j as isize * d.c_col);
                    let sum = sum.sum();
                    *to = if d.accumulate { *to + sum } else { sum };
                }
            }
        }
    }
}

/// Up to this many vectors are added one after the other. Of more it is runs, and runs of runs: a sum of
/// millions would be off by thousands of roundings where all of them go to the same side. Double
/// precision has digits to spare.
const fn short<T>() -> usize {
    if size_of::<T>() == size_of::<f64>() {
        1024
    } else {
        64
    }
}

/// The vectors of a run, and the runs of a run of runs.
const RUN: usize = 16;

/// The partial sums, lane by lane, of the dot products of a block, column by column.
#[inline(always)]
unsafe fn product<V: Vector, const R: usize, const Q: usize>(
    d: &Dots<V::Scalar>,
    b: *const V::Scalar,
) -> [[V; R]; Q] {
    let short = d.k <= short::<V::Scalar>() * V::LANES;
    // SAFETY: parts of the first d.k numbers of a row of A or a column of B.
    unsafe {
        let (mut runs, mut total) = ([[V::zero(); R]; Q], [[V::zero(); R]; Q]);
        let (mut from, mut count) = (0, 0);
        loop {
            let to = if short {
                d.k
            } else {
                d.k.min(from + RUN * V::LANES)
            };
            let sums = part(d, b, from, to);
            if short {
                return sums;
            }
            add(&mut runs, &sums);
            count += 1;
            from = to;
            if count == RUN || from == d.k {
                add(&mut total, &runs);
                (runs, count) = ([[V::zero(); R]; Q], 0);
            }
            if from == d.k {
                return total;
            }
        }
    }
}

#[inline(always)]
unsafe fn add<V: Vector, const R: usize, const Q: usize>(to: &mut [[V; R]; Q], from: &[[V; R]; Q]) {
    for (to, from) in to.iter_mut().zip(from) {
        for (to, from) in to.iter_mut().zip(from) {
            // SAFETY: the instruction set is there, by the contract of [`DotFn`].
            *to = unsafe { to.add(*from) };
        }
    }
}

/// The sums of the numbers `from..to` of k, one vector after the other.
#[inline(always)]
unsafe fn part<V: Vector, const R: usize, const Q: usize>(
    d: &Dots<V::Scalar>,
    b: *const V::Scalar,
    from: usize,
    to: usize,
) -> [[V; R]; Q] {
    let tail = (to - from) % V::LANES;
    let mut p = from;
    // SAFETY: every access is to the first d.k numbers of a row of A or a column of B.
    unsafe {
        let mut sums = [[V::zero(); R]; Q];
        while p + V::LANES <= to {
            step(d, b, &mut sums, |vector| V::load(vector.add(p)));
            p += V::LANES;
        }
        if tail > 0 {
            let mask = V::mask(tail);
            step(d, b, &mut sums, |vector| {
                V::load_masked(vector.add(p), mask)
            });
        }
        sums
    }
}

/// Adds the products of the numbers that `load` takes from each row of A and column of B.
#[inline(always)]
unsafe fn step<V: Vector, const R: usize, const Q: usize>(
    d: &Dots<V::Scalar>,
    b: *const V::Scalar,
    sums: &mut [[V; R]; Q],
    load: impl Fn(*const V::Scalar) -> V,
) {
    let rows: [V; R] = std::array::from_fn(|i| load(d.a.wrapping_offset(i as isize * d.a_row)));
    for (j, sums) in sums.iter_mut().enumerate() {
        let column = load(b.wrapping_offset(j as isize * d.b_col));
        for (sum, row) in sums.iter_mut().zip(rows) {
            // SAFETY: the instruction set is there, by the contract of [`DotFn`].
            *sum = unsafe { row.mul_add(column, *sum) };
        }
    }
}

/// The kernels of one instruction set: which block widths exist for 1, 2, … rows.
macro_rules! dot_table {
    ($compiled:ident, $vector:ty, $($rows:literal => $($cols:literal)+;)+) => {
        &[$(&[$($compiled::<$vector, $rows, $cols>),+]),+]
    };
}
pub(super) use dot_table;

/// [`dots`] compiled for the baseline.
///
/// # Safety
/// See [`DotFn`].
pub(super) unsafe fn baseline<V: Vector, const R: usize, const Q: usize>(d: &Dots<V::Scalar>)
where
    V::Scalar: GemmScalar,
{
    // SAFETY: the same contract.
    unsafe { dots::<V, R, Q>(d) }
}

/// [`dots`] compiled for AVX2.
///
/// # Safety
/// See [`DotFn`].
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn avx2<V: Vector, const R: usize, const Q: usize>(d: &Dots<V::Scalar>)
where
    V::Scalar: GemmScalar,
{
    // SAFETY: the same contract.
    unsafe { dots::<V, R, Q>(d) }
}

/// [`dots`] compiled for AVX-512.
///
/// # Safety
/// See [`DotFn`].
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512dq,avx512vl,avx512bw")]
pub(super) unsafe fn avx512<V: Vector, const R: usize, const Q: usize>(d: &Dots<V::Scalar>)
where
    V::Scalar: GemmScalar,
{
    // SAFETY: the same contract.
    unsafe { dots::<V, R, Q>(d) }
}
