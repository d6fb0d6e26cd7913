//! Where recorded functions meet solvers: the only module here that knows of automatic
//! differentiation.

mod jacobian;

use ad_core::{
    Error, Function, HessianWork, Linearization, Point, Product, Real, Residuals, mirror_hessian,
};
use ndarray::{Array2, ArrayView1, ArrayView2, ArrayViewD, ArrayViewMut1, ArrayViewMut2, s};
use smallvec::SmallVec;

pub use jacobian::{LinearizedJacobian, case_gradients};

use crate::{LinearOperator, Objective, SecondOrder};

/// The Hessian or the Gauss–Newton matrix at a [`Linearization`], as an operator.
///
/// ```
/// use ad_core::Function;
/// use hvp_solvers::{LinearizedOperator, eigen::{Lanczos, Which}};
/// // Σ i·xᵢ²/2 has the Hessian diag(1, …, 30).
/// let f = Function::<f64>::record_scalars(30, |x| {
///     let terms = x.iter().zip(1..).map(|(&x, i)| 0.5 * f64::from(i) * x * x);
///     terms.reduce(|sum, term| sum + term).unwrap()
/// })?;
/// let ones = vec![1.0; 30];
/// let at = f.linearize(&ones)?;
/// let top = Lanczos::new(1, Which::Largest).solve(&LinearizedOperator::hessian(&at))?;
/// assert!((top.pairs[0].value - 30.0).abs() <= 30.0 * 100.0 * f64::EPSILON);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct LinearizedOperator<'a, T> {
    at: &'a Linearization<'a, T>,
    product: Product,
}

impl<'a, T: Real> LinearizedOperator<'a, T> {
    /// H, the Hessian in the parameters.
    pub fn hessian(at: &'a Linearization<'a, T>) -> Self {
        let product = Product::Hvp;
        Self { at, product }
    }

    /// G, the Gauss–Newton matrix. It is the (exact) Fisher matrix where the loss is a negative
    /// log-likelihood of an exponential family and the marked output its natural parameter, such
    /// as the logits of a softmax cross-entropy: the loss's Hessian in them does not depend on
    /// the labels, so that it equals its expectation.
    ///
    /// # Errors
    /// [`Error::NoModelOutput`] if the function marks no model output.
    pub fn gauss_newton(at: &'a Linearization<'a, T>) -> Result<Self, Error> {
        if !at.function().has_model_output() {
            return Err(Error::NoModelOutput);
        }
        let product = Product::Ggnvp;
        Ok(Self { at, product })
    }
}

impl<T: Real> LinearOperator<T> for LinearizedOperator<'_, T> {
    fn dim(&self) -> usize {
        self.at.function().n_parameters()
    }

    /// A vector that is not finite or not of length n gives NaN.
    fn apply_into(&self, x: ArrayView1<'_, T>, y: ArrayViewMut1<'_, T>) {
        product(self.at, self.product, x, y);
    }

    /// What the vectors share is read once for all of them.
    fn apply_block_into(&self, x: ArrayView2<'_, T>, y: ArrayViewMut2<'_, T>) {
        product_block(self.at, self.product, x, y);
    }
}

/// A product at a point, through any strides; NaN where it cannot be made.
fn product<T: Real>(
    at: &Linearization<'_, T>,
    kind: Product,
    x: ArrayView1<'_, T>,
    mut y: ArrayViewMut1<'_, T>,
) {
    let x = x.as_standard_layout();
    if let Some(out) = y.as_slice_mut() {
        let out = ArrayViewMut1::from(out);
        if at.product_into(kind, x.view(), out).is_err() {
            y.fill(T::nan());
        }
        return;
    }
    match at.product(kind, x.view()) {
        Ok(product) => y.assign(&product),
        Err(_) => y.fill(T::nan()),
    }
}

/// [`product`] for one vector per row. A bad vector spoils its block.
fn product_block<T: Real>(
    at: &Linearization<'_, T>,
    kind: Product,
    x: ArrayView2<'_, T>,
    mut y: ArrayViewMut2<'_, T>,
) {
    let x = x.as_standard_layout();
    let done = if y.is_standard_layout() {
        at.product_block_into(kind, x.view(), y.view_mut())
    } else {
        let mut own = Array2::zeros(y.dim());
        let done = at.product_block_into(kind, x.view(), own.view_mut());
        y.assign(&own);
        done
    };
    if done.is_err() {
        y.fill(T::nan());
    }
}

/// A recorded function, with its data, as an objective of solvers and minimisers.
///
/// For means over many cases `optim::FiniteSum` does this by shards of data over threads.
///
/// ```
/// use ad_core::Function;
/// use hvp_solvers::{FunctionObjective, newton::TrustRegionNewton};
/// use ndarray::array;
/// let rosenbrock = Function::<f64>::record_scalars(2, |x| {
///     let (a, b) = (1.0 - x[0], x[1] - x[0] * x[0]);
///     a * a + 100.0 * b * b
/// })?;
/// let mut objective = FunctionObjective::new(&rosenbrock, &[])?;
/// let outcome = TrustRegionNewton::default().solve(&mut objective, array![-1.2, 1.0].view())?;
/// assert!((outcome.x[0] - 1.0).abs() < 1e-6 && (outcome.x[1] - 1.0).abs() < 1e-6);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct FunctionObjective<'a, T> {
    function: &'a Function<T>,
    data: &'a [ArrayViewD<'a, T>],
    parameters: Vec<T>,
    residuals: Residuals<T>,
}

impl<'a, T: Real> FunctionObjective<'a, T> {
    /// An objective of a function that is one number, with the data that it was recorded with.
    ///
    /// # Errors
    /// [`Error::NotScalar`]; [`Error::DataCount`], [`Error::Shape`], [`Error::NonFinite`] and
    /// [`Error::Layout`] for the data.
    pub fn new(function: &'a Function<T>, data: &'a [ArrayViewD<'a, T>]) -> Result<Self, Error> {
        let zeros = vec![T::zero(); function.n_parameters()];
        function.value(Point::with_data(&zeros, data))?;
        let residuals = Residuals::new();
        Ok(Self {
            function,
            data,
            parameters: zeros,
            residuals,
        })
    }

    /// Calls `f` at some parameters. The data were checked when the objective was made.
    fn at<R>(&self, parameters: &[T], f: impl FnOnce(Point<'_, T>) -> R) -> R {
        let data: SmallVec<[ArrayViewD<'_, T>; 4]> = self.data.iter().map(|a| a.view()).collect();
        f(Point::with_data(parameters, &data).assume_finite_data())
    }

    fn product_into(&self, product: Product, v: ArrayView1<'_, T>, mut out: ArrayViewMut1<'_, T>) {
        let (v, target) = (v.as_standard_layout(), out.view_mut());
        let applied = self.at(&self.parameters, |point| {
            self.function
                .apply_linearized(product, point, &self.residuals, v.view(), target)
        });
        if applied.is_err() {
            out.fill(T::nan());
        }
    }
}

impl<T: Real> FunctionObjective<'_, T> {
    /// The dense Hessian, strip by strip into the caller's matrix: no second one is made.
    fn dense_into(&self, point: Point<'_, T>, out: &mut ArrayViewMut2<'_, T>) -> Result<(), Error> {
        let strips = self.function.hessian_strips()?;
        let mut residuals = Residuals::new();
        self.function
            .linearize_hessian_into(point, &mut residuals)?;
        let mut work = HessianWork::default();
        out.fill(T::zero());
        for strip in &strips {
            let rows = out.slice_mut(s![strip.rows(), ..strip.columns()]);
            self.function
                .add_hessian_strip(strip, point, &residuals, T::one(), &mut work, rows)?;
        }
        mirror_hessian(out.view_mut(), |first, second| {
            first();
            second();
        });
        Ok(())
    }
}

impl<T: Real> Objective<T> for FunctionObjective<'_, T> {
    fn dim(&self) -> usize {
        self.function.n_parameters()
    }

    fn value(&mut self, x: ArrayView1<'_, T>) -> T {
        let x = x.as_standard_layout();
        let x = x.as_slice().unwrap_or_default();
        self.at(x, |point| self.function.value(point))
            .unwrap_or(T::nan())
    }

    fn value_and_grad(&mut self, x: ArrayView1<'_, T>, mut grad: ArrayViewMut1<'_, T>) -> T {
        let x = x.as_standard_layout();
        let x = x.as_slice().unwrap_or_default();
        let target = grad.view_mut();
        let value = self.at(x, |point| self.function.value_and_grad_into(point, target));
        value.unwrap_or_else(|_| {
            grad.fill(T::nan());
            T::nan()
        })
    }
}

impl<T: Real> SecondOrder<T> for FunctionObjective<'_, T> {
    fn linearize(&mut self, x: ArrayView1<'_, T>, mut grad: ArrayViewMut1<'_, T>) -> T {
        self.parameters.clear();
        self.parameters.extend(x.iter().copied());
        let mut residuals = std::mem::take(&mut self.residuals);
        let target = grad.view_mut();
        let value = self.at(&self.parameters, |point| {
            self.function.linearize_into(point, &mut residuals, target)
        });
        self.residuals = residuals;
        value.unwrap_or_else(|_| {
            grad.fill(T::nan());
            T::nan()
        })
    }

    fn hvp_into(&self, v: ArrayView1<'_, T>, out: ArrayViewMut1<'_, T>) {
        self.product_into(Product::Hvp, v, out);
    }

    fn hvp_block_into(&self, v: ArrayView2<'_, T>, mut out: ArrayViewMut2<'_, T>) {
        let (v, target, kept) = (v.as_standard_layout(), out.view_mut(), &self.residuals);
        let applied = self.at(&self.parameters, |point| {
            self.function
                .apply_linearized_block(Product::Hvp, point, kept, v.view(), target)
        });
        if applied.is_err() {
            out.fill(T::nan());
        }
    }

    fn hessian_into(&self, mut out: ArrayViewMut2<'_, T>) {
        let written = self.at(&self.parameters, |point| self.dense_into(point, &mut out));
        if written.is_err() {
            out.fill(T::nan());
        }
    }

    fn has_gauss_newton(&self) -> bool {
        self.function.has_model_output()
    }

    fn ggnvp_into(&self, v: ArrayView1<'_, T>, out: ArrayViewMut1<'_, T>) {
        self.product_into(Product::Ggnvp, v, out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array1, array};

    fn quadratic() -> Function<f64> {
        // ½wᵀHw with H = [[6, 0.8], [0.8, 2]].
        Function::record(2, |w| {
            let h = w.constant(array![[6.0, 0.8], [0.8, 2.0]].view().into_dyn());
            0.5 * w.reshape(&[1, 2]).matmul(h).reshape(&[2]).dot(w)
        })
        .unwrap()
    }

    #[test]
    fn the_newton_step_of_a_quadratic_ends_at_the_origin() {
        let f = quadratic();
        let w = array![2.5, -2.0];
        let at = f.linearize(&w).unwrap();
        assert!((at.value() - 18.75).abs() <= 18.75 * 4.0 * f64::EPSILON);
        for (found, expected) in at.gradient().iter().zip([13.4, -2.0]) {
            // A few roundings of terms up to 15.
            assert!((found - expected).abs() <= 4.0 * 15.0 * f64::EPSILON);
        }
        let h = f.hessian(&w).unwrap();
        let factor = crate::dense::cholesky(h.view()).unwrap();
        let step = factor.solve(at.gradient()).unwrap();
        let end = &w - &step;
        assert!(end.iter().all(|x| x.abs() <= 1e-15), "{end}");
    }

    #[test]
    fn a_saddle_is_reported() {
        let f = Function::<f64>::record_scalars(2, |x| x[0] * x[0] - x[1] * x[1]).unwrap();
        let h = f.hessian(&[0.0, 0.0]).unwrap();
        let found = crate::dense::classify(h.view()).unwrap();
        assert_eq!(found.kind, crate::dense::PointKind::Saddle);
    }

    #[test]
    fn operators_accept_views_with_gaps_and_flag_bad_vectors() {
        let f = quadratic();
        let at = f.linearize(&[1.0, 1.0]).unwrap();
        let h = LinearizedOperator::hessian(&at);
        let wide = array![[1.0, 9.0], [0.0, 9.0]];
        let mut out = Array2::<f64>::zeros((2, 2));
        h.apply_into(wide.column(0), out.column_mut(1));
        assert_eq!(out, array![[0.0, 6.0], [0.0, 0.8]]);
        let mut rows = Array2::<f64>::zeros((3, 2));
        h.apply_block_into(wide.t(), rows.slice_mut(ndarray::s![..;2, ..]));
        assert_eq!(rows, array![[6.0, 0.8], [0.0, 0.0], [61.2, 25.2]]);
        let mut y = Array1::zeros(2);
        h.apply_into(array![f64::NAN, 0.0].view(), y.view_mut());
        assert!(y.iter().all(|y| y.is_nan()));
        assert!(matches!(
            LinearizedOperator::gauss_newton(&at),
            Err(Error::NoModelOutput)
        ));
    }
}
