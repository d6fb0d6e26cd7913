//! The kind of a stationary point, by whichever route fits.

use ndarray::{Array2, s};
use serde::{Deserialize, Serialize};

use crate::dense::{DenseReal, PointKind, classify_kind, eigenpairs};
use crate::eigen::certificate::{Neighbours, loudest, measure};
use crate::eigen::{EigenOutcome, EigenPair, EigenStop, Lanczos, MultiplicityProbe, Which};
use crate::error::{Quantity, SolverError, check_setting};
use crate::operator::LinearOperator;
use crate::rounding::rounding;
use crate::vector::axpy;
use ad_core::Real;

/// Classifies a stationary point by the extreme eigenvalues of its Hessian.
///
/// A matrix of dimension up to [`dense_limit`](Self::dense_limit) is written down, by `n` products,
/// and factorised. A larger one is left to [`Lanczos`] at both ends. The answer is definite only
/// where the bounds of the extreme eigenvalues separate them from zero by more than the rounding
/// of a sum of `n` terms, `min(n, 10√n)·eps·‖A‖`, and by more than the noise of the products:
///
/// - a negative and a positive Rayleigh quotient prove a saddle, and few products show it;
/// - a minimum (maximum) asks for a smallest (largest) eigenvalue that Lanczos has converged to. That
///   there is none beyond it is what the random start makes all but certain, not a theorem;
/// - the rest is [`PointKind::Degenerate`] if the eigenvalue in question has converged to zero, and
///   [`PointKind::Undetermined`] if it has not converged.
///
/// Lanczos runs with tolerances 1e-3, 1e-6 and 0 in turn, each from the vectors of the last, until
/// the kind is clear.
///
/// ```
/// use hvp_solvers::dense::PointKind;
/// use hvp_solvers::landscape::{Classifier, Evidence};
/// use hvp_solvers::operator::DiagonalOperator;
/// use ndarray::Array1;
/// let h = DiagonalOperator::new(Array1::linspace(-0.1, 1.0, 2000));
/// let found = Classifier::default().classify(&h)?;
/// assert_eq!(found.kind, PointKind::Saddle);
/// assert_eq!(found.evidence, Evidence::Lanczos);
/// let escape = found.smallest.unwrap(); // along which f falls
/// assert!(escape.value + escape.error_bound < 0.0);
/// assert!(found.n_products < 200);
/// # Ok::<(), hvp_solvers::SolverError>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Classifier {
    /// The largest dimension of a matrix to write down. Default 400.
    pub dense_limit: usize,
    /// Bytes that may be held at a time: three matrices of `n²` numbers for the dense
    /// route, `ncv + 6` vectors for Lanczos with `ncv ≤ 40`. The buffers of the dense backend are not
    /// counted ([`eigenpairs`]). Default 1 GiB.
    pub memory_budget: usize,
    /// Restarts of each run of Lanczos. Default 100.
    pub max_restarts: usize,
    /// Seed of the start vector. Default 0.
    pub seed: u64,
}

impl Default for Classifier {
    fn default() -> Self {
        Self {
            dense_limit: 400,
            memory_budget: 1 << 30,
            max_restarts: 100,
            seed: 0,
        }
    }
}

/// What a classification rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Evidence {
    /// All eigenvalues of the dense matrix.
    Dense,
    /// Both ends of the spectrum by Lanczos.
    Lanczos,
}

/// How many eigenvalues have which sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inertia {
    /// Below `−zero_tolerance`.
    pub negative: usize,
    /// In between.
    pub zero: usize,
    /// Above `zero_tolerance`.
    pub positive: usize,
}

/// A point's kind with its certificate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PointReport<T> {
    /// The kind.
    pub kind: PointKind,
    /// The smallest eigenpair with its bounds; `None` in dimension zero or if no product was finite.
    pub smallest: Option<EigenPair<T>>,
    /// The largest eigenpair.
    pub largest: Option<EigenPair<T>>,
    /// What cannot be told from zero: `min(n, 10√n)·eps·‖A‖` and the measured noise of the
    /// products ([`EigenStats::noise`](crate::eigen::EigenStats::noise)).
    pub zero_tolerance: T,
    /// The number of eigenvalues of each sign, where all are known.
    pub inertia: Option<Inertia>,
    /// What this rests on.
    pub evidence: Evidence,
    /// How the last solve ended.
    pub stop: EigenStop,
    /// Products made.
    pub n_products: usize,
}

impl Classifier {
    /// Classifies by the operator, the Hessian at a stationary point.
    ///
    /// # Errors
    /// [`SolverError::InvalidSetting`] for a memory budget below 10 vectors;
    /// [`SolverError::DenseEigenFailed`].
    pub fn classify<T, A>(&self, a: &A) -> Result<PointReport<T>, SolverError>
    where
        T: DenseReal,
        A: LinearOperator<T> + ?Sized,
    {
        let (n, size) = (a.dim(), size_of::<T>());
        let vectors = self.memory_budget / (size * n.max(1));
        if n <= self.dense_limit && vectors / 3 >= n {
            return dense(a);
        }
        let enough = vectors >= 10;
        check_setting(
            "memory_budget",
            self.memory_budget as f64,
            enough,
            "at least 10 vectors",
        )?;
        self.lanczos(a, vectors - 6)
    }

    fn lanczos<T, A>(&self, a: &A, vectors: usize) -> Result<PointReport<T>, SolverError>
    where
        T: Real,
        A: LinearOperator<T> + ?Sized,
    {
        let mut n_products = 0;
        let mut basis: Option<Array2<T>> = None;
        let mut report = None;
        for tolerance in [1e-3, 1e-6, 0.0] {
            let config = Lanczos {
                ncv: Some(vectors.min(40).min(a.dim())),
                tolerance,
                max_restarts: self.max_restarts,
                seed: self.seed,
                // How often the extreme values occur does not matter here.
                probe: MultiplicityProbe::Never,
                ..Lanczos::new(1, Which::BothEnds)
            };
            let found = match &basis {
                None => config.solve(a)?,
                Some(basis) => config.solve_from_basis(a, basis.view())?,
            };
            n_products += found.stats.n_products;
            basis = Some(found.vectors());
            let this = report_of(a.dim(), found, n_products);
            // A saddle is proven by two vectors. For the absence of a sign, more is asked.
            let clear = match this.kind {
                PointKind::Saddle => true,
                PointKind::Minimum | PointKind::Maximum => tolerance < 1e-3,
                _ => matches!(this.stop, EigenStop::NonFinite { .. }),
            };
            report = Some(this);
            if clear {
                break;
            }
        }
        // The list of tolerances is not empty.
        report.ok_or(SolverError::DenseEigenFailed)
    }
}

/// What one run of Lanczos proves.
fn report_of<T: Real>(n: usize, found: EigenOutcome<T>, n_products: usize) -> PointReport<T> {
    let zero = (rounding::<T>(n) + T::of(found.stats.noise)) * T::of(found.stats.norm_estimate);
    let mut pairs = found.pairs.into_iter();
    let smallest = pairs.next();
    let largest = pairs.next_back().or_else(|| smallest.clone());
    let kind = match (&smallest, &largest) {
        (Some(low), Some(high)) => judge(low, high, zero),
        _ => PointKind::Undetermined,
    };
    PointReport {
        kind,
        smallest,
        largest,
        zero_tolerance: zero,
        inertia: None,
        evidence: Evidence::Lanczos,
        stop: found.stop,
        n_products,
    }
}

/// The kind that the pairs at both ends prove.
fn judge<T: Real>(low: &EigenPair<T>, high: &EigenPair<T>, zero: T) -> PointKind {
    let beyond = |pair: &EigenPair<T>| pair.value.abs() > pair.error_bound.max(zero);
    // A Rayleigh quotient is never beyond the extreme eigenvalue: here the residual does not
    // matter, only rounding.
    let negative = low.value < -zero;
    let positive = high.value > zero;
    let sure = |pair: &EigenPair<T>| pair.converged && beyond(pair);
    match (negative, positive) {
        (true, true) => PointKind::Saddle,
        (false, true) if low.value > zero && sure(low) => PointKind::Minimum,
        (true, false) if high.value < -zero && sure(high) => PointKind::Maximum,
        _ if low.converged && high.converged => PointKind::Degenerate,
        _ => PointKind::Undetermined,
    }
}

/// Writes the matrix down and takes all eigenvalues.
fn dense<T, A>(a: &A) -> Result<PointReport<T>, SolverError>
where
    T: DenseReal,
    A: LinearOperator<T> + ?Sized,
{
    let n = a.dim();
    let h = matrix(a);
    let mut report = PointReport {
        kind: PointKind::Undetermined,
        smallest: None,
        largest: None,
        zero_tolerance: T::zero(),
        inertia: None,
        evidence: Evidence::Dense,
        stop: EigenStop::Converged,
        n_products: n,
    };
    if !h.iter().all(|v| v.is_finite()) {
        report.stop = EigenStop::NonFinite {
            what: Quantity::Product,
        };
        return Ok(report);
    }
    let (values, vectors) = eigenpairs(h.view())?;
    if n == 0 {
        report.kind = PointKind::Degenerate;
        return Ok(report);
    }
    let values = values.to_vec();
    let (low, high) = (values[0], values[n - 1]);
    let norm = if low.abs() > high.abs() {
        low.abs()
    } else {
        high.abs()
    };
    let zero = rounding::<T>(n) * norm;
    [report.smallest, report.largest] = ends(a, &values, &vectors, norm);
    report.n_products += 2;
    report.zero_tolerance = zero;
    let negative = values.iter().filter(|v| **v < -zero).count();
    let positive = values.iter().filter(|v| **v > zero).count();
    report.inertia = Some(Inertia {
        negative,
        zero: n - negative - positive,
        positive,
    });
    report.kind = classify_kind(low, high, zero);
    Ok(report)
}

/// The pairs at both ends, with bounds; `values` are ascending and there is one at least.
fn ends<T, A>(a: &A, values: &[T], vectors: &Array2<T>, norm: T) -> [Option<EigenPair<T>>; 2]
where
    T: DenseReal,
    A: LinearOperator<T> + ?Sized,
{
    let n = values.len();
    let mut w = vec![T::zero(); n];
    let all = [0, n - 1].map(|index| {
        let compare = |value: T, u: &[T], w: &mut [T]| axpy(value - values[index], u, w);
        measure(a, &vectors.row(index).to_vec(), &mut w, T::zero(), compare)
    });
    // Each value is off by the rounding of a backward stable solver.
    let neighbours = Neighbours {
        theta: values,
        residual: &vec![rounding::<T>(n) * norm; n],
        ends: (true, true),
        norm,
        noise: loudest(&all, T::zero()),
    };
    let mut index = [0, n - 1].into_iter();
    all.map(|measured| {
        let finite = measured.finite;
        let mut pair = neighbours.pair(measured, index.next()?);
        pair.converged = finite;
        Some(pair)
    })
}

/// The matrix of an operator, from unit vectors in blocks.
fn matrix<T: Real, A: LinearOperator<T> + ?Sized>(a: &A) -> Array2<T> {
    const BLOCK: usize = 32;
    let n = a.dim();
    let mut h = Array2::zeros((n, n));
    for start in (0..n).step_by(BLOCK) {
        let count = BLOCK.min(n - start);
        let mut units = Array2::zeros((count, n));
        for i in 0..count {
            units[[i, start + i]] = T::one();
        }
        a.apply_block_into(units.view(), h.slice_mut(s![start..start + count, ..]));
    }
    h
}
