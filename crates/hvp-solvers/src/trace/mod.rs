//! Trace and diagonal of an operator from a few products, with error bars.
//!
//! [`TraceEstimator`] draws random vectors `ω` with `E ωωᵀ = I`, so that `E ωᵀAω = tr A`;
//! its better methods first take out a low-rank part of `A` exactly. [`DiagonalEstimator`] does
//! the same for the diagonal. Every estimate is unbiased (up to a shift at rounding
//! level), repeatable from its seed, and comes with a bar whose coverage is stated. One that was
//! cut short resumes over a [`Journal`](crate::operator::Journal).

mod diagonal;
mod exchange;
mod hutchinson;
pub(crate) mod outcome;
pub(crate) mod sketch;

use ad_core::Real;
use ndarray::Array2;
use serde::{Deserialize, Serialize};

pub use diagonal::{DiagonalEstimate, DiagonalEstimator};
pub use outcome::{TraceEstimate, TraceStop};

use crate::error::{SolverError, check_setting};
use crate::operator::LinearOperator;
use crate::random::generator;
use outcome::Samples;

/// How a trace is estimated; `m` is the number of products.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum TraceMethod {
    /// `mean ωᵀAω` over `m` random signs (Girard 1989, Hutchinson 1990). The variance is
    /// `2(‖A‖_F² − Σaᵢᵢ²)/m`. Holds two blocks of at most 32 vectors.
    Hutchinson,
    /// Hutch++ (Meyer, Musco, Musco & Woodruff 2021): with `Q = orth(AS)` for `m/3` random
    /// vectors `S`, `tr QᵀAQ` and Hutchinson's mean for the rest. Holds `m` vectors.
    HutchPlusPlus,
    /// XTrace (Epperly, Tropp & Webber 2024): each of `m/2` random vectors serves once as
    /// the probe of the remainder that the others leave, and the mean is taken.
    /// Holds `2m` vectors; `3nm²/2` flops.
    XTrace,
    /// XNysTrace (same paper), for **positive semidefinite** operators such as a
    /// Gauss–Newton matrix: the same with Nyström's approximation, which needs one product
    /// a vector instead of two. Holds `3m` vectors; `3nm²` flops.
    XNysTrace,
}

impl TraceMethod {
    /// All methods.
    pub const ALL: [Self; 4] = [
        Self::Hutchinson,
        Self::HutchPlusPlus,
        Self::XTrace,
        Self::XNysTrace,
    ];

    /// The fewest products that yield an error bar.
    fn min_products(self) -> usize {
        match self {
            Self::Hutchinson | Self::XNysTrace => 2,
            Self::HutchPlusPlus => 4,
            Self::XTrace => 4,
        }
    }
}

/// Estimates `tr A` from `n_products` products.
///
/// With `n_products ≥ n` the trace is taken exactly, from the `n` unit vectors.
///
/// ```
/// use hvp_solvers::{operator::DiagonalOperator, trace::TraceEstimator};
/// use ndarray::Array1;
/// // tr = Σ 0.7ʲ over j < 200.
/// let spectrum = Array1::from_shape_fn(200, |j| 0.7_f64.powi(j as i32));
/// let found = TraceEstimator::default().estimate(&DiagonalOperator::new(spectrum))?;
/// assert_eq!(found.n_products, 30);
/// assert!((found.value - 1.0 / 0.3).abs() <= found.error_bar);
/// assert!(found.error_bar < 0.1); // 3 % of the trace
/// # Ok::<(), hvp_solvers::SolverError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TraceEstimator {
    /// The method. Default [`TraceMethod::XTrace`].
    pub method: TraceMethod,
    /// Products to spend. Default 30.
    pub n_products: usize,
    /// Seed of the random vectors. Default 0.
    pub seed: u64,
}

impl Default for TraceEstimator {
    fn default() -> Self {
        Self {
            method: TraceMethod::XTrace,
            n_products: 30,
            seed: 0,
        }
    }
}

/// How accurate an adaptive estimate has to be, and what it may cost.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TraceTolerance {
    /// Stop at `error_bar ≤ absolute + relative · |value|`.
    pub absolute: f64,
    /// See `absolute`.
    pub relative: f64,
    /// At most this many products in all.
    pub max_products: usize,
}

impl TraceEstimator {
    /// The defaults with this method.
    pub fn new(method: TraceMethod) -> Self {
        Self {
            method,
            ..Self::default()
        }
    }

    /// Estimates with `n_products` products.
    ///
    /// # Errors
    /// [`SolverError::InvalidSetting`] for fewer products than the method needs for an
    /// error bar: 2, for Hutch++ and `XTrace` 4 (unless that is at least `n`).
    pub fn estimate<T, A>(&self, a: &A) -> Result<TraceEstimate, SolverError>
    where
        T: Real,
        A: LinearOperator<T> + ?Sized,
    {
        let m = self.n_products;
        let enough = m >= self.method.min_products() || m >= a.dim();
        check_setting("n_products", m as f64, enough, "enough for an error bar")?;
        Ok(self.run(a, m, 0))
    }

    /// Doubles the number of products, from `n_products` on, until the bar is within
    /// tolerance ([`TraceStop::Converged`]) or the next doubling would exceed the limit
    /// ([`TraceStop::Budget`]).
    ///
    /// Each round draws new vectors (round `r` from stream `r` of the generator), so that it is
    /// independent of the rounds before, whose products it does not use: at most half of the
    /// products are wasted. Looking at the
    /// bar again and again lowers the coverage a little below the stated one.
    ///
    /// # Errors
    /// As [`estimate`](Self::estimate); for tolerances that are negative or NaN, and for
    /// `max_products < n_products`.
    pub fn estimate_to<T, A>(
        &self,
        a: &A,
        tolerance: TraceTolerance,
    ) -> Result<TraceEstimate, SolverError>
    where
        T: Real,
        A: LinearOperator<T> + ?Sized,
    {
        for (name, tol) in [
            ("absolute", tolerance.absolute),
            ("relative", tolerance.relative),
        ] {
            check_setting(name, tol, tol >= 0.0, "at least zero")?;
        }
        let limit = tolerance.max_products;
        let room = limit >= self.n_products;
        check_setting("max_products", limit as f64, room, "at least n_products")?;
        let mut found = self.estimate(a)?;
        let mut spent = found.n_products;
        let mut m = self.n_products;
        let mut round = 0;
        while found.stop == TraceStop::Estimated {
            if found.error_bar <= tolerance.absolute + tolerance.relative * found.value.abs() {
                found.stop = TraceStop::Converged;
                break;
            }
            m *= 2;
            if m.min(a.dim()) > limit - spent {
                found.stop = TraceStop::Budget;
                break;
            }
            round += 1;
            found = self.run(a, m, round);
            spent += found.n_products;
        }
        found.n_products = spent;
        Ok(found)
    }

    fn run<T, A>(&self, a: &A, m: usize, round: u64) -> TraceEstimate
    where
        T: Real,
        A: LinearOperator<T> + ?Sized,
    {
        let mut rng = generator(self.seed);
        rng.set_stream(round);
        let samples = if m >= a.dim() {
            exact(a)
        } else {
            match self.method {
                TraceMethod::Hutchinson => hutchinson::hutchinson(a, m, &mut rng),
                TraceMethod::HutchPlusPlus => hutchinson::hutch_plus_plus(a, m, &mut rng),
                TraceMethod::XTrace => exchange::xtrace(a, m / 2, &mut rng),
                TraceMethod::XNysTrace => exchange::xnystrace(a, m, &mut rng),
            }
        };
        samples.estimate(self.seed)
    }
}

/// `Σ eᵢᵀAeᵢ`, in blocks of at most 32 products.
fn exact<T, A>(a: &A) -> Samples
where
    T: Real,
    A: LinearOperator<T> + ?Sized,
{
    let n = a.dim();
    let (mut sum, mut size) = (0.0, 0.0);
    for start in (0..n).step_by(sketch::BLOCK) {
        let k = sketch::BLOCK.min(n - start);
        let mut x = Array2::zeros((k, n));
        for i in 0..k {
            x[[i, start + i]] = T::one();
        }
        let y = sketch::products(a, &x);
        for i in 0..k {
            let entry = y[[i, start + i]].as_f64();
            sum += entry;
            size += entry.abs();
        }
    }
    Samples::exact(sum, outcome::rounding::<T>(1, size), n)
}
