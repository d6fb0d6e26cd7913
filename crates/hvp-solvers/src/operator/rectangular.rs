//! Rectangular operators, known by products with themselves and their transposes.

use std::sync::Arc;

use ad_core::Real;
use ndarray::{Array2, ArrayView1, ArrayView2, ArrayViewMut1, ArrayViewMut2, Zip, linalg};

use super::LinearOperator;
use super::scratch::Scratch;

/// A real `m×n` matrix `J` that is known by the products `J v` and `Jᵀ u`, such as the
/// Jacobian of `m` residuals in `n` parameters.
///
/// Solvers rely on products that are linear, repeatable and each other's transposes,
/// `uᵀ(Jv) = vᵀ(Jᵀu)`. As with [`LinearOperator`], trouble shows as NaN in the result.
pub trait RectangularOperator<T: Real> {
    /// The number of rows `m`.
    fn nrows(&self) -> usize;

    /// The number of columns `n`.
    fn ncols(&self) -> usize;

    /// Writes `J v`, of length `m`, to `y`.
    fn apply_into(&self, v: ArrayView1<'_, T>, y: ArrayViewMut1<'_, T>);

    /// Writes `Jᵀ u`, of length `n`, to `y`.
    fn apply_transposed_into(&self, u: ArrayView1<'_, T>, y: ArrayViewMut1<'_, T>);

    /// Writes `J vᵢ` to row `i` of `y` (`k×m`) for every row `vᵢ` of `v` (`k×n`).
    fn apply_block_into(&self, v: ArrayView2<'_, T>, mut y: ArrayViewMut2<'_, T>) {
        Zip::from(v.rows())
            .and(y.rows_mut())
            .for_each(|v, y| self.apply_into(v, y));
    }

    /// Writes `Jᵀ uᵢ` to row `i` of `y` (`k×n`) for every row `uᵢ` of `u` (`k×m`).
    fn apply_transposed_block_into(&self, u: ArrayView2<'_, T>, mut y: ArrayViewMut2<'_, T>) {
        Zip::from(u.rows())
            .and(y.rows_mut())
            .for_each(|u, y| self.apply_transposed_into(u, y));
    }
}

macro_rules! forward {
    ($($pointer:ty),*) => {$(
        impl<T: Real, J: RectangularOperator<T> + ?Sized> RectangularOperator<T> for $pointer {
            fn nrows(&self) -> usize {
                (**self).nrows()
            }
            fn ncols(&self) -> usize {
                (**self).ncols()
            }
            fn apply_into(&self, v: ArrayView1<'_, T>, y: ArrayViewMut1<'_, T>) {
                (**self).apply_into(v, y);
            }
            fn apply_transposed_into(&self, u: ArrayView1<'_, T>, y: ArrayViewMut1<'_, T>) {
                (**self).apply_transposed_into(u, y);
            }
            fn apply_block_into(&self, v: ArrayView2<'_, T>, y: ArrayViewMut2<'_, T>) {
                (**self).apply_block_into(v, y);
            }
            fn apply_transposed_block_into(&self, u: ArrayView2<'_, T>, y: ArrayViewMut2<'_, T>) {
                (**self).apply_transposed_block_into(u, y);
            }
        }
    )*};
}

forward!(&J, Box<J>, Arc<J>);

/// An `m×n` matrix held in memory.
///
/// ```
/// use hvp_solvers::operator::{DenseRectangular, RectangularOperator};
/// use ndarray::{array, Array1};
/// let j = DenseRectangular::new(array![[1.0, 2.0, 0.0], [0.0, 1.0, 1.0]]);
/// let mut y = Array1::zeros(3);
/// j.apply_transposed_into(array![1.0, 10.0].view(), y.view_mut());
/// assert_eq!(y, array![1.0, 12.0, 10.0]);
/// ```
#[derive(Debug, Clone)]
pub struct DenseRectangular<T> {
    matrix: Array2<T>,
}

impl<T: Real> DenseRectangular<T> {
    /// The operator with this matrix.
    pub fn new(matrix: Array2<T>) -> Self {
        Self { matrix }
    }

    /// The matrix.
    pub fn matrix(&self) -> ArrayView2<'_, T> {
        self.matrix.view()
    }
}

impl<T: Real> RectangularOperator<T> for DenseRectangular<T> {
    fn nrows(&self) -> usize {
        self.matrix.nrows()
    }

    fn ncols(&self) -> usize {
        self.matrix.ncols()
    }

    fn apply_into(&self, v: ArrayView1<'_, T>, mut y: ArrayViewMut1<'_, T>) {
        linalg::general_mat_vec_mul(T::one(), &self.matrix, &v, T::zero(), &mut y);
    }

    fn apply_transposed_into(&self, u: ArrayView1<'_, T>, mut y: ArrayViewMut1<'_, T>) {
        linalg::general_mat_vec_mul(T::one(), &self.matrix.t(), &u, T::zero(), &mut y);
    }

    fn apply_block_into(&self, v: ArrayView2<'_, T>, mut y: ArrayViewMut2<'_, T>) {
        linalg::general_mat_mul(T::one(), &v, &self.matrix.t(), T::zero(), &mut y);
    }

    fn apply_transposed_block_into(&self, u: ArrayView2<'_, T>, mut y: ArrayViewMut2<'_, T>) {
        linalg::general_mat_mul(T::one(), &u, &self.matrix, T::zero(), &mut y);
    }
}

/// The empirical Fisher matrix `F = (1/N) Σ gᵢgᵢᵀ = JᵀJ/N` of `N` cases with the gradients
/// `gᵢ = ∇ℓᵢ`, the rows of `J`.
///
/// `J` may be written down ([`DenseRectangular`], `N×n`), or be the Jacobian of a function
/// whose marked output is the vector of the cases' losses
/// ([`LinearizedJacobian`](crate::LinearizedJacobian)): then a product costs a Jacobian product
/// each way, and no gradient of a case is ever formed.
///
/// The *exact* Fisher matrix takes the labels from the model in place of the data. For losses
/// that are log-likelihoods of an exponential family in its natural parameters (softmax
/// cross-entropy in the logits, squared error) it equals the Gauss–Newton matrix, which
/// [`LinearizedOperator::gauss_newton`](crate::LinearizedOperator::gauss_newton) and
/// [`Curvature::GaussNewton`](crate::Curvature::GaussNewton) serve (Martens 2020). The
/// empirical one agrees with neither away from a perfect fit.
///
/// ```
/// use hvp_solvers::{LinearOperator, operator::{DenseRectangular, EmpiricalFisher}};
/// use ndarray::{array, Array1};
/// // Two cases with the gradients (1, 1) and (2, 0).
/// let fisher = EmpiricalFisher::new(DenseRectangular::new(array![[1.0, 1.0], [2.0, 0.0]]));
/// let mut y = Array1::zeros(2);
/// fisher.apply_into(array![1.0, 0.0].view(), y.view_mut());
/// assert_eq!(y, array![2.5, 0.5]);
/// ```
#[derive(Debug, Clone)]
pub struct EmpiricalFisher<T, J> {
    gradients: J,
    scratch: Scratch<T>,
}

impl<T: Real, J: RectangularOperator<T>> EmpiricalFisher<T, J> {
    /// The empirical Fisher matrix of cases whose gradients are the rows of `gradients`.
    pub fn new(gradients: J) -> Self {
        Self {
            gradients,
            scratch: Scratch::default(),
        }
    }

    /// `1/N`.
    fn weight(&self) -> T {
        T::of(self.gradients.nrows().max(1) as f64).recip()
    }
}

impl<T: Real, J: RectangularOperator<T>> LinearOperator<T> for EmpiricalFisher<T, J> {
    fn dim(&self) -> usize {
        self.gradients.ncols()
    }

    fn apply_into(&self, x: ArrayView1<'_, T>, mut y: ArrayViewMut1<'_, T>) {
        self.scratch.with(1, self.gradients.nrows(), |mut u| {
            self.gradients.apply_into(x, u.row_mut(0));
            self.gradients.apply_transposed_into(u.row(0), y.view_mut());
        });
        let weight = self.weight();
        y.map_inplace(|y| *y *= weight);
    }

    fn apply_block_into(&self, x: ArrayView2<'_, T>, mut y: ArrayViewMut2<'_, T>) {
        let cases = self.gradients.nrows();
        self.scratch.with(x.nrows(), cases, |mut u| {
            self.gradients.apply_block_into(x, u.view_mut());
            self.gradients
                .apply_transposed_block_into(u.view(), y.view_mut());
        });
        let weight = self.weight();
        y.map_inplace(|y| *y *= weight);
    }
}
