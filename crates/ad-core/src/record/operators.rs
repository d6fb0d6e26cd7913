//! Arithmetic operators on [`Var`], with variables and with numbers on either side.

use std::iter::{Product, Sum};
use std::ops::{Add, AddAssign, Div, DivAssign, Mul, MulAssign, Neg, Sub, SubAssign};

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
    fn number(self, value: f64) -> Self {
        self.recorder
            .build("scalar", |graph| Ok(graph.scalar(value)))
    }
}

macro_rules! operator {
    ($trait:ident, $method:ident, $op:ident) => {
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
