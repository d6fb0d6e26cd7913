//! The logistic function 1/(1 + e⁻ˣ), its derivative, and its integral ln(1 + eˣ).

use super::super::isa::Isa;
use super::arith::{clamp, fast_two_sum};
use super::exp::{exp_parts, reduce};
use super::ln::ln_reduced;
use super::word::{LOW, Word};

/// The smaller of σ(x) and σ(-x): 1/(1 + e^|x|).
///
/// With e^|x| = 2ⁿ(1 + p) the denominator is (1 + 2ⁿ) + 2ⁿp, where the first sum has its error. All of it
/// is divided by [`Word::LIFT`]: e^|x| has to grow until the result, which takes the power of two at
/// the end, is subnormal and then zero.
#[inline(always)]
fn smaller<I: Isa, T: Word>(x: T) -> T {
    let one = T::lit(1.0);
    let drop = one / T::LIFT.0;
    let z = clamp(x.magnitude(), (T::lit(0.0), -T::EXP_RANGE.0));
    let (k, p) = reduce::<I, T>(z, T::BIAS - T::LIFT.1);
    let scale = T::pow2(k);
    let (sum, error) = fast_two_sum(scale, drop);
    one / (sum + scale.fma::<I>(p, error)) * drop
}

/// 1/(1 + e⁻ˣ)
#[inline(always)]
pub(super) fn sigmoid<I: Isa, T: Word>(x: T) -> T {
    sigmoid_with_slope::<I, T>(x).0
}

/// 1/(1 + e⁻ˣ) and its derivative σ(x)σ(-x), of one exponential: both of the smaller one of the two
/// factors, which has not rounded to 1.
#[inline(always)]
pub(super) fn sigmoid_with_slope<I: Isa, T: Word>(x: T) -> (T, T) {
    let smaller = smaller::<I, T>(x);
    let larger = T::lit(1.0) - smaller;
    let y = if x > T::lit(0.0) { larger } else { smaller };
    (y, smaller * larger)
}

/// ln(1 + eˣ) = max(x, 0) + ln(1 + e⁻|ˣ|)
#[inline(always)]
pub(super) fn softplus<I: Isa, T: Word>(x: T) -> T {
    let (zero, one) = (T::lit(0.0), T::lit(1.0));
    let z = clamp(-x.magnitude(), (T::EXP_RANGE.0, zero));
    let (high, low, lifted) = exp_parts::<I, T>(z);
    let scale = lifted * (one / T::LIFT.0);
    let (sum, error) = fast_two_sum(one, high * scale);
    // 1 + e = 2ᵏ(1 + f), with all of e in f where k = 0.
    let (k, unit) = if sum > T::lit(LOW + LOW) {
        (one, T::lit(0.5))
    } else {
        (zero, one)
    };
    let f = error.fma::<I>(unit, sum.fma::<I>(unit, -one));
    let ramp = if x > zero { x } else { zero };
    ramp + ln_reduced::<I, T>(k, f, low * scale * unit)
}
