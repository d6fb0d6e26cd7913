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
    /// covers 84 % of the entries (flat and step), 90 % (power law), 94 % (exponential). An
    /// allowance for rounding comes on top, and is all that is left of an exactly low rank.
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
        let Qr { q, r, random } = qr(&y, &mut rng);
        let z = products(a, &q);
        found.n_products = 2 * k;
        // diag(QQᵀA), common to all samples; and what rounding may do to it.
        let eps = T::of(10.0 * k as f64) * T::epsilon();
        let mut rounding = Array1::zeros(n);
        for i in (0..k).filter(|i| !random.contains(i)) {
            for (j, (&q, &z)) in q.row(i).iter().zip(z.row(i)).enumerate() {
                found.diagonal[j] += q * z;
                rounding[j] += eps * (q * z).abs();
            }
        }
        found.error_bars = rounding;
        if !random.is_empty() {
            beyond_range(&q, &z, &random, found);
            return;
        }
        found.stop = TraceStop::Estimated;
        let s = unit_inverse_rows(&r);
        let (qs, zs) = (s.dot(&q), s.dot(&z)); // rows: Q sᵢ, Z sᵢ
        let t = gram(&omega, &z); // rows: Zᵀωᵢ
        let qt = t.dot(&q);
        let mut moments = Moments::new(n);
        let mut sample = vec![T::zero(); n];
        for i in 0..k {
            let st = dot(row(&s, i), row(&t, i));
            let (qsi, zsi, omega) = (row(&qs, i), row(&zs, i), row(&omega, i));
            for j in 0..n {
                let rest = y[[i, j]] - qt[[i, j]] + qsi[j] * st;
                sample[j] = omega[j] * rest - qsi[j] * zsi[j];
            }
            moments.take(&sample);
        }
        moments.add_to(found);
    }
}

/// Means and squared deviations of samples, entry by entry (Welford's recurrences).
struct Moments<T> {
    count: usize,
    mean: Vec<T>,
    squares: Vec<T>,
}

impl<T: Real> Moments<T> {
    fn new(n: usize) -> Self {
        Self {
            count: 0,
            mean: vec![T::zero(); n],
            squares: vec![T::zero(); n],
        }
    }

    fn take(&mut self, sample: &[T]) {
        self.count += 1;
        let count = T::of(self.count as f64);
        for ((mean, squares), &sample) in self.mean.iter_mut().zip(&mut self.squares).zip(sample) {
            let from_old = sample - *mean;
            *mean += from_old / count;
            *squares += from_old * (sample - *mean);
        }
    }

    /// Adds the means to an estimate, and their bars to its bars.
    fn add_to(&self, found: &mut DiagonalEstimate<T>) {
        let k = self.count as f64;
        let factor = T::of(student_95(k - 1.0) / (k * (k - 1.0)).sqrt());
        for (bar, &squares) in found.error_bars.iter_mut().zip(&self.squares) {
            *bar += factor * squares.sqrt();
        }
        if let Some(diagonal) = found.diagonal.as_slice_mut() {
            axpy(T::one(), &self.mean, diagonal);
        }
    }
}

/// The estimate where the random vectors fill the range of `A` to working accuracy: as for the
/// trace, the random rows `q` of `Q` estimate the rest of the diagonal by `(n − rank) q ∘ Aq`.
fn beyond_range<T: Real>(
    q: &Array2<T>,
    z: &Array2<T>,
    random: &[usize],
    found: &mut DiagonalEstimate<T>,
) {
    let (k, n) = q.dim();
    let dim = T::of((n - (k - random.len())) as f64);
    let mut moments = Moments::new(n);
    let mut sample = vec![T::zero(); n];
    let (mut most, mut size) = (T::zero(), T::zero());
    for i in 0..k {
        let form = dot(row(q, i), row(z, i)).abs();
        size += form;
        if random.contains(&i) {
            most = most.max(form);
            for (sample, (&q, &z)) in sample.iter_mut().zip(q.row(i).iter().zip(z.row(i))) {
                *sample = dim * q * z;
            }
            moments.take(&sample);
        }
    }
    // As for the trace: forms of an exactly low rank are rounding, and are left out.
    if most * dim.sqrt() <= T::of(10.0) * T::epsilon() * size {
        return;
    }
    found.stop = TraceStop::Estimated;
    if random.len() > 1 {
        moments.add_to(found);
        return;
    }
    // One sample says nothing about its own error.
    let factor = T::of(student_95(1.0));
    for ((diagonal, bar), &sample) in found
        .diagonal
        .iter_mut()
        .zip(&mut found.error_bars)
        .zip(&sample)
    {
        *diagonal += sample;
        *bar += factor * sample.abs();
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
