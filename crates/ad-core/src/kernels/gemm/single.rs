//! Products in which B has a single entry: C (+)= (column of A) · entry, in one column.
//!
//! The rows of a dense Hessian come from unit tangents, and what a layer makes of one is the
//! product of its input with a matrix of one entry. Leaving out the terms that are zero saves a
//! quarter of all multiply-adds of a small perceptron's Hessian.

use super::GemmShape;
use crate::kernels::all_finite;
use crate::real::Real;

/// The fewest terms for which it is worth while to look.
const MIN_TERMS: usize = 8;

/// The longest batch: the most tangents of a block.
const MAX_BATCH: usize = 16;

/// Numbers of B that are looked at together.
const CHUNK: usize = 16;

/// Runs a product, or all products of a batch, if every B is contiguous and has at most one entry
/// that is not zero; false if one has more, and then nothing is written.
///
/// A dense B is seen by its first entry. Terms with a zero of B are left out, so A is searched for
/// infinities and NaN, with which such terms are NaN: then all terms are computed.
///
/// # Safety
/// As for [`gemm`](super::gemm).
pub(super) unsafe fn run<T: Real>(shape: &GemmShape, a: *const T, b: *const T, c: *mut T) -> bool {
    let s = shape;
    let contiguous = s.b_col == 1 && s.b_row == s.n as isize;
    let some = s.m * s.n > 0 && (1..=MAX_BATCH).contains(&s.batch);
    // SAFETY: there are a product, a term and a column.
    if s.k < MIN_TERMS || !some || !contiguous || unsafe { *b } != T::zero() {
        return false;
    }
    let offset = |index: usize, stride: isize| index as isize * stride;
    let mut entries = [(0, T::zero()); MAX_BATCH];
    for (index, entry) in entries[..s.batch].iter_mut().enumerate() {
        // SAFETY: the batch stride leads from one B to the next, each of k·n numbers.
        let b =
            unsafe { std::slice::from_raw_parts(b.offset(offset(index, s.b_batch)), s.k * s.n) };
        match single(b) {
            Some(found) => *entry = found,
            None => return false,
        }
    }
    let matrices = if s.a_batch == 0 { 1 } else { s.batch };
    for index in 0..matrices {
        // SAFETY: the batch stride leads from one A to the next.
        if !unsafe { is_finite(s, a.offset(offset(index, s.a_batch))) } {
            return false;
        }
    }
    for (index, &(place, entry)) in entries[..s.batch].iter().enumerate() {
        let (term, column) = (place / s.n, place % s.n);
        // SAFETY: the batch strides lead from one product to the next; rows, the column and the
        // term are within the shape.
        unsafe {
            let a = a.offset(offset(index, s.a_batch) + offset(term, s.a_col));
            let c = c.offset(offset(index, s.c_batch));
            for row in 0..s.m {
                let x = *a.offset(offset(row, s.a_row));
                let c = std::slice::from_raw_parts_mut(c.offset(offset(row, s.c_row)), s.n);
                if !s.accumulate {
                    c.fill(T::zero());
                }
                c[column] += x * entry;
            }
        }
    }
    true
}

/// Whether a matrix A is finite, line by line along its shorter stride.
///
/// # Safety
/// All of A is valid.
unsafe fn is_finite<T: Real>(s: &GemmShape, a: *const T) -> bool {
    let by_rows = s.a_col.unsigned_abs() <= s.a_row.unsigned_abs();
    let ((lines, line), (len, step)) = if by_rows {
        ((s.m, s.a_row), (s.k, s.a_col))
    } else {
        ((s.k, s.a_col), (s.m, s.a_row))
    };
    (0..lines).all(|at| {
        // SAFETY: the first entry of a line.
        let first = unsafe { a.offset(at as isize * line) };
        if step == 1 {
            // SAFETY: a line of `len` numbers beside each other.
            return all_finite(unsafe { std::slice::from_raw_parts(first, len) });
        }
        // SAFETY: an entry of the line.
        (0..len).all(|i| unsafe { *first.offset(i as isize * step) }.is_finite())
    })
}

/// The place and the value of the entry that is not zero; the first one if all are, `None` if
/// there are more.
fn single<T: Real>(b: &[T]) -> Option<(usize, T)> {
    let mut found = None;
    for (at, chunk) in b.chunks(CHUNK).enumerate() {
        let any = chunk.iter().fold(false, |any, &b| any | (b != T::zero()));
        if !any {
            continue;
        }
        for (i, &value) in chunk.iter().enumerate() {
            if value != T::zero() && found.replace((at * CHUNK + i, value)).is_some() {
                return None;
            }
        }
    }
    Some(found.unwrap_or((0, T::zero())))
}

#[cfg(test)]
mod tests {
    use super::super::{gemm, scratch_len};
    use super::*;

    /// Products of 9 × 8 with 8 × 5 in a batch of three, by the definition.
    fn by_definition(s: &GemmShape, a: &[f64], b: &[f64], c: &mut [f64]) {
        for (index, row, column) in
            (0..s.batch).flat_map(|p| (0..s.m).flat_map(move |i| (0..s.n).map(move |j| (p, i, j))))
        {
            let at = |steps: [(usize, isize); 3]| -> usize {
                let walked = steps.map(|(count, stride)| count * stride.unsigned_abs());
                walked.iter().sum()
            };
            let term = |k: usize| {
                let a_at = at([(index, s.a_batch), (row, s.a_row), (k, s.a_col)]);
                let b_at = at([(index, s.b_batch), (k, s.b_row), (column, s.b_col)]);
                a[a_at] * b[b_at]
            };
            let sum: f64 = (0..s.k).map(term).sum();
            let c = &mut c[(index * s.m + row) * s.n + column];
            *c = if s.accumulate { *c + sum } else { sum };
        }
    }

    #[test]
    fn products_with_one_entry_are_those_of_the_definition() {
        let (m, n, k) = (9, 5, 8);
        let a: Vec<f64> = (0..3 * m * k).map(|i| (i % 17) as f64 - 8.0).collect();
        for (accumulate, share_a, transposed) in [
            (false, true, false),
            (true, false, false),
            (false, false, true),
            (true, true, true),
        ] {
            let shape = GemmShape {
                m,
                n,
                k,
                a_row: if transposed { 1 } else { k as isize },
                a_col: if transposed { m as isize } else { 1 },
                b_row: n as isize,
                b_col: 1,
                c_row: n as isize,
                batch: 3,
                a_batch: if share_a { 0 } else { (m * k) as isize },
                b_batch: (n * k) as isize,
                c_batch: (m * n) as isize,
                accumulate,
            };
            // One entry each, or none; then a second one, which is not for this kernel.
            for (places, simple) in [
                (&[(7, 2.0), (39, -3.0), (0, 0.0)][..], true),
                (&[(7, 2.0), (8, 5.0)], false),
                (&[(0, 1.0)], false),
            ] {
                let mut b = vec![0.0; 3 * n * k];
                for (p, &(place, value)) in places.iter().enumerate() {
                    let product = if simple { p } else { 0 };
                    b[product * n * k + place] = value;
                }
                let start: Vec<f64> = (0..3 * m * n).map(|i| i as f64).collect();
                let (mut want, mut found) = (start.clone(), start.clone());
                by_definition(&shape, &a, &b, &mut want);
                // SAFETY: the arrays have the lengths of the shape.
                let taken = unsafe { run(&shape, a.as_ptr(), b.as_ptr(), found.as_mut_ptr()) };
                assert_eq!(taken, simple);
                assert_eq!(found, if simple { want.clone() } else { start.clone() });
                let mut scratch = vec![0.0; scratch_len::<f64>(&shape)];
                let mut found = start;
                // SAFETY: as above.
                unsafe {
                    gemm(
                        &shape,
                        a.as_ptr(),
                        b.as_ptr(),
                        found.as_mut_ptr(),
                        &mut scratch,
                    );
                };
                assert_eq!(found, want);
            }
        }
    }

    /// 0·∞ and 0·NaN are NaN, whichever way a product runs.
    #[test]
    fn zeros_of_b_do_not_hide_what_is_not_finite() {
        let (m, n, k) = (3, 2, 8);
        for special in [f64::INFINITY, f64::NAN] {
            for (transposed, entries) in [(false, 1), (true, 1), (false, 2), (false, 0)] {
                let shape = GemmShape {
                    m,
                    n,
                    k,
                    a_row: if transposed { 1 } else { k as isize },
                    a_col: if transposed { m as isize } else { 1 },
                    b_row: n as isize,
                    b_col: 1,
                    c_row: n as isize,
                    batch: 1,
                    a_batch: 0,
                    b_batch: 0,
                    c_batch: 0,
                    accumulate: false,
                };
                let mut a = vec![1.0; m * k];
                // Row 1, term 0.
                a[if transposed { 1 } else { k }] = special;
                let mut b = vec![0.0; k * n];
                b[2 * n..2 * n + entries].fill(1.0);
                let mut c = vec![0.0; m * n];
                let mut scratch = vec![0.0; scratch_len::<f64>(&shape)];
                // SAFETY: the arrays have the lengths of the shape.
                unsafe { gemm(&shape, a.as_ptr(), b.as_ptr(), c.as_mut_ptr(), &mut scratch) };
                let nan: Vec<bool> = c.iter().map(|c| c.is_nan()).collect();
                assert_eq!(nan, [false, false, true, true, false, false], "{c:?}");
            }
        }
    }
}
