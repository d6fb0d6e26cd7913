//! What Newton methods ask of a function.

use ad_core::Real;
use ndarray::{Array2, ArrayView1, ArrayView2, ArrayViewMut1, ArrayViewMut2, Zip, s};
use serde::{Deserialize, Serialize};

use crate::{LinearOperator, SolverError};

/// A function `f: ℝⁿ → ℝ` with its gradient.
///
/// Values that are not finite are returned as they are; solvers detect them.
pub trait Objective<T: Real> {
    /// The dimension `n`.
    fn dim(&self) -> usize;

    /// `f(x)`.
    fn value(&mut self, x: ArrayView1<'_, T>) -> T;

    /// `f(x)`, and writes `∇f(x)` to `grad`.
    fn value_and_grad(&mut self, x: ArrayView1<'_, T>, grad: ArrayViewMut1<'_, T>) -> T;
}

/// Unit vectors that a dense Hessian is made from at a time.
const UNITS: usize = 16;

/// An objective that multiplies by its Hessian `H = ∇²f` at a chosen point.
///
/// [`linearize`](Self::linearize) moves the point of linearization; every product
/// afterwards refers to it, whatever values and gradients are asked for in between.
///
/// ```
/// use hvp_solvers::{Objective, SecondOrder};
/// use ndarray::{array, Array1, ArrayView1, ArrayViewMut1};
///
/// /// f(x) = Σ xᵢ⁴ / 4, with the Hessian diag(3 xᵢ²).
/// struct Quartic { at: Array1<f64> }
/// impl Objective<f64> for Quartic {
///     fn dim(&self) -> usize { self.at.len() }
///     fn value(&mut self, x: ArrayView1<f64>) -> f64 { x.mapv(|x| x.powi(4) / 4.0).sum() }
///     fn value_and_grad(&mut self, x: ArrayView1<f64>, mut grad: ArrayViewMut1<f64>) -> f64 {
///         grad.assign(&x.mapv(|x| x.powi(3)));
///         self.value(x)
///     }
/// }
/// impl SecondOrder<f64> for Quartic {
///     fn linearize(&mut self, x: ArrayView1<f64>, grad: ArrayViewMut1<f64>) -> f64 {
///         self.at.assign(&x);
///         self.value_and_grad(x, grad)
///     }
///     fn hvp_into(&self, v: ArrayView1<f64>, mut out: ArrayViewMut1<f64>) {
///         out.assign(&(self.at.mapv(|x| 3.0 * x * x) * v));
///     }
/// }
/// let mut f = Quartic { at: Array1::zeros(2) };
/// let mut g = Array1::zeros(2);
/// f.linearize(array![1.0, 2.0].view(), g.view_mut());
/// let mut hv = Array1::zeros(2);
/// f.hvp_into(array![1.0, 1.0].view(), hv.view_mut());
/// assert_eq!(hv, array![3.0, 12.0]);
/// ```
pub trait SecondOrder<T: Real>: Objective<T> {
    /// Moves the point of linearization to `x`; returns `f(x)` and writes `∇f(x)`.
    fn linearize(&mut self, x: ArrayView1<'_, T>, grad: ArrayViewMut1<'_, T>) -> T;

    /// Writes `H v` at the point of linearization. One product.
    fn hvp_into(&self, v: ArrayView1<'_, T>, out: ArrayViewMut1<'_, T>);

    /// Writes `H vᵢ` to row `i` of `out` for every row `vᵢ`; both are `k×n`.
    fn hvp_block_into(&self, v: ArrayView2<'_, T>, mut out: ArrayViewMut2<'_, T>) {
        Zip::from(v.rows())
            .and(out.rows_mut())
            .for_each(|v, out| self.hvp_into(v, out));
    }

    /// Writes `H` itself, `n×n`: small problems only.
    ///
    /// The default multiplies blocks of unit vectors, `n` products in all.
    fn hessian_into(&self, mut out: ArrayViewMut2<'_, T>) {
        let n = self.dim();
        let count = UNITS.min(n);
        let mut units = Array2::zeros((count, n));
        for start in (0..n).step_by(UNITS) {
            let rows = count.min(n - start);
            for row in 0..rows {
                units[[row, start + row]] = T::one();
            }
            let products = out.slice_mut(s![start..start + rows, ..]);
            self.hvp_block_into(units.slice(s![..rows, ..]), products);
            for row in 0..rows {
                units[[row, start + row]] = T::zero();
            }
        }
    }

    /// Whether [`ggnvp_into`](Self::ggnvp_into) is offered.
    fn has_gauss_newton(&self) -> bool {
        false
    }

    /// Writes `G v` with the generalised Gauss–Newton matrix `G = Jᵀ(∇²ℓ)J ⪰ 0` of
    /// `f = ℓ ∘ model`, at the point of linearization.
    ///
    /// The default, for objectives without such a structure, writes NaN.
    fn ggnvp_into(&self, v: ArrayView1<'_, T>, mut out: ArrayViewMut1<'_, T>) {
        let _ = v;
        out.fill(T::nan());
    }

    /// Chooses the cases that products refer to from the next
    /// [`linearize`](Self::linearize) on; value and gradient stay those of all cases.
    ///
    /// For means over many cases, where a product over some of them is good enough. The
    /// choice has to depend on `index` alone, which counts the linearizations of a run, so
    /// that a run can be resumed. The default has no such choice.
    fn select_curvature_batch(&mut self, index: u64) {
        let _ = index;
    }

    /// Whether products may refer to other cases than the value does.
    fn has_curvature_batches(&self) -> bool {
        false
    }

    /// `f(x)` over the cases that products refer to.
    fn curvature_value(&mut self, x: ArrayView1<'_, T>) -> T {
        self.value(x)
    }

    /// Writes an estimate of the curvature's diagonal at the point of linearization, at least
    /// zero, for a preconditioner; for a mean over cases the mean of their squared
    /// gradients. False, the default, if there is none.
    fn curvature_diagonal_into(&self, out: ArrayViewMut1<'_, T>) -> bool {
        let _ = out;
        false
    }
}

/// Which matrix stands for the curvature of an objective.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Curvature {
    /// The Hessian `H`: exact, possibly indefinite.
    #[default]
    Hessian,
    /// The generalised Gauss–Newton matrix `G`: positive semidefinite.
    GaussNewton,
}

/// An objective's curvature at its point of linearization, `H + λI` or `G + λI`.
///
/// ```
/// use hvp_solvers::{Curvature, CurvatureOperator, LinearOperator, SecondOrder};
/// use hvp_solvers::objective::Quadratic;
/// use ndarray::{array, Array1};
/// let mut f = Quadratic::new(array![[6.0, 2.0], [2.0, 2.0]], Array1::zeros(2))?;
/// let mut g = Array1::zeros(2);
/// f.linearize(array![1.0, 1.0].view(), g.view_mut());
/// let h = CurvatureOperator::new(&f, Curvature::Hessian, 0.5)?;
/// let mut y = Array1::zeros(2);
/// h.apply_into(array![1.0, 0.0].view(), y.view_mut());
/// assert_eq!(y, array![6.5, 2.0]);
/// # Ok::<(), hvp_solvers::SolverError>(())
/// ```
#[derive(Debug)]
pub struct CurvatureOperator<'a, T, O: ?Sized> {
    objective: &'a O,
    curvature: Curvature,
    damping: T,
}

impl<'a, T: Real, O: SecondOrder<T> + ?Sized> CurvatureOperator<'a, T, O> {
    /// The operator `H + damping·I` or `G + damping·I` at the point of linearization.
    ///
    /// # Errors
    /// [`SolverError::NoGaussNewton`] if `G` is asked for and not offered;
    /// [`SolverError::InvalidSetting`] for a damping that is not finite.
    pub fn new(objective: &'a O, curvature: Curvature, damping: T) -> Result<Self, SolverError> {
        if curvature == Curvature::GaussNewton && !objective.has_gauss_newton() {
            return Err(SolverError::NoGaussNewton);
        }
        crate::error::check_setting("damping", damping.as_f64(), damping.is_finite(), "finite")?;
        Ok(Self::of(objective, curvature, damping))
    }

    /// [`new`](Self::new) where settings were checked before.
    pub(crate) fn of(objective: &'a O, curvature: Curvature, damping: T) -> Self {
        Self {
            objective,
            curvature,
            damping,
        }
    }
}

impl<T: Real, O: SecondOrder<T> + ?Sized> LinearOperator<T> for CurvatureOperator<'_, T, O> {
    fn dim(&self) -> usize {
        self.objective.dim()
    }

    fn apply_into(&self, x: ArrayView1<'_, T>, mut y: ArrayViewMut1<'_, T>) {
        match self.curvature {
            Curvature::Hessian => self.objective.hvp_into(x, y.view_mut()),
            Curvature::GaussNewton => self.objective.ggnvp_into(x, y.view_mut()),
        }
        if self.damping != T::zero() {
            Zip::from(y).and(x).for_each(|y, &x| *y += self.damping * x);
        }
    }

    fn apply_block_into(&self, x: ArrayView2<'_, T>, mut y: ArrayViewMut2<'_, T>) {
        match self.curvature {
            Curvature::Hessian => self.objective.hvp_block_into(x, y.view_mut()),
            Curvature::GaussNewton => Zip::from(x.rows())
                .and(y.rows_mut())
                .for_each(|x, y| self.objective.ggnvp_into(x, y)),
        }
        if self.damping != T::zero() {
            Zip::from(y).and(x).for_each(|y, &x| *y += self.damping * x);
        }
    }
}

/// The quadratic `f(x) = ½ xᵀHx + bᵀx`, the model problem of every second-order method.
///
/// ```
/// use hvp_solvers::{Objective, objective::Quadratic};
/// use ndarray::{array, Array1};
/// let mut f = Quadratic::new(array![[6.0, 0.8], [0.8, 2.0]], Array1::zeros(2))?;
/// assert_eq!(f.value(array![2.5, -2.0].view()), 18.75);
/// # Ok::<(), hvp_solvers::SolverError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Quadratic<T> {
    hessian: crate::operator::DenseOperator<T>,
    linear: ndarray::Array1<T>,
    gradient: ndarray::Array1<T>,
}

impl<T: Real> Quadratic<T> {
    /// `½ xᵀ·hessian·x + linearᵀx`; `hessian` must be symmetric.
    ///
    /// # Errors
    /// [`SolverError::NotSquare`] or [`SolverError::DimensionMismatch`].
    pub fn new(hessian: Array2<T>, linear: ndarray::Array1<T>) -> Result<Self, SolverError> {
        let hessian = crate::operator::DenseOperator::new(hessian)?;
        crate::error::check_len("linear", linear.len(), hessian.matrix().nrows())?;
        Ok(Self {
            gradient: linear.clone(),
            hessian,
            linear,
        })
    }
}

impl<T: Real> Objective<T> for Quadratic<T> {
    fn dim(&self) -> usize {
        self.linear.len()
    }

    fn value(&mut self, x: ArrayView1<'_, T>) -> T {
        self.hessian.apply_into(x, self.gradient.view_mut());
        let half = T::of(0.5);
        Zip::from(&self.gradient)
            .and(&self.linear)
            .and(x)
            .fold(T::zero(), |sum, &hx, &b, &x| sum + (half * hx + b) * x)
    }

    fn value_and_grad(&mut self, x: ArrayView1<'_, T>, grad: ArrayViewMut1<'_, T>) -> T {
        let value = self.value(x);
        Zip::from(grad)
            .and(&self.gradient)
            .and(&self.linear)
            .for_each(|g, &hx, &b| *g = hx + b);
        value
    }
}

impl<T: Real> SecondOrder<T> for Quadratic<T> {
    fn linearize(&mut self, x: ArrayView1<'_, T>, grad: ArrayViewMut1<'_, T>) -> T {
        self.value_and_grad(x, grad)
    }

    fn hvp_into(&self, v: ArrayView1<'_, T>, out: ArrayViewMut1<'_, T>) {
        self.hessian.apply_into(v, out);
    }

    fn hvp_block_into(&self, v: ArrayView2<'_, T>, out: ArrayViewMut2<'_, T>) {
        self.hessian.apply_block_into(v, out);
    }

    fn hessian_into(&self, mut out: ArrayViewMut2<'_, T>) {
        out.assign(&self.hessian.matrix());
    }
}
