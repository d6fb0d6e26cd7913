//! Stochastic Lanczos quadrature: the runs.

use ad_core::Real;
use serde::{Deserialize, Serialize};

use super::estimate::SpectralEstimate;
use super::krylov::Krylov;
use super::quadrature::Quadrature;
use crate::error::{Quantity, SolverError, check_setting};
use crate::operator::LinearOperator;
use crate::random::generator;
use crate::trace::TraceStop;
use crate::trace::sketch::{row, signs};

/// Stochastic Lanczos quadrature (Golub & Meurant 1994; Ubaru, Chen & Saad 2017).
///
/// For a vector of random signs `v`, `m` Lanczos steps from `v/√n` give the nodes `θₖ` and the
/// weights `τₖ = (e₁ᵀyₖ)²` of the Gauss quadrature for the spectral measure of `v`, so that
/// `vᵀf(A)v ≈ n Σ τₖ f(θₖ)`, exactly for polynomials up to degree `2m − 1`; and the mean
/// over `v` is `tr f(A)`.
///
/// The product with a combination of the first basis shows how exact products are, which is in every
/// bound ([`Quadrature::resolution`]).
///
/// - **Cost**: `n_probes · n_steps` products and one more, `4nm²` to `8nm²` flops for each probe.
/// - **Memory**: `n_steps + 1` vectors; each probe leaves `4·n_steps` numbers.
/// - **Resuming**: over a [`Journal`](crate::operator::Journal).
///
/// ```
/// use hvp_solvers::{operator::DiagonalOperator, spectrum::Slq};
/// use ndarray::Array1;
/// // log det = Σ log d; random signs weigh the entries of a diagonal matrix alike.
/// let d = Array1::linspace(1.0_f64, 3.0, 100);
/// let exact: f64 = d.iter().map(|d| d.ln()).sum();
/// let found = Slq::default().estimate(&DiagonalOperator::new(d))?;
/// assert!((found.log_determinant().value - exact).abs() < 1e-10);
/// let half = found.cumulative(2.0);
/// assert!(half.lower <= 0.5 && 0.5 <= half.upper && half.upper - half.lower < 0.04);
/// # Ok::<(), hvp_solvers::SolverError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slq {
    /// Random vectors; at least 2, for an error bar. Default 10.
    pub n_probes: usize,
    /// Lanczos steps for each; at most `n` are made. Default 50.
    pub n_steps: usize,
    /// Seed of the random vectors. Default 0.
    pub seed: u64,
}

impl Default for Slq {
    fn default() -> Self {
        Self {
            n_probes: 10,
            n_steps: 50,
            seed: 0,
        }
    }
}

impl Slq {
    /// Runs the probes.
    ///
    /// # Errors
    /// [`SolverError::InvalidSetting`] for fewer than two probes or no steps.
    pub fn estimate<T, A>(&self, a: &A) -> Result<SpectralEstimate, SolverError>
    where
        T: Real,
        A: LinearOperator<T> + ?Sized,
    {
        let (probes, steps) = (self.n_probes, self.n_steps);
        check_setting("n_probes", probes as f64, probes >= 2, "at least 2")?;
        check_setting("n_steps", steps as f64, steps >= 1, "at least 1")?;
        let n = a.dim();
        let steps = steps.min(n);
        let mut found = SpectralEstimate {
            dim: n,
            quadratures: Vec::with_capacity(probes),
            n_products: 0,
            seed: self.seed,
            stop: TraceStop::Estimated,
        };
        if n == 0 {
            return Ok(found);
        }
        let mut rng = generator(self.seed);
        let mut krylov = Krylov::new(n, steps);
        for _ in 0..probes {
            let v = signs::<T>(1, n, &mut rng);
            krylov.start(row(&v, 0), T::of((n as f64).sqrt()));
            let mut finite = true;
            while finite && krylov.len() < steps && !krylov.exhausted {
                finite = krylov.step(a);
            }
            if finite && found.quadratures.is_empty() {
                finite = krylov.measure_noise(a);
            }
            let quadrature = finite.then(|| Quadrature::of(&krylov)).flatten();
            let Some(quadrature) = quadrature else {
                found.stop = TraceStop::NonFinite {
                    what: Quantity::Product,
                };
                break;
            };
            found.quadratures.push(quadrature);
        }
        found.n_products = krylov.n_products;
        Ok(found)
    }
}
