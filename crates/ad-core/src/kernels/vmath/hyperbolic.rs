//! tanh x = (1 - e)/(1 + e) and its derivative sech² x = 4e/(1 + e)², with e = e⁻²ˣ.

use super::super::isa::Isa;
use super::arith::{clamp, divide, fast_two_sum};
use super::exp::{exp_and_m1_parts, exp_m1_parts};
use super::word::Word;

/// The hyperbolic tangent.
#[inline(always)]
pub(super) fn tanh<I: Isa, T: Word>(x: T) -> T {
    let z = clamp(
        -(x.magnitude() + x.magnitude()),
        (T::lit(-50.0), T::lit(0.0)),
    );
    from_exp_m1::<I, T>(x, exp_m1_parts::<I, T>(z)).0
}

/// The hyperbolic tangent, with the same bits, and its derivative, which keeps its relative accuracy
/// where the tangent has rounded to ±1, down to the smallest normal number; below it is 0. One
/// exponential and one division serve both.
#[inline(always)]
pub(super) fn tanh_with_slope<I: Isa, T: Word>(x: T) -> (T, T) {
    // Below, the power of two in 4e is 0, and so is the derivative.
    let lowest = -(T::BIAS + T::lit(2.0)) * T::lit(std::f64::consts::LN_2);
    let exact = -(x.magnitude() + x.magnitude());
    let e = exp_and_m1_parts::<I, T>(clamp(exact, (lowest, T::lit(0.0))));
    let (y, reciprocal) = from_exp_m1::<I, T>(x, e.m1);
    (y, (e.mantissa * reciprocal) * (reciprocal * e.four_scales))
}

/// tanh x and 1/(1 + e) from e - 1 in two parts: one rounding of it, of 2 + (e - 1) and of the quotient
/// each would add up to more than 2 ulp.
#[inline(always)]
fn from_exp_m1<I: Isa, T: Word>(x: T, (high, low): (T, T)) -> (T, T) {
    let (sum, error) = fast_two_sum(T::lit(2.0), high);
    let reciprocal = T::lit(1.0) / sum;
    let y = divide::<I, T>((-high, -low), (sum, error + low), reciprocal).flip_sign(x);
    (
        if x.magnitude() < T::TANH_LINEAR { x } else { y },
        reciprocal,
    )
}
