//! The diagonal of an operator.

use ad_core::Real;
use ndarray::{Array1, Array2};
use serde::{Deserialize, Serialize};

use super::outcome::{TraceStop, student_95};
use super::sketch::{BLOCK, Qr, finite, gram, products, qr, row, signs, unit_inverse_rows};
use crate::error::{Quantity, SolverError, check_setting};
use crate::operator::LinearOperator;
use crate::random::generator;
use crate::vector::{axpy, dot};

/// Estimates `diag A` by `XDiag` (Epperly, Tropp & Webber 2024) from `n_products` products.
///
/// With `Q = orth(AΩ)` for `k = n_products/2` vectors of signs, sample `i` leaves `ωᵢ` out
/// of the sketch and uses it as the probe of the rest:
///
/// `dᵢ = diag(Q₋ᵢQ₋ᵢᵀA) + ωᵢ ∘ (A − Q₋ᵢQ₋ᵢᵀA)ωᵢ`.
///
/// The estimate is the mean. With `n_products ≥ n` it is exact, from unit vectors.
/// Holds `2·n_products` vectors; about `n·n_products²` flops.
///
/// ```
/// use hvp_solvers::{operator::DiagonalOperator, trace::DiagonalEstimator};
/// use ndarray::array;
/// let found = DiagonalEstimator::default().estimate(&DiagonalOperator::new(array![3.0, -1.0]))?;
/// assert_eq!(found.diagonal, array![3.0, -1.0]);
/// assert_eq!(found.n_products, 2); // no more than there are dimensions
/// # Ok::<(), hvp_solvers::SolverError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DiagonalEstimator {
    /// Products to spend. Default 30.
    pub n_products: usize,
    /// Seed of the random vectors. Default 0.
    pub seed: u64,
}

impl Default for DiagonalEstimator {
    fn default() -> Self {
        Self {
            n_products: 30,
            seed: 0,
        }
    }
}

/// An estimate of a diagonal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DiagonalEstimate<T> {
    /// The estimate; always finite.
    pub diagonal: Array1<T>,
    /// For each entry the half width of an interval around it: Student's factor for 95 % and
    /// `k − 1` degrees of freedom times `std/√k` of the `k` samples, as if they were
    /// independent. They are not: on the spectra of
    /// [`TraceEstimate::error_bar`](super::TraceEstimate::error_bar) (300 seeds, 30 products) it
    /// covers 84 % of the entries (flat and step), 90 % (power law), 94 % (exponential).
    pub error_bars: Array1<T>,
    /// Products made.
    pub n_products: usize,
    /// The seed.
    pub seed: u64,
    /// [`TraceStop::Estimated`], [`TraceStop::Exact`] or [`TraceStop::NonFinite`].
    pub stop: TraceStop,
}

impl DiagonalEstimator {
    /// Estimates the diagonal.
    ///
    /// # Errors
    /// [`SolverError::InvalidSetting`] for fewer than 4 products, unless that is at least `n`.
    pub fn estimate<T, A>(&self, a: &A) -> Result<DiagonalEstimate<T>, SolverError>
    where
        T: Real,
        A: LinearOperator<T> + ?Sized,
    {
        let (m, n) = (self.n_products, a.dim());
        check_setting("n_products", m as f64, m >= 4 || m >= n, "at least 4")?;
        let mut found = DiagonalEstimate {
            diagonal: Array1::zeros(n),
            error_bars: Array1::zeros(n),
            n_products: n,
            seed: self.seed,
            stop: TraceStop::Exact,
        };
        if m >= n {
            unit_vectors(a, &mut found.diagonal);
        } else {
            self.exchange(a, &mut found);
        }
        let finite = |x: &Array1<T>| x.iter().all(|v| v.is_finite());
        if !finite(&found.diagonal) || !finite(&found.error_bars) {
            found.diagonal.fill(T::zero());
            found.error_bars.fill(T::max_value());
            found.stop = TraceStop::NonFinite {
                what: Quantity::Product,
            };
        }
        Ok(found)
    }

    fn exchange<T, A>(&self, a: &A, found: &mut DiagonalEstimate<T>)
    where
        T: Real,
        A: LinearOperator<T> + ?Sized,
    {
        let (k, n) = (self.n_products / 2, a.dim());
        let mut rng = generator(self.seed);
        let omega = signs::<T>(k, n, &mut rng);
        let y = products(a, &omega);
        found.n_products = k;
        if !finite(&y) {
            found.diagonal.fill(T::nan());
            return;
        }
        let Qr { q, r, full_rank } = qr(&y, &mut rng);
        let z = products(a, &q);
        found.n_products = 2 * k;
        // diag(QQᵀA), common to all samples.
        for i in 0..k {
            for ((d, &q), &z) in found.diagonal.iter_mut().zip(q.row(i)).zip(z.row(i)) {
                *d += q * z;
            }
        }
        if !full_rank {
            return;
        }
        found.stop = TraceStop::Estimated;
        let s = unit_inverse_rows(&r);
        let (qs, zs) = (s.dot(&q), s.dot(&z)); // rows: Q sᵢ, Z sᵢ
        let t = gram(&omega, &z); // rows: Zᵀωᵢ
        let qt = t.dot(&q);
        let mut mean = vec![T::zero(); n];
        let mut squares = vec![T::zero(); n];
        let mut sample = vec![T::zero(); n];
        for i in 0..k {
            let st = dot(row(&s, i), row(&t, i));
            let (qsi, zsi, omega) = (row(&qs, i), row(&zs, i), row(&omega, i));
            for j in 0..n {
                let rest = y[[i, j]] - qt[[i, j]] + qsi[j] * st;
                sample[j] = omega[j] * rest - qsi[j] * zsi[j];
            }
            // Welford's recurrences for mean and squared deviations.
            let count = T::of((i + 1) as f64);
            for j in 0..n {
                let from_old = sample[j] - mean[j];
                mean[j] += from_old / count;
                squares[j] += from_old * (sample[j] - mean[j]);
            }
        }
        let k = k as f64;
        let factor = T::of(student_95(k - 1.0) / (k * (k - 1.0)).sqrt());
        found.error_bars = squares.iter().map(|v| factor * v.sqrt()).collect();
        if let Some(diagonal) = found.diagonal.as_slice_mut() {
            axpy(T::one(), &mean, diagonal);
        }
    }
}

/// Entry by entry, in blocks.
fn unit_vectors<T, A>(a: &A, diagonal: &mut Array1<T>)
where
    T: Real,
    A: LinearOperator<T> + ?Sized,
{
    let n = a.dim();
    for start in (0..n).step_by(BLOCK) {
        let k = BLOCK.min(n - start);
        let mut x = Array2::zeros((k, n));
        for i in 0..k {
            x[[i, start + i]] = T::one();
        }
        let y = products(a, &x);
        for i in 0..k {
            diagonal[start + i] = y[[i, start + i]];
        }
    }
}
