//! Derived functions as functions: recorded once more, with derivatives inside.

use super::Function;
use crate::error::Error;
use crate::real::Real;
use crate::record::Var;

impl<T: Real> Function<T> {
    /// ∇f as a function of the same parameters and data, of the shape `[n]`.
    ///
    /// It can be differentiated, linearized, called and derived again like any other.
    ///
    /// ```
    /// use ad_core::Function;
    /// let f = Function::<f64>::record(2, |x| x.powi(3).sum())?;
    /// let slope = f.gradient_function()?;
    /// assert_eq!(slope.evaluate(&[1.0, 2.0])?.as_slice(), Some(&[3.0, 12.0][..]));
    /// let (_, curved) = slope.jvp(&[1.0, 2.0], ndarray::array![1.0, 0.0].view())?;
    /// assert_eq!(curved.as_slice(), Some(&[6.0, 0.0][..]));
    /// # Ok::<(), ad_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::NotScalar`].
    pub fn gradient_function(&self) -> Result<Self, Error> {
        self.check_scalar("a gradient")?;
        self.derive(|x, data| x.grad(|x| self.call(x, data)))
    }

    /// H·v as a function of the same parameters and data and of one more data array, v of the
    /// shape `[n]`; the result has the shape `[n]`.
    ///
    /// # Errors
    /// [`Error::NotScalar`].
    pub fn hvp_function(&self) -> Result<Self, Error> {
        self.check_scalar("a Hessian-vector product")?;
        let n = [self.n_parameters()];
        self.derive_with(&n, |x, data, v| x.hvp(v, |x| self.call(x, data)))
    }

    /// J·v as a function of the same parameters and data and of one more data array, v of the
    /// shape `[n]`; the result has the output's shape.
    ///
    /// # Errors
    /// None but those of recording.
    pub fn jvp_function(&self) -> Result<Self, Error> {
        let n = [self.n_parameters()];
        self.derive_with(&n, |x, data, v| x.jvp(v, |x| self.call(x, data)).1)
    }

    /// Jᵀ·u as a function of the same parameters and data and of one more data array, u of the
    /// output's shape; the result has the shape `[n]`.
    ///
    /// # Errors
    /// None but those of recording.
    pub fn vjp_function(&self) -> Result<Self, Error> {
        let shape = self.output_shape().to_vec();
        self.derive_with(&shape, |x, data, u| x.vjp(|x| self.call(x, data), |_| u).1)
    }

    /// The Jacobian as a function of the same parameters and data, of the output's shape followed
    /// by `[n]`.
    ///
    /// # Errors
    /// None but those of recording.
    pub fn jacobian_function(&self) -> Result<Self, Error> {
        self.derive(|x, data| x.jacobian(|x| self.call(x, data)))
    }

    /// dᵏ/dtᵏ f(x + t·v) at t = 0 for k = `order`, as a function of the same parameters and data and
    /// of one more data array, v of the shape `[n]`.
    ///
    /// # Errors
    /// None but those of recording.
    pub fn directional_function(&self, order: usize) -> Result<Self, Error> {
        let n = [self.n_parameters()];
        self.derive_with(&n, |x, data, v| {
            x.directional_derivatives(v, order, |x| self.call(x, data))[order]
        })
    }

    /// Records a function of the same parameters and data.
    fn derive(
        &self,
        f: impl for<'t> FnOnce(Var<'t>, &[Var<'t>]) -> Var<'t>,
    ) -> Result<Self, Error> {
        let shapes: Vec<&[usize]> = self.data_shapes().iter().map(Vec::as_slice).collect();
        Self::record_with_data(self.n_parameters(), &shapes, f)
    }

    /// Records a function of the same parameters and data, and of one more data array.
    fn derive_with(
        &self,
        extra: &[usize],
        f: impl for<'t> FnOnce(Var<'t>, &[Var<'t>], Var<'t>) -> Var<'t>,
    ) -> Result<Self, Error> {
        let mut shapes: Vec<&[usize]> = self.data_shapes().iter().map(Vec::as_slice).collect();
        shapes.push(extra);
        Self::record_with_data(self.n_parameters(), &shapes, |x, data| {
            let (extra, data) = data.split_last().expect("there is the extra array");
            f(x, data, *extra)
        })
    }
}
