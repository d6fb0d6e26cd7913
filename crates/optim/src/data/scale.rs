//! Bringing features to a common scale.

use ad_core::Real;
use ndarray::{Array1, Axis, Zip};
use serde::{Deserialize, Serialize};

use super::{DataError, Dataset};
use crate::bits;

/// Shifts and scales each feature: x ← (x − μⱼ)/σⱼ.
///
/// Fitted on one data set (the training part) and applied to any with as many
/// features. A feature that does not vary is only shifted.
///
/// ```
/// use ndarray::array;
/// use optim::data::{Dataset, Scaler};
///
/// let mut data = Dataset::new(array![[1.0_f64, 5.0], [3.0, 5.0]], array![0, 1], 2)?;
/// Scaler::fit(&data).apply(&mut data)?;
/// assert_eq!(data.features(), array![[-1.0, 0.0], [1.0, 0.0]]);
/// # Ok::<(), optim::data::DataError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Scaler<T: Real> {
    #[serde(with = "bits::vector")]
    shift: Array1<T>,
    #[serde(with = "bits::vector")]
    width: Array1<T>,
}

impl<T: Real> Scaler<T> {
    /// The mean and the standard deviation (of the population) of each feature.
    ///
    /// Two passes, so that a large mean does not swallow the deviation.
    pub fn fit(data: &Dataset<T>) -> Self {
        let n = T::of(data.len() as f64);
        let shift = data.features().sum_axis(Axis(0)).mapv(|sum| sum / n);
        let mut width = Array1::zeros(data.n_features());
        for row in data.features().rows() {
            Zip::from(&mut width)
                .and(row)
                .and(&shift)
                .for_each(|w, &x, &m| {
                    *w += (x - m) * (x - m);
                });
        }
        let rounding = T::of(8.0) * T::epsilon();
        Zip::from(&mut width).and(&shift).for_each(|w: &mut T, &m| {
            let deviation = (*w / n).sqrt();
            // A constant feature deviates from its mean by the rounding of the mean.
            let varies = deviation > rounding * m.abs() && deviation.is_finite();
            *w = if varies { deviation } else { T::one() };
        });
        Scaler { shift, width }
    }

    /// No shift, and every feature divided by `width`: 16 brings the digits to [0, 1].
    ///
    /// # Panics
    /// If `width` is not finite and positive.
    pub fn by(width: T, n_features: usize) -> Self {
        assert!(
            width.is_finite() && width > T::zero(),
            "the width must be positive"
        );
        Scaler {
            shift: Array1::zeros(n_features),
            width: Array1::from_elem(n_features, width),
        }
    }

    /// Scales the features in place.
    ///
    /// # Errors
    /// Another number of features than was fitted, or a result that is not finite.
    pub fn apply(&self, data: &mut Dataset<T>) -> Result<(), DataError> {
        let (expected, found) = (self.shift.len(), data.n_features());
        if expected != found {
            return Err(DataError::FeatureCount { expected, found });
        }
        for mut row in data.features.rows_mut() {
            Zip::from(&mut row)
                .and(&self.shift)
                .and(&self.width)
                .for_each(|x, &m, &w| {
                    *x = (*x - m) / w;
                });
        }
        match data.features.indexed_iter().find(|(_, x)| !x.is_finite()) {
            Some(((row, column), _)) => Err(DataError::NonFinite { row, column }),
            None => Ok(()),
        }
    }
}
