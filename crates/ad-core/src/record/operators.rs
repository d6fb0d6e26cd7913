//! Arithmetic operators on [`Var`], with variables and with numbers on either side.

use std::ops::{Add, AddAssign, Div, Mul, Neg, Sub};

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

impl AddAssign for Var<'_> {
    #[track_caller]
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}
