//! A product brought into one of few forms.

use super::GemmShape;

/// A [`GemmShape`] whose C may have a column stride.
#[derive(Clone, Copy, Debug)]
pub(super) struct Problem {
    pub(super) shape: GemmShape,
    pub(super) c_col: isize,
    /// Whether this is Cᵀ = Bᵀ·Aᵀ, so that A and B trade places.
    pub(super) swapped: bool,
}

impl Problem {
    /// The product with as few of a batch as can be.
    #[inline]
    pub(super) fn merged(shape: &GemmShape) -> GemmShape {
        let mut s = *shape;
        if s.batch > 1 {
            merge_batch(&mut s);
        }
        s
    }

    #[inline]
    pub(super) fn new(shape: &GemmShape) -> Self {
        let mut s = Self::merged(shape);
        forget_idle_strides(&mut s);
        // One column is one row of the transposed product. That is of use where its columns are
        // contiguous in k, or where C allows for vectors along the row.
        if s.n == 1 && s.m > 1 && (s.a_col == 1 || (s.a_row == 1 && s.c_row == 1)) {
            return Self {
                shape: transposed(&s),
                c_col: s.c_row,
                swapped: true,
            };
        }
        Self {
            shape: s,
            c_col: 1,
            swapped: false,
        }
    }
}

/// Turns a batch into a single product where the operands are stacked already.
fn merge_batch(s: &mut GemmShape) {
    let (m, k) = (s.m as isize, s.k as isize);
    debug_assert!(
        s.c_batch != 0 || s.accumulate || s.batch <= 1 || s.m * s.n == 0,
        "the products of the batch overwrite each other"
    );
    let stacks = |stride: isize, len: isize, step: isize| len == 1 || stride * len == step;
    if s.b_batch == 0 && stacks(s.a_row, m, s.a_batch) && stacks(s.c_row, m, s.c_batch) {
        if m == 1 {
            (s.a_row, s.c_row) = (s.a_batch, s.c_batch);
        }
        s.m *= s.batch;
        s.batch = 1;
    } else if s.c_batch == 0 && stacks(s.a_col, k, s.a_batch) && stacks(s.b_row, k, s.b_batch) {
        if k == 1 {
            (s.a_col, s.b_row) = (s.a_batch, s.b_batch);
        }
        s.k *= s.batch;
        s.batch = 1;
    }
}

/// A stride along an axis of length one is never taken; one is as good as any other.
fn forget_idle_strides(s: &mut GemmShape) {
    if s.k == 1 {
        (s.a_col, s.b_row) = (1, 1);
    }
    if s.n == 1 {
        s.b_col = 1;
    }
}

fn transposed(s: &GemmShape) -> GemmShape {
    GemmShape {
        m: s.n,
        n: s.m,
        a_row: s.b_col,
        a_col: s.b_row,
        b_row: s.a_col,
        b_col: s.a_row,
        c_row: 1,
        a_batch: s.b_batch,
        b_batch: s.a_batch,
        ..*s
    }
}
