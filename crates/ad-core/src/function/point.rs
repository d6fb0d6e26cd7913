//! Where a function is evaluated: parameters and data, checked.

use ndarray::{Array1, ArrayView1, ArrayViewD, ArrayViewMut1};
use smallvec::SmallVec;

use crate::error::Error;
use crate::kernels::all_finite;
use crate::real::Real;

/// A point at which a recorded function is evaluated: the parameters, and the data arrays that it
/// was recorded with.
///
/// Made from a vector, an array or a slice where there are no data, and by [`Point::with_data`]
/// otherwise. Arrays are borrowed and must be contiguous in row-major order.
#[derive(Clone, Copy, Debug)]
pub struct Point<'a, T> {
    parameters: Parameters<'a, T>,
    data: &'a [ArrayViewD<'a, T>],
    check_parameters: bool,
    check_data: bool,
}

#[derive(Clone, Copy, Debug)]
enum Parameters<'a, T> {
    Slice(&'a [T]),
    /// A view with gaps, of this length.
    Scattered,
}

/// The inputs of a program.
pub(crate) type Inputs<'a, T> = SmallVec<[&'a [T]; 8]>;

impl<'a, T> Point<'a, T> {
    /// Parameters and data arrays, in the order in which the data were recorded.
    pub fn with_data(parameters: impl Into<Self>, data: &'a [ArrayViewD<'a, T>]) -> Self {
        Self {
            data,
            ..parameters.into()
        }
    }

    /// States that the data hold no NaN and no infinity, so that calls need not look: for data that
    /// were checked when they were loaded.
    #[must_use]
    pub fn assume_finite_data(self) -> Self {
        Self {
            check_data: false,
            ..self
        }
    }

    /// States the same of data and parameters. Structural zeros stay zeros, so a number that is not
    /// finite after all need not show in a result.
    #[must_use]
    pub fn assume_finite(self) -> Self {
        Self {
            check_parameters: false,
            check_data: false,
            ..self
        }
    }

    /// The parameters, if they are contiguous.
    pub(crate) fn parameters(&self) -> Option<&'a [T]> {
        match self.parameters {
            Parameters::Slice(slice) => Some(slice),
            Parameters::Scattered => None,
        }
    }
}

impl<'a, T> From<&'a [T]> for Point<'a, T> {
    fn from(parameters: &'a [T]) -> Self {
        Self {
            parameters: Parameters::Slice(parameters),
            data: &[],
            check_parameters: true,
            check_data: true,
        }
    }
}

impl<'a, T, const N: usize> From<&'a [T; N]> for Point<'a, T> {
    fn from(parameters: &'a [T; N]) -> Self {
        Self::from(parameters.as_slice())
    }
}

impl<'a, T> From<&'a Vec<T>> for Point<'a, T> {
    fn from(parameters: &'a Vec<T>) -> Self {
        Self::from(parameters.as_slice())
    }
}

impl<'a, T> From<ArrayView1<'a, T>> for Point<'a, T> {
    fn from(parameters: ArrayView1<'a, T>) -> Self {
        let parameters = parameters
            .to_slice()
            .map_or(Parameters::Scattered, Parameters::Slice);
        Self {
            parameters,
            data: &[],
            check_parameters: true,
            check_data: true,
        }
    }
}

impl<'a, T> From<&'a Array1<T>> for Point<'a, T> {
    fn from(parameters: &'a Array1<T>) -> Self {
        Self::from(parameters.view())
    }
}

impl<'a, T: Real> Point<'a, T> {
    /// Checks number, shapes, layout and finiteness, and lists parameters and data.
    pub(crate) fn inputs(
        &self,
        n_parameters: usize,
        data_shapes: &[Vec<usize>],
    ) -> Result<Inputs<'a, T>, Error> {
        let what = "the parameter vector";
        let parameters = self
            .parameters()
            .ok_or_else(|| Error::Layout { what: what.into() })?;
        check_len(parameters.len(), n_parameters, what)?;
        let mut inputs = Inputs::new();
        if self.check_parameters {
            finite(parameters, what)?;
        }
        inputs.push(parameters);
        if self.data.len() != data_shapes.len() {
            let (expected, found) = (data_shapes.len(), self.data.len());
            return Err(Error::DataCount { expected, found });
        }
        for (at, (array, expected)) in self.data.iter().zip(data_shapes).enumerate() {
            let what = || format!("data array {at}");
            if array.shape() != expected {
                let (expected, found) = (expected.clone(), array.shape().to_vec());
                return Err(Error::Shape {
                    what: what(),
                    expected,
                    found,
                });
            }
            let slice = array
                .to_slice()
                .ok_or_else(|| Error::Layout { what: what() })?;
            if self.check_data && !all_finite(slice) {
                finite(slice, &what())?;
            }
            inputs.push(slice);
        }
        Ok(inputs)
    }
}

fn check_len(found: usize, expected: usize, what: &str) -> Result<(), Error> {
    if found == expected {
        return Ok(());
    }
    Err(Error::Shape {
        what: what.into(),
        expected: vec![expected],
        found: vec![found],
    })
}

/// The elements of a vector of `len`.
pub(crate) fn slice_of<'a, T>(
    array: &'a ArrayView1<'_, T>,
    len: usize,
    what: &str,
) -> Result<&'a [T], Error> {
    check_len(array.len(), len, what)?;
    array
        .as_slice()
        .ok_or_else(|| Error::Layout { what: what.into() })
}

/// The elements of a vector of `len`, to be written.
pub(crate) fn slice_of_mut<'a, T>(
    array: &'a mut ArrayViewMut1<'_, T>,
    len: usize,
    what: &str,
) -> Result<&'a mut [T], Error> {
    check_len(array.len(), len, what)?;
    array
        .as_slice_mut()
        .ok_or_else(|| Error::Layout { what: what.into() })
}

/// The values themselves, or which of them is not finite.
pub(crate) fn finite<'a, T: Real>(values: &'a [T], what: &str) -> Result<&'a [T], Error> {
    if all_finite(values) {
        return Ok(values);
    }
    let index = values
        .iter()
        .position(|value| !value.is_finite())
        .unwrap_or(0);
    let value = values[index].to_string();
    Err(Error::NonFinite {
        what: what.into(),
        index,
        value,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_non_finite_number_is_found_wherever_it_stands() {
        for len in [1, 31, 32, 33, 100] {
            for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
                for at in 0..len {
                    let mut values = vec![1e308; len];
                    assert!(finite(&values, "x").is_ok());
                    values[at] = bad;
                    let found = matches!(finite(&values, "x"), Err(Error::NonFinite { index, .. }) if index == at);
                    assert!(found, "{bad} at {at} of {len}");
                }
            }
        }
    }
}
