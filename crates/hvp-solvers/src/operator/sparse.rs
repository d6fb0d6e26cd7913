//! A sparse symmetric matrix.

use ad_core::Real;
use ndarray::{Array1, ArrayView1, ArrayView2, ArrayViewMut1, ArrayViewMut2};

use super::LinearOperator;
use crate::SolverError;
use crate::error::{check_len, check_setting, check_structure};

/// A sparse symmetric matrix in compressed rows: 12 bytes per entry (8 in single precision)
/// and 8 per row; a product takes two flops per entry.
///
/// Each row is summed in the order of its columns, in blocks too, so that a block of
/// products has the bits of single ones.
///
/// ```
/// use hvp_solvers::{LinearOperator, operator::SparseOperator};
/// use ndarray::{array, Array1};
/// // The second difference, from its upper triangle.
/// let a = SparseOperator::from_upper(3, [
///     (0, 0, 2.0), (0, 1, -1.0), (1, 1, 2.0), (1, 2, -1.0), (2, 2, 2.0),
/// ])?;
/// let mut y = Array1::zeros(3);
/// a.apply_into(array![1.0, 2.0, 4.0].view(), y.view_mut());
/// assert_eq!(y, array![0.0, -1.0, 6.0]);
/// assert_eq!(a.n_entries(), 7);
/// # Ok::<(), hvp_solvers::SolverError>(())
/// ```
#[derive(Debug, Clone)]
pub struct SparseOperator<T> {
    /// Row `i` has the entries `starts[i]..starts[i + 1]`.
    starts: Vec<usize>,
    columns: Vec<u32>,
    values: Vec<T>,
}

impl<T: Real> SparseOperator<T> {
    /// The matrix of dimension `n` with these entries `(row, column, value)`, of both
    /// triangles and in any order. Entries of one place are added up in the order given;
    /// zeros are dropped. `O(z log z)` for `z` entries.
    ///
    /// # Errors
    /// [`SolverError::InvalidStructure`] for an index that is not below `n`,
    /// [`SolverError::NonFiniteInput`], [`SolverError::NotSymmetric`] unless it is so to the
    /// last bit ([`from_upper`](Self::from_upper) makes it so), and
    /// [`SolverError::InvalidSetting`] for a dimension of 2³² and above.
    pub fn from_triplets(
        n: usize,
        entries: impl IntoIterator<Item = (usize, usize, T)>,
    ) -> Result<Self, SolverError> {
        check_dimension(n)?;
        let mut sorted: Vec<(u32, u32, T)> = Vec::new();
        for (k, (i, j, value)) in entries.into_iter().enumerate() {
            check_structure("triplets", k, i < n && j < n, "indices below the dimension")?;
            sorted.push((i as u32, j as u32, value));
        }
        // Stable, so that equal places are added in the order given.
        sorted.sort_by_key(|&(i, j, _)| (i, j));
        let mut starts = Vec::with_capacity(n + 1);
        let (mut columns, mut values) = (Vec::new(), Vec::new());
        let mut rest = sorted.into_iter().peekable();
        for row in 0..n as u32 {
            starts.push(columns.len());
            while let Some((_, column, mut value)) = rest.next_if(|&(i, _, _)| i == row) {
                while let Some((_, _, more)) = rest.next_if(|&(i, j, _)| (i, j) == (row, column)) {
                    value += more;
                }
                if value != T::zero() {
                    columns.push(column);
                    values.push(value);
                }
            }
        }
        starts.push(columns.len());
        Self::checked(starts, columns, values)
    }

    /// The symmetric matrix with this upper triangle, the diagonal included.
    ///
    /// # Errors
    /// As [`from_triplets`](Self::from_triplets), and [`SolverError::InvalidStructure`] for an
    /// entry below the diagonal.
    pub fn from_upper(
        n: usize,
        entries: impl IntoIterator<Item = (usize, usize, T)>,
    ) -> Result<Self, SolverError> {
        let mut both = Vec::new();
        for (k, (i, j, value)) in entries.into_iter().enumerate() {
            check_structure("triplets", k, i <= j, "row at most column")?;
            check_structure("triplets", k, j < n, "indices below the dimension")?;
            both.push((i, j, value));
            if i != j {
                both.push((j, i, value));
            }
        }
        Self::from_triplets(n, both)
    }

    /// The matrix with these compressed rows: row `i` has its entries at
    /// `starts[i]..starts[i + 1]`, with increasing columns.
    ///
    /// # Errors
    /// [`SolverError::InvalidStructure`] for starts that do not begin at 0, decrease or do not
    /// end at the number of entries, and columns that do not increase in their row or are out of
    /// bounds; [`SolverError::DimensionMismatch`], [`SolverError::NonFiniteInput`];
    /// [`SolverError::NotSymmetric`], zeros that are stored included.
    pub fn from_rows(
        starts: Vec<usize>,
        columns: &[usize],
        values: Vec<T>,
    ) -> Result<Self, SolverError> {
        let n = starts.len().saturating_sub(1);
        check_dimension(n)?;
        check_len("values", values.len(), columns.len())?;
        let what = "starts";
        check_structure(what, 0, starts.first() == Some(&0), "the first is 0")?;
        let end = starts.last() == Some(&columns.len());
        check_structure(what, n, end, "the last is the number of entries")?;
        for i in 0..n {
            check_structure(what, i + 1, starts[i] <= starts[i + 1], "never decreasing")?;
        }
        for i in 0..n {
            for k in starts[i]..starts[i + 1] {
                let above = k == starts[i] || columns[k - 1] < columns[k];
                check_structure("columns", k, above, "increasing in each row")?;
                check_structure("columns", k, columns[k] < n, "below the dimension")?;
            }
        }
        let columns = columns.iter().map(|&j| j as u32).collect();
        Self::checked(starts, columns, values)
    }

    /// Looks for values that are not finite, and for each entry's mirror image.
    fn checked(starts: Vec<usize>, columns: Vec<u32>, values: Vec<T>) -> Result<Self, SolverError> {
        if let Some(index) = values.iter().position(|v| !v.is_finite()) {
            let what = "values";
            return Err(SolverError::NonFiniteInput { what, index });
        }
        // Row by row, column i is the next one that row j has not been asked for yet.
        let mut next = starts.clone();
        for i in 0..starts.len() - 1 {
            for k in starts[i]..starts[i + 1] {
                let j = columns[k] as usize;
                let at = next[j];
                let there = at < starts[j + 1] && columns[at] as usize == i;
                if !there || values[at] != values[k] {
                    let (what, row, col) = ("matrix", i, j);
                    return Err(SolverError::NotSymmetric { what, row, col });
                }
                next[j] += 1;
            }
        }
        Ok(Self {
            starts,
            columns,
            values,
        })
    }

    /// The number of stored entries.
    pub fn n_entries(&self) -> usize {
        self.values.len()
    }

    /// The diagonal.
    pub fn diagonal(&self) -> Array1<T> {
        Array1::from_shape_fn(self.dim(), |i| {
            let on = self.row(i).find(|&(j, _)| j == i);
            on.map_or(T::zero(), |(_, value)| value)
        })
    }

    /// Columns and values of a row.
    fn row(&self, i: usize) -> impl Iterator<Item = (usize, T)> {
        let range = self.starts[i]..self.starts[i + 1];
        let columns = self.columns[range.clone()].iter().map(|&j| j as usize);
        columns.zip(self.values[range].iter().copied())
    }

    fn row_product(&self, i: usize, x: &[T]) -> T {
        self.row(i)
            .fold(T::zero(), |sum, (j, value)| sum + value * x[j])
    }
}

fn check_dimension(n: usize) -> Result<(), SolverError> {
    let fits = u32::try_from(n).is_ok();
    check_setting("n", n as f64, fits, "below 2^32")
}

impl<T: Real> LinearOperator<T> for SparseOperator<T> {
    fn dim(&self) -> usize {
        self.starts.len() - 1
    }

    fn apply_into(&self, x: ArrayView1<'_, T>, mut y: ArrayViewMut1<'_, T>) {
        let x = x.as_standard_layout();
        let x = x.as_slice().unwrap_or_default();
        for (i, y) in y.iter_mut().enumerate() {
            *y = self.row_product(i, x);
        }
    }

    /// Reads the matrix once for all vectors.
    fn apply_block_into(&self, x: ArrayView2<'_, T>, mut y: ArrayViewMut2<'_, T>) {
        let n = self.dim();
        let x = x.as_standard_layout();
        let x = x.as_slice().unwrap_or_default();
        for i in 0..n {
            for (x, y) in x.chunks_exact(n).zip(y.column_mut(i)) {
                *y = self.row_product(i, x);
            }
        }
    }
}
