//! Operators on a part of the coordinates.

use std::ops::Range;

use ad_core::Real;
use ndarray::{
    Array1, ArrayBase, ArrayView1, ArrayView2, ArrayViewMut1, ArrayViewMut2, Axis, Data, DataMut,
    RemoveAxis, Slice,
};

use super::LinearOperator;
use super::scratch::Scratch;
use crate::SolverError;
use crate::error::{check_len, check_structure};

/// `P A Pᵀ`: an operator on some ranges of coordinates, the others held at zero.
///
/// For the Hessian of a network and the range of one layer's parameters this is that
/// layer's block of the Hessian. Costs a product with `A`; holds two of its vectors.
///
/// ```
/// use hvp_solvers::{LinearOperator, operator::{DenseOperator, Restricted}};
/// use ndarray::{array, Array1};
/// let a = DenseOperator::new(array![[1.0, 2.0, 3.0], [2.0, 4.0, 5.0], [3.0, 5.0, 6.0]])?;
/// let part = Restricted::new(a, &[2..3, 0..1])?;
/// let mut y = Array1::zeros(2);
/// part.apply_into(array![1.0, 10.0].view(), y.view_mut());
/// assert_eq!(y, array![36.0, 13.0]);
/// # Ok::<(), hvp_solvers::SolverError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Restricted<T, O> {
    inner: O,
    outer: usize,
    n: usize,
    ranges: Vec<Range<usize>>,
    scratch: Scratch<T>,
}

impl<T: Real, O: LinearOperator<T>> Restricted<T, O> {
    /// Restricts `inner` to these ranges of its coordinates, in this order.
    ///
    /// # Errors
    /// [`SolverError::InvalidStructure`] for a range that is empty, reaches beyond the
    /// operator or overlaps another.
    pub fn new(inner: O, ranges: &[Range<usize>]) -> Result<Self, SolverError> {
        let outer = inner.dim();
        for (k, range) in ranges.iter().enumerate() {
            check_structure("ranges", k, !range.is_empty(), "not empty")?;
            check_structure("ranges", k, range.end <= outer, "within the operator")?;
            let meets = |other: &Range<usize>| other.start < range.end && range.start < other.end;
            let alone = !ranges[..k].iter().any(meets);
            check_structure("ranges", k, alone, "apart from the ranges before")?;
        }
        Ok(Self {
            inner,
            outer,
            n: ranges.iter().map(ExactSizeIterator::len).sum(),
            ranges: ranges.to_vec(),
            scratch: Scratch::default(),
        })
    }

    /// `P x`: the part of a full vector, such as a gradient.
    ///
    /// # Errors
    /// [`SolverError::DimensionMismatch`].
    pub fn restrict(&self, full: ArrayView1<'_, T>) -> Result<Array1<T>, SolverError> {
        check_len("full vector", full.len(), self.outer)?;
        let mut part = Array1::zeros(self.n);
        self.gather(&full, &mut part);
        Ok(part)
    }

    /// `Pᵀ y`: a part, such as a step, as a full vector with zeros elsewhere.
    ///
    /// # Errors
    /// [`SolverError::DimensionMismatch`].
    pub fn extend(&self, part: ArrayView1<'_, T>) -> Result<Array1<T>, SolverError> {
        check_len("part", part.len(), self.n)?;
        let mut full = Array1::zeros(self.outer);
        self.scatter(&part, &mut full);
        Ok(full)
    }

    /// Pairs each range with its place in the part.
    fn places(&self) -> impl Iterator<Item = (Slice, Slice)> {
        self.ranges.iter().scan(0, |at, range| {
            let start = *at;
            *at += range.len();
            Some((Slice::from(range.clone()), Slice::from(start..*at)))
        })
    }

    /// Along the last axis, of vectors and of blocks.
    fn gather<F, P, D>(&self, full: &ArrayBase<F, D>, part: &mut ArrayBase<P, D>)
    where
        F: Data<Elem = T>,
        P: DataMut<Elem = T>,
        D: RemoveAxis,
    {
        let axis = Axis(full.ndim() - 1);
        for (outer, inner) in self.places() {
            part.slice_axis_mut(axis, inner)
                .assign(&full.slice_axis(axis, outer));
        }
    }

    fn scatter<P, F, D>(&self, part: &ArrayBase<P, D>, full: &mut ArrayBase<F, D>)
    where
        P: Data<Elem = T>,
        F: DataMut<Elem = T>,
        D: RemoveAxis,
    {
        let axis = Axis(full.ndim() - 1);
        for (outer, inner) in self.places() {
            full.slice_axis_mut(axis, outer)
                .assign(&part.slice_axis(axis, inner));
        }
    }
}

impl<T: Real, O: LinearOperator<T>> LinearOperator<T> for Restricted<T, O> {
    fn dim(&self) -> usize {
        self.n
    }

    fn apply_into(&self, x: ArrayView1<'_, T>, mut y: ArrayViewMut1<'_, T>) {
        self.scratch.with(2, self.outer, |both| {
            let (mut from, mut to) = both.split_at(Axis(0), 1);
            self.scatter(&x, &mut from.row_mut(0));
            self.inner.apply_into(from.row(0), to.row_mut(0));
            self.gather(&to.row(0), &mut y);
        });
    }

    fn apply_block_into(&self, x: ArrayView2<'_, T>, mut y: ArrayViewMut2<'_, T>) {
        self.scratch.with(2 * x.nrows(), self.outer, |both| {
            let (mut from, mut to) = both.split_at(Axis(0), x.nrows());
            self.scatter(&x, &mut from);
            self.inner.apply_block_into(from.view(), to.view_mut());
            self.gather(&to, &mut y);
        });
    }
}
