//! Cholesky factors by blocks of rows, in memory that is stated.
//!
//! faer's own factorisation multiplies with kernels that take twice the last-level cache for each thread
//! at the first product, hundreds of megabytes, whatever the size of the matrix.

use std::ops::Range;

use ad_core::{Real, add_product};

use crate::vector::{axpy, scale};

/// Rows of a block, which are subtracted from all others at once: they stay in the second-level cache.
const BLOCK: usize = 256;

/// Rows from which what is above them in the block is subtracted at a time.
const STRIP: usize = 64;

/// Rows that are eliminated one by one.
const FEW: usize = 8;

/// Bytes that the factorisation takes beside the matrix: what the kernels of a product copy of the rows
/// above, and a line.
pub(super) const fn scratch_bytes<T>(n: usize) -> usize {
    /// Four vectors of 64 bytes, the columns of a panel.
    const PANEL: usize = 256;
    const LINES: usize = 256;
    if n <= STRIP {
        return 0;
    }
    let depth = if n < BLOCK { n } else { BLOCK };
    depth * (STRIP * size_of::<T>() + PANEL) + LINES
}

/// `Lᵀ` of `A = LLᵀ` into the upper triangle of the row-major `a`; or the bad pivot.
pub(super) fn factorise<T: Real>(a: &mut [T], n: usize) -> Result<(), usize> {
    let mut scratch = Vec::with_capacity(scratch_bytes::<T>(n) / size_of::<T>());
    for block in (0..n).step_by(BLOCK) {
        let next_block = n.min(block + BLOCK);
        for strip in (block..next_block).step_by(STRIP) {
            let end = next_block.min(strip + STRIP);
            subtract(a, n, block..strip, strip..end, &mut scratch);
            for next in (strip..end).step_by(FEW) {
                let few = next..end.min(next + FEW);
                subtract(a, n, strip..next, few.clone(), &mut scratch);
                eliminate(a, n, few)?;
            }
        }
        for strip in (next_block..n).step_by(STRIP) {
            let strip = strip..n.min(strip + STRIP);
            subtract(a, n, block..next_block, strip, &mut scratch);
        }
    }
    Ok(())
}

/// Subtracts `Lᵢₖ Lⱼₖ` of the rows `k` above from entry `(i, j)` of the rows, `j` from the first of them
/// on. What is reached of the lower triangle is of no meaning before and after.
fn subtract<T: Real>(
    a: &mut [T],
    n: usize,
    above: Range<usize>,
    rows: Range<usize>,
    scratch: &mut Vec<T>,
) {
    let (depth, count, first) = (above.len(), rows.len(), rows.start);
    if depth == 0 {
        return;
    }
    let (head, tail) = a[..rows.end * n].split_at_mut(first * n);
    let above = &head[above.start * n + first..];
    // Kernels add: the negative of the rows is carried through.
    negate(tail, n, first);
    let size = (count, depth, n - first);
    add_product(above, (1, n), size, above, &mut tail[first..], n, scratch);
    negate(tail, n, first);
}

fn negate<T: Real>(rows: &mut [T], n: usize, first: usize) {
    for row in rows.chunks_exact_mut(n) {
        row[first..].iter_mut().for_each(|v| *v = -*v);
    }
}

/// Factorises few rows, one by one.
fn eliminate<T: Real>(a: &mut [T], n: usize, rows: Range<usize>) -> Result<(), usize> {
    for i in rows.clone() {
        let (head, below) = a[..rows.end * n].split_at_mut((i + 1) * n);
        let row = &mut head[i * n + i..];
        let pivot = row[0];
        if !(pivot > T::zero() && pivot.is_finite()) {
            return Err(i);
        }
        let root = pivot.sqrt();
        row[0] = root;
        scale(root.recip(), &mut row[1..]);
        for (j, other) in (i + 1..rows.end).zip(below.chunks_exact_mut(n)) {
            let row = &row[j - i..];
            axpy(-row[0], row, &mut other[j..]);
        }
    }
    Ok(())
}
