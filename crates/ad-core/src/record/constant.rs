//! Constants of a recording.

use ndarray::{ArrayBase, Data, Dimension};

use super::Var;
use crate::real::Real;
use crate::shape::{MAX_RECORDED, Shape};

/// What can be a constant of a recording: a number, an array of any dimension or a view of one, or a
/// slice of numbers.
pub trait IntoConstant {
    /// The sizes along the axes.
    fn dims(&self) -> Vec<usize>;

    /// The elements in row-major order.
    fn values(&self) -> impl Iterator<Item = f64>;
}

impl IntoConstant for f64 {
    fn dims(&self) -> Vec<usize> {
        Vec::new()
    }

    fn values(&self) -> impl Iterator<Item = f64> {
        std::iter::once(*self)
    }
}

impl IntoConstant for f32 {
    fn dims(&self) -> Vec<usize> {
        Vec::new()
    }

    fn values(&self) -> impl Iterator<Item = f64> {
        std::iter::once(f64::from(*self))
    }
}

impl<T: Real> IntoConstant for &[T] {
    fn dims(&self) -> Vec<usize> {
        vec![self.len()]
    }

    fn values(&self) -> impl Iterator<Item = f64> {
        self.iter().map(|x| x.as_f64())
    }
}

impl<T: Real, const N: usize> IntoConstant for &[T; N] {
    fn dims(&self) -> Vec<usize> {
        vec![N]
    }

    fn values(&self) -> impl Iterator<Item = f64> {
        self.iter().map(|x| x.as_f64())
    }
}

impl<T: Real> IntoConstant for &Vec<T> {
    fn dims(&self) -> Vec<usize> {
        vec![self.len()]
    }

    fn values(&self) -> impl Iterator<Item = f64> {
        self.iter().map(|x| x.as_f64())
    }
}

impl<S: Data<Elem: Real>, D: Dimension> IntoConstant for &ArrayBase<S, D> {
    fn dims(&self) -> Vec<usize> {
        self.shape().to_vec()
    }

    fn values(&self) -> impl Iterator<Item = f64> {
        self.iter().map(|x| x.as_f64())
    }
}

impl<S: Data<Elem: Real>, D: Dimension> IntoConstant for ArrayBase<S, D> {
    fn dims(&self) -> Vec<usize> {
        self.shape().to_vec()
    }

    fn values(&self) -> impl Iterator<Item = f64> {
        self.iter().map(|x| x.as_f64())
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
        self.recorder.build("constant", |graph| {
            // A view may repeat a few numbers more often than memory could hold.
            let shape = Shape::new(&values.dims()).check(MAX_RECORDED)?;
            let mut copy: Vec<f64> = Vec::new();
            let room = copy.try_reserve_exact(shape.len());
            room.map_err(|error| format!("an array of the shape {shape}: {error}"))?;
            copy.extend(values.values());
            match copy.iter().position(|value| !value.is_finite()) {
                Some(at) => Err(format!("{} at flat index {at}", copy[at])),
                None if shape.rank() == 0 => Ok(graph.scalar(copy[0])),
                None => Ok(graph.constant(copy, &shape)),
            }
        })
    }
}
