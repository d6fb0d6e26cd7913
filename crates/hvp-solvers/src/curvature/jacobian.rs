//! Jacobians of recorded functions.

use ad_core::{Error, Function, Linearization, Point, Product, Real};
use ndarray::{Array2, ArrayView1, ArrayView2, ArrayViewD, ArrayViewMut1, ArrayViewMut2, Axis};

use super::{product, product_block};
use crate::operator::RectangularOperator;

/// The Jacobian `J` of the marked model output at a [`Linearization`].
///
/// For a sum of squares `½‖r‖²` mark the residuals `r`: then `J` is their Jacobian, and
/// [`Lsmr`](crate::linear::Lsmr) finds the Gauss–Newton step from `J` and `Jᵀ` alone. For a
/// mean of losses mark the vector of the cases' losses: then the rows of `J` are the cases'
/// gradients, and [`EmpiricalFisher`](crate::operator::EmpiricalFisher) needs no more.
///
/// ```
/// use ad_core::Function;
/// use hvp_solvers::{LinearizedJacobian, linear::Lsmr};
/// use ndarray::array;
/// // r = (x₀² − 1, x₀x₁ − 2, x₁ − 2) is zero at (1, 2).
/// let f = Function::<f64>::record(2, |x| {
///     let (a, b) = (x.at(0), x.at(1));
///     let r = ad_core::stack(&[a * a - 1.0, a * b - 2.0, b - 2.0]).model_output();
///     0.5 * r.square().sum()
/// })?;
/// let at = f.linearize(&[1.1, 1.9])?;
/// let minus_r = array![-0.21, -0.09, 0.1];
/// let step = Lsmr::default().solve(&LinearizedJacobian::new(&at), minus_r.view())?;
/// assert!((1.1 + step.x[0] - 1.0).abs() < 0.01 && (1.9 + step.x[1] - 2.0).abs() < 0.01);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct LinearizedJacobian<'a, T> {
    at: &'a Linearization<'a, T>,
}

impl<'a, T: Real> LinearizedJacobian<'a, T> {
    /// The Jacobian at this point; that of the function itself if it marks no model output.
    pub fn new(at: &'a Linearization<'a, T>) -> Self {
        Self { at }
    }
}

/// A vector that is not finite or of the wrong length gives NaN.
impl<T: Real> RectangularOperator<T> for LinearizedJacobian<'_, T> {
    fn nrows(&self) -> usize {
        self.at.function().model_output_shape().iter().product()
    }

    fn ncols(&self) -> usize {
        self.at.function().n_parameters()
    }

    fn apply_into(&self, v: ArrayView1<'_, T>, y: ArrayViewMut1<'_, T>) {
        product(self.at, Product::Jvp, v, y);
    }

    fn apply_transposed_into(&self, u: ArrayView1<'_, T>, y: ArrayViewMut1<'_, T>) {
        product(self.at, Product::Vjp, u, y);
    }

    fn apply_block_into(&self, v: ArrayView2<'_, T>, y: ArrayViewMut2<'_, T>) {
        product_block(self.at, Product::Jvp, v, y);
    }

    fn apply_transposed_block_into(&self, u: ArrayView2<'_, T>, y: ArrayViewMut2<'_, T>) {
        product_block(self.at, Product::Vjp, u, y);
    }
}

/// The gradients of the single cases of some data, one per row (`N×n`), for
/// [`EmpiricalFisher`](crate::operator::EmpiricalFisher) and diagonals made of their squares.
///
/// `function` is recorded for *one* case, data of leading axis 1; `data` holds all cases along
/// that axis. Costs `N` gradients of a case, as much arithmetic as one gradient of the batch
/// but in thinner products, and the `N·n` numbers.
///
/// ```
/// use ad_core::Function;
/// use hvp_solvers::case_gradients;
/// use ndarray::array;
/// let f = Function::<f64>::record_with_data(2, &[&[1, 2]], |w, data| {
///     0.5 * data[0].reshape(&[2]).dot(w).square()
/// })?;
/// let cases = array![[1.0, 0.0], [1.0, 2.0], [0.0, 3.0]];
/// let rows = case_gradients(&f, &[1.0, 1.0], &[cases.view().into_dyn()])?;
/// assert_eq!(rows, array![[1.0, 0.0], [3.0, 6.0], [0.0, 9.0]]);
/// # Ok::<(), ad_core::Error>(())
/// ```
///
/// # Errors
/// [`Error::NotScalar`]; [`Error::DataCount`], [`Error::Shape`], [`Error::NonFinite`] and
/// [`Error::Layout`] for the parameters and the data; [`Error::Empty`] for no cases.
pub fn case_gradients<T: Real>(
    function: &Function<T>,
    parameters: &[T],
    data: &[ArrayViewD<'_, T>],
) -> Result<Array2<T>, Error> {
    let count = |array: &ArrayViewD<'_, T>| array.shape().first().copied().unwrap_or(0);
    let n_cases = data.first().map_or(0, count);
    if n_cases == 0 {
        let what = "the data".into();
        return Err(Error::Empty { what });
    }
    if let Some(other) = data.iter().find(|array| count(array) != n_cases) {
        let mut expected = other.shape().to_vec();
        if let Some(first) = expected.first_mut() {
            *first = n_cases;
        }
        return Err(Error::Shape {
            what: "the data".into(),
            expected,
            found: other.shape().to_vec(),
        });
    }
    let mut rows = Array2::zeros((n_cases, function.n_parameters()));
    for (case, row) in rows.rows_mut().into_iter().enumerate() {
        let one = case..=case;
        let of_case: Vec<_> = data
            .iter()
            .map(|array| array.slice_axis(Axis(0), one.clone().into()))
            .collect();
        function.value_and_grad_into(Point::with_data(parameters, &of_case), row)?;
    }
    Ok(rows)
}
