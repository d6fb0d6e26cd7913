//! Randomised low-rank preconditioning.

use ad_core::Real;
use ndarray::{Array1, Array2, ArrayView1, ArrayViewMut1};
use serde::{Deserialize, Serialize};

use super::Preconditioner;
use crate::eigen::symmetric::eigen_in_place;
use crate::error::{Quantity, SolverError, check_setting};
use crate::operator::LinearOperator;
use crate::random::{fill_normal, generator};
use crate::trace::sketch::{Qr, cholesky, finite, forward_solve, gram, products, qr, row};
use crate::vector::{axpy, dot, norm2, power_of_two_below};

/// Randomised Nyström preconditioning (Frangella, Tropp & Udell 2023) for `A + μI` with `A ⪰ 0`,
/// such as a damped Gauss–Newton matrix.
///
/// From the products `Y = AΩ` with `ℓ` random vectors it makes
/// `Â = Y(ΩᵀY)⁻¹Yᵀ = U diag(λ̂) Uᵀ`, the best approximation of `A` that these products allow, and
///
/// `M⁻¹ = (λ̂_ℓ + μ) U (diag(λ̂) + μI)⁻¹ Uᵀ + (I − UUᵀ)`.
///
/// With `ℓ` about twice the effective dimension `Σ λᵢ/(λᵢ + μ)` the preconditioned condition is
/// below a constant, whatever that of `A + μI` is.
///
/// - **Cost**: `ℓ` products, as one block, and `6nℓ²` flops to build; `4nℓ` flops to apply.
/// - **Memory**: `4nℓ` numbers to build, `nℓ` to keep.
///
/// ```
/// use hvp_solvers::linear::{Cg, Nystrom};
/// use hvp_solvers::operator::{DiagonalOperator, Shifted};
/// use ndarray::Array1;
/// // Eigenvalues 1000·0.5ⁱ, damped by 1e-3.
/// let a = DiagonalOperator::new(Array1::from_shape_fn(200, |i| 1000.0 * 0.5_f64.powi(i as i32)));
/// let built = Nystrom { rank: 30, ..Nystrom::default() }.build(&a, 1e-3)?;
/// let damped = Shifted::new(&a, 1e-3);
/// let b = Array1::ones(200);
/// let plain = Cg::default().solve(&damped, b.view())?;
/// let helped = Cg::default().solve_with(&damped, b.view(), None, &built.preconditioner)?;
/// assert!(helped.stats.n_products + built.n_products < plain.stats.n_products);
/// # Ok::<(), hvp_solvers::SolverError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nystrom {
    /// The number `ℓ` of random vectors, and of products; at most the dimension is used.
    /// Default 20.
    pub rank: usize,
    /// Seed of the random vectors. Default 0.
    pub seed: u64,
}

impl Default for Nystrom {
    fn default() -> Self {
        Self { rank: 20, seed: 0 }
    }
}

/// How [`Nystrom::build`] ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum NystromStop {
    /// The sketch has the full rank asked for.
    Built,
    /// The operator is not positive semidefinite on the sketch; the preconditioner is the
    /// identity.
    NotPositiveSemidefinite,
    /// A product is not finite; the preconditioner is the identity.
    NonFinite {
        /// Where it appeared.
        what: Quantity,
    },
}

/// A preconditioner and what it cost.
#[derive(Debug, Clone)]
pub struct NystromOutcome<T> {
    /// The preconditioner; usable whatever the ending.
    pub preconditioner: NystromPreconditioner<T>,
    /// How it ended.
    pub stop: NystromStop,
    /// Products made.
    pub n_products: usize,
}

/// What [`Nystrom::build`] makes.
#[derive(Debug, Clone)]
pub struct NystromPreconditioner<T> {
    n: usize,
    damping: T,
    /// Descending, at least zero.
    eigenvalues: Array1<T>,
    /// Orthonormal, one per row.
    vectors: Array2<T>,
}

impl Nystrom {
    /// Builds the preconditioner for `a + damping·I` from products with `a`.
    ///
    /// # Errors
    /// [`SolverError::InvalidSetting`] for a rank of zero, or a damping that is not positive and
    /// finite.
    pub fn build<T, A>(&self, a: &A, damping: T) -> Result<NystromOutcome<T>, SolverError>
    where
        T: Real,
        A: LinearOperator<T> + ?Sized,
    {
        check_setting("rank", self.rank as f64, self.rank > 0, "at least one")?;
        check_damping(damping)?;
        let n = a.dim();
        let rank = self.rank.min(n);
        let found = self.sketch(a, rank);
        let (stop, (eigenvalues, vectors)) = match found {
            Ok(pairs) => (NystromStop::Built, pairs),
            Err(stop) => (stop, (Array1::zeros(0), Array2::zeros((0, n)))),
        };
        Ok(NystromOutcome {
            preconditioner: NystromPreconditioner {
                n,
                damping,
                eigenvalues,
                vectors,
            },
            stop,
            n_products: rank,
        })
    }

    /// The eigenpairs of the approximation.
    fn sketch<T, A>(&self, a: &A, rank: usize) -> Result<(Array1<T>, Array2<T>), NystromStop>
    where
        T: Real,
        A: LinearOperator<T> + ?Sized,
    {
        let n = a.dim();
        let mut rng = generator(self.seed);
        let mut omega = Array2::zeros((rank, n));
        if let Some(numbers) = omega.as_slice_mut() {
            fill_normal(&mut rng, numbers);
        }
        let omega = qr(&omega, &mut rng).q;
        let mut y = products(a, &omega);
        let what = Quantity::Product;
        if !finite(&y) {
            return Err(NystromStop::NonFinite { what });
        }
        // A power of two: the squares below stay in range.
        let size = norm2(y.as_slice().unwrap_or_default());
        if size == T::zero() {
            return Ok((Array1::zeros(0), Array2::zeros((0, n))));
        }
        let unit = power_of_two_below(size);
        y.mapv_inplace(|v| v / unit);
        // A shift at rounding level keeps the Cholesky factor of a singular core real.
        let shift = T::epsilon() * T::of((n as f64).sqrt()) * (size / unit);
        y.scaled_add(shift, &omega);
        let core = gram(&omega, &y);
        let core = (&core + &core.t()).mapv(|v| v * T::of(0.5));
        let Some(factor) = cholesky(core.view()) else {
            return Err(NystromStop::NotPositiveSemidefinite);
        };
        forward_solve(&factor, &mut y);
        // Â = B Bᵀ with the rows of y for the columns of B = QR, so that Â = Q(RRᵀ)Qᵀ.
        let Qr { q, r, .. } = qr(&y, &mut rng);
        let mut inner = r.dot(&r.t());
        let (mut values, mut scratch) = (vec![T::zero(); rank], vec![T::zero(); rank]);
        let numbers = inner.as_slice_mut().unwrap_or_default();
        if !eigen_in_place(numbers, &mut values, &mut scratch) {
            return Err(NystromStop::NonFinite { what });
        }
        let descending = |k: usize| rank - 1 - k;
        let eigenvalues = Array1::from_shape_fn(rank, |k| {
            (values[descending(k)] - shift).max(T::zero()) * unit
        });
        let coefficients = Array2::from_shape_fn((rank, rank), |(k, i)| inner[[i, descending(k)]]);
        Ok((eigenvalues, coefficients.dot(&q)))
    }
}

fn check_damping<T: Real>(damping: T) -> Result<(), SolverError> {
    let usable = damping > T::zero() && damping.is_finite();
    check_setting("damping", damping.as_f64(), usable, "positive and finite")
}

impl<T: Real> NystromPreconditioner<T> {
    /// The eigenvalues `λ̂` of the approximation, descending: each at most that of `A`, up to
    /// rounding.
    pub fn eigenvalues(&self) -> ArrayView1<'_, T> {
        self.eigenvalues.view()
    }

    /// Makes it one for another damping; no product.
    ///
    /// # Errors
    /// [`SolverError::InvalidSetting`] unless it is positive and finite.
    pub fn set_damping(&mut self, damping: T) -> Result<(), SolverError> {
        check_damping(damping)?;
        self.damping = damping;
        Ok(())
    }

    /// `y ← M⁻¹ y`: adds `((λ̂_ℓ + μ)/(λ̂ + μ) − 1) u uᵀy` for each pair.
    fn precondition(&self, y: &mut [T]) {
        let Some(&last) = self.eigenvalues.last() else {
            return;
        };
        // One vector after the other: as good as all at once, because they are orthogonal.
        for (k, &value) in self.eigenvalues.iter().enumerate() {
            let factor = (last - value) / (value + self.damping);
            let u = row(&self.vectors, k);
            let share = dot(u, y);
            axpy(factor * share, u, y);
        }
    }
}

impl<T: Real> Preconditioner<T> for NystromPreconditioner<T> {
    fn apply_into(&self, r: ArrayView1<'_, T>, mut y: ArrayViewMut1<'_, T>) {
        y.assign(&r);
        match y.as_slice_mut() {
            Some(y) => self.precondition(y),
            None => {
                let mut own = y.to_vec();
                self.precondition(&mut own);
                y.assign(&ArrayView1::from(&own));
            }
        }
    }

    fn dim(&self) -> Option<usize> {
        Some(self.n)
    }
}
