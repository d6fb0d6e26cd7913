//! Checks of derivatives for users: does a recorded function have, at a point, the derivatives that
//! its programs compute?
//!
//! The programs follow from tested rules, so what a check finds is usually a point where the
//! function is not smooth (a kink of `relu` or `abs`, a tie of a maximum), a gradient that was
//! stopped, or a precision too low for the function.

mod slope;

use std::fmt;

use ndarray::{Array1, ArrayViewD, IxDyn};

use crate::error::Error;
use crate::function::{Function, Point, Product, Residuals};
use crate::real::Real;
use slope::{Remainder, slope};

/// One identity of a passed check: what was measured, and what was demanded.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Finding {
    /// The identity.
    pub identity: &'static str,
    /// The worst slope or relative error of all directions. A slope is infinite where the
    /// remainder vanishes up to rounding, as for a polynomial of low degree.
    pub measured: f64,
    /// A lower bound of a slope, an upper bound of an error.
    pub bound: f64,
}

/// The identities of a passed check; its text has one per line.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Report {
    /// In the order in which they were checked.
    pub findings: Vec<Finding>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for finding in &self.findings {
            let Finding {
                identity,
                measured,
                bound,
            } = finding;
            writeln!(f, "{identity}: {measured:.3e} (bound {bound:.3e})")?;
        }
        Ok(())
    }
}

/// Why a check did not pass.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum CheckError {
    /// The function could not be called.
    #[error(transparent)]
    Call(#[from] Error),
    /// A value or a derivative at the point is NaN or infinite.
    #[error("{what} is not finite at the point")]
    NonFinite {
        /// Which value.
        what: &'static str,
    },
    /// The function does not have the derivative, or does not compute it.
    #[error(
        "{identity} does not hold along direction {direction}: measured {measured:.3e}, bound \
         {bound:.3e}; is the function smooth at the point, and is no gradient stopped?"
    )]
    Broken {
        /// The identity.
        identity: &'static str,
        /// The number of the direction, counted from 0: even ones are random, and each odd one is
        /// the opposite of the one before.
        direction: usize,
        /// The slope or the relative error that was found.
        measured: f64,
        /// The bound that it breaks.
        bound: f64,
    },
}

const FIRST_TAYLOR: &str = "f(x + hv) − f(x) − h∇f·v = O(h²)";
const SECOND_TAYLOR: &str = "f(x + hv) − f(x) − h∇f·v − ½h²vᵀHv = O(h³)";
const GRADIENT_TAYLOR: &str = "∇f(x + hv) − ∇f(x) − hHv = O(h²)";
const ADJOINT: &str = "forward and reverse mode agree, J·v = Jᵀ·v";
const SYMMETRY: &str = "uᵀHv = vᵀHu";
const LINEARITY: &str = "H(u + 2v) = Hu + 2Hv";
const ONE_SHOT: &str = "one-shot and linearized products agree";

/// Random directions; each is tried with both signs, so that a kink shows whichever side it bends.
const N_DIRECTIONS: usize = 4;

/// Checks ∇f at a point: by Taylor's theorem the remainder
///
/// > |f(x + hv) − f(x) − h ∇f(x)·v|
///
/// falls like h² as h → 0, for every direction v; with a wrong gradient or at a kink it falls like
/// h. The slope of its logarithm is measured at the smallest steps above rounding, for four random
/// unit vectors v and their opposites, and has to be over 1.5. Reverse mode must also agree with
/// forward mode, ∇f·v = J·v.
///
/// Cost: a gradient, 4 tangents and about 350 evaluations; 3n numbers.
///
/// # Errors
/// [`CheckError::Broken`] names the identity that does not hold; [`CheckError::Call`] if f cannot
/// be called at the point, [`CheckError::NonFinite`] if it has no finite value and gradient there.
///
/// # Example
/// ```
/// use ad_core::{CheckError, Function, check_gradient};
/// let smooth = Function::<f64>::record(2, |x| x.sin().sum())?;
/// check_gradient(&smooth, &[0.0, 1.0])?;
///
/// let kinked = Function::<f64>::record(2, |x| x.relu().sum())?;
/// assert!(matches!(check_gradient(&kinked, &[0.0, 1.0]), Err(CheckError::Broken { .. })));
/// # Ok::<(), CheckError>(())
/// ```
pub fn check_gradient<'a, T: Real>(
    f: &Function<T>,
    point: impl Into<Point<'a, T>>,
) -> Result<Report, CheckError> {
    let check = Check::new(f, &point.into())?;
    let mut worst = Worst::default();
    for (at, v) in check.directions() {
        let slope = check.slope(&v, 0.0)?;
        worst.at_least(FIRST_TAYLOR, at, slope, 1.5)?;
        let tangent = check.tangent(&v)?;
        let error = relative(tangent - check.gradient.dot(&v), norm(&check.gradient));
        worst.at_most(ADJOINT, at, error, check.rounding())?;
    }
    Ok(worst.report)
}

/// Checks Hessian-vector products at a point: with H·v from [`Function::linearize`],
///
/// > |f(x + hv) − f(x) − h ∇f(x)·v − ½h² vᵀHv| falls like h³,
/// >
/// > ‖∇f(x + hv) − ∇f(x) − h Hv‖ falls like h²,
/// >
/// > uᵀHv = vᵀHu, H(u + 2v) = Hu + 2Hv, and [`Function::hvp`] gives the same products.
///
/// Slopes are measured as in [`check_gradient`] and have to be over 2.5 and 1.5; the other
/// identities have to hold up to rounding. In `f32` few steps stand out from rounding: what passes
/// there has been checked less sharply than in `f64`.
///
/// Cost: a linearization, 24 products and about 350 values and 350 gradients; 6n numbers and the
/// residuals.
///
/// # Errors
/// As [`check_gradient`].
///
/// # Example
/// ```
/// use ad_core::{Function, check_hvp};
/// let f = Function::<f64>::record(3, |x| x.logsumexp_axis(0))?;
/// let report = check_hvp(&f, &[0.5, -1.0, 2.0])?;
/// assert_eq!(report.findings.len(), 5);
/// # Ok::<(), ad_core::CheckError>(())
/// ```
pub fn check_hvp<'a, T: Real>(
    f: &Function<T>,
    point: impl Into<Point<'a, T>>,
) -> Result<Report, CheckError> {
    let check = Check::new(f, &point.into())?;
    let residuals = check.linearize()?;
    let product = |v: &Array1<f64>| check.product(&residuals, v);
    let mut worst = Worst::default();
    let mut u = check.direction(N_DIRECTIONS);
    for (at, v) in check.directions() {
        let (hu, hv) = (product(&u)?, product(&v)?);
        let slope = check.slope(&v, v.dot(&hv))?;
        worst.at_least(SECOND_TAYLOR, at, slope, 2.5)?;
        let slope = check.gradient_slope(&v, &hv)?;
        worst.at_least(GRADIENT_TAYLOR, at, slope, 1.5)?;

        let scale = norm(&hu) + norm(&hv);
        let error = relative(u.dot(&hv) - v.dot(&hu), scale);
        worst.at_most(SYMMETRY, at, error, check.rounding())?;
        let together = product(&(&u + &(&v * 2.0)))?;
        let error = relative(norm(&(together - &hu - &(&hv * 2.0))), scale);
        worst.at_most(LINEARITY, at, error, check.rounding())?;
        let error = relative(norm(&(check.one_shot(&v)? - &hv)), scale);
        worst.at_most(ONE_SHOT, at, error, check.rounding())?;
        if !at.is_multiple_of(2) {
            u = v;
        }
    }
    Ok(worst.report)
}

/// The worst measurement of each identity so far.
struct Worst {
    report: Report,
}

impl Default for Worst {
    fn default() -> Self {
        let report = Report {
            findings: Vec::new(),
        };
        Self { report }
    }
}

impl Worst {
    fn at_least(
        &mut self,
        identity: &'static str,
        direction: usize,
        measured: f64,
        bound: f64,
    ) -> Result<(), CheckError> {
        self.note(identity, measured, bound, f64::min);
        judge(measured >= bound, identity, direction, measured, bound)
    }

    fn at_most(
        &mut self,
        identity: &'static str,
        direction: usize,
        measured: f64,
        bound: f64,
    ) -> Result<(), CheckError> {
        self.note(identity, measured, bound, f64::max);
        judge(measured <= bound, identity, direction, measured, bound)
    }

    fn note(
        &mut self,
        identity: &'static str,
        measured: f64,
        bound: f64,
        worse: fn(f64, f64) -> f64,
    ) {
        let findings = &mut self.report.findings;
        match findings.iter_mut().find(|old| old.identity == identity) {
            Some(old) => old.measured = worse(old.measured, measured),
            None => findings.push(Finding {
                identity,
                measured,
                bound,
            }),
        }
    }
}

/// A NaN is no agreement: `holds` is false for it.
fn judge(
    holds: bool,
    identity: &'static str,
    direction: usize,
    measured: f64,
    bound: f64,
) -> Result<(), CheckError> {
    if holds {
        return Ok(());
    }
    Err(CheckError::Broken {
        identity,
        direction,
        measured,
        bound,
    })
}

/// A function at a point.
struct Check<'f, 'a, T> {
    f: &'f Function<T>,
    parameters: Vec<T>,
    data: Vec<&'a [T]>,
    value: f64,
    gradient: Array1<f64>,
}

impl<'f, 'a, T: Real> Check<'f, 'a, T> {
    fn new(f: &'f Function<T>, point: &Point<'a, T>) -> Result<Self, CheckError> {
        let inputs = f.inputs(point, "a check of derivatives", true)?;
        let mut check = Self {
            f,
            parameters: inputs[0].to_vec(),
            data: inputs[1..].to_vec(),
            value: 0.0,
            gradient: Array1::zeros(0),
        };
        let (value, gradient) = check.at(&check.parameters, |x| f.value_and_grad(x))?;
        if !value.is_finite() {
            return Err(CheckError::NonFinite { what: "the value" });
        }
        check.value = value.as_f64();
        check.gradient = finite(&gradient, "the gradient")?;
        Ok(check)
    }

    /// Calls with other parameters and the same data, which were checked before.
    fn at<R>(&self, parameters: &[T], call: impl FnOnce(Point<'_, T>) -> R) -> R {
        let view = |(values, dims): (&&'a [T], &Vec<usize>)| {
            let view = ArrayViewD::from_shape(IxDyn(dims), values);
            view.expect("the data have the recorded shapes")
        };
        let data: Vec<_> = self
            .data
            .iter()
            .zip(self.f.data_shapes())
            .map(view)
            .collect();
        call(Point::with_data(parameters, &data).assume_finite_data())
    }

    /// J·v by forward mode.
    fn tangent(&self, v: &Array1<f64>) -> Result<f64, CheckError> {
        let v = v.mapv(T::of);
        let (_, tangent) = self.at(&self.parameters, |x| self.f.jvp(x, v.view()))?;
        Ok(tangent.sum().as_f64())
    }

    fn linearize(&self) -> Result<Residuals<T>, CheckError> {
        let (mut residuals, mut gradient) =
            (Residuals::new(), Array1::zeros(self.parameters.len()));
        self.at(&self.parameters, |x| {
            self.f
                .linearize_into(x, &mut residuals, gradient.view_mut())
        })?;
        Ok(residuals)
    }

    /// H·v by the linearization.
    fn product(
        &self,
        residuals: &Residuals<T>,
        v: &Array1<f64>,
    ) -> Result<Array1<f64>, CheckError> {
        let (v, mut out) = (v.mapv(T::of), Array1::zeros(v.len()));
        self.at(&self.parameters, |x| {
            let hvp = Product::Hvp;
            self.f
                .apply_linearized(hvp, x, residuals, v.view(), out.view_mut())
        })?;
        finite(&out, "a Hessian-vector product")
    }

    /// H·v by the program that keeps nothing.
    fn one_shot(&self, v: &Array1<f64>) -> Result<Array1<f64>, CheckError> {
        let v = v.mapv(T::of);
        let product = self.at(&self.parameters, |x| self.f.hvp(x, v.view()))?;
        finite(&product, "a Hessian-vector product")
    }

    /// The slope of f(x + hv) − f(x) − h∇f·v − ½h²·curvature.
    fn slope(&self, v: &Array1<f64>, curvature: f64) -> Result<f64, CheckError> {
        let remainder = |h: f64| {
            let (moved, step) = self.moved(v, h);
            let value = self.at(&moved, |x| self.f.value(x))?.as_f64();
            let linear = self.gradient.dot(&step);
            let remainder = value - self.value - linear - 0.5 * h * h * curvature;
            let derivatives = h * norm(&self.gradient) + h * h * curvature.abs();
            let size = value.abs() + self.value.abs() + derivatives;
            Ok(Remainder { size, remainder })
        };
        slope(&remainder, self.size(), T::epsilon().as_f64())
    }

    /// The slope of ‖∇f(x + hv) − ∇f(x) − hHv‖.
    fn gradient_slope(&self, v: &Array1<f64>, hv: &Array1<f64>) -> Result<f64, CheckError> {
        let remainder = |h: f64| {
            let (moved, _) = self.moved(v, h);
            let gradient = self.at(&moved, |x| self.f.gradient(x))?;
            let gradient = gradient.mapv(Real::as_f64);
            let size = norm(&gradient) + norm(&self.gradient) + h * norm(hv);
            let remainder = norm(&(gradient - &self.gradient - &(hv * h)));
            Ok(Remainder { size, remainder })
        };
        slope(&remainder, self.size(), T::epsilon().as_f64())
    }

    /// x + hv, and the step that rounding left of it, (x + hv) − x.
    fn moved(&self, v: &Array1<f64>, h: f64) -> (Vec<T>, Array1<f64>) {
        let pairs = || self.parameters.iter().zip(v);
        let moved: Vec<T> = pairs().map(|(x, v)| T::of(x.as_f64() + h * v)).collect();
        let steps = moved.iter().zip(&self.parameters);
        let step = steps.map(|(m, x)| m.as_f64() - x.as_f64()).collect();
        (moved, step)
    }

    /// Relative rounding of a program: the errors of n terms add up like a random walk, with room
    /// for intermediate results a thousand times larger than the final ones.
    fn rounding(&self) -> f64 {
        1000.0 * T::epsilon().as_f64() * (1.0 + self.parameters.len() as f64).sqrt()
    }

    /// The size of the point, from which steps start.
    fn size(&self) -> f64 {
        let larger = |max: f64, x: &T| max.max(x.as_f64().abs());
        self.parameters.iter().fold(1.0, larger)
    }

    fn directions(&self) -> impl Iterator<Item = (usize, Array1<f64>)> {
        let signed = |at: usize| {
            let sign = if at.is_multiple_of(2) { 1.0 } else { -1.0 };
            (at, self.direction(at / 2) * sign)
        };
        (0..2 * N_DIRECTIONS).map(signed)
    }

    /// A unit vector, always the same for one number and length, of numbers that T can hold.
    fn direction(&self, number: usize) -> Array1<f64> {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(number as u64 + 1);
        let mut component = || {
            // A xorshift generator; its upper 53 bits as a number between −1 and 1.
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
        };
        let v: Array1<f64> = self.parameters.iter().map(|_| component()).collect();
        let length = norm(&v).max(f64::MIN_POSITIVE);
        v.mapv(|v| T::of(v / length).as_f64())
    }
}

fn finite<T: Real>(values: &Array1<T>, what: &'static str) -> Result<Array1<f64>, CheckError> {
    if values.iter().all(|value| value.is_finite()) {
        return Ok(values.mapv(Real::as_f64));
    }
    Err(CheckError::NonFinite { what })
}

fn norm(v: &Array1<f64>) -> f64 {
    v.dot(v).sqrt()
}

/// |error| / scale; no error is none relative to 0 either.
fn relative(error: f64, scale: f64) -> f64 {
    error.abs() / scale.max(f64::MIN_POSITIVE)
}
