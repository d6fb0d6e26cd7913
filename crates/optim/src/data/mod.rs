//! Data sets for classification: reading, splitting, scaling and batches.
//!
//! ```
//! use optim::data::{Scaler, Split, digits};
//!
//! let digits = digits::<f64>();
//! let Split { mut train, mut test } = digits.split_stratified(0.2, 7)?;
//! let scaler = Scaler::fit(&train);
//! scaler.apply(&mut train)?;
//! scaler.apply(&mut test)?; // with the training set's means and deviations
//! assert_eq!((train.len(), test.len()), (1437, 360));
//! # Ok::<(), optim::data::DataError>(())
//! ```

mod batches;
mod digits;
mod error;
mod reader;
mod scale;
mod split;

pub use batches::Batches;
pub use digits::digits;
pub use error::{CellProblem, DataError};
pub use reader::CsvFormat;
pub use scale::Scaler;
pub use split::Split;

use ad_core::Real;
use ndarray::{Array1, Array2, ArrayView1, ArrayView2, Axis};

/// The most classes of a data set. What is made of labels takes memory for every class; a label
/// beyond this one is a number of another kind.
pub const MAX_CLASSES: usize = 1 << 16;

/// Labelled cases: features of shape (n, d), n labels below `n_classes`.
///
/// Never empty; every feature is finite; there are at most [`MAX_CLASSES`] classes.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset<T> {
    features: Array2<T>,
    labels: Array1<usize>,
    n_classes: usize,
}

impl<T: Real> Dataset<T> {
    /// A data set from its parts.
    ///
    /// ```
    /// use ndarray::array;
    /// use optim::data::{DataError, Dataset};
    ///
    /// let data = Dataset::new(array![[0.0, 1.0], [2.0, 3.0]], array![0, 2], 3)?;
    /// assert_eq!((data.len(), data.n_features(), data.n_classes()), (2, 2, 3));
    /// assert_eq!(data.one_hot(), array![[1.0, 0.0, 0.0], [0.0, 0.0, 1.0]]);
    /// assert!(matches!(
    ///     Dataset::new(array![[0.0]], array![3], 3),
    ///     Err(DataError::LabelOutOfRange { row: 0, label: 3, n_classes: 3 })
    /// ));
    /// # Ok::<(), DataError>(())
    /// ```
    ///
    /// # Errors
    /// No rows or no columns, as many labels as rows not given, a label out of range,
    /// more than [`MAX_CLASSES`] classes, a feature that is not finite.
    pub fn new(
        features: Array2<T>,
        labels: Array1<usize>,
        n_classes: usize,
    ) -> Result<Self, DataError> {
        if features.is_empty() {
            return Err(DataError::Empty);
        }
        let n_rows = features.nrows();
        if labels.len() != n_rows {
            return Err(DataError::LabelCount {
                n_rows,
                n_labels: labels.len(),
            });
        }
        check_classes(n_classes)?;
        if let Some((row, &label)) = labels.iter().enumerate().find(|&(_, &l)| l >= n_classes) {
            return Err(DataError::LabelOutOfRange {
                row,
                label,
                n_classes,
            });
        }
        if let Some(((row, column), _)) = features.indexed_iter().find(|(_, x)| !x.is_finite()) {
            return Err(DataError::NonFinite { row, column });
        }
        Ok(Dataset {
            features,
            labels,
            n_classes,
        })
    }

    /// The number of cases, n ≥ 1.
    #[expect(clippy::len_without_is_empty, reason = "a data set is never empty")]
    pub fn len(&self) -> usize {
        self.features.nrows()
    }

    /// The number of features, d ≥ 1.
    pub fn n_features(&self) -> usize {
        self.features.ncols()
    }

    /// The number of classes.
    pub fn n_classes(&self) -> usize {
        self.n_classes
    }

    /// The features, (n, d).
    pub fn features(&self) -> ArrayView2<'_, T> {
        self.features.view()
    }

    /// The labels, length n.
    pub fn labels(&self) -> ArrayView1<'_, usize> {
        self.labels.view()
    }

    /// The labels as rows of the unit matrix, (n, `n_classes`).
    ///
    /// # Panics
    /// If there is no memory for that many numbers.
    pub fn one_hot(&self) -> Array2<T> {
        let mut encoded = Array2::zeros((self.len(), self.n_classes));
        for (mut row, &label) in encoded.rows_mut().into_iter().zip(&self.labels) {
            row[label] = T::one();
        }
        encoded
    }

    /// The cases at `rows`, in that order; a row may occur more than once.
    ///
    /// # Errors
    /// No rows, or a row that does not exist.
    pub fn select(&self, rows: &[usize]) -> Result<Self, DataError> {
        if rows.is_empty() {
            return Err(DataError::Empty);
        }
        let n_rows = self.len();
        if let Some(&row) = rows.iter().find(|&&row| row >= n_rows) {
            return Err(DataError::RowOutOfRange { row, n_rows });
        }
        Ok(Dataset {
            features: self.features.select(Axis(0), rows),
            labels: self.labels.select(Axis(0), rows),
            n_classes: self.n_classes,
        })
    }
}

fn check_classes(n_classes: usize) -> Result<(), DataError> {
    let limit = MAX_CLASSES;
    if n_classes > limit {
        return Err(DataError::TooManyClasses { n_classes, limit });
    }
    Ok(())
}
