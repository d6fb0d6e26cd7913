//! One trait for plain numbers and for recorded ones.

use std::ops::{Add, Div, Mul, Neg, Rem, Sub};

use super::Var;
use crate::ops::elementwise as ew;

/// What scalar code needs of a number, so that one helper function serves plain `f64` (or `f32`)
/// and recording.
///
/// ```
/// use ad_core::{Function, Scalar};
/// fn rosenbrock<S: Scalar>(x: &[S]) -> S {
///     let (a, b) = (-x[0] + 1.0, x[1] - x[0].square());
///     a.square() + b.square() * 100.0
/// }
/// let f = Function::<f64>::record_scalars(2, |x| rosenbrock(x))?;
/// assert_eq!(f.value(&[-1.2, 1.0])?, rosenbrock(&[-1.2, 1.0]));
/// # Ok::<(), ad_core::Error>(())
/// ```
pub trait Scalar:
    Copy
    + Add<Output = Self>
    + Sub<Output = Self>
    + Mul<Output = Self>
    + Div<Output = Self>
    + Rem<Output = Self>
    + Neg<Output = Self>
    + Add<f64, Output = Self>
    + Sub<f64, Output = Self>
    + Mul<f64, Output = Self>
    + Div<f64, Output = Self>
    + Rem<f64, Output = Self>
{
    /// x²
    #[must_use]
    fn square(self) -> Self;
    /// xⁿ
    #[must_use]
    fn powi(self, n: i32) -> Self;
    /// xᶜ
    #[must_use]
    fn powf(self, c: f64) -> Self;
    /// √x
    #[must_use]
    fn sqrt(self) -> Self;
    /// eˣ
    #[must_use]
    fn exp(self) -> Self;
    /// The natural logarithm.
    #[must_use]
    fn ln(self) -> Self;
    /// The sine.
    #[must_use]
    fn sin(self) -> Self;
    /// The cosine.
    #[must_use]
    fn cos(self) -> Self;
    /// The angle of the point (`x`, self) of the plane, in (−π, π].
    #[must_use]
    fn atan2(self, x: Self) -> Self;
    /// The hyperbolic tangent.
    #[must_use]
    fn tanh(self) -> Self;
    /// |x|
    #[must_use]
    fn abs(self) -> Self;
    /// The largest whole number that is not more.
    #[must_use]
    fn floor(self) -> Self;
    /// The smallest whole number that is not less.
    #[must_use]
    fn ceil(self) -> Self;
    /// The nearest whole number, of two the one away from 0.
    #[must_use]
    fn round(self) -> Self;
    /// The number without its fraction.
    #[must_use]
    fn trunc(self) -> Self;
    /// 1 with the sign of the number; NaN for a NaN.
    #[must_use]
    fn signum(self) -> Self;
    /// The smaller of two numbers; NaN if one of them is. See [`Var::minimum`].
    #[must_use]
    fn minimum(self, other: Self) -> Self;
    /// The larger of two numbers; NaN if one of them is. See [`Var::maximum`].
    #[must_use]
    fn maximum(self, other: Self) -> Self;
    /// The number, but not less than `low` and not more than `high`. See [`Var::clamp`].
    #[must_use]
    fn clamp(self, low: f64, high: f64) -> Self;
    /// 1 if self < other, else 0: what [`Self::select`] chooses by.
    #[must_use]
    fn less(self, other: Self) -> Self;
    /// `a` if self is not 0, else `b`, without the derivatives of the other. See [`Var::select`].
    ///
    /// ```
    /// use ad_core::{Function, Scalar};
    /// fn root_or_zero<S: Scalar>(x: S) -> S {
    ///     let zero = x * 0.0;
    ///     zero.less(x).select(x.sqrt(), zero)
    /// }
    /// let f = Function::<f64>::record_scalars(1, |x| root_or_zero(x[0]))?;
    /// assert_eq!((f.value(&[4.0])?, root_or_zero(4.0)), (2.0, 2.0));
    /// assert_eq!(f.gradient(&[-4.0])?.to_vec(), [0.0]);
    /// # Ok::<(), ad_core::Error>(())
    /// ```
    #[must_use]
    fn select(self, a: Self, b: Self) -> Self;
}

impl Scalar for f64 {
    fn square(self) -> Self {
        self * self
    }
    fn powi(self, n: i32) -> Self {
        self.powi(n)
    }
    fn powf(self, c: f64) -> Self {
        self.powf(c)
    }
    fn sqrt(self) -> Self {
        self.sqrt()
    }
    fn exp(self) -> Self {
        self.exp()
    }
    fn ln(self) -> Self {
        self.ln()
    }
    fn sin(self) -> Self {
        self.sin()
    }
    fn cos(self) -> Self {
        self.cos()
    }
    fn atan2(self, x: Self) -> Self {
        self.atan2(x)
    }
    fn tanh(self) -> Self {
        self.tanh()
    }
    fn abs(self) -> Self {
        self.abs()
    }
    fn floor(self) -> Self {
        self.floor()
    }
    fn ceil(self) -> Self {
        self.ceil()
    }
    fn round(self) -> Self {
        self.round()
    }
    fn trunc(self) -> Self {
        self.trunc()
    }
    fn signum(self) -> Self {
        self.signum()
    }
    fn minimum(self, other: Self) -> Self {
        ew::MINIMUM.eval(0.0, self, other)
    }
    fn maximum(self, other: Self) -> Self {
        ew::MAXIMUM.eval(0.0, self, other)
    }
    fn clamp(self, low: f64, high: f64) -> Self {
        self.clamp(low, high)
    }
    fn less(self, other: Self) -> Self {
        f64::from(u8::from(self < other))
    }
    fn select(self, a: Self, b: Self) -> Self {
        if self == 0.0 { b } else { a }
    }
}

impl Scalar for Var<'_> {
    #[track_caller]
    fn square(self) -> Self {
        Var::square(self)
    }
    #[track_caller]
    fn powi(self, n: i32) -> Self {
        Var::powi(self, n)
    }
    #[track_caller]
    fn powf(self, c: f64) -> Self {
        Var::powf(self, c)
    }
    #[track_caller]
    fn sqrt(self) -> Self {
        Var::sqrt(self)
    }
    #[track_caller]
    fn exp(self) -> Self {
        Var::exp(self)
    }
    #[track_caller]
    fn ln(self) -> Self {
        Var::ln(self)
    }
    #[track_caller]
    fn sin(self) -> Self {
        Var::sin(self)
    }
    #[track_caller]
    fn cos(self) -> Self {
        Var::cos(self)
    }
    #[track_caller]
    fn atan2(self, x: Self) -> Self {
        Var::atan2(self, x)
    }
    #[track_caller]
    fn tanh(self) -> Self {
        Var::tanh(self)
    }
    #[track_caller]
    fn abs(self) -> Self {
        Var::abs(self)
    }
    #[track_caller]
    fn floor(self) -> Self {
        Var::floor(self)
    }
    #[track_caller]
    fn ceil(self) -> Self {
        Var::ceil(self)
    }
    #[track_caller]
    fn round(self) -> Self {
        Var::round(self)
    }
    #[track_caller]
    fn trunc(self) -> Self {
        Var::trunc(self)
    }
    #[track_caller]
    fn signum(self) -> Self {
        Var::signum(self)
    }
    #[track_caller]
    fn minimum(self, other: Self) -> Self {
        Var::minimum(self, other)
    }
    #[track_caller]
    fn maximum(self, other: Self) -> Self {
        Var::maximum(self, other)
    }
    #[track_caller]
    fn clamp(self, low: f64, high: f64) -> Self {
        Var::clamp(self, low, high)
    }
    #[track_caller]
    fn less(self, other: Self) -> Self {
        Var::lt(self, other)
    }
    #[track_caller]
    fn select(self, a: Self, b: Self) -> Self {
        Var::select(self, a, b)
    }
}
