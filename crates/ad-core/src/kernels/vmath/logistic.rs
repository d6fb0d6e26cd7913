//! The logistic function 1/(1 + e⁻ˣ) and its integral ln(1 + eˣ).

use super::super::isa::Isa;
use super::arith::{clamp, divide, fast_two_sum};
use super::exp::exp_parts;
use super::ln::ln_reduced;
use super::word::Word;

/// 1/(1 + e⁻ˣ)
#[inline(always)]
pub(super) fn sigmoid<I: Isa, T: Word>(x: T) -> T {
    let (zero, one) = (T::lit(0.0), T::lit(1.0));
    let z = clamp(-x.magnitude(), (T::EXP_RANGE.0, zero));
    let (high, low, lifted) = exp_parts::<I, T>(z);
    let drop = one / T::LIFT.0;
    let scale = lifted * drop;
    let (sum, error) = fast_two_sum(one, high * scale);
    let denominator = (sum, low.fma::<I>(scale, error));
    // e⁻|ˣ|/(1 + e⁻|ˣ|) on the negative side, its power of two last: subnormal results round once.
    let positive = x >= zero;
    let numerator = if positive { (one, zero) } else { (high, low) };
    let lifted = if positive { T::LIFT.0 } else { lifted };
    divide::<I, T>(numerator, denominator) * lifted * drop
}

/// ln(1 + eˣ) = max(x, 0) + ln(1 + e⁻|ˣ|)
#[inline(always)]
pub(super) fn softplus<I: Isa, T: Word>(x: T) -> T {
    let (zero, half, one) = (T::lit(0.0), T::lit(0.5), T::lit(1.0));
    let z = clamp(-x.magnitude(), (T::EXP_RANGE.0, zero));
    let (high, low, lifted) = exp_parts::<I, T>(z);
    let drop = one / T::LIFT.0;
    let e = high * lifted * drop;
    // 1 + e = 2ᵏ(1 + f); e - 1 is exact for e ≥ 1/2.
    let upper = e >= half;
    let (k, f) = if upper {
        (one, (e - one) * half)
    } else {
        (zero, e)
    };
    let scale = lifted * (if upper { drop * half } else { drop });
    let ramp = if x > zero { x } else { zero };
    ramp + ln_reduced::<I, T>(k, f, low * scale)
}
