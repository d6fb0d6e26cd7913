//! tanh x = (1 - e)/(1 + e) with e = e⁻²ˣ.

use super::super::isa::Isa;
use super::arith::{clamp, divide, fast_two_sum};
use super::exp::exp_m1_parts;
use super::word::Word;

/// The hyperbolic tangent.
#[inline(always)]
pub(super) fn tanh<I: Isa, T: Word>(x: T) -> T {
    let two = T::lit(2.0);
    let z = clamp(-(x.magnitude() * two), (T::lit(-50.0), T::lit(0.0)));
    // e - 1 in two parts: one rounding of it, of 2 + (e - 1) and of the quotient each would add
    // up to more than 2 ulp.
    let (high, low) = exp_m1_parts::<I, T>(z);
    let (sum, error) = fast_two_sum(two, high);
    let y = divide::<I, T>((-high, -low), (sum, error + low)).flip_sign(x);
    if x.magnitude() < T::TANH_LINEAR { x } else { y }
}
