//! Bringing features to a common scale.

use ad_core::Real;
use hvp_solvers::vector::power_of_two_below;
use ndarray::{Array1, Zip};
use serde::{Deserialize, Serialize};

use super::{DataError, Dataset};
use crate::bits;

/// Shifts and scales each feature: x ← (x − μⱼ)/σⱼ.
///
/// Fitted on one data set (the training part) and applied to any with as many
/// features. A feature that does not vary, by more than 4 units in the last place of its
/// largest magnitude, is only shifted.
///
/// ```
/// use ndarray::array;
/// use optim::data::{Dataset, Scaler};
///
/// let mut data = Dataset::new(array![[1.0_f64, 0.1], [3.0, 0.1]], array![0, 1], 2)?;
/// Scaler::fit(&data).apply(&mut data)?;
/// assert_eq!(data.features(), array![[-1.0, 0.0], [1.0, 0.0]]);
/// # Ok::<(), optim::data::DataError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(bound = "", try_from = "Parts<T>", into = "Parts<T>")]
pub struct Scaler<T: Real> {
    shift: Array1<T>,
    width: Array1<T>,
}

/// What is written to a file.
#[derive(Clone, Serialize, Deserialize)]
#[serde(bound = "")]
struct Parts<T: Real> {
    #[serde(with = "bits::vector")]
    shift: Array1<T>,
    #[serde(with = "bits::vector")]
    width: Array1<T>,
}

impl<T: Real> From<Scaler<T>> for Parts<T> {
    fn from(Scaler { shift, width }: Scaler<T>) -> Self {
        Parts { shift, width }
    }
}

impl<T: Real> TryFrom<Parts<T>> for Scaler<T> {
    type Error = DataError;

    fn try_from(parts: Parts<T>) -> Result<Self, DataError> {
        let Parts { shift, width } = parts;
        let (expected, found) = (shift.len(), width.len());
        if expected != found {
            return Err(DataError::FeatureCount { expected, found });
        }
        if let Some(column) = shift.iter().position(|m| !m.is_finite()) {
            return Err(DataError::NonFinite { row: 0, column });
        }
        width.iter().try_for_each(|&w| check_width(w))?;
        Ok(Scaler { shift, width })
    }
}

fn check_width<T: Real>(width: T) -> Result<(), DataError> {
    if width.is_finite() && width > T::zero() {
        Ok(())
    } else {
        let width = width.as_f64();
        Err(DataError::Width { width })
    }
}

/// The sums of one feature.
#[derive(Debug, Clone, Copy)]
struct Column {
    least: f64,
    most: f64,
    /// A power of two, so that values divided by it are of order one.
    unit: f64,
    /// The middle of the range, in that unit: sums are of what lies about it.
    middle: f64,
    sum: Sum,
    squares: Sum,
}

impl Column {
    const EMPTY: Column = Column {
        least: f64::INFINITY,
        most: f64::NEG_INFINITY,
        unit: 1.0,
        middle: 0.0,
        sum: Sum::ZERO,
        squares: Sum::ZERO,
    };

    fn set_unit(&mut self) {
        self.unit = power_of_two_below(self.least.abs().max(self.most.abs()));
        self.middle = 0.5 * (self.least / self.unit) + 0.5 * (self.most / self.unit);
    }

    /// Whether the values differ by more than 4 units in the last place.
    fn varies<T: Real>(&self) -> bool {
        let spread = self.most / self.unit - self.least / self.unit;
        let size = self.least.abs().max(self.most.abs()) / self.unit;
        spread > 4.0 * T::epsilon().as_f64() * size
    }
}

/// A sum with the rounding of its additions (Neumaier, 1974).
#[derive(Debug, Clone, Copy)]
struct Sum {
    sum: f64,
    lost: f64,
}

impl Sum {
    const ZERO: Sum = Sum {
        sum: 0.0,
        lost: 0.0,
    };

    fn add(&mut self, term: f64) {
        let sum = self.sum + term;
        self.lost += if self.sum.abs() >= term.abs() {
            (self.sum - sum) + term
        } else {
            (term - sum) + self.sum
        };
        self.sum = sum;
    }

    fn total(self) -> f64 {
        self.sum + self.lost
    }
}

/// Shows every feature's values to its sums, row by row.
fn pass<T: Real>(data: &Dataset<T>, columns: &mut Array1<Column>, add: fn(&mut Column, f64)) {
    for row in data.features().rows() {
        Zip::from(&mut *columns)
            .and(row)
            .for_each(|column, &x| add(column, x.as_f64()));
    }
}

impl<T: Real> Scaler<T> {
    /// The mean and the standard deviation (of the population) of each feature, right to a few units
    /// in the last place for any number of rows and any size of the values.
    ///
    /// Three passes over the data: the range, the mean, the deviation from that.
    pub fn fit(data: &Dataset<T>) -> Self {
        let n = data.len() as f64;
        let mut columns = Array1::from_elem(data.n_features(), Column::EMPTY);
        pass(data, &mut columns, |column, x| {
            column.least = column.least.min(x);
            column.most = column.most.max(x);
        });
        columns.map_inplace(Column::set_unit);
        pass(data, &mut columns, |column, x| {
            column.sum.add(x / column.unit - column.middle);
        });
        columns.map_inplace(|column| column.middle += column.sum.total() / n);
        pass(data, &mut columns, |column, x| {
            let deviation = x / column.unit - column.middle;
            column.squares.add(deviation * deviation);
        });
        let shift = columns.map(|column| T::of(column.middle * column.unit));
        let width = columns.map(|column| {
            let deviation = T::of((column.squares.total() / n).sqrt() * column.unit);
            // A deviation below the least number is none that could be divided by.
            let usable = column.varies::<T>() && deviation > T::zero();
            if usable { deviation } else { T::one() }
        });
        Scaler { shift, width }
    }

    /// No shift, and every feature divided by `width`: 16 brings the digits to [0, 1].
    ///
    /// # Errors
    /// [`DataError::Width`] if `width` is not finite and positive.
    pub fn by(width: T, n_features: usize) -> Result<Self, DataError> {
        check_width(width)?;
        Ok(Scaler {
            shift: Array1::zeros(n_features),
            width: Array1::from_elem(n_features, width),
        })
    }

    /// Scales the features in place.
    ///
    /// # Errors
    /// Another number of features than was fitted, or a result that is not finite; the data are then
    /// as they were.
    pub fn apply(&self, data: &mut Dataset<T>) -> Result<(), DataError> {
        let (expected, found) = (self.shift.len(), data.n_features());
        if expected != found {
            return Err(DataError::FeatureCount { expected, found });
        }
        let scaled = |x: T, column: usize| (x - self.shift[column]) / self.width[column];
        let mut all = data.features.indexed_iter();
        if let Some(((row, column), _)) = all.find(|&((_, j), &x)| !scaled(x, j).is_finite()) {
            return Err(DataError::NonFinite { row, column });
        }
        for mut row in data.features.rows_mut() {
            Zip::from(&mut row)
                .and(&self.shift)
                .and(&self.width)
                .for_each(|x, &m, &w| {
                    *x = (*x - m) / w;
                });
        }
        Ok(())
    }
}
