//! Stochastic Lanczos quadrature.

use ad_core::Real;
use serde::{Deserialize, Serialize};

use super::krylov::Krylov;
use crate::error::{Quantity, SolverError, check_setting};
use crate::operator::LinearOperator;
use crate::random::generator;
use crate::trace::outcome::Samples;
use crate::trace::sketch::{row, signs};
use crate::trace::{TraceEstimate, TraceStop};

/// Stochastic Lanczos quadrature (Golub & Meurant 1994; Ubaru, Chen & Saad 2017).
///
/// For a vector of random signs `v`, `m` Lanczos steps from `v/√n` give the nodes `θₖ` and the
/// weights `τₖ = (e₁ᵀyₖ)²` of the Gauss quadrature for the spectral measure of `v`, so that
/// `vᵀf(A)v ≈ n Σ τₖ f(θₖ)`, exactly for polynomials up to degree `2m − 1`; and the mean
/// over `v` is `tr f(A)`.
///
/// - **Cost**: `n_probes · n_steps` products, `4nm²` to `8nm²` flops a probe.
/// - **Memory**: `n_steps + 1` vectors.
///
/// ```
/// use hvp_solvers::{operator::DiagonalOperator, spectrum::Slq};
/// use ndarray::Array1;
/// // log det = Σ log d; a diagonal matrix is exact for random signs.
/// let d = Array1::linspace(1.0, 3.0, 100);
/// let exact: f64 = d.iter().map(|d| d.ln()).sum();
/// let found = Slq::default().estimate(&DiagonalOperator::new(d))?;
/// assert!((found.log_determinant().value - exact).abs() < 1e-10);
/// assert!((found.cumulative(2.0).value - 0.5).abs() < 0.05);
/// # Ok::<(), hvp_solvers::SolverError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
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

/// A Gauss quadrature for the spectral measure of one vector.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Quadrature {
    /// The nodes, ascending.
    pub nodes: Vec<f64>,
    /// Their weights, which sum to 1.
    pub weights: Vec<f64>,
    /// Whether the Krylov space was exhausted: the measure is then known exactly.
    pub exact: bool,
}

/// A share of the spectrum and how well it is known.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Cumulative {
    /// A lower bound of the mean over the probes' measures.
    pub lower: f64,
    /// The estimate, half a node's weight at the node.
    pub value: f64,
    /// An upper bound of the mean over the probes' measures.
    pub upper: f64,
    /// The standard error of `value` as the mean of random probes.
    pub standard_error: f64,
}

/// What [`Slq`] found out: one quadrature for each probe.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SpectralEstimate {
    /// The dimension `n`.
    pub dim: usize,
    /// One for each probe; fewer if a product was not finite.
    pub quadratures: Vec<Quadrature>,
    /// Products made.
    pub n_products: usize,
    /// The seed.
    pub seed: u64,
    /// [`TraceStop::Estimated`] or [`TraceStop::NonFinite`].
    pub stop: TraceStop,
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
            if !(finite && krylov.eigen()) {
                found.stop = TraceStop::NonFinite {
                    what: Quantity::Product,
                };
                break;
            }
            found.quadratures.push(quadrature(&krylov));
        }
        found.n_products = krylov.n_products;
        Ok(found)
    }
}

fn quadrature<T: Real>(krylov: &Krylov<T>) -> Quadrature {
    let m = krylov.len();
    let first = krylov.y[..m].iter().map(|y| y.as_f64());
    let weights: Vec<f64> = first.map(|y| y * y).collect();
    let total: f64 = weights.iter().sum();
    Quadrature {
        nodes: krylov.theta[..m].iter().map(|t| t.as_f64()).collect(),
        weights: weights.iter().map(|w| w / total).collect(),
        exact: krylov.exhausted,
    }
}

impl Quadrature {
    /// `Σ τₖ f(θₖ)`.
    pub fn integrate(&self, f: impl Fn(f64) -> f64) -> f64 {
        let terms = self.nodes.iter().zip(&self.weights);
        terms.map(|(&t, &w)| w * f(t)).sum()
    }

    /// Bounds and estimate of the measure of `(−∞, t]`.
    ///
    /// By the separation theorem of Chebyshev, Markov and Stieltjes the measure below
    /// node `k` is at least `τ₁ + … + τ_{k−1}`, and that up to it at most `τ₁ + … + τₖ`.
    /// A node within rounding of `t` may be counted on either side.
    pub fn cumulative(&self, t: f64) -> (f64, f64, f64) {
        let below = self.nodes.partition_point(|&node| node <= t);
        let sum: f64 = self.weights[..below].iter().sum();
        if self.exact {
            return (sum, sum, sum);
        }
        let weight = |k: Option<usize>| k.and_then(|k| self.weights.get(k)).copied();
        let last = weight(below.checked_sub(1)).unwrap_or(0.0);
        let next = weight(Some(below)).unwrap_or(0.0);
        ((sum - last).max(0.0), sum, (sum + next).min(1.0))
    }
}

impl SpectralEstimate {
    fn samples(&self, f: impl Fn(&Quadrature) -> f64) -> Samples {
        Samples {
            values: self.quadratures.iter().map(f).collect(),
            factor: 1.0,
            n_products: self.n_products,
            stop: self.stop,
        }
    }

    /// Estimates `tr f(A)`. The bar is that of the random probes; the error of the
    /// quadrature, which falls geometrically for smooth `f`, is not in it.
    ///
    /// A function that is not finite at a node ends as [`TraceStop::NonFinite`].
    pub fn trace_of(&self, f: impl Fn(f64) -> f64) -> TraceEstimate {
        let n = self.dim as f64;
        self.samples(|q| n * q.integrate(&f)).estimate(self.seed)
    }

    /// Estimates `log det A = tr log A`, for a positive definite operator. A node that is not
    /// positive ends as [`TraceStop::NotPositiveSemidefinite`], with the largest bar.
    pub fn log_determinant(&self) -> TraceEstimate {
        let mut found = self.trace_of(f64::ln);
        if self.extremes().is_some_and(|(low, _)| low <= 0.0) {
            found.value = 0.0;
            found.standard_error = f64::MAX;
            found.error_bar = f64::MAX;
            found.stop = TraceStop::NotPositiveSemidefinite;
        }
        found
    }

    /// The share of eigenvalues in `(−∞, t]`: the mean of the probes' measures, with
    /// exact bounds of that mean, and the standard error for the choice of the probes.
    pub fn cumulative(&self, t: f64) -> Cumulative {
        let k = self.quadratures.len().max(1) as f64;
        let (mut lower, mut upper) = (0.0, 0.0);
        for q in &self.quadratures {
            let (low, _, high) = q.cumulative(t);
            lower += low / k;
            upper += high / k;
        }
        let middle = self.samples(|q| q.cumulative(t).1).estimate(self.seed);
        Cumulative {
            lower,
            value: middle.value,
            upper,
            standard_error: middle.standard_error,
        }
    }

    /// The number of negative eigenvalues, `n` times the share below zero: at least
    /// `lower`, at most `upper`, up to the random error of the probes.
    pub fn negative_eigenvalues(&self) -> Cumulative {
        let (n, share) = (self.dim as f64, self.cumulative(-f64::MIN_POSITIVE));
        Cumulative {
            lower: n * share.lower,
            value: n * share.value,
            upper: n * share.upper,
            standard_error: n * share.standard_error,
        }
    }

    /// The density at `t`, every node blurred to a Gaussian of width `sigma`; its integral
    /// is 1. A common choice for `sigma` is a hundredth of the spectrum's width.
    ///
    /// # Panics
    /// If `sigma` is not positive.
    pub fn density(&self, t: f64, sigma: f64) -> f64 {
        assert!(sigma > 0.0, "density: sigma = {sigma} is not positive");
        let norm = (std::f64::consts::TAU.sqrt() * sigma).recip();
        let bell = |node: f64| norm * (-0.5 * ((t - node) / sigma).powi(2)).exp();
        let k = self.quadratures.len().max(1) as f64;
        self.quadratures.iter().map(|q| q.integrate(bell) / k).sum()
    }

    /// The extreme nodes: an upper bound of the smallest and a lower bound of the largest
    /// eigenvalue. `None` without a quadrature.
    pub fn extremes(&self) -> Option<(f64, f64)> {
        let ends = self.quadratures.iter().filter_map(|q| {
            let (first, last) = (q.nodes.first()?, q.nodes.last()?);
            Some((*first, *last))
        });
        ends.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
    }

    /// `θ_max / θ_min`, a lower bound of the condition of a positive definite operator, up to
    /// rounding. `None` if a node is not positive.
    pub fn condition(&self) -> Option<f64> {
        let (low, high) = self.extremes()?;
        (low > 0.0).then(|| high / low)
    }
}
