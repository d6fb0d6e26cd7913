//! How sharp a point is, by its Hessian's spectrum.

use ad_core::Real;
use serde::{Deserialize, Serialize};

use crate::eigen::{EigenPair, EigenStop, Lanczos, Which};
use crate::error::{SolverError, check_setting};
use crate::operator::LinearOperator;
use crate::spectrum::Slq;
use crate::trace::{TraceEstimate, TraceEstimator};

/// Measures the sharpness of a point by the spectrum of its Hessian.
///
/// - `λ_max`, the curvature in the steepest direction: gradient descent of step `η` is stable only
///   below `2/η` (Cohen et al. 2021);
/// - the spectral norm `max |λ|`;
/// - the trace `Σ λ`, `n` times the mean curvature over all directions, by `XTrace` (as in Yao et al.
///   2020, there by Hutchinson's estimator);
/// - the effective dimension `Σ λ/(λ + α)` over the positive eigenvalues, the number of directions
///   that the data determine against a prior of precision `α` (MacKay 1992; Maddox, Benton &
///   Wilson 2020).
///
/// All change when the parameters are rescaled, even where the function does not (Dinh et al.
/// 2017): compare like with like.
///
/// Costs the products of one [`Lanczos`] run at both ends, of `trace_products`, and of
/// [`Slq`]: about 40 + 30 + 300 with the defaults.
///
/// ```
/// use hvp_solvers::{landscape::SharpnessProbe, operator::DiagonalOperator};
/// use ndarray::Array1;
/// // Ten directions of curvature 10, the others nearly flat.
/// let h = DiagonalOperator::new(Array1::from_shape_fn(300, |i| if i < 10 { 10.0 } else { 1e-4 }));
/// let found = SharpnessProbe::default().measure(&h)?;
/// assert!((found.largest.unwrap().value - 10.0_f64).abs() < 1e-8);
/// assert!((found.trace.value - 100.029).abs() <= found.trace.error_bar);
/// let exact = 10.0 * 10.0 / 11.0 + 290.0 * 1e-4 / 1.0001;
/// assert!((found.effective_dimension.value - exact).abs() < 1e-6);
/// # Ok::<(), hvp_solvers::SolverError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct SharpnessProbe {
    /// Relative tolerance of the extreme eigenvalues' residuals. Default 1e-6.
    pub tolerance: f64,
    /// Restarts of Lanczos. Default 100.
    pub max_restarts: usize,
    /// Products for the trace. Default 30.
    pub trace_products: usize,
    /// The quadrature of the effective dimension. Default 10 probes of 30 steps.
    pub slq: Slq,
    /// The precision `α`. Default 1.
    pub alpha: f64,
    /// Seed of the random vectors (the quadrature has its own). Default 0.
    pub seed: u64,
}

impl Default for SharpnessProbe {
    fn default() -> Self {
        Self {
            tolerance: 1e-6,
            max_restarts: 100,
            trace_products: 30,
            slq: Slq {
                n_probes: 10,
                n_steps: 30,
                seed: 0,
            },
            alpha: 1.0,
            seed: 0,
        }
    }
}

/// What [`SharpnessProbe::measure`] found.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sharpness<T> {
    /// The smallest eigenpair with bounds; `None` in dimension zero or if no product was finite.
    pub smallest: Option<EigenPair<T>>,
    /// The largest eigenpair with bounds.
    pub largest: Option<EigenPair<T>>,
    /// `max |λ|`, of the two; zero if there are none.
    pub spectral_norm: T,
    /// How the solve for the two ended.
    pub stop: EigenStop,
    /// `tr H` with its bar.
    pub trace: TraceEstimate,
    /// `Σ λ/(λ + α)` over the positive eigenvalues, with its bar.
    pub effective_dimension: TraceEstimate,
    /// Products made.
    pub n_products: usize,
}

impl SharpnessProbe {
    /// Measures the Hessian `a`.
    ///
    /// # Errors
    /// [`SolverError::InvalidSetting`] for an `alpha` that is not positive and finite, and as
    /// [`Lanczos::solve`], [`TraceEstimator::estimate`] and [`Slq::estimate`].
    pub fn measure<T, A>(&self, a: &A) -> Result<Sharpness<T>, SolverError>
    where
        T: Real,
        A: LinearOperator<T> + ?Sized,
    {
        let alpha = self.alpha;
        let sound = alpha > 0.0 && alpha.is_finite();
        check_setting("alpha", alpha, sound, "positive and finite")?;
        let lanczos = Lanczos {
            tolerance: self.tolerance,
            max_restarts: self.max_restarts,
            seed: self.seed,
            ..Lanczos::new(a.dim().min(1), Which::BothEnds)
        };
        let trace = TraceEstimator {
            n_products: self.trace_products,
            seed: self.seed,
            ..TraceEstimator::default()
        };
        let ends = lanczos.solve(a)?;
        let trace = trace.estimate(a)?;
        let spectrum = self.slq.estimate(a)?;
        let mut pairs = ends.pairs.into_iter();
        let smallest = pairs.next();
        let largest = pairs.next_back().or_else(|| smallest.clone());
        let both = smallest.iter().chain(&largest);
        let spectral_norm = both.fold(T::zero(), |norm, pair| norm.max(pair.value.abs()));
        Ok(Sharpness {
            smallest,
            largest,
            spectral_norm,
            stop: ends.stop,
            n_products: ends.stats.n_products + trace.n_products + spectrum.n_products,
            trace,
            effective_dimension: spectrum.effective_dimension(alpha),
        })
    }
}
