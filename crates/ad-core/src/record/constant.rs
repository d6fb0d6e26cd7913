//! Constants of a recording.

use std::sync::Arc;

use ndarray::{ArrayBase, Data, Dimension};

use super::Var;
use crate::real::Real;
use crate::shape::Shape;

/// What can be a constant of a recording: a number, an array of any dimension or a view of one, or a
/// slice of numbers.
pub trait IntoConstant {
    /// The shape, and the elements in row-major order.
    fn into_constant(self) -> (Vec<usize>, Arc<[f64]>);
}

impl IntoConstant for f64 {
    fn into_constant(self) -> (Vec<usize>, Arc<[f64]>) {
        (Vec::new(), Arc::new([self]))
    }
}

impl IntoConstant for f32 {
    fn into_constant(self) -> (Vec<usize>, Arc<[f64]>) {
        f64::from(self).into_constant()
    }
}

impl<T: Real> IntoConstant for &[T] {
    fn into_constant(self) -> (Vec<usize>, Arc<[f64]>) {
        (vec![self.len()], self.iter().map(|x| x.as_f64()).collect())
    }
}

impl<T: Real, const N: usize> IntoConstant for &[T; N] {
    fn into_constant(self) -> (Vec<usize>, Arc<[f64]>) {
        self.as_slice().into_constant()
    }
}

impl<T: Real> IntoConstant for &Vec<T> {
    fn into_constant(self) -> (Vec<usize>, Arc<[f64]>) {
        self.as_slice().into_constant()
    }
}

impl<S: Data<Elem: Real>, D: Dimension> IntoConstant for &ArrayBase<S, D> {
    fn into_constant(self) -> (Vec<usize>, Arc<[f64]>) {
        let values = self.iter().map(|x| x.as_f64()).collect();
        (self.shape().to_vec(), values)
    }
}

impl<S: Data<Elem: Real>, D: Dimension> IntoConstant for ArrayBase<S, D> {
    fn into_constant(self) -> (Vec<usize>, Arc<[f64]>) {
        (&self).into_constant()
    }
}

impl<'t> Var<'t> {
    /// A constant of the same recording: a number, a slice, an array or a view.
    ///
    /// ```
    /// use ad_core::Function;
    /// use ndarray::array;
    /// let m = array![[1.0, 0.0], [0.0, 2.0]];
    /// let f = Function::<f64>::record(2, |x| {
    ///     (x.constant(&m).matmul(x) + x.constant(1.0) - x.constant(&[1.0, 2.0])).sum()
    /// })?;
    /// assert_eq!(f.value(&[3.0, 4.0])?, 10.0);
    /// # Ok::<(), ad_core::Error>(())
    /// ```
    ///
    /// A NaN or an infinity in it is a recording error at the caller's line.
    #[track_caller]
    #[must_use]
    pub fn constant(self, values: impl IntoConstant) -> Self {
        let (dims, values) = values.into_constant();
        self.recorder.build("constant", |graph| {
            match values.iter().position(|value| !value.is_finite()) {
                Some(at) => Err(format!("{} at flat index {at}", values[at])),
                None if dims.is_empty() => Ok(graph.scalar(values[0])),
                None => Ok(graph.constant(values, &Shape::new(&dims))),
            }
        })
    }
}
