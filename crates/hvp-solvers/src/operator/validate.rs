//! Whether an operator keeps what its trait promises.

use ad_core::Real;
use ndarray::{Array2, ArrayView1, Axis};
use serde::{Deserialize, Serialize};

use super::{LinearOperator, apply};
use crate::SolverError;
use crate::eigen::basis::Basis;
use crate::eigen::symmetric::eigen_in_place;
use crate::error::check_setting;
use crate::random::{fill_normal, generator};
use crate::vector::{axpy, dot, norm2, scale};

/// How an operator is examined; see [`validate`].
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ValidateSettings {
    /// Pairs of random vectors. Default 3.
    pub n_probes: usize,
    /// Lanczos steps that look for negative curvature. Default 12.
    pub n_steps: usize,
    /// Figures of rounding are held against `factor · (√n + 10) · eps`. Default 10. Raise it
    /// for products that are themselves the end of a long computation.
    pub factor: f64,
    /// Seed of the random vectors. Default 0.
    pub seed: u64,
}

impl Default for ValidateSettings {
    fn default() -> Self {
        Self {
            n_probes: 3,
            n_steps: 12,
            factor: 10.0,
            seed: 0,
        }
    }
}

/// What came of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// The figure is within tolerance.
    Passed,
    /// It is not.
    Failed,
    /// Not looked at: a property that it presumes does not hold.
    Skipped,
}

/// A measured defect and how it was judged.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// The largest defect seen; zero if skipped.
    pub figure: f64,
    /// What it may be.
    pub tolerance: f64,
    /// Whether it is.
    pub verdict: Verdict,
}

/// What Lanczos steps from a random vector saw of the spectrum.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct DefinitenessProbe {
    /// The lowest Rayleigh quotient: an upper bound of the smallest eigenvalue.
    pub lowest: f64,
    /// The highest: a lower bound of the largest eigenvalue.
    pub highest: f64,
    /// Whether the lowest is negative beyond rounding. If not, the operator may still be
    /// indefinite: nothing short of a factorisation excludes it.
    pub negative_seen: bool,
}

/// What [`validate`] found.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct OperatorReport {
    /// Entries that are not finite, of all products with finite vectors; none may be.
    pub finite: Check,
    /// Entries whose bits differ when a product is made again after others; none may.
    pub repeatable: Check,
    /// `‖A(au + bv) − aAu − bAv‖` relative to `α(‖au‖ + ‖bv‖)`, where `α` is the largest
    /// `‖Ax‖/‖x‖` of all vectors.
    pub linear: Check,
    /// `|uᵀAv − vᵀAu|` relative to `2α‖u‖‖v‖/√n`.
    pub symmetric: Check,
    /// `‖(AX)ᵢ − Axᵢ‖` relative to `α‖xᵢ‖`, for a block of all vectors.
    pub block: Check,
    /// Sign of the curvature; `None` unless the operator is finite, linear and symmetric.
    pub definiteness: Option<DefinitenessProbe>,
    /// Products made.
    pub n_products: usize,
}

impl OperatorReport {
    /// The checks with their names.
    pub fn checks(&self) -> [(&'static str, Check); 5] {
        [
            ("finite", self.finite),
            ("repeatable", self.repeatable),
            ("linear", self.linear),
            ("symmetric", self.symmetric),
            ("block", self.block),
        ]
    }

    /// Whether no check failed or was skipped.
    pub fn is_valid(&self) -> bool {
        let passed = |(_, check): (_, Check)| check.verdict == Verdict::Passed;
        self.checks().into_iter().all(passed)
    }
}

/// Examines the promises of [`LinearOperator`] on random vectors, which every operator that
/// breaks one of them on more than a null set breaks too.
///
/// A check that presumes what an earlier one refuted is skipped, so that the report names the
/// cause and not its consequences. The tolerance `factor·(√n + 10)·eps` is for figures
/// relative to `α‖u‖` with normal `u` and `α = max ‖Au‖/‖u‖`: a product's rounding is of order
/// `√n·eps·α‖u‖` in sums of `n` terms whose errors are independent, and less in shorter ones.
/// So a defect of 1 % shows in `f32` at ten million variables too.
/// (One vector can be close to the null space; not all of them.)
/// Costs `8p + 1 + s` products for `p` pairs of vectors and `s` steps.
///
/// ```
/// use hvp_solvers::operator::{DenseOperator, Verdict, validate};
/// use ndarray::array;
/// let lopsided = DenseOperator::new(array![[1.0, 2.0], [3.0, 4.0]])?;
/// let report = validate(&lopsided, &Default::default())?;
/// assert_eq!(report.symmetric.verdict, Verdict::Failed);
/// assert_eq!(report.linear.verdict, Verdict::Passed);
/// # Ok::<(), hvp_solvers::SolverError>(())
/// ```
///
/// # Errors
/// [`SolverError::InvalidSetting`] for no probes or a factor that is not positive.
pub fn validate<T, A>(a: &A, settings: &ValidateSettings) -> Result<OperatorReport, SolverError>
where
    T: Real,
    A: LinearOperator<T> + ?Sized,
{
    let (n, pairs) = (a.dim(), settings.n_probes);
    check_setting("n_probes", pairs as f64, pairs > 0, "at least one")?;
    let factor = settings.factor;
    check_setting("factor", factor, factor > 0.0, "positive")?;
    let tolerance = factor * ((n as f64).sqrt() + 10.0) * T::epsilon().as_f64();
    let skipped = |tolerance| Check {
        figure: 0.0,
        tolerance,
        verdict: Verdict::Skipped,
    };
    let mut report = OperatorReport {
        finite: skipped(0.0),
        repeatable: skipped(0.0),
        linear: skipped(tolerance),
        symmetric: skipped(tolerance),
        block: skipped(tolerance),
        definiteness: None,
        n_products: 0,
    };
    let mut probe = Probe::new(a, settings);
    probe.examine(&mut report);
    report.n_products = probe.n_products;
    Ok(report)
}

impl Check {
    /// Judges a figure; false if it failed. NaN fails.
    fn judge(&mut self, figure: f64) -> bool {
        let passed = figure <= self.tolerance;
        self.figure = figure;
        self.verdict = if passed {
            Verdict::Passed
        } else {
            Verdict::Failed
        };
        passed
    }
}

/// Random vectors, two by two, and their products.
struct Probe<'a, T, A: ?Sized> {
    a: &'a A,
    settings: &'a ValidateSettings,
    x: Array2<T>,
    ax: Array2<T>,
    /// The largest `‖Ax‖/‖x‖` of them.
    alpha: T,
    n_products: usize,
}

/// Coefficients of linear combinations: near one, far from it, where a product that is only
/// nearly linear shows, and zero.
const COMBINATIONS: [(f64, f64); 3] = [(0.625, -1.5), (1024.0, 640.0), (0.0, 0.0)];

impl<'a, T: Real, A: LinearOperator<T> + ?Sized> Probe<'a, T, A> {
    fn new(a: &'a A, settings: &'a ValidateSettings) -> Self {
        let (n, rows) = (a.dim(), 2 * settings.n_probes);
        let mut numbers = vec![T::zero(); rows * n];
        fill_normal(&mut generator(settings.seed), &mut numbers);
        let mut numbers = numbers.into_iter();
        let x = Array2::from_shape_simple_fn((rows, n), || numbers.next().unwrap_or(T::zero()));
        Self {
            a,
            settings,
            ax: Array2::zeros(x.dim()),
            x,
            alpha: T::zero(),
            n_products: 0,
        }
    }

    fn examine(&mut self, report: &mut OperatorReport) {
        for i in 0..self.x.nrows() {
            let x = self.x.row(i).to_vec();
            let y = self.product(&x);
            self.alpha = larger(self.alpha, ratio(norm2(&y), norm2(&x)));
            self.ax.row_mut(i).assign(&ArrayView1::from(&y));
        }
        let bad = self.ax.iter().filter(|v| !v.is_finite()).count();
        if !report.finite.judge(bad as f64) {
            return;
        }
        let linear = self.nonlinearity();
        let mut block = self.ax.clone();
        self.a.apply_block_into(self.x.view(), block.view_mut());
        self.n_products += self.x.nrows();
        // After all the others, so that a product which depends on what came before shows.
        let changed = self.changed_entries();
        if !report.repeatable.judge(changed as f64) {
            return;
        }
        report.block.judge(self.distance(&block));
        if !report.linear.judge(linear) || !report.symmetric.judge(self.asymmetry()) {
            return;
        }
        report.definiteness = self.definiteness(report.linear.tolerance);
    }

    fn product(&mut self, x: &[T]) -> Vec<T> {
        let mut y = vec![T::zero(); x.len()];
        apply(self.a, x, &mut y);
        self.n_products += 1;
        y
    }

    fn changed_entries(&mut self) -> usize {
        let rows = self.x.nrows();
        let differ = |(a, b): (&T, &T)| a.integer_decode() != b.integer_decode();
        (0..rows)
            .map(|i| {
                let again = self.product(&self.x.row(i).to_vec());
                let pairs = self.ax.row(i).to_vec();
                pairs
                    .iter()
                    .zip(&again)
                    .filter(|&pair| differ(pair))
                    .count()
            })
            .sum()
    }

    fn nonlinearity(&mut self) -> f64 {
        let mut worst = T::zero();
        for pair in 0..self.settings.n_probes {
            let rows = |m: &Array2<T>| (m.row(2 * pair).to_vec(), m.row(2 * pair + 1).to_vec());
            let ((u, v), (au, av)) = (rows(&self.x), rows(&self.ax));
            // The last combination, A·0 = 0, needs no second look.
            let count = if pair == 0 { 3 } else { 2 };
            for (a, b) in COMBINATIONS[..count]
                .iter()
                .map(|&(a, b)| (T::of(a), T::of(b)))
            {
                let mut x = u.clone();
                scale(a, &mut x);
                axpy(b, &v, &mut x);
                let mut defect = self.product(&x);
                axpy(-a, &au, &mut defect);
                axpy(-b, &av, &mut defect);
                let size = self.alpha * (a.abs() * norm2(&u) + b.abs() * norm2(&v));
                worst = larger(worst, ratio(norm2(&defect), size));
            }
        }
        worst.as_f64()
    }

    fn asymmetry(&self) -> f64 {
        let root = T::of((self.a.dim().max(1) as f64).sqrt());
        let mut worst = T::zero();
        for pair in 0..self.settings.n_probes {
            let rows = |m: &Array2<T>| (m.row(2 * pair).to_vec(), m.row(2 * pair + 1).to_vec());
            let ((u, v), (au, av)) = (rows(&self.x), rows(&self.ax));
            let size = T::of(2.0) * self.alpha * norm2(&u) * norm2(&v);
            let defect = (dot(&u, &av) - dot(&v, &au)).abs();
            worst = larger(worst, ratio(defect, size / root));
        }
        worst.as_f64()
    }

    /// How far a block of products is from single ones.
    fn distance(&self, block: &Array2<T>) -> f64 {
        let rows = block.axis_iter(Axis(0)).zip(self.ax.axis_iter(Axis(0)));
        let worst = rows.zip(self.x.axis_iter(Axis(0)));
        let worst = worst.fold(T::zero(), |worst, ((found, single), x)| {
            let (mut defect, single) = (found.to_vec(), single.to_vec());
            axpy(-T::one(), &single, &mut defect);
            larger(
                worst,
                ratio(norm2(&defect), self.alpha * norm2(&x.to_vec())),
            )
        });
        worst.as_f64()
    }

    /// Extreme Ritz values of a Krylov space; `None` if a product is not finite after all.
    fn definiteness(&mut self, tolerance: f64) -> Option<DefinitenessProbe> {
        let steps = self.settings.n_steps.min(self.a.dim());
        if steps == 0 {
            return None;
        }
        let mut basis = Basis::new(self.a.dim(), steps);
        let mut h = vec![T::zero(); steps];
        let mut w = self.x.row(0).to_vec();
        let mut ritz = vec![T::zero(); steps * steps];
        let mut size = norm2(&w);
        for k in 0..steps {
            basis.push(&w, size);
            w = self.product(basis.row(k));
            let (before, after) = basis.orthogonalise(&mut w, &mut h);
            ritz[k * steps + k] = h[k];
            size = after;
            // What is left is rounding: the space is invariant.
            if k + 1 == steps || after <= T::of(tolerance) * before {
                return ritz_values(&ritz, steps, k + 1, tolerance);
            }
            ritz[k * steps + k + 1] = after;
            ritz[(k + 1) * steps + k] = after;
        }
        None
    }
}

/// The extreme eigenvalues of the leading `k×k` block of `t`, whose rows are `stride` long.
fn ritz_values<T: Real>(
    t: &[T],
    stride: usize,
    k: usize,
    tolerance: f64,
) -> Option<DefinitenessProbe> {
    let mut a: Vec<T> = (0..k * k).map(|i| t[i / k * stride + i % k]).collect();
    let (mut values, mut scratch) = (vec![T::zero(); k], vec![T::zero(); k]);
    if !eigen_in_place(&mut a, &mut values, &mut scratch) {
        return None;
    }
    let (lowest, highest) = (values[0].as_f64(), values[k - 1].as_f64());
    let size = lowest.abs().max(highest.abs());
    Some(DefinitenessProbe {
        lowest,
        highest,
        negative_seen: lowest < -tolerance * size,
    })
}

/// The larger one; NaN stays.
fn larger<T: Real>(a: T, b: T) -> T {
    if a.is_nan() || a > b { a } else { b }
}

/// A defect in units of a size: against a size of zero only zero is none.
fn ratio<T: Real>(defect: T, size: T) -> T {
    if defect == T::zero() {
        T::zero()
    } else {
        defect / size
    }
}
