//! Arithmetic operators on [`Var`], with variables and with numbers on either side.

use std::iter::{Product, Sum};
use std::ops::{
    Add, AddAssign, Div, DivAssign, Mul, MulAssign, Neg, Rem, RemAssign, Sub, SubAssign,
};

use super::Var;
use crate::ops::{Attr, Op, elementwise as ew};

impl<'t> Var<'t> {
    #[track_caller]
    pub(super) fn with_constant(self, op: &'static ew::Elementwise, c: f64) -> Self {
        self.unary(Op::new(op, Attr::float(c)))
    }

    #[track_caller]
    fn with(self, op: &'static ew::Elementwise, other: Self) -> Self {
        self.binary(Op::new(op, Attr::None), other)
    }

    /// A number of the same recording.
    #[track_caller]
    pub(super) fn number(self, value: f64) -> Self {
        self.recorder
            .build("scalar", |graph| Ok(graph.scalar(value)))
    }
}

macro_rules! operator {
    ($(#[$doc:meta])* $trait:ident, $method:ident, $op:ident) => {
        $(#[$doc])*
        impl<'t> $trait for Var<'t> {
            type Output = Var<'t>;
            #[track_caller]
            fn $method(self, other: Self) -> Self {
                self.with(&ew::$op, other)
            }
        }
        impl<'t> $trait<f64> for Var<'t> {
            type Output = Var<'t>;
            #[track_caller]
            fn $method(self, other: f64) -> Self {
                self.with(&ew::$op, self.number(other))
            }
        }
        impl<'t> $trait<Var<'t>> for f64 {
            type Output = Var<'t>;
            #[track_caller]
            fn $method(self, other: Var<'t>) -> Var<'t> {
                other.number(self).with(&ew::$op, other)
            }
        }
    };
}

operator!(Add, add, ADD);
operator!(Sub, sub, SUB);
operator!(Mul, mul, MUL);
operator!(Div, div, DIV);
operator!(
    /// The remainder x − y·trunc(x/y), exactly, with the sign of x, as Rust's `%` has it: NaN for an infinite x
    /// or y = 0, and x for an infinite y. The derivative is 1 in x and −trunc(x/y) in y, also at the
    /// jumps. By the scalar library.
    ///
    /// ```
    /// use ad_core::Function;
    /// let f = Function::<f64>::record_scalars(2, |v| v[0] % v[1])?;
    /// assert_eq!(f.value(&[-7.0, 2.0])?, -1.0);
    /// assert_eq!(f.gradient(&[-7.0, 2.0])?.to_vec(), [1.0, 3.0]);
    /// # Ok::<(), ad_core::Error>(())
    /// ```
    Rem, rem, REM
);

impl Neg for Var<'_> {
    type Output = Self;
    #[track_caller]
    fn neg(self) -> Self {
        self.with_constant(&ew::SCALE, -1.0)
    }
}

macro_rules! assigning {
    ($trait:ident, $method:ident, $operator:tt) => {
        impl $trait for Var<'_> {
            #[track_caller]
            fn $method(&mut self, other: Self) {
                *self = *self $operator other;
            }
        }
        impl $trait<f64> for Var<'_> {
            #[track_caller]
            fn $method(&mut self, other: f64) {
                *self = *self $operator other;
            }
        }
    };
}

assigning!(AddAssign, add_assign, +);
assigning!(SubAssign, sub_assign, -);
assigning!(MulAssign, mul_assign, *);
assigning!(DivAssign, div_assign, /);
assigning!(RemAssign, rem_assign, %);

/// The sum of variables that broadcast against each other.
///
/// # Panics
/// If there is none: there is no recording then that a zero could belong to.
impl<'t> Sum for Var<'t> {
    fn sum<I: Iterator<Item = Self>>(terms: I) -> Self {
        terms
            .reduce(|sum, term| sum + term)
            .expect("a sum of variables needs a term")
    }
}

/// The product of variables that broadcast against each other.
///
/// # Panics
/// If there is none: there is no recording then that a one could belong to.
impl<'t> Product for Var<'t> {
    fn product<I: Iterator<Item = Self>>(factors: I) -> Self {
        factors
            .reduce(|product, factor| product * factor)
            .expect("a product of variables needs a factor")
    }
}
