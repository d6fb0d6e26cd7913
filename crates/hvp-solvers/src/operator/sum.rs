//! Weighted sums of operators.

use ad_core::Real;
use ndarray::{ArrayView1, ArrayView2, ArrayViewMut1, ArrayViewMut2};

use super::LinearOperator;
use super::scratch::Scratch;
use crate::SolverError;
use crate::error::{check_len, check_setting};

/// `Σ wᵢ Aᵢ`, added in the order given: one product with each term, and `3n` flops.
///
/// Terms are of one type; `&dyn LinearOperator<T>` and `Box<dyn …>` are such types.
///
/// ```
/// use hvp_solvers::{LinearOperator, operator::{DenseOperator, DiagonalOperator, Sum}};
/// use ndarray::{array, Array1};
/// let full = DenseOperator::new(array![[0.0, 1.0], [1.0, 0.0]])?;
/// let diagonal = DiagonalOperator::new(array![1.0, 2.0]);
/// let terms: [(f64, &dyn LinearOperator<f64>); 2] = [(1.0, &full), (10.0, &diagonal)];
/// let mut y = Array1::zeros(2);
/// Sum::new(terms)?.apply_into(array![1.0, 1.0].view(), y.view_mut());
/// assert_eq!(y, array![11.0, 21.0]);
/// # Ok::<(), hvp_solvers::SolverError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Sum<T, O> {
    n: usize,
    terms: Vec<(T, O)>,
    scratch: Scratch<T>,
}

impl<T: Real, O: LinearOperator<T>> Sum<T, O> {
    /// The sum of terms `(wᵢ, Aᵢ)`.
    ///
    /// # Errors
    /// [`SolverError::InvalidSetting`] for no terms or a weight that is not finite;
    /// [`SolverError::DimensionMismatch`].
    pub fn new(terms: impl IntoIterator<Item = (T, O)>) -> Result<Self, SolverError> {
        let terms: Vec<(T, O)> = terms.into_iter().collect();
        let Some((_, first)) = terms.first() else {
            return Err(SolverError::InvalidSetting {
                name: "terms",
                value: 0.0,
                requirement: "at least one",
            });
        };
        let n = first.dim();
        for (weight, term) in &terms {
            check_setting("weight", weight.as_f64(), weight.is_finite(), "finite")?;
            check_len("term", term.dim(), n)?;
        }
        let scratch = Scratch::default();
        Ok(Self { n, terms, scratch })
    }
}

impl<T: Real, O: LinearOperator<T>> LinearOperator<T> for Sum<T, O> {
    fn dim(&self) -> usize {
        self.n
    }

    fn apply_into(&self, x: ArrayView1<'_, T>, mut y: ArrayViewMut1<'_, T>) {
        y.fill(T::zero());
        self.scratch.with(1, self.n, |mut term| {
            for (weight, a) in &self.terms {
                a.apply_into(x, term.row_mut(0));
                y.scaled_add(*weight, &term.row(0));
            }
        });
    }

    fn apply_block_into(&self, x: ArrayView2<'_, T>, mut y: ArrayViewMut2<'_, T>) {
        y.fill(T::zero());
        self.scratch.with(x.nrows(), self.n, |mut term| {
            for (weight, a) in &self.terms {
                a.apply_block_into(x, term.view_mut());
                y.scaled_add(*weight, &term);
            }
        });
    }
}
