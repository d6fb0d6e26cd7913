//! One trait for plain numbers and for recorded ones.

use std::ops::{Add, Div, Mul, Neg, Sub};

use super::Var;

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
    + Neg<Output = Self>
    + Add<f64, Output = Self>
    + Sub<f64, Output = Self>
    + Mul<f64, Output = Self>
    + Div<f64, Output = Self>
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
}
